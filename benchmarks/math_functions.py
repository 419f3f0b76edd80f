# SPDX-License-Identifier: Apache-2.0
"""How fast the elementary functions are on one core, against NumPy's and against the C library's through gcc.

    python benchmarks/math_functions.py [--quick] [--only NAME ...]

Every function runs over an array of 8192 numbers, which stays in the caches, by turns in one run: a kernel of smelt, NumPy's function,
a loop in C with -O3 -march=native, and the same with -ffast-math, where gcc calls the functions of vectors that glibc has. The figures
are nanoseconds for one number, the least of all rounds, by the time that the process had of the processor; in brackets how much
longer than smelt's.

What it does not show: how accurate they are (docs/math.md: glibc's functions of vectors may be wrong by 4 units in the last place,
NumPy's of float32 too), and angles beyond 2**30, which are slower.
"""

from __future__ import annotations

import argparse
import ctypes
import math
import pathlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import smelt

COUNT = 8192

# With their names in NumPy, and between which numbers they are measured.
FUNCTIONS: dict[str, tuple[str | None, float, float]] = {
    "exp": ("exp", -10, 10),
    "exp2": ("exp2", -10, 10),
    "expm1": ("expm1", -2, 2),
    "log": ("log", 0.01, 100),
    "log2": ("log2", 0.01, 100),
    "log10": ("log10", 0.01, 100),
    "log1p": ("log1p", -0.5, 10),
    "sin": ("sin", -20, 20),
    "cos": ("cos", -20, 20),
    "tan": ("tan", -20, 20),
    "asin": ("arcsin", -1, 1),
    "acos": ("arccos", -1, 1),
    "atan": ("arctan", -5, 5),
    "sinh": ("sinh", -5, 5),
    "cosh": ("cosh", -5, 5),
    "tanh": ("tanh", -3, 3),
    "asinh": ("arcsinh", -5, 5),
    "acosh": ("arccosh", 1, 10),
    "atanh": ("arctanh", -0.99, 0.99),
    "cbrt": ("cbrt", -10, 10),
    "erf": (None, -3, 3),
    "erfc": (None, -3, 6),
}
FUNCTIONS_OF_TWO: dict[str, tuple[str, float, float]] = {
    "pow": ("power", 0.1, 10),
    "atan2": ("arctan2", -5, 5),
    "hypot": ("hypot", -5, 5),
}
_C_TYPES = {"float64": ("double", ""), "float32": ("float", "f")}
_FLAGS = {"C": (), "C -ffast-math": ("-ffast-math",)}

Body = Callable[[], object]


def kernel_of(function: Callable[[Any], Any]) -> smelt.Kernel:
    """A kernel that applies a function of `math` to an array."""

    @smelt.kernel(boundscheck=False)
    def apply(out: Any, x: Any) -> None:
        i = smelt.grid(1)
        out[i] = function(x[i])

    return apply


def kernel_of_two(function: Callable[[Any, Any], Any]) -> smelt.Kernel:
    """The same for a function of two numbers."""

    @smelt.kernel(boundscheck=False)
    def apply(out: Any, x: Any, y: Any) -> None:
        i = smelt.grid(1)
        out[i] = function(x[i], y[i])

    return apply


def compiled(folder: pathlib.Path) -> dict[str, ctypes.CDLL]:
    """The loops in C, by the name of their column; none without gcc."""
    if shutil.which("gcc") is None:
        return {}
    source = ["#include <math.h>", "#include <stddef.h>"]
    for kind, suffix in _C_TYPES.values():
        for name in (*FUNCTIONS, *FUNCTIONS_OF_TWO):
            second, argument = (f", const {kind}* restrict y", ", y[i]") if name in FUNCTIONS_OF_TWO else ("", "")
            source.append(
                f"void {name}_{kind}({kind}* restrict out, const {kind}* restrict x{second}, size_t n) "
                f"{{ for (size_t i = 0; i < n; i++) out[i] = {name}{suffix}(x[i]{argument}); }}"
            )
    (folder / "loops.c").write_text("\n".join(source))
    libraries = {}
    for number, (column, flags) in enumerate(_FLAGS.items()):
        path = folder / f"loops{number}.so"
        command = [
            "gcc",
            "-O3",
            "-march=native",
            *flags,
            "-shared",
            "-fPIC",
            "-o",
            str(path),
            str(folder / "loops.c"),
            "-lm",
        ]
        subprocess.run(command, check=True)  # noqa: S603
        libraries[column] = ctypes.CDLL(str(path))
    return libraries


def bodies(name: str, dtype: str, libraries: dict[str, ctypes.CDLL]) -> dict[str, Body]:
    """What is timed for a function, by the names of the columns."""
    generator = np.random.default_rng(5)
    name_in_numpy, low, high = FUNCTIONS.get(name) or FUNCTIONS_OF_TWO[name]
    is_of_two = name in FUNCTIONS_OF_TWO
    arrays = [generator.uniform(low, high, COUNT).astype(dtype) for _ in range(1 + is_of_two)]
    out = np.empty(COUNT, dtype)
    function = getattr(math, name)
    launch = (kernel_of_two(function) if is_of_two else kernel_of(function)).over(COUNT)
    found: dict[str, Body] = {"smelt": lambda: launch(out, *arrays)}
    if name_in_numpy is not None:
        of_numpy = getattr(np, name_in_numpy)
        found["NumPy"] = lambda: of_numpy(*arrays, out=out)
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in (out, *arrays)]
    for column, library in libraries.items():
        loop = library[f"{name}_{_C_TYPES[dtype][0]}"]
        found[column] = lambda loop=loop: loop(*pointers, ctypes.c_size_t(COUNT))  # type: ignore[misc]
    return found


def measured(timed: dict[str, Body], rounds: int) -> dict[str, float]:
    """Nanoseconds for one number."""
    for body in timed.values():
        body()
    least = dict.fromkeys(timed, math.inf)
    for _ in range(rounds):
        for column, body in timed.items():
            start = time.process_time_ns()
            for _ in range(4):
                body()
            least[column] = min(least[column], (time.process_time_ns() - start) / 4 / COUNT)
    return least


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rounds")
    parser.add_argument("--only", nargs="+", help="these functions")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        libraries = compiled(pathlib.Path(folder))
        columns = ("smelt", "NumPy", *libraries)
        for dtype in _C_TYPES:
            print(f"\n{dtype:<10}" + "".join(f"{column:>18}" for column in columns))
            for name in options.only or (*FUNCTIONS, *FUNCTIONS_OF_TWO):
                least = measured(bodies(name, dtype, libraries), 5 if options.quick else 60)
                cells = [
                    f"{least[column]:.2f} ({least[column] / least['smelt']:.2f})" if column in least else "-"
                    for column in columns
                ]
                print(f"{name:<10}" + "".join(f"{cell:>18}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
