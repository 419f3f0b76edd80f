# SPDX-License-Identifier: Apache-2.0
"""Kernels and launchers: the objects that a user of smelt holds."""

from __future__ import annotations

import functools
import operator
import types
from collections.abc import Callable, Sequence
from typing import Any

from smelt.caching import MethodInstance
from smelt.caching.html_tables import html_table
from smelt.compiler.config import CompilerConfig, CompilerJob
from smelt.compiler.errors import KernelError
from smelt.launch import requests
from smelt.launch.binding import bind, check_count, parameter_names
from smelt.launch.devices import CPU, PROCESSOR_ONLY, Devices
from smelt.launch.errors import LaunchError
from smelt.launch.grids import Grid, grid_of_groups, grid_of_threads
from smelt.launch.hits import Stubs
from smelt.launch.loaded import Compile, Loaded, check_result
from smelt.launch.native_kernels import NativeKernel
from smelt.records import replace
from smelt.targets.native.launching.dispatch import EntryTable, Launch
from smelt.types import Type, declared_types

Launches = Callable[..., None]
"""What is called with a kernel's arguments."""

_MOST_LAUNCHERS = 256
"""So many launchers of `kernel[...]` are kept, to be found again."""


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
        devices: Callable[[], Devices] = lambda: PROCESSOR_ONLY,
    ) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        # What kernels are called in messages.
        self.name = function.__qualname__
        self.config = config
        self.signatures = tuple(self._signature(declared) for declared in signatures)
        self.driver = driver
        self.devices = devices
        self._loaded: dict[tuple[Any, ...], Any] = {}
        # What `mtlfunction` has found, the latest first.
        self.metal_functions: tuple[Any, ...] = ()
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
        """A launcher: for a number, of that many threads in all; for two, of groups and threads per group.

        Each of two can be a tuple of up to three sizes, x first. Raises `LaunchError` for a grid that can't be.
        """
        if type(size) is int or (type(size) is tuple and len(size) == 2 and type(size[0]) is type(size[1]) is int):
            found = self._launchers.get(size)
            if found is None:
                if len(self._launchers) >= _MOST_LAUNCHERS:
                    self._launchers.clear()
                found = self._launchers[size] = self._launcher_of(size)
            return found
        return self._launcher_of(size)

    def over(self, *threads: int) -> Launches:
        """A launcher of that many threads in all, in one, two or three dimensions, x first.

        smelt chooses the size of the groups, unless the kernel has the option `threads_per_threadgroup`.

        Raises `LaunchError` for a grid that can't be.
        """
        return self._launcher(grid_of_threads(*threads, group=self.config.threads_per_threadgroup))

    def configure(
        self,
        groups: int | tuple[int, ...],
        threads: int | tuple[int, ...] | None = None,
        *,
        threadgroup_memory: int = 0,
    ) -> Launches:
        """A launcher of `groups` groups of `threads` threads: the fastest form, if it is kept and called again and again.

        A kernel with the option `threads_per_threadgroup` knows how many threads that is. `threadgroup_memory` is how many bytes `threadgroup_array(None, dtype)` takes. Raises `LaunchError` for a grid that can't be; what
        suits the kernel is checked at the launch.
        """
        size = self.config.threads_per_threadgroup
        return self._launcher(grid_of_groups(self.name, groups, threads, threadgroup_memory, size))

    def _launcher_of(self, size: Any) -> Launches:
        if isinstance(size, tuple):
            if len(size) != 2:
                raise LaunchError(
                    f"write kernel[threads] or kernel[groups, threads], not {size!r}; for more dimensions kernel.over"
                )
            return self.configure(*size)
        return self._launcher(grid_of_threads(size, group=self.config.threads_per_threadgroup))

    def _launcher(self, grid: Grid) -> Launches:
        """A builtin where this Python has compiled launches. `__self__` of it is the `Launcher`."""
        launcher, stubs = Launcher(self, grid), self.stubs()
        return launcher if stubs is None else stubs.launcher(launcher)

    def __call__(self, /, *arguments: Any, **keywords: Any) -> None:  # noqa: ARG002 - whatever they are
        raise LaunchError(
            f"{self.name} is a kernel: say how many threads run it, {self.name}[n](...), "
            f"{self.name}[groups, threads](...) or {self.name}.over(width, height)(...)"
        )

    def compile(self, *kinds: Any, device: Any = None, target: str | None = None, **options: Any) -> Any:
        """Compile for argument types without launching. Returns the results object.

        Types are smelt's (`smelt.float32[:]`), NumPy's (`np.float32`), and `int`, `float`, `complex` and `bool` for Python's numbers.
        With `device`, one or the name of one, it is linked for that; without, for the default one.
        With `target`, say `native:x86-64-v3`, `native:aarch64` or `metal:macos=14`, it is compiled for that, and neither loaded nor
        linked: it need not be there. Options are those of `smelt.kernel`, in place of the kernel's own.

        Raises `TypeError` for what is no type or no option, `ValueError` for what is no target, `LaunchError` for a wrong number of
        types and for no such device, `KernelError` if the kernel can't be compiled for them.
        """
        declared = declared_types(self.name, kinds)
        if device is not None and (target is not None or options):
            raise TypeError(
                f"{self.name}: give device=, or else target= and options; smelt.metal.mtlfunction takes both"
            )
        if target is None and not options:
            return self.loaded(declared, self.devices().of(device)).results
        chosen: dict[str, Any] = {} if target is None else {"target": self.driver().target_named(target)}
        job = CompilerJob(self.instance(declared), replace(self.config, **chosen, **options))
        try:
            code, results = self.driver().artifact(job)
        except KernelError as error:
            raise error.with_traceback(None) from None
        check_result(self.name, code.results(self.driver().view(job.config).results_class))
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

    def loaded(self, kinds: tuple[Type, ...], device: Any = CPU, config: CompilerConfig | None = None) -> Any:
        """The kernel for arguments of these types on a device, compiled and linked if need be, with settings other than its own if given."""
        key = (kinds, device, config)
        loaded = self._loaded.get(key)
        if loaded is None or not loaded.is_current():
            self.devices().add_user(self)
            loaded = self._loaded[key] = self._load(kinds, device, config)
        return loaded

    def _load(self, kinds: tuple[Type, ...], device: Any, config: CompilerConfig | None) -> Any:
        try:
            if device is CPU:
                return NativeKernel(self, kinds, self.driver(), config or self.config)
            return self.devices().load(self, kinds, device, config, self.driver())
        except KernelError as error:
            # It shows the line itself: the way through the compiler would hide it.
            raise error.with_traceback(None) from None

    def forget_devices(self) -> None:
        """Have the next launch, and the next `mtlfunction`, ask where kernels run by default."""
        self.metal_functions = ()
        self.table.clear()

    def device_of(self, values: Sequence[Any]) -> Any:
        """Where a launch with these arguments runs. Raises `LaunchError` if they are on several devices."""
        return self.devices().of_launch(self.name, parameter_names(self.name, self.function), values)

    def check_of(self, loaded: Loaded) -> Callable[[], bool]:
        """What says fast whether a loaded kernel is current. If not, it may be so still: `is_current` of the kernel knows."""
        stubs = self.stubs()
        return loaded.is_current if stubs is None else stubs.is_current(loaded.code)

    @property
    def compiled_for(self) -> tuple[tuple[Type, ...], ...]:
        """The types of arguments that the kernel was compiled for so far."""
        return tuple(dict.fromkeys(kinds for kinds, _, _ in self._loaded))

    def instance(self, kinds: tuple[Type, ...]) -> MethodInstance:
        """The method instance for arguments of these types. Raises `LaunchError` if their number is wrong."""
        check_count(self.name, self.function, len(kinds))
        return self.driver().instance(self.function, kinds)

    def __repr__(self) -> str:
        return f"<kernel {self.__module__}.{self.name}>"

    def _repr_html_(self) -> str:
        options = [
            (name, getattr(self.config, name)) for name in ("boundscheck", "fastmath", "opt_level", "debug_level")
        ]
        if self.config.threads_per_threadgroup is not None:
            options.append(("threads per threadgroup", self.config.threads_per_threadgroup))
        compiled = [(f"compiled for {device.name}", ", ".join(map(str, kinds))) for kinds, device, _ in self._loaded]
        arguments = ", ".join(parameter_names(self.name, self.function))
        return html_table(f"kernel {self.__module__}.{self.name}", [("arguments", arguments), *options, *compiled])


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
        device = kernel.device_of(values)
        loaded = kernel.loaded(kinds, device)
        requests.tell(kernel, kinds)
        stubs = kernel.stubs() if device is CPU else None
        if stubs is not None and not keywords and all(map(operator.is_, arguments, values)):
            entry = loaded.entry(values, len(arguments), stubs)
            if entry is not None:
                loaded.prepare(entry, self.grid)
                kernel.table.add(entry)
        loaded.launch(self.grid, values)

    def __repr__(self) -> str:
        return f"<launcher of {self.kernel.name}, {self.grid.threads} threads in groups of {self.grid.group}>"
