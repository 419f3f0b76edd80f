# SPDX-License-Identifier: Apache-2.0
"""What a warm launch costs: kernels with 1, 3 and 8 float32 arrays of 16 elements and a scalar, over 16 threads.

    python benchmarks/launch.py [--quick]

Each row is a call with the same arguments: of what `kernel.over` gives (kept, the fastest form), of `kernel[n]`, of a function that Numba
has compiled where it is installed, of one that the C compiler has (where there is a `cc`) through ctypes with pointers made beforehand and
with pointers made at the call, and of the slow path, which serves what a stub doesn't. The yardstick is a builtin that does nothing with
its arguments; the column in brackets is what a row takes more than that, `x` how many of it a row takes. The last table is what a store
to a global costs whose module has another name that a kernel depends on.

What it does not show: the work of a kernel, which is some nanoseconds here; grids that are spread over threads; the first launches.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import platform
import shutil
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from interleaved import Body, Timing, interleave

import smelt
from smelt.targets.native.launching.builtin_methods import BuiltinMethod
from smelt.targets.native.launching.stub_compilation import compile_stub
from smelt.targets.native.loader.mapping import MappedCode
from smelt.targets.native.loader.symbols import resolve

SIZE = 16
NOTHING = "a builtin that does nothing"
SLOW = "smelt, the slow path"

EMPTY = """
@_Py_NoneStruct = external global i8
declare void @Py_IncRef(ptr)

define ptr @empty(ptr %self, ptr %arguments, i64 %count, ptr %names) {
  call void @Py_IncRef(ptr @_Py_NoneStruct)
  ret ptr @_Py_NoneStruct
}
"""


@smelt.kernel
def with_1(out: Any, a: float) -> None:
    i = smelt.grid(1)
    if i < out.size:
        out[i] = a


@smelt.kernel
def with_3(out: Any, a: float, x: Any, y: Any) -> None:
    i = smelt.grid(1)
    if i < out.size:
        out[i] = a * x[i] + y[i]


@smelt.kernel
def with_8(out: Any, a: float, p: Any, q: Any, r: Any, s: Any, t: Any, u: Any, v: Any) -> None:
    i = smelt.grid(1)
    if i < out.size:
        out[i] = a * p[i] + q[i] + r[i] + s[i] + t[i] + u[i] + v[i]


KERNELS = {1: with_1, 3: with_3, 8: with_8}

IN_C = {
    1: "float *out, float a, int n) { for (int i = 0; i < n; ++i) out[i] = a; }",
    3: "float *out, float a, const float *x, const float *y, int n) { for (int i = 0; i < n; ++i) out[i] = a * x[i] + y[i]; }",
    8: "float *out, float a, const float *p, const float *q, const float *r, const float *s, const float *t, const float *u, "
    "const float *v, int n) { for (int i = 0; i < n; ++i) out[i] = a * p[i] + q[i] + r[i] + s[i] + t[i] + u[i] + v[i]; }",
}

IN_NUMBA = {
    1: "def f(out, a):\n    for i in range(out.size):\n        out[i] = a\n",
    3: "def f(out, a, x, y):\n    for i in range(out.size):\n        out[i] = a * x[i] + y[i]\n",
    8: "def f(out, a, p, q, r, s, t, u, v):\n    for i in range(out.size):\n"
    "        out[i] = a * p[i] + q[i] + r[i] + s[i] + t[i] + u[i] + v[i]\n",
}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    quick = parser.parse_args().quick
    times, rounds = (200, 3) if quick else (2_000, 100)
    print(
        f"smelt {smelt.__version__}, Python {platform.python_version()}, NumPy {np.__version__}, {platform.machine()}"
    )
    empty = BuiltinMethod(MappedCode(compile_stub(EMPTY, 1), resolve), "empty").of(None)
    with tempfile.TemporaryDirectory() as folder:
        library = c_library(Path(folder))
        for arrays, kernel in KERNELS.items():
            arguments = tuple(arguments_of(arrays))
            yardstick = repeated(empty, arguments)
            rows = {NOTHING: yardstick, **rows_of(arrays, kernel, arguments, library)}
            timings = interleave(yardstick, rows, times=times, rounds=rounds)
            launcher: Any = kernel.over(SIZE)
            slow = {SLOW: repeated(launcher.__self__, arguments)}
            timings |= interleave(yardstick, slow, times=times // 20, rounds=rounds)
            table(f"{arrays} array{'s' if arrays > 1 else ''} and a scalar", timings)
    stores(times, rounds)


def table(title: str, timings: Mapping[str, Timing]) -> None:
    """Print one table; its first row is the yardstick."""
    floor = next(iter(timings.values()))
    print(f"\n{title}\n  {'':<44} {'ns least':>9} {'ns median':>10} {'(more)':>9} {'x least':>8} {'x median':>9}")
    for name, timing in timings.items():
        more = f"({timing.least_ns - floor.least_ns:.1f})"
        print(
            f"  {name:<44} {timing.least_ns:>9.1f} {timing.median_ns:>10.1f} {more:>9} "
            f"{timing.least_ns / floor.least_ns:>8.2f} {timing.median_ratio:>9.2f}"
        )


def arguments_of(arrays: int) -> list[Any]:
    values = [np.arange(SIZE, dtype=np.float32) + number for number in range(arrays)]
    return [values[0], 2.0, *values[1:]]


def rows_of(arrays: int, kernel: Any, arguments: tuple[Any, ...], library: Any) -> dict[str, Body]:
    launch = kernel.over(SIZE)
    rows = {"smelt, kernel.over(n), kept": repeated(launch, arguments), "smelt, kernel[n]": indexed(kernel, arguments)}
    if importlib.util.find_spec("numba") is not None:
        rows["Numba, njit"] = repeated(in_numba(arrays), arguments)
    if library is not None:
        function = library[f"with_{arrays}"]
        function.restype = None
        pointers = [ctypes.c_void_p(held.ctypes.data) if isinstance(held, np.ndarray) else held for held in arguments]
        function.argtypes = [ctypes.c_float if isinstance(held, float) else ctypes.c_void_p for held in arguments]
        function.argtypes = [*function.argtypes, ctypes.c_int]
        rows["C through ctypes, pointers made beforehand"] = repeated(function, (*pointers, SIZE))
        rows["C through ctypes, pointers made at the call"] = repeated(with_pointers(function), arguments)
    for _ in range(3):
        launch(*arguments)
    return rows


def repeated(call: Callable[..., Any], arguments: tuple[Any, ...]) -> Body:
    """Calls with these arguments, which are local variables as in a user's loop."""
    names = [f"a{number}" for number in range(len(arguments))]
    body: Body = _loop("call", names)(call, *arguments)
    return body


def indexed(kernel: Any, arguments: tuple[Any, ...]) -> Body:
    names = [f"a{number}" for number in range(len(arguments))]
    body: Body = _loop(f"call[{SIZE}]", names)(kernel, *arguments)
    return body


def _loop(called: str, names: list[str]) -> Any:
    listed = ", ".join(names)
    text = f"def bind(call, {listed}):\n    def body(times):\n        for _ in range(times):\n            {called}({listed})\n    return body\n"
    module = types.ModuleType("loop")
    exec(compile(text, "loop", "exec"), module.__dict__)  # noqa: S102 - one loop for each number of arguments
    return module.bind


def with_pointers(function: Any) -> Callable[..., None]:
    def call(*arguments: Any) -> None:
        function(*(held.ctypes.data if isinstance(held, np.ndarray) else held for held in arguments), SIZE)

    return call


def in_numba(arrays: int) -> Any:
    numba: Any = importlib.import_module("numba")
    namespace: dict[str, Any] = {}
    exec(IN_NUMBA[arrays], namespace)  # noqa: S102 - so that there is no function to show where Numba is missing
    return numba.njit(namespace["f"])


def c_library(folder: Path) -> Any:
    """The functions in C, or None where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    (folder / "launch.c").write_text("".join(f"void with_{arrays}({rest}\n" for arrays, rest in IN_C.items()))
    command = [compiler, "-O3", "-shared", "-fPIC", "-o", str(folder / "launch.so"), str(folder / "launch.c")]
    subprocess.run(command, check=True)  # noqa: S603 - the C compiler
    return ctypes.CDLL(str(folder / "launch.so"))


CONSTANT = 1


@smelt.kernel
def depends(out: Any) -> None:
    out[0] = CONSTANT


def stores(times: int, rounds: int) -> None:
    """What a store to another name of this module costs."""
    depends[1](np.zeros(1))
    here, elsewhere = sys.modules[__name__], types.ModuleType("elsewhere")
    rows = {
        "to a module that nobody depends on": stores_to(elsewhere),
        "to one that a kernel depends on": stores_to(here),
    }
    timings = interleave(stores_to(elsewhere), rows, times=times, rounds=rounds)
    table("a store to a global that nothing depends on", timings)


def stores_to(module: types.ModuleType) -> Body:
    def body(times: int) -> None:
        for number in range(times):
            module.unrelated = number  # type: ignore[attr-defined]

    return body


if __name__ == "__main__":
    main()
