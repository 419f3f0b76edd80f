# SPDX-License-Identifier: Apache-2.0
"""A kernel as threads run it that may assume something (see `knowledge.assumptions`), as one typed function.

Checks that hold are left out, so are branches that go one way only, and called functions that have loops or access memory are a part of it.
What is called by it still computes, and does nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from smelt.ir.branches import in_order
from smelt.ir.intrinsics import INTRINSICS, Effect
from smelt.ir.loops import has_loop
from smelt.ir.typed import Block, Branch, Fail, Function, Instruction, Jump, Return, Role, Terminator, Value, successors
from smelt.lowering.knowledge.assumptions import Assumptions
from smelt.types import weak_int

_MOST_INSTRUCTIONS = 1000
"""Of the function with what became a part of it."""


class NoMainFunctionError(Exception):
    """A kernel whose threads may fail, whatever they assume, or do something else than compute, read and write."""


class MainFunction:
    """A kernel as one function.

    Attributes
    ----------
    function
        It. Its parameters are the kernel's.
    calls
        What the functions may assume that it calls.

    Raises `NoMainFunctionError`.
    """

    def __init__(self, assumptions: Assumptions, typed: Callable[[Any], Function]) -> None:
        self.calls: dict[Instruction, Assumptions] = {}
        self._typed = typed
        self._is_part: dict[Any, bool] = {}
        self._remaining = _MOST_INSTRUCTIONS
        self._blocks: list[Block] = []
        kernel = assumptions.function
        self._copied(assumptions, {value: value for value in kernel.parameters}, None)
        self.function = replace(kernel, blocks=in_order(self._blocks[0]))

    def _copied(self, assumptions: Assumptions, values: dict[Value, Value], behind: Block | None) -> Block:
        """Write out a function, given what its parameters are: where it begins. It ends, or goes on `behind` with its result."""
        blocks = in_order(assumptions.function.blocks[0], lambda block: _ways(block, assumptions))
        copies = {block: Block(block.name, [_named(value, values) for value in block.parameters]) for block in blocks}
        for block, copy in copies.items():
            self._blocks.append(copy)
            end = copy
            for instruction in block.instructions:
                end = self._written(instruction, assumptions, values, end)
            end.terminator = _terminator(block, assumptions, values, copies, behind)
        return copies[blocks[0]]

    def _written(
        self, instruction: Instruction, assumptions: Assumptions, values: dict[Value, Value], block: Block
    ) -> Block:
        """Write out an instruction at the end of a block: where it goes on behind it."""
        self._remaining -= 1
        if self._remaining < 0:
            raise NoMainFunctionError
        if instruction in assumptions.holding:
            return block
        operands = tuple(values[operand] for operand in instruction.operands)
        if instruction in assumptions.inside:
            block.instructions += _index(instruction, operands, values, is_from_end=assumptions.inside[instruction])
            return block
        if instruction.operation == "call":
            return self._called(instruction, operands, assumptions, values, block)
        if INTRINSICS[instruction.operation].effect not in _ALLOWED or instruction.operation in _SEPARATE:
            raise NoMainFunctionError
        block.instructions.append(_copy_of(instruction, operands, values))
        return block

    def _called(
        self,
        instruction: Instruction,
        operands: tuple[Value, ...],
        assumptions: Assumptions,
        values: dict[Value, Value],
        block: Block,
    ) -> Block:
        code = instruction.attributes["callee"]
        callee = self._typed(code)
        known = assumptions.calls.get(instruction)
        if not self._becomes_part(code):
            if not self._only_computes(callee, known):
                raise NoMainFunctionError
            block.instructions.append(_copy_of(instruction, operands, values))
            if known is not None:
                self.calls[block.instructions[-1]] = known
            return block
        behind = Block("behind", [] if instruction.result is None else [_named(instruction.result, values)])
        known = known or Assumptions(callee)
        block.terminator = Jump(self._copied(known, dict(zip(callee.parameters, operands, strict=True)), behind))
        self._blocks.append(behind)
        return behind

    def _becomes_part(self, code: Any) -> bool:
        """Whether a function has loops or accesses memory, itself or in what it calls."""
        if code not in self._is_part:
            # Functions that call each other are written out until there are too many instructions.
            self._is_part[code] = True
            function = self._typed(code)
            self._is_part[code] = function.role is Role.ORDINARY and (
                has_loop(function)
                or any(
                    self._becomes_part(instruction.attributes["callee"])
                    if instruction.operation == "call"
                    else INTRINSICS[instruction.operation].effect in (Effect.READS, Effect.WRITES)
                    for block in function.blocks
                    for instruction in block.instructions
                )
            )
        return self._is_part[code]

    def _only_computes(self, function: Function, known: Assumptions | None) -> bool:
        """Whether a function can't fail and does nothing but compute, and LLVM can make vectors of it."""
        if function.role is Role.RARE:
            return True
        if has_loop(function):
            return False
        known = known or Assumptions(function)
        for block in function.blocks:
            if isinstance(block.terminator, Fail):
                return False
            for instruction in block.instructions:
                if instruction.operation == "call":
                    callee = self._typed(instruction.attributes["callee"])
                    if not self._only_computes(callee, known.calls.get(instruction)):
                        return False
                    continue
                effect = INTRINSICS[instruction.operation].effect
                # Elementary functions take items of tables, at places that are there.
                holds = function.role is Role.ELEMENTARY or instruction in known.holding or instruction in known.inside
                if effect is not Effect.NONE and not (effect is Effect.MAY_FAIL and holds):
                    return False
        return True


_ALLOWED = (Effect.NONE, Effect.READS, Effect.WRITES)
_SEPARATE = ("atomic", "atomic_compare_exchange", "thread_array")
"""Operations of which LLVM makes no vectors."""


def _ways(block: Block, assumptions: Assumptions) -> tuple[Block, ...]:
    """The blocks that may follow."""
    return (assumptions.ways[block],) if block in assumptions.ways else successors(block)


def _named(value: Value, values: dict[Value, Value]) -> Value:
    """What stands for a value where its function is written out."""
    values[value] = Value(value.type, value.name)
    return values[value]


def _copy_of(instruction: Instruction, operands: tuple[Value, ...], values: dict[Value, Value]) -> Instruction:
    result = None if instruction.result is None else _named(instruction.result, values)
    return Instruction(instruction.operation, operands, instruction.attributes, result, instruction.position)


def _index(
    instruction: Instruction, operands: tuple[Value, ...], values: dict[Value, Value], *, is_from_end: bool
) -> list[Instruction]:
    """An index that is known to be inside of its array."""
    assert instruction.result is not None
    array, index = operands
    given, position = _named(instruction.result, values), instruction.position
    if not is_from_end:
        return [Instruction("convert", (index,), {}, given, position)]
    counted, extent = Value(weak_int), Value(weak_int)
    return [
        Instruction("convert", (index,), {}, counted, position),
        Instruction("extent", (array,), {"dimension": instruction.attributes["dimension"]}, extent, position),
        Instruction("add", (counted, extent), {}, given, position),
    ]


def _terminator(
    block: Block,
    assumptions: Assumptions,
    values: dict[Value, Value],
    copies: dict[Block, Block],
    behind: Block | None,
) -> Terminator:
    match block.terminator:
        case Jump(target=target, arguments=arguments):
            return Jump(copies[target], tuple(values[argument] for argument in arguments))
        case Branch() if block in assumptions.ways:
            return Jump(copies[assumptions.ways[block]])
        case Branch(condition=condition, then=then, otherwise=otherwise):
            return Branch(values[condition], copies[then], copies[otherwise])
        case Return(value=value) if behind is not None:
            return Jump(behind, () if value is None else (values[value],))
        case Return():
            return Return(None)
    raise NoMainFunctionError
