# SPDX-License-Identifier: Apache-2.0
"""Metal as a back end of the driver."""

from __future__ import annotations

from typing import Any

from smelt.caching import Results
from smelt.compiler.config import CompilerJob
from smelt.lowering import LoweredModule
from smelt.lowering.function import FunctionLowering
from smelt.targets.metal.compilation import compile_artifact, compile_function, compile_module
from smelt.targets.metal.lowering import MetalLowering
from smelt.targets.metal.restrictions import RESTRICTIONS
from smelt.targets.metal.results import MetalResults
from smelt.types import Type


class MetalBackend:
    """Compiles kernels to metallibs."""

    results_class: type[Results] = MetalResults
    lowering: type[FunctionLowering] = MetalLowering
    restrictions = RESTRICTIONS

    def compile(
        self, job: CompilerJob, lowered: LoweredModule, parameters: tuple[Type, ...], results: MetalResults
    ) -> None:
        """Make the metallib."""
        results.functions = lowered.sources
        results.keep_artifact(compile_artifact(lowered, parameters, job.config))

    def optimised(self, job: CompilerJob, lowered: LoweredModule, parameters: tuple[Type, ...]) -> tuple[Any, Any]:
        """LLVM's module with AIR's functions. There is no target machine."""
        return compile_module(lowered, parameters, job.config), None

    def bitcode(self, job: CompilerJob, lowered: LoweredModule) -> bytes:
        """LLVM's bitcode of a function that kernels link."""
        return compile_function(lowered, job.config)
