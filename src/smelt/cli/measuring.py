# SPDX-License-Identifier: Apache-2.0
"""What `smelt bench` measures. Every figure is the least of several, and stands beside a yardstick that was measured in turns with it:
machines differ, and are busy; ratios tell.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from smelt.cli import measured_kernels
from smelt.cli.measured_kernels import saxpy, waves

_PROCESSES = 3
_ROUNDS = 7
_CALLS = 20_000
_ELEMENTS = 4_000_000


@dataclass(frozen=True)
class Measurement:
    """How many seconds something took, and its yardstick."""

    subject: str
    seconds: float
    yardstick: str
    yardstick_seconds: float

    @property
    def ratio(self) -> float:
        return self.seconds / self.yardstick_seconds


def measurements() -> Iterator[Measurement]:
    """One after the other, as they are made."""
    yield from _processes()
    yield _launch()
    yield from _throughput()


def _processes() -> Iterator[Measurement]:
    """Whole processes, from start to end."""
    imports_numpy, imports_smelt = ["-c", "import numpy"], ["-c", "import numpy, smelt; smelt.kernel"]
    with tempfile.TemporaryDirectory(prefix="smelt-bench-", ignore_cleanup_errors=True) as scratch:
        # What is part of smelt is kept in no store.
        program = shutil.copy(measured_kernels.__file__, scratch)

        def process(store: str, *arguments: Any) -> Callable[[], object]:
            settings = {**os.environ, "SMELT_STORE": "on", "SMELT_CACHE_DIR": str(Path(scratch, store))}
            return lambda: subprocess.run([sys.executable, *arguments], check=True, env=settings)  # noqa: S603 - this very Python

        stores = iter(range(_PROCESSES))

        def compile_anew() -> None:
            process(f"cold-{next(stores)}", program, "1")()

        # What it measures is in the store before.
        process("warm", program, "1")()
        numpy_seconds, smelt_seconds, warm_seconds, cold_seconds = _least(
            _PROCESSES,
            process("warm", *imports_numpy),
            process("warm", *imports_smelt),
            process("warm", program, "0"),
            compile_anew,
        )
    yardstick = ("a process that imports numpy", numpy_seconds)
    yield Measurement("a process that imports smelt, too", smelt_seconds, *yardstick)
    yield Measurement("a process that launches a kernel from the store", warm_seconds, *yardstick)
    yield Measurement("a process that compiles it", cold_seconds, *yardstick)


def _launch() -> Measurement:
    x, y, out = np.ones(1, np.float32), np.ones(1, np.float32), np.empty(1, np.float32)
    launch = saxpy.over(1)
    for _ in range(4):
        launch(out, 2.0, x, y)

    def launches() -> None:
        for _ in range(_CALLS):
            launch(out, 2.0, x, y)

    def calls() -> None:
        for _ in range(_CALLS):
            _nothing(out, 2.0, x, y)

    launched, called = (seconds / _CALLS for seconds in _least(_ROUNDS, launches, calls))
    return Measurement("a warm launch of one thread", launched, "a call of an empty Python function", called)


def _nothing(out: Any, a: Any, x: Any, y: Any) -> None:
    """Takes as many arguments as the kernel that is launched."""


def _throughput() -> Iterator[Measurement]:
    x, y = np.linspace(0, 20, _ELEMENTS, dtype=np.float32), np.ones(_ELEMENTS, np.float32)
    out, other = np.empty_like(x), np.empty_like(x)
    launch_saxpy, launch_waves = saxpy.over(_ELEMENTS), waves.over(_ELEMENTS)

    def numpy_saxpy() -> None:
        np.multiply(x, np.float32(2), out=other)
        np.add(other, y, out=other)

    def numpy_waves() -> None:
        np.multiply(np.sin(x), np.exp(np.float32(-0.1) * x), out=other)

    seconds = _least(_ROUNDS, lambda: launch_saxpy(out, 2.0, x, y), numpy_saxpy)
    yield Measurement(f"2 * x + y of {_ELEMENTS} elements", seconds[0], "NumPy", seconds[1])
    seconds = _least(_ROUNDS, lambda: launch_waves(out, x), numpy_waves)
    yield Measurement("sin(x) * exp(-x / 10) of as many", seconds[0], "NumPy", seconds[1])


def _least(rounds: int, *measured: Callable[[], object]) -> list[float]:
    """The least time that each takes, in seconds, of as many rounds, in which they take turns."""
    times = [[_seconds(run) for run in measured] for _ in range(rounds)]
    return [min(column) for column in zip(*times, strict=True)]


def _seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started
