# SPDX-License-Identifier: Apache-2.0
"""Angles of sines, cosines and tangents."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from smelt.runtime.elementary.exact import elementary, exact_sum, multiply_add, polynomial, sum_of_ordered

_PI, _PI_REST = 3.141592653589793, 1.2246467991473532e-16
_HALF_PI, _HALF_PI_REST = 1.5707963267948966, 6.123233995736766e-17
_QUARTER_PI, _QUARTER_PI_REST = 0.7853981633974483, 3.061616997868383e-17

# (atan(t) - t) / t**3 by t**2, for t up to 1/2, by tools/minimax.py.
# Error: 2**-65.7.
_ARCTANGENT = (
    -0.3333333333333333,
    0.1999999999999934,
    -0.14285714285631917,
    0.11111111105904514,
    -0.09090908895384264,
    0.07692302926489338,
    -0.06666587110953147,
    0.05881412648918628,
    -0.052551338453135,
    0.04712022275040781,
    -0.0412197132105237,
    0.0326170504533871,
    -0.01988761152552397,
    0.006608419853846701,
)
# For float32 in float64.
# Error: 2**-36.2.
_ARCTANGENT_NARROW = (
    -0.33333332926870507,
    0.19999957651440645,
    -0.14284213414485952,
    0.11085645001377814,
    -0.08855707460591235,
    0.06455294604510552,
    -0.029923164868970963,
)
# (asin(t) - t) / t**3 by t**2, for t up to 1/2.
# Error: 2**-59.9.
_ARCSINE = (
    0.1666666666666676,
    0.07499999999970862,
    0.044642857174566786,
    0.0303819427095409,
    0.022372214945681094,
    0.017351612671390893,
    0.013980813524644508,
    0.011398964168400133,
    0.010779986656265877,
    0.003707335833064713,
    0.021705351189022382,
    -0.020996289121383818,
    0.03262699323726385,
)
# For float32 in float64.
# Error: 2**-31.8.
_ARCSINE_NARROW = (
    0.16666659992519872,
    0.07500504136781772,
    0.04451696474225053,
    0.03180762652489978,
    0.014438997675888025,
    0.03751584773752983,
)


@elementary
def atan_double(x: Any) -> Any:
    """`math.atan` of a float64."""
    size = abs(x)
    # Beyond it the angle is the right one.
    angle, missing = _angle(np.where(size > 2.0**60, 2.0**60, size), 1.0)
    return np.copysign(angle + missing, x)


@elementary
def atan2_double(y: Any, x: Any) -> Any:
    """`math.atan2` of two float64."""
    above, below = _finite_sides(abs(y), abs(x))
    large, small = np.where(above < below, below, above), np.where(above < below, above, below)
    # So that neither sums overflow nor what divisions leave vanishes.
    is_tiny = (small < 2.0**-900) & (large < 2.0**400)
    factor = np.where(large > 2.0**1000, 2.0**-100, np.where(is_tiny, 2.0**400, 1.0))
    angle, missing = _angle(above * factor, below * factor)
    other, other_missing = sum_of_ordered(_PI, -angle)
    is_left = np.copysign(1.0, x) < 0.0
    angle = np.where(is_left, other + (other_missing + (_PI_REST - missing)), angle + missing)
    return np.where((x == x) & (y == y), np.copysign(angle, y), x + y)  # noqa: PLR0124 - NaN


@elementary
def _finite_sides(above: Any, below: Any) -> Any:
    """Finite numbers of which one is not 0, in place of the sides of a triangle with the same angle."""
    is_infinite = (above == math.inf) | (below == math.inf)
    first = np.where(is_infinite, np.where(above == math.inf, 1.0, 0.0), above)
    second = np.where(is_infinite, np.where(below == math.inf, 1.0, 0.0), below)
    return first, np.where((first == 0.0) & (second == 0.0), 1.0, second)


@elementary
def _angle(above: Any, below: Any) -> Any:
    """`atan(above / below)` as a pair, of numbers that are not negative."""
    # The angle between it and 0, a quarter of pi or half of pi, whichever is next, has a tangent of at most 1/2.
    is_low, is_high = above <= 0.5 * below, above > 2.0 * below
    total, missing = exact_sum(above, below)
    first = np.where(is_low, above, np.where(is_high, -below, above - below))
    second = np.where(is_low, below, np.where(is_high, above, total))
    by_second = 1.0 / second
    tangent = first * by_second
    rest = multiply_add(-tangent, np.where(is_low | is_high, 0.0, missing), multiply_add(-tangent, second, first))
    square = tangent * tangent
    tail = multiply_add(tangent * square, polynomial(square, _ARCTANGENT), rest * by_second)
    base = np.where(is_low, 0.0, np.where(is_high, _HALF_PI, _QUARTER_PI))
    base_rest = np.where(is_low, 0.0, np.where(is_high, _HALF_PI_REST, _QUARTER_PI_REST))
    angle, missing = sum_of_ordered(base, tangent)
    return angle, missing + (base_rest + tail)


@elementary
def asin_double(x: Any) -> Any:
    """`math.asin` of a float64, NaN beyond 1."""
    size = abs(x)
    is_low, sine, rest, tail = _arcsine_parts(size)
    # Above 1/2 it is the right angle less twice that of the half.
    angle, missing = sum_of_ordered(_HALF_PI, -2.0 * sine)
    high = angle + (missing + (_HALF_PI_REST - 2.0 * (rest + tail)))
    return np.copysign(np.where(is_low, size + tail, high), x)


@elementary
def acos_double(x: Any) -> Any:
    """`math.acos` of a float64."""
    is_low, sine, rest, tail = _arcsine_parts(abs(x))
    is_left = x < 0.0
    base = np.where(is_low, _HALF_PI, np.where(is_left, _PI, 0.0))
    base_rest = np.where(is_low, _HALF_PI_REST, np.where(is_left, _PI_REST, 0.0))
    part = np.where(is_low, -sine, 2.0 * sine)
    tail = np.where(is_low, -tail, 2.0 * (rest + tail))
    # What is taken from the right angle changes its sign with the number, what is taken from pi is taken.
    turns = is_left
    angle, missing = sum_of_ordered(base, np.where(turns, -part, part))
    return angle + (missing + (base_rest + np.where(turns, -tail, tail)))


@elementary
def _arcsine_parts(size: Any) -> Any:
    """Whether `size` is at most 1/2; then it, 0 and what its arcsine is more; else the same for the sine of half the other angle."""
    is_low = size <= 0.5
    square = np.where(is_low, size * size, (1.0 - size) * 0.5)
    root = np.sqrt(square)
    rest = np.where(square > 0.0, multiply_add(-root, root, square) / (2.0 * root), 0.0)
    sine = np.where(is_low, size, root)
    return is_low, sine, rest, sine * square * polynomial(square, _ARCSINE)


@elementary
def atan_single(x: Any) -> Any:
    """`math.atan` of a float32."""
    size = np.float64(abs(x))
    return np.copysign(np.float32(_narrow_angle(np.where(size > 2.0**60, 2.0**60, size), 1.0)), x)


@elementary
def atan2_single(y: Any, x: Any) -> Any:
    """`math.atan2` of two float32."""
    above, below = _finite_sides(np.float64(abs(y)), np.float64(abs(x)))
    angle = _narrow_angle(above, below)
    angle = np.float32(np.where(np.copysign(1.0, x) < 0.0, _PI - angle, angle))
    return np.where((x == x) & (y == y), np.copysign(angle, y), x + y)  # noqa: PLR0124 - NaN


@elementary
def _narrow_angle(above: Any, below: Any) -> Any:
    is_low, is_high = above <= 0.5 * below, above > 2.0 * below
    first = np.where(is_low, above, np.where(is_high, -below, above - below))
    tangent = first / np.where(is_low, below, np.where(is_high, above, above + below))
    square = tangent * tangent
    tail = multiply_add(tangent * square, polynomial(square, _ARCTANGENT_NARROW), tangent)
    return np.where(is_low, 0.0, np.where(is_high, _HALF_PI, _QUARTER_PI)) + tail


@elementary
def asin_single(x: Any) -> Any:
    """`math.asin` of a float32."""
    is_low, angle = _narrow_arcsine(np.float64(abs(x)))
    return np.copysign(np.float32(np.where(is_low, angle, _HALF_PI - 2.0 * angle)), x)


@elementary
def acos_single(x: Any) -> Any:
    """`math.acos` of a float32."""
    wide = np.float64(x)
    is_low, angle = _narrow_arcsine(abs(wide))
    signed = np.where(wide < 0.0, -angle, angle)
    base = np.where(is_low, _HALF_PI, np.where(wide < 0.0, _PI, 0.0))
    return np.float32(base + np.where(is_low, -signed, 2.0 * signed))


@elementary
def _narrow_arcsine(size: Any) -> Any:
    """Whether `size` is at most 1/2, and its arcsine; else half the arccosine."""
    is_low = size <= 0.5
    square = np.where(is_low, size * size, (1.0 - size) * 0.5)
    sine = np.where(is_low, size, np.sqrt(square))
    return is_low, multiply_add(sine * square, polynomial(square, _ARCSINE_NARROW), sine)
