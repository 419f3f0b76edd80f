# SPDX-License-Identifier: Apache-2.0
"""The address spaces of AIR, which are one memory on the processor.

LLVM compares no pointers of different spaces, so that it makes no vectors of a loop that reads from the one and writes to the other.
"""

from __future__ import annotations

import re

_CAST = re.compile(r"= addrspacecast ptr(?: addrspace\(\d+\))? (.+?) to ptr(?: addrspace\(\d+\))?(?=$|,)", re.MULTILINE)
_CONSTANT_CAST = re.compile(
    r"addrspacecast \(ptr(?: addrspace\(\d+\))? (@[\w.$-]+|@\"[^\"]+\") to ptr(?: addrspace\(\d+\))?\)"
)
_SPACE = re.compile(r" addrspace\(\d+\)")
_MANGLED = re.compile(r"@llvm\.[\w.]+")
_TYPES = re.compile(r", !tbaa(?:\.struct)? ![0-9]+")


def without_address_spaces(text: str) -> str:
    """A module whose pointers are all of one space.

    Nor do types tell any more what pointers can't be equal: a host may bind one buffer twice, as different types.
    """
    text = _CAST.sub(r"= getelementptr i8, ptr \1, i64 0", text)
    text = _CONSTANT_CAST.sub(r"\1", text)
    text = _TYPES.sub("", _SPACE.sub("", text))
    return _once(_MANGLED.sub(lambda name: re.sub(r"\.p[1-9](?=\.|$)", ".p0", name[0]), text))


def _once(text: str) -> str:
    """The module, with each function declared once: names differed by the spaces of pointers."""
    declared: set[str] = set()
    lines = []
    for line in text.splitlines():
        if line.startswith("declare"):
            begin = line.index("@")
            symbol = line[begin : line.index("(", begin)]
            if symbol in declared:
                continue
            declared.add(symbol)
        lines.append(line)
    return "\n".join(lines) + "\n"
