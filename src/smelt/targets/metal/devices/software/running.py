# SPDX-License-Identifier: Apache-2.0
"""Launches that end: what runs may be stopped by Ctrl-C and by a limit of time, for kernels look whether to stop in all their loops."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

Task = Callable[[], None]


_WAIT_SECS = 0.05


class LaunchStoppedError(Exception):
    """A launch took longer than it may, and was told to stop; it has stopped."""


def run_until_done(task: Task, stop: Task, seconds: float | None) -> None:
    """Run a task, which doesn't raise, in another thread, and wait for it here, where a signal or the end of its time is noticed.

    Then `stop` is called, which makes it end soon, and it is waited for. Raises what the signal's handler raised, and
    `LaunchStoppedError` if it took longer than so many seconds.
    """
    done = threading.Event()

    def run() -> None:
        try:
            task()
        finally:
            done.set()

    _runner().put(run)
    end = None if seconds is None else time.monotonic() + seconds
    try:
        # In short waits: a signal that comes when one begins is only noticed after it.
        while not done.wait(_next_wait(end)) and (end is None or time.monotonic() < end):
            pass
    except BaseException:
        stop()
        _wait_whatever_comes(done)
        raise
    if not done.is_set():
        stop()
        _wait_whatever_comes(done)
        raise LaunchStoppedError


def _next_wait(end: float | None) -> float:
    return _WAIT_SECS if end is None else max(0.0, min(_WAIT_SECS, end - time.monotonic()))


def _wait_whatever_comes(done: threading.Event) -> None:
    """What a launch uses may only be let go of when it has ended, however often Ctrl-C is pressed."""
    while not done.is_set():
        try:
            done.wait(_WAIT_SECS)
        except BaseException:  # noqa: BLE001, S112 - it is raised already, by what made us stop
            continue


_waiting = threading.local()


def _runner() -> queue.SimpleQueue[Task]:
    """What runs the tasks of the calling thread. It is a thread that ends with the process."""
    tasks: queue.SimpleQueue[Task] | None = getattr(_waiting, "tasks", None)
    if tasks is None or not _waiting.thread.is_alive():
        tasks = _waiting.tasks = queue.SimpleQueue()
        _waiting.thread = threading.Thread(target=_serve, args=(tasks,), name="smelt: kernels of Metal", daemon=True)
        _waiting.thread.start()
    return tasks


def _serve(tasks: queue.SimpleQueue[Task]) -> None:
    while True:
        tasks.get()()
