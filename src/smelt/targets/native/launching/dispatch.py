# SPDX-License-Identifier: Apache-2.0
"""What a compiled launch reads, as objects of Python: they keep alive what the records in them refer to.

A launcher's builtin finds the table of its kernel, and in it one entry for each tuple of argument types. A table is never changed: when
an entry comes or goes, another table takes its place, and whoever is in the middle of a launch keeps the former one.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

from smelt.caching import CodeInstance, Guard, Word
from smelt.targets.native.launching.dispatch_records import SUSPENSIONS, EntryRecord, GuardRecord, LauncherRecord
from smelt.targets.native.loader.symbols import provide
from smelt.targets.native.words import LAUNCH_WORDS, THREADGROUP_MEMORY_WORD

__all__ = ["CompiledGuard", "Entry", "EntryTable", "Launch", "suspended"]

Sizes = tuple[int, int, int]

_MOST_ENTRIES = 16
"""More are never tried: the latest are kept."""


# LIFETIME: compiled code reads it for as long as the process lives, longer than any module; so it is never let go of.
_suspensions = ctypes.c_int64()
ctypes.pythonapi.Py_IncRef(ctypes.py_object(_suspensions))
provide(SUSPENSIONS, ctypes.addressof(_suspensions))
_suspending = threading.Lock()


@contextmanager
def suspended() -> Iterator[None]:
    """While this lasts every launch, of whichever thread, takes the slow path."""
    with _suspending:
        _suspensions.value += 1
    try:
        yield
    finally:
        with _suspending:
            _suspensions.value -= 1


class Launch(LauncherRecord):
    """A kernel's table and a grid. A builtin that `stubs.Stubs` makes of it launches, and calls it where it can't.

    Parameters
    ----------
    table
        The entries of the kernel.
    threads, group, threadgroup_memory
        The grid.
    """

    def __init__(self, table: EntryTable, threads: Sizes, group: Sizes, threadgroup_memory: int) -> None:
        words = (ctypes.c_int64 * LAUNCH_WORDS)(0, 0, 0, *threads, *threads, *group)
        words[THREADGROUP_MEMORY_WORD] = threadgroup_memory
        super().__init__(
            table=table.place,
            threads=prod(threads),
            group_threads=prod(group),
            threadgroup_memory=threadgroup_memory,
            words=words,
        )
        # LIFETIME: the record has its address.
        self._table = table


def guard_words(words: Sequence[Word]) -> ctypes.Array[ctypes.c_void_p]:
    """The words of a guard as compiled code reads them: three addresses for each, as in a `Word`."""
    parts: list[int] = []
    for word in words:
        parts += [word.address, ctypes.addressof(word.expected), word.values.address if word.values is not None else 0]
    return (ctypes.c_void_p * len(parts))(*parts)


class CompiledGuard(GuardRecord):
    """Some code and the guard that it has now, to be checked by a builtin that `stubs.Stubs` makes of it."""

    def __init__(self, code: CodeInstance, guard: Guard | None, words: Sequence[Word]) -> None:
        addresses = guard_words(words)
        super().__init__(guard=ctypes.addressof(addresses), guard_words=len(words))
        # LIFETIME: the record has addresses of these, or of what they hold.
        self._held = (addresses, code, guard, tuple(words))


class Entry(EntryRecord):
    """A kernel that is ready to run, for one tuple of argument types.

    Parameters
    ----------
    code
        The code instance that it was compiled from.
    guard, words
        The guard of the code, and its words, to compare at each launch.
    given
        How many arguments are expected.
    unpack
        The address of the stub.
    objects
        What the stub is given.
    run
        The address of the kernel. That of what runs it by several threads is set when there are so many.
    written
        The numbers of the arrays that are written, among the `arrays` of the launch.
    failed
        Called with the words of the status and position of a thread that failed, as bytes, to raise the error.
    holds
        What has to stay alive besides: the stub, the kernel.
    """

    def __init__(
        self,
        *,
        code: CodeInstance,
        guard: Guard | None,
        words: Sequence[Word],
        given: int,
        unpack: int,
        objects: Sequence[object],
        run: int,
        written: Sequence[int],
        arrays: int,
        failed: Callable[[bytes], None],
        holds: Sequence[object],
    ) -> None:
        records = (
            (ctypes.c_void_p * len(objects))(*map(id, objects)),
            guard_words(words),
            (ctypes.c_int64 * len(written))(*written),
        )
        super().__init__(
            given=given,
            unpack=unpack,
            objects=ctypes.addressof(records[0]),
            run=run,
            guard=ctypes.addressof(records[1]),
            guard_words=len(words),
            written=ctypes.addressof(records[2]),
            written_arrays=len(written),
            arrays=arrays,
            failed=id(failed),
        )
        self._code, self._guard = code, guard
        # LIFETIME: the record has addresses of these, or of what they hold.
        self._held = (records, tuple(objects), tuple(words), failed, tuple(holds))

    def limit_grids(
        self, *, locked_threads: int, alone_threads: int, group_threads: int, least_memory: int, most_memory: int
    ) -> None:
        """Set up to how many threads the interpreter lock is kept, and up to how many they run one after the other; how many a group may
        have, and how much memory it is given.
        """
        self.most_locked_threads, self.most_alone_threads = locked_threads, alone_threads
        self.most_group_threads = group_threads
        self.least_threadgroup_memory, self.most_threadgroup_memory = least_memory, most_memory

    def is_current(self) -> bool:
        """Whether the code is valid still, as far as is known, and guarded as it was."""
        return self._code.is_current and self._code.guard is self._guard


class _Table(ctypes.Structure):
    """The addresses of entries, and a 0 behind the last."""

    _fields_ = (("addresses", ctypes.c_void_p * (_MOST_ENTRIES + 1)),)

    def __init__(self, entries: Sequence[Entry]) -> None:
        # LIFETIME: as long as the table.
        self.entries = tuple(entries)
        super().__init__((ctypes.c_void_p * (_MOST_ENTRIES + 1))(*map(ctypes.addressof, entries)))


class EntryTable:
    """The entries of one kernel, for all its launchers.

    Attributes
    ----------
    place
        The address of the word in which compiled code finds the current table.
    """

    def __init__(self) -> None:
        self._word = ctypes.c_uint64()
        self._current: Any = None
        self._adding = threading.Lock()
        self.place = ctypes.addressof(self._word)

    @property
    def entries(self) -> tuple[Entry, ...]:
        return self._current.entries if self._current is not None else ()

    def add(self, entry: Entry) -> None:
        """Put an entry first, unless it is there, and drop those that are current no longer.

        Does nothing while another call is at it, of another thread or of a signal handler: the entry comes with the next launch.
        """
        if entry in self.entries or not self._adding.acquire(blocking=False):
            return
        try:
            current = [other for other in self.entries if other.is_current()]
            table = _Table((entry, *current[: _MOST_ENTRIES - 1]))
            # In this order: compiled code takes hold of the table that it finds, so that one has to be alive.
            self._word.value = id(table)
            self._current = table
        finally:
            self._adding.release()

    def clear(self) -> None:
        """Drop all entries, so that the next launch takes the slow path."""
        with self._adding:
            self._word.value = 0
            self._current = None
