# SPDX-License-Identifier: Apache-2.0
"""A kernel of AIR whose threads wait for their threadgroup, cut where they wait.

What lies between two barriers is a *phase*: all blocks that control comes to from the one without passing the other, as a function of its
own. It is run for one thread after the other, in loops that LLVM vectorises, and returns the number of the barrier that the thread came to,
0 if it has ended. A block may be part of several phases. Nothing has to be known of the way that threads take: that they come to one barrier
together is found out as they run. (Source of the scheme: Meyer, Alpay, Fröning, Heuveline, "Implementation techniques for SPMD kernels on
CPUs", 2023, where it is called continuation-based synchronization.)

A value that is needed behind a barrier is computed again in each phase, if that takes no more than the thread's position and a few
instructions. Otherwise it is kept: in a *slot*, one element for each thread, or once for the group where it is the same for all of them.
Memory that is the thread's own is memory of the group then, so much for each thread.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from smelt.targets.metal.devices.software.checking.accesses import Roots
from smelt.targets.metal.devices.software.cooperation import STOPPED_LABEL, resumed
from smelt.targets.metal.devices.software.cutting.control_flow import (
    Block,
    Blocks,
    blocks_of,
    defined,
    live_values,
    reached,
    used,
)
from smelt.targets.metal.devices.software.cutting.uniformity import Uniformity
from smelt.targets.metal.devices.software.cutting.value_types import bytes_of, type_of

MOST_BYTES = 1 << 14
"""The most memory that is kept for one thread."""

MOST_PHASES = 250
"""The numbers of barriers, and what else a phase may return, are bytes."""

_MOST_COPIES = 4
"""How often a kernel's instructions may be there, in all phases together, on average."""

_ALIGNMENT = 16
_MOST_STEPS = 8
_REPEATABLE = re.compile(
    r" = (?:add|sub|mul|and|or|xor|shl|lshr|ashr|icmp|select|getelementptr|trunc|zext|sext|ptrtoint|inttoptr|bitcast|addrspacecast"
    r"|extractelement|insertelement|shufflevector|fneg|fadd|fsub|fmul|uitofp|sitofp|fpext|fptrunc) "
)
_ALLOCA = re.compile(r"^  (?P<name>%[^ ]+) = alloca (?P<kind>[^,]+?)(?:, align (?P<alignment>\d+))?$")

_STORED_POINTER = re.compile(r"^  store (?:volatile )?ptr(?: addrspace\(\d+\))? (?P<pointer>%[^ ,]+),")


class UncuttableError(Exception):
    """A kernel that can't be cut."""


@dataclass(frozen=True)
class Slot:
    """Where a value is kept.

    Attributes
    ----------
    number
        Its own.
    kind
        Its type.
    offset
        Of slots, the bytes that each thread has before; of what is kept once, the bytes before.
    is_common
        Whether it is kept once for the group.
    """

    number: int
    kind: str
    offset: int
    is_common: bool

    @property
    def kept_kind(self) -> str:
        """The type in memory: of bits LLVM makes no vectors there."""
        return "i8" if self.kind == "i1" else self.kind


@dataclass
class Plan:
    """What all forms of a kernel have in common that is cut, those that look after accesses and those that don't.

    Attributes
    ----------
    heads
        The blocks that the phases begin with, by the numbers of the barriers before them.
    repeated
        The values that are computed again in each phase.
    slots
        Where values are kept, by their names.
    arrays
        The thread's own memory: the bytes before that each thread has, and its own, by the names of its pointers.
    thread_bytes, common_bytes
        What is kept for each thread, and once for the group.
    needed
        Which of the values that are kept a phase needs.
    undecided
        The phases from which threads may come to different places.
    """

    heads: dict[int, str]
    repeated: set[str] = field(default_factory=set)
    slots: dict[str, Slot] = field(default_factory=dict)
    arrays: dict[str, tuple[int, int]] = field(default_factory=dict)
    thread_bytes: int = 0
    common_bytes: int = 0
    needed: dict[int, list[str]] = field(default_factory=dict)
    undecided: set[int] = field(default_factory=set)


def named(body: Iterable[str]) -> list[str]:
    """The lines of a body with names in place of numbers, for LLVM wants to see numbers in their order."""
    return [re.sub(r"(?<=%)\d+\b|^\d+(?=:)", lambda number: f"smelt.{number[0]}", line) for line in body]


def planned(blocks: dict[str, Block], sites: int, differing: Iterable[str], common: Iterable[str]) -> Plan:
    """How to cut a kernel.

    Parameters
    ----------
    blocks
        Its blocks, of `phase_blocks`.
    sites
        How many places there are where it is cut, each at the end of a block that goes on at `resumed(number)`.
    differing, common
        Its parameters that differ from thread to thread, and all others with the names that are defined before.

    Raises
    ------
    UncuttableError
        For values that can't be kept, for too much of them, and where phases would have too much in common.
    """
    plan = Plan({0: next(iter(blocks)), **{site: resumed(site) for site in range(1, sites + 1)}})
    if sites > MOST_PHASES:
        raise UncuttableError
    places = waiting_blocks(blocks)
    lines = {label: len(block.phis) + len(block.lines) + 1 for label, block in blocks.items()}
    phases = {site: reached(blocks, head, without=places) for site, head in plan.heads.items()}
    if sum(lines[label] for phase in phases.values() for label in phase) > _MOST_COPIES * sum(lines.values()):
        raise UncuttableError
    uniformity = Uniformity(blocks, differing)
    plan.undecided = {site for site, phase in phases.items() if _is_undecided(blocks, phase, places, uniformity)}
    live = live_values(blocks)
    needed = {site: live[head] for site, head in plan.heads.items() if site}
    _keep(plan, blocks, frozenset().union(*needed.values()), uniformity)
    plan.needed = {site: [name for name in plan.slots if name in names] for site, names in needed.items()}
    _give_memory(plan, blocks, (*differing, *common))
    if plan.thread_bytes > MOST_BYTES:
        raise UncuttableError
    return plan


def cut_at_ways(blocks: dict[str, Block], sites: int, differing: Iterable[str]) -> int:
    """Cut a kernel too where all threads decide alike whether to go once more round a loop in which they wait: so many places more.

    What they do then is a phase of its own, which decides nothing.
    """
    places = waiting_blocks(blocks)
    uniformity = Uniformity(blocks, differing)
    number = sites
    for label, block in list(blocks.items()):
        ways = block.successors
        if len(ways) != 2 or label in uniformity.branching or not block.end[0].startswith("  br i1 "):
            continue
        ends = [{end for end in reached(blocks, way, without=places) if end in places} for way in ways]
        around = [label in reached(blocks, way) for way in ways]
        within = any(label in reached(blocks, way, without=places) for way in ways)
        if within or ends[0] == ends[1] or not any(around):
            continue
        for way in ways:
            number += 1
            before, behind = f"smelt.way{number}", resumed(number)
            blocks[before] = Block(before, end=[f"  br label %{behind}"], successors=(behind,))
            blocks[behind] = Block(behind, end=[f"  br label %{way}"], successors=(way,))
            places[before] = number
            block.end = [re.sub(rf"label %{re.escape(way)}(?![\w.$-])", f"label %{before}", line) for line in block.end]
            target = blocks[way]
            target.phis = [re.sub(rf", %{re.escape(label)} \]", f", %{behind} ]", phi) for phi in target.phis]
        block.successors = tuple(f"smelt.way{number - 1 + place}" for place in range(2))
    return number - sites


def phase_blocks(body: Iterable[str]) -> dict[str, Block]:
    """The blocks of a kernel, as if it were never told to stop."""
    blocks = blocks_of(body)
    for block in blocks.values():
        block.successors = tuple(way for way in block.successors if way != STOPPED_LABEL)
    return blocks


def waiting_blocks(blocks: Blocks) -> dict[str, int]:
    """The blocks that end with a barrier, and its number."""
    found = {}
    for label, block in blocks.items():
        match = re.fullmatch(r"  br label %smelt\.resumed(\d+)", block.end[0])
        if match is not None:
            found[label] = int(match[1])
    return found


def _is_undecided(blocks: Blocks, phase: Iterable[str], places: Mapping[str, int], uniformity: Uniformity) -> bool:
    """Whether threads that begin a phase together may end it at different places."""
    ends = {label: places.get(label, 0) for label in phase if label in places or not blocks[label].successors}
    for label in uniformity.branching.intersection(phase):
        found = reached(blocks, label, without=places)
        if len({ends[way] for way in found if way in ends}) > 1 and ends.keys() & uniformity.apart(label, places):
            return True
    return False


def _keep(plan: Plan, blocks: Blocks, needed: Collection[str], uniformity: Uniformity) -> None:
    """Find what is computed again, and give what isn't its place."""
    definitions = {
        name: line
        for block in blocks.values()
        for line in (*block.phis, *block.lines)
        if (name := defined(line)) is not None
    }
    steps: dict[str, int] = {}
    for name, line in definitions.items():
        # A definition comes behind those of its operands, but for phis.
        operands = [other for other in used(line) if other in definitions]
        if _ALLOCA.match(line):
            steps[name] = 0
        elif _REPEATABLE.search(line) and all(other in steps for other in operands):
            count = 1 + max((steps[other] for other in operands), default=0)
            if count <= _MOST_STEPS:
                steps[name] = count
    todo = [name for name in needed if name in steps]
    while todo:
        name = todo.pop()
        if name not in plan.repeated:
            plan.repeated.add(name)
            todo += [other for other in used(definitions[name]) if other in definitions]
    # The widest first, so that each lies at a multiple of its size.
    kept = []
    for name, line in definitions.items():
        if name in needed and name not in plan.repeated:
            kind = type_of(line)
            size = bytes_of(kind) if kind is not None else None
            if kind is None or size is None:
                raise UncuttableError
            kept.append((-size, name, kind))
    for less, name, kind in sorted(kept, key=lambda one: one[0]):
        is_common = uniformity.is_uniform(name)
        plan.slots[name] = Slot(len(plan.slots), kind, plan.common_bytes if is_common else plan.thread_bytes, is_common)
        plan.common_bytes += -less if is_common else 0
        plan.thread_bytes += 0 if is_common else -less


def _give_memory(plan: Plan, blocks: Blocks, parameters: Iterable[str]) -> None:
    """Find the memory of threads that is needed in several phases."""
    body = [line for block in blocks.values() for line in (*block.phis, *block.lines)]
    if not any(" = alloca " in line for line in body):
        return
    pointers = Roots(body, parameters)
    needed = [name for name, slot in plan.slots.items() if slot.kind.startswith("ptr")]
    # An address that is in memory, or a number, may be used anywhere.
    needed += [found["pointer"] for line in body if (found := _STORED_POINTER.match(line)) is not None]
    private = {root for name in (*plan.repeated, *needed) for root in pointers.of(name) if root in pointers.private}
    if any(" = inttoptr " in line for line in body):
        private |= pointers.private.keys()
    for line in body:
        found = _ALLOCA.match(line)
        if found is not None and found["name"] in private:
            size = bytes_of(found["kind"])
            if size is None or int(found["alignment"] or 1) > _ALIGNMENT:
                raise UncuttableError
            padded = -(-size // _ALIGNMENT) * _ALIGNMENT
            plan.thread_bytes = -(-plan.thread_bytes // _ALIGNMENT) * _ALIGNMENT
            plan.arrays[found["name"]] = (plan.thread_bytes, padded)
            plan.thread_bytes += padded
    if private - plan.arrays.keys():
        raise UncuttableError
    plan.repeated |= plan.arrays.keys()
