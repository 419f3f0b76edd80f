# SPDX-License-Identifier: Apache-2.0
"""Matrices of 8 by 8 that a simdgroup holds together.

A lane holds two elements, in the first two places of a vector of 64: of the row `(lane >> 2 & 4) + (lane >> 1 & 3)` those of the column
`(lane >> 2 & 2) * 2 + (lane & 1) * 2` and of the one behind it. Source: how the kernels of MLX (https://github.com/ml-explore/mlx) lay
them out.
"""

from __future__ import annotations

SIZE = 8

# Where the calling lane's first element is.
_OWN_PLACE = """\
  %row_high = lshr i64 %own, 2
  %row_4 = and i64 %row_high, 4
  %row_middle = lshr i64 %own, 1
  %row_3 = and i64 %row_middle, 3
  %row = add i64 %row_4, %row_3
  %column_2 = and i64 %row_high, 2
  %column_4 = shl i64 %column_2, 1
  %column_bit = and i64 %own, 1
  %column_low = shl i64 %column_bit, 1
  %column = add i64 %column_4, %column_low"""

PACKED = "<4 x float>"
"""What a lane gives the others of two matrices: its two elements of the one, and of the other."""


def _scalar(kind: str) -> str:
    return kind.removeprefix("<64 x ").removesuffix(">")


def _widened(name: str, kind: str, value: str) -> str:
    return f"  {name} = fpext {kind} {value} to float" if kind != "float" else f"  {name} = fadd float {value}, -0.0"


def _narrowed(name: str, kind: str, value: str) -> str:
    return f"  {name} = fptrunc float {value} to {kind}" if kind != "float" else f"  {name} = fadd float {value}, -0.0"


def packing(name: str, first: str, second: str) -> str:
    """LLVM IR of a function that packs the elements of two matrices of these types."""
    lines, packed = [], "poison"
    for number, (matrix, kind) in enumerate((("%a", first), ("%a", first), ("%b", second), ("%b", second))):
        lines.append(f"  %e{number} = extractelement {kind} {matrix}, i32 {number % 2}")
        lines.append(_widened(f"%w{number}", _scalar(kind), f"%e{number}"))
        lines.append(f"  %p{number} = insertelement {PACKED} {packed}, float %w{number}, i32 {number}")
        packed = f"%p{number}"
    body = "\n".join(lines)
    return f"\ndefine internal {PACKED} @{name}({first} %a, {second} %b) alwaysinline {{\n{body}\n  ret {PACKED} {packed}\n}}\n"


def multiplying(name: str, slot: str, slot_bytes: int, third: str, result: str) -> str:
    """LLVM IR of a function that multiplies what the lanes have given, and adds a third matrix.

    `slot` makes `%slots` and `%own`.
    """
    lines = [
        "  %row_a = and i64 %row, 4\n  %row_b = shl i64 %row_a, 2\n  %row_c = shl i64 %row_3, 1\n  %row_lanes = or i64 %row_b, %row_c",
        "  %column_a = shl i64 %column_4, 1\n  %column_lanes = or i64 %column_a, %column_bit",
        f"  %c0 = extractelement {third} %c, i32 0\n  %c1 = extractelement {third} %c, i32 1",
        _widened("%sum0", _scalar(third), "%c0"),
        _widened("%sum1", _scalar(third), "%c1"),
    ]
    totals = ["%sum0", "%sum1"]
    for k in range(SIZE):
        column_lane, row_lane = (k & 4) << 1 | k >> 1 & 1, (k & 4) << 2 | (k & 3) << 1
        lines += [
            f"  %lane_a{k} = or i64 %row_lanes, {column_lane}",
            f"  %slot_a{k} = getelementptr [{slot_bytes} x i8], ptr %slots, i64 %lane_a{k}",
            f"  %place_a{k} = getelementptr float, ptr %slot_a{k}, i64 {k & 1}",
            f"  %a{k} = load float, ptr %place_a{k}",
            f"  %lane_b{k} = or i64 %column_lanes, {row_lane}",
            f"  %slot_b{k} = getelementptr [{slot_bytes} x i8], ptr %slots, i64 %lane_b{k}",
        ]
        for element in range(2):
            lines += [
                f"  %place_b{k}_{element} = getelementptr float, ptr %slot_b{k}, i64 {2 + element}",
                f"  %b{k}_{element} = load float, ptr %place_b{k}_{element}",
                f"  %product{k}_{element} = fmul float %a{k}, %b{k}_{element}",
                f"  %total{k}_{element} = fadd float {totals[element]}, %product{k}_{element}",
            ]
            totals[element] = f"%total{k}_{element}"
    for element in range(2):
        lines.append(_narrowed(f"%d{element}", _scalar(result), totals[element]))
    lines += [
        f"  %first = insertelement {result} poison, {_scalar(result)} %d0, i32 0",
        f"  %both = insertelement {result} %first, {_scalar(result)} %d1, i32 1",
    ]
    body = "\n".join(lines)
    return f"\ndefine internal {result} @{name}(ptr %state, {third} %c) alwaysinline {{\n{slot}\n{_OWN_PLACE}\n{body}\n  ret {result} %both\n}}\n"


def filling(name: str, kind: str) -> str:
    """LLVM IR of a function that makes a matrix whose elements are all the same."""
    scalar = _scalar(kind)
    return f"""
define internal {kind} @{name}({scalar} %value) alwaysinline {{
  %first = insertelement {kind} poison, {scalar} %value, i32 0
  %both = insertelement {kind} %first, {scalar} %value, i32 1
  ret {kind} %both
}}
"""


def _places(operands: tuple[str, ...]) -> str:
    """LLVM IR that makes `%index0` and `%index1`, where the two elements of a lane lie, of operands `%o0` to `%o2`.

    Up to AIR 2.7 they are the elements of a row, the origin, and whether it is transposed; from 2.8 on sizes, strides and origin.
    """
    if operands[0] == "i64":
        return "\n".join(
            f"""\
  %c{element} = add i64 %column, {element}
  %down{element} = select i1 %o2, i64 %c{element}, i64 %row
  %across{element} = select i1 %o2, i64 %row, i64 %c{element}
  %ox{element} = extractelement <2 x i64> %o1, i32 0
  %oy{element} = extractelement <2 x i64> %o1, i32 1
  %y{element} = add i64 %oy{element}, %down{element}
  %x{element} = add i64 %ox{element}, %across{element}
  %line{element} = mul i64 %y{element}, %o0
  %index{element} = add i64 %line{element}, %x{element}"""
            for element in range(2)
        )
    return "\n".join(
        f"""\
  %c{element} = add i64 %column, {element}
  %ox{element} = extractelement <2 x i64> %o2, i32 0
  %oy{element} = extractelement <2 x i64> %o2, i32 1
  %sx{element} = extractelement <2 x i64> %o1, i32 0
  %sy{element} = extractelement <2 x i64> %o1, i32 1
  %x{element} = add i64 %ox{element}, %c{element}
  %y{element} = add i64 %oy{element}, %row
  %xs{element} = mul i64 %x{element}, %sx{element}
  %ys{element} = mul i64 %y{element}, %sy{element}
  %index{element} = add i64 %xs{element}, %ys{element}"""
        for element in range(2)
    )


def loading(name: str, slot: str, kind: str, pointer: str, operands: tuple[str, ...]) -> str:
    """LLVM IR of a function that loads a matrix."""
    scalar = _scalar(kind)
    given = ", ".join(f"{operand} %o{number}" for number, operand in enumerate(operands))
    return f"""
define internal {kind} @{name}(ptr %state, {pointer} %p, {given}) alwaysinline {{
{slot}
{_OWN_PLACE}
{_places(operands)}
  %place0 = getelementptr {scalar}, {pointer} %p, i64 %index0
  %place1 = getelementptr {scalar}, {pointer} %p, i64 %index1
  %e0 = load {scalar}, {pointer} %place0
  %e1 = load {scalar}, {pointer} %place1
  %first = insertelement {kind} poison, {scalar} %e0, i32 0
  %both = insertelement {kind} %first, {scalar} %e1, i32 1
  ret {kind} %both
}}
"""


def storing(name: str, slot: str, kind: str, pointer: str, operands: tuple[str, ...]) -> str:
    """LLVM IR of a function that stores a matrix."""
    scalar = _scalar(kind)
    given = ", ".join(f"{operand} %o{number}" for number, operand in enumerate(operands))
    return f"""
define internal void @{name}(ptr %state, {kind} %value, {pointer} %p, {given}) alwaysinline {{
{slot}
{_OWN_PLACE}
{_places(operands)}
  %e0 = extractelement {kind} %value, i32 0
  %e1 = extractelement {kind} %value, i32 1
  %place0 = getelementptr {scalar}, {pointer} %p, i64 %index0
  %place1 = getelementptr {scalar}, {pointer} %p, i64 %index1
  store {scalar} %e0, {pointer} %place0
  store {scalar} %e1, {pointer} %place1
  ret void
}}
"""
