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


def scalar(kind: str) -> str:
    """The type of the elements of a matrix."""
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
        lines.append(_widened(f"%w{number}", scalar(kind), f"%e{number}"))
        lines.append(f"  %p{number} = insertelement {PACKED} {packed}, float %w{number}, i32 {number}")
        packed = f"%p{number}"
    body = "\n".join(lines)
    return f"\ndefine internal {PACKED} @{name}({first} %a, {second} %b) alwaysinline {{\n{body}\n  ret {PACKED} {packed}\n}}\n"


PRODUCT = "smelt.matrix.product"
"""The function that multiplies what the lanes have given, and adds two elements of a third matrix."""


def product(slot: str, slot_bytes: int) -> str:
    """Its LLVM IR. `slot` makes `%slots` and `%own`. Kernels have hundreds of calls, so it is no part of them."""
    lines = [
        "  %row_a = and i64 %row, 4\n  %row_b = shl i64 %row_a, 2\n  %row_c = shl i64 %row_3, 1\n  %row_lanes = or i64 %row_b, %row_c",
        "  %column_a = shl i64 %column_4, 1\n  %column_lanes = or i64 %column_a, %column_bit",
    ]
    totals = ["%c0", "%c1"]
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
    body = "\n".join(lines)
    return f"""
define internal {{ float, float }} @{PRODUCT}(ptr %state, float %c0, float %c1) noinline {{
{slot}
{_OWN_PLACE}
{body}
  %one = insertvalue {{ float, float }} poison, float {totals[0]}, 0
  %both = insertvalue {{ float, float }} %one, float {totals[1]}, 1
  ret {{ float, float }} %both
}}
"""


def multiplying(name: str, third: str, result: str) -> str:
    """LLVM IR of a function that multiplies what the lanes have given, and adds a third matrix."""
    lines = [
        f"  %e0 = extractelement {third} %c, i32 0\n  %e1 = extractelement {third} %c, i32 1",
        _widened("%c0", scalar(third), "%e0"),
        _widened("%c1", scalar(third), "%e1"),
        f"  %sums = call {{ float, float }} @{PRODUCT}(ptr %state, float %c0, float %c1)",
        "  %sum0 = extractvalue { float, float } %sums, 0\n  %sum1 = extractvalue { float, float } %sums, 1",
        _narrowed("%d0", scalar(result), "%sum0"),
        _narrowed("%d1", scalar(result), "%sum1"),
        f"  %first = insertelement {result} poison, {scalar(result)} %d0, i32 0",
        f"  %both = insertelement {result} %first, {scalar(result)} %d1, i32 1",
    ]
    body = "\n".join(lines)
    return f"\ndefine internal {result} @{name}(ptr %state, {third} %c) alwaysinline {{\n{body}\n  ret {result} %both\n}}\n"


def filling(name: str, kind: str) -> str:
    """LLVM IR of a function that makes a matrix whose elements are all the same."""
    element = scalar(kind)
    return f"""
define internal {kind} @{name}({element} %value) alwaysinline {{
  %first = insertelement {kind} poison, {element} %value, i32 0
  %both = insertelement {kind} %first, {element} %value, i32 1
  ret {kind} %both
}}
"""


def placing(name: str, slot: str, operands: tuple[str, ...], element: int) -> str:
    """LLVM IR of a function that says where an element of a lane lies in memory, of operands of these types.

    Up to AIR 2.7 they are the elements of a row, the origin, and whether it is transposed; from 2.8 on sizes, strides and origin.
    """
    given = "".join(f", {operand} %o{number}" for number, operand in enumerate(operands))
    if operands[0] == "i64":
        place = """\
  %down = select i1 %o2, i64 %c, i64 %row
  %across = select i1 %o2, i64 %row, i64 %c
  %ox = extractelement <2 x i64> %o1, i32 0
  %oy = extractelement <2 x i64> %o1, i32 1
  %y = add i64 %oy, %down
  %x = add i64 %ox, %across
  %line = mul i64 %y, %o0
  %index = add i64 %line, %x"""
    else:
        place = """\
  %ox = extractelement <2 x i64> %o2, i32 0
  %oy = extractelement <2 x i64> %o2, i32 1
  %sx = extractelement <2 x i64> %o1, i32 0
  %sy = extractelement <2 x i64> %o1, i32 1
  %x = add i64 %ox, %c
  %y = add i64 %oy, %row
  %xs = mul i64 %x, %sx
  %ys = mul i64 %y, %sy
  %index = add i64 %xs, %ys"""
    return f"""
define internal i64 @{name}(ptr %state{given}) alwaysinline {{
{slot}
{_OWN_PLACE}
  %c = add i64 %column, {element}
{place}
  ret i64 %index
}}
"""
