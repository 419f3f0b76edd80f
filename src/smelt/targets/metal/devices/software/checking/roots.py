# SPDX-License-Identifier: Apache-2.0
"""The memory that a kernel may access, beside that of its threads: what its code calls it, where it begins and how large it is."""

from __future__ import annotations

import re

from smelt.targets.metal.air.kernels import THREADGROUP_SPACE
from smelt.targets.metal.devices.software import shared_memory
from smelt.targets.metal.devices.software.artifacts import KernelSource
from smelt.targets.metal.devices.software.checking import records, tracking
from smelt.targets.metal.devices.software.checking.accesses import size_of
from smelt.targets.metal.devices.software.checking.bounds import Root
from smelt.targets.metal.devices.software.inlining import OneFunction
from smelt.targets.metal.devices.software.listings import leading_type


def roots_of(one: OneFunction, source: KernelSource, places: dict[str, int]) -> dict[str, Root]:
    """The memory by the names of parameters, of variables that a threadgroup shares, and of those of the module."""
    roots = {}
    by_parameter = {buffer.parameter: buffer for buffer in source.kernel.buffers}
    for number, (_, name) in enumerate(one.parameters):
        if number in by_parameter:
            is_in_rows = by_parameter[number].space != THREADGROUP_SPACE
            base, size, shadow = (f"%smelt.{word}{number}" for word in ("base", "size", "shadow"))
            roots[name] = Root(base, size, str(number), shadow, is_in_rows)
    for number, variable in enumerate(places):
        value = shared_memory.value_of(number)
        shadow = f"%smelt.known{number}"
        roots[value] = Root(f"{value}.base", str(source.shared[variable]), str(records.GROUP), shadow)
    for name, (pointer, size) in _tables(one).items():
        roots[name] = Root(f"ptrtoint ({pointer} {name} to i64)", size, str(records.TABLE))
    return roots


def _tables(one: OneFunction) -> dict[str, tuple[str, str]]:
    """The variables of a module that are no group's: the types of their addresses, and their bytes."""
    found = {}
    for line in one.rest:
        table = re.match(r"(@[\w.$-]+|@\"[^\"]+\") = (?P<linkage>.*?)\b(?:constant|global) (?P<rest>.*)$", line)
        if table is not None and "external" not in table["linkage"]:
            space = re.search(r"addrspace\((\d+)\)", table["linkage"])
            pointer = f"ptr addrspace({space[1]})" if space is not None else "ptr"
            found[table[1]] = (pointer, size_of(leading_type(table["rest"])))
    return found


def table_sizes(one: OneFunction) -> dict[str, str]:
    """The bytes of the variables of a module that are no group's."""
    return {name: size for name, (_, size) in _tables(one).items()}


def bases_of(roots: dict[str, Root], one: OneFunction, source: KernelSource) -> list[str]:
    """LLVM IR that computes where memory begins, how large it is, and where what is known of it is."""
    lines = []
    buffers = {buffer.parameter for buffer in source.kernel.buffers}
    count = len(one.parameters)
    for number, (kind, name) in enumerate(one.parameters):
        if number not in buffers:
            continue
        lines.append(f"  %smelt.base{number} = ptrtoint {kind} {name} to i64")
        for row, word in enumerate(("size", "shadow"), 1):
            place = f"%smelt.{word}_place{number}"
            lines.append(f"  {place} = getelementptr i64, ptr %smelt.words, i64 {row * count + number}")
            lines.append(f"  %smelt.{word}{number} = load i64, ptr {place}, !invariant.load !{{}}")
    variables = [name for name in roots if name.startswith("%smelt.shared")]
    if variables:
        lines.append("  %smelt.group_shadow = call i64 @smelt.group_shadow(ptr %smelt.state)")
    places, _ = shared_memory.places_of(source.shared)
    for number, (variable, offset) in enumerate(zip(variables, places.values(), strict=True)):
        lines.append(f"  {variable}.base = ptrtoint ptr addrspace(3) {variable} to i64")
        lines.append(f"  %smelt.known{number} = add i64 %smelt.group_shadow, {8 * tracking.SHADOW_WORDS * offset}")
    return lines
