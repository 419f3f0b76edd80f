# SPDX-License-Identifier: Apache-2.0
"""When two compile-time constants are the same one.

Python's `==` is too generous for compiled code: 1, 1.0 and True are equal, as are 0.0 and -0.0, while a NaN differs from
itself. Compiled code tells all of these apart, so a cache that compared with `==` would serve the wrong code.
"""

from __future__ import annotations

import struct
from typing import Any

from smelt.records import fields


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
            *[constant_key(getattr(value, field.name)) for field in fields(kind) if field.compare],
        )
    hash(value)
    return (kind, value)


def types_key(types: tuple[Any, ...]) -> object:
    """As `constant_key`, for the argument types of a call: the tuple itself where all of them are ordinary classes.

    The two forms can't be equal: the other one has an entry that is no class.
    """
    return types if are_classes(types) else constant_key(types)


def are_classes(types: tuple[Any, ...]) -> bool:
    """Whether all of these are classes that are compared by identity."""
    for entry in types:  # noqa: SIM110 - a generator would cost more than the comparisons
        if entry.__class__ is not type:
            return False
    return True


def same_constant(first: object, second: object) -> bool:
    """Whether code compiled for one of these values is right for the other.

    True for the same object, and for equal constants that have no identity of their own: numbers, strings, bytes, None,
    and tuples, frozen sets and frozen dataclasses whose parts are the same constants (of a dataclass all fields, those left
    out of its comparison too: code may have read any of them). Functions, classes, modules and everything mutable are the
    same only as the same object.

    Runs no code of a class that is not a frozen dataclass: it is asked in the middle of a rebinding.
    """
    if first is second:
        return True
    # Not `__class__`, which a proxy or a mock computes.
    return type(first) is type(second) and _parts(first) == _parts(second)


def is_frozen_dataclass(value: Any) -> bool:
    """Whether `value` is an instance of a frozen dataclass with the comparison that `@dataclass` generates."""
    parameters = getattr(type(value), "__dataclass_params__", None)
    return parameters is not None and parameters.frozen and parameters.eq


_ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes, type(...)})


_UNSET = object()


def _parts(value: Any) -> object:
    # As `constant_key`, but everything that is no constant stands for itself alone.
    kind = type(value)
    if kind in _ATOMS:
        return constant_key(value)
    # A subclass may give its instances attributes of their own, which can change.
    if issubclass(kind, tuple) and not kind.__dictoffset__:
        return (kind, *map(_parts, tuple.__iter__(value)))
    if issubclass(kind, frozenset) and not kind.__dictoffset__:
        return (kind, frozenset(map(_parts, frozenset.__iter__(value))))
    if is_frozen_dataclass(value) and "__dataclass_params__" in vars(kind):
        return (kind, *[_parts(getattr(value, field.name, _UNSET)) for field in fields(kind)])
    return (_UNSET, id(value))
