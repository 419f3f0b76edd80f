# SPDX-License-Identifier: Apache-2.0
"""What compiling a kernel for Metal gives, and how a launch hands it its arguments.

| buffer index | what | address space |
|---|---|---|
| 0, 1, ... | the elements of each array among the arguments, in the order in which they stand in the row of arguments | device |
| `arguments_index` | the row of arguments: a word of eight bytes for each scalar of it, as for the CPU | constant |
| `state_index` | the kernel's state: its error record, behind that the addresses that its relocations stand for | device |

In the row of arguments an array has a word where its address would stand. For one with strides it says how many bytes the first element is
behind the beginning of the buffer's binding: strides may be negative. For others it is not read. A weak number is what stands for it where there
are no doubles: a float32 in the first four bytes of its word. Where memory of a threadgroup is sized at launch, one more word behind the
row says how many bytes there are, and threadgroup buffer 0 is that memory.

The error record is 32 bytes, which the host clears before a launch: the first word of four bytes is 0 as long as no thread has failed;
then follow the number of the error site, counted from 1, and the position of the thread in the grid, x, y, z.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from smelt.compiler.sites import SiteTuple
from smelt.compiler.texts import Template
from smelt.records import Record

WORD_BYTES = 8

ERROR_RECORD_BYTES = 32
_ERROR_RECORD = struct.Struct("<5I")

PRINT_BUFFER = "smelt_print"
"""The relocation of the buffer that kernels print to."""


class MetalArtifact(Record):
    """A kernel for Metal.

    Attributes
    ----------
    air
        Its LLVM 14 bitcode.
    metallib
        The library with that kernel alone.
    entry
        The name of the kernel in it.
    logging_enabled
        Whether it prints: one of its relocations is `PRINT_BUFFER` then.
    relocations
        What the addresses behind the error record stand for.
    arrays
        For each array buffer: where in the row of arguments its address would stand, and whether the kernel may write to it.
    argument_words
        How many words the row of arguments has, the one for the size of threadgroup memory included.
    error_sites
        Where its threads can fail, as in the results of a kernel for the CPU.
    prints
        The templates of what it prints, by their numbers.
    works_together
        Whether the threads of a group wait for each other or share memory.
    threadgroup_memory_bytes
        How much memory they share, without what is given at launch.
    is_sized_at_launch
        Whether the launch gives more.
    """

    air: bytes
    metallib: bytes
    entry: str
    logging_enabled: bool
    relocations: tuple[str, ...]
    arrays: tuple[tuple[int, bool], ...]
    argument_words: int
    error_sites: tuple[SiteTuple, ...]
    prints: tuple[Template, ...]
    works_together: bool
    threadgroup_memory_bytes: int
    is_sized_at_launch: bool


def arguments_index(arrays: Sequence[tuple[int, bool]], argument_words: int) -> int | None:
    """The index of the buffer with the row of arguments; None if there are none."""
    return len(arrays) if argument_words else None


def state_index(
    arrays: Sequence[tuple[int, bool]],
    argument_words: int,
    error_sites: Sequence[SiteTuple],
    relocations: Sequence[str],
) -> int | None:
    """The index of the buffer with the kernel's state; None if it can't fail and needs no addresses."""
    if not error_sites and not relocations:
        return None
    return len(arrays) + bool(argument_words)


def kernel_state(addresses: Sequence[int] = ()) -> bytes:
    """The state of a kernel before a launch, given the addresses that its relocations stand for."""
    return bytes(ERROR_RECORD_BYTES) + struct.pack(f"<{len(addresses)}Q", *addresses)


def failure_in(state: bytes | bytearray | memoryview) -> tuple[int, tuple[int, int, int]] | None:
    """The number of the error site and the position of the thread that failed, from the state after a launch; None if none has."""
    has_failed, site, x, y, z = _ERROR_RECORD.unpack_from(state)
    return (site, (x, y, z)) if has_failed else None
