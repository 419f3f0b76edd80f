# SPDX-License-Identifier: Apache-2.0
"""Python's operators on numbers and tuples: which operation they are, for operands of these types."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from smelt.inference.context import Context
from smelt.ir import untyped
from smelt.ir.builder import NONE, Operand, constant, is_boolean, is_integer, is_number
from smelt.ir.typed import Value
from smelt.runtime import powers
from smelt.types import (
    Constant,
    Scalar,
    Struct,
    Tuple,
    Type,
    Weak,
    boolean,
    int64,
    none,
    true_division_type,
    uint64,
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
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_PYTHON_UNARY: dict[str, Callable[[Any], Any]] = {"-": operator.neg, "+": operator.pos, "~": operator.invert}
_ARITHMETIC = {"+": "add", "-": "sub", "*": "mul", "/": "div", "//": "floordiv", "%": "mod"}
_BITWISE = {"&": "and", "|": "or", "^": "xor", "<<": "shl", ">>": "shr"}
_COMPARISONS = {"==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
_MOST_BITS_OF_A_CONSTANT = 4096


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
    if _are_weak_constants(left, right):
        folded = _fold(context, symbol, left.known, right.known, node)
        if folded is not None:
            return folded
    if symbol == "+" and isinstance(left.type, Tuple) and isinstance(right.type, Tuple):
        parts = context.builder.parts(left) + context.builder.parts(right)
        return Operand(Tuple(tuple(part.type for part in parts)), parts=parts)
    builder = context.builder
    common, operands = builder.promoted(left, right)
    if common is None or not is_number(common):
        raise context.error(f"bad operands for {symbol}: a {left.type} and a {right.type}", node)
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
        return _power(context, common, operands, node)
    if _is_complex(common):
        if symbol == "/":
            return context.call_runtime(powers.complex_quotient, operands, node)
        if symbol in ("//", "%"):
            raise context.error(f"complex numbers have no {symbol}", node)
    first, second = map(builder.value, operands)
    if is_integer(common) and symbol in ("//", "%"):
        message = "integer division or modulo by zero" if symbol == "//" else "integer modulo by zero"
        is_not_zero = builder.emit("ne", (second, _zero(context, common)))
        builder.do("check", (is_not_zero,), error="ZeroDivisionError", message=message)
    return Operand(common, builder.emit(_ARITHMETIC[symbol], (first, second)))


def compare(context: Context, symbol: str, left: Operand, right: Operand, node: untyped.Node) -> Operand:
    """One comparison of two operands."""
    if symbol in ("is", "is not"):
        return _identity(context, symbol, left, right, node)
    if symbol in ("in", "not in"):
        return _membership(context, symbol, left, right, node)
    if left.is_constant and right.is_constant and (_are_weak_constants(left, right) or _are_compile_time(left, right)):
        if symbol in ("==", "!=") or _are_weak_constants(left, right):
            return constant(bool(_PYTHON[symbol](left.known, right.known)))
        raise context.error(f"{left.type} and {right.type} have no order", node)
    if _is_tuple(left.type) and _is_tuple(right.type) and symbol in ("==", "!="):
        return _compare_tuples(context, symbol, left, right, node)
    if symbol in ("==", "!=") and _are_never_equal(left.type, right.type):
        return constant(symbol == "!=")
    builder = context.builder
    if is_integer(left.type) and is_integer(right.type) and left.type != right.type:
        return _compare_integers(context, symbol, left, right)
    common, operands = builder.promoted(left, right)
    if common is None or not is_number(common):
        raise context.error(f"a {left.type} and a {right.type} can't be compared with {symbol}", node)
    if _is_complex(common) and symbol not in ("==", "!="):
        raise context.error("complex numbers have no order", node, help="compare abs(z), or z.real")
    return Operand(boolean, builder.emit(_COMPARISONS[symbol], map(builder.value, operands)))


def truth(context: Context, operand: Operand, node: untyped.Node) -> Operand:
    """Whether `operand` counts as true, as a bool."""
    kind = operand.type
    if operand.is_constant:
        return constant(bool(operand.known))
    if _is_tuple(kind):
        return constant(bool(context.builder.parts(operand)))
    if is_boolean(kind):
        return operand
    if is_number(kind):
        is_not_zero = context.builder.emit("ne", (context.builder.value(operand), _zero(context, kind)))
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


def _power(context: Context, common: Type, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
    builder = context.builder
    base, exponent = operands
    if is_integer(common) and not (common == weak_int and exponent.is_constant and exponent.known < 0):
        if getattr(common, "is_signed", True):
            is_positive = builder.emit("ge", (builder.value(exponent), _zero(context, common)))
            message = "integers to negative integer powers are not allowed; convert one to float"
            builder.do("check", (is_positive,), error="ValueError", message=message)
        return context.call_runtime(powers.integer_power, (builder.convert(constant(1), common), base, exponent), node)
    if is_integer(common):
        # As in Python, where 2 ** -1 is 0.5.
        common, base, exponent = weak_float, builder.convert(base, weak_float), builder.convert(exponent, weak_float)
    if _is_complex(common):
        return context.call_runtime(powers.complex_power, (builder.convert(constant(1), common), base, exponent), node)
    return Operand(common, builder.emit("pow", (builder.value(base), builder.value(exponent))))


def _compare_integers(context: Context, symbol: str, left: Operand, right: Operand) -> Operand:
    """Integers of two types, compared by value as NumPy and Python do: no conversion may change one."""
    builder = context.builder
    if uint64 not in (left.type, right.type):
        values = [builder.value(builder.convert(operand, int64)) for operand in (left, right)]
        return Operand(boolean, builder.emit(_COMPARISONS[symbol], values))
    values = [builder.value(builder.convert(operand, uint64)) for operand in (left, right)]
    result = builder.emit(_COMPARISONS[symbol], values)
    for operand, is_less in ((left, True), (right, False)):
        if not getattr(operand.type, "is_signed", True) or (operand.is_constant and operand.known >= 0):
            continue
        # A negative integer is less than, and never equal to, any unsigned one.
        outcome = symbol == "!=" or symbol in (("<", "<=") if is_less else (">", ">="))
        is_negative = builder.emit("lt", (builder.value(operand), _zero(context, operand.type)))
        result = builder.emit("select", (is_negative, builder.value(constant(outcome)), result), boolean)
    return Operand(boolean, result)


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


def _zero(context: Context, kind: Type) -> Value:
    return context.builder.value(context.builder.convert(constant(0), kind))


def _is_complex(kind: Type) -> bool:
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
    except (ZeroDivisionError, TypeError, ValueError) as error:
        raise context.error(str(error), node) from error


def _identity(context: Context, symbol: str, left: Operand, right: Operand, node: untyped.Node) -> Operand:
    if none in (left.type, right.type) or (isinstance(left.type, Constant) and isinstance(right.type, Constant)):
        same = left.type == right.type
    elif is_boolean(right.type) and right.is_constant and (is_number(left.type) or _is_tuple(left.type)):
        # There is one True and one False.
        if is_boolean(left.type):
            return compare(context, "==" if symbol == "is" else "!=", left, right, node)
        same = False
    else:
        raise context.error(
            f"a {left.type} and a {right.type} can't be compared with {symbol}",
            node,
            help="compare values with == or !=",
        )
    return constant(same == (symbol == "is"))


def _membership(context: Context, symbol: str, item: Operand, group: Operand, node: untyped.Node) -> Operand:
    if not _is_tuple(group.type):
        raise context.error(
            f"a {group.type} can't be searched with {symbol}", node, help="search a tuple, or loop over it"
        )
    found = constant(False)
    for part in context.builder.parts(group):
        equal = compare(context, "==", item, part, node)
        if equal.is_constant and equal.known:
            found = equal
            break
        if not equal.is_constant:
            known = context.builder.value(found)
            found = Operand(boolean, context.builder.emit("or", (known, context.builder.value(equal))))
    return found if symbol == "in" else negation(context, found)


def _compare_tuples(context: Context, symbol: str, left: Operand, right: Operand, node: untyped.Node) -> Operand:
    builder = context.builder
    first, second = builder.parts(left), builder.parts(right)
    if len(first) != len(second):
        return constant(symbol == "!=")
    equal = constant(True)
    for one, other in zip(first, second, strict=True):
        part = compare(context, "==", one, other, node)
        if part.is_constant and not part.known:
            equal = part
            break
        if not part.is_constant:
            equal = Operand(boolean, builder.emit("and", (builder.value(equal), builder.value(part))))
    return equal if symbol == "==" else negation(context, equal)


def _are_weak_constants(left: Operand, right: Operand) -> bool:
    return (
        left.is_constant
        and right.is_constant
        and all(isinstance(o.type, Weak) or is_boolean(o.type) for o in (left, right))
    )


def _are_compile_time(left: Operand, right: Operand) -> bool:
    return all(isinstance(operand.type, Constant) for operand in (left, right)) or NONE in (left, right)


def _are_never_equal(first: Type, second: Type) -> bool:
    """Whether values of these types differ whatever they are: numbers, tuples, None and constants such as strings."""
    sorts = [
        "number"
        if is_number(kind)
        else "tuple"
        if _is_tuple(kind)
        else "constant"
        if isinstance(kind, Constant)
        else kind
        for kind in (first, second)
    ]
    known = [sort for sort in sorts if isinstance(sort, str) or sort == none]
    return len(known) == 2 and known[0] != known[1]


def _is_tuple(kind: Type) -> bool:
    return isinstance(kind, Tuple) or (isinstance(kind, Struct) and kind.is_tuple)
