# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
import functools
import gc
import itertools
import pickle
import weakref
from typing import Any

import pytest

from smelt.caching import (
    AmbiguousCallError,
    CacheView,
    CodeCache,
    FunctionTable,
    LookupTable,
    MethodTable,
    MethodTableError,
    Results,
    SmeltError,
    StackedMethodTable,
    Variadic,
    WorldError,
    add_method,
    current_world,
    default_cache,
    method_instance,
    portable,
    remove_method,
)


class Answer(Results):
    value: int | None = portable()


@pytest.fixture
def overlay(bench):
    return MethodTable("overlay", cache=bench.cache)


@pytest.fixture
def stack(bench, overlay):
    return StackedMethodTable(overlay, bench.table)


def sources(methods):
    return [method.source for method in methods]


# One table


def test_a_method_has_what_it_was_defined_with_and_stands_from_the_world_that_it_began(bench):
    source = object()
    before = bench.cache.world()
    method = bench.define("f", (int, str), source)
    assert (method.function, method.signature, method.table) == ("f", (int, str), bench.table)
    assert method.source is source
    assert method.world_range.first == bench.cache.world() == int(before) + 1
    assert bench.cache.world() in method.world_range
    assert int(before) not in method.world_range


def test_any_object_is_a_source_and_any_hashable_one_a_function(bench):
    for function, source in [("f", ["foreign", "ir"]), (len, {1: 2}), ((1, 2), None), (bench.instance, print)]:
        bench.define(function, (int,), source)
        assert bench.instance(function).source is source
        assert bench.instance(function).function == function


def test_the_same_call_gives_the_same_instance(bench):
    bench.define("f", (object,))
    assert bench.instance("f", (int,)) is bench.instance("f", (int,))
    assert bench.instance("f", (int,)) is not bench.instance("f", (bool,))
    assert bench.instance("f").types == (int,)
    assert str(bench.instance("f")) == "f(int)"


def test_where_no_method_matches_there_is_none_and_no_exception(bench):
    bench.define("f", (int,))
    assert method_instance("f", (str,), table=bench.table) is None
    assert method_instance("f", (), table=bench.table) is None
    assert method_instance("g", (int,), table=bench.table) is None
    assert bench.table.dispatch("g", (int,)).instance is None
    assert bench.table.matching_methods("g", (int,)) == ()


def test_redefining_compiles_again_what_was_made_of_the_old_method(bench):
    # The original's "basic caching" of custom IR.
    bench.define("f", (int,), 10)
    first = bench.compile("f")
    bench.view.results(first).value = bench.instance("f").source * 2
    assert bench.compile("f") is first
    assert bench.made == ["f(int)"]
    bench.define("f", (int,), 30)
    second = bench.compile("f")
    assert second is not first
    assert bench.view.results(second).value is None
    assert bench.view.results(first).value == 20
    assert second.instance.source * 2 == 60
    assert bench.made == ["f(int)", "f(int)"]


def test_redefining_one_method_leaves_the_other_methods_of_the_function_alone(bench):
    # The original's "multiple dispatch".
    bench.define("f", (int,), 100)
    bench.define("f", (float,), 200)
    of_int, of_float = bench.compile("f", types=(int,)), bench.compile("f", types=(float,))
    assert (of_int.instance.source, of_float.instance.source) == (100, 200)
    bench.define("f", (int,), 50)
    assert bench.compile("f", types=(float,)) is of_float
    assert bench.compile("f", types=(int,)).instance.source == 50
    assert bench.made == ["f(int)", "f(float)", "f(int)"]


def test_a_removed_method_is_found_no_longer_and_its_code_ends(bench):
    general = bench.define("f", (object,), "general")
    special = bench.define("f", (int,), "special")
    code = bench.compile("f")
    remove_method(bench.table, special)
    assert bench.instance("f").method is general
    assert not code.is_current
    assert bench.cache.invalidations[-1].cause == "f(int) was removed from bench"
    remove_method(bench.table, general)
    assert method_instance("f", (int,), table=bench.table) is None
    assert special.world_range.last == int(bench.cache.world()) - 2


def test_a_method_that_does_not_stand_in_the_table_can_not_be_removed(bench, overlay):
    method = bench.define("f")
    other = add_method(overlay, "f", (int,), None)
    world = bench.cache.world()
    for what in (other, "f", None):
        with pytest.raises(MethodTableError, match="does not stand in bench"):
            remove_method(bench.table, what)
    assert bench.cache.world() == world
    bench.define("f")
    with pytest.raises(MethodTableError, match="does not stand in bench"):
        remove_method(bench.table, method)
    assert bench.instance("f").method is not method


def test_a_removed_method_can_be_defined_again(bench):
    remove_method(bench.table, bench.define("f", (int,), 1))
    again = bench.define("f", (int,), 2)
    assert bench.instance("f").method is again


def test_one_signature_written_in_two_ways_is_one_method(bench):
    bench.define("f", (None,), "first")
    bench.define("f", (type(None),), "second")
    assert sources(bench.table.matching_methods("f", (None,))) == ["second"]


def test_signatures_that_python_calls_equal_are_several_methods(bench):
    for value in (1, 1.0, True):
        bench.define("f", (value,), type(value))
    assert [bench.instance("f", (value,)).source for value in (1, 1.0, True)] == [int, float, bool]


# Several arguments


def test_dispatch_looks_at_all_arguments(bench):
    kinds = (int, float, str)
    for pair in itertools.product(kinds, repeat=2):
        bench.define("f", pair, pair)
    bench.define("f", (object, object), "any two")
    bench.define("f", (object, Variadic(object)), "any number")
    for pair in itertools.product(kinds, repeat=2):
        assert bench.instance("f", pair).source == pair
    assert bench.instance("f", (bool, float)).source == (int, float)
    assert bench.instance("f", (bytes, int)).source == "any two"
    assert bench.instance("f", (bytes,)).source == "any number"
    assert bench.instance("f", (int, int, int)).source == "any number"


def test_an_ambiguous_call_names_the_candidates_and_what_to_do(bench):
    bench.define("f", (int, object))
    bench.define("f", (object, str))
    bench.define("f", (object, object))
    bench.define("f", (int, int))
    with pytest.raises(AmbiguousCallError) as caught:
        bench.table.dispatch("f", (int, str))
    assert str(caught.value) == (
        "f(int, str) is ambiguous: these methods match, and none is more specific than the others:\n"
        "  f(int, object) in bench\n"
        "  f(object, str) in bench\n"
        "Add a method for (int, str), or narrow one of these."
    )
    assert isinstance(caught.value, SmeltError)
    assert isinstance(caught.value, TypeError)


def test_two_signatures_that_describe_the_same_calls_are_ambiguous(bench):
    bench.define("f", (int,))
    bench.define("f", (int | bool,))
    with pytest.raises(AmbiguousCallError, match=r"(?s)f\(int\) in bench.*f\(int \| bool\) in bench"):
        bench.instance("f", (bool,))


def test_adding_the_method_that_was_missing_ends_the_ambiguity(bench):
    bench.define("f", (int, object))
    bench.define("f", (object, str))
    with pytest.raises(AmbiguousCallError):
        bench.instance("f", (int, str))
    bench.define("f", (int, str), "both")
    assert bench.instance("f", (int, str)).source == "both"


def test_a_definition_that_makes_a_call_ambiguous_invalidates_what_depends_on_its_outcome(bench):
    bench.define("f", (int, object))
    bench.define("main")
    main = bench.compile("main", bench.table.dispatch("f", (int, str)))
    bench.define("f", (object, str))
    assert not main.is_current
    with pytest.raises(AmbiguousCallError):
        bench.instance("f", (int, str))


def test_all_methods_that_match_are_listed_the_most_specific_first(bench):
    for signature in [(object,), (int | str,), (Variadic(object),), (int,), (str,), (Any,)]:
        bench.define("f", signature, signature)
    found = sources(bench.table.matching_methods("f", (bool,)))
    assert found[:3] == [(int,), (int | str,), (object,)]
    assert len(found) == 5
    assert sources(bench.table.matching_methods("f", ())) == [(Variadic(object),)]


# Outcomes as edges


def test_a_more_specific_method_added_later_invalidates(bench):
    bench.define("f", (object,), "general")
    bench.define("main")
    bench.define("outer")
    main = bench.compile("main", bench.table.dispatch("f", (int,)))
    bench.compile("outer", main)
    bench.define("f", (int,), "special")
    assert not bench.has("main")
    assert not bench.has("outer")
    assert bench.instance("f").source == "special"


@pytest.mark.parametrize("signature", [(Variadic(object),), (Any,), (str,), (), (int, int), (bool,)])
def test_a_method_that_does_not_change_the_outcome_does_not_invalidate(bench, signature):
    bench.define("f", (object,))
    bench.define("main")
    main = bench.compile("main", bench.table.dispatch("f", (int,)))
    bench.define("f", signature)
    bench.define("g", (int,))
    assert bench.view[bench.instance("main")] is main
    assert not bench.cache.invalidations


def test_removing_the_method_that_was_found_invalidates_and_removing_another_does_not(bench):
    general = bench.define("f", (object,))
    special = bench.define("f", (int,))
    bench.define("main")
    main = bench.compile("main", bench.table.dispatch("f", (int,)))
    remove_method(bench.table, general)
    assert main.is_current
    remove_method(bench.table, special)
    assert not main.is_current


def test_that_nothing_was_found_is_an_edge_too(bench):
    bench.define("main")
    outcome = bench.table.dispatch("f", (int,))
    assert outcome.instance is None
    main = bench.compile("main", outcome)
    bench.define("f", (str,))
    bench.define("g", (int,))
    assert main.is_current
    bench.define("f", (object,))
    assert not main.is_current


def test_an_outcome_that_changes_and_comes_back_is_a_new_outcome(bench):
    bench.define("f", (object,))
    bench.define("main")
    bench.compile("main", bench.table.dispatch("f", (int,)))
    remove_method(bench.table, bench.define("f", (int,)))
    again = bench.compile("main", bench.table.dispatch("f", (int,)))
    assert again.is_current
    assert bench.made == ["main(int)", "main(int)"]


def test_outcomes_that_nothing_depends_on_any_more_are_not_kept(bench):
    bench.define("f", (object,))
    bench.define("main")
    bench.compile("main", bench.table.dispatch("f", (int,)))
    assert len(list(bench.table._outcomes)) == 1
    bench.define("main")
    assert list(bench.table._outcomes) == []
    assert bench.table._outcomes._of_others == {}


# Worlds


def test_a_lookup_in_an_older_world_finds_what_stood_there(bench):
    worlds, methods = [], []
    for source in range(4):
        methods.append(bench.define("f", (int,), source))
        worlds.append(bench.cache.world())
    remove_method(bench.table, methods[-1])
    assert [bench.instance("f", world=world).source for world in worlds] == [0, 1, 2, 3]
    assert bench.instance("f", world=int(worlds[1])).source == 1
    assert bench.table.dispatch("f", (int,), worlds[2]).method is methods[2]
    assert bench.table.matching_methods("f", (int,), worlds[0]) == (methods[0],)
    assert method_instance("f", (int,), table=bench.table, world=bench.cache.world()) is None


def test_a_world_before_the_first_definition_has_nothing(bench):
    before = bench.cache.world()
    bench.define("f")
    assert method_instance("f", (int,), table=bench.table, world=before) is None


def test_a_world_that_nobody_holds_or_that_is_to_come_can_not_be_looked_into(bench):
    bench.define("f")
    gone = int(bench.cache.world())
    bench.define("f")
    with pytest.raises(WorldError, match=rf"world {gone} is gone"):
        bench.instance("f", world=gone)
    with pytest.raises(WorldError, match=rf"there is no world {gone + 2}; the current one is {gone + 1}"):
        bench.instance("f", world=gone + 2)


def test_a_former_method_is_kept_as_long_as_its_world_is_held(bench):
    method = weakref.ref(bench.define("f", (int,), 1))
    world = bench.cache.world()
    bench.define("f", (int,), 2)
    gc.collect()
    assert bench.instance("f", world=world).method is method()
    del world
    gc.collect()
    assert method() is None
    bench.cache.check_invariants()


# Isolation, overlays, stacks


def test_tables_are_isolated_from_each_other(bench, overlay):
    # The original's "method table isolation".
    bench.define("f", (int,), "a")
    add_method(overlay, "f", (int,), "b")
    view = CacheView("other", Answer, cache=bench.cache)
    code = bench.compile("f")
    instance = method_instance("f", (int,), table=overlay)
    other = view.get_or_create(instance, lambda view, instance: view.code_instance(instance))
    assert (code.instance.source, other.instance.source) == ("a", "b")
    add_method(overlay, "f", (int,), "c")
    assert code.is_current
    assert not other.is_current
    assert bench.instance("f").source == "a"


def test_an_overlay_method_replaces_the_one_below_and_only_that(bench, overlay, stack):
    bench.define("sin", (float,), "libm")
    bench.define("cos", (float,), "libm")
    add_method(overlay, "sin", (float,), "air.sin")
    assert stack.method_instance("sin", (float,)).source == "air.sin"
    assert stack.method_instance("cos", (float,)).source == "libm"
    assert bench.instance("sin", (float,)).source == "libm"
    assert stack.dispatch("sin", (float,)).is_overlaid
    assert not stack.dispatch("cos", (float,)).is_overlaid
    assert not stack.dispatch("tan", (float,)).is_overlaid
    assert not bench.table.dispatch("sin", (float,)).is_overlaid
    assert method_instance("tan", (float,), table=stack) is None


def test_the_upper_layer_decides_even_where_the_lower_one_has_a_more_specific_method(bench, overlay, stack):
    bench.define("f", (int,), "below")
    add_method(overlay, "f", (object,), "above")
    assert stack.method_instance("f", (int,)).source == "above"


def test_an_overlay_method_compiles_and_is_cached_like_any_other(bench, overlay, stack):
    # The original's "overlay method tables".
    add_method(overlay, "double", (int,), "x * 2")
    instance = stack.method_instance("double", (int,))
    code = bench.view.get_or_create(instance, bench.maker())
    assert bench.view.get_or_create(stack.method_instance("double", (int,)), bench.maker()) is code
    assert bench.made == ["double(int)"]


def test_an_overlay_added_later_invalidates_what_found_the_method_below(bench, overlay, stack):
    bench.define("f", (int,))
    bench.define("main")
    through_stack = bench.compile("main", stack.dispatch("f", (int,)))
    directly = bench.compile("main", bench.table.dispatch("f", (int,)), types=(bool,))
    method = add_method(overlay, "f", (int,), None)
    assert not through_stack.is_current
    assert directly.is_current
    again = bench.compile("main", stack.dispatch("f", (int,)))
    bench.define("f", (int,), "below, which the overlay hides")
    assert again.is_current
    remove_method(overlay, method)
    assert not again.is_current


def test_the_method_below_that_a_stack_finds_invalidates_when_it_is_redefined(bench, stack):
    bench.define("f", (int,))
    bench.define("main")
    main = bench.compile("main", stack.dispatch("f", (int,)))
    bench.define("f", (int,))
    assert not main.is_current


def test_a_stack_without_overlay_methods_finds_what_the_lowest_table_finds(bench, overlay, stack):
    # The original's "matches OverlayMethodTable for unoverlayed".
    bench.define("sin", (float,))
    double = StackedMethodTable(MethodTable("other", cache=bench.cache), stack)
    expected = bench.instance("sin", (float,))
    assert stack.method_instance("sin", (float,)) is expected
    assert double.method_instance("sin", (float,)) is expected
    assert double.layers[1:] == (overlay, bench.table)


def test_a_stack_three_deep_searches_from_the_top(bench):
    top, middle = MethodTable("top", cache=bench.cache), MethodTable("middle", cache=bench.cache)
    stack = StackedMethodTable(top, middle, bench.table)
    bench.define("main")
    found = []
    for table in (bench.table, middle, top):
        add_method(table, "f", (int,), table.name)
        code = bench.compile("main", stack.dispatch("f", (int,)))
        found.append(code)
        assert stack.method_instance("f", (int,)).source == table.name
    assert [code.is_current for code in found] == [False, False, True]
    assert sources(stack.matching_methods("f", (int,))) == ["top", "middle", "bench"]
    assert str(stack) == "top over middle over bench"


def test_a_stack_of_stacks_searches_all_layers_in_order(bench):
    a, b, c = (MethodTable(name, cache=bench.cache) for name in "abc")
    stack = StackedMethodTable(StackedMethodTable(a, b), StackedMethodTable(c, bench.table), name="all")
    assert stack.layers == (a, b, c, bench.table)
    assert str(stack) == "all"
    bench.define("main")
    bench.define("f", (int,), "bench")
    main = bench.compile("main", stack.dispatch("f", (int,)))
    add_method(c, "f", (int,), "c")
    assert not main.is_current
    assert stack.method_instance("f", (int,)).source == "c"
    assert stack.dispatch("f", (int,)).is_overlaid


def test_matching_methods_of_a_stack_are_merged_layer_by_layer(bench, overlay, stack):
    # The original's "findall returns merged results".
    for table in (bench.table, overlay):
        for signature in [(object,), (int,), (str,)]:
            add_method(table, "f", signature, (table.name, *signature))
    assert sources(stack.matching_methods("f", (bool,))) == [
        ("overlay", int),
        ("overlay", object),
        ("bench", int),
        ("bench", object),
    ]


def test_an_older_world_of_a_stack_has_the_layers_as_they_were(bench, overlay, stack):
    bench.define("f", (int,), "below")
    world = bench.cache.world()
    add_method(overlay, "f", (int,), "above")
    bench.define("f", (int,), "below, again")
    assert stack.method_instance("f", (int,), world).source == "below"
    assert sources(stack.matching_methods("f", (int,))) == ["above", "below, again"]
    assert sources(stack.matching_methods("f", (int,), world)) == ["below"]


def test_a_stack_needs_tables_of_one_cache(bench):
    with pytest.raises(MethodTableError, match="needs at least one"):
        StackedMethodTable()
    with pytest.raises(MethodTableError, match="42 is no method table"):
        StackedMethodTable(bench.table, 42)
    with pytest.raises(MethodTableError, match="bench, elsewhere belong to different code caches"):
        StackedMethodTable(bench.table, MethodTable("elsewhere", cache=CodeCache()))


def test_a_stack_that_nobody_holds_is_collected(bench):
    stack = StackedMethodTable(bench.table)
    reference = weakref.ref(stack)
    del stack
    gc.collect()
    assert reference() is None
    bench.define("f")


# Python functions as their own methods


def test_a_python_function_is_its_own_method_for_all_arguments():
    table = FunctionTable(cache=CodeCache())

    def add(x, y):
        return x + y

    instance = table.method_instance(add, (int, float))
    assert instance.source is add
    assert instance is table.method_instance(add, (int, float))
    assert table.method_instance(add, ()).method is instance.method
    assert table.matching_methods(add, (int,)) == (instance.method,)
    assert table.method_instance(len, (str,)) is None
    assert table.method_instance("add", ()) is None
    assert table.name == "functions"


def test_a_global_function_is_cached_and_sharded_like_foreign_ir():
    # The original's "basic caching" and "cache partitioning" of global functions.
    cache = CodeCache()
    table = FunctionTable(cache=cache)
    instance = table.method_instance(global_function, (int,))
    views = [CacheView(("global", level), Answer, cache=cache) for level in (1, 2)]
    made = []

    def make(view, instance):
        made.append(view.owner)
        return view.code_instance(instance)

    codes = [view.get_or_create(instance, make) for view in (*views, *views)]
    assert codes[0] is codes[2] is not codes[1]
    assert codes[1] is codes[3]
    assert made == [("global", 1), ("global", 2)]


def global_function(x):
    return x + 100


def test_overlays_stack_over_python_functions(bench):
    functions = FunctionTable(cache=bench.cache)
    stack = StackedMethodTable(bench.table, functions)

    def callee(x):
        return x

    bench.define("main")
    main = bench.compile("main", stack.dispatch(callee, (int,)))
    assert stack.method_instance(callee, (int,)).source is callee
    bench.define(callee, (float,), "of floats")
    assert main.is_current
    bench.define(callee, (int,), "of ints")
    assert not main.is_current
    assert stack.method_instance(callee, (int,)).source == "of ints"
    assert stack.dispatch(callee, (int,)).is_overlaid
    assert sources(stack.matching_methods(callee, (int,))) == ["of ints", callee]


def test_replacing_the_code_of_a_function_is_a_redefinition():
    cache = CodeCache()
    table, view = FunctionTable(cache=cache), CacheView("tester", Answer, cache=cache)

    def f(x):
        return x

    instance = table.method_instance(f, (int,))
    code = view.get_or_create(instance, lambda view, instance: view.code_instance(instance))
    assert view.get(instance) is code
    f.__code__ = (lambda x: x + 1).__code__
    assert view.get(instance) is None
    assert not code.is_current


def test_compiled_closures_are_collected_with_their_code(bench):
    functions = FunctionTable(cache=bench.cache)
    stack = StackedMethodTable(bench.table, functions)
    bench.define("main")

    def closure(number):
        return lambda x: x + number

    def compile_one(number):
        function = closure(number)
        callee = bench.view.get_or_create(stack.method_instance(function, (int,)), bench.maker())
        bench.view.get_or_create(
            functions.method_instance(function, (str,)), bench.maker(callee, stack.dispatch(function, (int,)))
        )
        return weakref.ref(function), weakref.ref(callee)

    references = [reference for number in range(5) for reference in compile_one(number)]
    gc.collect()
    assert [reference() for reference in references] == [None] * 10
    assert list(stack._outcomes) == []


def test_a_wrapper_that_copied_the_attributes_of_a_function_has_methods_of_its_own():
    table = FunctionTable(cache=CodeCache())

    def wrapped(x):
        return x

    first = table.method_instance(wrapped, (int,))

    @functools.wraps(wrapped)
    def wrapper(x):
        return wrapped(x) + 1

    second = table.method_instance(wrapper, (int,))
    assert second.source is wrapper
    assert first.source is wrapped
    assert table.method_instance(wrapped, (int,)) is first


def test_each_function_table_has_methods_of_its_own():
    cache = CodeCache()
    one, other = FunctionTable("one", cache=cache), FunctionTable("other", cache=cache)

    def f():
        return 1

    assert one.method_instance(f, ()).method.table is one
    assert other.method_instance(f, ()).method.table is other


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda held: pickle.loads(pickle.dumps(held))])
def test_what_a_function_carries_along_starts_empty_in_a_copy(duplicate):
    table = FunctionTable(cache=CodeCache())

    def f():
        return 1

    instance = table.method_instance(f, ())
    (name,) = vars(f)
    copied = duplicate(vars(f)[name])
    assert list(copied.methods) == []
    assert copied.function() is None

    def g():
        return 2

    vars(g)[name] = copied
    assert table.method_instance(g, ()).source is g
    assert table.method_instance(f, ()) is instance


# Bad input


def test_a_function_that_can_not_be_hashed_is_refused_by_name(bench):
    before = bench.registered()
    for ask in (
        lambda: bench.define([1], (int,)),
        lambda: bench.table.dispatch([1], (int,)),
        lambda: bench.table.matching_methods([1], (int,)),
        lambda: method_instance([1], (int,), table=bench.table),
    ):
        with pytest.raises(MethodTableError, match=r"\[1\] can't be hashed, so it can't have methods"):
            ask()
    assert bench.registered() == before


@pytest.mark.parametrize("table", [None, "bench", dict, MethodTable])
def test_an_unknown_table_is_refused(bench, table):
    with pytest.raises(MethodTableError, match=r"is no method table; make one with MethodTable\(name\)"):
        add_method(table, "f", (int,), None)
    with pytest.raises(MethodTableError, match="is no method table"):
        method_instance("f", (int,), table=table)
    with pytest.raises(MethodTableError, match="is no method table"):
        remove_method(table, bench.define("f"))


def test_methods_are_added_to_a_layer_not_to_a_stack_or_a_table_of_functions(bench, stack):
    for table in (stack, FunctionTable("functions", cache=bench.cache)):
        with pytest.raises(MethodTableError, match=f"{table} takes no methods; add them to one of its layers"):
            add_method(table, "f", (int,), None)
    assert isinstance(stack, LookupTable)


def test_tables_belong_to_the_cache_of_the_process_unless_they_are_given_another():
    assert MethodTable("t").cache is default_cache()
    assert FunctionTable().cache is default_cache()
    before = current_world()
    add_method(MethodTable("t"), "f", (int,), None)
    assert current_world() > before


class Unshowable:
    """A function that raises when it is shown."""

    def __repr__(self):
        raise ValueError(type(self).__name__)


def test_a_function_that_can_not_be_shown_is_defined_and_invalidates_like_any_other(bench):
    function = Unshowable()
    add_method(bench.table, "caller", (), None)
    caller = bench.table.method_instance("caller", ())
    outcome = bench.table.dispatch(function, (int,))
    bench.view[caller] = bench.view.code_instance(caller, edges=[outcome])
    method = add_method(bench.table, function, (int,), "source")
    assert caller not in bench.view
    assert bench.table.method_instance(function, (int,)).method is method
    assert "<a Unshowable that can't be shown>(int) was defined" in bench.cache.why(caller)[0]
