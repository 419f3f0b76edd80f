# SPDX-License-Identifier: Apache-2.0
"""`cmath` over edge values: the digits of Python's, the signs of zeros and branch cuts, and the infinities of the C standard."""

from __future__ import annotations

import cmath
import itertools
import math

import numpy as np
import pytest

import smelt

pytestmark = pytest.mark.once

ONE = [
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "cos",
    "cosh",
    "exp",
    "log",
    "log10",
    "sin",
    "sinh",
    "sqrt",
    "tan",
    "tanh",
]
PARTS = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -2.5,
    3e-9,
    1e-310,
    -1e-200,
    1e30,
    -1e200,
    1.7e308,
    705.5,
    -21.0,
    math.inf,
    -math.inf,
]
VALUES = [complex(*parts) for parts in itertools.product(PARTS, PARTS)]
ULP = 2.0**-52


@smelt.kernel(opt_level=1)
def map_one(out, function, z):
    i = smelt.grid(1)
    out[i] = function(z[i])


def by_numpy(name):
    return getattr(np, f"arc{name[1:]}" if name[0] == "a" else name)


def is_same(got, expected):
    if math.isnan(expected):
        return math.isnan(got)
    if got == expected:
        return math.copysign(1, got) == math.copysign(1, expected)
    # Below the smallest normal number there are fewer digits.
    return abs(got - expected) <= max(4 * ULP * abs(expected), 1e-307)


@pytest.mark.parametrize("name", ONE)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_function_is_that_of_cmath_also_at_its_edges(name):
    function = getattr(cmath, name)
    got = np.zeros(len(VALUES), complex)
    map_one[len(VALUES)](got, function, np.array(VALUES))
    wrong = []
    for value, found in zip(VALUES, got.tolist(), strict=True):
        try:
            expected = function(value)
        except (ValueError, OverflowError):
            # Where cmath raises NumPy gives what is infinite, or not a number.
            expected = complex(by_numpy(name)(value))
        parts = ((found.real, expected.real), (found.imag, expected.imag))
        # The sign of a zero or an infinity beside a NaN, or of what has no angle, is not specified.
        has_no_angle = math.isinf(value.real) and math.isinf(value.imag)
        is_free = has_no_angle or any(math.isnan(part) for _, part in parts)
        if not all(is_same(abs(a), abs(b)) if is_free else is_same(a, b) for a, b in parts):
            wrong.append((value, found, expected))
    assert wrong == []


@smelt.kernel
def others(out, z, w, x, n):
    i = smelt.grid(1)
    out[i, 0] = cmath.phase(z[i])
    size, angle = cmath.polar(z[i])
    out[i, 1], out[i, 2] = size, angle
    out[i, 3] = cmath.rect(size, angle).real
    out[i, 4] = cmath.rect(x[i], n).imag
    out[i, 5] = cmath.isclose(z[i], w[i]) + 2 * cmath.isclose(z[i], w[i], rel_tol=0.5) + 4 * cmath.isclose(x[i], n)
    out[i, 6] = cmath.isnan(z[i]) + 2 * cmath.isinf(z[i]) + 4 * cmath.isfinite(z[i]) + 8 * cmath.isfinite(x[i])
    out[i, 7] = cmath.log(z[i], 2).imag + cmath.log(3, w[i]).real
    out[i, 8] = cmath.sqrt(-x[i]).imag + cmath.acos(n).imag
    out[i, 9] = np.angle(z[i], deg=True) + np.conj(z[i]).imag + np.real(z[i])
    out[i, 10] = (cmath.tau + cmath.e) * abs(z[i]) if cmath.infj.imag > n else n


def test_the_rest_of_cmath():
    z = np.array([1 + 2j, -3.5 - 0.25j, 1e300 + 1e300j, -2 + 0j, 2 - 1e-12j])
    w = np.array([1 + 2.0000000001j, -4 - 0.5j, 1e300 + 1e300j, 7j, 2])
    x = np.array([1.5, -2, 3, 0.25, 9])
    out = np.zeros((5, 11))
    others[5](out, z, w, x, 3)
    for i, (a, b, c) in enumerate(zip(z.tolist(), w.tolist(), x.tolist(), strict=True)):
        size, angle = cmath.polar(a)
        expected = [
            cmath.phase(a),
            size,
            angle,
            cmath.rect(size, angle).real,
            cmath.rect(c, 3).imag,
            cmath.isclose(a, b) + 2 * cmath.isclose(a, b, rel_tol=0.5) + 4 * cmath.isclose(c, 3),
            4 + 8,
            cmath.log(a, 2).imag + cmath.log(3, b).real,
            cmath.sqrt(-c).imag + cmath.acos(3).imag,
            float(np.angle(a, deg=True)) - a.imag + a.real,
            (math.tau + math.e) * abs(a),
        ]
        np.testing.assert_allclose(out[i], expected, rtol=1e-14, atol=1e-15)


def test_single_precision_stays_single():
    z = np.array([1 + 2j, -3.5 - 0.25j], np.complex64)
    out = np.zeros(2, np.complex64)
    for name in ("exp", "sqrt", "asin", "tanh"):
        map_one[2](out, getattr(cmath, name), z)
        np.testing.assert_allclose(out, [getattr(cmath, name)(value) for value in z.tolist()], rtol=3e-7)
        text = smelt.code_typed(
            map_one, (smelt.complex64[:], smelt.types.Constant(getattr(cmath, name)), smelt.complex64[:])
        )
        assert "complex128" not in text


@smelt.kernel
def bad_tolerance(out, z):
    out[0] = cmath.isclose(z[0], z[0], rel_tol=-1.0)


def test_a_negative_tolerance_raises_what_cmath_raises():
    with pytest.raises(ValueError, match="tolerances must be non-negative"):
        bad_tolerance[1](np.zeros(1), np.ones(1, complex))
