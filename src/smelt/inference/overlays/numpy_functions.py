# SPDX-License-Identifier: Apache-2.0
"""NumPy's functions of scalars that `runtime.numpy_functions` has, and those that are builtins under another name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from smelt.caching import MethodTable, add_method
from smelt.inference import operators
from smelt.inference.calls import Primitive
from smelt.inference.overlays.builtin_functions import quotient_and_remainder
from smelt.inference.overlays.numbers import as_floating
from smelt.ir import untyped
from smelt.ir.builder import Operand, constant
from smelt.runtime import numpy_functions as functions
from smelt.types import boolean, strong, weak_complex, weak_float
from smelt.types.patterns import boolean_type, complex_number, floating, integer, number, real

_OF_FLOATS: list[tuple[Any, int, Callable[..., Any]]] = [
    (np.logaddexp2, 2, functions.log_of_sum_of_powers_of_two),
    (np.spacing, 1, functions.spacing),
    (np.sinc, 1, functions.normalised_sinc),
    (np.isclose, 2, functions.is_close_by_default),
    (np.isposinf, 1, functions.is_positive_infinity),
    (np.isneginf, 1, functions.is_negative_infinity),
]


def define(table: MethodTable) -> None:
    """Add the methods of NumPy's functions to `table`."""
    for function, count, source in _OF_FLOATS:
        add_method(table, function, (real,) * count, Primitive(_of_floats(source, count)))
    close = Primitive(_of_floats(functions.is_close, 2))
    add_method(table, np.isclose, (real, real, real, real, boolean_type), close)
    add_method(table, np.nan_to_num, (floating,), functions.number_instead)
    add_method(table, np.nan_to_num, (integer,), Primitive(_unchanged))
    add_method(table, np.fmod, (integer, integer), Primitive(_of_integers(functions.remainder_towards_zero)))
    add_method(table, np.reciprocal, (integer,), functions.reciprocal_of_integer)
    add_method(table, np.bitwise_count, (integer,), functions.count_bits)
    add_method(table, np.divmod, (real, real), Primitive(quotient_and_remainder))
    add_method(table, np.float_power, (number, number), Primitive(_power_of_doubles))
    for function in (np.floor, np.ceil, np.trunc, np.round, np.around):
        add_method(table, function, (integer,), Primitive(_unchanged))
    for function in (np.round, np.around):
        add_method(table, function, (floating,), Primitive(_rounded))
    for function, is_real in ((np.isreal, True), (np.iscomplex, False)):
        add_method(table, function, (real,), Primitive(_always(is_real)))
        add_method(table, function, (complex_number,), Primitive(_compared_with_real("eq" if is_real else "ne")))


def _of_floats(function: Callable[..., Any], count: int) -> Callable[..., Operand]:
    def infer(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
        _, converted = as_floating(context, *operands[:count])
        return context.call_runtime(function, (*converted, *operands[count:]), node)  # type: ignore[no-any-return]

    return infer


def _of_integers(function: Callable[..., Any]) -> Callable[..., Operand]:
    def infer(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
        common, converted = context.builder.promoted(*operands)
        if not common.is_integer:
            # int64 and uint64 have only float64 in common.
            return Operand(common, context.builder.emit("fmod", map(context.builder.value, converted)))
        return context.call_runtime(function, converted, node)  # type: ignore[no-any-return]

    return infer


def _power_of_doubles(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
    weak = weak_complex if any(operators.is_complex(operand.type) for operand in operands) else weak_float
    kind = strong(weak, has_doubles=context.builder.has_doubles)
    base, exponent = (context.builder.convert(operand, kind) for operand in operands)
    return operators.binary(context, "**", base, exponent, node)


def _unchanged(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:  # noqa: ARG001
    return operands[0]


def _rounded(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:  # noqa: ARG001
    return Operand(operands[0].type, context.builder.emit("rint", (context.builder.value(operands[0]),)))


def _always(value: bool) -> Callable[..., Operand]:
    def infer(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:  # noqa: ARG001
        return constant(value)

    return infer


def _compared_with_real(operation: str) -> Callable[..., Operand]:
    def infer(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
        imaginary = context.attribute(operands[0], "imag", node)
        zero = context.builder.convert(constant(0), imaginary.type)
        values = map(context.builder.value, (imaginary, zero))
        return Operand(boolean, context.builder.emit(operation, values))

    return infer
