# SPDX-License-Identifier: Apache-2.0
"""A small ray tracer: vectors, rays and spheres are frozen dataclasses with methods, the scene is a constant of the kernel.

    python examples/ray_tracer.py [--size PIXELS] [--output DIRECTORY]

It writes ray_tracer.png, and compares pixels with those that plain Python computes by the same functions. Needs Pillow.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

import smelt

BOUNCES = 4
SAMPLES = 3
"""A pixel is the mean of 3 by 3 rays."""

FAR = 1e9


@dataclass(frozen=True)
class Vector:
    x: float
    y: float
    z: float

    def plus(self, other):
        return Vector(self.x + other.x, self.y + other.y, self.z + other.z)

    def times(self, factor):
        return Vector(self.x * factor, self.y * factor, self.z * factor)

    def mixed(self, other):
        """Item by item: light of one colour on a surface of another."""
        return Vector(self.x * other.x, self.y * other.y, self.z * other.z)

    def dot(self, other):
        return self.x * other.x + self.y * other.y + self.z * other.z

    def unit(self):
        return self.times(1 / math.sqrt(self.dot(self)))


@dataclass(frozen=True)
class Ray:
    start: Vector
    direction: Vector

    def at(self, distance):
        return self.start.plus(self.direction.times(distance))


@dataclass(frozen=True)
class Sphere:
    centre: Vector
    radius: float
    colour: Vector
    mirror: float

    def distance(self, ray):
        """How far away the ray meets it; FAR if it doesn't."""
        away = ray.start.plus(self.centre.times(-1.0))
        half = away.dot(ray.direction)
        inside = half * half - away.dot(away) + self.radius * self.radius
        if inside < 0:
            return FAR
        root = math.sqrt(inside)
        near = -half - root if -half - root > 1e-4 else -half + root
        return near if near > 1e-4 else FAR


SPHERES = (
    Sphere(Vector(0.0, -1000.0, 0.0), 1000.0, Vector(0.6, 0.6, 0.6), 0.1),
    Sphere(Vector(0.0, 1.0, 0.0), 1.0, Vector(0.9, 0.9, 0.9), 0.8),
    Sphere(Vector(-2.1, 0.8, 0.6), 0.8, Vector(0.85, 0.2, 0.15), 0.15),
    Sphere(Vector(2.0, 0.7, 0.7), 0.7, Vector(0.15, 0.35, 0.8), 0.3),
    Sphere(Vector(-0.8, 0.35, 1.8), 0.35, Vector(0.95, 0.7, 0.1), 0.2),
    Sphere(Vector(0.9, 0.3, 1.9), 0.3, Vector(0.2, 0.7, 0.3), 0.2),
)
SUN = Vector(0.5, 0.75, 0.45).unit()
EYE = Vector(0.0, 1.6, 6.0)


def nearest(ray):
    """How far away the nearest sphere is, and which it is."""
    return min((sphere.distance(ray), number) for number, sphere in enumerate(SPHERES))


def sky(direction):
    mix = 0.5 * (direction.y + 1.0)
    return Vector(1.0, 1.0, 1.0).times(1 - mix).plus(Vector(0.35, 0.55, 0.95).times(mix))


def surface(point, number):
    """The colour, and how much it mirrors; the ground is a chessboard."""
    colour, mirror = SPHERES[0].colour, SPHERES[0].mirror
    for other, sphere in enumerate(SPHERES):
        if other == number:
            colour, mirror = sphere.colour, sphere.mirror
    if number == 0 and (math.floor(point.x) + math.floor(point.z)) % 2 == 0:
        colour = colour.times(0.35)
    return colour, mirror


def outward(point, number):
    normal = Vector(0.0, 1.0, 0.0)
    for other, sphere in enumerate(SPHERES):
        if other == number:
            normal = point.plus(sphere.centre.times(-1.0)).times(1 / sphere.radius)
    return normal


def trace(ray):
    """The light that comes along a ray, from where it points to."""
    light, strength = Vector(0.0, 0.0, 0.0), Vector(1.0, 1.0, 1.0)
    for _ in range(BOUNCES):
        distance, number = nearest(ray)
        if distance >= FAR:
            return light.plus(strength.mixed(sky(ray.direction)))
        point = ray.at(distance)
        normal = outward(point, number)
        colour, mirror = surface(point, number)
        shadow, _ = nearest(Ray(point, SUN))
        lit = 0.25 + (0.75 * max(normal.dot(SUN), 0.0) if shadow >= FAR else 0.0)
        light = light.plus(strength.mixed(colour).times((1 - mirror) * lit))
        strength = strength.times(mirror)
        bounced = ray.direction.plus(normal.times(-2 * ray.direction.dot(normal)))
        ray = Ray(point, bounced.unit())
    return light


def encoded(light):
    """Displays show the square of what they are given, about."""
    return int(255 * math.sqrt(min(light, 1.0)) + 0.5)


def pixel(x, y, width, height):
    """The colour of a pixel, from 0 to 255."""
    total = Vector(0.0, 0.0, 0.0)
    for sample in range(SAMPLES * SAMPLES):
        across = x + (sample % SAMPLES + 0.5) / SAMPLES
        down = y + (sample // SAMPLES + 0.5) / SAMPLES
        direction = Vector((across - 0.5 * width) / height, (0.5 * height - down) / height - 0.12, -1.1)
        total = total.plus(trace(Ray(EYE, direction.unit())))
    mean = total.times(1 / (SAMPLES * SAMPLES))
    return encoded(mean.x), encoded(mean.y), encoded(mean.z)


@smelt.kernel
def render(picture):
    x, y = smelt.grid(2)
    picture[y, x] = pixel(x, y, picture.shape[1], picture.shape[0])


def main():
    parser = argparse.ArgumentParser(description="Trace rays.")
    parser.add_argument("--size", type=int, default=640, help="pixels across; 640 by default")
    parser.add_argument("--output", type=Path, default=Path(), help="where ray_tracer.png is written; here by default")
    chosen = parser.parse_args()

    width, height = chosen.size, chosen.size * 9 // 16
    picture = np.empty((height, width, 3), np.uint8)
    render.over(width, height)(picture)

    random = np.random.default_rng(1)
    places = list(zip(random.integers(0, width, 30).tolist(), random.integers(0, height, 30).tolist(), strict=True))
    apart = max(np.abs(picture[y, x].astype(int) - pixel(x, y, width, height)).max() for x, y in places)
    print(f"{len(places)} pixels are at most {apart} of 255 from those of plain Python")
    if apart > 1:
        raise SystemExit("that is too much")
    path = chosen.output / "ray_tracer.png"
    Image.fromarray(picture).save(path)
    print(f"{path}: {width} x {height}, {width * height * SAMPLES * SAMPLES} rays from the eye")


if __name__ == "__main__":
    main()
