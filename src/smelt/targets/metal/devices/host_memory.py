# SPDX-License-Identifier: Apache-2.0
"""Memory of this process on a device: used in place where the device can, else copied there before a launch and back behind it."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any, NamedTuple

from smelt.targets.metal.devices.protocol import Buffer, Device


class Extent(NamedTuple):
    """A stretch of this process's memory, and whether the device writes to it."""

    address: int
    nbytes: int
    is_written: bool


class Place(NamedTuple):
    """Where something is on a device: in a buffer, from `offset` bytes on."""

    buffer: Buffer
    offset: int


def extent_of(array: Any, *, is_written: bool) -> tuple[Extent, int]:
    """The stretch that an array's elements are in, gaps included, and how far behind its beginning the first element is."""
    first = array.__array_interface__["data"][0]
    if array.size == 0:
        return Extent(first, 0, is_written), 0
    spans = [(size - 1) * stride for size, stride in zip(array.shape, array.strides, strict=True)]
    before = -sum(span for span in spans if span < 0)
    behind = sum(span for span in spans if span > 0) + array.itemsize
    return Extent(first - before, before + behind, is_written), before


class HostMemory:
    """Stretches of memory of this process, as memory of a device for one launch.

    LIFETIME: whoever launches keeps the memory until the launch is done, and this object until the memory is brought back.

    Attributes
    ----------
    places
        Where each is for the device.
    """

    def __init__(self, device: Device, extents: Sequence[Extent]) -> None:
        in_place = {extent: _in_place(device, extent) for extent in extents}
        copied = [_Copied(device, run) for run in _runs([extent for extent in extents if in_place[extent] is None])]
        self._written = [copy for copy in copied if any(extent.is_written for extent in copy.extents)]
        self.places: list[Place] = []
        for extent in extents:
            buffer = in_place[extent]
            if buffer is not None:
                self.places.append(Place(buffer, 0))
            else:
                (copy,) = (copy for copy in copied if extent in copy.extents)
                self.places.append(Place(copy.buffer, extent.address - copy.address))

    def bring_back(self) -> None:
        """Copy back what the device wrote to where it was copied from."""
        for copy in self._written:
            copy.bring_back()


def _in_place(device: Device, extent: Extent) -> Buffer | None:
    return device.buffer_over(_memory(extent.address, extent.nbytes)) if extent.nbytes else device.buffer(0)


def _runs(extents: Sequence[Extent]) -> list[list[Extent]]:
    """Extents that overlap, together: two arrays may take turns in one stretch of memory."""
    runs: list[list[Extent]] = []
    end = -1
    for extent in sorted(set(extents)):
        if extent.address < end:
            runs[-1].append(extent)
        else:
            runs.append([extent])
        end = max(end, extent.address + extent.nbytes)
    return runs


class _Copied:
    """A stretch of memory that the device has a copy of."""

    def __init__(self, device: Device, extents: list[Extent]) -> None:
        self.extents = extents
        self.address = extents[0].address
        nbytes = max(extent.address + extent.nbytes for extent in extents) - self.address
        self._memory = _memory(self.address, nbytes)
        self.buffer = device.buffer(nbytes)
        self.buffer.contents[:nbytes] = self._memory

    def bring_back(self) -> None:
        self._memory[:] = self.buffer.contents[: self._memory.nbytes]


def _memory(address: int, nbytes: int) -> memoryview:
    return memoryview((ctypes.c_ubyte * nbytes).from_address(address)).cast("B")
