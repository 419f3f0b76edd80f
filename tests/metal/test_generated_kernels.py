# SPDX-License-Identifier: Apache-2.0
"""smelt's kernels as AIR, run on the device in software: every operation that is something else there than on the processor."""

from __future__ import annotations

import math

import numpy as np
import pytest

import smelt
from smelt import knobs

pytestmark = pytest.mark.once

THREADS = 96


@pytest.fixture(autouse=True)
def on_metal():
    with knobs.DEVICE.set("metal:software"):
        yield


def numbers(seed=1, low=-6, high=6, count=THREADS):
    found = np.random.default_rng(seed).uniform(low, high, count).astype(np.float32)
    found[:4] = (0.5, -0.25, 1.0, 3.0)
    return found


def units(got, expected):
    """By how many units of the last digit of a float32 the numbers differ at most: NaN only where NaN is expected."""
    assert got.dtype == np.float32
    assert np.array_equal(np.isnan(got), np.isnan(expected))
    exact = expected.astype(np.float64)
    finite = np.isfinite(expected)
    assert np.array_equal(got[~finite], expected[~finite].astype(np.float32), equal_nan=True)
    distance = np.abs(got[finite] - exact[finite])
    # No finer than the least normal number: Metal may take what is smaller for 0.
    return (distance / np.spacing(np.maximum(np.abs(exact[finite]), 2.0**-126).astype(np.float32))).max(initial=0)


# Mathematics


@smelt.kernel
def of_one(out, x):
    i = smelt.grid(1)
    v = x[i]
    out[0, i] = math.sin(v)
    out[1, i] = math.cos(v)
    out[2, i] = math.tan(v)
    out[3, i] = math.exp(v)
    out[4, i] = math.exp2(v)
    out[5, i] = math.expm1(v)
    out[6, i] = math.sinh(v)
    out[7, i] = math.cosh(v)
    out[8, i] = math.tanh(v)
    out[9, i] = math.asinh(v)
    out[10, i] = math.atan(v)
    out[11, i] = math.erf(v)
    out[12, i] = math.erfc(v)
    out[13, i] = math.cbrt(v)
    out[14, i] = np.floor(v)
    out[15, i] = np.ceil(v)
    out[16, i] = np.trunc(v)
    out[17, i] = np.rint(v)
    out[18, i] = abs(v)


@smelt.kernel
def of_one_above_zero(out, x):
    i = smelt.grid(1)
    v = abs(x[i])
    u = v / 7
    out[0, i] = math.log(v)
    out[1, i] = math.log2(v)
    out[2, i] = math.log10(v)
    out[3, i] = math.log1p(v)
    out[4, i] = math.sqrt(v)
    out[5, i] = math.asin(u)
    out[6, i] = math.acos(u)
    out[7, i] = math.atanh(u)
    out[8, i] = math.acosh(v + 1)


@smelt.kernel
def of_two(out, x, y):
    i = smelt.grid(1)
    v, w = x[i], y[i]
    out[0, i] = math.atan2(v, w)
    out[1, i] = math.hypot(v, w)
    out[2, i] = math.pow(abs(v), w)
    out[3, i] = math.fmod(v, w)
    out[4, i] = math.copysign(v, w)
    out[5, i] = v % w
    out[6, i] = v // w
    out[7, i] = min(v, w)
    out[8, i] = np.maximum(v, w)


def exact_of_one(x):
    x = x.astype(np.float64)
    special = [np.array([function(v) for v in x]) for function in (math.erf, math.erfc)]
    functions = (np.sin, np.cos, np.tan, np.exp, np.exp2, np.expm1, np.sinh, np.cosh, np.tanh, np.arcsinh, np.arctan)
    rest = (np.cbrt, np.floor, np.ceil, np.trunc, np.rint, np.abs)
    return [function(x) for function in functions] + special + [function(x) for function in rest]


def test_mathematics_of_one_number_is_that_of_numpy():
    x = numbers()
    out = np.zeros((19, THREADS), np.float32)
    of_one[THREADS](out, x)
    # What is rounded once is exact.
    most = [4] * 14 + [0] * 5
    for place, exact in enumerate(exact_of_one(x)):
        assert units(out[place], exact) <= most[place], place


@pytest.mark.parametrize("extreme", [1e-30, 1e-7, 80.0, 1e9, math.inf, math.nan])
def test_functions_without_doubles_are_right_at_their_ends(extreme):
    x = np.full(THREADS, extreme, np.float32)
    x[::2] *= -1
    out = np.zeros((19, THREADS), np.float32)
    of_one[THREADS](out, x)
    with np.errstate(all="ignore"):
        exact = exact_of_one(x)
        for place in (5, 11, 12, 13):
            wanted = exact[place].astype(np.float32).astype(np.float64)
            assert units(out[place], wanted) <= 4, place


def test_mathematics_of_numbers_above_zero_is_that_of_numpy():
    x = numbers()
    out = np.zeros((9, THREADS), np.float32)
    of_one_above_zero[THREADS](out, x)
    v = np.abs(x)
    u, above = (v / np.float32(7)).astype(np.float64), (v + np.float32(1)).astype(np.float64)
    v = v.astype(np.float64)
    exact = [np.log(v), np.log2(v), np.log10(v), np.log1p(v), np.sqrt(v), np.arcsin(u), np.arccos(u), np.arctanh(u)]
    for place, wanted in enumerate([*exact, np.arccosh(above)]):
        assert units(out[place], wanted) <= 4, place


def test_mathematics_of_two_numbers_is_that_of_numpy():
    x, y = numbers(), numbers(2)[::-1].copy()
    out = np.zeros((9, THREADS), np.float32)
    of_two[THREADS](out, x, y)
    v, w = x.astype(np.float64), y.astype(np.float64)
    approximate = [np.arctan2(v, w), np.hypot(v, w), np.abs(v) ** w]
    for place, wanted in enumerate(approximate):
        assert units(out[place], wanted) <= 16, place
    exact = [np.fmod(x, y), np.copysign(x, y), x % y, x // y, np.minimum(x, y), np.maximum(x, y)]
    for place, wanted in enumerate(exact, 3):
        assert np.array_equal(out[place], wanted), place


@smelt.kernel
def gammas(out, x):
    i = smelt.grid(1)
    out[0, i] = math.gamma(x[i])
    out[1, i] = math.lgamma(x[i])


def test_the_gamma_function_is_computed_without_doubles():
    x = np.concatenate(
        [numbers(4, 0, 40), numbers(5, -20, 1), np.linspace(0.4, 3.2, 60, dtype=np.float32), [1e-5, 1e-30, 1e4, 1e30]]
    )
    x = x.astype(np.float32)
    out = np.zeros((2, x.size), np.float32)
    gammas[x.size](out, x)
    exact = [math.gamma(number) if number < 171 else math.inf for number in x.tolist()]
    exact = np.array(exact)
    exact[np.abs(exact) > np.finfo(np.float32).max] = math.inf
    assert units(out[0], exact) <= 12
    logarithms = np.array([math.lgamma(number) for number in x.tolist()])
    # Below 0 it is a difference, which is 0 in between.
    assert units(out[1][x > 0], logarithms[x > 0]) <= 6
    assert np.allclose(out[1], logarithms, rtol=1e-6, atol=4e-6)


def test_the_gamma_function_has_poles():
    x = np.array([0.0, -0.0, -1.0, -2.0, math.inf, -math.inf, math.nan, 1.0, 2.0], np.float32)
    out = np.zeros((2, x.size), np.float32)
    gammas[x.size](out, x)
    nan, inf = math.nan, math.inf
    assert np.array_equal(out[0], [inf, -inf, nan, nan, inf, nan, nan, 1, 1], equal_nan=True)
    assert np.array_equal(out[1], [inf, inf, inf, inf, inf, inf, nan, 0, 0], equal_nan=True)


@smelt.kernel(fastmath=True)
def fast(out, x):
    i = smelt.grid(1)
    out[i] = math.exp(x[i]) + math.sin(x[i]) * math.tanh(x[i]) / math.sqrt(abs(x[i]))


def test_fast_mathematics_is_near():
    x = numbers()
    out = np.zeros(THREADS, np.float32)
    fast[THREADS](out, x)
    assert np.allclose(out, np.exp(x) + np.sin(x) * np.tanh(x) / np.sqrt(np.abs(x)), rtol=1e-5)


@smelt.kernel
def converted(signed, unsigned, small, x):
    i = smelt.grid(1)
    signed[i] = np.int64(x[i])
    unsigned[i] = np.uint32(x[i])
    small[i] = np.int8(x[i])


def test_numbers_that_no_integer_can_hold_are_what_they_are_on_the_processor():
    x = np.array([1.5, -1.5, 300.0, -300.0, 1e30, -1e30, math.inf, -math.inf, math.nan, 4e9], np.float32)

    def results():
        out = np.zeros(10, np.int64), np.zeros(10, np.uint32), np.zeros(10, np.int8)
        converted[10](*out, x)
        return out

    on_metal = results()
    with knobs.DEVICE.set("cpu"):
        on_processor = results()
    for got, wanted in zip(on_metal, on_processor, strict=True):
        assert got.tolist() == wanted.tolist()


@smelt.kernel
def integers(out, x, y):
    i = smelt.grid(1)
    a, b = x[i], y[i]
    out[0, i] = a // b
    out[1, i] = a % b
    out[2, i] = abs(a)
    out[3, i] = min(a, b)
    out[4, i] = max(a, b)
    out[5, i] = a << (b & 7)
    out[6, i] = a >> (b & 7)
    out[7, i] = a & b
    out[8, i] = (a ^ b) | ~a
    out[9, i] = a**2


@pytest.mark.parametrize("dtype", [np.int8, np.uint32, np.int64])
def test_integers_are_those_of_the_processor(dtype):
    information = np.iinfo(dtype)
    generator = np.random.default_rng(3)
    x = generator.integers(information.min, information.max, THREADS, dtype, endpoint=True)
    y = generator.integers(1, min(100, information.max), THREADS, dtype)
    x[:3] = information.min, information.max, 1
    if information.min < 0:
        y[:2] = -1
    on_metal, on_processor = (np.zeros((10, THREADS), dtype) for _ in range(2))
    integers[THREADS](on_metal, x, y)
    with knobs.DEVICE.set("cpu"):
        integers[THREADS](on_processor, x, y)
    assert on_metal.tolist() == on_processor.tolist()


@smelt.kernel
def narrow(out, x, y):
    i = smelt.grid(1)
    out[i] = np.float32(x[i] * y[i] + x[i] / y[i]) + math.sqrt(np.float32(x[i]))


@pytest.mark.parametrize("kind", [smelt.float16, smelt.bfloat16])
def test_narrow_numbers_are_computed(kind):
    x, y = np.abs(numbers()), np.abs(numbers(5)) + 1
    if kind == smelt.float16:
        x, y = x.astype(np.float16), y.astype(np.float16)
        out = np.zeros(THREADS, np.float32)
        narrow[THREADS](out, x, y)
        assert np.allclose(out, (x * y + x / y).astype(np.float32) + np.sqrt(x.astype(np.float32)), rtol=1e-6)
    else:
        kinds = (smelt.float32[:], smelt.bfloat16[:], smelt.bfloat16[:])
        assert "bfloat" in smelt.code_air(narrow, kinds)


@smelt.kernel
def complex_numbers(out, x):
    i = smelt.grid(1)
    out[i] = x[i] * np.conjugate(x[i]) + 2j * x[i]


def test_complex_numbers_are_two_floats():
    x = (numbers() + 1j * numbers(2)).astype(np.complex64)
    out = np.zeros(THREADS, np.complex64)
    complex_numbers[THREADS](out, x)
    assert np.allclose(out, x * x.conj() + 2j * x, rtol=1e-6)


# Threads that work together


@smelt.kernel
def exchanged(out, x):
    i = smelt.grid(1)
    v = x[i]
    out[0, i] = smelt.simd_sum(v)
    out[1, i] = smelt.simd_min(v)
    out[2, i] = smelt.simd_max(v)
    out[3, i] = smelt.simd_shuffle(v, 3)
    out[4, i] = smelt.simd_shuffle_xor(v, 1)
    out[5, i] = smelt.simd_shuffle_up(v, 2)
    out[6, i] = smelt.simd_shuffle_down(v, 31)


@pytest.mark.parametrize("dtype", [np.float32, np.uint16, np.int64])
def test_what_goes_from_lane_to_lane_is_what_goes_on_the_processor(dtype):
    # The last simdgroup has 8 lanes: who asks for another gets its own.
    x = (np.arange(40) % 7 + 1).astype(dtype)
    on_metal, on_processor = (np.zeros((7, 40), dtype) for _ in range(2))
    exchanged[40](on_metal, x)
    with knobs.DEVICE.set("cpu"):
        exchanged[40](on_processor, x)
    assert on_metal.tolist() == on_processor.tolist()


@smelt.kernel
def combined(out, x):
    i = smelt.grid(1)
    v = x[i]
    out[0, i] = smelt.simd_and(v)
    out[1, i] = smelt.simd_or(v)
    out[2, i] = smelt.simd_xor(v)
    out[3, i] = smelt.simd_ballot(v > 4)
    out[4, i] = smelt.simd_all(v > 0)
    out[5, i] = smelt.simd_any(v > 6)
    out[6, i] = smelt.simd_xor(v > 3)
    out[7, i] = smelt.simd_product(v & 1)


def test_lanes_vote():
    x = (np.arange(40) % 7 + 1).astype(np.int32)
    on_metal, on_processor = (np.zeros((8, 40), np.uint32) for _ in range(2))
    combined[40](on_metal, x)
    with knobs.DEVICE.set("cpu"):
        combined[40](on_processor, x)
    assert on_metal.tolist() == on_processor.tolist()


@smelt.kernel
def prefix_sums(out, x):
    shared = smelt.threadgroup_array(64, smelt.int32)
    inner = smelt.thread_index_in_threadgroup()
    shared[inner] = x[smelt.grid(1)]
    smelt.threadgroup_barrier()
    step = 1
    while step < 64:
        value = shared[inner - step] if inner >= step else 0
        smelt.threadgroup_barrier()
        shared[inner] += value
        smelt.threadgroup_barrier()
        step *= 2
    out[smelt.grid(1)] = shared[inner]


@smelt.kernel
def turned(out, x):
    shared = smelt.threadgroup_array(None, smelt.int32)
    inner = smelt.thread_index_in_threadgroup()
    shared[inner] = x[smelt.grid(1)]
    smelt.threadgroup_barrier()
    out[smelt.grid(1)] = shared[shared.size - 1 - inner]


def test_threads_share_memory():
    x = np.arange(192, dtype=np.int32)
    out = np.zeros(192, np.int32)
    prefix_sums[3, 64](out, x)
    assert out.tolist() == np.cumsum(x.reshape(3, 64), axis=1).ravel().tolist()
    turned.configure(3, 64, threadgroup_memory=256)(out, x)
    assert out.tolist() == x.reshape(3, 64)[:, ::-1].ravel().tolist()


@smelt.kernel
def counted(integers, floats, of_groups, x):
    i = smelt.grid(1)
    v = x[i]
    smelt.atomic_add(integers, 0, v)
    smelt.atomic_sub(integers, 1, v)
    smelt.atomic_min(integers, 2, v)
    smelt.atomic_max(integers, 3, v)
    smelt.atomic_or(integers, 4, v)
    smelt.atomic_xor(integers, 5, v)
    smelt.atomic_and(integers, 6, v)
    old = smelt.atomic_compare_exchange(integers, 7, 0, v + 1)
    if old == 0:
        smelt.atomic_exchange(integers, 8, v)
    smelt.atomic_add(floats, 0, v)
    smelt.atomic_sub(floats, 1, v)
    smelt.atomic_min(floats, 2, v)
    smelt.atomic_max(floats, 3, v)
    smelt.atomic_compare_exchange(floats, 4, 0.0, 5.0)
    shared = smelt.threadgroup_array(2, smelt.float32)
    inner = smelt.thread_index_in_threadgroup()
    if inner < 2:
        shared[inner] = 0.0
    smelt.threadgroup_barrier()
    smelt.atomic_add(shared, 0, v)
    smelt.atomic_max(shared, 1, v)
    smelt.threadgroup_barrier()
    if inner < 2:
        smelt.atomic_exchange(of_groups, (smelt.threadgroup_position_in_grid().x, inner), shared[inner])


@pytest.mark.parametrize("dtype", [np.int32, np.uint32])
def test_atomic_operations_count(dtype):
    x = np.arange(1, 97, dtype=dtype)
    integers, floats, of_groups = np.zeros(9, dtype), np.zeros(5, np.float32), np.zeros((3, 2), np.float32)
    integers[2] = integers[6] = 127
    floats[2] = 9
    counted[3, 32](integers, floats, of_groups, x)
    total = int(x.sum())
    expected = [total, int(np.array(-total).astype(dtype)), 1, 96, 127, int(np.bitwise_xor.reduce(x)), 0]
    assert integers[:7].tolist() == expected
    # One thread found a 0, and it says which.
    assert integers[7] == integers[8] + 1
    assert floats.tolist() == [total, -total, 1, 96, 5]
    assert of_groups.tolist() == [[x[g : g + 32].sum(), x[g : g + 32].max()] for g in (0, 32, 64)]


# Errors and texts


def check(x, limit):
    assert x < limit, "too large"
    return 1 // (x - 5)


@smelt.kernel
def failing(out, x, limit):
    i = smelt.grid(1)
    if x[i] < 0:
        raise ValueError("negative")
    out[i] = check(x[i], limit)


@pytest.mark.parametrize(
    ("value", "error", "message", "place"),
    [
        (5, ZeroDivisionError, "integer division or modulo by zero", "return 1 // (x - 5)"),
        (50, AssertionError, "too large", "assert x < limit"),
        (-1, ValueError, "negative", 'raise ValueError("negative")'),
    ],
)
def test_what_goes_wrong_in_a_thread_is_raised_with_line_and_position(value, error, message, place):
    x = np.ones(THREADS, np.int32)
    x[70] = value
    with pytest.raises(error, match=message) as raised:
        failing[THREADS](np.zeros(THREADS, np.int32), x, 20)
    (note,) = raised.value.__notes__
    assert "thread (70, 0, 0)" in note
    assert place in note


def test_an_index_that_is_out_of_bounds_is_raised():
    with pytest.raises(IndexError, match=r"x: index is out of bounds for dimension 0 of int32\[:\]") as raised:
        failing[THREADS](np.zeros(THREADS, np.int32), np.ones(60, np.int32), 20)
    assert "x[i] < 0" in raised.value.__notes__[0]


@smelt.kernel
def shows(x, flags):
    i = smelt.grid(1)
    if i % 40 == 1:
        print(f"{i}:", x[i], flags[i], (x[i], 2), f"{x[i]:.2f}")  # noqa: T201 - what is tested


def test_what_a_kernel_prints_is_shown(capsys):
    x = np.arange(THREADS, dtype=np.float32) / 3
    flags = np.arange(THREADS) % 2 == 0
    shows[THREADS](x, flags)
    lines = capsys.readouterr().out.splitlines()
    wanted = [f"{i}: {x[i]!s} {flags[i]} ({x[i]!r}, 2) {x[i]:.2f}" for i in (1, 41, 81)]
    assert sorted(lines) == sorted(wanted)
