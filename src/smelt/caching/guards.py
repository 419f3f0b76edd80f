# SPDX-License-Identifier: Apache-2.0
"""Guards: what is compared, each time code is looked up, to learn whether something changed without telling.

A definition goes through a method table and tells by itself. A rebinding is an ordinary statement somewhere else: the places in which
code depends on bindings (namespaces, the few pointers inside a function object, closure cells) are listed in the guard of each code
instance that depends on one, its callees' included.

A guard is a list of words in memory to compare, so that a compiled launch can check it without entering Python: `words`
gives their addresses. `holds` is the same check in Python.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from smelt.caching.flights import Flight
    from smelt.caching.places import Binding, Place


class Word(NamedTuple):
    """Eight bytes in memory, and eight bytes that they equal as long as nothing has changed.

    `expected` is shared with the place that the word belongs to, which updates it when the place changed in a way that
    matters to nobody: a compiled check reads both sides. An `address` of 0 equals nothing.

    Where they differ, the place may have changed in names that nothing here depends on. If there are `values`, a compiled check may look
    whether all are as they were. If so, and if the word is still what it was before, `expected` may be set to that.
    """

    # LIFETIME: `address` points into an object that the place holds, and so does every guard with this word.
    address: int
    expected: ctypes.c_uint64
    values: NamedValues | None = None


class NamedValues:
    """Names in a dict and the values that are expected of them, as words that a compiled check reads.

    How many names there are, the dict, two words that are 0, and for each name: its address, its hash, the address of a word with the
    address of its value, 0 if it is unbound, and a word that is 0. The words that are 0 are for what the check learns of the dict.
    """

    __slots__ = ("_held", "address")

    def __init__(self, container: dict[str, object], bindings: Sequence[Binding]) -> None:
        identities = [binding.identity() for binding in bindings]
        parts = [len(bindings), id(container), 0, 0]
        for binding, identity in zip(bindings, identities, strict=True):
            parts += [id(binding.name), hash(binding.name) % 2**64, ctypes.addressof(identity), 0]
        words = (ctypes.c_uint64 * len(parts))(*parts)
        self.address = ctypes.addressof(words)
        # LIFETIME: the words have the addresses of these.
        self._held = (words, container, identities, [binding.name for binding in bindings])


def pointer_offset(holder: object, part: object) -> int | None:
    """Where in the memory of `holder` the pointer to `part` is; None unless exactly one word is that pointer.

    The layout of CPython's objects changes between its releases and is in no stable API, so it is looked for in an object made for the
    purpose.
    """
    if sys.implementation.name != "cpython" or ctypes.sizeof(ctypes.c_void_p) != 8:
        return None
    size = type(holder).__basicsize__
    words = (ctypes.c_uint64 * (size // 8)).from_address(id(holder))
    found = [index * 8 for index, word in enumerate(words) if word == id(part)]
    return found[0] if len(found) == 1 else None


class Guard:
    """The places that some code depends on and that have to be asked whether they changed, and the bindings there that it depends on."""

    __slots__ = ("bindings", "places")

    def __init__(self, places: Iterable[Place], bindings: Iterable[Binding] = ()) -> None:
        self.places = tuple(dict.fromkeys(places))
        self.bindings = tuple(dict.fromkeys(bindings))

    def holds(self) -> bool:
        """Whether nothing has changed since the places were last settled."""
        for place in self.places:  # noqa: SIM110 - a generator would cost more than the comparison
            if place.has_moved():
                return False
        return True

    def settle(self) -> None:
        """Let every place that changed invalidate what depends on what changed there."""
        for place in self.places:
            if place.has_moved():
                place.settle()

    def words(self) -> tuple[Word, ...] | None:
        """The words to compare, or None where this Python has something in it that can't be compared as a word."""
        words: list[Word] = []
        bindings: dict[Place, list[Binding]] = {place: [] for place in self.places}
        for binding in self.bindings:
            bindings[binding.place].append(binding)
        for place, bindings_there in bindings.items():
            found = place.words(bindings_there)
            if found is None:
                return None
            words.extend(found)
        return tuple(words)

    def __repr__(self) -> str:
        return f"Guard({', '.join(map(str, self.places))})"


class _Ended(Guard):
    """The guard of code that is valid no longer: it never holds, and there is nothing to settle."""

    __slots__ = ()

    def holds(self) -> bool:
        return False

    def settle(self) -> None:
        pass

    def words(self) -> None:
        return None


ENDED = _Ended(())


class Pending(Guard):
    """The guard of code that awaits other code which is being made: functions that call each other in a circle.

    Until the circle is closed, what the code will depend on is not known, so the guard never holds: the code is right in the world
    that it was made for, and nowhere else.

    Attributes
    ----------
    flights
        The jobs that are awaited.
    world
        The world that the code was made for.
    """

    __slots__ = ("flights", "world")

    def __init__(
        self, places: Iterable[Place], bindings: Iterable[Binding], flights: Iterable[Flight], world: int
    ) -> None:
        super().__init__(places, bindings)
        self.flights = tuple(dict.fromkeys(flights))
        self.world = world

    def holds(self) -> bool:
        return False

    def words(self) -> None:
        return None

    def is_visible_in(self, world: int) -> bool:
        """Whether the calling thread may use the code in that world, since it is closing the circle itself."""
        return world == self.world and any(flight.is_of_this_thread() for flight in self.flights)

    def without(self, flight: Flight) -> Guard | None:
        """The guard once that job is done."""
        rest = [other for other in self.flights if other is not flight]
        if rest:
            return Pending(self.places, self.bindings, rest, self.world)
        return merge_guards((), self.places, self.bindings)


def merge_guards(
    guards: Iterable[Guard | None], places: Iterable[Place] = (), bindings: Iterable[Binding] = ()
) -> Guard | None:
    """One guard with all of these, or None if there is nothing to compare."""
    merged_guards = [guard for guard in guards if guard is not None]
    merged = [*places, *(place for guard in merged_guards for place in guard.places)]
    all_bindings = [*bindings, *(binding for guard in merged_guards for binding in guard.bindings)]
    pending = [guard for guard in merged_guards if isinstance(guard, Pending)]
    if pending:
        flights = (flight for guard in pending for flight in guard.flights)
        return Pending(merged, all_bindings, flights, pending[0].world)
    return Guard(merged, all_bindings) if merged else None
