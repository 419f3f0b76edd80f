# SPDX-License-Identifier: Apache-2.0
"""The one lock under which the caching core changes, and what has to wait until it is free.

Looking something up takes no lock: it reads dicts and tuples that are replaced or extended in one step. Everything that
defines, publishes or invalidates runs in `with exclusively():`. One lock for the process, and not one for each cache,
because a module's namespace is shared by all caches.

Invariants:

- No code of a user runs while the lock is held: makers, stores and listeners are called outside of it.
- What the garbage collector sets off never meets a half-changed structure: it is put off to the end of the section.
- The lock is free in the child of a fork, and what it protects is whole there.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any

_lock = threading.RLock()


class _Section:
    """The context manager that `exclusively` returns. There is one; it can be entered again by the thread inside it."""

    def __init__(self) -> None:
        self.depth = 0
        self.tidying: deque[Callable[[], None]] = deque()
        self.announcements: list[Callable[[], None]] = []

    def __enter__(self) -> None:
        _lock.acquire()
        self.depth += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        announcements: list[Callable[[], None]] = []
        try:
            if self.depth == 1:
                self.tidy()
                announcements, self.announcements = self.announcements, announcements
        finally:
            self.depth -= 1
            _lock.release()
        _announce(announcements)

    def tidy(self) -> None:
        while self.tidying:
            self.tidying.popleft()()


def _announce(announcements: list[Callable[[], None]]) -> None:
    # One listener's error keeps nothing from the others.
    errors: list[BaseException] = []
    for announce in announcements:
        try:
            announce()
        except BaseException as error:  # noqa: BLE001 - raised when all were told
            errors.append(error)
    if errors:
        # An interrupt is not to be lost behind a mistake of a listener's.
        raised, *others = sorted(errors, key=lambda error: isinstance(error, Exception))
        for other in others:
            raised.add_note(f"another listener raised {other!r}")
        raise raised


_section = _Section()


def exclusively() -> _Section:
    """The section in which the caching core may be changed: `with exclusively(): ...`. Can be nested."""
    return _section


def afterwards(announce: Callable[[], None]) -> None:
    """Call `announce` when the section that this thread is in has ended and the lock is free again."""
    _section.announcements.append(announce)


def tidy_up(action: Callable[[], None]) -> None:
    """Run `action` in a section of its own: at once if the lock is free, at the end of the running section otherwise.

    For finalizers and weak reference callbacks, which run wherever the garbage collector happens to: in the middle of a
    section of this very thread, or while another thread is in one.
    """
    _section.tidying.append(action)
    if _lock.acquire(blocking=False):
        try:
            if _section.depth == 0:
                with _section:
                    pass
        finally:
            _lock.release()


_held_over_forks: list[Any] = []


def hold_over_forks(lock: Any) -> None:
    """Have forks wait for `lock`, which is reentrant, after that of this module, so that nobody holds it in the child."""
    _held_over_forks.append(lock)


def _before_fork() -> None:
    for lock in (_lock, *_held_over_forks):
        lock.acquire()


def _after_fork() -> None:
    for lock in (*reversed(_held_over_forks), _lock):
        lock.release()


if hasattr(os, "register_at_fork"):
    # So that the child finds everything whole.
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
