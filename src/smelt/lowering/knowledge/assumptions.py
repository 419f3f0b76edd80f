# SPDX-License-Identifier: Apache-2.0
"""What most threads of a row can assume, so that they need neither check it nor branch on it.

A kernel is lowered twice. In one of the two, indices that stay within their arrays aren't checked, and tests that nearly all threads
pass aren't made; it is run for the threads of a row for which all needs hold. What that is for is the loop over the row: without ways
out of it LLVM vectorises it. The other threads, those at an edge and those that will fail, are run by the kernel as it is written.

A need is a sum of multiples of the thread's position and of values that the row has in common. So what keeps it is an interval of
positions, and which one takes a few instructions to find out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from smelt.ir.branches import common_dominator, dominators, in_order, loops, predecessors, with_direct_branches
from smelt.ir.intrinsics import INTRINSICS, Effect
from smelt.ir.typed import Block, Branch, Function, Instruction, Jump, Return, Value
from smelt.lowering.knowledge.invariants import Invariants, parameter_rows
from smelt.lowering.knowledge.linear import POSITION, Linear, least_demanding
from smelt.lowering.knowledge.ranges import Ranges
from smelt.lowering.knowledge.values import UNKNOWN, Known, facts_of, is_counted
from smelt.types import Array

_MOST_INSTRUCTIONS = 4000
"""Of a kernel with all that it calls: it takes the time to compile it twice."""

_MOST_NEEDS = 48
_MOST_CALLS = 12
_ROUNDS = 8
"""How often a loop is taken to run, where two ways of a branch are weighed."""


@dataclass(slots=True)
class Assumptions:
    """What one function, called from one place, may assume.

    Attributes
    ----------
    function
        The function, with branches that go straight to where they lead.
    inside
        Indices that are within their arrays: whether they count from the end, as those below 0 do.
    holding
        Checks that hold.
    ways
        Blocks whose branch goes to one block only.
    calls
        What called functions may assume.
    """

    function: Function
    inside: dict[Instruction, bool] = field(default_factory=dict)
    holding: set[Instruction] = field(default_factory=set)
    ways: dict[Block, Block] = field(default_factory=dict)
    calls: dict[Instruction, Assumptions] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.inside or self.holding or self.ways or any(self.calls.values()))


class Row:
    """What a row of threads of a kernel can assume.

    Attributes
    ----------
    assumptions
        Of the kernel; None if there is nothing to be assumed.
    needs
        What has to be at least 0 for that, in terms of `invariants`.
    guards
        Those of them without which a thread does nothing at all.
    """

    def __init__(self, typed: Callable[[Any], Function | None], invariants: Invariants, *, is_checked: bool) -> None:
        self.invariants = invariants
        self.assumptions: Assumptions | None = None
        self.needs: dict[Linear, None] = {}
        self.guards: dict[Linear, None] = {}
        self.is_checked = is_checked
        self._typed = typed
        self._remaining = _MOST_INSTRUCTIONS
        self._calls: list[Any] = []

    def assume(self, function: Function, arguments: list[Known]) -> None:
        """Find what a function may assume that each thread runs, given what is known of its arguments."""
        self._remaining -= _size(function)
        if self._remaining < 0:
            return
        found = _Walk(self, with_direct_branches(function), arguments, is_kernel=True).assumptions
        if found and self._remaining >= 0 and len(self.needs) <= _MOST_NEEDS:
            self.assumptions = found

    @property
    def is_limited(self) -> bool:
        """Whether it may be that not all threads of a row keep all needs."""
        return bool(self.needs or self.invariants.unchecked)

    @property
    def is_same_for_all_rows(self) -> bool:
        """Whether no need depends on which row it is."""
        names = {name for need in self.needs for name, _ in need.terms} | self.invariants.unchecked.keys()
        return names.isdisjoint(self.invariants.varying)

    @property
    def deciding_rows(self) -> tuple[bool, bool]:
        """Whether all rows of a plane keep all needs if its first one does, and its last one: which of the two must be looked at.

        Neither if needs don't depend on which row it is, or in another way than as sums of multiples of its position.
        """
        names = {name for need in self.needs for name, _ in need.terms} | self.invariants.unchecked.keys()
        of_rows = self.invariants.of_rows
        if not names & self.invariants.varying <= of_rows:
            return False, False
        factors = [factor for need in self.needs for name, factor in need.terms if name in of_rows]
        return any(factor > 0 for factor in factors), any(factor < 0 for factor in factors)

    def called(self, code: Any, arguments: list[Known]) -> tuple[Assumptions | None, Known]:
        """What a function may assume where it is called with these arguments, and what is known of its result."""
        function = self._typed(code)
        if function is None:
            return None, UNKNOWN
        self._remaining -= _size(function)
        if code in self._calls or len(self._calls) > _MOST_CALLS or self._remaining < 0:
            return None, UNKNOWN
        self._calls.append(code)
        walk = _Walk(self, with_direct_branches(function), arguments, is_kernel=False)
        self._calls.pop()
        return walk.assumptions, walk.result

    def need(self, needs: Iterable[Linear]) -> None:
        """Rely on these to be at least 0."""
        self.needs.update(dict.fromkeys(sorted(needs, key=str)))

    def is_kept_by_parts(self, needs: Iterable[Linear]) -> bool:
        """Whether only some threads of each row keep these needs, wherever the group is: what whole groups can't rely on."""
        begin = self.invariants.begin
        return begin is not None and any(need.factor(POSITION) and not need.factor(begin) for need in needs)

    def guard(self, needs: Iterable[Linear]) -> None:
        """Rely on nothing happening where one of these is negative."""
        self.guards.update(dict.fromkeys(need for need in needs if need in self.needs and need.factor(POSITION)))


class _Walk:
    """One function, block by block in order, and what is decided of it."""

    def __init__(self, row: Row, function: Function, arguments: list[Known], *, is_kernel: bool) -> None:
        self.row = row
        self._is_kernel = is_kernel
        self.assumptions = Assumptions(function)
        self.result = UNKNOWN
        blocks = in_order(function.blocks[0])
        self._loops = loops(blocks)
        self._place = {block: number for number, block in enumerate(blocks)}
        self._before = predecessors(blocks)
        self._weights = self._weigh(blocks)
        self._dominators: dict[Block, Block] = {}
        # The blocks before whose end nothing can have happened that is seen from outside.
        self._quiet: set[Block] = set()
        self._ranges = Ranges(blocks, function.parameters, arguments, self._loops, row.invariants)
        results: list[tuple[Value | None, Block]] = []
        for block in blocks:
            if not self._enter(block):
                continue
            for instruction in block.instructions:
                self._instruction(instruction, block)
            if self._is_quiet(block):
                self._quiet.add(block)
            if isinstance(block.terminator, Branch):
                self._branch(block, block.terminator)
            elif isinstance(block.terminator, Return):
                results.append((block.terminator.value, block))
        if len(results) == 1 and results[0][0] is not None:
            self.result = self._ranges.known(results[0][0], results[0][1])

    def _weigh(self, blocks: list[Block]) -> dict[Block, int]:
        """How much is run in all blocks that are only reached through a block."""
        weights = {
            block: (len(block.instructions) + 1) * _ROUNDS ** sum(block in body for body in self._loops.values())
            for block in blocks
        }
        above = dominators(blocks)
        for block in reversed(blocks):
            if block in above:
                weights[above[block]] += weights[block]
        return weights

    def _enter(self, block: Block) -> bool:
        """Whether anything comes to a block. If so it is begun."""
        place = self._place[block]
        ways = [way for way in self._before.get(block, ()) if self._place[way] >= place or self._leads(way, block)]
        earlier = [way for way in ways if self._place[way] < place]
        if place and not earlier:
            return False
        facts = []
        if earlier:
            self._dominators[block] = common_dominator(earlier, self._dominators, self._place)
        if (
            len(earlier) == 1
            and isinstance(branch := earlier[0].terminator, Branch)
            and branch.then is not branch.otherwise
        ):
            facts = facts_of(branch.condition, block is branch.then, self._ranges.definitions)
        self._ranges.enter(block, ways, after=self._dominators.get(block), facts=facts)
        return True

    def _leads(self, way: Block, block: Block) -> bool:
        return self._ranges.has_entered(way) and self.assumptions.ways.get(way, block) is block

    def _instruction(self, instruction: Instruction, block: Block) -> None:
        match instruction.operation:
            case "index":
                self._index(instruction, block)
            case "check":
                needs = self._holds(instruction.operands[0], block, truth=True)
                if needs is not None:
                    self.row.need(needs)
                    self.assumptions.holding.add(instruction)
            case "call":
                arguments = [self._ranges.known(operand, block) for operand in instruction.operands]
                assumptions, result = self.row.called(instruction.attributes["callee"], arguments)
                if assumptions is not None:
                    self.assumptions.calls[instruction] = assumptions
                if instruction.result is not None:
                    self._ranges.results[instruction.result] = result

    def _index(self, instruction: Instruction, block: Block) -> None:
        array, index = instruction.operands
        extent = self._ranges.extents(array)[instruction.attributes["dimension"]]
        exact = self._ranges.exact(index)
        is_from_end = exact is not None and exact.is_constant and exact.constant < 0
        is_checked = self.row.is_checked and instruction.attributes["checked"]
        if extent is None and (is_checked or is_from_end):
            return
        signs = self.row.invariants.signs
        if is_from_end:
            assert exact is not None
            assert extent is not None
            found = signs.open((extent.plus(exact),)) if is_checked else frozenset[Linear]()
            limits: frozenset[Linear] | None = frozenset()
        else:
            found = self._least_demanding(
                needs
                for bound in self._ranges.least(index, block)
                if (needs := signs.open((bound.linear, *bound.needs))) is not None
            )
            limits = frozenset()
            if is_checked:
                assert extent is not None
                limits = self._least_demanding(
                    needs
                    for bound in self._ranges.most(index, block)
                    if (needs := signs.open((extent.minus(bound.linear).moved(-1), *bound.needs))) is not None
                )
        if found is not None and limits is not None:
            self.row.need(found | limits)
            self.assumptions.inside[instruction] = is_from_end

    def _branch(self, block: Block, branch: Branch) -> None:
        """Decide whether a branch goes one way only."""
        then, otherwise = branch.then, branch.otherwise
        if then is otherwise or self._leaves_loop(block, branch) or self._ranges.row(branch.condition) is not None:
            # What is the same for the whole row LLVM tests once for all threads.
            return
        for truth, target in ((True, then), (False, otherwise)):
            if self._holds(branch.condition, block, truth=truth) == frozenset():
                self.assumptions.ways[block] = target
                return
        weight, other_weight = (self._weights[way] if self._before[way] == [block] else 0 for way in (then, otherwise))
        truth = weight >= other_weight
        if min(weight, other_weight) * 4 > max(weight, other_weight):
            return
        needs = self._holds(branch.condition, block, truth=truth)
        if needs is None:
            return
        is_guard = block in self._quiet and _does_nothing(otherwise if truth else then)
        guards = self._exactly(branch.condition, truth=truth) if is_guard else []
        if self.row.is_kept_by_parts(needs.difference(guards)):
            return
        self.row.need(needs)
        self.assumptions.ways[block] = then if truth else otherwise
        self.row.guard(guards)

    def _least_demanding(self, candidates: Iterable[frozenset[Linear]]) -> frozenset[Linear] | None:
        return least_demanding(candidates, self.row.invariants.varying)

    def _is_quiet(self, block: Block) -> bool:
        """Whether nothing can have happened at the end of a block of the kernel that is seen from outside."""
        if not self._is_kernel or any(way not in self._quiet for way in self._before.get(block, ())):
            return False
        return all(
            INTRINSICS[instruction.operation].effect in (Effect.NONE, Effect.READS)
            or instruction in self.assumptions.holding
            or instruction in self.assumptions.inside
            for instruction in block.instructions
        )

    def _exactly(self, condition: Value, *, truth: bool) -> list[Linear]:
        """Sums that are all at least 0 if a condition is true, or false."""
        found = []
        for first, _, second, distance in facts_of(condition, truth, self._ranges.definitions):
            one, other = self._ranges.exact(first), self._ranges.exact(second)
            if one is not None and other is not None:
                found.append(other.minus(one).moved(distance))
        return found

    def _leaves_loop(self, block: Block, branch: Branch) -> bool:
        return any(
            block in body and (branch.then not in body or branch.otherwise not in body) for body in self._loops.values()
        )

    def _holds(self, condition: Value, block: Block, *, truth: bool) -> frozenset[Linear] | None:
        """What a condition needs to be true, or false, for all threads; None if that isn't known."""
        definition = self._ranges.definitions.get(condition)
        if definition is None:
            return None
        operation, operands = definition.operation, definition.operands
        if operation == "constant":
            return frozenset() if bool(definition.attributes["value"]) is truth else None
        if operation == "not":
            return self._holds(operands[0], block, truth=not truth)
        if operation in ("and", "or"):
            both = [self._holds(operand, block, truth=truth) for operand in operands]
            if (operation == "and") == truth:
                return None if both[0] is None or both[1] is None else both[0] | both[1]
            return self._least_demanding(needs for needs in both if needs is not None)
        if operation in ("eq", "ne") and is_counted(operands[0].type) and (operation == "ne") == truth:
            return self._differ(operands[0], operands[1], block)
        facts = facts_of(condition, truth, self._ranges.definitions)
        needs = [self._at_most(first, second, distance, block) for first, _, second, distance in facts]
        return frozenset[Linear]().union(*needs) if needs and None not in needs else None  # type: ignore[arg-type]

    def _at_most(self, first: Value, second: Value, distance: int, block: Block) -> frozenset[Linear] | None:
        """What `first <= second + distance` needs."""
        pairs = product(self._ranges.most(first, block), self._ranges.least(second, block))
        found = []
        for most, least in pairs:
            gap = least.linear.minus(most.linear).moved(distance)
            needs = self.row.invariants.signs.open((gap, *most.needs, *least.needs))
            if needs is not None:
                found.append(needs)
        return self._least_demanding(found)

    def _differ(self, first: Value, second: Value, block: Block) -> frozenset[Linear] | None:
        """What `first != second` needs: that it is more, or that it is less."""
        size = self._ranges.definitions.get(first)
        if size is not None and size.attributes.get("quantity") == "threads_per_threadgroup":
            # Groups have threads, so what divides by their size doesn't divide by 0.
            exact = self._ranges.exact(second)
            return frozenset() if exact is not None and exact.is_constant and exact.constant <= 0 else None
        both = (self._at_most(first, second, -1, block), self._at_most(second, first, -1, block))
        return self._least_demanding(needs for needs in both if needs is not None)


def _does_nothing(block: Block) -> bool:
    """Whether from a block on there is nothing but the end."""
    seen = set()
    while block not in seen and all(INTRINSICS[one.operation].effect is Effect.NONE for one in block.instructions):
        if not isinstance(block.terminator, Jump):
            return isinstance(block.terminator, Return)
        seen.add(block)
        block = block.terminator.target
    return False


def _size(function: Function) -> int:
    return sum(len(block.instructions) for block in function.blocks)


def kernel_arguments(kernel: Function, invariants: Invariants) -> list[Known]:
    """What is known of the arguments of a kernel: they are the same for all threads."""
    rows = parameter_rows(kernel.parameters, has_doubles=invariants.has_doubles)
    return [_argument(parameter, names, invariants) for parameter, names in zip(kernel.parameters, rows, strict=True)]


def _argument(parameter: Value, names: tuple[str, ...], invariants: Invariants) -> Known:
    kind = parameter.type
    if isinstance(kind, Array):
        return Known(extents=tuple(map(invariants.extent, names[1 : 1 + kind.dimensions])), row=names)
    return Known(row=names)
