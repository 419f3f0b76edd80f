# SPDX-License-Identifier: Apache-2.0
"""What a Metal device is to the rest of smelt: the small part of Metal that runs compute kernels, in Metal's words.

The device in software and that of macOS both are one. The way of a launch through it:

    function = device.library(data).function("vadd")
    pipeline = function.pipeline({"scale": 2.0})
    commands = device.queue().command_buffer()
    encoder = commands.compute_encoder()
    encoder.set_pipeline(pipeline)
    encoder.set_buffer(buffer, 0, index=0)
    encoder.dispatch_threads((1000, 1, 1), (256, 1, 1))
    encoder.end_encoding()
    commands.commit()
    commands.wait_until_completed()

Devices are compared by identity: whoever hands them out hands out one object for each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from smelt.targets.metal.air.kernels import ConstantOfFunction, Kernel

__all__ = ["Buffer", "CommandBuffer", "Device", "Encoder", "Function", "Library", "Pipeline", "Queue", "Sizes"]

Sizes = tuple[int, int, int]
"""x, y and z."""


class Buffer(Protocol):
    """Memory that the device and this process share (Metal's shared storage)."""

    @property
    def nbytes(self) -> int:
        """How many bytes it has."""
        ...

    @property
    def gpu_address(self) -> int:
        """Where it is for the device: what a pointer to it is in a kernel."""
        ...

    @property
    def contents(self) -> memoryview:
        """Its bytes, to be read and written by this process while no kernel runs that uses them. They live as long as the view."""
        ...


class Pipeline(Protocol):
    """A kernel that is compiled for one device: Metal's compute pipeline state."""

    @property
    def max_total_threads_per_threadgroup(self) -> int:
        """The most threads of a group of this kernel."""
        ...

    @property
    def thread_execution_width(self) -> int:
        """The threads of a simdgroup."""
        ...

    @property
    def static_threadgroup_memory_length(self) -> int:
        """The bytes that a group shares, apart from those that a launch gives."""
        ...


class Function(Protocol):
    """A kernel of a library, not compiled yet.

    Attributes
    ----------
    kernel
        What its module says of its arguments.
    constants
        The function constants that it gets when it is made into a pipeline.
    """

    @property
    def kernel(self) -> Kernel: ...
    @property
    def constants(self) -> tuple[ConstantOfFunction, ...]: ...

    def pipeline(self, constants: Mapping[int | str, Any]) -> Pipeline:
        """Compile it. `constants` gives its function constants, by index or by name.

        Raises `DeviceError` for constants that are missing or unknown, and for what the device doesn't know.
        """
        ...


class Library(Protocol):
    """The functions of a metallib, on a device."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its functions."""
        ...

    def function(self, name: str) -> Function:
        """The kernel of that name. Raises `MetallibError` if there is none, `DeviceError` if it is no kernel."""
        ...


class Encoder(Protocol):
    """Writes dispatches into a command buffer. What is set holds for all dispatches after it."""

    def set_pipeline(self, pipeline: Any) -> None:
        """The kernel that is dispatched: a pipeline of this device."""
        ...

    def set_buffer(self, buffer: Any, offset: int, index: int) -> None:
        """Bind the buffer at an index to memory of this device, from `offset` bytes on."""
        ...

    def set_bytes(self, data: bytes, index: int) -> None:
        """Bind the buffer at an index to a copy of some bytes: at most 4096."""
        ...

    def set_threadgroup_memory_length(self, nbytes: int, index: int) -> None:
        """How many bytes a group shares in the argument at an index of threadgroup memory: a multiple of 16."""
        ...

    def use_resource(self, buffer: Any, *, is_written: bool) -> None:
        """Tell of memory that kernels reach only through an address in other memory."""
        ...

    def dispatch_threads(self, threads: Sizes, group: Sizes) -> None:
        """Run that many threads in all, in groups of `group`; the last groups of an axis may have fewer.

        Raises `DeviceError` for a grid that can't be: with no threads on an axis, with larger groups than the pipeline's limit, with
        more memory for a group than the device has.
        """
        ...

    def dispatch_threadgroups(self, threadgroups: Sizes, group: Sizes) -> None:
        """Run that many whole groups. Raises as `dispatch_threads`."""
        ...

    def end_encoding(self) -> None:
        """Nothing more is written by this encoder."""
        ...


class CommandBuffer(Protocol):
    """Dispatches that run one after the other."""

    def compute_encoder(self) -> Encoder:
        """Who writes them. One at a time."""
        ...

    def commit(self) -> None:
        """Hand them to the device. They run after all that was committed to the queue before; the call need not wait for them."""
        ...

    def wait_until_completed(self) -> None:
        """Return when they are done. Raises `DeviceError` if one of them went wrong, each time that it is called."""
        ...


class Queue(Protocol):
    """The order in which command buffers run on a device."""

    def command_buffer(self) -> CommandBuffer:
        """A new one, empty."""
        ...


class Device(Protocol):
    """What kernels run on.

    Attributes
    ----------
    name
        What `smelt.device` calls it: `metal:0`, `metal:software`.
    max_threadgroup_memory_length
        The most bytes that a group shares.
    macos
        The version of macOS that it runs, as (major, minor): metallibs for that and for earlier ones can be linked.
    """

    @property
    def name(self) -> str: ...
    @property
    def max_threadgroup_memory_length(self) -> int: ...
    @property
    def macos(self) -> tuple[int, int]: ...

    def library(self, data: bytes) -> Library:
        """The library that a metallib holds. Raises `MetallibError`."""
        ...

    def buffer(self, nbytes: int) -> Buffer:
        """New memory, of zeros. Raises `MemoryError`."""
        ...

    def buffer_over(self, memory: memoryview) -> Buffer | None:
        """Memory of this process as a buffer, without a copy; None where the device can't use it in place.

        The buffer doesn't keep the memory alive.
        """
        ...

    def queue(self) -> Queue:
        """A new queue."""
        ...
