# SPDX-License-Identifier: Apache-2.0
"""Buffers, queues, command buffers and encoders of a Metal device in software.

Memory of the processor is memory of the device. What is committed runs at once, in the thread that commits it; what goes wrong is kept
for whoever waits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn, Protocol

import numpy as np

from smelt.targets.metal.air.kernels import Kernel
from smelt.targets.metal.devices.dispatches import check_dispatch
from smelt.targets.metal.devices.errors import DeviceError
from smelt.targets.metal.devices.protocol import Pipeline, Sizes
from smelt.targets.metal.limits import MOST_BYTES_COPIED

_ALIGNMENT = 256
"""At least what any buffer of Metal's is aligned to."""


class SoftwareBuffer:
    """Memory. Its address is the same for the device and for this process.

    Attributes
    ----------
    gpu_address
        Where it begins.
    contents
        Its bytes.
    nbytes
        How many they are.
    """

    def __init__(self, contents: memoryview) -> None:
        self.contents = contents.cast("B")
        self.nbytes = self.contents.nbytes
        # LIFETIME: of allocated memory as long as `contents`; of host memory as long as the host keeps it.
        self.gpu_address = _address_of(self.contents)

    @classmethod
    def of_zeros(cls, nbytes: int) -> SoftwareBuffer:
        """New memory. Raises `MemoryError`."""
        memory = np.zeros(nbytes + _ALIGNMENT, np.uint8)
        start = -memory.ctypes.data % _ALIGNMENT
        return cls(memory[start : start + nbytes].data)

    def __repr__(self) -> str:
        return f"<buffer of {self.nbytes} bytes>"


def _address_of(contents: memoryview) -> int:
    return np.frombuffer(contents, np.uint8).ctypes.data if contents.nbytes else 0


class Region(NamedTuple):
    """What a buffer of a kernel is bound to: `nbytes` bytes from `address` on, which are in `buffer`."""

    address: int
    nbytes: int
    buffer: SoftwareBuffer


class RunsKernels(Pipeline, Protocol):
    """What the encoder asks of a pipeline; see `SoftwarePipeline`."""

    @property
    def device(self) -> Any: ...
    @property
    def kernel(self) -> Kernel: ...
    def dispatch(
        self,
        regions: Mapping[int, Region],
        threads: Sizes,
        group: Sizes,
        threadgroup_memory: Mapping[int, int],
        resources: Sequence[Region],
    ) -> None: ...


class SoftwareEncoder:
    """Writes dispatches of one command buffer."""

    def __init__(self, device: Any, add: Callable[[Callable[[], None]], None]) -> None:
        self._device = device
        self._add = add
        self._pipeline: RunsKernels | None = None
        self._regions: dict[int, Region] = {}
        self._threadgroup_memory: dict[int, int] = {}
        self._resources: list[Region] = []
        self._has_ended = False

    def set_pipeline(self, pipeline: RunsKernels) -> None:
        """The kernel that is dispatched. Raises `DeviceError` for one of another device."""
        if pipeline.device is not self._device:
            self._refuse(f"{pipeline!r} was made for another device")
        self._pipeline = pipeline

    def set_buffer(self, buffer: SoftwareBuffer, offset: int, index: int) -> None:
        """Bind the buffer at an index. Raises `DeviceError` for an offset behind its end."""
        if not 0 <= offset <= buffer.nbytes:
            self._refuse(f"buffer {index} has {buffer.nbytes} bytes, and none at {offset}")
        self._regions[index] = Region(buffer.gpu_address + offset, buffer.nbytes - offset, buffer)

    def set_bytes(self, data: bytes, index: int) -> None:
        """Bind the buffer at an index to a copy of some bytes. Raises `DeviceError` for more than 4096."""
        if len(data) > MOST_BYTES_COPIED:
            self._refuse(f"{len(data)} bytes for buffer {index}: at most {MOST_BYTES_COPIED} are copied, use a buffer")
        copied = SoftwareBuffer.of_zeros(len(data))
        copied.contents[:] = data
        self._regions[index] = Region(copied.gpu_address, copied.nbytes, copied)

    def set_threadgroup_memory_length(self, nbytes: int, index: int) -> None:
        """How many bytes a group shares in an argument."""
        self._threadgroup_memory[index] = nbytes

    def use_resource(self, buffer: SoftwareBuffer, *, is_written: bool) -> None:  # noqa: ARG002 - all memory can be written
        """Memory that kernels may reach through addresses."""
        self._resources.append(Region(buffer.gpu_address, buffer.nbytes, buffer))

    def dispatch_threads(self, threads: Sizes, group: Sizes) -> None:
        """Run that many threads in all. Raises `DeviceError` for a grid that can't be."""
        if self._has_ended:
            self._refuse("this encoder has ended")
        pipeline = self._pipeline
        if pipeline is None:
            self._refuse("no pipeline was set")
        # What is set later is for later dispatches.
        regions, memory, resources = dict(self._regions), dict(self._threadgroup_memory), tuple(self._resources)
        most_bytes = self._device.max_threadgroup_memory_length
        check_dispatch(pipeline.kernel, pipeline, threads, group, memory, most_threadgroup_bytes=most_bytes)

        def run() -> None:
            # LIFETIME: the buffers are there until it has run.
            pipeline.dispatch(regions, threads, group, memory, resources)

        self._add(run)

    def dispatch_threadgroups(self, threadgroups: Sizes, group: Sizes) -> None:
        """Run that many whole groups. Raises `DeviceError` for a grid that can't be."""
        x, y, z = (count * size for count, size in zip(threadgroups, group, strict=True))
        self.dispatch_threads((x, y, z), group)

    def end_encoding(self) -> None:
        """Nothing more is written by this encoder."""
        self._has_ended = True

    def _refuse(self, what: str) -> NoReturn:
        raise DeviceError(f"{self._device.name}: {what}")


class SoftwareCommandBuffer:
    """Dispatches that run one after the other, when they are committed."""

    def __init__(self, device: Any) -> None:
        self._device = device
        self._dispatches: list[Callable[[], None]] = []
        self._is_committed = False
        self._error: DeviceError | None = None

    def compute_encoder(self) -> SoftwareEncoder:
        """Who writes the dispatches."""
        return SoftwareEncoder(self._device, self._dispatches.append)

    def commit(self) -> None:
        """Run them. After one that goes wrong, none runs. Raises `DeviceError` if they have run."""
        if self._is_committed:
            raise DeviceError(f"{self._device.name}: this command buffer was committed before")
        self._is_committed = True
        dispatches, self._dispatches = self._dispatches, []
        try:
            for dispatch in dispatches:
                dispatch()
        except DeviceError as error:
            self._error = error

    def wait_until_completed(self) -> None:
        """Raise the `DeviceError` of the dispatch that went wrong, if one did."""
        if not self._is_committed:
            raise DeviceError(f"{self._device.name}: this command buffer was never committed")
        if self._error is not None:
            raise self._error


class SoftwareQueue:
    """Command buffers run when they are committed, and so in that order."""

    def __init__(self, device: Any) -> None:
        self._device = device

    def command_buffer(self) -> SoftwareCommandBuffer:
        """A new one, empty."""
        return SoftwareCommandBuffer(self._device)
