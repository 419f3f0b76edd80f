# SPDX-License-Identifier: Apache-2.0
"""From a module of AIR to code for the processor that this runs on."""

from __future__ import annotations

import re
from collections.abc import Sequence

from smelt.targets.metal.air.kernels import THREADGROUP_SPACE
from smelt.targets.metal.devices.descriptions import LOG_FUNCTION
from smelt.targets.metal.devices.errors import DeviceError
from smelt.targets.metal.devices.software import logs, shared_memory
from smelt.targets.metal.devices.software.address_spaces import without_address_spaces
from smelt.targets.metal.devices.software.air_functions.divisions import with_safe_divisions
from smelt.targets.metal.devices.software.artifacts import KernelSource, SoftwareResults
from smelt.targets.metal.devices.software.checking import tracking
from smelt.targets.metal.devices.software.checking.accesses import ATOMIC, accesses_of
from smelt.targets.metal.devices.software.checking.bounds import Watching
from smelt.targets.metal.devices.software.checking.checks import Checks
from smelt.targets.metal.devices.software.checking.probing import OUTSIDE, UNKNOWN, Probing, can_be_probed
from smelt.targets.metal.devices.software.checking.roots import bases_of, roots_of, table_sizes
from smelt.targets.metal.devices.software.checking.watching_code import WATCHING
from smelt.targets.metal.devices.software.cooperation import RESULT, Cooperating, cooperating, waits
from smelt.targets.metal.devices.software.cutting.cut_kernels import can_be_cut, cut_kernel
from smelt.targets.metal.devices.software.entry_points import cooperative_entry_point, entry_point
from smelt.targets.metal.devices.software.inlining import OneFunction, as_one_function
from smelt.targets.metal.devices.software.inputs import unknown_inputs
from smelt.targets.metal.devices.software.optimisation import code_of
from smelt.targets.metal.devices.software.unused import without_unused
from smelt.targets.native.errors import FlatError

_MOST_LINES = 250
"""Of a kernel that is compiled once more, with its loops unrolled, if it runs for long: larger ones would take seconds."""


def compile_kernel(source: KernelSource, checks: Checks, results: SoftwareResults) -> None:
    """Compile a kernel, and keep its code and what is to know of it in `results`.

    Raises `DeviceError`, naming what this device doesn't know, what it refuses to run, and what LLVM can't compile.
    """
    name = source.kernel.name
    unknown = unknown_inputs(source.kernel)
    if unknown:
        raise DeviceError(f"the kernel {name} takes {', '.join(unknown)}, which this device doesn't know")
    try:
        one = as_one_function(source)
        code = code_of(_program(one, source, checks, results, may_probe=True), runs_long=source.runs_long)
        if any(symbol.startswith(UNKNOWN) for symbol in code.symbols):
            code = code_of(_program(one, source, checks, results, may_probe=False))
        results.keep_flat_code(code)
    except (FlatError, RuntimeError, ValueError) as error:
        if isinstance(error, DeviceError):
            raise
        raise DeviceError(f"{name} can't be compiled for the processor: {error}") from error


def _program(
    one: OneFunction, source: KernelSource, checks: Checks, results: SoftwareResults, *, may_probe: bool
) -> str:
    """The LLVM IR of a kernel with its entry point."""
    kernel = source.kernel
    places, results.shared_bytes = shared_memory.places_of(source.shared)
    shares = bool(places) or any(buffer.space == THREADGROUP_SPACE for buffer in kernel.buffers)
    results.works_together = shares or waits(one.body)
    results.is_serial = checks.tracks or _shows_its_order(one)
    is_cut = results.works_together and can_be_cut(one, checks)
    results.can_be_faster = is_cut or (results.works_together and len(one.body) < _MOST_LINES)
    cut = cut_kernel(one, source, checks) if source.runs_long and is_cut else None
    if cut is not None:
        results.phases, results.has_loops = len(cut.program.runs), cut.cooperating.has_loops
        results.sites = cut.program.sites
        text = _module(one, cut.functions, cut.cooperating, checks)
        return without_unused(without_address_spaces(text + cut.program.text(text)))
    cooperative = cooperating(one.body, counts_barriers=checks.tracks)
    results.sites, results.has_loops = cooperative.sites, cooperative.has_loops
    body, computed = shared_memory.with_own_variables(cooperative.body, source.shared, kernel.name)
    prologue = [*shared_memory.addresses(places), *computed]
    functions = []
    sizes = table_sizes(one)
    if checks.bounds or checks.tracks:
        roots = roots_of(one, source, places)
        bases = bases_of(roots, one, source)
        whole = [*prologue, *body]
        if may_probe and _is_probed(one, source, checks, results, body):
            probing = Probing(whole, roots, checks)
            functions.append(_function(one, f"{kernel.name}.clear", prologue, body, sizes))
            probe = probing.body(body)
            before = [*prologue, *bases, *probing.limits_computed, OUTSIDE]
            functions.append(_function(one, f"{kernel.name}.probe", before, probe, sizes))
            functions += probing.unknown
        watching = Watching(whole, roots, checks)
        body = watching.body(body)
        prologue += [*bases, *watching.limits_computed]
    if checks.tracks:
        prologue.append(tracking.PASSED)
    is_probed = bool(functions)
    functions.append(_function(one, kernel.name, prologue, body, sizes))
    text = _module(one, functions, cooperative, checks)
    if not results.works_together:
        whole_text = text + entry_point(kernel, one.parameters, is_probed=is_probed)
    else:
        whole_text = text + cooperative_entry_point(
            kernel, one.parameters, text, shared_bytes=results.shared_bytes, sites=results.sites
        )
    return without_unused(without_address_spaces(whole_text))


def _is_probed(
    one: OneFunction, source: KernelSource, checks: Checks, results: SoftwareResults, body: Sequence[str]
) -> bool:
    """Whether rows of threads are looked at before they run, so that each access need not be."""
    if results.works_together or results.has_loops or checks.tracks:
        return False
    buffers = {buffer.parameter for buffer in source.kernel.buffers}
    return can_be_probed(body, [name for number, (_, name) in enumerate(one.parameters) if number in buffers])


def _shows_its_order(one: OneFunction) -> bool:
    """Whether one sees in which order the groups of a kernel run: by what they log, or by atomic operations on a device's memory."""
    for line in one.body:
        if f"@{LOG_FUNCTION}(" in line:
            return True
        if any(access.kind == ATOMIC and access.pointer_type != "ptr addrspace(3)" for access in accesses_of(line)):
            return True
    return False


def _function(one: OneFunction, name: str, prologue: Sequence[str], body: Sequence[str], sizes: dict[str, str]) -> str:
    parameters = "".join(f", {kind} {parameter}" for kind, parameter in one.parameters)
    head = f'define internal {RESULT} @"{name}"(ptr %smelt.state, ptr %smelt.words{parameters}) alwaysinline {{'
    first = body[0].partition(":")[0]
    lines = with_safe_divisions(logs.with_loggers(body, sizes))
    return "\n".join((head, "smelt.entry:", *prologue, f"  br label %{first}", *lines, "}"))


def _module(one: OneFunction, functions: Sequence[str], cooperative: Cooperating, checks: Checks) -> str:
    # What metadata says of the kernel is known; it names a function that may not be there any more.
    rest = [line for line in one.rest if not re.match(r"declare .*@air\.|@.* external addrspace\(3\) |!air\.", line)]
    rest = [re.sub(r"ptr @[^,}]+", "ptr null", line) if line.startswith("!") else line for line in rest]
    helpers = [WATCHING, logs.DECLARATION, *cooperative.helpers]
    if checks.tracks:
        helpers.append(tracking.noting_text(races=checks.races, uninitialised=checks.uninitialised))
    return "\n".join((*rest, *functions, *helpers)) + "\n"
