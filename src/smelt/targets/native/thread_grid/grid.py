# SPDX-License-Identifier: Apache-2.0
"""Grids spread over a pool of threads that the system knows and Python doesn't: see `thread_grid.code` for how.

They are not Python's because they run no Python. They wait in the C library: at the interpreter's exit nobody has to
wake or join them, and in the child of a fork there is only memory to put back.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from typing import Any

from smelt.targets.native.loader.helper_code import HelperCode
from smelt.targets.native.loader.symbols import provide
from smelt.targets.native.thread_grid.code import (
    PREPARE,
    RUN_BRIEF_THREADS,
    RUN_GROUPS,
    RUN_THREADS,
    thread_grid_text,
)
from smelt.targets.native.thread_grid.pool import MOST_THREADS, POOL, PoolRecord
from smelt.targets.native.thread_grid.system import ticks_per_second

ALONE_SECS = 20e-6
"""A launch runs alone for so long at least, unless a former one of its kernel took longer: as long as it takes to wake a thread."""

LEAST_SECS = 10e-6
"""What is left after that is shared if it would take longer than this and threads of the pool are awake: ten times of what sharing costs."""

WORTHWHILE_SECS = 60e-6
"""What is left is shared if it would take longer than this and threads have to be woken."""

CHUNK_SECS = 2e-6
"""A chunk takes so long at least: some ten times of what taking one costs."""

SPIN_SECS = 100e-6
"""A thread looks for so long whether what it waits for has come, before it waits in the system: twice as long as it takes to wake it."""

_RUN = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
_PREPARE = ctypes.CFUNCTYPE(None, ctypes.c_void_p)

# LIFETIME: the threads use it for as long as the process lives, longer than any module; so it is never let go of.
_pool = PoolRecord()
ctypes.pythonapi.Py_IncRef(ctypes.py_object(_pool))
provide(POOL, ctypes.addressof(_pool))

_loading = threading.Lock()
_prepare: Any = None


class ThreadGrid:
    """Runs grids with the pool of this process, the only one.

    Parameters
    ----------
    helpers
        Where the machine code comes from. It is asked once, for the first grid that isn't small.
    threads
        How many threads run a grid at most, the launching one included.
    """

    def __init__(self, helpers: HelperCode, threads: int) -> None:
        self._helpers = helpers
        self._runs: dict[str, Any] | None = None
        self.threads = threads

    @property
    def threads(self) -> int:
        """How many threads run a grid at most. It can be changed at any time, for the launches after that."""
        return int(_pool.most) + 1

    @threads.setter
    def threads(self, threads: int) -> None:
        _pool.most = min(max(1, threads), MOST_THREADS) - 1

    def runner(self, *, works_together: bool, is_brief: bool = False) -> Any:
        """What runs a grid, given the addresses of a kernel's entry point, of the words of the launch and of the arguments.

        It runs whole threadgroups together if the kernel's threads work together, and relies on how long others took if none of them takes
        long, whatever the arguments are. The interpreter lock is released.
        """
        name = RUN_GROUPS if works_together else RUN_BRIEF_THREADS if is_brief else RUN_THREADS
        return (self._runs or self._loaded())[name]

    def _loaded(self) -> dict[str, Any]:
        global _prepare  # noqa: PLW0603 - there is one pool
        with _loading:
            if self._runs is None:
                # What it does takes little time beside that of a chunk, so it is not worth much of LLVM's.
                code = self._helpers.mapped(thread_grid_text, 0, sys.platform)
                assert code is not None
                # LIFETIME: threads run in it for as long as the process lives.
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(code))
                # Once, for others may be using the pool.
                if _prepare is None:
                    _prepare = _PREPARE(code.address(PREPARE))
                    _prepare_pool()
                self._runs = {name: _RUN(code.address(name)) for name in (RUN_THREADS, RUN_BRIEF_THREADS, RUN_GROUPS)}
            return self._runs


def _prepare_pool() -> None:
    frequency = ticks_per_second(sys.platform)
    times = {
        "alone_ticks": ALONE_SECS,
        "least_ticks": LEAST_SECS,
        "worthwhile_ticks": WORTHWHILE_SECS,
        "chunk_ticks": CHUNK_SECS,
        "spin_ticks": SPIN_SECS,
    }
    for name, seconds in times.items():
        setattr(_pool, name, max(1, int(seconds * frequency)))
    _prepare(ctypes.addressof(_pool))


def _after_fork_in_child() -> None:
    # Of the pool there is its memory, in the middle of whatever other threads were doing with it.
    global _loading  # noqa: PLW0603
    _loading = threading.Lock()
    most = _pool.most
    ctypes.memset(ctypes.addressof(_pool), 0, ctypes.sizeof(_pool))
    _pool.most = most
    if _prepare is not None:
        _prepare_pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
