# SPDX-License-Identifier: Apache-2.0
"""A photograph through an image pipeline: linear light, separable Gaussian blur, unsharp mask, edges, and back.

The kernels call plain functions. Edit one, and what calls it is compiled again. Run it:

    python examples/image_pipeline.py [--size PIXELS] [--output DIRECTORY] [PHOTOGRAPH]

It writes sharpened.png and edges.png, and compares each with NumPy's result of the same formulas. Needs Pillow.
"""

from __future__ import annotations

import argparse
import math
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import smelt

RADIUS = 3
SIGMA = 1.5
WEIGHTS = tuple(math.exp(-0.5 * (distance / SIGMA) ** 2) for distance in range(-RADIUS, RADIUS + 1))
TOTAL = sum(WEIGHTS)
STRENGTH = 1.2

Pixels = np.ndarray[Any, np.dtype[np.float32]]


# Plain functions, which kernels call.


def to_linear(value):
    """The light that an sRGB value from 0 to 1 stands for (IEC 61966-2-1)."""
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def from_linear(light):
    """The sRGB value of light, clipped to 0 to 1."""
    light = min(max(light, 0.0), 1.0)
    return light * 12.92 if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055


def clamp(index, size):
    """The nearest index that is inside: the picture goes on with its outermost pixels."""
    return min(max(index, 0), size - 1)


def luminance(picture, y, x):
    return 0.2126 * picture[y, x, 0] + 0.7152 * picture[y, x, 1] + 0.0722 * picture[y, x, 2]


def at(picture, y, x):
    return luminance(picture, clamp(y, picture.shape[0]), clamp(x, picture.shape[1]))


# Kernels: one thread for each pixel, or each channel of one.


@smelt.kernel
def linearise(out, picture):
    x, y, channel = smelt.grid(3)
    out[y, x, channel] = to_linear(picture[y, x, channel] / np.float32(255))


@smelt.kernel
def blur_rows(out, picture):
    x, y, channel = smelt.grid(3)
    total = 0.0
    for offset, weight in zip(range(-RADIUS, RADIUS + 1), WEIGHTS):  # noqa: B905 - kernels have no strict
        total += weight * picture[y, clamp(x + offset, picture.shape[1]), channel]
    out[y, x, channel] = total / TOTAL


@smelt.kernel
def blur_columns(out, picture):
    x, y, channel = smelt.grid(3)
    total = 0.0
    for offset, weight in zip(range(-RADIUS, RADIUS + 1), WEIGHTS):  # noqa: B905 - kernels have no strict
        total += weight * picture[clamp(y + offset, picture.shape[0]), x, channel]
    out[y, x, channel] = total / TOTAL


@smelt.kernel
def sharpen(out, picture, blurred, strength):
    x, y, channel = smelt.grid(3)
    detail = picture[y, x, channel] - blurred[y, x, channel]
    out[y, x, channel] = int(from_linear(picture[y, x, channel] + strength * detail) * 255 + 0.5)


@smelt.kernel
def edges(out, picture):
    """Sobel's operator on the luminance."""
    x, y = smelt.grid(2)
    right = at(picture, y - 1, x + 1) + 2 * at(picture, y, x + 1) + at(picture, y + 1, x + 1)
    left = at(picture, y - 1, x - 1) + 2 * at(picture, y, x - 1) + at(picture, y + 1, x - 1)
    below = at(picture, y + 1, x - 1) + 2 * at(picture, y + 1, x) + at(picture, y + 1, x + 1)
    above = at(picture, y - 1, x - 1) + 2 * at(picture, y - 1, x) + at(picture, y - 1, x + 1)
    out[y, x] = int(from_linear(math.sqrt((right - left) ** 2 + (below - above) ** 2)) * 255 + 0.5)


def with_smelt(photograph: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    height, width, channels = photograph.shape
    light, rows, blurred = (np.empty(photograph.shape, np.float32) for _ in range(3))
    sharpened, outline = np.empty_like(photograph), np.empty((height, width), np.uint8)
    linearise.over(width, height, channels)(light, photograph)
    blur_rows.over(width, height, channels)(rows, light)
    blur_columns.over(width, height, channels)(blurred, rows)
    sharpen.over(width, height, channels)(sharpened, light, blurred, STRENGTH)
    edges.over(width, height)(outline, blurred)
    return sharpened, outline


def with_numpy(photograph: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    value = photograph / np.float64(255)
    light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    weights = np.array(WEIGHTS) / TOTAL
    rows = _blur(light, weights, axis=1)
    blurred = _blur(rows, weights, axis=0)
    sharpened = _encode(light + STRENGTH * (light - blurred))
    grey = np.pad(blurred @ np.array([0.2126, 0.7152, 0.0722]), 1, mode="edge")
    right = grey[:-2, 2:] + 2 * grey[1:-1, 2:] + grey[2:, 2:]
    left = grey[:-2, :-2] + 2 * grey[1:-1, :-2] + grey[2:, :-2]
    below = grey[2:, :-2] + 2 * grey[2:, 1:-1] + grey[2:, 2:]
    above = grey[:-2, :-2] + 2 * grey[:-2, 1:-1] + grey[:-2, 2:]
    return sharpened, _encode(np.hypot(right - left, below - above))


def _blur(picture: np.ndarray[Any, Any], weights: np.ndarray[Any, Any], *, axis: int) -> np.ndarray[Any, Any]:
    widths = [(RADIUS, RADIUS) if dimension == axis else (0, 0) for dimension in range(3)]
    padded = np.pad(picture, widths, mode="edge")
    size = picture.shape[axis]
    parts = [weight * padded.take(range(start, start + size), axis) for start, weight in enumerate(weights)]
    blurred: np.ndarray[Any, Any] = np.sum(parts, axis=0)
    return blurred


def _encode(light: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    light = np.clip(light, 0, 1)
    value = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return (value * 255 + 0.5).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description="Sharpen a photograph, and find its edges.")
    parser.add_argument(
        "photograph", nargs="?", type=Path, default=resources.files("smelt.cli.demo") / "grace_hopper.jpg"
    )
    parser.add_argument("--size", type=int, default=600, help="how many pixels it is scaled down to; 600 by default")
    parser.add_argument("--output", type=Path, default=Path(), help="where the pictures are written; here by default")
    chosen = parser.parse_args()

    with chosen.photograph.open("rb") as file, Image.open(file) as opened:
        opened.thumbnail((chosen.size, chosen.size))
        photograph = np.array(opened.convert("RGB"))
    results = with_smelt(photograph)
    for name, ours, expected in zip(("sharpened", "edges"), results, with_numpy(photograph), strict=True):
        difference = int(np.abs(ours.astype(int) - expected).max())
        # float32 against float64: a value next to a half may be rounded either way.
        if difference > 1:
            raise SystemExit(f"{name} differs from NumPy's by {difference} of 255")
        path = chosen.output / f"{name}.png"
        Image.fromarray(ours).save(path)
        print(f"{path}: {ours.shape[1]} x {ours.shape[0]}, at most {difference} of 255 from NumPy's")
    print(f"{smelt.stats().compilations} kernels compiled")


if __name__ == "__main__":
    main()
