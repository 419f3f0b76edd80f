# SPDX-License-Identifier: Apache-2.0
"""Values of classes as elements of arrays: where each field lies, and what they are once they are loaded.

The fields follow each other in their order, each at the next multiple of its alignment, and the whole is padded to a multiple of the
greatest alignment, as in C and in `np.dtype(..., align=True)`.
"""

from __future__ import annotations

from typing import Any

from smelt.types.definitions import Scalar, Struct, Type
from smelt.types.promotion import strong
from smelt.types.records import declared_class, declared_field_type, field_names, is_value_class


def element_of_class(cls: Any, *, has_doubles: bool = True) -> Struct:
    """The type of elements that hold values of a frozen dataclass or a named tuple.

    Raises `TypeError` for a field whose annotation doesn't say what it takes in memory.
    """
    fields: list[tuple[str, Type]] = []
    offsets: list[int] = []
    end, alignment = 0, 1
    for name in field_names(cls):
        kind = _in_memory(cls, name, has_doubles=has_doubles)
        step = _alignment(kind)
        begin = _rounded_up(end, step)
        fields.append((name, kind))
        offsets.append(begin)
        end, alignment = begin + kind.size, max(alignment, step)
    size = _rounded_up(end, alignment)
    name = f"{cls.__qualname__}[{size}]"
    return Struct(name, tuple(fields), cls, issubclass(cls, tuple), tuple(offsets), size)


def value_of_element(kind: Type) -> Type:
    """What an element is once it is loaded: the value of its class, whose numbers are those that its annotations say."""
    if not isinstance(kind, Struct) or kind.python_class is None or not kind.offsets:
        return kind
    cls = kind.python_class
    fields = tuple((name, declared_field_type(cls, name) or value_of_element(field)) for name, field in kind.fields)
    return Struct(cls.__qualname__, fields, cls, kind.is_tuple)


def _in_memory(cls: Any, name: str, *, has_doubles: bool) -> Scalar | Struct:
    declared = declared_field_type(cls, name)
    kind = None if declared is None else strong(declared, has_doubles=has_doubles)
    if isinstance(kind, Scalar):
        return kind
    inner = declared_class(cls, name)
    if inner is not None and is_value_class(inner):
        return element_of_class(inner, has_doubles=has_doubles)
    raise TypeError(
        f"the annotation of {cls.__qualname__}.{name} doesn't say what it takes in memory: annotate it as a number, "
        "float, np.int32, smelt.float32, or as a class of such"
    )


def _alignment(kind: Type) -> int:
    if isinstance(kind, Scalar):
        return kind.size // 2 if kind.is_complex else kind.size
    assert isinstance(kind, Struct)
    return max((_alignment(field) for _, field in kind.fields), default=1)


def _rounded_up(place: int, step: int) -> int:
    return -(-place // step) * step
