# SPDX-License-Identifier: Apache-2.0
"""Timing several statements against a yardstick in one run, in turn, so that a machine whose speed drifts slows all of them."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

SETTLE_SECS = 0.03
"""How long the machine is left alone, where it is: OpenMP's threads look for more work for some 15 ms (gcc's GOMP_SPINCOUNT) on all cores."""

Body = Callable[[int], object]
"""A statement to time: called with how often to run it, so that the loop is part of it and calling it is not."""


@dataclass(frozen=True)
class Timing:
    """Nanoseconds for one run of a statement, and how many yardsticks that is in the same round."""

    least_ns: float
    median_ns: float
    least_ratio: float
    median_ratio: float


def interleave(
    yardstick: Body, bodies: Mapping[str, Body], *, times: int, rounds: int = 15, settles: bool = False
) -> dict[str, Timing]:
    """Time every body and the yardstick once in each round. If it `settles`, each is preceded by a pause, and by some runs of it untimed.

    So threads that one left spinning take nothing from the next, and those of the next are awake when it is timed.
    """
    samples: dict[str, list[float]] = {name: [] for name in bodies}
    ratios: dict[str, list[float]] = {name: [] for name in bodies}
    for body in (yardstick, *bodies.values()):
        body(max(1, times // 10))
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        for _ in range(rounds):
            unit = _ns(yardstick, times, settles=settles)
            for name, body in bodies.items():
                spent = _ns(body, times, settles=settles)
                samples[name].append(spent)
                ratios[name].append(spent / unit)
    finally:
        if was_enabled:
            gc.enable()
    return {
        name: Timing(
            min(samples[name]), statistics.median(samples[name]), min(ratios[name]), statistics.median(ratios[name])
        )
        for name in bodies
    }


def _ns(body: Body, times: int, *, settles: bool) -> float:
    if settles:
        time.sleep(SETTLE_SECS)
        body(max(1, times // 10))
    start = time.perf_counter_ns()
    body(times)
    return (time.perf_counter_ns() - start) / times


def row(name: str, timing: Timing) -> str:
    return (
        f"  {name:<44} {timing.least_ns:>11,.0f} {timing.median_ns:>11,.0f} {timing.least_ratio:>8.1f} "
        f"{timing.median_ratio:>8.1f}"
    )


def head(title: str, yardstick: str) -> str:
    columns = f"  {'':<44} {'ns least':>11} {'ns median':>11} {'x least':>8} {'x median':>8}"
    return f"\n{title}\n  (x: in units of {yardstick}, timed in the same round)\n{columns}"
