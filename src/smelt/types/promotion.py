# SPDX-License-Identifier: Apache-2.0
"""Which type two values have when they are joined: NumPy's promotion, with Python's numbers weak.

The rules for typed numbers are those of `numpy.promote_types`, asked of NumPy itself; those for weak ones are NumPy enhancement
proposal 50's. bfloat16, which NumPy doesn't know, joins with float16 to float32 and otherwise as float16 does.
"""

from __future__ import annotations

import functools

import numpy as np

from smelt.records import replace
from smelt.types.definitions import (
    Array,
    Constant,
    Kind,
    Layout,
    Nothing,
    Placeholder,
    Scalar,
    Struct,
    Tuple,
    Type,
    Weak,
    WeakKind,
    bfloat16,
    boolean,
    complex64,
    complex128,
    complex_of,
    float16,
    float32,
    float64,
    int64,
    weak_complex,
    weak_float,
    weak_int,
)
from smelt.types.dtypes import dtype_of, scalar_of_dtype

_WEAK_ORDER = {WeakKind.INTEGER: 0, WeakKind.FLOATING: 1, WeakKind.COMPLEX: 2}
_WEAK_TYPES = (weak_int, weak_float, weak_complex)


@functools.lru_cache(maxsize=4096)
def promote(first: Type, second: Type, *, has_doubles: bool = True) -> Type | None:
    """The type of a value that may come from either, or of an operation on both; None where there is none.

    Parameters
    ----------
    first, second
        Scalars, weak numbers, arrays, or tuples and values of classes with such.
    has_doubles
        Whether the target has float64 and complex128; without them, float32 and complex64 stand in.
    """
    if first == second:
        return first
    if Placeholder() in (first, second):
        other = second if first == Placeholder() else first
        return other if _has_a_zero(other) else None
    if isinstance(first, Tuple) and type(first) is type(second) and len(first.items) == len(second.items):
        items = [promote(a, b, has_doubles=has_doubles) for a, b in zip(first.items, second.items, strict=True)]
        return type(first)(tuple(item for item in items if item is not None)) if None not in items else None
    if isinstance(first, Array) and isinstance(second, Array):
        return _common_array(first, second)
    if isinstance(first, Struct) and isinstance(second, Struct):
        return _common_struct(first, second, has_doubles=has_doubles)
    if isinstance(first, Weak) and isinstance(second, Weak):
        return _WEAK_TYPES[max(_WEAK_ORDER[first.kind], _WEAK_ORDER[second.kind])]
    if isinstance(first, Weak) and isinstance(second, Scalar):
        return _with_weak(second, first, has_doubles=has_doubles)
    if isinstance(first, Scalar) and isinstance(second, Weak):
        return _with_weak(first, second, has_doubles=has_doubles)
    if isinstance(first, Scalar) and isinstance(second, Scalar):
        return _without_doubles(_strong(first, second), has_doubles=has_doubles)
    return None


def strong(kind: Type, *, has_doubles: bool = True) -> Type:
    """The type that a weak number has in memory, and any other type as it is."""
    if not isinstance(kind, Weak):
        return kind
    if kind.is_integer:
        return int64
    if kind.is_floating:
        return float64 if has_doubles else float32
    return complex128 if has_doubles else complex64


def true_division_type(kind: Type, *, has_doubles: bool = True) -> Type:
    """The type of a quotient, given that of the promoted operands: integers divide to doubles, as in NumPy."""
    if isinstance(kind, Weak):
        return weak_float if kind.is_integer else kind
    if isinstance(kind, Scalar) and (kind.is_integer or kind.kind is Kind.BOOLEAN):
        return float64 if has_doubles else float32
    return kind


def _has_a_zero(kind: Type) -> bool:
    if isinstance(kind, Tuple):
        return all(map(_has_a_zero, kind.items))
    if isinstance(kind, Struct):
        return all(_has_a_zero(field) for _, field in kind.fields)
    return isinstance(kind, (Scalar, Weak, Constant, Nothing))


def _common_array(first: Array, second: Array) -> Array | None:
    """Arrays with the same elements and as many axes are joined: what is known of both is known of the result."""
    common = replace(
        first,
        layout=first.layout if first.layout is second.layout else Layout.STRIDED,
        writeable=first.writeable and second.writeable,
        aligned=first.aligned and second.aligned,
    )
    return (
        common
        if replace(second, layout=common.layout, writeable=common.writeable, aligned=common.aligned) == common
        else None
    )


def _common_struct(first: Struct, second: Struct, *, has_doubles: bool) -> Struct | None:
    """Values of one class have its fields in common, each with the type that they have in common."""
    if first.python_class is None or first.python_class is not second.python_class:
        return None
    fields = []
    for (name, one), (_, other) in zip(first.fields, second.fields, strict=True):
        common = promote(one, other, has_doubles=has_doubles)
        if common is None:
            return None
        fields.append((name, common))
    return replace(first, fields=tuple(fields))


def _with_weak(typed: Scalar, weak: Weak, *, has_doubles: bool) -> Type:
    if weak.is_integer:
        return int64 if typed.kind is Kind.BOOLEAN else typed
    if weak.is_floating:
        return typed if typed.is_floating or typed.is_complex else strong(weak_float, has_doubles=has_doubles)
    if typed.is_complex:
        return typed
    return complex_of(typed) if typed.is_floating else strong(weak_complex, has_doubles=has_doubles)


def _strong(first: Scalar, second: Scalar) -> Scalar:
    if bfloat16 in (first, second):
        other = second if first == bfloat16 else first
        if other == float16:
            return float32
        if other.kind is Kind.BOOLEAN or (other.is_integer and other.bits == 8):
            return bfloat16
        return _strong(float16, other) if not other.is_integer else _strong(float32, other)
    return scalar_of_dtype(np.promote_types(dtype_of(first), dtype_of(second)))


def _without_doubles(kind: Scalar, *, has_doubles: bool) -> Scalar:
    if has_doubles:
        return kind
    return {float64: float32, complex128: complex64}.get(kind, kind)


__all__ = ["boolean", "promote", "strong", "true_division_type"]
