# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: INP001 - a program by itself
"""The coefficients of smelt's elementary functions: polynomials whose greatest error is as small as it can be.

    python tools/minimax.py            # all, as they stand in smelt.runtime.elementary
    python tools/minimax.py EXP SINE   # some

needs mpmath. Each polynomial is found by Remez's exchange algorithm: on as many points as there are coefficients and one more, the
weighted errors are made equal with alternating signs; then the points move to where the error is extreme. A coefficient is rounded
to the precision that it is used in, and the rest are found again around it, so that the rounding of the low ones is made up for.
"""

from __future__ import annotations

import math
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mpmath import mp, mpf

mp.dps = 80

Real = Any


@dataclass(frozen=True)
class Polynomial:
    """What is approximated: `function` on `[low, high]`, where an absolute error counts by its product with `weight`.

    Attributes
    ----------
    count
        How many coefficients there are.
    is_single
        Whether they are rounded to float32; else to float64.
    pairs
        How many of the first ones are written as the sum of two numbers.
    """

    function: Callable[[Real], Real]
    low: Real
    high: Real
    weight: Callable[[Real], Real]
    count: int
    is_single: bool = False
    pairs: int = 0


def rounded(value: Real, *, is_single: bool) -> float:
    """The nearest float32 or float64."""
    double = float(value)
    return struct.unpack("<f", struct.pack("<f", double))[0] if is_single else double


def coefficients(wanted: Polynomial) -> tuple[list[Real], Real]:
    """The coefficients, from that of the constant term on, and the greatest weighted error that is left."""
    # An odd number of steps, so that 0 is none of them.
    points = 24 * wanted.count + 1
    grid = [_chebyshev(wanted.low, wanted.high, mpf(number) / points) for number in range(points + 1)]
    values = [wanted.function(x) for x in grid]
    weights = [wanted.weight(x) for x in grid]
    found: list[Real] = []
    for place in range(wanted.count):
        free = _remez(grid, values, weights, wanted.count - place)
        if place < wanted.pairs:
            high = mpf(float(free[0]))
            chosen = high + mpf(float(free[0] - high))
        else:
            chosen = mpf(rounded(free[0], is_single=wanted.is_single))
        found.append(chosen)
        # What is left is divided by the argument, so that it is a polynomial again.
        values = [(value - chosen) / x for value, x in zip(values, grid, strict=True)]
        weights = [weight * abs(x) for weight, x in zip(weights, grid, strict=True)]
    error = max(abs(value) * weight for value, weight in zip(values, weights, strict=True))
    return found, error


def _chebyshev(low: Real, high: Real, part: Real) -> Real:
    """Points that lie closer together at both ends, which they leave out."""
    inside = mpf(1) - mpf(2) ** -30
    return (high + low) / 2 - (high - low) / 2 * mp.cos(mp.pi * part) * inside


def _remez(grid: list[Real], values: list[Real], weights: list[Real], count: int) -> list[Real]:
    """The coefficients."""
    last = len(grid) - 1
    chosen = [round(last * number / count) for number in range(count + 1)]
    best: tuple[Real, list[Real]] | None = None
    for _ in range(25):
        matrix, right = mp.matrix(count + 1, count + 1), mp.matrix(count + 1, 1)
        for row, place in enumerate(chosen):
            power = weights[place]
            for column in range(count):
                matrix[row, column] = power
                power *= grid[place]
            matrix[row, count] = (-1) ** row
            right[row] = values[place] * weights[place]
        solution = mp.lu_solve(matrix, right)
        errors: list[Real] = []
        for x, value, weight in zip(grid, values, weights, strict=True):
            total = mpf(0)
            for column in reversed(range(count)):
                total = total * x + solution[column]
            errors.append((value - total) * weight)
        error = max(map(abs, errors))
        if best is None or error < best[0]:
            best = error, list(solution)[:count]
        extremes = _alternating(errors, count + 1)
        if extremes == chosen or len(extremes) < count + 1:
            break
        chosen = extremes
    assert best is not None
    return best[1]


def _alternating(errors: list[Real], count: int) -> list[int]:
    """The places of the extreme errors of alternating sign, `count` in a row that have the greatest one among them."""
    places: list[int] = []
    for place, error in enumerate(errors):
        if places and (error > 0) == (errors[places[-1]] > 0):
            if abs(error) > abs(errors[places[-1]]):
                places[-1] = place
        else:
            places.append(place)
    while len(places) > count:
        sizes = [abs(errors[place]) for place in places]
        least = sizes.index(min(sizes))
        if least in (0, len(places) - 1) or len(places) == count + 1:
            places.pop(0 if sizes[0] < sizes[-1] else -1)
        else:
            # With a neighbour, so that the signs go on alternating.
            first = least if sizes[least + 1] < sizes[least - 1] else least - 1
            del places[first : first + 2]
    return places


def _quotient(function: Callable[[Real], Real], power: int, *, is_even: bool = True) -> Callable[[Real], Real]:
    """`function(x) / x**power`, of `x` or, for functions of `x**2`, of its square."""

    def value(argument: Real) -> Real:
        x = mp.sqrt(argument) if is_even else argument
        with mp.workdps(120):
            return function(x) / x**power

    return value


def _relative(function: Callable[[Real], Real], power: int) -> Callable[[Real], Real]:
    """The weight of a coefficient polynomial in `x**2` that is multiplied with `x**power`, for errors relative to `function(x)`."""

    def weight(z: Real) -> Real:
        x = mp.sqrt(z)
        return abs(x**power / function(x))

    return weight


_HALF_LN2 = mp.log(2) / 2 * (1 + mpf(2) ** -20)
_QUARTER_PI = mp.pi / 4 * (1 + mpf(2) ** -20)
# (m - 1) / (m + 1) at the square root of 2.
_LARGEST_S = (mp.sqrt(2) - 1) / (mp.sqrt(2) + 1) * (1 + mpf(2) ** -20)
_SCALE = 4


def _log_of_quotient(s: Real) -> Real:
    return mp.log((1 + s) / (1 - s))


def _exp_rest(count: int, *, is_single: bool = False) -> Polynomial:
    return Polynomial(
        _quotient(lambda r: mp.exp(r) - 1 - r, 2, is_even=False),
        -_HALF_LN2,
        _HALF_LN2,
        lambda r: r**2 / mp.exp(r),
        count,
        is_single,
    )


def _log_rest(count: int, *, is_single: bool = False) -> Polynomial:
    return Polynomial(
        _quotient(lambda s: _log_of_quotient(s) - 2 * s, 3),
        mpf(0),
        _LARGEST_S**2,
        _relative(_log_of_quotient, 3),
        count,
        is_single,
    )


def _odd_rest(
    function: Callable[[Real], Real], largest: Real, count: int, *, is_single: bool = False, slope: int = 1
) -> Polynomial:
    """`(function(x) - slope * x) / x**3`."""
    return Polynomial(
        _quotient(lambda x: function(x) - slope * x, 3), mpf(0), largest**2, _relative(function, 3), count, is_single
    )


def _cos_rest(count: int, *, is_single: bool = False) -> Polynomial:
    return Polynomial(
        _quotient(lambda x: mp.cos(x) - 1 + x**2 / 2, 4), mpf(0), _QUARTER_PI**2, _relative(mp.cos, 4), count, is_single
    )


def _scaled_erfc(t: Real) -> Real:
    """`exp(x*x) * erfc(x) * (1 + 2*x)` where `t` is `(x - _SCALE) / (x + _SCALE)`."""
    x = _SCALE * (1 + t) / (1 - t)
    with mp.workdps(90):
        return mp.exp(x * x) * mp.erfc(x) * (1 + 2 * x)


def _logarithm_of_erfc(t: Real) -> Real:
    """`-log(erfc(x)) - x**2`, where `t` is `x - 2`."""
    with mp.workdps(100):
        return -mp.log(mp.erfc(t + 2)) - (t + 2) ** 2


def _erfc_exponent(count: int, smallest: Real, largest: int, *, is_single: bool = False) -> Polynomial:
    return Polynomial(_logarithm_of_erfc, smallest - 2, mpf(largest - 2), lambda t: mp.erfc(t + 2), count, is_single)


def _erf_by_x(z: Real) -> Real:
    x = mp.sqrt(z)
    return mp.erf(x) / x - 1


def _erf_small(count: int, largest: Real, *, is_single: bool = False) -> Polynomial:
    return Polynomial(_erf_by_x, mpf(0), largest**2, lambda z: mp.sqrt(z) / mp.erf(mp.sqrt(z)), count, is_single)


def _log_gamma_rest(zero: int, low: Real, high: Real, count: int) -> Polynomial:
    """`log(gamma(zero + t)) / t`, which is 0 at 1 and at 2."""

    def quotient(t: Real) -> Real:
        return mp.log(mp.gamma(zero + t)) / t

    return Polynomial(quotient, low, high, lambda t: 1 / abs(quotient(t)), count, is_single=True)


# The ranges are those to which the functions reduce their arguments, and a little more; the counts leave an error far below that of
# rounding, except where an error in the last place but one costs less than another term.
POLYNOMIALS = {
    "EXP": _exp_rest(11),
    "EXP_SINGLE": _exp_rest(5, is_single=True),
    "EXP_NARROW": _exp_rest(6),
    "LOG": _log_rest(7),
    "LOG_SINGLE": _log_rest(3, is_single=True),
    "LOG_NARROW": _log_rest(4),
    "BINARY_LOG": Polynomial(
        lambda z: _log_of_quotient(mp.sqrt(z)) / mp.sqrt(z) / mp.log(2),
        mpf(0),
        _LARGEST_S**2,
        lambda _: mpf(1) / 3,
        10,
        pairs=2,
    ),
    "SINE": _odd_rest(mp.sin, _QUARTER_PI, 6),
    "SINE_SINGLE": _odd_rest(mp.sin, _QUARTER_PI, 3, is_single=True),
    "COSINE": _cos_rest(6),
    "COSINE_SINGLE": _cos_rest(3, is_single=True),
    "ARCTANGENT": _odd_rest(mp.atan, mpf(1) / 2 * (1 + mpf(2) ** -20), 14),
    "ARCTANGENT_NARROW": _odd_rest(mp.atan, mpf(1) / 2 * (1 + mpf(2) ** -20), 7),
    "ARCSINE": _odd_rest(mp.asin, mpf(1) / 2 * (1 + mpf(2) ** -20), 13),
    "ARCSINE_NARROW": _odd_rest(mp.asin, mpf(1) / 2 * (1 + mpf(2) ** -20), 6),
    "CUBE_ROOT": Polynomial(lambda m: 1 / mp.cbrt(m), mpf(1), mpf(2), mp.cbrt, 5),
    "ERF": _erf_small(11, mpf(13) / 16),
    "ERF_SINGLE": _erf_small(6, mpf(13) / 16, is_single=True),
    "ERFC_EXPONENT": _erfc_exponent(19, mpf(13) / 16, 6),
    "ERFC_EXPONENT_SINGLE": _erfc_exponent(8, mpf(13) / 16, 4, is_single=True),
    "SCALED_ERFC": Polynomial(
        _scaled_erfc, mpf(-1), (mpf(28) - _SCALE) / (28 + _SCALE), lambda t: 1 / _scaled_erfc(t), 25, pairs=1
    ),
    "GAMMA_SINGLE": Polynomial(
        lambda t: mp.gamma(t + mpf(3) / 2),
        -mpf(1) / 2,
        mpf(1) / 2,
        lambda t: 1 / mp.gamma(t + mpf(3) / 2),
        13,
        is_single=True,
    ),
    "LOG_GAMMA_1_SINGLE": _log_gamma_rest(1, -mpf(1) / 2, mpf(1) / 2, 15),
    "LOG_GAMMA_2_SINGLE": _log_gamma_rest(2, -mpf(1) / 2, mpf(1), 13),
    # Only for what the argument above rounds away.
    "SCALED_ERFC_SLOPE": Polynomial(
        lambda t: mp.diff(_scaled_erfc, t), -mpf(3) / 4, (mpf(28) - _SCALE) / (28 + _SCALE), lambda _: mpf(1), 5
    ),
    "SCALED_ERFC_NARROW": Polynomial(
        _scaled_erfc, mpf(-1), (mpf(11) - _SCALE) / (11 + _SCALE), lambda t: 1 / _scaled_erfc(t), 12
    ),
}


# What else stands in the modules: numbers in two parts of float64, of which the first may be cut so that its products are exact.
CONSTANTS: dict[str, tuple[Real, int]] = {
    "LN2": (mp.log(2), 53),
    "LN2_SHORT": (mp.log(2), 42),
    "LN2_SINGLE": (mp.log(2), 24),
    "LN2_SHORT_SINGLE": (mp.log(2), 16),
    "BY_LN2": (1 / mp.log(2), 53),
    "LOG10_OF_2": (mp.log10(2), 53),
    "LOG10_OF_E": (mp.log10(mp.e), 53),
    "HALF_PI": (mp.pi / 2, 53),
    "HALF_PI_1": (mp.pi / 2 - mpf(float(mp.pi / 2)), 53),
    "HALF_PI_SINGLE": (mp.pi / 2, 24),
    "HALF_PI_SINGLE_1": (mp.pi / 2 - mpf(rounded(mp.pi / 2, is_single=True)), 24),
    "BY_HALF_PI": (2 / mp.pi, 53),
}


def constant(value: Real, bits: int) -> str:
    """Two parts, of which the first has so many bits: rounded to the nearest if it is a whole float, and else cut."""
    if bits in (24, 53):
        first = mpf(rounded(value, is_single=bits == 24))
        return f"{float(first)!r}, {rounded(value - first, is_single=bits == 24)!r}"
    mantissa, exponent = mp.frexp(value)
    first = mp.ldexp(mp.floor(mp.ldexp(mantissa, bits)), exponent - bits)
    return f"{float(first)!r}, {float(value - first)!r}"


def two_by_pi() -> str:
    """The bits of `2 / pi`, 32 in a number, behind two numbers for those in front of the point."""
    with mp.workprec(1400):
        bits = int(mp.floor(mp.ldexp(2 / mp.pi, 37 * 32)))
    words = [0, 0, *((bits >> 32 * place) & 0xFFFFFFFF for place in reversed(range(37)))]
    return "_TWO_BY_PI = (\n" + "".join(f"    0x{word:08X},\n" for word in words) + ")\n"


def polynomial(name: str) -> str:
    """A polynomial as Python."""
    wanted = POLYNOMIALS[name]
    found, error = coefficients(wanted)
    lines = [f"# Error: 2**{float(mp.log(error, 2)):.1f}."]
    for place, value in enumerate(found[: wanted.pairs]):
        high = float(value)
        lines.append(f"_{name}_{place}, _{name}_{place}_REST = {high!r}, {float(value - mpf(high))!r}")
    lines.append(f"_{name} = (")
    lines += [f"    {_shortest(float(value), is_single=wanted.is_single)}," for value in found[wanted.pairs :]]
    return "\n".join([*lines, ")\n"])


def _shortest(value: float, *, is_single: bool) -> str:
    """The fewest digits that are read as this float32 or float64."""
    if not is_single:
        return repr(value)
    for digits in range(6, 12):
        text = f"{value:.{digits}g}"
        if rounded(float(text), is_single=True) == value:
            return text
    assert not math.isnan(value)
    return repr(value)


def main(names: list[str]) -> None:
    """Write what is asked for, or all, as Python."""
    for name in names or (*CONSTANTS, "TWO_BY_PI", *POLYNOMIALS):
        if name in CONSTANTS:
            text = f"_{name}, _{name}_REST = {constant(*CONSTANTS[name])}\n"
        else:
            text = two_by_pi() if name == "TWO_BY_PI" else polynomial(name)
        sys.stdout.write(text)
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
