# SPDX-License-Identifier: Apache-2.0
"""Making what is missing, once: one thread makes it, the others that ask for it wait and get the same."""

from __future__ import annotations

import types
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from smelt.caching.code import CodeInstance
from smelt.caching.edges import Read, read_code
from smelt.caching.errors import CycleError, EdgeError, MakerError, OutdatedError, StoreWarning, WorldError
from smelt.caching.events import Failed, Loaded, Made, Miss, MissReason
from smelt.caching.guards import Pending
from smelt.caching.locking import exclusively
from smelt.caching.methods import MethodInstance
from smelt.caching.publishing import publish

if TYPE_CHECKING:
    from smelt.caching.cache import CodeCache
    from smelt.caching.flights import Flight
    from smelt.caching.views import CacheView

Maker = Callable[["CacheView[Any]", MethodInstance], CodeInstance]

_MOST_ATTEMPTS = 100
"""How often a job is begun again because what it had read changed meanwhile."""


def get_or_make(view: CacheView[Any], instance: MethodInstance, make: Maker) -> CodeInstance:
    """The slow half of `CacheView.get_or_create`: wait for whoever makes it, or make it."""
    cache = view.cache
    for _ in range(_MOST_ATTEMPTS):
        # With everything noticed that has changed so far: what was begun before a change must not answer who asks after it.
        asked_in = int(view.world)
        flight, is_mine = None, False
        try:
            with exclusively():
                code = view.get(instance)
                if code is not None:
                    return code
                pending = _pending(view, instance, asked_in)
                if isinstance(pending, CodeInstance):
                    return pending
                flight = pending
                if flight is None:
                    flight, is_mine = cache.flights.join((instance, view.owner_object), asked_in)
        except BaseException:
            # A listener was told, when the section ended, of what had been noticed in it, and raised an error.
            if flight is not None:
                _give_up(cache, flight, is_mine)
            raise
        if not is_mine:
            _wait_for(view, flight)
            code = _answer(flight, asked_in) if flight.instance is instance else None
            if code is not None:
                return code
            continue
        try:
            code = _make(view, flight, make)
        except OutdatedError:
            if not view.is_live:
                raise
            continue
        if not isinstance(code.guard, Pending) or code.guard.is_visible_in(code.guard.world):
            return code
        # Another thread has yet to close the circle that it is in.
    raise WorldError(
        f"{instance} was made {_MOST_ATTEMPTS} times, and each time something that it depends on changed meanwhile; "
        "does compiling it, or a thread that never rests, change what it reads?"
    )


def _pending(view: CacheView[Any], instance: MethodInstance, asked_in: int) -> Flight | CodeInstance | None:
    """The job to wait for before the code of `instance` that is there can be used: one that other threads close a circle with.

    Where they wait for this thread themselves, it goes on with the code as it is. Under the lock.
    """
    code = instance._code.get(view.owner_object)
    if code is None or not isinstance(code.guard, Pending) or asked_in < code.min_world:
        return None
    flight = code.guard.flights[0]
    try:
        view.cache.flights.wait_for(flight)
    except CycleError:
        return code if code.guard.world == asked_in else None
    return flight


def _give_up(cache: CodeCache, flight: Flight, is_mine: bool) -> None:
    with exclusively():
        if is_mine:
            cache.land(flight)
        else:
            cache.flights.leave()


def _wait_for(view: CacheView[Any], flight: Flight) -> None:
    try:
        flight.done.wait()
    finally:
        with exclusively():
            view.cache.flights.leave()


def _answer(flight: Flight, asked_in: int) -> CodeInstance | None:
    """What another thread made; None if that does not answer the question that was asked here."""
    if flight.error is not None and flight.world == asked_in:
        raise flight.error
    code = flight.code
    if code is None or isinstance(code.guard, Pending) or asked_in not in code.world_range:
        return None
    return code


def _make(view: CacheView[Any], flight: Flight, make: Maker) -> CodeInstance:
    cache = view.cache
    try:
        # All that is looked up while it is made is looked up in one world.
        frozen = view.frozen()
        with exclusively():
            flight.world = int(frozen.world)
            cache.tell(lambda: _miss(view, flight.instance))
        code, is_loaded = _load_or_make(frozen, flight, make)
    finally:
        with exclusively():
            cache.land(flight)
    if not is_loaded:
        save(frozen, code)
    # Last, so that all is done when the error of a listener reaches the caller.
    with exclusively():
        cache.tell(lambda: Loaded(code) if is_loaded else Made(code))
    return code


def _load_or_make(frozen: CacheView[Any], flight: Flight, make: Maker) -> tuple[CodeInstance, bool]:
    cache, instance = frozen.cache, flight.instance
    try:
        # Before the source is looked at: whatever replaces it from here on is found when the code is published.
        source_reads = source_edges(instance)
        code = _load(frozen, instance, source_reads)
        is_loaded = code is not None
        if code is None:
            code = make(frozen, instance)
            _check_made(frozen, instance, code)
            publish(code, int(frozen.world), source_reads)
    except OutdatedError:
        # Not the error of the flight: those who wait for it look for themselves.
        raise
    except Exception as error:
        flight.error = error
        with exclusively():
            cache.count("failed")
            failure = error
            cache.tell(lambda: Failed(instance, frozen.owner, failure))
        raise
    flight.code = code
    with exclusively():
        cache.count("loaded" if is_loaded else "made")
    return code, is_loaded


def source_edges(instance: MethodInstance) -> tuple[Read, ...]:
    """What the source itself can change by: the code of a Python function."""
    source = instance.method.source
    return read_code(source).edges if isinstance(source, types.FunctionType) else ()


def save(view: CacheView[Any], code: CodeInstance) -> None:
    """Hand `code` to the view's store, if it has one."""
    if view.store is not None:
        try:
            view.store.save(view, code)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a store, the program goes on
            _warn(view, "save", code.instance, error)


def _load(view: CacheView[Any], instance: MethodInstance, source_reads: tuple[Read, ...]) -> CodeInstance | None:
    if view.store is None:
        return None
    try:
        code = view.store.load(view, instance)
        if code is None:
            return None
        _check_made(view, instance, code)
        publish(code, int(view.world), source_reads)
    except (OutdatedError, EdgeError):
        # It was right when the store compared it, and something has changed since: a miss.
        return None
    except Exception as error:  # noqa: BLE001 - whatever is wrong with a store, the program goes on
        _warn(view, "load", instance, error)
        return None
    return code


def _warn(view: CacheView[Any], what: str, instance: MethodInstance, error: Exception) -> None:
    if view.cache.is_first_failure_of(view.store):
        warnings.warn(
            f"the result store {view.store!r} could not {what} {instance}: {type(error).__name__}: {error}. "
            "Going on without it; its further failures are not shown",
            StoreWarning,
            stacklevel=2,
        )


def _check_made(view: CacheView[Any], instance: MethodInstance, code: object) -> None:
    if not isinstance(code, CodeInstance):
        raise MakerError(
            f"the maker of {instance} returned {code!r}; it has to return the code instance that "
            "view.code_instance(instance, edges=...) makes"
        )
    if code.instance is not instance or code._owner is not view.owner_object:
        raise MakerError(f"the maker of {instance} for {view.owner!r} returned {code!r}")
    if code._dependent is not None and int(view.world) not in code.world_range:
        raise MakerError(
            f"the maker of {instance} returned {code!r}, which is valid no longer; it has to make a new one"
        )


def _miss(view: CacheView[Any], instance: MethodInstance) -> Miss:
    has_other = view.owner_object in instance._code
    if has_other and not view.is_live:
        return Miss(instance, view.owner, MissReason.OTHER_WORLD, None)
    cause = next(view.cache.invalidations.causes(str(instance), repr(view.owner)), None)
    if cause is not None:
        return Miss(instance, view.owner, MissReason.INVALIDATED, cause)
    return Miss(instance, view.owner, MissReason.OTHER_WORLD if has_other else MissReason.NEVER_MADE, None)
