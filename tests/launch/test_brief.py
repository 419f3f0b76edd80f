# SPDX-License-Identifier: Apache-2.0
"""Which kernels keep the interpreter lock over small grids: those of which no thread can run for long."""

from __future__ import annotations

import numpy as np
import pytest

import smelt


def helper(x):
    total = 0.0
    for number in range(3):
        total += number * x
    return total


def plain_helper(x):
    return x if x > 0 else -x


@smelt.kernel
def straight(out):
    i = smelt.grid(1)
    if i < out.size and out[i] > 1:
        out[i] = plain_helper(out[i]) + 1
    else:
        out[i] = 0


@smelt.kernel
def with_while(out):
    while out[0] > 0:
        out[0] -= 1


@smelt.kernel
def with_for(out):
    for i in range(out.size):
        out[i] = i


@smelt.kernel
def with_loop_in_callee(out):
    out[0] = helper(out[0])


@smelt.kernel
def with_barrier(out):
    smelt.threadgroup_barrier()
    out[smelt.grid(1)] = 1


def factorial(n):
    return 1 if n < 2 else n * factorial(n - 1)


@smelt.kernel
def with_recursion(out):
    out[0] = factorial(5)


@pytest.mark.parametrize(
    ("kernel", "is_brief"),
    [
        (straight, True),
        (with_while, False),
        (with_for, False),
        (with_loop_in_callee, False),
        (with_barrier, False),
        (with_recursion, False),
    ],
    ids=lambda part: part.name if isinstance(part, smelt.Kernel) else "",
)
def test_a_kernel_is_brief_if_nothing_in_it_can_go_round(kernel, is_brief):
    results = kernel.compile(smelt.float64[:])
    assert results.is_brief is is_brief
    launch, out = kernel.over(2), np.array([3.0, 2.0])
    for _ in range(3):
        launch(out)
    (entry,) = kernel.table.entries
    assert (entry.most_locked_threads > 0) == is_brief
