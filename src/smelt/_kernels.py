# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: PTH123 - a warm process doesn't import pathlib
"""What users make kernels with, and look into them with. The compiler is imported when something is first compiled."""

from __future__ import annotations

import functools
import importlib
import os
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any, overload

from smelt._devices import known_devices
from smelt._wiring import add_module_with_kernels, driver, jobs, session, stubs
from smelt.caching import add_method
from smelt.caching.html_tables import html_table
from smelt.compiler.config import CompilerConfig, CompilerJob
from smelt.launch import Kernel, requests
from smelt.records import Record, fields, replace
from smelt.targets.native.target import host_target
from smelt.types import Type, declared_types


@overload
def kernel(function: Callable[..., Any]) -> Kernel: ...
@overload
def kernel(
    *,
    boundscheck: bool = True,
    fastmath: bool = False,
    opt_level: int = 3,
    debug_level: int = 0,
    name: str | None = None,
    threads_per_threadgroup: int | tuple[int, ...] | None = None,
    signatures: Sequence[tuple[Any, ...]] = (),
) -> Callable[[Callable[..., Any]], Kernel]: ...
def kernel(function: Any = None, *, signatures: Sequence[tuple[Any, ...]] = (), **options: Any) -> Any:
    """Make a kernel of a function: `@smelt.kernel`, or with options `@smelt.kernel(boundscheck=False)`.

    Parameters
    ----------
    boundscheck
        Whether an index that is out of bounds raises IndexError; without, it is undefined behaviour.
    fastmath
        Whether floating arithmetic may be reordered, and NaN and infinity taken for impossible.
    opt_level
        How much is optimised, 0 to 3.
    debug_level
        What debuggers and profilers see of the kernel: 0 for nothing, 1 for functions and lines, 2 for variables too.
    name
        The name of the kernel in what is compiled; by default the function's.
    threads_per_threadgroup
        The size of the groups of every launch, a number or a tuple of up to three, x first; by default launches choose it. What works
        together in groups is compiled for that size, which is faster: see "How fast kernels run".
    signatures
        Argument types that it is compiled for ahead of time, by `Kernel.compile_signatures` and by `smelt precompile`. Types are
        written as for `Kernel.compile`. A launch with other types compiles for those.

    Raises
    ------
    TypeError
        For what is no Python function, and for an option that there isn't.
    ValueError
        For a value that an option can't have.
    """
    if function is None:
        return functools.partial(kernel, signatures=signatures, **options)
    if not isinstance(function, types.FunctionType):
        raise TypeError(f"a kernel is made of a Python function, not of {function!r}")
    add_module_with_kernels(str(function.__module__))
    return Kernel(function, CompilerConfig(target=host_target(), **options), jobs, signatures, stubs, known_devices)


def overlay(function: Any, signature: tuple[Any, ...]) -> Callable[[types.FunctionType], types.FunctionType]:
    """Replace `function` in kernels: `@smelt.overlay(math.sin, (smelt.float32,))` before the function that is called instead.

    `signature` has one type for each argument, written with smelt's types, and `Variadic` of one at the end for any number. Calls with
    other types are as they were. Kernels that call `function` are compiled again. Returns what makes the method, which gives the
    function back as it is: Python can go on calling both.

    Raises `SignatureError` for what is no signature.
    """

    def define(replacement: types.FunctionType) -> types.FunctionType:
        add_method(jobs().overlays, function, signature, replacement)
        return replacement

    return define


def code_typed(kernel: Kernel, kinds: tuple[Any, ...]) -> str:
    """The typed program of a kernel for argument types, as text: what inference made of it, before anything is optimised.

    Types are written as for `Kernel.compile`, as a tuple. Raises `KernelError` if the kernel can't be compiled for them, `LaunchError` for
    a wrong number of types, `TypeError` for what is no type.
    """
    code = driver().inferred(_job(kernel, kinds))
    pipeline, text = (importlib.import_module(name) for name in ("smelt.driver.pipeline", "smelt.ir.text"))
    written: str = text.to_text(pipeline.typed_function(code))
    return written


def code_llvm(kernel: Kernel, kinds: tuple[Any, ...], *, optimised: bool = True) -> str:
    """The LLVM IR of a kernel for argument types, after optimisation or before. Raises what `code_typed` does."""
    job = _job(kernel, kinds)
    code = driver().inferred(job)
    if optimised:
        return str(driver().optimised(job, code)[0])
    lowered = driver().lowered(job, code)
    text: str = lowered.text if lowered.debug is None else lowered.text + lowered.debug.text()
    return text


def code_native(kernel: Kernel, kinds: tuple[Any, ...]) -> str:
    """The assembly of a kernel for argument types, in the syntax of its processor. Raises what `code_typed` does."""
    job = _job(kernel, kinds)
    module, machine = driver().optimised(job, driver().inferred(job))
    assembly: str = machine.emit_assembly(module)
    return assembly


def code_air(kernel: Kernel, kinds: tuple[Any, ...], *, target: str = "metal") -> str:
    """The AIR of a kernel for argument types, as text: what stands in its metallib, as today's LLVM writes it.

    `target` says for which system: `metal:macos=15`, say. Raises what `code_typed` does, and `ValueError` for what is no target.
    """
    job = _job(kernel, kinds)
    job = CompilerJob(job.instance, replace(job.config, target=jobs().target_named(target)))
    return str(driver().optimised(job, driver().inferred(job))[0])


def on_compile(hook: Callable[[CompilerJob], None]) -> Callable[[], None]:
    """Call `hook` with every job that is compiled from now on: its `instance`, and its `config`. Returns what ends that.

    What is found in memory, in an image or in the store is not compiled. What the hook raises, the launch raises, and nothing is compiled.
    """
    ending: Callable[[], None] = driver().on_compile(hook)
    return ending


def why(kernel: Kernel) -> tuple[str, ...]:
    """Why a kernel was compiled again: one line for each change that reached it, the latest first.

    Each names the change, and the chain of calls through which it reached the kernel: a change in this process, or one between an
    earlier process, which kept what it compiled, and this one.
    """
    cache = jobs().cache
    instances = [kernel.instance(kinds) for kinds in kernel.compiled_for]
    lines = [line for instance in instances for line in cache.why(instance)]
    lines += [line for instance in instances for line in session().why(instance)]
    return tuple(lines)


def trace(path: str | os.PathLike[str]) -> Callable[[], None]:
    """Record from now on what is launched, for `smelt precompile --trace`. Returns what ends that.

    One line is written to the file at `path` for each kernel and tuple of argument types, when it is first launched. Launch what is to be
    recorded after this is called: of a kernel that was launched before, launches like the last one are not seen.
    """
    traces = importlib.import_module("smelt.sessions.traces")
    file, written = open(path, "a", encoding="utf-8"), set[str]()  # noqa: SIM115 - closed when the trace ends

    def record(kernel: Kernel, kinds: tuple[Type, ...]) -> None:
        line = traces.trace_line(kernel.instance(kinds))
        if line is not None and line not in written:
            written.add(line)
            file.write(line)
            file.flush()

    ending = requests.observe(record)

    def end() -> None:
        ending()
        file.close()

    return end


class Stats(Record):
    """What happened in this process so far.

    Attributes
    ----------
    compilations
        How often a back end made a kernel's artifact.
    inferences
        How many method instances were inferred.
    memory_hits
        How often a kernel was found in memory where a launch was not like one before.
    image_hits, store_hits
        How many kernels were found in an image beside their module, and in the user's store.
    links
        How often what was compiled or found was made into something that can be launched.
    invalidations
        How many code instances were invalidated.
    llvm_loaded
        Whether LLVM is loaded.
    """

    compilations: int
    inferences: int
    memory_hits: int
    image_hits: int
    store_hits: int
    links: int
    invalidations: int
    llvm_loaded: bool

    def _repr_html_(self) -> str:
        return html_table(
            "smelt.stats()", [(one.name.replace("_", " "), getattr(self, one.name)) for one in fields(type(self))]
        )


def stats() -> Stats:
    """A snapshot of the counters of this process."""
    counts, kept = jobs().cache.counts, session()
    return Stats(
        compilations=driver().compilations.value if driver.cache_info().currsize else 0,
        inferences=counts.made,
        memory_hits=jobs().memory_hits.value,
        image_hits=kept.image_hits.value,
        store_hits=kept.store_hits.value,
        links=jobs().links.value,
        invalidations=counts.invalidated,
        llvm_loaded="llvmlite.binding" in sys.modules,
    )


def _job(kernel: Kernel, kinds: tuple[Any, ...]) -> CompilerJob:
    return CompilerJob(kernel.instance(declared_types(kernel.name, kinds)), kernel.config)
