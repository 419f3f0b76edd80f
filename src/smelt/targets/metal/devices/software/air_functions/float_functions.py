# SPDX-License-Identifier: Apache-2.0
"""Functions of AIR on floating-point numbers.

The `fast` ones are the precise ones: Metal promises less of them, not something else. Those of half are computed in float and rounded
once. What a function does is described in the Metal Shading Language Specification, chapters 6 and 8.
"""

from __future__ import annotations

import re

from smelt.targets.metal.devices.software.air_functions.function_bodies import (
    FLOATS,
    Body,
    Families,
    Write,
    element_of,
    suffix_of,
    word_of,
)


def _intrinsic(names: dict[str, str]) -> Write:
    """A function that is one of LLVM's own on floats."""

    def write(body: Body, family: str) -> str:
        name = names[word_of(family)]
        return body.in_float(lambda operands: body.call("float", f"llvm.{name}.f32", *(("float", o) for o in operands)))

    return write


def _library(body: Body, family: str) -> str:
    """A function of the C library's on floats."""
    name = f"{word_of(family)}f"
    return body.in_float(lambda operands: body.call("float", name, *(("float", o) for o in operands)))


def _of_pi(body: Body, family: str) -> str:
    """`sinpi` and the like: in double, where multiplying by pi costs no digit that shows in float."""
    name = word_of(family).removesuffix("pi")

    def compute(operands: list[str]) -> str:
        wide = body.do(f"fpext float {operands[0]} to double")
        # What is left of a multiple of 2 is exact.
        turn = body.do(f"frem double {wide}, 2.0")
        angle = body.do(f"fmul double {turn}, 0x400921FB54442D18")
        return body.do(f"fptrunc double {body.call('double', name, ('double', angle))} to float")

    return body.in_float(compute)


def _rsqrt(body: Body, _: str) -> str:
    def compute(operands: list[str]) -> str:
        # Rounded once: the root is taken in double.
        wide = body.do(f"fpext float {operands[0]} to double")
        root = body.call("double", "llvm.sqrt.f64", ("double", wide))
        return body.do(f"fptrunc double {body.do(f'fdiv double 1.0, {root}')} to float")

    return body.in_float(compute)


def _fract(body: Body, _: str) -> str:
    def compute(operands: list[str]) -> str:
        floor = body.call("float", "llvm.floor.f32", ("float", operands[0]))
        part = body.do(f"fsub float {operands[0]}, {floor}")
        # Below 1, however it is rounded.
        return body.call("float", "llvm.minnum.f32", ("float", part), ("float", "0x3FEFFFFFE0000000"))

    return body.in_float(compute)


def _fmod(body: Body, _: str) -> str:
    return body.in_float(lambda operands: body.do(f"frem float {operands[0]}, {operands[1]}"))


def _ldexp(body: Body, _: str) -> str:
    kind = body.declared.parameters[1]
    return body.by_element(
        lambda element, operands: body.call(
            element,
            f"llvm.ldexp.{suffix_of(element)}.i32",
            (element, operands[0]),
            (kind.split(" x ")[-1].rstrip(">"), operands[1]),
        )
    )


def _clamp_of_floats(body: Body, _: str) -> str:
    def compute(operands: list[str]) -> str:
        least = body.call("float", "llvm.maxnum.f32", ("float", operands[0]), ("float", operands[1]))
        return body.call("float", "llvm.minnum.f32", ("float", least), ("float", operands[2]))

    return body.in_float(compute)


def _dot(body: Body, _: str) -> str:
    kind = body.declared.parameters[0]
    vector = re.fullmatch(r"<(\d+) x (\w+)>", kind)
    assert vector is not None
    total = ""
    for place in range(int(vector[1])):
        first, second = (body.do(f"extractelement {kind} %p{number}, i32 {place}") for number in (0, 1))
        product = body.do(f"fmul {vector[2]} {first}, {second}")
        total = body.do(f"fadd {vector[2]} {total}, {product}") if total else product
    return total


def _of_three(body: Body, family: str) -> str:
    """The least, the greatest, or the middle one of three numbers."""
    word = word_of(family)

    def extreme(which: str, first: str, second: str) -> str:
        return body.call("float", f"llvm.{which}num.f32", ("float", first), ("float", second))

    def compute(operands: list[str]) -> str:
        first, second, third = operands
        if word != "fmedian3":
            return extreme(word[1:4], extreme(word[1:4], first, second), third)
        low, high = extreme("min", first, second), extreme("max", first, second)
        return extreme("max", low, extreme("min", high, third))

    return body.in_float(compute)


def _saturate(body: Body, _: str) -> str:
    def compute(operands: list[str]) -> str:
        # NaN becomes 0.
        least = body.call("float", "llvm.maxnum.f32", ("float", operands[0]), ("float", "0.0"))
        return body.call("float", "llvm.minnum.f32", ("float", least), ("float", "1.0"))

    return body.in_float(compute)


def _sign(body: Body, _: str) -> str:
    def compute(operands: list[str]) -> str:
        one = body.call("float", "llvm.copysign.f32", ("float", "1.0"), ("float", operands[0]))
        is_none = body.do(f"fcmp ueq float {operands[0]}, 0.0")
        is_nan = body.do(f"fcmp uno float {operands[0]}, 0.0")
        zero = body.do(f"select i1 {is_nan}, float 0.0, float {operands[0]}")
        return body.do(f"select i1 {is_none}, float {zero}, float {one}")

    return body.in_float(compute)


def _mix(body: Body, _: str) -> str:
    def compute(operands: list[str]) -> str:
        first, second, part = operands
        difference = body.do(f"fsub float {second}, {first}")
        return body.do(f"fadd float {first}, {body.do(f'fmul float {difference}, {part}')}")

    return body.in_float(compute)


def _quotient(body: Body, family: str) -> str:
    is_reciprocal = word_of(family) == "recip"
    return body.in_float(
        lambda operands: body.do(
            f"fdiv float 1.0, {operands[0]}" if is_reciprocal else f"fdiv float {operands[0]}, {operands[1]}"
        )
    )


def _with_second_result(body: Body, family: str) -> str:
    """`sincos`, `modf`, `frexp`: one result is returned, the other one stored."""
    word = word_of(family)
    pointer = f"{body.declared.parameters[1]} %p1"
    stored: list[str] = []

    def compute(kind: str, operands: list[str]) -> str:
        operand = operands[0]
        wide = operand if kind == "float" else body.do(f"fpext {kind} {operand} to float")

        def narrow(value: str) -> str:
            return value if kind == "float" else body.do(f"fptrunc float {value} to {kind}")

        if word == "sincos":
            stored.append(narrow(body.call("float", "llvm.cos.f32", ("float", wide))))
            return narrow(body.call("float", "llvm.sin.f32", ("float", wide)))
        if word == "modf":
            whole = body.call("float", "llvm.trunc.f32", ("float", wide))
            stored.append(narrow(whole))
            is_endless = body.do(f"fcmp oeq float {wide}, {whole}")
            part = body.do(f"fsub float {wide}, {whole}")
            exact = body.do(f"select i1 {is_endless}, float 0.0, float {part}")
            return narrow(body.call("float", "llvm.copysign.f32", ("float", exact), ("float", wide)))
        pair = body.call("{ float, i32 }", "llvm.frexp.f32.i32", ("float", wide))
        stored.append(body.do(f"extractvalue {{ float, i32 }} {pair}, 1"))
        return narrow(body.do(f"extractvalue {{ float, i32 }} {pair}, 0"))

    result = body.by_element(compute)
    kind = body.kind if word != "frexp" else body.kind.replace(element_of(body.kind), "i32")
    whole = stored[0]
    if kind.startswith("<"):
        whole = "poison"
        for place, value in enumerate(stored):
            whole = body.do(f"insertelement {kind} {whole}, {element_of(kind)} {value}, i32 {place}")
    body.lines.append(f"store {kind} {whole}, {pointer}")
    return result


def _exponent(body: Body, _: str) -> str:
    """`ilogb`."""
    source = element_of(body.declared.parameters[0])

    def compute(kind: str, operands: list[str]) -> str:
        wide = operands[0] if source == "float" else body.do(f"fpext {source} {operands[0]} to float")
        return body.call(kind, "ilogbf", ("float", wide))

    return body.by_element(compute)


def _length(body: Body, family: str) -> str:
    """`length`, `distance` and `normalize` of vectors."""
    word, kind = word_of(family), body.declared.parameters[0]
    scalar, vector = element_of(kind), "%p0"
    if word == "distance":
        vector = body.do(f"fsub {kind} %p0, %p1")
    total = ""
    count = int(re.findall(r"<(\d+) x", kind)[0]) if kind.startswith("<") else 1
    for place in range(count):
        part = body.do(f"extractelement {kind} {vector}, i32 {place}") if kind.startswith("<") else vector
        wide = part if scalar == "float" else body.do(f"fpext {scalar} {part} to float")
        square = body.do(f"fmul float {wide}, {wide}")
        total = body.do(f"fadd float {total}, {square}") if total else square
    length = body.call("float", "llvm.sqrt.f32", ("float", total))
    if word != "normalize":
        return length if scalar == "float" else body.do(f"fptrunc float {length} to {scalar}")
    result = "poison"
    for place in range(count):
        part = body.do(f"extractelement {kind} {vector}, i32 {place}")
        wide = part if scalar == "float" else body.do(f"fpext {scalar} {part} to float")
        divided = body.do(f"fdiv float {wide}, {length}")
        narrow = divided if scalar == "float" else body.do(f"fptrunc float {divided} to {scalar}")
        result = body.do(f"insertelement {kind} {result}, {scalar} {narrow}, i32 {place}")
    return result


_SAME_NAMES = (
    *("sqrt", "floor", "ceil", "trunc", "rint", "round", "fabs", "fma", "copysign"),
    *("sin", "cos", "exp", "exp2", "exp10", "log", "log2", "log10", "pow"),
)
_INTRINSICS = {**{name: name for name in _SAME_NAMES}, "powr": "pow", "fmin": "minnum", "fmax": "maxnum"}
_OF_LIBRARY = ("acos", "asin", "atan", "atan2", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "tan", "nextafter")

FLOAT_FAMILIES: Families = (
    (rf"(?:fast_)?(?:{'|'.join(_INTRINSICS)})\.{FLOATS}", _intrinsic(_INTRINSICS)),
    (rf"(?:fast_)?(?:{'|'.join(_OF_LIBRARY)})\.{FLOATS}", _library),
    (rf"(?:fast_)?(?:sin|cos|tan)pi\.{FLOATS}", _of_pi),
    (rf"(?:fast_)?rsqrt\.{FLOATS}", _rsqrt),
    (rf"(?:fast_)?fract\.{FLOATS}", _fract),
    (rf"(?:fast_)?fmod\.{FLOATS}", _fmod),
    (rf"(?:fast_)?ldexp\.{FLOATS}", _ldexp),
    (rf"(?:fast_)?clamp\.{FLOATS}", _clamp_of_floats),
    (rf"(?:fast_)?saturate\.{FLOATS}", _saturate),
    (rf"(?:fast_)?sign\.{FLOATS}", _sign),
    (rf"(?:fast_)?mix\.{FLOATS}", _mix),
    (rf"(?:fast_)?(?:divide|recip)\.{FLOATS}", _quotient),
    (rf"(?:fast_)?(?:fmin3|fmax3|fmedian3)\.{FLOATS}", _of_three),
    (rf"(?:fast_)?(?:sincos|modf|frexp)\.{FLOATS}", _with_second_result),
    (rf"(?:fast_)?ilogb\.(?:(?:v\d+)?i32\.)?{FLOATS}", _exponent),
    (rf"(?:fast_)?(?:length|distance|normalize)\.{FLOATS}", _length),
    (rf"(?:fast_)?dot\.{FLOATS}", _dot),
)
