# SPDX-License-Identifier: Apache-2.0
"""Every function of NumPy's of elements, and others that people use on scalars, over edge values of all types, against NumPy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import smelt

pytestmark = pytest.mark.once

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
    chosen = [code for code in kept if code[0] == "d"][:1] + kept[len(name) % 6 :: 6]
    return list(dict.fromkeys(chosen or kept[:1]))


@smelt.kernel(opt_level=1)
def of_one(out, functions, x):
    i = smelt.grid(1)
    for j, function in enumerate(functions):
        out[j, i] = function(x[j, i])


@smelt.kernel(opt_level=1)
def of_two(out, functions, x, y):
    i = smelt.grid(1)
    for j, function in enumerate(functions):
        out[j, i] = function(x[j, i], y[j, i])


@smelt.kernel(opt_level=1)
def of_three(out, functions, x, y, z):
    i = smelt.grid(1)
    for j, function in enumerate(functions):
        out[j, i] = function(x[j, i], y[j, i], z[j, i])


@smelt.kernel(opt_level=1)
def pairs_of_one(first, second, functions, x):
    i = smelt.grid(1)
    for j, function in enumerate(functions):
        first[j, i], second[j, i] = function(x[j, i])


@smelt.kernel(opt_level=1)
def pairs_of_two(first, second, functions, x, y):
    i = smelt.grid(1)
    for j, function in enumerate(functions):
        first[j, i], second[j, i] = function(x[j, i], y[j, i])


KERNELS = {(1, 1): of_one, (2, 1): of_two, (3, 1): of_three, (1, 2): pairs_of_one, (2, 2): pairs_of_two}


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


def assert_close(name, got, expected, operands):
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
    assert failed.size == 0, [(name, *(o[i] for o in operands), got[i], expected[i]) for i in failed[:4]]


def operands_of(name, code):
    grids = np.meshgrid(*(values_of(kind) for kind in code))
    return defined(name, [grid.ravel() for grid in grids])


def results_of(name, operands):
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(*operands)
    return expected if isinstance(expected, tuple) else (expected,)


def grouped():
    """Functions that take and give the same types, some together, since each group is a compilation."""
    cases = [(name, code) for name in UFUNCS for code in signatures(name)]
    cases += [(name, code) for name, codes in OTHERS.items() for code in codes]
    groups = {}
    for name, code in cases:
        made = "".join(part.dtype.char for part in results_of(name, operands_of(name, code)))
        groups.setdefault((code, made), []).append(name)
    for (code, made), names in groups.items():
        for start in range(0, len(names), 8):
            yield pytest.param(code, made, names[start : start + 8], id=f"{code}-{made}-{names[start]}")


@pytest.mark.parametrize(("code", "made", "names"), list(grouped()))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_functions_give_what_numpys_give(code, made, names):
    operands = [operands_of(name, code) for name in names]
    width = max(len(given[0]) for given in operands)
    # Functions with fewer operands are asked for some twice.
    given = [np.array([np.resize(one[place], width) for one in operands]) for place in range(len(code))]
    found = [np.zeros((len(names), width), kind) for kind in made]
    functions = tuple(getattr(np, name) for name in names)
    KERNELS[len(code), len(made)][width](*found, functions, *given)
    for row, name in enumerate(names):
        expected = results_of(name, [rows[row] for rows in given])
        for got, wanted in zip(found, expected, strict=True):
            assert_close(name, got[row], wanted, [rows[row] for rows in given])
