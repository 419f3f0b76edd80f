# SPDX-License-Identifier: Apache-2.0
"""Rows of threads that are run at once compute and fail as they do one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import smelt
from smelt._wiring import driver
from smelt.compiler.config import CompilerJob
from smelt.targets.native.kernels.compilation import entry_point
from smelt.types import typeof

pytestmark = pytest.mark.once


def text_of(function: Any, *arguments: Any, **options: Any) -> str:
    """The entry point of a kernel, before it is optimised."""
    kernel = smelt.kernel(**options)(function)
    job = CompilerJob(kernel.instance(tuple(map(typeof, arguments))), kernel.config)
    return entry_point(driver().lowered(job, driver().inferred(job)), tuple(map(typeof, arguments)))


def runs_rows_at_once(function: Any, *arguments: Any, **options: Any) -> bool:
    return "i64 %first_y, i64 %behind_y" in text_of(function, *arguments, **options)


def numbered(out: Any) -> None:
    x, y, z = smelt.grid(3)
    out[z, y, x] = 10_000 * z + 100 * y + x


def inner(out: Any, u: Any) -> None:
    x, y = smelt.grid(2)
    height, width = u.shape
    if 0 < x < width - 1 and 0 < y < height - 1:
        out[y, x] = u[y - 1, x] + u[y + 1, x] - u[y, x - 1] * u[y, x + 1]


def wrapped(out: Any, u: Any) -> None:
    x, y = smelt.grid(2)
    if y < u.shape[0] and y < out.shape[0]:
        out[y, x] = u[y, x - 1] + u[y, x - 2]


def copied(out: Any, u: Any) -> None:
    x, y = smelt.grid(2)
    out[y, x] = u[y, x] + y


def of_one_row(out: Any, u: Any) -> None:
    i = smelt.grid(1)
    if i < out.size:
        out[i] = u[i] + 1


def triangle(out: Any) -> None:
    x, y = smelt.grid(2)
    if x < y:
        out[y, x] = 1


def quotients(out: Any, u: Any) -> None:
    x, y, z = smelt.grid(3)
    out[z, y, x] = 12 // u[z, y, x]


MATRIX, CUBE = np.zeros((4, 5)), np.zeros((2, 3, 4), np.int64)


def test_rows_are_run_at_once_where_they_are_alike():
    for boundscheck in (True, False):
        assert runs_rows_at_once(inner, MATRIX, MATRIX, boundscheck=boundscheck)
        assert not runs_rows_at_once(of_one_row, MATRIX[0], MATRIX[0], boundscheck=boundscheck)
    assert runs_rows_at_once(copied, MATRIX, MATRIX, boundscheck=False)


def test_rows_that_may_be_beyond_an_array_are_run_one_by_one():
    assert not runs_rows_at_once(copied, MATRIX, MATRIX)
    assert not runs_rows_at_once(triangle, MATRIX)
    out = np.zeros((6, 8))
    smelt.kernel(triangle).over(8, 6)(out)
    np.testing.assert_array_equal(out, np.tril(np.ones((6, 8)), -1))


sizes = st.integers(1, 12)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(sizes, sizes, sizes, st.integers(0, 12), st.integers(0, 12), st.integers(0, 12))
def test_every_thread_of_a_box_runs_once(depth, height, width, layers, rows, columns):
    out = np.full((depth, height, width), -1)
    layers, rows, columns = min(layers, depth), min(rows, height), min(columns, width)
    expected = out.copy()
    z, y, x = np.indices((layers, rows, columns))
    expected[:layers, :rows, :columns] = 10_000 * z + 100 * y + x
    for boundscheck in (True, False):
        found = out.copy()
        if layers and rows and columns:
            smelt.kernel(boundscheck=boundscheck)(numbered).over(columns, rows, layers)(found)
        np.testing.assert_array_equal(found, expected)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.integers(1, 7), st.integers(1, 40), st.integers(0, 3), st.integers(0, 9))
def test_threads_at_edges_run_between_those_of_the_rows(height, width, more_rows, more_columns):
    u = np.random.default_rng(height * width).random((height, width))
    out = np.zeros_like(u)
    smelt.kernel(inner).over(width + more_columns, height + more_rows)(out, u)
    expected = np.zeros_like(u)
    expected[1:-1, 1:-1] = u[:-2, 1:-1] + u[2:, 1:-1] - u[1:-1, :-2] * u[1:-1, 2:]
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("more_rows", [0, 2])
def test_threads_with_checks_run_before_and_behind_those_of_their_row(more_rows):
    assert runs_rows_at_once(wrapped, MATRIX, MATRIX)
    u = np.random.default_rng(1).random((5, 33))
    out = np.zeros_like(u)
    smelt.kernel(wrapped).over(33, 5 + more_rows)(out, u)
    np.testing.assert_array_equal(out, np.roll(u, 1, 1) + np.roll(u, 2, 1))
    out[:] = 0
    with pytest.raises(IndexError) as raised:
        smelt.kernel(wrapped).over(35, 5 + more_rows)(out, u)
    assert "in thread (33, 0, 0) of the grid" in raised.value.__notes__[0]
    np.testing.assert_array_equal(out[0], np.roll(u[0], 1) + np.roll(u[0], 2))
    assert not out[1:].any()


@pytest.mark.parametrize("fails", [(0, 0, 0), (0, 2, 3), (1, 0, 39), (1, 1, 0), (1, 2, 39)])
def test_the_first_thread_that_fails_is_told_and_what_those_before_it_stored_is_there(fails):
    u = np.ones((2, 3, 40), np.int64)
    u[fails] = 0
    u[1, 2, 39] = 0
    out = np.zeros_like(u)
    with pytest.raises(ZeroDivisionError) as raised:
        smelt.kernel(quotients).over(40, 3, 2)(out, u)
    z, y, x = fails
    assert f"in thread ({x}, {y}, {z}) of the grid" in raised.value.__notes__[0]
    count = np.ravel_multi_index(fails, u.shape)
    np.testing.assert_array_equal(out.ravel()[:count], 12)
    assert not out.ravel()[count:].any()


def test_threads_beyond_an_array_fail_in_the_row_where_they_are():
    u = np.ones((3, 5))
    out = np.zeros_like(u)
    with pytest.raises(IndexError) as raised:
        smelt.kernel(copied).over(6, 3)(out, u)
    assert "in thread (5, 0, 0) of the grid" in raised.value.__notes__[0]
    np.testing.assert_array_equal(out, [[1] * 5, [0] * 5, [0] * 5])
    out[:] = 0
    with pytest.raises(IndexError) as raised:
        smelt.kernel(copied).over(5, 4)(out, u)
    assert "in thread (0, 3, 0) of the grid" in raised.value.__notes__[0]
    np.testing.assert_array_equal(out, u + np.arange(3)[:, None])


def test_rows_of_a_large_grid_are_spread_over_cores():
    out = np.zeros((700, 900))
    u = np.arange(700 * 900.0).reshape(700, 900)
    smelt.kernel(boundscheck=False)(copied).over(900, 700)(out, u)
    np.testing.assert_array_equal(out, u + np.arange(700)[:, None])
