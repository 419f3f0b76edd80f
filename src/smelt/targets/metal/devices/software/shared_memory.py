# SPDX-License-Identifier: Apache-2.0
"""The variables that a threadgroup shares: in the module they are there once, here once for each group that runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from smelt.lowering.threadgroups import THREADGROUP_MEMORY
from smelt.targets.metal.devices.errors import DeviceError

ALIGNMENT = 64
"""What a variable is aligned to."""


def places_of(shared: Mapping[str, int]) -> tuple[dict[str, int], int]:
    """Where each variable lies in the memory of a group, given how many bytes they have, and how many bytes they take together."""
    places, end = {}, 0
    for name, size in shared.items():
        places[name] = end
        end += -(-size // ALIGNMENT) * ALIGNMENT
    return places, end


def value_of(number: int) -> str:
    """What the address of a variable is called in the kernel."""
    return f"%smelt.shared{number}"


_EXPRESSION = re.compile(
    r"(?P<what>getelementptr|bitcast|addrspacecast|ptrtoint)(?P<flags>(?: inbounds| nuw| nusw| inrange\([^)]*\))*) "
    r"\((?P<operands>(?:[^()]|addrspace\(\d+\))*%smelt\.shared(?:[^()]|addrspace\(\d+\))*)\)"
)


def with_own_variables(body: Sequence[str], names: Iterable[str], kernel: str) -> tuple[list[str], list[str]]:
    """The body of a kernel with the group's own variables in place of the module's, and what computes constants of them before.

    Raises `DeviceError` for constants that are computed of their addresses in ways that no compiler uses.
    """
    numbers = {f"@{name}" if re.fullmatch(r"[\w.$-]+", name) else f'@"{name}"': n for n, name in enumerate(names)}
    if not numbers:
        return list(body), []
    token = re.compile("|".join(rf"{re.escape(name)}(?![\w.$-])" for name in sorted(numbers, key=len, reverse=True)))
    computed: dict[str, str] = {}

    def instruction(found: re.Match[str]) -> str:
        text = f"{found['what']}{found['flags']} {found['operands']}"
        return computed.setdefault(text, f"%smelt.sharedplace{len(computed)}")

    lines = []
    for line in body:
        changed = token.sub(lambda found: value_of(numbers[found[0]]), line)
        before = ""
        while changed != before:
            before, changed = changed, _EXPRESSION.sub(instruction, changed)
        if re.search(r"(?:\b(?:sub|add|xor|inttoptr|icmp|select)\b) \([^()]*%smelt\.shared", changed):
            raise DeviceError(f"the kernel {kernel} computes with addresses of threadgroup memory: {line.strip()}")
        lines.append(changed)
    return lines, [f"  {name} = {text}" for text, name in computed.items()]


def addresses(places: Mapping[str, int]) -> list[str]:
    """LLVM IR that finds the variables in the memory of the thread's group."""
    if not places:
        return []
    lines = [
        f"  %smelt.group_place = getelementptr i64, ptr %smelt.state, i64 {THREADGROUP_MEMORY}",
        "  %smelt.group = load ptr, ptr %smelt.group_place, !invariant.load !{}",
    ]
    for number, place in enumerate(places.values()):
        lines.append(f"  {value_of(number)}.generic = getelementptr i8, ptr %smelt.group, i64 {place}")
        lines.append(f"  {value_of(number)} = addrspacecast ptr {value_of(number)}.generic to ptr addrspace(3)")
    return lines
