# SPDX-License-Identifier: Apache-2.0
"""The logarithms.

A number is `2**k * m`, with `m` from the square root of 1/2 to that of 2, and `log m` is an odd function of `s = (m - 1) / (m + 1)`,
for which a short polynomial does: `log m = 2*s + s**3 * P(s**2)`.
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

# ln 2 in two parts, of which the first has so few bits that its product with an exponent is exact.
_LN2, _LN2_REST = 0.6931471805598903, 5.497923018708371e-14
_LN2_SINGLE, _LN2_REST_SINGLE = 0.693145751953125, 1.428606765330187e-06
_LN2_NEAREST, _LN2_NEAREST_REST = 0.6931471805599453, 2.3190468138462996e-17
_BY_LN2 = 1.4426950408889634
_LOG10_OF_2, _LOG10_OF_2_REST = 0.3010299956639812, -2.8037281277851704e-18
_LOG10_OF_E = 0.4342944819032518

# (log((1 + s) / (1 - s)) - 2*s) / s**3 by s**2, for s up to (sqrt(2) - 1) / (sqrt(2) + 1), by tools/minimax.py.
# Error: 2**-59.5.
_LOG = (
    0.6666666666666734,
    0.3999999999941709,
    0.28571428741880356,
    0.22222198622957431,
    0.18183561836627712,
    0.1531411209895389,
    0.14795352961845235,
)
# For float32.
# Error: 2**-30.2.
_LOG_SINGLE = (
    0.66666776,
    0.39977586,
    0.29870698,
)
# For float32 in float64.
# Error: 2**-37.6.
_LOG_NARROW = (
    0.6666666564913143,
    0.4000033444236638,
    0.2853735192385697,
    0.23581392296276543,
)
# log2((1 + s) / (1 - s)) / s by s**2 there.
# Error: 2**-73.8.
_BINARY_LOG_0, _BINARY_LOG_0_REST = 2.8853900817779268, 4.0710398871647783e-17
_BINARY_LOG_1, _BINARY_LOG_1_REST = 0.9617966939259756, 5.158483857867255e-17
_BINARY_LOG = (
    0.5770780163555842,
    0.4121985831116431,
    0.3205988978626212,
    0.262308203448383,
    0.22195199976605548,
    0.19241028060629226,
    0.1682908605566473,
    0.1740220383722152,
)


@elementary
def log_double(x: Any) -> Any:
    """`math.log` of a float64, NaN for negative ones."""
    exponent, mantissa = _split_any(x)
    return _where_defined(x, _natural(exponent, mantissa - 1.0, 0.0))


@elementary
def log1p_double(x: Any) -> Any:
    """`math.log1p` of a float64."""
    total, lost = exact_sum(1.0, np.where(x < 2.0**60, x, 2.0**60))
    total = np.where(x < 2.0**60, total, x)
    exponent, mantissa = _split(total)
    result = _where_defined(total, _natural(exponent, mantissa - 1.0, lost / total))
    return np.where(abs(x) < 2.0**-54, x, result)


@elementary
def log2_double(x: Any) -> Any:
    """`math.log2` of a float64."""
    total, missing = binary_logarithm(x)
    return _where_defined(x, total + missing)


@elementary
def log10_double(x: Any) -> Any:
    """`math.log10` of a float64."""
    total, missing = binary_logarithm(x)
    product, lost = exact_product(total, _LOG10_OF_2)
    return _where_defined(x, product + multiply_add(missing, _LOG10_OF_2, multiply_add(total, _LOG10_OF_2_REST, lost)))


@elementary
def binary_logarithm(x: Any) -> Any:
    """The logarithm to base 2 of a positive float64, as a pair, to 65 bits or so."""
    exponent, mantissa = _split_any(x)
    return _binary(exponent, mantissa, 0.0)


@elementary
def logarithm_of_pair(number: Any, lost: Any, doublings: Any) -> Any:
    """The natural logarithm of `(number + lost) * 2**doublings`, of which the first is a positive normal float64."""
    exponent, mantissa = _split(number)
    # What was lost, scaled as the mantissa was.
    total, missing = _binary(exponent + doublings, mantissa, lost * (mantissa / number))
    product, rest = exact_product(total, _LN2_NEAREST)
    return product + multiply_add(missing, _LN2_NEAREST, multiply_add(total, _LN2_NEAREST_REST, rest))


@elementary
def _binary(exponent: Any, mantissa: Any, rest: Any) -> Any:
    """`exponent + log2(mantissa + rest)` as a pair."""
    above, above_rest = sum_of_ordered(mantissa - 1.0, rest)
    below = mantissa + 1.0
    below_rest = (mantissa - (below - 1.0)) + rest
    by_below = 1.0 / below
    s = above * by_below
    s_rest = by_below * multiply_add(-s, below_rest, multiply_add(-s, below, above) + above_rest)
    square, square_rest = exact_product(s, s)
    square_rest = multiply_add(2.0 * s, s_rest, square_rest)
    # Of the polynomial the first two coefficients are pairs.
    factor, factor_rest = sum_of_ordered(_BINARY_LOG_1, square * polynomial(square, _BINARY_LOG))
    factor_rest = factor_rest + _BINARY_LOG_1_REST
    term, term_rest = exact_product(square, factor)
    term_rest = multiply_add(square, factor_rest, multiply_add(square_rest, factor, term_rest))
    factor, factor_rest = sum_of_ordered(_BINARY_LOG_0, term)
    factor_rest = factor_rest + (_BINARY_LOG_0_REST + term_rest)
    result, result_rest = exact_product(s, factor)
    result_rest = multiply_add(s, factor_rest, multiply_add(s_rest, factor, result_rest))
    total, missing = sum_of_ordered(exponent, result)
    return total, missing + result_rest


@elementary
def _split_any(x: Any) -> Any:
    """The exponent and the mantissa of a positive float64, subnormal ones included."""
    exponent, mantissa = _split(np.where(x < 2.0**-1022, x * 2.0**54, x))
    return np.where(x < 2.0**-1022, exponent - 54.0, exponent), mantissa


@elementary
def _split(x: Any) -> Any:
    """The exponent and the mantissa of a positive normal float64."""
    # The bits of the square root of 1/2 count from where the exponent changes.
    bits = bits_of(x) + (0x3FF0000000000000 - 0x3FE6A09E667F3BCD)
    exponent = with_bits(x, (bits >> 52) | 0x4330000000000000) - (2.0**52 + 1023.0)
    return exponent, with_bits(x, (bits & 0x000FFFFFFFFFFFFF) + 0x3FE6A09E667F3BCD)


@elementary
def _natural(exponent: Any, above: Any, rest: Any) -> Any:
    """`exponent * ln 2 + log(1 + above) + rest`."""
    s = above / (2.0 + above)
    square = s * s
    half = 0.5 * above * above
    total, missing = sum_of_ordered(exponent * _LN2, above)
    tail = multiply_add(s, multiply_add(square, polynomial(square, _LOG), half), -half)
    return total + (missing + (multiply_add(exponent, _LN2_REST, tail) + rest))


@elementary
def _where_defined(x: Any, logarithm: Any) -> Any:
    """The logarithm of `x` if that is a positive number, and else what it is by definition."""
    result = np.where(x < math.inf, logarithm, x)
    return np.where(x > 0.0, result, np.where(x == 0.0, -math.inf, math.nan))


@elementary
def log_single(x: Any) -> Any:
    """`math.log` of a float32."""
    number = np.where(x < 2.0**-126, x * 2.0**25, x)
    bits = bits_of(number) + (0x3F800000 - 0x3F3504F3)
    exponent = with_bits(x, (bits >> 23) | 0x4B000000) - np.where(x < 2.0**-126, 2.0**23 + 152.0, 2.0**23 + 127.0)
    above = with_bits(x, (bits & 0x007FFFFF) + 0x3F3504F3) - 1.0
    s = above / (2.0 + above)
    square = s * s
    half = 0.5 * above * above
    total, missing = sum_of_ordered(exponent * _LN2_SINGLE, above)
    tail = multiply_add(s, multiply_add(square, polynomial(square, _LOG_SINGLE), half), -half)
    return _where_defined(x, total + (missing + multiply_add(exponent, _LN2_REST_SINGLE, tail)))


@elementary
def log1p_single(x: Any) -> Any:
    """`math.log1p` of a float32."""
    wide = np.float64(x)
    result = _where_defined(1.0 + wide, narrow_log1p(wide))
    return np.where(abs(x) < 2.0**-26, x, np.float32(result))


@elementary
def log2_single(x: Any) -> Any:
    """`math.log2` of a float32."""
    wide = np.float64(x)
    return np.float32(_where_defined(wide, narrow_log2(wide)))


@elementary
def log10_single(x: Any) -> Any:
    """`math.log10` of a float32."""
    wide = np.float64(x)
    exponent, mantissa = _split(wide)
    result = multiply_add(_narrow_log_of_mantissa(mantissa - 1.0), _LOG10_OF_E, exponent * _LOG10_OF_2)
    return np.float32(_where_defined(wide, result))


@elementary
def narrow_log2(x: Any) -> Any:
    """`log2(x)` to the precision of a float32 and 10 bits more, in float64, of a positive normal number."""
    exponent, mantissa = _split(x)
    return multiply_add(_narrow_log_of_mantissa(mantissa - 1.0), _BY_LN2, exponent)


@elementary
def narrow_log1p(x: Any) -> Any:
    """`log(1 + x)` to the precision of a float32, in float64, where that is no less than 2**-27 away from 0."""
    total = 1.0 + x
    exponent, mantissa = _split(total)
    # What the sum rounds away; nothing where the number is so large that it rounds 1 away.
    lost = np.where(x < 2.0**53, (x - (total - 1.0)) / total, 0.0)
    return multiply_add(exponent, _LN2_NEAREST, _narrow_log_of_mantissa(mantissa - 1.0) + lost)


@elementary
def _narrow_log_of_mantissa(above: Any) -> Any:
    s = above / (2.0 + above)
    square = s * s
    return s * multiply_add(square, polynomial(square, _LOG_NARROW), 2.0)


@elementary
def log1p_without_double(x: Any) -> Any:
    """`math.log1p` of a float32, without float64."""
    total, missing = exact_sum(1.0, x)
    logarithm = math.log(total)
    # What is missing from the sum counts by the slope of the logarithm there.
    corrected = np.where(missing == 0.0, logarithm, logarithm + missing / total)
    return np.where((abs(x) < 2.0**-26) | (x == math.inf), x, corrected)
