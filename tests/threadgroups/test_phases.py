# SPDX-License-Identifier: Apache-2.0
"""Kernels that are cut at their barriers compute and fail as they do when each thread is a coroutine.

With opt_level=0 nothing is cut.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np
import pytest

import smelt
from smelt._wiring import driver
from smelt.compiler.config import CompilerJob
from smelt.types import typeof

pytestmark = pytest.mark.once

SIZE = 16


def outcome(kernel: Any, groups: Any, threads: Any, arguments: tuple[Any, ...]) -> tuple[Any, list[Any]]:
    copies = [given.copy() if isinstance(given, np.ndarray) else given for given in arguments]
    error: Any = None
    try:
        kernel.configure(groups, threads)(*copies)
    except (ArithmeticError, AssertionError, LookupError, RuntimeError, ValueError) as raised:
        error = (type(raised), str(raised), raised.__notes__)
    return error, [copy for copy in copies if isinstance(copy, np.ndarray)]


def assert_same(function: Any, groups: Any, threads: Any, *arguments: Any) -> Any:
    expected_error, expected = outcome(smelt.kernel(opt_level=0)(function), groups, threads, arguments)
    for kernel in (smelt.kernel(function), smelt.kernel(threads_per_threadgroup=threads)(function)):
        error, found = outcome(kernel, groups, threads, arguments)
        assert error == expected_error
        if error is None:
            for one, other in zip(found, expected, strict=True):
                np.testing.assert_array_equal(one.view(np.uint8), other.view(np.uint8))
    return expected_error


def is_cut(function: Any, *arguments: Any) -> bool:
    kernel = smelt.kernel(function)
    job = CompilerJob(kernel.instance(tuple(map(typeof, arguments))), kernel.config)
    threadgroups = driver().lowered(job, driver().inferred(job)).threadgroups
    assert threadgroups is not None
    return threadgroups.slot_bytes is not None


def group_sums(out: Any, x: Any) -> None:
    shared = smelt.threadgroup_array(64, smelt.float32)
    number = smelt.thread_position_in_threadgroup().x
    shared[number] = x[smelt.grid(1)]
    smelt.threadgroup_barrier()
    step = 32
    while step > 0:
        if number < step:
            shared[number] += shared[number + step]
        smelt.threadgroup_barrier()
        step //= 2
    if number == 0:
        out[smelt.threadgroup_position_in_grid().x] = shared[0]


def running_sums(out: Any, x: Any) -> None:
    shared = smelt.threadgroup_array(64, smelt.float32)
    number = smelt.thread_index_in_threadgroup()
    i = smelt.grid(1)
    value = x[i]
    distance = 1
    while distance < 64:
        shared[number] = value
        smelt.threadgroup_barrier()
        if number >= distance:
            value += shared[number - distance]
        smelt.threadgroup_barrier()
        distance *= 2
    out[i] = value


def tiled_matmul(c: Any, a: Any, b: Any) -> None:
    left = smelt.threadgroup_array((SIZE, SIZE), smelt.float32)
    right = smelt.threadgroup_array((SIZE, SIZE), smelt.float32)
    column, row = smelt.grid(2)
    place = smelt.thread_position_in_threadgroup()
    s = 0.0
    for tile in range(0, a.shape[1], SIZE):
        left[place.y, place.x] = a[row, tile + place.x]
        right[place.y, place.x] = b[tile + place.y, column]
        smelt.threadgroup_barrier()
        for k in range(SIZE):
            s += left[place.y, k] * right[k, place.x]
        smelt.threadgroup_barrier()
    c[row, column] = s


def guarded(out: Any, x: Any) -> None:
    shared = smelt.threadgroup_array(64, smelt.float32)
    number = smelt.thread_position_in_threadgroup().x
    i = smelt.grid(1)
    shared[number] = x[i] if i < x.size else 0.0
    smelt.threadgroup_barrier()
    if i < out.size:
        out[i] = shared[63 - number] + shared[number]


def many_types(out: Any, x: Any) -> None:
    shared = smelt.threadgroup_array(64, smelt.float32)
    number = smelt.thread_position_in_threadgroup().x
    i = smelt.grid(1)
    flag = x[i] > 2
    small = np.int8(i * 7 + int(x[i]))
    wide = x[i] * np.float64(1.5)
    pair = complex(x[i], i)
    shared[number] = x[i]
    smelt.threadgroup_barrier()
    other = shared[63 - number]
    smelt.threadgroup_barrier()
    shared[number] = other * 2
    smelt.threadgroup_barrier()
    out[i] = shared[63 - number] + (1 if flag else -1) + small + wide + (pair * 1j).imag + other


def kept_from_a_loop(out: Any, x: Any) -> None:
    shared = smelt.threadgroup_array(64, smelt.float32)
    number = smelt.thread_position_in_threadgroup().x
    i = smelt.grid(1)
    s = 0.0
    for k in range(int(x[i]) % 5):
        last = x[(i + k) % x.size]
        s += last * last
    chosen = s if s > 9 else -s
    shared[number] = s
    smelt.threadgroup_barrier()
    out[i] = shared[63 - number] - s * chosen


def tuples_and_parts(out: Any, x: Any) -> None:
    shared = smelt.threadgroup_array(64, smelt.float32)
    number = smelt.thread_position_in_threadgroup().x
    i = smelt.grid(1)
    part = x[i // 64 * 64 :]
    both = (number, part[0])
    shared[number] = part[number]
    smelt.threadgroup_barrier()
    out[i] = shared[(both[0] + 1) % 64] * both[1] + part[both[0]]


def swapped_in_a_loop(out: Any, x: Any, rounds: Any) -> None:
    shared = smelt.threadgroup_array(64, smelt.float32)
    number = smelt.thread_position_in_threadgroup().x
    i = smelt.grid(1)
    a, b = x[i], 1.0
    for _ in range(rounds):
        shared[number] = a
        smelt.threadgroup_barrier()
        a, b = shared[(number + 1) % 64] + b, a
        smelt.threadgroup_barrier()
    out[i] = a - b


def common_branch(out: Any, x: Any, n: Any) -> None:
    shared = smelt.threadgroup_array(64, smelt.float32)
    number = smelt.thread_position_in_threadgroup().x
    i = smelt.grid(1)
    value = x[i]
    if n > 2:
        shared[number] = value
        smelt.threadgroup_barrier()
        value = shared[0]
    elif n == 1:
        return
    else:
        value += 1
    out[i] = value


def ends_early(out: Any, x: Any) -> None:
    shared = smelt.threadgroup_array(64, smelt.float32)
    number = smelt.thread_position_in_threadgroup().x
    i = smelt.grid(1)
    if i % 3 == 1:
        return
    shared[number] = x[i]
    smelt.threadgroup_barrier()
    out[i] = shared[number // 3 * 3]


def waits_by_thread(out: Any, x: Any) -> None:
    i = smelt.grid(1)
    if i % 2 == 0:
        smelt.threadgroup_barrier()
    out[i] = x[i]


def own_arrays(out: Any, x: Any) -> None:
    mine = smelt.thread_array(3, smelt.float32)
    i = smelt.grid(1)
    for k in range(3):
        mine[(k + i) % 3] = x[i] * k
    smelt.threadgroup_barrier()
    out[i] = mine[0] + 10 * mine[1] + 100 * mine[2]


def own_arrays_between(out: Any, x: Any) -> None:
    i = smelt.grid(1)
    smelt.threadgroup_barrier()
    mine = smelt.thread_array(3, smelt.float32)
    for k in range(3):
        mine[(k + i) % 3] = x[i] * k
    out[i] = mine[0] + 10 * mine[1] + 100 * mine[2]


def wait() -> None:
    smelt.threadgroup_barrier()


def waits_in_a_function(out: Any, x: Any) -> None:
    i = smelt.grid(1)
    out[i] = x[i]
    wait()
    out[i] += 1


def fails_behind_a_barrier(out: Any, x: Any) -> None:
    i = smelt.grid(1)
    out[i] = 1
    smelt.threadgroup_barrier()
    assert x[i] < 60, "x is small"
    smelt.threadgroup_barrier()
    out[i] = x[i + 3]


def counted(counts: Any, x: Any) -> None:
    shared = smelt.threadgroup_array(8, smelt.int32)
    number = smelt.thread_position_in_threadgroup().x
    if number < 8:
        shared[number] = 0
    smelt.threadgroup_barrier()
    smelt.atomic_add(shared, int(x[smelt.grid(1)]) % 8, 1)
    smelt.threadgroup_barrier()
    if number < 8:
        smelt.atomic_add(counts, number, shared[number])


def cube(out: Any, u: Any) -> None:
    shared = smelt.threadgroup_array((2, 3, 4), smelt.float32)
    x, y, z = smelt.grid(3)
    place = smelt.thread_position_in_threadgroup()
    shared[place.z, place.y, place.x] = u[z, y, x]
    smelt.threadgroup_barrier()
    out[z, y, x] = shared[1 - place.z, 2 - place.y, 3 - place.x] + smelt.thread_index_in_threadgroup()


def found(out: Any, x: Any) -> None:
    shared = smelt.threadgroup_array(1, smelt.int32)
    i = smelt.grid(1)
    if smelt.thread_position_in_threadgroup().x == 0:
        for j in range(x.size):
            if x[j] > 30:
                shared[0] = j
                break
        else:
            shared[0] = -1
    smelt.threadgroup_barrier()
    while True:
        out[i] += 1
        smelt.threadgroup_barrier()
        if x.size < 1000:
            break
    out[i] += shared[0]


X = np.arange(256, dtype=np.float32) % 61
OUT = np.zeros(256, np.float32)


def zeros(*shape: int, dtype: Any = np.float32) -> Any:
    return np.zeros(shape, dtype)


CASES = [
    (group_sums, 4, 64, (zeros(4), X), True),
    (group_sums, 4, 50, (zeros(4), X), True),
    (group_sums, 4, 65, (zeros(4), zeros(260)), True),
    (group_sums, 4, 64, (zeros(3), X), True),
    (group_sums, 0, 64, (zeros(4), X), True),
    (running_sums, 4, 64, (OUT, X), True),
    (running_sums, 3, 64, (OUT, X), True),
    (tiled_matmul, (3, 2), (16, 16), (zeros(32, 48), X.reshape(4, 64).repeat(8, 0), zeros(64, 48) + 2), True),
    (tiled_matmul, (3, 2), (16, 16), (zeros(32, 48), zeros(32, 20) + 1, zeros(20, 48) + 2), True),
    (tiled_matmul, (3, 3), (16, 16), (zeros(32, 48), zeros(32, 32) + 1, zeros(32, 48) + 2), True),
    (tiled_matmul, (1, 1), (17, 16), (zeros(32, 48), zeros(32, 32) + 1, zeros(32, 48) + 2), True),
    (guarded, 4, 64, (OUT, X), True),
    (guarded, 5, 64, (OUT[:200], X[:100]), True),
    (many_types, 4, 64, (OUT, X), True),
    (kept_from_a_loop, 4, 64, (OUT, X), True),
    (tuples_and_parts, 4, 64, (OUT, X), True),
    (tuples_and_parts, 4, 64, (OUT, X[:100]), True),
    *[(swapped_in_a_loop, 4, 64, (OUT, X, rounds), True) for rounds in (0, 1, 5, -1)],
    *[(common_branch, 4, 64, (OUT, X, n), True) for n in (1, 2, 3)],
    (ends_early, 4, 64, (OUT, X), False),
    (own_arrays, 4, 64, (OUT, X), False),
    (own_arrays_between, 4, 64, (OUT, X), True),
    (waits_in_a_function, 4, 64, (OUT, X), False),
    (counted, 4, 64, (zeros(8, dtype=np.int32), X), True),
    (cube, (2, 1, 3), (4, 3, 2), (zeros(6, 3, 8), zeros(6, 3, 8) + np.arange(8, dtype=np.float32)), True),
    (cube, (2, 1, 3), (4, 3, 2), (zeros(6, 3, 8), zeros(6, 2, 8)), True),
    (found, 4, 64, (OUT, X), True),
    (found, 4, 64, (OUT, X[:20]), True),
]


@pytest.mark.parametrize(("function", "groups", "threads", "arguments", "cuts"), CASES)
def test_kernels_do_the_same_cut_and_uncut(
    function: Any, groups: Any, threads: Any, arguments: tuple[Any, ...], cuts: bool
) -> None:
    assert is_cut(function, *arguments) is cuts
    assert_same(function, groups, threads, *arguments)


def test_the_thread_that_fails_is_told() -> None:
    ok = assert_same(fails_behind_a_barrier, 3, 64, OUT, X[:195] % 50)
    assert ok is None
    error = assert_same(fails_behind_a_barrier, 4, 64, OUT, X[:256])
    assert error[0] is AssertionError
    assert "in thread (60, 0, 0)" in error[2][0]
    error = assert_same(fails_behind_a_barrier, 4, 64, OUT, X[:200] % 50)
    assert error[0] is IndexError
    assert "in thread (200, 0, 0)" in error[2][0]


def test_a_barrier_that_not_all_threads_come_to_is_found_as_before() -> None:
    assert not is_cut(waits_by_thread, OUT, X)
    assert_same(waits_by_thread, 4, 64, OUT, X)


def test_the_loops_between_barriers_are_vectorised() -> None:
    text = smelt.code_llvm(smelt.kernel(group_sums), (smelt.float32[:], smelt.float32[:]))
    assert any("fadd <" in line for line in text.splitlines())


def test_the_last_row_of_a_group_tells_of_all_rows_in_a_loop() -> None:
    kinds = (smelt.float32[:, :],) * 3
    text = smelt.code_llvm(smelt.kernel(tiled_matmul), kinds, optimised=False)
    calls = Counter(re.findall(r"call \{ i64, i64, i64, i64 \} @(limits\d)", text))
    # Of the phases before and behind the loop, and of the two in it.
    assert sorted(calls.values()) == [1, 2, 2]


def rotated(out: Any, u: Any, rounds: Any) -> None:
    shared = smelt.threadgroup_array((5, 8), smelt.float32)
    x, y = smelt.grid(2)
    place = smelt.thread_position_in_threadgroup()
    for k in range(rounds):
        shared[place.y, place.x] = u[y + k, x - k]
        smelt.threadgroup_barrier()
        out[y, x] += shared[4 - place.y, 7 - place.x] + u[y - k, x]
        smelt.threadgroup_barrier()


@pytest.mark.parametrize(("height", "rounds"), [(20, 3), (17, 3), (16, 2), (15, 2), (10, 1), (12, 9)])
def test_rows_at_both_ends_of_a_group_may_be_the_ones_that_fail(height: int, rounds: int) -> None:
    u = np.arange(height * 16, dtype=np.float32).reshape(height, 16)
    error = assert_same(rotated, (2, 3), (8, 5), zeros(15, 16), u, rounds)
    assert (error is None) == (height >= 14 + rounds)
