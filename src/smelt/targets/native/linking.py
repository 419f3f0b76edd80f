# SPDX-License-Identifier: Apache-2.0
"""The CPU in a session: what is compiled for it becomes something that can be launched."""

from __future__ import annotations

from collections.abc import Callable

from smelt.targets.native.loading import link
from smelt.targets.native.results import NativeResults
from smelt.targets.native.thread_grid import ThreadGrid


class NativeLinker:
    """Loads kernels, to be run by the threads that `grid` gives. `announce` tells debuggers and profilers of each."""

    results_class = NativeResults

    def __init__(
        self,
        grid: Callable[[], ThreadGrid | None] = lambda: None,
        announce: Callable[[NativeResults], None] = lambda _: None,
    ) -> None:
        self._grid = grid
        self._announce = announce

    def is_compiled(self, results: NativeResults) -> bool:
        """Whether there is code to load."""
        return results.code is not None

    def link(self, results: NativeResults) -> None:
        """Load the code. Raises `LinkError` if this process can't run it."""
        link(results, self._grid())
        self._announce(results)
