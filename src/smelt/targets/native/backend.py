# SPDX-License-Identifier: Apache-2.0
"""The CPU as a back end of the driver."""

from __future__ import annotations

from typing import Any

from smelt.compiler.config import CompilerJob
from smelt.lowering import LoweredModule
from smelt.lowering.debugging import first_line
from smelt.lowering.function import FunctionLowering
from smelt.lowering.llvm import emit_object
from smelt.targets.native.kernels.compilation import ENTRY, compile_function, compile_module
from smelt.targets.native.machine_code.flattening import flatten
from smelt.targets.native.results import NativeResults
from smelt.types import Type


class NativeBackend:
    """Compiles kernels to flat code and loads it."""

    results_class = NativeResults
    lowering = FunctionLowering
    restrictions = None

    def compile(
        self, job: CompilerJob, lowered: LoweredModule, parameters: tuple[Type, ...], results: NativeResults
    ) -> None:
        """Make the flat code."""
        module, machine = self.optimised(job, lowered, parameters)
        results.processor, results.abi = job.config.target.cpu, job.config.target.abi
        results.entry = ENTRY
        results.is_brief = not (lowered.has_loops or lowered.is_recursive or lowered.threadgroups)
        if lowered.threadgroups is not None:
            results.works_together = True
            results.threadgroup_memory_bytes = lowered.threadgroups.memory_bytes
            results.is_sized_at_launch = lowered.threadgroups.is_sized_at_launch
        results.error_sites = tuple(site.as_tuple() for site in lowered.errors)
        results.prints = lowered.prints
        results.functions = lowered.sources
        # Last, for it says that everything was compiled.
        object_file = emit_object(module, machine)
        if lowered.debug is not None:
            results.debug_object = object_file
            results.debug_lines = tuple(map(first_line, lowered.sources))
        results.keep_flat_code(flatten(object_file))

    def optimised(self, job: CompilerJob, lowered: LoweredModule, parameters: tuple[Type, ...]) -> tuple[Any, Any]:
        """LLVM's optimised module, and the target machine."""
        return compile_module(lowered, parameters, job.config)

    def bitcode(self, job: CompilerJob, lowered: LoweredModule) -> bytes:
        """LLVM's bitcode of a function that kernels link."""
        return compile_function(lowered, job.config)
