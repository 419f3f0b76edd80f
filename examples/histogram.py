# SPDX-License-Identifier: Apache-2.0
"""The histogram of a photograph, by atomic additions, and the photograph with its tones spread evenly by means of it.

    python examples/histogram.py [--size PIXELS] [--output DIRECTORY] [PHOTOGRAPH]

It writes histogram.png: the photograph, what it becomes, and the histograms of both. Each is compared with NumPy's. Needs Pillow.
"""

from __future__ import annotations

import argparse
from importlib import resources
from pathlib import Path

import numpy as np
from PIL import Image

import smelt

VALUES = 256
GROUP = 256
PIXELS_OF_THREAD = 16


@smelt.kernel
def count(counts, pixels):
    """Each group counts its pixels in memory of its own, and then adds what it counted to what the others did.

    Threads that add to the same place wait for each other: in the group's memory few do, and not for long.
    """
    mine = smelt.threadgroup_array(VALUES, smelt.uint32)
    number = smelt.thread_index_in_threadgroup()
    mine[number] = 0
    smelt.threadgroup_barrier()
    first = smelt.threadgroup_position_in_grid().x * GROUP * PIXELS_OF_THREAD + number
    for pixel in range(first, min(first + GROUP * PIXELS_OF_THREAD, pixels.size), GROUP):
        smelt.atomic_add(mine, int(pixels[pixel]), 1)
    smelt.threadgroup_barrier()
    smelt.atomic_add(counts, number, mine[number])


@smelt.kernel
def equalise(out, pixels, ranks):
    """The new value of a pixel is the part of all pixels that are as dark or darker."""
    i = smelt.grid(1)
    out[i] = round(255.0 * ranks[pixels[i]] / pixels.size)


def histogram(pixels):
    counts = np.zeros(VALUES, np.uint32)
    count[-(-pixels.size // (GROUP * PIXELS_OF_THREAD)), GROUP](counts, pixels)
    if not np.array_equal(counts, np.bincount(pixels, minlength=VALUES)):
        raise SystemExit("the histogram is not NumPy's")
    return counts


def bars(counts, height):
    """A picture of a histogram: black bars on white."""
    levels = height * (1 - np.sqrt(counts / counts.max()))
    return np.where(np.arange(height)[:, None] < levels, 255, 0).astype(np.uint8)


def main():
    parser = argparse.ArgumentParser(description="Spread the tones of a photograph evenly.")
    parser.add_argument(
        "photograph", nargs="?", type=Path, default=resources.files("smelt.cli.demo") / "grace_hopper.jpg"
    )
    parser.add_argument("--size", type=int, default=600, help="how many pixels it is scaled down to; 600 by default")
    parser.add_argument("--output", type=Path, default=Path(), help="where histogram.png is written; here by default")
    chosen = parser.parse_args()

    with chosen.photograph.open("rb") as file, Image.open(file) as opened:
        opened.thumbnail((chosen.size, chosen.size))
        grey = np.array(opened.convert("L"))
    pixels = grey.ravel()
    before = histogram(pixels)
    ranks, equalised = before.cumsum(dtype=np.uint32), np.empty_like(pixels)
    equalise[pixels.size](equalised, pixels, ranks)
    after = histogram(equalised)
    if not np.array_equal(equalised, np.round(255.0 * ranks / pixels.size)[pixels]):
        raise SystemExit("the photograph is not what NumPy makes of it")

    # How far the cumulative histogram is from that of tones that are all equally frequent.
    even = np.arange(1, VALUES + 1) / VALUES
    uneven = [np.abs(counts.cumsum() / pixels.size - even).max() for counts in (before, after)]
    print(f"{pixels.size} pixels counted; unevenness {uneven[0]:.2f} before, {uneven[1]:.2f} after")
    height = max(120, len(grey) // 3)
    columns = [
        np.concatenate([picture, np.array(Image.fromarray(bars(counts, height)).resize((grey.shape[1], height)))])
        for picture, counts in ((grey, before), (equalised.reshape(grey.shape), after))
    ]
    path = chosen.output / "histogram.png"
    Image.fromarray(np.concatenate(columns, axis=1)).save(path)
    print(f"{path}: the photograph, what it becomes, and the histograms of both")


if __name__ == "__main__":
    main()
