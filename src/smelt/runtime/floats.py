# SPDX-License-Identifier: Apache-2.0
"""Functions of floating numbers that are no instruction and no function of the C library.

`mantissa_bits` and `exponent_bits` are those of the number's type: 52 and 11 for float64, 23 and 8 for float32.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from smelt.runtime.bits import bits_of, with_bits


def size(number: Any) -> Any:
    """`math.fabs`."""
    return abs(number)


def whole_and_rest(number: Any) -> Any:
    """`math.modf`: what stands behind the point, and the whole part, each with the sign of `number`."""
    whole = np.trunc(number)
    rest = number - whole if abs(number) != math.inf else 0.0
    return np.copysign(rest, number), whole


def mantissa_and_exponent(number: Any, mantissa_bits: Any, exponent_bits: Any) -> Any:
    """`math.frexp`."""
    if number == 0 or not np.isfinite(number):
        return number, 0
    shift = 0
    if int(bits_of(number) >> mantissa_bits) & ((1 << exponent_bits) - 1) == 0:
        # A subnormal number becomes a normal one.
        shift = mantissa_bits + 1
        number = number * (1 << shift)
    bits = bits_of(number)
    biased = int(bits >> mantissa_bits) & ((1 << exponent_bits) - 1)
    half = (1 << (exponent_bits - 1)) - 2
    # The sign and the mantissa stay; the exponent becomes that of 0.5.
    return with_bits(number, bits ^ ((biased ^ half) << mantissa_bits)), biased - half - shift


def scaled(number: Any, exponent: Any, mantissa_bits: Any, exponent_bits: Any) -> Any:
    """`math.ldexp`, infinite where that overflows. After musl's scalbn: all factors but the last are exact."""
    exponent = int(exponent)
    bias = (1 << (exponent_bits - 1)) - 1
    largest = with_bits(number, (2 * bias) << mantissa_bits)
    least = with_bits(number, (mantissa_bits + 2) << mantissa_bits)
    for _ in range(2):
        if exponent > bias:
            number, exponent = number * largest, exponent - bias
        elif exponent < 1 - bias:
            number, exponent = number * least, exponent + bias - mantissa_bits - 2
    exponent = max(1 - bias, min(exponent, bias))
    return number * with_bits(number, (bias + exponent) << mantissa_bits)


def next_after(start: Any, end: Any) -> Any:
    """`math.nextafter`."""
    if np.isnan(start) or np.isnan(end):
        return start + end
    if start == end:
        return end
    if start == 0:
        return np.copysign(with_bits(start, 1), end)
    bits = bits_of(start)
    return with_bits(start, bits + 1 if (start < end) == (start > 0) else bits - 1)


def last_place(number: Any) -> Any:
    """`math.ulp`."""
    number = abs(number)
    if not np.isfinite(number):
        return number
    above = next_after(number, math.inf)
    return above - number if above != math.inf else number - next_after(number, 0.0)


def nearest_remainder(first: Any, second: Any) -> Any:
    """`math.remainder`, after CPython's `m_remainder`."""
    if not np.isfinite(first) or np.isnan(second) or second == 0:
        return first * math.nan
    if abs(second) == math.inf:
        return first
    dividend, divisor = abs(first), abs(second)
    rest = math.fmod(dividend, divisor)
    other = divisor - rest
    if rest > other:
        rest = -other
    elif rest == other:
        rest = rest - 2.0 * math.fmod(0.5 * (dividend - rest), divisor)
    return rest if np.copysign(1.0, first) > 0 else -rest


def is_close(first: Any, second: Any, rel_tol: Any, abs_tol: Any) -> Any:
    """`math.isclose`."""
    if rel_tol < 0 or abs_tol < 0:
        raise ValueError("tolerances must be non-negative")
    if first == second:
        return True
    if abs(first) == math.inf or abs(second) == math.inf:
        return False
    difference = abs(second - first)
    return difference <= abs(rel_tol * second) or difference <= abs(rel_tol * first) or difference <= abs_tol


def is_close_by_default(first: Any, second: Any) -> Any:
    """`math.isclose` with the tolerances that it has by default."""
    return is_close(first, second, 1e-09, 0.0)


def rounded_to(number: Any, digits: Any) -> Any:
    """`round(number, digits)` as NumPy does it: scaled by a power of ten, rounded to even, and scaled back."""
    if digits >= 0:
        scale = 10.0**digits
        return np.rint(number * scale) / scale
    scale = 10.0**-digits
    return np.rint(number / scale) * scale


def logarithm_to_base(number: Any, base: Any) -> Any:
    """`math.log(number, base)`."""
    return math.log(number) / math.log(base)


def degrees(angle: Any) -> Any:
    """`math.degrees`."""
    return angle * (180.0 / math.pi)


def radians(angle: Any) -> Any:
    """`math.radians`."""
    return angle * (math.pi / 180.0)


def has_sign(number: Any) -> Any:
    """`np.signbit`."""
    return np.copysign(1.0, number) < 0


def heaviside(number: Any, at_zero: Any) -> Any:
    """`np.heaviside`."""
    if number == 0:
        return at_zero
    return number if np.isnan(number) else 1.0 if number > 0 else 0.0


def log_of_sum(first: Any, second: Any) -> Any:
    """`np.logaddexp`."""
    if first == second:
        return first + math.log(2.0)
    return max(first, second) + math.log1p(math.exp(-abs(first - second)))
