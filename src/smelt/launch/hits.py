# SPDX-License-Identifier: Apache-2.0
"""What a launch that was not compiled for before leaves behind, so that the next one like it runs in compiled code.

The slow path, `Launcher.__call__`, is what decides how a launch goes; an entry made here does the same for arguments of one tuple of
types, and leaves all that is unusual to it.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from smelt.caching import CodeInstance
from smelt.launch.errors import error_of_thread
from smelt.launch.grids import limits_of_groups
from smelt.targets.native.launching.dispatch import Entry, Launch
from smelt.types import Type

_FEW_THREADS = 512
"""So many threads without loops are done before the interpreter lock would have changed hands."""

_ANY_NUMBER = 2**63 - 1


class Stubs(Protocol):
    """Compiled launches, where this Python has them; handed in by whoever wires things together. See `smelt.targets.native.launching.stubs`."""

    def stub(self, kinds: Sequence[Type], values: Sequence[Any], given: int) -> Any: ...
    def is_current(self, code: CodeInstance) -> Callable[[], bool]: ...
    def launcher(self, launch: Launch) -> Callable[..., None]: ...


def entry_of(
    code: CodeInstance,
    results: Any,
    kinds: Sequence[Type],
    values: Sequence[Any],
    given: int,
    written: Sequence[bool],
    stubs: Stubs,
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
    guard, words = code.guard, code.words()
    # A kernel that prints is given something to print with, at each launch anew.
    stub = None if words is None or results.prints else stubs.stub(kinds, values, given)
    if words is None or stub is None:
        return None
    numbers = [is_written for is_written, count in zip(written, stub.arrays, strict=True) for _ in range(count)]
    entry = Entry(
        code=code,
        guard=guard,
        words=words,
        given=given,
        unpack=stub.address,
        objects=stub.objects,
        run=results.kernel.address,
        written=[number for number, is_written in enumerate(numbers) if is_written],
        arrays=len(numbers),
        failed=functools.partial(_raise_error, results),
        holds=(stub, results.kernel),
    )
    group_threads, least_memory, most_memory = limits_of_groups(results)
    entry.limit_grids(
        locked_threads=_FEW_THREADS if results.is_brief else 0,
        alone_threads=_ANY_NUMBER if results.kernel.grid is None else results.kernel.grid.most_alone,
        group_threads=group_threads,
        least_memory=least_memory,
        most_memory=most_memory,
    )
    return entry


def _raise_error(results: Any, words: bytes) -> None:
    status, x, y, z = struct.unpack("<4q", words)
    raise error_of_thread(results, status, (x, y, z))
