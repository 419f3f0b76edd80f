# SPDX-License-Identifier: Apache-2.0
"""Memory: what no world can reach any more is collectable, and a long life of redefinitions leaves nothing behind."""

from __future__ import annotations

import collections
import gc
import sys
import tracemalloc
import types
import weakref
from collections.abc import Callable, Iterator

import pytest

from smelt.caching import (
    CacheView,
    CodeCache,
    CodeInstance,
    FunctionTable,
    MethodInstance,
    MethodTable,
    Results,
    StackedMethodTable,
    World,
    WorldError,
    add_method,
    places,
    portable,
    read_cell,
    read_global,
    remove_method,
    session_local,
)


class Kept(Results):
    value: object = session_local()
    text: str = portable(default="")


class Program:
    def __init__(self) -> None:
        self.cache = CodeCache()
        self.table = MethodTable("functions", cache=self.cache)
        self.view = CacheView("tests", Kept, cache=self.cache)

    def make_caller(self, view: CacheView[Kept], instance: MethodInstance) -> CodeInstance:
        outcome = self.table.dispatch("callee", (), view.world)
        code = view.code_instance(instance, edges=[outcome])
        view.results(code).value = outcome.method.source
        return code


def make_plainly(view: CacheView[Kept], instance: MethodInstance) -> CodeInstance:
    return view.code_instance(instance)


@pytest.fixture
def no_collection() -> Iterator[None]:
    """Without the cyclic collector: what dies dies by its reference count."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def resident_bytes() -> int:
    """The memory of this process that is in use now; not its maximum, which other tests have raised."""
    try:
        with open("/proc/self/statm") as file:  # noqa: PTH123 - no file of the project's
            return int(file.read().split()[1]) * 4096
    except OSError:
        pytest.skip("this system does not tell how much memory a process uses now: it has no /proc/self/statm")


def redefine(program: Program, instance: MethodInstance, numbers: range) -> None:
    for number in numbers:
        add_method(program.table, "callee", (), number)
        assert program.view.results(program.view.get_or_create(instance, program.make_caller)).value == number


def kinds_of_objects() -> collections.Counter[str]:
    gc.collect()
    return collections.Counter(f"{type(thing).__module__}.{type(thing).__qualname__}" for thing in gc.get_objects())


@pytest.mark.once
def test_100_000_redefinitions_of_a_function_with_a_compiled_dependent_leave_memory_flat():
    program = Program()
    # So that it is as long as it gets before the first count.
    program.cache.invalidations._most_instances = 100
    add_method(program.table, "caller", (), "the source")
    instance = program.table.method_instance("caller", ())
    redefine(program, instance, range(1000))
    before, bytes_before = kinds_of_objects(), resident_bytes()
    redefine(program, instance, range(1000, 101_000))
    after, bytes_after = kinds_of_objects(), resident_bytes()
    # Fewer there may be: what earlier tests left is tidied up when it is found.
    grown = {kind: after[kind] - before[kind] for kind in after if after[kind] - before[kind] > 50}
    assert grown == {}
    # Slack for the allocator, which keeps pages; one leaked object of a few words each time would be ten times as much.
    assert bytes_after - bytes_before < 1_000_000
    assert program.cache.counts.made == 101_000
    assert program.cache.counts.invalidated == 100_999
    program.cache.check_invariants()


def traced_growth(action: Callable[[int], None], times: int) -> int:
    """How many bytes more are held after doing it many times than after doing it a few times."""
    for number in range(20):
        action(number)
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(20, 40):
            action(number)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for number in range(40, 40 + times):
            action(number)
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


def test_rebinding_a_global_with_a_compiled_dependent_leaves_memory_flat():
    program = Program()
    program.cache.invalidations._most_instances = 10
    add_method(program.table, "caller", (), "the source")
    instance = program.table.method_instance("caller", ())
    module = types.ModuleType("settings")
    exec("X = 0.5\ndef function(): return X", vars(module))

    def action(number: int) -> None:
        module.X = number + 0.5
        program.view.get_or_create(
            instance, lambda view, instance: view.code_instance(instance, edges=read_global(module.function, "X").edges)
        )

    assert traced_growth(action, 2000) < 20_000


def test_frozen_views_that_come_and_go_leave_memory_flat():
    program = Program()
    program.cache.invalidations._most_instances = 10
    add_method(program.table, "caller", (), "the source")
    instance = program.table.method_instance("caller", ())
    views: collections.deque[CacheView[Kept]] = collections.deque(maxlen=3)

    def action(number: int) -> None:
        redefine(program, instance, range(number, number + 1))
        views.append(program.view.frozen())

    assert traced_growth(action, 1000) < 20_000
    assert len(program.cache._former_code) <= 3
    assert len(program.cache._worlds) <= 3


def test_methods_that_are_defined_and_removed_leave_memory_flat():
    program = Program()

    def action(number: int) -> None:
        method = add_method(program.table, ("function", number), (), "the source")
        program.view.get_or_create(program.table.method_instance(("function", number), ()), make_plainly)
        remove_method(program.table, method)

    program.cache.invalidations._most_instances = 10
    assert traced_growth(action, 1000) < 20_000
    assert not program.table._current
    assert not program.table._found


def test_lookups_of_functions_without_methods_leave_memory_flat():
    program = Program()
    add_method(program.table, "function", (), "the source")

    def action(number: int) -> None:
        assert program.table.method_instance(("nowhere", number), ()) is None

    assert traced_growth(action, 1000) < 20_000


def test_makers_that_fail_leave_memory_flat():
    program = Program()
    add_method(program.table, "caller", (), "the source")
    instance = program.table.method_instance("caller", ())
    module = types.ModuleType("settings")
    exec("def function(): return X", vars(module))

    def fail(view: CacheView[Kept], instance: MethodInstance) -> CodeInstance:
        code = view.code_instance(instance, edges=[*read_global(module.function, "X").edges, "no edge"])
        view.results(code).value = bytes(1000)
        return code

    def action(number: int) -> None:
        with pytest.raises(ValueError, match="no edge"):
            program.view.get_or_create(instance, fail)
        assert number >= 0

    assert traced_growth(action, 300) < 20_000
    assert not [place for place in places._places.values() if place.container is vars(module)]


def compile_closure(view: CacheView[Kept], table: StackedMethodTable, number: int) -> tuple[object, CodeInstance]:
    scale = number

    def closure(x):
        return scale * x

    instance = table.method_instance(closure, (int,))
    code = view.get_or_create(
        instance, lambda view, instance: view.code_instance(instance, edges=read_cell(closure, "scale").edges)
    )
    return closure, code


def test_closures_that_were_compiled_and_dropped_are_collected():
    cache = CodeCache()
    table = StackedMethodTable(MethodTable("overlay", cache=cache), FunctionTable(cache=cache))
    view = CacheView("tests", Kept, cache=cache)
    dead: list[weakref.ref[object]] = []
    places_before = len(places._places)
    for number in range(50):
        closure, code = compile_closure(view, table, number)
        assert view.get(code.instance) is code
        dead += [weakref.ref(closure), weakref.ref(code), weakref.ref(code.instance.method)]
    del closure, code
    gc.collect()
    assert [reference() for reference in dead] == [None] * 150
    assert len(places._places) <= places_before
    cache.check_invariants()


def test_closures_that_share_what_they_depend_on_with_code_that_stays_are_collected():
    cache = CodeCache()
    table = StackedMethodTable(MethodTable("overlay", cache=cache), FunctionTable(cache=cache))
    view = CacheView("tests", Kept, cache=cache)
    module = types.ModuleType("settings")
    exec(
        "X = 1\ndef helper(): return X\ndef factory():\n    def function(): return X\n    return function", vars(module)
    )

    def make(view: CacheView[Kept], instance: MethodInstance) -> CodeInstance:
        # A global, a callee's code and an outcome of dispatch, all of which outlive the closure; and itself, as recursion has it.
        edges = [
            *read_global(instance.function, "X").edges,
            table.dispatch(instance.function, (), view.world),
            instance,
        ]
        if instance.function is not module.helper:
            helper = table.dispatch(module.helper, (), view.world)
            edges += [helper, view.get_or_create(helper.instance, make), helper.instance]
        return view.code_instance(instance, edges=edges)

    staying = view.get_or_create(table.method_instance(module.helper, ()), make)
    dead: list[weakref.ref[object]] = []
    for _ in range(20):
        function = module.factory()
        code = view.get_or_create(table.method_instance(function, ()), make)
        dead += [weakref.ref(function), weakref.ref(code)]
    del function, code
    gc.collect()
    assert [reference() for reference in dead] == [None] * 40
    assert not staying.dependents
    assert staying.is_current
    module.X = 2
    assert view.get(staying.instance) is None


def compile_caller_of_a_closure(view: CacheView[Kept], table: StackedMethodTable) -> list[weakref.ref[object]]:
    closure, code = compile_closure(view, table, 1)

    def caller():
        return closure(1)

    outcome = table.dispatch(closure, (int,))
    instance = table.method_instance(caller, ())
    view.get_or_create(
        instance,
        lambda view, instance: view.code_instance(
            instance, edges=[outcome, outcome.instance, *read_cell(caller, "closure").edges]
        ),
    )
    return [weakref.ref(closure), weakref.ref(code), weakref.ref(caller), weakref.ref(outcome)]


def test_a_closure_whose_dispatch_somebody_depended_on_is_collected():
    cache = CodeCache()
    table = StackedMethodTable(MethodTable("overlay", cache=cache), FunctionTable(cache=cache))
    dead = compile_caller_of_a_closure(CacheView("tests", Kept, cache=cache), table)
    gc.collect()
    assert [reference() for reference in dead] == [None] * 4
    cache.check_invariants()


def test_code_is_not_kept_by_what_it_depends_on():
    program = Program()
    module = types.ModuleType("settings")
    exec("X = 1\ndef function(): return X", vars(module))
    add_method(program.table, "callee", (), "the source")
    callee = program.view.get_or_create(program.table.method_instance("callee", ()), make_plainly)
    other = MethodTable("other", cache=program.cache)
    add_method(other, "caller", (), "the source")
    outcome = program.table.dispatch("callee", ())
    caller = program.view.get_or_create(
        other.method_instance("caller", ()),
        lambda view, instance: view.code_instance(
            instance, edges=[outcome, callee, *read_global(module.function, "X").edges]
        ),
    )
    assert list(callee.living_dependents()) == [caller]
    dead = weakref.ref(caller)
    del caller, other
    gc.collect()
    assert dead() is None
    assert not callee.dependents
    assert not outcome.dependents
    assert not [place for place in places._places.values() if place.container is vars(module)]


@pytest.mark.usefixtures("no_collection")
def test_code_that_no_world_reaches_is_gone_at_once():
    program = Program()
    add_method(program.table, "caller", (), "the source")
    add_method(program.table, "callee", (), 1)
    instance = program.table.method_instance("caller", ())
    code = program.view.get_or_create(instance, program.make_caller)
    results = weakref.ref(code), weakref.ref(program.table.method_instance("callee", ()).method)
    del code
    assert results[0]() is not None
    add_method(program.table, "callee", (), 2)
    # Its log entry, a text, is all that is left of it.
    assert results[0]() is None
    assert "caller()" in str(program.cache.invalidations[0])
    gc.collect()
    assert results[1]() is None


@pytest.mark.usefixtures("no_collection")
def test_code_that_a_held_world_reaches_stays_until_that_world_is_let_go():
    program = Program()
    add_method(program.table, "caller", (), "the source")
    add_method(program.table, "callee", (), 1)
    instance = program.table.method_instance("caller", ())
    code = program.view.get_or_create(instance, program.make_caller)
    dead = weakref.ref(code)
    world = program.cache.world()
    del code
    add_method(program.table, "callee", (), 2)
    assert dead() is not None
    assert not dead().is_current
    frozen = CacheView("tests", Kept, world=world, cache=program.cache)
    assert frozen[instance] is dead()
    assert frozen.results(frozen[instance]).value == 1
    number = int(world)
    del world
    assert dead() is not None, "the view holds the world too"
    program.cache.check_invariants()
    del frozen
    assert dead() is None
    assert program.cache._former_code == []
    assert program.cache._former_methods == []
    with pytest.raises(WorldError, match=f"world {number} is gone"):
        program.cache.known_world(number)


def test_a_held_world_keeps_what_was_valid_in_it_and_nothing_else():
    program = Program()
    add_method(program.table, "caller", (), "the source")
    instance = program.table.method_instance("caller", ())
    worlds: dict[int, World] = {}
    codes: dict[int, weakref.ref[CodeInstance]] = {}
    for number in range(10):
        add_method(program.table, "callee", (), number)
        codes[number] = weakref.ref(program.view.get_or_create(instance, program.make_caller))
        if number % 3 == 0:
            worlds[number] = program.cache.world()
    gc.collect()
    assert [number for number, code in codes.items() if code() is not None] == [0, 3, 6, 9]
    del worlds[3], worlds[9]
    gc.collect()
    assert [number for number, code in codes.items() if code() is not None] == [0, 6, 9]
    program.cache.check_invariants()
    worlds.clear()
    gc.collect()
    assert [number for number, code in codes.items() if code() is not None] == [9]


def test_a_world_that_dies_in_a_circle_of_garbage_lets_go_too():
    program = Program()
    add_method(program.table, "caller", (), "the source")
    add_method(program.table, "callee", (), 1)
    instance = program.table.method_instance("caller", ())
    dead = weakref.ref(program.view.get_or_create(instance, program.make_caller))
    circle: list[object] = [program.cache.world()]
    circle.append(circle)
    add_method(program.table, "callee", (), 2)
    gc.collect()
    assert dead() is not None
    del circle
    gc.collect()
    assert dead() is None


def test_an_executed_namespace_with_compiled_functions_is_collected():
    cache = CodeCache()
    table = FunctionTable(cache=cache)
    view = CacheView("tests", Kept, cache=cache)

    class Namespace(dict):
        """A dict that can be referred to weakly."""

    dead: list[weakref.ref[object]] = []
    for number in range(20):
        namespace = Namespace()
        exec(f"X = {number}\ndef function(): return X", namespace)
        function = namespace["function"]
        instance = table.method_instance(function, ())
        code = view.get_or_create(
            instance,
            lambda view, instance: view.code_instance(instance, edges=read_global(instance.function, "X").edges),
        )
        dead += [weakref.ref(namespace), weakref.ref(function), weakref.ref(code)]
    del namespace, function, instance, code
    gc.collect()
    assert [reference() for reference in dead] == [None] * 60


def test_a_module_that_was_used_keeps_no_places():
    module = types.ModuleType("settings")
    exec("X = 1\ndef function(a=1): return X", vars(module))
    program = Program()
    add_method(program.table, "reader", (), "the source")
    program.view.get_or_create(
        program.table.method_instance("reader", ()),
        lambda view, instance: view.code_instance(instance, edges=read_global(module.function, "X").edges),
    )
    assert [place for place in places._places.values() if place.container is vars(module)]
    del program
    gc.collect()
    assert not [place for place in places._places.values() if place.container is vars(module)]


def test_a_place_keeps_the_bindings_that_somebody_depends_on_and_no_others():
    module = types.ModuleType("settings")
    exec("X = 1\ndef function(): return X", vars(module))
    program = Program()

    def compile_reader_of(table: MethodTable, name: str) -> CodeInstance:
        add_method(table, name, (), "the source")
        return program.view.get_or_create(
            table.method_instance(name, ()),
            lambda view, instance: view.code_instance(instance, edges=read_global(module.function, name).edges),
        )

    staying = compile_reader_of(program.table, "X")
    (place,) = [place for place in places._places.values() if place.container is vars(module)]
    passing = MethodTable("passing", cache=program.cache)
    for number in range(20):
        setattr(module, f"name_{number}", number)
        compile_reader_of(passing, f"name_{number}")
    assert len(place.bindings) == 21
    module.name_0 = "rebound"
    assert compile_reader_of(program.table, "X") is not staying
    del passing
    gc.collect()
    assert set(place.bindings) == {"X"}


def test_a_whole_cache_is_collected_with_its_tables_views_and_code():
    program = Program()
    add_method(program.table, "caller", (), "the source")
    redefine(program, program.table.method_instance("caller", ()), range(3))
    world = program.cache.world()
    dead = [weakref.ref(thing) for thing in (program.cache, program.table, program.cache.flights)]
    del program, world
    gc.collect()
    assert [reference() for reference in dead] == [None] * 3


def test_owners_that_nobody_uses_any_more_are_forgotten():
    program = Program()
    for number in range(100):
        CacheView(("tests", number), Kept, cache=program.cache)
    gc.collect()
    assert [owner.token for owner in program.cache._owners.values()] == ["tests"]


def test_the_log_of_invalidations_is_bounded_by_the_instances_that_it_names():
    program = Program()
    program.cache.invalidations._most_instances = 100
    add_method(program.table, "caller", (), "the source")
    instance = program.table.method_instance("caller", ())
    for number in range(200):
        redefine(program, instance, range(number, number + 1))
        assert sum(entry.size for entry in program.cache.invalidations) <= 100
    assert len(program.cache.invalidations) == 100
    assert program.cache.invalidations[-1].world == program.cache.world_number
    assert len(program.cache.why(instance)) == 100
    assert sys.getsizeof(program.cache.invalidations._entries) < 10_000


def test_one_invalidation_larger_than_the_bound_is_kept_until_the_next():
    program = Program()
    program.cache.invalidations._most_instances = 5
    add_method(program.table, "callee", (), 1)
    callee = program.view.get_or_create(program.table.method_instance("callee", ()), make_plainly)
    for number in range(20):
        add_method(program.table, ("caller", number), (), "the source")
        program.view.get_or_create(
            program.table.method_instance(("caller", number), ()),
            lambda view, instance: view.code_instance(instance, edges=[callee]),
        )
    add_method(program.table, "callee", (), 2)
    assert [entry.size for entry in program.cache.invalidations] == [21]
    program.view.get_or_create(program.table.method_instance("callee", ()), make_plainly)
    add_method(program.table, "callee", (), 3)
    assert [entry.size for entry in program.cache.invalidations] == [1]
