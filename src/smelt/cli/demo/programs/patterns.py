# SPDX-License-Identifier: Apache-2.0
"""A simulation: two chemicals react and diffuse (Gray and Scott, 1983), and make spots and stripes. How fast one of them decays depends
on the light of a photograph, so that the stripes draw it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import smelt

Field = np.ndarray[Any, np.dtype[np.float32]]
"""Of shape (height, width)."""


@dataclass(frozen=True)
class Reaction:
    """Rates per step. `kill_dark` and `kill_light` are those at which v decays where the photograph is black and where it is white."""

    diffusion_u: float
    diffusion_v: float
    feed: float
    kill_dark: float
    kill_light: float


PORTRAIT = Reaction(diffusion_u=0.06, diffusion_v=0.03, feed=0.04, kill_dark=0.0565, kill_light=0.0655)


def laplacian(field: Field, y: int, x: int) -> float:
    """The five-point stencil, on a torus: a negative index counts from the end."""
    height, width = field.shape
    around: float = field[y - 1, x] + field[(y + 1) % height, x] + field[y, x - 1] + field[y, (x + 1) % width]
    here: float = field[y, x]
    return around - 4 * here


def reacted(u: Field, v: Field, light: Field, reaction: Reaction, y: int, x: int) -> tuple[float, float]:
    """The concentrations of u and v after a step."""
    made = u[y, x] * v[y, x] ** 2
    kill = reaction.kill_dark + (reaction.kill_light - reaction.kill_dark) * light[y, x]
    return (
        u[y, x] + reaction.diffusion_u * laplacian(u, y, x) - made + reaction.feed * (1 - u[y, x]),
        v[y, x] + reaction.diffusion_v * laplacian(v, y, x) + made - (reaction.feed + kill) * v[y, x],
    )


@smelt.kernel
def react(next_v: Field, next_u: Field, v: Field, u: Field, light: Field, reaction: Reaction) -> None:
    x, y = smelt.grid(2)
    next_u[y, x], next_v[y, x] = reacted(u, v, light, reaction, y, x)


def start(height: int, width: int) -> tuple[Field, Field]:
    """Much u everywhere, but for spots of v, of 4 by 4."""
    spots = np.random.default_rng(1).random((-(-height // 4), -(-width // 4))) < 0.25
    spots = np.kron(spots, np.ones((4, 4), np.bool_))[:height, :width]
    return np.where(spots, np.float32(0.5), np.float32(1)), np.where(spots, np.float32(0.25), np.float32(0))
