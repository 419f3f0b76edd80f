# SPDX-License-Identifier: Apache-2.0
"""`cmath`, and NumPy's functions of complex numbers: which functions of the runtime library they are."""

from __future__ import annotations

import builtins
import cmath
from collections.abc import Callable
from typing import Any

import numpy as np

from smelt.caching import MethodTable, add_method
from smelt.inference.calls import Primitive
from smelt.inference.overlays.numbers import as_floating
from smelt.ir import untyped
from smelt.ir.builder import Operand
from smelt.runtime import complex_functions as functions
from smelt.types import Scalar, complex_of, weak_complex
from smelt.types.patterns import boolean_type, complex_number, number, real

# Functions of one number, by their names in cmath and in NumPy.
_FUNCTIONS: list[tuple[Callable[..., Any], str | None, str | None]] = [
    (functions.exponential, "exp", "exp"),
    (functions.power_of_two, None, "exp2"),
    (functions.exponential_less_one, None, "expm1"),
    (functions.logarithm, "log", "log"),
    (functions.logarithm_to_two, None, "log2"),
    (functions.logarithm_to_ten, "log10", "log10"),
    (functions.logarithm_of_one_more, None, "log1p"),
    (functions.root, "sqrt", "sqrt"),
    (functions.sine, "sin", "sin"),
    (functions.cosine, "cos", "cos"),
    (functions.tangent, "tan", "tan"),
    (functions.hyperbolic_sine, "sinh", "sinh"),
    (functions.hyperbolic_cosine, "cosh", "cosh"),
    (functions.hyperbolic_tangent, "tanh", "tanh"),
    (functions.inverse_sine, "asin", "arcsin"),
    (functions.inverse_cosine, "acos", "arccos"),
    (functions.inverse_tangent, "atan", "arctan"),
    (functions.inverse_hyperbolic_sine, "asinh", "arcsinh"),
    (functions.inverse_hyperbolic_cosine, "acosh", "arccosh"),
    (functions.inverse_hyperbolic_tangent, "atanh", "arctanh"),
    (functions.angle, "phase", "angle"),
    (functions.polar, "polar", None),
    (functions.is_nan, "isnan", "isnan"),
    (functions.is_infinite, "isinf", "isinf"),
    (functions.is_finite, "isfinite", "isfinite"),
    (functions.size, None, "absolute"),
    (functions.conjugate, None, "conjugate"),
    (functions.sign, None, "sign"),
    (functions.nearest, None, "rint"),
    (functions.reciprocal, None, "reciprocal"),
]


def define(table: MethodTable) -> None:
    """Add the methods of functions of complex numbers to `table`."""
    for function, in_cmath, in_numpy in _FUNCTIONS:
        if in_cmath is not None:
            add_method(table, getattr(cmath, in_cmath), (number,), Primitive(_of_complex(function)))
        if in_numpy is not None:
            add_method(table, getattr(np, in_numpy), (complex_number,), function)
    add_method(table, np.angle, (real,), Primitive(_of_complex(functions.angle)))
    add_method(table, np.angle, (number, boolean_type), Primitive(_of_complex(functions.angle_in)))
    add_method(table, builtins.abs, (complex_number,), functions.size)
    add_method(table, cmath.log, (number, number), Primitive(_of_complex(functions.logarithm_to_base, 2)))
    add_method(table, cmath.isclose, (number, number), Primitive(_of_complex(functions.is_close_by_default, 2)))
    add_method(table, cmath.isclose, (number,) * 2 + (real,) * 2, Primitive(_of_complex(functions.is_close, 2)))
    add_method(table, cmath.rect, (real, real), Primitive(_of_floats(functions.from_polar)))


def _of_complex(function: Callable[..., Any], count: int = 1) -> Callable[..., Operand]:
    """A call whose first operands are complex numbers of one type, which real ones become."""

    def infer(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
        converted = _as_complex(context, *operands[:count])
        return context.call_runtime(function, (*converted, *operands[count:]), node)  # type: ignore[no-any-return]

    return infer


def _as_complex(context: Any, *operands: Operand) -> tuple[Operand, ...]:
    common, converted = context.builder.promoted(*operands)
    if not common.is_complex:
        common, converted = as_floating(context, *operands)
        common = complex_of(common) if isinstance(common, Scalar) else weak_complex
    return tuple(context.builder.convert(operand, common) for operand in converted)


def _of_floats(function: Callable[..., Any]) -> Callable[..., Operand]:
    def infer(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
        _, converted = as_floating(context, *operands)
        return context.call_runtime(function, converted, node)  # type: ignore[no-any-return]

    return infer
