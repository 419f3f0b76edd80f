# SPDX-License-Identifier: Apache-2.0
"""The results of jobs: found where they are known, else in the store, and only then asked of the compiler.

What is found needs nothing of the compiler, which is not even imported then.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, TypeVar

from smelt.caching import (
    CacheView,
    CodeInstance,
    FunctionTable,
    MethodInstance,
    MethodTable,
    Results,
    ResultStore,
    SmeltError,
    StackedMethodTable,
    constant_key,
)
from smelt.caching.counters import Counter
from smelt.compiler.config import CompilerConfig, CompilerJob, Target
from smelt.compiler.results import ArtifactResults, InferenceResults

R = TypeVar("R", bound=Results)


class Linker(Protocol):
    """What a target brings to a session: the way from an artifact to what can be launched."""

    @property
    def results_class(self) -> type[Results]: ...

    def target_named(self, text: str) -> Target:
        """The target of that name, `native:x86-64-v3`, say. Raises `ValueError` if there is none."""
        ...

    def is_compiled(self, results: Any) -> bool:
        """Whether there is an artifact."""
        ...

    def rank(self, wanted: Target, target: Target) -> int | None:
        """How well an artifact for `target` serves where one for `wanted` is asked for; None if it doesn't."""
        ...

    def linked(self, results: Any, device: Any) -> Any:
        """What can be launched on `device`; None if it was not linked yet."""
        ...

    def link(self, results: Any, device: Any) -> Any:
        """Make what can be launched on `device`, keep it in the session-local fields of `results`, and return it."""
        ...


class Compiler(Protocol):
    """Who makes what is missing."""

    def infer(
        self, config: CompilerConfig, view: CacheView[InferenceResults], instance: MethodInstance
    ) -> CodeInstance: ...
    def compile(self, job: CompilerJob, code: CodeInstance, results: Any) -> None: ...


class JobStore(ResultStore, Protocol):
    """A store that several processes share."""

    def claim(self, instance: MethodInstance) -> AbstractContextManager[None]:
        """While this lasts no other process makes what this one misses for `instance`."""
        ...

    def refresh(
        self, view: CacheView[Any], code: CodeInstance, config: CompilerConfig, rank: Callable[[Target], int | None]
    ) -> None:
        """Take over the artifact of `code` for `config` that another process has made, or one that serves as well."""
        ...


class Jobs:
    """The results of jobs.

    Attributes
    ----------
    overlays
        The overlay methods that users define.
    functions
        Where Python functions are their own methods.
    store
        Where results of earlier processes are, or None.
    memory_hits
        How many launches that were not like the one before found their kernel in memory.
    links
        How often an artifact was linked.
    """

    def __init__(self, linkers: Mapping[str, Linker], compiler: Callable[[], Compiler]) -> None:
        self.overlays = MethodTable("overlays")
        self.functions = FunctionTable()
        self.cache = self.functions.cache
        self.store: JobStore | None = None
        self.memory_hits, self.links = Counter(), Counter()
        self._kernels = StackedMethodTable(self.overlays, self.functions, name="kernels")
        self._linkers = linkers
        self._compiler = compiler

    def target_named(self, text: str) -> Target:
        """The target of that name: `native:x86-64-v3`, say, or `metal:macos=14`. Raises `ValueError` if there is none."""
        linker = self._linkers.get(text.partition(":")[0])
        if linker is None:
            raise ValueError(f"there is no target {text!r}; a target's name begins with {' or '.join(self._linkers)}")
        return linker.target_named(text)

    def view(self, config: CompilerConfig) -> CacheView[InferenceResults]:
        """The view of code that is inferred for `config`."""
        return CacheView(config.owner(), InferenceResults, cache=self.cache, store=self.store)

    def instance(self, function: Any, types: tuple[Any, ...]) -> MethodInstance:
        """The method instance that a launch of `function` runs."""
        found = self._kernels.method_instance(function, types)
        assert found is not None
        return found

    def inferred(self, job: CompilerJob) -> CodeInstance:
        """The inferred code of a job, which may come from the store. Raises `KernelError`, `SourceError`."""
        return self.view(job.config).get_or_create(
            job.instance, lambda view, instance: self._compiler().infer(job.config, view, instance)
        )

    def cached_results(self, results_class: type[R], job: CompilerJob, code: CodeInstance) -> R:
        """The results of one class for one whole configuration, on the code instance of a job."""
        artifacts, key = code.results(ArtifactResults), constant_key(job.config)
        artifacts.configs[key] = job.config
        results = artifacts.by_config.setdefault((results_class, key), results_class())
        assert isinstance(results, results_class)
        return results

    def compiled(self, job: CompilerJob, device: Any = None) -> tuple[CodeInstance, Any, Any]:
        """The code instance of a job, its results, and what can be launched on `device`: one of the target's, None for the processor.

        Raises as `inferred`, and what linking raises.
        """
        linker = self._linkers[job.config.target.name]
        known = self._known(job, linker, device)
        if known is not None:
            return known
        with self._claim(job):
            code = self.inferred(job)
            results: Any = self.cached_results(linker.results_class, job, code)
            with lock_of(code, results):
                linked = linker.linked(results, device)
                if linked is None:
                    linked = self._make(job, code, results, linker, device)
        return code, results, linked

    def artifact(self, job: CompilerJob) -> tuple[CodeInstance, Any]:
        """The code instance of a job, and its results with the artifact, which need not be one for this machine. Raises as `inferred`."""
        linker = self._linkers[job.config.target.name]
        with self._claim(job):
            code = self.inferred(job)
            results: Any = self.cached_results(linker.results_class, job, code)
            with lock_of(code, results):
                if not self._is_compiled(job, code, results, linker):
                    self._compile(job, code, results)
        return code, results

    def _known(self, job: CompilerJob, linker: Linker, device: Any) -> tuple[CodeInstance, Any, Any] | None:
        code = self.view(job.config).get(job.instance)
        if code is None:
            return None
        results: Any = self.cached_results(linker.results_class, job, code)
        linked = linker.linked(results, device)
        if linked is None:
            return None
        self.memory_hits.count()
        return code, results, linked

    def _claim(self, job: CompilerJob) -> AbstractContextManager[None]:
        return self.store.claim(job.instance) if self.store is not None else nullcontext()

    def _is_compiled(self, job: CompilerJob, code: CodeInstance, results: Any, linker: Linker) -> bool:
        """Whether there is an artifact, be it one that another process made meanwhile."""
        if not linker.is_compiled(results) and self.store is not None:
            rank = functools.partial(linker.rank, job.config.target)
            self.store.refresh(self.view(job.config), code, job.config, rank)
        return linker.is_compiled(results)

    def _compile(self, job: CompilerJob, code: CodeInstance, results: Any) -> None:
        self._compiler().compile(job, code, results)
        self.view(job.config).save(code)

    def _make(self, job: CompilerJob, code: CodeInstance, results: Any, linker: Linker, device: Any) -> Any:
        if self._is_compiled(job, code, results, linker):
            try:
                return self._link(results, linker, device)
            except SmeltError:
                # What another process made is no reason to fail; what is made here and now may be.
                pass
        self._compile(job, code, results)
        return self._link(results, linker, device)

    def _link(self, results: Any, linker: Linker, device: Any) -> Any:
        linked = linker.link(results, device)
        self.links.count()
        return linked


def lock_of(code: CodeInstance, results: Results) -> threading.RLock:
    """The lock under which an artifact is made. Each has its own: different ones are made side by side."""
    return code.results(ArtifactResults).making.setdefault(results, threading.RLock())
