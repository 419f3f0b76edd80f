# SPDX-License-Identifier: Apache-2.0
"""Every function of NumPy's of elements, and others that people use on scalars, over edge values of all types, against NumPy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import smelt

# What has no meaning on scalars: products of arrays, and dates.
WITHOUT = {"matmul", "matvec", "vecdot", "vecmat", "isnat"}
# Functions of Python's numbers, which NumPy computes as objects, or whose order of complex numbers kernels don't have.
ORDERED = {"fmax", "fmin", "maximum", "minimum", "greater", "greater_equal", "less", "less_equal"}
UFUNCS = sorted({f.__name__ for f in vars(np).values() if isinstance(f, np.ufunc)} - WITHOUT)
OTHERS = {
    "where": ("Bdd", "Bll"),
    "clip": ("ddd", "fff", "iii"),
    "sinc": ("d", "f"),
    "round": ("d", "f", "i"),
    "around": ("d", "f"),
    "nan_to_num": ("d", "f", "i"),
    "isposinf": ("d", "f"),
    "isneginf": ("d", "f"),
    "isreal": ("d", "D"),
    "iscomplex": ("d", "D"),
    "isclose": ("dd", "ff"),
    "real": ("d", "D"),
    "imag": ("d", "D"),
    "angle": ("D", "F"),
}
VALUES = {
    "f": [0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -3.5, 7.25, 1e-3, 30.0, np.inf, -np.inf, np.nan],
    "D": [
        complex(a, b) for a, b in itertools.product((0.0, 1.0, -2.5, 0.75, -0.0, 21.0), (0.0, -0.0, 0.5, -3.0, 40.0))
    ],
}
PRECISION = 8.0
"""How far the last digits of what is computed by formulas of several steps may be off, in units of the type's precision."""


def values_of(code):
    kind = np.dtype(code)
    if kind.kind == "b":
        return np.array([False, True])
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        return np.array(sorted({0, 1, 2, 5, limits.max, limits.min, limits.min + 1, max(limits.min, -7)}), kind)
    with np.errstate(all="ignore"):
        return np.array(VALUES["D" if kind.kind == "c" else "f"]).astype(kind)


def signatures(name):
    """One of each sort of type that NumPy has a loop for, with all operands alike."""
    function = getattr(np, name)
    codes = [row.split("->")[0] for row in function.types]
    known = [code for code in codes if set(code) <= set("?bBiIlLfdFD")]
    if name in ("isfinite", "isinf", "isnan", "divmod"):
        known = [code for code in known if "?" not in code]
    if name in ORDERED:
        known = [code for code in known if not set(code) & set("FD")]
    kept = [code for code in known if set(code) & set("?bBlLfdFD")]
    # The widest floating type, and some of the others: each is a compilation.
    chosen = [code for code in kept if code[0] == "d"][:1] + kept[len(name) % 4 :: 4]
    return list(dict.fromkeys(chosen or kept[:1]))


CASES = [(name, code) for name in UFUNCS for code in signatures(name)] + [
    (name, code) for name, codes in OTHERS.items() for code in codes
]


@smelt.kernel(opt_level=1)
def map_one(out, function, x):
    i = smelt.grid(1)
    out[i] = function(x[i])


@smelt.kernel(opt_level=1)
def map_two(out, function, x, y):
    i = smelt.grid(1)
    out[i] = function(x[i], y[i])


@smelt.kernel(opt_level=1)
def map_three(out, function, x, y, z):
    i = smelt.grid(1)
    out[i] = function(x[i], y[i], z[i])


@smelt.kernel(opt_level=1)
def map_to_pair(first, second, function, x):
    i = smelt.grid(1)
    first[i], second[i] = function(x[i])


@smelt.kernel(opt_level=1)
def map_two_to_pair(first, second, function, x, y):
    i = smelt.grid(1)
    first[i], second[i] = function(x[i], y[i])


def defined(name, operands):
    """Where the function has a value that NumPy doesn't warn of: kernels raise for integers there."""
    first, last = operands[0], operands[-1]
    keep = np.ones(first.shape, bool)
    if first.dtype.kind in "iu" and name in ("floor_divide", "remainder", "fmod", "divmod", "reciprocal"):
        keep &= last != 0
        if name != "reciprocal" and first.dtype.kind == "i":
            keep &= (first != np.iinfo(first.dtype).min) | (last != -1)
    if name == "power" and first.dtype.kind in "iu":
        keep &= last >= 0
    if name in ("power", "float_power") and first.dtype.kind == "c":
        keep &= (first != 0) & (abs(last) < 9) & (abs(first) < 9)
    if name in ("left_shift", "right_shift", "gcd", "lcm"):
        # The absolute value of the least integer is no number of its type.
        keep &= (last >= 0) & (first >= 0) & (last < 8)
    if name == "lcm":
        keep &= first < 8
    if name in ("fmax", "fmin", "maximum", "minimum"):
        # Which of two zeros is greater depends on how many elements NumPy computes at once.
        keep &= (first != 0) | (last != 0)
    if name == "ldexp":
        keep &= abs(last.astype(np.int64)) < 2000
    if name in ("divide", "true_divide", "reciprocal") and first.dtype.kind == "c":
        keep &= last != 0
    if name == "clip":
        keep &= operands[1] <= operands[2]
    return [operand[keep] for operand in operands]


def are_close(got, expected):
    near = np.abs(got - expected) <= PRECISION * np.finfo(got.dtype).eps * np.abs(expected)
    return near | (got == expected) | (np.isnan(got) & np.isnan(expected))


def assert_close(got, expected, operands):
    assert got.dtype == expected.dtype
    if got.dtype.kind == "c":
        # Of the parts together, too: NumPy itself loses the digits of one that is much smaller.
        parts = are_close(got.real, expected.real) & are_close(got.imag, expected.imag)
        wrong = ~(parts | are_close(got, expected))
    elif got.dtype.kind == "f":
        signs = np.isnan(expected) | (np.signbit(got) == np.signbit(expected))
        wrong = ~(are_close(got, expected) & signs)
    else:
        wrong = got != expected
    failed = np.flatnonzero(wrong)
    assert failed.size == 0, [(*(o[i] for o in operands), got[i], expected[i]) for i in failed[:4]]


@pytest.mark.parametrize(("name", "code"), CASES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_function_gives_what_numpys_gives(name, code):
    function = getattr(np, name)
    grids = np.meshgrid(*(values_of(kind) for kind in code))
    operands = defined(name, [grid.ravel() for grid in grids])
    count = len(operands[0])
    expected = function(*operands)
    if isinstance(expected, tuple):
        found = tuple(np.zeros_like(part) for part in expected)
        (map_to_pair if len(code) == 1 else map_two_to_pair)[count](*found, function, *operands)
        for got, wanted in zip(found, expected, strict=True):
            assert_close(got, wanted, operands)
        return
    got = np.zeros(count, expected.dtype)
    (map_one, map_two, map_three)[len(code) - 1][count](got, function, *operands)
    assert_close(got, expected, operands)
