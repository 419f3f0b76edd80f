# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: PLW0108 - kernels are given functions of Python; what these call is no such function
"""Builtins, `math` and NumPy's scalar functions, against themselves."""

from __future__ import annotations

import cmath
import math

import numpy as np
import pytest

import smelt

FLOATS = np.array(
    [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        -0.5,
        1.5,
        2.5,
        -2.5,
        3.7,
        -7.25,
        1e-3,
        1e10,
        -3e15,
        5e-324,
        2.2e-308,
        1.7e308,
        math.inf,
        -math.inf,
        math.nan,
    ]
)
FINITE = FLOATS[np.isfinite(FLOATS)]
POSITIVE = np.array([1e-3, 0.25, 1.0, 1.5, 2.0, 10.0, 12345.678])
UNIT = np.array([-1.0, -0.7, -0.1, 0.0, 0.3, 0.99, 1.0])
INTEGERS = np.array([0, 1, -1, 2, 3, -7, 12, 18, 100, -64, 2**40, 2**62], np.int64)
COUNTS = np.array([0, 1, 2, 3, 5, 7, 12, 16, 20], np.int64)


def pairs(values):
    first, second = np.meshgrid(values, values, indexing="ij")
    return first.ravel(), second.ravel()


ONE_FLOAT_EXACTLY = {
    "abs": lambda x: abs(x),
    "np.abs": lambda x: np.abs(x),
    "np.sign": lambda x: np.sign(x),
    "np.square": lambda x: np.square(x),
    "np.floor": lambda x: np.floor(x),
    "np.ceil": lambda x: np.ceil(x),
    "np.trunc": lambda x: np.trunc(x),
    "np.rint": lambda x: np.rint(x),
    "np.isnan": lambda x: np.isnan(x),
    "np.isinf": lambda x: np.isinf(x),
    "np.isfinite": lambda x: np.isfinite(x),
    "np.signbit": lambda x: np.signbit(x),
    "np.negative": lambda x: np.negative(x),
    "np.positive": lambda x: np.positive(x),
    "np.logical_not": lambda x: np.logical_not(x),
    "np.deg2rad": lambda x: np.deg2rad(x),
    "np.real": lambda x: np.real(x),
    "np.imag": lambda x: np.imag(x),
    "np.conjugate": lambda x: np.conjugate(x),
    "np.reciprocal": lambda x: np.reciprocal(x),
    "np.float32": lambda x: np.float32(x),
    "np.clip": lambda x: np.clip(x, -1.0, 2.0),
    "np.where": lambda x: np.where(x > 1, x, -x),
    "np.copysign": lambda x: np.copysign(x, -1.0),
    "np.heaviside": lambda x: np.heaviside(x, 0.5),
    "frexp": lambda x: np.frexp(x)[0],
    "frexp exponent": lambda x: np.frexp(x)[1] + 0,
    "modf": lambda x: np.modf(x)[0],
    "modf whole": lambda x: np.modf(x)[1],
    "ldexp": lambda x: np.ldexp(x, -3),
    "ldexp far": lambda x: np.ldexp(x, -1060),
    "ldexp up": lambda x: np.ldexp(x, 1200),
    "nextafter": lambda x: np.nextafter(x, 1.0),
    "float": lambda x: float(x),
    "bool": lambda x: bool(x),
    "real": lambda x: x.real,
    "imag": lambda x: x.imag,
    "is nan": lambda x: math.isnan(x) or math.isinf(x) or math.isfinite(x),
    "isinstance": lambda x: isinstance(x, np.floating) and not isinstance(x, (int, bool)),
}


@pytest.mark.parametrize("name", ONE_FLOAT_EXACTLY)
@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_a_function_of_one_float_gives_what_numpy_gives(map_over, name, kind):
    with np.errstate(all="ignore"):
        values = FLOATS.astype(kind)
    map_over(ONE_FLOAT_EXACTLY[name], values)


ONE_FINITE = {
    "int": lambda x: int(x),
    "round": lambda x: round(x),
    "math.floor": lambda x: math.floor(x),
    "math.ceil": lambda x: math.ceil(x),
    "math.trunc": lambda x: math.trunc(x),
}


@pytest.mark.parametrize("name", ONE_FINITE)
def test_a_rounding_to_integers_gives_what_python_gives(map_over, name):
    small = FINITE[np.abs(FINITE) < 1e18]
    map_over(ONE_FINITE[name], small, dtype=np.int64)


ONE_FLOAT_ALL_FLOAT64 = {
    "math.ulp": lambda x: math.ulp(x),
    "math.degrees": lambda x: math.degrees(x),
    "math.radians": lambda x: math.radians(x),
    "math.fabs": lambda x: math.fabs(x),
    "math.modf": lambda x: math.modf(x)[0] + math.modf(x)[1],
    "math.nextafter": lambda x: math.nextafter(x, -math.inf),
    "math.isclose": lambda x: (
        math.isclose(x, 1.0000001) or math.isclose(x, 0.5, rel_tol=0.1) or math.isclose(x, 0, abs_tol=2)
    ),
}


@pytest.mark.parametrize("name", ONE_FLOAT_ALL_FLOAT64)
def test_a_function_of_math_gives_what_python_gives(map_over, name):
    map_over(ONE_FLOAT_ALL_FLOAT64[name], FLOATS)


TRANSCENDENTAL = {
    "sqrt": (POSITIVE, lambda x: math.sqrt(x)),
    "exp": (UNIT, lambda x: math.exp(x) + np.exp(x) + np.exp2(x) + math.exp2(x)),
    "log": (POSITIVE, lambda x: math.log(x)),
    "log base": (POSITIVE, lambda x: math.log(x + 1, 3)),
    "log2": (POSITIVE, lambda x: math.log2(x) + math.log10(x) + math.log1p(x)),
    "trigonometry": (UNIT, lambda x: math.sin(x) + 2 * math.cos(x) + 3 * math.tan(x)),
    "inverse": (UNIT, lambda x: math.asin(x) + 2 * math.acos(x) + 3 * math.atan(x)),
    "hyperbolic": (UNIT, lambda x: math.sinh(x) + 2 * math.cosh(x) + 3 * math.tanh(x)),
    "inverse hyperbolic": (UNIT, lambda x: math.asinh(x) + 2 * math.acosh(x + 2.5) + 3 * math.atanh(x / 2)),
    "special": (POSITIVE[:5], lambda x: math.erf(x) + math.erfc(x) + math.gamma(x) + math.lgamma(x) + math.expm1(x)),
    "cbrt": (POSITIVE, lambda x: np.cbrt(x) + math.cbrt(x)),
    "numpy": (UNIT, lambda x: np.sin(x) + np.arctan2(x, 2.0) + np.hypot(x, 3.0) + np.arcsinh(x) + np.tanh(x)),
    "logaddexp": (UNIT, lambda x: np.logaddexp(x, 1.5)),
    "hypot": (UNIT, lambda x: math.hypot(x, 2.0)),
    "dist": (UNIT, lambda x: math.dist((x, 1.0, 2.0), (0.5, x, -3.0))),
    "prod": (UNIT, lambda x: math.prod((x, 2.0, 3)) + math.prod((1, 2), start=4)),
    "remainder": (UNIT, lambda x: math.remainder(5.3 * x, 0.25) + math.fmod(7.3 * x, 0.3)),
    "round": (UNIT, lambda x: round(x * 7.77, 2)),
    "round to tens": (POSITIVE, lambda x: round(x * 777, -1)),
    "pow": (POSITIVE, lambda x: math.pow(x, 1.5) + pow(x, -2.5) + np.power(x, 0.3)),
}


@pytest.mark.parametrize("name", TRANSCENDENTAL)
def test_a_transcendental_function_is_within_rounding_of_pythons(map_over, name):
    values, function = TRANSCENDENTAL[name]
    map_over(function, values, relative=4e-15)


def test_functions_of_math_keep_the_type_of_a_float32():
    def program(out, x):
        out[0] = math.sin(x[0]) == np.sin(x[0])
        out[1] = isinstance(math.sqrt(x[0]), float)
        out[2] = isinstance(math.sqrt(x[0]), np.float32)

    out = np.zeros(3)
    smelt.kernel(program)[1](out, np.ones(1, np.float32))
    assert list(out) == [1, 0, 1]


TWO_FLOATS = {
    "min": lambda x, y: min(x, y),
    "max": lambda x, y: max(x, y),
    "min of three": lambda x, y: min(x, y, 1.0),
    "np.minimum": lambda x, y: np.minimum(x, y),
    "np.maximum": lambda x, y: np.maximum(x, y),
    "np.fmin": lambda x, y: np.fmin(x, y),
    "np.fmax": lambda x, y: np.fmax(x, y),
    "np.floor_divide": lambda x, y: np.floor_divide(x, y),
    "np.remainder": lambda x, y: np.remainder(x, y),
    "np.fmod": lambda x, y: np.fmod(x, y),
    "np.add": lambda x, y: np.add(x, y) * np.subtract(x, y),
    "np.divide": lambda x, y: np.divide(x, y),
    "np.power": lambda x, y: np.power(x, y),
    "np.less": lambda x, y: np.less(x, y) | np.greater_equal(x, y),
    "np.equal": lambda x, y: np.equal(x, y) ^ np.not_equal(x, y),
    "np.logical": lambda x, y: np.logical_and(x, y) | np.logical_xor(x, y) | np.logical_or(x, y),
    "np.nextafter": lambda x, y: np.nextafter(x, y),
    "np.copysign": lambda x, y: np.copysign(x, y),
    "np.hypot": lambda x, y: np.hypot(x, y),
    "np.arctan2": lambda x, y: np.arctan2(x, y),
}


@pytest.mark.parametrize("name", TWO_FLOATS)
def test_a_function_of_two_floats_gives_what_numpy_gives(map_over, name):
    # Within rounding: the C library's and NumPy's own powers and arc tangents differ in the last bit.
    relative = 1e-15 if name in ("np.power", "np.hypot", "np.arctan2") else 0.0
    first, second = pairs(FLOATS)
    # NumPy's scalars take the root where the exponent is 0.5, which has other zeros and infinities than the power of the C library.
    kept = (second != 0.5) | (name != "np.power")
    if name in ("np.fmin", "np.fmax"):
        # Which of two zeros is the smaller one is the C library's affair, and so NumPy's.
        kept &= (first != 0) | (second != 0)
    map_over(TWO_FLOATS[name], first[kept], second[kept], relative=relative)


def test_divmod_of_floats_gives_what_numpy_gives(map_over):
    first, second = pairs(FLOATS)
    kept = second != 0
    map_over(lambda x, y: divmod(x, y)[0], first[kept], second[kept])
    map_over(lambda x, y: divmod(x, y)[1], first[kept], second[kept])


TWO_INTEGERS = {
    "gcd": (INTEGERS[:-2], lambda x, y: math.gcd(x, y)),
    "lcm": (INTEGERS[:-2], lambda x, y: math.lcm(x, y)),
    "np.gcd": (INTEGERS[:-2], lambda x, y: np.gcd(x, y)),
    "comb": (COUNTS, lambda x, y: math.comb(x, y)),
    "comb large": (np.array([30, 31, 60, 61]), lambda x, y: math.comb(x, y)),
    "perm": (COUNTS[:-2], lambda x, y: math.perm(x, y)),
    "bitwise": (
        INTEGERS,
        lambda x, y: np.bitwise_and(x, y) - np.bitwise_or(x, y) + np.bitwise_xor(x, y) + np.invert(x),
    ),
    "shift": (COUNTS, lambda x, y: np.left_shift(x, y) + np.right_shift(x, y)),
    "divmod": (INTEGERS[1:], lambda x, y: divmod(x, y)[0] * 3 + divmod(x, y)[1]),
    "pow": (COUNTS, lambda x, y: pow(x, y)),
    "np.power": (COUNTS, lambda x, y: np.power(x, y)),
    "np.minimum": (INTEGERS, lambda x, y: np.minimum(x, y) - np.maximum(x, y)),
    "np.sign": (INTEGERS, lambda x, y: np.sign(x) * np.square(np.sign(y)) + np.abs(y)),
}


@pytest.mark.parametrize("name", TWO_INTEGERS)
def test_a_function_of_two_integers_gives_what_python_gives(map_over, name):
    values, function = TWO_INTEGERS[name]
    map_over(function, *pairs(values), dtype=np.int64)


def test_functions_of_one_integer_give_what_python_gives(map_over):
    map_over(lambda x: math.factorial(x), COUNTS, dtype=np.int64)
    map_over(lambda x: math.perm(x), COUNTS, dtype=np.int64)
    squares = np.array([0, 1, 2, 3, 4, 15, 16, 17, 10**12, 10**12 - 1, 2**63 - 1], np.int64)
    map_over(lambda x: math.isqrt(x), squares, dtype=np.int64)
    map_over(lambda x: math.isqrt(x), np.array([2**64 - 1, 2**63], np.uint64), dtype=np.uint64)
    map_over(lambda x: round(x) + int(x) + abs(x), INTEGERS[:-1], dtype=np.int64)


COMPLEX = np.array([0, 1, -1, 1j, -1j, 2.5 - 1.5j, -0.3 + 4j, 1e-3 - 7j])
ONE_COMPLEX = {
    "abs": lambda z: abs(z),
    "np.abs": lambda z: np.abs(z),
    "parts": lambda z: z.real * 3 + z.imag,
    "complex": lambda z: complex(z.imag, z.real) + complex(2) * complex(z),
    "conjugate": lambda z: np.conjugate(z),
    "exp": lambda z: np.exp(z),
    "square root": lambda z: np.sqrt(z),
    "angle": lambda z: np.angle(z),
    "reciprocal": lambda z: np.reciprocal(z + 9),
    "equality": lambda z: z == 1j or z != z.real,
    "truth": lambda z: 1 if z else 2,
}


@pytest.mark.parametrize("name", ONE_COMPLEX)
def test_a_function_of_a_complex_number_gives_what_numpy_gives(map_over, name):
    map_over(ONE_COMPLEX[name], COMPLEX, relative=2e-15)


def test_cmath_gives_what_python_gives(map_over):
    values = COMPLEX[1:]
    map_over(lambda z: cmath.exp(z) + cmath.log(z) + cmath.sqrt(z) + cmath.phase(z), values, relative=1e-14)


def test_constants_of_math_and_numpy_are_known(agree):
    def program(out):
        out[0] = math.pi + np.pi + math.e + np.e + math.tau
        out[1] = math.inf
        out[2] = -np.inf
        out[3] = math.nan
        out[4] = np.nan

    agree(program, np.zeros(5))


def test_fsum_keeps_what_plain_addition_loses(agree):
    def program(out, x):
        out[0] = math.fsum((x[0], x[1], x[2], x[3]))
        out[1] = math.fsum((0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1))
        out[2] = math.fsum(())

    agree(program, np.zeros(3), np.array([1e16, 1.0, -1e16, 1e-8]))


def test_reductions_take_tuples_ranges_and_arrays(agree):
    def program(out, x, n):
        out[0] = sum(x)
        out[1] = min(x) + max(x)
        out[2] = any(x) + 2 * all(x)
        out[3] = sum(range(n)) + min(range(1, n)) + max(range(n))
        out[4] = sum((x[0], x[1], n)) + sum((1, 2, 3), 10) + sum(x, start=5)
        out[5] = min((x[0], n, 2.5)) + max(x[1], n)
        out[6] = any((False, x[0] > 100)) + 2 * all((n > 0, True))
        out[7] = math.prod((x[0], n)) + math.prod(x)
        out[8] = any(range(n)) + all(range(n))

    agree(program, np.zeros(9), np.array([1.5, -2.0, 4.0]), 6)


def test_len_enumerate_zip_reversed_and_tuple(agree):
    def program(out, x):
        for i, v in enumerate(x, start=1):
            out[0] += i * v
        for i, (v, w) in enumerate(zip(x, reversed(range(10)))):  # noqa: B905 - kernels' zip has no strict
            out[1] += i * v - w
        for v in reversed(x):
            out[2] = out[2] * 2 + v
        for i, v in enumerate((1, 2.5, x[0])):
            out[3] += i * v
        for v, w in zip((1, 2), (x[0], 3)):  # noqa: B905
            out[4] += v * w
        out[5] = len(x) + len((1, 2)) + len(range(2, 9, 3)) + len(tuple((4, 5, x[0])))  # noqa: C409 - a tuple of a tuple is what is tested

    agree(program, np.zeros(6), np.array([1.5, -2.0, 4.0]))


def test_the_first_of_equal_extremes_is_taken(agree):
    def program(out, x):
        out[0] = max(v for v in x)
        out[1] = min(v for v in x)
        out[2] = max(x)
        out[3] = max(x[0], x[1])

    agree(program, np.zeros(4), np.array([0.0, -0.0]))
    agree(program, np.zeros(4), np.array([-0.0, 0.0]))


def test_min_of_nothing_raises_what_python_raises():
    def program(out, n):
        out[0] = min(i for i in range(n))

    with pytest.raises(ValueError, match=r"min\(\) iterable argument is empty"):
        smelt.kernel(program)[1](np.zeros(1), 0)


@pytest.mark.parametrize(
    ("function", "value", "message"),
    [
        (lambda x: math.factorial(x), -1, "not defined for negative"),
        (lambda x: math.isqrt(x), -1, "nonnegative"),
        (lambda x: math.comb(x, 2), -1, "n must be"),
        (lambda x: math.perm(5, x), -1, "k must be"),
    ],
)
def test_a_function_of_integers_refuses_what_pythons_refuses(map_over, function, value, message):
    with pytest.raises(ValueError, match=message):
        map_over(function, np.array([value]), reference=lambda x: x)


@pytest.mark.skipif(not hasattr(math, "fma"), reason="math.fma came with Python 3.13")
def test_fma_rounds_once(map_over):
    map_over(lambda x: math.fma(x, x, -1.0), np.array([1 + 2.0**-30, 1.5, -3.0]))


@pytest.mark.skipif(not hasattr(math, "sumprod"), reason="math.sumprod came with Python 3.12")
def test_sumprod_takes_tuples(map_over):
    map_over(lambda x: math.sumprod((x, 2.0), (3.0, x)), np.array([1.5, -3.0]))
