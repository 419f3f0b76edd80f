# SPDX-License-Identifier: Apache-2.0
"""The programs of the demonstration at work: they are imported from a directory, and launched on a photograph.

A second process runs this module: `python -m smelt.cli.demo.gallery DIRECTORY PHOTOGRAPH.npy` prints a report as JSON. Nothing that
shows things is imported here, so that a warm process is what it would be without a demonstration.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import smelt

Photograph = np.ndarray[Any, np.dtype[np.uint8]]
"""Of shape (height, width, 3)."""


@dataclass(frozen=True)
class Launch:
    """A kernel, its grid, x first, and its arguments."""

    name: str
    kernel: Any
    threads: tuple[int, ...]
    arguments: tuple[Any, ...]

    def seconds(self) -> float:
        """Launch. Returns how long that took."""
        started = time.perf_counter()
        self.kernel.over(*self.threads)(*self.arguments)
        return time.perf_counter() - started


class Gallery:
    """The programs in a directory, and the arrays that they work on.

    Attributes
    ----------
    light, smoothed, drawing
        What the kernels of the image pipeline make, one after the other, of shape (height, width, 3).
    u, v, next_u, next_v
        The fields of the simulation before a step and after it, of shape (height, width).
    """

    def __init__(self, directory: Path, photograph: Photograph) -> None:
        sys.path.insert(0, str(directory))
        self.pipeline: Any = importlib.import_module("pipeline")
        self.patterns: Any = importlib.import_module("patterns")
        self.photograph = photograph
        height, width, _ = photograph.shape
        self.light, self.smoothed = (np.empty(photograph.shape, np.float32) for _ in range(2))
        self.drawing = np.empty_like(photograph)
        self.u, self.v = self.patterns.start(height, width)
        self.next_u, self.next_v = np.empty_like(self.u), np.empty_like(self.v)
        # Lighter than the photograph is: more of it is within the stripes' reach.
        self.grey = (photograph.mean(axis=2) / 255).astype(np.float32) ** np.float32(0.8)

    def launches(self) -> list[Launch]:
        """One launch of each kernel, in the order in which they run."""
        height, width, channels = self.photograph.shape
        return [
            Launch("linearise", self.pipeline.linearise, (width, height, channels), (self.light, self.photograph)),
            Launch("smooth", self.pipeline.smooth, (width, height), (self.smoothed, self.light)),
            Launch("draw", self.pipeline.draw, (width, height, channels), (self.drawing, self.smoothed)),
            Launch("react", self.patterns.react, (width, height), self._step()),
        ]

    def simulate(self, steps: int, show: Callable[[int], object]) -> float:
        """Go on with the simulation. Returns how many seconds that took; `show` is told from time to time how many steps are done."""
        height, width, _ = self.photograph.shape
        launch = self.patterns.react.over(width, height)
        started = time.perf_counter()
        for done in range(steps):
            launch(*self._step())
            self.u, self.v, self.next_u, self.next_v = self.next_u, self.next_v, self.u, self.v
            if done % 50 == 0:
                show(done)
        show(steps)
        return time.perf_counter() - started

    def digests(self) -> list[str]:
        """SHA-256 of what one launch of each kernel makes."""
        made = (self.light, self.smoothed, self.drawing, self.next_u, self.next_v)
        return [hashlib.sha256(array.tobytes()).hexdigest() for array in made]

    def _step(self) -> tuple[Any, ...]:
        return (self.next_u, self.next_v, self.u, self.v, self.grey, self.patterns.PORTRAIT)


def main() -> None:
    """Launch each kernel once, and print what happened."""
    gallery = Gallery(Path(sys.argv[1]), np.load(sys.argv[2]))
    seconds = [launch.seconds() for launch in gallery.launches()]
    report = {"seconds": seconds, "digests": gallery.digests(), "stats": asdict(smelt.stats())}
    sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    main()
