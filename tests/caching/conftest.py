# SPDX-License-Identifier: Apache-2.0
"""What the tests of the caching core share: a cache of their own with a table, a view and a maker that counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from smelt.caching import (
    CacheView,
    CodeCache,
    CodeInstance,
    Method,
    MethodInstance,
    MethodTable,
    Results,
    add_method,
    method_instance,
    portable,
    session_local,
)

# How fast this machine is decides nothing.
settings.register_profile("smelt", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("smelt")


class Answer(Results):
    value: int | None = portable()
    handle: object = session_local()


class Bench:
    """A cache with one table and one live view, and every instance that `compile` had made, in order."""

    def __init__(self, name: str = "bench") -> None:
        self.cache = CodeCache()
        self.table = MethodTable(name, cache=self.cache)
        self.view = CacheView("tester", Answer, cache=self.cache)
        self.made: list[str] = []

    def define(self, function: Any, signature: Any = (int,), source: Any = None) -> Method:
        return add_method(self.table, function, signature, source)

    def instance(self, function: Any, types: Any = (int,), world: Any = None) -> MethodInstance:
        found = method_instance(function, types, table=self.table, world=world)
        assert found is not None
        return found

    def maker(self, *edges: Any) -> Any:
        """A maker of code with these edges."""

        def make(view: CacheView[Any], instance: MethodInstance) -> CodeInstance:
            self.made.append(str(instance))
            return view.code_instance(instance, edges)

        return make

    def compile(self, function: Any, *edges: Any, types: Any = (int,), view: Any = None) -> CodeInstance:
        """The code of a call, made with `edges` if there is none."""
        view = view or self.view
        world = None if view.is_live else view.world
        return view.get_or_create(self.instance(function, types, world), self.maker(*edges))

    def has(self, function: Any, types: Any = (int,)) -> bool:
        """Whether the live view has code for the call as it is found now."""
        return self.instance(function, types) in self.view

    def registered(self) -> dict[str, object]:
        """All that publishing may change, to be compared: code, dependents, outcomes that are watched, awaited code."""
        methods = [method for methods in self.table._current.values() for method in methods]
        instances = [instance for method in methods for instance in method.instances]
        codes = [code for instance in instances for code in instance._code.values()]
        return {
            "worlds": self.cache.world_number,
            "codes": codes,
            "ranges": [code.world_range for code in codes],
            "dependents": [frozenset(item.dependents) for item in (*methods, *codes)],
            "outcomes": list(self.table._outcomes),
            "awaited": [dict(instance._awaited) for instance in instances],
        }


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.cache.check_invariants()
