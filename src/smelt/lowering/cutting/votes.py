# SPDX-License-Identifier: Apache-2.0
"""Loops that each thread leaves when it likes, as loops that threads go through together.

All threads go round until none takes part any more: at the end of a round they vote, by the operation `any_thread`. A thread that has left
goes round without doing anything. What will be asked of it behind the loop is kept for it, and where it goes on.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from smelt.ir.branches import between, dominators, in_order, loops, meeting_points, predecessors
from smelt.ir.intrinsics import INTRINSICS, Effect
from smelt.ir.positions import Position
from smelt.ir.typed import Block, Branch, Function, Instruction, Jump, Return, Value, successors
from smelt.lowering.cutting.common_values import UncuttableError
from smelt.types import Scalar, Type, Weak, boolean, weak_int


def with_votes(function: Function) -> tuple[Function, bool]:
    """The function with votes in all loops that some threads of a row may leave before others, and whether there are any.

    Its blocks may be changed. Raises `UncuttableError` for loops in which that can't be done.
    """
    _tidy(function.blocks[0])
    blocks = in_order(function.blocks[0])
    bodies = loops(blocks)
    varying = _varying_branches(blocks)
    leaving = [
        head
        for head, body in bodies.items()
        if any(block in varying and not body.issuperset(successors(block)) for block in body)
    ]
    if any(head is not other and head in bodies[other] for head in leaving for other in leaving):
        # Threads would vote in a loop that only some of them are in.
        raise UncuttableError
    for head in leaving:
        _Voting(in_order(function.blocks[0]), head, bodies[head])
    return replace(function, blocks=in_order(function.blocks[0])), bool(leaving)


def _varying_branches(blocks: list[Block]) -> set[Block]:
    """The blocks whose branches may lead threads of one row different ways."""
    meets = meeting_points(blocks)
    varying: set[Value] = set()
    found: set[Block] = set()
    count = -1
    while count < len(varying) + len(found):
        count = len(varying) + len(found)
        for block in blocks:
            for instruction in block.instructions:
                if instruction.result is not None and _varies(instruction, varying):
                    varying.add(instruction.result)
            match block.terminator:
                case Jump(target=target, arguments=arguments):
                    pairs = zip(target.parameters, arguments, strict=True)
                    varying.update(value for value, given in pairs if given in varying)
                case Branch(condition=condition) if condition in varying:
                    if block not in meets:
                        raise UncuttableError
                    found.add(block)
                    meet = meets[block]
                    for member in between(block, meet) | ({meet} if meet is not None else set()):
                        varying.update(member.parameters)
    return found


def _varies(instruction: Instruction, varying: set[Value]) -> bool:
    if instruction.operation == "thread":
        axis: int = instruction.attributes["axis"]
        return bool(instruction.attributes["quantity"] == "thread_position_in_grid") and axis == 0
    is_pure = INTRINSICS[instruction.operation].effect in (Effect.NONE, Effect.CALLS)
    return not is_pure or not varying.isdisjoint(instruction.operands)


class _Voting:
    """Puts votes into one loop.

    The block that the loop begins with stays, and decides from now on whether there is another round. Threads that have left keep its
    parameters as they were. If nothing is written in the loop, they find out each round anew that they leave; else a parameter is added
    that says whether they take part. Others are the number of the way that a thread left by, if there are several, what else of it is
    asked for behind the loop, and whether any thread takes part.
    """

    def __init__(self, blocks: list[Block], head: Block, body: set[Block]) -> None:
        self._entry = blocks[0]
        own = tuple(head.parameters)
        # In the order of the blocks, not of the set.
        inside = [block for block in blocks if block in body]
        outside = [block for block in blocks if block not in body]
        self._ways = list(dict.fromkeys(way for block in inside for way in successors(block) if way not in body))
        before = predecessors(blocks)
        if not all(body.issuperset(before[way]) for way in self._ways):
            raise UncuttableError
        kept = self._kept_values(inside, outside, own)
        is_replayed = len(self._ways) == 1 and not kept and not any(map(_writes, inside))
        yes, no, *numbers = (
            self._constant(boolean, True),
            self._constant(boolean, False),
            *(self._constant(weak_int, number) for number in range(len(self._ways))),
        )
        nothing = [self._constant(value.type, _zero(value.type)) for value in kept]
        active, going, vote = Value(boolean), Value(boolean), Value(boolean)
        self._way = [Value(weak_int)] if len(self._ways) > 1 else []
        more = () if is_replayed else (active, *self._way, *kept.values())

        last = Block("votes", [Value(value.type) for value in (*own, active, *more[1:])])
        last.instructions.append(Instruction("any_thread", (last.parameters[len(own)],), {}, vote, _NOWHERE))
        last.terminator = Jump(head, (*last.parameters[: len(own) + len(more)], vote))

        # One block for all ways that keep the same: so LLVM chooses once between what was and what is computed.
        leaves: dict[tuple[Value, ...], Block] = {}

        def leaving(*rest: Value) -> Block:
            if rest not in leaves:
                leaves[rest] = Block("left", [], [], Jump(last, (*own, no, *rest)))
            return leaves[rest]

        first = Block("round", [], head.instructions, head.terminator)
        above = dominators(blocks)
        homes = {value: block for block in inside for value in _defined(block)}
        for block in (first, *(member for member in inside if member is not head)):
            place = head if block is first else block
            here = [value if _is_above(homes[value], place, above) else old for value, old in kept.items()]
            match block.terminator:
                case Jump(target=target, arguments=arguments) if target is head:
                    block.terminator = Jump(last, (*arguments, yes, *numbers[: len(self._way)], *kept.values()))
                case Branch(condition=condition, then=then, otherwise=otherwise):
                    ways = (
                        way if way in body else leaving(*numbers[self._ways.index(way) :][: len(self._way)], *here)
                        for way in (then, otherwise)
                    )
                    block.terminator = Branch(condition, *ways)
        for block in outside:
            if isinstance(block.terminator, Jump) and block.terminator.target is head:
                rest = () if is_replayed else (yes, *numbers[: len(self._way)], *nothing)
                block.terminator = Jump(head, (*block.terminator.arguments, *rest, yes))
            _rename(block, kept)
        if not is_replayed:
            first = Block("asks", [], [], Branch(active, first, leaving(*self._way, *kept.values())))
        head.parameters = [*own, *more, going]
        head.instructions = []
        head.terminator = Branch(going, first, self._behind(numbers))

    def _kept_values(self, inside: list[Block], outside: list[Block], own: tuple[Value, ...]) -> dict[Value, Value]:
        """What is computed in the loop and asked for behind it, and what it is behind it."""
        used = {value for block in outside for value in _used(block)}
        return {
            value: Value(value.type)
            for block in inside
            for value in _defined(block)
            if value in used and value not in own
        }

    def _constant(self, kind: Type, number: Any) -> Value:
        value = Value(kind)
        self._entry.instructions.insert(0, Instruction("constant", (), {"value": number}, value, _NOWHERE))
        return value

    def _behind(self, numbers: list[Value]) -> Block:
        """Where threads go on behind the loop: each where it left."""
        following = self._ways[-1]
        for way, number in zip(self._ways[-2::-1], numbers[-2::-1], strict=True):
            chosen = Value(boolean)
            test = Instruction("eq", (self._way[0], number), {}, chosen, _NOWHERE)
            following = Block("behind", [], [test], Branch(chosen, way, following))
        return following


def _tidy(entry: Block) -> None:
    """Leave out what is handed to blocks and never used, and blocks in which nothing happens."""
    blocks = in_order(entry)
    _drop_unused_parameters(blocks)
    same: dict[tuple[Block, tuple[Value, ...]], Block] = {}
    for block in blocks:
        if isinstance(block.terminator, Branch):
            ways = (_where_something_happens(way, same) for way in successors(block))
            block.terminator = Branch(block.terminator.condition, *ways)


def _where_something_happens(way: Block, same: dict[tuple[Block, tuple[Value, ...]], Block]) -> Block:
    """Where a branch leads, past empty blocks; of those that hand the same to one block it is always the same."""
    seen = set()
    while not way.instructions and isinstance(way.terminator, Jump) and way not in seen:
        seen.add(way)
        if way.terminator.arguments:
            return same.setdefault((way.terminator.target, way.terminator.arguments), way)
        way = way.terminator.target
    return way


def _drop_unused_parameters(blocks: list[Block]) -> None:
    handed: dict[Value, list[Value]] = {}
    for block in blocks:
        if isinstance(block.terminator, Jump):
            for value, given in zip(block.terminator.target.parameters, block.terminator.arguments, strict=True):
                handed.setdefault(value, []).append(given)
    makers = {one.result: one for block in blocks for one in block.instructions if one.result is not None}
    waiting = [value for block in blocks for value in _asked_for(block)]
    used: set[Value] = set()
    while waiting:
        value = waiting.pop()
        if value not in used:
            used.add(value)
            waiting += handed.get(value, ())
            waiting += makers[value].operands if value in makers else ()
    for block in blocks:
        if isinstance(block.terminator, Jump):
            pairs = zip(block.terminator.target.parameters, block.terminator.arguments, strict=True)
            block.terminator = Jump(block.terminator.target, tuple(given for value, given in pairs if value in used))
    for block in blocks:
        block.parameters = [value for value in block.parameters if value in used]


def _asked_for(block: Block) -> list[Value]:
    """What a block itself uses, whatever is made of its values."""
    found = [
        operand
        for instruction in block.instructions
        if INTRINSICS[instruction.operation].effect is not Effect.NONE
        for operand in instruction.operands
    ]
    return found if isinstance(block.terminator, Jump) else [*found, *_used(Block("", [], [], block.terminator))]


def _writes(block: Block) -> bool:
    return any(INTRINSICS[instruction.operation].effect is Effect.WRITES for instruction in block.instructions)


def _defined(block: Block) -> list[Value]:
    results = (instruction.result for instruction in block.instructions)
    return [*block.parameters, *(result for result in results if result is not None)]


def _used(block: Block) -> list[Value]:
    found = [operand for instruction in block.instructions for operand in instruction.operands]
    match block.terminator:
        case Jump(arguments=arguments):
            found += arguments
        case Branch(condition=condition):
            found.append(condition)
        case Return(value=Value() as value):
            found.append(value)
    return found


def _rename(block: Block, names: dict[Value, Value]) -> None:
    """Let a block use other values in place of some."""
    for instruction in block.instructions:
        instruction.operands = tuple(names.get(operand, operand) for operand in instruction.operands)
    match block.terminator:
        case Jump(target=target, arguments=arguments):
            block.terminator = Jump(target, tuple(names.get(given, given) for given in arguments))
        case Branch(condition=condition, then=then, otherwise=otherwise):
            block.terminator = Branch(names.get(condition, condition), then, otherwise)


def _is_above(block: Block, other: Block, above: dict[Block, Block]) -> bool:
    """Whether all ways to the end of `other` go through a block."""
    while other is not block and other in above:
        other = above[other]
    return other is block


def _zero(kind: Type) -> Any:
    if not isinstance(kind, (Scalar, Weak)) or not (kind == boolean or kind.is_integer or kind.is_floating):
        raise UncuttableError
    return False if kind == boolean else 0 if kind.is_integer else 0.0


_NOWHERE = Position(0, 0, 0, 0)
