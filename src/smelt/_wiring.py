# SPDX-License-Identifier: Apache-2.0
"""Where the parts of smelt are put together. The compiler is imported when something is first compiled."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from smelt import knobs
from smelt._once import once
from smelt._targets import OnDemand, metal_linker, metal_results
from smelt.caching import Results
from smelt.compiler.jobs import Jobs
from smelt.sessions import CompilerCode, Session
from smelt.sessions.directory import Directory, default_directory
from smelt.targets.native.linking import NativeLinker
from smelt.targets.native.loader.helper_code import HelperCode
from smelt.targets.native.processors.available_cpus import available_cpus
from smelt.targets.native.processors.host import host_machine
from smelt.targets.native.results import NativeResults
from smelt.targets.native.thread_grid.grid import ThreadGrid

RESULTS_CLASSES: Mapping[str, type[Results]] = OnDemand(
    {"NativeResults": lambda: NativeResults, "MetalResults": metal_results}
)
"""What is kept for later processes, by the names of the classes."""


_modules_with_kernels: set[str] = set()


def add_module_with_kernels(name: str) -> None:
    """Look from now on in the image of that module, too, for code that is no kernel's own."""
    _modules_with_kernels.add(name)


@once
def jobs() -> Jobs:
    """The results of this process's jobs. The compiler is imported for the first that is neither known nor in the store."""
    linkers = {"native": lambda: NativeLinker(thread_grid, _announce), "metal": metal_linker}
    found = Jobs(OnDemand(linkers), driver)
    # Without the store there are still the images.
    place = (knobs.CACHE_DIRECTORY.value or default_directory()) if knobs.STORE.value else None
    directory = Directory(place) if place is not None else None
    found.store = Session(found.overlays, RESULTS_CLASSES, directory=directory, most_bytes=knobs.CACHE_SIZE.value)
    return found


def session() -> Session:
    """What this process finds of earlier ones, and keeps for later ones."""
    store = jobs().store
    assert isinstance(store, Session)
    return store


@once
def stubs() -> Any:
    """What launches in compiled code; None where the objects of this Python or NumPy are not laid out as it expects."""
    if not importlib.import_module("smelt.targets.native.launching.object_layouts").are_as_expected():
        return None
    return importlib.import_module("smelt.targets.native.launching.stubs").Stubs(_compile_stub, helper_store())


@once
def thread_grid() -> ThreadGrid | None:
    """What spreads grids over threads; None where there is one processor, or one thread is asked for."""
    threads = knobs.NUM_THREADS.value or available_cpus()
    helpers = HelperCode(("smelt thread grid", host_machine()), _compile_stub, helper_store())
    return ThreadGrid(helpers, threads) if threads > 1 else None


@once
def helper_store() -> CompilerCode:
    """Where code is kept that depends on nothing but the compiler and what it was made of: in the store and in kernels' images."""
    found = session()
    return CompilerCode(found.directory, found.fingerprints, lambda: found.images.containers(_modules_with_kernels))


def _compile_stub(text: str, opt_level: int) -> Any:
    return importlib.import_module("smelt.targets.native.launching.stub_compilation").compile_stub(text, opt_level)


def _announce(results: NativeResults) -> None:
    """Tell debuggers and profilers of a kernel, where there is something to tell and somebody asks."""
    if results.debug_object:
        importlib.import_module("smelt.targets.native.debugging.debuggers").announce(results)
    if knobs.PERF.value is not None:
        importlib.import_module("smelt.targets.native.debugging.profilers").announce(results, knobs.PERF.value)


@once
def driver() -> Any:
    """The compiler of this process. The back end of a target is imported for the first kernel that it compiles."""
    return importlib.import_module("smelt.driver").Driver(jobs(), _table, _backend, helper_store())


@once
def _table(target: str) -> Any:
    """Where calls in kernels for a target are looked up."""
    overlays = importlib.import_module("smelt.inference.overlays")
    own = (overlays.metal_overlays(),) if target == "metal" else ()
    return overlays.table_of(jobs().overlays, jobs().functions, *own)


@once
def _backend(target: str) -> Any:
    """The back end of a target."""
    if target == "metal":
        return importlib.import_module("smelt.targets.metal.backend").MetalBackend()
    return importlib.import_module("smelt.targets.native.backend").NativeBackend()
