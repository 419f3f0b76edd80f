# SPDX-License-Identifier: Apache-2.0
"""Kernels that are compiled for a device in software, and how their grids are run."""

from __future__ import annotations

import ctypes
import math
import sys
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from smelt.compiler.threadgroups import MOST_THREADS, SIMD_WIDTH
from smelt.targets.metal.air.kernels import THREADGROUP_SPACE, Buffer, Kernel
from smelt.targets.metal.devices.errors import DeviceError, DeviceWarning
from smelt.targets.metal.devices.protocol import Sizes
from smelt.targets.metal.devices.software.artifacts import KernelCode, KernelSource, SoftwareResults
from smelt.targets.metal.devices.software.checking.checks import Checks
from smelt.targets.metal.devices.software.checking.records import NAMES, ROW_WORDS, SPARE_BYTES, WORD
from smelt.targets.metal.devices.software.checking.reports import told
from smelt.targets.metal.devices.software.checking.tracked import Known
from smelt.targets.metal.devices.software.loggers import Logger, Show, to_standard_output
from smelt.targets.metal.devices.software.queues import Region
from smelt.targets.metal.devices.software.running import LaunchStoppedError, run_until_done
from smelt.targets.metal.devices.software.shared_code import SharedCode
from smelt.targets.native.loader.mapping import MappedCode
from smelt.targets.native.thread_grid.grid import ThreadGrid
from smelt.targets.native.words import (
    LAUNCH_WORDS,
    PRINTER_WORD,
    STATUS_WORD,
    THREADGROUP_MEMORY_WORD,
)

ENTRY = "run"

CONSTANT_SPACE = 2

_ALIGNMENT = 64
_UNBOUND_BYTES = 1 << 16
"""What is there of a buffer that is not bound: zeros, which may be written to in vain."""

_BRIEF_THREADS = 1 << 18
"""So many threads without loops end before anybody presses a key."""

_LONG_SECS = 0.1
_MANY_THREADS = 1 << 20
"""Launches that took so long together, and single ones of so many threads, take longer than compiling a kernel once more."""

_RUN = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)


@dataclass(frozen=True)
class Runtime:
    """What the devices of a process have in common.

    Attributes
    ----------
    code
        Where compiled kernels come from.
    shared
        The functions that they all call.
    grid
        What spreads groups over processors; None for one processor.
    """

    code: KernelCode
    shared: SharedCode
    grid: ThreadGrid | None = None


@dataclass(frozen=True)
class Settings:
    """How a device runs kernels.

    Attributes
    ----------
    checks
        What is looked after meanwhile.
    seconds
        How long a launch may take; None for as long as it likes.
    show
        What shows a text that a kernel logs, given its level.
    """

    checks: Checks = field(default_factory=Checks)
    seconds: float | None = None
    show: Show = to_standard_output


DEFAULT = Settings()


class CompiledKernel:
    """Code of a kernel in the memory of this process.

    Attributes
    ----------
    results
        What is to know of it.
    """

    def __init__(self, runtime: Runtime, results: SoftwareResults) -> None:
        self.results = results
        self._grid = runtime.grid
        # LIFETIME: the code is there as long as what calls it.
        self._shared = runtime.shared
        self._code = MappedCode(results.flat_code(), self._shared.resolve)
        self._address = self._code.address(ENTRY)
        self._run = _RUN(self._address)

    def call(self, launch: int, words: int) -> None:
        """Run what the words of a launch say, in this thread or in several."""
        if self._grid is None or self.results.is_serial:
            self._run(launch, words)
        else:
            self._grid.runner(works_together=self.results.works_together)(self._address, launch, words)


class SoftwarePipeline:
    """A compiled kernel.

    What threads of a group wait for is compiled in two ways: first in little time; and once more when launches have taken longer than that
    takes, see `cut_kernels`.

    Attributes
    ----------
    max_total_threads_per_threadgroup, thread_execution_width, static_threadgroup_memory_length
        The three numbers of a pipeline state: the most threads of a group, the threads of a simdgroup, the bytes that a group shares.
    """

    def __init__(self, device: Any, runtime: Runtime, settings: Settings, source: KernelSource) -> None:
        self.device = device
        self.kernel: Kernel = source.kernel
        self._settings = settings
        self._runtime = runtime
        self._source = source
        self._compiled = CompiledKernel(runtime, runtime.code.compiled(source, settings.checks))
        self._spent_secs = 0.0
        self._hastening = threading.Lock()
        numbers = [one.parameter for one in self.kernel.buffers] + [one.parameter for one in self.kernel.inputs]
        self._parameters = max(numbers, default=-1) + 1
        self.max_total_threads_per_threadgroup = min(self.kernel.most_threads or MOST_THREADS, MOST_THREADS)
        self.thread_execution_width = SIMD_WIDTH
        self.static_threadgroup_memory_length = sum(source.shared.values())

    def __repr__(self) -> str:
        return f"<pipeline of {self.kernel.name} on {self.device.name}>"

    def dispatch(
        self,
        regions: Mapping[int, Region],
        threads: Sizes,
        group: Sizes,
        threadgroup_memory: Mapping[int, int],
        resources: Sequence[Region] = (),
    ) -> None:
        """Run that many threads in all, in groups of `group`, on buffers in these regions; returns when they are done.

        `threadgroup_memory` gives how many bytes there are for the arguments that a group shares, by their indices; `resources` the
        memory that the kernel reaches through addresses in other memory. A buffer that is not bound is memory of zeros, which may be read
        and, in vain, be written. The grid was checked.

        Raises `DeviceError` for what the checks found, for threads that wait where others of their group don't, for a launch that took
        too long, and for want of memory.
        """
        if self._spent_secs > _LONG_SECS or math.prod(threads) > _MANY_THREADS:
            self.hasten(waits=False)
        launch = _Launch(self, self._compiled, regions, threads, group, threadgroup_memory, tuple(resources))
        start = time.perf_counter()
        launch.run()
        self._spent_secs += time.perf_counter() - start

    def hasten(self, *, waits: bool = True) -> None:
        """Compile the kernel anew, if that makes it faster and wasn't done before. Launches do that on their own once it has run for long.

        If another thread is doing it, it is done when this returns, unless `waits` is false.

        Raises `DeviceError` for what LLVM can't compile.
        """
        if (
            self._source.runs_long
            or not self._compiled.results.can_be_faster
            or not self._hastening.acquire(blocking=waits)
        ):
            return
        try:
            if not self._source.runs_long:
                source = replace(self._source, runs_long=True)
                self._compiled = CompiledKernel(
                    self._runtime, self._runtime.code.compiled(source, self._settings.checks)
                )
                self._source = source
        finally:
            self._hastening.release()

    @property
    def parameters(self) -> int:
        """How many parameters the kernel has."""
        return self._parameters

    @property
    def phases(self) -> int:
        """Into how many phases its code is cut, so far; 0 if it isn't."""
        return self._compiled.results.phases

    @property
    def settings(self) -> Settings:
        """How it runs."""
        return self._settings


class _Launch:
    """One launch: the memory that the kernel gets, and what it left there.

    LIFETIME: all that it points to lives as long as it.
    """

    def __init__(
        self,
        pipeline: SoftwarePipeline,
        compiled: CompiledKernel,
        regions: Mapping[int, Region],
        threads: Sizes,
        group: Sizes,
        threadgroup_memory: Mapping[int, int],
        resources: Sequence[Region],
    ) -> None:
        self._pipeline = pipeline
        self._compiled = compiled
        self._kernel = kernel = pipeline.kernel
        self._threads = math.prod(threads)
        self._bound = regions
        count = pipeline.parameters
        self._words = (ctypes.c_int64 * max(3 * count, 1))()
        launch_bytes = 0
        spaces = [buffer for buffer in kernel.buffers if buffer.space == THREADGROUP_SPACE]
        for buffer in kernel.buffers:
            if buffer.space == THREADGROUP_SPACE:
                self._words[buffer.parameter] = launch_bytes
                self._words[count + buffer.parameter] = threadgroup_memory[buffer.index]
                launch_bytes += -(-threadgroup_memory[buffer.index] // _ALIGNMENT) * _ALIGNMENT
                continue
            region = regions.get(buffer.index)
            address, nbytes = (_unbound(), _UNBOUND_BYTES) if region is None else (region.address, region.nbytes)
            self._words[buffer.parameter] = address
            self._words[count + buffer.parameter] = nbytes
        memory = [buffer for buffer in kernel.buffers if buffer not in spaces]
        places = [(self._words[one.parameter], self._words[count + one.parameter], one.parameter) for one in memory]
        # What is reached through addresses is told of under no buffer's name.
        places += [(region.address, region.nbytes, -1) for region in resources]
        shared_bytes = compiled.results.shared_bytes
        self._known = Known(places, shared_bytes + launch_bytes) if pipeline.settings.checks.tracks else None
        if self._known is not None:
            for buffer in memory:
                self._words[2 * count + buffer.parameter] = self._known.of(self._words[buffer.parameter])
            for buffer in spaces:
                place = shared_bytes + self._words[buffer.parameter]
                self._words[2 * count + buffer.parameter] = self._known.of_group(place)
        self._rows = (ctypes.c_int64 * (ROW_WORDS * (len(places) + 1)))(0, 0, -1, 0)
        for number, (address, nbytes, parameter) in enumerate(places, 1):
            known = self._known.of(address) if self._known is not None else 0
            self._rows[ROW_WORDS * number : ROW_WORDS * (number + 1)] = [address, nbytes, parameter, known]
        self._logger = Logger(pipeline.settings.show)
        self._record = (ctypes.c_int64 * len(NAMES))()
        # Behind the zeros, so that the end of the one is no place for the other.
        self._spare = ctypes.create_string_buffer(2 * SPARE_BYTES + _ALIGNMENT)
        spare = -(-ctypes.addressof(self._spare) // _ALIGNMENT) * _ALIGNMENT
        self._record[WORD["zeros"]], self._record[WORD["junk"]] = spare, spare + SPARE_BYTES
        self._record[WORD["rows"]], self._record[WORD["row_count"]] = ctypes.addressof(self._rows), len(places) + 1
        self._record[WORD["group_shadow"]] = self._known.of_group(0) if self._known is not None else 0
        self._record[WORD["logger"]] = self._logger.number
        self._record[WORD["changes"]] = int(self._writes_to_constants(memory))
        self._launch = (ctypes.c_int64 * LAUNCH_WORDS)(0, 0, 0, *threads, *threads, *group)
        self._launch[THREADGROUP_MEMORY_WORD] = launch_bytes
        self._launch[PRINTER_WORD] = ctypes.addressof(self._record)

    def _writes_to_constants(self, memory: Sequence[Buffer]) -> bool:
        """Whether buffers that the kernel writes to share memory with those of its constants."""
        count = self._pipeline.parameters
        extents = [
            (self._words[one.parameter], self._words[one.parameter] + self._words[count + one.parameter], one)
            for one in memory
        ]
        written = [(begin, end) for begin, end, one in extents if one.is_written]
        constant = [(begin, end) for begin, end, one in extents if one.space == CONSTANT_SPACE]
        return any(begin < last and first < end for begin, end in written for first, last in constant)

    def run(self) -> None:
        """Run it. Raises as `SoftwarePipeline.dispatch`."""
        seconds = self._pipeline.settings.seconds
        is_brief = not self._compiled.results.has_loops and self._threads <= _BRIEF_THREADS
        name = self._kernel.name
        if seconds is None and (is_brief or threading.current_thread() is not threading.main_thread()):
            # Nobody could interrupt it.
            self._call()
        else:
            try:
                run_until_done(self._call, self._stop, seconds)
            except LaunchStoppedError:
                raise DeviceError(f"{name} has not ended after {seconds} seconds; it was stopped") from None
        self._logger.raise_error()
        status = self._launch[STATUS_WORD]
        if status:
            self._raise_status(status)
        text = told(self._kernel, list(self._record), self._words[self._pipeline.parameters :], self._bound)
        if text is not None:
            if self._pipeline.settings.checks.raises:
                raise DeviceError(text)
            warnings.warn(text, DeviceWarning, stacklevel=_outside_of_smelt())

    def _call(self) -> None:
        self._compiled.call(ctypes.addressof(self._launch), ctypes.addressof(self._words))

    def _stop(self) -> None:
        self._record[WORD["stop"]] = 1

    def _raise_status(self, status: int) -> None:
        position = tuple(self._launch[STATUS_WORD + 1 : STATUS_WORD + 4])
        if status > self._compiled.results.sites:
            raise DeviceError(f"{self._kernel.name}: there is no memory to run a threadgroup")
        raise DeviceError(
            f"{self._kernel.name}: threads of one threadgroup, or of one simdgroup, wait at different places for each other; "
            f"the first that waits elsewhere is at {position}"
        )


_unbound_by_thread = threading.local()


def _unbound() -> int:
    """The address of zeros: of the calling thread's own, since what is unbound may be written to."""
    memory = getattr(_unbound_by_thread, "memory", None)
    if memory is None:
        memory = _unbound_by_thread.memory = ctypes.create_string_buffer(_UNBOUND_BYTES + _ALIGNMENT)
    start = -(-ctypes.addressof(memory) // _ALIGNMENT) * _ALIGNMENT
    ctypes.memset(start, 0, _UNBOUND_BYTES)
    return start


def _outside_of_smelt() -> int:
    """How many frames above the caller the first one is that is not smelt's."""
    depth = 1
    frame = sys._getframe(1)  # noqa: SLF001 - warnings offer this from Python 3.12 on only
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == "smelt":
        frame, depth = frame.f_back, depth + 1
    return depth
