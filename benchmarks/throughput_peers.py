# SPDX-License-Identifier: Apache-2.0
"""The workloads of throughput.py in Numba, Taichi and Warp, where they are installed.

Here is what Numba runs: loops over the threads, as one writes them there. It has neither barriers nor atomic operations on the CPU, so the
last three workloads are not there. Taichi and Warp have modules of their own.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
from collections.abc import Callable
from functools import cache, partial
from typing import Any

HAS_NUMBA, HAS_TAICHI, HAS_WARP = (importlib.util.find_spec(name) is not None for name in ("numba", "taichi", "warp"))

# Numba spreads such a loop over its threads where it is asked to, and takes it for a plain one elsewhere.
prange: Any = importlib.import_module("numba").prange if HAS_NUMBA else range


def bodies(
    name: str, arguments: tuple[Any, ...], grid: tuple[Any, ...], *, threads: int
) -> dict[str, Callable[[], object]]:
    """What to time of each peer that is installed and has this workload, run by so many threads."""
    found: dict[str, Callable[[], object]] = {}
    function = LOOPS.get(name)
    if function is not None and HAS_NUMBA:
        for label, fastmath in (("Numba", False), ("Numba fastmath=True", True)):
            found[label] = partial(compiled(function, fastmath=fastmath, parallel=threads > 1), *arguments)
    if HAS_TAICHI:
        found |= importlib.import_module("throughput_taichi").bodies(name, arguments, threads=threads)
    if HAS_WARP and threads == 1:
        found |= importlib.import_module("throughput_warp").bodies(name, arguments, grid)
    return found


@cache
def compiled(function: Callable[..., None], *, fastmath: bool, parallel: bool) -> Callable[..., None]:
    """A function compiled by Numba."""
    # It may not be installed.
    numba: Any = importlib.import_module("numba")
    found: Callable[..., None] = numba.njit(fastmath=fastmath, parallel=parallel)(function)
    return found


def saxpy(out: Any, a: Any, x: Any, y: Any) -> None:
    scale = x.dtype.type(a)
    for i in prange(out.size):
        out[i] = scale * x[i] + y[i]


def stencil(out: Any, u: Any) -> None:
    height, width = u.shape
    half, eighth = u.dtype.type(0.5), u.dtype.type(0.125)
    for y in prange(1, height - 1):
        for x in range(1, width - 1):
            out[y, x] = half * u[y, x] + eighth * (u[y, x - 1] + u[y, x + 1] + u[y - 1, x] + u[y + 1, x])


def matmul(c: Any, a: Any, b: Any) -> None:
    for i in prange(c.shape[0]):
        for j in range(c.shape[1]):
            s = a.dtype.type(0)
            for k in range(a.shape[1]):
                s += a[i, k] * b[k, j]
            c[i, j] = s


def mandelbrot(out: Any, limit: Any) -> None:
    height, width = out.shape
    for y in prange(height):
        for x in range(width):
            cr, ci = -2.0 + 3.0 * x / width, -1.5 + 3.0 * y / height
            zr = zi = 0.0
            count = 0
            while count < limit and zr * zr + zi * zi <= 4.0:
                t = zr * zr - zi * zi + cr
                zi = 2.0 * zr * zi + ci
                zr = t
                count += 1
            out[y, x] = count


def nbody(ax: Any, ay: Any, az: Any, x: Any, y: Any, z: Any, mass: Any) -> None:
    soft = x.dtype.type(1e-4)
    for i in prange(x.size):
        sx = sy = sz = x.dtype.type(0)
        for j in range(x.size):
            dx, dy, dz = x[j] - x[i], y[j] - y[i], z[j] - z[i]
            square = dx * dx + dy * dy + dz * dz + soft
            force = mass[j] / (square * math.sqrt(square))
            sx += force * dx
            sy += force * dy
            sz += force * dz
        ax[i], ay[i], az[i] = sx, sy, sz


def black_scholes(call: Any, put: Any, price: Any, strike: Any, years: Any, rate: Any, volatility: Any) -> None:
    single = price.dtype.type
    r, v, half, root = single(rate), single(volatility), single(0.5), single(0.70710678)
    for i in prange(price.size):
        spread = v * math.sqrt(years[i])
        d1 = (math.log(price[i] / strike[i]) + (r + half * v * v) * years[i]) / spread
        d2 = d1 - spread
        discounted = strike[i] * math.exp(-r * years[i])
        first, second = half + half * math.erf(d1 * root), half + half * math.erf(d2 * root)
        call[i] = price[i] * first - discounted * second
        put[i] = discounted * (half + half * math.erf(-d2 * root)) - price[i] * (half + half * math.erf(-d1 * root))


LOOPS = {function.__name__: function for function in (saxpy, stencil, matmul, mandelbrot, nbody, black_scholes)}
