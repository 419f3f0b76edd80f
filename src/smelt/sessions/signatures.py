# SPDX-License-Identifier: Apache-2.0
"""The argument types of calls, with every object of the program in them named by a reference, so that they can be written down."""

from __future__ import annotations

from typing import Any

from smelt.records import Record, fields
from smelt.sessions.objects import Objects, Reference
from smelt.types import (
    Array,
    BoundMethod,
    Constant,
    Dict,
    Iteration,
    Kind,
    Layout,
    List,
    Memory,
    Nothing,
    Range,
    Scalar,
    Struct,
    Tuple,
    Type,
    Weak,
    WeakKind,
)


class Named(Record):
    """What stands for an object of the program in a type."""

    reference: Reference


TYPES = (
    *(Array, BoundMethod, Constant, Dict, Iteration, List, Nothing, Range, Scalar, Struct, Tuple, Weak),
    *(Kind, Layout, Memory, WeakKind, Named),
)
"""The classes that types are made of in a file."""

_ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes, *(Kind, Layout, Memory, WeakKind)})
_TYPES = frozenset(TYPES)


def named_types(value: Any, objects: Objects) -> Any:
    """A type, or a tuple of types, with references in place of objects. Raises `UnnamedError` if one can't be named."""
    kind = type(value)
    if kind in _ATOMS:
        return value
    if kind is tuple:
        return tuple([named_types(item, objects) for item in value])
    if not isinstance(value, Type):
        return Named(objects.importable(value))
    if kind not in _TYPES:
        # The type of a function that a kernel defines. No overlay can be for it: to all patterns it is a struct.
        return Struct(str(value), named_types(getattr(value, "fields", ()), objects))
    return kind(*[named_types(getattr(value, field.name), objects) for field in fields(kind)])


def resolved_types(value: Any, objects: Objects) -> Any:
    """What `named_types` was given. Raises `UnnamedError` if a reference leads nowhere."""
    kind = type(value)
    if kind in _ATOMS:
        return value
    if kind is tuple:
        return tuple([resolved_types(item, objects) for item in value])
    if kind is Named:
        return objects.resolve(value.reference)
    return kind(*[resolved_types(getattr(value, field.name), objects) for field in fields(kind)])
