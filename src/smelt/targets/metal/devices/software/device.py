# SPDX-License-Identifier: Apache-2.0
"""A Metal device in software: libraries, functions, pipelines, dispatches.

What a kernel needs that is not known here is named when its pipeline is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from smelt.targets.metal.air.kernels import THREADGROUP_SPACE
from smelt.targets.metal.air.program import Pointer
from smelt.targets.metal.air.sizes import size_in_bytes
from smelt.targets.metal.devices.descriptions import describe
from smelt.targets.metal.devices.errors import DeviceError
from smelt.targets.metal.devices.function_constants import values_of_constants
from smelt.targets.metal.devices.software.air_functions.literals import literal_of
from smelt.targets.metal.devices.software.artifacts import KernelSource
from smelt.targets.metal.devices.software.pipeline import DEFAULT, Runtime, Settings, SoftwarePipeline
from smelt.targets.metal.devices.software.queues import SoftwareBuffer, SoftwareQueue
from smelt.targets.metal.limits import MOST_THREADGROUP_BYTES
from smelt.targets.metal.metallib import Function, Library, read_metallib

_MACOS = (27, 0)
"""The version whose metallibs are the latest that are understood."""


class SoftwareDevice:
    """A device. There may be as many as one likes: each has pipelines of its own."""

    def __init__(self, name: str, runtime: Runtime, settings: Settings = DEFAULT) -> None:
        self.name = name
        self.settings = settings
        self._runtime = runtime
        self.macos = _MACOS
        self.max_threadgroup_memory_length = MOST_THREADGROUP_BYTES

    def library(self, data: bytes) -> SoftwareLibrary:
        """The library that a metallib holds. Raises `MetallibError`."""
        return SoftwareLibrary(self, read_metallib(data))

    def buffer(self, nbytes: int) -> SoftwareBuffer:
        """New memory, of zeros. Raises `MemoryError`."""
        return SoftwareBuffer.of_zeros(nbytes)

    def buffer_over(self, memory: memoryview) -> SoftwareBuffer:
        """Memory of this process as a buffer, without a copy."""
        return SoftwareBuffer(memory)

    def pipeline(self, source: KernelSource) -> SoftwarePipeline:
        """A kernel, compiled. Raises `DeviceError`."""
        return SoftwarePipeline(self, self._runtime, self.settings, source)

    def with_settings(self, **settings: Any) -> SoftwareDevice:
        """Another device of that name, with some of the settings changed: `checks`, `seconds`, `show`, see `Settings`.

        Raises `DeviceError` for settings that there aren't.
        """
        there = [one.name for one in fields(self.settings)]
        unknown = [name for name in settings if name not in there]
        if unknown:
            raise DeviceError(f"{self.name} has no {', '.join(unknown)}; its settings are {', '.join(there)}")
        return SoftwareDevice(self.name, self._runtime, replace(self.settings, **settings))

    def queue(self) -> SoftwareQueue:
        """A new queue."""
        return SoftwareQueue(self)

    def __repr__(self) -> str:
        return f"<device {self.name}>"


class SoftwareLibrary:
    """A library on a device."""

    def __init__(self, device: SoftwareDevice, library: Library) -> None:
        self.device = device
        self._library = library

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its functions."""
        return tuple(function.name for function in self._library.functions)

    def function(self, name: str) -> SoftwareFunction:
        """The kernel of that name. Raises `MetallibError` if there is none, `DeviceError` if it is no kernel."""
        return SoftwareFunction(self.device, self._library.function(name))


class SoftwareFunction:
    """A kernel of a library, not compiled yet.

    Attributes
    ----------
    kernel
        What it says of its arguments.
    constants
        The constants that it gets when it is made into a pipeline.
    """

    def __init__(self, device: SoftwareDevice, function: Function) -> None:
        self.device = device
        self._module = function.module
        self.kernel, self.constants, self._outline = describe(function)

    def pipeline(self, constants: Mapping[int | str, Any]) -> SoftwarePipeline:
        """Compile it. `constants` gives its function constants, by index or by name.

        Raises `DeviceError` for constants that are missing or unknown, and for what this device doesn't know.
        """
        shared = {}
        for variable in self._outline.globals:
            if isinstance(variable.type, Pointer) and variable.type.space == THREADGROUP_SPACE:
                shared[variable.name or ""] = size_in_bytes(variable.content)
        source = KernelSource(self._module, self.kernel, self.constants, self._values(constants), shared)
        return self.device.pipeline(source)

    def _values(self, constants: Mapping[int | str, Any]) -> dict[str, str]:
        values = values_of_constants(self.kernel.name, self.constants, constants)
        return {constant.variable: literal_of(constant, value) for constant, value in values.items()}
