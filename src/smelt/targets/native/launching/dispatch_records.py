# SPDX-License-Identifier: Apache-2.0
"""The memory that a dispatch reads: of a launcher, of the kernels that its arguments may be for, and of what has changed.

Python fills these records, compiled code (`dispatch_code`) reads them. An address in a record belongs to an object that whoever fills
it keeps alive as long as the record.
"""

from __future__ import annotations

import ctypes

from smelt.targets.native.words import LAUNCH_WORDS

MOST_WORDS, MOST_ARRAYS, MOST_HELD = 160, 32, 24
"""Room in the stack frame of a dispatch, for words of arguments, arrays and references. What needs more has no stub. A frame that is
smaller than a page needs no help from the system."""


SUSPENSIONS = "smelt.suspensions"
"""The symbol of a word: how many there are at the moment who want every launch to take the slow path."""


class LauncherRecord(ctypes.Structure):
    """What a launcher brings: where its kernel's table is found, and the grid.

    `table` is the address of a word with the address of the table, an object; 0 as long as there is none.
    """

    _fields_ = (
        ("table", ctypes.c_void_p),
        ("threads", ctypes.c_int64),
        ("group_threads", ctypes.c_int64),
        ("threadgroup_memory", ctypes.c_int64),
        ("words", ctypes.c_int64 * LAUNCH_WORDS),
    )


class GuardRecord(ctypes.Structure):
    """What a guard compares: `guard_words` triples of addresses, the parts of a `smelt.caching.Word` each, at `guard`."""

    _fields_ = (("guard", ctypes.c_void_p), ("guard_words", ctypes.c_int64))


class EntryRecord(ctypes.Structure):
    """One kernel that is ready to run, for one tuple of argument types.

    `given` arguments are expected. `unpack` is the stub, `objects` what it is given, `run` the kernel. `run_grid` runs more than
    `most_alone_threads` of it, see `thread_grid`; 0 as long as there were never so many. Up to `most_locked_threads` the interpreter lock is
    kept. `guard` has `guard_words` triples of addresses, the parts of a `smelt.caching.Word` each. `written` has the numbers of the arrays
    that are written, among the `arrays` of the launch. The other limits are of the grids that the kernel can run over. `failed` is an object
    to call with the words of the status and the position of a thread that failed, as bytes.
    """

    _fields_ = (
        ("given", ctypes.c_int64),
        ("unpack", ctypes.c_void_p),
        ("objects", ctypes.c_void_p),
        ("run", ctypes.c_void_p),
        ("run_grid", ctypes.c_void_p),
        ("guard", ctypes.c_void_p),
        ("guard_words", ctypes.c_int64),
        ("written", ctypes.c_void_p),
        ("written_arrays", ctypes.c_int64),
        ("arrays", ctypes.c_int64),
        ("most_locked_threads", ctypes.c_int64),
        ("most_alone_threads", ctypes.c_int64),
        ("most_group_threads", ctypes.c_int64),
        ("least_threadgroup_memory", ctypes.c_int64),
        ("most_threadgroup_memory", ctypes.c_int64),
        ("failed", ctypes.c_void_p),
    )
