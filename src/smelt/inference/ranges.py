# SPDX-License-Identifier: Apache-2.0
"""Items and slices of ranges."""

from __future__ import annotations

from smelt.inference import operators, views
from smelt.inference.context import Context
from smelt.inference.iteration import rounds
from smelt.ir import untyped
from smelt.ir.builder import Operand, constant
from smelt.types import Range, boolean, weak_int


def item(context: Context, group: Operand, place: Operand, node: untyped.Node) -> Operand:
    """`group[place]`, with a place that counts from the end where it is negative. Raises `KernelError`."""
    builder = context.builder
    over = rounds(context, group, node)
    number = operators.as_index(context, place, node)
    if number.is_constant and over.count.is_constant:
        if not -over.count.known <= number.known < over.count.known:
            raise context.error(f"index {number.known} is out of range for a range of {over.count.known}", node)
        return over.item(constant(number.known % over.count.known))
    index, count, zero = (builder.value(operand) for operand in (number, over.count, constant(0)))
    from_the_end = builder.emit("add", (index, count))
    index = builder.emit("select", (builder.emit("lt", (index, zero)), from_the_end, index), weak_int)
    inside = builder.emit("and", (builder.emit("ge", (index, zero)), builder.emit("lt", (index, count))))
    if context.is_checked:
        builder.do("check", (inside,), error="IndexError", message="range object index out of range")
    return over.item(Operand(weak_int, index))


def part(
    context: Context,
    group: Operand,
    start: Operand | None,
    stop: Operand | None,
    step: Operand | None,
    node: untyped.Node,
) -> Operand:
    """`group[start:stop:step]`, a range again."""
    over = rounds(context, group, node)
    limits = views.slice_limits(context, over.count, start, stop, step, node)
    spacing = operators.binary(context, "*", context.builder.parts(group)[2], limits.step, node)
    common, parts = context.builder.promoted(over.item(limits.first), over.item(limits.end), spacing)
    assert common is not None
    return Operand(Range(common), parts=parts)


def truth(context: Context, group: Operand, node: untyped.Node) -> Operand:
    """Whether a range has items."""
    count = rounds(context, group, node).count
    if count.is_constant:
        return constant(count.known > 0)
    values = (context.builder.value(count), context.builder.value(constant(0)))
    return Operand(boolean, context.builder.emit("gt", values))
