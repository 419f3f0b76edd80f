# SPDX-License-Identifier: Apache-2.0
"""From an artifact to a function that can be called in this process. Nothing of the compiler is needed for it."""

from __future__ import annotations

import ctypes
from math import prod
from typing import Any

from smelt.compiler.texts import Template
from smelt.targets.native.kernels.printing import Printer
from smelt.targets.native.loader.mapping import MappedCode
from smelt.targets.native.loader.symbols import resolve
from smelt.targets.native.machine_code.flat import FlatCode
from smelt.targets.native.processors.host import check_runs_here
from smelt.targets.native.results import NativeResults
from smelt.targets.native.thread_grid.grid import ThreadGrid
from smelt.targets.native.words import LAUNCH_WORDS, PRINTER_WORD, STATUS_WORD, THREADGROUP_MEMORY_WORD

_PROTOTYPE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)

Sizes = tuple[int, int, int]

_FEW_THREADS = 512


class KernelGrid:
    """How the grids of one kernel are run by several threads.

    Attributes
    ----------
    most_alone
        A grid of so many threads is not worth a look at the clock.
    """

    def __init__(self, grid: ThreadGrid, results: NativeResults) -> None:
        self._grid = grid
        self._kind = {"works_together": results.works_together, "is_brief": results.is_brief}
        self.most_alone = _FEW_THREADS if results.is_brief else 1

    @property
    def run(self) -> Any:
        """What runs a grid, see `ThreadGrid.runner`."""
        return self._grid.runner(**self._kind)

    @property
    def address(self) -> int:
        """The address of the same, for compiled code to call."""
        return ctypes.cast(self.run, ctypes.c_void_p).value or 0


class NativeKernel:
    """A loaded kernel.

    `run(launch, arguments)` takes the addresses of its two arrays of words, see `compilation`. The interpreter lock is released.
    Raises `LinkError` if this process can't run the code, or lacks a function that it refers to.
    """

    def __init__(
        self, flat: FlatCode, entry: str, prints: tuple[Template, ...] = (), grid: KernelGrid | None = None
    ) -> None:
        # LIFETIME: the code is there as long as the object that its functions are called through.
        self._code = MappedCode(flat, resolve)
        self.address = self._code.address(entry)
        self.run: Any = _PROTOTYPE(self.address)
        self._prints = prints
        self.grid = grid

    def launch(
        self, threads: Sizes, group: Sizes, threadgroup_memory: int, arguments: bytes
    ) -> tuple[int, tuple[int, int, int]] | None:
        """Run a whole grid. Returns the status and the position of the first thread that failed, None if none did."""
        words = (ctypes.c_int64 * LAUNCH_WORDS)(0, 0, 0, *threads, *threads, *group)
        words[THREADGROUP_MEMORY_WORD] = threadgroup_memory
        # LIFETIME: both arrays live until the call has returned.
        packed = ctypes.create_string_buffer(arguments or bytes(8))
        # What threads print comes in their serial order, so they run in it.
        if not self._prints and self.grid is not None and prod(threads) > self.grid.most_alone:
            self.grid.run(self.address, ctypes.addressof(words), ctypes.addressof(packed))
        elif not self._prints:
            self.run(ctypes.addressof(words), ctypes.addressof(packed))
        else:
            # LIFETIME: as theirs.
            printer = Printer(self._prints)
            words[PRINTER_WORD] = id(printer)
            self.run(ctypes.addressof(words), ctypes.addressof(packed))
            printer.raise_error()
        status, x, y, z = words[STATUS_WORD : STATUS_WORD + 4]
        return (status, (x, y, z)) if status else None


def link(results: NativeResults, grid: ThreadGrid | None = None) -> None:
    """Load what was compiled, and set the session-local half of its results. Without `grid` it runs in the launching thread.

    Raises `LinkError` if it was compiled for what this process is not, and as `NativeKernel` does.
    """
    check_runs_here(results.processor, results.abi)
    runs_in_grid = None if grid is None else KernelGrid(grid, results)
    results.kernel = NativeKernel(results.flat_code(), results.entry, results.prints, runs_in_grid)
