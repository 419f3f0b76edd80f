# SPDX-License-Identifier: Apache-2.0
"""`math`, NumPy's functions of scalars, and conversions between numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from smelt.caching import MethodTable, add_method
from smelt.inference.calls import Primitive
from smelt.inference.operators import truth
from smelt.ir import untyped
from smelt.ir.builder import Operand, is_boolean, is_integer
from smelt.types import SCALARS, Kind, Scalar, Type, boolean, dtype_of, float32, float64, strong, weak_float, weak_int
from smelt.types.patterns import number, real

# The names of operations, and under which names math and NumPy have them.
_FUNCTIONS = {
    "sqrt": ("sqrt", "sqrt"),
    "tgamma": ("gamma", None),
    "lgamma": ("lgamma", None),
    "floor": (None, "floor"),
    "ceil": (None, "ceil"),
    "trunc": (None, "trunc"),
    "rint": (None, "rint"),
}
_FUNCTIONS_OF_TWO = {
    "fmod": ("fmod", "fmod"),
    "copysign": ("copysign", "copysign"),
}


def define(table: MethodTable) -> None:
    """Add the methods of functions of numbers to `table`."""
    for operation, names in (*_FUNCTIONS.items(), *_FUNCTIONS_OF_TWO.items()):
        signature = (real,) if operation in _FUNCTIONS else (real, real)
        for module, name in zip((math, np), names, strict=True):
            if name is not None:
                add_method(table, getattr(module, name), signature, Primitive(operation_of_floats(operation)))
    for name, operation in (("floor", "floor"), ("ceil", "ceil"), ("trunc", "trunc")):
        add_method(table, getattr(math, name), (real,), Primitive(_rounding(operation)))
    for module in (math, np):
        add_method(table, module.isnan, (real,), Primitive(_is_nan))
        add_method(table, module.isinf, (real,), Primitive(_is_infinite))
        add_method(table, module.isfinite, (real,), Primitive(_is_finite))
    add_method(table, np.minimum, (real, real), Primitive(_extreme("lt")))
    add_method(table, np.maximum, (real, real), Primitive(_extreme("gt")))
    add_method(table, np.where, (number, number, number), Primitive(_where))
    add_method(table, np.absolute, (real,), Primitive(absolute))
    for scalar in SCALARS:
        add_method(table, scalar, (number,), Primitive(_conversion(scalar)))
        if scalar.kind is not Kind.BRAIN_FLOATING:
            add_method(table, dtype_of(scalar).type, (number,), Primitive(_conversion(scalar)))


def as_floating(context: Any, *operands: Operand) -> tuple[Type, tuple[Operand, ...]]:
    """Real operands as floating numbers of one type: that which they have in common, or doubles for integers."""
    common, converted = context.builder.promoted(*operands)
    if is_boolean(common) or (is_integer(common) and isinstance(common, Scalar)):
        common = float64 if context.builder.has_doubles else float32
    elif is_integer(common):
        common = weak_float
    return common, tuple(context.builder.convert(operand, common) for operand in converted)


def absolute(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:  # noqa: ARG001
    """The absolute value of a real number."""
    (operand,) = operands
    if is_boolean(operand.type):
        return operand
    return Operand(operand.type, context.builder.emit("abs", (context.builder.value(operand),)))


def operation_of_floats(operation: str) -> Callable[..., Operand]:
    """A call that is one operation on floating numbers."""

    def infer(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:  # noqa: ARG001
        kind, converted = as_floating(context, *operands)
        return Operand(kind, context.builder.emit(operation, map(context.builder.value, converted)))

    return infer


def _rounding(operation: str) -> Callable[..., Operand]:
    # math's functions give integers, NumPy's floating numbers.
    def infer(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:  # noqa: ARG001
        (operand,) = operands
        builder = context.builder
        if is_integer(operand.type) or is_boolean(operand.type):
            return operand
        rounded = Operand(operand.type, builder.emit(operation, (builder.value(operand),)))
        return to_integer(context, rounded)

    return infer


def to_integer(context: Any, operand: Operand) -> Operand:
    """A real number as an integer, rounded towards zero: weak, as Python's `int` is."""
    return context.builder.convert(operand, weak_int)  # type: ignore[no-any-return]


def _is_nan(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:  # noqa: ARG001
    _, (operand,) = as_floating(context, *operands)
    value = context.builder.value(operand)
    return Operand(boolean, context.builder.emit("ne", (value, value)))


def _is_finite(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:  # noqa: ARG001
    kind, (operand,) = as_floating(context, *operands)
    value = context.builder.value(operand)
    # Infinity and NaN less themselves are NaN, which equals nothing.
    difference = context.builder.emit("sub", (value, value))
    zero = context.builder.emit("constant", (), kind, value=0.0)
    return Operand(boolean, context.builder.emit("eq", (difference, zero)))


def _is_infinite(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:  # noqa: ARG001
    kind, (operand,) = as_floating(context, *operands)
    size = context.builder.emit("abs", (context.builder.value(operand),))
    infinity = context.builder.emit("constant", (), kind, value=math.inf)
    return Operand(boolean, context.builder.emit("eq", (size, infinity)))


def _extreme(order: str) -> Callable[..., Operand]:
    def infer(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:  # noqa: ARG001
        builder = context.builder
        common, converted = builder.promoted(*operands)
        first, second = map(builder.value, converted)
        wins = builder.emit(order, (first, second))
        if not is_integer(common) and not is_boolean(common):
            # A NaN wins, as in NumPy.
            wins = builder.emit("or", (wins, builder.emit("ne", (first, first))))
        return Operand(common, builder.emit("select", (wins, first, second), common))

    return infer


def _where(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
    builder = context.builder
    test = truth(context, operands[0], node)
    common, chosen = builder.promoted(*operands[1:])
    if test.is_constant:
        return chosen[0] if test.known else chosen[1]  # type: ignore[no-any-return]
    return Operand(common, builder.emit("select", map(builder.value, (test, *chosen)), common))


def _conversion(scalar: Scalar) -> Callable[..., Operand]:
    def infer(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
        (operand,) = operands
        kind = strong(operand.type, has_doubles=context.builder.has_doubles)
        if isinstance(kind, Scalar) and kind.is_complex and not scalar.is_complex:
            raise context.error(f"a {operand.type} can't become a {scalar}", node, help="take .real or .imag")
        return context.builder.convert(operand, scalar)  # type: ignore[no-any-return]

    return infer
