# SPDX-License-Identifier: Apache-2.0
"""Running kernels of any metallib: `library` opens one, from a file or from bytes, on a device.

For example::

    kernel = smelt.metal.library("shapes.metallib").function("vadd", constants={"scale": 2.0})
    kernel({0: a, 1: b, 2: c}, threads=c.size)
"""

from __future__ import annotations

import operator
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from smelt._devices import known_devices
from smelt.launch.errors import LaunchError
from smelt.launch.metal_functions import mtlfunction
from smelt.targets.metal.air.kernels import THREADGROUP_SPACE, Buffer
from smelt.targets.metal.devices.errors import DeviceError, DeviceWarning
from smelt.targets.metal.devices.function_constants import scalar_format
from smelt.targets.metal.devices.host_memory import HostMemory, extent_of
from smelt.targets.metal.devices.protocol import Device, Function, Library, Sizes
from smelt.targets.metal.devices.software.checking.checks import Checks
from smelt.targets.metal.metallib import MetallibError

__all__ = [
    "Checks",
    "DeviceError",
    "DeviceWarning",
    "MetalFunction",
    "MetalLibrary",
    "MetallibError",
    "library",
    "mtlfunction",
]

_DEFAULT_GROUP = 256


def library(
    source: str | os.PathLike[str] | bytes | bytearray | memoryview, device: Device | str | None = None, **settings: Any
) -> MetalLibrary:
    """Open a metallib: the path of a file, or its bytes. Without a device, on the machine's, or on one in software if it has none.

    Parameters
    ----------
    settings
        For devices in software: `checks`, what they look after while a kernel runs; `seconds`, how long a launch may take; `show`, what
        shows a text that a kernel logs, given its level, `default` or `error`, say.

    Raises `OSError` for a file that can't be read, `MetallibError` for what is no metallib, `LaunchError` for no such device and for one
    that is not Metal's, `DeviceError` for settings that the device hasn't.
    """
    data = bytes(source) if isinstance(source, (bytes, bytearray, memoryview)) else Path(source).read_bytes()
    if settings and device is None:
        device = "metal:software"
    chosen: Device = known_devices().default_metal if device is None else known_devices().of(device)
    if not hasattr(chosen, "library"):
        raise LaunchError(f"a metallib is for Metal devices, and {chosen.name} is none")
    if settings:
        with_settings = getattr(chosen, "with_settings", None)
        if with_settings is None:
            raise DeviceError(f"{chosen.name} has no {', '.join(settings)}; a device in software has: metal:software")
        chosen = with_settings(**settings)
    return MetalLibrary(chosen, chosen.library(data))


class MetalLibrary:
    """A library of kernels on a device."""

    def __init__(self, device: Device, opened: Library) -> None:
        self._library = opened
        self.device = device

    @property
    def functions(self) -> tuple[str, ...]:
        """The names of its functions."""
        return self._library.names

    def function(self, name: str, constants: Mapping[int | str, Any] | None = None) -> MetalFunction:
        """The kernel of that name, compiled for the device. `constants` gives its function constants, by name or by index.

        Raises `MetallibError` if there is none, `DeviceError` if it is no kernel, if constants are missing or unknown, and for what
        the device doesn't know.
        """
        return MetalFunction(self.device, self._library.function(name), constants or {})

    def __repr__(self) -> str:
        return f"<metallib of {len(self.functions)} functions on {self.device.name}>"


class MetalFunction:
    """A compiled kernel. Call it with its buffers."""

    def __init__(self, device: Device, function: Function, constants: Mapping[int | str, Any]) -> None:
        self.device = device
        self.name = function.kernel.name
        self.pipeline = function.pipeline(constants)
        # What a threadgroup shares is not bound, and counts for itself.
        self._buffers = {
            buffer.index: buffer for buffer in function.kernel.buffers if buffer.space != THREADGROUP_SPACE
        }
        self._queue = device.queue()

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

        Raises
        ------
        DeviceError
            For buffers that the kernel hasn't, or can't use, for a grid that can't be, and for threads that wait where others of their
            group don't.
        """
        if (threads is None) == (threadgroups is None):
            raise DeviceError(
                f"{self.name}: give either threads, how many in all, or threadgroups, how many whole ones"
            )
        most = self.pipeline.max_total_threads_per_threadgroup
        group = _sizes(min(_DEFAULT_GROUP, most) if threads_per_threadgroup is None else threads_per_threadgroup)
        # LIFETIME: what is copied lives until the kernel is done.
        bound = {index: self._bound(index, value) for index, value in buffers.items()}
        extents = [extent_of(array, is_written=self._buffers[index].is_written)[0] for index, array in bound.items()]
        memory = HostMemory(self.device, extents)
        commands = self._queue.command_buffer()
        encoder = commands.compute_encoder()
        encoder.set_pipeline(self.pipeline)
        for index, place in zip(bound, memory.places, strict=True):
            encoder.set_buffer(place.buffer, place.offset, index)
        for index, nbytes in (threadgroup_memory or {}).items():
            encoder.set_threadgroup_memory_length(nbytes, index)
        if threads is not None:
            encoder.dispatch_threads(_sizes(threads), group)
        else:
            assert threadgroups is not None
            encoder.dispatch_threadgroups(_sizes(threadgroups), group)
        encoder.end_encoding()
        commands.commit()
        commands.wait_until_completed()
        memory.bring_back()

    def _bound(self, index: int, value: Any) -> np.ndarray[Any, Any]:
        """The memory that a buffer is bound to."""
        if index not in self._buffers:
            there = ", ".join(f"{number} ({buffer.name})" for number, buffer in sorted(self._buffers.items())) or "none"
            raise DeviceError(f"{self.name} has no buffer {index}; it has {there}")
        buffer: Buffer = self._buffers[index]
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
            form = scalar_format(buffer.type_name)
            if form is not None and value.dtype != form:
                raise DeviceError(
                    f"{self.name}, buffer {index} ({buffer.name}): the kernel takes a {buffer.type_name}, which is NumPy's "
                    f"{np.dtype(form)}, not {value.dtype}"
                )
            return np.array(value)
        if isinstance(value, (bytes, bytearray)):
            return np.frombuffer(bytearray(value), np.uint8)
        raise DeviceError(
            f"{self.name}, buffer {index} ({buffer.name}): give a NumPy array, a NumPy scalar of type {buffer.type_name}, or bytes, "
            f"not {value!r}"
        )

    def __repr__(self) -> str:
        return f"<Metal kernel {self.name}>"


def _sizes(given: int | Sequence[int]) -> Sizes:
    """A size of up to three dimensions as three. Raises `DeviceError` for more, and for what are no whole numbers."""
    try:
        parts = tuple(map(operator.index, given)) if isinstance(given, Sequence) else (operator.index(given),)
    except TypeError:
        parts = ()
    if not 1 <= len(parts) <= 3:
        raise DeviceError(f"a grid has one to three whole numbers, not {given!r}")
    x, y, z = (*parts, 1, 1)[:3]
    return x, y, z
