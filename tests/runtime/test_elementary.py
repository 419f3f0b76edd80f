# SPDX-License-Identifier: Apache-2.0
"""The elementary functions: how wrong they are, what they are where that is defined, and that loops over them are vectorised."""

from __future__ import annotations

import dataclasses
import functools
import math
import re

import ml_dtypes
import mpmath
import numpy as np
import pytest

import smelt
from smelt._wiring import jobs
from smelt.launch import Kernel
from smelt.runtime.elementary import (
    error_functions,
    exponentials,
    hyperbolics,
    inverse_trigonometry,
    logarithms,
    powers,
    trigonometry,
)
from smelt.targets.native.processors.host import host_machine
from smelt.targets.native.target import target_named

pytestmark = pytest.mark.once

# What errors are less than, in units in the last place, for float64 and float32: docs/math.md has the greatest that were found.
BOUNDS = {
    "exp": (0.76, 0.78),
    "exp2": (0.76, 0.80),
    "expm1": (0.79, 0.52),
    "log": (0.86, 0.84),
    "log2": (0.51, 0.51),
    "log10": (0.51, 0.51),
    "log1p": (0.85, 0.51),
    "sin": (0.76, 0.87),
    "cos": (0.76, 0.84),
    "tan": (0.82, 0.51),
    "asin": (0.66, 0.52),
    "acos": (0.66, 0.52),
    "atan": (0.66, 0.51),
    "sinh": (0.74, 0.52),
    "cosh": (0.68, 0.51),
    "tanh": (0.74, 0.52),
    "asinh": (0.52, 0.51),
    "acosh": (0.54, 0.51),
    "atanh": (0.52, 0.51),
    "cbrt": (0.51, 0.51),
    "erf": (0.90, 0.93),
    "erfc": (0.80, 0.54),
    "pow": (0.80, 0.52),
    "atan2": (0.90, 0.51),
    "hypot": (0.75, 0.51),
}
OF_TWO = ("pow", "atan2", "hypot")
OF_ONE = tuple(name for name in BOUNDS if name not in OF_TWO)
NUMPY = {
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "atan2": np.arctan2,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "pow": np.power,
    "erf": np.vectorize(math.erf),
    "erfc": np.vectorize(math.erfc),
}
MPMATH = {
    "exp2": lambda x: mpmath.power(2, x),
    "log2": lambda x: mpmath.log(x, 2),
    "pow": mpmath.power,
    "cbrt": lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)),
}
DTYPES = ("float64", "float32")
# In float32 those that are not computed by way of float64, and one that is.
LOOPS = [(name, "float64") for name in BOUNDS]
LOOPS += [(name, "float32") for name in ("exp", "exp2", "log", "sin", "cos", "tan", "pow", "tanh", "erf")]


def _make(function, **options):
    @smelt.kernel(**options)
    def apply(out, x):
        i = smelt.grid(1)
        out[i] = function(x[i])

    return apply


def _make_of_two(function, **options):
    @smelt.kernel(**options)
    def apply(out, x, y):
        i = smelt.grid(1)
        out[i] = function(x[i], y[i])

    return apply


@functools.cache
def kernel(name, *, fastmath=False):
    make = _make_of_two if name in OF_TWO else _make
    return make(getattr(math, name), fastmath=fastmath)


def computed(name, *arrays, fastmath=False):
    out = np.empty_like(arrays[0])
    kernel(name, fastmath=fastmath)[out.size](out, *arrays)
    return out


def of_numpy(name, *arrays):
    with np.errstate(all="ignore"):
        return NUMPY.get(name, getattr(np, name, None))(*arrays)


def largest_error(name, got, arrays):
    """The greatest error in units in the last place of the exact result, and where it is."""
    limits = np.finfo(got.dtype)
    function = MPMATH.get(name, getattr(mpmath, name, None))
    worst = (0.0, ())
    with mpmath.workprec(160):
        for result, *numbers in zip(got.tolist(), *(array.tolist() for array in arrays), strict=True):
            exact = function(*map(mpmath.mpf, numbers))
            if abs(exact) > mpmath.mpf(float(limits.max)):
                assert math.isinf(result) or abs(result) == limits.max, (name, numbers)
                continue
            _, exponent = mpmath.frexp(exact)
            last_place = mpmath.ldexp(1, max(int(exponent) - limits.nmant - 1, limits.minexp - limits.nmant))
            worst = max(worst, (float(abs(mpmath.mpf(result) - exact) / last_place), tuple(numbers)))
    return worst


def samples(name, dtype, count):
    """Numbers that the function is defined for: of all sizes, and more of those where something changes."""
    generator = np.random.default_rng(sum(map(ord, name)))
    limits = np.finfo(dtype)
    least, greatest = limits.minexp - limits.nmant, limits.maxexp

    def sizes(low, high):
        return np.exp2(generator.uniform(low, high, count)) * generator.choice([-1.0, 1.0], count)

    def between(low, high):
        return generator.uniform(low, high, count)

    overflow = greatest * math.log(2.0)
    near_1 = 1.0 + sizes(-limits.nmant, -1)
    every = {
        "exp": [between(-overflow * 1.05, overflow), between(-2, 2), sizes(least, 6)],
        "exp2": [between(least, greatest), between(-2, 2), sizes(least, 6)],
        "expm1": [between(-50, overflow), between(-2, 2), sizes(least, 6)],
        "log": [abs(sizes(least, greatest)), near_1, between(0.5, 2.0)],
        "log1p": [between(-1, 2), sizes(least, -1), abs(sizes(0, greatest))],
        "sin": [between(-20, 20), sizes(least, greatest), between(-1e5, 1e5), np.arange(1, count) * (math.pi / 2)],
        "asin": [between(-1, 1), sizes(least, 0), 1.0 - abs(sizes(-limits.nmant, -1))],
        "atan": [between(-4, 4), sizes(least, greatest)],
        "sinh": [between(-overflow, overflow), between(-3, 3), sizes(least, 6)],
        "tanh": [between(-25, 25), between(-2, 2), sizes(least, 6)],
        "asinh": [between(-4, 4), sizes(least, greatest)],
        "acosh": [abs(near_1 - 1.0) + 1.0, abs(sizes(0, greatest))],
        "atanh": [between(-1, 1), sizes(least, 0), 1.0 - abs(sizes(-limits.nmant, -1))],
        "cbrt": [between(-8, 8), sizes(least, greatest)],
        "erf": [between(-6, 6), between(-1.1, 1.1), sizes(least, 3)],
        "erfc": [between(-6, 27), between(-1.1, 1.1), sizes(least, 3)],
    }
    like = {"log2": "log", "log10": "log", "cos": "sin", "tan": "sin", "acos": "asin", "cosh": "sinh"}
    if name == "pow":
        pairs = [
            (abs(sizes(least, greatest)), between(-2, 2)),
            (between(0.5, 2), between(-1, 1) * greatest),
            (between(0.9, 1.1), between(-5, 5) * greatest),
            (abs(near_1), sizes(0, 30)),
        ]
    else:
        pairs = [(sizes(least, greatest), sizes(least, greatest)), (between(-2, 2), between(-2, 2))]
    with np.errstate(over="ignore", under="ignore"):
        chosen = [every[like.get(name, name)]] if name in OF_ONE else list(zip(*pairs, strict=True))
        arrays = [np.concatenate(parts).astype(dtype) for parts in chosen]
    return [array[np.all(np.isfinite(arrays), axis=0)] for array in arrays]


# How wrong they are


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", BOUNDS)
def test_the_error_is_less_than_one_unit_in_the_last_place(name, dtype):
    arrays = samples(name, dtype, 60)
    got = computed(name, *arrays)
    error, numbers = largest_error(name, got, arrays)
    assert 0.25 < error < BOUNDS[name][DTYPES.index(dtype)], numbers


@pytest.mark.parametrize("name", ["exp", "log", "sin", "pow", "tanh", "erf"])
def test_with_fastmath_they_are_as_exact(name):
    arrays = samples(name, "float64", 60)
    got = computed(name, *arrays, fastmath=True)
    assert np.array_equal(got, computed(name, *arrays))


@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_huge_angles_are_reduced_exactly(name):
    # The first comes as near to a multiple of pi / 2 as a float64 can. Source: Muller and others, "Handbook of Floating-Point
    # Arithmetic", chapter 11, where it is 6381956970095103 * 2**797.
    angles = [6381956970095103.0 * 2.0**797, 1e22, 2.0**30, 2.0**31 + 0.5, 1.7e308, -3.7e200, 5e15]
    array = np.array([angle for huge in angles for angle in (huge, 0.5, np.nextafter(huge, 0.0))])
    error, numbers = largest_error(name, computed(name, array), [array])
    assert error < 0.82, numbers
    single = np.array([2.0**15, 32769.0, 1e10, -3.4e38, 1.5e30, 16367173.0 * 2.0**72], "float32")
    error, numbers = largest_error(name, computed(name, single), [single])
    assert error < 0.85, numbers


# What they are where that is defined


def special_values(dtype):
    limits = np.finfo(dtype)
    sizes = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 1e5, float(limits.tiny), float(limits.smallest_subnormal)]
    sizes += [float(limits.max), math.inf]
    return np.array([*sizes, *(-size for size in sizes), math.nan], dtype)


def assert_same_special_values(got, expected, *numbers):
    """Zeros with their signs, infinities and NaN where those are; what is no such number is close."""
    with np.errstate(all="ignore"):
        is_close = abs(got - expected) <= 4 * np.spacing(abs(expected))
    is_special = (expected == 0) | ~np.isfinite(expected)
    is_same = ((got == expected) & (np.signbit(got) == np.signbit(expected))) | (np.isnan(got) & np.isnan(expected))
    wrong = ~np.where(is_special, is_same, is_close)
    shown = [(*(array[place] for array in numbers), got[place], expected[place]) for place in np.flatnonzero(wrong)]
    assert not shown


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OF_ONE)
def test_special_values_of_one_number_are_those_of_the_standard(name, dtype):
    values = special_values(dtype)
    if name == "erfc":
        # Python's own raises where C's underflows.
        values = values[~(values > 30) | np.isinf(values)]
    got = computed(name, values)
    assert_same_special_values(got, of_numpy(name, values).astype(dtype), values)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OF_TWO)
def test_special_values_of_two_numbers_are_those_of_the_standard(name, dtype):
    values = special_values(dtype)
    first, second = (np.ascontiguousarray(array.ravel()) for array in np.meshgrid(values, values))
    got = computed(name, first, second)
    expected = of_numpy(name, first, second)
    if name == "pow":
        # NumPy takes the root for the power of 1/2; C's is neither -0 nor NaN.
        is_root = (second == 0.5) & ((first == 0) | np.isneginf(first))
        expected[is_root] = abs(first[is_root])
    assert_same_special_values(got, expected, first, second)


@pytest.mark.parametrize("dtype", DTYPES)
def test_where_exponentials_overflow_and_vanish(dtype):
    limits = np.finfo(dtype)
    largest = math.log(float(limits.max))
    around = computed("exp", np.array([largest * 0.9999, largest * 1.0001], dtype))
    assert np.isinf(around).tolist() == [False, True]
    least = math.log(float(limits.smallest_subnormal))
    assert computed("exp", np.array([least - 0.5, least - 0.8], dtype)).tolist() == [limits.smallest_subnormal, 0.0]


def test_powers_of_two_and_ten_have_exact_logarithms():
    exponents = np.arange(-1074, 1024)
    assert np.array_equal(computed("log2", np.ldexp(1.0, exponents)), exponents.astype(float))
    tens = np.array([10.0**exponent for exponent in range(23)])
    assert np.array_equal(computed("log10", tens), np.arange(23.0))
    assert np.array_equal(computed("exp2", exponents.astype(float)), np.ldexp(1.0, exponents))


def test_whole_powers_that_a_float_can_hold_are_exact():
    bases = np.repeat(np.arange(-9.0, 10.0), 10)
    exponents = np.tile(np.arange(10.0), 19)
    assert np.array_equal(computed("pow", bases, exponents), bases**exponents)


# Numbers of other types


@pytest.mark.parametrize("dtype", ["float16", ml_dtypes.bfloat16, "int32", "int64", "uint8", "bool"])
def test_other_numbers_are_computed_as_floats(dtype):
    values = np.array([0, 1, 1, 0]).astype(dtype)
    out = np.zeros(4, np.float64)
    kernel("exp")[4](out, values)
    narrow = {"float16": np.float16, ml_dtypes.bfloat16: ml_dtypes.bfloat16}.get(dtype, np.float64)
    assert out.tolist() == [1.0, float(narrow(math.e)), float(narrow(math.e)), 1.0]


# On every processor


@pytest.mark.parametrize("name", ["exp", "expm1", "log", "pow", "sin", "tan", "atan2", "tanh", "erf"])
def test_every_processor_computes_the_same_bits(name):
    # Python does each operation as IEEE 754 defines it, so that is what code for any processor is held against.
    modules = (exponentials, logarithms, powers, trigonometry, inverse_trigonometry, hyperbolics, error_functions)
    (module,) = [module for module in modules if hasattr(module, f"{name}_double")]
    arrays = [array[::9] for array in samples(name, "float64", 60)]
    got = computed(name, *arrays)
    with np.errstate(all="ignore"):
        expected = [getattr(module, f"{name}_double")(*numbers) for numbers in zip(*arrays, strict=True)]
    assert got.tolist() == np.array(expected, np.float64).tolist()


@pytest.mark.skipif(host_machine() != "x86-64", reason="x86-64 has levels with and without fused multiply-adds")
@pytest.mark.parametrize("name", ["exp", "sin", "pow"])
def test_processors_without_fused_multiply_adds_compute_the_same_bits(name):
    ordinary = kernel(name)
    config = dataclasses.replace(ordinary.config, target=target_named("native:x86-64"))
    arrays = samples(name, "float64", 60)
    out = np.empty_like(arrays[0])
    Kernel(ordinary.function, config, jobs)[out.size](out, *arrays)
    assert np.array_equal(out, computed(name, *arrays))


# Loops over them


def body_of(name, dtype):
    array = getattr(smelt, dtype)[:]
    return smelt.code_llvm(kernel(name), (array, array, array) if name in OF_TWO else (array, array))


@pytest.mark.parametrize(("name", "dtype"), LOOPS)
def test_a_loop_is_vectorised_and_calls_nothing_outside(name, dtype):
    text = body_of(name, dtype)
    assert re.search(r"call <\d+ x (double|float)> @llvm\.fma\.", text)
    declared = re.findall(r"^declare .* @([\w.]+)\(", text, re.MULTILINE)
    assert [function for function in declared if not function.startswith("llvm.")] == []


def test_only_angles_that_are_huge_are_looked_at_one_by_one():
    text = body_of("sin", "float64")
    assert re.search(r"call .*@trigonometry\._sin_of_huge\.double_each\(ptr", text)
    out = computed("sin", np.where(np.arange(64) % 7 == 3, 1e22, 0.25 * np.arange(64)))
    expected = np.where(np.arange(64) % 7 == 3, math.sin(1e22), np.sin(0.25 * np.arange(64)))
    assert np.allclose(out, expected, rtol=1e-15, atol=0)


@pytest.mark.parametrize("level", [0, 1])
def test_they_are_the_same_without_optimisation(level):
    angles = np.array([0.5, 1e22, -3.0, np.inf])
    out = np.empty(4)
    _make(math.sin, opt_level=level)[4](out, angles)
    assert np.array_equal(out, computed("sin", angles), equal_nan=True)


def test_threads_that_wait_for_each_other_have_them_too():
    @smelt.kernel
    def reversed_sines(out, x):
        shared = smelt.threadgroup_array(4, smelt.float64)
        place = smelt.thread_position_in_threadgroup().x
        shared[place] = math.sin(x[smelt.grid(1)])
        smelt.threadgroup_barrier()
        out[smelt.grid(1)] = math.exp(shared[3 - place])

    angles = np.array([1.0, 1e10, 2.0, 3.0, -1.0, 1e300, 0.0, 4.0])
    out = np.empty(8)
    reversed_sines[2, 4](out, angles)
    sines = computed("sin", angles).reshape(2, 4)[:, ::-1].ravel()
    assert np.array_equal(out, computed("exp", np.ascontiguousarray(sines)))


def test_sine_and_cosine_of_one_angle_share_their_work():
    @smelt.kernel
    def both(out, x):
        i = smelt.grid(1)
        out[i] = math.sin(x[i]) + math.cos(x[i])

    array = smelt.float64[:]

    def multiplications(text):
        return len(re.findall(r"call <\d+ x double> @llvm\.fma\.", text))

    alone = multiplications(body_of("sin", "float64"))
    assert alone <= multiplications(smelt.code_llvm(both, (array, array))) < 1.2 * alone
