# SPDX-License-Identifier: Apache-2.0
"""How wrong the elementary functions are: the table of docs/math.md.

    python benchmarks/math_accuracy.py [--count 100000] [--every 1009] [--only NAME ...]

needs mpmath. For float64 the results of many random numbers, more of them where something changes, are compared with those of mpmath
to 160 bits: `--count` says how many of each sort, of which there are two to four. Where NumPy has the function for long doubles of 64
bits, only those that differ most from that are; where not, a quarter of them. For float32 all numbers are taken, or one of
`--every` so many, and compared with the results for float64, which have 29 bits more; of functions of two numbers, as many random pairs.
The greatest error is printed, in units in the last place of the exact result, with the numbers where it is.

What it does not show: an error that only numbers have that were not tried.
"""

from __future__ import annotations

import argparse
import importlib.util
import pathlib
from types import ModuleType
from typing import Any

import numpy as np

_TESTS = pathlib.Path(__file__).parent.parent / "tests" / "runtime" / "test_elementary.py"
_CHOSEN = 300
"""How many numbers are compared with mpmath where those that differ most are known."""


def tests() -> ModuleType:
    """The tests of the elementary functions, which have the kernels, the numbers and the comparison with mpmath."""
    spec = importlib.util.spec_from_file_location("test_elementary", _TESTS)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def largest_error_of_doubles(module: ModuleType, name: str, count: int) -> tuple[float, tuple[float, ...]]:
    """The greatest error of results in float64, and the numbers where it is."""
    is_in_numpy = name not in ("erf", "erfc") and np.finfo(np.longdouble).nmant >= 63
    arrays = module.samples(name, "float64", count if is_in_numpy else count // 4)
    if is_in_numpy:
        exact = module.of_numpy(name, *(array.astype(np.longdouble) for array in arrays))
        with np.errstate(all="ignore"):
            errors = abs(module.computed(name, *arrays) - exact) / np.spacing(abs(exact.astype(np.float64)))
        chosen = np.argsort(np.where(np.isfinite(errors), errors, 0.0))[-_CHOSEN:]
        arrays = [array[chosen] for array in arrays]
    worst: tuple[float, tuple[float, ...]] = module.largest_error(name, module.computed(name, *arrays), arrays)
    return worst


def largest_error_of_singles(module: ModuleType, name: str, every: int) -> tuple[float, tuple[float, ...]]:
    """The greatest error of results in float32, and the numbers where it is."""
    worst: tuple[float, tuple[float, ...]] = (0.0, ())
    generator = np.random.default_rng(1)
    step = 1 << 22
    for start in range(0, 1 << 32, step * every):
        bits = np.arange(start, min(start + step * every, 1 << 32), every, dtype=np.int64).astype(np.uint32)
        arrays = [bits.view(np.float32)]
        if name in module.OF_TWO:
            arrays = [generator.integers(0, 1 << 32, bits.size, np.uint32).view(np.float32) for _ in range(2)]
            if name == "pow":
                # Else nearly all of them overflow.
                arrays[1] = (arrays[1] % np.float32(200)).astype(np.float32)
        arrays = [array[np.all(np.isfinite(arrays), axis=0)] for array in arrays]
        worst = max(worst, _error(module, name, arrays))
    return worst


def _error(module: ModuleType, name: str, arrays: list[Any]) -> tuple[float, tuple[float, ...]]:
    got = module.computed(name, *arrays).astype(np.float64)
    exact = module.computed(name, *(array.astype(np.float64) for array in arrays))
    limits = np.finfo(np.float32)
    _, exponents = np.frexp(exact)
    last_places = np.ldexp(1.0, np.maximum(exponents - limits.nmant - 1, limits.minexp - limits.nmant))
    with np.errstate(invalid="ignore"):
        errors = np.where(np.isfinite(got) & (abs(exact) <= float(limits.max)), abs(got - exact) / last_places, 0.0)
    place = int(np.argmax(errors))
    return float(errors[place]), tuple(float(array[place]) for array in arrays)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000, help="how many numbers of a sort, for float64")
    parser.add_argument("--every", type=int, default=1009, help="which of all numbers, for float32")
    parser.add_argument("--only", nargs="+", help="these functions")
    options = parser.parse_args()
    module = tests()
    print("| function | float64 | at | float32 | at |\n|---|---|---|---|---|")
    for name in options.only or module.BOUNDS:
        cells = [name]
        double = largest_error_of_doubles(module, name, options.count)
        for error, numbers in (double, largest_error_of_singles(module, name, options.every)):
            cells += [f"{error:.3f}", ", ".join(f"{number:.9g}" for number in numbers)]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
