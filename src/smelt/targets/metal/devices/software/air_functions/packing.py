# SPDX-License-Identifier: Apache-2.0
"""Functions of AIR that pack numbers between 0 and 1, or -1 and 1, into integers of few bits, and unpack them.

The first number is in the lowest bits. Source: the Metal Shading Language Specification, sections 6.14 and 8.7.
"""

from __future__ import annotations

import re

from smelt.targets.metal.devices.software.air_functions.function_bodies import Body, Families, element_of

_FORMATS = {
    "4x8": (8, 8, 8, 8),
    "2x16": (16, 16),
    "10a2": (10, 10, 10, 2),
    "565": (5, 6, 5),
}
_NAME = re.compile(
    r"(?P<way>un)?pack\.(?P<sign>[us])norm\.?(?:rgb)?(?P<format>4x8|2x16|10a2|565)(?P<is_srgb>\.srgb)?\.v\d(?P<kind>f16|f32)"
)


def _places(widths: tuple[int, ...], *, is_reversed: bool) -> list[int]:
    """The lowest bits of the numbers; of 5, 6 and 5 bits the last number is the lowest."""
    places = [sum(widths[:number]) for number in range(len(widths))]
    return [sum(widths) - place - width for place, width in zip(places, widths, strict=True)] if is_reversed else places


def _pack(body: Body, family: str) -> str:
    found = _NAME.fullmatch(family)
    assert found is not None
    widths = _FORMATS[found["format"]]
    vector, kind = body.declared.parameters[0], element_of(body.declared.parameters[0])
    is_signed, result = found["sign"] == "s", body.kind
    total = "0"
    places = _places(widths, is_reversed=found["format"] == "565")
    for number, (width, place) in enumerate(zip(widths, places, strict=True)):
        value = body.do(f"extractelement {vector} %p0, i32 {number}")
        if kind != "float":
            value = body.do(f"fpext {kind} {value} to float")
        value = body.call("float", "llvm.maxnum.f32", ("float", value), ("float", "-1.0" if is_signed else "0.0"))
        value = body.call("float", "llvm.minnum.f32", ("float", value), ("float", "1.0"))
        if found["is_srgb"] and number < 3:
            value = _to_srgb(body, value)
        most = (1 << width - 1) - 1 if is_signed else (1 << width) - 1
        value = body.do(f"fmul float {value}, {float(most)}")
        value = body.call("float", "llvm.rint.f32", ("float", value))
        whole = body.do(f"fptosi float {value} to i32")
        low = body.do(f"and i32 {whole}, {(1 << width) - 1}")
        placed = body.do(f"shl i32 {low}, {place}")
        total = body.do(f"or i32 {total}, {placed}")
    return total if result == "i32" else body.do(f"trunc i32 {total} to {result}")


def _unpack(body: Body, family: str) -> str:
    found = _NAME.fullmatch(family)
    assert found is not None
    widths = _FORMATS[found["format"]]
    kind, is_signed = element_of(body.kind), found["sign"] == "s"
    given = body.declared.parameters[0]
    bits = "%p0" if given == "i32" else body.do(f"zext {given} %p0 to i32")
    result = "poison"
    places = _places(widths, is_reversed=found["format"] == "565")
    for number, (width, place) in enumerate(zip(widths, places, strict=True)):
        high = body.do(f"shl i32 {bits}, {32 - place - width}")
        whole = body.do(f"{'ashr' if is_signed else 'lshr'} i32 {high}, {32 - width}")
        value = body.do(f"{'s' if is_signed else 'u'}itofp i32 {whole} to float")
        most = (1 << width - 1) - 1 if is_signed else (1 << width) - 1
        value = body.do(f"fdiv float {value}, {float(most)}")
        if is_signed:
            # There is one number more below zero than above.
            value = body.call("float", "llvm.maxnum.f32", ("float", value), ("float", "-1.0"))
        if found["is_srgb"] and number < 3:
            value = _from_srgb(body, value)
        if kind != "float":
            value = body.do(f"fptrunc float {value} to {kind}")
        result = body.do(f"insertelement {body.kind} {result}, {kind} {value}, i32 {number}")
    return result


def _number(value: float) -> str:
    """A number of LLVM IR's type double, which is wide enough for the constants of sRGB."""
    return f"{value:.17e}"


def _to_srgb(body: Body, value: str) -> str:
    """IEC 61966-2-1: linear up to 0.0031308, a power of 1/2.4 above."""
    wide = body.do(f"fpext float {value} to double")
    linear = body.do(f"fmul double {wide}, {_number(12.92)}")
    power = body.call("double", "pow", ("double", wide), ("double", _number(1 / 2.4)))
    curved = body.do(f"fsub double {body.do(f'fmul double {power}, {_number(1.055)}')}, {_number(0.055)}")
    is_low = body.do(f"fcmp olt double {wide}, {_number(0.0031308)}")
    return body.do(f"fptrunc double {body.do(f'select i1 {is_low}, double {linear}, double {curved}')} to float")


def _from_srgb(body: Body, value: str) -> str:
    wide = body.do(f"fpext float {value} to double")
    linear = body.do(f"fdiv double {wide}, {_number(12.92)}")
    base = body.do(f"fdiv double {body.do(f'fadd double {wide}, {_number(0.055)}')}, {_number(1.055)}")
    curved = body.call("double", "pow", ("double", base), ("double", _number(2.4)))
    is_low = body.do(f"fcmp ole double {wide}, {_number(0.04045)}")
    return body.do(f"fptrunc double {body.do(f'select i1 {is_low}, double {linear}, double {curved}')} to float")


_NAMES = r"[us]norm\.?(?:rgb)?(?:4x8|2x16|10a2|565)(?:\.srgb)?\.v\d(?:f16|f32)"

PACKING_FAMILIES: Families = ((rf"pack\.{_NAMES}", _pack), (rf"unpack\.{_NAMES}", _unpack))
