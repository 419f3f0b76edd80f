# SPDX-License-Identifier: Apache-2.0
"""What the threads of a group have in common: which way they take from barrier to barrier, and which values are the same for all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from smelt.ir.branches import between, in_order, meeting_points, predecessors
from smelt.ir.intrinsics import INTRINSICS, Effect
from smelt.ir.typed import Block, Branch, Fail, Function, Instruction, Jump, Value
from smelt.types import weak_int

AXES = range(3)


class UncuttableError(Exception):
    """A kernel whose threads may take different ways to their barriers."""


class CommonValues:
    """What the threads of a group have in common; or, with the blocks that loops begin with, those of a part of a row.

    The threads of a group go together from barrier to barrier. Those of a part of a row, which follow each other on the x axis, also go
    together through the loops that begin at `heads`.

    Attributes
    ----------
    blocks
        The blocks of the kernel, in order.
    before
        Those that lead to each.
    definitions
        The instructions that compute values.
    position, begin, size
        Stand for the position of a thread in its group, for that of the group's first thread in the grid, and for how many threads the
        group has, on each axis.
    inner
        Blocks between whose beginning and end no thread waits, and that threads may or may not come to.
    branching
        The blocks that others of `inner` depend on.
    is_common
        Whether a value is the same for all threads, of those of other blocks.
    replaced
        Instructions that compute values more directly than the kernel does.

    Raises `UncuttableError` if it depends on the thread which barriers it comes to, and for simdgroups and barriers in called functions.
    """

    def __init__(
        self, kernel: Function, waits: Callable[[Any], bool], *, heads: frozenset[Block] = frozenset()
    ) -> None:
        self.blocks = in_order(kernel.blocks[0])
        self.before = predecessors(self.blocks)
        self.definitions = {
            instruction.result: instruction
            for block in self.blocks
            for instruction in block.instructions
            if instruction.result is not None
        }
        self.position = tuple(Value(weak_int) for _ in AXES)
        self.begin = tuple(Value(weak_int) for _ in AXES)
        self.size = tuple(Value(weak_int) for _ in AXES)
        self.inner: set[Block] = set()
        self.branching: set[Block] = set()
        self.is_common: dict[Value, bool] = {}
        self.replaced: dict[Value, Instruction] = {}
        self._kernel = kernel
        self._waits = waits
        self._heads = heads
        self._find_inner_blocks()
        self._find_patterns()
        self._decide_common()

    def _find_inner_blocks(self) -> None:
        waiting = {block for block in self.blocks if any(map(is_barrier, block.instructions))} | self._heads
        for block in self.blocks:
            for instruction in block.instructions:
                effect = INTRINSICS[instruction.operation].effect
                is_threadgroup_barrier = is_barrier(instruction) and instruction.attributes["scope"] == "threadgroup"
                if effect is Effect.WAITS and not is_threadgroup_barrier and not is_vote(instruction):
                    raise UncuttableError
                if instruction.operation == "call" and self._waits(instruction.attributes["callee"]):
                    raise UncuttableError
        meets = meeting_points(self.blocks)
        for block in self.blocks:
            if not isinstance(block.terminator, Branch):
                continue
            if block not in meets:
                raise UncuttableError
            inner = between(block, meets[block])
            if not inner & waiting:
                self.inner |= inner
                self.branching.add(block)

    def _find_patterns(self) -> None:
        """Find how kernels compute what the group's function knows: a thread's position in its group, and the group's."""
        for value, instruction in self.definitions.items():
            axis = self._axis_of(instruction)
            if axis is None or self._heads:
                continue
            if instruction.operation == "mod":
                self.replaced[value] = _same(instruction, self.position[axis])
            elif instruction.operation == "floordiv":
                operands = (self.begin[axis], instruction.operands[1])
                self.replaced[value] = Instruction("floordiv", operands, {}, value, instruction.position)
            elif instruction.operation == "sub":
                self.replaced[value] = _same(instruction, self.begin[axis])
            else:
                self.replaced[value] = _same(instruction, self.size[axis])

    def _axis_of(self, instruction: Instruction) -> int | None:
        """The axis of a position that is divided by the size of a group, or from which what remains of that is subtracted.

        Or that of the size of a group that ends where the grid does, if not before: the least of two sizes.
        """
        if instruction.operation not in ("mod", "floordiv", "sub", "min"):
            return None
        first, second = (self.definitions.get(operand) for operand in instruction.operands)
        if first is None or second is None:
            return None
        if instruction.operation == "min":
            return self._axis_of_size(first, second)
        if not _is_quantity(first, "thread_position_in_grid"):
            return None
        axis: int = first.attributes["axis"]
        if instruction.operation == "sub":
            return axis if second.operation == "mod" and self._axis_of(second) == axis else None
        return axis if _is_quantity(second, "threads_per_threadgroup") and second.attributes["axis"] == axis else None

    def _axis_of_size(self, group: Instruction, left: Instruction) -> int | None:
        """The axis on which `group` is the size of a group, if `left` is how much of the grid there is from the group's begin on."""
        if not _is_quantity(group, "threads_per_threadgroup") or left.operation != "sub":
            return None
        axis: int = group.attributes["axis"]
        grid, begin = (self.definitions.get(operand) for operand in left.operands)
        is_of_grid = grid is not None and _is_quantity(grid, "threads_per_grid") and grid.attributes["axis"] == axis
        is_begin = begin is not None and begin.operation == "sub" and self._axis_of(begin) == axis
        return axis if is_of_grid and is_begin else None

    def _decide_common(self) -> None:
        """Decide which values the group's function computes: all those that can be the same for all threads, and are needed."""
        common = dict.fromkeys((*self._kernel.parameters, *self.begin, *self.size), True)
        outer = [block for block in self.blocks if block not in self.inner]
        for block in outer:
            for value in block.parameters:
                common[value] = not any(way in self.inner or way in self.branching for way in self.before[block])
            for instruction in block.instructions:
                if instruction.result is not None:
                    common[instruction.result] = True
        # What turns out to differ makes what is computed of it differ, too.
        has_changed = True
        while has_changed:
            has_changed = False
            for block in outer:
                found = [
                    (instruction.result, self.may_be_common(instruction, lambda value: common.get(value, False)))
                    for instruction in block.instructions
                    if instruction.result is not None
                ]
                for place, value in enumerate(block.parameters):
                    arguments = [_handed(way, block, place) for way in self.before[block]]
                    found.append((value, all(common.get(argument, False) for argument in arguments)))
                for value, is_common in found:
                    if common[value] and not is_common:
                        common[value] = False
                        has_changed = True
        self.is_common = common
        for block in outer:
            terminator = block.terminator
            if (
                isinstance(terminator, Branch)
                and block not in self.branching
                and not common.get(terminator.condition, False)
            ):
                raise UncuttableError
            if isinstance(terminator, Fail):
                raise UncuttableError

    def may_be_common(self, instruction: Instruction, is_common: Callable[[Value], bool]) -> bool:
        """Whether an instruction computes the same for all threads, given whether other values are the same."""
        assert instruction.result is not None
        instruction = self.replaced.get(instruction.result, instruction)
        if instruction.operation == "threadgroup_array" or is_vote(instruction):
            # Each place in a kernel is one array.
            return True
        if instruction.operation == "thread":
            is_of_row = bool(self._heads) and instruction.attributes["axis"] > 0
            return is_of_row or not _is_quantity(instruction, "thread_position_in_grid")
        return self.is_repeatable(instruction) and all(map(is_common, instruction.operands))

    def is_repeatable(self, instruction: Instruction) -> bool:
        """Whether an instruction can be run where it is not written, and more than once."""
        if INTRINSICS[instruction.operation].effect is not Effect.NONE or instruction.operation == "thread_array":
            return False
        if instruction.operation in ("floordiv", "mod"):
            # LLVM knows no quotient by 0.
            divisor = self.definitions.get(instruction.operands[1])
            return divisor is not None and _is_never_zero(divisor)
        return instruction.operation != "threadgroup_array"

    def always_holds(self, instruction: Instruction) -> bool:
        """Whether an instruction checks that what something is divided by is not 0, and that is known."""
        if instruction.operation != "check":
            return False
        test = self.definitions.get(instruction.operands[0])
        if test is None or test.operation != "ne":
            return False
        divisor = self.definitions.get(test.operands[0])
        return divisor is not None and _is_never_zero(divisor)


def is_barrier(instruction: Instruction) -> bool:
    return instruction.operation == "barrier"


def is_vote(instruction: Instruction) -> bool:
    return instruction.operation == "any_thread"


def _is_quantity(instruction: Instruction, name: str) -> bool:
    return instruction.operation == "thread" and bool(instruction.attributes["quantity"] == name)


def _is_never_zero(instruction: Instruction) -> bool:
    if instruction.operation == "constant":
        return bool(instruction.attributes["value"])
    return _is_quantity(instruction, "threads_per_threadgroup")


def _same(instruction: Instruction, value: Value) -> Instruction:
    """An instruction that computes what another one does by taking a value that is known to be that."""
    return Instruction("convert", (value,), {}, instruction.result, instruction.position)


def _handed(way: Block, block: Block, place: int) -> Value:
    assert isinstance(way.terminator, Jump)
    assert way.terminator.target is block
    return way.terminator.arguments[place]
