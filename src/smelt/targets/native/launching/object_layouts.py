# SPDX-License-Identifier: Apache-2.0
"""Where compiled launch stubs find what they read in objects of CPython and NumPy, in bytes from the object's address.

Everything that CPython's C API has a function for is read through that. What is here is either promised by a header that is compiled
into other people's extensions, or not promised at all; so it is held against real objects before any stub is used (`are_as_expected`).

Sources: CPython's Include/object.h and Modules/_ctypes/ctypes.h; NumPy 2's numpy/ndarraytypes.h and numpy/arrayscalars.h.
"""

from __future__ import annotations

import ctypes
import functools
import platform
import struct
import sys

import numpy as np

from smelt.targets.native.launching import dict_code

OBJECT_TYPE = 8
"""The class of any object."""

CTYPES_MEMORY = 16
"""The address of the memory that a ctypes object describes."""

SCALAR_VALUE = 16
"""The value of a NumPy scalar of a fixed size."""

ARRAY_DATA = 16
ARRAY_DIMENSIONS = 24
"""The number of dimensions, an int of C."""
ARRAY_SHAPE = 32
ARRAY_STRIDES = 40
ARRAY_DTYPE = 56
ARRAY_FLAGS = 64
"""An int of C."""

C_CONTIGUOUS, F_CONTIGUOUS, ALIGNED, WRITEABLE = 0x1, 0x2, 0x100, 0x400
WARNS_ON_WRITE = -1 << 31
"""The flags of an array; with the last one NumPy has something to say to whoever writes to it."""

DTYPE_BYTE_ORDER = 26
"""A character: `=` for this machine's, `|` where there is none."""
FOREIGN_BYTE_ORDER = ord(">" if sys.byteorder == "little" else "<")
DTYPE_NUMBER = 28
"""The type number, an int of C."""
DTYPE_ITEM_BYTES = 40


def interface_versions() -> tuple[str, ...]:
    """What machine code that reads these objects is made for: the ABIs of Python and NumPy, and the platform."""
    threading = "gil" if _has_interpreter_lock() else "no-gil"
    return (
        f"{sys.implementation.cache_tag} {threading}",
        f"{sys.platform} {platform.machine()} {8 * struct.calcsize('P')}",
        f"numpy {np.lib.NumpyVersion(np.__version__).major}",
    )


@functools.cache
def are_as_expected() -> bool:
    """Whether the objects of this Python and NumPy are laid out as the numbers here say."""
    if sys.implementation.name != "cpython" or struct.calcsize("P") != 8 or not _has_interpreter_lock():
        return False
    return (
        _headers_are()
        and dict_code.is_as_expected()
        and _ctypes_objects_are()
        and all(map(_array_is, _arrays()))
        and _scalars_are()
    )


def type_numbers(element: str) -> tuple[int, ...]:
    """The numbers of NumPy's types whose elements are those of this name. Two C types may have one size."""
    return tuple(np.dtype(character).num for character in _codes_of(element))


def scalar_classes(element: str) -> tuple[type[np.generic], ...]:
    """The classes of NumPy scalars of this name."""
    return tuple(np.dtype(character).type for character in _codes_of(element))


def _codes_of(element: str) -> list[str]:
    return [character for character, name in _names().items() if name == element]


@functools.cache
def _names() -> dict[str, str]:
    return {character: np.dtype(character).name for character in "?bBhHiIlLqQefdFD"}


def _has_interpreter_lock() -> bool:
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())


def _word(address: int) -> int:
    return ctypes.c_uint64.from_address(address).value


def _integer(address: int) -> int:
    return ctypes.c_int.from_address(address).value


def _headers_are() -> bool:
    objects = (1, 1.5, "text", (1, 2), np.zeros(2), np.float32(1))
    return all(_word(id(held) + OBJECT_TYPE) == id(type(held)) for held in objects)


def _ctypes_objects_are() -> bool:
    class Record(ctypes.Structure):
        _fields_ = (("first", ctypes.c_int64), ("rest", ctypes.c_int64 * 40))

    return all(
        _word(id(held) + CTYPES_MEMORY) == ctypes.addressof(held) for held in (Record(), (ctypes.c_void_p * 3)())
    )


def _arrays() -> list[np.ndarray]:
    whole = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    read_only = np.ones(3)
    read_only.flags.writeable = False
    packed = np.zeros(3, np.dtype([("a", "i1"), ("b", "f8")]))
    return [
        whole,
        whole.T,
        whole[:, ::2, 1:],
        read_only,
        packed,
        packed["b"],
        np.zeros((), np.complex64),
        np.zeros((0, 5), np.float16),
        np.zeros(4, ">i4"),
        np.zeros(4, "<i4"),
        np.zeros(2, bool),
    ]


def _array_is(array: np.ndarray) -> bool:
    address, count = id(array), array.ndim
    shape, strides = ((ctypes.c_int64 * count).from_address(_word(address + at)) if count else () for at in _EXTENTS)
    flags = array.flags
    expected_flags = (
        (C_CONTIGUOUS, flags.c_contiguous),
        (F_CONTIGUOUS, flags.f_contiguous),
        (ALIGNED, flags.aligned),
        (WRITEABLE, flags.writeable),
    )
    dtype = _word(address + ARRAY_DTYPE)
    return (
        _word(address + ARRAY_DATA) == array.__array_interface__["data"][0]
        and _integer(address + ARRAY_DIMENSIONS) == count
        and tuple(shape) == array.shape
        and tuple(strides) == array.strides
        and all(bool(_integer(address + ARRAY_FLAGS) & flag) == is_set for flag, is_set in expected_flags)
        and dtype == id(array.dtype)
        and ctypes.string_at(dtype + DTYPE_BYTE_ORDER, 1) == array.dtype.byteorder.encode()
        and _integer(dtype + DTYPE_NUMBER) == array.dtype.num
        and _word(dtype + DTYPE_ITEM_BYTES) == array.dtype.itemsize
    )


_EXTENTS = (ARRAY_SHAPE, ARRAY_STRIDES)


def _scalars_are() -> bool:
    values = (
        np.bool_(True),
        np.int8(-3),
        np.uint16(7),
        np.longlong(-5),
        np.half(1.5),
        np.float64(2.5),
        np.complex64(1 + 2j),
    )
    return all(ctypes.string_at(id(value) + SCALAR_VALUE, value.nbytes) == value.tobytes() for value in values)
