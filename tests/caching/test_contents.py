# SPDX-License-Identifier: Apache-2.0
"""Lists and dicts as places: what ends code that was compiled for their contents, and the words that say so without Python."""

from __future__ import annotations

import ctypes
import sys

import pytest

from smelt.caching import (
    MISSING,
    CacheView,
    CodeCache,
    MethodTable,
    Results,
    add_method,
    contents,
    namespaces,
    session_local,
)
from smelt.caching.contents import Contents, read_item, read_items, read_keys
from smelt.caching.locking import exclusively
from smelt.caching.places import place_of


class Kept(Results):
    value: object = session_local()


is_cpython = sys.implementation.name == "cpython"


ITEMS, ENTRIES = [1], {"a": 1}


def code_of(observed):
    """The view, the instance and the code that depends on what was read."""
    cache = CodeCache()
    table = MethodTable("functions", cache=cache)
    add_method(table, "f", (), "the source")
    view, instance = CacheView("tests", Kept, cache=cache), table.method_instance("f", ())
    code = view.code_instance(instance, edges=observed.edges)
    view[instance] = code
    return view, instance, code


def is_equal(words):
    """Whether all words are equal, compared in their order and no further than to the first that differs."""
    return all(ctypes.c_uint64.from_address(word.address).value == word.expected.value for word in words)


CHANGES = {
    "an item": lambda items: items.__setitem__(0, "other"),
    "appended": lambda items: items.append(1),
    "inserted": lambda items: items.insert(0, 1),
    "removed": lambda items: items.pop(),
    "emptied": lambda items: items.clear(),
    "another order": lambda items: items.reverse(),
    "an equal number of another type": lambda items: items.__setitem__(1, 1),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_of_a_list_ends_code_that_was_made_for_it(change):
    items = ["a", 1.0, len]
    view, instance, code = code_of(read_items(items, "items"))
    words = code.words()
    assert words is None or is_equal(words)
    assert view.get(instance) is code
    change(items)
    assert words is None or not is_equal(words)
    assert view.get(instance) is None
    assert words is None or not is_equal(words)


def test_an_equal_constant_in_a_list_ends_nothing():
    items = ["a", 1000.5]
    view, instance, code = code_of(read_items(items, "items"))
    words = code.words()
    items[1] = float("1000.5")
    assert words is None or not is_equal(words)
    assert view.get(instance) is code
    assert words is None or is_equal(words)


def test_a_list_that_has_moved_is_not_taken_for_where_it_was():
    items = [1000.5, 2000.5]
    view, instance, code = code_of(read_items(items, "items"))
    words = code.words()
    items.extend(range(1000))
    del items[2:]
    assert view.get(instance) is code
    again = code.words()
    assert again is None or is_equal(again)
    if words is not None and words[2].expected is not again[2].expected:
        assert not is_equal(words)
        items[0] = float("1000.5")
        assert view.get(instance) is code
        assert is_equal(again)
        assert not is_equal(words)


@pytest.mark.skipif(not is_cpython, reason="this is not CPython, whose lists alone are compared where they lie")
def test_lists_are_laid_out_as_expected():
    assert contents._has_items() == (object.__basicsize__ == 16)


def test_an_empty_list_has_words_too():
    items = []
    view, instance, code = code_of(read_items(items, "items"))
    words = code.words()
    assert words is None or is_equal(words)
    items.append(1)
    assert words is None or not is_equal(words)
    assert view.get(instance) is None


def test_an_entry_of_a_dict_is_compared_and_no_other():
    entries = {"a": 1.5, "b": 2.5, 3: 4.5}
    for key in ("a", 3):
        observed = read_item(entries, key, "entries")
        assert observed.value == entries[key]
        view, instance, code = code_of(observed)
        entries["b"], entries[key] = object(), float(str(entries[key]))
        assert view.get(instance) is code
        entries[key] = 7.5
        assert view.get(instance) is None


def test_a_key_that_is_not_there_is_depended_on():
    entries = {}
    observed = read_item(entries, "a", "entries")
    assert observed.value is MISSING
    view, instance, code = code_of(observed)
    entries["b"] = 1
    assert view.get(instance) is code
    entries["a"] = 1
    assert view.get(instance) is None


@pytest.fixture(params=["compared", "numbered"])
def keys_kind(request, monkeypatch):
    if request.param == "numbered" and namespaces.best_namespace() is namespaces.Namespace:
        pytest.skip("this Python does not number the states of a dict")
    monkeypatch.setattr(contents, "KEYS", Contents if request.param == "compared" else contents.VersionedKeys)


@pytest.mark.usefixtures("keys_kind")
def test_keys_and_their_order_are_compared_and_not_the_values():
    entries = {"a": 1.5, "b": 2.5}
    view, instance, code = code_of(read_keys(entries, "entries"))
    entries["a"] = 7.5
    assert view.get(instance) is code
    entries["a"] = entries.pop("a")
    assert view.get(instance) is None
    view, instance, code = code_of(read_keys(entries, "entries"))
    entries["c"] = 1
    assert view.get(instance) is None


@pytest.mark.parametrize(
    ("read", "change", "said"),
    [
        (lambda: read_items(ITEMS, "sizes"), lambda: ITEMS.append(1), "the items of sizes was rebound"),
        (lambda: read_keys(ENTRIES, "rates"), lambda: ENTRIES.update(b=1), "the keys of rates was rebound"),
        (lambda: read_item(ENTRIES, "a", "rates"), lambda: ENTRIES.update(a=2), "rates.a was rebound"),
        (lambda: read_item(ENTRIES, "c", "rates"), lambda: ENTRIES.update(c=2), "rates.c was defined"),
    ],
)
def test_an_invalidation_says_what_has_changed(read, change, said):
    view, instance, _ = code_of(read())
    change()
    assert view.get(instance) is None
    assert said in str(view.cache.invalidations[-1])


def test_there_is_one_place_for_a_list():
    items = [1]
    view, instance, code = code_of(read_items(items, "items"))
    with exclusively():
        assert place_of(Contents, items, "other") in code.guard.places
    assert view.get(instance) is code
