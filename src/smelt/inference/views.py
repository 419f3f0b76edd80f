# SPDX-License-Identifier: Apache-2.0
"""Parts of arrays: rows, slices, fields and transposed arrays. None of them copies elements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from smelt.inference import operators
from smelt.inference.context import Context
from smelt.ir import untyped
from smelt.ir.builder import FunctionBuilder, Operand, constant
from smelt.ir.typed import Value
from smelt.types import Array, Layout, Struct, boolean, value_of_element, weak_int


@dataclass(frozen=True)
class Axis:
    """How a part of an array takes one axis: a word of the operation `view` with its operands.

    `is_unit` says of a slice that its step is known to be 1.
    """

    word: str
    operands: tuple[Value, ...] = ()
    is_unit: bool = False


WHOLE = Axis("whole")
NEW = Axis("new")


def array_type_of(operand: Operand) -> Array:
    """The type of an operand that is known to be an array."""
    assert isinstance(operand.type, Array)
    return operand.type


def extent(builder: FunctionBuilder, array: Operand, dimension: int) -> Operand:
    """How many elements an array has along one axis."""
    return Operand(weak_int, builder.emit("extent", (builder.value(array),), dimension=dimension))


def shape(builder: FunctionBuilder, array: Operand) -> tuple[Operand, ...]:
    """The extents of an array along all axes."""
    return tuple(extent(builder, array, dimension) for dimension in range(array_type_of(array).dimensions))


def strides(builder: FunctionBuilder, array: Operand) -> tuple[Operand, ...]:
    """How many bytes lie between neighbours along each axis."""
    value = builder.value(array)
    return tuple(
        Operand(weak_int, builder.emit("stride", (value,), dimension=dimension))
        for dimension in range(array_type_of(array).dimensions)
    )


def part(builder: FunctionBuilder, array: Operand, axes: Sequence[Axis]) -> Operand:
    """The part of an array that `axes` take, which name every axis of the array and those that are new."""
    kind = array_type_of(array)
    dimensions = sum(axis.word != "index" for axis in axes)
    result = replace(kind, dimensions=dimensions, layout=_layout(kind.layout, axes, dimensions))
    operands = [value for axis in axes for value in axis.operands]
    words = tuple(axis.word for axis in axes)
    return Operand(result, builder.emit("view", (builder.value(array), *operands), result, axes=words))


def item(builder: FunctionBuilder, array: Operand, number: Operand) -> Operand:
    """What stands at a position, counted from the start and known to be one, of the first axis: an element, or a part."""
    kind = array_type_of(array)
    position = builder.value(number)
    if kind.dimensions == 1:
        return load(builder, array, (position,))
    return part(builder, array, [Axis("index", (position,)), *[WHOLE] * (kind.dimensions - 1)])


def load(builder: FunctionBuilder, array: Operand, indices: Sequence[Value]) -> Operand:
    """The element with these indices, counted from the start and known to be in the array."""
    kind = array_type_of(array)
    element = Operand(kind.element, builder.emit("load", (builder.value(array), *indices), kind.element))
    return builder.convert(element, value_of_element(kind.element))


def transposed(builder: FunctionBuilder, array: Operand) -> Operand:
    """The array with its axes in reverse order."""
    kind = array_type_of(array)
    if kind.dimensions < 2:
        return array
    layout = {Layout.C: Layout.F, Layout.F: Layout.C}.get(kind.layout, Layout.STRIDED)
    result = replace(kind, layout=layout)
    order = tuple(reversed(range(kind.dimensions)))
    return Operand(result, builder.emit("permute", (builder.value(array),), result, order=order))


def field(builder: FunctionBuilder, array: Operand, name: str) -> Operand | None:
    """The array of one field of an array of records, or None if there is no such field."""
    kind = array_type_of(array)
    index = kind.element.field(name) if isinstance(kind.element, Struct) else None
    if index is None:
        return None
    assert isinstance(kind.element, Struct)
    layout = Layout.STRIDED if kind.dimensions else Layout.C
    # Those of classes are laid out here, those of structured dtypes as the dtype says, which may be anywhere.
    is_aligned = kind.aligned and kind.element.python_class is not None
    result = replace(kind, element=kind.element.fields[index][1], layout=layout, aligned=is_aligned)
    return Operand(result, builder.emit("field", (builder.value(array),), result, index=index))


@dataclass(frozen=True)
class SliceLimits:
    """What Python's `slice.indices` gives: the first position, the position at which it ends, and the step between positions."""

    first: Operand
    end: Operand
    step: Operand
    is_backward: Operand


def slice_limits(
    context: Context,
    count: Operand,
    start: Operand | None,
    stop: Operand | None,
    step: Operand | None,
    node: untyped.Node,
) -> SliceLimits:
    """The limits of a slice of `count` elements. Raises `KernelError` for a step of 0."""
    builder = context.builder
    step = step if step is not None else constant(1)
    zero, one = constant(0), constant(1)

    def binary(symbol: str, left: Operand, right: Operand) -> Operand:
        return operators.binary(context, symbol, left, right, node)

    if step.is_constant and step.known == 0:
        raise context.error("slice step cannot be zero", node)
    if not step.is_constant:
        is_zero = builder.emit("ne", (builder.value(step), builder.value(zero)))
        builder.do("check", (is_zero,), error="ValueError", message="slice step cannot be zero")
    is_backward = _is_negative(builder, step)
    # The least and the greatest position that a limit can be.
    lowest = _either(builder, is_backward, constant(-1), zero)
    highest = _either(builder, is_backward, binary("-", count, one), count)

    def limit(given: Operand | None, default: Operand) -> Operand:
        if given is None:
            return default
        is_negative = _is_negative(builder, given)
        from_the_end = binary("+", given, count) if not (is_negative.is_constant and not is_negative.known) else given
        counted = _either(builder, is_negative, from_the_end, given)
        return _extreme(builder, "min", _extreme(builder, "max", counted, lowest), highest)

    first = limit(start, _either(builder, is_backward, highest, lowest))
    return SliceLimits(first, limit(stop, _either(builder, is_backward, lowest, highest)), step, is_backward)


def slice_axis(
    context: Context,
    count: Operand,
    start: Operand | None,
    stop: Operand | None,
    step: Operand | None,
    node: untyped.Node,
) -> Axis:
    """The axis that a slice takes of an axis with `count` elements."""
    builder = context.builder
    limits = slice_limits(context, count, start, stop, step, node)
    first, end, step, is_backward = limits.first, limits.end, limits.step, limits.is_backward
    zero, one = constant(0), constant(1)

    def binary(symbol: str, left: Operand, right: Operand) -> Operand:
        return operators.binary(context, symbol, left, right, node)

    span = _either(builder, is_backward, binary("-", first, end), binary("-", end, first))
    size = _either(builder, is_backward, operators.unary(context, "-", step, node), step)
    if not (size.is_constant and size.known == 1):
        # Rounded up, without an overflow for the greatest of steps.
        span = binary("+", _quotient(builder, binary("-", span, one), size), one)
    number = _extreme(builder, "max", span, zero)
    is_unit = step.is_constant and step.known == 1
    return Axis("slice", tuple(map(builder.value, (first, number, step))), is_unit)


def _is_negative(builder: FunctionBuilder, number: Operand) -> Operand:
    if number.is_constant:
        return constant(number.known < 0)
    return Operand(boolean, builder.emit("lt", (builder.value(number), builder.value(constant(0)))))


def _either(builder: FunctionBuilder, test: Operand, then: Operand, otherwise: Operand) -> Operand:
    if test.is_constant:
        return then if test.known else otherwise
    values = (builder.value(test), builder.value(then), builder.value(otherwise))
    return Operand(weak_int, builder.emit("select", values, weak_int))


def _extreme(builder: FunctionBuilder, operation: str, first: Operand, second: Operand) -> Operand:
    if first.is_constant and second.is_constant:
        return constant(min(first.known, second.known) if operation == "min" else max(first.known, second.known))
    return Operand(weak_int, builder.emit(operation, (builder.value(first), builder.value(second))))


def _quotient(builder: FunctionBuilder, dividend: Operand, divisor: Operand) -> Operand:
    """As `//`, for a divisor that is known not to be zero."""
    if dividend.is_constant and divisor.is_constant:
        return constant(dividend.known // divisor.known)
    return Operand(weak_int, builder.emit("floordiv", (builder.value(dividend), builder.value(divisor))))


def _layout(layout: Layout, axes: Sequence[Axis], dimensions: int) -> Layout:
    """What is known of the strides of a part: it is contiguous where the axis that varies slowest is cut, and those that vary
    faster are whole.
    """
    if dimensions == 0:
        return Layout.C
    old = [axis for axis in axes if axis.word != "new"]
    slowest_first = old if layout is Layout.C else old[::-1]
    if layout is Layout.STRIDED or not _is_contiguous(slowest_first):
        return Layout.STRIDED
    return Layout.C if dimensions == 1 else layout


def _is_contiguous(slowest_first: Sequence[Axis]) -> bool:
    kept = list(slowest_first)
    while kept and kept[0].word == "index":
        kept.pop(0)
    if kept and kept[0].word == "slice" and kept[0].is_unit:
        kept.pop(0)
    return all(axis.word == "whole" for axis in kept)
