# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import threading
import types
import warnings

import pytest

from smelt.caching import (
    CacheView,
    Counts,
    FunctionTable,
    MethodTable,
    Results,
    ResultStore,
    StoreError,
    StoreWarning,
    add_method,
    locking,
    method_instance,
    portable,
    portable_state,
    read_global,
    restore,
    session_local,
)


class Artifact(Results):
    text: str = portable(default="")
    handle: object = session_local()


class Store:
    """Keeps portable states by the text of the instance and the owner, as files would be kept, and says what it was asked."""

    def __init__(self, edges=()):
        self.states = {}
        self.edges = edges
        self.asked = []

    def __repr__(self):
        return "Store()"

    def load(self, view, instance):
        self.asked.append(("load", str(instance), view.is_live))
        state = self.states.get((view.owner, str(instance)))
        if state is None:
            return None
        edges = self.edges(view) if callable(self.edges) else self.edges
        code = view.code_instance(instance, edges)
        code.attach(restore(view.results_class, state))
        return code

    def save(self, view, code):
        self.asked.append(("save", str(code.instance), view.is_live))
        self.states[view.owner, str(code.instance)] = portable_state(view.results(code))


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def view(bench, store):
    bench.define("f", (object,), "f's source")
    bench.define("g", (object,))
    return CacheView("tester", Artifact, cache=bench.cache, store=store)


@pytest.fixture
def f(bench, view):  # noqa: ARG001
    return bench.instance("f")


@pytest.fixture
def module():
    made = types.ModuleType("shared")
    exec("factor = 2\ndef scale(x):\n    return factor * x\n", made.__dict__)
    return made


def making(text, *edges):
    def make(view, instance):
        code = view.code_instance(instance, edges)
        view.results(code).text = text
        view.results(code).handle = object()
        return code

    return make


def never(_view, _instance):
    raise AssertionError("made, though the store had it")


def test_a_class_with_load_and_save_is_a_store(store):
    assert isinstance(store, ResultStore)
    assert not isinstance({}, ResultStore)


def test_the_store_is_asked_on_a_miss_only_and_once(view, f, store):
    view.get(f)
    assert f not in view
    assert store.asked == []
    code = view.get_or_create(f, making("made"))
    assert store.asked == [("load", "f(int)", False), ("save", "f(int)", False)]
    assert view.get_or_create(f, never) is code
    assert view[f] is code
    assert len(store.asked) == 2


def test_what_was_made_in_one_session_is_loaded_in_the_next(bench, view, f, store):
    view.get_or_create(f, making("made"))
    assert store.states == {("tester", "f(int)"): {"text": "made"}}
    # A redefinition stands for the next process here: a new method, with no code yet.
    bench.define("f", (object,), "f's source")
    again = bench.instance("f")
    assert again is not f
    code = view.get_or_create(again, never)
    assert view[again] is code
    assert view.results(code).text == "made"
    assert view.results(code).handle is None
    assert bench.cache.counts == Counts(made=1, loaded=1, invalidated=1)
    assert store.asked[2:] == [("load", "f(int)", False)]


def test_loaded_code_has_its_edges_and_is_invalidated_like_any_other(bench, view, f, store, module):
    callee = view.get_or_create(bench.instance("g"), making("callee"))
    store.states["tester", "f(int)"] = {"text": "loaded"}
    store.edges = lambda _view: (callee, bench.table.dispatch("h", (int,)), *read_global(module.scale, "factor").edges)

    def loaded():
        code = view.get_or_create(f, never)
        assert view.results(code).text == "loaded"
        return code

    first = loaded()
    assert callee in first.dependencies
    bench.define("h", (int,))
    assert not first.is_current
    second = loaded()
    module.factor = 3
    assert f not in view
    assert not second.is_current
    third = loaded()
    bench.define("g", (object,))
    assert not third.is_current
    assert bench.cache.counts.loaded == 3


def test_loaded_code_of_a_function_depends_on_its_code_object(bench, store, module):
    view = CacheView("tester", Artifact, cache=bench.cache, store=store)
    instance = FunctionTable(cache=bench.cache).method_instance(module.scale, (int,))
    store.states["tester", str(instance)] = {"text": "loaded"}
    code = view.get_or_create(instance, never)
    module.scale.__code__ = (lambda x: x + 1).__code__
    assert instance not in view
    assert not code.is_current


def test_code_loaded_while_its_source_is_replaced_is_looked_for_again(bench, store, module):
    view = CacheView("tester", Artifact, cache=bench.cache, store=store)
    instance = FunctionTable(cache=bench.cache).method_instance(module.scale, (int,))
    store.states["tester", str(instance)] = {"text": "of the old source"}
    load = store.load

    def replacing(view, instance):
        store.load = load
        module.scale.__code__ = (lambda x: x + 1).__code__
        code = load(view, instance)
        store.states["tester", str(instance)] = {"text": "of the new source"}
        return code

    store.load = replacing
    made = []

    def make(view, instance):
        made.append(instance)
        return view.code_instance(instance)

    code = view.get_or_create(instance, make)
    assert view.results(code).text == "of the new source"
    # In its first attempt the miss was made from the source as it was no longer, which publishing found out.
    assert made == [instance]
    assert bench.cache.counts == Counts(loaded=1)


def test_owners_are_told_apart_in_the_store_by_the_view_that_it_is_given(bench, view, f, store):
    view.get_or_create(f, making("first"))
    other = CacheView(("tester", 2), Artifact, cache=bench.cache, store=store)
    other.get_or_create(f, making("second"))
    assert store.states == {("tester", "f(int)"): {"text": "first"}, (("tester", 2), "f(int)"): {"text": "second"}}


def test_save_is_called_when_the_view_says_so(view, f, store):
    code = view.get_or_create(f, making("made"))
    view.results(code).text = "and more"
    view.save(code)
    assert store.states["tester", "f(int)"] == {"text": "and more"}
    assert [what for what, *_ in store.asked] == ["load", "save", "save"]


def test_what_was_set_by_hand_and_what_was_loaded_is_not_saved(view, f, store):
    view[f] = view.code_instance(f)
    assert store.asked == []


def test_a_maker_that_raises_saves_nothing(view, f, store):
    with pytest.raises(ZeroDivisionError):
        view.get_or_create(f, lambda _view, _instance: 1 // 0)
    assert [what for what, *_ in store.asked] == ["load"]
    assert store.states == {}


def test_a_view_without_a_store_can_save_in_vain(bench, f):
    code = bench.compile("f")
    bench.view.save(code)
    assert bench.view[f] is code


def test_views_made_of_a_view_have_its_store(view, store):
    assert view.frozen().store is view.with_results(Artifact).store is store


# What is wrong with a store


class Failing(Store):
    def __init__(self, failing, error):
        super().__init__()
        self.failing = failing
        self.error = error

    def load(self, view, instance):
        if "load" in self.failing:
            self.asked.append(("load", str(instance), view.is_live))
            raise self.error
        return super().load(view, instance)

    def save(self, view, code):
        if "save" in self.failing:
            self.asked.append(("save", str(code.instance), view.is_live))
            raise self.error
        return super().save(view, code)


@pytest.mark.parametrize("error", [StoreError("disk full"), OSError("disk full"), ZeroDivisionError("disk full")])
@pytest.mark.parametrize("failing", [("load",), ("save",), ("load", "save")], ids=" and ".join)
def test_a_store_that_fails_costs_one_warning_and_nothing_else(bench, view, failing, error):
    store = Failing(failing, error)
    view = CacheView("tester", Artifact, cache=bench.cache, store=store)
    with pytest.warns(StoreWarning) as caught:
        codes = [view.get_or_create(bench.instance("f", (kind,)), making("made")) for kind in (int, str, float)]
    assert [code.results(Artifact).text for code in codes] == ["made"] * 3
    (warning,) = caught
    assert str(warning.message) == (
        f"the result store Store() could not {failing[0]} f(int): {type(error).__name__}: disk full. "
        "Going on without it; its further failures are not shown"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        view.save(codes[0])
        again = CacheView("tester", Artifact, cache=bench.cache, store=store)
        again.get_or_create(bench.instance("f", (bytes,)), making("made"))
    assert [what for what, *_ in store.asked] == ["load", "save"] * 3 + ["save", "load", "save"]
    assert bench.cache.counts == Counts(made=4)


def test_each_store_that_fails_warns_once(bench, view, f):  # noqa: ARG001
    for name in ("one", "other"):
        failing = CacheView(name, Artifact, cache=bench.cache, store=Failing(("load",), OSError(name)))
        with pytest.warns(StoreWarning, match=name):
            failing.get_or_create(f, making("made"))


def wrong_products(bench):
    other = CacheView("other", Artifact, cache=bench.cache)
    elsewhere = type(bench)("elsewhere")
    elsewhere.define("f")
    return {
        "no code": lambda _view, _instance: {"text": "loaded"},
        "code of another instance": lambda view, _instance: view.code_instance(bench.instance("g")),
        "code of another owner": lambda _view, instance: other.code_instance(instance),
        "code of another cache": lambda _view, _instance: elsewhere.view.code_instance(elsewhere.instance("f")),
    }


@pytest.mark.parametrize(
    "what", ["no code", "code of another instance", "code of another owner", "code of another cache"]
)
def test_a_store_that_gives_the_wrong_thing_is_a_store_that_fails(bench, view, f, what):
    store = Store()
    store.load = wrong_products(bench)[what]
    view = CacheView("tester", Artifact, cache=bench.cache, store=store)
    with pytest.warns(StoreWarning, match=r"could not load f\(int\): MakerError: the maker of f\(int\)") as caught:
        code = view.get_or_create(f, making("made"))
    assert len(caught) == 1
    assert view.results(code).text == "made"
    assert view[f] is code
    bench.define("f", (object,))
    assert not code.is_current


def test_a_load_whose_edges_do_not_hold_is_a_miss_without_a_warning(bench, view, f, store, module):
    store.states["tester", "f(int)"] = {"text": "stale"}
    old_outcome = bench.table.dispatch("h", (int,))
    bench.define("h", (int,))
    old_read = read_global(module.scale, "factor").edges
    module.factor = 3
    unpublished = view.code_instance(bench.instance("g"))
    for edges in [(old_outcome,), old_read, (unpublished,), ("nonsense",)]:
        store.edges = edges
        events = []
        unsubscribe = bench.cache.subscribe(events.append)
        code = view.get_or_create(f, making("made"))
        unsubscribe()
        assert view.results(code).text == "made"
        assert [type(event).__name__ for event in events] == ["Miss", "Made"]
        bench.define("f", (object,))
        store.states["tester", "f(int)"] = {"text": "stale"}
        f = bench.instance("f")
        assert not list(bench.table._outcomes)
    assert bench.cache.counts == Counts(made=4, invalidated=4)


def test_a_load_of_a_state_of_another_version_of_the_class_is_a_failure_that_is_told(view, f, store):
    store.states["tester", "f(int)"] = {"text": "old", "checksum": 3}
    with pytest.warns(StoreWarning, match="ResultsError: Artifact has the portable fields"):
        code = view.get_or_create(f, making("made"))
    assert view.results(code).text == "made"


def test_interrupting_a_store_interrupts(view, f, store):
    def load(_view, _instance):
        raise KeyboardInterrupt

    store.load = load
    with pytest.raises(KeyboardInterrupt):
        view.get_or_create(f, never)
    del store.load
    assert view.get_or_create(f, making("made")).is_current


def test_the_store_is_called_without_the_lock(view, f, store):
    free = []

    def look():
        is_free = locking._lock.acquire(blocking=False)
        if is_free:
            locking._lock.release()
        free.append(is_free)

    def looking(ask):
        def wrapped(*arguments):
            thread = threading.Thread(target=look)
            thread.start()
            thread.join()
            return ask(*arguments)

        return wrapped

    store.load, store.save = looking(store.load), looking(store.save)
    view.get_or_create(f, making("made"))
    assert free == [True, True]


def test_threads_that_ask_at_once_ask_the_store_once(bench, view, f, store):
    asking = threading.Barrier(4)
    loaded, found = threading.Event(), []
    plain_load = store.load

    def load(view, instance):
        # The others come while this one is being loaded.
        loaded.wait()
        return plain_load(view, instance)

    store.load = load
    store.states["tester", "f(int)"] = {"text": "loaded"}

    def ask():
        asking.wait()
        found.append(view.get_or_create(f, never))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    asking.wait()
    loaded.set()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 3
    assert [what for what, *_ in store.asked] == ["load"]
    assert bench.cache.counts == Counts(loaded=1)


def test_a_store_serves_several_caches_and_tables(bench, view, f, store):
    view.get_or_create(f, making("made"))
    other = type(bench)("other")
    table = MethodTable("t", cache=other.cache)
    add_method(table, "f", (object,), None)
    again = CacheView("tester", Artifact, cache=other.cache, store=store)
    code = again.get_or_create(method_instance("f", (int,), table=table), never)
    assert again.results(code).text == "made"
    assert other.cache.counts == Counts(loaded=1)
    assert code is not view[f]
