# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: PTH103, PTH120 - a warm process doesn't import pathlib
"""Advisory locks among processes, by which each job is compiled once. Nobody depends on getting one.

A lock is gone with the process that holds it, and whoever waits for one that is held for too long goes on without.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

MOST_SECONDS = 120.0
"""How long a lock is waited for, at most."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.001, 0.05


@contextmanager
def locked(path: str, most_seconds: float = MOST_SECONDS) -> Iterator[bool]:
    """Hold the lock of the file at `path`, made if need be; whether it is held.

    It isn't where there can't be one (a read-only directory, a file system without locks), or if another process holds it for more than
    `most_seconds`.
    """
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    except OSError:
        yield False
        return
    is_held = False
    try:
        is_held = _wait(descriptor, most_seconds)
        yield is_held
    finally:
        if is_held:
            _unlock(descriptor)
        os.close(descriptor)


def _wait(descriptor: int, most_seconds: float) -> bool:
    end, pause = time.monotonic() + most_seconds, _FIRST_PAUSE
    while True:
        try:
            _try_to_lock(descriptor)
        except (BlockingIOError, PermissionError):
            if time.monotonic() > end:
                return False
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        except OSError:
            return False
        else:
            return True


if sys.platform == "win32":

    def _try_to_lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:

    def _try_to_lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
