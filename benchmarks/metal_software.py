# SPDX-License-Identifier: Apache-2.0
"""The Metal device in software, in ratios: its kernels beside the same loops in NumPy, its barriers beside those of the native target.

    python benchmarks/metal_software.py [--rounds N]

Everything is timed in turn, so that a machine whose speed drifts slows all of it. Pipelines are timed by the processor time of this
process; the process that LLVM reads the module in is not in it. Not shown: kernels of Apple's toolchain (see tests/metal/test_mlx.py),
and what races cost to look for.
"""

from __future__ import annotations

import argparse
import functools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from interleaved import interleave

import smelt
from smelt import knobs
from smelt.lowering.llvm import module_of_text
from smelt.metal import Checks
from smelt.targets.metal.metallib import Function, Library, Version, write_metallib

COUNT = 1_000_000
GROUP, GROUPS = 256, 64

HEAD = """
target triple = "air64_v26-apple-macosx14.0.0"
"""

ADD = """
define void @add(ptr addrspace(1) %a, ptr addrspace(1) %b, ptr addrspace(1) %out, i32 %i) {
  %n = zext i32 %i to i64
  %p = getelementptr inbounds float, ptr addrspace(1) %a, i64 %n
  %q = getelementptr inbounds float, ptr addrspace(1) %b, i64 %n
  %o = getelementptr inbounds float, ptr addrspace(1) %out, i64 %n
  %x = load float, ptr addrspace(1) %p, align 4
  %y = load float, ptr addrspace(1) %q, align 4
  %z = fadd float %x, %y
  store float %z, ptr addrspace(1) %o, align 4
  ret void
}
"""

BARRIERS = """
@shared = internal addrspace(3) global [256 x float] undef, align 4
declare void @air.wg.barrier(i32, i32)
define void @waits(ptr addrspace(1) %out, i32 %i) {
entry:
  %inner = and i32 %i, 255
  %own = getelementptr [256 x float], ptr addrspace(3) @shared, i32 0, i32 %inner
  %beside = add i32 %inner, 1
  %other = and i32 %beside, 255
  %there = getelementptr [256 x float], ptr addrspace(3) @shared, i32 0, i32 %other
  %o = getelementptr float, ptr addrspace(1) %out, i32 %i
  %first = load float, ptr addrspace(1) %o, align 4
  br label %loop
loop:
  %n = phi i32 [ 0, %entry ], [ %next, %loop ]
  %v = phi float [ %first, %entry ], [ %w, %loop ]
  store float %v, ptr addrspace(3) %own, align 4
  call void @air.wg.barrier(i32 2, i32 1)
  %w = load float, ptr addrspace(3) %there, align 4
  call void @air.wg.barrier(i32 2, i32 1)
  %next = add i32 %n, 1
  %more = icmp ult i32 %next, 50
  br i1 %more, label %loop, label %done
done:
  store float %w, ptr addrspace(1) %o, align 4
  ret void
}
"""


def metallib(text: str, name: str, buffers: int) -> bytes:
    """A metallib of one kernel with so many buffers of floats and the position in the grid."""
    arguments = [
        f'!{{i32 {place}, !"air.buffer", !"air.location_index", i32 {place}, i32 1, !"air.read_write", !"air.address_space", i32 1, '
        '!"air.arg_type_size", i32 4, !"air.arg_type_align_size", i32 4, !"air.arg_type_name", !"float", !"air.arg_name", !"a"}'
        for place in range(buffers)
    ]
    arguments.append(
        f'!{{i32 {buffers}, !"air.thread_position_in_grid", !"air.arg_type_name", !"uint", !"air.arg_name", !"i"}}'
    )
    nodes = "\n".join(f"!{10 + number} = {argument}" for number, argument in enumerate(arguments))
    listed = ", ".join(f"!{10 + number}" for number in range(len(arguments)))
    kernel = f"!air.kernel = !{{!0}}\n!0 = !{{ptr @{name}, !1, !2}}\n!1 = !{{}}\n!2 = !{{{listed}}}\n{nodes}\n"
    module = module_of_text(HEAD + text + kernel).as_bitcode()
    return write_metallib(Library([Function(name, module, Version(2, 6), Version(3, 1))]))


@smelt.kernel
def native_waits(out: Any) -> None:
    i = smelt.grid(1)
    inner = smelt.thread_position_in_threadgroup().x
    shared = smelt.threadgroup_array(256, smelt.float32)
    value = out[i]
    for _ in range(50):
        shared[inner] = value
        smelt.threadgroup_barrier()
        value = shared[(inner + 1) & 255]
        smelt.threadgroup_barrier()
    out[i] = value


def repeated(statement: Callable[[], object]) -> Callable[[int], None]:
    def run(times: int) -> None:
        for _ in range(times):
            statement()

    return run


def elementwise(rounds: int) -> None:
    data = metallib(ADD, "add", 3)
    a, b = (np.random.default_rng(seed).random(COUNT, dtype=np.float32) for seed in range(2))
    out = np.zeros_like(a)
    checked = smelt.metal.library(data, device="metal:software").function("add")
    unchecked = smelt.metal.library(data, checks=Checks(bounds=False)).function("add")
    buffers = {0: a, 1: b, 2: out}
    bodies = {
        "bounds looked after": repeated(lambda: checked(buffers, threads=COUNT)),
        "not looked after": repeated(lambda: unchecked(buffers, threads=COUNT)),
    }
    numpy = repeated(lambda: np.add(a, b, out=out))
    for name, timing in interleave(numpy, bodies, times=20, rounds=rounds).items():
        print(f"add a million floats, {name}: {timing.least_ratio:.2f} x numpy.add (median {timing.median_ratio:.2f})")


def run_groups(kernel: Any, given: Any) -> None:
    kernel({0: given}, threadgroups=GROUPS, threads_per_threadgroup=GROUP)


def barriers(rounds: int) -> None:
    data = metallib(BARRIERS, "waits", 1)
    out = np.zeros(GROUPS * GROUP, np.float32)
    kernels = {
        "bounds looked after": smelt.metal.library(data, device="metal:software").function("waits"),
        "not looked after": smelt.metal.library(data, checks=Checks(bounds=False)).function("waits"),
    }
    native = native_waits.configure(GROUPS, GROUP)
    expected = np.roll(np.arange(GROUPS * GROUP, dtype=np.float32).reshape(GROUPS, GROUP), -50, axis=1).ravel()
    runs: list[Callable[[Any], None]] = [native]
    for kernel in kernels.values():
        start = time.process_time()
        # As launches do on their own, once they have taken longer than that takes.
        pipeline: Any = kernel.pipeline
        pipeline.hasten()
        print(f"the kernel with barriers, compiled anew to run for long: {1e3 * (time.process_time() - start):.1f} ms")
        runs.append(functools.partial(run_groups, kernel))
    for run in runs:
        values = np.arange(GROUPS * GROUP, dtype=np.float32)
        run(values)
        assert (values == expected).all()
    bodies = {name: repeated(functools.partial(run, out)) for name, run in zip(kernels, runs[1:], strict=True)}
    floor = repeated(lambda: native(out))
    for name, timing in interleave(floor, bodies, times=5, rounds=rounds).items():
        per_barrier = timing.least_ns / (100 * GROUPS * GROUP)
        print(
            f"a barrier and an exchange, {name}: {timing.least_ratio:.2f} x the native target, {per_barrier:.2f} ns for each thread "
            "(the launch included)"
        )


def pipelines(rounds: int) -> None:
    for name, text, buffers in (("add", ADD, 3), ("waits", BARRIERS, 1)):
        spent = []
        for number in range(rounds):
            # Another module each time, so that nothing is known of it.
            data = metallib(text.replace(f"@{name}(", f"@{name}{number}("), f"{name}{number}", buffers)
            library = smelt.metal.library(data, device="metal:software")
            start = time.process_time()
            library.function(f"{name}{number}")
            spent.append(time.process_time() - start)
        print(f"pipeline of {name}: {1e3 * min(spent):.1f} ms of processor time")


SECOND = """
import sys, time
import smelt
smelt.metal
start = time.process_time()
smelt.metal.library(sys.argv[1]).function("add")
print(time.process_time() - start, "llvmlite" in sys.modules)
"""


def later_process() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "add.metallib"
        path.write_bytes(metallib(ADD, "add", 3))
        # Python's own compiler is in none but the first: its bytecode is kept, too, whatever the environment says.
        environment = {**os.environ, "SMELT_CACHE_DIR": folder, "SMELT_STORE": "on", "PYTHONPYCACHEPREFIX": folder}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        command = [sys.executable, "-c", SECOND, str(path)]
        said = [
            subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.split()  # noqa: S603
            for _ in range(4)
        ]
    first, later = float(said[0][0]), min(float(spent) for spent, _ in said[1:])
    print(
        f"pipeline of add in a later process: {1e3 * later:.1f} ms, {later / first:.2f} of the first one's; LLVM loaded: {said[1][1]}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    # What an earlier run has compiled is not to be found.
    knobs.STORE.fix(value=False)
    elementwise(rounds)
    barriers(rounds)
    pipelines(rounds)
    later_process()


if __name__ == "__main__":
    main()
