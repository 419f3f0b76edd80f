# SPDX-License-Identifier: Apache-2.0
"""Arithmetic on scalars: instructions of the typed program as instructions of LLVM, with Python's meaning.

Nothing here has undefined behaviour for any operands: what LLVM leaves undefined (the quotient of the least integer and -1, a shift
by more than there are bits, a float that no integer can hold) is given the value that NumPy's wrap-around gives it.
"""

from __future__ import annotations

import struct
from typing import Protocol

from smelt.lowering.layout import register_type
from smelt.types import Kind, Scalar


class Writer(Protocol):
    """Where instructions are written."""

    def emit(self, instruction: str) -> str:
        """Write an instruction that computes something, and return the name of that."""
        ...

    def declare(self, name: str, result: str, parameters: tuple[str, ...]) -> str:
        """Declare a function of LLVM's or of the C library, and return its name as an operand."""
        ...


_INTEGER = {"add": "add", "sub": "sub", "mul": "mul", "and": "and", "or": "or", "xor": "xor"}
_FLOATING = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
_SIGNED_ORDER = {"eq": "eq", "ne": "ne", "lt": "slt", "le": "sle", "gt": "sgt", "ge": "sge"}
_UNSIGNED_ORDER = {"eq": "eq", "ne": "ne", "lt": "ult", "le": "ule", "gt": "ugt", "ge": "uge"}
# Ordered: a comparison with NaN is false, and != is true.
_FLOATING_ORDER = {"eq": "oeq", "ne": "une", "lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge"}
_LLVM_FUNCTIONS = {
    "sqrt": "sqrt",
    "exp": "exp",
    "exp2": "exp2",
    "log": "log",
    "log2": "log2",
    "log10": "log10",
    "sin": "sin",
    "cos": "cos",
    "floor": "floor",
    "ceil": "ceil",
    "trunc": "trunc",
    "rint": "rint",
    "copysign": "copysign",
    "pow": "pow",
    "fma": "fma",
}


_SINGLE = Scalar(Kind.FLOATING, 32)


def constant(scalar: Scalar, value: complex) -> str:
    """A number as an operand."""
    if scalar.kind is Kind.BOOLEAN:
        return "true" if value else "false"
    if scalar.is_integer:
        bits = int(value.real) & ((1 << scalar.bits) - 1)
        return str(bits - (1 << scalar.bits) if scalar.is_signed and bits >> (scalar.bits - 1) else bits)
    if scalar.kind is Kind.FLOATING and scalar.bits == 16:
        return f"0xH{struct.unpack('<H', struct.pack('<e', value.real))[0]:04X}"
    if scalar.kind is Kind.BRAIN_FLOATING:
        return f"0xR{_brain_bits(float(value.real)):04X}"
    number = float(value.real)
    if scalar.bits == 32:
        # A float is written as the double of the same value.
        number = _as_float32(number)
    return f"0x{struct.unpack('<Q', struct.pack('<d', number))[0]:016X}"


def binary(writer: Writer, operation: str, scalar: Scalar, first: str, second: str) -> str:
    """One of `add sub mul div floordiv mod pow and or xor shl shr min max atan2 hypot fmod copysign`."""
    kind = register_type(scalar)
    if operation in ("min", "max"):
        # As Python's: the first one, unless the second is really less.
        wins = compare(writer, "lt" if operation == "min" else "gt", scalar, second, first)
        return writer.emit(f"select i1 {wins}, {kind} {second}, {kind} {first}")
    if scalar.is_floating:
        return _floating_binary(writer, operation, scalar, first, second)
    if operation in _INTEGER:
        return writer.emit(f"{_INTEGER[operation]} {kind} {first}, {second}")
    if operation in ("shl", "shr"):
        return _shift(writer, operation, scalar, first, second)
    if operation in ("floordiv", "mod"):
        divide = _signed_division if scalar.is_signed else _unsigned_division
        return divide(writer, operation, scalar, first, second)
    raise AssertionError(operation)


def compare(writer: Writer, operation: str, scalar: Scalar, first: str, second: str) -> str:
    """One of `eq ne lt le gt ge`, as an i1."""
    kind = register_type(scalar)
    if scalar.is_floating:
        return writer.emit(f"fcmp {_FLOATING_ORDER[operation]} {kind} {first}, {second}")
    order = _SIGNED_ORDER if scalar.is_signed else _UNSIGNED_ORDER
    return writer.emit(f"icmp {order[operation]} {kind} {first}, {second}")


def unary(writer: Writer, operation: str, scalar: Scalar, operand: str) -> str:
    """One of `neg invert abs`, or a floating function."""
    kind = register_type(scalar)
    if operation == "neg":
        return writer.emit(f"fneg {kind} {operand}" if scalar.is_floating else f"sub {kind} 0, {operand}")
    if operation == "invert":
        return writer.emit(f"xor {kind} {operand}, {'true' if kind == 'i1' else '-1'}")
    if operation == "abs":
        if scalar.is_floating:
            return _call(writer, f"llvm.fabs.{_suffix(scalar)}", kind, (kind,), (operand,))
        if not scalar.is_signed:
            return operand
        function = writer.declare(f"llvm.abs.{kind}", kind, (kind, "i1"))
        return writer.emit(f"call {kind} {function}({kind} {operand}, i1 false)")
    return floating_function(writer, operation, scalar, (operand,))


def floating_function(writer: Writer, operation: str, scalar: Scalar, operands: tuple[str, ...]) -> str:
    """A function of floating numbers, of LLVM's or of the C library. Narrow numbers are computed as float32."""
    if scalar.bits == 16:
        wide = tuple(convert(writer, scalar, _SINGLE, operand) for operand in operands)
        return convert(writer, _SINGLE, scalar, floating_function(writer, operation, _SINGLE, wide))
    kind = register_type(scalar)
    kinds = (kind,) * len(operands)
    if operation in _LLVM_FUNCTIONS:
        return _call(writer, f"llvm.{_LLVM_FUNCTIONS[operation]}.{_suffix(scalar)}", kind, kinds, operands)
    name = operation if scalar.bits == 64 else f"{operation}f"
    return _call(writer, name, kind, kinds, operands)


def reinterpret(writer: Writer, source: Scalar, target: Scalar, operand: str) -> str:
    """The same bits as a number of another type."""
    return writer.emit(f"bitcast {register_type(source)} {operand} to {register_type(target)}")


def convert(writer: Writer, source: Scalar, target: Scalar, operand: str) -> str:
    """A real number as another type of real number."""
    if source == target:
        return operand
    old, new = register_type(source), register_type(target)
    if target.kind is Kind.BOOLEAN:
        zero = constant(source, 0)
        return writer.emit(f"fcmp une {old} {operand}, {zero}" if source.is_floating else f"icmp ne {old} {operand}, 0")
    if source.is_floating and target.is_floating:
        return _between_floats(writer, source, target, operand)
    if source.is_floating:
        which = "fptosi" if target.is_signed else "fptoui"
        function = f"llvm.{which}.sat.{new}.{_suffix(source)}"
        return _call(writer, function, new, (old,), (operand,))
    if target.kind is Kind.BRAIN_FLOATING:
        return convert(writer, _SINGLE, target, convert(writer, source, _SINGLE, operand))
    if target.is_floating:
        return writer.emit(f"{'sitofp' if source.is_signed else 'uitofp'} {old} {operand} to {new}")
    if old == new:
        return operand
    if source.kind is Kind.BOOLEAN or source.bits < target.bits:
        return writer.emit(f"{'sext' if source.is_signed else 'zext'} {old} {operand} to {new}")
    return writer.emit(f"trunc {old} {operand} to {new}")


def _floating_binary(writer: Writer, operation: str, scalar: Scalar, first: str, second: str) -> str:
    kind = register_type(scalar)
    is_single = operation in _FLOATING
    if is_single and scalar.kind is not Kind.BRAIN_FLOATING:
        return writer.emit(f"{_FLOATING[operation]} {kind} {first}, {second}")
    if not is_single and operation not in ("floordiv", "mod"):
        return floating_function(writer, operation, scalar, (first, second))
    if scalar.bits == 16:
        wide = tuple(convert(writer, scalar, _SINGLE, operand) for operand in (first, second))
        return convert(writer, _SINGLE, scalar, _floating_binary(writer, operation, _SINGLE, *wide))
    # CPython's float_divmod: the remainder has the divisor's sign, and the quotient is made from it.
    zero = constant(scalar, 0)
    remainder = writer.emit(f"frem {kind} {first}, {second}")
    is_zero = writer.emit(f"fcmp oeq {kind} {remainder}, {zero}")
    below = writer.emit(f"fcmp olt {kind} {remainder}, {zero}")
    divisor_below = writer.emit(f"fcmp olt {kind} {second}, {zero}")
    differs = writer.emit(f"xor i1 {below}, {divisor_below}")
    not_zero = writer.emit(f"xor i1 {is_zero}, true")
    wrong = writer.emit(f"and i1 {differs}, {not_zero}")
    if operation == "mod":
        moved = writer.emit(f"fadd {kind} {remainder}, {second}")
        fixed = writer.emit(f"select i1 {wrong}, {kind} {moved}, {kind} {remainder}")
        signed_zero = floating_function(writer, "copysign", scalar, (zero, second))
        return writer.emit(f"select i1 {is_zero}, {kind} {signed_zero}, {kind} {fixed}")
    difference = writer.emit(f"fsub {kind} {first}, {remainder}")
    quotient = writer.emit(f"fdiv {kind} {difference}, {second}")
    less = writer.emit(f"fsub {kind} {quotient}, {constant(scalar, 1)}")
    floored = writer.emit(f"select i1 {wrong}, {kind} {less}, {kind} {quotient}")
    whole = floating_function(writer, "rint", scalar, (floored,))
    # By a divisor of zero it is the plain quotient, infinite or NaN, as NumPy's.
    plain = writer.emit(f"fdiv {kind} {first}, {second}")
    quotient_is_zero = writer.emit(f"fcmp oeq {kind} {floored}, {zero}")
    signed_zero = floating_function(writer, "copysign", scalar, (zero, plain))
    result = writer.emit(f"select i1 {quotient_is_zero}, {kind} {signed_zero}, {kind} {whole}")
    by_zero = writer.emit(f"fcmp oeq {kind} {second}, {zero}")
    return writer.emit(f"select i1 {by_zero}, {kind} {plain}, {kind} {result}")


def _signed_division(writer: Writer, operation: str, scalar: Scalar, first: str, second: str) -> str:
    kind = register_type(scalar)
    # The least integer divided by -1 overflows; by -1 the quotient is the negation, which wraps around, and nothing remains.
    by_minus_one = writer.emit(f"icmp eq {kind} {second}, -1")
    divisor = writer.emit(f"select i1 {by_minus_one}, {kind} 1, {kind} {second}")
    remainder = writer.emit(f"srem {kind} {first}, {divisor}")
    is_inexact = writer.emit(f"icmp ne {kind} {remainder}, 0")
    signs = writer.emit(f"xor {kind} {remainder}, {divisor}")
    differ = writer.emit(f"icmp slt {kind} {signs}, 0")
    floors = writer.emit(f"and i1 {is_inexact}, {differ}")
    if operation == "mod":
        moved = writer.emit(f"add {kind} {remainder}, {divisor}")
        result = writer.emit(f"select i1 {floors}, {kind} {moved}, {kind} {remainder}")
        return writer.emit(f"select i1 {by_minus_one}, {kind} 0, {kind} {result}")
    quotient = writer.emit(f"sdiv {kind} {first}, {divisor}")
    step = writer.emit(f"zext i1 {floors} to {kind}")
    floored = writer.emit(f"sub {kind} {quotient}, {step}")
    negated = writer.emit(f"sub {kind} 0, {first}")
    return writer.emit(f"select i1 {by_minus_one}, {kind} {negated}, {kind} {floored}")


def _unsigned_division(writer: Writer, operation: str, scalar: Scalar, first: str, second: str) -> str:
    kind = register_type(scalar)
    return writer.emit(f"{'udiv' if operation == 'floordiv' else 'urem'} {kind} {first}, {second}")


def _shift(writer: Writer, operation: str, scalar: Scalar, first: str, second: str) -> str:
    kind = register_type(scalar)
    is_far = writer.emit(f"icmp uge {kind} {second}, {scalar.bits}")
    if operation == "shr" and scalar.is_signed:
        # Far to the right only the sign is left.
        amount = writer.emit(f"select i1 {is_far}, {kind} {scalar.bits - 1}, {kind} {second}")
        return writer.emit(f"ashr {kind} {first}, {amount}")
    amount = writer.emit(f"select i1 {is_far}, {kind} 0, {kind} {second}")
    shifted = writer.emit(f"{'shl' if operation == 'shl' else 'lshr'} {kind} {first}, {amount}")
    return writer.emit(f"select i1 {is_far}, {kind} 0, {kind} {shifted}")


def _between_floats(writer: Writer, source: Scalar, target: Scalar, operand: str) -> str:
    old, new = register_type(source), register_type(target)
    if source.bits == target.bits:
        operand, source = writer.emit(f"fpext {old} {operand} to float"), _SINGLE
    elif source.bits == 64 and target.bits == 16:
        operand, source = _rounded_to_odd(writer, operand), _SINGLE
    old = register_type(source)
    if target.kind is Kind.BRAIN_FLOATING:
        return _upper_half(writer, operand)
    return writer.emit(f"{'fpext' if source.bits < target.bits else 'fptrunc'} {old} {operand} to {new}")


def _upper_half(writer: Writer, single: str) -> str:
    """A float as a bfloat, which is the upper half of its bits: rounded to the nearest, halves to even; NaN stays NaN.

    LLVM has an instruction for it, which is a call for each number on processors without one like it, and wrong for vectors of eight
    on AArch64 without one (seen in LLVM 20 to 22: it looks for the halves to even in another register than it rounds).
    """
    bits = writer.emit(f"bitcast float {single} to i32")
    cut = writer.emit(f"lshr i32 {bits}, 16")
    parity = writer.emit(f"and i32 {cut}, 1")
    less_than_half = writer.emit(f"add i32 {parity}, 32767")
    carried = writer.emit(f"add i32 {bits}, {less_than_half}")
    rounded = writer.emit(f"lshr i32 {carried}, 16")
    is_nan = writer.emit(f"fcmp uno float {single}, {constant(_SINGLE, 0)}")
    quiet = writer.emit(f"or i32 {cut}, 64")
    chosen = writer.emit(f"select i1 {is_nan}, i32 {quiet}, i32 {rounded}")
    half = writer.emit(f"trunc i32 {chosen} to i16")
    return writer.emit(f"bitcast i16 {half} to bfloat")


def _rounded_to_odd(writer: Writer, double: str) -> str:
    """A double as a float whose last bit says whether anything was rounded away, so that it can be rounded again.

    No processor that smelt knows makes half precision of doubles.
    Source: Boldo and Melquiond, "When double rounding is odd" (2005).
    """
    narrow = writer.emit(f"fptrunc double {double} to float")
    back = writer.emit(f"fpext float {narrow} to double")
    is_inexact = writer.emit(f"fcmp one double {back}, {double}")
    sizes = [_call(writer, "llvm.fabs.f64", "double", ("double",), (number,)) for number in (back, double)]
    is_larger = writer.emit(f"fcmp ogt double {sizes[0]}, {sizes[1]}")
    bits = writer.emit(f"bitcast float {narrow} to i32")
    smaller = writer.emit(f"sub i32 {bits}, 1")
    towards_zero = writer.emit(f"select i1 {is_larger}, i32 {smaller}, i32 {bits}")
    odd = writer.emit(f"or i32 {towards_zero}, 1")
    chosen = writer.emit(f"select i1 {is_inexact}, i32 {odd}, i32 {bits}")
    return writer.emit(f"bitcast i32 {chosen} to float")


def _call(writer: Writer, name: str, result: str, kinds: tuple[str, ...], operands: tuple[str, ...]) -> str:
    function = writer.declare(name, result, kinds)
    arguments = ", ".join(f"{kind} {operand}" for kind, operand in zip(kinds, operands, strict=True))
    return writer.emit(f"call {result} {function}({arguments})")


def _suffix(scalar: Scalar) -> str:
    return "bf16" if scalar.kind is Kind.BRAIN_FLOATING else f"f{scalar.bits}"


def _as_float32(number: float) -> float:
    try:
        narrow: float = struct.unpack("<f", struct.pack("<f", number))[0]
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")
    return narrow


def _brain_bits(number: float) -> int:
    bits: int = struct.unpack("<I", struct.pack("<f", _as_float32(number)))[0]
    if number != number:  # noqa: PLR0124 - NaN, of which rounding could make an infinity
        return (bits >> 16) | 0x40
    # To the nearest, halves to even.
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16) & 0xFFFF
