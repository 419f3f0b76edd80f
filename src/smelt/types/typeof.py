# SPDX-License-Identifier: Apache-2.0
"""The type of a host value: what a kernel is specialised on when it is launched with it, or captures it."""

from __future__ import annotations

import enum
import functools
import sys
import types
from typing import Any

import numpy as np

from smelt.records import is_dataclass
from smelt.types.definitions import (
    Array,
    Constant,
    Layout,
    Struct,
    Tuple,
    Type,
    boolean,
    none,
    weak_complex,
    weak_float,
    weak_int,
)
from smelt.types.dtypes import scalar_of_dtype
from smelt.types.partials import is_partial, partial_type
from smelt.types.records import field_names, field_type, is_value_class

_WEAK = {bool: boolean, int: weak_int, float: weak_float, complex: weak_complex, type(None): none}
_COMPILE_TIME = (
    str,
    enum.Enum,
    type,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.ModuleType,
    types.MethodDescriptorType,
    np.ufunc,
    # The functions of NumPy that are written in Python: np.where, np.clip.
    type(np.where),
    np.dtype,
    types.EllipsisType,
)


def typeof(value: Any) -> Type:
    """The type of `value` in a kernel.

    Raises `TypeError`, saying what to use instead, for values that kernels can't have.
    """
    weak = _WEAK.get(type(value))
    if weak is not None:
        return weak
    if isinstance(value, np.ndarray):
        return array_type(value)
    if isinstance(value, np.generic):
        return element_type(value.dtype)
    if hasattr(type(value), "__smelt_array__"):
        # An array on a device: what it is to a kernel is an array of this process with the same memory.
        return array_type(value.__smelt_array__)
    if isinstance(value, Type):
        return Constant(value)
    if is_value_class(type(value)):
        return _record_type(value)
    if is_partial(value):
        keywords = {name: typeof(argument) for name, argument in value.keywords.items()}
        return partial_type(typeof(value.func), tuple(map(typeof, value.args)), keywords)
    if isinstance(value, tuple):
        return Tuple(tuple(map(typeof, value)))
    if isinstance(value, _COMPILE_TIME):
        return Constant(value)
    raise TypeError(f"a kernel can't use {_describe(value)}{_advice(value)}")


def array_type(array: np.ndarray[Any, Any]) -> Array:
    """The type of an array. Raises `TypeError` for elements that kernels can't have, a foreign byte order, and masks."""
    # Not np.ma, which is imported when it is first looked at: without it there is no masked array.
    masked = sys.modules.get("numpy.ma")
    if masked is not None and isinstance(array, masked.MaskedArray):
        raise TypeError("a kernel doesn't see the mask of a masked array; pass its data and its mask: a.data, a.mask")
    if not array.dtype.isnative:
        raise TypeError(
            f"the array's byte order, {array.dtype.str}, is not this machine's; convert it: "
            "a.astype(a.dtype.newbyteorder('='))"
        )
    flags = array.flags
    if flags.c_contiguous:
        layout = Layout.C
    elif flags.f_contiguous:
        layout = Layout.F
    else:
        layout = Layout.STRIDED
    return Array(element_type(array.dtype), array.ndim, layout, bool(flags.writeable), bool(flags.aligned))


@functools.lru_cache(maxsize=1024)
def element_type(dtype: np.dtype[Any]) -> Type:
    """The type of an element of `dtype`: a scalar, or a struct for a structured dtype."""
    if dtype.names is None or dtype.fields is None:
        if dtype.subdtype is not None:
            raise TypeError(
                f"kernels have no elements that are arrays themselves (dtype {dtype}); give each item a field of its own, or pass "
                "an array with one more axis"
            )
        return scalar_of_dtype(dtype)
    fields = tuple((name, element_type(dtype.fields[name][0])) for name in dtype.names)
    offsets = tuple(dtype.fields[name][1] for name in dtype.names)
    shape = ", ".join(f"{name}@{offset}" for name, offset in zip(dtype.names, offsets, strict=True))
    return Struct(f"record[{shape}; {dtype.itemsize}]", fields, offsets=offsets, size=dtype.itemsize)


def _record_type(value: Any) -> Struct:
    cls = type(value)
    fields = tuple((name, field_type(cls, name, typeof(getattr(value, name)))) for name in field_names(cls))
    return Struct(cls.__qualname__, fields, cls, is_tuple=issubclass(cls, tuple))


def _describe(value: object) -> str:
    kind = type(value)
    return f"a {kind.__qualname__}" if kind.__module__ == "builtins" else f"a {kind.__module__}.{kind.__qualname__}"


def _advice(value: object) -> str:
    if isinstance(value, list):
        return "; use a tuple, or a NumPy array"
    if isinstance(value, (set, frozenset)):
        return "; use a tuple"
    if isinstance(value, dict):
        return "; use a frozen dataclass or a named tuple"
    if is_dataclass(type(value)):
        return "; make the dataclass frozen: @dataclass(frozen=True)"
    return "; use numbers, arrays, tuples, named tuples or frozen dataclasses"
