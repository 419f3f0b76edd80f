# SPDX-License-Identifier: Apache-2.0
"""The words of a launch: what the entry point of a kernel is told, an array of words of eight bytes.

| words | what |
|---|---|
| 0 to 2 | begin, for x, y, z |
| 3 to 5 | end |
| 6 to 8 | threads per grid |
| 9 to 11 | threads per threadgroup |
| 12 | the status of the first thread that failed, 0 if none did |
| 13 to 15 | the position of that thread |
| 16 | the bytes of threadgroup memory that the launch gives |
| 17 | the address of the `Printer` of a kernel that prints |
"""

from __future__ import annotations

_VECTORS = ("begin", "end", "grid", "group")

BOX = tuple(f"{corner}_{axis}" for corner in ("begin", "end") for axis in ("x", "y", "z"))
"""The corners of the box that is run, as the words are called in LLVM IR."""

SIZES = ("grid_x", "grid_y", "grid_z", "group_x", "group_y", "group_z")
"""The sizes of the grid and of a threadgroup, as the words are called in LLVM IR."""

NAMES = (
    *(f"{vector}_{axis}" for vector in _VECTORS for axis in ("x", "y", "z")),
    *("status", "failed_x", "failed_y", "failed_z"),
    *("launch_bytes", "printer"),
)
"""The words in their order, as they are called in LLVM IR."""

LAUNCH_WORDS = len(NAMES)
STATUS_WORD = NAMES.index("status")
THREADGROUP_MEMORY_WORD = NAMES.index("launch_bytes")
PRINTER_WORD = NAMES.index("printer")


def places_of_words(*names: str) -> str:
    """LLVM IR that sets `%name_place` to the address of each of these words of `%launch`."""
    return "\n".join(f"  %{name}_place = getelementptr i64, ptr %launch, i64 {NAMES.index(name)}" for name in names)


def loads_of_words(*names: str) -> str:
    """LLVM IR that loads these words of `%launch`, each to `%name`."""
    return "\n".join(f"{places_of_words(name)}\n  %{name} = load i64, ptr %{name}_place, align 8" for name in names)
