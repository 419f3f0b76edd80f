# SPDX-License-Identifier: Apache-2.0
"""Threads that are run without checks compute and fail as all others do.

Each kernel runs twice: with opt_level=0, where every thread is run as the kernel is written, and as it is compiled by default.
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


def outcome(kernel: Any, grid: tuple[int, ...], arguments: tuple[Any, ...]) -> tuple[Any, list[Any]]:
    """The error of a launch, if any, and what the arrays hold afterwards."""
    copies = [given.copy() if isinstance(given, np.ndarray) else given for given in arguments]
    error: Any = None
    try:
        kernel.over(*grid)(*copies)
    except (ArithmeticError, AssertionError, LookupError, ValueError) as raised:
        error = (type(raised), str(raised), raised.__notes__)
    return error, [copy for copy in copies if isinstance(copy, np.ndarray)]


def assert_same(function: Any, grid: tuple[int, ...], *arguments: Any, boundscheck: bool = True) -> Any:
    """Run a kernel both ways, compare, and return its error."""
    plain = smelt.kernel(opt_level=0, boundscheck=boundscheck)(function)
    fast = smelt.kernel(boundscheck=boundscheck)(function)
    expected_error, expected = outcome(plain, grid, arguments)
    error, found = outcome(fast, grid, arguments)
    assert error == expected_error
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.view(np.uint8), other.view(np.uint8))
    return error


def main_of(function: Any, *arguments: Any, **options: Any) -> tuple[bool, bool]:
    """Whether a kernel has a function for most threads, and whether some threads may not run it."""
    kernel = smelt.kernel(**options)(function)
    job = CompilerJob(kernel.instance(tuple(map(typeof, arguments))), kernel.config)
    lowered = driver().lowered(job, driver().inferred(job))
    return lowered.main is not None, lowered.limits is not None


def optimised(function: Any, *arguments: Any, **options: Any) -> str:
    return smelt.code_llvm(smelt.kernel(**options)(function), tuple(map(typeof, arguments)))


def saxpy(out: Any, a: Any, x: Any, y: Any) -> None:
    i = smelt.grid(1)
    if i < out.size:
        out[i] = a * x[i] + y[i]


def unguarded(out: Any, x: Any) -> None:
    i = smelt.grid(1)
    out[i] = x[i] + 1


def shifted(out: Any, x: Any, distance: Any) -> None:
    i = smelt.grid(1)
    out[i] = x[i + distance]


def multiples(out: Any, x: Any) -> None:
    i = smelt.grid(1)
    out[i] = x[3 * i + 1] - x[10 - 2 * i]


def neighbours(out: Any, u: Any) -> None:
    x, y = smelt.grid(2)
    out[y, x] = u[y, x - 1] + 2 * u[y - 1, x] + 3 * u[y, x]


def interior(out: Any, u: Any) -> None:
    x, y = smelt.grid(2)
    height, width = u.shape
    if 0 < x < width - 1 and 0 < y < height - 1:
        out[y, x] = u[y, x - 1] + u[y, x + 1] + u[y - 1, x] + u[y + 1, x]


def returns_early(out: Any, x: Any) -> None:
    i = smelt.grid(1)
    if i == 0 or i >= x.size - 1:
        return
    out[i] = x[i - 1] + x[i + 1]


def edges_differ(out: Any, x: Any) -> None:
    i = smelt.grid(1)
    if i == 0:
        out[i] = -1
    elif i == x.size - 1:
        out[i] = -2
    else:
        out[i] = x[i - 1] * x[i + 1]


def halves(out: Any, x: Any, n: Any) -> None:
    i = smelt.grid(1)
    if i < n:
        out[i] = x[i] * 2
    else:
        out[i] = x[i - n] - 1


def blurred(out: Any, u: Any) -> None:
    x, y = smelt.grid(2)
    total, count = 0.0, 0
    for dy in range(-1, 2):
        for dx in range(-1, 2):
            if 0 <= y + dy < u.shape[0] and 0 <= x + dx < u.shape[1]:
                total += u[y + dy, x + dx]
                count += 1
    out[y, x] = total / count


def clamped(out: Any, u: Any) -> None:
    x, y = smelt.grid(2)
    total = 0.0
    for dx in range(-2, 3):
        total += u[y, min(max(x + dx, 0), u.shape[1] - 1)]
    out[y, x] = total


def matmul(c: Any, a: Any, b: Any) -> None:
    j, i = smelt.grid(2)
    s = 0.0
    for k in range(a.shape[1]):
        s += a[i, k] * b[k, j]
    c[i, j] = s


def triangle(out: Any, x: Any) -> None:
    i = smelt.grid(1)
    s = 0.0
    for j in range(1, i + 1):
        s += x[j] - x[j - 1]
    out[i] = s


def downwards(out: Any, x: Any) -> None:
    i = smelt.grid(1)
    s = 0.0
    for j in range(i, -1, -1):
        s = s * 0.5 + x[j]
    out[i] = s


def stepped(out: Any, x: Any, n: Any) -> None:
    i = smelt.grid(1)
    s = 0.0
    for j in range(n):
        s += x[2 * j + 1]
    out[i] = s


def with_break(out: Any, x: Any, limit: Any) -> None:
    i = smelt.grid(1)
    j = 0
    while j < x.size:
        if x[j] > limit:
            break
        j += 1
    out[i] = j + x[i]


def unbounded(out: Any, x: Any) -> None:
    i = smelt.grid(1)
    j = i
    while x[j] > 0:
        j += 1
    out[i] = j


def bisection(out: Any, x: Any) -> None:
    i = smelt.grid(1)
    low, high = 0, x.size
    while low < high:
        middle = (low + high) // 2
        if x[middle] < i:
            low = middle + 1
        else:
            high = middle
    out[i] = low


def gathered(out: Any, x: Any, places: Any) -> None:
    i = smelt.grid(1)
    out[i] = x[places[i]]


def counted(counts: Any, values: Any) -> None:
    smelt.atomic_add(counts, values[smelt.grid(1)], 1)


def wrapped(out: Any, x: Any) -> None:
    i = smelt.grid(1)
    out[i] = x[(i + 3) % x.size] + x[(i * 7) % x.size]


def halved(out: Any, x: Any) -> None:
    i = smelt.grid(1)
    out[i] = x[i // 2] + x[i >> 1] + x[i & 3]


def far(out: Any, x: Any, n: Any) -> None:
    i = smelt.grid(1)
    out[i] = x[i + n - n] + x[(i + n) * 1024 - n * 1024 - i * 1023]


def strided(out: Any, x: Any) -> None:
    i = smelt.grid(1)
    part = x[1:-1]
    out[i] = part[i] + x[::2][i // 2]


def transposed(out: Any, u: Any) -> None:
    x, y = smelt.grid(2)
    out[y, x] = u.T[y, x]


def cube(out: Any, u: Any) -> None:
    x, y, z = smelt.grid(3)
    out[z, y, x] = u[z, y, x] - u[z - 1, y - 1, x - 1]


def at(u: Any, y: Any, x: Any) -> Any:
    return u[y, x]


def through_functions(out: Any, u: Any) -> None:
    x, y = smelt.grid(2)
    out[y, x] = at(u, y, x) + at(u, y, x - 1) + at(u.T, x, y)


def fails_by_value(out: Any, x: Any) -> None:
    i = smelt.grid(1)
    out[i] = 1
    assert x[i] < 7, "x is small"
    out[i] = 2 // (int(x[i]) - 5)


def last_of_all(out: Any, x: Any) -> None:
    i = smelt.grid(1)
    out[i] = x[-1] + x[-2] * i


def own_array(out: Any, x: Any) -> None:
    i = smelt.grid(1)
    mine = smelt.thread_array(4, smelt.float32)
    for k in range(4):
        mine[(k + i) % 4] = x[i] + k
    out[i] = mine[0] - mine[1] * mine[i % 4]


def sums_of_rows(out: Any, u: Any) -> None:
    i = smelt.grid(1)
    for k in range(u.shape[1]):
        out[i] += u[i, k]


N = 37
X = np.linspace(1, 5, N, dtype=np.float32)
IMAGE = np.arange(6 * 41, dtype=np.float32).reshape(6, 41) % 11
ZEROS = np.zeros(N, np.float32)
ZEROS_2D = np.zeros_like(IMAGE)


def zeros(*shape: int) -> Any:
    return np.zeros(shape, np.float32)


CASES = [
    (saxpy, (N,), (ZEROS, 2.0, X, X)),
    (saxpy, (N + 20,), (ZEROS, 2.0, X, X)),
    (saxpy, (0,), (ZEROS, 2.0, X, X)),
    (saxpy, (N,), (ZEROS, 2.0, X[:20], X)),
    (saxpy, (N,), (zeros(0), 2.0, X, X)),
    (saxpy, (N,), (ZEROS[::2], 2.0, X[::-1], X[3:])),
    (unguarded, (N,), (ZEROS, X)),
    (unguarded, (N + 1,), (ZEROS, X)),
    (unguarded, (1,), (zeros(0), X)),
    (unguarded, (N,), (zeros(5), X)),
    (unguarded, (N,), (ZEROS, zeros(0))),
    *[(shifted, (N,), (ZEROS, X, distance)) for distance in (0, 1, -1, 36, 37, -37, -38, 1 << 50, -(1 << 63))],
    (multiples, (5,), (ZEROS, X)),
    (multiples, (12,), (ZEROS, X)),
    (multiples, (N,), (ZEROS, X)),
    (neighbours, (41, 6), (ZEROS_2D, IMAGE)),
    (neighbours, (42, 6), (ZEROS_2D, IMAGE)),
    (neighbours, (41, 7), (ZEROS_2D, IMAGE)),
    (neighbours, (41, 6), (zeros(3, 41), IMAGE)),
    (interior, (41, 6), (ZEROS_2D, IMAGE)),
    (interior, (64, 64), (ZEROS_2D, IMAGE)),
    (interior, (41, 6), (zeros(6, 30), IMAGE)),
    (interior, (41, 6), (zeros(4, 41), IMAGE)),
    (returns_early, (N,), (ZEROS, X)),
    (returns_early, (N,), (ZEROS, zeros(1))),
    (returns_early, (N,), (zeros(9), X)),
    (edges_differ, (N,), (ZEROS, X)),
    (edges_differ, (1,), (ZEROS, X)),
    (edges_differ, (N + 1,), (ZEROS, X)),
    (halves, (N,), (ZEROS, X, 20)),
    (halves, (N,), (ZEROS, X, -3)),
    (halves, (N,), (ZEROS, X, 100)),
    (blurred, (41, 6), (ZEROS_2D, IMAGE)),
    (blurred, (41, 1), (zeros(1, 41), IMAGE[:1])),
    (clamped, (41, 6), (ZEROS_2D, IMAGE)),
    (clamped, (3, 6), (zeros(6, 3), IMAGE[:, :0])),
    (matmul, (9, 7), (zeros(7, 9), zeros(7, 5) + 1, zeros(5, 9) + 2)),
    (matmul, (9, 7), (zeros(7, 9), zeros(7, 5) + 1, zeros(4, 9) + 2)),
    (matmul, (9, 7), (zeros(7, 9), zeros(6, 5) + 1, zeros(5, 9) + 2)),
    (matmul, (9, 7), (zeros(7, 9), zeros(7, 0) + 1, zeros(0, 9) + 2)),
    (triangle, (N,), (ZEROS, X)),
    (triangle, (N,), (ZEROS, X[:30])),
    (downwards, (N,), (ZEROS, X)),
    (downwards, (N,), (ZEROS, X[:30])),
    (stepped, (N,), (ZEROS, X, 18)),
    (stepped, (N,), (ZEROS, X, 19)),
    (stepped, (N,), (ZEROS, X, -4)),
    (with_break, (N,), (ZEROS, X, 3.0)),
    (with_break, (N,), (ZEROS, X[:5], 9.0)),
    (unbounded, (5,), (ZEROS, np.float32([1, 1, 0, 1, 0]))),
    (unbounded, (5,), (ZEROS, X)),
    (bisection, (8,), (ZEROS, X)),
    (gathered, (3,), (ZEROS, X, np.array([5, -1, 36]))),
    (gathered, (3,), (ZEROS, X, np.array([5, 37, -38]))),
    (gathered, (3,), (ZEROS, X, np.array([5, 7, 0], np.uint8))),
    (gathered, (3,), (ZEROS, zeros(256) + 1, np.array([5, 7, 0], np.uint8))),
    (counted, (9,), (np.zeros(256, np.int32), np.arange(9, dtype=np.uint8))),
    (counted, (9,), (np.zeros(8, np.int32), np.arange(9, dtype=np.uint8))),
    (wrapped, (N,), (ZEROS, X)),
    (wrapped, (N,), (ZEROS, X[:1])),
    (wrapped, (N,), (ZEROS, X[:0])),
    (halved, (N,), (ZEROS, X)),
    (halved, (N,), (ZEROS, X[:4])),
    *[(far, (N,), (ZEROS, X, n)) for n in (0, 5, 1 << 43, (1 << 62) + 7, -(1 << 63))],
    (strided, (35,), (ZEROS, X)),
    (strided, (N,), (ZEROS, X)),
    (strided, (N,), (ZEROS, X[:1])),
    (transposed, (6, 41), (zeros(41, 6), IMAGE)),
    (transposed, (41, 6), (zeros(41, 6), IMAGE)),
    (cube, (4, 3, 2), (zeros(2, 3, 4), zeros(2, 3, 4) + 3)),
    (cube, (5, 3, 2), (zeros(2, 3, 4), zeros(2, 3, 4) + 3)),
    (cube, (4, 3, 3), (zeros(2, 3, 4), zeros(2, 3, 4) + 3)),
    (through_functions, (41, 6), (ZEROS_2D, IMAGE)),
    (through_functions, (41, 6), (ZEROS_2D, IMAGE[:4])),
    (fails_by_value, (5,), (np.zeros(5, np.int64), np.float32([1, 2, 3, 4, 6]))),
    (fails_by_value, (5,), (np.zeros(5, np.int64), np.float32([1, 2, 5, 4, 9]))),
    (fails_by_value, (5,), (np.zeros(5, np.int64), np.float32([1, 2, 3, 9, 5]))),
    (last_of_all, (N,), (ZEROS, X)),
    (last_of_all, (N,), (ZEROS, X[:1])),
    (own_array, (N,), (ZEROS, X)),
    (sums_of_rows, (6,), (zeros(6), IMAGE)),
    (sums_of_rows, (7,), (zeros(6), IMAGE)),
]


@pytest.mark.parametrize(("function", "grid", "arguments"), CASES)
def test_values_and_errors_are_those_of_the_kernel_as_it_is_written(
    function: Any, grid: tuple[int, ...], arguments: tuple[Any, ...]
) -> None:
    assert_same(function, grid, *arguments)


def test_the_first_thread_that_fails_is_told_and_what_was_stored_before_is_there() -> None:
    error = assert_same(shifted, (N,), ZEROS, X, 5)
    assert error[0] is IndexError
    assert "in thread (32, 0, 0)" in error[2][0]
    error = assert_same(neighbours, (41, 6), zeros(3, 41), IMAGE)
    assert "in thread (0, 3, 0)" in error[2][0]


@pytest.mark.parametrize(
    ("function", "grid", "arguments"),
    [
        (interior, (41, 6), (ZEROS_2D, IMAGE)),
        (neighbours, (41, 6), (ZEROS_2D, IMAGE)),
        (last_of_all, (N,), (ZEROS, X)),
        (matmul, (9, 7), (zeros(7, 9), zeros(7, 5) + 1, zeros(5, 9) + 2)),
        (wrapped, (N,), (ZEROS, X)),
    ],
)
def test_without_checks_the_values_are_the_same(
    function: Any, grid: tuple[int, ...], arguments: tuple[Any, ...]
) -> None:
    assert assert_same(function, grid, *arguments, boundscheck=False) is None
    checked, unchecked = ([given.copy() for given in arguments] for _ in range(2))
    smelt.kernel(function).over(*grid)(*checked)
    smelt.kernel(boundscheck=False)(function).over(*grid)(*unchecked)
    np.testing.assert_array_equal(checked[0], unchecked[0])


def slanted(out: Any, u: Any) -> None:
    x, y = smelt.grid(2)
    out[y, x] = u[y, x - y] + 1


def below_the_diagonal(out: Any, u: Any) -> None:
    x, y = smelt.grid(2)
    if x < 2 * y:
        out[y, x] = u[y, x]


def of_planes(out: Any, u: Any) -> None:
    x, y, z = smelt.grid(3)
    out[x] = u[y - y, x + z]


def of_no_row(out: Any, u: Any) -> None:
    x, y = smelt.grid(2)
    if 0 < x < u.shape[1] - 1 and 0 < y < u.shape[0] - 1:
        out[y, x] = u[y - 1, x - 1] + u[y + 1, x + 1]


@pytest.mark.parametrize(
    ("function", "grid", "is_same"),
    [
        (slanted, (41, 6), False),
        (below_the_diagonal, (41, 6), False),
        (below_the_diagonal, (45, 9), False),
        (of_planes, (30, 2, 12), False),
        (of_planes, (30, 2, 13), False),
        (of_no_row, (41, 6), True),
        (of_no_row, (50, 9), True),
    ],
)
def test_limits_are_found_for_each_row_or_once_where_they_are_the_same(
    function: Any, grid: tuple[int, ...], is_same: bool
) -> None:
    out = zeros(41) if len(grid) == 3 else ZEROS_2D
    assert_same(function, grid, out, IMAGE)
    kernel = smelt.kernel(function)
    job = CompilerJob(kernel.instance((typeof(out), typeof(IMAGE))), kernel.config)
    lowered = driver().lowered(job, driver().inferred(job))
    assert (lowered.limits, lowered.has_same_limits) == ("limits", is_same)


def test_what_is_true_of_all_threads_needs_no_limits() -> None:
    assert main_of(unguarded, ZEROS, X, boundscheck=False) == (True, False)
    assert main_of(unguarded, ZEROS, X) == (True, True)
    assert main_of(unguarded, ZEROS, X, opt_level=1) == (False, False)
    # Nothing is known of an index that is loaded; that of the thread itself is.
    assert main_of(gathered, ZEROS, X, np.arange(3)) == (True, True)


@pytest.mark.parametrize(
    ("function", "arguments", "lanes"),
    [
        (saxpy, (ZEROS, 2.0, X, X), "x float>"),
        (unguarded, (ZEROS, X), "x float>"),
        (interior, (ZEROS_2D, IMAGE), "x float>"),
        (neighbours, (ZEROS_2D, IMAGE), "x float>"),
        (edges_differ, (ZEROS, X), "x float>"),
        (through_functions, (ZEROS_2D, IMAGE), "x float>"),
    ],
)
def test_the_loop_over_threads_is_vectorised(function: Any, arguments: tuple[Any, ...], lanes: str) -> None:
    text = optimised(function, *arguments)
    stores = [line for line in text.splitlines() if line.strip().startswith("store <")]
    assert any(lanes in line for line in stores), text


def test_a_sum_over_an_array_is_vectorised_with_fastmath() -> None:
    text = optimised(triangle, ZEROS, X, fastmath=True)
    assert any("fadd" in line and "x float>" in line for line in text.splitlines())


def test_infinite_and_nan_values_are_the_same_in_vectors() -> None:
    x = np.array([math.inf, -math.inf, math.nan, -0.0, 1e-45, 3e38] * 7, np.float32)
    assert_same(saxpy, (x.size,), np.zeros_like(x), 1e30, x, x)


def sums(a: int, b: int, c: int, d: int) -> Any:
    def affine(out: Any, x: Any, n: Any) -> None:
        i = smelt.grid(1)
        if a * i + b < n:
            for j in range(c, i + d):
                out[i] += x[a * i + j - b]

    return affine


@settings(max_examples=8, deadline=None, derandomize=True)
@given(
    st.tuples(st.integers(-3, 3), st.integers(-4, 4), st.integers(-2, 2), st.integers(-3, 3)),
    st.lists(st.tuples(st.integers(0, 24), st.integers(0, 60), st.integers(-5, 70)), min_size=4, max_size=4),
)
def test_indices_that_are_sums_of_multiples(numbers: Any, sizes: Any) -> None:
    for threads, extent, n in sizes:
        assert_same(sums(*numbers), (threads,), np.zeros(20, np.float32), np.arange(extent, dtype=np.float32), n)
