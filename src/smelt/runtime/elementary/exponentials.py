# SPDX-License-Identifier: Apache-2.0
"""The exponential functions.

`e**x` is `2**n * e**r`, with the integer `n` next to `x / ln 2` and the rest `r`, at most `ln 2 / 2` in size, which is found without
loss: `multiply_add(n, -_LN2, x)` is exact, and what the second part of `ln 2` takes away is kept as a pair.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from smelt.runtime.bits import bits_of, with_bits
from smelt.runtime.elementary.exact import (
    elementary,
    exact_product,
    exact_sum,
    multiply_add,
    polynomial,
    sum_of_ordered,
)

_LN2, _LN2_REST = 0.6931471805599453, 2.3190468138462996e-17
_LN2_SINGLE, _LN2_REST_SINGLE = 0.6931471824645996, -1.9046542121259336e-09
_BY_LN2 = 1.4426950408889634

SHIFT = 1.5 * 2.0**52
"""Added to a float64, it rounds that to an integer, which then stands in the low bits of the sum, in two's complement."""
SHIFT_SINGLE = 1.5 * 2.0**23
"""The same for float32."""

# (e**r - 1 - r) / r**2 for r from -ln 2 / 2 to ln 2 / 2, by tools/minimax.py.
# Error: 2**-63.8.
_EXP = (
    0.5,
    0.1666666666666668,
    0.041666666666666415,
    0.008333333333319278,
    0.0013888888889032895,
    0.00019841269891801534,
    2.480158702387843e-05,
    2.7557238775044626e-06,
    2.7557529088744266e-07,
    2.5110841574091682e-08,
    2.083724833453129e-09,
)
# For float32.
# Error: 2**-28.3.
_EXP_SINGLE = (
    0.49999994,
    0.16666521,
    0.041668255,
    0.008368661,
    0.0013821452,
)
# For float32 in float64.
# Error: 2**-34.2.
_EXP_NARROW = (
    0.5000000067609315,
    0.16666665867792793,
    0.041666295161401905,
    0.008333497413279524,
    0.0013944645481573175,
    0.00019790129969244783,
)


@elementary
def exp_double(x: Any) -> Any:
    """`math.exp` of a float64."""
    shifted, rest, lost = reduced(np.where(x > 710.0, 710.0, np.where(x < -746.0, -746.0, x)))
    power, missing = exponential_of_rest(rest, lost)
    return scaled(power + missing, shifted)


@elementary
def exp2_double(x: Any) -> Any:
    """`math.exp2` of a float64."""
    bounded = np.where(x > 1025.0, 1025.0, np.where(x < -1080.0, -1080.0, x))
    shifted = bounded + SHIFT
    return power_of_two(bounded - (shifted - SHIFT), 0.0, shifted)


@elementary
def power_of_two(rest: Any, lost: Any, shifted: Any) -> Any:
    """`2**(n + rest + lost)`, where `shifted` is `n + SHIFT`, `rest` at most 1/2 in size and `lost` what it can't hold."""
    exponent, missing = exact_product(rest, _LN2)
    missing = multiply_add(rest, _LN2_REST, multiply_add(lost, _LN2, missing))
    power, missing = exponential_of_rest(exponent, missing)
    return scaled(power + missing, shifted)


@elementary
def expm1_double(x: Any) -> Any:
    """`math.expm1` of a float64."""
    quarter, missing = quarter_of_expm1(np.where(x > 710.0, 710.0, np.where(x < -40.0, -40.0, x)))
    return np.where(abs(x) < 2.0**-54, x, 4.0 * (quarter + missing))


@elementary
def quarter_of_expm1(x: Any) -> tuple[Any, Any]:
    """`(e**x - 1) / 4` as a pair, for `x` from -40 to 710.5: it doesn't overflow where only what is made of it may."""
    shifted, rest, lost = reduced(x)
    quarter = whole_power_of_two(shifted - 2.0)
    square, square_lost = exact_product(rest, rest)
    # 2**n * (1 + rest + rest**2 / 2 + ...) - 1, of which the first three terms are exact.
    without_one = quarter - 0.25
    total, missing = sum_of_ordered(without_one, quarter * rest)
    total, more = sum_of_ordered(total, quarter * (0.5 * square))
    tail = multiply_add(rest * square, polynomial(rest, _EXP[1:]), multiply_add(0.5, square_lost, lost))
    return total, multiply_add(quarter, tail, missing + more) + ((quarter - without_one) - 0.25)


@elementary
def scaled_exponential(x: Any, divisor: Any) -> tuple[Any, Any]:
    """`e**x / 2**divisor` as a pair, for `x` from -700 to 710.5 where the result is a normal number."""
    shifted, rest, lost = reduced(x)
    power, missing = sum_of_ordered(*exponential_of_rest(rest, lost))
    factor = whole_power_of_two(shifted - divisor)
    return power * factor, missing * factor


@elementary
def exponential_of_rest(rest: Any, lost: Any) -> tuple[Any, Any]:
    """`e**(rest + lost)` as a pair."""
    total, missing = sum_of_ordered(1.0, rest)
    return total, missing + multiply_add(rest * rest, polynomial(rest, _EXP), lost)


@elementary
def scaled(number: Any, shifted: Any) -> Any:
    """`number * 2**n`, where `shifted` is `n + SHIFT`, also where 2**n overflows or is subnormal: in two steps, the first exact."""
    exponent = shifted - SHIFT
    first = multiply_add(exponent, 0.5, SHIFT)
    second = (exponent - (first - SHIFT)) + SHIFT
    return number * whole_power_of_two(first) * whole_power_of_two(second)


@elementary
def whole_power_of_two(shifted: Any) -> Any:
    """`2**n`, a normal number, where `shifted` is `n + SHIFT`."""
    return with_bits(shifted, (bits_of(shifted) << 52) + 0x3FF0000000000000)


@elementary
def reduced(x: Any) -> tuple[Any, Any, Any]:
    """`n + SHIFT`, and the rest as a pair."""
    shifted = multiply_add(x, _BY_LN2, SHIFT)
    exponent = shifted - SHIFT
    exact = multiply_add(exponent, -_LN2, x)
    rest = multiply_add(exponent, -_LN2_REST, exact)
    return shifted, rest, multiply_add(exponent, -_LN2_REST, exact - rest)


@elementary
def exp_single(x: Any) -> Any:
    """`math.exp` of a float32."""
    bounded = np.where(x > 89.0, 89.0, np.where(x < -104.0, -104.0, x))
    shifted, rest, lost = reduced_single(bounded)
    power, missing = exponential_of_rest_single(rest, lost)
    return scaled_single(power + missing, shifted)


@elementary
def exp2_single(x: Any) -> Any:
    """`math.exp2` of a float32."""
    bounded = np.where(x > 129.0, 129.0, np.where(x < -151.0, -151.0, x))
    shifted = bounded + SHIFT_SINGLE
    rest = bounded - (shifted - SHIFT_SINGLE)
    exponent, missing = exact_product(rest, _LN2_SINGLE)
    power, missing = exponential_of_rest_single(exponent, multiply_add(rest, _LN2_REST_SINGLE, missing))
    return scaled_single(power + missing, shifted)


@elementary
def reduced_single(x: Any) -> tuple[Any, Any, Any]:
    """`n + SHIFT_SINGLE`, and the rest as a pair."""
    shifted = multiply_add(x, _BY_LN2, SHIFT_SINGLE)
    exponent = shifted - SHIFT_SINGLE
    exact = multiply_add(exponent, -_LN2_SINGLE, x)
    rest = multiply_add(exponent, -_LN2_REST_SINGLE, exact)
    return shifted, rest, multiply_add(exponent, -_LN2_REST_SINGLE, exact - rest)


@elementary
def exponential_of_rest_single(rest: Any, lost: Any) -> tuple[Any, Any]:
    """`e**(rest + lost)` as a pair."""
    total, missing = sum_of_ordered(1.0, rest)
    return total, missing + multiply_add(rest * rest, polynomial(rest, _EXP_SINGLE), lost)


@elementary
def scaled_single(number: Any, shifted: Any) -> Any:
    """`number * 2**n` where `shifted` is `n + SHIFT_SINGLE`, by two factors: 2**n alone may be too small or too large."""
    exponent = shifted - SHIFT_SINGLE
    first = multiply_add(exponent, 0.5, SHIFT_SINGLE)
    second = (exponent - (first - SHIFT_SINGLE)) + SHIFT_SINGLE
    return number * whole_power_of_two_single(first) * whole_power_of_two_single(second)


@elementary
def whole_power_of_two_single(shifted: Any) -> Any:
    """`2**n`, a normal number, where `shifted` is `n + SHIFT_SINGLE`."""
    return with_bits(shifted, (bits_of(shifted) << 23) + 0x3F800000)


@elementary
def expm1_single(x: Any) -> Any:
    """`math.expm1` of a float32."""
    # Not by way of float64 where it is the number itself, for the sake of -0.
    return np.where(abs(x) < 2.0**-26, x, np.float32(narrow_expm1(np.float64(x))))


@elementary
def narrow_exp2(x: Any) -> Any:
    """`2**x` to the precision of a float32, in float64, for `x` from -1000 to 1000."""
    shifted = x + SHIFT
    rest = (x - (shifted - SHIFT)) * _LN2
    power = multiply_add(rest * rest, polynomial(rest, _EXP_NARROW), 1.0 + rest)
    return power * whole_power_of_two(shifted)


@elementary
def narrow_exp(x: Any) -> Any:
    """`e**x` to the precision of a float32, in float64, for `x` that is no float64 beyond -700 and 700 in effect."""
    bounded = np.where(x > 700.0, 700.0, np.where(x < -700.0, -700.0, x))
    shifted = multiply_add(bounded, _BY_LN2, SHIFT)
    rest = multiply_add(shifted - SHIFT, -_LN2, bounded)
    return multiply_add(rest * rest, polynomial(rest, _EXP_NARROW), 1.0 + rest) * whole_power_of_two(shifted)


@elementary
def narrow_expm1(x: Any) -> Any:
    """`e**x - 1` to the precision of a float32, in float64, for any `x` that a float32 can be."""
    bounded = np.where(x > 700.0, 700.0, np.where(x < -700.0, -700.0, x))
    shifted = multiply_add(bounded, _BY_LN2, SHIFT)
    rest = multiply_add(shifted - SHIFT, -_LN2, bounded)
    factor = whole_power_of_two(shifted)
    return multiply_add(factor, multiply_add(rest * rest, polynomial(rest, _EXP_NARROW), rest), factor - 1.0)


@elementary
def expm1_without_double(x: Any) -> Any:
    """`math.expm1` of a float32, without float64."""
    bounded = np.where(x > 80.0, 80.0, np.where(x < -18.0, -18.0, x))
    shifted, rest, lost = reduced_single(bounded)
    power, missing = exponential_of_rest_single(rest, lost)
    factor = whole_power_of_two_single(shifted)
    total, rest = exact_sum(power * factor, -1.0)
    near = total + multiply_add(missing, factor, rest)
    # From there on 1 is less than half of the last digit; and -0 is -0.
    return np.where(x > 80.0, math.exp(x), np.where(abs(x) < 2.0**-26, x, near))
