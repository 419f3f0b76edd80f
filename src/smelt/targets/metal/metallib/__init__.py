# SPDX-License-Identifier: Apache-2.0
"""The metallib container: reading and writing files of compiled Metal functions."""

from smelt.targets.metal.metallib.library import (
    Archive,
    Function,
    FunctionConstant,
    FunctionKind,
    Library,
    MetallibError,
    Sources,
    Tag,
    Version,
)
from smelt.targets.metal.metallib.reading import read_metallib
from smelt.targets.metal.metallib.writing import write_metallib

__all__ = [
    "Archive",
    "Function",
    "FunctionConstant",
    "FunctionKind",
    "Library",
    "MetallibError",
    "Sources",
    "Tag",
    "Version",
    "read_metallib",
    "write_metallib",
]
