# SPDX-License-Identifier: Apache-2.0
"""A photograph becomes a drawing: linear light, smoothed up to the edges, few tones, lines of ink.

Each kernel runs one thread for each pixel, or each channel of one, and calls plain functions. Edit one of those, and what calls it is
compiled again.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import smelt

Picture = np.ndarray[Any, np.dtype[np.float32]]
"""Linear light, 0 for black and 1 for white, of shape (height, width, 3)."""

RADIUS = 4
REACH = 2.5
LIKENESS = 0.08


def to_linear(value: float) -> float:
    """The light that an sRGB value from 0 to 1 stands for (IEC 61966-2-1)."""
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def from_linear(light: float) -> float:
    """The sRGB value of light, clipped to 0 to 1."""
    light = min(max(light, 0.0), 1.0)
    return light * 12.92 if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055


def clamp(index: int, size: int) -> int:
    """The nearest index that is inside: the picture goes on with its outermost pixels."""
    return min(max(index, 0), size - 1)


def luminance(picture: Picture, y: int, x: int) -> float:
    y, x = clamp(y, picture.shape[0]), clamp(x, picture.shape[1])
    light: float = 0.2126 * picture[y, x, 0] + 0.7152 * picture[y, x, 1] + 0.0722 * picture[y, x, 2]
    return light


def smoothed(picture: Picture, y: int, x: int) -> tuple[float, float, float]:
    """The bilateral filter (Tomasi and Manduchi, 1998): a neighbour counts the less, the further away it is in place and in luminance."""
    here = luminance(picture, y, x)
    red, green, blue, total = 0.0, 0.0, 0.0, 0.0
    for down in range(-RADIUS, RADIUS + 1):
        for right in range(-RADIUS, RADIUS + 1):
            row, column = clamp(y + down, picture.shape[0]), clamp(x + right, picture.shape[1])
            away = (down * down + right * right) / (REACH * REACH)
            apart = (luminance(picture, row, column) - here) / LIKENESS
            weight = math.exp(-0.5 * (away + apart * apart))
            red += weight * picture[row, column, 0]
            green += weight * picture[row, column, 1]
            blue += weight * picture[row, column, 2]
            total += weight
    return red / total, green / total, blue / total


def slope(picture: Picture, y: int, x: int) -> float:
    """How steep the luminance is, by Sobel's operator."""
    right = luminance(picture, y - 1, x + 1) + 2 * luminance(picture, y, x + 1) + luminance(picture, y + 1, x + 1)
    left = luminance(picture, y - 1, x - 1) + 2 * luminance(picture, y, x - 1) + luminance(picture, y + 1, x - 1)
    below = luminance(picture, y + 1, x - 1) + 2 * luminance(picture, y + 1, x) + luminance(picture, y + 1, x + 1)
    above = luminance(picture, y - 1, x - 1) + 2 * luminance(picture, y - 1, x) + luminance(picture, y - 1, x + 1)
    return math.sqrt((right - left) ** 2 + (below - above) ** 2)


def tone(value: float) -> float:
    """Few tones, with soft steps between them."""
    tones = 6
    step = math.floor(value * tones)
    return (step + 0.5 + 0.5 * math.tanh(8 * (value * tones - step - 0.5))) / tones


def ink(steepness: float) -> float:
    """How much of the paper a line leaves white, from 0 to 1."""
    return 1 / (1 + math.exp(12 * (steepness - 0.5)))


def drawn(picture: Picture, y: int, x: int, channel: int) -> int:
    """The drawing's value, from 0 to 255."""
    return int(255 * tone(from_linear(picture[y, x, channel])) * ink(slope(picture, y, x)) + 0.5)


@smelt.kernel
def linearise(out: Picture, photograph: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    x, y, channel = smelt.grid(3)
    out[y, x, channel] = to_linear(photograph[y, x, channel] / np.float32(255))


@smelt.kernel
def smooth(out: Picture, picture: Picture) -> None:
    x, y = smelt.grid(2)
    out[y, x] = smoothed(picture, y, x)


@smelt.kernel
def draw(out: np.ndarray[Any, np.dtype[np.uint8]], picture: Picture) -> None:
    x, y, channel = smelt.grid(3)
    out[y, x, channel] = drawn(picture, y, x, channel)
