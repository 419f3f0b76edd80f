# SPDX-License-Identifier: Apache-2.0
"""Kernels on the processor."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from smelt.compiler.config import CompilerConfig
from smelt.launch.arguments import packer
from smelt.launch.errors import error_of_thread
from smelt.launch.grids import Grid, check_groups
from smelt.launch.hits import Stubs, entry_of
from smelt.launch.loaded import Compile, Loaded
from smelt.targets.native.launching.dispatch import Entry
from smelt.types import Type

_LAUNCHES_BEFORE_STUB = 2


class NativeKernel(Loaded):
    """A kernel for one tuple of argument types, ready to run on the processor."""

    def __init__(self, kernel: Any, kinds: tuple[Type, ...], driver: Compile, config: CompilerConfig) -> None:
        super().__init__(kernel, kinds, driver, config)
        self._pack = packer(self._kinds)
        self._launches = 0
        self._entries: dict[int, Entry | None] = {}

    def launch(self, grid: Grid, arguments: Sequence[Any]) -> None:
        """Run every thread of the grid.

        Raises `LaunchError` if the grid is not one for this kernel, or if arrays overlap so that the order of threads would show.
        """
        check_groups(self.name, grid, self.results)
        values = (*arguments, *self._captured)
        self._check(values)
        failure = self.linked.launch(grid.threads, grid.group, grid.threadgroup_memory, self._pack(values))
        if failure is not None:
            raise error_of_thread(self.results, *failure)

    def entry(self, values: Sequence[Any], given: int, stubs: Stubs) -> Entry | None:
        """The entry for launches with `given` arguments, of which this is one. None if it isn't time for one, or of no use.

        A kernel that is launched once gets none: making one takes as long as some hundred launches without.
        """
        self._launches += 1
        if given in self._entries:
            present = self._entries[given]
            if present is None or present.is_current():
                return present
        if self._launches < _LAUNCHES_BEFORE_STUB:
            return None
        entry = entry_of(
            self.code,
            self.results,
            self._kinds,
            (*values, *self._captured),
            given,
            [name in self._written for name in self._names],
            stubs,
        )
        self._entries[given] = entry
        return entry

    def prepare(self, entry: Entry, grid: Grid) -> None:
        """Have an entry ready for launches of so many threads as those of a grid."""
        if not entry.run_grid and prod(grid.threads) > entry.most_alone_threads:
            entry.run_grid = self.linked.grid.address
