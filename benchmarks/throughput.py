# SPDX-License-Identifier: Apache-2.0
"""How fast generated code is, against C by gcc -O3 -march=native and against peers where they are installed.

    python benchmarks/throughput.py [--quick] [--all-cores] [--only NAME ...]

Every row is timed in turn with the C of throughput.c in the same round, on the same arrays: on one core by the time that the process had of
the processors, and on all by the clock, with OpenMP for the C. Three compilations of the C are yardsticks: as gcc does it by itself, where
a * b + c becomes one rounding; with -ffp-contract=off, which rounds as Python does and smelt too; and with -ffast-math, which is
compared with fastmath=True. "Sized" are kernels that are told how many threads a group has, by threads_per_threadgroup.

On all cores the machine is left alone for 30 ms before each body, which is then run untimed some times: threads that the one before left
spinning, as those of OpenMP do for some 15 ms, take nothing from it, and its own are awake when it is timed.

What it does not show: arrays that are larger than the caches; the first call. Warp is not among those on all cores: it uses one. Its
atomic additions are plain ones on the CPU (see `atomic_add` in its native/builtin.h), to be compared with the C that has no atomics either.
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import interleaved
import numpy as np
import throughput_kernels
import throughput_peers

import smelt

FLAGS = {
    "C": ("-ffp-contract=fast",),
    "C -ffp-contract=off": ("-ffp-contract=off",),
    "C -ffast-math": ("-ffast-math",),
}
STRICT, FAST = "C -ffp-contract=off", "C -ffast-math"


@dataclass(frozen=True)
class Workload:
    """One kernel on its arrays.

    Attributes
    ----------
    name
        Of the kernel, of the C function, and of the peers' functions.
    arguments
        Those of the kernel.
    grid
        Threads, x first; or a pair of groups and threads of a group.
    c_arguments
        Those of the C function.
    results
        How many of the first arguments are results.
    tolerance
        How far the results of C may be, relative to the greatest of them.
    in_groups
        Whether the grid is a pair.
    plain
        The C function that does without atomic operations, as Warp does on the CPU; not on several cores.
    """

    name: str
    arguments: tuple[Any, ...]
    grid: tuple[Any, ...]
    c_arguments: tuple[Any, ...]
    results: int = 1
    tolerance: float = 1e-4
    in_groups: bool = False
    plain: str | None = None


def workloads(*, quick: bool) -> list[Workload]:
    generator = np.random.default_rng(7)

    def some(*shape: int) -> np.ndarray[Any, Any]:
        return generator.random(shape, np.float32) + np.float32(0.5)

    def none(*shape: int, dtype: Any = np.float32) -> np.ndarray[Any, Any]:
        return np.zeros(shape, dtype)

    def whole(number: int) -> ctypes.c_int64:
        return ctypes.c_int64(number)

    def single(number: float) -> ctypes.c_float:
        return ctypes.c_float(number)

    n = 512 if quick else 8192
    x, y, out = some(n), some(n), none(n)
    found = [Workload("saxpy", (out, 2.0, x, y), (n,), (whole(n), out, single(2.0), x, y))]
    size = 32 if quick else 256
    u, image = some(size, size), none(size, size)
    found.append(Workload("stencil", (image, u), (size, size), (whole(size), whole(size), image, u)))
    a, b, c = some(size, size), some(size, size), none(size, size)
    found.append(Workload("matmul", (c, a, b), (size, size), (whole(size), c, a, b)))
    counts = none(size, size, dtype=np.int32)
    # One rounding more or less decides when a point on the edge of the set escapes.
    found.append(
        Workload(
            "mandelbrot",
            (counts, 100),
            (size, size),
            (whole(size), whole(size), counts, whole(100)),
            tolerance=1.0,
        )
    )
    n = 64 if quick else 1024
    bodies, forces = tuple(some(n) for _ in range(4)), tuple(none(n) for _ in range(3))
    found.append(Workload("nbody", (*forces, *bodies), (n,), (whole(n), *forces, *bodies), results=3))
    n = 256 if quick else 4096
    options, prices = tuple(some(n) for _ in range(3)), (none(n), none(n))
    found.append(
        Workload(
            "black_scholes",
            (*prices, *options, 0.02, 0.3),
            (n,),
            (whole(n), *prices, *options, single(0.02), single(0.3)),
            results=2,
        )
    )
    n = 1024 if quick else 65536
    values, bins = generator.integers(0, 256, n).astype(np.uint8), none(256, dtype=np.int32)
    found.append(Workload("histogram", (bins, values), (n,), (whole(n), bins, values), plain="histogram_plain"))
    groups = 2 if quick else 64
    long, sums = some(groups * 256), none(groups)
    found.append(Workload("reduction", (sums, long), (groups, 256), (whole(groups), sums, long), in_groups=True))
    tiles = size // throughput_kernels.TILE
    tile = (throughput_kernels.TILE,) * 2
    found.append(Workload("tiled_matmul", (c, a, b), ((tiles, tiles), tile), (whole(size), c, a, b), in_groups=True))
    return found


class Yardsticks:
    """The functions of throughput.c, compiled in several ways."""

    def __init__(self, directory: pathlib.Path, *, all_cores: bool) -> None:
        self._all_cores = all_cores
        source = pathlib.Path(__file__).with_name("throughput.c")
        self._libraries = {}
        for number, (name, flags) in enumerate(FLAGS.items()):
            library = directory / f"throughput{number}.so"
            command = [
                "gcc",
                "-O3",
                "-march=native",
                *flags,
                *(("-fopenmp",) if all_cores else ()),
                "-shared",
                "-fPIC",
                "-o",
                str(library),
                str(source),
                "-lm",
            ]
            subprocess.run(command, check=True)  # noqa: S603 - nothing in it comes from outside
            self._libraries[name] = ctypes.CDLL(str(library))

    def bodies(self, workload: Workload) -> dict[str, Callable[[], object]]:
        arguments = tuple(
            given.ctypes.data_as(ctypes.c_void_p) if isinstance(given, np.ndarray) else given
            for given in workload.c_arguments
        )
        found: dict[str, Callable[[], object]] = {
            name: functools.partial(getattr(library, workload.name), *arguments)
            for name, library in self._libraries.items()
        }
        if workload.plain is not None and not self._all_cores:
            found["C without atomics"] = functools.partial(getattr(self._libraries["C"], workload.plain), *arguments)
        return found


def smelt_bodies(workload: Workload, *, quick: bool) -> dict[str, Callable[[], object]]:
    function = getattr(throughput_kernels, workload.name)
    kernels = {
        "smelt": smelt.kernel(function),
        "smelt boundscheck=False": smelt.kernel(boundscheck=False)(function),
    }
    if workload.in_groups:
        # The C knows how many threads a group has, too.
        size = workload.grid[1]
        kernels["smelt, sized"] = smelt.kernel(threads_per_threadgroup=size)(function)
        kernels["smelt boundscheck=False, sized"] = smelt.kernel(threads_per_threadgroup=size, boundscheck=False)(
            function
        )
    if not quick:
        kernels["smelt fastmath=True"] = smelt.kernel(fastmath=True)(function)
        kernels["smelt fastmath=True, boundscheck=False"] = smelt.kernel(fastmath=True, boundscheck=False)(function)
        if workload.in_groups:
            kernels["smelt fastmath=True, sized"] = smelt.kernel(threads_per_threadgroup=size, fastmath=True)(function)
    bodies: dict[str, Callable[[], object]] = {}
    for name, kernel in kernels.items():
        launcher = kernel.configure(*workload.grid) if workload.in_groups else kernel.over(*workload.grid)
        bodies[name] = functools.partial(launcher, *workload.arguments)
    return bodies


@dataclass(frozen=True)
class Timing:
    """Microseconds for one run, the least and the median; and the speed in units of each yardstick, the median of all rounds."""

    least: float
    median: float
    speed: dict[str, float]


def measure(
    bodies: dict[str, Callable[[], object]], clock: Callable[[], int], *, rounds: int, seconds: float, settles: bool
) -> dict[str, Timing]:
    """Time all bodies in turn by a clock in nanoseconds, each for about so many seconds a round; if it `settles`, as `interleave` does."""
    times = {name: _repetitions(body, clock, seconds) for name, body in bodies.items()}
    samples: dict[str, list[float]] = {name: [] for name in bodies}
    for _ in range(rounds):
        for name, body in bodies.items():
            if settles:
                time.sleep(interleaved.SETTLE_SECS)
                _microseconds(body, clock, max(1, times[name] // 10))
            samples[name].append(_microseconds(body, clock, times[name]))
    yardsticks = {name: min(samples[name]) for name in FLAGS if name in samples}
    return {
        name: Timing(
            min(spent),
            statistics.median(spent),
            {yardstick: unit / min(spent) for yardstick, unit in yardsticks.items()},
        )
        for name, spent in samples.items()
    }


def _repetitions(body: Callable[[], object], clock: Callable[[], int], seconds: float) -> int:
    body()
    once = _microseconds(body, clock, 1)
    return max(1, int(seconds * 1e6 / max(once, 0.1)))


def _microseconds(body: Callable[[], object], clock: Callable[[], int], times: int) -> float:
    start = clock()
    for _ in range(times):
        body()
    return (clock() - start) / times / 1e3


def check(workload: Workload, bodies: dict[str, Callable[[], object]]) -> None:
    """Raise `AssertionError` if not all bodies compute the same."""
    results = workload.arguments[: workload.results]
    expected: list[Any] = []
    for name, body in bodies.items():
        for result in results:
            result.fill(0)
        body()
        if not expected:
            expected = [result.copy() for result in results]
        for result, wanted in zip(results, expected, strict=True):
            gap = float(np.abs(result.astype(np.float64) - wanted).max())
            assert gap <= workload.tolerance * float(np.abs(wanted).max()), f"{name} of {workload.name} is off by {gap}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small arrays, few rounds: to see that it runs")
    parser.add_argument("--all-cores", action="store_true", help="grids and loops are spread over all cores")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="only these kernels")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity") and not options.all_cores:
        # One processor, so that a grid is not spread over several.
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    threads = os.cpu_count() or 1 if options.all_cores else 1
    clock = time.perf_counter_ns if options.all_cores else time.process_time_ns
    print(
        f"smelt {smelt.__version__}; microseconds for one run; speed in units of C compiled in three ways, the more the better"
    )
    if shutil.which("gcc") is None:
        print("there is no gcc, so there are no yardsticks")
    with tempfile.TemporaryDirectory() as directory:
        yardsticks = None
        if shutil.which("gcc") is not None:
            yardsticks = Yardsticks(pathlib.Path(directory), all_cores=options.all_cores)
        for workload in workloads(quick=options.quick):
            if options.only and workload.name not in options.only:
                continue
            bodies = yardsticks.bodies(workload) if yardsticks is not None else {}
            bodies |= smelt_bodies(workload, quick=options.quick)
            bodies |= throughput_peers.bodies(workload.name, workload.arguments, workload.grid, threads=threads)
            check(workload, bodies)
            rounds, seconds = (2, 0.0005) if options.quick else (11, 0.02)
            timings = measure(bodies, clock, rounds=rounds, seconds=seconds, settles=options.all_cores)
            print(f"\n{workload.name:<42} {'least':>10} {'median':>10}   " + " ".join(f"{name:>20}" for name in FLAGS))
            for name, timing in timings.items():
                speeds = " ".join(f"{timing.speed[yardstick]:>20.2f}" for yardstick in timing.speed)
                print(f"  {name:<40} {timing.least:>10.1f} {timing.median:>10.1f}   {speeds}")


if __name__ == "__main__":
    main()
