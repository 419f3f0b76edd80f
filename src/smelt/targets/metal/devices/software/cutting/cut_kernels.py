# SPDX-License-Identifier: Apache-2.0
"""Kernels whose threads work together, as programs that run phase by phase, see `phases`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from smelt.targets.metal.devices.software import logs, shared_memory
from smelt.targets.metal.devices.software.air_functions.divisions import with_safe_divisions
from smelt.targets.metal.devices.software.artifacts import KernelSource
from smelt.targets.metal.devices.software.checking.bounds import Watching
from smelt.targets.metal.devices.software.checking.checks import Checks
from smelt.targets.metal.devices.software.checking.roots import bases_of, roots_of, table_sizes
from smelt.targets.metal.devices.software.cooperation import RESULT, Cooperating, cooperating, waits_for_group_only
from smelt.targets.metal.devices.software.cutting.control_flow import defined
from smelt.targets.metal.devices.software.cutting.phase_entry_points import GroupProgram, access_note
from smelt.targets.metal.devices.software.cutting.phase_functions import PARAMETERS, PhaseWriter
from smelt.targets.metal.devices.software.cutting.phases import (
    UncuttableError,
    cut_at_ways,
    named,
    phase_blocks,
    planned,
)
from smelt.targets.metal.devices.software.inlining import OneFunction
from smelt.targets.metal.devices.software.inputs import differing_parameters


@dataclass(frozen=True)
class CutKernel:
    """A kernel that was cut.

    Attributes
    ----------
    cooperating
        What is known of where it waits.
    functions
        The LLVM IR of the functions of its phases.
    program
        What the entry point is made for.
    """

    cooperating: Cooperating
    functions: tuple[str, ...]
    program: GroupProgram


def can_be_cut(one: OneFunction, checks: Checks) -> bool:
    """Whether it is worth trying: the threads wait for nothing but their group, and their accesses aren't taken note of."""
    return not checks.tracks and waits_for_group_only(one.body)


def cut_kernel(one: OneFunction, source: KernelSource, checks: Checks) -> CutKernel | None:
    """A kernel that was cut where it waits; None for one that can't be cut."""
    try:
        return _cut(one, source, checks)
    except UncuttableError:
        return None


def _cut(one: OneFunction, source: KernelSource, checks: Checks) -> CutKernel:
    kernel = source.kernel
    cooperative = cooperating(one.body, suspends=False)
    places, shared_bytes = shared_memory.places_of(source.shared)
    body, computed = shared_memory.with_own_variables(cooperative.body, source.shared, kernel.name)
    prologue = [*shared_memory.addresses(places), *computed]
    names = named(name for _, name in one.parameters)
    common = [*names, *filter(None, map(defined, prologue))]
    if checks.bounds:
        roots = roots_of(one, source, places)
        watching = Watching([*prologue, *body], roots, checks)
        body = watching.body(body)
        prologue += [*bases_of(roots, one, source), *watching.limits_computed]
    blocks = phase_blocks(named(with_safe_divisions(logs.with_loggers(body, table_sizes(one)))))
    differing = [names[number] for number in differing_parameters(kernel)]
    plan = planned(blocks, cooperative.sites + cut_at_ways(blocks, cooperative.sites, differing), differing, common)
    node = 1 + max((int(found[1]) for line in one.rest if (found := re.match(r"!(\d+) = ", line))), default=0)
    writer = PhaseWriter(plan, blocks, access_note(node))
    program = GroupProgram(
        kernel=kernel,
        parameters=one.parameters,
        runs={site: writer.run(site) for site in plan.heads},
        parallel=frozenset(filter(writer.is_parallel, plan.heads)),
        thread_bytes=plan.thread_bytes,
        common_bytes=plan.common_bytes,
        shared_bytes=shared_bytes,
        node=node,
    )
    return CutKernel(cooperative, tuple(_functions(one, plan.heads, kernel.name, prologue, writer)), program)


def _functions(
    one: OneFunction, phases: Iterable[int], name: str, prologue: Iterable[str], writer: PhaseWriter
) -> Iterable[str]:
    parameters = named(f"{kind} {parameter}" for kind, parameter in one.parameters)
    given = ", ".join(("ptr %smelt.state", "ptr %smelt.words", *parameters, PARAMETERS))
    begin = named(prologue)
    for phase in phases:
        head = f'define internal {RESULT} @"{name}.phase{phase}"({given}) alwaysinline {{'
        yield "\n".join((head, "smelt.entry:", *begin, *writer.phase(phase), "}"))
