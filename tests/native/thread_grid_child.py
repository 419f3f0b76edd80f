# SPDX-License-Identifier: Apache-2.0
"""What the processes do that `test_thread_grid` starts."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

import smelt
from smelt import _wiring
from smelt.targets.native.thread_grid import grid as thread_grid


@smelt.kernel
def double(out):
    i = smelt.grid(1)
    out[i] = 2 * i


@smelt.kernel
def collatz(out):
    i = smelt.grid(1)
    number, steps = i + 1, 0
    while number != 1:
        number = number // 2 if number % 2 == 0 else 3 * number + 1
        steps += 1
    out[i] = steps


@smelt.kernel
def never_end(out):
    i = smelt.grid(1)
    turns = 0
    # The first thread is what a launch runs alone.
    while i > 0 and turns < 2**62:
        turns += out[0] + 1
    out[1] = turns


LARGE = 80_000


def is_right() -> str:
    """Launch a grid that is worth several threads."""
    out = np.zeros(LARGE, np.int64)
    collatz[LARGE](out)
    return "right" if (out[26], out[77030], out[0]) == (111, 350, 0) else f"wrong: {out}"


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def number_of_threads() -> int:
    return sum(1 for _ in Path("/proc/self/task").iterdir())


def share_everything() -> None:
    """Have launches shared unit by unit, after the first that a launch runs alone."""
    pool = thread_grid._pool
    pool.alone_ticks, pool.least_ticks, pool.worthwhile_ticks, pool.chunk_ticks = 1, 0, 0, 1


def active() -> int:
    """How many threads of the pool are at work."""
    return int(thread_grid._pool.state) & 0xFFFFF


def sleeping() -> int:
    """How many threads of the pool sleep."""
    return int(thread_grid._pool.state) >> 20 & 0xFFFFF


def small() -> None:
    # NumPy's libraries have some of their own.
    before = number_of_threads()
    out = np.zeros(100, np.int64)
    for _ in range(5):
        double[100](out)
    tiny = np.zeros(3, np.int64)
    for _ in range(5):
        collatz[3](tiny)
    say("threads after small grids:", number_of_threads() - before)
    is_right()
    say("after a large one:", number_of_threads() - before)


def fork() -> None:
    is_right()
    child = os.fork()
    if not child:
        say(f"child: {is_right()}, with {number_of_threads()} threads")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    say("parent:", is_right())


def fork_during_launches() -> None:
    ended = threading.Event()

    def launch() -> None:
        while not ended.is_set():
            is_right()

    launching = [threading.Thread(target=launch) for _ in range(2)]
    for thread in launching:
        thread.start()
    is_right()
    results = []
    for _ in range(6):
        child = os.fork()
        if not child:
            os._exit(0 if is_right() == "right" else 1)
        results.append(os.waitpid(child, 0)[1])
    ended.set()
    for thread in launching:
        thread.join()
    say(results.count(0), "children were right")


@smelt.kernel
def add_one(out, failing):
    i = smelt.grid(1)
    turns = 0
    while turns < i % 5:
        turns += 1
    if i == failing:
        raise ValueError("not this one")
    out[i] += 1


def adds_once() -> bool:
    """Launch small grids, and one that fails."""
    out = np.zeros(40, np.int64)
    launch = add_one.over(out.size)
    for _ in range(20):
        launch(out, -1)
    is_whole = (out == 20).all()
    out[:] = 0
    try:
        launch(out, 30)
    except ValueError as error:
        return bool(is_whole and (out[:30] == 1).all() and "thread (30, 0, 0)" in error.__notes__[0])
    return False


def fork_during_small_jobs() -> None:
    grid, pool = prepared_grid(), thread_grid._pool
    share_everything()
    adds_once()
    ended = threading.Event()
    failures = []

    def launch() -> None:
        while not ended.is_set():
            failures.extend([] if adds_once() else ["in a thread"])

    def change() -> None:
        while not ended.is_set():
            for threads, spin_ticks in ((4, 0), (2, 100_000), (1, 0), (3, 100_000)):
                grid.threads, pool.spin_ticks = threads, spin_ticks
                failures.extend([] if adds_once() else ["between changes"])

    running = [threading.Thread(target=target) for target in (launch, launch, change)]
    for thread in running:
        thread.start()
    results = []
    for _ in range(10):
        child = os.fork()
        if not child:
            share_everything()
            os._exit(0 if all(adds_once() for _ in range(5)) else 1)
        results.append(os.waitpid(child, 0)[1])
    ended.set()
    for thread in running:
        thread.join()
    say(results.count(0), "children were right")
    say("parent:", failures or "right")


def prepared_grid() -> thread_grid.ThreadGrid:
    grid = _wiring.thread_grid()
    assert grid is not None
    grid.runner(works_together=False)
    return grid


def streak() -> None:
    prepared_grid()
    pool, never = thread_grid._pool, 1 << 60
    out = np.zeros(1000, np.int64)

    def launch() -> str:
        end = pool.streak_end
        collatz[out.size](out)
        # A launch that runs alone is the last of a streak.
        return "shared" if pool.streak_end == end else "alone"

    # Threads don't sleep, and launches are close to each other, however long they are apart.
    pool.least_ticks, pool.worthwhile_ticks, pool.chunk_ticks, pool.spin_ticks = 0, never, 1, never
    assert all(launch() == "alone" for _ in range(5))
    say("each alone:", pool.started, "threads were started")
    before = [pool.streak_ticks for _ in range(5) if launch() == "alone"]
    say("the streak", "grows" if before == sorted(set(before)) and len(before) == 5 else before)
    pool.worthwhile_ticks = pool.streak_ticks
    assert launch() == "shared"
    say("worth it together:", pool.started, "threads were started")
    pool.worthwhile_ticks = never
    say("awake:", launch())
    pool.spin_ticks = 0
    pause = threading.Event()
    while sleeping() < pool.started:
        pause.wait(0.001)
    say("asleep:", launch())
    pool.streak_ticks = pool.worthwhile_ticks
    say("after a pause:", launch() + ",", "a new streak" if pool.streak_ticks < never else "the old one")


def leave() -> None:
    is_right()
    out = np.zeros(2, np.int64)
    share_everything()
    thread = threading.Thread(target=lambda: never_end[1000](out), daemon=True)
    thread.start()
    pause = threading.Event()
    while not active():
        pause.wait(0.001)
    say("leaving")


def interrupt() -> None:
    # A process in the background of a shell begins with interrupts ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    launches = [0]
    has_begun = threading.Event()

    def send() -> None:
        has_begun.wait()
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    sending = threading.Thread(target=send)
    sending.start()
    out = np.zeros(LARGE, np.int64)
    try:
        while True:
            out[:] = 0
            launches[0] += 1
            if launches[0] == 3:
                has_begun.set()
            collatz[LARGE](out)
    except KeyboardInterrupt:
        say("interrupted")
    sending.join()
    is_whole = (out[1:] > 0).all() or not out.any()
    say("the array is whole" if is_whole else out)
    say(is_right(), "again")


def signals() -> None:
    is_right()
    with_interrupt, with_fault = blocking_threads()
    while with_fault:
        # The C library lets a thread begin with all signals blocked, until it runs.
        with_interrupt, with_fault = blocking_threads()
    say(f"{with_interrupt} threads block SIGINT, {with_fault} of them SIGSEGV")


def blocking_threads() -> tuple[int, int]:
    """How many threads block SIGINT, and how many of those SIGSEGV."""
    blocked = []
    for task in Path("/proc/self/task").iterdir():
        lines = (task / "status").read_text().splitlines()
        (mask,) = [int(line.split()[1], 16) for line in lines if line.startswith("SigBlk:")]
        blocked.append(mask)
    with_interrupt = [mask for mask in blocked if mask >> signal.SIGINT - 1 & 1]
    return len(with_interrupt), sum(mask >> signal.SIGSEGV - 1 & 1 for mask in with_interrupt)


def alone() -> None:
    say(_wiring.thread_grid())
    say(is_right())


NAMED: dict[str, Callable[[], None]] = {
    "small": small,
    "fork": fork,
    "fork_during_launches": fork_during_launches,
    "fork_during_small_jobs": fork_during_small_jobs,
    "streak": streak,
    "exit": leave,
    "interrupt": interrupt,
    "signals": signals,
    "alone": alone,
}

if __name__ == "__main__":
    # Python 3.12 and later warns of forks in a process with several threads, for they may wait for what is gone. That is looked at here.
    warnings.filterwarnings("ignore", message=".*multi-threaded, use of fork")
    NAMED[sys.argv[1]]()
