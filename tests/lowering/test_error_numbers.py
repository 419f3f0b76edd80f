# SPDX-License-Identifier: Apache-2.0
"""The numbers of error sites, by the calls that lead to them."""

from __future__ import annotations

import pytest

from smelt.compiler.sites import ErrorSite, Place
from smelt.ir.positions import Position
from smelt.lowering.error_numbers import MOST_SITES, ErrorNumbers

pytestmark = pytest.mark.once


def place(line):
    return Place(0, "function", Position(line, 0, line, 1))


def site(line):
    return ErrorSite("ValueError", "no", (place(line),))


def test_places_are_numbered_from_one_each_once():
    numbers = ErrorNumbers()
    assert [numbers.number(site(line)) for line in (5, 3, 5)] == [1, 2, 1]
    assert numbers.sites == [site(5), site(3)]


def test_a_status_of_a_called_function_becomes_one_of_the_caller_by_an_addition():
    caller, callee = ErrorNumbers(), ErrorNumbers()
    caller.number(site(1))
    callee.number(site(7))
    callee.number(site(8))
    first, second = caller.before(callee, (place(2),)), caller.before(callee, (place(3),))
    assert first != second
    assert caller.before(callee, (place(2),)) == first
    assert caller.sites[first + 2 - 1].places == (place(8), place(2))
    assert caller.sites[second + 1 - 1].places == (place(7), place(3))
    assert len(caller.sites) == 5


def test_a_function_that_cannot_fail_and_one_that_shares_its_numbers_add_nothing():
    numbers = ErrorNumbers()
    numbers.number(site(1))
    assert numbers.before(ErrorNumbers(), (place(2),)) == numbers.before(numbers, (place(2),)) == 0
    assert len(numbers.sites) == 1


def test_calls_beyond_the_limit_share_the_places_of_the_function():
    caller, callee = ErrorNumbers(), ErrorNumbers()
    for line in range(1000):
        callee.number(site(line))
    before = [caller.before(callee, (place(line),)) for line in range(10)]
    told = MOST_SITES // 1000
    assert len(set(before[:told])) == told
    assert len(set(before[told:])) == 1
    assert caller.sites[before[-1]].places == (place(0),)
    assert len(caller.sites) == (told + 1) * 1000
