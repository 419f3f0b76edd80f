# SPDX-License-Identifier: Apache-2.0
"""Launches that end: what runs may be stopped by Ctrl-C and by a limit of time, for kernels look whether to stop in all their loops."""

from __future__ import annotations

import queue
import threading
import time
import weakref
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
    # Whoever takes it says whether the task runs: a signal may come before its thread has begun, or was even told of it.
    beginning = threading.Lock()
    done = threading.Event()

    def run() -> None:
        if not beginning.acquire(blocking=False):
            return
        try:
            task()
        finally:
            done.set()

    end = None if seconds is None else time.monotonic() + seconds
    try:
        _runner().give(run)
        # In short waits: a signal that comes when one begins is only noticed after it.
        while not done.wait(_next_wait(end)):
            if end is not None and time.monotonic() >= end:
                raise LaunchStoppedError  # noqa: TRY301 - it ends as an interrupted launch does
    except BaseException as error:
        # What took too long is stopped in its first loop, if it hasn't begun.
        if isinstance(error, LaunchStoppedError) or not beginning.acquire(blocking=False):
            _whatever_comes(stop)
            _whatever_comes(lambda: _wait_for(done))
        raise


def _next_wait(end: float | None) -> float:
    return _WAIT_SECS if end is None else max(0.0, min(_WAIT_SECS, end - time.monotonic()))


def _wait_for(done: threading.Event) -> None:
    while not done.wait(_WAIT_SECS):
        pass


def _whatever_comes(step: Task) -> None:
    """Do what doesn't raise: what a launch uses may only be let go of when it has ended, however often Ctrl-C is pressed."""
    while True:
        try:
            step()
        except BaseException:  # noqa: BLE001, S112 - it is raised already, by what made us stop
            continue
        return


class _Runner:
    """A thread that runs the tasks of another one, and ends with that: when this object goes."""

    def __init__(self) -> None:
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        # A daemon: the thread that the process ends with need not have ended.
        self._thread = threading.Thread(target=_serve, args=(self._tasks,), name="smelt: kernels of Metal", daemon=True)
        self._thread.start()
        weakref.finalize(self, self._tasks.put, None).atexit = False

    def is_there(self) -> bool:
        """Whether the thread runs: it doesn't in the child of a fork."""
        return self._thread.is_alive()

    def give(self, task: Task) -> None:
        """Have a task run after those that were given before."""
        self._tasks.put(task)


def _serve(tasks: queue.SimpleQueue[Task | None]) -> None:
    while (task := tasks.get()) is not None:
        task()
        # What it refers to is not kept until there is another one.
        del task


_of_thread = threading.local()


def _runner() -> _Runner:
    """What runs the tasks of the calling thread."""
    found: _Runner | None = getattr(_of_thread, "runner", None)
    if found is None or not found.is_there():
        found = _of_thread.runner = _Runner()
    return found
