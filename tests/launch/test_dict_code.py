# SPDX-License-Identifier: Apache-2.0
"""Names that compiled guards look up in dicts are held against Python's own look-ups."""

from __future__ import annotations

import ctypes
import enum
import types

import pytest
from hypothesis import given, settings, strategies as st

from smelt.caching.namespaces import Namespace
from smelt.caching.places import MISSING
from smelt.targets.native.launching import dict_code
from smelt.targets.native.launching.builtin_methods import BuiltinMethod
from smelt.targets.native.launching.dispatch import guard_words
from smelt.targets.native.launching.dispatch_code import dispatch_text
from smelt.targets.native.launching.dispatch_records import GuardRecord
from smelt.targets.native.launching.guard_code import IS_CURRENT
from smelt.targets.native.launching.stub_compilation import compile_stub
from smelt.targets.native.loader.mapping import MappedCode
from smelt.targets.native.loader.symbols import resolve


@pytest.fixture(scope="module")
def method():
    return BuiltinMethod(MappedCode(compile_stub(dispatch_text(), 1), resolve), IS_CURRENT)


class Check:
    """Some names of a dict, with the values that they have now, and the compiled check of them."""

    def __init__(self, method, container, names):
        self.container = container
        self.place = Namespace(container, "names")
        self.bindings = [self.place.binding(name) for name in names]
        # LIFETIME: the record has addresses of these.
        self.words = self.place.words(self.bindings)
        self.addresses = guard_words(self.words)
        self.record = GuardRecord(guard=ctypes.addressof(self.addresses), guard_words=len(self.words))
        self.compiled = method.of(self.record)

    def agrees(self):
        """What the check says, which is right, and twice the same: the second time by what it has learnt the first time."""
        expected = all(self.container.get(binding.name, MISSING) is binding.value for binding in tuple(self.bindings))
        assert self.compiled() == expected
        assert self.compiled() == expected
        return expected


NAMES = [f"name {number}" for number in range(20)]
VALUES = [object() for _ in range(3)]

operation = st.one_of(
    st.tuples(st.just("set"), st.sampled_from(NAMES), st.sampled_from(VALUES)),
    st.tuples(st.just("delete"), st.sampled_from(NAMES)),
    st.tuples(st.just("last")),
    st.tuples(st.just("clear")),
    st.tuples(st.just("many"), st.integers(1, 40)),
)


def change(container, kind, *rest):
    if kind == "set":
        container[rest[0]] = rest[1]
    elif kind == "delete":
        container.pop(rest[0], None)
    elif kind == "last" and container:
        container.popitem()
    elif kind == "clear":
        container.clear()
    elif kind == "many":
        container.update(dict.fromkeys(NAMES[: rest[0]], VALUES[0]))


class Fields:
    """Instances have dicts that share their keys."""


def shared():
    first, second = Fields(), Fields()
    first.one = first.two = second.one = 1
    return vars(second)


CONTAINERS = {
    "of strings": dict,
    "of other keys too": lambda: {1: 1, (2, 3): 4},
    "of an instance": shared,
    "of a module": lambda: vars(types.ModuleType("module")),
    "whose entries are many": lambda: dict.fromkeys(map(str, range(300)), 1),
}


@pytest.mark.parametrize("make", CONTAINERS.values(), ids=CONTAINERS.keys())
@settings(derandomize=True, max_examples=40, deadline=None)
@given(st.lists(operation, max_size=12), st.lists(operation, max_size=12), st.sets(st.sampled_from(NAMES), max_size=6))
def test_after_any_changes_the_check_says_what_python_says(method, make, before, after, names):
    container = make()
    for step in before:
        change(container, *step)
    check = Check(method, container, sorted(names))
    assert check.agrees()
    for step in after:
        change(container, *step)
        check.agrees()


@pytest.mark.parametrize("count", [5, 50, 200, 40_000])
def test_names_are_found_in_dicts_of_all_sizes(method, count):
    # Slots of one byte, two and four.
    container = {f"name {number}": object() for number in range(count)}
    names = [f"name {number}" for number in range(0, count, 1 + count // 200)]
    check = Check(method, container, [*names, "missing", "lost"])
    assert check.agrees()
    container["lost"] = 1
    assert not check.agrees()
    del container["lost"]
    assert check.agrees()
    container[names[-1]] = 1
    assert not check.agrees()
    # Nothing is read where the entry was: memory of this table is given back.
    container.clear()
    assert not check.agrees()


def test_a_table_where_a_former_one_was_is_not_taken_for_it(method):
    value = object()
    for number in range(200):
        container = {"first": value, "second": value}
        check = Check(method, container, ["first", "third"])
        assert check.agrees()
        # Memory of the former table is given out again, for one that is alike but for its names.
        container.clear()
        container["second"] = value
        container["third" if number % 2 else "fourth"] = value
        assert not check.agrees()


class Name(str):
    """Equal to other strings than its hash says."""

    __slots__ = ()

    def __eq__(self, other):
        return str(self) == other or other == "alias"

    def __hash__(self):
        return hash("alias")


class Colour(enum.Enum):
    RED = 1


@pytest.mark.parametrize("name", ["the name 1"[4:], Name("name 1"), Colour.RED, 7, (1, 2), 1.5])
def test_any_key_is_found(method, name):
    container = {"name 1": 1, Colour.RED: 2, 7: 3, (1, 2): 4, 1.5: 5, "alias": 6}
    strings = {"name 1": 1, "alias": 6}
    for mapping in (container, strings):
        check = Check(method, mapping, [name])
        assert check.agrees()
        for key in list(mapping):
            mapping[key] += 0.25
        check.agrees()


def test_a_key_that_cannot_be_compared_is_taken_for_another_and_no_error_is_left(method):
    class Unequal:
        def __eq__(self, other):
            raise ValueError("compared")

        def __hash__(self):
            return hash("name")

    container = {Unequal(): 1, "other": 2}
    # To Python it can't be looked up; but it was, before that key came.
    place = Namespace({}, "names")
    binding = place.binding("name")
    place.container = container
    words = place.words([binding])
    addresses = guard_words(words)
    compiled = method.of(GuardRecord(guard=ctypes.addressof(addresses), guard_words=1))
    assert compiled() is True


def test_dicts_of_this_python_are_as_expected():
    assert dict_code.is_as_expected()


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("DICT_KEYS", 16),
        ("SIZE_LOGARITHM", 9),
        ("SIZE_LOGARITHM", 10),
        ("INDEX_BYTES_LOGARITHM", 10),
        ("KIND", 8),
        ("ONLY_STRINGS", 0),
        ("SLOTS", 24),
        ("EMPTY_SLOT", 0),
        ("ENTRY_BYTES", 24),
        ("ENTRY_VALUE", 0),
        ("STRING_HASH", 16),
    ],
)
def test_a_number_that_is_wrong_is_found(monkeypatch, name, wrong):
    monkeypatch.setattr(dict_code, name, wrong)
    assert not dict_code.is_as_expected()
