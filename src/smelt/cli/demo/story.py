# SPDX-License-Identifier: Apache-2.0
"""The story that `smelt demo` tells, chapter by chapter. Everything that it claims is looked at when it is claimed."""

from __future__ import annotations

import importlib
import json
import operator
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import smelt
from smelt.cli.demo import programs
from smelt.cli.demo.gallery import Gallery, Photograph
from smelt.cli.output import duration
from smelt.cli.screen import Screen

PROGRAMS = ("pipeline.py", "patterns.py")
PICTURES = ("drawing.png", "patterns.png", "redrawn.png")
FILES = (*PROGRAMS, *PICTURES, "draw.metallib", "__pycache__")
"""What there is in a directory after a run, and after the programs were imported."""

_MOST_PIXELS = 600
"""What is wider or higher is scaled down."""

_SAMPLES = 60
"""So many pixels are computed by plain Python, too."""

_CALLEE = "pipeline.tone"
_BEFORE, _AFTER = "tones = 6", "tones = 2"


@dataclass
class Story:
    """One run of the demonstration.

    Parameters
    ----------
    directory
        Where programs and pictures are written.
    scratch
        Where is what need not be seen: the store too, in the folder `store`.
    steps
        How many steps the simulation goes.
    photograph
        A picture in place of the one that comes with smelt.

    Attributes
    ----------
    claims
        What was claimed, and whether it holds.
    seconds
        What was measured.
    """

    directory: Path
    scratch: Path
    steps: int
    screen: Screen
    photograph: Path | None = None
    claims: list[tuple[str, bool]] = field(default_factory=list)
    seconds: dict[str, Any] = field(default_factory=dict)

    def tell(self) -> None:
        """All of it."""
        gallery = Gallery(self.directory, self._prepare())
        self._launch(gallery)
        self._simulate(gallery)
        self._start_again(gallery)
        self._change_devices(gallery)
        self._edit(gallery)

    @property
    def broken(self) -> list[str]:
        """The claims that don't hold."""
        return [text for text, holds in self.claims if not holds]

    # The chapters

    def _launch(self, gallery: Gallery) -> None:
        self.screen.heading(
            "A photograph and four kernels, which call plain functions. A kernel is compiled when it is first launched"
        )
        cold = [launch.seconds() for launch in gallery.launches()]
        compiled = smelt.stats()
        warm = [min(launch.seconds() for _ in range(3)) for launch in gallery.launches()]
        self.seconds |= {"first launches": cold, "warm launches": warm}
        self.screen.table(
            ("kernel", "threads", "first launch", "warm launch"),
            [
                (launch.name, " x ".join(map(str, launch.threads)), duration(first), duration(again))
                for launch, first, again in zip(gallery.launches(), cold, warm, strict=True)
            ],
        )
        self._claim(
            f"four kernels were launched, and {compiled.compilations} compiled, by LLVM",
            holds=compiled.compilations == len(cold) and compiled.llvm_loaded,
        )
        again = smelt.stats().compilations - compiled.compilations
        self._claim(f"launched three times more, {again} were compiled", holds=again == 0)
        apart = self._apart_from_python(gallery)
        self._claim(
            f"plain Python, calling the same functions for {_SAMPLES} pixels, is at most {apart:.1g} of 255 away",
            holds=apart <= 1,
        )
        self._save("drawing.png", gallery.drawing, "the photograph, drawn")

    def _simulate(self, gallery: Gallery) -> None:
        self.screen.heading(f"A simulation: two chemicals react and diffuse, {self.steps} launches")
        before = smelt.stats().compilations
        with self.screen.progress("simulating", self.steps) as show:
            started = time.perf_counter()
            v = gallery.simulated(self.steps, show)
            seconds = time.perf_counter() - started
        self.seconds["simulation"] = seconds
        compiled = smelt.stats().compilations - before
        cells = v.size * self.steps
        self._claim(
            f"{cells / 1e6:.0f} million cells in {duration(seconds)}, {compiled} kernels compiled", holds=compiled == 0
        )
        self._claim(
            f"nothing runs away: concentrations are from {v.min():.2f} to {v.max():.2f}",
            holds=bool(v.min() >= 0 and v.max() < 1),
        )
        paper = (255 * np.clip(1 - 3 * v, 0, 1)).astype(np.uint8)
        self._save("patterns.png", paper, "the photograph, in stripes that grew by themselves")

    def _start_again(self, gallery: Gallery) -> None:
        self.screen.heading("A second process, which finds in the store what the first one compiled")
        started = time.perf_counter()
        report = self._second_process()
        whole = time.perf_counter() - started
        stats = report["stats"]
        first, second = sum(self.seconds["first launches"]), sum(report["seconds"])
        self.seconds |= {"first launches in the second process": report["seconds"], "second process": whole}
        self.screen.table(
            ("process", "four first launches", "kernels compiled", "LLVM"),
            [
                ("first", duration(first), "4", "loaded"),
                ("second", duration(second), str(stats["compilations"]), _loaded(stats)),
            ],
        )
        self._claim(f"the second process compiled {stats['compilations']} kernels", holds=stats["compilations"] == 0)
        self._claim(f"it found {stats['store_hits']} in the store", holds=stats["store_hits"] == 4)
        self._claim(f"LLVM was {_loaded(stats)}", holds=not stats["llvm_loaded"])
        self._claim("what it computed is the same, bit by bit", holds=report["digests"] == gallery.digests())

    def _change_devices(self, gallery: Gallery) -> None:
        metal = [device.name for device in smelt.devices() if device.name.startswith("metal:")]
        devices = [*metal, "metal:software:1"][:2]
        self.screen.heading(f"The same kernels for Metal, on {devices[0]} and from the same metallibs on {devices[1]}")
        rows, metallibs, counts, apart = [], [], [], []
        for device in devices:
            one = Gallery(self.directory, gallery.photograph, device)
            before = smelt.stats()
            times = [(launch.seconds(), launch.seconds()) for launch in one.launches()]
            after = smelt.stats()
            counts.append((after.compilations - before.compilations, after.links - before.links))
            metallibs.append([launch.metallib(device) for launch in one.launches()])
            pairs = zip(one.launches(), gallery.launches(), strict=True)
            apart += [_apart(launch.result, expected.result) for launch, expected in pairs]
            self.seconds[f"first and warm launches on {device}"] = times
            rows.append([duration(taken) for pair in times for taken in pair])
        columns = [f"{launch.name}, {which}" for launch in gallery.launches() for which in ("first", "warm")]
        self.screen.table(("launch", *devices), list(zip(columns, *rows, strict=True)))
        (compiled, linked), (compiled_again, linked_again) = counts
        size = sum(map(len, metallibs[0]))
        self._claim(
            f"for the first device {compiled} metallibs were compiled, {size} bytes, and {linked} pipelines linked",
            holds=(compiled, linked) == (4, 4),
        )
        self._claim(
            f"for the second device {compiled_again} were compiled and {linked_again} pipelines linked, of the very same metallibs",
            holds=(compiled_again, linked_again) == (0, 4) and all(map(operator.is_, *metallibs)),
        )
        self._claim(
            f"what they compute is at most {max(apart):.1g} of 255 away from the processor's", holds=max(apart) <= 1
        )
        path = self.directory / "draw.metallib"
        path.write_bytes(metallibs[0][2])
        self.screen.path(path, "one of the metallibs: smelt inspect shows what is in it")

    def _edit(self, gallery: Gallery) -> None:
        path = self.directory / "pipeline.py"
        self.screen.heading(f"A function is edited: in {_CALLEE}, {_BEFORE} becomes {_AFTER}")
        text = path.read_text(encoding="utf-8")
        try:
            compiled = self._draw_again(gallery, text.replace(_BEFORE, _AFTER))
        finally:
            path.write_text(text, encoding="utf-8")
        self._claim(f"{compiled} of the three kernels was compiled again, the one that calls it", holds=compiled == 1)
        reasons = [line for line in smelt.why(gallery.pipeline.draw) if f"{_CALLEE} changed" in line]
        self._claim(f"why? {reasons[0] if reasons else 'smelt does not know'}", holds=bool(reasons))
        self._save("redrawn.png", gallery.drawing, "drawn with what was edited")
        compiled = self._draw_again(gallery, text)
        self._claim(f"edited back, {compiled} were compiled: it is still in the store", holds=compiled == 0)

    # What the chapters are made of

    def _prepare(self) -> Photograph:
        check_directory(self.directory)
        with ExitStack() as opened:
            ours = resources.as_file(resources.files("smelt.cli.demo") / "grace_hopper.jpg")
            picture = opened.enter_context(Image.open(self.photograph or opened.enter_context(ours)))
            picture.thumbnail((_MOST_PIXELS, _MOST_PIXELS))
            # Not asarray, whose arrays of pictures can't be written to, which is another type.
            photograph = np.array(picture.convert("RGB"))
        np.save(self._shared, photograph)
        self.directory.mkdir(parents=True, exist_ok=True)
        for name in PROGRAMS:
            (self.directory / name).write_text(_program(name), encoding="utf-8")
        return photograph

    @property
    def _shared(self) -> Path:
        return self.scratch / "photograph.npy"

    def _claim(self, text: str, *, holds: bool) -> None:
        self.claims.append((text, holds))
        self.screen.claim(text, holds=holds)

    def _save(self, name: str, picture: np.ndarray[Any, Any], what: str) -> None:
        path = self.directory / name
        Image.fromarray(picture).save(path)
        self.screen.path(path, what)

    def _apart_from_python(self, gallery: Gallery) -> float:
        """How far plain Python's results are from the kernels', as a part of the whole range, times 255."""
        pipeline, patterns = gallery.pipeline, gallery.patterns
        height, width, channels = gallery.photograph.shape
        places = np.random.default_rng(1).integers(0, (height, width, channels), (_SAMPLES, 3)).tolist()
        apart = []
        for y, x, channel in places:
            linear = pipeline.to_linear(gallery.photograph[y, x, channel] / np.float32(255))
            smoothed = pipeline.smoothed(gallery.light, y, x)
            drawn = pipeline.drawn(gallery.smoothed, y, x, channel)
            _, v = patterns.reacted(gallery.u, gallery.v, gallery.grey, patterns.PORTRAIT, y, x)
            apart += [
                255 * abs(gallery.light[y, x, channel] - linear),
                *(255 * np.abs(gallery.smoothed[y, x] - smoothed)),
                abs(int(gallery.drawing[y, x, channel]) - drawn),
                255 * abs(gallery.next_v[y, x] - v),
            ]
        return float(max(apart))

    def _second_process(self) -> dict[str, Any]:
        """What a new process says that launches each kernel once."""
        done = subprocess.run(  # noqa: S603 - this very Python
            [sys.executable, "-m", "smelt.cli.demo.gallery", self.directory, self._shared],
            env={
                **os.environ,
                "SMELT_CACHE_DIR": str(self.scratch / "store"),
                "SMELT_STORE": "on",
                "SMELT_DEVICE": "cpu",
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            stdout=subprocess.PIPE,
            check=True,
        )
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    def _draw_again(self, gallery: Gallery, text: str) -> int:
        """Import the image pipeline anew from this text, and launch it. Returns how many kernels were compiled."""
        (self.directory / "pipeline.py").write_text(text, encoding="utf-8")
        # The file may be of the same length and the same second as the one before.
        importlib.invalidate_caches()
        before = smelt.stats().compilations
        gallery.pipeline = importlib.reload(gallery.pipeline)
        for launch in gallery.launches():
            launch.seconds()
        return smelt.stats().compilations - before


def check_directory(directory: Path) -> None:
    """Raise `ValueError` if something is in the directory that the demonstration didn't write, or that was changed since."""
    for path in sorted(directory.iterdir()) if directory.exists() else ():
        if path.name not in FILES:
            raise ValueError(f"{path} is there, and not of the demonstration; name a new directory by --output")
        if path.name in PROGRAMS and path.read_text(encoding="utf-8") != _program(path.name):
            raise ValueError(f"{path} was changed, and would be written anew; name a new directory by --output")


def _program(name: str) -> str:
    return (resources.files(programs) / name).read_text(encoding="utf-8")


def _apart(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> float:
    """How far two pictures are from each other at most, where white is 255."""
    away = np.abs(one.astype(float) - other.astype(float)).max()
    return float(away if one.dtype == np.uint8 else 255 * away)


def _loaded(stats: dict[str, Any]) -> str:
    return "loaded" if stats["llvm_loaded"] else "not loaded"
