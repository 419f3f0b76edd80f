# SPDX-License-Identifier: Apache-2.0
"""Precompiling: modules are imported, and what they ask for is compiled, in processes of its own.

All processes keep what they compile in one directory, which is read when they are done: the images are made of that.
"""

from __future__ import annotations

import importlib
import multiprocessing
import pkgutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import ModuleType

from smelt import _wiring, knobs
from smelt.cli.naming import kernel_named
from smelt.compiler.config import CompilerJob, Target
from smelt.compiler.results import InferenceResults
from smelt.launch import Kernel, requests
from smelt.launch.examples import example_values
from smelt.sessions import Session
from smelt.sessions.compiler_code import compiler_code
from smelt.sessions.contents import keyed_entries
from smelt.sessions.directory import Directory
from smelt.sessions.entries import Entry
from smelt.sessions.fingerprints import remembered_fingerprints
from smelt.sessions.images import image_bytes
from smelt.sessions.traces import read_trace, types_in_trace
from smelt.targets.native.processors.processor import parse_processor
from smelt.targets.native.target import host_target
from smelt.types import Type, typeof

Progress = Callable[[int, int], None]
"""Told how many jobs are done, of how many."""


@dataclass(frozen=True)
class Order:
    """What is to be compiled.

    Attributes
    ----------
    modules
        What is imported: modules, and packages with all that is in them.
    targets
        By name; what each request is compiled for.
    trace
        A file that `smelt.trace` wrote, or None.
    path
        Where modules are found, as in `sys.path`.
    """

    modules: tuple[str, ...]
    targets: tuple[str, ...]
    trace: str | None
    path: tuple[str, ...]


def precompile(order: Order, processes: int, progress: Progress) -> dict[str, bytes]:
    """Compile everything. Returns the image of each top-level module or package that a kernel belongs to.

    Raises what importing the modules and compiling their kernels raises, and `ValueError` for a target that there isn't.
    """
    for target in order.targets:
        _wiring.jobs().target_named(target)
    with tempfile.TemporaryDirectory(prefix="smelt-precompile-") as scratch:
        _run(order, processes, progress, scratch)
        directory = Directory(Path(scratch))
        found: dict[str, dict[bytes, list[Entry]]] = defaultdict(lambda: defaultdict(list))
        for key, entry in keyed_entries(directory):
            found[entry.module.partition(".")[0]][key].append(entry)
        fingerprints = remembered_fingerprints(directory)
        launches = compiler_code(directory)
    return {package: image_bytes(entries, fingerprints, launches) for package, entries in sorted(found.items())}


def missing(order: Order) -> list[str]:
    """What is in no image of the modules, of all that would be compiled, as texts."""
    # What this user has kept is in no image.
    images = Session(_wiring.jobs().overlays, _wiring.RESULTS_CLASSES, directory=None)
    lacking = []
    for kernel, kinds in _requests(order):
        for name in order.targets:
            config = replace(kernel.config, target=_wiring.jobs().target_named(name))
            if not images.has(_wiring.jobs().view(config), kernel.instance(kinds), config):
                lacking.append(f"{kernel.instance(kinds)} for {name}")
    return lacking


def _run(order: Order, processes: int, progress: Progress, scratch: str) -> None:
    # Started anew, so that nothing of this process is in what they import.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, _begin, (scratch, order.path)) as pool:
        count = pool.submit(_count, order).result()
        jobs = [pool.submit(_compile, order, index, target) for target in order.targets for index in range(count)]
        progress(0, len(jobs))
        try:
            for done, job in enumerate(as_completed(jobs), start=1):
                job.result()
                progress(done, len(jobs))
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _begin(scratch: str, path: tuple[str, ...]) -> None:
    sys.path[:0] = [entry for entry in path if entry not in sys.path]
    knobs.STORE.fix(True)
    knobs.CACHE_DIRECTORY.fix(scratch)
    knobs.CACHE_SIZE.fix(1 << 40)
    # Those that load what is compiled here may have more processors.
    knobs.NUM_THREADS.fix(2)


def _count(order: Order) -> int:
    return len(_requests(order))


def _compile(order: Order, index: int, target: str) -> None:
    kernel, kinds = _requests(order)[index]
    kernel.compile(*kinds, target=target)
    if _is_for_this_machine(_wiring.jobs().target_named(target)):
        _compile_launch(kernel, kinds)


def _is_for_this_machine(target: Target) -> bool:
    if target.name != "native" or target.abi != host_target().abi:
        return False
    return parse_processor(target.cpu).machine == parse_processor(host_target().cpu).machine


def _compile_launch(kernel: Kernel, kinds: tuple[Type, ...]) -> None:
    """Compile what launches need beside the kernel. It is for this Python, and any processor of this kind."""
    stubs, grid = kernel.stubs(), _wiring.thread_grid()
    if grid is not None:
        grid.runner(works_together=False)
    if stubs is None:
        return
    kernel.over(1)
    jobs = _wiring.jobs()
    code = jobs.inferred(CompilerJob(kernel.instance(kinds), kernel.config))
    captured = code.results(InferenceResults).captured
    values = example_values(kinds)
    if values is not None:
        stubs.stub((*kinds, *map(typeof, captured)), (*values, *captured), len(kinds))


@cache
def _requests(order: Order) -> Sequence[requests.Request]:
    """All that the modules ask for, in an order that depends on them alone."""
    with requests.collecting() as collected:
        for name in order.modules:
            _import_all(name)
        if order.trace is not None:
            for module, name, encoded in read_trace(Path(order.trace)):
                kernel = kernel_named(module, name)
                requests.request(kernel, types_in_trace(encoded, kernel.function))
    return collected


def _import_all(name: str) -> None:
    module: ModuleType = importlib.import_module(name)
    for found in pkgutil.walk_packages(getattr(module, "__path__", ()), f"{name}."):
        # Importing a `__main__` runs a program.
        if not found.name.endswith(".__main__"):
            importlib.import_module(found.name)
