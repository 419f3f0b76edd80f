# SPDX-License-Identifier: Apache-2.0
"""The basic blocks of a function in the text of LLVM IR: where control goes, and which values are needed where."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from smelt.targets.metal.devices.software.loops import LABEL

NAME = re.compile(r"%(?:[\w.$-]+|\"[^\"]+\")")
"""What a value, a block or a type is called."""

_DEFINITION = re.compile(r"^  (%(?:[\w.$-]+|\"[^\"]+\")) = ")
_TARGET = re.compile(r"label %([\w.$-]+|\"[^\"]+\")")
_INCOMING = re.compile(r"\[ (?P<value>.+?), %(?P<label>[\w.$-]+|\"[^\"]+\") \]")


@dataclass(eq=False)
class Block:
    """A basic block.

    Attributes
    ----------
    label
        Its name.
    phis, lines, end
        Its instructions: those that choose by where control comes from, those behind them, and the last one, which may be of several lines.
    successors
        Where control may go from here.
    """

    label: str
    phis: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    end: list[str] = field(default_factory=list)
    successors: tuple[str, ...] = ()

    @property
    def instructions(self) -> Iterable[str]:
        """All of its instructions, each a text."""
        yield from self.phis
        yield from self.lines
        yield "\n".join(self.end)


Blocks = Mapping[str, Block]
"""The blocks of a function by their names, in their order; control begins in the first one."""


def blocks_of(body: Iterable[str]) -> dict[str, Block]:
    """The blocks of a function, given the lines between its braces, the first of which is a label."""
    blocks: dict[str, Block] = {}
    block = Block("")
    for line in body:
        label = LABEL.match(line)
        if label is not None:
            block = blocks[label[1]] = Block(label[1])
        elif " = phi " in line:
            block.phis.append(line)
        elif block.end or re.match(r"  (?:br|ret|switch|unreachable)\b", line):
            block.end.append(line)
        else:
            block.lines.append(line)
    for block in blocks.values():
        block.successors = tuple(dict.fromkeys(_TARGET.findall("\n".join(block.end))))
    return blocks


def defined(instruction: str) -> str | None:
    """The name of the value that an instruction defines."""
    found = _DEFINITION.match(instruction)
    return found[1] if found is not None else None


def used(instruction: str) -> list[str]:
    """The names in the operands of an instruction: values, and of those that end a block also what blocks are called."""
    name = _DEFINITION.match(instruction)
    return NAME.findall(instruction, name.end() if name is not None else 0)


def incoming(phi: str) -> list[tuple[str, str]]:
    """What a phi chooses of: each value, and the label of the block that it comes from."""
    return [(found["value"], found["label"]) for found in _INCOMING.finditer(phi)]


def reached(blocks: Blocks, start: str, *, without: Iterable[str] = ()) -> set[str]:
    """The blocks that control may come to from a block, that one included, unless through some blocks, which it may come to."""
    ends = frozenset(without)
    found, todo = {start}, [start]
    while todo:
        label = todo.pop()
        if label not in ends:
            new = [way for way in blocks[label].successors if way not in found]
            found.update(new)
            todo += new
    return found


def has_cycle(blocks: Blocks, labels: Collection[str], ends: Collection[str] = ()) -> bool:
    """Whether control may come back to one of these blocks from itself on a way through them; it doesn't go on from `ends`."""
    ways = {
        label: [] if label in ends else [way for way in blocks[label].successors if way in labels] for label in labels
    }
    before = dict.fromkeys(labels, 0)
    for way in (way for found in ways.values() for way in found):
        before[way] += 1
    ready = [label for label, count in before.items() if not count]
    for label in ready:
        for way in ways[label]:
            before[way] -= 1
            if not before[way]:
                ready.append(way)
    return len(ready) < len(labels)


def live_values(blocks: Blocks) -> dict[str, frozenset[str]]:
    """The values that are needed where each block begins: computed before, used there or later."""
    definitions = {
        name for block in blocks.values() for one in block.instructions if (name := defined(one)) is not None
    }
    needs: dict[str, set[str]] = {}
    makes: dict[str, set[str]] = {}
    hands: dict[str, set[str]] = {label: set() for label in blocks}
    for label, block in blocks.items():
        own = makes[label] = {name for one in block.instructions if (name := defined(one)) is not None}
        names = {name for one in block.instructions if one not in block.phis for name in used(one)}
        needs[label] = (names & definitions) - own
        for phi in block.phis:
            for value, before in incoming(phi):
                hands[before].update(definitions.intersection(NAME.findall(value)))
    live = {label: frozenset(needs[label]) for label in blocks}
    changed = True
    while changed:
        changed = False
        for label in reversed(list(blocks)):
            behind = hands[label].union(*(live[way] for way in blocks[label].successors))
            found = live[label] | (behind - makes[label])
            if len(found) != len(live[label]):
                live[label], changed = found, True
    return live


def joins(blocks: Blocks) -> dict[str, str | None]:
    """Where all ways from each block come together again for the first time; None where they don't before the end.

    Its immediate postdominators. Source of the algorithm: Cooper, Harvey, Kennedy, "A Simple, Fast Dominance Algorithm" (2001).
    """
    before: dict[str | None, list[str]] = {label: [] for label in (*blocks, None)}
    for label, block in blocks.items():
        for way in block.successors or (None,):
            before[way].append(label)
    order: list[str | None] = _postorder(before)
    number = {label: place for place, label in enumerate(order)}
    found: dict[str | None, str | None] = {None: None}

    def common(first: str | None, second: str | None) -> str | None:
        while first != second:
            while number[first] < number[second]:
                first = found[first]
            while number[second] < number[first]:
                second = found[second]
        return first

    changed = True
    while changed:
        changed = False
        for place in reversed(order[:-1]):
            assert place is not None
            known: list[str | None] = [way for way in (blocks[place].successors or (None,)) if way in found]
            new = known[0]
            for way in known[1:]:
                new = common(new, way)
            if place not in found or found[place] != new:
                found[place], changed = new, True
    # From a loop without end no way leads to the end.
    return {label: found.get(label) for label in blocks}


def _postorder(before: Mapping[str | None, Sequence[str]]) -> list[str | None]:
    """The blocks, each after those that come before it in control's own order, the end last."""
    order: list[str | None] = []
    seen: set[str | None] = {None}
    todo: list[tuple[str | None, int]] = [(None, 0)]
    while todo:
        label, place = todo.pop()
        ways = before[label]
        while place < len(ways) and ways[place] in seen:
            place += 1
        if place == len(ways):
            order.append(label)
        else:
            seen.add(ways[place])
            todo += [(label, place + 1), (ways[place], 0)]
    return order
