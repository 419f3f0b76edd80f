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

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from smelt.ir.branches import dominators_of, in_order, predecessors, with_direct_branches
from smelt.ir.intrinsics import FLOATING_FUNCTIONS, FLOATING_FUNCTIONS_OF_TWO, INTRINSICS, Effect
from smelt.ir.positions import Position
from smelt.ir.typed import Block, Branch, Fail, Function, Instruction, Jump, Return, Terminator, Value, successors
from smelt.types import Array, Memory, Scalar, Weak, none, strong, uint8, weak_int

AXES = range(3)


@dataclass(eq=False)
class Phase:
    """What each thread of a group does between two barriers.

    Attributes
    ----------
    function
        It, for one thread. Its parameters are the thread's number and position in the group, the values that it is handed, and slots.
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

    def __init__(self, kernel: Function) -> None:
        self.number = Value(weak_int)
        self.position = tuple(Value(weak_int) for _ in AXES)
        self.begin = tuple(Value(weak_int) for _ in AXES)
        self.size = tuple(Value(weak_int) for _ in AXES)
        self.memory = Value(Array(uint8, 1, memory=Memory.THREADGROUP))
        parameters = [*kernel.parameters, *self.begin, *self.size, self.memory]
        self.function = Function(kernel.name, parameters, none, [])
        self.phases: list[Phase] = []
        self.slots: dict[Value, Value] = {}


def cut(kernel: Function, waits: Callable[[Any], bool], *, has_doubles: bool) -> Group | None:
    """A kernel cut into phases; None if that can't be done. `waits` tells whether a called function waits for other threads."""
    return _Cutter(with_direct_branches(kernel), waits, has_doubles=has_doubles).cut()


class _Uncuttable(Exception):  # noqa: N818 - it never leaves this module
    """The kernel has to be run as coroutines."""


class _Cutter:
    def __init__(self, function: Function, waits: Callable[[Any], bool], *, has_doubles: bool) -> None:
        self._kernel = function
        self._waits = waits
        self._has_doubles = has_doubles
        self._blocks = in_order(function.blocks[0])
        self._before = predecessors(self._blocks)
        self._definitions = {
            instruction.result: instruction
            for block in self._blocks
            for instruction in block.instructions
            if instruction.result is not None
        }
        self._group = Group(function)
        # Where a branch that is a part of a phase comes together again; None if only at the kernel's end.
        self._meets: dict[Block, Block | None] = {}
        self._inner: set[Block] = set()
        self._is_common: dict[Value, bool] = {}
        self._replaced: dict[Value, Instruction] = {}

    def cut(self) -> Group | None:
        try:
            self._find_inner_blocks()
            self._find_patterns()
            self._decide_common()
            self._make()
        except _Uncuttable:
            return None
        return self._group

    def _find_inner_blocks(self) -> None:
        waiting = {block for block in self._blocks if any(map(_is_barrier, block.instructions))}
        for block in self._blocks:
            for instruction in block.instructions:
                effect = INTRINSICS[instruction.operation].effect
                is_threadgroup_barrier = _is_barrier(instruction) and instruction.attributes["scope"] == "threadgroup"
                if effect is Effect.WAITS and not is_threadgroup_barrier:
                    raise _Uncuttable
                if instruction.operation == "call" and self._waits(instruction.attributes["callee"]):
                    raise _Uncuttable
        meets = _meeting_points(self._blocks)
        for block in self._blocks:
            if not isinstance(block.terminator, Branch):
                continue
            if block not in meets:
                raise _Uncuttable
            between = _between(block, meets[block])
            if not between & waiting:
                self._inner |= between
                self._meets[block] = meets[block]

    def _find_patterns(self) -> None:
        """Find how kernels compute what the group's function knows: a thread's position in its group, and the group's."""
        for value, instruction in self._definitions.items():
            axis = self._axis_of(instruction)
            if axis is None:
                continue
            if instruction.operation == "mod":
                self._replaced[value] = _same(instruction, self._group.position[axis])
            elif instruction.operation == "floordiv":
                operands = (self._group.begin[axis], instruction.operands[1])
                self._replaced[value] = Instruction("floordiv", operands, {}, value, instruction.position)
            elif instruction.operation == "sub":
                self._replaced[value] = _same(instruction, self._group.begin[axis])

    def _axis_of(self, instruction: Instruction) -> int | None:
        """The axis of a position that is divided by the size of a group, or from which what remains of that is subtracted."""
        if instruction.operation not in ("mod", "floordiv", "sub"):
            return None
        first, second = (self._definitions.get(operand) for operand in instruction.operands)
        if first is None or second is None or not _is_quantity(first, "thread_position_in_grid"):
            return None
        axis: int = first.attributes["axis"]
        if instruction.operation == "sub":
            return axis if second.operation == "mod" and self._axis_of(second) == axis else None
        return axis if _is_quantity(second, "threads_per_threadgroup") and second.attributes["axis"] == axis else None

    def _decide_common(self) -> None:
        """Decide which values the group's function computes: all those that can be the same for all threads, and are needed."""
        common = dict.fromkeys((*self._kernel.parameters, *self._group.begin), True)
        outer = [block for block in self._blocks if block not in self._inner]
        for block in outer:
            for value in block.parameters:
                common[value] = not any(way in self._inner or way in self._meets for way in self._before[block])
            for instruction in block.instructions:
                if instruction.result is not None:
                    common[instruction.result] = True
        # What turns out to differ makes what is computed of it differ, too.
        has_changed = True
        while has_changed:
            has_changed = False
            for block in outer:
                found = [
                    (instruction.result, self._may_be_common(instruction, common))
                    for instruction in block.instructions
                    if instruction.result is not None
                ]
                for place, value in enumerate(block.parameters):
                    arguments = [_handed(way, block, place) for way in self._before[block]]
                    found.append((value, all(common.get(argument, False) for argument in arguments)))
                for value, is_common in found:
                    if common[value] and not is_common:
                        common[value] = False
                        has_changed = True
        self._is_common = common
        for block in outer:
            terminator = block.terminator
            if (
                isinstance(terminator, Branch)
                and block not in self._meets
                and not common.get(terminator.condition, False)
            ):
                raise _Uncuttable
            if isinstance(terminator, Fail):
                raise _Uncuttable

    def _may_be_common(self, instruction: Instruction, common: dict[Value, bool]) -> bool:
        assert instruction.result is not None
        instruction = self._replaced.get(instruction.result, instruction)
        if instruction.operation == "threadgroup_array":
            # Each place in a kernel is one array.
            return True
        if instruction.operation == "thread":
            return instruction.attributes["quantity"] != "thread_position_in_grid"
        return self._is_repeatable(instruction) and all(common.get(operand, False) for operand in instruction.operands)

    def _is_repeatable(self, instruction: Instruction) -> bool:
        """Whether an instruction can be run where it is not written, and more than once."""
        if INTRINSICS[instruction.operation].effect is not Effect.NONE or instruction.operation == "thread_array":
            return False
        if instruction.operation in ("floordiv", "mod"):
            # LLVM knows no quotient by 0.
            divisor = self._definitions.get(instruction.operands[1])
            return divisor is not None and _is_never_zero(divisor)
        return instruction.operation != "threadgroup_array"

    def _make(self) -> None:
        group = self._group
        steps: dict[Block, _Steps] = {}
        entered: set[Block] = set()
        for block in self._blocks:
            if block not in self._inner and block not in entered:
                steps[block] = self._steps(block, entered)
        # What is kept for later phases is known once it is known what all of them need.
        for found in steps.values():
            for piece in found.pieces:
                self._find_needs(piece)
        copies = {
            block: Block(block.name, [value for value in block.parameters if self._is_common[value]]) for block in steps
        }
        for block, found in steps.items():
            copy = copies[block]
            for piece in found.pieces:
                copy.instructions += piece.common
                if self._does_something(piece):
                    phase = self._phase(piece)
                    attributes = {"phase": len(group.phases)}
                    copy.instructions.append(Instruction("run_phase", phase.handed, attributes, None, _NOWHERE))
                    group.phases.append(phase)
            copy.terminator = self._terminator(found, copies)
        group.function.blocks = list(copies.values())

    def _steps(self, block: Block, entered: set[Block]) -> _Steps:
        """What the group does from the beginning of a block to where it decides how to go on."""
        pieces = [_Piece()]
        while True:
            entered.add(block)
            node = pieces[-1].add(block)
            for instruction in block.instructions:
                if _is_barrier(instruction):
                    pieces.append(_Piece())
                    node = pieces[-1].add(block)
                elif instruction.result is not None and self._is_common[instruction.result]:
                    pieces[-1].common.append(self._replaced.get(instruction.result, instruction))
                elif not self._always_holds(instruction):
                    node.instructions.append(instruction)
            inner = self._inner_from(block)
            ends = {way for member in (block, *inner) for way in successors(member) if way not in self._inner}
            if inner or block in self._meets:
                node.end = _End.FLOWS
                for member in inner:
                    pieces[-1].nodes.append(_Node(member, member.instructions, _End.FLOWS))
                if len(ends) > 1:
                    raise _Uncuttable
                if not ends:
                    return _Steps(pieces, Return(None))
                (following,) = ends
                if following in entered or any(
                    way not in inner and way is not block for way in self._before[following]
                ):
                    return _Steps(pieces, Jump(following))
            elif isinstance(block.terminator, Jump):
                following = block.terminator.target
                if following in entered or following.parameters or self._before[following] != [block]:
                    if not node.instructions and len(pieces) > 1 and pieces[-2].nodes[-1].block is block:
                        # Nobody looks at what is kept for the next block before that.
                        pieces[-2].common += pieces.pop().common
                        node = pieces[-1].nodes[-1]
                    node.end = _End.HANDS_ON
                    return _Steps(pieces, block.terminator)
                node.end = _End.FLOWS
            else:
                return _Steps(pieces, block.terminator)
            block = following

    def _always_holds(self, instruction: Instruction) -> bool:
        """Whether an instruction checks that what something is divided by is not 0, and that is known."""
        if instruction.operation != "check":
            return False
        test = self._definitions.get(instruction.operands[0])
        if test is None or test.operation != "ne":
            return False
        divisor = self._definitions.get(test.operands[0])
        return divisor is not None and _is_never_zero(divisor)

    def _inner_from(self, block: Block) -> list[Block]:
        """The blocks of phases that follow a block of the group's, in order."""
        found: set[Block] = set()
        waiting = [way for way in successors(block) if way in self._inner]
        while waiting:
            member = waiting.pop()
            if member not in found:
                found.add(member)
                waiting += [way for way in successors(member) if way in self._inner]
        return [member for member in self._blocks if member in found]

    def _terminator(self, steps: _Steps, copies: dict[Block, Block]) -> Terminator:
        match steps.terminator:
            case Jump(target=target, arguments=arguments) if arguments:
                pairs = zip(target.parameters, arguments, strict=True)
                return Jump(copies[target], tuple(given for value, given in pairs if self._is_common[value]))
            case Jump(target=target):
                return Jump(copies[target])
            case Branch(condition=condition, then=then, otherwise=otherwise):
                return Branch(condition, copies[then], copies[otherwise])
        return Return(None)

    def _written(self, node: _Node) -> Iterator[Instruction]:
        for instruction in node.instructions:
            yield self._replaced.get(instruction.result, instruction) if instruction.result is not None else instruction

    def _handed_on(self, node: _Node) -> list[tuple[Value, Value]]:
        """What the block behind the phase expects, and what it is handed, so far as that differs from thread to thread."""
        jump = node.block.terminator
        if node.end is _End.STOPS or not isinstance(jump, Jump):
            return []
        pairs = zip(jump.target.parameters, jump.arguments, strict=True)
        return [(value, given) for value, given in pairs if not self._is_common.get(value, False)]

    def _does_something(self, piece: _Piece) -> bool:
        return any(
            INTRINSICS[instruction.operation].effect is not Effect.NONE or instruction.result in self._group.slots
            for node in piece.nodes
            for instruction in node.instructions
        ) or any(value in self._group.slots for node in piece.nodes for value, _ in self._handed_on(node))

    def _find_needs(self, piece: _Piece) -> None:
        """Find what a phase needs that it doesn't compute itself."""
        own: set[Value] = set(self._group.position)
        used: dict[Value, None] = {}
        for number, node in enumerate(piece.nodes):
            if number:
                own.update(node.block.parameters)
            for instruction in self._written(node):
                used.update(dict.fromkeys(instruction.operands))
                if instruction.result is not None:
                    own.add(instruction.result)
            used.update(dict.fromkeys(given for _, given in self._handed_on(node)))
            if node.end is _End.FLOWS and isinstance(node.block.terminator, Branch):
                used[node.block.terminator.condition] = None
        for value in used:
            self._need(value, own, piece)

    def _need(self, value: Value, own: set[Value], piece: _Piece) -> None:
        if value in own or value in piece.repeated:
            return
        instruction = self._definitions.get(value)
        instruction = self._replaced.get(value, instruction) if instruction is not None else None
        is_common = self._is_common.get(value, False)
        if instruction is not None and self._is_cheap(instruction, is_common=is_common):
            for operand in instruction.operands:
                self._need(operand, own, piece)
            piece.repeated[value] = instruction
        elif is_common:
            piece.handed[value] = None
        else:
            piece.kept[value] = None
            if value not in self._group.slots:
                if not isinstance(value.type, (Scalar, Weak)):
                    raise _Uncuttable
                scalar = strong(value.type, has_doubles=self._has_doubles)
                assert isinstance(scalar, Scalar)
                self._group.slots[value] = Value(Array(scalar, 1, memory=Memory.THREADGROUP))

    def _is_cheap(self, instruction: Instruction, *, is_common: bool) -> bool:
        """Whether a value is computed again rather than handed or kept."""
        if is_common:
            # What is known of these makes indices known.
            return instruction.operation in ("constant", "extent", "thread")
        return self._is_repeatable(instruction) and instruction.operation not in _COSTLY

    def _phase(self, piece: _Piece) -> Phase:
        entry = Block("entry")
        nodes = {
            node.block: Block(node.block.name, list(node.block.parameters) if number else [])
            for number, node in enumerate(piece.nodes)
        }
        first = piece.nodes[0].block
        slots: dict[Value, None] = dict.fromkeys(piece.kept)
        ends: list[Block] = []
        last = piece.nodes[-1]
        is_one_end = last.end is not _End.FLOWS
        late: list[Instruction] = []

        def store(kept: Value, value: Value) -> Instruction:
            slots[kept] = None
            return Instruction("store", (self._group.slots[kept], value, self._group.number), {}, None, _NOWHERE)

        def way(target: Block) -> Block:
            if target is not first and target in nodes:
                return nodes[target]
            ends.append(Block("end", terminator=Return(None)))
            return ends[-1]

        for value in piece.kept:
            entry.instructions.append(
                Instruction("load", (self._group.slots[value], self._group.number), {}, value, _NOWHERE)
            )
        entry.instructions += piece.repeated.values()
        entry.terminator = Jump(nodes[first])
        for node in piece.nodes:
            copy = nodes[node.block]
            (late if node is not last else copy.instructions).extend(
                store(value, value) for value in copy.parameters if value in self._group.slots
            )
            for instruction in self._written(node):
                copy.instructions.append(instruction)
                if instruction.result in self._group.slots:
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
                    node.end is _End.FLOWS and target is not first and target in nodes
                ):
                    copy.terminator = Jump(nodes[target], arguments)
                case Jump():
                    handed_on = self._handed_on(node)
                    copy.instructions += [
                        store(value, given) for value, given in handed_on if value in self._group.slots
                    ]
                case Branch(condition=condition, then=then, otherwise=otherwise) if node.end is _End.FLOWS:
                    copy.terminator = Branch(condition, way(then), way(otherwise))
                case Fail() as failure if node.end is _End.FLOWS:
                    copy.terminator = failure
        parameters = [
            self._group.number,
            *self._group.position,
            *piece.handed,
            *map(self._group.slots.__getitem__, slots),
        ]
        function = Function(self._kernel.name, parameters, none, [entry, *nodes.values(), *ends])
        return Phase(function, tuple(piece.handed), tuple(slots))


class _End(enum.Enum):
    """How a phase goes on at the end of a part of it."""

    STOPS = "it is at its end"
    FLOWS = "as the kernel does"
    HANDS_ON = "it is at its end, and what differs from thread to thread is kept for the block that follows"


@dataclass(eq=False)
class _Node:
    """A part of a phase: a block of the kernel, or what of one is between two barriers."""

    block: Block
    instructions: list[Instruction]
    end: _End


@dataclass(eq=False)
class _Piece:
    """A phase in the making.

    Attributes
    ----------
    nodes
        Its parts. It begins with the first.
    common
        What the group's function computes before it.
    handed, repeated, kept
        What it needs: what the group's function knows, what it computes again, and what is kept in slots.
    """

    nodes: list[_Node] = field(default_factory=list)
    common: list[Instruction] = field(default_factory=list)
    handed: dict[Value, None] = field(default_factory=dict)
    repeated: dict[Value, Instruction] = field(default_factory=dict)
    kept: dict[Value, None] = field(default_factory=dict)

    def add(self, block: Block) -> _Node:
        self.nodes.append(_Node(block, [], _End.STOPS))
        return self.nodes[-1]


@dataclass(eq=False)
class _Steps:
    """What a group does from one decision to the next, and how it goes on in terms of the kernel's blocks."""

    pieces: list[_Piece]
    terminator: Terminator | None


_COSTLY = frozenset((*FLOATING_FUNCTIONS, *FLOATING_FUNCTIONS_OF_TWO)) - {"floor", "ceil", "trunc", "rint", "copysign"}
_NOWHERE = Position(0, 0, 0, 0)


def _is_barrier(instruction: Instruction) -> bool:
    return instruction.operation == "barrier"


def _is_quantity(instruction: Instruction, name: str) -> bool:
    return instruction.operation == "thread" and instruction.attributes["quantity"] == name


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


def _between(block: Block, meet: Block | None) -> set[Block]:
    """The blocks that are run between a branch and where its ways come together."""
    found: set[Block] = set()
    waiting = list(successors(block))
    while waiting:
        member = waiting.pop()
        if member is not meet and member not in found:
            found.add(member)
            waiting += successors(member)
    return found


def _meeting_points(blocks: list[Block]) -> dict[Block, Block | None]:
    """Where the ways of each block come together again, which all ways to the end go through; None for the end itself.

    Blocks from which nothing leads to the end aren't in it. Threads that fail don't come to the end: no way of theirs counts.
    """
    backwards: dict[Block, Block] = {block: Block(block.name) for block in blocks}
    root = Block("end")
    ways: dict[Block, list[Block]] = {backwards[block]: [] for block in blocks}
    ways[root] = []
    for block in blocks:
        for following in successors(block):
            ways[backwards[following]].append(backwards[block])
        if isinstance(block.terminator, Return):
            ways[root].append(backwards[block])
    originals = {copy: block for block, copy in backwards.items()}
    found = dominators_of(root, ways)
    return {originals[copy]: originals.get(meet) for copy, meet in found.items()}
