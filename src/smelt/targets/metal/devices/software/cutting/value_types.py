# SPDX-License-Identifier: Apache-2.0
"""The types of values in the text of LLVM IR, as far as values of such types can be kept in memory."""

from __future__ import annotations

import re

from smelt.targets.metal.devices.software.listings import leading_type, split_list

_FLAGS = r"(?:(?:nuw|nsw|nusw|inbounds|nneg|exact|disjoint|samesign|fast|nnan|ninf|nsz|arcp|contract|afn|reassoc|volatile) )*"
_DEFINITION = re.compile(
    rf"^  %(?:[\w.$-]+|\"[^\"]+\") = (?:(?:tail|musttail|notail) )?(?P<what>\w+) {_FLAGS}(?P<rest>.*)$"
)
_OF_CALLS = re.compile(
    r"(?:(?:fastcc|noundef|zeroext|signext|nonnull|noalias|range\([^)]*\)|nofpclass\([^)]*\)|align \d+) )*"
)
_CASTS = frozenset(
    (
        *("trunc", "zext", "sext", "fptrunc", "fpext", "fptoui", "fptosi", "uitofp", "sitofp"),
        *("ptrtoint", "inttoptr", "bitcast", "addrspacecast"),
    )
)
_VECTOR = re.compile(r"<(?P<count>\d+) x (?P<element>[^<>]+)>")
_BITS = {"half": 16, "bfloat": 16, "float": 32, "double": 64}


def type_of(instruction: str) -> str | None:
    """The type of the value that an instruction defines; None if that isn't known here."""
    found = _DEFINITION.match(instruction)
    if found is None:
        return None
    what, rest = found["what"], found["rest"]
    if what in _CASTS:
        return leading_type(rest.rpartition(" to ")[2].partition(", !")[0])
    if what == "call":
        return leading_type(rest[_OF_CALLS.match(rest).end() :])  # type: ignore[union-attr]
    parts = split_list(rest)
    match what:
        case "icmp" | "fcmp":
            vector = _VECTOR.match(leading_type(rest.partition(" ")[2]))
            return f"<{vector['count']} x i1>" if vector is not None else "i1"
        case "select" | "atomicrmw":
            return leading_type(parts[1])
        case "getelementptr":
            return None if "<" in "".join(parts[1:]) else leading_type(parts[1])
        case "extractelement":
            vector = _VECTOR.match(rest)
            return vector["element"] if vector is not None else None
        case "shufflevector":
            vector, mask = _VECTOR.match(rest), _VECTOR.match(parts[-1])
            return f"<{mask['count']} x {vector['element']}>" if vector is not None and mask is not None else None
        case "extractvalue":
            members = split_list(leading_type(rest)[1:-1])
            return members[int(parts[1])] if len(parts) == 2 and rest.startswith("{") else None
        case "alloca":
            return "ptr"
        case "cmpxchg" | "insertvalue" | "va_arg":
            return None
    return leading_type(parts[0])


def bytes_of(kind: str) -> int | None:
    """The bytes from one value of a type to the next one in memory; None for types whose size isn't known here."""
    array = re.fullmatch(r"\[(\d+) x (.+)\]", kind)
    if array is not None:
        size = bytes_of(array[2])
        return int(array[1]) * size if size is not None else None
    vector = _VECTOR.fullmatch(kind)
    if vector is not None:
        bits = _bits_of(vector["element"])
        return 1 << (-(-int(vector["count"]) * bits // 8) - 1).bit_length() if bits is not None else None
    bits = _bits_of(kind)
    return max(1, bits // 8) if bits is not None else None


def _bits_of(kind: str) -> int | None:
    if kind.startswith("ptr"):
        return 64
    integer = re.fullmatch(r"i(1|8|16|32|64)", kind)
    return int(integer[1]) if integer is not None else _BITS.get(kind)
