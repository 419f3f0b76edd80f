# SPDX-License-Identifier: Apache-2.0
"""Types as users write them: in the signatures of kernels, and as annotations of fields."""

from __future__ import annotations

from typing import Any

import numpy as np

from smelt.types.definitions import Struct, Tuple, Type
from smelt.types.records import PYTHON_NUMBERS, declared_field_type, field_names, is_value_class
from smelt.types.typeof import element_type, typeof


def declared_type(declaration: Any) -> Type:
    """The type that a user means by `declaration`.

    That is a type of smelt's; `int`, `float`, `complex` and `bool` for Python's numbers; a type or a dtype of NumPy's; None; a tuple
    of declarations; a frozen dataclass or a named tuple whose fields are all annotated with such; or a value that is known when
    the kernel is compiled, as functions and strings are.

    Raises `TypeError` for anything else.
    """
    if isinstance(declaration, Type):
        return declaration
    if isinstance(declaration, np.dtype):
        return element_type(declaration)
    if isinstance(declaration, tuple) and not hasattr(declaration, "_fields"):
        return Tuple(tuple(map(declared_type, declaration)))
    if isinstance(declaration, type):
        return _type_of_class(declaration)
    return typeof(declaration)


def declared_types(kernel: str, declarations: tuple[Any, ...]) -> tuple[Type, ...]:
    """The types of a whole signature of the kernel of that name. Raises `TypeError`, saying which one is none."""
    kinds = []
    for number, declaration in enumerate(declarations):
        try:
            kinds.append(declared_type(declaration))
        except TypeError as error:
            raise TypeError(f"{kernel}, type {number + 1} of a signature: {error}") from None
    return tuple(kinds)


def _type_of_class(cls: type) -> Type:
    if cls in PYTHON_NUMBERS:
        return PYTHON_NUMBERS[cls]
    if issubclass(cls, np.generic):
        return element_type(np.dtype(cls))
    if is_value_class(cls):
        fields = tuple((name, _type_of_field(cls, name)) for name in field_names(cls))
        return Struct(cls.__qualname__, fields, cls, is_tuple=issubclass(cls, tuple))
    raise TypeError(
        f"{cls.__qualname__} is no type of a kernel's argument; write a type of smelt's or NumPy's, or int, float, complex or bool"
    )


def _type_of_field(cls: type, name: str) -> Type:
    found = declared_field_type(cls, name)
    if found is None:
        raise TypeError(
            f"{cls.__qualname__}.{name} is not annotated with a type that is known; give smelt.types.typeof(an instance)"
        )
    return found
