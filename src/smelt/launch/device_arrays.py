# SPDX-License-Identifier: Apache-2.0
"""Arrays in memory that a device and this process share.

Launches are in order with each other; what reads or writes an array from here waits for them first.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from smelt.launch.streams import synchronize
from smelt.types import Scalar, Struct, dtype_of

Memory = np.ndarray[Any, Any]


class DeviceArray:
    """An array on a device: a launch with it runs there.

    Whatever shows its elements (`numpy`, an index, `np.asarray`, DLPack) waits until all launches on the device are done, and raises
    what went wrong there. NumPy arrays that were got so are of the same memory: wait again, `smelt.synchronize()`, before looking at them
    after another launch.

    Attributes
    ----------
    device
        Where it is.
    """

    def __init__(self, device: Any, buffer: Any, memory: Memory, offset: int = 0) -> None:
        self.device = device
        # The device's memory, None on the processor, and the same as an array of this process, whose first byte is `offset` bytes behind.
        self._buffer = buffer
        self._memory = memory
        self._offset = offset

    @property
    def __smelt_array__(self) -> Memory:
        """What the array is to a kernel, without waiting: its type, shape and strides."""
        return self._memory

    @property
    def place(self) -> tuple[Any, int]:
        """The buffer that it is in, and how many bytes behind its beginning the first byte of any element is."""
        return self._buffer, self._offset

    @property
    def shape(self) -> tuple[int, ...]:
        shape: tuple[int, ...] = self._memory.shape
        return shape

    @property
    def strides(self) -> tuple[int, ...]:
        return self._memory.strides

    @property
    def dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = self._memory.dtype
        return dtype

    @property
    def ndim(self) -> int:
        return self._memory.ndim

    @property
    def size(self) -> int:
        return self._memory.size

    @property
    def nbytes(self) -> int:
        return self._memory.nbytes

    def numpy(self) -> Memory:
        """The array as one of NumPy's, of the same memory, when all launches on the device are done. Raises what they raised."""
        synchronize(self.device)
        return self._memory

    def fill(self, value: Any) -> None:
        """Set all elements."""
        self.numpy().fill(value)

    def __getitem__(self, index: Any) -> Any:
        """An element; or a part of the array: where NumPy gives a view, of the same memory, else a copy on the same device."""
        found = self.numpy()[index]
        if not isinstance(found, np.ndarray):
            return found
        if not np.may_share_memory(found, self._memory):
            return array(found, self.device)
        return DeviceArray(self.device, self._buffer, found, self._offset + _begin(found) - _begin(self._memory))

    def __setitem__(self, index: Any, value: Any) -> None:
        memory = self.numpy()
        memory[index] = value.numpy() if isinstance(value, DeviceArray) else value

    def __len__(self) -> int:
        return len(self._memory)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Memory:
        memory = self.numpy()
        if copy is False and dtype is not None and np.dtype(dtype) != memory.dtype:
            raise ValueError(f"an array of {memory.dtype} is none of {np.dtype(dtype)} without a copy")
        converted = memory if dtype is None else memory.astype(dtype, copy=False)
        return converted.copy() if copy and converted is memory else converted

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return self.numpy().__array_interface__

    def __dlpack__(self, **options: Any) -> Any:
        return self.numpy().__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        # Its memory is this process's too.
        return self._memory.__dlpack_device__()

    def __repr__(self) -> str:
        return f"<array of {self.dtype}, shape {self.shape}, on {self.device.name}>"


def _begin(memory: Memory) -> int:
    """Where the first byte of any element is; of an array without elements, where that would be."""
    address: int = memory.__array_interface__["data"][0]
    for size, stride in zip(memory.shape, memory.strides, strict=True):
        address += min(0, (size - 1) * stride) if size else 0
    return address


def array(values: Any, device: Any) -> DeviceArray:
    """A copy of an array, or of what NumPy makes one of, on a device."""
    source = values.numpy() if isinstance(values, DeviceArray) else np.asarray(values)
    made = empty(source.shape, source.dtype, device)
    made.__smelt_array__[...] = source
    return made


def empty(shape: Any, dtype: Any, device: Any) -> DeviceArray:
    """An array of zeros on a device."""
    kind: np.dtype[Any] = dtype_of(dtype) if isinstance(dtype, (Scalar, Struct)) else np.dtype(dtype)
    if not hasattr(device, "buffer"):
        return DeviceArray(device, None, np.zeros(shape, kind))
    # What NumPy says of such a shape, without its memory.
    nbytes = np.broadcast_to(np.zeros((), kind), shape).size * kind.itemsize
    buffer = device.buffer(nbytes)
    return DeviceArray(device, buffer, np.frombuffer(buffer.contents, kind, nbytes // kind.itemsize).reshape(shape))
