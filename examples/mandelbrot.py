# SPDX-License-Identifier: Apache-2.0
"""The Mandelbrot set: complex numbers in a kernel, each thread in a loop of its own length.

    python examples/mandelbrot.py [--size PIXELS] [--output DIRECTORY]

It writes mandelbrot.png, compares pixels with those that plain Python computes by the same function, and estimates the area of the set,
which is 1.5065918849 +- 0.0000000028 (Foerstemann, 2012). Needs Pillow.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
from PIL import Image

import smelt

MOST_STEPS = 500
ESCAPED = 1000.0
AREA = 1.50659


def escape(point):
    """After how many steps z -> z * z + point leaves the circle of radius 1000, with a fraction that makes it smooth; 0 if it stays."""
    z = 0j
    for step in range(MOST_STEPS):
        z = z * z + point
        if z.real * z.real + z.imag * z.imag > ESCAPED * ESCAPED:
            return step + 2 - math.log2(math.log(abs(z)) / math.log(ESCAPED))
    return 0.0


@smelt.kernel
def mandelbrot(steps, left, top, pixel):
    x, y = smelt.grid(2)
    steps[y, x] = escape(complex(left + (x + 0.5) * pixel, top - (y + 0.5) * pixel))


def coloured(steps):
    """Warm and cold rings around a black set."""
    phase = np.sqrt(steps)[..., None] * 0.9 + np.array([3.2, 3.7, 4.4])
    return (np.where(steps[..., None] > 0, 0.5 + 0.5 * np.cos(phase), 0) * 255).astype(np.uint8)


def main():
    parser = argparse.ArgumentParser(description="Draw the Mandelbrot set, and estimate its area.")
    parser.add_argument("--size", type=int, default=800, help="pixels across; 800 by default")
    parser.add_argument("--output", type=Path, default=Path(), help="where mandelbrot.png is written; here by default")
    chosen = parser.parse_args()

    width, height = chosen.size, chosen.size * 4 // 5
    pixel, left, top = 3.2 / width, -2.35, 1.28
    steps = np.empty((height, width))
    mandelbrot.over(width, height)(steps, left, top, pixel)

    random = np.random.default_rng(1)
    for y, x in zip(random.integers(0, height, 50), random.integers(0, width, 50), strict=True):
        expected = escape(complex(left + (x + 0.5) * pixel, top - (y + 0.5) * pixel))
        if not math.isclose(steps[y, x], expected, abs_tol=1e-6):
            raise SystemExit(f"at {y}, {x} it is {steps[y, x]}, and {expected} in plain Python")

    area = (steps == 0).mean() * width * height * pixel * pixel
    # The pixels on the border of the set are on either side of it.
    if abs(area - AREA) > 8 / chosen.size:
        raise SystemExit(f"the area is {area}, and should be {AREA}")
    path = chosen.output / "mandelbrot.png"
    Image.fromarray(coloured(steps)).save(path)
    print(f"the area of the set is {area:.3f}, by {width * height} points; 50 of them are what plain Python computes")
    print(f"{path}: {width} x {height}")


if __name__ == "__main__":
    main()
