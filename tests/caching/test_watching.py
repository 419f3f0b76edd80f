# SPDX-License-Identifier: Apache-2.0
"""Watched namespaces: a change invalidates at the moment it is made, and nothing is watched longer than it is depended on."""

from __future__ import annotations

import gc
import pathlib
import subprocess
import sys
import textwrap
import threading
import types
import weakref

import pytest

import smelt
from smelt.caching import (
    BindingError,
    CacheView,
    CodeCache,
    CodeInstance,
    Invalidation,
    MethodInstance,
    MethodTable,
    OutdatedError,
    Results,
    add_method,
    publishing,
    read_attribute,
    read_global,
    session_local,
    watching,
)
from smelt.caching.locking import exclusively
from smelt.caching.namespaces import WatchedNamespace
from smelt.caching.places import Binding, place_of

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="Python 3.11 has no dict watchers; its namespaces are compared by version tag"
)


@pytest.fixture(autouse=True)
def are_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Namespaces are watched, also where this Python has a safer way."""
    monkeypatch.setattr(publishing, "best_namespace", lambda: WatchedNamespace)


SOURCE_FOLDER = str(pathlib.Path(smelt.__file__).parents[1])


class Kept(Results):
    value: object = session_local()


class Program:
    """A module with a constant X and the cached code of a function that reads it."""

    def __init__(self, cache: CodeCache | None = None, module: types.ModuleType | None = None) -> None:
        if module is None:
            module = types.ModuleType("settings")
            exec("X = 1\ndef function(): return X", vars(module))
        self.module = module
        self.cache = cache if cache is not None else CodeCache()
        self.table = MethodTable("functions", cache=self.cache)
        add_method(self.table, "function", (), "the source")
        self.instance = self.table.method_instance("function", ())
        self.view = CacheView("tests", Kept, cache=self.cache)

    def make(self, view: CacheView[Kept], instance: MethodInstance) -> CodeInstance:
        observed = read_global(self.module.function, "X")
        code = view.code_instance(instance, edges=observed.edges)
        view.results(code).value = observed.value
        return code

    def compile(self) -> CodeInstance:
        return self.view.get_or_create(self.instance, self.make)

    def value(self) -> object:
        return self.view.results(self.compile()).value


def watched_names(namespace: dict[str, object]) -> set[str]:
    return {name for address, name in watching._watched_names if address == id(namespace)}


def is_watched(namespace: dict[str, object]) -> bool:
    return id(namespace) in watching._namespaces


def unraisable_errors(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    errors: list[BaseException] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda arguments: errors.append(arguments.exc_value))
    return errors


def run_child(program: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", *options, "-c", CHILD + textwrap.dedent(program)],
        env={"PYTHONPATH": SOURCE_FOLDER, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


# What every child process begins with: this module's own globals are the namespace.
CHILD = """
import sys, types
from smelt.caching import *
from smelt.caching import watching, namespaces, publishing

def best_namespace():
    return namespaces.WatchedNamespace if watching.is_available() else namespaces.Namespace

publishing.best_namespace = best_namespace

class Kept(Results):
    value: object = session_local()

X = 1
def function(): return X

cache = CodeCache()
table = MethodTable("functions", cache=cache)
add_method(table, "function", (), "the source")
instance = table.method_instance("function", ())
view = CacheView("tests", Kept, cache=cache)
makes = 0

def make(view, instance):
    global makes
    makes += 1
    observed = read_global(function, "X")
    code = view.code_instance(instance, edges=observed.edges)
    view.results(code).value = observed.value
    return code

def value():
    return view.results(view.get_or_create(instance, make)).value

"""


def test_a_change_invalidates_at_the_moment_it_is_made():
    program = Program()
    code = program.compile()
    world = program.cache.world_number
    assert code.is_current
    program.module.X = 2
    assert not code.is_current
    assert program.cache.world_number == world + 1
    assert [invalidation.cause for invalidation in program.cache.invalidations] == ["settings.X was rebound"]


@pytest.mark.parametrize(
    "change",
    [
        lambda namespace: namespace.__setitem__("X", 2),
        lambda namespace: namespace.pop("X"),
        lambda namespace: namespace.__delitem__("X"),
        lambda namespace: namespace.clear(),
        lambda namespace: namespace.update(X=2),
        lambda namespace: exec("X = 2", namespace),
        lambda namespace: exec("del X", namespace),
    ],
    ids=["setitem", "pop", "delitem", "clear", "update", "exec", "exec del"],
)
def test_every_way_to_change_a_dict_is_told(change):
    program = Program()
    code = program.compile()
    change(vars(program.module))
    assert not code.is_current


def test_code_with_watched_namespaces_only_has_nothing_to_compare():
    code = Program().compile()
    assert code.guard is None


def test_nothing_is_told_of_names_that_nobody_depends_on():
    program = Program()
    program.compile()
    world = program.cache.world_number
    vars(program.module).update(Y=1, Z=2)
    program.module.Y = 2
    del program.module.Z
    assert program.cache.world_number == world


def test_a_name_is_watched_exactly_as_long_as_somebody_depends_on_it():
    program = Program()
    namespace = vars(program.module)
    assert not is_watched(namespace)
    code = program.compile()
    assert is_watched(namespace)
    assert watched_names(namespace) == {"X"}
    program.module.X = 2
    assert not code.is_current
    assert watched_names(namespace) == set()
    assert program.value() == 2
    assert watched_names(namespace) == {"X"}


def test_the_watch_is_taken_away_when_the_last_dependent_is_gone():
    program = Program()
    namespace = vars(program.module)
    second = Program(program.cache, program.module)
    program.compile()
    second.compile()
    del second
    gc.collect()
    assert is_watched(namespace)
    assert watched_names(namespace) == {"X"}
    remaining = weakref.ref(program.instance.method)
    del program
    gc.collect()
    assert remaining() is None
    assert not is_watched(namespace)
    assert watched_names(namespace) == set()


def test_a_dict_that_nobody_depends_on_any_more_calls_nobody_back():
    program = Program()
    module = program.module

    def functions_called_by_a_change() -> list[str]:
        called: list[str] = []
        sys.setprofile(lambda frame, event, _: called.append(frame.f_code.co_name) if event == "call" else None)
        module.X += 1
        sys.setprofile(None)
        return called

    assert functions_called_by_a_change() == []
    program.compile()
    assert functions_called_by_a_change()[0] == "_on_event"
    program.compile()
    del program
    gc.collect()
    assert functions_called_by_a_change() == []


def test_a_change_ends_the_watch_of_a_name_whose_dependents_are_dead_but_not_tidied_away():
    # Otherwise the callback would end with the name still watched, and code that another thread compiles before the change
    # itself is made would not be told of it.
    program = Program()
    module = program.module
    module.Y = 1
    other = Program(program.cache, module)
    other.make = lambda view, instance: view.code_instance(instance, edges=read_attribute(module, "Y").edges)
    program.compile()
    code = other.compile()
    with exclusively():
        del program
        gc.collect()
        assert watched_names(vars(module)) == {"X", "Y"}
        module.X = 2
        assert watched_names(vars(module)) == {"Y"}
    assert watched_names(vars(module)) == {"Y"}
    module.Y = 2
    assert not code.is_current


def test_several_caches_share_a_namespace_and_each_is_told():
    first = Program()
    second, third = Program(module=first.module), Program(module=first.module)
    codes = [program.compile() for program in (first, second, third)]
    del third
    first.module.X = 2
    assert [code.is_current for code in codes] == [False, False, False]
    assert first.value() == second.value() == 2
    second.cache.check_invariants()
    del second
    gc.collect()
    first.module.X = 3
    assert first.value() == 3


def test_an_executed_namespace_with_compiled_functions_is_collectable():
    class Namespace(dict):
        """A dict that can be referred to weakly."""

    namespace = Namespace()
    exec("X = 1\ndef function(): return X", namespace)
    module = types.SimpleNamespace(function=namespace["function"])
    program = Program(module=module)
    program.compile()
    address, dead = id(namespace), weakref.ref(namespace)
    assert is_watched(namespace)
    del namespace, module, program
    gc.collect()
    assert dead() is None
    assert address not in watching._namespaces
    assert not [key for key in watching._watched_names if key[0] == address]


def test_another_namespace_takes_over_the_dict_of_one_that_is_dying():
    container: dict[str, object] = {"X": 1}
    with exclusively():
        old = place_of(WatchedNamespace, container, "old")
        old.binding("X")
        # Two that stand for one dict: the old one is only waiting for the garbage collector.
        new = WatchedNamespace(container, "new")
        binding = new.binding("X")
        reference = new._subscription._holder
        del old
        gc.collect()
    assert watching._namespaces[id(container)] is reference
    assert watching._watched_names[id(container), "X"] is reference
    container["X"] = 2
    assert binding.value == 2
    del new, binding
    gc.collect()
    assert not is_watched(container)
    assert watched_names(container) == set()


def test_a_namespace_that_is_dying_is_not_used_again(monkeypatch):
    # Another thread asks for the place of the dict at the moment when the watch of the old one is about to end.
    container: dict[str, object] = {"X": 1}
    end = watching._end
    found: list[WatchedNamespace | None] = []
    bindings: list[Binding] = []

    def overtaken(holder: weakref.ref[WatchedNamespace]) -> None:
        if not found:
            found.append(place_of(WatchedNamespace, container, "new"))
            bindings.append(found[0].binding("X"))
        end(holder)

    monkeypatch.setattr(watching, "_end", overtaken)
    with exclusively():
        old = place_of(WatchedNamespace, container, "old")
        old.binding("X")
        del old
        gc.collect()
    assert [place.label for place in found] == ["new"]
    container["X"] = 2
    assert bindings[0].value == 2
    bindings.clear()
    found[0] = None
    gc.collect()
    assert not is_watched(container)


def test_code_that_comes_while_the_former_namespace_waits_for_the_collector_is_told():
    # Again and again: the first program is garbage, but not collected, when the second one is compiled.
    module = Program().module
    gc.collect()
    gc.disable()
    try:
        for number in range(2, 50):
            Program(module=module).compile()
            program = Program(module=module)
            code = program.compile()
            module.X = number
            assert not code.is_current
            if number % 10 == 0:
                gc.collect()
            assert program.value() == number
    finally:
        gc.enable()
    del program, code
    gc.collect()
    assert not is_watched(vars(module))


def test_an_event_of_another_thread_waits_for_the_lock():
    program = Program()
    code = program.compile()
    thread = threading.Thread(target=lambda: setattr(program.module, "X", 2))
    with exclusively():
        thread.start()
        assert code.is_current
        assert program.module.X == 1
    thread.join()
    assert not code.is_current
    assert program.value() == 2


def test_a_listener_may_rebind_a_watched_name():
    program = Program()
    vars(program.module)["Y"] = 1
    other = Program(program.cache, program.module)
    other.make = lambda view, instance: view.code_instance(instance, edges=read_attribute(other.module, "Y").edges)
    first, second = program.compile(), other.compile()
    program.cache.subscribe(lambda _event: setattr(program.module, "Y", 2))
    program.module.X = 2
    assert program.module.Y == 2
    assert not first.is_current
    assert not second.is_current
    program.cache.check_invariants()


class Rebinding:
    """Garbage that rebinds a name when it is collected, as the finalizer of some library might."""

    def __init__(self, module: types.ModuleType, value: object) -> None:
        self.module = module
        self.value = value

    def __del__(self) -> None:
        self.module.X = self.value


@pytest.mark.parametrize("step", ["place_of", "same_constant", "merge_guards", "Dependent"])
def test_a_finalizer_that_rebinds_what_is_being_published_is_not_missed(step, monkeypatch):
    program = Program()
    garbage = [Rebinding(program.module, 2)]
    original = getattr(publishing, step)

    def with_collection(*arguments: object) -> object:
        garbage.clear()
        return original(*arguments)

    monkeypatch.setattr(publishing, step, with_collection)
    assert program.value() == 2
    program.cache.check_invariants()
    assert program.compile().is_current
    program.module.X = 3
    assert program.value() == 3


def test_a_finalizer_that_rebinds_while_the_value_is_read_is_not_missed(monkeypatch):
    program = Program()
    garbage = [Rebinding(program.module, 2)]
    read = WatchedNamespace.read

    def read_then_collect(self: WatchedNamespace, name: str) -> object:
        value = read(self, name)
        garbage.clear()
        return value

    monkeypatch.setattr(WatchedNamespace, "read", read_then_collect)
    assert program.value() == 2
    program.module.X = 3
    assert program.value() == 3


def test_a_finalizer_that_redefines_a_callee_while_its_caller_is_published_is_not_missed(monkeypatch):
    program = Program()

    class Redefining:
        def __del__(self) -> None:
            add_method(program.table, "callee", (), "another source")

    add_method(program.table, "callee", (), "the source")
    sources: list[object] = []

    def make_caller(view: CacheView[Kept], instance: MethodInstance) -> CodeInstance:
        outcome = program.table.dispatch("callee", (), view.world)
        sources.append(outcome.method.source)
        return view.code_instance(instance, edges=[outcome])

    garbage = [Redefining()]
    merge = publishing.merge_guards

    def with_collection(*arguments: object) -> object:
        garbage.clear()
        return merge(*arguments)

    monkeypatch.setattr(publishing, "merge_guards", with_collection)
    code = program.view.get_or_create(program.instance, make_caller)
    assert sources == ["the source", "another source"]
    assert code.is_current
    program.cache.check_invariants()


def test_code_that_was_outdated_by_a_finalizer_can_not_be_put_in_by_hand(monkeypatch):
    program = Program()
    garbage = [Rebinding(program.module, 2)]
    merge = publishing.merge_guards

    def with_collection(*arguments: object) -> object:
        garbage.clear()
        return merge(*arguments)

    monkeypatch.setattr(publishing, "merge_guards", with_collection)
    code = program.make(program.view, program.instance)
    with pytest.raises(OutdatedError, match=r"settings\.X"):
        program.view[program.instance] = code
    assert program.instance not in program.view
    assert watched_names(vars(program.module)) == set()


def test_clearing_a_dict_tells_every_name_in_it():
    program = Program()
    vars(program.module)["Y"] = 1
    other = Program(program.cache, program.module)
    other.make = lambda view, instance: view.code_instance(instance, edges=read_attribute(other.module, "Y").edges)
    first, second = program.compile(), other.compile()
    vars(program.module).clear()
    assert not first.is_current
    assert not second.is_current
    assert [invalidation.cause for invalidation in program.cache.invalidations] == [
        "settings.X was deleted",
        "settings.Y was deleted",
    ]


def test_filling_an_empty_dict_from_another_one_tells_every_name_that_it_brings():
    namespace: dict[str, object] = {}
    module = types.SimpleNamespace(function=types.FunctionType((lambda: X).__code__, namespace))  # noqa: F821
    program = Program(module=module)
    code = program.compile()
    namespace.update({"Y": 1})
    assert code.is_current
    namespace.clear()
    assert code.is_current
    namespace.update({"X": 5, "Y": 1})
    assert not code.is_current
    assert program.value() == 5


def test_an_error_of_a_listener_does_not_reach_the_program_that_rebinds_a_name(monkeypatch):
    errors = unraisable_errors(monkeypatch)
    program = Program()
    code = program.compile()
    events: list[object] = []

    def fail(event: object) -> None:
        events.append(event)
        raise ValueError("a listener of somebody's")

    program.cache.subscribe(fail)
    program.module.X = 2
    assert program.module.X == 2
    assert not code.is_current
    assert [type(event) for event in events] == [Invalidation]
    assert [str(error) for error in errors] == ["a listener of somebody's"]


def test_an_error_of_a_listener_is_shown_by_the_hook_that_python_comes_with():
    done = run_child(
        """
        value()
        def fail(event):
            raise ValueError("a listener of somebody's")
        cache.subscribe(fail)
        X = 2
        print("went on with", X, view.get(instance))
        """
    )
    assert done.returncode == 0
    assert done.stdout == "went on with 2 None\n"
    assert "Traceback" in done.stderr
    assert "Exception ignored in" in done.stderr
    assert done.stderr.rstrip().endswith("ValueError: a listener of somebody's")


def test_a_process_ends_in_silence_with_live_watched_namespaces():
    done = run_child(
        """
        modules = []
        for number in range(5):
            module = types.ModuleType(f"module_{number}")
            exec("X = 1", vars(module))
            add_method(table, module, (), "the source")
            view.get_or_create(
                table.method_instance(module, ()),
                lambda view, instance: view.code_instance(instance, edges=read_attribute(instance.function, "X").edges),
            )
            modules.append(module)
        sys.modules["smelt_module_left_over"] = modules[0]
        assert value() == 1
        assert id(globals()) in watching._namespaces
        print("ended")
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "ended\n", "")


def test_a_process_ends_in_silence_though_names_are_rebound_on_the_way_out():
    done = run_child(
        """
        import atexit, threading

        class Late:
            def __del__(self):
                globals()["X"] = "rebound by a finalizer"

        def rebind():
            global X
            X = X + 1
            print("X is", X, view.get(instance), value())

        late = Late()
        late.itself = late
        sys.last_thing = Late()
        atexit.register(rebind)
        atexit.register(rebind)
        assert value() == 1
        """
    )
    assert done.stderr == ""
    assert done.returncode == 0
    assert done.stdout == "X is 2 None 2\nX is 3 None 3\n"


def test_names_that_are_rebound_after_the_watcher_was_taken_away_are_met_in_silence():
    done = run_child(
        """
        import atexit

        def rebind():
            global X
            X = X + 1
            print("X is", X, watching.is_available(), best_namespace().__name__)

        # Runs after it, since what was registered last runs first.
        atexit.unregister(watching._remove_watcher)
        atexit.register(rebind)
        atexit.register(watching._remove_watcher)
        assert value() == 1
        """
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "X is 2 False Namespace\n"


def test_where_other_packages_took_every_watcher_namespaces_are_compared():
    program = """
        assert not watching.is_available()
        assert best_namespace() is namespaces.Namespace
        assert value() == 1
        assert view.get(instance).guard.words() is None
        X = 2
        assert instance not in view
        assert value() == 2
        X = 2
        assert value() == 2
        print(makes)
    """
    take_all = """
import ctypes
Callback = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
callback = Callback(lambda event, holder, key, value: 0)
add = ctypes.pythonapi.PyDict_AddWatcher
add.argtypes, add.restype = (Callback,), ctypes.c_int
taken = []
try:
    while True:
        taken.append(add(callback))
except RuntimeError:
    pass
assert 0 < len(taken) <= 8
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", take_all + CHILD + textwrap.dedent(program)],
        env={"PYTHONPATH": SOURCE_FOLDER, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "2\n", "")


def test_a_listener_that_compiles_what_is_being_rebound_is_refused_and_ends(monkeypatch):
    """The listener runs before the name has its new value, so that it would compile for the old one, again and again."""
    program = Program()
    assert program.value() == 1
    told, unraisable = [], []
    monkeypatch.setattr(sys, "unraisablehook", lambda event: unraisable.append(event.exc_value))

    def compile_at_once(event):
        if isinstance(event, Invalidation):
            told.append(event)
            program.compile()

    program.cache.subscribe(compile_at_once)
    program.module.X = 2
    assert len(told) == 1
    (error,) = unraisable
    assert isinstance(error, BindingError)
    assert "X is being rebound by this very thread" in str(error)
    assert program.value() == 2
