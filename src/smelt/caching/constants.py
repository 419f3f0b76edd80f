# SPDX-License-Identifier: Apache-2.0
"""When two compile-time constants are the same one.

Python's `==` is too generous for compiled code: 1, 1.0 and True are equal, as are 0.0 and -0.0, while a NaN differs from
itself. Compiled code tells all of these apart, so a cache that compared with `==` would serve the wrong code.
"""

from __future__ import annotations

import dataclasses
import struct
from typing import Any


def constant_key(value: Any) -> object:
    """What stands for `value` as the key of a dict: equal exactly where the constants are the same.

    Numbers are tagged with their type and floats compared by their bits; tuples, frozen sets and frozen dataclasses are
    compared part by part (of a dataclass the fields that take part in its comparison); anything else is tagged with its
    class and compared as itself. Raises `TypeError` where a part can't be hashed.
    """
    kind = value.__class__
    if kind is type or kind is str or value is None:
        # The common cases stand for themselves: nothing of another type equals a class, a string or None, and a class
        # whose metaclass is not `type` may define `__eq__`, so it is tagged below.
        return value
    if kind is float:
        return (float, struct.pack("<d", value))
    if kind is complex:
        return (complex, struct.pack("<dd", value.real, value.imag))
    if kind is tuple:
        return (tuple, *[constant_key(item) for item in value])
    if kind is frozenset:
        return (frozenset, frozenset([constant_key(item) for item in value]))
    if isinstance(value, tuple):
        return (kind, *[constant_key(item) for item in value])
    if is_frozen_dataclass(value):
        return (
            kind,
            *[constant_key(getattr(value, field.name)) for field in dataclasses.fields(value) if field.compare],
        )
    hash(value)
    return (kind, value)


def same_constant(first: object, second: object) -> bool:
    """Whether code compiled for one of these values is right for the other.

    True for the same object, and for equal constants that have no identity of their own: numbers, strings, bytes, None,
    and tuples, frozen sets and frozen dataclasses of such. Functions, classes, modules and everything mutable are the same
    only as the same object.
    """
    if first is second:
        return True
    if first.__class__ is not second.__class__:
        return False
    return _is_constant(first) and _is_constant(second) and constant_key(first) == constant_key(second)


def is_frozen_dataclass(value: Any) -> bool:
    """Whether `value` is an instance of a frozen dataclass with the comparison that `@dataclass` generates."""
    parameters = getattr(type(value), "__dataclass_params__", None)
    return parameters is not None and parameters.frozen and parameters.eq


_ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes, type(...)})


def _is_constant(value: Any) -> bool:
    if value.__class__ in _ATOMS:
        return True
    if isinstance(value, (tuple, frozenset)):
        return all(map(_is_constant, value))
    return is_frozen_dataclass(value) and all(
        _is_constant(getattr(value, field.name)) for field in dataclasses.fields(value)
    )
