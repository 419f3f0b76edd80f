# SPDX-License-Identifier: Apache-2.0
"""Atomic operations, on global and on shared arrays."""

from __future__ import annotations

import operator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import smelt

pytestmark = pytest.mark.once

INTEGERS = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
FLOATS = ["float32", "float64"]


@smelt.kernel
def histogram(counts: Any, x: Any) -> None:
    smelt.atomic_add(counts, x[smelt.grid(1)], 1)


@smelt.kernel
def shared_histogram(counts: Any, x: Any) -> None:
    own = smelt.threadgroup_array(8, counts.dtype)
    smelt.atomic_add(own, x[smelt.grid(1)], 1)
    smelt.threadgroup_barrier()
    number = smelt.thread_index_in_threadgroup()
    if number < 8:
        smelt.atomic_add(counts, number, own[number])


@pytest.mark.parametrize(
    ("kernel", "dtype"),
    [
        *((histogram, name) for name in INTEGERS + FLOATS),
        *((shared_histogram, name) for name in ("uint8", "int32", "float32")),
    ],
)
def test_histograms_in_all_widths(kernel: Any, dtype: str) -> None:
    x = np.random.default_rng(0).integers(0, 8, 900)
    counts = np.zeros(8, dtype)
    kernel[900](counts, x)
    assert counts.tolist() == np.bincount(x).astype(dtype).tolist()


@smelt.kernel
def every_operation(x: Any, old: Any, values: Any) -> None:
    old[0] = smelt.atomic_add(x, 0, values[0])
    old[1] = smelt.atomic_sub(x, 1, values[1])
    old[2] = smelt.atomic_min(x, 2, values[2])
    old[3] = smelt.atomic_max(x, 3, values[3])
    old[4] = smelt.atomic_exchange(x, 4, values[4])
    old[5] = smelt.atomic_compare_exchange(x, 5, values[6], values[5])
    old[6] = smelt.atomic_compare_exchange(x, 6, x[6], values[6])


@smelt.kernel
def every_bitwise_operation(x: Any, old: Any, values: Any) -> None:
    old[0] = smelt.atomic_and(x, 0, values[0])
    old[1] = smelt.atomic_or(x, 1, values[1])
    old[2] = smelt.atomic_xor(x, 2, values[2])


def python_operations(x: Any, values: Any) -> list[Any]:
    with np.errstate(all="ignore"):
        return [
            x[0] + values[0],
            x[1] - values[1],
            min(x[2], values[2]),
            max(x[3], values[3]),
            values[4],
            values[5] if x[5].tobytes() == values[6].tobytes() else x[5],
            values[6],
        ]


@pytest.mark.parametrize("dtype", INTEGERS + FLOATS)
@settings(max_examples=12, derandomize=True, deadline=None)
@given(data=st.data())
def test_each_operation_gives_the_old_element_and_does_what_python_does(dtype: str, data: Any) -> None:
    if dtype in INTEGERS:
        limits = np.iinfo(dtype)
        elements = st.sampled_from([int(limits.min), int(limits.max), 0, 1, 5]) | st.integers(
            int(limits.min), int(limits.max)
        )
    else:
        elements = st.floats(width=32, allow_nan=False).map(lambda value: value + 0.0)
    x, values = (np.array(data.draw(st.lists(elements, min_size=7, max_size=7)), dtype) for _ in range(2))
    x[5] = data.draw(st.sampled_from([x[5], values[6]]))
    before = x.copy()
    expected = np.array(python_operations(x, values), dtype)
    old = np.zeros(7, dtype)
    every_operation[1](x, old, values)
    assert old.tolist() == before.tolist()
    np.testing.assert_array_equal(x, expected)
    if dtype in INTEGERS:
        x, old = before.copy(), np.zeros(7, dtype)
        every_bitwise_operation[1](x, old, values)
        wanted = [f(a, b) for f, a, b in zip((operator.and_, operator.or_, operator.xor), before, values, strict=False)]
        assert old[:3].tolist() == before[:3].tolist()
        assert x[:3].tolist() == wanted


def test_a_nan_gives_way_to_a_number() -> None:
    x = np.array([np.nan, np.nan, 1.0])
    nan_and_number[1](x, 2.0, float("nan"))
    assert x.tolist() == [2.0, 2.0, 1.0]


@smelt.kernel
def nan_and_number(x: Any, number: Any, nan: Any) -> None:
    smelt.atomic_min(x, 0, number)
    smelt.atomic_max(x, 1, number)
    smelt.atomic_min(x, 2, nan)


@smelt.kernel
def at_two_indices(x: Any, most: Any) -> None:
    column, row = smelt.grid(2)
    place = (row - 2, column % 3)
    smelt.atomic_add(x, place, column)
    smelt.atomic_max(most, (0, -1), column)


def test_an_index_can_be_a_tuple_and_count_from_the_end() -> None:
    x = np.zeros((2, 3), np.int32, order="F")
    most = np.zeros((1, 4), np.uint8)
    at_two_indices.over(6, 2)(x, most)
    assert x.tolist() == [[3, 5, 7], [3, 5, 7]]
    assert most.tolist() == [[0, 0, 0, 5]]


@smelt.kernel
def adds_out_of_bounds(x: Any) -> None:
    smelt.atomic_add(x, smelt.grid(1), 1)


def test_an_index_out_of_bounds_raises() -> None:
    x = np.zeros(4, np.int32)
    with pytest.raises(IndexError) as caught:
        adds_out_of_bounds[8](x)
    assert "thread (4, 0, 0)" in caught.value.__notes__[0]
    assert x.tolist() == [1, 1, 1, 1]


def test_launches_from_several_threads_lose_nothing() -> None:
    counts = np.zeros(8)
    x = np.arange(4000) % 8
    histogram[1](counts, x)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: histogram[4000](counts, x), range(40)))
    assert counts.tolist() == [20001.0] + [20000.0] * 7


@smelt.kernel
def bitwise_on_floats(x: Any) -> None:
    smelt.atomic_or(x, 0, 1.0)


@smelt.kernel
def on_own_array(x: Any) -> None:
    own = smelt.thread_array(4, smelt.int32)
    smelt.atomic_add(own, 0, x[0])


@pytest.mark.parametrize(
    ("kernel", "array", "message"),
    [
        (histogram, np.zeros(8, np.float16), r"there are no atomic operations on a float16\[:\]"),
        (histogram, np.zeros(8, bool), r"there are no atomic operations on a bool\[:\]"),
        (histogram, np.zeros((8, 1), np.int32), r"a int32\[:, :\] takes 2 indices, not 1"),
        (bitwise_on_floats, np.zeros(1, np.float32), r"atomic_or is for integers, not for a float32"),
        (on_own_array, np.zeros(1, np.int32), r"a int32\[:\] thread is this thread's own: nothing can come between"),
    ],
)
def test_what_can_not_be_atomic_is_refused_with_its_line(kernel: Any, array: Any, message: str) -> None:
    arguments = (array, np.zeros(1, np.int64)) if kernel is histogram else (array,)
    with pytest.raises(smelt.KernelError, match=message) as caught:
        kernel[1](*arguments)
    assert "smelt.atomic_" in str(caught.value)
    assert caught.value.filename == __file__


def test_what_would_be_cut_off_and_what_can_not_be_written_is_refused() -> None:
    x = np.zeros(8, np.int32)
    x.flags.writeable = False
    with pytest.raises(smelt.KernelError, match="the array is read-only") as caught:
        histogram[1](x, np.zeros(1, np.int64))
    assert caught.value.help == "pass an array that can be written"
    with pytest.raises(smelt.KernelError, match="there are no atomic operations") as caught:
        histogram[1](np.zeros(8, np.complex64), np.zeros(1, np.int64))
    assert caught.value.help == "they are on aligned integers, float32 and float64"
