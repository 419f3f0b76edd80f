# SPDX-License-Identifier: Apache-2.0
"""How grids scale from one thread to all processors, beside the same loops in C with OpenMP (gcc -O3 -march=native -fopenmp).

    python benchmarks/thread_grid.py [--quick] [--threads N ...]

For each number of threads both are timed in turn in the same round, on the same arrays, by the clock. `x C` is smelt's time in units of C's
with as many threads; `speed-up` is how much faster each is than itself with one thread, by the least times. `launches` is a saxpy so
short that waking a thread takes a good part of it, launched again and again.

Threads of either spin for a while after their work, those of OpenMP on all cores for some 15 ms. So that neither pays for the other, the machine is
left alone for 30 ms before each body, which is then run untimed some times, until its own threads are awake.

What it does not show: other programs on the machine take from both; processors that share a core or a memory channel; the first
launch, which starts the threads, and one after a pause, which wakes them; what spinning costs others.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import pathlib
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import interleaved
import numpy as np

import smelt
from smelt import _wiring, knobs
from smelt.targets.native.processors.available_cpus import available_cpus
from smelt.targets.native.thread_grid.grid import ThreadGrid


@smelt.kernel(boundscheck=False)
def saxpy(out: Any, a: float, x: Any, y: Any) -> None:
    i = smelt.grid(1)
    out[i] = a * x[i] + y[i]


@smelt.kernel(boundscheck=False)
def mandelbrot(out: Any, most: int) -> None:
    x, y = smelt.grid(2)
    height, width = out.shape
    cr, ci = 3.0 * x / width - 2, 2.0 * y / height - 1
    zr, zi, count = 0.0, 0.0, 0
    while count < most and zr * zr + zi * zi < 4:
        zr, zi = zr * zr - zi * zi + cr, 2 * zr * zi + ci
        count += 1
    out[y, x] = count


@smelt.kernel(boundscheck=False)
def triangle(out: Any) -> None:
    i = smelt.grid(1)
    value = np.uint64(i)
    for _ in range(i):
        value = (value ^ (value >> np.uint64(7))) * np.uint64(0x9E3779B97F4A7C15)
    out[i] = np.int64(value)


@dataclass(frozen=True)
class Workload:
    """The same work for smelt and for C, which is given the number of threads; and the array that it leaves."""

    name: str
    smelt: Callable[[], object]
    c: Callable[[int], object]
    out: Any
    times: int = 1


def workloads(library: ctypes.CDLL, *, quick: bool) -> list[Workload]:
    """All workloads. Arrays and launchers are made once."""

    def pointer(array: Any) -> ctypes.c_void_p:
        return ctypes.c_void_p(array.ctypes.data)

    def saxpy_of(what: str, size: int, times: int) -> Workload:
        x, y, out = (np.random.default_rng(1).random(size, np.float32) for _ in range(3))
        launch = saxpy.over(size)
        places = tuple(map(pointer, (out, x, y)))
        return Workload(
            f"{what} of {size:,} elements",
            lambda: launch(out, 2.0, x, y),
            lambda threads: library.saxpy(
                places[0], ctypes.c_float(2), places[1], places[2], ctypes.c_int64(size), threads
            ),
            out,
            times,
        )

    width, height, most = (600, 400, 200) if quick else (1200, 800, 500)
    image, rows = np.zeros((height, width), np.int32), np.zeros(4_000 if quick else 12_000, np.int64)
    draw, fill = mandelbrot.over(width, height), triangle.over(rows.size)
    sizes = [ctypes.c_int64(number) for number in (width, height, most)]
    return [
        Workload(
            "mandelbrot, rows of uneven work",
            lambda: draw(image, most),
            lambda threads: library.mandelbrot(pointer(image), *sizes, threads),
            image,
        ),
        Workload(
            "triangle, the last threads take longest",
            lambda: fill(rows),
            lambda threads: library.triangle(pointer(rows), ctypes.c_int64(rows.size), threads),
            rows,
        ),
        saxpy_of("saxpy", 2_000_000 if quick else 20_000_000, 3),
        saxpy_of("launches, saxpy", 400_000, 50),
    ]


def check(workload: Workload) -> None:
    """Raise `SystemExit` unless both compute the same."""
    workload.c(1)
    expected = workload.out.copy()
    workload.out[...] = 0
    workload.smelt()
    differs = np.count_nonzero(~np.isclose(workload.out, expected, rtol=1e-6))
    # Contracted to one rounding, C's orbits leave a few steps earlier or later.
    if differs > workload.out.size // 100:
        raise SystemExit(f"{workload.name}: {differs} of {workload.out.size} elements differ from those of C")


def compiled(folder: pathlib.Path) -> ctypes.CDLL:
    """The yardsticks. Raises `SystemExit` where there is no gcc."""
    compiler = shutil.which("gcc")
    if compiler is None:
        raise SystemExit("gcc was not found, which the yardsticks are compiled with")
    source, library = pathlib.Path(__file__).with_suffix(".c"), folder / "thread_grid.so"
    flags = ["-O3", "-march=native", "-fopenmp", "-shared", "-fPIC"]
    subprocess.run([compiler, *flags, "-o", str(library), str(source)], check=True)  # noqa: S603
    return ctypes.CDLL(str(library))


def repeated(action: Callable[[], object]) -> interleaved.Body:
    """A statement to time."""

    def body(times: int) -> None:
        for _ in range(times):
            action()

    return body


def show(workload: Workload, numbers: list[int], grid: ThreadGrid, rounds: int) -> None:
    """Time a workload with each number of threads, and print a row for each."""
    check(workload)
    print(f"\n{workload.name}")
    names = ("threads", "smelt ms", "median", "C ms", "median", "x C least", "median", "speed-up", "of C")
    print("  " + "".join(f"{name:>10}" for name in names))
    first: tuple[float, float] | None = None
    for threads in numbers:
        grid.threads = threads
        c = repeated(partial(workload.c, threads))
        timings = interleaved.interleave(
            c, {"smelt": repeated(workload.smelt), "C": c}, times=workload.times, rounds=rounds, settles=True
        )
        ours, theirs = timings["smelt"], timings["C"]
        first = first or (ours.least_ns, theirs.least_ns)
        cells = (
            *(
                f"{nanoseconds / 1e6:.3f}"
                for timing in (ours, theirs)
                for nanoseconds in (timing.least_ns, timing.median_ns)
            ),
            *(f"{ratio:.2f}" for ratio in (ours.least_ns / theirs.least_ns, ours.median_ns / theirs.median_ns)),
            *(f"{one / timing.least_ns:.2f}" for one, timing in zip(first, (ours, theirs), strict=True)),
        )
        print(f"  {threads:>10}" + "".join(f"{cell:>10}" for cell in cells))


def main() -> None:
    """Print a table for each workload."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="smaller work, fewer rounds")
    parser.add_argument("--threads", type=int, nargs="+", help="how many threads, in place of 1, 2, 4, ... all")
    given = parser.parse_args()
    most = available_cpus()
    numbers = given.threads or sorted({*(1 << power for power in range(most.bit_length())), most})
    with knobs.NUM_THREADS.set(max(2, *numbers)):
        grid = _wiring.thread_grid()
    assert grid is not None
    print(f"{most} of {os.cpu_count()} processors, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as folder:
        for workload in workloads(compiled(pathlib.Path(folder)), quick=given.quick):
            show(workload, numbers, grid, rounds=5 if given.quick else 15)


if __name__ == "__main__":
    main()
