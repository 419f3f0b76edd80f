# SPDX-License-Identifier: Apache-2.0
"""A small world that changes at random, compiled through the cache and evaluated without it.

After every change what the cache gives for every function is what evaluating it gives; frozen views give what they gave; nothing
was made again whose inputs are what they were.
"""

from __future__ import annotations

import builtins
import dataclasses
import gc
import types
from typing import Any, ClassVar

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from smelt.caching import (
    MISSING,
    CacheView,
    CodeCache,
    CodeInstance,
    MethodInstance,
    MethodTable,
    Results,
    StackedMethodTable,
    add_method,
    namespaces,
    publishing,
    read_attribute,
    read_cell,
    read_global,
    remove_method,
    session_local,
)

Expression = tuple[Any, ...]
"""("constant", value), ("global", name), ("attribute", name), ("cell", index), ("call", function, types) or ("both", a, b)."""

FUNCTIONS = range(4)
GLOBALS = ("A", "B", "len")
TYPES = (object, int, bool)


class Kept(Results):
    value: object = session_local()


@dataclasses.dataclass(frozen=True)
class Pair:
    first: object
    second: object


def fresh(value: object) -> object:
    """An equal constant, as another object where Python makes one."""
    if isinstance(value, tuple):
        return tuple(map(fresh, list(value)))
    if isinstance(value, Pair):
        return Pair(fresh(value.first), fresh(value.second))
    return type(value)(repr(value)) if type(value) in (int, float) else value


def shown(value: object) -> str:
    """A text that differs exactly where the constants do: 1, 1.0 and True, 0.0 and -0.0, two functions."""
    return f"function at {id(value)}" if callable(value) else repr(value)


constants = st.sampled_from(
    [0, 1, 1.0, True, False, 0.0, -0.0, 10**20, "a", None, (1, 2), (1, 2.0), Pair(1, 0.0), Pair(1, -0.0), len, max]
)
types_of_call = st.sampled_from([(kind,) for kind in TYPES])
expressions = st.recursive(
    st.one_of(
        constants.map(lambda value: ("constant", value)),
        st.sampled_from(GLOBALS).map(lambda name: ("global", name)),
        st.sampled_from(("size", "height")).map(lambda name: ("attribute", name)),
        st.integers(0, 1).map(lambda index: ("cell", index)),
        st.tuples(st.just("call"), st.integers(0, 3), types_of_call),
    ),
    lambda parts: st.tuples(st.just("both"), parts, parts),
    max_leaves=3,
)


def without_recursion(expression: Expression, function: int) -> Expression:
    """The same with calls of functions of a lower number only, so that evaluating it ends."""
    if expression[0] == "call":
        return ("call", expression[1] % function, expression[2]) if function else ("constant", 1)
    if expression[0] == "both":
        return ("both", without_recursion(expression[1], function), without_recursion(expression[2], function))
    return expression


def closures() -> list[types.FunctionType]:
    def closure(variable):
        def function():
            return variable

        return function

    return [closure(1), closure(2)]


@dataclasses.dataclass
class Snapshot:
    """A frozen view, and what it gave when it was taken."""

    view: CacheView[Kept]
    codes: dict[MethodInstance, tuple[CodeInstance, object]]
    calls: dict[tuple[int, tuple[type]], MethodInstance | None]


class World(RuleBasedStateMachine):
    kind: ClassVar[type[namespaces.Namespace]] = namespaces.Namespace

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(publishing, "best_namespace", lambda: self.kind)
        self.cache = CodeCache()
        self.base = MethodTable("base", cache=self.cache)
        self.overlay = MethodTable("overlay", cache=self.cache)
        self.stack = StackedMethodTable(self.overlay, self.base)
        self.view = CacheView("tests", Kept, cache=self.cache)
        self.module = types.ModuleType("settings")
        exec("A = 1\nB = 2.0\ndef function(): pass", vars(self.module))
        self.bottom = type("Bottom", (), {"size": 1})
        self.top = type("Top", (self.bottom,), {})
        self.closures = closures()
        # The model: what stands in each table, and for each instance what it was last made of.
        self.methods: dict[tuple[str, int, type], tuple[Any, Expression]] = {}
        self.made_of: dict[MethodInstance, object] = {}
        self.made_now: list[MethodInstance] = []
        self.snapshots: list[Snapshot] = []

    def teardown(self) -> None:
        self.patch.undo()

    # Evaluating without the cache, and without the tables

    def global_value(self, name: str) -> object:
        namespace = vars(self.module)
        return namespace[name] if name in namespace else vars(builtins).get(name, MISSING)

    def attribute_value(self, name: str) -> object:
        return next((vars(cls)[name] for cls in self.top.__mro__ if name in vars(cls)), MISSING)

    def cell_value(self, index: int) -> object:
        try:
            return self.closures[index].__closure__[0].cell_contents
        except ValueError:
            return MISSING

    def called(self, function: int, given: tuple[type]) -> tuple[Any, Expression] | None:
        for table in ("overlay", "base"):
            # From the most specific one.
            for kind in reversed(TYPES):
                if issubclass(given[0], kind) and (table, function, kind) in self.methods:
                    return self.methods[table, function, kind]
        return None

    def evaluate(self, expression: Expression) -> tuple[object, object]:
        """The value, and all that went into it."""
        kind, *rest = expression
        if kind == "constant":
            return shown(rest[0]), ()
        if kind == "global":
            value = shown(self.global_value(rest[0]))
            # Whether it shadows a builtin is an input of its own: the same value may be found in another place.
            return value, (kind, rest[0], value, rest[0] in vars(self.module))
        if kind == "attribute":
            value = shown(self.attribute_value(rest[0]))
            where = [rest[0] in vars(cls) for cls in (self.top, self.bottom)]
            return value, (kind, rest[0], value, *(where if not where[0] else ()))
        if kind == "cell":
            value = shown(self.cell_value(rest[0]))
            return value, (kind, rest[0], value)
        if kind == "call":
            found = self.called(*rest)
            if found is None:
                return "no method", (kind, *rest, None)
            value, inputs = self.evaluate(found[1])
            return value, (kind, *rest, found[0], inputs)
        (first, first_inputs), (second, second_inputs) = map(self.evaluate, rest)
        return (first, second), (first_inputs, second_inputs)

    # Compiling, with edges

    def compile(self, view: CacheView[Kept], instance: MethodInstance) -> CodeInstance:
        self.made_now.append(instance)
        edges: list[object] = []
        value = self.emit(view, instance.source, edges)
        code = view.code_instance(instance, edges=edges)
        view.results(code).value = value
        return code

    def emit(self, view: CacheView[Kept], expression: Expression, edges: list[object]) -> object:
        kind, *rest = expression
        if kind == "constant":
            return shown(rest[0])
        if kind == "both":
            return self.emit(view, rest[0], edges), self.emit(view, rest[1], edges)
        if kind == "call":
            outcome = self.stack.dispatch(*rest, view.world)
            edges.append(outcome)
            if outcome.instance is None:
                return "no method"
            code = view.get_or_create(outcome.instance, self.compile)
            # Either form of the edge says the same.
            edges.append(code if rest[0] % 2 else outcome.instance)
            return view.results(code).value
        if kind == "global":
            observed = read_global(self.module.function, rest[0])
        elif kind == "attribute":
            observed = read_attribute(self.top, rest[0])
        else:
            observed = read_cell(self.closures[rest[0]], "variable")
        edges.extend(observed.edges)
        return shown(observed.value)

    def current_instances(self) -> dict[MethodInstance, Expression]:
        return {
            method.specialise((given,)): expression
            for (_, _, kind), (method, expression) in self.methods.items()
            for given in TYPES
            if issubclass(given, kind)
        }

    # What changes

    @initialize(expression=expressions, other=expressions)
    def begin(self, expression, other):
        self.define("base", 2, object, expression)
        self.define("base", 3, object, ("both", other, ("call", 2, (int,))))

    @rule(
        table=st.sampled_from(["base", "base", "overlay"]),
        function=st.sampled_from(FUNCTIONS),
        kind=st.sampled_from(TYPES),
        expression=expressions,
    )
    def define(self, table, function, kind, expression):
        expression = without_recursion(expression, function)
        method = add_method(getattr(self, table), function, (kind,), expression)
        self.methods[table, function, kind] = (method, expression)

    @precondition(lambda self: self.methods)
    @rule(data=st.data())
    def redefine_with_the_same_source(self, data):
        (table, function, kind), (_, expression) = data.draw(st.sampled_from(list(self.methods.items())))
        self.methods[table, function, kind] = (
            add_method(getattr(self, table), function, (kind,), expression),
            expression,
        )

    @precondition(lambda self: self.methods)
    @rule(data=st.data())
    def remove(self, data):
        key = data.draw(st.sampled_from(list(self.methods)))
        method, _ = self.methods.pop(key)
        remove_method(getattr(self, key[0]), method)

    @rule(name=st.sampled_from(GLOBALS), value=constants)
    def rebind(self, name, value):
        setattr(self.module, name, value)

    @rule(name=st.sampled_from(GLOBALS))
    def rebind_to_an_equal_constant(self, name):
        if name in vars(self.module):
            setattr(self.module, name, fresh(getattr(self.module, name)))

    @rule(name=st.sampled_from(GLOBALS))
    def unbind(self, name):
        vars(self.module).pop(name, None)

    @rule(number=st.integers(0, 3))
    def bind_an_unrelated_name(self, number):
        setattr(self.module, f"unrelated_{number}", number)

    @rule(which=st.sampled_from(["top", "bottom"]), name=st.sampled_from(["size", "height"]), value=constants)
    def set_attribute(self, which, name, value):
        setattr(getattr(self, which), name, value)

    @rule(which=st.sampled_from(["top", "bottom"]), name=st.sampled_from(["size", "height"]))
    def delete_attribute(self, which, name):
        cls = getattr(self, which)
        if name in vars(cls):
            delattr(cls, name)

    @rule(index=st.integers(0, 1), value=constants)
    def set_cell(self, index, value):
        self.closures[index].__closure__[0].cell_contents = value

    @rule(index=st.integers(0, 1))
    def set_cell_to_an_equal_constant(self, index):
        value = self.cell_value(index)
        if value is not MISSING:
            self.closures[index].__closure__[0].cell_contents = fresh(value)

    @rule(index=st.integers(0, 1))
    def empty_cell(self, index):
        if self.cell_value(index) is not MISSING:
            del self.closures[index].__closure__[0].cell_contents

    @precondition(lambda self: len(self.snapshots) < 3)
    @rule()
    def freeze(self):
        view = self.view.frozen()
        codes = {instance: view[instance] for instance in self.current_instances()}
        self.snapshots.append(
            Snapshot(
                view,
                {instance: (code, view.results(code).value) for instance, code in codes.items()},
                {
                    (function, (kind,)): self.stack.method_instance(function, (kind,), view.world)
                    for function in FUNCTIONS
                    for kind in TYPES
                },
            )
        )

    @precondition(lambda self: self.snapshots)
    @rule(data=st.data())
    def let_go(self, data):
        del self.snapshots[data.draw(st.integers(0, len(self.snapshots) - 1))]

    @rule()
    def collect_garbage(self):
        gc.collect(0)

    # What holds after every change

    @invariant()
    def the_cache_gives_what_evaluating_gives_and_makes_nothing_for_nothing(self):
        self.made_now = []
        instances = self.current_instances()
        inputs: dict[MethodInstance, object] = {}
        for instance, expression in instances.items():
            value, inputs[instance] = self.evaluate(expression)
            code = self.view.get_or_create(instance, self.compile)
            assert self.view.results(code).value == value, f"{instance}: {expression}"
            assert code.is_current
            assert self.view.get(instance) is code
        assert len(set(self.made_now)) == len(self.made_now), "made twice"
        for instance in self.made_now:
            assert self.made_of.get(instance) != inputs[instance], f"{instance} was made again of what it was made of"
        for instance in instances:
            # And the other way round: what is not made again was made of what there is now.
            assert instance in self.made_now or self.made_of[instance] == inputs[instance]
        self.made_of = inputs

    @invariant()
    def every_call_finds_the_method_that_the_model_finds(self):
        for function in FUNCTIONS:
            for kind in TYPES:
                instance, found = self.stack.method_instance(function, (kind,)), self.called(function, (kind,))
                assert (instance.method if instance is not None else None) is (found[0] if found is not None else None)

    @invariant()
    def frozen_views_give_what_they_gave(self):
        for snapshot in self.snapshots:
            for instance, (code, value) in snapshot.codes.items():
                assert snapshot.view.get(instance) is code
                assert snapshot.view.get_or_create(instance, self.compile) is code
                assert snapshot.view.results(code).value == value
            for call, instance in snapshot.calls.items():
                assert self.stack.method_instance(*call, snapshot.view.world) is instance

    @invariant()
    def the_invariants_of_the_caching_core_hold(self):
        self.cache.check_invariants()
        for instance in self.current_instances():
            code = self.view.get(instance)
            for dependency in code.dependencies:
                assert code._dependent in dependency.dependents
                assert not isinstance(dependency, CodeInstance) or dependency.is_current


def of_kind(namespace: type[namespaces.Namespace]) -> type:
    machine = type(f"WorldOf{namespace.__name__}", (World,), {"kind": namespace})
    case = machine.TestCase
    case.settings = settings(max_examples=120, stateful_step_count=40, deadline=None, derandomize=True, database=None)
    return case


TestComparedNamespaces = of_kind(namespaces.Namespace)

if namespaces._has_version_tags():
    TestVersionedNamespaces = of_kind(namespaces.VersionedNamespace)
