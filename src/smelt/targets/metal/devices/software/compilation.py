# SPDX-License-Identifier: Apache-2.0
"""From a module of AIR to code for the processor that this runs on."""

from __future__ import annotations

import re
from collections.abc import Sequence

from smelt.targets.metal.air.kernels import THREADGROUP_SPACE
from smelt.targets.metal.devices.descriptions import LOG_FUNCTION
from smelt.targets.metal.devices.errors import DeviceError
from smelt.targets.metal.devices.software import logs, records, shared_memory, tracking
from smelt.targets.metal.devices.software.accesses import ATOMIC, accesses_of, size_of
from smelt.targets.metal.devices.software.address_spaces import without_address_spaces
from smelt.targets.metal.devices.software.artifacts import KernelSource, SoftwareResults
from smelt.targets.metal.devices.software.bounds import Root, Watching
from smelt.targets.metal.devices.software.checks import Checks
from smelt.targets.metal.devices.software.cooperation import RESULT, Cooperating, cooperating, waits
from smelt.targets.metal.devices.software.divisions import with_safe_divisions
from smelt.targets.metal.devices.software.entry_points import cooperative_entry_point, entry_point
from smelt.targets.metal.devices.software.inlining import OneFunction, as_one_function
from smelt.targets.metal.devices.software.inputs import unknown_inputs
from smelt.targets.metal.devices.software.listings import leading_type
from smelt.targets.metal.devices.software.optimisation import code_of
from smelt.targets.metal.devices.software.probing import OUTSIDE, UNKNOWN, Probing, can_be_probed
from smelt.targets.metal.devices.software.unused import without_unused
from smelt.targets.metal.devices.software.watching_code import WATCHING
from smelt.targets.native.errors import FlatError


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
        code = code_of(_program(one, source, checks, results, may_probe=True))
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
    cooperative = cooperating(one.body, counts_barriers=checks.tracks)
    results.sites, results.has_loops = cooperative.sites, cooperative.has_loops
    body, computed = shared_memory.with_own_variables(cooperative.body, source.shared, kernel.name)
    prologue = [*shared_memory.addresses(places), *computed]
    functions = []
    sizes = _table_sizes(one)
    if checks.bounds or checks.tracks:
        roots = _roots(one, source, places)
        bases = _bases(roots, one, source)
        whole = [*prologue, *body]
        if may_probe and _is_probed(one, source, checks, results, body):
            probing = Probing(whole, roots, checks)
            functions.append(_function(one, f"{kernel.name}.clear", prologue, body, sizes))
            probe = probing.body(body)
            before = [*prologue, *bases, *_limits(probing), OUTSIDE]
            functions.append(_function(one, f"{kernel.name}.probe", before, probe, sizes))
            functions += probing.unknown
        watching = Watching(whole, roots, checks)
        body = watching.body(body)
        prologue += [*bases, *_limits(watching)]
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


def _limits(watching: Watching) -> list[str]:
    return [f"  {name} = {computed}" for computed, name in watching.limits.items()]


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
    rest = [line for line in one.rest if not re.match(r"declare .*@air\.|@.* external addrspace\(3\) ", line)]
    helpers = [WATCHING, logs.DECLARATION, *cooperative.helpers]
    if checks.tracks:
        helpers.append(tracking.noting_text(races=checks.races, uninitialised=checks.uninitialised))
    return "\n".join((*rest, *functions, *helpers)) + "\n"


def _roots(one: OneFunction, source: KernelSource, places: dict[str, int]) -> dict[str, Root]:
    """The memory that a kernel may access, beside that of its threads."""
    roots = {}
    by_parameter = {buffer.parameter: buffer for buffer in source.kernel.buffers}
    for number, (_, name) in enumerate(one.parameters):
        if number in by_parameter:
            is_in_rows = by_parameter[number].space != THREADGROUP_SPACE
            base, size, shadow = (f"%smelt.{word}{number}" for word in ("base", "size", "shadow"))
            roots[name] = Root(base, size, str(number), shadow, is_in_rows)
    for number, variable in enumerate(places):
        value = shared_memory.value_of(number)
        shadow = f"%smelt.known{number}"
        roots[value] = Root(f"{value}.base", str(source.shared[variable]), str(records.GROUP), shadow)
    for name, (pointer, size) in _tables(one).items():
        roots[name] = Root(f"ptrtoint ({pointer} {name} to i64)", size, str(records.TABLE))
    return roots


def _tables(one: OneFunction) -> dict[str, tuple[str, str]]:
    """The variables of a module that are no group's: the types of their addresses, and their bytes."""
    found = {}
    for line in one.rest:
        table = re.match(r"(@[\w.$-]+|@\"[^\"]+\") = (?P<linkage>.*?)\b(?:constant|global) (?P<rest>.*)$", line)
        if table is not None and "external" not in table["linkage"]:
            space = re.search(r"addrspace\((\d+)\)", table["linkage"])
            pointer = f"ptr addrspace({space[1]})" if space is not None else "ptr"
            found[table[1]] = (pointer, size_of(leading_type(table["rest"])))
    return found


def _table_sizes(one: OneFunction) -> dict[str, str]:
    return {name: size for name, (_, size) in _tables(one).items()}


def _bases(roots: dict[str, Root], one: OneFunction, source: KernelSource) -> list[str]:
    """LLVM IR that computes where memory begins, how large it is, and where what is known of it is."""
    lines = []
    buffers = {buffer.parameter for buffer in source.kernel.buffers}
    count = len(one.parameters)
    for number, (kind, name) in enumerate(one.parameters):
        if number not in buffers:
            continue
        lines.append(f"  %smelt.base{number} = ptrtoint {kind} {name} to i64")
        for row, word in enumerate(("size", "shadow"), 1):
            place = f"%smelt.{word}_place{number}"
            lines.append(f"  {place} = getelementptr i64, ptr %smelt.words, i64 {row * count + number}")
            lines.append(f"  %smelt.{word}{number} = load i64, ptr {place}, !invariant.load !{{}}")
    variables = [name for name in roots if name.startswith("%smelt.shared")]
    if variables:
        lines.append("  %smelt.group_shadow = call i64 @smelt.group_shadow(ptr %smelt.state)")
    places, _ = shared_memory.places_of(source.shared)
    for number, (variable, offset) in enumerate(zip(variables, places.values(), strict=True)):
        lines.append(f"  {variable}.base = ptrtoint ptr addrspace(3) {variable} to i64")
        lines.append(f"  %smelt.known{number} = add i64 %smelt.group_shadow, {8 * tracking.SHADOW_WORDS * offset}")
    return lines
