# SPDX-License-Identifier: Apache-2.0
"""Constant tuples that are indexed when a kernel runs: long ones are tables in memory."""

from __future__ import annotations

import numpy as np
import pytest

import smelt

pytestmark = pytest.mark.once

PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29)
ROOTS = (0.0, 1.0, 1.5, 1.75, 2.0, 2.25, 2.5, 2.625, 2.75, 3.0)
MIXED = (1, 2.5, 3, 4, 5, 6, 7, 8, 9, 10)


@smelt.kernel
def chosen(out, places):
    i = smelt.grid(1)
    out[i, 0] = PRIMES[places[i]]
    out[i, 1] = ROOTS[places[i]]
    out[i, 2] = MIXED[places[i]]


def test_items_are_chosen_from_both_ends():
    places = np.arange(-10, 10)
    out = np.zeros((20, 3))
    chosen[20](out, places)
    assert out.tolist() == [[PRIMES[place], ROOTS[place], MIXED[place]] for place in places]


@pytest.mark.parametrize("place", [10, -11])
def test_there_is_nothing_beyond_the_ends(place):
    with pytest.raises(IndexError, match="tuple index out of range"):
        chosen[1](np.zeros((1, 3)), np.array([place]))


def test_long_ones_are_not_searched():
    text = smelt.code_llvm(chosen, (smelt.float64[:, :], smelt.int64[:]))
    assert "[10 x i64] [i64 2, i64 3, i64 5, i64 7, i64 11," in text
    assert text.count("icmp eq i64") < 10
