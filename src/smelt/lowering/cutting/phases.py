# SPDX-License-Identifier: Apache-2.0
"""A kernel whose threads wait for each other, cut where they wait.

If all threads of a group take the same way from barrier to barrier, the group can be run as a function of its own. Where the kernel goes
from barrier to barrier is decided once for the group; what lies between two barriers is a *phase*, which runs for one thread after the other
in a plain loop. Such loops are what LLVM vectorises.

What is the same for all threads of a group (constants, arguments, sizes, and what is computed of those outside of phases) is computed once,
and handed to the phases. What a thread computes in one phase and needs in a later one is computed again if that takes no more than its
position, and kept in a *slot* otherwise: an array with an element for each thread of the group.

Kernels that can't be cut this way (barriers that depend on the thread, simdgroups, barriers in called functions) are run as coroutines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from smelt.ir.branches import with_direct_branches
from smelt.ir.intrinsics import FLOATING_FUNCTIONS, FLOATING_FUNCTIONS_OF_TWO, INTRINSICS, Effect
from smelt.ir.positions import Position
from smelt.ir.typed import Block, Branch, Fail, Function, Instruction, Jump, Return, Terminator, Value, successors
from smelt.lowering.cutting.common_values import CommonValues, UncuttableError, is_barrier, is_vote
from smelt.lowering.cutting.pieces import End, Node, Piece, Steps
from smelt.types import Array, Memory, Scalar, Type, Weak, none, strong, uint8, weak_int


@dataclass(eq=False)
class Phase:
    """What each thread of a group does between two barriers.

    Attributes
    ----------
    function
        It, for one thread. It returns the thread's vote, if there is one. Its parameters are the thread's number and position in the group, the values that it is handed, and slots.
    handed
        The values that it is handed, which the group's function has.
    slots
        The slots that it is handed, by the values that are in them.
    """

    function: Function
    handed: tuple[Value, ...]
    slots: tuple[Value, ...]


class Group:
    """A kernel that was cut.

    Attributes
    ----------
    function
        What the group does, with an instruction `run_phase` for each phase. Its parameters are the kernel's and, behind those, `begin`,
        `size` and `memory`.
    phases
        The phases in their order.
    slots
        What is kept for each thread: the slots of values, by the values. A slot is an array with an element for each thread.
    number, position
        The number of the thread in its group, and its position there: the first parameters of all phases.
    begin, size
        The position of the first thread of the group in the grid, and how many threads there are, on each axis.
    memory
        The memory for the slots; its extent is how many threads there can be.
    """

    def __init__(self, kernel: Function, common: CommonValues) -> None:
        self.number = Value(weak_int)
        self.position = common.position
        self.begin = common.begin
        self.size = common.size
        self.memory = Value(Array(uint8, 1, memory=Memory.THREADGROUP))
        parameters = [*kernel.parameters, *self.begin, *self.size, self.memory]
        self.function = Function(kernel.name, parameters, none, [])
        self.phases: list[Phase] = []
        self.slots: dict[Value, Value] = {}


def cut(kernel: Function, waits: Callable[[Any], bool], *, has_doubles: bool) -> Group | None:
    """A kernel cut into phases; None if that can't be done. `waits` tells whether a called function waits for other threads."""
    direct = with_direct_branches(kernel)
    try:
        return cut_at(direct, CommonValues(direct, waits), has_doubles=has_doubles)
    except UncuttableError:
        return None


def cut_at(kernel: Function, common: CommonValues, *, has_doubles: bool) -> Group:
    """A kernel cut where its threads are in step. Raises `UncuttableError` if that can't be done."""
    return _Cutter(kernel, common, has_doubles=has_doubles).group


class _Cutter:
    def __init__(self, kernel: Function, common: CommonValues, *, has_doubles: bool) -> None:
        self._kernel = kernel
        self._common = common
        self._has_doubles = has_doubles
        self.group = Group(kernel, common)
        self._make()

    def _make(self) -> None:
        group = self.group
        steps: dict[Block, Steps] = {}
        entered: set[Block] = set()
        for block in self._common.blocks:
            if block not in self._common.inner and block not in entered:
                steps[block] = self._steps(block, entered)
        # What is kept for later phases is known once it is known what all of them need.
        for found in steps.values():
            for piece in found.pieces:
                self._find_needs(piece)
        copies = {
            block: Block(block.name, [value for value in block.parameters if self._common.is_common[value]])
            for block in steps
        }
        for block, found in steps.items():
            copy = copies[block]
            for piece in found.pieces:
                copy.instructions += piece.common
                if self._does_something(piece):
                    phase = self._phase(piece)
                    attributes, vote = {"phase": len(group.phases)}, None if piece.vote is None else piece.vote.result
                    copy.instructions.append(Instruction("run_phase", phase.handed, attributes, vote, _NOWHERE))
                    group.phases.append(phase)
            copy.terminator = self._terminator(found, copies)
        group.function.blocks = list(copies.values())

    def _steps(self, block: Block, entered: set[Block]) -> Steps:
        """What the group does from the beginning of a block to where it decides how to go on."""
        pieces = [Piece()]
        while True:
            entered.add(block)
            node = pieces[-1].add(block)
            for instruction in block.instructions:
                if is_barrier(instruction):
                    pieces.append(Piece())
                    node = pieces[-1].add(block)
                elif is_vote(instruction):
                    pieces[-1].vote = instruction
                elif instruction.result is not None and self._common.is_common[instruction.result]:
                    pieces[-1].common.append(self._common.replaced.get(instruction.result, instruction))
                elif not self._common.always_holds(instruction):
                    node.instructions.append(instruction)
            inner = self._inner_from(block)
            ends = {way for member in (block, *inner) for way in successors(member) if way not in self._common.inner}
            if inner or block in self._common.branching:
                node.end = End.FLOWS
                for member in inner:
                    pieces[-1].nodes.append(Node(member, member.instructions, End.FLOWS))
                if len(ends) > 1:
                    raise UncuttableError
                if not ends:
                    return Steps(pieces, Return(None))
                (following,) = ends
                before = (way for member in (*inner, following) for way in self._common.before[member])
                if following in entered or any(way not in inner and way is not block for way in before):
                    return Steps(pieces, Jump(following))
            elif isinstance(block.terminator, Jump):
                following = block.terminator.target
                if following in entered or following.parameters or self._common.before[following] != [block]:
                    if not node.instructions and len(pieces) > 1 and pieces[-2].nodes[-1].block is block:
                        # Nobody looks at what is kept for the next block before that.
                        pieces[-2].common += pieces.pop().common
                        node = pieces[-1].nodes[-1]
                    node.end = End.HANDS_ON
                    return Steps(pieces, block.terminator)
                node.end = End.FLOWS
            else:
                return Steps(pieces, block.terminator)
            block = following

    def _inner_from(self, block: Block) -> list[Block]:
        """The blocks of phases that follow a block of the group's, in order."""
        found: set[Block] = set()
        waiting = [way for way in successors(block) if way in self._common.inner]
        while waiting:
            member = waiting.pop()
            if member not in found:
                found.add(member)
                waiting += [way for way in successors(member) if way in self._common.inner]
        return [member for member in self._common.blocks if member in found]

    def _terminator(self, steps: Steps, copies: dict[Block, Block]) -> Terminator:
        terminator = steps.terminator
        if isinstance(terminator, Jump):
            pairs = zip(terminator.target.parameters, terminator.arguments, strict=False)
            handed = tuple(given for value, given in pairs if self._common.is_common[value])
            return Jump(_copy_of(terminator.target, copies), handed)
        if isinstance(terminator, Branch):
            ways = (_copy_of(way, copies) for way in (terminator.then, terminator.otherwise))
            return Branch(terminator.condition, *ways)
        return Return(None)

    def _written(self, node: Node) -> Iterator[Instruction]:
        for instruction in node.instructions:
            yield (
                self._common.replaced.get(instruction.result, instruction)
                if instruction.result is not None
                else instruction
            )

    def _handed_on(self, node: Node) -> list[tuple[Value, Value]]:
        """What the block behind the phase expects, and what it is handed, so far as that differs from thread to thread."""
        jump = node.block.terminator
        if node.end is End.STOPS or not isinstance(jump, Jump):
            return []
        pairs = zip(jump.target.parameters, jump.arguments, strict=True)
        return [(value, given) for value, given in pairs if not self._common.is_common.get(value, False)]

    def _does_something(self, piece: Piece) -> bool:
        return (
            piece.vote is not None
            or any(
                INTRINSICS[instruction.operation].effect is not Effect.NONE or instruction.result in self.group.slots
                for node in piece.nodes
                for instruction in node.instructions
            )
            or any(value in self.group.slots for node in piece.nodes for value, _ in self._handed_on(node))
        )

    def _find_needs(self, piece: Piece) -> None:
        """Find what a phase needs that it doesn't compute itself."""
        own: set[Value] = set(self.group.position)
        used: dict[Value, None] = {}
        for number, node in enumerate(piece.nodes):
            if number:
                own.update(node.block.parameters)
            for instruction in self._written(node):
                used.update(dict.fromkeys(instruction.operands))
                if instruction.result is not None:
                    own.add(instruction.result)
            used.update(dict.fromkeys(given for _, given in self._handed_on(node)))
            if node.end is End.FLOWS and isinstance(node.block.terminator, Branch):
                used[node.block.terminator.condition] = None
        if piece.vote is not None:
            used.update(dict.fromkeys(piece.vote.operands))
        for value in used:
            self._need(value, own, piece)

    def _need(self, value: Value, own: set[Value], piece: Piece, steps: int = 0) -> None:
        if value in own or value in piece.repeated:
            return
        instruction = self._common.definitions.get(value)
        instruction = self._common.replaced.get(value, instruction) if instruction is not None else None
        is_common = self._common.is_common.get(value, False)
        if instruction is not None and steps < _MOST_STEPS and self._is_cheap(instruction, is_common=is_common):
            for operand in instruction.operands:
                self._need(operand, own, piece, steps + 1)
            piece.repeated[value] = instruction
        elif is_common:
            piece.handed[value] = None
        else:
            piece.kept[value] = None
            if value not in self.group.slots:
                if not isinstance(value.type, (Scalar, Weak)):
                    raise UncuttableError
                scalar = strong(value.type, has_doubles=self._has_doubles)
                assert isinstance(scalar, Scalar)
                self.group.slots[value] = Value(Array(scalar, 1, memory=Memory.THREADGROUP))

    def _is_cheap(self, instruction: Instruction, *, is_common: bool) -> bool:
        """Whether a value is computed again rather than handed or kept."""
        if is_common:
            # What is known of these makes indices known.
            return instruction.operation in ("constant", "extent", "thread")
        return self._common.is_repeatable(instruction) and instruction.operation not in _COSTLY

    def _phase(self, piece: Piece) -> Phase:
        entry = Block("entry")
        nodes = {
            node.block: Block(node.block.name, list(node.block.parameters) if number else [])
            for number, node in enumerate(piece.nodes)
        }
        first = piece.nodes[0].block
        slots: dict[Value, None] = dict.fromkeys(piece.kept)
        ends: list[Block] = []
        last = piece.nodes[-1]
        is_one_end = last.end is not End.FLOWS
        late: list[Instruction] = []

        def store(kept: Value, value: Value) -> Instruction:
            slots[kept] = None
            return Instruction("store", (self.group.slots[kept], value, self.group.number), {}, None, _NOWHERE)

        def way(target: Block) -> Block:
            if target is not first and target in nodes:
                return nodes[target]
            ends.append(Block("end", terminator=Return(None)))
            return ends[-1]

        for value in piece.kept:
            entry.instructions.append(
                Instruction("load", (self.group.slots[value], self.group.number), {}, value, _NOWHERE)
            )
        entry.instructions += piece.repeated.values()
        entry.terminator = Jump(nodes[first])
        for node in piece.nodes:
            copy = nodes[node.block]
            (late if node is not last else copy.instructions).extend(
                store(value, value) for value in copy.parameters if value in self.group.slots
            )
            for instruction in self._written(node):
                copy.instructions.append(instruction)
                if instruction.result in self.group.slots:
                    assert instruction.result is not None
                    (late if node is not last else copy.instructions).append(
                        store(instruction.result, instruction.result)
                    )
            if not is_one_end:
                copy.instructions += late
                late = []
            elif node is last:
                # What is needed later has been computed on all ways to the end.
                copy.instructions += late
            copy.terminator = Return(None)
            match node.block.terminator:
                case Jump(target=target, arguments=arguments) if (
                    node.end is End.FLOWS and target is not first and target in nodes
                ):
                    copy.terminator = Jump(nodes[target], arguments)
                case Jump():
                    handed_on = self._handed_on(node)
                    copy.instructions += [
                        store(value, given) for value, given in handed_on if value in self.group.slots
                    ]
                case Branch(condition=condition, then=then, otherwise=otherwise) if node.end is End.FLOWS:
                    copy.terminator = Branch(condition, way(then), way(otherwise))
                case Fail() as failure if node.end is End.FLOWS:
                    copy.terminator = failure
        parameters = [
            self.group.number,
            *self.group.position,
            *piece.handed,
            *map(self.group.slots.__getitem__, slots),
        ]
        result: Type = none
        if piece.vote is not None:
            (vote,) = piece.vote.operands
            nodes[last.block].terminator, result = Return(vote), vote.type
        function = Function(self._kernel.name, parameters, result, [entry, *nodes.values(), *ends])
        return Phase(function, tuple(piece.handed), tuple(slots))


def _copy_of(block: Block, copies: dict[Block, Block]) -> Block:
    if block not in copies:
        # It is a part of the phases of several ways.
        raise UncuttableError
    return copies[block]


_COSTLY = frozenset((*FLOATING_FUNCTIONS, *FLOATING_FUNCTIONS_OF_TWO)) - {"floor", "ceil", "trunc", "rint", "copysign"}
_NOWHERE = Position(0, 0, 0, 0)
_MOST_STEPS = 24
"""From a value that is computed again back to what it is computed from."""
