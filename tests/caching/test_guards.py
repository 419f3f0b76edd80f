# SPDX-License-Identifier: Apache-2.0
"""Guards: what is compared when code is looked up, and the words in memory that a compiled check compares in its place."""

from __future__ import annotations

import ctypes
import sys
import types
from collections.abc import Callable

import pytest

from smelt.caching import (
    CacheView,
    CodeCache,
    CodeInstance,
    Guard,
    MethodInstance,
    MethodTable,
    Observed,
    Results,
    add_method,
    namespaces,
    publishing,
    read_attribute,
    read_cell,
    read_code,
    read_default,
    read_global,
    session_local,
)
from smelt.caching.edges import Edge
from smelt.caching.guards import Word
from smelt.caching.locking import exclusively
from smelt.caching.places import Bases, Cell, FunctionParts

IS_VERSIONED = namespaces.best_namespace() is namespaces.VersionedNamespace
needs_version_tags = pytest.mark.skipif(not IS_VERSIONED, reason="this Python does not number the states of a dict")


class Kept(Results):
    value: object = session_local()


class Code:
    """Functions in one cache, each compiled to depend on the edges that it is given."""

    def __init__(self) -> None:
        self.cache = CodeCache()
        self.table = MethodTable("functions", cache=self.cache)
        self.view = CacheView("tests", Kept, cache=self.cache)

    def instance(self, name: str) -> MethodInstance:
        found = self.table.method_instance(name, ())
        if found is None:
            add_method(self.table, name, (), "the source")
            found = self.table.method_instance(name, ())
        assert found is not None
        return found

    def compile(self, name: str, edges: Callable[[], tuple[Edge, ...]]) -> CodeInstance:
        return self.view.get_or_create(
            self.instance(name), lambda view, instance: view.code_instance(instance, edges=edges())
        )

    def guard(self, read: Callable[[], Observed]) -> Guard:
        guard = self.compile("function", lambda: read().edges).guard
        assert guard is not None
        return guard


def agree(guard: Guard) -> list[bool]:
    """For each word of a guard, whether memory holds what is expected, as a compiled check would find out."""
    words = guard.words()
    assert words is not None
    return [agrees(word) for word in words]


def agrees(word: Word) -> bool:
    if word.address:
        return ctypes.c_uint64.from_address(word.address).value == word.expected.value
    namespace = ctypes.cast(ctypes.c_uint64.from_address(word.values.address + 8).value, ctypes.py_object).value
    # By address, as what is expected may be gone.
    return all(
        (id(namespace[name]) if name in namespace else 0) == address for name, address in expected_of(word).items()
    )


def parts_of_a_function() -> tuple[Callable[[], Observed], Callable[[], None]]:
    def function(a=1.5, *, b=2.5):
        return a, b

    def other(a, *, b):
        return b, a

    return lambda: read_code(function), lambda: setattr(function, "__code__", other.__code__)


def defaults_of_a_function() -> tuple[Callable[[], Observed], Callable[[], None]]:
    def function(a=1.5):
        return a

    return lambda: read_default(function, "a"), lambda: setattr(function, "__defaults__", (2.5,))


def defaults_that_go() -> tuple[Callable[[], Observed], Callable[[], None]]:
    def function(a=1.5):
        return a

    return lambda: read_default(function, "a"), lambda: setattr(function, "__defaults__", None)


def defaults_that_come() -> tuple[Callable[[], Observed], Callable[[], None]]:
    def function(a):
        return a

    return lambda: read_default(function, "a"), lambda: setattr(function, "__defaults__", (1,))


def keyword_defaults_that_go() -> tuple[Callable[[], Observed], Callable[[], None]]:
    def function(*, a=1.5):
        return a

    return lambda: read_default(function, "a"), lambda: setattr(function, "__kwdefaults__", None)


def keyword_defaults_that_come() -> tuple[Callable[[], Observed], Callable[[], None]]:
    def function(*, a):
        return a

    return lambda: read_default(function, "a"), lambda: setattr(function, "__kwdefaults__", {"a": 1})


def cell(before: object, after: object) -> tuple[Callable[[], Observed], Callable[[], None]]:
    variable = before

    def function():
        return variable

    def change():
        if after is EMPTY:
            del function.__closure__[0].cell_contents
        else:
            function.__closure__[0].cell_contents = after

    if before is EMPTY:
        del function.__closure__[0].cell_contents
    return lambda: read_cell(function, "variable"), change


EMPTY = object()


def order_of_bases() -> tuple[Callable[[], Observed], Callable[[], None]]:
    first, second = type("First", (), {}), type("Second", (), {})
    cls = type("Both", (first,), {})
    return lambda: read_attribute(cls, "size"), lambda: setattr(cls, "__bases__", (second,))


POINTERS = {
    "code": parts_of_a_function,
    "defaults": defaults_of_a_function,
    "defaults that go": defaults_that_go,
    "defaults that come": defaults_that_come,
    "keyword defaults that go": keyword_defaults_that_go,
    "keyword defaults that come": keyword_defaults_that_come,
    "cell": lambda: cell(1.5, 2.5),
    "cell that is emptied": lambda: cell(1.5, EMPTY),
    "cell that is filled": lambda: cell(EMPTY, 1.5),
    "cell of None that is emptied": lambda: cell(None, EMPTY),
    "cell that is filled with None": lambda: cell(EMPTY, None),
    "cell that becomes None": lambda: cell(1.5, None),
    "bases": order_of_bases,
}


@pytest.mark.parametrize("place", POINTERS.values(), ids=POINTERS.keys())
def test_a_guard_and_its_words_hold_until_the_place_changes(place):
    read, change = place()
    code = Code()
    guard = code.guard(read)
    assert guard.holds()
    assert agree(guard)
    assert all(agree(guard))
    # Words that were taken before the change, as a compiled check has them.
    words = guard.words()
    change()
    assert not guard.holds()
    assert not all(map(agrees, words))
    assert code.view.get(code.instance("function")) is None
    # And again for code that is made for what stands there now.
    renewed = code.guard(read)
    assert renewed.holds()
    assert all(agree(renewed))


@pytest.mark.parametrize("place", POINTERS.values(), ids=POINTERS.keys())
def test_settling_what_has_changed_lets_the_guard_hold_again_and_ends_the_code(place):
    read, change = place()
    code = Code()
    made = code.compile("function", lambda: read().edges)
    guard = made.guard
    change()
    assert made.is_current
    guard.settle()
    assert not made.is_current
    assert guard.holds()
    assert not made.guard.holds(), "code that has ended is never found by its guard"


@needs_version_tags
def test_on_python_3_11_a_namespace_is_one_word_its_version_tag():
    module = types.ModuleType("settings")
    exec("X = 1.5\ndef function(): return X", vars(module))
    guard = Code().guard(lambda: read_global(module.function, "X"))
    (word,) = guard.words()
    assert word.address == id(vars(module)) + 24
    assert guard.holds()
    assert agree(guard) == [True]
    module.unrelated = 1
    assert not guard.holds()
    assert agree(guard) == [False]


@needs_version_tags
def test_new_words_of_a_namespace_agree_after_a_change_that_matters_to_nobody():
    module = types.ModuleType("settings")
    exec("X = 1.5\ndef function(): return X", vars(module))
    code = Code()
    guard = code.guard(lambda: read_global(module.function, "X"))
    for change in ("unrelated = 1", "X = 1.25 + 0.25", "del unrelated"):
        (word,) = guard.words()
        assert agrees(word)
        exec(change, vars(module))
        assert not agrees(word)
        assert code.instance("function") in code.view
        # Whoever compares it looks at the values that come with it, and so do all others who have such a word.
        assert not agrees(word)
        assert expected_of(word) == {"X": id(module.X)}
    (word,) = guard.words()
    module.X = 2.5
    assert not agrees(word)
    assert code.instance("function") not in code.view


def test_a_namespace_that_is_compared_has_values_and_no_word(monkeypatch):
    monkeypatch.setattr(publishing, "best_namespace", lambda: namespaces.Namespace)
    module = types.ModuleType("settings")
    exec("X = 1.5\nY = 2.5\ndef function(): return X", vars(module))
    code = Code()
    guard = code.guard(lambda: read_global(module.function, "X"))
    (word,) = guard.words()
    assert word.address == 0
    assert expected_of(word) == {"X": id(module.X)}
    module.unrelated = 1
    assert guard.holds()
    code.compile("other", lambda: read_attribute(module, "Y").edges)
    assert expected_of(word) == {"X": id(module.X)}, "what other code depends on is no matter of this guard"
    assert guard.holds()
    module.X = 2
    assert not guard.holds()
    assert not agrees(word)
    assert code.instance("function") not in code.view


def test_where_an_object_has_no_address_a_namespace_has_no_words(monkeypatch):
    monkeypatch.setattr(publishing, "best_namespace", lambda: namespaces.Namespace)
    monkeypatch.setattr(namespaces, "_HAS_POINTERS", False)
    module = types.ModuleType("settings")
    exec("X = 1\ndef function(): return X", vars(module))
    assert Code().guard(lambda: read_global(module.function, "X")).words() is None


def test_a_function_is_three_words_a_cell_and_the_bases_one_each():
    read_function, _ = defaults_of_a_function()
    read_variable, _ = cell(1, 2)
    read_class, _ = order_of_bases()
    assert len(Code().guard(read_function).words()) == 3
    assert len(Code().guard(read_variable).words()) == 1
    # The namespaces of the class and its base are words too.
    assert len(Code().guard(read_class).words()) == 3
    parts = (read_function().edges[0].container, read_variable().edges[0].container, read_class().edges[0].container)
    assert [
        kind(part, "x").words([])[0].address for kind, part in zip((FunctionParts, Cell, Bases), parts, strict=True)
    ]


def test_words_where_the_layout_of_objects_is_not_known(monkeypatch):
    for name in ("_FUNCTION_OFFSETS", "_CELL_OFFSET", "_ORDER_OFFSET"):
        monkeypatch.setattr(f"smelt.caching.places.{name}", None)
    for place in (defaults_of_a_function, POINTERS["cell"], order_of_bases):
        read, change = place()
        guard = Code().guard(read)
        assert guard.words() is None
        assert guard.holds()
        change()
        assert not guard.holds()


def test_the_words_of_a_place_are_in_the_object_that_it_stands_for():
    def function(a=1):
        return a

    words = FunctionParts(function, "function").words([])
    assert [ctypes.cast(word.expected.value, ctypes.py_object).value for word in words[:2]] == [
        function.__code__,
        function.__defaults__,
    ]
    assert words[2].expected.value == 0
    for word in words:
        assert 0 < word.address - id(function) < sys.getsizeof(function)


def test_an_equal_constant_in_a_cell_lets_the_code_live_with_other_words():
    read, change = cell(10**20, 10**19 * 10 + len([]))
    code = Code()
    guard = code.guard(read)
    change()
    assert not guard.holds()
    assert not all(agree(guard))
    assert code.instance("function") in code.view
    assert guard.holds()
    assert all(agree(guard))


def test_the_guard_of_a_caller_includes_the_places_of_its_callees():
    code = Code()
    reads = [cell(1.5, 2.5), cell(1.5, 2.5), cell(1.5, 2.5)]
    names = ["inner", "middle", "outer"]
    codes: list[CodeInstance] = []
    for name, (read, _) in zip(names, reads, strict=True):
        codes.append(code.compile(name, lambda read=read: (*codes[-1:], *read().edges)))
    assert [len(made.guard.places) for made in codes] == [1, 2, 3]
    assert [len(made.guard.words()) for made in codes] == [1, 2, 3]
    reads[1][1]()
    assert [made.guard.holds() for made in codes] == [True, False, False]
    assert [code.instance(name) in code.view for name in names] == [True, False, False]


def test_a_place_that_many_callees_share_is_in_the_guard_once():
    code = Code()
    read, _ = cell(1, 2)
    callees = [code.compile(f"callee {number}", lambda: read().edges) for number in range(5)]
    caller = code.compile("caller", lambda: (*callees, *read().edges))
    assert len(caller.guard.places) == 1


def test_code_without_places_has_no_guard():
    code = Code()
    callee = code.compile("callee", lambda: ())
    assert callee.guard is None
    assert code.compile("caller", lambda: (callee,)).guard is None


def test_a_guard_grows_when_the_code_that_was_awaited_arrives():
    code = Code()
    read, change = cell(1.5, 2.5)
    callee = code.instance("callee")
    middle = code.compile("middle", lambda: (callee,))
    outer = code.compile("outer", lambda: (middle,))
    assert (middle.guard, outer.guard) == (None, None)
    arrived = code.compile("callee", lambda: read().edges)
    for made in (arrived, middle, outer):
        assert [type(place) for place in made.guard.places] == [Cell]
        assert made.guard.holds()
    change()
    assert [code.instance(name) in code.view for name in ("outer", "middle", "callee")] == [False] * 3


def test_functions_that_call_each_other_share_what_they_are_guarded_by():
    code = Code()
    read_odd, change_odd = cell(1.5, 2.5)
    read_even, _ = cell(1.5, 2.5)
    instances = {name: code.instance(name) for name in ("odd", "even")}
    odd = code.compile("odd", lambda: (instances["even"], *read_odd().edges))
    even = code.compile("even", lambda: (instances["odd"], *read_even().edges))
    assert len(odd.guard.places) == len(even.guard.places) == 2
    change_odd()
    assert code.instance("even") not in code.view
    assert code.instance("odd") not in code.view
    code.cache.check_invariants()


def test_a_guard_is_settled_for_every_place_that_moved():
    code = Code()
    (first, change_first), (second, change_second) = cell(1.5, 2.5), cell(1.5, 2.5)
    code.compile("function", lambda: (*first().edges, *second().edges))
    only_second = code.compile("other", lambda: second().edges)
    change_first()
    change_second()
    assert code.instance("function") not in code.view
    assert not only_second.is_current


def test_a_frozen_view_asks_no_guard():
    code = Code()
    read, change = cell(1.5, 2.5)
    made = code.compile("function", lambda: read().edges)
    frozen = code.view.frozen()
    change()
    assert frozen.get(code.instance("function")) is made
    assert code.view.get(code.instance("function")) is None
    assert frozen.get(code.instance("function")) is made


def test_a_guard_shows_what_it_asks():
    read, _ = cell(1, 2)
    assert repr(Code().guard(read)) == "Guard(Cell(tests.caching.test_guards.cell.<locals>.function))".replace(
        "tests.caching.test_guards", __name__
    )


def holds(words) -> bool:
    return all(ctypes.c_uint64.from_address(word.address).value == word.expected.value for word in words)


def test_words_of_a_function_agree_again_after_a_change_that_matters_to_nobody():
    def function(a=1.5, b=2.5):
        return a, b

    code = Code()
    guard = code.guard(lambda: read_default(function, "a"))
    words = guard.words()
    # Another tuple of defaults with the same first one; then the first tuple again.
    for defaults in ((1.5, 3.5), (1.5, 2.5), (1.0 + 0.5, 0)):
        function.__defaults__ = defaults
        assert not holds(words)
        assert code.instance("function") in code.view
        assert holds(words), "the very words that were taken first"
    function.__defaults__ = (9.5, 2.5)
    assert not holds(words)
    assert code.instance("function") not in code.view


def test_words_expect_no_object_that_is_gone():
    # What a place remembers is held, so that no new object can stand where a former one stood and be taken for it.
    def function(a=1.5, b=2.5):
        return a, b

    code = Code()
    guard = code.guard(lambda: read_default(function, "a"))
    words = guard.words()
    (place,) = guard.places
    for number in range(50):
        function.__defaults__ = (1.5, float(number))
        assert code.instance("function") in code.view
        expected = [word.expected.value for word in words]
        assert expected[1] == id(place.look()[1]) == id(function.__defaults__)


def test_the_words_of_code_are_those_of_its_guard_and_the_guard_itself():
    def function(a=1.5):
        return a

    code = Code()
    made = code.compile("function", lambda: read_default(function, "a").edges)
    guard, words = made.guard, made.words()
    assert len(words) == 4
    assert holds(words)
    place = FunctionParts(lambda: 1, "another")
    with exclusively():
        code.cache.extend_guards([made], Guard((place,)))
    assert made.guard is not guard
    assert not holds(words), "there is more to compare now"
    assert len(made.words()) == 7
    words = made.words()
    add_method(code.table, "function", (), "another source")
    assert not made.is_current
    assert not holds(words)
    assert made.words() is None


def test_the_words_of_code_that_nothing_guards():
    code = Code()
    made = code.compile("function", tuple)
    (word,) = made.words()
    assert word.expected.value == id(None)
    assert holds([word])
    code.cache.invalidate("a test", [made.instance.method])
    assert not holds([word])


def test_code_whose_guard_has_no_words_has_none(monkeypatch):
    def function(a=1.5):
        return a

    made = Code().compile("function", lambda: read_default(function, "a").edges)
    monkeypatch.setattr("smelt.caching.places._FUNCTION_OFFSETS", None)
    assert made.words() is None
    monkeypatch.undo()
    monkeypatch.setattr("smelt.caching.code._GUARD_OFFSET", None)
    assert made.words() is None


def expected_of(word) -> dict[str, int]:
    """The names of a word and the addresses of their values, as a compiled check reads them."""
    count = ctypes.c_uint64.from_address(word.values.address).value
    parts = (ctypes.c_uint64 * (4 + 4 * count)).from_address(word.values.address)[4:]
    names = [ctypes.cast(part, ctypes.py_object).value for part in parts[::4]]
    assert parts[1::4] == [hash(name) % 2**64 for name in names]
    return {name: ctypes.c_uint64.from_address(part).value for name, part in zip(names, parts[2::4], strict=True)}


def test_a_guard_has_the_names_that_its_code_and_callees_depend_on_and_no_others():
    module = types.ModuleType("settings")
    exec("X = 1.5\nY = 2.5\ndef function(): return X, Y, Z", vars(module))
    code = Code()
    callee = code.compile("callee", lambda: read_attribute(module, "Y").edges)
    code.compile("another", lambda: read_attribute(module, "Z").edges)
    made = code.compile("caller", lambda: (callee, read_global(module.function, "X").edges[0]))
    (word,) = made.guard.words()
    assert expected_of(word) == {"X": id(module.X), "Y": id(module.Y)}
    made = code.compile("of what is missing", lambda: read_global(module.function, "Z").edges)
    assert [expected_of(word) for word in made.guard.words()] == [{"Z": 0}, {"Z": 0}]


def test_an_equal_constant_is_another_object_which_is_expected_from_then_on():
    module = types.ModuleType("settings")
    exec("X = 1.5\ndef function(): return X", vars(module))
    code = Code()
    guard = code.guard(lambda: read_global(module.function, "X"))
    (word,) = guard.words()
    before = module.X
    module.X = 0.5 + float("1")
    assert expected_of(word) == {"X": id(before)}
    guard.settle()
    assert guard.holds()
    assert expected_of(word) == {"X": id(module.X)}, "in the very words that were taken first"


def test_no_value_is_expected_while_the_former_one_is_let_go_of():
    module = types.ModuleType("settings")
    exec("X = 1.5\ndef function(): return X", vars(module))
    code = Code()
    guard = code.guard(lambda: read_global(module.function, "X"))
    (word,) = guard.words()
    (binding,) = guard.bindings
    seen = []

    class Former:
        def __del__(self):
            seen.append(expected_of(word)["X"])

    # As if it were a constant equal to the next.
    binding.value = Former()
    binding.identity()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("smelt.caching.places.same_constant", lambda *_: True)
        binding.place.settle()
    assert seen == [1]
    assert expected_of(word) == {"X": id(module.X)}


def test_what_is_expected_is_alive_until_the_code_has_ended():
    module = types.ModuleType("settings")
    exec("X = 1.5\ndef function(): return X", vars(module))
    code = Code()
    guard = code.guard(lambda: read_global(module.function, "X"))
    (word,) = guard.words()
    before = sys.getrefcount(module.X)
    expected = module.X
    module.X = 2.5
    assert sys.getrefcount(expected) >= before - 1
    assert expected_of(word) == {"X": id(expected)}
    assert code.instance("function") not in code.view


def test_names_that_are_equal_are_one_object():
    module = types.ModuleType("settings")
    exec("X = 1.5", vars(module))
    code = Code()
    guard = code.guard(lambda: read_attribute(module, "an X"[3:]))
    (name,) = (name for name in vars(module) if name == "X")
    assert [binding.name is name for binding in guard.bindings] == [True]
