# SPDX-License-Identifier: Apache-2.0
"""Threads that go through loops in step compute what each of them computes alone.

Each kernel runs twice: with opt_level=0, where one thread runs after the other, and as it is compiled by default.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import smelt
from smelt._wiring import driver
from smelt.compiler.config import CompilerJob
from smelt.types import typeof

pytestmark = pytest.mark.once


def strips_of(function: Any, *arguments: Any, **options: Any) -> list[int]:
    """How many threads the strips of a kernel have."""
    kernel = smelt.kernel(**options)(function)
    job = CompilerJob(kernel.instance(tuple(map(typeof, arguments))), kernel.config)
    return [strip.threads for strip in driver().lowered(job, driver().inferred(job)).strips]


def outcome(kernel: Any, grid: tuple[int, ...], arguments: tuple[Any, ...]) -> tuple[Any, list[Any]]:
    """The error of a launch, if any, and what the arrays hold afterwards."""
    copies = [given.copy() if isinstance(given, np.ndarray) else given for given in arguments]
    error: Any = None
    try:
        kernel.over(*grid)(*copies)
    except (ArithmeticError, LookupError, ValueError) as raised:
        error = (type(raised), str(raised), raised.__notes__)
    return error, [copy for copy in copies if isinstance(copy, np.ndarray)]


def assert_same(function: Any, grid: tuple[int, ...], *arguments: Any, **options: Any) -> Any:
    """Run a kernel both ways, compare, and return its error."""
    expected_error, expected = outcome(smelt.kernel(opt_level=0, **options)(function), grid, arguments)
    error, found = outcome(smelt.kernel(**options)(function), grid, arguments)
    assert error == expected_error
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.view(np.uint8), other.view(np.uint8))
    return error


def some(*shape: int, dtype: Any = np.float32) -> np.ndarray[Any, Any]:
    return (np.random.default_rng(sum(shape)).random(shape) * 4 - 1).astype(dtype)


def product(c: Any, a: Any, b: Any) -> None:
    j, i = smelt.grid(2)
    s = 0.0
    for k in range(a.shape[1]):
        s += a[i, k] * b[k, j]
    c[i, j] = s


def forces(out: Any, x: Any, y: Any, mass: Any) -> None:
    i = smelt.grid(1)
    sx = sy = 0.0
    for j in range(x.size):
        dx = x[j] - x[i]
        dy = y[j] - y[i]
        square = dx * dx + dy * dy + 1e-4
        force = mass[j] / (square * math.sqrt(square))
        sx += force * dx
        sy += force * dy
    out[0, i] = sx
    out[1, i] = sy


def convolution(out: Any, u: Any, w: Any) -> None:
    x, y = smelt.grid(2)
    total = 0.0
    for channel in range(w.shape[0]):
        for dy in range(3):
            for dx in range(3):
                total += w[channel, dy, dx] * u[channel, y + dy, x + dx]
    out[y, x] = total


def halving(out: Any, x: Any, n: int) -> None:
    i = smelt.grid(1)
    step, s = n, 1
    while step > 0:
        s = s * 3 + int(x[i] > step)
        step //= 2
    out[i] = s


def choosing(out: Any, x: Any, y: Any) -> None:
    i = smelt.grid(1)
    count, least = 0, x[0]
    for k in range(y.size):
        if y[k] > x[i]:
            count += k
        else:
            least = min(least, y[k])
    out[i] = count + least


def dot(a: Any, b: Any, i: int, j: int) -> Any:
    s = 0.0
    for k in range(a.shape[1]):
        s += a[i, k] * b[k, j]
    return s


def calling(c: Any, a: Any, b: Any) -> None:
    j, i = smelt.grid(2)
    c[i, j] = dot(a, b, i, j) + dot(b, a, i, j)


def accumulating(out: Any, x: Any) -> None:
    i = smelt.grid(1)
    for k in range(x.size):
        out[i] += x[k] * out[i]


def elementary(out: Any, x: Any, y: Any) -> None:
    i = smelt.grid(1)
    s = 0.0
    for k in range(y.size):
        s += math.exp(-abs(x[i] - y[k])) * math.sin(y[k])
    out[i] = s


def two_loops(out: Any, x: Any, n: int) -> None:
    i = smelt.grid(1)
    s = x[i]
    for k in range(n):
        s = s * 0.5 + k
    t = s * x[i]
    for k in range(n):
        for m in range(k):
            t = t * 0.25 + s * m
    out[i] = t


def from_the_end(out: Any, x: Any) -> None:
    i = smelt.grid(1)
    s = x[-1]
    for k in range(x.size):
        s = max(s, x[k] - x[-1])
    out[i] = s + i


def records(out: Any, z: Any) -> None:
    i = smelt.grid(1)
    s = z[i]
    for k in range(z.size):
        s = s * z[k] + z[i]
    out[i] = s


FLOATS, DOUBLES, LONGS = some(300), some(300, dtype=np.float64), np.arange(300) % 97

KERNELS: list[tuple[Any, tuple[int, ...], tuple[Any, ...]]] = [
    (product, (37, 11), (some(11, 37), some(11, 23), some(23, 37))),
    (product, (64, 3), (some(3, 64, dtype=np.float64), some(3, 9, dtype=np.float64), some(9, 64, dtype=np.float64))),
    (
        product,
        (200, 2),
        (np.zeros((2, 200), np.int64), LONGS[:10].reshape(2, 5), LONGS[:200].reshape(1, 200).repeat(5, 0)),
    ),
    (product, (130, 1), (some(1, 130), some(1, 1), some(1, 130))),
    (product, (130, 1), (some(1, 130), some(1, 0), some(0, 130))),
    (forces, (150,), (some(2, 150), FLOATS[:150], FLOATS[150:], FLOATS[:150] + 2)),
    (convolution, (77, 5), (some(5, 77), some(4, 7, 79), some(4, 3, 3))),
    (halving, (99,), (np.zeros(99, np.int64), DOUBLES[:99] * 100, 1000)),
    (choosing, (83,), (np.zeros(83, np.float32), FLOATS[:83], FLOATS[83:160])),
    (calling, (40, 40), (some(40, 40), some(40, 40), some(40, 40))),
    (accumulating, (75,), (some(75), some(9))),
    (elementary, (81,), (some(81), FLOATS[:81], FLOATS[:20])),
    (elementary, (81,), (some(81, dtype=np.float64), DOUBLES[:81], DOUBLES[:20])),
    (two_loops, (90,), (some(90), FLOATS[:90], 6)),
    (from_the_end, (70,), (some(70), FLOATS[:50])),
]


def identified(case: Any) -> str | None:
    return case.__name__ if callable(case) else None


@pytest.mark.parametrize(("function", "grid", "arguments"), KERNELS, ids=identified)
def test_threads_that_go_together_compute_what_each_computes_alone(
    function: Any, grid: tuple[int, ...], arguments: tuple[Any, ...]
) -> None:
    assert strips_of(function, *arguments)
    assert assert_same(function, grid, *arguments) is None


@pytest.mark.parametrize(("function", "grid", "arguments"), KERNELS, ids=identified)
def test_without_bounds_checks_they_do_too(function: Any, grid: tuple[int, ...], arguments: tuple[Any, ...]) -> None:
    assert assert_same(function, grid, *arguments, boundscheck=False) is None


def escaping(out: Any, x: Any, most: int) -> None:
    i = smelt.grid(1)
    z, count = x[i], 0
    while count < most and z < 4:
        z = z * z + x[i]
        count += 1
    out[i] = count


def breaking(out: Any, x: Any, most: int) -> None:
    i = smelt.grid(1)
    z, left = x[i], -1
    for k in range(most):
        z = z * z - x[i]
        if z > 2:
            left = k
            break
        if z < -1:
            z += 1.5
    out[i] = z + left


def returning(out: Any, x: Any, most: int) -> None:
    i = smelt.grid(1)
    z = x[i]
    for k in range(most):
        if z > 3:
            out[i] = k
            return
        z = z * z + 0.25
    out[i] = -z


def skipping(out: Any, x: Any, most: int) -> None:
    i = smelt.grid(1)
    z, k, total = x[i], 0, 0.0
    while True:
        k += 1
        if k > most:
            break
        z = z * 1.5 - 0.5
        if z < 0:
            continue
        total += z
        if total > 20:
            total = -total
            break
    out[i] = total


def storing(out: Any, x: Any, most: int) -> None:
    i = smelt.grid(1)
    k = 0
    while out[i] < 10 and k < most:
        out[i] = out[i] + x[i] * x[i]
        k += 1


def sampling(out: Any, x: Any, most: int) -> None:
    i = smelt.grid(1)
    total = 0
    for sample in range(most):
        z, k = x[i] + sample, 0
        while z < 100 and k < 30:
            z = z * 1.25 + sample
            k += 1
        total += k
    out[i] = total


def newton(out: Any, x: Any, most: int) -> None:
    i = smelt.grid(1)
    a = abs(x[i]) + 0.5
    guess, rounds = a, 0
    while abs(guess * guess - a) > 1e-6 * a and rounds < most:
        guess = 0.5 * (guess + a / guess)
        rounds += 1
    out[i] = guess


def searching(out: Any, x: Any, most: int) -> None:
    i = smelt.grid(1)
    low, high, count = 0, most, 0
    while low < high:
        middle = (low + high) // 2
        if middle * middle < x[i] * 1000:
            low = middle + 1
        else:
            high = middle
        count += 1
    out[i] = low * 100 + count


def orbit(z: Any, c: Any, most: int) -> int:
    for k in range(most):
        z = z * z + c
        if abs(z) > 2:
            return k
    return most


def escape_of_complex_numbers(out: Any, x: Any, most: int) -> None:
    i = smelt.grid(1)
    out[i] = orbit(0j, complex(x[i], 0.25), most)


def nested(out: Any, x: Any, most: int) -> None:
    i = smelt.grid(1)
    total, z = 0.0, x[i]
    while total < 10 * most and z > -5:
        k = 0
        while k < total:
            z = z * 0.5 + k
            k += 1
        total += 7 + z
        z -= 1
    out[i] = total


LEAVING = [escaping, breaking, returning, skipping, storing, sampling, newton, searching, escape_of_complex_numbers]


@pytest.mark.parametrize("function", LEAVING)
@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64])
def test_threads_leave_loops_one_by_one(function: Any, kind: Any) -> None:
    x = some(117, dtype=np.float64)
    out = np.zeros(117, np.float64 if kind is np.int64 else kind)
    assert strips_of(function, out, x.astype(out.dtype), 40)[-1] == 8
    assert assert_same(function, (117,), out, x.astype(out.dtype), 40) is None
    assert assert_same(function, (117,), out.astype(kind), x.astype(out.dtype), 0) is None


@settings(derandomize=True, max_examples=20, deadline=None)
@given(values=st.lists(st.floats(-4, 4, width=32), min_size=17, max_size=40), most=st.integers(-1, 12))
@pytest.mark.parametrize("function", [breaking, returning, skipping, storing])
def test_whatever_threads_leave_with_is_theirs(function: Any, values: list[float], most: int) -> None:
    x = np.array(values, np.float32)
    assert assert_same(function, (x.size,), np.zeros_like(x), x, most) is None


@settings(derandomize=True, max_examples=25, deadline=None)
@given(width=st.integers(1, 200), rounds=st.integers(0, 5))
def test_rows_of_any_length(width: int, rounds: int) -> None:
    a, b = some(2, rounds), some(rounds, width)
    assert assert_same(product, (width, 2), some(2, width), a, b) is None


def test_the_threads_that_fail_are_those_that_fail_alone() -> None:
    error = assert_same(product, (130, 3), some(3, 100), some(3, 7), some(7, 130))
    assert error is not None
    assert error[0] is IndexError
    error = assert_same(product, (130, 3), some(3, 130), some(3, 7), some(6, 130))
    assert error is not None
    assert error[0] is IndexError


def divided(out: Any, x: Any, n: int) -> None:
    i = smelt.grid(1)
    s = 0
    for k in range(n):
        s += x[i] // x[k]
    out[i] = s


def transposed(out: Any, a: Any) -> None:
    i = smelt.grid(1)
    s = a[i, 0]
    for k in range(a.shape[1]):
        s += a[i, k]
    out[i] = s


def counted(out: Any, x: Any) -> None:
    for k in range(x.size):
        smelt.atomic_add(out, 0, x[k] + smelt.grid(1))


def blurring(out: Any, u: Any) -> None:
    x, y = smelt.grid(2)
    total = 0.0
    for dy in range(3):
        for dx in range(3):
            total += u[y + dy, x + dx]
    out[y, x] = total


def printing(out: Any, n: int) -> None:
    i = smelt.grid(1)
    for k in range(n):
        if k > i + 100:
            print(k)  # noqa: T201 - what kernels print is part of it
    out[i] = 1


def gathering(out: Any, x: Any, places: Any) -> None:
    i = smelt.grid(1)
    s = x[0]
    for k in range(places.size):
        s += x[(places[k] + i) & 7]
    out[i] = s


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        # It may fail.
        (divided, (np.zeros(50, np.int64), LONGS[:50], 5)),
        # Its threads read rows of their own.
        (transposed, (some(50), some(50, 9))),
        (counted, (np.zeros(1, np.int64), LONGS[:4])),
        # Threads would vote in a loop that only some of them are in.
        (nested, (np.zeros(50, np.float32), some(50), 5)),
        # LLVM writes its loops out.
        (blurring, (some(9, 50), some(11, 52))),
        (printing, (np.zeros(50, np.int64), 3)),
        (gathering, (some(50), some(8), np.arange(5))),
    ],
    ids=identified,
)
def test_other_kernels_run_one_thread_after_the_other(function: Any, arguments: tuple[Any, ...]) -> None:
    assert strips_of(function, *arguments) == []


def test_what_lives_from_round_to_round_fits_into_registers() -> None:
    assert strips_of(product, some(4, 4), some(4, 4), some(4, 4)) == [64, 8]
    doubles = some(4, 4, dtype=np.float64)
    assert strips_of(product, doubles, doubles, doubles) == [64, 8]
    assert strips_of(forces, some(2, 50), FLOATS, FLOATS, FLOATS) == [64, 8]


COEFFICIENTS = tuple(1 / number for number in range(1, 121))


def long_rounds(out: Any, x: Any) -> None:
    i = smelt.grid(1)
    s = 0.0
    for k in range(x.size):
        for coefficient in COEFFICIENTS:
            s = s * coefficient + x[k]
    out[i] = s + x[i]


def test_strips_of_long_kernels_are_short() -> None:
    assert strips_of(long_rounds, FLOATS, FLOATS) == [16, 8]
    assert assert_same(long_rounds, (40,), FLOATS[:40], FLOATS[:50]) is None


def test_a_strip_keeps_what_it_computes_in_vectors() -> None:
    text = smelt.code_llvm(smelt.kernel(product), tuple(map(typeof, (some(4, 4), some(4, 4), some(4, 4)))))
    rounds = [line for line in text.splitlines() if " = phi <" in line and "x float>" in line]
    assert rounds
    assert "alloca" not in text.partition("@run_strips(")[2].partition("\n}")[0]


def test_a_kernel_for_debuggers_runs_thread_by_thread() -> None:
    assert strips_of(product, some(4, 4), some(4, 4), some(4, 4), debug_level=2) == []
