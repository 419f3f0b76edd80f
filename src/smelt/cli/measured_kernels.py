# SPDX-License-Identifier: Apache-2.0
"""The kernels that `smelt bench` measures. As a program it launches one of them, once, and fails unless it compiled as many kernels as
its argument says.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

import smelt

Vector = np.ndarray[Any, np.dtype[np.float32]]


def axpy(a: float, x: float, y: float) -> float:
    return a * x + y


@smelt.kernel
def saxpy(out: Vector, a: float, x: Vector, y: Vector) -> None:
    i = smelt.grid(1)
    out[i] = axpy(a, x[i], y[i])


@smelt.kernel
def waves(out: Vector, x: Vector) -> None:
    i = smelt.grid(1)
    out[i] = math.sin(x[i]) * math.exp(-0.1 * x[i])


if __name__ == "__main__":
    ones = np.ones(16, np.float32)
    saxpy[16](np.empty_like(ones), 2.0, ones, ones)
    if smelt.stats().compilations != int(sys.argv[1]):
        raise SystemExit(f"{smelt.stats().compilations} kernels were compiled, not {sys.argv[1]}")
