# SPDX-License-Identifier: Apache-2.0
"""The functions of `runtime.bits`, which are single instructions."""

from __future__ import annotations

from typing import Any

from smelt.caching import MethodTable, add_method
from smelt.inference.calls import Primitive
from smelt.ir import untyped
from smelt.ir.builder import Operand
from smelt.runtime import bits
from smelt.types import Kind, Scalar, Type, complex_of, part_type, strong, weak_complex, weak_float
from smelt.types.patterns import floating, integer


def define(table: MethodTable) -> None:
    """Add the methods of the functions of bits to `table`."""
    add_method(table, bits.bits_of, (floating,), Primitive(_bits_of))
    add_method(table, bits.with_bits, (floating, integer), Primitive(_with_bits))
    add_method(table, bits.from_parts, (floating, floating), Primitive(_from_parts))


def _bits_of(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:  # noqa: ARG001
    (operand,) = operands
    kind = _unsigned(context, operand)
    return Operand(kind, context.builder.emit("reinterpret", (context.builder.value(operand),), kind))


def _with_bits(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:  # noqa: ARG001
    number, given = operands
    converted = context.builder.convert(given, _unsigned(context, number))
    return Operand(number.type, context.builder.emit("reinterpret", (context.builder.value(converted),), number.type))


def _unsigned(context: Any, operand: Operand) -> Scalar:
    scalar = strong(operand.type, has_doubles=context.builder.has_doubles)
    assert isinstance(scalar, Scalar)
    return Scalar(Kind.UNSIGNED, scalar.bits)


def _from_parts(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:  # noqa: ARG001
    builder = context.builder
    common, parts = builder.promoted(*operands)
    kind: Type = weak_complex
    if common != weak_float:
        kind = complex_of(common)
        parts = tuple(builder.convert(part, part_type(kind)) for part in parts)
    return Operand(kind, builder.emit("make", map(builder.value, parts), kind))
