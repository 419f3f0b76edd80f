# SPDX-License-Identifier: Apache-2.0
"""Functions of `math`, `cmath` and NumPy that the runtime library has: which of its functions stands for which."""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from smelt.caching import MethodTable, add_method
from smelt.inference import comparisons, operators
from smelt.inference.calls import Primitive
from smelt.inference.overlays.numbers import as_floating
from smelt.ir import untyped
from smelt.ir.builder import Operand, constant
from smelt.runtime import floats, integers, scalars
from smelt.types import Kind, Scalar, Type, strong
from smelt.types.patterns import (
    array,
    floating,
    integer,
    iteration,
    number,
    range_type,
    real,
    tuple_like,
)

_BINARY: dict[Any, str] = {
    np.add: "+",
    np.subtract: "-",
    np.multiply: "*",
    np.divide: "/",
    np.floor_divide: "//",
    np.remainder: "%",
    np.power: "**",
    np.bitwise_and: "&",
    np.bitwise_or: "|",
    np.bitwise_xor: "^",
    np.left_shift: "<<",
    np.right_shift: ">>",
}
_COMPARISONS: dict[Any, str] = {
    np.equal: "==",
    np.not_equal: "!=",
    np.less: "<",
    np.less_equal: "<=",
    np.greater: ">",
    np.greater_equal: ">=",
}
_UNARY: dict[Any, str] = {np.negative: "-", np.positive: "+", np.invert: "~"}

# Functions with the signature that they are defined for, and the function of the runtime library that they are.
_FUNCTIONS: list[tuple[Any, tuple[Any, ...], Callable[..., Any]]] = [
    (np.clip, (real, real, real), scalars.clip),
    (np.sign, (real,), scalars.sign),
    (np.square, (number,), scalars.square),
    (np.reciprocal, (floating,), scalars.reciprocal),
    (np.fmin, (real, real), scalars.least_number),
    (np.fmax, (real, real), scalars.greatest_number),
    (np.logical_and, (number, number), scalars.logical_and),
    (np.logical_or, (number, number), scalars.logical_or),
    (np.logical_xor, (number, number), scalars.logical_xor),
    (np.logical_not, (number,), scalars.logical_not),
    (np.real, (number,), scalars.real_part),
    (np.imag, (number,), scalars.imaginary_part),
    (np.conjugate, (real,), scalars.conjugate),
    (builtins.sum, (array,), scalars.total),
    (builtins.sum, (range_type,), scalars.total),
    (builtins.sum, (array, number), scalars.total_from),
    (builtins.sum, (range_type, number), scalars.total_from),
    (builtins.sum, (tuple_like, number), scalars.total_from),
    (builtins.min, (array,), scalars.least),
    (builtins.min, (range_type,), scalars.least),
    (builtins.max, (array,), scalars.greatest),
    (builtins.max, (range_type,), scalars.greatest),
    (builtins.any, (array,), scalars.is_any),
    (builtins.sum, (iteration,), scalars.total),
    (builtins.any, (iteration,), scalars.is_any),
    (builtins.all, (iteration,), scalars.is_all),
    (builtins.any, (range_type,), scalars.is_any),
    (builtins.all, (array,), scalars.is_all),
    (builtins.all, (range_type,), scalars.is_all),
    (math.prod, (array,), scalars.product),
    (math.prod, (range_type,), scalars.product),
    (math.prod, (tuple_like,), scalars.product),
    (math.prod, (array, number), scalars.product_from),
    (math.prod, (range_type, number), scalars.product_from),
    (math.prod, (tuple_like, number), scalars.product_from),
    (math.dist, (tuple_like, tuple_like), scalars.distance),
    (math.gcd, (integer, integer), integers.greatest_common_divisor),
    (math.lcm, (integer, integer), integers.least_common_multiple),
    (np.gcd, (integer, integer), integers.greatest_common_divisor),
    (np.lcm, (integer, integer), integers.least_common_multiple),
    (math.factorial, (integer,), integers.factorial),
    (math.comb, (integer, integer), integers.combinations),
    (math.perm, (integer, integer), integers.permutations),
    (math.perm, (integer,), integers.factorial),
    (math.isqrt, (integer,), integers.integer_root),
    (math.isclose, (real, real), floats.is_close_by_default),
    (math.isclose, (real, real, real, real), floats.is_close),
]

# The same for functions of floating numbers: integers become floating numbers first.
_FLOATING: list[tuple[Any, int, Callable[..., Any]]] = [
    (math.fabs, 1, floats.size),
    (np.fabs, 1, floats.size),
    (math.modf, 1, floats.whole_and_rest),
    (np.modf, 1, floats.whole_and_rest),
    (math.nextafter, 2, floats.next_after),
    (np.nextafter, 2, floats.next_after),
    (math.ulp, 1, floats.last_place),
    (math.remainder, 2, floats.nearest_remainder),
    (math.log, 2, floats.logarithm_to_base),
    (math.degrees, 1, floats.degrees),
    (np.degrees, 1, floats.degrees),
    (np.rad2deg, 1, floats.degrees),
    (math.radians, 1, floats.radians),
    (np.radians, 1, floats.radians),
    (np.deg2rad, 1, floats.radians),
    (np.signbit, 1, floats.has_sign),
    (np.heaviside, 2, floats.heaviside),
    (np.logaddexp, 2, floats.log_of_sum),
]

_MANTISSA_BITS = {16: 10, 32: 23, 64: 52}


def define(table: MethodTable) -> None:
    """Add the methods that the runtime library stands for to `table`."""
    for function, symbol in _BINARY.items():
        add_method(table, function, (number, number), Primitive(_operator(operators.binary, symbol)))
    for function, symbol in _COMPARISONS.items():
        add_method(table, function, (number, number), Primitive(_operator(comparisons.compare, symbol)))
    for function, symbol in _UNARY.items():
        add_method(table, function, (number,), Primitive(_operator(operators.unary, symbol)))
    for function, signature, source in _FUNCTIONS:
        add_method(table, function, signature, source)
    for function, count, source in _FLOATING:
        add_method(table, function, (real,) * count, Primitive(_of_floats(source)))
    for rounding in (round, np.round, np.around):
        add_method(table, rounding, (floating, integer), Primitive(_of_floats(floats.rounded_to, others=1)))
    for module in (math, np):
        frexp, ldexp = _with_layout(floats.mantissa_and_exponent), _with_layout(floats.scaled)
        add_method(table, module.frexp, (real,), Primitive(frexp))
        add_method(table, module.ldexp, (real, integer), Primitive(ldexp))
    add_method(table, math.fsum, (tuple_like,), Primitive(_exact_sum))
    # Newer than Python 3.11.
    if hasattr(math, "sumprod"):
        add_method(table, math.sumprod, (tuple_like, tuple_like), scalars.sum_of_products)
    if hasattr(math, "fma"):
        add_method(table, math.fma, (real, real, real), Primitive(_fused))


def _operator(apply: Callable[..., Operand], symbol: str) -> Callable[..., Operand]:
    def infer(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
        return apply(context, symbol, *operands, node)

    return infer


def _of_floats(function: Callable[..., Any], others: int = 0) -> Callable[..., Operand]:
    """A call with floating operands of one type, but for the last `others`."""

    def infer(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
        count = len(operands) - others
        _, converted = as_floating(context, *operands[:count])
        return context.call_runtime(function, (*converted, *operands[count:]), node)  # type: ignore[no-any-return]

    return infer


def _with_layout(function: Callable[..., Any]) -> Callable[..., Operand]:
    """A call with a floating first operand, and the sizes of its mantissa and exponent as further ones."""

    def infer(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
        kind, (converted,) = as_floating(context, operands[0])
        mantissa, exponent = _sizes(strong(kind, has_doubles=context.builder.has_doubles))
        arguments = (converted, *operands[1:], constant(mantissa), constant(exponent))
        return context.call_runtime(function, arguments, node)  # type: ignore[no-any-return]

    return infer


def _sizes(kind: Type) -> tuple[int, int]:
    assert isinstance(kind, Scalar)
    mantissa = 7 if kind.kind is Kind.BRAIN_FLOATING else _MANTISSA_BITS[kind.bits]
    return mantissa, kind.bits - 1 - mantissa


def _fused(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:  # noqa: ARG001
    kind, converted = as_floating(context, *operands)
    return Operand(kind, context.builder.emit("fma", map(context.builder.value, converted)))


def _exact_sum(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
    """`math.fsum` of a tuple: what each addition rounds away is carried on, as often as there are items.

    Source: Ogita, Rump and Oishi, "Accurate sum and dot product" (2005), algorithm SumK.
    """
    parts: Iterable[Operand] = context.builder.parts(operands[0])
    _, converted = as_floating(context, constant(0.0), *parts)
    items = list(converted[1:])

    def apply(symbol: str, first: Operand, second: Operand) -> Operand:
        return operators.binary(context, symbol, first, second, node)

    for _ in range(len(items) - 1):
        for place in range(1, len(items)):
            first, second = items[place - 1], items[place]
            total = apply("+", first, second)
            back = apply("-", total, first)
            rest = apply("+", apply("-", first, apply("-", total, back)), apply("-", second, back))
            items[place - 1], items[place] = rest, total
    result = converted[0]
    for item in items:
        result = apply("+", result, item)
    return result
