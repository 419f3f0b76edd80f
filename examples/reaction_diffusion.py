# SPDX-License-Identifier: Apache-2.0
"""A simulation: two chemicals that react and diffuse (Gray and Scott, 1983), and make spots and stripes.

    python examples/reaction_diffusion.py [STEPS] [DIRECTORY]

It writes reaction_diffusion.png, and compares the first hundred steps with NumPy's. Needs Pillow.
"""

from __future__ import annotations

import pathlib
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

import smelt

SIZE = 256
COMPARED_STEPS = 100

Field = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class Reaction:
    """Rates per step."""

    diffusion_u: float
    diffusion_v: float
    feed: float
    kill: float


CORAL = Reaction(diffusion_u=0.16, diffusion_v=0.08, feed=0.060, kill=0.062)


def laplacian(field, y, x):
    """The five-point stencil, on a torus: a negative index counts from the end."""
    height, width = field.shape
    return field[y - 1, x] + field[(y + 1) % height, x] + field[y, x - 1] + field[y, (x + 1) % width] - 4 * field[y, x]


@smelt.kernel
def step(next_u, next_v, u, v, reaction):
    x, y = smelt.grid(2)
    reacted = u[y, x] * v[y, x] ** 2
    next_u[y, x] = u[y, x] + reaction.diffusion_u * laplacian(u, y, x) - reacted + reaction.feed * (1 - u[y, x])
    next_v[y, x] = (
        v[y, x] + reaction.diffusion_v * laplacian(v, y, x) + reacted - (reaction.feed + reaction.kill) * v[y, x]
    )


def start() -> tuple[Field, Field]:
    u, v = np.ones((SIZE, SIZE), np.float32), np.zeros((SIZE, SIZE), np.float32)
    random = np.random.default_rng(1)
    for y, x in random.integers(0, SIZE - 12, (24, 2)):
        u[y : y + 12, x : x + 12], v[y : y + 12, x : x + 12] = 0.5, 0.25
    return u, v + np.float32(0.02) * random.standard_normal((SIZE, SIZE), np.float32)


def with_smelt(steps: int) -> Field:
    u, v = start()
    next_u, next_v = np.empty_like(u), np.empty_like(v)
    advance = step.over(SIZE, SIZE)
    for _ in range(steps):
        advance(next_u, next_v, u, v, CORAL)
        u, v, next_u, next_v = next_u, next_v, u, v
    return v


def with_numpy(steps: int) -> Field:
    def spread(field: Field) -> Field:
        neighbours = [np.roll(field, shift, axis) for axis in (0, 1) for shift in (1, -1)]
        total: Field = np.sum(neighbours, axis=0)
        return total - 4 * field

    u, v = start()
    for _ in range(steps):
        reacted = u * v**2
        u, v = (
            u + CORAL.diffusion_u * spread(u) - reacted + CORAL.feed * (1 - u),
            v + CORAL.diffusion_v * spread(v) + reacted - (CORAL.feed + CORAL.kill) * v,
        )
    return v


def main() -> None:
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    directory = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else pathlib.Path.cwd()
    compared = min(steps, COMPARED_STEPS)
    difference = float(np.abs(with_smelt(compared) - with_numpy(compared)).max())
    if difference > 1e-4:
        raise SystemExit(f"after {compared} steps it differs from NumPy's by {difference}")
    print(f"after {compared} steps at most {difference:.1e} from NumPy's")
    v = with_smelt(steps)
    path = directory / "reaction_diffusion.png"
    Image.fromarray((255 * v / v.max()).clip(0, 255).astype(np.uint8)).save(path)
    print(f"{path}: {SIZE} x {SIZE} after {steps} steps, {smelt.stats().compilations} kernel compiled")


if __name__ == "__main__":
    main()
