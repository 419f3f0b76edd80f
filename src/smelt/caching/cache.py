# SPDX-License-Identifier: Apache-2.0
"""The code cache: the world counter, and what has to be known to move it on.

A process usually has one, `default_cache()`. Method tables and cache views belong to a cache; caches share nothing but the
namespaces of the program.

Invariants, while the lock of `locking` is free:

- A code instance is current (its world range is open) exactly as long as it is in the cache, nothing that it depends on is
  known to have changed, and all code that it depends on is current.
- Code and methods that are valid no longer are kept exactly as long as somebody holds a `World` in which they were.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from smelt.caching.code import CodeInstance, Owner
from smelt.caching.constants import constant_key
from smelt.caching.errors import OwnerError, WorldError
from smelt.caching.events import Counts, Event
from smelt.caching.flights import Flight, Flights
from smelt.caching.guards import ENDED, Guard, Pending, merge_guards
from smelt.caching.invalidation import Invalidation, InvalidationLog, reach
from smelt.caching.locking import afterwards, exclusively, tidy_up
from smelt.caching.places import place_of, settle_all_places
from smelt.caching.registrations import Registrations
from smelt.caching.worlds import World
from smelt.records import replace

if TYPE_CHECKING:
    from smelt.caching.dependencies import Dependency
    from smelt.caching.dispatch import Dispatch
    from smelt.caching.methods import Method
    from smelt.caching.places import Place

Listener = Callable[[Event], None]


class CodeCache:
    """The worlds of one cache, and the code in it.

    Attributes
    ----------
    world_number
        The number of the current world, as far as changes have been noticed; `world()` looks for the rest.
    invalidations
        The latest invalidations, oldest first.
    """

    def __init__(self) -> None:
        self.world_number = 1
        self.invalidations = InvalidationLog()
        self.flights = Flights()
        self._serial = 0
        self._counts = Counts()
        self._listeners: tuple[Listener, ...] = ()
        self._owners: weakref.WeakValueDictionary[object, Owner] = weakref.WeakValueDictionary()
        self._worlds: dict[int, weakref.ref[World]] = {}
        self._former_code: list[CodeInstance] = []
        self._former_methods: list[Method] = []
        self._failed_stores: list[object] = []

    # Worlds

    def world(self) -> World:
        """The current world, with everything noticed that has changed so far, as something to hold on to."""
        with exclusively():
            settle_all_places()
            return self._hold(self.world_number)

    def known_world(self, world: World | int) -> int:
        """The number of a world that can still be looked into.

        Raises `WorldError` for one that has not begun or that nobody holds, so that what stood in it is not known any more.
        """
        if not isinstance(world, (World, int)):
            raise WorldError(f"{world!r} is no world; world() gives the current one")
        number = int(world)
        if isinstance(world, World) and self._hold_of(number) is not world:
            raise WorldError(f"{world!r} is a world of another code cache")
        if number != self.world_number and number not in self._worlds:
            if number > self.world_number or number < 1:
                raise WorldError(f"there is no world {number}; the current one is {self.world_number}")
            raise WorldError(
                f"world {number} is gone: nobody held it, and the current one is {self.world_number}. "
                "Keep what world() returns as long as you want to look into that world"
            )
        return number

    def hold_world(self, world: World | int) -> World:
        """The `World` object of a world that can still be looked into. Raises as `known_world`."""
        with exclusively():
            return self._hold(self.known_world(world))

    def begin_world(self) -> int:
        """Move the world counter on and return the new world's number. Under the lock, which is held for the change too."""
        self.world_number += 1
        return self.world_number

    def _hold_of(self, number: int) -> World | None:
        reference = self._worlds.get(number)
        return reference() if reference is not None else None

    def _hold(self, number: int) -> World:
        world = self._hold_of(number)
        if world is None:
            world = World(number)
            self._worlds[number] = weakref.ref(world, lambda dead: tidy_up(partial(self._let_go, number, dead)))
        return world

    def _let_go(self, number: int, dead: weakref.ref[World]) -> None:
        if self._worlds.get(number) is dead:
            del self._worlds[number]
        unreachable = [code for code in self._former_code if not self._is_held(code)]
        self._former_code = [code for code in self._former_code if self._is_held(code)]
        for code in unreachable:
            _unlink(code)
        former_methods, self._former_methods = self._former_methods, []
        for method in former_methods:
            if self._is_held(method):
                self._former_methods.append(method)
            else:
                method.table.drop_former(method)

    def _is_held(self, item: CodeInstance | Method) -> bool:
        return any(item.min_world <= number <= item.max_world for number in self._worlds)

    # Owners

    def owner(self, token: object) -> Owner:
        """The one owner object for `token` and what is the same constant. Raises `OwnerError` if it can't be hashed."""
        try:
            key = constant_key(token)
            hash(key)
        except TypeError as error:
            raise OwnerError(
                f"{token!r} can't be an owner: {error}. Use a string, a number, an enum, a frozen dataclass, or a tuple of these"
            ) from None
        with exclusively():
            found = self._owners.get(key)
            if found is None:
                found = self._owners[key] = Owner(token)
            return found

    # Invalidation

    def invalidate(self, cause: str, dependencies: Iterable[Dependency]) -> None:
        """End all code that depends on `dependencies` with the world before the current one. Under the lock.

        The caller has begun a world for the change.
        """
        reached, trees = reach(self, dependencies)
        if not reached:
            return
        # All of them before the first one lets go of its bindings: a guard that is compared meanwhile, by a thread without the
        # lock, asks the bindings that are left.
        last_worlds = [self._last_world(code) for code in reached]
        for code in reached:
            code.guard = ENDED
        for code, last_world in zip(reached, last_worlds, strict=True):
            self.end_code(code, last_world)
        self.count("invalidated", len(reached))
        invalidation = Invalidation(cause, self.world_number, trees, len(reached))
        self.invalidations.append(invalidation)
        self.tell(lambda: invalidation)

    def replace_code(self, code: CodeInstance) -> None:
        """Invalidate `code` and what depends on it, because its owner puts other code in its place. Under the lock."""
        self.begin_world()
        last_world = self._last_world(code)
        self.invalidate(f"{code.instance} was given other code", [code])
        self.end_code(code, last_world)

    def next_serial(self) -> int:
        """The place of the next published code instance in the order of all. Under the lock."""
        self._serial += 1
        return self._serial

    def end_code(self, code: CodeInstance, last_world: int) -> None:
        """Let `code` be valid up to `last_world`, depend on nothing, and be kept only where that is held. Under the lock."""
        code.max_world = last_world
        code.guard = ENDED
        if code._dependent is not None:
            code._dependent.detach()
        if self._is_held(code):
            self._former_code.append(code)
        else:
            _unlink(code)

    def land(self, flight: Flight) -> None:
        """End a flight: what awaits its code depends on that from now on, or ends with it. Under the lock.

        It was compiled together with that code; if that is made later after all, it is from something else.
        """
        instance, owner = flight.key
        awaited = instance._awaited.get(owner)
        if awaited is not None and awaited.dependents:
            self.begin_world()
            what = "could not be made" if flight.code is None else "was outdated before it was made"
            self.invalidate(f"{instance} {what}", [awaited])
        self.flights.land(flight)
        if flight.code is not None:
            self._close_circles(flight, flight.code)

    def _close_circles(self, flight: Flight, code: CodeInstance) -> None:
        todo = [code]
        while todo:
            guard = todo[-1].guard
            if isinstance(guard, Pending) and flight in guard.flights:
                todo[-1].guard = guard.without(flight)
                todo.extend(todo.pop().living_dependents())
            else:
                todo.pop()

    def _last_world(self, code: CodeInstance) -> int:
        """Up to where code that ends now is right."""
        return code.guard.world if isinstance(code.guard, Pending) else self.world_number - 1

    def retain_method(self, method: Method) -> bool:
        """Whether a method that ended has to be kept for a world that is held; if so, its table is told when not. Under the lock."""
        if not self._is_held(method):
            return False
        self._former_methods.append(method)
        return True

    def watch_registrations(self, outcome: Dispatch) -> Place:
        """Look at `outcome` again whenever a class was registered with an abstract one. Under the lock."""
        place = place_of(Registrations, Registrations, "abstract classes")
        place.outcomes.add(outcome)
        self.extend_guards(outcome.living_dependents(), Guard((place,)))
        return place

    def extend_guards(self, codes: Iterable[CodeInstance], guard: Guard) -> None:
        """Have `codes`, and all that depends on them, guarded by `guard` too. Under the lock."""
        todo, done = list(codes), set[CodeInstance]()
        while todo:
            code = todo.pop()
            if code not in done:
                done.add(code)
                code.guard = merge_guards([code.guard, guard])
                todo.extend(code.living_dependents())

    # Observation

    @property
    def counts(self) -> Counts:
        """A snapshot of how often the cold paths were taken."""
        return self._counts

    def count(self, what: str, more: int = 1) -> None:
        """Add to a count. Under the lock."""
        self._counts = replace(self._counts, **{what: getattr(self._counts, what) + more})

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every event from now on, in the thread that caused it. Returns what ends that.

        An error that the listener raises reaches the caller of the operation, which has been done by then.
        """
        with exclusively():
            self._listeners = (*self._listeners, listener)

        def unsubscribe() -> None:
            with exclusively():
                self._listeners = tuple(other for other in self._listeners if other is not listener)

        return unsubscribe

    def tell(self, event: Callable[[], Event]) -> None:
        """Hand an event to the listeners once the lock is free; it is built only if there are any. Under the lock."""
        if self._listeners:
            listeners, built = self._listeners, event()
            for listener in listeners:
                afterwards(partial(listener, built))

    def is_first_failure_of(self, store: object) -> bool:
        """Whether `store` had not failed before; it has from now on."""
        with exclusively():
            if any(store is other for other in self._failed_stores):
                return False
            self._failed_stores.append(store)
            return True

    def why(self, target: Any) -> tuple[str, ...]:
        """Why `target` was invalidated, the latest time first: each line one change and the calls through which it arrived.

        `target` is a method instance, a code instance, or the text of an instance. What was forgotten because the log is
        bounded is not told.
        """
        instance = target.instance if isinstance(target, CodeInstance) else target
        return tuple(str(cause) for cause in self.invalidations.causes(str(instance)))

    def check_invariants(self) -> None:
        """Raise `AssertionError` if one of the invariants of the caching core is broken. For tests."""
        with exclusively():
            for code in self._former_code:
                assert self._is_held(code), f"{code!r} is kept though no world that it is valid in is held"
                assert not code.is_current
                assert not code.dependencies
            for method in self._former_methods:
                assert self._is_held(method), f"{method!r} is kept though no world that it stood in is held"
                assert method.max_world < self.world_number


def _unlink(code: CodeInstance) -> None:
    """Take `code` out of the chain of its instance and owner."""
    chains, owner = code.instance._code, code._owner
    newer = chains.get(owner)
    if newer is code:
        if code._older is None:
            del chains[owner]
        else:
            chains[owner] = code._older
        return
    while newer is not None:
        if newer._older is code:
            newer._older = code._older
            return
        newer = newer._older


_default = CodeCache()


def default_cache() -> CodeCache:
    """The cache of this process that tables and views belong to unless they are given another."""
    return _default


def current_world() -> World:
    """The current world of the default cache, with everything noticed that has changed so far."""
    return _default.world()
