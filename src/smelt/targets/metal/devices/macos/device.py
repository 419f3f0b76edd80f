# SPDX-License-Identifier: Apache-2.0
"""A Metal device of macOS: libraries, functions, pipelines, buffers.

What Metal makes is released when Python lets go of it. What methods return for a while only is in an autorelease pool, which is
emptied at once, for a program without an event loop never empties one.
"""

from __future__ import annotations

import ctypes
import mmap
import threading
from collections.abc import Mapping
from typing import Any

from smelt.targets.metal.air.kernels import ConstantOfFunction
from smelt.targets.metal.devices.descriptions import LOG_FUNCTION, describe
from smelt.targets.metal.devices.errors import DeviceError
from smelt.targets.metal.devices.function_constants import data_type, values_of_constants
from smelt.targets.metal.devices.macos.archives import BinaryArchive
from smelt.targets.metal.devices.macos.logs import Logs
from smelt.targets.metal.devices.macos.objective_c import CONSTANT_BYTES, Frameworks, answer
from smelt.targets.metal.devices.macos.queues import MacosQueue
from smelt.targets.metal.metallib import Function, Library, read_metallib


class MacosDevice:
    """A device.

    Parameters
    ----------
    frameworks
        What it is reached through.
    handle
        The MTLDevice.
    name
        What smelt calls it.
    macos
        The version of the system.
    archive
        Where machine code is kept for later processes; None for nowhere.
    """

    def __init__(
        self,
        frameworks: Frameworks,
        handle: Any,
        name: str,
        macos: tuple[int, int],
        archive: BinaryArchive | None = None,
    ) -> None:
        self.frameworks = frameworks
        self.handle = handle
        self.name = name
        self.macos = macos
        self.archive = archive
        self.logs: Logs | None = None
        self._making_logs = threading.RLock()
        self.max_threadgroup_memory_length = int(handle.maxThreadgroupMemoryLength())

    def library(self, data: bytes) -> MacosLibrary:
        """The library that a metallib holds. Raises `MetallibError`, and `DeviceError` for one that Metal doesn't take."""
        return MacosLibrary(self, data)

    def buffer(self, nbytes: int) -> MacosBuffer:
        """New memory, of zeros. Raises `MemoryError`."""
        # Metal makes no buffers without bytes.
        metal = self.frameworks.metal
        made = self.handle.newBufferWithLength_options_(max(nbytes, 1), metal.MTLResourceStorageModeShared)
        if made is None:
            raise MemoryError(f"{self.name} has no memory of {nbytes} bytes")
        return MacosBuffer(made, nbytes)

    def buffer_over(self, memory: memoryview) -> MacosBuffer | None:
        """Memory of this process as a buffer, without a copy; None if it isn't made of whole pages, or if Metal refuses it."""
        nbytes = memory.nbytes
        if memory.readonly or not nbytes or nbytes % mmap.PAGESIZE or _address_of(memory) % mmap.PAGESIZE:
            return None
        made = self.handle.newBufferWithBytesNoCopy_length_options_deallocator_(
            memory, nbytes, self.frameworks.metal.MTLResourceStorageModeShared, None
        )
        return None if made is None else MacosBuffer(made, nbytes)

    def queue(self) -> MacosQueue:
        """A new queue. Raises `DeviceError` if Metal makes none."""
        made = self.handle.newCommandQueue()
        if made is None:
            raise DeviceError(f"{self.name} makes no more command queues")
        return MacosQueue(self, made)

    def show_logs(self) -> None:
        """From now on, show what kernels log whose command buffers are made."""
        with self._making_logs:
            if self.logs is None:
                self.logs = Logs(self.frameworks, self.handle)

    def __repr__(self) -> str:
        return f"<device {self.name}, {self.handle.name()}>"


class MacosBuffer:
    """Memory that the device and this process share.

    Attributes
    ----------
    handle
        The MTLBuffer.
    nbytes
        How many bytes it has.
    gpu_address
        Where it is for the device.
    """

    def __init__(self, handle: Any, nbytes: int) -> None:
        self.handle = handle
        self.nbytes = nbytes
        self.gpu_address = int(handle.gpuAddress())

    @property
    def contents(self) -> memoryview:
        """Its bytes, which live as long as the view."""
        seen = self.handle.contents().as_buffer(max(self.nbytes, 1))
        memory = (ctypes.c_ubyte * self.nbytes).from_address(_address_of(seen))
        # LIFETIME: a view keeps the array that it is of, and that the buffer.
        memory.buffer = self.handle  # type: ignore[attr-defined]
        return memoryview(memory).cast("B")

    def __repr__(self) -> str:
        return f"<buffer of {self.nbytes} bytes>"


def _address_of(memory: memoryview) -> int:
    return ctypes.addressof(ctypes.c_ubyte.from_buffer(memory))


class MacosLibrary:
    """A library on a device."""

    def __init__(self, device: MacosDevice, data: bytes) -> None:
        self.device = device
        self._library: Library = read_metallib(data)
        with device.frameworks.objc.autorelease_pool():
            # Metal takes no NSData here. Without a queue and a destructor the bytes are copied.
            content = device.frameworks.dispatch.dispatch_data_create(data, len(data), None, None)
            self.handle = answer(
                device.handle.newLibraryWithData_error_(content, None), f"{device.name} doesn't take the library"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its functions."""
        return tuple(function.name for function in self._library.functions)

    def function(self, name: str) -> MacosFunction:
        """The kernel of that name. Raises `MetallibError` if there is none, `DeviceError` if it is no kernel."""
        return MacosFunction(self, self._library.function(name))


class MacosFunction:
    """A kernel of a library, not compiled yet.

    Attributes
    ----------
    kernel
        What its module says of its arguments.
    constants
        The function constants that it gets when it is made into a pipeline.
    """

    def __init__(self, library: MacosLibrary, function: Function) -> None:
        self.device = library.device
        self.kernel, self.constants, outline = describe(function)
        self._is_logging = any(called.name == LOG_FUNCTION for called in outline.functions)
        self._library = library

    def pipeline(self, constants: Mapping[int | str, Any]) -> MacosPipeline:
        """Compile it, or take its code from the device's archive. `constants` gives its function constants, by index or by name.

        Raises `DeviceError` for constants that are missing or unknown, and with what Metal says of a kernel that it can't compile.
        """
        values = values_of_constants(self.kernel.name, self.constants, constants)
        device, name = self.device, self.kernel.name
        with device.frameworks.objc.autorelease_pool():
            function = self._specialized(values) if values else self._library.handle.newFunctionWithName_(name)
            if function is None:
                raise DeviceError(f"{device.name} finds no function {name} in the library")
            if self._is_logging:
                device.show_logs()
            what = f"{device.name} can't compile {name}"
            if device.archive is not None:
                return MacosPipeline(self, device.archive.pipeline_state(function, what))
            return MacosPipeline(
                self, answer(device.handle.newComputePipelineStateWithFunction_error_(function, None), what)
            )

    def _specialized(self, values: Mapping[ConstantOfFunction, bytes]) -> Any:
        """The function with its constants."""
        metal = self.device.frameworks.metal
        given = metal.MTLFunctionConstantValues.new()
        for constant, value in values.items():
            kind = getattr(metal, data_type(constant))
            given.setConstantValue_type_atIndex_(value.ljust(CONSTANT_BYTES, b"\0"), kind, constant.index)
        return answer(
            self._library.handle.newFunctionWithName_constantValues_error_(self.kernel.name, given, None),
            f"{self.device.name} can't give {self.kernel.name} its function constants",
        )


class MacosPipeline:
    """A compiled kernel.

    Attributes
    ----------
    handle
        The MTLComputePipelineState.
    max_total_threads_per_threadgroup, thread_execution_width, static_threadgroup_memory_length
        Its three numbers: the most threads of a group, the threads of a simdgroup, the bytes that a group shares.
    """

    def __init__(self, function: MacosFunction, handle: Any) -> None:
        self.device = function.device
        self.kernel = function.kernel
        self.handle = handle
        self.max_total_threads_per_threadgroup = int(handle.maxTotalThreadsPerThreadgroup())
        self.thread_execution_width = int(handle.threadExecutionWidth())
        self.static_threadgroup_memory_length = int(handle.staticThreadgroupMemoryLength())
