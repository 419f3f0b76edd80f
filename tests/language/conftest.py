# SPDX-License-Identifier: Apache-2.0
"""Running a function as a kernel and as plain Python, and comparing what it wrote."""

from __future__ import annotations

import numpy as np
import pytest

import smelt


@smelt.kernel
def _of_one(out, function, x):
    i = smelt.grid(1)
    out[i] = function(x[i])


@smelt.kernel
def _of_two(out, function, x, y):
    i = smelt.grid(1)
    out[i] = function(x[i], y[i])


@smelt.kernel
def _of_three(out, function, x, y, z):
    i = smelt.grid(1)
    out[i] = function(x[i], y[i], z[i])


_MAPS = {1: _of_one, 2: _of_two, 3: _of_three}


def differences(got, expected, *, relative=0.0):
    """The places where two arrays differ: NaN equals NaN, and zeros have signs."""
    assert got.dtype == expected.dtype
    if got.dtype.kind == "c":
        if relative:
            close = np.isclose(got, expected, rtol=relative, atol=0, equal_nan=True)
            return np.flatnonzero(~close)
        parts = (differences(g, e) for g, e in ((got.real, expected.real), (got.imag, expected.imag)))
        return np.union1d(*parts)
    if got.dtype.kind != "f":
        return np.flatnonzero(got != expected)
    with np.errstate(all="ignore"):
        equal = got == expected
        if relative:
            equal |= np.abs(got - expected) <= relative * np.abs(expected)
        equal &= np.signbit(got) == np.signbit(expected)
    return np.flatnonzero(~(equal | (np.isnan(got) & np.isnan(expected))))


@pytest.fixture
def agree():
    """A function that runs a program as a kernel of one thread and as plain Python, on copies of its arrays."""

    def check(program, *arguments, relative=0.0):
        for_kernel, for_python = ([np.copy(a) if isinstance(a, np.ndarray) else a for a in arguments] for _ in range(2))
        smelt.kernel(program)[1](*for_kernel)
        with np.errstate(all="ignore"):
            program(*for_python)
        for got, expected in zip(for_kernel, for_python, strict=True):
            if isinstance(got, np.ndarray):
                wrong = differences(got.ravel(), expected.ravel(), relative=relative)
                assert wrong.size == 0, (got, expected)

    return check


@pytest.fixture
def map_over():
    """A function that applies a scalar function to the elements of arrays in a kernel, and compares with what it gives in Python."""

    def check(function, *arrays, reference=None, relative=0.0, dtype=None):
        with np.errstate(all="ignore"):
            expected = [(reference or function)(*items) for items in zip(*arrays, strict=True)]
            expected = np.array(expected, dtype or np.result_type(*expected))
        got = np.zeros_like(expected)
        _MAPS[len(arrays)][len(expected)](got, function, *arrays)
        wrong = differences(got, expected, relative=relative)
        assert wrong.size == 0, [(*(a[i] for a in arrays), got[i], expected[i]) for i in wrong[:5]]

    return check
