# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: PTH100, PTH110, PTH116, PTH118, PTH120, PTH123 - a warm process doesn't import pathlib
"""What a compilation depends on besides the program: the compiler itself.

The compiler's fingerprint is made of smelt's sources and of the file in which llvmlite says its version, which decides that of LLVM.
Nothing is imported or read to find out that nothing has changed: the fingerprint is remembered under what the file system says.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator

from smelt.caching.digests import digest
from smelt.caching.encoding import encode_str, frame, sequence

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def toolchain_stamp(package: str = PACKAGE) -> bytes:
    """What the file system says of smelt's sources and of LLVM: a digest that stays the same as long as nobody touches them."""
    stamps = sorted(_stamp(entry.path, entry.stat()) for entry in _sources(package))
    version = _llvmlite_version()
    if version is not None:
        stamps.append(_stamp(version, os.stat(version)))
    # Strings and numbers, which are written in one way only.
    return digest(repr(stamps).encode())


def toolchain_fingerprint(package: str = PACKAGE) -> bytes:
    """The digest of what smelt's sources say, and of what llvmlite says of its version."""
    parts = []
    for entry in sorted(_sources(package), key=lambda entry: entry.path):
        name = os.path.relpath(entry.path, package).replace(os.sep, "/")
        parts.append(encode_str(name) + frame("source", _contents(entry.path)))
    version = _llvmlite_version()
    parts.append(frame("llvmlite", _contents(version) if version is not None else b""))
    return digest(sequence(parts))


def _sources(folder: str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".py"):
                yield entry
            elif entry.name != "__pycache__" and entry.is_dir():
                yield from _sources(entry.path)


def _stamp(path: str, status: os.stat_result) -> tuple[str, int, int, int, int]:
    # The time of the last change of the inode can't be set back, as that of the contents can.
    return path, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _contents(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _llvmlite_version() -> str | None:
    """The file in which an installed llvmlite says its version, without importing it; None if there is none."""
    found = importlib.util.find_spec("llvmlite")
    if found is None or found.origin is None:
        return None
    version = os.path.join(os.path.dirname(found.origin), "_version.py")
    return version if os.path.exists(version) else found.origin
