# SPDX-License-Identifier: Apache-2.0
"""Which thread a kernel is: the index functions."""

from __future__ import annotations

import types
from typing import Any

from smelt import kernel_language
from smelt.caching import MethodTable, Variadic, add_method
from smelt.inference import operators
from smelt.inference.calls import Primitive
from smelt.ir import untyped
from smelt.ir.builder import Operand
from smelt.types import Struct, Tuple, weak_int
from smelt.types.patterns import integer

_INDEX = Struct("Index", (("x", weak_int), ("y", weak_int), ("z", weak_int)), kernel_language.Index, is_tuple=True)


def define(table: MethodTable) -> None:
    """Add the methods of the index functions to `table`."""
    for name, function in vars(kernel_language).items():
        # For other types there is nothing: what the host runs only says that it can't.
        if isinstance(function, types.FunctionType) and not name.startswith("_"):
            add_method(table, function, (Variadic(Any),), Primitive(_refusal(function)))
    add_method(table, kernel_language.grid, (integer,), Primitive(_grid))
    add_method(table, kernel_language.gridsize, (integer,), Primitive(_gridsize))
    for name in ("thread_position_in_grid", "threads_per_grid", "threads_per_threadgroup"):
        add_method(table, getattr(kernel_language, name), (), Primitive(_quantity_of(name)))
    add_method(table, kernel_language.thread_position_in_threadgroup, (), Primitive(_position_in_group))
    add_method(table, kernel_language.threadgroup_position_in_grid, (), Primitive(_group_position))
    add_method(table, kernel_language.threadgroups_per_grid, (), Primitive(_groups))


def quantity(context: Any, name: str) -> tuple[Operand, Operand, Operand]:
    """One of the quantities that a target knows of a thread, for the three axes."""
    x, y, z = (Operand(weak_int, context.builder.emit("thread", (), quantity=name, axis=axis)) for axis in range(3))
    return x, y, z


def _refusal(function: types.FunctionType) -> Any:
    def infer(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
        kinds = ", ".join(str(operand.type) for operand in operands)
        raise context.error(f"kernels have no {function.__name__}({kinds})", node)

    return infer


def _some(context: Any, name: str, dimensions: Operand, node: untyped.Node) -> Operand:
    if not dimensions.is_constant or dimensions.known not in (1, 2, 3):
        raise context.error("the number of dimensions is the constant 1, 2 or 3", node)
    axes = quantity(context, name)[: dimensions.known]
    return axes[0] if len(axes) == 1 else Operand(Tuple((weak_int,) * len(axes)), parts=axes)


def _grid(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
    return _some(context, "thread_position_in_grid", operands[0], node)


def _gridsize(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
    return _some(context, "threads_per_grid", operands[0], node)


def _quantity_of(name: str) -> Any:
    def infer(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:  # noqa: ARG001
        return Operand(_INDEX, parts=quantity(context, name))

    return infer


def _combined(context: Any, symbol: str, first: str, second: str, node: untyped.Node) -> Operand:
    pairs = zip(quantity(context, first), quantity(context, second), strict=True)
    return Operand(_INDEX, parts=tuple(operators.binary(context, symbol, one, other, node) for one, other in pairs))


def _position_in_group(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:  # noqa: ARG001
    return _combined(context, "%", "thread_position_in_grid", "threads_per_threadgroup", node)


def _group_position(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:  # noqa: ARG001
    return _combined(context, "//", "thread_position_in_grid", "threads_per_threadgroup", node)


def _groups(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:  # noqa: ARG001
    pairs = zip(quantity(context, "threads_per_grid"), quantity(context, "threads_per_threadgroup"), strict=True)
    # Rounded up: the last group of an axis may have fewer threads.
    parts = tuple(
        operators.unary(
            context, "-", operators.binary(context, "//", operators.unary(context, "-", size, node), group, node), node
        )
        for size, group in pairs
    )
    return Operand(_INDEX, parts=parts)
