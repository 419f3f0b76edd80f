# SPDX-License-Identifier: Apache-2.0
"""Functions of AIR on integers, and conversions. Source: the Metal Shading Language Specification, chapter 6."""

from __future__ import annotations

from smelt.targets.metal.devices.software.air_functions.function_bodies import (
    INTEGERS,
    Body,
    Families,
    element_of,
    suffix_of,
    word_of,
)


def _integers(body: Body, family: str) -> str:
    """`abs`, `min`, `max`, `clamp` and those of three, of signed or unsigned integers."""
    name, sign = family.split(".")[:2]

    def extreme(which: str, kind: str, first: str, second: str) -> str:
        return body.call(kind, f"llvm.{sign}{which}.{kind}", (kind, first), (kind, second))

    def compute(kind: str, operands: list[str]) -> str:
        if name == "abs":
            return (
                operands[0]
                if sign == "u"
                else body.call(kind, f"llvm.abs.{kind}", (kind, operands[0]), ("i1", "false"))
            )
        if name == "clamp":
            return extreme("min", kind, extreme("max", kind, operands[0], operands[1]), operands[2])
        result = operands[0]
        for operand in operands[1:]:
            result = extreme(name.rstrip("3"), kind, result, operand)
        return result

    return body.by_element(compute)


def _bits(body: Body, family: str) -> str:
    name = {"clz": "ctlz", "ctz": "cttz", "popcount": "ctpop", "reverse_bits": "bitreverse"}[word_of(family)]

    def compute(kind: str, operands: list[str]) -> str:
        # Whether zero is undefined makes no difference here: it counts all bits.
        flag = (("i1", "false"),) if name in ("ctlz", "cttz") else ()
        return body.call(kind, f"llvm.{name}.{kind}", (kind, operands[0]), *flag)

    return body.by_element(compute)


def _high_product(body: Body, family: str) -> str:
    extend = "sext" if family.split(".")[1] == "s" else "zext"

    def compute(kind: str, operands: list[str]) -> str:
        bits = int(kind[1:])
        wide = f"i{2 * bits}"
        first, second = (body.do(f"{extend} {kind} {operand} to {wide}") for operand in operands)
        high = body.do(f"lshr {wide} {body.do(f'mul {wide} {first}, {second}')}, {bits}")
        return body.do(f"trunc {wide} {high} to {kind}")

    return body.by_element(compute)


_ROUNDINGS = {"rte": "rint", "rtp": "ceil", "rtn": "floor"}


def _convert(body: Body, family: str) -> str:
    """`convert.<sort>.<type>.<sort>.<type>`, sorts being f, s and u."""
    _, to_sort, _, from_sort, *last = family.split(".")
    rounding = _ROUNDINGS.get(last[-1])
    source = element_of(body.declared.parameters[0])

    def compute(kind: str, operands: list[str]) -> str:
        (operand,) = operands
        if to_sort == "f" and from_sort == "f":
            return _between_floats(body, source, kind, operand)
        if to_sort == "f":
            return body.do(f"{'sitofp' if from_sort == 's' else 'uitofp'} {source} {operand} to {kind}")
        if from_sort == "f" and kind == "i1":
            # NaN is true.
            return body.do(f"fcmp une {source} {operand}, 0.0")
        if from_sort == "f":
            if rounding is not None:
                operand = body.call(source, f"llvm.{rounding}.{suffix_of(source)}", (source, operand))
            return body.call(kind, f"llvm.fpto{to_sort}i.sat.{kind}.{suffix_of(source)}", (source, operand))
        return _between_integers(body, source, kind, operand, is_signed=from_sort == "s")

    return body.by_element(compute)


def _between_floats(body: Body, source: str, kind: str, operand: str) -> str:
    sizes = {"half": 16, "bfloat": 16, "float": 32, "double": 64}
    if source == kind:
        return operand
    if sizes[source] < sizes[kind]:
        return body.do(f"fpext {source} {operand} to {kind}")
    if sizes[source] == sizes[kind]:
        operand, source = body.do(f"fpext {source} {operand} to float"), "float"
    return body.do(f"fptrunc {source} {operand} to {kind}")


def _between_integers(body: Body, source: str, kind: str, operand: str, *, is_signed: bool) -> str:
    if source == kind:
        return operand
    if kind == "i1":
        return body.do(f"icmp ne {source} {operand}, 0")
    if int(source[1:]) > int(kind[1:]):
        return body.do(f"trunc {source} {operand} to {kind}")
    return body.do(f"{'sext' if is_signed else 'zext'} {source} {operand} to {kind}")


def _median(body: Body, family: str) -> str:
    sign = family.split(".")[1]

    def compute(kind: str, operands: list[str]) -> str:
        def extreme(which: str, first: str, second: str) -> str:
            return body.call(kind, f"llvm.{sign}{which}.{kind}", (kind, first), (kind, second))

        first, second, third = operands
        low, high = extreme("min", first, second), extreme("max", first, second)
        return extreme("max", low, extreme("min", high, third))

    return body.by_element(compute)


def _saturating(body: Body, family: str) -> str:
    name, sign = family.split(".")[:2]
    return body.by_element(
        lambda kind, operands: body.call(
            kind, f"llvm.{sign}{name[:3]}.sat.{kind}", (kind, operands[0]), (kind, operands[1])
        )
    )


def _wide(body: Body, family: str) -> str:
    """What is computed with more bits: halved sums, differences, products that are added to or saturated."""
    name, sign = family.split(".")[:2]
    extend = "sext" if sign == "s" else "zext"

    def compute(kind: str, operands: list[str]) -> str:
        bits = int(kind[1:])
        wide = f"i{2 * bits}"
        numbers = [body.do(f"{extend} {kind} {operand} to {wide}") for operand in operands]
        if name in ("hadd", "rhadd"):
            total = body.do(f"add {wide} {numbers[0]}, {numbers[1]}")
            if name == "rhadd":
                total = body.do(f"add {wide} {total}, 1")
            return body.do(f"trunc {wide} {body.do(f'ashr {wide} {total}, 1')} to {kind}")
        if name == "absdiff":
            difference = body.do(f"sub {wide} {numbers[0]}, {numbers[1]}")
            size = body.call(wide, f"llvm.abs.{wide}", (wide, difference), ("i1", "false"))
            return body.do(f"trunc {wide} {size} to {kind}")
        product = body.do(f"mul {wide} {numbers[0]}, {numbers[1]}")
        if name == "mad_hi":
            high = body.do(f"trunc {wide} {body.do(f'lshr {wide} {product}, {bits}')} to {kind}")
            return body.do(f"add {kind} {high}, {operands[2]}")
        # Of the whole numbers of this size the nearest.
        total = body.do(f"add {wide} {product}, {numbers[2]}")
        least, most = (-(1 << bits - 1), (1 << bits - 1) - 1) if sign == "s" else (0, (1 << bits) - 1)
        # A signed comparison is right for both: twice as many bits leave room for a sum, if not for all of an unsigned one.
        order = "s" if sign == "s" else "u"
        bounded = body.call(wide, f"llvm.{order}min.{wide}", (wide, total), (wide, str(most)))
        bounded = body.call(wide, f"llvm.{order}max.{wide}", (wide, bounded), (wide, str(least)))
        return body.do(f"trunc {wide} {bounded} to {kind}")

    return body.by_element(compute)


def _of_24_bits(body: Body, family: str) -> str:
    name, sign = family.split(".")[:2]

    def compute(kind: str, operands: list[str]) -> str:
        moved = [body.do(f"shl {kind} {operand}, 8") for operand in operands[:2]]
        low = [body.do(f"{'ashr' if sign == 's' else 'lshr'} {kind} {number}, 8") for number in moved]
        product = body.do(f"mul {kind} {low[0]}, {low[1]}")
        return body.do(f"add {kind} {product}, {operands[2]}") if name == "mad24" else product

    return body.by_element(compute)


def _rotate(body: Body, _: str) -> str:
    return body.by_element(
        lambda kind, operands: body.call(
            kind, f"llvm.fshl.{kind}", (kind, operands[0]), (kind, operands[0]), (kind, operands[1])
        )
    )


def _bits_of(body: Body, family: str) -> str:
    """`extract_bits` and `insert_bits`: so many bits from a place on."""
    name, *rest = family.split(".")
    place_kind = body.declared.parameters[-1]

    def compute(kind: str, operands: list[str]) -> str:
        *values, offset, count = operands
        wide = "i128"
        size = body.do(f"zext {place_kind} {count} to {wide}")
        begin = body.do(f"zext {place_kind} {offset} to {wide}")
        ones = body.do(f"sub {wide} {body.do(f'shl {wide} 1, {size}')}, 1")
        whole = body.do(f"zext {kind} {values[0]} to {wide}")
        if name == "insert_bits":
            mask = body.do(f"shl {wide} {ones}, {begin}")
            kept = body.do(f"and {wide} {whole}, {body.do(f'xor {wide} {mask}, -1')}")
            new = body.do(f"shl {wide} {body.do(f'zext {kind} {values[1]} to {wide}')}, {begin}")
            both = body.do(f"or {wide} {kept}, {body.do(f'and {wide} {new}, {mask}')}")
            return body.do(f"trunc {wide} {both} to {kind}")
        low = body.do(f"and {wide} {body.do(f'lshr {wide} {whole}, {begin}')}, {ones}")
        if rest[:1] == ["s"]:
            empty = body.do(f"sub {wide} 128, {size}")
            # Of no bits there is no sign.
            gap = body.call(wide, f"llvm.umin.{wide}", (wide, empty), (wide, "127"))
            low = body.do(f"ashr {wide} {body.do(f'shl {wide} {low}, {gap}')}, {gap}")
        return body.do(f"trunc {wide} {low} to {kind}")

    return body.by_element(compute)


INTEGER_FAMILIES: Families = (
    (rf"(?:abs|min|max|min3|max3|clamp)\.[su]\.{INTEGERS}", _integers),
    (rf"median3\.[su]\.{INTEGERS}", _median),
    (rf"(?:clz|ctz|popcount|reverse_bits)\.{INTEGERS}", _bits),
    (rf"mul_hi\.[su]\.{INTEGERS}", _high_product),
    (rf"(?:add|sub)_sat\.[su]\.{INTEGERS}", _saturating),
    (rf"(?:hadd|rhadd|absdiff|mad_hi|mad_sat)\.[su]\.{INTEGERS}", _wide),
    (r"(?:mul|mad)24\.[su]\.(?:v\d+)?i32", _of_24_bits),
    (rf"rotate\.(?:[su]\.)?{INTEGERS}", _rotate),
    (rf"(?:extract|insert)_bits\.(?:[su]\.)?{INTEGERS}", _bits_of),
    (r"convert\.[fsu]\.(?:v\d+)?\w+\.[fsu]\.(?:v\d+)?\w+(?:\.rt[eznp])?", _convert),
)
