# SPDX-License-Identifier: Apache-2.0
"""The types of `functools.partial` objects: functions with some of their arguments."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from smelt.types.definitions import Struct, Tuple, Type


class Partial(Struct):
    """The type of a `functools.partial` object. Its fields are `func`, `args`, which is a tuple, and `keywords`, a struct by their names."""

    def __str__(self) -> str:
        (_, function), (_, arguments), (_, keywords) = self.fields
        assert isinstance(arguments, Tuple)
        assert isinstance(keywords, Struct)
        bound = [*map(str, arguments.items), *(f"{name}={kind}" for name, kind in keywords.fields)]
        return f"partial({', '.join([str(function), *bound])})"

    __repr__ = __str__


def partial_type(function: Type, arguments: Sequence[Type], keywords: Mapping[str, Type]) -> Partial:
    """The type of a partial object, given the types of what it holds. In which order keywords were bound says nothing."""
    bound = Struct("keywords", tuple(sorted(keywords.items())))
    return Partial("partial", (("func", function), ("args", Tuple(tuple(arguments))), ("keywords", bound)))


def is_partial(value: Any) -> bool:
    """Whether `value` is a partial object, and of no class that may call its function otherwise."""
    return type(value) is functools.partial


def has_partial(kind: Type) -> bool:
    """Whether a value of this type is a partial object, or has one in it."""
    if isinstance(kind, Tuple):
        return any(map(has_partial, kind.items))
    return isinstance(kind, Partial) or (
        isinstance(kind, Struct) and any(has_partial(field) for _, field in kind.fields)
    )
