# SPDX-License-Identifier: Apache-2.0
"""Hyperbolic functions and their inverses, by exponentials and logarithms that are pairs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from smelt.runtime.elementary.exact import elementary, exact_product, exact_sum, multiply_add, sum_of_ordered
from smelt.runtime.elementary.exponentials import narrow_exp, narrow_expm1, quarter_of_expm1, scaled_exponential
from smelt.runtime.elementary.logarithms import logarithm_of_pair, narrow_log1p

_TINY = 2.0**-28
"""The functions that are 0 at 0 differ from their numbers by a square of those, which can't be seen in a float64 below that."""


@elementary
def sinh_double(x: Any) -> Any:
    """`math.sinh` of a float64, infinite where it overflows."""
    size = abs(x)
    # (E + E / (E + 1)) / 2, where E is e**x - 1, four times a quarter that doesn't overflow.
    quarter, rest = sum_of_ordered(*quarter_of_expm1(np.where(size > 710.5, 710.5, size)))
    below, below_rest = exact_sum(4.0 * quarter, 1.0)
    quotient = quarter / below
    wrong = multiply_add(-quotient, below, quarter) + (rest - quotient * (below_rest + 4.0 * rest))
    is_large = quarter > 2.0**60
    total, missing = sum_of_ordered(quarter, np.where(is_large, 0.25, quotient))
    result = 2.0 * (total + (missing + (rest + np.where(is_large, 0.0, wrong / below))))
    return np.where(size < _TINY, x, np.copysign(result, x))


@elementary
def cosh_double(x: Any) -> Any:
    """`math.cosh` of a float64."""
    size = abs(x)
    # A quarter of e**x, and of its inverse, with what the division leaves.
    growing, growing_rest = scaled_exponential(np.where(size > 710.5, 710.5, size), 2.0)
    shrinking = 1.0 / (16.0 * growing)
    wrong = multiply_add(-shrinking, 16.0 * growing, 1.0) - 16.0 * (shrinking * growing_rest)
    shrinking_rest = np.where(size > 40.0, 0.0, shrinking * wrong)
    total, missing = sum_of_ordered(growing, shrinking)
    return 2.0 * (total + (missing + (growing_rest + shrinking_rest)))


@elementary
def tanh_double(x: Any) -> Any:
    """`math.tanh` of a float64."""
    size = abs(x)
    # E / (E + 2), where E is e**(2*x) - 1.
    quarter, rest = sum_of_ordered(*quarter_of_expm1(2.0 * np.where(size > 22.0, 22.0, size)))
    below, below_rest = exact_sum(quarter, 0.5)
    by_below = 1.0 / below
    quotient = quarter * by_below
    wrong = multiply_add(-quotient, below, quarter) + (rest - quotient * (below_rest + rest))
    return np.where(size < _TINY, x, np.copysign(multiply_add(wrong, by_below, quotient), x))


@elementary
def asinh_double(x: Any) -> Any:
    """`math.asinh` of a float64."""
    size = abs(x)
    is_large = size > 2.0**30
    number, lost = _sum_with_root(np.where(is_large, 1.0, size), 1.0)
    # The logarithm of twice the number where 1 makes no difference.
    result = logarithm_of_pair(
        np.where(is_large, size, number), np.where(is_large, 0.0, lost), np.where(is_large, 1.0, 0.0)
    )
    return np.where((size >= _TINY) & (size < math.inf), np.copysign(result, x), x)


@elementary
def acosh_double(x: Any) -> Any:
    """`math.acosh` of a float64, NaN below 1."""
    is_large = x > 2.0**30
    number, lost = _sum_with_root(np.where(is_large, 1.0, x), -1.0)
    result = logarithm_of_pair(
        np.where(is_large, x, number), np.where(is_large, 0.0, lost), np.where(is_large, 1.0, 0.0)
    )
    return np.where(x >= 1.0, np.where(x < math.inf, result, x), math.nan)


@elementary
def _sum_with_root(x: Any, one: Any) -> Any:
    """`x + sqrt(x**2 + one)` as a pair."""
    square, square_rest = exact_product(x, x)
    total, missing = exact_sum(square, one)
    missing = missing + square_rest
    root = np.sqrt(total)
    wrong = multiply_add(-root, root, total) + missing
    root_rest = np.where(total > 0.0, wrong / (2.0 * root), 0.0)
    result, result_rest = exact_sum(x, root)
    return result, result_rest + root_rest


@elementary
def atanh_double(x: Any) -> Any:
    """`math.atanh` of a float64, infinite at 1 and NaN beyond."""
    size = abs(x)
    above, above_rest = sum_of_ordered(1.0, size)
    below, below_rest = sum_of_ordered(1.0, -size)
    by_below = 1.0 / below
    quotient = above * by_below
    wrong = multiply_add(-quotient, below, above) + (above_rest - quotient * below_rest)
    result = 0.5 * logarithm_of_pair(quotient, wrong * by_below, 0.0)
    defined = np.where(size < 1.0, result, np.where(size == 1.0, math.inf, math.nan))
    return np.where(size < _TINY, x, np.copysign(defined, x))


@elementary
def sinh_single(x: Any) -> Any:
    """`math.sinh` of a float32."""
    grown = narrow_expm1(np.float64(abs(x)))
    return np.copysign(np.float32(0.5 * (grown + grown / (grown + 1.0))), x)


@elementary
def cosh_single(x: Any) -> Any:
    """`math.cosh` of a float32."""
    grown = narrow_exp(np.float64(abs(x)))
    return np.float32(0.5 * (grown + 1.0 / grown))


@elementary
def tanh_single(x: Any) -> Any:
    """`math.tanh` of a float32."""
    grown = narrow_expm1(2.0 * np.float64(abs(x)))
    return np.copysign(np.float32(grown / (grown + 2.0)), x)


@elementary
def asinh_single(x: Any) -> Any:
    """`math.asinh` of a float32."""
    size = np.float64(abs(x))
    result = narrow_log1p(size + size * size / (1.0 + np.sqrt(multiply_add(size, size, 1.0))))
    return np.where((size >= 2.0**-14) & (size < math.inf), np.copysign(np.float32(result), x), x)


@elementary
def acosh_single(x: Any) -> Any:
    """`math.acosh` of a float32."""
    above = np.float64(x) - 1.0
    result = np.float32(narrow_log1p(above + np.sqrt(above * (above + 2.0))))
    return np.where(x >= 1.0, np.where(x < math.inf, result, x), math.nan)


@elementary
def atanh_single(x: Any) -> Any:
    """`math.atanh` of a float32."""
    size = np.float64(abs(x))
    result = 0.5 * narrow_log1p(2.0 * size / (1.0 - size))
    defined = np.float32(np.where(size < 1.0, result, np.where(size == 1.0, math.inf, math.nan)))
    return np.where(size < 2.0**-14, x, np.copysign(defined, x))
