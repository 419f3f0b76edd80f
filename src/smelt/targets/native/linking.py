# SPDX-License-Identifier: Apache-2.0
"""The CPU in a session: what is compiled for it becomes something that can be launched."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from smelt.compiler.config import Target
from smelt.targets.native.errors import LinkError
from smelt.targets.native.kernels.loading import link
from smelt.targets.native.processors.host import check_runs_here
from smelt.targets.native.processors.processor import parse_processor
from smelt.targets.native.results import NativeResults
from smelt.targets.native.target import host_target, target_named
from smelt.targets.native.thread_grid.grid import ThreadGrid


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

    def target_named(self, text: str) -> Target:
        """The target of that name. Raises `ValueError` if there is none."""
        return target_named(text)

    def is_compiled(self, results: NativeResults) -> bool:
        """Whether there is code to load, and what it tells debuggers holds: that functions stand where they stood."""
        lines = (function.__code__.co_firstlineno for function in results.functions)
        return results.code is not None and (not results.debug_lines or results.debug_lines == tuple(lines))

    def rank(self, wanted: Target, target: Target) -> int | None:
        """How much of a processor code for `target` uses; None unless it runs here and this machine is what is wanted."""
        if wanted != host_target():
            return None
        try:
            check_runs_here(target.cpu, target.abi)
        except LinkError:
            return None
        return len(parse_processor(target.cpu).required())

    def linked(self, results: NativeResults, device: None) -> Any:  # noqa: ARG002 - there is one processor
        """The loaded kernel, if it is loaded."""
        return results.kernel

    def link(self, results: NativeResults, device: None) -> Any:  # noqa: ARG002 - there is one processor
        """Load the code. Raises `LinkError` if this process can't run it."""
        link(results, self._grid())
        self._announce(results)
        return results.kernel
