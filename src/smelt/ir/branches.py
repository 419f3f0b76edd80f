# SPDX-License-Identifier: Apache-2.0
"""The flow of control of typed functions: branches made direct, what comes before what, and loops."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from smelt.ir.typed import Block, Branch, Function, Jump, Return, Value, successors


def with_direct_branches(function: Function) -> Function:
    """The function with branches that go straight to where a condition of several tests leads.

    Of `a and b` each test chooses a value that is handed to a block which only branches on it. Here each test branches by itself, so that
    what a block may rely on is what the branches before it say. Values and instructions are those of the function; blocks are new.
    """
    uses = uses_of(function)
    copies = {block: Block(block.name, block.parameters, block.instructions) for block in function.blocks}
    constants = {
        instruction.result: bool(instruction.attributes["value"])
        for block in function.blocks
        for instruction in block.instructions
        if instruction.operation == "constant" and isinstance(instruction.attributes["value"], bool)
    }
    for block, copy in copies.items():
        match block.terminator:
            case Jump(target=target, arguments=arguments):
                decision = _decision(target, uses)
                if decision is None:
                    copy.terminator = Jump(copies[target], arguments)
                elif arguments[0] in constants:
                    copy.terminator = Jump(copies[decision.then if constants[arguments[0]] else decision.otherwise])
                else:
                    copy.terminator = Branch(arguments[0], copies[decision.then], copies[decision.otherwise])
            case Branch(condition=condition, then=then, otherwise=otherwise):
                copy.terminator = Branch(condition, copies[then], copies[otherwise])
            case terminator:
                copy.terminator = terminator
    reached = set(in_order(copies[function.blocks[0]]))
    return replace(function, blocks=[copies[block] for block in function.blocks if copies[block] in reached])


def in_order(entry: Block, ways: Callable[[Block], Sequence[Block]] = successors) -> list[Block]:
    """The blocks that are reached from `entry` by `ways`, each before those it leads to, but for the ways back of loops."""
    found: list[Block] = []
    seen = {entry}
    stack = [(entry, iter(ways(entry)))]
    while stack:
        block, following = stack[-1]
        for target in following:
            if target not in seen:
                seen.add(target)
                stack.append((target, iter(ways(target))))
                break
        else:
            found.append(block)
            stack.pop()
    found.reverse()
    return found


def predecessors(blocks: Iterable[Block]) -> dict[Block, list[Block]]:
    """The blocks that lead to each block."""
    found: dict[Block, list[Block]] = {}
    for block in blocks:
        for target in successors(block):
            found.setdefault(target, []).append(block)
    return found


def loops(blocks: list[Block]) -> dict[Block, set[Block]]:
    """The blocks of each loop, by the block that it begins with. `blocks` are in order."""
    place = {block: number for number, block in enumerate(blocks)}
    before = predecessors(blocks)
    found: dict[Block, set[Block]] = {}
    for block in blocks:
        for target in successors(block):
            if place[target] > place[block]:
                continue
            body = found.setdefault(target, {target})
            waiting = [block]
            while waiting:
                member = waiting.pop()
                if member not in body:
                    body.add(member)
                    waiting += before.get(member, ())
    return found


def dominators(blocks: list[Block]) -> dict[Block, Block]:
    """The last block that every way to a block goes through; the entry has none. `blocks` are in order."""
    return dominators_of(blocks[0], {block: list(successors(block)) for block in blocks})


def dominators_of(entry: Block, ways: Mapping[Block, Sequence[Block]]) -> dict[Block, Block]:
    """As `dominators`, of the blocks that `entry` leads to by `ways`.

    Source: Cooper, Harvey and Kennedy, "A simple, fast dominance algorithm" (2001).
    """
    blocks = in_order(entry, ways.__getitem__)
    place = {block: number for number, block in enumerate(blocks)}
    before: dict[Block, list[Block]] = {}
    for block in blocks:
        for target in ways[block]:
            before.setdefault(target, []).append(block)
    found: dict[Block, Block] = {entry: entry}
    has_changed = True
    while has_changed:
        has_changed = False
        for block in blocks[1:]:
            known = [way for way in before[block] if way in found]
            last = common_dominator(known, found, place)
            if found.get(block) is not last:
                found[block] = last
                has_changed = True
    del found[entry]
    return found


def common_dominator(ways: list[Block], known: dict[Block, Block], place: dict[Block, int]) -> Block:
    """The last block that every way to one of `ways` goes through."""
    last = ways[0]
    for way in ways[1:]:
        other = way
        while last is not other:
            if place[last] < place[other]:
                last, other = other, last
            last = known[last]
    return last


def meeting_points(blocks: list[Block]) -> dict[Block, Block | None]:
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


def between(block: Block, meet: Block | None) -> set[Block]:
    """The blocks that are run between a branch and where its ways come together."""
    found: set[Block] = set()
    waiting = list(successors(block))
    while waiting:
        member = waiting.pop()
        if member is not meet and member not in found:
            found.add(member)
            waiting += successors(member)
    return found


def _decision(target: Block, uses: Counter[Value]) -> Branch | None:
    """How a block branches that does nothing but branch on the one value that is handed to it."""
    terminator = target.terminator
    if target.instructions or len(target.parameters) != 1 or not isinstance(terminator, Branch):
        return None
    (given,) = target.parameters
    return terminator if terminator.condition is given and uses[given] == 1 else None


def uses_of(function: Function) -> Counter[Value]:
    """How often each value is an operand of something, or handed on."""
    uses: Counter[Value] = Counter()
    for block in function.blocks:
        for instruction in block.instructions:
            uses.update(instruction.operands)
        match block.terminator:
            case Jump(arguments=arguments):
                uses.update(arguments)
            case Branch(condition=condition):
                uses[condition] += 1
            case Return(value=Value() as value):
                uses[value] += 1
    return uses
