# SPDX-License-Identifier: Apache-2.0
"""NumPy's functions of scalars that are neither operators nor elementary functions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from smelt.runtime.floats import last_place, next_after


def remainder_towards_zero(first: Any, second: Any) -> Any:
    """`np.fmod` of integers: the remainder has the sign of `first`."""
    rest = first % second
    return rest - second if rest != 0 and (first < 0) != (second < 0) else rest


def reciprocal_of_integer(number: Any) -> Any:
    """`np.reciprocal` of an integer, rounded towards zero."""
    quotient = 1 // number
    return quotient if number >= -1 else quotient * 0


def count_bits(number: Any) -> Any:
    """`np.bitwise_count`: how many bits of the absolute value are set."""
    bits = np.uint64(0) - np.uint64(number) if number < 0 else np.uint64(number)
    # Counted in groups of 2, 4 and 8 bits, all groups at once; the product adds the eight bytes up.
    bits = bits - ((bits >> 1) & 0x5555555555555555)
    bits = (bits & 0x3333333333333333) + ((bits >> 2) & 0x3333333333333333)
    bits = (bits + (bits >> 4)) & 0x0F0F0F0F0F0F0F0F
    return np.uint8((bits * 0x0101010101010101) >> 56)


def spacing(number: Any) -> Any:
    """`np.spacing`: the distance to the next number away from zero, with the sign of `number`."""
    if abs(number) == math.inf:
        return number * 0
    return -last_place(number) if number < 0 else last_place(number)


def log_of_sum_of_powers_of_two(first: Any, second: Any) -> Any:
    """`np.logaddexp2`."""
    if first == second:
        return first + 1
    return max(first, second) + math.log1p(np.exp2(-abs(first - second))) / math.log(2)


def normalised_sinc(number: Any) -> Any:
    """`np.sinc`."""
    angle = math.pi * number
    return math.sin(angle) / angle if number != 0 else angle * 0 + 1


def number_instead(value: Any) -> Any:
    """`np.nan_to_num`: 0 for NaN, the greatest number for what is infinite."""
    if np.isnan(value):
        return 0.0
    return next_after(value, 0.0) if abs(value) == math.inf else value


def is_positive_infinity(number: Any) -> Any:
    """`np.isposinf`."""
    return number == math.inf


def is_negative_infinity(number: Any) -> Any:
    """`np.isneginf`."""
    return number == -math.inf


def is_close(first: Any, second: Any, rtol: Any, atol: Any, equal_nan: Any) -> Any:
    """`np.isclose`."""
    if np.isnan(first) or np.isnan(second):
        return equal_nan and np.isnan(first) and np.isnan(second)
    if abs(second) == math.inf:
        return first == second
    return abs(first - second) <= atol + rtol * abs(second)


def is_close_by_default(first: Any, second: Any) -> Any:
    """`np.isclose` with the tolerances that it has by default."""
    return is_close(first, second, 1e-05, 1e-08, False)
