# SPDX-License-Identifier: Apache-2.0
"""What a `for` loop runs over: how many rounds it has, and the item of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from smelt.inference import captured, operators, views
from smelt.inference.context import Context
from smelt.ir import untyped
from smelt.ir.builder import Operand, constant
from smelt.types import Array, Dict, Iteration, Range, Struct, Tuple, weak_int


@dataclass(frozen=True)
class Rounds:
    """The rounds of a loop.

    Attributes
    ----------
    count
        How many: a weak integer.
    item
        From the number of a round, counted from 0, to its item.
    is_unrolled
        Whether items have types of their own, so that the loop is written out, once for each; `count` is a constant then.
    """

    count: Operand
    item: Callable[[Operand], Operand]
    is_unrolled: bool = False


def rounds(context: Context, operand: Operand, node: untyped.Node) -> Rounds:
    """The rounds of a loop over `operand`. Raises `KernelError` for what can't be looped over."""
    kind = operand.type
    builder = context.builder
    if isinstance(kind, Range):
        return _range_rounds(context, operand, node)
    if isinstance(kind, Tuple) or (isinstance(kind, Struct) and kind.has_items):
        parts = builder.parts(operand)
        return Rounds(constant(len(parts)), lambda number: parts[number.known], is_unrolled=True)
    if isinstance(kind, Dict):
        return rounds(context, captured.keys(context, operand, node), node)
    if isinstance(kind, Array) and kind.dimensions > 0:
        return Rounds(views.extent(builder, operand, 0), lambda number: views.item(builder, operand, number))
    if isinstance(kind, Iteration):
        return _iteration_rounds(context, kind, operand, node)
    raise context.error(
        f"a {kind} can't be looped over", node, help="loop over range, a tuple, or an array with dimensions"
    )


def _range_rounds(context: Context, operand: Operand, node: untyped.Node) -> Rounds:
    builder = context.builder
    start, stop, step = builder.parts(operand)
    if step.is_constant:
        # Counted from 0, so that the last addition can't overflow and every loop has the same form.
        span = (
            operators.binary(context, "-", stop, start, node)
            if step.known > 0
            else operators.binary(context, "-", start, stop, node)
        )
        size = abs(step.known)
        if size != 1:
            span = operators.binary(context, "+", span, constant(size - 1), node)
            span = operators.binary(context, "//", span, constant(size), node)
    else:
        value = builder.value(step)
        zero = builder.value(constant(0))
        builder.do(
            "check", (builder.emit("ne", (value, zero)),), error="ValueError", message="range() arg 3 must not be zero"
        )
        # ceil((stop - start) / step), for steps of either sign.
        span = operators.unary(
            context,
            "-",
            operators.binary(context, "//", operators.binary(context, "-", start, stop, node), step, node),
            node,
        )
    if span.is_constant:
        count = constant(max(0, span.known))
    else:
        count = Operand(
            span.type,
            builder.emit("max", (builder.value(span), builder.value(builder.convert(constant(0), span.type)))),
        )

    def item(number: Operand) -> Operand:
        offset = number if step.is_constant and step.known == 1 else operators.binary(context, "*", number, step, node)
        return operators.binary(context, "+", start, offset, node)

    return Rounds(builder.convert(count, weak_int), item)


def _iteration_rounds(context: Context, kind: Iteration, operand: Operand, node: untyped.Node) -> Rounds:
    if kind.kind == "enumerate":
        start, counted = context.builder.parts(operand)
        over = rounds(context, counted, node)
        return Rounds(
            over.count,
            lambda number: _together([operators.binary(context, "+", start, number, node), over.item(number)]),
            over.is_unrolled,
        )
    inner = [rounds(context, part, node) for part in context.builder.parts(operand)]
    if kind.kind == "reversed":
        (over,) = inner
        (reversed_kind,) = kind.items
        if isinstance(reversed_kind, Iteration):
            raise context.error(f"a {reversed_kind} can't be reversed", node, help="reverse what it runs over")
        last = operators.binary(context, "-", over.count, constant(1), node)
        return Rounds(
            over.count, lambda number: over.item(operators.binary(context, "-", last, number, node)), over.is_unrolled
        )
    is_unrolled = any(over.is_unrolled for over in inner)
    count = inner[0].count
    for number, over in enumerate(inner[1:], 2):
        if kind.kind == "strict zip":
            _require_as_many(context, count, over.count, number, node)
        count = _least(context, count, over.count)
    if is_unrolled and not count.is_constant:
        raise context.error("a tuple and an array can't be zipped", node, help="index the array with range(len(tuple))")
    return Rounds(count, lambda number: _together([over.item(number) for over in inner]), is_unrolled)


def _require_as_many(context: Context, first: Operand, other: Operand, number: int, node: untyped.Node) -> None:
    """Refuse lengths that differ, or check them when the kernel runs, as `zip(strict=True)` does when it comes to their end."""
    builder = context.builder
    before = "argument 1" if number == 2 else f"arguments 1-{number - 1}"
    for operation, word in (("ge", "shorter"), ("le", "longer")):
        message = f"zip() argument {number} is {word} than {before}"
        if first.is_constant and other.is_constant:
            if other.known < first.known if operation == "ge" else other.known > first.known:
                raise context.error(message, node)
            continue
        fits = builder.emit(operation, (builder.value(other), builder.value(first)))
        builder.do("check", (fits,), error="ValueError", message=message)


def _least(context: Context, first: Operand, second: Operand) -> Operand:
    if first.is_constant and second.is_constant:
        return constant(min(first.known, second.known))
    return Operand(weak_int, context.builder.emit("min", (context.builder.value(first), context.builder.value(second))))


def _together(items: list[Operand]) -> Operand:
    return Operand(Tuple(tuple(item.type for item in items)), parts=tuple(items))
