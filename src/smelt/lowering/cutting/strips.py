# SPDX-License-Identifier: Apache-2.0
"""Kernels whose threads go through loops in step: cut at those loops, as kernels are at barriers, see `phases`.

A loop in a kernel keeps LLVM from making vectors of the threads of a row, for it vectorises innermost loops only. Where all threads of a row go
through the loop together, whatever they compute in it, the loop can as well be around the threads: some threads that follow each other,
a *strip*, take each round of it together. Then a round is a phase, a short loop over threads, which LLVM vectorises; and since a strip
always has as many threads, what lives from round to round is kept in vector registers.

Only threads that can't fail run so: nobody could say which of them fails first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from smelt.compiler.threadgroups import LONGEST_STRIP, SHORTEST_STRIP
from smelt.ir.branches import loops, predecessors
from smelt.ir.typed import Block, Branch, Function, Instruction, Jump, Value
from smelt.lowering.cutting.common_values import AXES, CommonValues, UncuttableError
from smelt.lowering.cutting.main_function import MainFunction, NoMainFunctionError
from smelt.lowering.cutting.phases import Group, Phase, cut_at
from smelt.lowering.cutting.votes import with_votes
from smelt.lowering.function import FunctionLowering, Module
from smelt.lowering.knowledge.assumptions import Assumptions
from smelt.lowering.layout import row_types
from smelt.lowering.lowered import Strip
from smelt.types import Array, Layout, Memory, Scalar, none

_MOST_VOTERS = 16
"""Of a strip whose threads wait for the last of them to leave a loop."""

_SLOT_BYTES = 512
"""Of all slots of a strip: the vector registers of most processors."""

_MOST_INSTRUCTIONS = 8000
"""Of all threads of a strip together."""

_SHORT_LOOP = 8
"""Rounds of a loop that LLVM writes out, if they are always as many."""


@dataclass
class CutKernel:
    """A kernel that was cut at its loops.

    Attributes
    ----------
    group
        What its strips do.
    calls
        What the functions may assume that it calls.
    has_votes
        Whether there are loops that threads leave one by one, see `votes`.
    """

    group: Group
    calls: dict[Instruction, Assumptions]
    has_votes: bool


def cut_at_loops(assumptions: Assumptions, typed: Callable[[Any], Function], *, has_doubles: bool) -> CutKernel | None:
    """A kernel cut where its loops go round, for threads that may assume something; None if that can't be done or brings nothing.

    `typed` gives the typed function of a callee.
    """
    try:
        main = MainFunction(assumptions, typed)
        function, has_votes = with_votes(main.function)
        heads = frozenset(loops(function.blocks))
        if all(_is_short(head, function.blocks) for head in heads):
            return None
        common = CommonValues(function, lambda _: False, heads=heads)
        if not _goes_along_rows(common):
            return None
        return CutKernel(cut_at(function, common, has_doubles=has_doubles), main.calls, has_votes)
    except (NoMainFunctionError, UncuttableError):
        return None


def _is_short(head: Block, blocks: list[Block]) -> bool:
    """Whether a loop goes round a few times only, whatever the arguments are."""
    definitions = {
        instruction.result: instruction
        for block in blocks
        for instruction in block.instructions
        if instruction.result is not None
    }
    if not isinstance(head.terminator, Branch):
        return False
    test = definitions.get(head.terminator.condition)
    if test is None or test.operation not in ("lt", "gt", "le", "ge"):
        return False
    counter, limit = test.operands
    last = definitions.get(limit)
    if counter not in head.parameters or last is None or last.operation != "constant":
        return False
    place = head.parameters.index(counter)
    firsts = [
        definitions.get(way.terminator.arguments[place])
        for way in predecessors(blocks)[head]
        if isinstance(way.terminator, Jump)
    ]
    return any(
        first is not None
        and first.operation == "constant"
        and abs(last.attributes["value"] - first.attributes["value"]) <= _SHORT_LOOP
        for first in firsts
    )


def _goes_along_rows(common: CommonValues) -> bool:
    """Whether the threads of a strip access elements of arrays that follow each other, or one and the same."""
    known = dict(common.is_common)
    is_counting: dict[Value, bool] = {}

    def counts(value: Value) -> bool:
        """Whether a value is one more for each thread than for the one before."""
        if value not in is_counting:
            is_counting[value] = False
            is_counting[value] = found(common.definitions.get(value))
        return is_counting[value]

    def is_common(value: Value) -> bool:
        if value not in known:
            # Of what only some threads compute, `common` says nothing.
            definition = common.definitions.get(value)
            known[value] = definition is not None and common.may_be_common(definition, is_common)
        return known[value]

    def found(instruction: Instruction | None) -> bool:
        match instruction:
            case Instruction(operation="thread", attributes={"quantity": "thread_position_in_grid", "axis": 0}):
                return True
            case Instruction(operation="convert", operands=(operand,)):
                return counts(operand)
            case Instruction(operation="add", operands=(one, other)):
                return (counts(one) and is_common(other)) or (is_common(one) and counts(other))
            case Instruction(operation="sub", operands=(one, other)):
                return counts(one) and is_common(other)
        return False

    for block in common.blocks:
        for instruction in block.instructions:
            if instruction.operation not in ("load", "store"):
                continue
            array, *indices = instruction.operands
            indices = indices[instruction.operation == "store" :]
            assert isinstance(array.type, Array)
            if array.type.memory is Memory.THREAD or not is_common(array) or not isinstance(array.type.element, Scalar):
                return False
            others = indices[:-1]
            if not all(map(is_common, others)):
                return False
            is_fixed = not indices or is_common(indices[-1])
            if not is_fixed and (array.type.layout is not Layout.C or not counts(indices[-1])):
                return False
    return True


def lowered_strips(module: Module, kernel: CutKernel) -> tuple[list[str], list[Strip]]:
    """The definitions of functions that run strips, and what they are called, that of the longest strips first."""
    group, texts = kernel.group, []
    for place, phase in enumerate(group.phases):
        name = f"strip.phase{place}"
        assumptions = Assumptions(phase.function, calls=kernel.calls)
        texts.append(FunctionLowering(module, phase.function, f"@{name}", assumptions).text("internal", "alwaysinline"))
        texts.append(_loop_over_threads(phase, name, has_doubles=module.has_doubles))
    strips = []
    # What is left of a row is run by shorter ones.
    for threads in sorted({_threads(kernel), SHORTEST_STRIP}, reverse=True):
        strips.append(Strip(f"strip{threads}", threads))
        texts.append(_StripLowering(module, group, strips[-1]).text("internal", "alwaysinline"))
    return texts, strips


def _threads(kernel: CutKernel) -> int:
    """How many threads a strip has, so that its slots are registers, and that it isn't too much to be written out."""
    slot_bytes = sum(_size(slot) for slot in kernel.group.slots.values())
    instructions = sum(len(block.instructions) for phase in kernel.group.phases for block in phase.function.blocks)
    threads = _MOST_VOTERS if kernel.has_votes else LONGEST_STRIP
    while threads > SHORTEST_STRIP and (
        threads * slot_bytes > _SLOT_BYTES or threads * instructions > _MOST_INSTRUCTIONS
    ):
        threads //= 2
    return threads


def _size(slot: Value) -> int:
    assert isinstance(slot.type, Array)
    assert isinstance(slot.type.element, Scalar)
    return slot.type.element.size


class _StripLowering(FunctionLowering):
    """Writes the LLVM IR of what a strip does."""

    def __init__(self, module: Module, group: Group, strip: Strip) -> None:
        # Of what the function of a group takes it needs only where it begins.
        parameters = [*group.function.parameters[: -2 * len(AXES) - 1], group.begin[0]]
        super().__init__(module, replace(group.function, parameters=parameters), f"@{strip.name}")
        self._group = group
        self._threads = strip.threads
        self._slots: dict[Value, str] = {}
        for value, slot in group.slots.items():
            self._slots[value] = self._new()
            size_bytes = self._threads * _size(slot)
            self._allocations.append(f"{self._slots[value]} = alloca [{size_bytes} x i8], align {_ALIGNMENT}")

    def _lower_run_phase(self, instruction: Instruction) -> list[str]:
        place = instruction.attributes["phase"]
        phase = self._group.phases[place]
        (begin,) = self._row(self._group.begin[0])
        end = self.emit(f"add nsw i64 {begin}, {self._threads}")
        arguments = ["ptr %state", f"i64 {begin}", f"i64 {end}"]
        for value in phase.handed:
            kinds = self._row_types(value.type)
            arguments += [f"{kind} {name}" for kind, name in zip(kinds, self._row(value), strict=True)]
        for value in phase.slots:
            arguments += [f"ptr {self._slots[value]}", f"i64 {self._threads}"]
        vote = self.emit(f"call i1 @strip.phase{place}.threads({', '.join(arguments)})")
        return [] if instruction.result is None else [vote]


_ALIGNMENT = 64
"""Of slots: that of the widest vectors."""


def _loop_over_threads(phase: Phase, name: str, *, has_doubles: bool) -> str:
    """The LLVM IR of the function that runs a phase for some threads of a row, and returns whether any of them votes for another round."""
    parameters = phase.function.parameters[1 + len(AXES) :]
    kinds = [kind for parameter in parameters for kind in row_types(parameter.type, has_doubles=has_doubles)]
    has_vote = phase.function.result is not none
    return _LOOP.format(
        name=name,
        parameters="".join(f", {kind} %a{place}" for place, kind in enumerate(kinds)),
        result="{ i32, i1 }" if has_vote else "{ i32 }",
        vote="extractvalue { i32, i1 } %returned, 1" if has_vote else "or i1 false, false",
    )


_LOOP = """\
define internal i1 @{name}.threads(ptr %state, i64 %begin, i64 %end{parameters}) alwaysinline {{
entry:
  br label %loop
loop:
  %x = phi i64 [ %begin, %entry ], [ %next_x, %loop ]
  %any = phi i1 [ false, %entry ], [ %any_now, %loop ]
  store i64 %x, ptr %state, align 8
  %number = sub i64 %x, %begin
  %returned = call {result} @{name}(ptr %state, i64 %number, i64 0, i64 0, i64 0{parameters})
  %vote = {vote}
  %any_now = or i1 %any, %vote
  %next_x = add nsw i64 %x, 1
  %more = icmp slt i64 %next_x, %end
  br i1 %more, label %loop, label %done, !llvm.loop !7
done:
  ret i1 %any_now
}}
"""
