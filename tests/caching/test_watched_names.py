# SPDX-License-Identifier: Apache-2.0
"""The table of watched names, read as compiled code reads it."""

from __future__ import annotations

import ctypes

from hypothesis import given, settings, strategies as st

from smelt.caching.watched_names import DICT_FACTOR, INDEX_SHIFT, NAME_FACTOR, NEVER_A_KEY, WatchedNames


def is_in(table, container, name):
    """The look-up that the module describes."""
    key = (container * DICT_FACTOR + hash(name) * NAME_FACTOR) % 2**64 | NEVER_A_KEY
    words = (ctypes.c_uint64 * 1).from_address(table.description[0])
    mask = words[0]
    slots = (ctypes.c_uint64 * (mask + 1)).from_address(table.description[0] + 8)
    position = key >> INDEX_SHIFT
    while slots[position % (mask + 1)] not in (0, key):
        position += 1
    return slots[position % (mask + 1)] == key


names = st.sampled_from([f"name{number}" for number in range(60)])
changes = st.lists(st.tuples(st.booleans(), st.integers(1, 3).map(lambda number: 4096 * number), names), max_size=300)


@given(changes)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_it_has_what_was_added_and_not_removed(steps):
    table, expected = WatchedNames(), set()
    for is_added, container, name in steps:
        if is_added:
            table.add(container, name)
            expected.add((container, name))
        else:
            table.remove(container, name)
            expected.discard((container, name))
    for container in (4096, 8192, 12288):
        for number in range(60):
            name = f"name{number}"
            assert is_in(table, container, name) == ((container, name) in expected)


def test_it_grows_and_what_was_freed_is_used_again():
    table = WatchedNames()
    for number in range(2000):
        table.add(16, f"name{number}")
    assert all(is_in(table, 16, f"name{number}") for number in range(2000))
    mask = ctypes.c_uint64.from_address(table.description[0]).value
    assert mask >= 4000
    for turn in range(20_000):
        table.add(32, f"other{turn}")
        table.remove(32, f"other{turn}")
    assert not is_in(table, 32, "other19999")
    assert ctypes.c_uint64.from_address(table.description[0]).value <= 4 * mask + 3


def test_the_callback_is_the_second_word():
    table = WatchedNames()
    table.use_callback(12345)
    assert table.description[1] == 12345
