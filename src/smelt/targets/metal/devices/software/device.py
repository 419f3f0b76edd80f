# SPDX-License-Identifier: Apache-2.0
"""A Metal device in software: libraries, functions, pipelines, dispatches.

It runs the threads of a grid one after the other, or the groups, if threads wait for each other. What a kernel needs that is not
known here is named when its pipeline is made.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Mapping
from typing import Any

from smelt.targets.metal.air.kernels import THREADGROUP_SPACE
from smelt.targets.metal.air.program import Pointer
from smelt.targets.metal.air.sizes import size_in_bytes
from smelt.targets.metal.devices.descriptions import describe
from smelt.targets.metal.devices.errors import DeviceError
from smelt.targets.metal.devices.function_constants import values_of_constants
from smelt.targets.metal.devices.protocol import Sizes
from smelt.targets.metal.devices.software.compilation import ENTRY, CompiledKernel, compile_kernel
from smelt.targets.metal.devices.software.literals import literal_of
from smelt.targets.metal.devices.software.queues import Region, SoftwareBuffer, SoftwareQueue
from smelt.targets.metal.metallib import Function, Library, read_metallib
from smelt.targets.native.errors import FlatError
from smelt.targets.native.loader.mapping import MappedCode
from smelt.targets.native.loader.symbols import resolve
from smelt.targets.native.words import LAUNCH_WORDS, STATUS_WORD

MOST_THREADS = 1024
MOST_THREADGROUP_BYTES = 32768
SIMD_WIDTH = 32

_MACOS = (27, 0)
"""The version whose metallibs are the latest that are understood."""

_RUN = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)


class SoftwareDevice:
    """A device. There may be as many as one likes: each has pipelines of its own."""

    def __init__(self, name: str = "metal:software") -> None:
        self.name = name
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
        return SoftwarePipeline(self, self._values(constants))

    def _values(self, constants: Mapping[int | str, Any]) -> dict[str, str]:
        values = values_of_constants(self.kernel.name, self.constants, constants)
        return {constant.variable: literal_of(constant, value) for constant, value in values.items()}

    def compile(self, values: Mapping[str, str]) -> tuple[CompiledKernel, dict[str, int]]:
        """Its code, given its function constants, and how many bytes the variables have that a group shares. Raises as `pipeline`."""
        shared = {
            variable.name or "": size_in_bytes(variable.content)
            for variable in self._outline.globals
            if isinstance(variable.type, Pointer) and variable.type.space == THREADGROUP_SPACE
        }
        try:
            return compile_kernel(self._module, self.kernel, self.constants, values, list(shared)), shared
        except (FlatError, RuntimeError) as error:
            if isinstance(error, DeviceError):
                raise
            raise DeviceError(f"{self.kernel.name} can't be compiled for the processor: {error}") from error


class SoftwarePipeline:
    """A compiled kernel.

    Attributes
    ----------
    max_total_threads_per_threadgroup, thread_execution_width, static_threadgroup_memory_length
        The three numbers of a pipeline state: the most threads of a group, the threads of a simdgroup, the bytes that a group shares.
    """

    def __init__(self, function: SoftwareFunction, values: Mapping[str, str]) -> None:
        self.device = function.device
        self.kernel = function.kernel
        compiled, shared = function.compile(values)
        self._sites = compiled.sites
        # LIFETIME: code and shared memory are there as long as what calls the code.
        self._shared = {name: ctypes.create_string_buffer(size + _ALIGNMENT) for name, size in shared.items()}
        self._code = MappedCode(compiled.code, self._resolve)
        self._run = _RUN(self._code.address(ENTRY))
        self._running = threading.Lock()
        self.max_total_threads_per_threadgroup = function.kernel.most_threads or MOST_THREADS
        self.thread_execution_width = SIMD_WIDTH
        self.static_threadgroup_memory_length = sum(shared.values())

    def _resolve(self, name: str) -> int:
        """Where a symbol is; what a group shares is this pipeline's own, for its groups run one after the other."""
        if name in self._shared:
            return -(-ctypes.addressof(self._shared[name]) // _ALIGNMENT) * _ALIGNMENT
        return resolve(name)

    def dispatch(
        self, regions: Mapping[int, Region], threads: Sizes, group: Sizes, threadgroup_memory: Mapping[int, int]
    ) -> None:
        """Run that many threads in all, in groups of `group`, on buffers in these regions; returns when they are done.

        `threadgroup_memory` gives how many bytes there are for the arguments that a group shares, by their indices. A buffer that is
        not bound is memory of zeros, which may be read and, in vain, be written. The grid was checked.

        Raises `DeviceError` for threads that wait where others of their group don't.
        """
        memory = {index: ctypes.create_string_buffer(size + _ALIGNMENT) for index, size in threadgroup_memory.items()}
        parameters = max((buffer.parameter for buffer in self.kernel.buffers), default=-1) + 1
        words = (ctypes.c_int64 * max(parameters, 1))()
        for buffer in self.kernel.buffers:
            if buffer.space == THREADGROUP_SPACE:
                words[buffer.parameter] = -(-ctypes.addressof(memory[buffer.index]) // _ALIGNMENT) * _ALIGNMENT
            else:
                region = regions.get(buffer.index)
                words[buffer.parameter] = _zeros() if region is None else region.address
        launch = (ctypes.c_int64 * LAUNCH_WORDS)(0, 0, 0, *threads, *threads, *group)
        with self._running:
            self._run(ctypes.addressof(launch), ctypes.addressof(words))
        if launch[STATUS_WORD]:
            raise DeviceError(f"{self.kernel.name}: {self._failure(launch[STATUS_WORD])}")

    def _failure(self, status: int) -> str:
        if status > self._sites:
            return "there is no memory to run a threadgroup"
        return "threads of one threadgroup, or of one simdgroup, wait at different places for each other"


_ALIGNMENT = 64
_ZERO_BYTES = 1 << 16
_zeros_by_thread = threading.local()


def _zeros() -> int:
    """The address of zeros: of the calling thread's own, since what is unbound may be written to."""
    memory = getattr(_zeros_by_thread, "memory", None)
    if memory is None:
        memory = _zeros_by_thread.memory = ctypes.create_string_buffer(_ZERO_BYTES)
    ctypes.memset(memory, 0, _ZERO_BYTES)
    return ctypes.addressof(memory)
