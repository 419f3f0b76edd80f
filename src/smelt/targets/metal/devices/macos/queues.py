# SPDX-License-Identifier: Apache-2.0
"""Queues, command buffers and encoders of macOS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from smelt.targets.metal.air.kernels import THREADGROUP_SPACE
from smelt.targets.metal.devices.dispatches import check_dispatch
from smelt.targets.metal.devices.errors import DeviceError
from smelt.targets.metal.devices.macos.objective_c import description
from smelt.targets.metal.devices.protocol import Sizes
from smelt.targets.metal.limits import MOST_BYTES_COPIED

if TYPE_CHECKING:
    from smelt.targets.metal.devices.macos.device import MacosBuffer, MacosDevice, MacosPipeline

_ZERO_BYTES = 1 << 16
"""How many zeros a kernel finds in a buffer that is not bound."""

_THREADGROUP_ALIGNMENT = 16
"""What the length of threadgroup memory has to be a multiple of."""


class MacosQueue:
    """The order in which command buffers run."""

    def __init__(self, device: MacosDevice, handle: Any) -> None:
        self.device = device
        self.handle = handle

    def command_buffer(self) -> MacosCommandBuffer:
        """A new one, empty."""
        with self.device.frameworks.objc.autorelease_pool():
            logs = self.device.logs
            made = self.handle.commandBuffer() if logs is None else logs.command_buffer(self.handle)
            return MacosCommandBuffer(self.device, made)


class MacosCommandBuffer:
    """Dispatches that run one after the other."""

    def __init__(self, device: MacosDevice, handle: Any) -> None:
        self.device = device
        self.handle = handle
        self._is_committed = False

    def compute_encoder(self) -> MacosEncoder:
        """Who writes the dispatches."""
        with self.device.frameworks.objc.autorelease_pool():
            return MacosEncoder(self.device, self.handle.computeCommandEncoder())

    def commit(self) -> None:
        """Hand them to the device. Raises `DeviceError` the second time."""
        if self._is_committed:
            raise DeviceError(f"{self.device.name}: this command buffer was committed before")
        self._is_committed = True
        self.handle.commit()

    def wait_until_completed(self) -> None:
        """Return when they are done. Raises `DeviceError` with what Metal says of what went wrong."""
        if not self._is_committed:
            raise DeviceError(f"{self.device.name}: this command buffer was never committed")
        with self.device.frameworks.objc.autorelease_pool():
            self.handle.waitUntilCompleted()
            if self.handle.status() == self.device.frameworks.metal.MTLCommandBufferStatusError:
                raise DeviceError(f"{self.device.name}: {description(self.handle.error())}")
            if self.device.logs is not None:
                self.device.logs.raise_error()


class MacosEncoder:
    """Writes dispatches into a command buffer."""

    def __init__(self, device: MacosDevice, handle: Any) -> None:
        self._device = device
        self._metal = device.frameworks.metal
        self._handle = handle
        self._pipeline: MacosPipeline | None = None
        self._bound: set[int] = set()
        self._threadgroup_memory: dict[int, int] = {}
        self._has_ended = False

    def __del__(self) -> None:
        # Metal ends the process if an encoder goes that has not ended: one of a dispatch that was refused, say.
        if not self._has_ended:
            self.end_encoding()

    def set_pipeline(self, pipeline: MacosPipeline) -> None:
        """The kernel that is dispatched. Raises `DeviceError` for one of another device."""
        if pipeline.device is not self._device:
            self._refuse(f"{pipeline!r} was made for another device")
        self._pipeline = pipeline
        self._handle.setComputePipelineState_(pipeline.handle)

    def set_buffer(self, buffer: MacosBuffer, offset: int, index: int) -> None:
        """Bind the buffer at an index. Raises `DeviceError` for an offset behind its end."""
        if not 0 <= offset <= buffer.nbytes:
            self._refuse(f"buffer {index} has {buffer.nbytes} bytes, and none at {offset}")
        self._bound.add(index)
        self._handle.setBuffer_offset_atIndex_(buffer.handle, offset, index)

    def set_bytes(self, data: bytes, index: int) -> None:
        """Bind the buffer at an index to a copy of some bytes. Raises `DeviceError` for more than 4096."""
        if len(data) > MOST_BYTES_COPIED:
            self._refuse(f"{len(data)} bytes for buffer {index}: at most {MOST_BYTES_COPIED} are copied, use a buffer")
        self._bound.add(index)
        self._handle.setBytes_length_atIndex_(data, len(data), index)

    def set_threadgroup_memory_length(self, nbytes: int, index: int) -> None:
        """How many bytes a group shares in an argument."""
        rounded = -(-nbytes // _THREADGROUP_ALIGNMENT) * _THREADGROUP_ALIGNMENT
        self._threadgroup_memory[index] = rounded
        self._handle.setThreadgroupMemoryLength_atIndex_(rounded, index)

    def use_resource(self, buffer: MacosBuffer, *, is_written: bool) -> None:
        """Tell of memory that kernels reach only through an address in other memory."""
        usage = self._metal.MTLResourceUsageRead | (self._metal.MTLResourceUsageWrite if is_written else 0)
        self._handle.useResource_usage_(buffer.handle, usage)

    def dispatch_threads(self, threads: Sizes, group: Sizes) -> None:
        """Run that many threads in all. Raises `DeviceError` for a grid that can't be."""
        self._prepare(threads, group)
        self._handle.dispatchThreads_threadsPerThreadgroup_(self._size(threads), self._size(group))

    def dispatch_threadgroups(self, threadgroups: Sizes, group: Sizes) -> None:
        """Run that many whole groups. Raises `DeviceError` for a grid that can't be."""
        x, y, z = (count * size for count, size in zip(threadgroups, group, strict=True))
        self._prepare((x, y, z), group)
        self._handle.dispatchThreadgroups_threadsPerThreadgroup_(self._size(threadgroups), self._size(group))

    def end_encoding(self) -> None:
        """Nothing more is written by this encoder."""
        self._has_ended = True
        self._handle.endEncoding()

    def _prepare(self, threads: Sizes, group: Sizes) -> None:
        """Check a dispatch, for Metal aborts the process where it is told to check; and bind what is not bound, for there it reads anything."""
        if self._has_ended:
            self._refuse("this encoder has ended")
        pipeline = self._pipeline
        if pipeline is None:
            self._refuse("no pipeline was set")
        most = self._device.max_threadgroup_memory_length
        check_dispatch(pipeline.kernel, pipeline, threads, group, self._threadgroup_memory, most_threadgroup_bytes=most)
        for buffer in pipeline.kernel.buffers:
            if buffer.space != THREADGROUP_SPACE and buffer.index not in self._bound:
                self.set_buffer(self._device.buffer(_ZERO_BYTES), 0, buffer.index)

    def _size(self, sizes: Sizes) -> Any:
        return self._metal.MTLSizeMake(*sizes)

    def _refuse(self, what: str) -> NoReturn:
        raise DeviceError(f"{self._device.name}: {what}")
