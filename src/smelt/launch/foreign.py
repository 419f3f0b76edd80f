# SPDX-License-Identifier: Apache-2.0
"""Arrays of other libraries as NumPy arrays of the same memory.

Known by what they offer, in this order: `__array_interface__`, DLPack (`__dlpack__`), the buffer protocol.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from smelt.launch.device_arrays import DeviceArray

# These offer nothing, and most arguments are of them.
_OWN = (DeviceArray, np.ndarray, np.generic, type, bool, int, float, complex, str, tuple, type(None))


_CPU = 1
"""kDLCPU, dlpack/dlpack.h."""


def as_array(value: Any) -> Any:
    """An array of another library as a NumPy array, all else as it is.

    Raises `TypeError` for an array that doesn't lie in the memory of this machine's processor, or that NumPy can't describe.
    """
    if isinstance(value, _OWN):
        return value
    if hasattr(value, "__array_interface__"):
        return _described(np.asarray, value)
    if hasattr(value, "__dlpack__"):
        return _described(_exchanged, value)
    try:
        memory = memoryview(value)
    except TypeError:
        return value
    except BufferError as error:
        raise TypeError(f"its memory can't be used: {error}") from None
    return _described(np.asarray, memory)


def _exchanged(value: Any) -> Any:
    device, _ = value.__dlpack_device__()
    if device != _CPU:
        raise BufferError("it lies on another device; copy it to the host")
    return np.from_dlpack(value)


def _described(describe: Any, value: Any) -> Any:
    # Whatever the other library raises, it is the argument that is wrong.
    try:
        array = describe(value)
    except (AttributeError, BufferError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise TypeError(
            f"a {type(value).__module__}.{type(value).__qualname__} can't be used as an array of this machine's memory: {error}"
        ) from None
    return array
