# SPDX-License-Identifier: Apache-2.0
"""Kernels on Metal devices."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from math import prod
from typing import Any

from smelt.compiler.config import CompilerConfig
from smelt.launch.arguments import packer
from smelt.launch.binding import bind
from smelt.launch.errors import LaunchError, error_of_thread
from smelt.launch.grids import Grid, check_groups, grid_of_groups
from smelt.launch.loaded import Compile, Loaded
from smelt.launch.overlaps import arrays_in
from smelt.launch.streams import stream_of
from smelt.targets.metal.devices.dispatches import MOST_THREADS_ON_AN_AXIS
from smelt.targets.metal.devices.host_memory import HostMemory, Place, extent_of
from smelt.targets.metal.dispatching import Dispatch
from smelt.targets.metal.pipelines import relocation_table
from smelt.types import Type


class MetalKernel(Loaded):
    """A kernel for one tuple of argument types, ready to run on one Metal device.

    Attributes
    ----------
    device
        Which one.
    pipeline
        The pipeline on it.
    entry
        The name of the kernel in its metallib.
    max_threads
        The most threads of a group.
    threadgroup_memory
        How many bytes a group shares, apart from those that a launch gives.
    execution_width
        How many threads a simdgroup has.
    """

    def __init__(
        self, kernel: Any, kinds: tuple[Type, ...], driver: Compile, config: CompilerConfig, device: Any, *, keeps: bool
    ) -> None:
        super().__init__(kernel, kinds, driver, config, device)
        self._function = kernel.function
        self.kinds = kinds
        self.device = device
        self.pipeline = self.linked
        self.entry: str = self.results.entry
        self.max_threads: int = self.pipeline.max_total_threads_per_threadgroup
        self.threadgroup_memory: int = self.pipeline.static_threadgroup_memory_length
        self.execution_width: int = self.pipeline.thread_execution_width
        self._table = relocation_table(device, self.results, keeps=keeps)
        self._pack = packer(self._kinds, address=_offset, has_doubles=False)

    def __call__(
        self,
        *arguments: Any,
        groups: int | tuple[int, ...] = 1,
        threads: int | tuple[int, ...] | None = None,
        threadgroup_memory: int = 0,
    ) -> None:
        """Launch so many groups of so many threads: of one, unless it is compiled for groups of a certain size. Raises `LaunchError` for arguments of other types; else as `launch`."""
        values, kinds = bind(self.name, self._function, arguments)
        if kinds != self.kinds:
            raise LaunchError(
                f"{self.name} was compiled for ({', '.join(map(str, self.kinds))}), not for ({', '.join(map(str, kinds))})"
            )
        size = self.job.config.threads_per_threadgroup
        given = 1 if threads is None and size is None else threads
        self.launch(grid_of_groups(self.name, groups, given, threadgroup_memory, size), values)

    def launch(self, grid: Grid, arguments: Sequence[Any]) -> None:
        """Have the device run every thread of the grid.

        Where all arrays are the device's, what goes wrong is raised at the next synchronisation. If there is none, or one of this process, or
        if the kernel prints, this returns when all threads are done.

        Raises `LaunchError` if the grid is not one for this kernel and device, or if arrays overlap so that the order of threads would
        show.
        """
        check_groups(self.name, grid, self.results)
        grid = self._fitting(grid)
        values = (*arguments, *self._captured)
        self._check(values)
        if 0 in grid.threads:
            return
        memory, places = self._bound(values)
        stream = stream_of(self.device)
        with nullcontext() if self._table is None else self._table.launching:
            dispatch = Dispatch(self.device, stream.queue, self.pipeline, self.results, self._table)
            dispatch.encode(grid.threads, grid.group, grid.threadgroup_memory, self._pack(values), places)

            def finish() -> None:
                memory.bring_back()
                dispatch.show_texts()
                failure = dispatch.failure()
                if failure is not None:
                    raise error_of_thread(self.results, *failure)

            stream.submit(dispatch.commands, finish, holds=values)
            if memory.places or not places or self._table is not None:
                stream.synchronize()

    def _bound(self, values: Sequence[Any]) -> tuple[HostMemory, list[Place]]:
        """Where the elements of all arrays are on the device; and of those of this process, their memory there."""
        given = [one for value in values for one in arrays_in("", value)]
        on_host = [
            extent_of(one.array, is_written=is_written)[0]
            for one, (_, is_written) in zip(given, self.results.arrays, strict=True)
            if one.owner is None
        ]
        memory = HostMemory(self.device, on_host)
        places = iter(memory.places)
        return memory, [next(places) if one.owner is None else Place(*one.owner.place) for one in given]

    def _fitting(self, grid: Grid) -> Grid:
        """The grid, in smaller groups if their size was smelt's choice. Raises `LaunchError` if the device can't run it."""
        size = prod(grid.group)
        if size > self.max_threads and not grid.is_group_free:
            raise LaunchError(
                f"a group of {self.name} has at most {self.max_threads} threads on {self.device.name}, not {size}"
            )
        memory = self.threadgroup_memory + grid.threadgroup_memory
        if memory > self.device.max_threadgroup_memory_length:
            raise LaunchError(
                f"a group of {self.name} needs {memory} bytes of memory; on {self.device.name} it has "
                f"{self.device.max_threadgroup_memory_length}"
            )
        if max(grid.threads) > MOST_THREADS_ON_AN_AXIS:
            raise LaunchError(
                f"a grid on {self.device.name} has at most {MOST_THREADS_ON_AN_AXIS} threads on an axis, not {max(grid.threads)}"
            )
        return grid if size <= self.max_threads else grid._replace(group=(self.max_threads, 1, 1))

    def __repr__(self) -> str:
        return f"<kernel {self.name} on {self.device.name}>"


def _offset(array: Any) -> int:
    """How many bytes the first element of an array is behind all that is bound of it."""
    return extent_of(getattr(array, "__smelt_array__", array), is_written=False)[1]
