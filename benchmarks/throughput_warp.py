# SPDX-License-Identifier: Apache-2.0
"""The workloads of throughput.py in Warp, where it is installed. On the CPU its kernels run on one thread, one element after the other."""
# No annotations from __future__: Warp needs those of its kernels as objects.

from collections.abc import Callable
from typing import Any

import numpy as np
import warp as wp

wp.config.quiet = True

ARRAY = wp.array(dtype=wp.float32)
IMAGE = wp.array2d(dtype=wp.float32)


def bodies(name: str, arguments: tuple[Any, ...], grid: tuple[Any, ...]) -> dict[str, Callable[[], object]]:
    """What to time of this workload, if it is there, on the same arrays."""
    if name not in KERNELS:
        return {}
    given = [wp.array(one, device="cpu", copy=False) if isinstance(one, np.ndarray) else one for one in arguments]
    command = wp.launch(KERNELS[name], dim=grid[::-1], inputs=given, device="cpu", record_cmd=True)
    return {"Warp": command.launch}


@wp.kernel
def saxpy(out: ARRAY, a: wp.float32, x: ARRAY, y: ARRAY) -> None:
    i = wp.tid()
    out[i] = a * x[i] + y[i]


@wp.kernel
def stencil(out: IMAGE, u: IMAGE) -> None:
    y, x = wp.tid()
    if x > 0 and x < u.shape[1] - 1 and y > 0 and y < u.shape[0] - 1:
        out[y, x] = 0.5 * u[y, x] + 0.125 * (u[y, x - 1] + u[y, x + 1] + u[y - 1, x] + u[y + 1, x])


@wp.kernel
def matmul(c: IMAGE, a: IMAGE, b: IMAGE) -> None:
    i, j = wp.tid()
    s = wp.float32(0.0)
    for k in range(a.shape[1]):
        s += a[i, k] * b[k, j]
    c[i, j] = s


@wp.kernel
def mandelbrot(out: wp.array2d(dtype=wp.int32), limit: wp.int32) -> None:
    y, x = wp.tid()
    three, two = wp.float64(3.0), wp.float64(2.0)
    cr = three * wp.float64(x) / wp.float64(out.shape[1]) - two
    ci = three * wp.float64(y) / wp.float64(out.shape[0]) - wp.float64(1.5)
    zr = wp.float64(0.0)
    zi = wp.float64(0.0)
    count = wp.int32(0)
    while count < limit and zr * zr + zi * zi <= wp.float64(4.0):
        t = zr * zr - zi * zi + cr
        zi = two * zr * zi + ci
        zr = t
        count += 1
    out[y, x] = count


@wp.kernel
def nbody(ax: ARRAY, ay: ARRAY, az: ARRAY, x: ARRAY, y: ARRAY, z: ARRAY, mass: ARRAY) -> None:
    i = wp.tid()
    sx = wp.float32(0.0)
    sy = wp.float32(0.0)
    sz = wp.float32(0.0)
    for j in range(x.shape[0]):
        dx = x[j] - x[i]
        dy = y[j] - y[i]
        dz = z[j] - z[i]
        square = dx * dx + dy * dy + dz * dz + 1.0e-4
        force = mass[j] / (square * wp.sqrt(square))
        sx += force * dx
        sy += force * dy
        sz += force * dz
    ax[i] = sx
    ay[i] = sy
    az[i] = sz


@wp.func
def normal(x: wp.float32) -> wp.float32:
    return 0.5 + 0.5 * wp.erf(x * 0.70710678)


@wp.kernel
def black_scholes(
    call: ARRAY, put: ARRAY, price: ARRAY, strike: ARRAY, years: ARRAY, rate: wp.float32, volatility: wp.float32
) -> None:
    i = wp.tid()
    spread = volatility * wp.sqrt(years[i])
    d1 = (wp.log(price[i] / strike[i]) + (rate + 0.5 * volatility * volatility) * years[i]) / spread
    d2 = d1 - spread
    discounted = strike[i] * wp.exp(-rate * years[i])
    call[i] = price[i] * normal(d1) - discounted * normal(d2)
    put[i] = discounted * normal(-d2) - price[i] * normal(-d1)


@wp.kernel
def histogram(counts: wp.array(dtype=wp.int32), values: wp.array(dtype=wp.uint8)) -> None:
    wp.atomic_add(counts, wp.int32(values[wp.tid()]), 1)


KERNELS = {kernel.key: kernel for kernel in (saxpy, stencil, matmul, mandelbrot, nbody, black_scholes, histogram)}
