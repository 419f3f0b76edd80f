# SPDX-License-Identifier: Apache-2.0
"""Powers and quotients of numbers for which machines have no instruction."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from smelt.runtime import complex_functions
from smelt.runtime.bits import from_parts


def integer_power(one: Any, base: Any, exponent: Any) -> Any:
    """`base ** exponent` by squaring, wrapping around like NumPy's. `one` is 1 of the type of both; the exponent is not negative."""
    result = one
    while exponent > 0:
        if exponent & 1:
            result *= base
        base *= base
        exponent >>= 1
    return result


def square_root_power(base: Any) -> Any:
    """`base ** 0.5`: where the root is -0 or NaN, C's annex F.10.4.4 has 0 and infinity."""
    return np.where(base == -math.inf, math.inf, np.sqrt(base + 0.0))


def complex_quotient(first: Any, second: Any) -> Any:
    """`first / second` by Smith's method, step by step as NumPy does it (`nc_quot` in numpy/_core/src/umath/funcs.inc.src)."""
    a, b, c, d = first.real, first.imag, second.real, second.imag
    if abs(c) >= abs(d):
        if c == 0 and d == 0:
            return from_parts(a / abs(c), b / abs(c))
        ratio = d / c
        scale = 1.0 / (c + d * ratio)
        return from_parts((a + b * ratio) * scale, (b - a * ratio) * scale)
    ratio = c / d
    scale = 1.0 / (d + c * ratio)
    return from_parts((a * ratio + b) * scale, (b * ratio - a) * scale)


def complex_power(one: Any, base: Any, exponent: Any) -> Any:
    """`base ** exponent`; small whole exponents by squaring, as NumPy does it (`npy_cpow` in npy_math_complex.c.src).

    `one` is 1 of the type of both.
    """
    if exponent == 0:
        return one
    if exponent == 1:
        return base
    if base == 0:
        return one - one if exponent.real > 0 else one * math.nan
    if exponent.imag != 0 or not (-100 < exponent.real < 100) or math.floor(exponent.real) != exponent.real:
        return complex_functions.exponential(exponent * complex_functions.logarithm(base))
    whole = abs(int(exponent.real))
    result, square = one, base
    while True:
        if whole & 1:
            result = result * square
        whole >>= 1
        if whole == 0:
            break
        square = square * square
    return result if exponent.real > 0 else complex_quotient(one, result)
