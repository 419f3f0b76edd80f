# SPDX-License-Identifier: Apache-2.0
"""Simdgroups: 32 threads of a group that exchange values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import smelt

pytestmark = pytest.mark.once


@smelt.kernel
def reductions(out: Any, x: Any) -> None:
    i = smelt.grid(1)
    out[i, 0] = smelt.simd_sum(x[i])
    out[i, 1] = smelt.simd_product(x[i])
    out[i, 2] = smelt.simd_min(x[i])
    out[i, 3] = smelt.simd_max(x[i])


@smelt.kernel
def bitwise(out: Any, x: Any) -> None:
    i = smelt.grid(1)
    out[i, 0] = smelt.simd_and(x[i])
    out[i, 1] = smelt.simd_or(x[i])
    out[i, 2] = smelt.simd_xor(x[i])


@smelt.kernel
def votes(out: Any, x: Any) -> None:
    i = smelt.grid(1)
    out[i, 0] = smelt.simd_all(x[i])
    out[i, 1] = smelt.simd_any(x[i] > 2)
    out[i, 2] = smelt.simd_ballot(x[i] > 1)


@smelt.kernel
def shuffles(out: Any, x: Any, by: Any) -> None:
    i = smelt.grid(1)
    out[i, 0] = smelt.simd_shuffle(x[i], by)
    out[i, 1] = smelt.simd_shuffle_xor(x[i], by)
    out[i, 2] = smelt.simd_shuffle_up(x[i], by)
    out[i, 3] = smelt.simd_shuffle_down(x[i], by)
    out[i, 4] = smelt.simd_shuffle(x[i], (i * 7) % 40)


NUMBERS = ["int8", "uint16", "int32", "uint64", "float16", "float32"]


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize(("count", "group"), [(70, 70), (50, 20), (32, 32), (1, 1)])
def test_reductions_are_over_the_lanes_that_exist(run_by_python: Any, dtype: str, count: int, group: int) -> None:
    x = np.ones(count, dtype)
    x[::7] = 2
    out, expected = np.zeros((2, count, 4), dtype)
    smelt.launch.kernel.Launcher(reductions, smelt.launch.grids.Grid((count, 1, 1), (group, 1, 1)))(out, x)
    run_by_python(reductions, (count,), (group,), expected, x)
    assert out.tolist() == expected.tolist()


@pytest.mark.parametrize("dtype", NUMBERS[:4])
def test_bitwise_reductions(run_by_python: Any, dtype: str) -> None:
    x = np.random.default_rng(1).integers(0, 127, 70).astype(dtype) | np.asarray(1, dtype)
    out, expected = np.zeros((2, 70, 3), dtype)
    bitwise[1, 70](out, x)
    run_by_python(bitwise, (70,), (70,), expected, x)
    assert out.tolist() == expected.tolist()


def test_bitwise_reductions_of_conditions_stay_conditions() -> None:
    x = np.arange(40) < 33
    out = np.zeros((40, 3), bool)
    bitwise[1, 40](out, x)
    assert out.tolist() == [[True, True, False]] * 32 + [[False, True, True]] * 8


def test_votes(run_by_python: Any) -> None:
    x = np.array([1] * 32 + [0, 1, 2, 3] * 8 + [2] * 4)
    out, expected = np.zeros((2, 68, 3), np.uint32)
    votes[1, 68](out, x)
    run_by_python(votes, (68,), (68,), expected, x)
    assert out.tolist() == expected.tolist()
    assert out[0].tolist() == [1, 0, 0]
    assert out[40].tolist() == [0, 1, 0xCCCCCCCC]
    assert out[67].tolist() == [1, 0, 0xF]


@pytest.mark.parametrize("dtype", ["int8", "uint16", "float64", "bool", "complex64", "complex128"])
@pytest.mark.parametrize("by", [0, 1, 5, 31, 40, -3])
def test_shuffles_give_the_own_value_where_there_is_no_such_lane(run_by_python: Any, dtype: str, by: int) -> None:
    x = (np.arange(50) % 100).astype(dtype)
    out, expected = np.zeros((2, 50, 5), dtype)
    shuffles[1, 50](out, x, by)
    run_by_python(shuffles, (50,), (50,), expected, x, by)
    assert out.tolist() == expected.tolist()


def test_the_simdgroups_of_a_group_of_two_dimensions_go_along_x() -> None:
    out = np.zeros((6, 10, 3), np.int64)
    lanes[(2, 2), (5, 3)](out)
    y, x = np.mgrid[:6, :10]
    number = x % 5 + 5 * (y % 3)
    assert (out[..., 0] == number % 32).all()
    assert (out[..., 1] == 0).all()
    assert (out[..., 2] == 14 * 15 // 2).all()
    out = np.zeros((10, 10, 3), np.int64)
    lanes[1, (10, 10)](out)
    number = np.arange(100)
    assert (out[..., 0].ravel() == number % 32).all()
    assert (out[..., 1].ravel() == number // 32).all()
    assert (out[..., 2].ravel() == [sum(range(min(32, 100 - n // 32 * 32))) for n in number]).all()


@smelt.kernel
def lanes(out: Any) -> None:
    x, y = smelt.grid(2)
    out[y, x, 0] = smelt.thread_index_in_simdgroup()
    out[y, x, 1] = smelt.simdgroup_index_in_threadgroup()
    out[y, x, 2] = smelt.simd_sum(smelt.thread_index_in_simdgroup())


@smelt.kernel
def one_simdgroup_alone(out: Any) -> None:
    shared = smelt.threadgroup_array(4, smelt.int64)
    i = smelt.grid(1)
    total = smelt.simd_sum(i)
    if smelt.thread_index_in_simdgroup() == 0:
        shared[smelt.simdgroup_index_in_threadgroup()] = total
    smelt.threadgroup_barrier()
    if smelt.simdgroup_index_in_threadgroup() == 1:
        for _ in range(3):
            total = smelt.simd_max(total + smelt.thread_index_in_simdgroup())
    smelt.threadgroup_barrier()
    out[i] = total + shared[0] + shared[3]


def test_simdgroups_work_apart_from_each_other(run_by_python: Any) -> None:
    out, expected = np.zeros((2, 128), np.int64)
    one_simdgroup_alone[1, 128](out)
    run_by_python(one_simdgroup_alone, (128,), (128,), expected)
    assert out.tolist() == expected.tolist()


@smelt.kernel
def lanes_that_end(out: Any, last: Any) -> None:
    i = smelt.grid(1)
    if i % 32 > last:
        return
    out[i, 0] = smelt.simd_sum(1)
    out[i, 1] = smelt.simd_shuffle_down(i, 2)
    smelt.simdgroup_barrier()
    out[i, 2] = smelt.simd_ballot(True)


def test_lanes_that_have_ended_take_no_part(run_by_python: Any) -> None:
    out, expected = np.zeros((2, 40, 3), np.int64)
    lanes_that_end[1, 40](out, 20)
    run_by_python(lanes_that_end, (40,), (40,), expected, 20)
    assert out.tolist() == expected.tolist()
    assert out[0].tolist() == [21, 2, 2**21 - 1]


@smelt.kernel
def sum_of_complex(x: Any) -> None:
    x[0] = smelt.simd_sum(x[0])


def test_what_has_no_order_has_no_reduction() -> None:
    with pytest.raises(smelt.KernelError, match=r"kernels have no simd_sum\(complex64\)") as caught:
        sum_of_complex[1](np.zeros(1, np.complex64))
    assert caught.value.filename == __file__
