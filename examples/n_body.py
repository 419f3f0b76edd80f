# SPDX-License-Identifier: Apache-2.0
"""Two galaxies that meet: gravity between all pairs of bodies, and a check that no energy comes from nowhere.

    python examples/n_body.py [--size BODIES] [--steps STEPS] [--output DIRECTORY]

It writes n_body.png, and prints how far energy and momentum are from what they were. Needs Pillow.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
from PIL import Image

import smelt

SOFTENING = 0.05
"""Added to distances, so that bodies that come close don't fly apart (Plummer, 1911)."""

TIME_STEP = 0.005


def squared_distance(positions, i, j):
    return SOFTENING**2 + sum((positions[j, axis] - positions[i, axis]) ** 2 for axis in range(3))


@smelt.kernel
def accelerate(velocities, positions, masses, time_step):
    """Kick: each body is drawn by all others."""
    i = smelt.grid(1)
    x, y, z = 0.0, 0.0, 0.0
    for j in range(masses.size):
        squared = squared_distance(positions, i, j)
        pull = masses[j] / (squared * math.sqrt(squared))
        x += pull * (positions[j, 0] - positions[i, 0])
        y += pull * (positions[j, 1] - positions[i, 1])
        z += pull * (positions[j, 2] - positions[i, 2])
    velocities[i] += (x * time_step, y * time_step, z * time_step)


@smelt.kernel
def move(positions, velocities, time_step):
    """Drift."""
    i, axis = smelt.grid(2)
    positions[i, axis] += velocities[i, axis] * time_step


@smelt.kernel
def energies(out, positions, velocities, masses):
    """What each body has of the energy: its motion, and half of what holds it to each other one."""
    i = smelt.grid(1)
    bound = sum(masses[j] / math.sqrt(squared_distance(positions, i, j)) for j in range(masses.size) if j != i)
    out[i] = 0.5 * masses[i] * (sum(speed * speed for speed in velocities[i]) - bound)


class Bodies:
    """Positions and velocities of shape (bodies, 3), in units in which the constant of gravity is 1."""

    def __init__(self, count) -> None:
        random = np.random.default_rng(1)
        half = count // 2
        discs = [
            disc(random, half, centre=(-1.2, -0.35, 0), velocity=(0.45, 0, 0), tilt=0.3),
            disc(random, count - half, centre=(1.2, 0.35, 0), velocity=(-0.45, 0, 0), tilt=-0.9),
        ]
        self.positions, self.velocities, self.masses = (
            np.concatenate(parts).astype(np.float32) for parts in zip(*discs, strict=True)
        )

    def kick(self, time_step):
        accelerate[self.masses.size](self.velocities, self.positions, self.masses, time_step)

    def drift(self, time_step):
        move.over(self.masses.size, 3)(self.positions, self.velocities, time_step)

    def energy(self):
        out = np.empty(self.masses.size)
        energies.over(self.masses.size)(
            out, *(array.astype(float) for array in (self.positions, self.velocities, self.masses))
        )
        return out.sum()

    def momentum(self):
        return (self.velocities * self.masses[:, None]).sum(axis=0, dtype=float)


def disc(random, count, centre, velocity, tilt):
    """A heavy body, and light ones that circle around it."""
    radius, angle = np.sqrt(random.uniform(0.04, 0.64, count)), random.uniform(0, 2 * math.pi, count)
    radius[0] = 0
    masses = np.full(count, 0.1 / count)
    masses[0] = 1
    speed = np.sqrt(radius**2 / (radius**2 + SOFTENING**2) ** 1.5)
    turn = np.array([[1, 0, 0], [0, math.cos(tilt), -math.sin(tilt)], [0, math.sin(tilt), math.cos(tilt)]])
    flat = np.stack([radius * np.cos(angle), radius * np.sin(angle), random.normal(0, 0.01, count)], axis=1)
    spin = np.stack([-speed * np.sin(angle), speed * np.cos(angle), np.zeros(count)], axis=1)
    return flat @ turn.T + centre, spin @ turn.T + velocity, masses


def density(positions, size=400):
    """How many bodies are where, seen from above."""
    counts, _, _ = np.histogram2d(positions[:, 1], positions[:, 0], bins=size, range=[[-1.2, 1.2], [-1.2, 1.2]])
    return counts


def main():
    parser = argparse.ArgumentParser(description="Let two galaxies meet.")
    parser.add_argument("--size", type=int, default=1500, help="bodies; 1500 by default")
    parser.add_argument("--steps", type=int, default=400, help="steps; 400 by default")
    parser.add_argument("--output", type=Path, default=Path(), help="where n_body.png is written; here by default")
    chosen = parser.parse_args()

    bodies = Bodies(chosen.size)
    energy, momentum = bodies.energy(), bodies.momentum()
    light = density(bodies.positions)
    # Leapfrog: half a kick, a drift, half a kick; the kicks between two steps are one.
    bodies.kick(TIME_STEP / 2)
    for step in range(chosen.steps):
        bodies.drift(TIME_STEP)
        bodies.kick(TIME_STEP if step < chosen.steps - 1 else TIME_STEP / 2)
        # What was there stays to be seen for a while.
        light = 0.93 * light + density(bodies.positions)
    change = abs(bodies.energy() / energy - 1)
    drift = np.abs(bodies.momentum() - momentum).max()
    print(
        f"{chosen.size} bodies, {chosen.steps} steps: energy changed by {change:.1e} of itself, momentum by {drift:.1e}"
    )
    if change > 2e-3 or drift > 1e-3:
        raise SystemExit("that is too much")
    path = chosen.output / "n_body.png"
    picture = 255 * np.tanh(light[..., None] * [0.5, 0.35, 0.25])
    Image.fromarray(picture.astype(np.uint8)).save(path)
    print(f"{path}: {len(light)} x {len(light)}")


if __name__ == "__main__":
    main()
