# SPDX-License-Identifier: Apache-2.0
"""Lists of parameters and arguments in the text of LLVM IR."""

from __future__ import annotations

import re

_SEPARATORS = re.compile(r"[,(<{\[)>}\]]")
_DEPTH = {"(": 1, "<": 1, "{": 1, "[": 1, ")": -1, ">": -1, "}": -1, "]": -1}


def split_list(text: str) -> list[str]:
    """The parts of a list, up to the parenthesis that ends it if there is one. Commas inside of a part's own brackets don't part."""
    parts: list[str] = []
    depth = begin = 0
    end = len(text)
    for found in _SEPARATORS.finditer(text):
        character = found[0]
        if character == ")" and depth == 0:
            end = found.start()
            break
        if character != ",":
            depth += _DEPTH[character]
        elif depth == 0:
            parts.append(text[begin : found.start()].strip())
            begin = found.end()
    last = text[begin:end].strip()
    return [*parts, last] if last else parts


def leading_type(text: str) -> str:
    """The type that an operand begins with."""
    if text[0] in "<{[":
        depth = 0
        for place, character in enumerate(text):
            depth += _DEPTH.get(character, 0)
            if depth == 0:
                return text[: place + 1]
    found = re.match(r"ptr(?: addrspace\(\d+\))?|%\"[^\"]+\"|\S+", text)
    return found[0] if found is not None else text
