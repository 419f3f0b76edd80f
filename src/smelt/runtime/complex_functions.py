# SPDX-License-Identifier: Apache-2.0
"""Functions of complex numbers: what `cmath` and NumPy have, on parts of either size.

Infinite parts, and zeros with their signs, give what annex G of the C standard says. The inverse functions are those of Kahan, "Branch
cuts for complex elementary functions, or much ado about nothing's sign bit" (1987), in the form that CPython gives them
(Modules/cmathmodule.c). Where a formula would overflow a simpler one is exact to the last digit; the limits between them hold for
parts of float32 and of float64.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from smelt.runtime.bits import from_parts

_FAR = 1e18
"""The square of a number beyond this one is so much greater than 1 that the 1 makes no difference."""
_NEAR_ZERO = 1e-30
_CLOSE_TO_AXIS = 1e-9
_SCALE = 2.0**64
_LOG_OF_SCALE = 64 * math.log(2)


def size(number: Any) -> Any:
    """`abs(number)`."""
    return math.hypot(number.real, number.imag)


def angle(number: Any) -> Any:
    """`cmath.phase`, `np.angle`."""
    return math.atan2(number.imag, number.real)


def angle_in(number: Any, deg: Any) -> Any:
    """`np.angle`, in degrees if asked for."""
    found = angle(number)
    return found * (180.0 / math.pi) if deg else found


def polar(number: Any) -> Any:
    """`cmath.polar`."""
    return size(number), angle(number)


def from_polar(length: Any, turn: Any) -> Any:
    """`cmath.rect`."""
    if turn == 0:
        return from_parts(length, length * turn)
    if length == 0:
        return from_parts(length, 0.0)
    return from_parts(length * math.cos(turn), length * math.sin(turn))


def conjugate(number: Any) -> Any:
    """`np.conjugate`."""
    return from_parts(number.real, -number.imag)


def is_nan(number: Any) -> Any:
    """`cmath.isnan`."""
    return np.isnan(number.real) or np.isnan(number.imag)


def is_infinite(number: Any) -> Any:
    """`cmath.isinf`."""
    return np.isinf(number.real) or np.isinf(number.imag)


def is_finite(number: Any) -> Any:
    """`cmath.isfinite`."""
    return np.isfinite(number.real) and np.isfinite(number.imag)


def is_close(first: Any, second: Any, rel_tol: Any, abs_tol: Any) -> Any:
    """`cmath.isclose`."""
    if rel_tol < 0 or abs_tol < 0:
        raise ValueError("tolerances must be non-negative")
    if first == second:
        return True
    if is_infinite(first) or is_infinite(second):
        return False
    distance = size(first - second)
    return distance <= rel_tol * size(first) or distance <= rel_tol * size(second) or distance <= abs_tol


def is_close_by_default(first: Any, second: Any) -> Any:
    """`cmath.isclose` with the tolerances that it has by default."""
    return is_close(first, second, 1e-09, 0.0)


def sign(number: Any) -> Any:
    """`np.sign`: the number of size 1 in the same direction."""
    real, imaginary = number.real, number.imag
    length = size(number)
    if np.isnan(length) or (np.isinf(real) and np.isinf(imaginary)):
        return from_parts(length * math.nan, math.nan)
    if length == math.inf:
        return (
            from_parts(np.copysign(1.0, real), 0.0) if np.isinf(real) else from_parts(0.0, np.copysign(1.0, imaginary))
        )
    return from_parts(real / length, imaginary / length) if length > 0 else from_parts(length, 0.0)


def reciprocal(number: Any) -> Any:
    """`np.reciprocal`, by Smith's method."""
    real, imaginary = number.real, number.imag
    if abs(imaginary) <= abs(real):
        ratio = imaginary / real
        divisor = real + imaginary * ratio
        return from_parts(1 / divisor, -ratio / divisor)
    ratio = real / imaginary
    divisor = real * ratio + imaginary
    return from_parts(ratio / divisor, -1 / divisor)


def nearest(number: Any) -> Any:
    """`np.rint`, of each part."""
    return from_parts(np.rint(number.real), np.rint(number.imag))


# Exponentials


def exponential(number: Any) -> Any:
    """`exp(number)`."""
    real, imaginary = number.real, number.imag
    if imaginary == 0:
        return from_parts(math.exp(real), imaginary)
    if not np.isfinite(imaginary) and abs(real) == math.inf:
        return from_parts(real, math.nan) if real > 0 else from_parts(0.0, np.copysign(0.0, imaginary))
    length = math.exp(real)
    if length == math.inf and real != math.inf:
        half = math.exp(real / 2)
        return from_parts(half * math.cos(imaginary) * half, half * math.sin(imaginary) * half)
    return from_parts(length * math.cos(imaginary), length * math.sin(imaginary))


def power_of_two(number: Any) -> Any:
    """`np.exp2`."""
    return exponential(from_parts(number.real * math.log(2), number.imag * math.log(2)))


def exponential_less_one(number: Any) -> Any:
    """`np.expm1`."""
    real, imaginary = number.real, number.imag
    half = math.sin(imaginary / 2)
    return from_parts(math.expm1(real) * math.cos(imaginary) - 2 * half * half, math.exp(real) * math.sin(imaginary))


def hyperbolic_sine(number: Any) -> Any:
    """`sinh(number)`."""
    real, imaginary = number.real, number.imag
    if imaginary == 0:
        return from_parts(math.sinh(real), imaginary)
    if not np.isfinite(imaginary) and (real == 0 or abs(real) == math.inf):
        # No angle is known; a size of nothing, or of no end, still is.
        return from_parts(real, math.nan)
    grown = math.sinh(real)
    if abs(grown) == math.inf and abs(real) != math.inf:
        half = math.exp(abs(real) / 2)
        signed = np.copysign(half, real)
        return from_parts(signed * math.cos(imaginary) / 2 * half, half * math.sin(imaginary) / 2 * half)
    return from_parts(grown * math.cos(imaginary), math.cosh(real) * math.sin(imaginary))


def hyperbolic_cosine(number: Any) -> Any:
    """`cosh(number)`."""
    real, imaginary = number.real, number.imag
    if imaginary == 0:
        return from_parts(math.cosh(real), imaginary * np.copysign(1.0, real))
    if not np.isfinite(imaginary):
        if real == 0:
            return from_parts(math.nan, real)
        return from_parts(abs(real) if abs(real) == math.inf else imaginary * 0, math.nan)
    grown = math.cosh(real)
    if grown == math.inf and abs(real) != math.inf:
        half = math.exp(abs(real) / 2)
        signed = np.copysign(half, real)
        return from_parts(half * math.cos(imaginary) / 2 * half, signed * math.sin(imaginary) / 2 * half)
    return from_parts(grown * math.cos(imaginary), math.sinh(real) * math.sin(imaginary))


def hyperbolic_tangent(number: Any) -> Any:
    """`tanh(number)`."""
    real, imaginary = number.real, number.imag
    if imaginary == 0:
        return from_parts(math.tanh(real), imaginary)
    if not np.isfinite(imaginary) and abs(real) == math.inf:
        return from_parts(np.copysign(1.0, real), np.copysign(0.0, imaginary))
    if not np.isfinite(imaginary) and real == 0:
        return from_parts(real, math.nan)
    if abs(real) > 20 and np.isfinite(imaginary):
        shrunk = math.exp(-2 * abs(real))
        return from_parts(np.copysign(1.0, real), 4 * math.sin(imaginary) * math.cos(imaginary) * shrunk)
    one, other, inverse = math.tanh(real), math.tan(imaginary), 1 / math.cosh(real)
    divisor = 1 + (one * other) * (one * other)
    return from_parts(one * (1 + other * other) / divisor, other / divisor * inverse * inverse)


def sine(number: Any) -> Any:
    """`sin(number)`, which is `-1j * sinh(1j * number)`."""
    turned = hyperbolic_sine(from_parts(-number.imag, number.real))
    return from_parts(turned.imag, -turned.real)


def cosine(number: Any) -> Any:
    """`cos(number)`, which is `cosh(1j * number)`."""
    return hyperbolic_cosine(from_parts(-number.imag, number.real))


def tangent(number: Any) -> Any:
    """`tan(number)`, which is `-1j * tanh(1j * number)`."""
    turned = hyperbolic_tangent(from_parts(-number.imag, number.real))
    return from_parts(turned.imag, -turned.real)


# Roots and logarithms


def root(number: Any) -> Any:
    """The square root whose real part is not negative."""
    real, imaginary = number.real, number.imag
    if real == 0 and imaginary == 0:
        return from_parts(0.0, imaginary)
    if abs(imaginary) == math.inf:
        return from_parts(math.inf, imaginary)
    if abs(real) == math.inf:
        # The other part is nothing beside it, or NaN.
        nothing = abs(imaginary * 0)
        one, other = (real, nothing) if real > 0 else (nothing, -real)
        return from_parts(one, np.copysign(other, imaginary))
    scale = 1.0
    if size(number) < _NEAR_ZERO:
        real, imaginary, scale = real * _SCALE, imaginary * _SCALE, 1 / math.sqrt(_SCALE)
    # An eighth, so that nothing overflows.
    eighth = abs(real) / 8
    long = 2 * math.sqrt(eighth + math.hypot(eighth, imaginary / 8))
    short = abs(imaginary) / (2 * long) * scale
    long = long * scale
    return (
        from_parts(long, np.copysign(short, imaginary))
        if real >= 0
        else from_parts(short, np.copysign(long, imaginary))
    )


def logarithm(number: Any) -> Any:
    """The logarithm whose imaginary part is an angle between -pi and pi."""
    return from_parts(_log_of_size(number.real, number.imag), angle(number))


def _log_of_size(real: Any, imaginary: Any) -> Any:
    """The logarithm of the size of a complex number."""
    long, short = max(abs(real), abs(imaginary)), min(abs(real), abs(imaginary))
    length = math.hypot(real, imaginary)
    if length == math.inf and long != math.inf:
        return math.log(math.hypot(real / 4, imaginary / 4)) + math.log(4)
    if length < _NEAR_ZERO and length > 0:
        return math.log(math.hypot(real * _SCALE, imaginary * _SCALE)) - _LOG_OF_SCALE
    if 0.71 <= length <= 1.73:
        # Near 1 the logarithm is what the size differs from 1 by.
        return math.log1p((long - 1) * (long + 1) + short * short) / 2
    return math.log(length)


def logarithm_to_base(number: Any, base: Any) -> Any:
    """`cmath.log(number, base)`."""
    return logarithm(number) / logarithm(base)


def logarithm_to_ten(number: Any) -> Any:
    """`log10(number)`."""
    found = logarithm(number)
    return from_parts(found.real / math.log(10), found.imag / math.log(10))


def logarithm_to_two(number: Any) -> Any:
    """`np.log2`."""
    found = logarithm(number)
    return from_parts(found.real / math.log(2), found.imag / math.log(2))


def logarithm_of_one_more(number: Any) -> Any:
    """`np.log1p`."""
    return logarithm(from_parts(number.real + 1, number.imag))


# Inverse functions


def _is_far(number: Any) -> Any:
    """Whether 1 is nothing beside this number."""
    return abs(number.real) > _FAR or abs(number.imag) > _FAR


def _log_of_double(number: Any) -> Any:
    """The logarithm of twice the size of a number that is far from 0."""
    return _log_of_size(number.real / 2, number.imag / 2) + 2 * math.log(2)


def inverse_cosine(number: Any) -> Any:
    """`acos(number)`."""
    real, imaginary = number.real, number.imag
    if _is_far(number):
        return from_parts(math.atan2(abs(imaginary), real), -np.copysign(_log_of_double(number), imaginary))
    less, more = root(from_parts(1 - real, -imaginary)), root(from_parts(1 + real, imaginary))
    return from_parts(2 * math.atan2(less.real, more.real), math.asinh(more.real * less.imag - more.imag * less.real))


def inverse_hyperbolic_cosine(number: Any) -> Any:
    """`acosh(number)`."""
    real, imaginary = number.real, number.imag
    if _is_far(number):
        return from_parts(_log_of_double(number), math.atan2(imaginary, real))
    less, more = root(from_parts(real - 1, imaginary)), root(from_parts(real + 1, imaginary))
    return from_parts(math.asinh(less.real * more.real + less.imag * more.imag), 2 * math.atan2(less.imag, more.real))


def inverse_hyperbolic_sine(number: Any) -> Any:
    """`asinh(number)`."""
    real, imaginary = number.real, number.imag
    if _is_far(number):
        return from_parts(np.copysign(_log_of_double(number), real), math.atan2(imaginary, abs(real)))
    one, other = root(from_parts(1 + imaginary, -real)), root(from_parts(1 - imaginary, real))
    return from_parts(
        math.asinh(one.real * other.imag - other.real * one.imag),
        math.atan2(imaginary, one.real * other.real - one.imag * other.imag),
    )


def inverse_sine(number: Any) -> Any:
    """`asin(number)`, which is `-1j * asinh(1j * number)`."""
    turned = inverse_hyperbolic_sine(from_parts(-number.imag, number.real))
    return from_parts(turned.imag, -turned.real)


def inverse_hyperbolic_tangent(number: Any) -> Any:
    """`atanh(number)`."""
    side = np.copysign(1.0, number.real)
    found = _inverse_hyperbolic_tangent_to_the_right(abs(number.real), number.imag * side)
    return from_parts(found.real * side, found.imag * side)


def _inverse_hyperbolic_tangent_to_the_right(real: Any, imaginary: Any) -> Any:
    """`atanh` of a number whose real part is not negative."""
    height = abs(imaginary)
    if math.inf in (real, height):
        return from_parts(0.0, np.copysign(math.pi / 2, imaginary))
    if real > _FAR or height > _FAR:
        half = math.hypot(real / 2, imaginary / 2)
        return from_parts(real / 4 / half / half, np.copysign(math.pi / 2, imaginary))
    if real == 1 and height == 0:
        return from_parts(math.inf, imaginary)
    if real == 1 and height < _CLOSE_TO_AXIS:
        # The square of the height could vanish.
        return from_parts(
            -math.log(math.sqrt(height) / math.sqrt(math.hypot(height, 2.0))),
            np.copysign(math.atan2(2.0, -height) / 2, imaginary),
        )
    return from_parts(
        math.log1p(4 * real / ((1 - real) * (1 - real) + height * height)) / 4,
        -math.atan2(-2 * imaginary, (1 - real) * (1 + real) - height * height) / 2,
    )


def inverse_tangent(number: Any) -> Any:
    """`atan(number)`, which is `-1j * atanh(1j * number)`."""
    turned = inverse_hyperbolic_tangent(from_parts(-number.imag, number.real))
    return from_parts(turned.imag, -turned.real)
