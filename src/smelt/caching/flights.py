# SPDX-License-Identifier: Apache-2.0
"""Flights: the jobs that are being made, by whom, and who waits for them.

A flight is one job: an instance, an owner, and the thread that makes it. Makers ask for other jobs, so a thread has a stack of
flights, and waits for at most one of another thread.

Invariant: following from a flight to its thread, to the flight that this thread waits for, and so on, comes to an end. A wait that
would close a circle is refused with `CycleError`.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import TYPE_CHECKING

from smelt.caching.errors import CycleError

if TYPE_CHECKING:
    from smelt.caching.code import CodeInstance, Owner
    from smelt.caching.methods import MethodInstance


class Flight:
    """A job that is being made."""

    __slots__ = ("code", "done", "error", "instance", "key", "thread", "world")

    def __init__(self, key: tuple[MethodInstance, Owner], world: int) -> None:
        self.key = key
        self.instance = key[0]
        self.world = world
        self.thread = threading.get_ident()
        self.done = threading.Event()
        self.code: CodeInstance | None = None
        self.error: Exception | None = None

    def is_of_this_thread(self) -> bool:
        """Whether it is the calling thread that makes it."""
        return self.thread == threading.get_ident()


class Flights:
    """All jobs of one cache that are being made, and which thread waits for which."""

    def __init__(self) -> None:
        self._by_key: dict[tuple[MethodInstance, Owner], Flight] = {}
        self._waiting: dict[int, Flight] = {}
        _all_flights.add(self)

    def join(self, key: tuple[MethodInstance, Owner], world: int) -> tuple[Flight, bool]:
        """The flight for this job, and whether the calling thread is to make it. Under the lock.

        Raises `CycleError` if waiting for it would wait for the calling thread itself.
        """
        flight = self._by_key.get(key)
        if flight is None:
            flight = self._by_key[key] = Flight(key, world)
            return flight, True
        self.wait_for(flight)
        return flight, False

    def find(self, key: tuple[MethodInstance, Owner]) -> Flight | None:
        """The flight for this job, if it is being made. Under the lock."""
        return self._by_key.get(key)

    def wait_for(self, flight: Flight) -> None:
        """The calling thread is going to wait for `flight`. Under the lock.

        Raises `CycleError` if that would wait for the calling thread itself.
        """
        self._refuse_cycle(flight)
        self._waiting[threading.get_ident()] = flight

    def leave(self) -> None:
        """The calling thread waits no longer. Under the lock."""
        self._waiting.pop(threading.get_ident(), None)

    def land(self, flight: Flight) -> None:
        """The job is done, or given up. Under the lock."""
        if self._by_key.get(flight.key) is flight:
            del self._by_key[flight.key]
        flight.done.set()

    def forget_other_threads(self) -> None:
        """In the child of a fork only the forking thread lives on; nobody will finish what the others were making."""
        self._waiting.clear()
        for flight in list(self._by_key.values()):
            if flight.thread != threading.get_ident():
                del self._by_key[flight.key]

    def _refuse_cycle(self, wanted: Flight) -> None:
        chain: list[str] = []
        flight: Flight | None = wanted
        # Of a flight that has landed the others have yet to notice that they wait no longer.
        while flight is not None and not flight.done.is_set():
            # What a thread makes is made for what it began to make before.
            begun = [other for other in self._by_key.values() if other.thread == flight.thread]
            chain.extend(str(other.instance) for other in begun[begun.index(flight) :])
            if flight.thread == threading.get_ident():
                path = " -> ".join([*chain, str(wanted.instance)])
                raise CycleError(
                    f"{wanted.instance} is asked for while it is being made: {path}. A compiler that supports recursion has to "
                    "notice it and use the method instance as the edge, without asking for its code"
                )
            flight = self._waiting.get(flight.thread)


_all_flights: weakref.WeakSet[Flights] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for flights in list(_all_flights):
        flights.forget_other_threads()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
