# SPDX-License-Identifier: Apache-2.0
"""What finding a compiled and linked kernel for Metal costs, and what launching it on the device in software.

    python benchmarks/metal_launch.py [--quick]

The first table: `smelt.metal.mtlfunction` where all is there already, with types that are the same tuple each time, that are made anew,
for a second device, and with options; beside it what each call would cost that first makes whatever a miss needs (configuration, method
instance, job) and then asks the cache to look up or compile, as Metal.jl's `mtlfunction` did before it branched on what it finds. Metal.jl
reports 380 ns for its own. The yardstick is an empty function of Python's with the same parameters, `x` how many of it a row takes.

The second table: a launch on 16 threads, with arrays on the device, with NumPy's, and the same on the processor by the slow path, which is what
the launch on a device takes. The yardstick is a call of the kernel's function in Python, for one thread.

What it does not show: a device in hardware, and the first call, which compiles.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from interleaved import Body, Timing, interleave

import smelt
from smelt._wiring import jobs
from smelt.compiler.config import CompilerJob
from smelt.records import replace
from smelt.types import declared_types

SIZE = 16
SOFTWARE = "metal:software"
GOAL_NS = 380


@smelt.kernel
def saxpy(out: Any, a: float, x: Any, y: Any) -> None:
    i = smelt.grid(1)
    if i < out.size:
        out[i] = a * x[i] + y[i]


TYPES = (smelt.float32[:], float, smelt.float32[:], smelt.float32[:])


def empty(
    kernel: Any,
    types: Any,
    device: Any = None,
    name: Any = None,
    *,
    opt_level: Any = None,
    debug_level: Any = None,
    macos: Any = None,
    air: Any = None,
    metal: Any = None,
) -> None:
    """The yardstick: the parameters of `mtlfunction`."""


def eager(device: Any) -> Any:
    """Look up or compile: everything that a miss needs is there before it is known that there is none."""
    config = replace(saxpy.config, target=jobs().target_named("metal"))
    job = CompilerJob(saxpy.instance(declared_types(saxpy.name, TYPES)), config)
    _, _, pipeline = jobs().compiled(job, device)
    return pipeline


def repeated(call: Callable[[], Any]) -> Body:
    def body(times: int) -> None:
        for _ in range(times):
            call()

    return body


def in_loop(kernel: Any, types: Any, find: Any) -> Body:
    """As in a user's loop, with local variables."""

    def body(times: int) -> None:
        for _ in range(times):
            find(kernel, types)

    return body


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    quick = parser.parse_args().quick
    times, rounds = (200, 3) if quick else (1_000, 200)
    print(
        f"smelt {smelt.__version__}, Python {platform.python_version()}, NumPy {np.__version__}, {platform.machine()}"
    )
    lookups(times, rounds)
    launches(times // 10, rounds)


def lookups(times: int, rounds: int) -> None:
    find = smelt.metal.mtlfunction
    device, second = smelt.device(SOFTWARE), smelt.device("metal:software:1")
    assert find(saxpy, TYPES, device).pipeline is eager(device)
    find(saxpy, TYPES, second)
    find(saxpy, TYPES, name="another")
    find(saxpy, TYPES)
    rows = {
        "an empty function": in_loop(saxpy, TYPES, empty),
        "mtlfunction, warm": in_loop(saxpy, TYPES, find),
        "mtlfunction, warm, one of two devices": repeated(lambda: find(saxpy, TYPES, second)),
        "mtlfunction, warm, another name": repeated(lambda: find(saxpy, TYPES, name="another")),
    }
    timings = interleave(rows["an empty function"], rows, times=times, rounds=rounds)
    slower = {
        "mtlfunction, warm, types made anew": repeated(
            lambda: find(saxpy, (smelt.float32[:], float, smelt.float32[:], smelt.float32[:]))
        ),
        "look up or compile, eagerly": repeated(lambda: eager(device)),
    }
    timings |= interleave(rows["an empty function"], slower, times=times // 20, rounds=rounds)
    table("finding a kernel", timings)
    least = timings["mtlfunction, warm"].least_ns
    print(f"  warm: {least:.0f} ns, {'within' if least <= GOAL_NS else 'beyond'} the {GOAL_NS} ns of Metal.jl")


def launches(times: int, rounds: int) -> None:
    x = np.arange(SIZE, dtype=np.float32)
    out = np.zeros_like(x)
    on_device = [smelt.array(x, device=SOFTWARE) for _ in range(2)]
    function = smelt.metal.mtlfunction(saxpy, TYPES)
    on_processor: Any = saxpy.over(SIZE)
    on_processor(out, 2.0, x, x)
    rows = {
        "an element in Python": repeated(lambda: 2.0 * x[1] + x[1]),
        "arrays on the device": repeated(lambda: saxpy[SIZE](on_device[0], 2.0, on_device[1], on_device[1])),
        "arrays of NumPy, as they are": repeated(lambda: function(out, 2.0, x, x, threads=SIZE)),
        "on the processor, the slow path": repeated(lambda: on_processor.__self__(out, 2.0, x, x)),
    }
    table("a launch of 16 threads", interleave(rows["an element in Python"], rows, times=times, rounds=rounds))
    smelt.synchronize()


def table(title: str, timings: Mapping[str, Timing]) -> None:
    """Print one table; its first row is the yardstick."""
    floor = next(iter(timings.values()))
    print(f"\n{title}\n  {'':<44} {'ns least':>10} {'ns median':>10} {'x least':>8} {'x median':>9}")
    for name, timing in timings.items():
        print(
            f"  {name:<44} {timing.least_ns:>10.1f} {timing.median_ns:>10.1f} "
            f"{timing.least_ns / floor.least_ns:>8.2f} {timing.median_ratio:>9.2f}"
        )


if __name__ == "__main__":
    main()
