# SPDX-License-Identifier: Apache-2.0
"""Barriers: what one thread wrote before is there for the others after, in any control flow that all threads take."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import smelt

pytestmark = pytest.mark.once

TILE = 8


@smelt.kernel
def group_sums(out: Any, x: Any) -> None:
    shared = smelt.threadgroup_array(64, smelt.float32)
    number = smelt.thread_index_in_threadgroup()
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


@pytest.mark.parametrize("opt_level", [0, 1, 2, 3])
def test_groups_sum_their_elements_at_every_level_of_optimisation(opt_level: int) -> None:
    x = np.arange(256, dtype=np.float32)
    out = np.zeros(4, np.float32)
    smelt.kernel(opt_level=opt_level)(group_sums.function)[4, 64](out, x)
    assert out.tolist() == x.reshape(4, 64).sum(1).tolist()


@smelt.kernel
def prefix_sums(x: Any) -> None:
    shared = smelt.threadgroup_array((2, 128), smelt.int32)
    i = smelt.grid(1)
    shared[0, i] = x[i]
    smelt.threadgroup_barrier()
    source = 0
    step = 1
    while step < x.size:
        value = shared[source, i]
        if i >= step:
            value += shared[source, i - step]
        shared[1 - source, i] = value
        source = 1 - source
        step *= 2
        smelt.threadgroup_barrier()
    x[i] = shared[source, i]


@pytest.mark.parametrize("count", [1, 2, 31, 32, 33, 100, 128])
def test_prefix_sums_of_a_group_of_any_size(count: int) -> None:
    x = np.arange(count, dtype=np.int32) * 3 % 17
    expected = np.cumsum(x)
    prefix_sums[1, count](x)
    assert x.tolist() == expected.tolist()


@smelt.kernel
def transpose(out: Any, x: Any) -> None:
    tile = smelt.threadgroup_array((TILE, TILE), smelt.int16)
    column, row = smelt.grid(2)
    inner = smelt.thread_position_in_threadgroup()
    group = smelt.threadgroup_position_in_grid()
    tile[inner.y, inner.x] = x[row, column]
    smelt.threadgroup_barrier()
    out[group.x * TILE + inner.y, group.y * TILE + inner.x] = tile[inner.x, inner.y]


def test_a_transpose_through_tiles() -> None:
    x = np.arange(24 * 16, dtype=np.int16).reshape(24, 16)
    out = np.zeros((16, 24), np.int16)
    transpose[(2, 3), (TILE, TILE)](out, x)
    assert (out == x.T).all()


@smelt.kernel
def product(out: Any, a: Any, b: Any) -> None:
    left = smelt.threadgroup_array((TILE, TILE), smelt.float64)
    right = smelt.threadgroup_array((TILE, TILE), smelt.float64)
    column, row = smelt.grid(2)
    inner = smelt.thread_position_in_threadgroup()
    total = 0.0
    for tile in range(a.shape[1] // TILE):
        left[inner.y, inner.x] = a[row, tile * TILE + inner.x]
        right[inner.y, inner.x] = b[tile * TILE + inner.y, column]
        smelt.threadgroup_barrier()
        for k in range(TILE):
            total += left[inner.y, k] * right[k, inner.x]
        smelt.threadgroup_barrier()
    out[row, column] = total


def test_a_matrix_product_through_tiles() -> None:
    a = np.arange(16 * 24, dtype=np.float64).reshape(16, 24)
    b = np.arange(24 * 8, dtype=np.float64).reshape(24, 8) - 50
    out = np.zeros((16, 8))
    product[(1, 2), (TILE, TILE)](out, a, b)
    assert (out == a @ b).all()


def exchanged(shared: Any, number: Any, value: Any, by: Any, count: Any) -> Any:
    shared[number] = value
    smelt.threadgroup_barrier()
    found = shared[(number + by) % count]
    smelt.threadgroup_barrier()
    return found


def exchanged_twice(shared: Any, number: Any, value: Any, count: Any) -> Any:
    return exchanged(shared, number, exchanged(shared, number, value, 1, count), 2, count)


@smelt.kernel
def through_functions(out: Any, count: Any, rounds: Any) -> None:
    shared = smelt.threadgroup_array(64, smelt.int64)
    i = smelt.grid(1)

    def inner(value: Any) -> Any:
        if count > 4:
            return exchanged(shared, i, value, 3, count)
        return value + 1

    value = i * i
    for _ in range(rounds):
        value = exchanged_twice(shared, i, value, count) + inner(value)
        if rounds == 2:
            value = exchanged(shared, i, value, 1, count)
        else:
            continue
    out[i] = value


@pytest.mark.parametrize(("count", "rounds"), [(4, 1), (5, 2), (40, 3), (7, 0)])
def test_barriers_in_nested_functions_loops_and_branches(run_by_python: Any, count: int, rounds: int) -> None:
    out, expected = np.zeros((2, count), np.int64)
    through_functions[1, count](out, count, rounds)
    run_by_python(through_functions, (count,), (count,), expected, count, rounds)
    assert out.tolist() == expected.tolist()
    assert len(set(out.tolist())) > 1


@smelt.kernel
def numbered(out: Any) -> None:
    shared = smelt.threadgroup_array(64, smelt.int32)
    position = smelt.thread_position_in_grid()
    number = smelt.thread_index_in_threadgroup()
    shared[number] = number
    smelt.threadgroup_barrier()
    total = 0
    for other in range(64):
        total += shared[other]
    out[position.z, position.y, position.x] = 1000 * number + total


@pytest.mark.parametrize(("sizes", "group"), [((7, 5, 3), (4, 2, 2)), ((9, 1, 1), (4, 1, 1)), ((5, 6, 1), (3, 4, 1))])
def test_groups_at_the_end_of_a_grid_have_the_threads_that_exist(sizes: Any, group: Any) -> None:
    x, y, z = np.meshgrid(*map(np.arange, sizes), indexing="ij")
    extents = [np.minimum(g, s - p // g * g) for p, s, g in zip((x, y, z), sizes, group, strict=True)]
    number = x % group[0] + extents[0] * (y % group[1] + extents[1] * (z % group[2]))
    count = extents[0] * extents[1] * extents[2]
    out = np.zeros(sizes[::-1], np.int64)
    launcher = smelt.launch.kernel.Launcher(numbered, smelt.launch.grids.Grid(sizes, group))
    launcher(out)
    assert (out.transpose(2, 1, 0) == 1000 * number + count * (count - 1) // 2).all()


@smelt.kernel
def counted(out: Any) -> None:
    count = smelt.threadgroup_array(1, smelt.int32)
    smelt.atomic_add(count, 0, 1)
    smelt.threadgroup_barrier()
    out[smelt.grid(1)] = count[0]


def test_a_number_of_threads_runs_exactly_those() -> None:
    out = np.zeros(700, np.int32)
    counted[600](out)
    assert out.tolist() == [256] * 512 + [88] * 88 + [0] * 100


@smelt.kernel
def ends_early(out: Any, last: Any) -> None:
    shared = smelt.threadgroup_array(64, smelt.int32)
    i = smelt.grid(1)
    shared[i] = i + 1
    if i > last:
        return
    smelt.threadgroup_barrier()
    out[i] = shared[63 - i]


def test_threads_that_have_ended_are_not_waited_for(run_by_python: Any) -> None:
    out, expected = np.zeros((2, 64), np.int32)
    ends_early[1, 64](out, 40)
    run_by_python(ends_early, (64,), (64,), expected, 40)
    assert out.tolist() == expected.tolist()
    assert out[40] == 24


@smelt.kernel
def at_two_barriers(x: Any) -> None:
    if x[smelt.grid(1)] > 0:
        smelt.threadgroup_barrier()
    else:
        smelt.threadgroup_barrier()


@smelt.kernel
def simdgroup_against_group() -> None:
    if smelt.thread_index_in_simdgroup() == 3:
        smelt.simdgroup_barrier()
    smelt.threadgroup_barrier()


@pytest.mark.parametrize("stray", [1, 31, 32, 40])
def test_threads_that_wait_at_different_barriers_end_the_launch(stray: int) -> None:
    x = np.ones(64, np.int32)
    x[stray:] = 0
    with pytest.raises(RuntimeError, match="not all threads of the threadgroup come here: others wait") as caught:
        at_two_barriers[1, 64](x)
    (note,) = caught.value.__notes__
    assert f"in thread ({stray}, 0, 0) of the grid, at_two_barriers" in note
    assert "smelt.threadgroup_barrier()" in note


def test_a_simdgroup_that_waits_while_others_of_it_wait_for_the_group_ends_the_launch() -> None:
    with pytest.raises(RuntimeError, match="not all threads of the simdgroup come here: others wait") as caught:
        simdgroup_against_group[1, 8]()
    assert "thread (3, 0, 0)" in caught.value.__notes__[0]


@smelt.kernel
def fails_in_between(x: Any, limit: Any) -> None:
    shared = smelt.threadgroup_array(8, smelt.int32)
    i = smelt.grid(1)
    shared[smelt.thread_index_in_threadgroup()] = i
    smelt.threadgroup_barrier()
    x[i] = shared[0]
    if i == limit:
        x[x.size] = 1
    smelt.threadgroup_barrier()
    x[i] += 1


def test_an_error_in_a_thread_ends_the_launch_and_the_kernel_stays_usable() -> None:
    x = np.full(24, -1, np.int32)
    for _ in range(3):
        with pytest.raises(IndexError) as caught:
            fails_in_between[3, 8](x, 11)
        assert "thread (11, 0, 0) of the grid, fails_in_between" in caught.value.__notes__[0]
    assert x.tolist() == [1] * 8 + [8, 8, 8, 8] + [-1] * 12
    fails_in_between[3, 8](x, -1)
    assert x.tolist() == [1] * 8 + [9] * 8 + [17] * 8


def test_an_error_in_the_caller_of_what_waits_is_told_from_waiting() -> None:
    x = np.zeros(4, np.int32)
    with pytest.raises(AssertionError, match="too many"):
        asserts_after[1, 4](x)
    assert x.tolist() == [3, 2, 1, 0]


def swapped(number: Any, count: Any) -> Any:
    shared = smelt.threadgroup_array(16, smelt.int32)
    shared[number] = number
    smelt.threadgroup_barrier()
    return shared[count - 1 - number]


@smelt.kernel
def asserts_after(x: Any) -> None:
    i = smelt.grid(1)
    x[i] = swapped(i, x.size)
    smelt.threadgroup_barrier()
    assert x[i] > 5, "too many"
