# SPDX-License-Identifier: Apache-2.0
"""Texts with values in them, which a kernel prints: what is known when it is compiled, and how the host fills in the rest.

A template is a tuple of parts: a string, or (shape, conversion, format specification) for a value, as in an f-string. The shape says
how the value is stored and what it is in Python. All of it is portable:

| shape | value | stored in |
|---|---|---|
| ("number", scalar, is weak) | a number: of Python if weak, else of NumPy | a word; a complex number in two |
| ("tuple", shape, ...) | a tuple | the words of its items |
| ("list", shape, ...) | a list | the words of its items |
| ("record", name, (field, shape), ...) | a frozen dataclass or named tuple | the words of its fields |
| ("range", shape) | a range | the words of start, stop and step |
| ("constant", text, representation) | what is known already | nothing |

A word has eight bytes; a value that is smaller stands at its beginning.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from smelt.types import (
    SCALARS,
    Constant,
    List,
    Nothing,
    Range,
    Scalar,
    Struct,
    Tuple,
    Type,
    Weak,
    boolean,
    dtype_of,
    part_type,
    strong,
)

Shape: TypeAlias = tuple[Any, ...]
Part: TypeAlias = "str | tuple[Shape, str, str]"
Template: TypeAlias = tuple[Part, ...]

WORD_BYTES = 8

_SCALARS = {str(scalar): scalar for scalar in SCALARS}
# What has the same text in every process. The text of a function has its address.
_LASTING = (str, bool, int, float, complex, type(None), type(...), type, np.generic, enum.Enum)


def shape_of(kind: Type, *, has_doubles: bool = True) -> Shape:
    """The shape of values of a type. Raises `TypeError` for a type whose values a kernel can't print."""
    match kind:
        case Constant(value=value) if is_lasting(value):
            return ("constant", str(value), repr(value))
        case Nothing():
            return ("constant", "None", "None")
        case Scalar() | Weak():
            return ("number", str(strong(kind, has_doubles=has_doubles)), isinstance(kind, Weak) or kind == boolean)
        case Tuple(items=items):
            name = "list" if isinstance(kind, List) else "tuple"
            return (name, *(shape_of(item, has_doubles=has_doubles) for item in items))
        case Range(element=element):
            return ("range", shape_of(element, has_doubles=has_doubles))
        case Struct(python_class=cls, fields=fields, is_tuple=is_tuple) if cls is not None:
            shapes = tuple((name, shape_of(field, has_doubles=has_doubles)) for name, field in fields)
            return ("record", cls.__name__ if is_tuple else cls.__qualname__, *shapes)
    raise TypeError(f"a kernel can't print a {kind}")


def formatted(value: object, conversion: str, specification: str) -> str:
    """A value as a part of an f-string shows it. Raises what formatting the value raises."""
    if conversion == "s":
        value = str(value)
    elif conversion == "r":
        value = repr(value)
    elif conversion == "a":
        value = ascii(value)
    return format(value, specification)


def example(shape: Shape) -> object:
    """A value of this shape, to try a format specification on."""
    # Not 0, which can't be the step of a range.
    return _read(shape, _Words(b"\1".ljust(WORD_BYTES, b"\0") * _count(shape)))


def filled(template: Template, words: bytes) -> str:
    """The text, given the words of its values one after the other. Raises what formatting them raises."""
    reader = _Words(words)
    return "".join(part if isinstance(part, str) else formatted(_read(part[0], reader), *part[1:]) for part in template)


def words_of(template: Template) -> int:
    """How many words the values of a template take."""
    return sum(0 if isinstance(part, str) else _count(part[0]) for part in template)


def is_lasting(value: object) -> bool:
    """Whether a constant has the same text in every process."""
    if isinstance(value, (tuple, frozenset)):
        return all(map(is_lasting, value))
    return isinstance(value, _LASTING)


class _Words:
    """The words that are not read yet."""

    def __init__(self, words: bytes) -> None:
        self._words = words
        self._offset = 0

    def number(self, scalar: Scalar) -> Any:
        """The next number, as one of NumPy's."""
        parts: Sequence[Scalar] = [part_type(scalar)] * 2 if scalar.is_complex else [scalar]
        read = []
        for part in parts:
            read.append(np.frombuffer(self._words, dtype_of(part), 1, self._offset)[0])
            self._offset += WORD_BYTES
        return read[0] if len(read) == 1 else dtype_of(scalar).type(complex(read[0], read[1]))


class _Constant:
    """Something that was known when the kernel was compiled, by its texts."""

    def __init__(self, text: str, representation: str) -> None:
        self._text = text
        self._representation = representation

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return self._representation


class _Record:
    """A frozen dataclass or named tuple, which shows itself as those do."""

    def __init__(self, name: str, fields: Sequence[tuple[str, object]]) -> None:
        self._name = name
        self._fields = fields

    def __repr__(self) -> str:
        return f"{self._name}({', '.join(f'{name}={value!r}' for name, value in self._fields)})"


def _read(shape: Shape, words: _Words) -> object:
    match shape:
        case ("number", name, is_weak):
            number = words.number(_SCALARS[name])
            return number.item() if is_weak else number
        case ("tuple", *items):
            return tuple(_read(item, words) for item in items)
        case ("list", *items):
            return [_read(item, words) for item in items]
        case ("range", element):
            return range(*(words.number(_SCALARS[element[1]]).item() for _ in range(3)))
        case ("record", name, *fields):
            return _Record(name, [(field, _read(inner, words)) for field, inner in fields])
        case ("constant", text, representation):
            return _Constant(text, representation)
    raise AssertionError(shape)


def _count(shape: Shape) -> int:
    match shape:
        case ("number", name, _):
            return 2 if _SCALARS[name].is_complex else 1
        case ("tuple" | "list", *items):
            return sum(map(_count, items))
        case ("range", element):
            return 3 * _count(element)
        case ("record", _, *fields):
            return sum(_count(inner) for _, inner in fields)
    return 0
