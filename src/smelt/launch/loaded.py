# SPDX-License-Identifier: Apache-2.0
"""A kernel for one tuple of argument types, compiled and linked: what is the same for every target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from smelt.caching import CacheView, CodeInstance, MethodInstance
from smelt.compiler.config import CompilerConfig, CompilerJob, Target
from smelt.launch.binding import parameter_names
from smelt.launch.errors import LaunchError
from smelt.launch.overlaps import arrays_in, refuse_overlaps
from smelt.types import Type, none, typeof


class Compile(Protocol):
    """What a launch asks for what it misses: the results of jobs, handed in by whoever wires them together."""

    def instance(self, function: Any, types: tuple[Type, ...]) -> MethodInstance: ...
    def target_named(self, text: str) -> Target: ...
    def view(self, config: CompilerConfig) -> CacheView[Any]: ...
    def compiled(self, job: CompilerJob, device: Any = None) -> tuple[CodeInstance, Any, Any]: ...
    def artifact(self, job: CompilerJob) -> tuple[CodeInstance, Any]: ...


class Loaded:
    """A kernel for one tuple of argument types, ready to run on one device.

    Attributes
    ----------
    name
        What the kernel is called in messages.
    job
        What was compiled.
    code
        The code instance that it was compiled from.
    results
        The results object of it.
    linked
        What was linked for the device.
    """

    def __init__(
        self, kernel: Any, kinds: tuple[Type, ...], driver: Compile, config: CompilerConfig, device: Any = None
    ) -> None:
        self.name: str = kernel.name
        self.job = CompilerJob(kernel.instance(kinds), config)
        self._view = driver.view(config)
        self.code, self.results, self.linked = driver.compiled(self.job, device)
        inferred = self.code.results(self._view.results_class)
        check_result(self.name, inferred)
        # The arrays that it captured are passed behind its arguments.
        self._captured = inferred.captured
        self._captured_kinds = tuple(map(typeof, self._captured))
        self._names = (*parameter_names(self.name, kernel.function), *inferred.captured_names)
        self._written = frozenset(inferred.written_names)
        self._kinds = (*kinds, *self._captured_kinds)

    def is_current(self) -> bool:
        """Whether nothing that the kernel was compiled from has changed."""
        return self._view.get(self.job.instance) is self.code

    def _check(self, values: Sequence[Any]) -> None:
        """Raise `LaunchError` if captured arrays are not what they were, or if arrays overlap so that the order of threads would show."""
        for array, kind in zip(self._captured, self._captured_kinds, strict=True):
            if typeof(array) != kind:
                raise LaunchError(
                    f"{self.name}: a captured array was changed in place from a {kind} to a {typeof(array)}; bind its name to a new "
                    "array, or pass it as an argument"
                )
        if self._written:
            given = [found for name, value in zip(self._names, values, strict=True) for found in arrays_in(name, value)]
            refuse_overlaps(self.name, [one for one in given if one.name in self._written], given)


def check_result(name: str, inferred: Any) -> None:
    """Raise `LaunchError` if what was inferred returns something."""
    if inferred.signature != str(none):
        raise LaunchError(f"{name} returns a {inferred.signature}; a kernel returns nothing: write to an array")
