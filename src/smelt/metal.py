# SPDX-License-Identifier: Apache-2.0
"""Running kernels of any metallib: `library` opens one, from a file or from bytes, on a device.

kernel = smelt.metal.library("shapes.metallib").function("vadd", constants={"scale": 2.0})
kernel({0: a, 1: b, 2: c}, threads=c.size)
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from smelt.targets.metal.air.kernels import THREADGROUP_SPACE, Buffer
from smelt.targets.metal.devices.errors import DeviceError
from smelt.targets.metal.devices.software.device import SoftwareDevice, SoftwareLibrary, SoftwarePipeline, sizes
from smelt.targets.metal.metallib import MetallibError

__all__ = ["DeviceError", "MetalFunction", "MetalLibrary", "MetallibError", "library"]

_DEFAULT_GROUP = 256


def library(source: str | os.PathLike[str] | bytes, device: SoftwareDevice | None = None) -> MetalLibrary:
    """Open a metallib: the path of a file, or its bytes. Without a device, on one in software.

    Raises `OSError` for a file that can't be read, `MetallibError` for what is no metallib.
    """
    data = source if isinstance(source, bytes) else Path(source).read_bytes()
    return MetalLibrary((device or SoftwareDevice()).library(data))


class MetalLibrary:
    """A library of kernels on a device."""

    def __init__(self, opened: SoftwareLibrary) -> None:
        self._library = opened
        self.device = opened.device

    @property
    def functions(self) -> tuple[str, ...]:
        """The names of its functions."""
        return self._library.names

    def function(self, name: str, constants: Mapping[int | str, Any] | None = None) -> MetalFunction:
        """The kernel of that name, compiled for the device. `constants` gives its function constants, by name or by index.

        Raises `MetallibError` if there is none, `DeviceError` if it is no kernel, if constants are missing or unknown, and for what
        the device doesn't know.
        """
        return MetalFunction(self._library.function(name).pipeline(constants or {}))

    def __repr__(self) -> str:
        return f"<metallib of {len(self.functions)} functions on {self.device.name}>"


class MetalFunction:
    """A compiled kernel. Call it with its buffers."""

    def __init__(self, pipeline: SoftwarePipeline) -> None:
        self.pipeline = pipeline
        self.name = pipeline.kernel.name

    def __call__(
        self,
        buffers: Mapping[int, Any],
        *,
        threads: int | Sequence[int] | None = None,
        threadgroups: int | Sequence[int] | None = None,
        threads_per_threadgroup: int | Sequence[int] | None = None,
        threadgroup_memory: Mapping[int, int] | None = None,
    ) -> None:
        """Run it, and return when it is done.

        Parameters
        ----------
        buffers
            What the buffers are bound to, by their indices: a NumPy array, which is used in place, a NumPy scalar, or bytes.
        threads, threadgroups
            How many threads there are in all, or how many whole threadgroups: one of the two.
        threads_per_threadgroup
            How many threads a group has: by default as many as fit in a row.
        threadgroup_memory
            How many bytes there are for the arguments that a threadgroup shares, by their indices.

        Raises `DeviceError` for buffers that the kernel hasn't, or can't use, for a grid that can't be, and for
        threads that wait where others of their group don't.
        """
        if (threads is None) == (threadgroups is None):
            raise DeviceError(
                f"{self.name}: give either threads, how many in all, or threadgroups, how many whole ones"
            )
        most = self.pipeline.max_total_threads_per_threadgroup
        group = sizes(min(_DEFAULT_GROUP, most) if threads_per_threadgroup is None else threads_per_threadgroup)
        if threads is None:
            assert threadgroups is not None
            x, y, z = (count * size for count, size in zip(sizes(threadgroups), group, strict=True))
            grid = (x, y, z)
        else:
            grid = sizes(threads)
        # What a threadgroup shares is not bound, and counts for itself.
        known = {buffer.index: buffer for buffer in self.pipeline.kernel.buffers if buffer.space != THREADGROUP_SPACE}
        # LIFETIME: what is copied lives until the kernel is done.
        bound = {index: self._bound(index, value, known) for index, value in buffers.items()}
        addresses = {index: array.ctypes.data for index, array in bound.items()}
        self.pipeline.dispatch(addresses, grid, group, threadgroup_memory)

    def _bound(self, index: int, value: Any, known: Mapping[int, Buffer]) -> np.ndarray[Any, Any]:
        """The memory that a buffer is bound to."""
        if index not in known:
            there = ", ".join(f"{number} ({buffer.name})" for number, buffer in sorted(known.items())) or "none"
            raise DeviceError(f"{self.name} has no buffer {index}; it has {there}")
        buffer = known[index]
        if isinstance(value, np.ndarray):
            if not value.flags.c_contiguous and not value.flags.f_contiguous:
                raise DeviceError(f"{self.name}, buffer {index} ({buffer.name}): the array has gaps; copy it")
            if buffer.is_written and not value.flags.writeable:
                raise DeviceError(
                    f"{self.name}, buffer {index} ({buffer.name}): the kernel writes to it, and the array is read-only"
                )
            if value.ctypes.data % buffer.align_bytes:
                raise DeviceError(
                    f"{self.name}, buffer {index} ({buffer.name}): the array is not aligned to {buffer.align_bytes} bytes"
                )
            return value
        if isinstance(value, np.generic):
            return np.array(value)
        if isinstance(value, (bytes, bytearray)):
            return np.frombuffer(bytearray(value), np.uint8)
        raise DeviceError(
            f"{self.name}, buffer {index} ({buffer.name}): give a NumPy array, a NumPy scalar of type {buffer.type_name}, or bytes, "
            f"not {value!r}"
        )

    def __repr__(self) -> str:
        return f"<Metal kernel {self.name}>"
