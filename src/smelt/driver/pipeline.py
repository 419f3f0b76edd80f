# SPDX-License-Identifier: Apache-2.0
"""From a job to the results that hang on its code instance."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from smelt.caching import (
    CacheView,
    CodeInstance,
    LookupTable,
    Results,
    constant_key,
    session_local,
)
from smelt.compiler.config import CompilerConfig, CompilerJob
from smelt.driver import runtime_library
from smelt.frontend import untyped_program
from smelt.inference import InferenceResults, Inferrer
from smelt.ir.typed import Function
from smelt.lowering import LinkedFunction, LoweredModule, lower_module
from smelt.types import Type

R = TypeVar("R", bound=Results)


class ArtifactResults(Results):
    """The artifacts of one code instance, by the whole configuration that they were compiled with."""

    by_config: dict[tuple[type[Results], object], Results] = session_local(factory=dict)
    making: dict[Results, threading.RLock] = session_local(factory=dict)


class Backend(Protocol):
    """What a target brings: the way from LLVM IR to an artifact, and from there to something that can be launched."""

    results_class: type[Results]

    def compile(self, job: CompilerJob, lowered: LoweredModule, parameters: tuple[Type, ...], results: Any) -> None:
        """Make the artifact, and set the portable fields of `results`."""
        ...

    def link(self, results: Any) -> None:
        """Make what can be launched, and set the session-local fields of `results`."""
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
    table
        Where calls in kernels are looked up.
    backends
        The back end of each target, by the target's name.
    compilations
        How often a kernel's artifact was made.
    """

    def __init__(self, table: LookupTable, backends: Mapping[str, Backend]) -> None:
        self.table = table
        self.backends = backends
        self.compilations = 0
        self._counting = threading.Lock()
        self._hooks: list[Callable[[CompilerJob], None]] = []

    def view(self, config: CompilerConfig) -> CacheView[InferenceResults]:
        """The view of code that is inferred for `config`."""
        return CacheView(config.owner(), InferenceResults, cache=self.table.cache)

    def inferred(self, job: CompilerJob) -> CodeInstance:
        """The inferred code of a job. Raises `KernelError`, `SourceError`."""
        inferrer = Inferrer(self.table, untyped_program, has_doubles=job.config.target.has_doubles)
        return self.view(job.config).get_or_create(job.instance, inferrer)

    def cached_results(self, results_class: type[R], job: CompilerJob, code: CodeInstance) -> R:
        """The results of one class for one whole configuration, on the code instance of a job."""
        results = code.results(ArtifactResults).by_config.setdefault(
            (results_class, constant_key(job.config)), results_class()
        )
        assert isinstance(results, results_class)
        return results

    def compiled(self, job: CompilerJob) -> tuple[CodeInstance, Any]:
        """The code instance of a job, and its results with what can be launched."""
        code = self.inferred(job)
        backend = self.backends[job.config.target.name]
        results: Any = self.cached_results(backend.results_class, job, code)
        if results.kernel is None:
            with _lock_of(code, results):
                if results.kernel is None:
                    self._compile(job, code, backend, results)
        return code, results

    def on_compile(self, hook: Callable[[CompilerJob], None]) -> Callable[[], None]:
        """Call `hook` with every job whose artifact is going to be made. Returns what ends that."""
        self._hooks.append(hook)
        return lambda: self._hooks.remove(hook)

    def lowered(self, job: CompilerJob, code: CodeInstance) -> LoweredModule:
        """The LLVM IR of a job, before it is optimised."""
        return self._lowered(job, code, None)

    def _lowered(self, job: CompilerJob, code: CodeInstance, name: str | None) -> LoweredModule:
        # What differs between kernels in name only links the same functions.
        nameless = CompilerJob(job.instance, replace(job.config, name=None))
        return lower_module(
            code,
            typed_function,
            has_doubles=job.config.target.has_doubles,
            is_checked=job.config.boundscheck,
            is_fast=job.config.fastmath,
            linked=lambda callee: self._linked(nameless, callee),
            name=name,
        )

    def _linked(self, job: CompilerJob, code: CodeInstance) -> LinkedFunction | None:
        """What a function of the runtime library is linked from, compiled if need be; None for other functions."""
        if not runtime_library.is_in_library(code.instance):
            return None
        results = self.cached_results(runtime_library.RuntimeFunctionResults, job, code)
        if not results.bitcode:
            name = runtime_library.symbol_of(code)
            lowered = self._lowered(job, code, name)
            if not runtime_library.is_separate(lowered):
                return None
            backend = self.backends[job.config.target.name]
            with _lock_of(code, results):
                if not results.bitcode:
                    results.keep(lowered, name, backend.bitcode(job, lowered))
        return results.linked_function()

    def optimised(self, job: CompilerJob, code: CodeInstance) -> tuple[Any, Any]:
        """LLVM's optimised module of a job, and the target machine that it is for."""
        backend = self.backends[job.config.target.name]
        return backend.optimised(job, self.lowered(job, code), passed_types(code))

    def _compile(self, job: CompilerJob, code: CodeInstance, backend: Backend, results: Any) -> None:
        for hook in tuple(self._hooks):
            hook(job)
        backend.compile(job, self.lowered(job, code), passed_types(code), results)
        with self._counting:
            self.compilations += 1
        backend.link(results)


def _lock_of(code: CodeInstance, results: Results) -> threading.RLock:
    """The lock under which an artifact is made. Each has its own: different ones are made side by side."""
    return code.results(ArtifactResults).making.setdefault(results, threading.RLock())


def typed_function(code: CodeInstance) -> Function:
    """The typed function that hangs on an inferred code instance."""
    function = code.results(InferenceResults).function
    assert function is not None
    return function


def passed_types(code: CodeInstance) -> tuple[Type, ...]:
    """The types of what is passed to a kernel when it runs: its arguments, and the arrays that it captured."""
    return tuple(parameter.type for parameter in typed_function(code).parameters)
