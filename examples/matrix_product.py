# SPDX-License-Identifier: Apache-2.0
"""A product of matrices, with and without memory that the threads of a group share.

    python examples/matrix_product.py [--size N]

It prints how many elements each kernel reads from the matrices, what that gives in operations per second, and how far both are from
NumPy's product in double precision.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import smelt

TILE = 16


@smelt.kernel
def simple(product, left, right):
    """Each thread reads a whole row and a whole column."""
    column, row = smelt.grid(2)
    total = 0.0
    for k in range(left.shape[1]):
        total += left[row, k] * right[k, column]
    product[row, column] = total


@smelt.kernel
def tiled(product, left, right):
    """A group reads tiles of 16 by 16 into memory that it shares: each element once, and not sixteen times."""
    left_tile = smelt.threadgroup_array((TILE, TILE), smelt.float32)
    right_tile = smelt.threadgroup_array((TILE, TILE), smelt.float32)
    column, row = smelt.grid(2)
    place = smelt.thread_position_in_threadgroup()
    total = 0.0
    for start in range(0, left.shape[1], TILE):
        # Beyond the matrices there are zeros, which add nothing.
        inner, below = start + place.x, start + place.y
        left_tile[place.y, place.x] = left[row, inner] if row < left.shape[0] and inner < left.shape[1] else 0.0
        right_tile[place.y, place.x] = (
            right[below, column] if below < right.shape[0] and column < right.shape[1] else 0.0
        )
        smelt.threadgroup_barrier()
        for k in range(TILE):
            total += left_tile[place.y, k] * right_tile[k, place.x]
        smelt.threadgroup_barrier()
    if row < product.shape[0] and column < product.shape[1]:
        product[row, column] = total


def main():
    parser = argparse.ArgumentParser(description="Multiply matrices.")
    parser.add_argument("--size", type=int, default=500, help="rows of the matrices; 500 by default")
    size = parser.parse_args().size

    # Not square, and no multiple of a tile.
    rows, inner, columns = size, size + 7, size - 5
    random = np.random.default_rng(1)
    left = random.standard_normal((rows, inner), np.float32)
    right = random.standard_normal((inner, columns), np.float32)
    expected = left.astype(float) @ right.astype(float)
    # The rounding of each of the products and sums adds up, to a bound that is seldom come near (Higham, 2002, section 3.5).
    bound = np.finfo(np.float32).eps / 2 * (inner + 1) * (np.abs(left).astype(float) @ np.abs(right).astype(float))

    groups = (-(-columns // TILE), -(-rows // TILE))
    launches = {
        "simple": (simple.over(columns, rows), 2 * rows * columns * inner),
        "tiled": (tiled.configure(groups, (TILE, TILE)), groups[0] * rows * inner + groups[1] * inner * columns),
    }
    for name, (launch, reads) in launches.items():
        product = np.zeros((rows, columns), np.float32)
        launch(product, left, right)
        started = time.perf_counter()
        launch(product, left, right)
        seconds = time.perf_counter() - started
        away = (np.abs(product - expected) / bound).max()
        print(
            f"{name}: {reads / 1e6:.1f} million elements read, {2 * rows * columns * inner / seconds / 1e9:.2f} GFLOP/s, "
            f"errors at most {away:.3f} of the bound"
        )
        if away > 1:
            raise SystemExit("that is too much")


if __name__ == "__main__":
    main()
