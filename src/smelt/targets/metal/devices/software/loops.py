# SPDX-License-Identifier: Apache-2.0
"""The loops of a kernel in which a thread looks whether to stop: all but those that go round a few times, whatever happens."""

from __future__ import annotations

import re
from collections.abc import Sequence

LABEL = re.compile(r"^([\w.$-]+|\"[^\"]+\"):")

MOST_ROUNDS = 1 << 16
"""So many rounds of loops within each other end soon."""

_TARGET = re.compile(r"label %([\w.$-]+|\"[^\"]+\")")
_LATCH = re.compile(r"^  br i1 (?P<test>%[^ ,]+), label %(?P<yes>[^ ,]+), label %(?P<no>[^ ,]+)")
_PHI = re.compile(
    r"^  (?P<name>%[^ ]+) = phi i\d+ \[ (?P<first>[^ ]+), %(?P<from>[^ ]+) \], \[ (?P<second>[^ ]+), %(?P<other>[^ ]+) \]"
)


def looked_at(body: Sequence[str]) -> tuple[frozenset[str], bool]:
    """The blocks that begin the loops in which a thread looks, and whether there are loops at all.

    Each cycle of the control flow has a block that one behind it, or itself, goes to.
    """
    places, ends = {}, {}
    for number, line in enumerate(body):
        label = LABEL.match(line)
        if label is not None:
            places[label[1]] = number
        elif line.startswith(("  br ", "  switch ", "    ")):
            for target in _TARGET.findall(line):
                if target in places:
                    ends[target] = number
    definitions = {line[2:].partition(" = ")[0]: line for line in body if " = " in line}
    rounds = {head: _rounds(body, head, places[head], end, definitions) for head, end in ends.items()}
    heads = set()
    for head, end in ends.items():
        together = 1
        for other, other_end in ends.items():
            if places[other] <= places[head] and end <= other_end:
                together *= rounds[other] or 1
        if rounds[head] is None or together > MOST_ROUNDS:
            heads.add(head)
    return frozenset(heads), bool(ends)


def _rounds(body: Sequence[str], head: str, begin: int, end: int, definitions: dict[str, str]) -> int | None:
    """How often a loop goes round at most: known if it counts from one number to another by a third, and one branch ends it."""
    latch = _LATCH.match(body[end])
    back = sum(1 for line in body[begin:end] if head in _TARGET.findall(line))
    if latch is None or back or (latch["yes"] == head) == (latch["no"] == head):
        return None
    test = re.search(
        r"icmp (?P<order>\w+) i(?P<bits>\d+) (?P<value>%[^ ,]+), (?P<bound>-?\d+)$", definitions.get(latch["test"], "")
    )
    if test is None:
        return None
    for line in body[begin + 1 : end]:
        if " = phi " not in line:
            break
        phi = _PHI.match(line)
        if phi is None:
            continue
        for start, following in ((phi["first"], phi["second"]), (phi["second"], phi["first"])):
            step = re.search(
                rf"= add (?:nuw |nsw )*i\d+ {re.escape(phi['name'])}, (-?\d+)$", definitions.get(following, "")
            )
            if step is None or not re.fullmatch(r"-?\d+", start) or test["value"] not in (phi["name"], following):
                continue
            return _counted(
                int(start), int(step[1]), test, is_next=test["value"] == following, goes_on=latch["yes"] == head
            )
    return None


def _counted(value: int, step: int, test: re.Match[str], *, is_next: bool, goes_on: bool) -> int | None:
    bits, order, bound = int(test["bits"]), test["order"], int(test["bound"])

    def number(of: int) -> int:
        low = of & (1 << bits) - 1
        return low - (1 << bits) if order.startswith("s") and low >> (bits - 1) else low

    orders = {
        "eq": number(bound).__eq__,
        "ne": number(bound).__ne__,
        "lt": number(bound).__gt__,
        "le": number(bound).__ge__,
        "gt": number(bound).__lt__,
        "ge": number(bound).__le__,
    }
    holds = orders[order.lstrip("su") if order not in ("eq", "ne") else order]
    for count in range(1, MOST_ROUNDS + 1):
        tested = value + step if is_next else value
        value += step
        if holds(number(tested)) != goes_on:
            return count
    return None
