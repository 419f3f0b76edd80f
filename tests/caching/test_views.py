# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import enum
import gc
import types
import weakref
from dataclasses import dataclass, field

import pytest

from smelt.caching import (
    CacheView,
    CodeCache,
    CodeInstance,
    CycleError,
    EdgeError,
    FunctionTable,
    InstanceError,
    MakerError,
    MethodTable,
    NotCachedError,
    OutdatedError,
    OwnerError,
    Results,
    ResultsError,
    SmeltError,
    StackedMethodTable,
    World,
    WorldError,
    WorldRange,
    add_method,
    current_world,
    default_cache,
    method_instance,
    portable,
    read_global,
    remove_method,
    session_local,
)

setting = 1


def reads_setting():
    return setting


class Text(Results):
    text: str = portable(default="")


class Machine(Results):
    code: bytes = portable(default=b"")
    pointer: int = session_local()


@pytest.fixture
def view(bench):
    bench.define("f", (object,))
    bench.define("g", (object,))
    return bench.view


@pytest.fixture
def f(bench, view):  # noqa: ARG001
    return bench.instance("f")


@pytest.fixture
def g(bench, view):  # noqa: ARG001
    return bench.instance("g")


def never(_view, _instance):
    raise AssertionError("the maker ran on a hit")


def plain(view, instance):
    return view.code_instance(instance)


# A mapping


def test_a_view_is_a_mapping_from_instances_to_code(view, f, g):
    assert f not in view
    assert view.get(f) is None
    assert view.get(f, "default") == "default"
    code = view.get_or_create(f, plain)
    assert f in view
    assert view[f] is view.get(f) is view.get(f, "default") is code
    assert g not in view


def test_what_is_not_cached_is_an_error_that_names_instance_owner_and_world(bench, view, f):
    with pytest.raises(NotCachedError) as caught:
        view[f]
    assert str(caught.value) == f"f(int) has no code for 'tester' in world {bench.cache.world()}"
    assert isinstance(caught.value, KeyError)
    assert isinstance(caught.value, SmeltError)


def test_the_maker_runs_on_a_miss_only(bench, view, f):
    # The original's "basic caching".
    first = view.get_or_create(f, bench.maker())
    view.results(first).value = 100
    second = view.get_or_create(f, never)
    assert second is first
    assert view.results(second) is view.results(first)
    assert view.results(second).value == 100
    assert bench.made == ["f(int)"]


def test_the_maker_is_called_with_the_view_frozen_and_the_instance(view, f):
    calls = []

    def make(given, instance):
        calls.append((given.is_live, given.owner, given.results_class, given.world, instance))
        return given.code_instance(instance)

    world = view.world
    view.get_or_create(f, make)
    assert calls == [(False, "tester", view.results_class, world, f)]


def test_a_maker_may_put_its_code_in_itself_and_may_ask_for_others(view, f, g):
    def make(view, instance):
        callee = view.get_or_create(g, plain)
        view[instance] = view.code_instance(instance, [callee])
        return view[instance]

    code = view.get_or_create(f, make)
    assert view[f] is code
    assert view[g] in code.dependencies


def test_code_set_by_hand_is_found(view, f):
    code = view.code_instance(f)
    assert f not in view
    assert code.world_range.last < code.world_range.first
    view[f] = code
    assert view[f] is code
    view[f] = code
    assert view[f] is code
    assert code.is_current


def test_replacing_code_invalidates_the_old_one_and_its_dependents_and_begins_a_world(bench, view, f, g):
    callee = bench.compile("g")
    caller = bench.compile("f", callee)
    before = bench.cache.world()
    frozen = view.frozen()
    replacement = view.code_instance(g)
    view[g] = replacement
    assert view[g] is replacement
    assert f not in view
    assert not callee.is_current
    assert not caller.is_current
    assert bench.cache.world() > before
    assert bench.cache.why(caller) == (
        f"g(int) was given other code; f(int) depends on it (world {bench.cache.world()})",
    )
    assert frozen[f] is caller


def test_a_view_shows_its_owner_and_world(bench, view):
    assert str(view) == "<view of the code of 'tester', live>"
    assert str(view.frozen()) == f"<view of the code of 'tester', frozen at world {bench.cache.world()}>"
    assert view.owner == "tester"


def test_code_shows_what_it_is_for_and_where_it_is_valid(view, f):
    code = view.code_instance(f)
    assert repr(code) == "<code of f(int) for 'tester', not cached>"
    view[f] = code
    assert repr(code) == f"<code of f(int) for 'tester', worlds {f.method.world_range.first}..>"
    assert (code.instance, code.owner, code.edges) == (f, "tester", ())


# Owners


class Level(enum.Enum):
    LOW = 1
    HIGH = 2


@dataclass(frozen=True)
class Settings:
    level: object
    note: str = field(default="", compare=False)


@pytest.mark.parametrize(
    "owners",
    [
        (("compiler", 1), ("compiler", 2)),
        (1, 1.0, True, "1", b"1", 1 + 0j, (1,), (1.0,), (True,), Level.LOW),
        (0.0, -0.0, 0, False, None, ""),
        (Settings(1), Settings(1.0), Settings(True), Settings("1"), Settings(Level.LOW), Settings(Level.HIGH)),
        ((1, (2, 3)), (1, (2, 3.0)), ((1, 2), 3)),
        (frozenset({1}), frozenset({1.0}), frozenset({True})),
        (int, "int", bool),
    ],
    ids=str,
)
def test_code_of_owners_that_differ_is_kept_apart(bench, f, owners):
    views = [CacheView(owner, Text, cache=bench.cache) for owner in owners]
    codes = [one.get_or_create(f, bench.maker()) for one in views]
    for one, code in zip(views, codes, strict=True):
        one.results(code).text = repr(one.owner)
    assert len(set(codes)) == len(bench.made) == len(owners)
    for owner, code in zip(owners, codes, strict=True):
        again = CacheView(owner, Text, cache=bench.cache)
        assert again[f] is code
        assert again.results(code).text == repr(owner)
        assert type(code.owner) is type(owner)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("compiler", 1), ("compiler", 1)),
        (float("nan"), float("nan")),
        (Settings(1, "one"), Settings(1, "another")),
        (b"compiler".decode(), "compiler"),
    ],
)
def test_code_of_owners_that_are_the_same_constant_is_shared(bench, view, f, first, second):  # noqa: ARG001
    code = CacheView(first, Text, cache=bench.cache).get_or_create(f, plain)
    assert CacheView(second, Text, cache=bench.cache)[f] is code


@pytest.mark.parametrize("owner", [[], {}, {1}, ("compiler", [1]), Settings([])])
def test_an_owner_that_can_not_be_hashed_is_refused_by_name(bench, owner):
    with pytest.raises(OwnerError) as caught:
        CacheView(owner, Text, cache=bench.cache)
    assert str(caught.value).startswith(f"{owner!r} can't be an owner: unhashable type")
    assert isinstance(caught.value, TypeError)


def test_an_owner_that_has_no_view_and_no_code_is_forgotten(bench):
    CacheView("passing", Text, cache=bench.cache)
    gc.collect()
    assert "passing" not in bench.cache._owners
    assert "tester" in bench.cache._owners


# Results


def test_several_results_classes_hang_on_one_code_instance(view, f):
    code = view.get_or_create(f, plain)
    as_text, as_machine = view.with_results(Text), view.with_results(Machine)
    assert as_text[f] is as_machine[f] is code
    as_text.results(code).text = "add"
    as_machine.results(code).pointer = 0x1000
    assert code.results(Text) is as_text.results(code)
    assert (code.results(Text).text, code.results(Machine).pointer, view.results(code).value) == ("add", 0x1000, None)
    assert {type(results) for results in code.attached_results()} == {Text, Machine, view.results_class}


def test_results_are_there_and_empty_on_new_code(view, f):
    code = view.code_instance(f)
    assert [type(results) for results in code.attached_results()] == [view.results_class]
    assert view.results(code).value is None


def test_a_view_with_other_results_sees_the_same_world(view):
    assert view.with_results(Text).is_live
    frozen = view.frozen()
    assert frozen.with_results(Text).world is frozen.world


@pytest.mark.parametrize("wrong", [Results, dict, Text(), None, "Text"])
def test_what_is_no_results_class_is_refused(bench, view, f, wrong):
    code = view.get_or_create(f, plain)
    for ask in (
        lambda: CacheView("tester", wrong, cache=bench.cache),
        lambda: view.with_results(wrong),
        lambda: code.results(wrong),
    ):
        with pytest.raises(ResultsError, match="is no results class; derive it from Results"):
            ask()
    assert len(list(code.attached_results())) == 1


# Worlds


def test_an_older_view_keeps_seeing_what_was_valid_there(bench, view):
    frozen, codes, instances = [], [], []
    for source in range(4):
        bench.define("h", (int,), source)
        instances.append(bench.instance("h"))
        codes.append(bench.compile("h"))
        frozen.append(view.frozen())
    for index, older in enumerate(frozen):
        world = older.world
        assert bench.instance("h", world=world) is instances[index]
        assert [older.get(instance) for instance in instances] == [
            code if world in code.world_range else None for code in codes
        ]
        assert older[instances[index]] is codes[index]
    assert [view.get(instance) for instance in instances] == [None, None, None, codes[3]]


def test_several_generations_of_code_of_one_instance_are_found_by_world(bench, view, f):
    worlds, codes = [], []
    for source in range(4):
        bench.define("g", (int,), source)
        codes.append(bench.compile("f", bench.compile("g")))
        worlds.append(view.frozen())
    assert [older[f] for older in worlds] == codes
    assert view[f] is codes[-1]
    assert len({code.instance for code in codes}) == 1
    references = [weakref.ref(code) for code in codes]
    # Let go in the middle, at the end and at the beginning.
    for gone in (1, 2, 0):
        worlds[gone] = codes[gone] = None
        gc.collect()
        bench.cache.check_invariants()
        assert [older[f] for older in worlds if older] == [code for code in codes if code]
        assert [reference() for reference in references] == codes


def test_code_is_made_for_an_older_world_as_it_was_there(bench, view):
    bench.define("h", (int,), "old")
    frozen = view.frozen()
    bench.define("h", (int,), "new")
    new = bench.compile("h")
    old = bench.compile("h", view=frozen)
    assert (old.instance.source, new.instance.source) == ("old", "new")
    assert not old.is_current
    assert old.world_range.last == int(frozen.world)
    assert frozen[old.instance] is old
    assert view.get(old.instance) is None
    assert view[new.instance] is new


def test_code_for_an_older_world_does_not_hide_the_current_code(bench, view):
    bench.define("main")
    frozen = view.frozen()
    at_that_time = bench.table.dispatch("late", (int,))
    bench.define("late")
    instance = bench.instance("main")
    now = bench.compile("main", bench.table.dispatch("late", (int,)))
    then = bench.compile("main", at_that_time, view=frozen)
    assert frozen[instance] is then
    assert view[instance] is now
    assert then.world_range == (int(frozen.world), int(frozen.world))
    bench.define("late")
    assert frozen[instance] is then
    assert instance not in view


def test_a_world_is_taken_after_all_changes_so_far_were_noticed(bench, view, f):
    view.get_or_create(f, bench.maker(*read_global(reads_setting, "setting").edges))
    before = bench.cache.world()
    globals()["setting"] = 2
    assert bench.cache.world() > before
    assert f not in view.frozen()
    assert f in CacheView("tester", Text, world=before, cache=bench.cache)


def test_an_older_view_finds_code_made_later_that_is_valid_there_too(view, f):
    frozen = view.frozen()
    code = view.get_or_create(f, plain)
    assert frozen[f] is code


def test_a_frozen_view_is_pinned_whatever_happens(bench, view):
    frozen = view.frozen()
    assert frozen.frozen() is frozen
    assert not frozen.is_live
    assert view.is_live
    before = frozen.world
    bench.define("f", (int,))
    assert frozen.world is before
    assert view.world > before
    assert CacheView("tester", Text, world=before, cache=bench.cache).world is before
    assert CacheView("tester", Text, world=int(before), cache=bench.cache).world is before


def test_a_world_object_pins_what_was_valid_and_nothing_else_does(bench, view):
    bench.define("h", (int,), 1)
    code = bench.compile("h")
    world = bench.cache.world()
    bench.define("h", (int,), 2)
    reference, instance = weakref.ref(code), code.instance
    del code
    gc.collect()
    assert CacheView("tester", Text, world=world, cache=bench.cache)[instance] is reference()
    number = int(world)
    del world
    gc.collect()
    assert instance not in view
    assert reference() is None
    with pytest.raises(WorldError, match=f"world {number} is gone: nobody held it"):
        CacheView("tester", Text, world=number, cache=bench.cache)


def test_worlds_that_are_none_are_refused(bench, view):
    now = int(bench.cache.world())
    for world in (now + 1, 0, -1):
        with pytest.raises(WorldError, match=f"there is no world {world}; the current one is {now}"):
            CacheView("tester", Text, world=world, cache=bench.cache)
    for world in ("1", 1.0, view):
        with pytest.raises(WorldError, match="is no world"):
            CacheView("tester", Text, world=world, cache=bench.cache)


def test_a_world_of_another_cache_is_refused(bench, view, f):
    elsewhere = CodeCache()
    for _ in range(10):
        add_method(MethodTable("t", cache=elsewhere), "f", (int,), None)
    held = [elsewhere.world(), CodeCache().world()]
    for world in held:
        with pytest.raises(WorldError, match=rf"World\({world}\) is a world of another code cache"):
            CacheView("tester", Text, world=world, cache=bench.cache)
        with pytest.raises(WorldError, match="another code cache"):
            bench.table.dispatch("f", (int,), world)
    assert view.get(f) is None


def test_a_world_is_one_object_that_compares_as_its_number(bench):
    world = bench.cache.world()
    assert bench.cache.world() is world
    bench.define("f")
    later = bench.cache.world()
    assert world < later
    assert later > int(world)
    assert world == int(world)
    assert world != later
    assert world != "1"
    assert hash(world) == hash(int(world))
    assert [*range(3)][World(1)] == 1
    assert (repr(World(3)), str(World(3))) == ("World(3)", "3")


def test_world_ranges_contain_and_intersect():
    assert 3 in WorldRange(3)
    assert World(10**9) in WorldRange(3)
    assert 2 not in WorldRange(3)
    assert 5 not in WorldRange(3, 4)
    assert "3" not in WorldRange(3)
    assert WorldRange(1, 5).intersection(WorldRange(3)) == WorldRange(3, 5)
    assert 3 not in WorldRange(1, 2).intersection(WorldRange(4))
    assert (str(WorldRange(3)), str(WorldRange(3, 4))) == ("3..", "3..4")


# Makers that fail


def test_a_maker_that_raises_leaves_nothing_behind_and_the_next_call_tries_again(bench, view, f, g):
    view.get_or_create(g, plain)
    before = bench.registered()
    attempts = []

    def failing(view, instance):
        attempts.append(instance)
        view.code_instance(instance, [view[g], bench.table.dispatch("g", (int,))])
        raise ZeroDivisionError("no code today")

    for _ in range(2):
        with pytest.raises(ZeroDivisionError, match="no code today"):
            view.get_or_create(f, failing)
    assert attempts == [f, f]
    assert f not in view
    assert bench.registered() == before
    assert view.get_or_create(f, plain) is view[f]


def test_what_a_maker_made_of_others_before_it_raised_stays(view, f, g):
    def failing(view, _instance):
        view.get_or_create(g, plain)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        view.get_or_create(f, failing)
    assert g in view
    assert f not in view


def test_an_interrupted_maker_leaves_nothing_behind(view, f):
    def interrupted(_view, _instance):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        view.get_or_create(f, interrupted)
    assert view.get_or_create(f, plain) is view[f]


def test_a_maker_that_returns_the_wrong_thing_is_told_what_to_return(bench, view, f, g):
    foreign = code_of_another_cache()
    stale = bench.compile("g")
    view[g] = view.code_instance(g)
    wrong = {
        "nothing": (None, "returned None; it has to return the code instance that view.code_instance"),
        "results": (Text(), "it has to return the code instance"),
        "the instance": (f, "it has to return the code instance"),
        "code of another instance": (
            view.code_instance(g),
            "the maker of f(int) for 'tester' returned <code of g(int)",
        ),
        "code of another owner": (
            CacheView("other", Text, cache=bench.cache).code_instance(f),
            "for 'other', not cached>",
        ),
        "code of another cache": (foreign, "the maker of f(int) for 'tester' returned"),
        "ended code of another instance": (stale, "the maker of f(int) for 'tester' returned"),
    }
    before = bench.registered()
    for what, (code, text) in wrong.items():
        with pytest.raises(MakerError) as caught:
            view.get_or_create(f, lambda view, instance, code=code: code)  # noqa: ARG005
        assert text in str(caught.value), what
        assert bench.registered() == before, what
        assert f not in view
    assert view.get_or_create(f, plain).is_current


def code_of_another_cache():
    cache = CodeCache()
    table = MethodTable("elsewhere", cache=cache)
    add_method(table, "f", (object,), None)
    return CacheView("tester", Text, cache=cache).code_instance(method_instance("f", (int,), table=table))


def test_a_maker_that_returns_code_which_was_invalidated_is_refused(bench, view, f):
    stale = bench.compile("f", bench.compile("g"))
    bench.define("g", (object,))
    with pytest.raises(MakerError, match="which is valid no longer; it has to make a new one"):
        view.get_or_create(f, lambda view, instance: stale)  # noqa: ARG005
    with pytest.raises(InstanceError, match="was in the cache already and is valid no longer"):
        view[f] = stale
    assert f not in view
    assert not stale.is_current


def test_a_maker_that_asks_for_itself_is_told_of_the_circle(view, f, g):
    def make(view, instance):
        return view.code_instance(instance, [view.get_or_create(g if instance is f else f, make)])

    with pytest.raises(
        CycleError, match=r"f\(int\) is asked for while it is being made: f\(int\) -> g\(int\) -> f\(int\)"
    ):
        view.get_or_create(f, make)
    assert f not in view
    assert g not in view
    assert view.get_or_create(f, plain).is_current


# Things that are no instances


def test_none_is_no_instance_and_the_error_says_where_it_came_from(bench, view):
    missing = method_instance("f", (int, int, int), table=bench.table)
    asks = [
        lambda: view.get(missing),
        lambda: view[missing],
        lambda: missing in view,
        lambda: view.get_or_create(missing, never),
        lambda: view.code_instance(missing),
    ]
    for ask in asks:
        with pytest.raises(InstanceError, match="None is no method instance: no method matched the call"):
            ask()
    with pytest.raises(InstanceError, match="'f' is no method instance; method_instance"):
        view.get_or_create("f", never)
    with pytest.raises(InstanceError, match="is no method instance"):
        view.frozen().get(3)


def test_only_code_of_the_instance_and_owner_can_be_put_in(bench, view, f, g):
    other_owner = CacheView("other", Text, cache=bench.cache).code_instance(f)
    for code in (None, view.results_class(), view.code_instance(g), other_owner):
        with pytest.raises(InstanceError, match=r"is no code of f\(int\) for 'tester'"):
            view[f] = code
    assert f not in view


def test_an_instance_of_another_cache_is_refused(view):
    table = MethodTable("elsewhere", cache=CodeCache())
    add_method(table, "f", (int,), None)
    instance = method_instance("f", (int,), table=table)
    with pytest.raises(InstanceError, match=r"f\(int\) is defined in another code cache than that of the view"):
        view.get_or_create(instance, never)
    with pytest.raises(InstanceError, match="another code cache"):
        view[instance] = view.code_instance(instance)
    assert instance not in view


# Edges that are none


def bad_edges(bench):
    view, cache = bench.view, bench.cache
    g, elsewhere = bench.instance("g"), MethodTable("elsewhere", cache=CodeCache())
    add_method(elsewhere, "g", (object,), None)
    other = CacheView("other", Text, cache=cache)
    foreign = CacheView("tester", Text, cache=elsewhere.cache)
    foreign_instance = method_instance("g", (int,), table=elsewhere)
    ended = bench.define("ended", (object,))
    ended_instance = bench.instance("ended")
    ended_code = bench.compile("ended")
    ended_outcome = bench.table.dispatch("ended", (int,))
    remove_method(bench.table, ended)
    missing = bench.table.dispatch("late", (int,))
    bench.define("late", (int,))
    return {
        "no edge": (
            "g",
            "f(int): 'g' is no edge; an edge is a code instance, a method instance, an outcome of dispatch",
        ),
        "None": (None, "None is no edge"),
        "a method": (g.method, "is no edge"),
        "unpublished code": (view.code_instance(g), "has to be in the cache before other code can depend on it"),
        "another owner": (other.get_or_create(g, plain), "<code of g(int) for 'other', worlds"),
        "another cache": (foreign.get_or_create(foreign_instance, plain), "is of another owner than 'tester'"),
        "instance of another cache": (
            foreign_instance,
            "<method g(object) of elsewhere> belongs to another code cache",
        ),
        "outcome of another cache": (elsewhere.dispatch("g", (int,)), "belongs to another code cache"),
        "instance of another world": (ended_instance, "<method ended(object) of bench> stands in the worlds"),
        "code of another world": (ended_code, "is not valid in world"),
        "outcome of another world": (ended_outcome, "is not what is found in world"),
        "outcome found since": (missing, "<dispatch of late(int) to None> is not what is found in world"),
    }


EDGES = [
    "no edge",
    "None",
    "a method",
    "unpublished code",
    "another owner",
    "another cache",
    "instance of another cache",
    "outcome of another cache",
    "instance of another world",
    "code of another world",
    "outcome of another world",
    "outcome found since",
]


@pytest.mark.parametrize("place", ["first", "last"])
@pytest.mark.parametrize("how", ["get_or_create", "setitem"])
@pytest.mark.parametrize("what", EDGES)
def test_a_bad_edge_is_refused_and_leaves_nothing_half_registered(bench, view, f, what, how, place):
    edges = bad_edges(bench)
    assert list(edges) == EDGES
    bad, text = edges[what]
    bench.define("h", (object,))
    callee = bench.compile("h")
    good = (
        callee,
        bench.instance("h", (str,)),
        bench.table.dispatch("g", (int,)),
        *read_global(reads_setting, "setting").edges,
    )
    all_edges = (*good, bad) if place == "last" else (bad, *good)
    before = bench.registered()
    put = {
        "setitem": lambda: view.__setitem__(f, view.code_instance(f, all_edges)),
        "get_or_create": lambda: view.get_or_create(f, bench.maker(*all_edges)),
    }
    with pytest.raises(EdgeError) as caught:
        put[how]()
    assert text in str(caught.value)
    assert isinstance(caught.value, ValueError)
    assert f not in view
    assert bench.registered() == before
    bench.cache.check_invariants()
    code = view.get_or_create(f, bench.maker(*good))
    assert view[f] is code
    assert callee in code.dependencies
    bench.define("h", (object,))
    assert f not in view


def test_edges_that_were_never_valid_together_are_refused(bench, view, f):
    frozen = view.frozen()
    bench.define("late", (object,))
    with pytest.raises(EdgeError, match=r"<method late\(object\) of bench> stands in the worlds"):
        frozen.get_or_create(f, bench.maker(bench.instance("late")))
    assert f not in frozen


def test_the_same_edge_twice_is_one_dependency(bench, view, f, g):
    callee = view.get_or_create(g, plain)
    code = view.get_or_create(f, bench.maker(callee, callee, g, g.method.specialise((int,))))
    assert len(code.dependencies) == len(set(code.dependencies))
    assert code.edges == (callee, callee, g, g)


def test_edges_may_be_any_iterable(bench, view, f, g):
    callee = view.get_or_create(g, plain)
    code = view.get_or_create(f, lambda view, instance: view.code_instance(instance, (edge for edge in [callee])))
    bench.define("g", (object,))
    assert not code.is_current


# What changes while it is made


@pytest.fixture(autouse=True)
def setting_as_it_was():
    yield
    globals()["setting"] = 1


def make_while_setting_changes(values):
    """A maker during whose first runs the setting that it has read changes."""
    changes, seen = iter(values), []

    def make(view, instance):
        observed = read_global(reads_setting, "setting")
        seen.append(observed.value)
        globals()["setting"] = next(changes, observed.value)
        code = view.code_instance(instance, observed.edges)
        view.with_results(Text).results(code).text = str(observed.value)
        return code

    return make, seen


def test_what_a_live_view_is_making_while_something_that_it_read_changes_is_made_again(bench, view, f):
    make, seen = make_while_setting_changes([2, 3])
    code = view.get_or_create(f, make)
    assert seen == [1, 2, 3]
    assert code.results(Text).text == "3"
    assert view[f] is code
    assert bench.cache.counts.made == 1
    assert bench.cache.counts.failed == 0
    globals()["setting"] = 4
    assert f not in view


def test_what_a_frozen_view_is_making_while_something_that_it_read_changes_is_outdated(bench, view, f):
    frozen = view.frozen()
    before = bench.registered()
    make, seen = make_while_setting_changes([2])
    with pytest.raises(OutdatedError, match=r"f\(int\): .*setting has changed since it was read for world") as caught:
        frozen.get_or_create(f, make)
    assert isinstance(caught.value, WorldError)
    assert seen == [1]
    assert f not in view
    assert f not in frozen
    assert bench.registered() == before


def test_code_put_in_by_hand_that_is_outdated_is_refused(bench, view, f):
    code = view.code_instance(f, read_global(reads_setting, "setting").edges)
    globals()["setting"] = 2
    before = bench.registered()
    with pytest.raises(OutdatedError):
        view[f] = code
    assert bench.registered() == before
    assert f not in view


def test_a_source_that_is_replaced_while_it_is_compiled_is_compiled_again(bench):
    def source(x):
        return x

    view, instance = bench.view, FunctionTable(cache=bench.cache).method_instance(source, (int,))
    compiled = []

    def make(view, instance):
        compiled.append(source.__code__.co_code)
        if len(compiled) == 1:
            source.__code__ = (lambda x: x + 1).__code__
        # Made after the replacement, so that its own look at the source sees the new one.
        return view.code_instance(instance)

    code = view.get_or_create(instance, make)
    assert compiled[-1] == source.__code__.co_code != compiled[0]
    assert view[instance] is code
    assert bench.cache.counts.made == 1


def test_a_callee_made_again_deep_inside_makes_its_caller_again(bench, view, f, g):
    make_callee, seen = make_while_setting_changes([2])
    callers = []

    def make(view, instance):
        callers.append(instance)
        return view.code_instance(instance, [view.get_or_create(g, make_callee)])

    code = view.get_or_create(f, make)
    assert code.is_current
    assert view[g].results(Text).text == "2"
    assert seen == [1, 2]
    assert callers == [f, f]
    assert bench.cache.counts.made == 2


def test_a_maker_that_changes_what_it_reads_is_stopped(view, f):
    def make(view, instance):
        observed = read_global(reads_setting, "setting")
        globals()["setting"] = observed.value + 1
        return view.code_instance(instance, observed.edges)

    with pytest.raises(WorldError, match=r"f\(int\) was made 100 times, and each time something"):
        view.get_or_create(f, make)
    assert f not in view


def test_a_definition_while_code_is_made_ends_the_code_where_it_was_right(bench, view, f):
    bench.define("callee", (object,), "old")

    def make(view, instance):
        outcome = bench.table.dispatch("callee", (int,), view.world)
        bench.define("callee", (int,), "new")
        return view.code_instance(instance, [outcome])

    code = view.get_or_create(f, make)
    assert code.world_range.first == code.world_range.last == int(bench.cache.world()) - 1
    assert f not in view


def test_views_belong_to_the_cache_of_the_process_unless_they_are_given_another():
    view = CacheView("a test of views", Text)
    assert view.cache is default_cache()
    assert view.world is current_world()


def test_a_view_of_a_stack_finds_code_by_the_instance_whichever_table_found_it(bench, view, f):
    stack = StackedMethodTable(MethodTable("overlay", cache=bench.cache), bench.table)
    code = view.get_or_create(f, plain)
    assert view[stack.method_instance("f", (int,))] is code
    assert isinstance(code, CodeInstance)


def test_what_is_made_in_an_older_view_leaves_what_was_made_since_alone(bench):
    """Code that read a name is known to be valid from its own world on only, so the older view does not find the newer code."""
    settings = types.ModuleType("settings")
    exec("X = 1\ndef function(): return X", vars(settings))
    add_method(bench.table, "reader", (), None)
    add_method(bench.table, "caller", (), None)
    reader, caller = (bench.table.method_instance(name, ()) for name in ("reader", "caller"))

    def make(view, instance):
        return view.code_instance(instance, edges=read_global(settings.function, "X").edges)

    older = bench.view.frozen()
    add_method(bench.table, "something else", (), None)
    newer = bench.view.get_or_create(reader, make)
    made_in_older = older.get_or_create(reader, make)
    assert made_in_older is not newer
    assert int(older.world) in made_in_older.world_range
    assert older[reader] is made_in_older
    assert bench.view[reader] is newer
    assert newer.is_current

    def make_caller(view, instance):
        return view.code_instance(instance, edges=[view.get_or_create(reader, make)])

    assert int(older.world) in older.get_or_create(caller, make_caller).world_range
    assert caller not in bench.view
