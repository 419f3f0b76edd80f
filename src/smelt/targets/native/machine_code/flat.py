# SPDX-License-Identifier: Apache-2.0
"""Flat code: machine code as one blob that can be mapped anywhere and called, with neither a linker nor LLVM.

    code │ read-only data │ jumps │ words that hold addresses in the blob ┊ table of addresses outside

References within the blob are settled when it is made (see `flattening`). What lies outside is reached through the table only, which
stands behind the blob, one word of eight bytes for each symbol; a call goes through a jump in the blob, which reads the word. Whoever
maps the blob fills the table, and the few words that hold addresses in the blob itself: that alone depends on where it is.

There is no data that can be written: a kernel has no state of its own.
"""

from __future__ import annotations

from smelt.records import Record, field
from smelt.targets.native.errors import FlatError

WORD_BYTES = 8

MOST_ALIGNMENT = 4096
"""The smallest page of any system: what is mapped is aligned to that, and no more."""


class FlatCode(Record):
    """Machine code that lies flat. Raises `FlatError` if it doesn't hold together.

    Attributes
    ----------
    machine
        Its instruction set: `x86-64` or `aarch64`.
    blob
        Code and read-only data, to be mapped to a multiple of `MOST_ALIGNMENT`.
    entries
        The exported symbols, each with its offset in the blob.
    symbols
        What is outside, in the order of the table's words.
    pointers
        Words that hold an address in the blob, as (offset of the word, offset that it points to).
    """

    machine: str
    blob: bytes = field(repr=False)
    entries: tuple[tuple[str, int], ...]
    symbols: tuple[str, ...] = ()
    pointers: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        if len(self.blob) % WORD_BYTES:
            raise FlatError(f"a flat blob has {len(self.blob)} bytes, which is no multiple of {WORD_BYTES}")
        places = [offset for _, offset in self.entries] + [target for _, target in self.pointers]
        if not all(0 <= place <= len(self.blob) for place in places):
            raise FlatError("flat code refers to itself outside of its blob")
        if not all(0 <= offset <= len(self.blob) - WORD_BYTES for offset, _ in self.pointers):
            raise FlatError("a pointer of flat code stands outside of its blob")

    @property
    def table_offset(self) -> int:
        """Where the table begins: behind the blob."""
        return len(self.blob)

    @property
    def size(self) -> int:
        """The bytes of blob and table."""
        return len(self.blob) + WORD_BYTES * len(self.symbols)
