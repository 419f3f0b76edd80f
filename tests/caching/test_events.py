# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import threading

import pytest

from smelt.caching import (
    CacheView,
    Counts,
    Failed,
    Invalidation,
    Loaded,
    Made,
    Miss,
    MissReason,
    OutdatedError,
    Results,
    locking,
    portable,
    read_global,
)

setting = 1


def reads_setting():
    return setting


class Answer(Results):
    value: int | None = portable()


@pytest.fixture
def events(bench):
    heard = []
    bench.cache.subscribe(heard.append)
    return heard


def kinds(events):
    return [type(event) for event in events]


def misses(events):
    return [event for event in events if isinstance(event, Miss)]


def can_lock_elsewhere():
    """Whether another thread can change a cache now."""
    found = []

    def look():
        is_free = locking._lock.acquire(blocking=False)
        if is_free:
            locking._lock.release()
        found.append(is_free)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    return found == [True]


def test_the_lock_is_seen_from_another_thread():
    assert can_lock_elsewhere()
    with locking.exclusively():
        assert not can_lock_elsewhere()


def test_a_first_miss_and_what_was_made_are_told_in_order(bench, events):
    bench.define("f")
    code = bench.compile("f")
    miss, made = events
    assert miss == Miss(code.instance, "tester", MissReason.NEVER_MADE, None)
    assert made == Made(code)


def test_a_hit_tells_nothing(bench, events):
    bench.define("f")
    bench.compile("f")
    events.clear()
    bench.compile("f")
    assert bench.instance("f") in bench.view
    bench.view.get(bench.instance("f", (bool,)))
    assert events == []


def test_a_maker_within_a_maker_is_told_inside_it(bench, events):
    bench.define("f")
    bench.define("g")

    def make(view, instance):
        return view.code_instance(instance, [view.get_or_create(bench.instance("g"), bench.maker())])

    bench.view.get_or_create(bench.instance("f"), make)
    assert kinds(events) == [Miss, Miss, Made, Made]
    assert [str(event.code.instance) for event in events[2:]] == ["g(int)", "f(int)"]


@pytest.mark.parametrize("is_held", [False, True])
def test_a_miss_after_an_invalidation_says_which_change_it_was(bench, events, is_held):
    bench.define("f")
    bench.define("main")
    bench.compile("main", bench.compile("f"))
    # Code of an older world that somebody holds must not hide the cause.
    held = bench.cache.world() if is_held else None
    bench.define("f")
    bench.compile("main")
    miss = misses(events)[-1]
    assert miss.reason is MissReason.INVALIDATED
    assert miss.cause.chain == ("f(int)", "main(int)")
    assert str(miss.cause) == bench.cache.why("main(int)")[0]
    assert (held is None) is not is_held


def test_a_miss_of_a_redefined_method_says_so(bench, events):
    bench.define("f")
    bench.compile("f")
    bench.define("f")
    bench.compile("f")
    assert [miss.reason for miss in misses(events)] == [MissReason.NEVER_MADE, MissReason.INVALIDATED]
    assert misses(events)[-1].cause.cause == "f(int) was redefined in bench"


def test_what_was_invalidated_for_one_owner_was_never_made_for_another(bench, events):
    bench.define("f")
    bench.compile("f")
    bench.define("f")
    bench.compile("f", view=CacheView("other", Answer, cache=bench.cache))
    assert misses(events)[-1] == Miss(bench.instance("f"), "other", MissReason.NEVER_MADE, None)


def test_a_miss_in_an_older_world_says_that_there_is_code_of_other_worlds(bench, events):
    bench.define("main")
    frozen = bench.view.frozen()
    bench.define("g")
    bench.compile("main", bench.table.dispatch("g", (int,)))
    bench.compile("main", view=frozen)
    assert [miss.reason for miss in misses(events)] == [MissReason.NEVER_MADE, MissReason.OTHER_WORLD]
    assert misses(events)[-1].cause is None


def test_a_live_view_whose_cause_was_forgotten_says_other_world(bench, events):
    bench.define("f")
    bench.define("main")
    bench.compile("main", bench.compile("f"))
    held = bench.cache.world()
    bench.define("f")
    bench.cache.invalidations = type(bench.cache.invalidations)()
    bench.compile("main")
    assert misses(events)[-1].reason is MissReason.OTHER_WORLD
    assert held < bench.cache.world()


def test_an_invalidation_is_an_event(bench, events):
    bench.define("f")
    bench.compile("f")
    events.clear()
    bench.define("f")
    (event,) = events
    assert isinstance(event, Invalidation)
    assert event is bench.cache.invalidations[-1]


def test_a_maker_that_raised_is_told_with_its_error(bench, events):
    bench.define("f")
    error = ZeroDivisionError("no code today")

    def failing(_view, _instance):
        raise error

    with pytest.raises(ZeroDivisionError):
        bench.view.get_or_create(bench.instance("f"), failing)
    assert kinds(events) == [Miss, Failed]
    assert events[1] == Failed(bench.instance("f"), "tester", error)
    assert events[1].error is error
    assert bench.cache.counts == Counts(failed=1)


def test_what_is_begun_again_is_one_miss_for_each_time_and_no_failure(bench, events, monkeypatch):
    bench.define("f")
    values = iter([2, 2])

    def make(view, instance):
        observed = read_global(reads_setting, "setting")
        monkeypatch.setitem(globals(), "setting", next(values))
        return view.code_instance(instance, observed.edges)

    bench.view.get_or_create(bench.instance("f"), make)
    assert kinds(events) == [Miss, Miss, Made]
    assert bench.cache.counts == Counts(made=1)


def test_counts_add_up_and_are_a_snapshot(bench):
    bench.define("f")
    bench.define("g")
    assert bench.cache.counts == Counts()
    bench.compile("g", bench.compile("f"))
    before = bench.cache.counts
    bench.compile("g")
    assert before == bench.cache.counts == Counts(made=2)
    bench.define("f")
    bench.compile("f")
    assert bench.cache.counts == Counts(made=3, invalidated=2)
    assert before == Counts(made=2)
    with pytest.raises(AttributeError, match="Counts is immutable"):
        before.made = 100
    assert bench.cache.counts.made == 3


def test_counts_are_kept_though_nobody_listens(bench):
    bench.define("f")
    bench.compile("f")
    assert bench.cache._listeners == ()
    assert bench.cache.counts.made == 1


def test_listeners_are_called_without_the_lock_and_in_the_thread_that_caused_the_event(bench):
    heard = []

    def listener(event):
        heard.append((type(event), threading.get_ident(), can_lock_elsewhere()))

    bench.cache.subscribe(listener)
    bench.define("f")
    bench.compile("f")
    bench.define("f")
    with pytest.raises(ZeroDivisionError):
        bench.view.get_or_create(bench.instance("f"), lambda _view, _instance: 1 // 0)
    here = threading.get_ident()
    assert heard == [(kind, here, True) for kind in (Miss, Made, Invalidation, Miss, Failed)]


def test_makers_are_called_without_the_lock(bench):
    bench.define("f")

    def make(view, instance):
        assert can_lock_elsewhere()
        return view.code_instance(instance)

    assert bench.view.get_or_create(bench.instance("f"), make).is_current


def test_a_listener_may_use_the_cache(bench):
    bench.define("f")
    bench.define("g")

    def listener(event):
        if isinstance(event, Made) and event.code.instance == bench.instance("f"):
            bench.compile("g", event.code)

    bench.cache.subscribe(listener)
    bench.compile("f")
    assert bench.has("g")
    bench.define("f")
    assert not bench.has("g")


class ListenerError(Exception):
    pass


def raise_at(kind):
    def listener(event):
        if isinstance(event, kind):
            raise ListenerError(kind.__name__)

    return listener


def test_the_error_of_a_listener_reaches_the_caller_after_all_is_done(bench, events):
    bench.define("f")
    first = bench.compile("f")
    events.clear()
    unsubscribe = bench.cache.subscribe(raise_at(Invalidation))
    with pytest.raises(ListenerError, match="Invalidation"):
        bench.define("f", (int,), "new")
    assert not first.is_current
    assert bench.instance("f").source == "new"
    unsubscribe()
    unsubscribe = bench.cache.subscribe(raise_at(Made))
    with pytest.raises(ListenerError, match="Made"):
        bench.compile("f")
    assert bench.has("f")
    assert bench.cache.counts == Counts(made=2, invalidated=1)
    unsubscribe()
    # The other listener heard everything, and nothing of a failure.
    assert kinds(events) == [Invalidation, Miss, Made]
    assert bench.compile("f") is bench.view[bench.instance("f")]


def test_a_listener_that_raises_at_a_miss_leaves_nothing_half_made(bench, events):
    bench.define("f")
    unsubscribe = bench.cache.subscribe(raise_at(Miss))
    with pytest.raises(ListenerError):
        bench.compile("f")
    assert bench.made == []
    assert bench.cache.counts == Counts()
    unsubscribe()
    assert bench.compile("f").is_current
    assert kinds(events) == [Miss, Miss, Made]


def test_one_listener_s_error_keeps_nothing_from_the_others(bench):
    heard = []
    bench.cache.subscribe(raise_at(Made))
    bench.cache.subscribe(heard.append)
    bench.cache.subscribe(raise_at(Made))
    bench.define("f")
    with pytest.raises(ListenerError):
        bench.compile("f")
    assert kinds(heard) == [Miss, Made]


def test_of_the_errors_of_several_listeners_an_interrupt_is_raised_and_tells_of_the_others(bench):
    def interrupt(event):
        if isinstance(event, Made):
            raise KeyboardInterrupt

    bench.cache.subscribe(raise_at(Made))
    bench.cache.subscribe(interrupt)
    bench.define("f")
    with pytest.raises(KeyboardInterrupt) as raised:
        bench.compile("f")
    assert raised.value.__notes__ == ["another listener raised ListenerError('Made')"]


def test_who_has_unsubscribed_hears_nothing_more_and_the_others_do(bench, events):
    heard = []
    unsubscribe = bench.cache.subscribe(heard.append)
    bench.define("f")
    bench.compile("f")
    unsubscribe()
    unsubscribe()
    bench.define("f")
    assert kinds(heard) == [Miss, Made]
    assert kinds(events) == [Miss, Made, Invalidation]


def test_events_are_built_only_where_somebody_listens(bench, monkeypatch):
    from smelt.caching import making

    def built(*_arguments):
        raise AssertionError("an event was built")

    monkeypatch.setattr(making, "_miss", built)
    monkeypatch.setattr(making, "Made", built)
    bench.define("f")
    assert bench.compile("f").is_current
    bench.cache.subscribe(lambda _event: None)
    with pytest.raises(AssertionError, match="an event was built"):
        bench.compile("f", types=(bool,))


def test_an_outdated_frozen_view_tells_its_miss_and_makes_nothing(bench, events, monkeypatch):
    bench.define("f")

    def make(view, instance):
        observed = read_global(reads_setting, "setting")
        monkeypatch.setitem(globals(), "setting", 5)
        return view.code_instance(instance, observed.edges)

    with pytest.raises(OutdatedError):
        bench.view.frozen().get_or_create(bench.instance("f"), make)
    assert Made not in kinds(events)
    assert kinds(events)[0] is Miss
    assert bench.cache.counts.made == 0


def test_loaded_is_an_event_of_its_own(bench, events):
    class Store:
        def load(self, view, instance):
            return view.code_instance(instance)

        def save(self, _view, _code):
            raise AssertionError("what was loaded needs no saving")

    bench.define("f")
    view = CacheView("tester", Answer, cache=bench.cache, store=Store())
    code = bench.compile("f", view=view)
    assert events == [Miss(code.instance, "tester", MissReason.NEVER_MADE, None), Loaded(code)]
    assert bench.cache.counts == Counts(loaded=1)
    assert bench.made == []
