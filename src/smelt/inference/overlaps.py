# SPDX-License-Identifier: Apache-2.0
"""Copying between parts that may lie over each other: as if all of the source were read before anything is stored."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from smelt.inference import views
from smelt.ir.builder import FunctionBuilder, Operand, constant
from smelt.ir.typed import Value
from smelt.types import Scalar, Struct, weak_int


def order_of_copy(builder: FunctionBuilder, part: Operand, source: Operand, is_repeated: Sequence[Value]) -> Value:
    """Whether the elements of `source` are to be copied into `part` from the last to the first.

    `is_repeated` says of each axis of `source` whether its one element is copied to all along that axis of `part`.

    A shift within one array is right in one of the two orders. Where neither is (the strides differ, or the axes are in no order), what
    is built fails with a ValueError if the two do overlap.
    """
    gap = builder.emit("distance", (builder.value(source), builder.value(part)))
    zero = builder.value(constant(0))
    extents, steps = _values(builder, views.shape(builder, part)), _values(builder, views.strides(builder, part))
    other_extents = _values(builder, views.shape(builder, source))
    other_steps = _values(builder, views.strides(builder, source))
    can_be_copied = is_apart = _is_apart(
        builder, gap, _bytes(builder, part, extents, steps), _bytes(builder, source, other_extents, other_steps)
    )
    if len(steps) == len(other_steps):
        other_steps = [
            builder.emit("select", (is_one, zero, step), weak_int)
            for is_one, step in zip(is_repeated, other_steps, strict=True)
        ]
        is_shift = _all(builder, [builder.emit("eq", pair) for pair in zip(steps, other_steps, strict=True)])
        is_itself = builder.emit("eq", (gap, zero))
        in_order = builder.emit("or", (is_itself, _is_nested(builder, extents, steps)))
        can_be_copied = builder.emit("or", (is_apart, builder.emit("and", (is_shift, in_order))))
    builder.do(
        "check",
        (can_be_copied,),
        error="ValueError",
        message="the parts overlap; copy them in a loop, in the order that is meant",
    )
    return builder.emit("and", (builder.emit("not", (is_apart,)), builder.emit("gt", (gap, zero))))


def _values(builder: FunctionBuilder, operands: Sequence[Operand]) -> list[Value]:
    return [builder.value(operand) for operand in operands]


def _all(builder: FunctionBuilder, tests: Sequence[Value]) -> Value:
    return (
        reduce(lambda one, other: builder.emit("and", (one, other)), tests) if tests else builder.value(constant(True))
    )


def _is_nested(builder: FunctionBuilder, extents: Sequence[Value], steps: Sequence[Value]) -> Value:
    """Whether later elements, the last axis fastest, all lie at higher addresses."""
    zero = builder.value(constant(0))
    tests = [builder.emit("gt", (step, zero)) for step in steps[-1:]]
    for axis in range(len(steps) - 1):
        inner = builder.emit("mul", (extents[axis + 1], steps[axis + 1]))
        tests.append(builder.emit("ge", (steps[axis], inner)))
    return _all(builder, tests)


def _bytes(
    builder: FunctionBuilder, array: Operand, extents: Sequence[Value], steps: Sequence[Value]
) -> tuple[Value, Value]:
    """The least and the greatest distance, in bytes, that a byte of the array has from its first element."""
    element = views.array_type_of(array).element
    assert isinstance(element, (Scalar, Struct))
    zero, one = builder.value(constant(0)), builder.value(constant(1))
    low, high = zero, builder.value(constant(element.size))
    for extent, step in zip(extents, steps, strict=True):
        last = builder.emit("sub", (builder.emit("max", (extent, one)), one))
        reach = builder.emit("mul", (last, step))
        low = builder.emit("add", (low, builder.emit("min", (reach, zero))))
        high = builder.emit("add", (high, builder.emit("max", (reach, zero))))
    return low, high


def _is_apart(builder: FunctionBuilder, gap: Value, part: tuple[Value, Value], source: tuple[Value, Value]) -> Value:
    begin, end = (builder.emit("add", (gap, limit)) for limit in part)
    is_after = builder.emit("ge", (begin, source[1]))
    return builder.emit("or", (is_after, builder.emit("le", (end, source[0]))))
