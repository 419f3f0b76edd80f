# SPDX-License-Identifier: Apache-2.0
"""From a job to the results that hang on its code instance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from smelt.caching import CacheView, CodeInstance, LookupTable, MethodInstance, Results
from smelt.caching.counters import Counter
from smelt.caching.locking import hold_over_forks
from smelt.compiler.config import NATIVE, CompilerConfig, CompilerJob
from smelt.compiler.jobs import Jobs, lock_of
from smelt.compiler.restrictions import Restrictions
from smelt.compiler.results import InferenceResults
from smelt.driver import runtime_library
from smelt.driver.restrictions import check
from smelt.frontend import untyped_program
from smelt.inference import Inferrer
from smelt.inference.recursion import close
from smelt.ir.typed import Function, Role
from smelt.lowering import LinkedFunction, LoweredModule
from smelt.lowering.debugging import DebugInformation
from smelt.lowering.function import FunctionLowering
from smelt.lowering.llvm import lock_of_calls
from smelt.lowering.module import lower_module
from smelt.types import Type


class Backend(Protocol):
    """What a target brings: the way from LLVM IR to an artifact, and from there to something that can be launched."""

    results_class: type[Results]
    lowering: type[FunctionLowering]
    """Who writes the functions of kernels."""
    restrictions: Restrictions | None
    """What the target hasn't; None if it has everything."""

    def compile(self, job: CompilerJob, lowered: LoweredModule, parameters: tuple[Type, ...], results: Any) -> None:
        """Make the artifact, and set the portable fields of `results`."""
        ...

    def optimised(self, job: CompilerJob, lowered: LoweredModule, parameters: tuple[Type, ...]) -> tuple[Any, Any]:
        """LLVM's optimised module, and the target machine that it is for."""
        ...

    def bitcode(self, job: CompilerJob, lowered: LoweredModule) -> bytes:
        """LLVM's bitcode of a function that kernels link, optimised as far as it can be alone."""
        ...


class Driver:
    """Compiles jobs.

    Attributes
    ----------
    jobs
        The results of jobs, those that are compiled here too.
    table_of
        Where calls in kernels are looked up, by the name of their target.
    backend_of
        The back end of each target, by the target's name.
    library
        Where the functions of the runtime library are kept for later processes, or None.
    compilations
        How often a kernel's artifact was made.
    """

    def __init__(
        self,
        jobs: Jobs,
        table_of: Callable[[str], LookupTable],
        backend_of: Callable[[str], Backend],
        library: runtime_library.LibraryStore | None = None,
    ) -> None:
        self.jobs = jobs
        self.table_of = table_of
        self.backend_of = backend_of
        self.library = library
        self.compilations = Counter()
        self._hooks: dict[object, Callable[[CompilerJob], None]] = {}

    def infer(
        self, config: CompilerConfig, view: CacheView[InferenceResults], instance: MethodInstance
    ) -> CodeInstance:
        """The code of a method instance, inferred. Raises `KernelError`, `SourceError`."""
        return self._inferrer(config)(view, instance)

    def inferred(self, job: CompilerJob) -> CodeInstance:
        """The code of a job, with its typed function. Raises `KernelError`, `SourceError`."""
        code = self.jobs.inferred(job)
        self._complete(job, code)
        return code

    def compile(self, job: CompilerJob, code: CodeInstance, results: Any) -> None:
        """Make the artifact of a job."""
        self._complete(job, code)
        for hook in tuple(self._hooks.values()):
            hook(job)
        backend = self.backend_of(job.config.target.name)
        backend.compile(job, self.lowered(job, code), passed_types(code), results)
        self.compilations.count()

    def _complete(self, job: CompilerJob, code: CodeInstance) -> None:
        view, inferrer = self.jobs.view(job.config).frozen(), self._inferrer(job.config)

        def code_of(instance: MethodInstance) -> CodeInstance:
            found = view.get_or_create(instance, inferrer)
            inferrer.completed(view, found)
            return found

        close(inferrer.completed(view, code).recursive_calls, code_of)

    def _inferrer(self, config: CompilerConfig) -> Inferrer:
        target = config.target
        return Inferrer(
            self.table_of(target.name),
            untyped_program,
            has_doubles=target.has_doubles,
            has_recursion=target.has_recursion,
            has_printing=target.has_printing,
        )

    def on_compile(self, hook: Callable[[CompilerJob], None]) -> Callable[[], None]:
        """Call `hook` with every job whose artifact is going to be made. Returns what ends that."""
        # The same hook may be given twice.
        token = object()
        self._hooks[token] = hook

        def end() -> None:
            self._hooks.pop(token, None)

        return end

    def lowered(self, job: CompilerJob, code: CodeInstance) -> LoweredModule:
        """The LLVM IR of a job, before it is optimised. Raises `KernelError` for what its target hasn't."""
        restrictions = self.backend_of(job.config.target.name).restrictions
        if restrictions is not None:
            check(code, typed_function, restrictions)
        return self._lowered(job, code, None)

    def _lowered(self, job: CompilerJob, code: CodeInstance, name: str | None) -> LoweredModule:
        # What differs between kernels in their names or groups only links the same functions.
        nameless = CompilerJob(job.instance, replace(job.config, name=None, threads_per_threadgroup=None))
        is_native = job.config.target.name == NATIVE.name

        def linked(callee: CodeInstance) -> LinkedFunction | None:
            # What is inlined anyway is a part of the function of the library that calls it.
            is_part = name is not None and typed_function(callee).role is not Role.ORDINARY
            return None if is_part else self._linked(nameless, callee)

        return lower_module(
            code,
            typed_function,
            has_doubles=job.config.target.has_doubles,
            is_checked=job.config.boundscheck,
            is_fast=job.config.fastmath,
            group_size=job.config.threads_per_threadgroup,
            linked=linked,
            name=name,
            # It is there to be vectorised, which is nothing for GPUs.
            has_main=name is None and job.config.opt_level > 1 and is_native,
            # What debuggers are told of is machine code.
            debug=_debug_information(job.config) if name is None and is_native else None,
            lowering=self.backend_of(job.config.target.name).lowering,
        )

    def _linked(self, job: CompilerJob, code: CodeInstance) -> LinkedFunction | None:
        """What a function of the runtime library is linked from, compiled if need be; None for other functions."""
        if not runtime_library.is_in_library(code.instance):
            return None
        results = self.jobs.cached_results(runtime_library.RuntimeFunctionResults, job, code)
        if not results.bitcode:
            library = self.library if runtime_library.depends_on_smelt_alone(code, self.jobs.overlays) else None
            owner = ("smelt runtime library", job.config)
            kept = library.load_results(type(results), code.instance, owner) if library is not None else None
            if kept is not None:
                results.take_over(kept)
                return results.linked_function()
            name = runtime_library.symbol_of(code)
            lowered = self._lowered(job, code, name)
            if not runtime_library.is_separate(lowered):
                return None
            backend = self.backend_of(job.config.target.name)
            with lock_of(code, results):
                if not results.bitcode:
                    results.keep(lowered, name, backend.bitcode(job, lowered))
                    if library is not None:
                        library.save_results(results, code.instance, owner)
        return results.linked_function()

    def optimised(self, job: CompilerJob, code: CodeInstance) -> tuple[Any, Any]:
        """LLVM's optimised module of a job, and the target machine that it is for."""
        backend = self.backend_of(job.config.target.name)
        return backend.optimised(job, self.lowered(job, code), passed_types(code))


def _debug_information(config: CompilerConfig) -> DebugInformation | None:
    return DebugInformation(config.debug_level, is_optimised=config.opt_level > 0) if config.debug_level else None


def typed_function(code: CodeInstance) -> Function:
    """The typed function that hangs on an inferred code instance."""
    function = code.results(InferenceResults).function
    assert function is not None
    return function


def passed_types(code: CodeInstance) -> tuple[Type, ...]:
    """The types of what is passed to a kernel when it runs: its arguments, and the arrays that it captured."""
    return tuple(parameter.type for parameter in typed_function(code).parameters)


if (lock := lock_of_calls()) is not None:
    hold_over_forks(lock)
