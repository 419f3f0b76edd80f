# SPDX-License-Identifier: Apache-2.0
"""A simulation: two chemicals that react and diffuse (Gray and Scott, 1983), and make spots and stripes.

    python examples/reaction_diffusion.py [--size CELLS] [--steps STEPS] [--output DIRECTORY]

It writes reaction_diffusion.png, and compares the first hundred steps with NumPy's. Needs Pillow.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import smelt

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


def start(size: int) -> tuple[Field, Field]:
    u, v = np.ones((size, size), np.float32), np.zeros((size, size), np.float32)
    random = np.random.default_rng(1)
    for y, x in random.integers(0, size - 12, (24, 2)):
        u[y : y + 12, x : x + 12], v[y : y + 12, x : x + 12] = 0.5, 0.25
    return u, v + np.float32(0.02) * random.standard_normal((size, size), np.float32)


def with_smelt(size: int, steps: int) -> Field:
    u, v = start(size)
    next_u, next_v = np.empty_like(u), np.empty_like(v)
    advance = step.over(size, size)
    for _ in range(steps):
        advance(next_u, next_v, u, v, CORAL)
        u, v, next_u, next_v = next_u, next_v, u, v
    return v


def with_numpy(size: int, steps: int) -> Field:
    def spread(field: Field) -> Field:
        neighbours = [np.roll(field, shift, axis) for axis in (0, 1) for shift in (1, -1)]
        total: Field = np.sum(neighbours, axis=0)
        return total - 4 * field

    u, v = start(size)
    for _ in range(steps):
        reacted = u * v**2
        u, v = (
            u + CORAL.diffusion_u * spread(u) - reacted + CORAL.feed * (1 - u),
            v + CORAL.diffusion_v * spread(v) + reacted - (CORAL.feed + CORAL.kill) * v,
        )
    return v


def main() -> None:
    parser = argparse.ArgumentParser(description="Let two chemicals make spots and stripes.")
    parser.add_argument("--size", type=int, default=256, help="cells across; 256 by default")
    parser.add_argument("--steps", type=int, default=2000, help="steps; 2000 by default")
    parser.add_argument(
        "--output", type=Path, default=Path(), help="where reaction_diffusion.png is written; here by default"
    )
    chosen = parser.parse_args()

    compared = min(chosen.steps, COMPARED_STEPS)
    difference = float(np.abs(with_smelt(chosen.size, compared) - with_numpy(chosen.size, compared)).max())
    if difference > 1e-4:
        raise SystemExit(f"after {compared} steps it differs from NumPy's by {difference}")
    print(f"after {compared} steps at most {difference:.1e} from NumPy's")
    v = with_smelt(chosen.size, chosen.steps)
    path = chosen.output / "reaction_diffusion.png"
    Image.fromarray((255 * v / v.max()).clip(0, 255).astype(np.uint8)).save(path)
    print(
        f"{path}: {chosen.size} x {chosen.size} after {chosen.steps} steps, {smelt.stats().compilations} kernel compiled"
    )


if __name__ == "__main__":
    main()
