# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import gc
import sys
import types
import weakref

import pytest

from smelt.caching import (
    CacheView,
    CodeCache,
    EdgeError,
    FunctionTable,
    MethodTable,
    Miss,
    Results,
    StackedMethodTable,
    add_method,
    method_instance,
    portable,
    read_global,
)
from smelt.caching.invalidation import InvalidationLog


class Answer(Results):
    value: int | None = portable()


@pytest.fixture
def module():
    """A module's namespace that several caches may depend on, and a function in it."""
    made = types.ModuleType("shared")
    exec("factor = 2\nother = 3\ndef scale(x):\n    return factor * x\n", made.__dict__)
    return made


def chain(bench, length, prefix="f"):
    """Code of `length` functions, each of which calls the one before."""
    codes = []
    for index in range(length):
        bench.define(f"{prefix}{index}", (int,))
        codes.append(bench.compile(f"{prefix}{index}", *codes[-1:]))
    return codes


def current(codes):
    return [code.is_current for code in codes]


# Reach


def test_redefining_a_callee_makes_its_caller_again(bench):
    # The original's "dependency invalidation".
    bench.define("child")
    bench.define("parent")

    def make(view, instance):
        bench.made.append(str(instance))
        child = bench.instance("child", world=view.world)
        view.get_or_create(child, bench.maker())
        return view.code_instance(instance, [child])

    def compile_parent():
        return bench.view.get_or_create(bench.instance("parent"), make)

    first = compile_parent()
    assert bench.made == ["parent(int)", "child(int)"]
    assert compile_parent() is first
    bench.define("child")
    bench.compile("child")
    assert bench.made == ["parent(int)", "child(int)", "child(int)"]
    # Its edge names the method of the old definition, which stands no longer.
    assert not bench.has("parent")
    assert compile_parent() is not first
    assert bench.made == ["parent(int)", "child(int)", "child(int)", "parent(int)"]


@pytest.mark.parametrize("changed", range(5))
def test_a_change_reaches_all_callers_however_far_and_no_callee(bench, changed):
    codes = chain(bench, 5)
    bystanders = chain(bench, 3, "g")
    bench.define(f"f{changed}")
    assert current(codes) == [index < changed for index in range(5)]
    assert current(bystanders) == [True] * 3
    assert bench.cache.counts.invalidated == 5 - changed


def test_code_of_other_types_of_the_same_method_is_reached_by_the_method_only(bench):
    bench.define("f", (object,))
    bench.define("main", (object,))
    of_int, of_str = bench.compile("f", types=(int,)), bench.compile("f", types=(str,))
    caller = bench.compile("main", of_int)
    other_caller = bench.compile("main", of_str, types=(str,))
    bench.view[of_int.instance] = bench.view.code_instance(of_int.instance)
    assert current([of_int, caller, of_str, other_caller]) == [False, False, True, True]
    bench.define("f", (object,))
    assert current([of_str, other_caller]) == [False, False]


def test_a_diamond_is_reached_once(bench):
    for name in ("top", "left", "right", "bottom"):
        bench.define(name)
    top = bench.compile("top")
    left, right = bench.compile("left", top), bench.compile("right", top)
    bottom = bench.compile("bottom", left, right)
    bench.define("top")
    assert current([top, left, right, bottom]) == [False] * 4
    assert bench.cache.invalidations[-1].size == bench.cache.counts.invalidated == 4


def test_code_that_was_invalidated_depends_on_nothing_any_more(bench):
    bench.define("f")
    bench.define("main")
    callee = bench.compile("f")
    caller = bench.compile("main", callee, bench.table.dispatch("g", (int,)))
    bench.define("f")
    assert caller.dependencies == callee.dependencies == ()
    assert not callee.dependents
    count = len(bench.cache.invalidations)
    bench.define("g")
    assert len(bench.cache.invalidations) == count


def test_a_definition_that_nothing_depends_on_is_no_invalidation(bench):
    bench.define("f")
    bench.define("f")
    bench.define("g")
    assert len(bench.cache.invalidations) == 0
    assert bench.cache.counts.invalidated == 0


# World ranges


def test_ranges_are_capped_at_the_world_before_the_change(bench):
    held = bench.cache.world()
    codes = chain(bench, 3)
    assert [code.world_range.first for code in codes] == [int(held) + 1 + index for index in range(3)]
    before = bench.cache.world()
    bench.define("f1")
    after = bench.cache.world()
    assert int(after) == int(before) + 1
    assert codes[0].world_range.last == sys.maxsize
    assert [code.world_range.last for code in codes[1:]] == [int(before)] * 2
    bench.define("f1")
    assert [code.world_range.last for code in codes[1:]] == [int(before)] * 2


def test_code_is_valid_where_all_that_it_depends_on_is(bench):
    bench.define("f")
    first = bench.cache.world()
    bench.define("g")
    second = bench.cache.world()
    bench.define("main")
    third = bench.cache.world()
    on_nothing = bench.compile("f")
    on_f = bench.compile("g", on_nothing)
    on_both = bench.compile("main", on_nothing, on_f)
    assert [int(code.world_range.first) for code in (on_nothing, on_f, on_both)] == [first, second, third]
    late = bench.cache.world()
    outcome = bench.table.dispatch("f", (int,))
    bench.define("last", (object,))
    on_outcome = bench.compile("last", outcome)
    assert on_outcome.world_range.first == int(late) + 1
    on_callee = bench.compile("g", on_outcome, types=(bool,))
    assert on_callee.instance.method.world_range.first == int(second)
    assert on_callee.world_range.first == int(late) + 1
    frozen = bench.view.frozen()
    bench.define("f")
    on_old = bench.compile("last", bench.instance("f", world=frozen.world), types=(str,), view=frozen)
    assert on_old.world_range.last == int(frozen.world)


# The record


def test_an_invalidation_is_drawn_as_a_tree_from_the_cause_to_the_last_dependent(bench):
    for name in ("axpy", "blur", "main", "saxpy", "test"):
        bench.define(name, (object,))
    axpy = bench.compile("axpy", types=(float,))
    saxpy = bench.compile("saxpy", axpy)
    blur = bench.compile("blur", axpy)
    bench.compile("main", blur)
    bench.compile("test", saxpy, blur)
    other = CacheView(("other", 2), Answer, cache=bench.cache)
    bench.compile("axpy", types=(int,), view=other)
    bench.define("axpy", (object,))
    invalidation = bench.cache.invalidations[-1]
    assert str(invalidation) == (
        f"axpy(object) was redefined in bench (world {bench.cache.world()})\n"
        "├─ axpy(float) for 'tester'\n"
        "│  ├─ saxpy(int) for 'tester'\n"
        "│  │  └─ test(int) for 'tester'\n"
        "│  └─ blur(int) for 'tester'\n"
        "│     └─ main(int) for 'tester'\n"
        "└─ axpy(int) for ('other', 2)"
    )
    assert (invalidation.world, invalidation.size) == (int(bench.cache.world()), 6)


def test_why_tells_the_change_and_the_way_that_it_took(bench):
    codes = chain(bench, 3)
    bench.define("f0")
    world = bench.cache.world()
    line = (
        "f0(int) was redefined in bench; f0(int) depends on it, which f1(int) depends on, which f2(int) depends on "
        f"(world {world})"
    )
    assert bench.cache.why(codes[2]) == (line,)
    assert bench.cache.why(codes[2].instance) == (line,)
    assert bench.cache.why("f2(int)") == (line,)
    assert bench.cache.why("f0(int)") == (f"f0(int) was redefined in bench; f0(int) depends on it (world {world})",)
    assert bench.cache.why("f3(int)") == ()


def test_why_tells_the_latest_change_first(bench, module):
    bench.define("f")
    bench.define("main")
    expected = []
    for _ in range(3):
        main = bench.compile("main", bench.compile("f"))
        bench.define("f")
        expected.insert(
            0,
            f"f(int) was redefined in bench; f(int) depends on it, which main(int) depends on (world {bench.cache.world()})",
        )
    main = bench.compile("main", *read_global(module.scale, "factor").edges)
    module.factor = 7
    assert not bench.has("main")
    expected.insert(0, f"shared.factor was rebound; main(int) depends on it (world {bench.cache.world()})")
    assert bench.cache.why(main) == tuple(expected)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda module: setattr(module, "factor", 9), "shared.factor was rebound"),
        (lambda module: delattr(module, "factor"), "shared.factor was deleted"),
    ],
)
def test_the_cause_says_what_became_of_a_name(bench, module, change, cause):
    bench.define("main")
    main = bench.compile("main", *read_global(module.scale, "factor").edges)
    change(module)
    assert not bench.has("main")
    assert bench.cache.why(main)[0].startswith(f"{cause}; main(int) depends on it")


def test_the_causes_of_definitions_say_which(bench):
    bench.define("main")
    bench.compile("main", bench.table.dispatch("f", (int,)))
    method = bench.define("f", (object,))
    bench.compile("main", bench.table.dispatch("f", (int,)))
    bench.define("f", (object,))
    bench.compile("main", bench.table.dispatch("f", (int,)))
    bench.table.remove(bench.instance("f").method)
    assert [invalidation.cause for invalidation in bench.cache.invalidations] == [
        "f(object) was defined in bench",
        "f(object) was redefined in bench",
        "f(object) was removed from bench",
    ]
    assert method.world_range.last < int(bench.cache.world())


def test_the_record_keeps_nothing_alive(bench):
    def compile_and_redefine():
        code = bench.compile("main", bench.compile("f"))
        bench.define("f")
        return weakref.ref(code)

    bench.define("f")
    bench.define("main")
    code = compile_and_redefine()
    gc.collect()
    assert code() is None
    assert len(bench.cache.invalidations) == 1


def test_the_log_is_bounded_by_the_instances_that_it_names(bench):
    log = bench.cache.invalidations = InvalidationLog(most_instances=6)
    for _ in range(4):
        chain(bench, 2)
    assert len(log) == 3
    sizes = []
    for _ in range(5):
        chain(bench, 3)
        bench.define("f0")
        sizes.append(sum(entry.size for entry in log))
    assert max(sizes) <= 6
    chain(bench, 20)
    bench.define("f0")
    assert [entry.size for entry in log] == [20]
    assert log[0] is log[-1]
    assert log[:] == tuple(log)


def test_the_log_of_a_cache_has_a_bound(bench):
    bench.define("main")
    for _ in range(12):
        bench.compile("main")
        bench.define("main")
    assert len(bench.cache.invalidations) == 12
    bench.cache.invalidations._most_instances = 10
    bench.compile("main")
    bench.define("main")
    assert len(bench.cache.invalidations) == 10


# Deep chains


@pytest.fixture(scope="module")
def depth():
    assert sys.getrecursionlimit() < 5000
    return 5000


def test_five_thousand_instances_in_a_row_overflow_nothing(bench, module, depth):
    events = []
    unsubscribe = bench.cache.subscribe(events.append)
    codes, read = [], read_global(module.scale, "factor").edges
    for index in range(depth):
        bench.define(f"f{index}", (int,))
        codes.append(bench.compile(f"f{index}", *(codes[-1:] or read)))
    world = bench.cache.world()
    module.factor = 5
    assert not bench.has(f"f{depth - 1}")
    assert current(codes) == [False] * depth
    invalidation = bench.cache.invalidations[-1]
    assert invalidation.size == depth
    lines = str(invalidation).splitlines()
    assert len(lines) == depth + 1
    assert lines[-1] == "   " * (depth - 1) + f"└─ f{depth - 1}(int) for 'tester'"
    (why,) = bench.cache.why(codes[-1])
    assert why.count("which") == depth - 1
    assert len(repr(invalidation)) < 500
    assert hash(invalidation) == hash(invalidation)
    assert len({invalidation, invalidation.dependents[0]}) == 2
    assert invalidation in bench.cache.invalidations
    assert invalidation in events
    frozen = CacheView("tester", Answer, world=world, cache=bench.cache)
    assert frozen[codes[-1].instance] is codes[-1]
    # Made again, from the far end, with a listener that is told each cause.
    again = bench.compile(f"f{depth - 1}")
    miss = events[-2]
    assert isinstance(miss, Miss)
    assert len(miss.cause.chain) == depth
    unsubscribe()
    bench.cache.check_invariants()
    references = [weakref.ref(code) for code in (codes[0], codes[-1])]
    del codes, frozen, world, again, invalidation, events, miss, unsubscribe
    gc.collect()
    bench.cache.check_invariants()
    assert bench.view.get(bench.instance("f0")) is None
    assert references[0]() is None


def test_a_long_chain_is_let_go_at_once(depth):
    def build():
        cache = CodeCache()
        table, view = MethodTable("t", cache=cache), CacheView("o", Answer, cache=cache)
        code = None
        for index in range(depth):
            add_method(table, index, (), None)
            code = view.get_or_create(
                method_instance(index, (), table=table),
                lambda view, instance, callee=code: view.code_instance(instance, [callee] if callee else []),
            )
        return weakref.ref(code)

    reference = build()
    gc.collect()
    assert reference() is None


def test_a_long_chain_that_is_closed_to_a_circle_is_reached_as_a_whole(bench, depth):
    for index in range(depth):
        bench.define(f"f{index}")
    first = bench.compile("f0", bench.instance(f"f{depth - 1}"))
    codes = [first]
    for index in range(1, depth):
        codes.append(bench.compile(f"f{index}", codes[-1]))
    bench.define(f"f{depth // 2}")
    assert current(codes) == [False] * depth
    assert len(str(bench.cache.invalidations[-1]).splitlines()) == depth + 1


# Circles


def mutually_recursive(bench, module, view=None):
    """Code of `even` and `odd`, which call each other; `even` alone reads a global."""
    view = view or bench.view
    world = None if view.is_live else view.world
    even, odd = bench.instance("even", world=world), bench.instance("odd", world=world)
    odd_code = view.get_or_create(odd, bench.maker(even))
    even_code = view.get_or_create(even, bench.maker(odd_code, *read_global(module.scale, "factor").edges))
    return even_code, odd_code


@pytest.fixture
def parity(bench):
    bench.define("even")
    bench.define("odd")
    bench.define("main")
    return bench


def test_functions_that_call_each_other_depend_on_each_other(parity, module):
    even, odd = mutually_recursive(parity, module)
    assert odd in even.dependencies
    assert even in odd.dependencies
    assert not even.instance._awaited
    main = parity.compile("main", odd)
    module.factor = 5
    assert not parity.has("main")
    assert not parity.has("odd")
    assert current([even, odd, main]) == [False] * 3
    assert str(parity.cache.invalidations[-1]) == (
        f"shared.factor was rebound (world {parity.cache.world()})\n"
        "└─ even(int) for 'tester'\n"
        "   └─ odd(int) for 'tester'\n"
        "      └─ main(int) for 'tester'"
    )


@pytest.mark.parametrize("redefined", ["even", "odd"])
def test_redefining_one_of_them_invalidates_both(parity, module, redefined):
    even, odd = mutually_recursive(parity, module)
    parity.define(redefined)
    assert current([even, odd]) == [False, False]
    assert current(mutually_recursive(parity, module)) == [True, True]


def test_a_circle_is_made_again_as_a_circle(parity, module):
    for value in range(10, 14):
        even, odd = mutually_recursive(parity, module)
        assert current([even, odd]) == [True, True]
        module.factor = value
        assert not parity.has("odd")
        assert not even.is_current
    assert parity.made == ["odd(int)", "even(int)"] * 4


def test_a_circle_in_an_older_world_stays_valid_there(parity, module):
    even, odd = mutually_recursive(parity, module)
    frozen = parity.view.frozen()
    parity.define("even")
    assert (frozen[even.instance], frozen[odd.instance]) == (even, odd)
    assert current([even, odd]) == [False, False]
    del frozen
    gc.collect()
    parity.cache.check_invariants()
    assert even.instance not in parity.view


def test_replacing_code_in_a_circle_ends_the_circle(parity, module):
    even, odd = mutually_recursive(parity, module)
    held = parity.cache.world()
    parity.view[even.instance] = parity.view.code_instance(even.instance)
    assert current([even, odd]) == [False, False]
    assert parity.view[even.instance] is not even
    parity.cache.check_invariants()
    del held
    gc.collect()
    parity.cache.check_invariants()
    assert parity.view[even.instance].is_current


def test_code_that_awaits_another_depends_on_its_method_meanwhile(parity):
    odd = parity.compile("odd", parity.instance("even"))
    even = parity.instance("even")
    assert list(even._awaited)
    parity.define("even")
    assert not odd.is_current
    assert not even._awaited


def test_a_function_that_calls_itself_depends_on_its_method_only(parity):
    instance = parity.instance("even")
    code = parity.compile("even", instance)
    assert code.dependencies == (instance.method,)
    assert not instance._awaited
    parity.define("even")
    assert not code.is_current


def test_three_functions_in_a_circle_are_reached_from_each(bench, module):
    names = ["a", "b", "c"]
    for source in names:
        for name in names:
            bench.define(name)
        instances = [bench.instance(name) for name in names]
        codes = [
            bench.compile(
                name,
                instances[(index + 1) % 3],
                *(read_global(module.scale, "other").edges if name == source else ()),
            )
            for index, name in enumerate(names)
        ]
        assert current(codes) == [True] * 3
        module.other += 1
        assert not any(instance in bench.view for instance in instances)
        assert current(codes) == [False] * 3
        assert bench.cache.invalidations[-1].size == 3


# Owners and caches


def test_owners_are_invalidated_together_and_made_apart(bench, module):
    bench.define("main")
    instance = bench.instance("main")
    edges = read_global(module.scale, "factor").edges
    views = [CacheView(("compiler", level), Answer, cache=bench.cache) for level in range(3)]
    codes = [view.get_or_create(instance, bench.maker(*edges)) for view in views[:2]]
    untouched = views[2].get_or_create(instance, bench.maker())
    module.factor = 11
    assert [view.get(instance) for view in views] == [None, None, untouched]
    assert current(codes) == [False, False]
    assert [node.owner for node in bench.cache.invalidations[-1].dependents] == ["('compiler', 0)", "('compiler', 1)"]


def test_code_of_one_owner_can_not_depend_on_that_of_another(bench):
    bench.define("f")
    bench.define("main")
    other = CacheView("other", Answer, cache=bench.cache)
    callee = bench.compile("f", view=other)
    with pytest.raises(EdgeError, match="of another owner than 'tester'"):
        bench.compile("main", callee)
    assert not callee.dependents


def test_an_instance_as_an_edge_means_the_code_of_the_same_owner(bench):
    bench.define("f")
    bench.define("main")
    other = CacheView("other", Answer, cache=bench.cache)
    callees = [bench.compile("f"), bench.compile("f", view=other)]
    callers = [bench.compile("main", bench.instance("f")), bench.compile("main", bench.instance("f"), view=other)]
    other[callees[1].instance] = other.code_instance(callees[1].instance)
    assert current(callers) == [True, False]


def test_caches_share_a_namespace_and_nothing_else(module):
    caches = [CodeCache() for _ in range(3)]
    tables = [FunctionTable(cache=cache) for cache in caches]
    views = [CacheView("tester", Answer, cache=cache) for cache in caches]
    instances = [table.method_instance(module.scale, (int,)) for table in tables]
    names = ["factor", "factor", "other"]
    codes = [
        view.get_or_create(
            instance,
            lambda view, instance, name=name: view.code_instance(instance, read_global(module.scale, name).edges),
        )
        for view, instance, name in zip(views, instances, names, strict=True)
    ]
    before = [cache.world() for cache in caches]
    module.factor = 13
    found = [view.get(instance) for view, instance in zip(views, instances, strict=True)]
    assert found == [None, None, codes[2]]
    after = [int(cache.world()) - int(world) for cache, world in zip(caches, before, strict=True)]
    assert after == [1, 1, 0]
    assert [len(cache.invalidations) for cache in caches] == [1, 1, 0]
    module.scale.__code__ = (lambda x: x).__code__
    assert views[2].get(instances[2]) is None
    for cache in caches:
        cache.check_invariants()


def test_the_other_caches_notice_a_change_that_one_noticed_first(module):
    # On Python 3.11 the first lookup settles the namespace; the others must not take that for no change.
    caches = [CodeCache() for _ in range(2)]
    views = [CacheView("tester", Answer, cache=cache) for cache in caches]
    instances = [FunctionTable(cache=cache).method_instance(module.scale, (int,)) for cache in caches]
    for view, instance in zip(views, instances, strict=True):
        view.get_or_create(
            instance, lambda view, instance: view.code_instance(instance, read_global(module.scale, "factor").edges)
        )
    module.factor = 17
    assert caches[0].world() is not None
    assert views[1].get(instances[1]) is None
    assert views[0].get(instances[0]) is None


def test_a_stack_and_its_layers_are_reached_through_the_same_methods(bench):
    overlay = MethodTable("overlay", cache=bench.cache)
    stack = StackedMethodTable(overlay, bench.table)
    bench.define("f")
    bench.define("main")
    callee = bench.view.get_or_create(stack.method_instance("f", (int,)), bench.maker())
    main = bench.compile("main", callee, stack.dispatch("f", (int,)))
    bench.define("f")
    assert current([callee, main]) == [False, False]
    assert bench.cache.invalidations[-1].size == 2


def test_code_that_awaits_what_could_not_be_made_is_given_up(bench):
    """The two were compiled together; what is made in the second attempt may be something else."""
    add_method(bench.table, "outer", (), "calls inner")
    add_method(bench.table, "inner", (), "calls outer")
    outer, inner = (bench.table.method_instance(name, ()) for name in ("outer", "inner"))

    def make_inner(view, instance):
        return view.code_instance(instance, edges=[outer])

    def make_outer_in_vain(view, instance):
        view.get_or_create(inner, make_inner)
        raise RuntimeError(str(instance))

    with pytest.raises(RuntimeError, match="outer"):
        bench.view.get_or_create(outer, make_outer_in_vain)
    assert inner not in bench.view
    assert "outer() could not be made" in bench.cache.why(inner)[0]
