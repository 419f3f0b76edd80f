# SPDX-License-Identifier: Apache-2.0
"""What a barrier costs for each thread: in a kernel that is cut at its barriers, and in one whose threads are coroutines.

    python benchmarks/barriers.py [--quick]

Each kernel runs with 200 rounds of a barrier and one addition, and with none; the difference is divided by rounds and threads. The time is
that of one processor.

What it does not show: kernels whose phases do more, in which the barrier matters less.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import smelt

ROUNDS = 200


def wait() -> None:
    smelt.threadgroup_barrier()


@smelt.kernel
def cut(out: Any, x: Any, rounds: Any) -> None:
    i = smelt.grid(1)
    for _ in range(rounds):
        out[i] += x[i]
        smelt.threadgroup_barrier()


@smelt.kernel
def suspended(out: Any, x: Any, rounds: Any) -> None:
    i = smelt.grid(1)
    for _ in range(rounds):
        out[i] += x[i]
        # In a called function: so it isn't cut.
        wait()


def least_ns(body: Callable[[], object], rounds: int) -> int:
    """The least time of several runs."""
    body()
    found = []
    for _ in range(rounds):
        start = time.process_time_ns()
        body()
        found.append(time.process_time_ns() - start)
    return min(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few runs: to see that it works")
    runs = 2 if parser.parse_args().quick else 30
    if hasattr(os, "sched_setaffinity"):
        # One processor, so that a grid is not spread over several.
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print(f"{'threads of a group':>20} {'cut, ns':>12} {'suspended, ns':>14}   for each thread and barrier")
    for threads in (32, 64, 256, 1024):
        out, x = np.zeros(threads, np.float32), np.ones(threads, np.float32)
        spent = []
        for kernel in (cut, suspended):
            launch = kernel.configure(1, threads)
            many, none = (least_ns(partial(launch, out, x, rounds), runs) for rounds in (ROUNDS, 0))
            spent.append((many - none) / ROUNDS / threads)
        print(f"{threads:>20} {spent[0]:>12.2f} {spent[1]:>14.2f}")


if __name__ == "__main__":
    main()
