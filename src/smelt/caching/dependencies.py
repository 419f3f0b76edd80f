# SPDX-License-Identifier: Apache-2.0
"""The graph of what depends on what.

A code instance holds what it depends on (its edges); a dependency knows its dependents (the backedges) by weak reference
only, so that a long-lived namespace keeps no code alive.

Invariants, while the lock of `locking` is free:

- `code._dependent in dependency.dependents` exactly when `dependency in code.dependencies`.
- A dependent that was garbage collected is in no `dependents`.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Self

from smelt.caching.locking import tidy_up

if TYPE_CHECKING:
    from smelt.caching.code import CodeInstance

_NOBODY: frozenset[Dependent] = frozenset()


class Dependency:
    """Something that code instances depend on: another code instance, a method, an outcome of dispatch, a binding."""

    __slots__ = ("__weakref__", "dependents")

    def __init__(self) -> None:
        # Most code instances never get a dependent, so the set is made for the first one.
        self.dependents: set[Dependent] | frozenset[Dependent] = _NOBODY

    def add_dependent(self, dependent: Dependent) -> None:
        if isinstance(self.dependents, set):
            self.dependents.add(dependent)
        else:
            self.dependents = {dependent}

    def remove_dependent(self, dependent: Dependent) -> None:
        if isinstance(self.dependents, set):
            self.dependents.discard(dependent)
            if not self.dependents:
                self.dependents = _NOBODY
                self.abandoned()

    def living_dependents(self) -> Iterator[CodeInstance]:
        for dependent in tuple(self.dependents):
            code = dependent()
            if code is not None:
                yield code

    def abandoned(self) -> None:
        """Called when the last dependent has left."""


class Dependent(weakref.ref["CodeInstance"]):
    """A published code instance as its dependencies see it.

    What a code instance depends on often holds it, by way of its method or of a function, so its dependencies are held by the code
    instance alone, and from here, where they would keep each other's dependents alive, referred to weakly.
    """

    __slots__ = ("_dependencies",)

    _dependencies: tuple[weakref.ref[Dependency], ...]

    def __new__(cls, code: CodeInstance, dependencies: Iterable[Dependency]) -> Self:  # noqa: ARG004
        return super().__new__(cls, code, _collected)

    def __init__(self, code: CodeInstance, dependencies: Iterable[Dependency]) -> None:
        # weakref.ref takes all it needs in __new__.
        self._set(code, tuple(dict.fromkeys(dependencies)))
        for dependency in code.dependencies:
            dependency.add_dependent(self)

    def replace(self, old: Dependency, new: Dependency) -> None:
        """Depend on `new` in place of `old`."""
        code = self()
        if code is not None:
            self._set(code, tuple(new if dependency is old else dependency for dependency in code.dependencies))
            new.add_dependent(self)
        old.remove_dependent(self)

    def detach(self) -> None:
        """Depend on nothing any more."""
        code, references = self(), self._dependencies
        self._dependencies = ()
        for reference in references:
            dependency = reference()
            if dependency is not None:
                dependency.remove_dependent(self)
        if code is not None:
            code.dependencies = ()

    def _set(self, code: CodeInstance, dependencies: tuple[Dependency, ...]) -> None:
        code.dependencies = dependencies
        self._dependencies = tuple(map(weakref.ref[Dependency], dependencies))


def _collected(dependent: weakref.ref[CodeInstance]) -> None:
    assert isinstance(dependent, Dependent)
    tidy_up(partial(Dependent.detach, dependent))
