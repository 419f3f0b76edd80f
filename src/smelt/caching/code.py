# SPDX-License-Identifier: Apache-2.0
"""Code instances: what compiling a method instance for one owner gave, and the range of worlds in which it is right."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from smelt.caching.dependencies import Dependency, Dependent
from smelt.caching.guards import Word, pointer_offset
from smelt.caching.locking import exclusively
from smelt.caching.results import Results, check_results_class
from smelt.caching.texts import shown
from smelt.caching.worlds import OPEN, WorldRange

if TYPE_CHECKING:
    from smelt.caching.edges import Edge
    from smelt.caching.guards import Guard
    from smelt.caching.methods import MethodInstance

R = TypeVar("R", bound=Results)


class Owner:
    """An owner's token, one object for all equal tokens, so that looking code up compares identities."""

    __slots__ = ("__weakref__", "token")

    def __init__(self, token: object) -> None:
        self.token = token

    def __repr__(self) -> str:
        return shown(self.token)


class CodeInstance(Dependency):
    """The result of compiling a method instance for an owner, valid in a range of worlds.

    Made by `CacheView.code_instance` and given to the cache by returning it from a maker, or by `view[instance] = code`.

    Attributes
    ----------
    instance
        The method instance that it is code for.
    owner
        The owner's token.
    edges
        What it depends on, as the maker gave it.
    world_range
        Where it is valid. Empty until it is in the cache; open until something it depends on changes.
    """

    __slots__ = (
        "_attached",
        "_dependent",
        "_older",
        "_owner",
        "dependencies",
        "edges",
        "guard",
        "instance",
        "max_world",
        "min_world",
        "serial",
    )

    def __init__(self, instance: MethodInstance, owner: Owner, edges: tuple[Edge, ...]) -> None:
        super().__init__()
        self.instance = instance
        self.edges = edges
        # Empty until published: first > last.
        self.min_world = 1
        self.max_world = 0
        # Which one in its cache it was to be published.
        self.serial = 0
        self.guard: Guard | None = None
        self._owner = owner
        # From each results class to an instance of it.
        self._attached: dict[type[Results], Any] = {}
        self._older: CodeInstance | None = None
        self._dependent: Dependent | None = None
        # What can invalidate it, as long as it is in the cache and valid.
        self.dependencies: tuple[Dependency, ...] = ()

    @property
    def owner(self) -> object:
        return self._owner.token

    @property
    def world_range(self) -> WorldRange:
        return WorldRange(self.min_world, self.max_world)

    @property
    def is_current(self) -> bool:
        """Whether nothing that it depends on is known to have changed."""
        return self.max_world == OPEN

    def results(self, results_class: type[R]) -> R:
        """The results of class `results_class` on this code instance, made empty on first use.

        Raises `ResultsError` if `results_class` is no results class.
        """
        found = self._attached.get(results_class)
        if found is None:
            check_results_class(results_class)
            # setdefault, so that threads that come here at once all get the same object.
            found = self._attached.setdefault(results_class, results_class())
        assert isinstance(found, results_class)
        return found

    def attach(self, results: Results) -> None:
        """Hang `results` on this code instance, as its results of that class: for a store that restores them."""
        self._attached[type(results)] = results

    def attached_results(self) -> Iterator[Results]:
        """All results that hang on it, for whoever writes them out."""
        return iter(tuple(self._attached.values()))

    def words(self) -> tuple[Word, ...] | None:
        """The words to compare, all while no other thread runs Python, to learn whether a live view still gives this code.

        The guard as they were made for is one: it is another when there is more to compare, and when the code is valid no longer.
        Whoever compares them holds this code and its `guard`. None for code that is valid no longer, and where this Python has
        something in it that can't be compared as a word.
        """
        with exclusively():
            guard = self.guard
            compared = guard.words() if guard is not None else ()
        if compared is None or _GUARD_OFFSET is None:
            return None
        return (Word(id(self) + _GUARD_OFFSET, ctypes.c_uint64(id(guard))), *compared)

    def __repr__(self) -> str:
        where = f"worlds {self.world_range}" if self.min_world <= self.max_world else "not cached"
        return f"<code of {self.instance} for {self.owner!r}, {where}>"


def _guard_offset() -> int | None:
    probe: Any = CodeInstance.__new__(CodeInstance)
    probe.guard = object()
    return pointer_offset(probe, probe.guard)


_GUARD_OFFSET = _guard_offset()
