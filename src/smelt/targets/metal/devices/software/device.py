# SPDX-License-Identifier: Apache-2.0
"""A Metal device in software: libraries, functions, pipelines, dispatches.

It runs the threads of a grid one after the other, or the groups, if threads wait for each other. What a kernel needs that is not
known here is named when its pipeline is made.
"""

from __future__ import annotations

import ctypes
import math
import operator
import struct
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from smelt.targets.metal.air.kernels import THREADGROUP_SPACE, ConstantOfFunction, Kernel, constants_of, kernels_of
from smelt.targets.metal.air.program import DowngradeError, Pointer
from smelt.targets.metal.air.reading import read_module
from smelt.targets.metal.air.sizes import size_in_bytes
from smelt.targets.metal.devices.errors import DeviceError
from smelt.targets.metal.devices.software.compilation import ENTRY, CompiledKernel, compile_kernel
from smelt.targets.metal.devices.software.queues import Region, Sizes, SoftwareBuffer, SoftwareQueue
from smelt.targets.metal.metallib import Function, Library, read_metallib
from smelt.targets.native.errors import FlatError
from smelt.targets.native.loader.mapping import MappedCode
from smelt.targets.native.loader.symbols import resolve
from smelt.targets.native.words import LAUNCH_WORDS, STATUS_WORD

MOST_THREADS = 1024
MOST_THREADGROUP_BYTES = 32768
SIMD_WIDTH = 32

_MACOS = (26, 0)
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
        try:
            self._outline = read_module(function.module, is_outline=True)
            kernels = {kernel.name: kernel for kernel in kernels_of(self._outline)}
            self.constants: tuple[ConstantOfFunction, ...] = constants_of(self._outline)
        except DowngradeError as error:
            raise DeviceError(f"the module of {function.name} can't be understood: {error}") from None
        if function.name not in kernels:
            raise DeviceError(f"{function.name} is no kernel")
        self.kernel: Kernel = kernels[function.name]

    def pipeline(self, constants: Mapping[int | str, Any]) -> SoftwarePipeline:
        """Compile it. `constants` gives its function constants, by index or by name.

        Raises `DeviceError` for constants that are missing or unknown, and for what this device doesn't know.
        """
        return SoftwarePipeline(self, self._values(constants))

    def _values(self, constants: Mapping[int | str, Any]) -> dict[str, str]:
        known = {constant.name: constant for constant in self.constants}
        known_by_index = {constant.index: constant for constant in self.constants}
        values = {}
        for key, value in constants.items():
            constant = known_by_index.get(key) if isinstance(key, int) else known.get(key)
            if constant is None:
                names = ", ".join(f"{one.name} ({one.index})" for one in self.constants) or "none"
                raise DeviceError(f"{self.kernel.name} has no function constant {key!r}; it has {names}")
            values[constant.variable] = _literal(constant, value)
        missing = [constant.name for constant in self.constants if constant.variable not in values]
        if missing:
            raise DeviceError(f"{self.kernel.name} needs values for its function constants {', '.join(missing)}")
        return values

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


def _literal(constant: ConstantOfFunction, value: Any) -> str:
    """A value of a function constant in LLVM IR."""
    try:
        if constant.type_name == "bool":
            return str(int(bool(value)))
        if constant.type_name in ("float", "half"):
            (bits,) = struct.unpack("<Q", struct.pack("<d", _rounded(constant.type_name, float(value))))
            return f"0x{bits:016X}"
        return str(int(value))
    except (TypeError, ValueError, OverflowError) as error:
        raise DeviceError(f"the function constant {constant.name} is a {constant.type_name}: {error}") from None


def _rounded(type_name: str, value: float) -> float:
    form = "<f" if type_name == "float" else "<e"
    rounded: float = struct.unpack(form, struct.pack(form, value))[0]
    return rounded


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

    def check(self, threads: Sizes, group: Sizes, threadgroup_memory: Mapping[int, int]) -> None:
        """Raise `DeviceError` for a grid that can't be: of no threads, with too large groups, with too much or too little memory for them."""
        name, memory = self.kernel.name, self.static_threadgroup_memory_length + sum(threadgroup_memory.values())
        if min((*threads, *group)) < 1:
            raise DeviceError(f"{name}: a grid has at least one thread on each axis, not {threads} by {group}")
        if math.prod(group) > self.max_total_threads_per_threadgroup:
            raise DeviceError(
                f"{name} takes at most {self.max_total_threads_per_threadgroup} threads in a threadgroup, not {math.prod(group)}"
            )
        if memory > MOST_THREADGROUP_BYTES:
            raise DeviceError(
                f"a threadgroup of {name} needs {memory} bytes of memory; it has {MOST_THREADGROUP_BYTES}"
            )
        for buffer in self.kernel.buffers:
            if buffer.space == THREADGROUP_SPACE and buffer.index not in threadgroup_memory:
                raise DeviceError(f"{name} needs threadgroup memory {buffer.index} ({buffer.name}): say how many bytes")

    def dispatch(
        self, regions: Mapping[int, Region], threads: Sizes, group: Sizes, threadgroup_memory: Mapping[int, int]
    ) -> None:
        """Run that many threads in all, in groups of `group`, on buffers in these regions; returns when they are done.

        `threadgroup_memory` gives how many bytes there are for the arguments that a group shares, by their indices. A buffer that is
        not bound is memory of zeros, which may be read and, in vain, be written. `check` has passed.

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


def sizes(given: int | Sequence[int]) -> Sizes:
    """A size of up to three dimensions as three. Raises `DeviceError` for more, and for what are no whole numbers."""
    try:
        parts = tuple(map(operator.index, given)) if isinstance(given, Sequence) else (operator.index(given),)
    except TypeError:
        parts = ()
    if not 1 <= len(parts) <= 3:
        raise DeviceError(f"a grid has one to three whole numbers, not {given!r}")
    x, y, z = (*parts, 1, 1)[:3]
    return x, y, z
