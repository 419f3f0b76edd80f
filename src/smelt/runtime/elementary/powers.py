# SPDX-License-Identifier: Apache-2.0
"""Powers and roots: `x**y`, the cube root, and the length of a vector of two."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from smelt.runtime.bits import bits_of, with_bits
from smelt.runtime.elementary.exact import elementary, exact_product, exact_sum, multiply_add, polynomial
from smelt.runtime.elementary.exponentials import (
    SHIFT,
    SHIFT_SINGLE,
    narrow_exp2,
    power_of_two,
    whole_power_of_two,
    whole_power_of_two_single,
)
from smelt.runtime.elementary.logarithms import binary_logarithm, narrow_log2

# m**(-1/3) for m from 1 to 2, by tools/minimax.py.
# Error: 2**-14.7.
_CUBE_ROOT = (
    1.6700049581344711,
    -1.1728749720159644,
    0.6954769899148173,
    -0.22123520161414398,
    0.028590565974063814,
)


@elementary
def pow_double(x: Any, y: Any) -> Any:
    """`x**y` of float64, as `math.pow` but with NaN and infinities where that raises."""
    size = abs(x)
    logarithm, missing = binary_logarithm(size)
    logarithm = np.where(size == 0.0, -math.inf, np.where(size < math.inf, logarithm, size))
    product, lost = exact_product(y, logarithm)
    lost = multiply_add(y, missing, lost)
    bounded = np.where(product > 1100.0, 1100.0, np.where(product < -1100.0, -1100.0, product))
    shifted = bounded + SHIFT
    rest, lost = exact_sum(bounded - (shifted - SHIFT), np.where(abs(product) < 1100.0, lost, 0.0))
    return _with_sign_of_power(x, y, power_of_two(rest, lost, shifted))


@elementary
def pow_single(x: Any, y: Any) -> Any:
    """`x**y` of float32."""
    base, exponent = np.float64(x), np.float64(y)
    size = abs(base)
    logarithm = np.where(size == 0.0, -math.inf, np.where(size < math.inf, narrow_log2(size), size))
    product = exponent * logarithm
    bounded = np.where(product > 300.0, 300.0, np.where(product < -300.0, -300.0, product))
    return np.float32(_with_sign_of_power(base, exponent, narrow_exp2(bounded)))


@elementary
def _with_sign_of_power(x: Any, y: Any, power: Any) -> Any:
    """`x**y`, given `abs(x)**y`: the sign that it has, and the cases that C's annex F.10.4.4 lists."""
    is_whole = np.rint(y) == y
    is_odd = is_whole & (np.rint(0.5 * y) != 0.5 * y)
    signed = np.where(is_odd, np.copysign(power, x), power)
    defined = np.where((x < 0.0) & (x != -math.inf) & (not is_whole), math.nan, signed)
    # -1 to an infinite power is 1, as any number of that size is.
    is_one = (y == 0.0) | (x == 1.0) | ((x == -1.0) & (abs(y) == math.inf))
    return np.where(is_one, 1.0, defined)


@elementary
def cbrt_double(x: Any) -> Any:
    """`math.cbrt` of a float64."""
    size = abs(x)
    number = np.where(size < 2.0**-1022, size * 2.0**54, size)
    bias = np.where(size < 2.0**-1022, 2.0**52 + 1077.0, 2.0**52 + 1023.0)
    bits = bits_of(number)
    exponent = with_bits(x, (bits >> 52) | 0x4330000000000000) - bias
    mantissa = with_bits(x, (bits & 0x000FFFFFFFFFFFFF) | 0x3FF0000000000000)
    shifted = multiply_add(exponent, 1.0 / 3.0, SHIFT)
    scaled = _cube_root(mantissa, exponent, shifted - SHIFT) * whole_power_of_two(shifted)
    return np.where((size > 0.0) & (size < math.inf), np.copysign(scaled, x), x)


@elementary
def _cube_root(mantissa: Any, exponent: Any, third: Any) -> Any:
    """The cube root of `mantissa * 2**(exponent - 3 * third)`, for a mantissa from 1 to 2; `third` is what is next to a third."""
    # The exponent is three times a whole number, and -1, 0 or 1.
    over = multiply_add(third, -3.0, exponent)
    argument = mantissa * np.where(over == 0.0, 1.0, np.where(over < 0.0, 0.5, 2.0))
    factor = np.where(over == 0.0, 1.0, np.where(over < 0.0, 2.0 ** (1.0 / 3.0), 0.5 ** (1.0 / 3.0)))
    # The inverse of the root, by a step that triples the digits, and from it the root, by one that doubles them.
    near = polynomial(mantissa, _CUBE_ROOT) * factor
    error = multiply_add(-argument * near, near * near, 1.0)
    inverse = multiply_add(near * error, multiply_add(error, 2.0 / 9.0, 1.0 / 3.0), near)
    root = argument * inverse * inverse
    square, lost = exact_product(root, root)
    rest = multiply_add(-root, lost, multiply_add(-root, square, argument))
    return multiply_add(rest, inverse * inverse * (1.0 / 3.0), root)


@elementary
def cbrt_single(x: Any) -> Any:
    """`math.cbrt` of a float32."""
    return np.float32(cbrt_double(np.float64(x)))


@elementary
def hypot_double(x: Any, y: Any) -> Any:
    """`math.hypot` of two float64."""
    first, second = abs(x), abs(y)
    large, small = np.where(first < second, second, first), np.where(first < second, first, second)
    # By a power of two to where squares and what they round away are normal numbers.
    is_tiny, is_huge = large < 2.0**-400, large > 2.0**500
    factor = np.where(is_tiny, 2.0**800, np.where(is_huge, 2.0**-600, 1.0))
    back = np.where(is_tiny, 2.0**-800, np.where(is_huge, 2.0**600, 1.0))
    result = _hypotenuse(large * factor, small * factor) * back
    return np.where((first == math.inf) | (second == math.inf), math.inf, result)


@elementary
def _hypotenuse(large: Any, small: Any) -> Any:
    """The length of a vector of two, the larger first, whose squares and what they round away are normal numbers.

    Source: Borges, "An improved algorithm for hypot(a, b)" (2019), the fused variant.
    """
    root = np.sqrt(multiply_add(large, large, small * small))
    square, rest = exact_product(root, root)
    large_square, large_rest = exact_product(large, large)
    wrong = multiply_add(-small, small, square - large_square) + (rest - large_rest)
    return np.where(large > 0.0, root - wrong / (2.0 * root), large + small)


@elementary
def hypot_single(x: Any, y: Any) -> Any:
    """`math.hypot` of two float32."""
    first, second = np.float64(x), np.float64(y)
    result = np.sqrt(multiply_add(first, first, second * second))
    return np.float32(np.where((abs(first) == math.inf) | (abs(second) == math.inf), math.inf, result))


@elementary
def cbrt_without_double(x: Any) -> Any:
    """`math.cbrt` of a float32, without float64."""
    size = abs(x)
    number = np.where(size < 2.0**-126, size * 2.0**24, size)
    bias = np.where(size < 2.0**-126, 2.0**23 + 151.0, 2.0**23 + 127.0)
    bits = bits_of(number)
    exponent = with_bits(x, (bits >> 23) | 0x4B000000) - bias
    mantissa = with_bits(x, (bits & 0x007FFFFF) | 0x3F800000)
    shifted = multiply_add(exponent, 1.0 / 3.0, SHIFT_SINGLE)
    scaled = _cube_root(mantissa, exponent, shifted - SHIFT_SINGLE) * whole_power_of_two_single(shifted)
    return np.where((size > 0.0) & (size < math.inf), np.copysign(scaled, x), x)


@elementary
def hypot_without_double(x: Any, y: Any) -> Any:
    """`math.hypot` of two float32, without float64."""
    first, second = abs(x), abs(y)
    large, small = np.where(first < second, second, first), np.where(first < second, first, second)
    # By a power of two to where squares and what they round away are normal numbers.
    is_tiny, is_huge = large < 2.0**-40, large > 2.0**60
    factor = np.where(is_tiny, 2.0**100, np.where(is_huge, 2.0**-70, 1.0))
    back = np.where(is_tiny, 2.0**-100, np.where(is_huge, 2.0**70, 1.0))
    result = _hypotenuse(large * factor, small * factor) * back
    return np.where((first == math.inf) | (second == math.inf), math.inf, result)
