# SPDX-License-Identifier: Apache-2.0
"""How values are represented in LLVM IR: each as a row of LLVM scalars, so that no aggregate hides from the optimiser.

| type | row |
|---|---|
| bool, integer, floating | one scalar; a bool is an i1 in a register and a byte in memory |
| complex | real and imaginary part |
| tuple, struct | the rows of their items |
| range | start, stop, step |
| iteration | the rows of what it runs over |
| array | address of the first element, extents, and the strides in bytes if the layout is not known |
"""

from __future__ import annotations

from collections.abc import Mapping

from smelt.types import (
    Array,
    Iteration,
    Kind,
    Layout,
    Memory,
    Range,
    Scalar,
    Struct,
    Tuple,
    Type,
    Weak,
    part_type,
    strong,
)

FLAT = dict.fromkeys(Memory, "ptr")
"""The LLVM types of addresses on targets where all memory is one."""

_FLOATS = {16: "half", 32: "float", 64: "double"}


def scalar_type(kind: Type, *, has_doubles: bool = True) -> Scalar:
    """The scalar that a number is computed as: itself, or what stands for a weak one."""
    concrete = strong(kind, has_doubles=has_doubles)
    assert isinstance(concrete, Scalar), kind
    return concrete


def register_type(scalar: Scalar) -> str:
    """The LLVM type of a scalar in a register."""
    match scalar.kind:
        case Kind.BOOLEAN:
            return "i1"
        case Kind.FLOATING:
            return _FLOATS[scalar.bits]
        case Kind.BRAIN_FLOATING:
            return "bfloat"
        case Kind.SIGNED | Kind.UNSIGNED:
            return f"i{scalar.bits}"
    raise AssertionError(f"{scalar} is not one LLVM scalar")


def memory_type(scalar: Scalar) -> str:
    """The LLVM type of a scalar in memory."""
    return "i8" if scalar.kind is Kind.BOOLEAN else register_type(scalar)


def row_types(kind: Type, *, has_doubles: bool = True, pointers: Mapping[Memory, str] = FLAT) -> list[str]:
    """The LLVM types of the row that represents a value of type `kind`. `pointers` gives those of addresses in each sort of memory."""

    def types_of(kind: Type) -> list[str]:
        return row_types(kind, has_doubles=has_doubles, pointers=pointers)

    match kind:
        case Array(dimensions=dimensions, layout=layout, memory=memory):
            return [pointers[memory]] + ["i64"] * (dimensions * (2 if layout is Layout.STRIDED else 1))
        case Tuple(items=items) | Iteration(items=items):
            return [part for item in items for part in types_of(item)]
        case Struct(fields=fields):
            return [part for _, field in fields for part in types_of(field)]
        case Range(element=element):
            return types_of(element) * 3
        case Scalar() | Weak():
            scalar = scalar_type(kind, has_doubles=has_doubles)
            return [register_type(part_type(scalar))] * 2 if scalar.is_complex else [register_type(scalar)]
    return []


def item_span(kind: Type, index: int, *, has_doubles: bool = True) -> slice:
    """Where in the row of a tuple, struct, range or complex number one item stands."""
    if isinstance(kind, (Tuple, Iteration)):
        items: tuple[Type, ...] = kind.items
    elif isinstance(kind, Struct):
        items = tuple(field for _, field in kind.fields)
    elif isinstance(kind, Range):
        items = (kind.element,) * 3
    else:
        items = (part_type(scalar_type(kind, has_doubles=has_doubles)),) * 2
    sizes = [len(row_types(item, has_doubles=has_doubles)) for item in items]
    start = sum(sizes[:index])
    return slice(start, start + sizes[index])
