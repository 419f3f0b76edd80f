# SPDX-License-Identifier: Apache-2.0
"""What is known of the values that a group's function hands to its phases: loop counters, above all."""

from __future__ import annotations

from dataclasses import dataclass

from smelt.ir.branches import common_dominator, in_order, loops, predecessors
from smelt.ir.typed import Block, Branch, Function, Instruction, Value
from smelt.lowering.knowledge.invariants import Invariants
from smelt.lowering.knowledge.linear import Bound, Linear
from smelt.lowering.knowledge.ranges import Ranges
from smelt.lowering.knowledge.values import Known, facts_of, is_counted


@dataclass(frozen=True, slots=True)
class Handed:
    """What an integer is, whatever the arguments of the kernel are.

    Attributes
    ----------
    is_nonnegative
        Whether it is at least 0.
    is_small
        Whether it is less than the size of an array or a grid can be, on both sides of 0.
    least, most
        Its bounds, as far as they are constants.
    exact
        What it is, if that is a constant.
    """

    is_nonnegative: bool
    is_small: bool
    least: tuple[Bound, ...]
    most: tuple[Bound, ...]
    exact: Linear | None


def handed_to_phases(
    function: Function, arguments: list[Known], invariants: Invariants
) -> dict[Instruction, dict[Value, Handed]]:
    """What is known of the operands of the instructions `run_phase` of a group's function."""
    ranges, blocks = _ranges(function, arguments, invariants)
    return {
        instruction: {value: _handed(ranges, value, block) for value in instruction.operands if is_counted(value.type)}
        for block in blocks
        for instruction in block.instructions
        if instruction.operation == "run_phase"
    }


def _ranges(function: Function, arguments: list[Known], invariants: Invariants) -> tuple[Ranges, list[Block]]:
    blocks = in_order(function.blocks[0])
    place = {block: number for number, block in enumerate(blocks)}
    before = predecessors(blocks)
    dominators: dict[Block, Block] = {}
    ranges = Ranges(blocks, function.parameters, arguments, loops(blocks), invariants)
    for block in blocks:
        earlier = [way for way in before.get(block, ()) if place[way] < place[block]]
        facts = []
        if earlier:
            dominators[block] = common_dominator(earlier, dominators, place)
        if len(earlier) == 1 and isinstance(branch := earlier[0].terminator, Branch):
            facts = facts_of(branch.condition, block is branch.then, ranges.definitions)
        ranges.enter(block, before.get(block, []), after=dominators.get(block), facts=facts)
    return ranges, blocks


def _handed(ranges: Ranges, value: Value, block: Block) -> Handed:
    sides = [
        [bound for bound in bounds if not bound.needs and not _unknown(bound, ranges.invariants)]
        for bounds in (ranges.least(value, block), ranges.most(value, block))
    ]
    least, most = (tuple(bound for bound in side if bound.linear.is_constant) for side in sides)
    is_nonnegative = any(ranges.invariants.signs.surely(bound.linear) for bound in sides[0])
    exact = ranges.exact(value)
    is_constant = exact is not None and exact.is_constant
    return Handed(is_nonnegative, bool(sides[0] and sides[1]), least, most, exact if is_constant else None)


def _unknown(bound: Bound, invariants: Invariants) -> bool:
    return any(name in invariants.unchecked for name, _ in bound.linear.terms)
