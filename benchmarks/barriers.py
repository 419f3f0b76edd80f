# SPDX-License-Identifier: Apache-2.0
"""What a barrier costs for each thread: in a kernel that is cut at its barriers, and in one whose threads are coroutines; and in OpenCL
where there is a processor for it, such as pocl's (`pip install pyopencl pocl-binary-distribution`).

    python benchmarks/barriers.py [--quick]

Each kernel runs with 200 rounds of a barrier and one addition, and with none, in turn with the others; the difference is divided by rounds
and threads. The time is that of one processor.

What it does not show: kernels whose phases do more, in which the barrier matters less.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
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


OPENCL = """
__kernel void cut(__global float *restrict out, __global const float *restrict x, int rounds)
{
    int i = get_global_id(0);
    for (int round = 0; round < rounds; round++) {
        out[i] += x[i];
        barrier(CLK_GLOBAL_MEM_FENCE);
    }
}
"""

Body = Callable[[int], object]
"""Runs a kernel with so many rounds."""


def opencl_body(threads: int) -> Body | None:
    """The kernel `cut` in OpenCL, on the first processor that there is; None without one."""
    if importlib.util.find_spec("pyopencl") is None:
        return None
    pyopencl: Any = importlib.import_module("pyopencl")
    devices = [
        device for platform in pyopencl.get_platforms() for device in platform.get_devices(pyopencl.device_type.CPU)
    ]
    if not devices:
        return None
    context = pyopencl.Context(devices[:1])
    queue = pyopencl.CommandQueue(context)
    kernel = pyopencl.Kernel(pyopencl.Program(context, OPENCL).build(), "cut")
    flags = pyopencl.mem_flags.COPY_HOST_PTR
    out, x = (pyopencl.Buffer(context, flags, hostbuf=np.ones(threads, np.float32)) for _ in range(2))

    def body(rounds: int) -> None:
        kernel(queue, (threads,), (threads,), out, x, np.int32(rounds))
        queue.finish()

    return body


def bodies(threads: int) -> dict[str, Body]:
    out, x = np.zeros(threads, np.float32), np.ones(threads, np.float32)
    launches = {"cut": cut.configure(1, threads), "suspended": suspended.configure(1, threads)}
    found: dict[str, Body] = {name: partial(launch, out, x) for name, launch in launches.items()}
    opencl = opencl_body(threads)
    return found | ({"OpenCL": opencl} if opencl is not None else {})


def costs(threads: int, runs: int) -> dict[str, float]:
    """Nanoseconds for each thread and barrier."""
    found = bodies(threads)
    least: dict[tuple[str, int], int] = {}
    for _ in range(runs):
        for name, body in found.items():
            for rounds in (ROUNDS, 0):
                body(rounds)
                start = time.process_time_ns()
                body(rounds)
                spent = time.process_time_ns() - start
                least[name, rounds] = min(spent, least.get((name, rounds), spent))
    return {name: (least[name, ROUNDS] - least[name, 0]) / ROUNDS / threads for name in found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few runs: to see that it works")
    runs = 2 if parser.parse_args().quick else 30
    if hasattr(os, "sched_setaffinity"):
        # One processor, so that a grid is not spread over several.
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print(f"{'threads of a group':>20}   ns for each thread and barrier")
    for threads in (32, 64, 256, 1024):
        found = costs(threads, runs)
        print(f"{threads:>20}   " + "   ".join(f"{name} {cost:.2f}" for name, cost in found.items()))


if __name__ == "__main__":
    main()
