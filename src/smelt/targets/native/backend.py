# SPDX-License-Identifier: Apache-2.0
"""The CPU as a back end of the driver."""

from __future__ import annotations

from typing import Any

from smelt.compiler.config import CompilerJob
from smelt.ir.untyped import Position
from smelt.lowering import LoweredModule
from smelt.lowering.llvm import emit_object
from smelt.targets.native.compilation import ENTRY, compile_module
from smelt.targets.native.loading import NativeKernel
from smelt.targets.native.results import NativeResults
from smelt.targets.native.threadgroups import SYMBOLS
from smelt.types import Type


class NativeBackend:
    """Compiles kernels to object files and loads them."""

    results_class = NativeResults

    def compile(
        self, job: CompilerJob, lowered: LoweredModule, parameters: tuple[Type, ...], results: NativeResults
    ) -> None:
        """Make the object file."""
        module, machine = self.optimised(job, lowered, parameters)
        results.entry = ENTRY
        results.relocations = lowered.symbols
        if lowered.threadgroups is not None:
            results.works_together = True
            results.threadgroup_memory_bytes = lowered.threadgroups.memory_bytes
            results.is_sized_at_launch = lowered.threadgroups.is_sized_at_launch
            results.relocations = tuple(sorted({*lowered.symbols, *SYMBOLS}))
        results.error_sites = tuple(
            (site.error, site.message, site.function, *_numbers(site.position)) for site in lowered.errors
        )
        results.functions = tuple(function.instance for function in lowered.functions)
        # Last: while it is None, nothing was compiled.
        results.object_code = emit_object(module, machine)

    def link(self, results: NativeResults) -> None:
        """Load the object file."""
        assert results.object_code is not None
        results.kernel = NativeKernel(results.object_code, results.entry, results.relocations)

    def optimised(self, job: CompilerJob, lowered: LoweredModule, parameters: tuple[Type, ...]) -> tuple[Any, Any]:
        """LLVM's optimised module, and the target machine."""
        return compile_module(lowered, parameters, opt_level=job.config.opt_level, cpu=job.config.target.cpu)


def _numbers(position: Position) -> tuple[int, int, int, int]:
    return position.line, position.column, position.end_line, position.end_column
