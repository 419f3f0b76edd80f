# SPDX-License-Identifier: Apache-2.0
"""Classes that were registered with an abstract base class: a change in dispatch that no definition announces."""

from __future__ import annotations

import abc
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING

from smelt.caching.invalidation import invalidate_dependents
from smelt.caching.places import Place

if TYPE_CHECKING:
    from smelt.caching.dispatch import Dispatch
    from smelt.caching.guards import Word
    from smelt.caching.places import Binding


class Registrations(Place):
    """The state of all abstract base classes, and the outcomes of dispatch that depend on it."""

    __slots__ = ("_seen", "outcomes")

    def __init__(self, container: object, label: str) -> None:
        super().__init__(container, label)
        self.outcomes: weakref.WeakSet[Dispatch] = weakref.WeakSet()

    def look(self) -> object:
        return abc.get_cache_token()

    def remember(self, state: object) -> None:
        self._seen = state

    def has_moved(self) -> bool:
        return abc.get_cache_token() != self._seen

    def settle(self) -> None:
        state = self.look()
        outdated = [outcome for outcome in list(self.outcomes) if outcome.is_outdated()]
        invalidate_dependents("a class was registered with an abstract base class", outdated)
        self.remember(state)

    def read(self, name: str) -> object:
        raise AssertionError(name)

    def words(self, bindings: Sequence[Binding]) -> list[Word] | None:  # noqa: ARG002
        return None
