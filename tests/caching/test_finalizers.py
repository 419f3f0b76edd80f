# SPDX-License-Identifier: Apache-2.0
"""Finalizers run wherever the collector does, and may change what is being published at that moment."""

from __future__ import annotations

import contextlib
import types

import pytest

from smelt.caching import (
    CacheView,
    CodeCache,
    CodeInstance,
    MethodInstance,
    MethodTable,
    OutdatedError,
    Results,
    add_method,
    namespaces,
    publishing,
    read_global,
    session_local,
)

KINDS = {namespaces.Namespace, namespaces.best_namespace()}


@pytest.fixture(autouse=True, params=sorted(KINDS, key=lambda kind: kind.__name__), ids=lambda kind: kind.__name__)
def kind_of_namespace(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "best_namespace", lambda: request.param)


class Kept(Results):
    value: object = session_local()


class Program:
    """A module with a constant X and the cached code of a function that reads it."""

    def __init__(self) -> None:
        self.module = types.ModuleType("settings")
        exec("X = 1\ndef function(): return X", vars(self.module))
        self.cache = CodeCache()
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
    program.module.X = 3
    assert program.value() == 3


def test_a_finalizer_that_rebinds_while_the_value_is_read_is_not_missed(monkeypatch):
    program = Program()
    garbage = [Rebinding(program.module, 2)]
    read = namespaces.Namespace.read

    def read_then_collect(self: namespaces.Namespace, name: str) -> object:
        value = read(self, name)
        garbage.clear()
        return value

    monkeypatch.setattr(namespaces.Namespace, "read", read_then_collect)
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


def test_code_that_was_outdated_by_a_finalizer_is_never_looked_up(monkeypatch):
    program = Program()
    garbage = [Rebinding(program.module, 2)]
    merge = publishing.merge_guards

    def with_collection(*arguments: object) -> object:
        garbage.clear()
        return merge(*arguments)

    monkeypatch.setattr(publishing, "merge_guards", with_collection)
    code = program.make(program.view, program.instance)
    with contextlib.suppress(OutdatedError):
        program.view[program.instance] = code
    assert program.instance not in program.view
