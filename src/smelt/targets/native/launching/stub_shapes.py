# SPDX-License-Identifier: Apache-2.0
"""Shapes: what a launch stub has to know of an argument's type, without the objects of this process that belong to it.

A class, a function that is passed, the dtype of records: each is a number in a shape, its place among the objects that the stub is
given at each call. So a stub is portable, and all kernels with arguments of one shape share it.

| shape | matches |
|---|---|
| `("array", element, dimensions, layout, writeable, aligned)` | exactly an ndarray; `element` is a name, or the place of a dtype |
| `("number", name)` | a NumPy scalar |
| `("bool",)` | a boolean of Python or NumPy |
| `("int",)`, `("float",)`, `("complex",)`, `("none",)` | one of Python's own |
| `("same", place)` | one object |
| `("tuple", items)` | exactly a tuple |
| `("items", place, items)` | an instance of one class of named tuples |
| `("fields", place, ((place of the name, shape), ...))` | an instance of one class, by its attributes |
"""

from __future__ import annotations

import collections
import inspect
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from smelt.types import Array, Constant, Nothing, Scalar, Struct, Tuple, Type, Weak, bfloat16, boolean

Shape: TypeAlias = tuple[Any, ...]

_FIELD_READER = type(vars(collections.namedtuple("_Example", "field"))["field"])  # noqa: PYI024 - made for this line


def shapes_of(kinds: Sequence[Type], values: Sequence[Any]) -> tuple[tuple[Shape, ...], tuple[object, ...]] | None:
    """The shapes of values, given their types, and the objects that these refer to. None if one of them has no shape.

    Objects that the shapes don't refer to may be added behind.
    """
    objects: list[object] = []
    shapes = []
    for kind, value in zip(kinds, values, strict=True):
        shape = _shape_of(kind, value, objects)
        if shape is None:
            return None
        shapes.append(shape)
    return tuple(shapes), tuple(objects)


def arrays_of(shape: Shape) -> int:
    """How many arrays there are in a value of this shape."""
    match shape:
        case ("array", *_):
            return 1
        case ("tuple", items) | ("items", _, items):
            return sum(map(arrays_of, items))
        case ("fields", _, fields):
            return sum(arrays_of(field) for _, field in fields)
    return 0


def _shape_of(kind: Type, value: Any, objects: list[object]) -> Shape | None:
    match kind:
        case Array(element=element):
            if type(value) is not np.ndarray:
                return None
            name: object = str(element)
            if isinstance(element, Struct) or element == bfloat16:
                name = _place(value.dtype, objects)
            return "array", name, kind.dimensions, kind.layout.value, kind.writeable, kind.aligned
        case Scalar():
            # A number of another package has a layout that nobody promises.
            return None if kind == bfloat16 else ("bool",) if kind == boolean else ("number", str(kind))
        case Weak(kind=sort):
            return (sort.value,)
        case Nothing():
            return ("none",)
        case Constant():
            return "same", _place(value, objects)
        case Tuple(items=items):
            if type(value) is not tuple:
                return None
            shapes = _shapes_of_items(items, value, objects)
            return None if shapes is None else ("tuple", shapes)
        case Struct():
            return _record_shape(kind, value, objects)
    return None


def _record_shape(kind: Struct, value: Any, objects: list[object]) -> Shape | None:
    if kind.python_class is None:
        return None
    place = _place(type(value), objects)
    names = [name for name, _ in kind.fields]
    kinds = [field for _, field in kind.fields]
    if kind.is_tuple and all(type(inspect.getattr_static(type(value), name)) is _FIELD_READER for name in names):
        shapes = _shapes_of_items(kinds, value, objects)
        return None if shapes is None else ("items", place, shapes)
    fields = []
    for name, field in zip(names, kinds, strict=True):
        name_place = _place(name, objects)
        shape = _shape_of(field, getattr(value, name), objects)
        if shape is None:
            return None
        fields.append((name_place, shape))
    return "fields", place, tuple(fields)


def _shapes_of_items(kinds: Sequence[Type], values: Sequence[Any], objects: list[object]) -> tuple[Shape, ...] | None:
    shapes = []
    for kind, value in zip(kinds, values, strict=True):
        shape = _shape_of(kind, value, objects)
        if shape is None:
            return None
        shapes.append(shape)
    return tuple(shapes)


def _place(held: object, objects: list[object]) -> int:
    objects.append(held)
    return len(objects) - 1
