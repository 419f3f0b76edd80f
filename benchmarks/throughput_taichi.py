# SPDX-License-Identifier: Apache-2.0
"""The workloads of throughput.py in Taichi, where it is installed: loops at the top of a kernel, which Taichi spreads over its threads.

Taichi has no erf, so Black-Scholes isn't there, and no barriers on the CPU, so the last two aren't.
"""
# No annotations from __future__: Taichi needs those of its kernels as objects, and can do nothing with None.
# ruff: noqa: ANN201

from collections.abc import Callable
from functools import partial
from typing import Any

import taichi as ti

ARRAY = ti.types.ndarray(dtype=ti.f32, ndim=1)
IMAGE = ti.types.ndarray(dtype=ti.f32, ndim=2)


def bodies(name: str, arguments: tuple[Any, ...], *, threads: int) -> dict[str, Callable[[], object]]:
    """What to time of this workload, if it is there, run by so many threads."""
    if name not in KERNELS:
        return {}
    ti.init(
        arch=ti.cpu,
        cpu_max_num_threads=threads,
        default_fp=ti.f32,
        fast_math=False,
        offline_cache=False,
        log_level=ti.ERROR,
    )
    return {"Taichi": partial(ti.kernel(KERNELS[name]), *arguments)}


def saxpy(out: ARRAY, a: ti.f32, x: ARRAY, y: ARRAY):
    for i in range(out.shape[0]):
        out[i] = a * x[i] + y[i]


def stencil(out: IMAGE, u: IMAGE):
    for y, x in ti.ndrange((1, u.shape[0] - 1), (1, u.shape[1] - 1)):
        out[y, x] = 0.5 * u[y, x] + 0.125 * (u[y, x - 1] + u[y, x + 1] + u[y - 1, x] + u[y + 1, x])


def matmul(c: IMAGE, a: IMAGE, b: IMAGE):
    for i, j in ti.ndrange(c.shape[0], c.shape[1]):
        s = 0.0
        for k in range(a.shape[1]):
            s += a[i, k] * b[k, j]
        c[i, j] = s


def mandelbrot(out: ti.types.ndarray(dtype=ti.i32, ndim=2), limit: ti.i32):
    for y, x in ti.ndrange(out.shape[0], out.shape[1]):
        cr = -2.0 + 3.0 * ti.cast(x, ti.f64) / out.shape[1]
        ci = -1.5 + 3.0 * ti.cast(y, ti.f64) / out.shape[0]
        zr = ti.cast(0.0, ti.f64)
        zi = ti.cast(0.0, ti.f64)
        count = 0
        while count < limit and zr * zr + zi * zi <= 4.0:
            t = zr * zr - zi * zi + cr
            zi = 2.0 * zr * zi + ci
            zr = t
            count += 1
        out[y, x] = count


def nbody(ax: ARRAY, ay: ARRAY, az: ARRAY, x: ARRAY, y: ARRAY, z: ARRAY, mass: ARRAY):
    for i in range(x.shape[0]):
        sx = sy = sz = 0.0
        for j in range(x.shape[0]):
            dx, dy, dz = x[j] - x[i], y[j] - y[i], z[j] - z[i]
            square = dx * dx + dy * dy + dz * dz + 1e-4
            force = mass[j] / (square * ti.sqrt(square))
            sx += force * dx
            sy += force * dy
            sz += force * dz
        ax[i], ay[i], az[i] = sx, sy, sz


def histogram(counts: ti.types.ndarray(dtype=ti.i32, ndim=1), values: ti.types.ndarray(dtype=ti.u8, ndim=1)):
    for i in range(values.shape[0]):
        ti.atomic_add(counts[ti.cast(values[i], ti.i32)], 1)


KERNELS = {function.__name__: function for function in (saxpy, stencil, matmul, mandelbrot, nbody, histogram)}
