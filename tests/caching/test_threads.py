# SPDX-License-Identifier: Apache-2.0
"""Threads: a job is made once, different jobs in parallel, and nobody ever gets what was made for an older value.

Waiting with a time limit is only there so that a deadlock fails the test instead of stopping it.
"""

from __future__ import annotations

import abc
import ctypes
import sys
import threading
import types
from collections.abc import Callable, Iterator

import pytest

from smelt.caching import (
    CacheView,
    CodeCache,
    CodeInstance,
    CycleError,
    Dispatch,
    Guard,
    LinearCache,
    MethodInstance,
    MethodTable,
    Results,
    WorldError,
    add_method,
    namespaces,
    places,
    publishing,
    read_cell,
    read_global,
    remove_method,
    session_local,
)
from smelt.caching.flights import Flights
from smelt.caching.locking import afterwards, exclusively

LIMIT_SECS = 60

needs_version_tags = pytest.mark.skipif(
    not namespaces._has_version_tags(), reason="this Python does not number the states of a dict"
)

KINDS = [namespaces.Namespace]
if namespaces._has_version_tags():
    KINDS.append(namespaces.VersionedNamespace)


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def kind_of_namespace(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "best_namespace", lambda: request.param)


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads that are switched as often as Python can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


class Kept(Results):
    value: object = session_local()


class Jobs:
    def __init__(self) -> None:
        self.cache = CodeCache()
        self.table = MethodTable("functions", cache=self.cache)
        self.view = CacheView("tests", Kept, cache=self.cache)

    def instance(self, name: str) -> MethodInstance:
        add_method(self.table, name, (), f"the source of {name}")
        instance = self.table.method_instance(name, ())
        assert instance is not None
        return instance


def make_plainly(view: CacheView[Kept], instance: MethodInstance) -> CodeInstance:
    return view.code_instance(instance)


class Running:
    """A thread, and what it returned or raised."""

    def __init__(self, action: Callable[[], object]) -> None:
        self.action = action
        self.result: object = None
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.result = self.action()
        except BaseException as error:  # noqa: BLE001 - a KeyboardInterrupt is one of those that are looked for
            self.error = error

    def end(self) -> Running:
        self.thread.join(LIMIT_SECS)
        assert not self.thread.is_alive(), "a deadlock"
        return self


def run_together(actions: list[Callable[[], object]]) -> list[Running]:
    running = [Running(action) for action in actions]
    return [one.end() for one in running]


def results_of(actions: list[Callable[[], object]]) -> list[object]:
    ended = run_together(actions)
    for one in ended:
        if one.error is not None:
            raise one.error
    return [one.result for one in ended]


def wait_until_waiting(jobs: Jobs, number: int) -> None:
    """Until that many threads wait for a job that another one makes."""
    pause = threading.Event()
    for _ in range(LIMIT_SECS * 1000):
        if len(jobs.cache.flights._waiting) == number:
            return
        pause.wait(0.001)
    raise AssertionError("the threads never came to wait")


# Once


def test_a_job_that_32_threads_ask_for_is_made_once_and_all_get_the_same():
    jobs = Jobs()
    instance = jobs.instance("function")
    makes: list[int] = []

    def make(view: CacheView[Kept], instance: MethodInstance) -> CodeInstance:
        makes.append(threading.get_ident())
        wait_until_waiting(jobs, 31)
        return view.code_instance(instance)

    codes = results_of([lambda: jobs.view.get_or_create(instance, make)] * 32)
    assert len(makes) == 1
    assert len(set(map(id, codes))) == 1
    assert codes[0] is jobs.view[instance]
    assert jobs.cache.counts.made == 1
    assert not jobs.cache.flights._by_key
    assert not jobs.cache.flights._waiting


def test_an_error_in_a_maker_is_the_same_object_for_all_who_wait_and_leaves_nothing():
    jobs = Jobs()
    instance = jobs.instance("function")
    makes: list[int] = []

    def fail(view: CacheView[Kept], instance: MethodInstance) -> CodeInstance:
        makes.append(1)
        wait_until_waiting(jobs, 31)
        raise ValueError(f"can't compile {instance} for {view.owner}")

    ended = run_together([lambda: jobs.view.get_or_create(instance, fail)] * 32)
    assert len(makes) == 1
    assert {type(one.error) for one in ended} == {ValueError}
    assert len({id(one.error) for one in ended}) == 1
    assert instance not in jobs.view
    assert jobs.cache.counts.failed == 1
    assert jobs.view.get_or_create(instance, make_plainly).is_current
    assert not jobs.cache.flights._by_key


def test_after_an_error_the_next_call_tries_again_each_time():
    jobs = Jobs()
    instance = jobs.instance("function")
    errors: list[BaseException] = []

    def fail(_view: CacheView[Kept], _instance: MethodInstance) -> CodeInstance:
        raise ValueError(len(errors))

    for number in range(3):
        with pytest.raises(ValueError, match=str(number)) as caught:
            jobs.view.get_or_create(instance, fail)
        errors.append(caught.value)
    assert len(set(map(id, errors))) == 3
    assert jobs.view.get_or_create(instance, make_plainly).is_current


def test_different_jobs_are_made_in_parallel():
    jobs = Jobs()
    # Nobody passes before all makers are in theirs at once.
    barrier = threading.Barrier(8)

    def make(view: CacheView[Kept], instance: MethodInstance) -> CodeInstance:
        barrier.wait(LIMIT_SECS)
        return view.code_instance(instance)

    instances = [jobs.instance(f"function {number}") for number in range(8)]
    codes = results_of([lambda i=instance: jobs.view.get_or_create(i, make) for instance in instances])
    assert [code.instance for code in codes] == instances


def test_one_job_of_several_owners_is_made_in_parallel():
    jobs = Jobs()
    instance = jobs.instance("function")
    barrier = threading.Barrier(4)

    def make(view: CacheView[Kept], instance: MethodInstance) -> CodeInstance:
        barrier.wait(LIMIT_SECS)
        return view.code_instance(instance)

    views = [CacheView(("tests", number), Kept, cache=jobs.cache) for number in range(4)]
    codes = results_of([lambda v=view: v.get_or_create(instance, make) for view in views])
    assert [code.owner for code in codes] == [("tests", number) for number in range(4)]


def test_looking_up_what_is_there_waits_for_nobody():
    jobs = Jobs()
    instance, other = jobs.instance("function"), jobs.instance("other")
    code = jobs.view.get_or_create(instance, make_plainly)
    with exclusively():
        assert results_of([lambda: jobs.view.get(instance)]) == [code]
        assert results_of([lambda: jobs.view.get(other)]) == [None]
        assert results_of([lambda: jobs.view.get_or_create(instance, make_plainly)]) == [code]


def test_a_maker_holds_no_lock():
    jobs = Jobs()
    instance = jobs.instance("function")

    def make(view: CacheView[Kept], instance: MethodInstance) -> CodeInstance:
        results_of([lambda: jobs.instance("defined meanwhile")])
        return view.code_instance(instance)

    assert jobs.view.get_or_create(instance, make).is_current


def test_many_threads_get_one_results_object_and_one_handle():
    class Linked(Results):
        handles: LinearCache = session_local(factory=LinearCache)

    jobs = Jobs()
    code = jobs.view.get_or_create(jobs.instance("function"), make_plainly)
    view = jobs.view.with_results(Linked)
    device, links, barrier = object(), [], threading.Barrier(16)

    def link(device: object) -> object:
        links.append(device)
        return object()

    def launch() -> tuple[object, object]:
        barrier.wait(LIMIT_SECS)
        results = view.results(code)
        return results, results.handles.get_or_create(device, link)

    assert len({(id(results), id(handle)) for results, handle in results_of([launch] * 16)}) == 1
    assert links == [device]


# Recursion and cycles


def test_a_maker_that_asks_for_other_instances():
    jobs = Jobs()
    instances = [jobs.instance(f"function {number}") for number in range(20)]

    def make(view: CacheView[Kept], instance: MethodInstance) -> CodeInstance:
        index = instances.index(instance)
        callees = [view.get_or_create(other, make) for other in instances[max(0, index - 2) : index]]
        return view.code_instance(instance, edges=callees)

    codes = results_of([lambda i=instance: jobs.view.get_or_create(i, make) for instance in reversed(instances)])
    assert jobs.cache.counts.made == 20
    assert [code.instance for code in codes] == instances[::-1]
    add_method(jobs.table, "function 0", (), "another source")
    assert [code.is_current for code in codes] == [False] * 20


def test_a_cycle_in_one_thread_is_reported_with_the_chain():
    jobs = Jobs()
    names = ["first", "second", "third"]
    instances = {name: jobs.instance(name) for name in names}

    def make(view: CacheView[Kept], instance: MethodInstance) -> CodeInstance:
        following = names[(names.index(instance.function) + 1) % 3]
        return view.code_instance(instance, edges=[view.get_or_create(instances[following], make)])

    with pytest.raises(CycleError, match=r"first\(\) -> second\(\) -> third\(\) -> first\(\)"):
        jobs.view.get_or_create(instances["first"], make)
    assert not jobs.cache.flights._by_key
    assert all(instance not in jobs.view for instance in instances.values())
    for instance in instances.values():
        assert jobs.view.get_or_create(instance, make_plainly).is_current


def test_a_job_that_asks_for_itself_is_a_cycle_of_one():
    jobs = Jobs()
    instance = jobs.instance("function")

    def make(view: CacheView[Kept], instance: MethodInstance) -> CodeInstance:
        return view.get_or_create(instance, make)

    with pytest.raises(CycleError, match=r"function\(\) -> function\(\)"):
        jobs.view.get_or_create(instance, make)


def test_a_maker_may_catch_the_cycle_and_use_the_instance_as_the_edge():
    jobs = Jobs()
    odd, even = jobs.instance("odd"), jobs.instance("even")

    def make(view: CacheView[Kept], instance: MethodInstance) -> CodeInstance:
        other = even if instance is odd else odd
        try:
            edge: object = view.get_or_create(other, make)
        except CycleError:
            edge = other
        return view.code_instance(instance, edges=[edge])

    code = jobs.view.get_or_create(odd, make)
    assert code.is_current
    add_method(jobs.table, "odd", (), "another source")
    assert even not in jobs.view
    jobs.cache.check_invariants()


def test_a_cycle_across_two_threads_is_reported_and_no_deadlock():
    jobs = Jobs()
    odd, even = jobs.instance("odd"), jobs.instance("even")
    # Both are being made before either asks for the other one.
    barrier = threading.Barrier(2)

    def make(view: CacheView[Kept], instance: MethodInstance) -> CodeInstance:
        barrier.wait(LIMIT_SECS)
        other = even if instance is odd else odd
        return view.code_instance(instance, edges=[view.get_or_create(other, make)])

    ended = run_together([lambda i=instance: jobs.view.get_or_create(i, make) for instance in (odd, even)])
    errors = [one.error for one in ended]
    assert all(isinstance(error, CycleError) for error in errors), errors
    assert str(errors[0]) == str(errors[1]) or {str(error).split(" ")[0] for error in errors} == {"odd()", "even()"}
    chains = (r"odd() -> even() -> odd()", r"even() -> odd() -> even()")
    assert all(any(chain in str(error) for chain in chains) for error in errors)
    assert not jobs.cache.flights._by_key
    assert not jobs.cache.flights._waiting
    assert jobs.view.get_or_create(odd, make_plainly).is_current


def test_a_cycle_across_three_threads_of_two_jobs_each_names_all_of_them():
    jobs = Jobs()
    names = ["a", "b", "c"]
    outer = {name: jobs.instance(f"outer {name}") for name in names}
    inner = {name: jobs.instance(f"inner {name}") for name in names}
    barrier = threading.Barrier(3)

    def make_outer(view: CacheView[Kept], instance: MethodInstance) -> CodeInstance:
        name = instance.function.split()[1]
        return view.code_instance(instance, edges=[view.get_or_create(inner[name], make_inner)])

    def make_inner(view: CacheView[Kept], instance: MethodInstance) -> CodeInstance:
        barrier.wait(LIMIT_SECS)
        following = names[(names.index(instance.function.split()[1]) + 1) % 3]
        return view.code_instance(instance, edges=[view.get_or_create(outer[following], make_outer)])

    ended = run_together([lambda n=name: jobs.view.get_or_create(outer[n], make_outer) for name in names])
    assert {type(one.error) for one in ended} == {CycleError}
    message = str(ended[0].error)
    for instance in (*outer.values(), *inner.values()):
        assert str(instance) in message
    assert not jobs.cache.flights._by_key


# Interrupted and outdated


def test_who_waits_takes_over_from_a_maker_that_was_interrupted():
    jobs = Jobs()
    instance = jobs.instance("function")
    makes: list[int] = []

    def make(view: CacheView[Kept], instance: MethodInstance) -> CodeInstance:
        makes.append(threading.get_ident())
        if len(makes) == 1:
            wait_until_waiting(jobs, 7)
            raise KeyboardInterrupt
        return view.code_instance(instance)

    ended = run_together([lambda: jobs.view.get_or_create(instance, make)] * 8)
    assert [type(one.error) for one in ended if one.error is not None] == [KeyboardInterrupt]
    codes = [one.result for one in ended if one.error is None]
    assert len(codes) == 7
    assert set(map(id, codes)) == {id(jobs.view[instance])}
    assert len(makes) == 2
    assert makes[0] != makes[1]


def test_an_interrupted_maker_leaves_nothing():
    jobs = Jobs()
    instance = jobs.instance("function")

    def interrupt(_view: CacheView[Kept], _instance: MethodInstance) -> CodeInstance:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        jobs.view.get_or_create(instance, interrupt)
    assert not jobs.cache.flights._by_key
    assert jobs.cache.counts.failed == 0
    assert jobs.view.get_or_create(instance, make_plainly).is_current


def test_a_listener_that_fails_while_a_job_begins_does_not_leave_it_begun():
    jobs = Jobs()
    instance = jobs.instance("function")

    def fail(_event: object) -> None:
        raise ValueError("a listener of somebody's")

    unsubscribe = jobs.cache.subscribe(fail)
    with pytest.raises(ValueError, match="a listener"):
        jobs.view.get_or_create(instance, make_plainly)
    unsubscribe()
    assert not jobs.cache.flights._by_key
    assert jobs.view.get_or_create(instance, make_plainly).is_current


@pytest.mark.usefixtures("kind_of_namespace")
def test_a_rebinding_while_the_code_is_made_by_another_thread_is_found_by_who_waits():
    jobs = Jobs()
    instance = jobs.instance("function")
    module = types.ModuleType("settings")
    exec("X = 1\ndef function(): return X", vars(module))
    makes: list[object] = []

    def make(view: CacheView[Kept], instance: MethodInstance) -> CodeInstance:
        observed = read_global(module.function, "X")
        makes.append(observed.value)
        if len(makes) == 1:
            wait_until_waiting(jobs, 3)
            module.X = 2
        code = view.code_instance(instance, edges=observed.edges)
        view.results(code).value = observed.value
        return code

    codes = results_of([lambda: jobs.view.get_or_create(instance, make)] * 4)
    assert [jobs.view.results(code).value for code in codes] == [2] * 4
    assert makes == [1, 2]
    assert len(set(map(id, codes))) == 1


def test_a_redefinition_while_the_code_is_made_never_leaves_stale_code_in_the_cache():
    jobs = Jobs()
    caller = jobs.instance("caller")
    jobs.instance("callee")

    def make(view: CacheView[Kept], instance: MethodInstance) -> CodeInstance:
        outcome = jobs.table.dispatch("callee", (), view.world)
        if outcome.method.source == "the source of callee":
            add_method(jobs.table, "callee", (), "another source")
        code = view.code_instance(instance, edges=[outcome])
        view.results(code).value = outcome.method.source
        return code

    # The call began before the redefinition, so either is an answer to it; later ones are not served by it.
    assert jobs.view.results(jobs.view.get_or_create(caller, make)).value in ("the source of callee", "another source")
    assert jobs.view.get(caller) is None or jobs.view.results(jobs.view[caller]).value == "another source"
    assert jobs.view.results(jobs.view.get_or_create(caller, make)).value == "another source"
    jobs.cache.check_invariants()


def test_who_asks_after_a_redefinition_is_not_given_what_was_begun_before_it():
    jobs = Jobs()
    caller = jobs.instance("caller")
    jobs.instance("callee")
    has_begun, may_end = threading.Event(), threading.Event()

    def make(view: CacheView[Kept], instance: MethodInstance) -> CodeInstance:
        outcome = jobs.table.dispatch("callee", (), view.world)
        if outcome.method.source == "the source of callee":
            has_begun.set()
            may_end.wait(LIMIT_SECS)
        code = view.code_instance(instance, edges=[outcome])
        view.results(code).value = outcome.method.source
        return code

    first = Running(lambda: jobs.view.results(jobs.view.get_or_create(caller, make)).value)
    assert has_begun.wait(LIMIT_SECS)
    add_method(jobs.table, "callee", (), "another source")
    second = Running(lambda: jobs.view.results(jobs.view.get_or_create(caller, make)).value)
    wait_until_waiting(jobs, 1)
    may_end.set()
    assert first.end().result == "the source of callee"
    assert second.end().result == "another source"


def test_an_error_about_the_old_definition_is_not_given_to_who_asks_after_the_new_one():
    jobs = Jobs()
    caller = jobs.instance("caller")
    jobs.instance("callee")
    has_begun, may_end = threading.Event(), threading.Event()

    def make(view: CacheView[Kept], instance: MethodInstance) -> CodeInstance:
        outcome = jobs.table.dispatch("callee", (), view.world)
        if outcome.method.source == "the source of callee":
            has_begun.set()
            may_end.wait(LIMIT_SECS)
            raise ValueError("the old definition can't be compiled")
        return view.code_instance(instance, edges=[outcome])

    first = Running(lambda: jobs.view.get_or_create(caller, make))
    assert has_begun.wait(LIMIT_SECS)
    add_method(jobs.table, "callee", (), "another source")
    second = Running(lambda: jobs.view.get_or_create(caller, make))
    wait_until_waiting(jobs, 1)
    may_end.set()
    assert isinstance(first.end().error, ValueError)
    assert second.end().error is None
    assert second.result is jobs.view[caller]


def test_a_maker_that_changes_what_it_reads_each_time_is_given_up_with_a_reason():
    jobs = Jobs()
    instance = jobs.instance("function")
    module = types.ModuleType("settings")
    exec("X = 1\ndef function(): return X", vars(module))

    def make(view: CacheView[Kept], instance: MethodInstance) -> CodeInstance:
        observed = read_global(module.function, "X")
        module.X += 1
        return view.code_instance(instance, edges=observed.edges)

    with pytest.raises(WorldError, match="does compiling it, or a thread that never rests, change what it reads"):
        jobs.view.get_or_create(instance, make)
    assert not jobs.cache.flights._by_key


# All at once


def stress(jobs: Jobs, write: Callable[[int], None], read: Callable[[], int], last: int) -> None:
    """Write 1, 2, 3, ... in one thread and read in three others.

    What a reader gets must have been begun to be written before its reading ended, and not been replaced before it began.
    """
    begun, done, reads, ended = [0], [0], [0, 0, 0], threading.Event()

    def write_all() -> None:
        try:
            for number in range(1, last + 1):
                begun[0] = number
                write(number)
                done[0] = number
                # So that the readers keep up, whichever of the two is faster.
                seen = sum(reads)
                while number % 5 == 0 and sum(reads) == seen and not ended.is_set():
                    pass
        finally:
            ended.set()

    def read_all(reader: int) -> None:
        try:
            while not ended.is_set():
                earliest = done[0]
                value = read()
                latest = begun[0]
                assert earliest <= value <= latest, f"{value} was read, between {earliest} and {latest}"
                reads[reader] += 1
        finally:
            ended.set()

    running = [Running(write_all), *(Running(lambda reader=reader: read_all(reader)) for reader in range(3))]
    for one in running:
        one.end()
        if one.error is not None:
            raise one.error
    assert done[0] == last
    assert sum(reads) >= last // 5
    assert read() == last
    jobs.cache.check_invariants()
    assert not jobs.cache.flights._by_key


@pytest.mark.usefixtures("kind_of_namespace", "restless")
def test_no_lookup_that_begins_after_a_rebinding_gets_code_for_the_old_value():
    jobs = Jobs()
    callee, caller = jobs.instance("callee"), jobs.instance("caller")
    module = types.ModuleType("settings")
    exec("X = 0\ndef function(): return X", vars(module))

    def make(view: CacheView[Kept], instance: MethodInstance) -> CodeInstance:
        if instance is caller:
            inner = view.get_or_create(callee, make)
            code = view.code_instance(instance, edges=[inner])
            view.results(code).value = view.results(inner).value
            return code
        observed = read_global(module.function, "X")
        code = view.code_instance(instance, edges=observed.edges)
        view.results(code).value = observed.value
        return code

    def read() -> int:
        return jobs.view.results(jobs.view.get_or_create(caller, make)).value

    stress(jobs, lambda number: setattr(module, "X", number), read, 500)


@pytest.mark.usefixtures("kind_of_namespace", "restless")
def test_no_lookup_that_begins_after_a_deletion_gets_code_for_what_was_there():
    jobs = Jobs()
    instance = jobs.instance("function")
    module = types.ModuleType("settings")
    # The number of the round is what stands there, and the round before it while nothing does.
    exec("X = 0\ndef function(): return X", vars(module))
    rounds = [0]

    def make(view: CacheView[Kept], instance: MethodInstance) -> CodeInstance:
        observed = read_global(module.function, "X")
        code = view.code_instance(instance, edges=observed.edges)
        view.results(code).value = observed.value
        return code

    def write(number: int) -> None:
        if number % 2:
            del module.X
        else:
            module.X = number
        rounds[0] = number

    def read() -> int:
        before = rounds[0]
        value = jobs.view.results(jobs.view.get_or_create(instance, make)).value
        # An odd round is the one with nothing there; which of them can't be told, so the one that began last is taken.
        return value if isinstance(value, int) else before | 1

    stress(jobs, write, read, 500)


@pytest.mark.usefixtures("restless")
def test_no_lookup_that_begins_after_a_redefinition_gets_code_for_the_old_one():
    jobs = Jobs()
    caller = jobs.instance("caller")
    add_method(jobs.table, "callee", (), 0)

    def make(view: CacheView[Kept], instance: MethodInstance) -> CodeInstance:
        outcome = jobs.table.dispatch("callee", (), view.world)
        code = view.code_instance(instance, edges=[outcome])
        view.results(code).value = outcome.method.source
        return code

    stress(
        jobs,
        lambda number: add_method(jobs.table, "callee", (), number),
        lambda: jobs.view.results(jobs.view.get_or_create(caller, make)).value,
        500,
    )


@pytest.mark.usefixtures("restless")
def test_no_lookup_that_begins_after_a_cell_was_set_gets_code_for_the_old_contents():
    jobs = Jobs()
    instance = jobs.instance("function")
    number = 0

    def function() -> int:
        return number

    def make(view: CacheView[Kept], instance: MethodInstance) -> CodeInstance:
        observed = read_cell(function, "number")
        code = view.code_instance(instance, edges=observed.edges)
        view.results(code).value = observed.value
        return code

    def write(new: int) -> None:
        nonlocal number
        number = new

    stress(jobs, write, lambda: jobs.view.results(jobs.view.get_or_create(instance, make)).value, 500)


@pytest.mark.usefixtures("kind_of_namespace", "restless")
def test_everything_at_once():
    jobs = Jobs()
    module = types.ModuleType("settings")
    exec("X = 0\ndef function(): return X", vars(module))
    names = [f"function {number}" for number in range(6)]
    for name in names:
        add_method(jobs.table, name, (), 0)

    def make(view: CacheView[Kept], instance: MethodInstance) -> CodeInstance:
        index = names.index(instance.function)
        observed = read_global(module.function, "X")
        edges: list[object] = [*observed.edges]
        value = [observed.value, instance.source]
        if index:
            outcome = jobs.table.dispatch(names[index - 1], (), view.world)
            callee = view.get_or_create(outcome.instance, make)
            edges += [outcome, callee]
            value.append(view.results(callee).value)
        code = view.code_instance(instance, edges=edges)
        view.results(code).value = value
        return code

    def read(name: str) -> object:
        while True:
            instance = jobs.table.method_instance(name, ())
            try:
                return jobs.view.results(jobs.view.get_or_create(instance, make)).value
            except ValueError as error:
                # The method was replaced between the two: what was looked up stands no longer.
                if instance is jobs.table.method_instance(name, ()):
                    raise AssertionError from error

    def look(end: threading.Event) -> int:
        reads = 0
        while not end.is_set() or not reads:
            for name in reversed(names):
                read(name)
                reads += 1
        return reads

    end = threading.Event()
    readers = [Running(lambda: look(end)) for _ in range(3)]

    def rebind() -> None:
        for number in range(1, 301):
            module.X = number

    def redefine() -> None:
        for number in range(1, 301):
            add_method(jobs.table, names[number % 3], (), number)

    writers = [Running(rebind), Running(redefine)]
    for writer in writers:
        writer.end()
    end.set()
    for running in (*writers, *readers):
        running.end()
        if running.error is not None:
            raise running.error
    sources = [300, 298, 299, 0, 0, 0]
    value: list[object] = []
    for source in sources:
        value = [300, source, *([value] if value else [])]
    assert read(names[-1]) == value
    jobs.cache.check_invariants()
    assert not jobs.cache.flights._by_key


# What the tests above met by chance, here at every run


def test_a_guard_does_not_hold_before_what_it_depends_on_was_invalidated(monkeypatch):
    jobs = Jobs()
    instance = jobs.instance("function")
    number = 1

    def function() -> int:
        return number

    code = jobs.view.get_or_create(
        instance, lambda view, instance: view.code_instance(instance, edges=read_cell(function, "number").edges)
    )
    guard = code.guard
    seen: list[bool] = []
    invalidate = places.invalidate_dependents

    def watch(*arguments: object) -> None:
        # Another thread that compares here, without the lock, must come to wait for it.
        seen.append(guard.holds())
        invalidate(*arguments)
        seen.append(guard.holds())

    monkeypatch.setattr(places, "invalidate_dependents", watch)
    number = 2
    assert jobs.view.get(instance) is None
    assert seen == [False, False]
    assert guard.holds()


@needs_version_tags
def test_the_words_of_a_namespace_do_not_agree_before_what_depends_on_it_was_invalidated(monkeypatch):
    jobs = Jobs()
    instance = jobs.instance("function")
    module = types.ModuleType("settings")
    exec("X = 1\ndef function(): return X", vars(module))
    code = jobs.view.get_or_create(
        instance,
        lambda view, instance: view.code_instance(instance, edges=read_global(module.function, "X").edges),
    )
    (word,) = code.guard.words()
    seen: list[bool] = []
    invalidate = places.invalidate_dependents

    def watch(*arguments: object) -> None:
        seen.append(ctypes.c_uint64.from_address(word.address).value == word.expected.value)
        invalidate(*arguments)
        seen.append(ctypes.c_uint64.from_address(word.address).value == word.expected.value)

    monkeypatch.setattr(places, "invalidate_dependents", watch)
    module.X = 2
    assert jobs.view.get(instance) is None
    assert seen == [False, False]


def test_a_lookup_that_another_thread_overtakes_does_not_return_what_that_one_ended(monkeypatch):
    jobs = Jobs()
    instance = jobs.instance("function")
    number = 1

    def function() -> int:
        return number

    jobs.view.get_or_create(
        instance, lambda view, instance: view.code_instance(instance, edges=read_cell(function, "number").edges)
    )
    holds = Guard.holds

    def overtaken(guard: Guard) -> bool:
        # Between the reading of the guard and its comparison another thread settles what has moved.
        monkeypatch.setattr(Guard, "holds", holds)
        assert results_of([lambda: jobs.view.get(instance)]) == [None]
        return guard.holds()

    number = 2
    monkeypatch.setattr(Guard, "holds", overtaken)
    assert jobs.view.get(instance) is None


def test_who_has_yet_to_notice_that_a_job_is_done_waits_for_nobody(monkeypatch):
    jobs = Jobs()
    flights = jobs.cache.flights
    first, second = ((jobs.instance(name), jobs.view.owner_object) for name in ("first", "second"))

    def switch(thread: int) -> None:
        monkeypatch.setattr(
            "smelt.caching.flights.threading", types.SimpleNamespace(Event=threading.Event, get_ident=lambda: thread)
        )

    with exclusively():
        switch(1)
        flight, is_mine = flights.join(first, 1)
        assert is_mine
        switch(2)
        assert flights.join(second, 1)[1]
        assert flights.join(first, 1) == (flight, False)
        switch(1)
        flights.land(flight)
        # Thread 2 is still listed as waiting for the first job; that is no reason for thread 1 not to wait for the second.
        assert not flights.join(second, 1)[1]
        switch(2)
        flights.leave()
        with pytest.raises(CycleError):
            flights.join(second, 1)


def test_a_frozen_view_finds_a_method_at_every_moment_of_its_redefinition(monkeypatch):
    jobs = Jobs()
    jobs.instance("callee")
    frozen = jobs.view.frozen()
    found: list[object] = []

    def look() -> None:
        found.extend(results_of([lambda: jobs.table.dispatch("callee", (), frozen.world).method.source]))

    for name in ("begin_world", "retain_method", "invalidate"):
        original = getattr(CodeCache, name)

        def looking(*arguments: object, original: Callable[..., object] = original) -> object:
            look()
            result = original(*arguments)
            look()
            return result

        monkeypatch.setattr(CodeCache, name, looking)
    method = add_method(jobs.table, "callee", (), "another source")
    remove_method(jobs.table, method)
    assert len(found) == 12
    assert set(found) == {"the source of callee"}


@pytest.mark.usefixtures("kind_of_namespace")
def test_no_guard_holds_from_the_first_to_the_last_step_of_an_invalidation(monkeypatch):
    jobs = Jobs()
    callee, caller = jobs.instance("callee"), jobs.instance("caller")
    module = types.ModuleType("settings")
    exec("X = 1\ndef function(a=1): return X", vars(module))
    inner = jobs.view.get_or_create(
        callee,
        lambda view, instance: view.code_instance(instance, edges=read_global(module.function, "X").edges),
    )
    outer = jobs.view.get_or_create(caller, lambda view, instance: view.code_instance(instance, edges=[inner]))
    end_code = CodeCache.end_code
    seen: list[bool] = []

    def watch(cache: CodeCache, code: CodeInstance, last_world: int) -> None:
        end_code(cache, code, last_world)
        # What another thread finds that looks up without the lock.
        seen.extend(made.guard is None or made.guard.holds() for made in (inner, outer))

    monkeypatch.setattr(CodeCache, "end_code", watch)
    module.X = 2
    assert jobs.view.get(caller) is None
    assert seen == [False] * 4


@pytest.mark.usefixtures("kind_of_namespace")
def test_who_asks_after_a_rebinding_that_nobody_noticed_is_not_given_what_was_begun_before_it():
    jobs = Jobs()
    callee, caller = jobs.instance("callee"), jobs.instance("caller")
    module = types.ModuleType("settings")
    exec("X = 1\ndef function(): return X", vars(module))
    has_begun, may_end = threading.Event(), threading.Event()

    def make(view: CacheView[Kept], instance: MethodInstance) -> CodeInstance:
        observed = read_global(module.function, "X")
        if instance is caller:
            inner = view.get_or_create(callee, make)
            value, edges = view.results(inner).value, [inner]
            if value == 1:
                has_begun.set()
                may_end.wait(LIMIT_SECS)
        else:
            value, edges = observed.value, observed.edges
        code = view.code_instance(instance, edges=edges)
        view.results(code).value = value
        return code

    first = Running(lambda: jobs.view.results(jobs.view.get_or_create(caller, make)).value)
    assert has_begun.wait(LIMIT_SECS)
    module.X = 2
    second = Running(lambda: jobs.view.results(jobs.view.get_or_create(caller, make)).value)
    wait_until_waiting(jobs, 1)
    may_end.set()
    assert first.end().result in (1, 2)
    assert second.end().result == 2
    assert jobs.view.results(jobs.view[caller]).value == 2


def test_an_error_of_a_listener_while_a_job_is_joined_leaves_nobody_making_or_waiting(monkeypatch):
    jobs = Jobs()
    instance = jobs.instance("function")
    join = Flights.join

    def joining(flights: Flights, *arguments: object) -> object:
        afterwards(fail)
        return join(flights, *arguments)

    def fail() -> None:
        raise ValueError("a listener of somebody's")

    with monkeypatch.context() as patch:
        patch.setattr(Flights, "join", joining)
        with pytest.raises(ValueError, match="a listener"):
            jobs.view.get_or_create(instance, make_plainly)
    assert not jobs.cache.flights._by_key

    def make(view: CacheView[Kept], instance: MethodInstance) -> CodeInstance:
        with monkeypatch.context() as patch:
            patch.setattr(Flights, "join", joining)
            waiting = Running(lambda: jobs.view.get_or_create(instance, make)).end()
        assert isinstance(waiting.error, ValueError)
        assert not jobs.cache.flights._waiting
        return view.code_instance(instance)

    assert jobs.view.get_or_create(instance, make).is_current


def test_a_lookup_while_another_thread_forgets_what_was_found_before_a_registration_is_not_given_that():
    class Shape(metaclass=abc.ABCMeta):  # noqa: B024 - classes are registered with it
        pass

    class Circle:
        pass

    jobs = Jobs()
    add_method(jobs.table, "area", (object,), "of anything")
    add_method(jobs.table, "area", (Shape,), "of a shape")
    assert jobs.table.method_instance("area", (Circle,)).source == "of anything"
    overtaking: list[object] = []

    class Watched(dict):
        def clear(self) -> None:
            overtaking.extend(results_of([lambda: jobs.table.method_instance("area", (Circle,)).source]))
            super().clear()

    jobs.table._found = Watched(jobs.table._found)
    Shape.register(Circle)
    Watched.clear, clear = dict.clear, Watched.clear

    def clear_once(found: Watched) -> None:
        Watched.clear = dict.clear
        clear(found)

    Watched.clear = clear_once
    assert jobs.table.method_instance("area", (Circle,)).source == "of a shape"
    assert overtaking == ["of a shape"]


def test_a_registration_between_a_definition_and_its_watch_is_noticed(monkeypatch):
    class Shape(metaclass=abc.ABCMeta):  # noqa: B024 - classes are registered with it
        pass

    class Circle:
        pass

    jobs = Jobs()
    caller = jobs.instance("caller")
    add_method(jobs.table, "area", (object,), "of anything")

    def make(view: CacheView[Kept], instance: MethodInstance) -> CodeInstance:
        outcome = jobs.table.dispatch("area", (Circle,), view.world)
        code = view.code_instance(instance, edges=[outcome])
        view.results(code).value = outcome.method.source
        return code

    def value() -> object:
        return jobs.view.results(jobs.view.get_or_create(caller, make)).value

    assert value() == "of anything"
    is_outdated = Dispatch.is_outdated

    def overtaken(outcome: Dispatch) -> bool:
        found = is_outdated(outcome)
        # Classes are registered without the lock.
        Shape.register(Circle)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Dispatch, "is_outdated", overtaken)
        add_method(jobs.table, "area", (Shape,), "of a shape")
    assert value() == "of a shape"
