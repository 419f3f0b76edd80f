# SPDX-License-Identifier: Apache-2.0
"""Leaving out what a module doesn't use, before LLVM reads it.

Programs are written with all that a kernel may ask for: its place in ten ways, and functions for whatever is found wrong. LLVM would find out
too that most of it isn't asked for, in several times the time.
"""

from __future__ import annotations

import re
from collections import Counter

_HEAD = re.compile(r"define (?P<internal>internal )?[^@]*(?P<name>@(?:[\w.$-]+|\"[^\"]+\"))\(")
_SYMBOL = re.compile(r"@(?:[\w.$-]+|\"[^\"]+\")")
_VALUE = re.compile(r"%(?:[\w.$-]+|\"[^\"]+\")")
_WITHOUT_EFFECTS = re.compile(
    r"  (?P<name>%[\w.]+) = (?:getelementptr|load (?!atomic|volatile)|ptrtoint|add|sub|mul|udiv|and|or|lshr|icmp|select|trunc|insertelement"
    r"|call i64 @smelt\.limit\() ?"
)


def without_unused(text: str) -> str:
    """The module without internal functions that nobody calls, and without values that nobody uses in the functions that remain."""
    functions: dict[str, str] = {}
    rest, used = [], set[str]()
    for part in re.split(r"^(?=define )", text, flags=re.MULTILINE):
        head, end = _HEAD.match(part), 0
        if head is not None:
            end = part.index("\n}\n") + 3
            functions[head["name"]] = part[:end]
            used |= set() if head["internal"] else {head["name"]}
        rest.append(part[end:])
    todo = [*rest, *(functions[name] for name in used)]
    while todo:
        new = functions.keys() & set(_SYMBOL.findall(todo.pop())) - used
        used |= new
        todo += [functions[name] for name in new]
    return "".join((*rest, *(_with_used_values(text) for name, text in functions.items() if name in used)))


def _with_used_values(function: str) -> str:
    lines = function.splitlines()
    uses = Counter(_VALUE.findall(function))
    # Backwards, so that what a value was computed of goes with it.
    for number in range(len(lines) - 1, -1, -1):
        found = _WITHOUT_EFFECTS.match(lines[number])
        if found is not None and uses[found["name"]] == 1:
            uses.subtract(_VALUE.findall(lines.pop(number)))
    return "\n".join(lines) + "\n"
