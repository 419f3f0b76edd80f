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
from smelt.types import typeof

Photograph = np.ndarray[Any, np.dtype[np.uint8]]
"""Of shape (height, width, 3)."""


@dataclass(frozen=True)
class Launch:
    """A kernel, its grid, x first, and its arguments, the first of which it writes to."""

    name: str
    kernel: Any
    threads: tuple[int, ...]
    arguments: tuple[Any, ...]

    def seconds(self) -> float:
        """Launch, and wait until it is done. Returns how long that took."""
        started = time.perf_counter()
        self.kernel.over(*self.threads)(*self.arguments)
        smelt.synchronize()
        return time.perf_counter() - started

    def metallib(self, device: str) -> bytes:
        """The metallib that it runs on a Metal device."""
        metallib: bytes = self.kernel.compile(*map(typeof, self.arguments), device=device).metallib
        return metallib

    @property
    def result(self) -> np.ndarray[Any, Any]:
        """What it wrote."""
        return np.asarray(self.arguments[0])


class Gallery:
    """The programs in a directory, and the arrays that they work on, on a device or on the processor.

    Attributes
    ----------
    light, smoothed, drawing
        What the kernels of the image pipeline make, one after the other, of shape (height, width, 3).
    u, v, next_u, next_v
        The fields of the simulation before its first step, and after it, of shape (height, width).
    """

    def __init__(self, directory: Path, photograph: Photograph, device: str | None = None) -> None:
        if str(directory) not in sys.path:
            sys.path.insert(0, str(directory))
        self.pipeline: Any = importlib.import_module("pipeline")
        self.patterns: Any = importlib.import_module("patterns")
        self.device = device
        self.shape = photograph.shape
        height, width, _ = photograph.shape
        self.photograph = self._placed(photograph)
        self.light, self.smoothed = (self._placed(np.empty(photograph.shape, np.float32)) for _ in range(2))
        self.drawing = self._placed(np.empty_like(photograph))
        self.u, self.v = map(self._placed, self.patterns.start(height, width))
        self.next_u, self.next_v = (self._placed(np.empty((height, width), np.float32)) for _ in range(2))
        # Lighter than the photograph is: more of it is within the stripes' reach.
        self.grey = self._placed((photograph.mean(axis=2) / 255).astype(np.float32) ** np.float32(0.8))

    def launches(self) -> list[Launch]:
        """One launch of each kernel, in the order in which they run."""
        height, width, channels = self.shape
        return [
            Launch("linearise", self.pipeline.linearise, (width, height, channels), (self.light, self.photograph)),
            Launch("smooth", self.pipeline.smooth, (width, height), (self.smoothed, self.light)),
            Launch("draw", self.pipeline.draw, (width, height, channels), (self.drawing, self.smoothed)),
            Launch("react", self.patterns.react, (width, height), self._step(self.next_u, self.next_v, self.u, self.v)),
        ]

    def simulated(self, steps: int, show: Callable[[int], object]) -> np.ndarray[Any, Any]:
        """The field v after so many steps. `show` is told from time to time how many of them are done."""
        height, width, _ = self.shape
        launch = self.patterns.react.over(width, height)
        before, after = (self.u.copy(), self.v.copy()), (np.empty_like(self.u), np.empty_like(self.v))
        for done in range(steps):
            launch(*self._step(*after, *before))
            before, after = after, before
            if done % 50 == 0:
                show(done)
        show(steps)
        made: np.ndarray[Any, Any] = before[1]
        return made

    def digests(self) -> list[str]:
        """SHA-256 of what the launches made."""
        return [hashlib.sha256(launch.result.tobytes()).hexdigest() for launch in self.launches()]

    def _step(self, next_u: Any, next_v: Any, u: Any, v: Any) -> tuple[Any, ...]:
        return (next_v, next_u, v, u, self.grey, self.patterns.PORTRAIT)

    def _placed(self, array: np.ndarray[Any, Any]) -> Any:
        return array if self.device is None else smelt.array(array, device=self.device)


def main() -> None:
    """Launch each kernel once, and print what happened."""
    gallery = Gallery(Path(sys.argv[1]), np.load(sys.argv[2]))
    seconds = [launch.seconds() for launch in gallery.launches()]
    report = {"seconds": seconds, "digests": gallery.digests(), "stats": asdict(smelt.stats())}
    sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    main()
