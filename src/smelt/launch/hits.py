# SPDX-License-Identifier: Apache-2.0
"""What a launch that was not compiled for before leaves behind, so that the next one like it runs in compiled code.

The slow path, `Launcher.__call__`, is what decides how a launch goes; an entry made here does the same for arguments of one tuple of
types, and leaves all that is unusual to it.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Sequence
from typing import Any, Protocol

from smelt.caching import CodeInstance
from smelt.launch.errors import error_of_thread
from smelt.launch.grids import limits_of_groups
from smelt.targets.native.dispatch import Entry
from smelt.targets.native.stub_shapes import arrays_of, shapes_of
from smelt.types import Type

_FEW_THREADS = 512
"""So many threads without loops are done before the interpreter lock would have changed hands."""


class Unpackers(Protocol):
    """What makes the stubs, see `smelt.targets.native.stubs`."""

    def unpacker(self, shapes: tuple[Any, ...], given: int, first_value: int) -> Any: ...


def entry_of(
    code: CodeInstance,
    results: Any,
    kinds: Sequence[Type],
    values: Sequence[Any],
    given: int,
    written: Sequence[bool],
    stubs: Unpackers,
) -> Entry | None:
    """An entry for launches like one that is about to run. None where only the slow path serves.

    Parameters
    ----------
    code, results
        The kernel.
    kinds, values
        What is passed to it: the arguments, of which the first `given` were given, defaults and captured arrays.
    written
        Which of the values it may write to.
    """
    guard = code.guard
    words = code.words()
    found = shapes_of(kinds, values)
    if words is None or found is None or results.prints:
        return None
    shapes, objects = found
    stub = stubs.unpacker(shapes, given, len(objects))
    if stub is None:
        return None
    counts = [arrays_of(shape) for shape in shapes]
    numbers = [is_written for is_written, count in zip(written, counts, strict=True) for _ in range(count)]
    entry = Entry(
        code=code,
        guard=guard,
        words=words,
        given=given,
        unpack=stub.address("unpack"),
        objects=(*objects, *values[given:]),
        run=results.kernel.address,
        written=[number for number, is_written in enumerate(numbers) if is_written],
        arrays=len(numbers),
        failed=functools.partial(_raise_error, results),
        holds=(stub, results.kernel),
    )
    group_threads, least_memory, most_memory = limits_of_groups(results)
    entry.limit_grids(
        locked_threads=_FEW_THREADS if results.is_brief else 0,
        group_threads=group_threads,
        least_memory=least_memory,
        most_memory=most_memory,
    )
    return entry


def _raise_error(results: Any, words: bytes) -> None:
    status, x, y, z = struct.unpack("<4q", words)
    raise error_of_thread(results, status, (x, y, z))
