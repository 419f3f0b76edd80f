# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: INP001 - a program by itself
"""Hostile metallibs and hostile bitcode, found by their coverage of the readers: needs atheris.

    python tools/fuzz_metallibs.py metallib FOLDER [-max_total_time=600 ...]
    python tools/fuzz_metallibs.py bitcode FOLDER

FOLDER holds the inputs, to which those that reach something new are added; one that is empty begins with a small library. What follows are
options of libFuzzer's. It ends with an input that raises another error than those that the readers say they raise, that takes more than
ten seconds, or more than a gigabyte.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["smelt.targets.metal"]):
    from smelt.targets.metal.air import BitstreamError, DowngradeError, downgrade
    from smelt.targets.metal.air.kernels import constants_of, kernels_of
    from smelt.targets.metal.air.reading import read_module
    from smelt.targets.metal.metallib import Function, Library, MetallibError, Version, read_metallib, write_metallib

_LIMITS = ("-timeout=10", "-rss_limit_mb=1024", "-max_len=65536")


def read_library(data: bytes) -> None:
    """Read a metallib, and write it again."""
    with contextlib.suppress(MetallibError):
        library = read_metallib(data)
        for function in library.functions:
            _ = function.constants, function.location
        write_metallib(library)


def read_bitcode(data: bytes) -> None:
    """Read a module, as a device does and as the downgrader does."""
    with contextlib.suppress(BitstreamError, DowngradeError):
        outline = read_module(data, is_outline=True)
        kernels_of(outline)
        constants_of(outline)
    with contextlib.suppress(BitstreamError, DowngradeError):
        downgrade(data)


def seed(folder: Path, what: str) -> None:
    """Give an empty folder its first input: a library of one module, which holds nothing, or that module."""
    folder.mkdir(parents=True, exist_ok=True)
    if not any(folder.iterdir()):
        module = b"BC\xc0\xde" + bytes.fromhex("21140000020000000b820020") + bytes(4)
        library = Library([Function("f", module, Version(2, 6), Version(3, 1))])
        (folder / "seed").write_bytes(module if what == "bitcode" else write_metallib(library))


if __name__ == "__main__":
    chosen, inputs, *options = sys.argv[1:]
    seed(Path(inputs), chosen)
    targets = {"metallib": read_library, "bitcode": read_bitcode}
    atheris.Setup([sys.argv[0], *_LIMITS, *options, inputs], targets[chosen])
    atheris.Fuzz()
