# SPDX-License-Identifier: Apache-2.0
"""What a launch tells of: the words of its record as texts."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from smelt.targets.metal.air.kernels import THREADGROUP_SPACE, Buffer, Kernel
from smelt.targets.metal.devices.software.checking.records import (
    GROUP,
    NOWHERE,
    OUTSIDE,
    RACE,
    SEVERAL,
    TABLE,
    THREAD,
    WORD,
)

_ACCESSES = ("reads", "writes", "changes by an atomic operation")
_LANES = 2048

_PLACES = {
    NOWHERE: "by a pointer that is in none of its buffers",
    GROUP: "of a variable in threadgroup memory",
    THREAD: "of a variable of its own",
    TABLE: "of a constant table",
}


def told(kernel: Kernel, record: Sequence[int], sizes: Sequence[int], bound: Collection[int]) -> str | None:
    """What went wrong in a launch, None if nothing did.

    Parameters
    ----------
    record
        The words of its record.
    sizes
        The bytes of the kernel's buffers, by parameter.
    bound
        The indices of the buffers that were bound.
    """
    count = record[WORD["count"]]
    if not count:
        return None
    what, offset, nbytes = record[WORD["what"]], record[WORD["offset"]], record[WORD["bytes"]]
    position = tuple(record[WORD["x"] : WORD["x"] + 3])
    access = f"the thread at {position} {_ACCESSES[record[WORD['kind']]]} {nbytes} bytes"
    place = _place(kernel, record[WORD["root"]], offset, sizes, bound, is_outside=what == OUTSIDE)
    more = f" ({count} times in all)" if count > 1 else ""
    if what == RACE:
        other = record[WORD["other"]]
        whom = (
            "others"
            if other == SEVERAL
            else f"lanes of simdgroup {other - _LANES}"
            if other >= _LANES
            else f"thread {other}"
        )
        return (
            f"{kernel.name}: a race: {access} {place}, which {whom} of its threadgroup "
            f"accessed too, with no barrier between{more}"
        )
    if what == OUTSIDE:
        return f"{kernel.name}: {access} {place}{more}"
    return f"{kernel.name}: {access} {place}, to which nobody in its threadgroup has written{more}"


def _place(
    kernel: Kernel, root: int, offset: int, sizes: Sequence[int], bound: Collection[int], *, is_outside: bool
) -> str:
    buffer = next((one for one in kernel.buffers if one.parameter == root), None)
    if buffer is None:
        return _PLACES[root] if root == NOWHERE else f"at offset {offset} {_PLACES[root]}"
    if buffer.space == THREADGROUP_SPACE:
        whole = f"of threadgroup memory {buffer.index} ({buffer.name})"
    else:
        whole = f"of buffer {buffer.index} ({buffer.name})"
    if not is_outside:
        return f"at offset {offset} {whole}"
    return f"at offset {offset} {whole}, which {_size(buffer, sizes[root], bound)}"


def _size(buffer: Buffer, size: int, bound: Collection[int]) -> str:
    if buffer.space != THREADGROUP_SPACE and buffer.index not in bound:
        return "is not bound"
    return f"has {size} bytes"
