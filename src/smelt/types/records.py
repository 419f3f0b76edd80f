# SPDX-License-Identifier: Apache-2.0
"""Frozen dataclasses and named tuples: the classes whose instances are values in kernels."""

from __future__ import annotations

import functools
import inspect
import types
import typing
from typing import Any

import numpy as np

from smelt.records import defaults_of_fields, fields, is_dataclass
from smelt.types.definitions import Scalar, Type, Weak, boolean, weak_complex, weak_float, weak_int
from smelt.types.dtypes import scalar_of_dtype


def is_value_class(cls: type) -> bool:
    """Whether instances of `cls` can be values in kernels, with fields: a frozen dataclass, or a named tuple."""
    parameters = cls.__dict__.get("__dataclass_params__")
    return bool(parameters is not None and parameters.frozen) or (issubclass(cls, tuple) and hasattr(cls, "_fields"))


def field_names(cls: Any) -> tuple[str, ...]:
    """The fields of a value class, in the order of their declaration."""
    if is_dataclass(cls):
        return tuple(field.name for field in fields(cls) if field.init)
    names: tuple[str, ...] = cls._fields
    return names


def field_defaults(cls: Any) -> dict[str, Any]:
    """The defaults of the fields that have one."""
    if is_dataclass(cls):
        return defaults_of_fields(cls)
    defaults: dict[str, Any] = cls._field_defaults
    return defaults


# The one function that all named tuples have as their method `__repr__`.
_TUPLE_REPR: types.CodeType = vars(inspect.FullArgSpec)["__repr__"].__code__


def is_generated_repr(cls: Any, method: object) -> bool:
    """Whether `method`, a value class's `__repr__`, is the one that its class was given, which shows every field."""
    if not is_dataclass(cls):
        return isinstance(method, types.FunctionType) and method.__code__ is _TUPLE_REPR
    # What `dataclass` makes is compiled from a string, and wrapped so that it does not recur.
    inner = getattr(method, "__wrapped__", None)
    is_generated = isinstance(inner, types.FunctionType) and inner.__code__.co_filename == "<string>"
    return is_generated and all(field.init and field.repr for field in fields(cls))


PYTHON_NUMBERS: dict[object, Type] = {bool: boolean, int: weak_int, float: weak_float, complex: weak_complex}


def declared_field_type(cls: type, field: str) -> Type | None:
    """The type that a field is annotated with, if that fixes one: a number type of Python's or NumPy's, or a type of smelt's."""
    annotation = _annotations(cls).get(field)
    if isinstance(annotation, Type):
        return annotation
    if isinstance(annotation, type) and annotation in PYTHON_NUMBERS:
        return PYTHON_NUMBERS[annotation]
    if isinstance(annotation, type) and issubclass(annotation, np.generic):
        return scalar_of_dtype(np.dtype(annotation))
    return None


def declared_class(cls: type, field: str) -> type | None:
    """The class that a field is annotated with, or None if that is none."""
    annotation = _annotations(cls).get(field)
    return annotation if isinstance(annotation, type) else None


def field_type(cls: type, field: str, held: Type) -> Type:
    """The type of a field that a value of type `held` is put into.

    Raises `TypeError` if the field is annotated with a type that the value would not fit into.
    """
    declared = declared_field_type(cls, field)
    if declared is None or declared == held:
        return held
    if isinstance(declared, (Scalar, Weak)) and isinstance(held, (Scalar, Weak)) and _rank(held) <= _rank(declared):
        return declared
    raise TypeError(f"{cls.__qualname__}.{field} is annotated as {declared}, and can't hold a {held}")


def _rank(number: Scalar | Weak) -> int:
    """The sort of a number, so that one of a lower rank can be held by one of a higher without losing a part."""
    if number == boolean:
        return 0
    if number.is_complex:
        return 3
    return 2 if number.is_floating else 1


@functools.lru_cache(maxsize=1024)
def _annotations(cls: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls)
    except Exception:  # noqa: BLE001 - one that can't be evaluated, of a class in a function, say, fixes nothing; others still do
        written: dict[str, Any] = {}
        for base in reversed(cls.__mro__):
            written.update(inspect.get_annotations(base))
        names = {number.__name__: number for number in (bool, int, float, complex)}
        # Named tuples keep the text of an annotation in an object of its own.
        texts = {field: getattr(annotation, "__forward_arg__", annotation) for field, annotation in written.items()}
        return {field: names.get(text, text) if isinstance(text, str) else text for field, text in texts.items()}
