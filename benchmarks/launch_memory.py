# SPDX-License-Identifier: Apache-2.0
"""Ten million launches, and the memory of the process meanwhile: it ends with an error if that grows.

    python benchmarks/launch_memory.py [--launches N]

The launches take turns: arrays, numbers, a named tuple and a frozen dataclass, of new objects each time; one in a thousand fails in a
thread, and one in a thousand takes the slow path. What it does not show: memory of the system that no page of this process is.
"""

from __future__ import annotations

import argparse
import gc
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

import smelt

MOST_GROWTH_BYTES = 2_000_000
"""What the allocators of Python and of the C library may need more, whatever the number of launches."""


class Pair(NamedTuple):
    """A factor, and an array."""

    factor: float
    values: Any


@dataclass(frozen=True)
class Body:
    """A mass, and an array."""

    mass: float
    places: Any


@smelt.kernel
def add(out: Any, values: Any, offset: float) -> None:
    i = smelt.grid(1)
    out[i] = values[i] + offset


@smelt.kernel
def combine(out: Any, pair: Pair, body: Body) -> None:
    i = smelt.grid(1)
    out[i] = pair.factor * pair.values[i] + body.mass * body.places[i]


def main() -> None:
    """Launch, and print the memory ten times on the way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--launches", type=int, default=10_000_000)
    launches = parser.parse_args().launches
    turns = turns_of(np.zeros(3))
    each = max(1, launches // 10 // len(turns))
    run(turns, min(each, 20_000))
    begin = memory_bytes()
    print(f"{'launches':>12} {'bytes':>14} {'Python blocks':>14}")
    for part in range(10):
        run(turns, each)
        gc.collect()
        print(f"{(part + 1) * each * len(turns):>12,} {memory_bytes():>14,} {sys.getallocatedblocks():>14,}")
    grown = memory_bytes() - begin
    if grown > MOST_GROWTH_BYTES:
        sys.exit(f"the memory of the process grew by {grown:,} bytes")
    print(f"the memory of the process grew by {grown:,} bytes")


def turns_of(out: Any) -> list[Callable[[int], object]]:
    """What is launched, each called with the number of the turn."""
    values = np.arange(3.0)
    first, second = add.over(3), combine.over(3)

    def plain(number: int) -> object:
        return first(out, values, 1.5 * number)

    def of_records(number: int) -> object:
        return second(out, Pair(2.0 * number, values), Body(3.0 * number, values))

    def rarely(number: int) -> object:
        if number % 1000 == 0:
            # By name: the slow path. And one thread too many.
            first(out, values, offset=1.5)
            try:
                return add[4](out, values, 1.5)
            except IndexError as error:
                return len(error.args)
        return first(out, values, 1.5)

    return [plain, of_records, rarely]


def run(turns: list[Callable[[int], object]], times: int) -> None:
    """Take each turn so many times."""
    for number in range(times):
        for turn in turns:
            turn(number)


def memory_bytes() -> int:
    """The memory of this process now, where the system says; elsewhere the most so far."""
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123 - no path object for each look
            return int(statm.read().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
