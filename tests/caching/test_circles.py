# SPDX-License-Identifier: Apache-2.0
"""Functions that call each other in a circle: until the circle is closed, nobody but who closes it gets code from it."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from smelt.caching import (
    CacheView,
    CodeCache,
    CodeInstance,
    CycleError,
    MethodInstance,
    MethodTable,
    Results,
    add_method,
    session_local,
)

LIMIT_SECS = 60


class Kept(Results):
    value: object = session_local()


class Parity:
    """`odd` and `even` call each other, `odd` calls `helper` too, and `main` calls `even`.

    The value of code is what it was compiled from: the source of `helper` that `odd` saw, for both of the circle.
    """

    def __init__(self) -> None:
        self.cache = CodeCache()
        self.table = MethodTable("functions", cache=self.cache)
        self.view = CacheView("tests", Kept, cache=self.cache)
        self.made: list[str] = []
        self.seen = threading.local()
        self.between: Callable[[], object] = lambda: None
        """Called once, by the maker of `odd`, when `even` has been made and `odd` has not."""
        for name in ("odd", "even", "main"):
            add_method(self.table, name, (), "source")
        add_method(self.table, "helper", (), 1)

    def instance(self, name: str) -> MethodInstance:
        found = self.table.method_instance(name, ())
        assert found is not None
        return found

    def make(self, view: CacheView[Kept], instance: MethodInstance) -> CodeInstance:
        self.made.append(instance.function)
        if instance.function == "odd":
            outcome = self.table.dispatch("helper", (), view.world)
            self.seen.helper = value = outcome.method.source
            edges: list[object] = [outcome, view.get_or_create(self.instance("even"), self.make)]
            between, self.between = self.between, lambda: None
            between()
        elif instance.function == "even":
            try:
                odd = view.get_or_create(self.instance("odd"), self.make)
                edges, value = [odd], view.results(odd).value
            except CycleError:
                edges, value = [self.instance("odd")], self.seen.helper
        else:
            even = view.get_or_create(self.instance("even"), self.make)
            edges, value = [even], view.results(even).value
        code = view.code_instance(instance, edges=edges)
        view.results(code).value = value
        return code

    def code(self, name: str, view: CacheView[Kept] | None = None) -> CodeInstance:
        return (view or self.view).get_or_create(self.instance(name), self.make)

    def value(self, name: str) -> object:
        return self.view.results(self.code(name)).value


class Running(threading.Thread):
    """A thread, and what came of it."""

    def __init__(self, action: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self.action = action
        self.result: object = None
        self.start()

    def run(self) -> None:
        try:
            self.result = self.action()
        except BaseException as error:  # noqa: BLE001
            self.result = error

    def end(self) -> object:
        self.join(LIMIT_SECS)
        assert not self.is_alive(), "a deadlock"
        return self.result


def wait_until_waiting(parity: Parity, number: int) -> None:
    pause = threading.Event()
    for _ in range(LIMIT_SECS * 1000):
        if len(parity.cache.flights._waiting) == number:
            return
        pause.wait(0.001)
    raise AssertionError("the threads never came to wait")


def test_a_circle_is_made_once_and_stands_as_a_whole():
    parity = Parity()
    odd, even = parity.code("odd"), parity.code("even")
    assert parity.made == ["odd", "even"]
    assert odd.guard is None
    assert even.guard is None
    add_method(parity.table, "helper", (), 2)
    assert not odd.is_current
    assert not even.is_current
    assert parity.value("even") == 2


def test_code_that_awaits_what_is_outdated_when_it_comes_ends_with_it():
    parity = Parity()
    parity.between = lambda: add_method(parity.table, "helper", (), 2)
    odd = parity.code("odd")
    assert not odd.is_current
    assert parity.instance("even") not in parity.view
    assert "odd() was outdated before it was made" in parity.cache.why(parity.instance("even"))[0]
    assert parity.value("even") == 2
    parity.cache.check_invariants()


def test_a_world_in_which_a_circle_was_not_closed_does_not_see_half_of_it():
    parity = Parity()
    frozen: list[CacheView[Kept]] = []

    def redefine() -> None:
        add_method(parity.table, "helper", (), 2)
        frozen.append(parity.view.frozen())

    parity.between = redefine
    before = parity.view.frozen()
    odd = parity.code("odd", before)
    assert before[parity.instance("odd")] is odd
    assert before.results(before[parity.instance("even")]).value == 1
    assert parity.instance("even") not in frozen[0]
    assert frozen[0].results(parity.code("even", frozen[0])).value == 2


def test_another_thread_waits_until_a_circle_is_closed_and_gets_what_was_made():
    parity = Parity()
    running: list[Running] = []

    def ask() -> None:
        assert Running(lambda: parity.instance("even") in parity.view).end() is False
        running.append(Running(lambda: parity.code("even")))
        wait_until_waiting(parity, 1)

    parity.between = ask
    parity.code("odd")
    assert running[0].end() is parity.view[parity.instance("even")]
    assert parity.made == ["odd", "even"]


def test_another_thread_that_compiles_on_top_of_a_circle_waits_too():
    parity = Parity()
    running: list[Running] = []

    def ask() -> None:
        running.append(Running(lambda: parity.value("main")))
        wait_until_waiting(parity, 1)

    parity.between = ask
    parity.code("odd")
    assert running[0].end() == 1
    assert sorted(parity.made) == ["even", "main", "odd"]
    assert parity.view[parity.instance("main")].guard is None


def test_another_thread_that_asks_after_a_redefinition_is_not_given_half_a_circle_from_before():
    parity = Parity()
    running: list[Running] = []

    def redefine_and_ask() -> None:
        add_method(parity.table, "helper", (), 2)
        running.append(Running(lambda: parity.value("even")))
        wait_until_waiting(parity, 1)

    parity.between = redefine_and_ask
    parity.code("odd")
    assert running[0].end() == 2


def test_another_thread_makes_half_a_circle_itself_if_the_other_half_fails():
    parity = Parity()
    running: list[Running] = []

    def ask_and_fail() -> None:
        running.append(Running(lambda: parity.value("even")))
        wait_until_waiting(parity, 1)
        raise RuntimeError("no odd today")

    parity.between = ask_and_fail
    with pytest.raises(RuntimeError, match="no odd today"):
        parity.code("odd")
    assert running[0].end() == 1
    assert parity.instance("even") in parity.view
    parity.cache.check_invariants()


def test_two_threads_that_begin_a_circle_at_both_ends_both_come_to_an_end():
    parity = Parity()
    for round_number in range(2, 40):
        barrier = threading.Barrier(2)

        def ask(name: str, barrier: threading.Barrier = barrier) -> object:
            barrier.wait(LIMIT_SECS)
            try:
                return parity.value(name)
            except CycleError:
                # `even` came to wait for `odd` before that asked for `even`, and the maker of `odd` takes no method instance for it.
                return parity.value(name)

        running = [Running(lambda name=name: ask(name)) for name in ("odd", "even")]
        assert [one.end() for one in running] == [round_number - 1] * 2
        assert parity.value("main") == round_number - 1
        add_method(parity.table, "helper", (), round_number)
        assert not parity.cache.flights._by_key
        assert not parity.cache.flights._waiting
    parity.cache.check_invariants()
