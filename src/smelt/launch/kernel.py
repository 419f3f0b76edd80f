# SPDX-License-Identifier: Apache-2.0
"""Kernels and launchers: the objects that a user of smelt holds."""

from __future__ import annotations

import functools
import operator
import types
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod
from typing import Any, Protocol

from smelt.caching import CacheView, CodeInstance, MethodInstance
from smelt.compiler.config import CompilerConfig, CompilerJob
from smelt.launch import requests
from smelt.launch.arguments import packer
from smelt.launch.binding import bind, check_count, parameter_names
from smelt.launch.errors import LaunchError, error_of_thread
from smelt.launch.grids import Grid, check_groups, grid_of_groups, grid_of_threads
from smelt.launch.hits import Stubs, entry_of
from smelt.launch.overlaps import arrays_in, refuse_overlaps
from smelt.targets.native.launching.dispatch import Entry, EntryTable, Launch
from smelt.targets.native.target import target_named
from smelt.types import Type, declared_types, none, typeof

Launches = Callable[..., None]
"""What is called with a kernel's arguments."""

_MOST_LAUNCHERS = 256
"""So many launchers of `kernel[...]` are kept, to be found again."""

_LAUNCHES_BEFORE_STUB = 2


class Compile(Protocol):
    """What a launch asks for what it misses: the results of jobs, handed in by whoever wires them together."""

    def instance(self, function: Any, types: tuple[Type, ...]) -> MethodInstance: ...
    def view(self, config: CompilerConfig) -> CacheView[Any]: ...
    def compiled(self, job: CompilerJob) -> tuple[CodeInstance, Any]: ...
    def artifact(self, job: CompilerJob) -> tuple[CodeInstance, Any]: ...


class Kernel:
    """A Python function that runs once for each thread of a grid.

    `kernel[n](...)` runs n threads, `kernel[groups, threads](...)` whole groups, `kernel.over(width, height)(...)` a grid of up to
    three dimensions. Called by itself inside of another kernel it is an ordinary function.
    """

    def __init__(
        self,
        function: types.FunctionType,
        config: CompilerConfig,
        driver: Callable[[], Compile],
        signatures: Sequence[tuple[Any, ...]] = (),
        stubs: Callable[[], Stubs | None] = lambda: None,
    ) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        # What kernels are called in messages.
        self.name = function.__qualname__
        self.config = config
        self.signatures = tuple(self._signature(declared) for declared in signatures)
        self._driver = driver
        self._loaded: dict[tuple[Type, ...], Loaded] = {}
        self.table = EntryTable()
        self.stubs = stubs
        self._launchers: dict[Any, Launches] = {}
        for kinds in self.signatures:
            requests.request(self, kinds)

    @property
    def __kernel_function__(self) -> types.FunctionType:
        """What a kernel is inside of another one: an ordinary function."""
        return self.function

    def __getitem__(self, size: Any) -> Launches:
        """A launcher: for a number, of that many threads in all; for two, of groups and threads per group."""
        if type(size) is int or (type(size) is tuple and len(size) == 2 and type(size[0]) is type(size[1]) is int):
            found = self._launchers.get(size)
            if found is None:
                if len(self._launchers) >= _MOST_LAUNCHERS:
                    self._launchers.clear()
                found = self._launchers[size] = self._launcher_of(size)
            return found
        return self._launcher_of(size)

    def over(self, *threads: int) -> Launches:
        """A launcher of that many threads in all, in one, two or three dimensions, x first."""
        return self._launcher(grid_of_threads(*threads))

    def configure(
        self, groups: int | tuple[int, ...], threads: int | tuple[int, ...], *, threadgroup_memory: int = 0
    ) -> Launches:
        """A launcher of `groups` groups of `threads` threads: the fastest form, if it is kept and called again and again.

        `threadgroup_memory` is how many bytes `threadgroup_array(None, dtype)` takes.
        """
        return self._launcher(grid_of_groups(groups, threads, threadgroup_memory))

    def _launcher_of(self, size: Any) -> Launches:
        if isinstance(size, tuple):
            if len(size) != 2:
                raise LaunchError(
                    f"write kernel[threads] or kernel[groups, threads], not {size!r}; for more dimensions kernel.over"
                )
            return self.configure(*size)
        return self._launcher(grid_of_threads(size))

    def _launcher(self, grid: Grid) -> Launches:
        """A builtin where this Python has compiled launches. `__self__` of it is the `Launcher`."""
        launcher, stubs = Launcher(self, grid), self.stubs()
        return launcher if stubs is None else stubs.launcher(launcher)

    def __call__(self, /, *arguments: Any, **keywords: Any) -> None:  # noqa: ARG002 - whatever they are
        raise LaunchError(
            f"{self.name} is a kernel: say how many threads run it, {self.name}[n](...), "
            f"{self.name}[groups, threads](...) or {self.name}.over(width, height)(...)"
        )

    def compile(self, *kinds: Any, target: str | None = None, **options: Any) -> Any:
        """Compile for argument types without launching. Returns the results object.

        Types are smelt's (`smelt.float32[:]`), NumPy's (`np.float32`), and `int`, `float`, `complex` and `bool` for Python's numbers.
        With `target`, say `native:x86-64-v3` or `native:aarch64`, it is compiled for that processor, and not loaded: it need not be
        this one. Options are those of `smelt.kernel`, in place of the kernel's own.

        Raises `TypeError` for what is no type or no option, `ValueError` for what is no target, `LaunchError` for a wrong number of
        types, `KernelError` if the kernel can't be compiled for them.
        """
        declared = declared_types(self.name, kinds)
        if target is None and not options:
            return self.loaded(declared).results
        chosen: dict[str, Any] = {} if target is None else {"target": target_named(target)}
        job = CompilerJob(self.instance(declared), replace(self.config, **chosen, **options))
        code, results = self._driver().artifact(job)
        _check_result(self.name, code.results(self._driver().view(job.config).results_class))
        return results

    def compile_signatures(self) -> tuple[Any, ...]:
        """Compile for all signatures that were declared. Returns a results object for each."""
        return tuple(self.loaded(kinds).results for kinds in self.signatures)

    def _signature(self, declared: tuple[Any, ...]) -> tuple[Type, ...]:
        if not isinstance(declared, tuple):
            raise TypeError(f"{self.name}: a signature is a tuple of types, not {declared!r}")
        kinds = declared_types(self.name, declared)
        check_count(self.name, self.function, len(kinds))
        return kinds

    def loaded(self, kinds: tuple[Type, ...]) -> Loaded:
        """The kernel for arguments of these types, compiled if need be."""
        loaded = self._loaded.get(kinds)
        if loaded is None or not loaded.is_current():
            loaded = self._loaded[kinds] = Loaded(self, kinds, self._driver())
        return loaded

    @property
    def compiled_for(self) -> tuple[tuple[Type, ...], ...]:
        """The types of arguments that the kernel was compiled for so far."""
        return tuple(self._loaded)

    def instance(self, kinds: tuple[Type, ...]) -> MethodInstance:
        """The method instance for arguments of these types. Raises `LaunchError` if their number is wrong."""
        check_count(self.name, self.function, len(kinds))
        return self._driver().instance(self.function, kinds)

    def __repr__(self) -> str:
        return f"<kernel {self.__module__}.{self.name}>"


class Loaded:
    """A kernel for one tuple of argument types, ready to run."""

    def __init__(self, kernel: Kernel, kinds: tuple[Type, ...], driver: Compile) -> None:
        self.name = kernel.name
        self.job = CompilerJob(kernel.instance(kinds), kernel.config)
        self._view = driver.view(kernel.config)
        self._code, self.results = driver.compiled(self.job)
        inferred = self._code.results(self._view.results_class)
        _check_result(self.name, inferred)
        # The arrays that it captured are passed behind its arguments.
        self._captured = inferred.captured
        self._captured_kinds = tuple(map(typeof, self._captured))
        self._names = (*parameter_names(self.name, kernel.function), *inferred.captured_names)
        self._written = frozenset(inferred.written_names)
        self._kinds = (*kinds, *self._captured_kinds)
        self._pack = packer(self._kinds)
        self._kernel = self.results.kernel
        self._launches = 0
        self._entries: dict[int, Entry | None] = {}

    def is_current(self) -> bool:
        """Whether nothing that the kernel was compiled from has changed."""
        return self._view.get(self.job.instance) is self._code

    def launch(self, grid: Grid, arguments: Sequence[Any]) -> None:
        """Run every thread of the grid.

        Raises `LaunchError` if the grid is not one for this kernel, or if arrays overlap so that the order of threads would show.
        """
        check_groups(self.name, grid, self.results)
        values = (*arguments, *self._captured)
        self._check(values)
        failure = self._kernel.launch(grid.threads, grid.group, grid.threadgroup_memory, self._pack(values))
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
            self._code,
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
            entry.run_grid = self._kernel.grid.address

    def _check(self, values: Sequence[Any]) -> None:
        for array, kind in zip(self._captured, self._captured_kinds, strict=True):
            if typeof(array) != kind:
                raise LaunchError(
                    f"{self.name}: a captured array was changed in place from a {kind} to a {typeof(array)}; bind its name to a new "
                    "array, or pass it as an argument"
                )
        if self._written:
            given = [found for name, value in zip(self._names, values, strict=True) for found in arrays_in(name, value)]
            refuse_overlaps(self.name, [one for one in given if one.name in self._written], given)


class Launcher(Launch):
    """A kernel and a grid: call it with the kernel's arguments. It can be kept, and called again and again."""

    def __init__(self, kernel: Kernel, grid: Grid) -> None:
        super().__init__(kernel.table, grid.threads, grid.group, grid.threadgroup_memory)
        self.kernel = kernel
        self.grid = grid

    def __call__(self, /, *arguments: Any, **keywords: Any) -> None:
        """Launch. Returns when all threads are done. Arguments can be given by name.

        Raises `LaunchError` for a wrong launch, before anything runs; `KernelError` if the kernel can't be compiled for these
        arguments; and what the first thread that failed raised.
        """
        kernel = self.kernel
        values, kinds = bind(kernel.name, kernel.function, arguments, keywords)
        if requests.is_workload():
            requests.request(kernel, kinds)
            return
        loaded = kernel.loaded(kinds)
        requests.tell(kernel, kinds)
        stubs = kernel.stubs()
        if stubs is not None and not keywords and all(map(operator.is_, arguments, values)):
            entry = loaded.entry(values, len(arguments), stubs)
            if entry is not None:
                loaded.prepare(entry, self.grid)
                kernel.table.add(entry)
        loaded.launch(self.grid, values)

    def __repr__(self) -> str:
        return f"<launcher of {self.kernel.name}, {self.grid.threads} threads in groups of {self.grid.group}>"


def _check_result(name: str, inferred: Any) -> None:
    """Raise `LaunchError` if what was inferred returns something."""
    if inferred.signature != str(none):
        raise LaunchError(f"{name} returns a {inferred.signature}; a kernel returns nothing: write to an array")
