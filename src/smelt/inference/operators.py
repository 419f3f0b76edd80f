# SPDX-License-Identifier: Apache-2.0
"""Python's operators on numbers and tuples: which operation they are, for operands of these types."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

from smelt.inference import captured
from smelt.inference.context import Context
from smelt.ir import untyped
from smelt.ir.builder import Operand, constant, is_boolean, is_integer, is_number
from smelt.ir.typed import Value
from smelt.runtime import powers, scalars
from smelt.types import (
    Array,
    Dict,
    Scalar,
    Struct,
    Tuple,
    Type,
    Weak,
    boolean,
    int64,
    true_division_type,
    weak_float,
    weak_int,
)

_PYTHON: dict[str, Callable[..., Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
    "&": operator.and_,
    "|": operator.or_,
    "^": operator.xor,
    "<<": operator.lshift,
    ">>": operator.rshift,
}
_PYTHON_UNARY: dict[str, Callable[[Any], Any]] = {"-": operator.neg, "+": operator.pos, "~": operator.invert}
_DIVISIONS_BY_ZERO = {
    "/": "division by zero",
    "//": "integer division or modulo by zero",
    "%": "integer modulo by zero",
    "**": "zero to a negative power",
}
_ARITHMETIC = {"+": "add", "-": "sub", "*": "mul", "/": "div", "//": "floordiv", "%": "mod"}
_BITWISE = {"&": "and", "|": "or", "^": "xor", "<<": "shl", ">>": "shr"}
_MOST_BITS_OF_A_CONSTANT = 4096
# Powers of floats that are one operation, which rounds as it should.
_SIMPLE_POWERS = {-1: scalars.reciprocal, 0.5: powers.square_root_power, 1: scalars.same, 2: scalars.square}


def unary(context: Context, symbol: str, operand: Operand, node: untyped.Node) -> Operand:
    """`-x`, `+x`, `~x`; `not x` is `truth` and `negation`."""
    kind = operand.type
    if operand.is_constant and isinstance(kind, Weak):
        return constant(_PYTHON_UNARY[symbol](operand.known))
    builder = context.builder
    if symbol == "~" and (is_integer(kind) or is_boolean(kind)):
        return Operand(kind, builder.emit("invert", (builder.value(operand),)))
    if symbol in "+-" and is_number(kind) and not is_boolean(kind):
        return operand if symbol == "+" else Operand(kind, builder.emit("neg", (builder.value(operand),)))
    raise context.error(f"bad operand for {symbol}: a {kind}", node)


def binary(context: Context, symbol: str, left: Operand, right: Operand, node: untyped.Node) -> Operand:
    """`left symbol right`, for numbers and tuples."""
    if are_weak_constants(left, right):
        folded = _fold(context, symbol, left.known, right.known, node)
        if folded is not None:
            return folded
    if symbol == "+" and isinstance(left.type, Tuple) and type(left.type) is type(right.type):
        parts = context.builder.parts(left) + context.builder.parts(right)
        return Operand(type(left.type)(tuple(part.type for part in parts)), parts=parts)
    builder = context.builder
    common, operands = builder.promoted(left, right)
    if common is None or not is_number(common):
        raise context.error(
            f"bad operands for {symbol}: a {left.type} and a {right.type}", node, help=advice_for(left.type, right.type)
        )
    if symbol == "/":
        # Converted once: -2 is no uint8, but a quotient of bytes is a float64.
        common = true_division_type(common, has_doubles=builder.has_doubles)
        operands = (builder.convert(left, common), builder.convert(right, common))
    for operand in (left, right):
        _refuse_too_large(context, operand, common, node)
    if symbol in _BITWISE:
        return _bitwise(context, symbol, common, operands, node)
    if is_boolean(common):
        # Python's booleans are integers in arithmetic.
        common, operands = int64, tuple(builder.convert(operand, int64) for operand in operands)
    if symbol == "**":
        return _power(context, common, operands, right, node)
    if is_complex(common):
        if symbol == "/":
            return context.call_runtime(powers.complex_quotient, operands, node)
        if symbol in ("//", "%"):
            raise context.error(f"complex numbers have no {symbol}", node)
    first, second = map(builder.value, operands)
    if is_integer(common) and symbol in ("//", "%"):
        is_not_zero = builder.emit("ne", (second, zero_of(context, common)))
        builder.do("check", (is_not_zero,), error="ZeroDivisionError", message=_DIVISIONS_BY_ZERO[symbol])
    return Operand(common, builder.emit(_ARITHMETIC[symbol], (first, second)))


def truth(context: Context, operand: Operand, node: untyped.Node) -> Operand:
    """Whether `operand` counts as true, as a bool."""
    kind = operand.type
    if isinstance(kind, Dict):
        return constant(bool(captured.keys(context, operand, node).parts))
    if operand.is_constant:
        return constant(bool(operand.known))
    if is_tuple(kind):
        return constant(bool(context.builder.parts(operand)))
    if is_boolean(kind):
        return operand
    if is_number(kind):
        is_not_zero = context.builder.emit("ne", (context.builder.value(operand), zero_of(context, kind)))
        return Operand(boolean, is_not_zero)
    raise context.error(f"a {kind} is neither true nor false", node, help="compare it with something")


def negation(context: Context, operand: Operand) -> Operand:
    """`not operand`, of a bool."""
    if operand.is_constant:
        return constant(not operand.known)
    return Operand(boolean, context.builder.emit("not", (context.builder.value(operand),)))


def as_index(context: Context, operand: Operand, node: untyped.Node) -> Operand:
    """An operand that counts or selects: an integer, as a weak one."""
    if is_boolean(operand.type) or not is_integer(operand.type):
        raise context.error(
            f"an index is an integer, not a {operand.type}",
            node,
            help="convert it with int(), which rounds towards zero",
        )
    return context.builder.convert(operand, weak_int)


def _bitwise(context: Context, symbol: str, common: Type, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
    builder = context.builder
    if is_boolean(common) and symbol in ("<<", ">>"):
        common, operands = int64, tuple(builder.convert(operand, int64) for operand in operands)
    if not (is_integer(common) or is_boolean(common)):
        raise context.error(f"{symbol} is for integers and bools, not for a {common}", node)
    return Operand(common, builder.emit(_BITWISE[symbol], map(builder.value, operands)))


def _power(
    context: Context, common: Type, operands: tuple[Operand, ...], given: Operand, node: untyped.Node
) -> Operand:
    """`base ** exponent`, of operands of one type; `given` is the exponent as it was before it was converted."""
    builder = context.builder
    base, exponent = operands
    if is_integer(common) and not (common == weak_int and exponent.is_constant and exponent.known < 0):
        if getattr(common, "is_signed", True):
            is_positive = builder.emit("ge", (builder.value(exponent), zero_of(context, common)))
            message = "integers to negative integer powers are not allowed; convert one to float"
            builder.do("check", (is_positive,), error="ValueError", message=message)
        return context.call_runtime(powers.integer_power, (builder.convert(constant(1), common), base, exponent), node)
    if is_integer(common):
        # As in Python, where 2 ** -1 is 0.5.
        common, base, exponent = weak_float, builder.convert(base, weak_float), builder.convert(exponent, weak_float)
    if is_complex(common):
        return context.call_runtime(powers.complex_power, (builder.convert(constant(1), common), base, exponent), node)
    if given.is_constant and given.known in _SIMPLE_POWERS:
        return context.call_runtime(_SIMPLE_POWERS[given.known], (base,), node)
    return context.call_operand(constant(math.pow), (base, exponent), {}, node)


def _refuse_too_large(context: Context, operand: Operand, common: Type, node: untyped.Node) -> None:
    """NumPy refuses Python integers that the other operand's type can't hold; so do kernels where they are constants."""
    if not (operand.is_constant and isinstance(common, Scalar) and common.is_integer and operand.type == weak_int):
        return
    least = -(1 << (common.bits - 1)) if common.is_signed else 0
    if not least <= operand.known < least + (1 << common.bits):
        raise context.error(
            f"{operand.known} does not fit into {common}, the type of the other operand",
            node,
            help="convert the other operand to a wider type, such as smelt.int64(x)",
        )


def zero_of(context: Context, kind: Type) -> Value:
    """0 of a type of numbers."""
    return context.builder.value(context.builder.convert(constant(0), kind))


def is_complex(kind: Type) -> bool:
    """Whether this is a type of complex numbers."""
    return isinstance(kind, (Scalar, Weak)) and kind.is_complex


def _fold(context: Context, symbol: str, left: Any, right: Any, node: untyped.Node) -> Operand | None:
    is_integral = isinstance(left, int) and isinstance(right, int)
    bits = int(left).bit_length() * abs(right) if symbol == "**" and is_integral else right if symbol == "<<" else 0
    if bits > _MOST_BITS_OF_A_CONSTANT:
        raise context.error(f"a constant of more than {_MOST_BITS_OF_A_CONSTANT} bits", node, help="use a float")
    try:
        return constant(_PYTHON[symbol](left, right))
    except OverflowError:
        # Infinite, as floats that are computed when the kernel runs are.
        return None
    except ZeroDivisionError as error:
        # Python's own words differ between its releases.
        message = _DIVISIONS_BY_ZERO[symbol] if is_integral else "division by zero"
        raise context.error(message, node) from error
    except (TypeError, ValueError) as error:
        raise context.error(str(error), node) from error


def advice_for(*kinds: Type) -> str:
    """What to write instead of an operation that these types don't have."""
    return "loop over the elements" if any(isinstance(kind, Array) for kind in kinds) else ""


def are_weak_constants(left: Operand, right: Operand) -> bool:
    """Whether both are Python's own numbers, and known."""
    return (
        left.is_constant
        and right.is_constant
        and all(isinstance(o.type, Weak) or is_boolean(o.type) for o in (left, right))
    )


def is_tuple(kind: Type) -> bool:
    """Whether this is a type of tuples, named or not."""
    return isinstance(kind, Tuple) or (isinstance(kind, Struct) and kind.is_tuple)
