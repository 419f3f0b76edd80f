# SPDX-License-Identifier: Apache-2.0
"""What compiling costs, stage by stage, and how it grows with the length of a kernel.

    python benchmarks/compile_time.py [--quick]

The first table is a small kernel with a helper, launched for the first time in a process that has compiled something before; beside
it Numba's time for the same kernel where Numba is installed, in turn in the same run. The second is kernels of more and more lines.

What it does not show: the first compilation of a process, which loads LLVM; kernels from a store, which are not compiled at all.
"""

from __future__ import annotations

import argparse
import importlib.util
import pathlib
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np

import smelt
from smelt._wiring import driver
from smelt.compiler.config import CompilerJob
from smelt.driver.pipeline import passed_types
from smelt.frontend import untyped_program
from smelt.targets.native.linking import NativeLinker

SMALL = """
import smelt

def axpy{n}(a, x, y):
    return a * x + y

@smelt.kernel
def saxpy{n}(out, a, x, y):
    i = smelt.grid(1)
    if i < out.size:
        out[i] = axpy{n}(a, x[i], y[i])
"""

SMALL_IN_NUMBA = """
import numba

@numba.njit
def axpy{n}(a, x, y):
    return a * x + y

@numba.njit
def saxpy{n}(out, a, x, y):
    for i in range(out.size):
        out[i] = axpy{n}(a, x[i], y[i])
"""


class Modules:
    """Modules made of texts, in files, as the source of a kernel has to be."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory
        self.count = 0

    def make(self, text: str) -> ModuleType:
        self.count += 1
        name = f"benchmarked_{self.count}"
        path = self.directory / f"{name}.py"
        path.write_text(text.replace("{n}", str(self.count)), encoding="utf-8")
        specification = importlib.util.spec_from_file_location(name, path)
        assert specification is not None
        assert specification.loader is not None
        module = importlib.util.module_from_spec(specification)
        sys.modules[name] = module
        specification.loader.exec_module(module)
        return module

    def kernel(self, text: str) -> Any:
        module = self.make(text)
        return getattr(module, f"saxpy{self.count}", None) or module.long  # the one name or the other


def milliseconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1e3


def long_kernel(lines: int) -> str:
    """A kernel of so many lines: arithmetic, branches, and loads whose index is checked."""
    steps = (
        "    total = total * {i}.5 + x[i]\n",
        "    if total > {i}:\n        total = total - y[i]\n",
        "    total = max(total, {i}.25) + x[i] * y[i]\n",
    )
    body = "".join(steps[number % 3].replace("{i}", str(number % 9)) for number in range(lines * 3 // 4))
    return f"import smelt\n\n@smelt.kernel\ndef long(out, x, y):\n    i = smelt.grid(1)\n    total = 0.0\n{body}    out[i] = total\n"


def stages(kernel: Any, kinds: tuple[Any, ...]) -> dict[str, float]:
    """The time of each stage for a kernel that was not compiled yet."""
    job = CompilerJob(kernel.instance(kinds), kernel.config)
    backend = driver().backend_of(job.config.target.name)
    results = backend.results_class()
    spent = {"frontend": milliseconds(lambda: untyped_program(kernel.function))}
    spent["inference"] = milliseconds(lambda: driver().inferred(job))
    code = driver().inferred(job)
    spent["lowering"] = milliseconds(lambda: driver().lowered(job, code))
    lowered = driver().lowered(job, code)
    spent["LLVM"] = milliseconds(lambda: backend.compile(job, lowered, passed_types(code), results))
    spent["loading"] = milliseconds(lambda: NativeLinker().link(results, None))
    return spent


def small_kernel(modules: Modules, rounds: int) -> None:
    out, x = np.zeros(1000, np.float32), np.arange(1000, dtype=np.float32)
    has_numba = importlib.util.find_spec("numba") is not None
    ours, theirs = [], []
    for number in range(rounds + 1):
        kernel = modules.kernel(SMALL)
        spent = milliseconds(partial(kernel[out.size], out, 2.0, x, x))
        other = float("nan")
        if has_numba:
            function = modules.kernel(SMALL_IN_NUMBA)
            other = milliseconds(partial(function, out, 2.0, x, x))
        # The first round loads what the others find loaded.
        if number:
            ours.append(spent)
            theirs.append(other)
    print("\nA small kernel with a helper, first launch included")
    print(f"  smelt   least {min(ours):7.1f} ms   median {statistics.median(ours):7.1f} ms")
    if has_numba:
        ratio = statistics.median(other / mine for mine, other in zip(ours, theirs, strict=True))
        print(
            f"  Numba   least {min(theirs):7.1f} ms   median {statistics.median(theirs):7.1f} ms   {ratio:.1f} times smelt's"
        )
    else:
        print("  Numba is not installed: pip install numba")
    kinds = (smelt.float32[:], smelt.float64, smelt.float32[:], smelt.float32[:])
    table = [stages(modules.kernel(SMALL), kinds) for _ in range(rounds)]
    print("\nIts stages, in ms")
    for stage in table[0]:
        samples = [spent[stage] for spent in table]
        print(f"  {stage:<10} least {min(samples):7.2f}   median {statistics.median(samples):7.2f}")


def growth(modules: Modules, sizes: tuple[int, ...]) -> None:
    kinds = (smelt.float32[:],) * 3
    print("\nBy the length of the kernel, in ms; in brackets microseconds a line")
    print(f"  {'lines':>7} " + " ".join(f"{stage:>17}" for stage in ("frontend", "inference", "lowering", "LLVM")))
    for lines in sizes:
        spent = stages(modules.kernel(long_kernel(lines)), kinds)
        cells = [f"{spent[stage]:>9.1f} ({spent[stage] / lines * 1e3:>5.0f})" for stage in list(spent)[:4]]
        print(f"  {lines:>7} " + " ".join(cells))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and shorter kernels")
    quick = parser.parse_args().quick
    print(
        f"smelt {smelt.__version__} on {platform.python_implementation()} {platform.python_version()}, {platform.machine()}"
    )
    with tempfile.TemporaryDirectory() as directory:
        modules = Modules(pathlib.Path(directory))
        small_kernel(modules, 2 if quick else 10)
        growth(modules, (10, 100) if quick else (10, 100, 1_000, 5_000))


if __name__ == "__main__":
    main()
