# SPDX-License-Identifier: Apache-2.0
"""The cache for handles of one artifact: a few (device, handle) pairs, compared by identity.

A process has one device or a handful, so walking over pairs beats hashing, and devices need neither `__hash__` nor `__eq__`.

Invariant: the pairs are one immutable tuple that is replaced whole, so that readers take no lock and never see a device with
the handle of another.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from smelt.caching.errors import ResultsError

Device = TypeVar("Device")
Handle = TypeVar("Handle")


class LinearCache(Generic[Device, Handle]):
    """Handles by device. Looking up is lock-free; linking for a device happens once, under a lock."""

    __slots__ = ("__weakref__", "_first", "_lock", "_pairs")

    def __init__(self) -> None:
        self._pairs: tuple[tuple[Device, Handle], ...] = ()
        # The first pair by itself: with one device, the usual case, that is all a lookup reads.
        self._first: tuple[object, Handle | None] = _NOTHING
        self._lock: threading.RLock | None = None

    def get(self, device: Device) -> Handle | None:
        """The handle for `device`, or None."""
        first = self._first
        if first[0] is device:
            return first[1]
        for known, handle in self._pairs:
            if known is device:
                return handle
        return None

    def get_or_create(self, device: Device, link: Callable[[Device], Handle]) -> Handle:
        """The handle for `device`; where there is none, what `link(device)` makes, once however many threads ask.

        What `link` raises is raised here, and `ResultsError` if it gives None; that leaves nothing behind, and the next call tries again.
        """
        handle = self.get(device)
        if handle is not None:
            return handle
        with self._exclusively():
            handle = self.get(device)
            if handle is None:
                handle = link(device)
                if handle is None:
                    raise ResultsError(f"linking for {device!r} gave None, which is no handle")
                self._replace((*self._pairs, (device, handle)))
            return handle

    def discard(self, device: Device) -> None:
        """Forget the handle for `device`, if there is one."""
        with self._exclusively():
            self._replace(tuple(pair for pair in self._pairs if pair[0] is not device))

    def clear(self) -> None:
        """Forget all handles."""
        with self._exclusively():
            self._replace(())

    def __len__(self) -> int:
        return len(self._pairs)

    def __iter__(self) -> Iterator[tuple[Device, Handle]]:
        return iter(self._pairs)

    def __repr__(self) -> str:
        return f"LinearCache({', '.join(f'{device!r}: {handle!r}' for device, handle in self._pairs)})"

    def _replace(self, pairs: tuple[tuple[Device, Handle], ...]) -> None:
        self._pairs = pairs
        self._first = pairs[0] if pairs else _NOTHING

    def _exclusively(self) -> threading.RLock:
        lock = self._lock
        if lock is None:
            # Most caches are never linked in a process, so locks are made when they are first needed.
            with _making_locks:
                lock = self._lock
                if lock is None:
                    lock = self._lock = threading.RLock()
                    _locked_caches.add(self)
        return lock


_NOTHING: tuple[object, None] = (object(), None)
_making_locks = threading.Lock()
_locked_caches: weakref.WeakSet[LinearCache[Any, Any]] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    # A thread that held one of these locks does not exist in the child and left nothing half-done: pairs are replaced whole.
    global _making_locks  # noqa: PLW0603
    _making_locks = threading.Lock()
    for cache in list(_locked_caches):
        cache._lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
