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


def leave() -> None:
    is_right()
    out = np.zeros(2, np.int64)
    # So that the launch is shared after its first thread.
    thread_grid._pool.alone_ticks, thread_grid._pool.worthwhile_ticks = 1, 0
    thread = threading.Thread(target=lambda: never_end[1000](out), daemon=True)
    thread.start()
    pause = threading.Event()
    while thread_grid._pool.job is None:
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
    blocked = []
    for task in Path("/proc/self/task").iterdir():
        lines = (task / "status").read_text().splitlines()
        (mask,) = [int(line.split()[1], 16) for line in lines if line.startswith("SigBlk:")]
        blocked.append(mask)
    with_interrupt = [mask for mask in blocked if mask >> signal.SIGINT - 1 & 1]
    with_fault = [mask for mask in with_interrupt if mask >> signal.SIGSEGV - 1 & 1]
    say(f"{len(with_interrupt)} threads block SIGINT, {len(with_fault)} of them SIGSEGV")


def alone() -> None:
    say(_wiring.thread_grid())
    say(is_right())


NAMED: dict[str, Callable[[], None]] = {
    "small": small,
    "fork": fork,
    "fork_during_launches": fork_during_launches,
    "exit": leave,
    "interrupt": interrupt,
    "signals": signals,
    "alone": alone,
}

if __name__ == "__main__":
    # Python 3.12 and later warns of forks in a process with several threads, for they may wait for what is gone. That is looked at here.
    warnings.filterwarnings("ignore", message=".*multi-threaded, use of fork")
    NAMED[sys.argv[1]]()
