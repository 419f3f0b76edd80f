# SPDX-License-Identifier: Apache-2.0
"""The record of a launch: memory that a kernel and the host share while it runs.

| word | what |
|---|---|
| 0 | whether the kernel shall stop |
| 1 | a lock, for the words up to 12 |
| 2 | how many things went wrong |
| 3 | the place in the grid of the thread that is told of: the first one for which something went wrong |
| 4 | what: `OUTSIDE`, `RACE`, `UNINITIALISED` |
| 5 | the kind of the access, see `accesses` |
| 6 | the parameter that its pointer came from, or one of the places below |
| 7, 8 | its offset there, and its bytes |
| 9 to 11 | the position of the thread |
| 12 | the thread of the group that the access races with, `SEVERAL` if there are more |
| 13, 14 | the addresses of `SPARE_BYTES` zeros, and of as many bytes that are written in vain |
| 15, 16 | the address of the rows for all memory that the kernel may use, and how many they are |
| 17 | the address of what is known of each byte of threadgroup memory, see `tracking` |
| 18 | the number of the `Logger` |
| 19 | whether constants may change while the kernel runs, since it writes to the same memory |

A row is four words: address, bytes, parameter, and the address of what is known of each byte. The first row is for nothing.
"""

from __future__ import annotations

NAMES = (
    *("stop", "lock", "count", "serial", "what", "kind", "root", "offset", "bytes", "x", "y", "z", "other"),
    *("zeros", "junk", "rows", "row_count", "group_shadow", "logger", "changes"),
)
"""The words, in their order."""

WORD = {name: number for number, name in enumerate(NAMES)}

OUTSIDE, RACE, UNINITIALISED = range(3)

NOWHERE, GROUP, THREAD, TABLE = -1, -2, -3, -4
"""Where a pointer that came from no parameter points: nobody knows; variables that a threadgroup shares; of a thread; of the module."""

SEVERAL = 4095

SPARE_BYTES = 4096
ROW_WORDS = 4


def place_of(word: str) -> str:
    """LLVM IR that sets `%word_place` to the address of a word of `%record`."""
    return f"  %{word}_place = getelementptr i64, ptr %record, i64 {WORD[word]}"
