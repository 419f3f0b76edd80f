# SPDX-License-Identifier: Apache-2.0
"""The kernels of throughput.py, as plain Python functions: it makes kernels of them with and without bounds checks."""

from __future__ import annotations

import math
from typing import Any

import smelt

TILE = 16


def saxpy(out: Any, a: float, x: Any, y: Any) -> None:
    i = smelt.grid(1)
    if i < out.size:
        out[i] = a * x[i] + y[i]


def stencil(out: Any, u: Any) -> None:
    x, y = smelt.grid(2)
    height, width = u.shape
    if 0 < x < width - 1 and 0 < y < height - 1:
        out[y, x] = 0.5 * u[y, x] + 0.125 * (u[y, x - 1] + u[y, x + 1] + u[y - 1, x] + u[y + 1, x])


def matmul(c: Any, a: Any, b: Any) -> None:
    j, i = smelt.grid(2)
    s = 0.0
    for k in range(a.shape[1]):
        s += a[i, k] * b[k, j]
    c[i, j] = s


def mandelbrot(out: Any, limit: int) -> None:
    x, y = smelt.grid(2)
    height, width = out.shape
    cr = -2.0 + 3.0 * x / width
    ci = -1.5 + 3.0 * y / height
    zr = zi = 0.0
    count = 0
    while count < limit and zr * zr + zi * zi <= 4.0:
        t = zr * zr - zi * zi + cr
        zi = 2.0 * zr * zi + ci
        zr = t
        count += 1
    out[y, x] = count


def nbody(ax: Any, ay: Any, az: Any, x: Any, y: Any, z: Any, mass: Any) -> None:
    i = smelt.grid(1)
    sx = sy = sz = 0.0
    for j in range(x.size):
        dx = x[j] - x[i]
        dy = y[j] - y[i]
        dz = z[j] - z[i]
        square = dx * dx + dy * dy + dz * dz + 1e-4
        force = mass[j] / (square * math.sqrt(square))
        sx += force * dx
        sy += force * dy
        sz += force * dz
    ax[i] = sx
    ay[i] = sy
    az[i] = sz


def normal(x: Any) -> Any:
    return 0.5 + 0.5 * math.erf(x * 0.70710678)


def black_scholes(call: Any, put: Any, price: Any, strike: Any, years: Any, rate: float, volatility: float) -> None:
    i = smelt.grid(1)
    spread = volatility * math.sqrt(years[i])
    d1 = (math.log(price[i] / strike[i]) + (rate + 0.5 * volatility * volatility) * years[i]) / spread
    d2 = d1 - spread
    discounted = strike[i] * math.exp(-rate * years[i])
    call[i] = price[i] * normal(d1) - discounted * normal(d2)
    put[i] = discounted * normal(-d2) - price[i] * normal(-d1)


def histogram(counts: Any, values: Any) -> None:
    smelt.atomic_add(counts, values[smelt.grid(1)], 1)


def reduction(out: Any, x: Any) -> None:
    shared = smelt.threadgroup_array(256, smelt.float32)
    number = smelt.thread_position_in_threadgroup().x
    shared[number] = x[smelt.grid(1)]
    smelt.threadgroup_barrier()
    step = 128
    while step > 0:
        if number < step:
            shared[number] += shared[number + step]
        smelt.threadgroup_barrier()
        step //= 2
    if number == 0:
        out[smelt.threadgroup_position_in_grid().x] = shared[0]


def tiled_matmul(c: Any, a: Any, b: Any) -> None:
    left = smelt.threadgroup_array((TILE, TILE), smelt.float32)
    right = smelt.threadgroup_array((TILE, TILE), smelt.float32)
    column, row = smelt.grid(2)
    place = smelt.thread_position_in_threadgroup()
    s = 0.0
    for tile in range(0, a.shape[1], TILE):
        left[place.y, place.x] = a[row, tile + place.x]
        right[place.y, place.x] = b[tile + place.y, column]
        smelt.threadgroup_barrier()
        for k in range(TILE):
            s += left[place.y, k] * right[k, place.x]
        smelt.threadgroup_barrier()
    c[row, column] = s
