# SPDX-License-Identifier: Apache-2.0
"""The function `run(launch, words)` that runs a box of a kernel's grid: thread by thread, x fastest, or group by group.

`launch` is an array of the words of `targets.native.words`, with the address of the launch's record where that of the printer is. `words`
are three for each parameter of the kernel, in three rows: the addresses of the buffers, their bytes, and the addresses of what is known of
each byte. Of memory that a threadgroup shares the first row has the offset.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from smelt.lowering import LoweredModule
from smelt.lowering.lowered import Threadgroups
from smelt.targets.metal.air.kernels import Kernel
from smelt.targets.metal.devices.software.artifacts import NO_MEMORY
from smelt.targets.metal.devices.software.cooperation import RESULT
from smelt.targets.metal.devices.software.inputs import (
    AXES,
    GROUPS,
    LAUNCH_MEMORY_LOADED,
    QUANTITIES,
    SIZES_LOADED,
    arguments_of,
)
from smelt.targets.metal.devices.software.shared_code import RUN_GROUPS, RUN_ROWS
from smelt.targets.native.kernels.threadgroups import threads_entry_point
from smelt.targets.native.words import SIZES

ENTRY = "run"


def entry_point(kernel: Kernel, parameters: tuple[tuple[str, str], ...], *, is_probed: bool) -> str:
    """The LLVM IR of the entry point of a kernel whose threads are alone.

    If `is_probed`, there are three kernels: `name`, `name.clear`, which looks after nothing, and `name.probe`, which only looks whether
    that will do.
    """
    loads, computed, arguments = arguments_of(kernel, parameters, "words")
    rows = [
        _ROW.format(
            name=f"run_row{variant}",
            grid=SIZES_LOADED,
            groups=GROUPS,
            loads=loads,
            position=_POSITION_STORED if not variant else "",
            inputs=f"{QUANTITIES}\n{computed}",
            call=f'call {RESULT} @"{kernel.name}{variant}"(ptr %state, ptr %words{arguments})',
            result=RESULT,
            ends_at_once=str(variant != ".probe").lower(),
            # Rows in which something is wrong are few.
            attributes="noinline optnone" if is_probed and not variant else "noinline",
        )
        for variant in (("", ".clear", ".probe") if is_probed else ("",))
    ]
    variants = ("@run_row.clear", "@run_row.probe") if is_probed else ("null", "null")
    return "".join((*rows, _ENTRY.format(entry=ENTRY, rows=RUN_ROWS, clear=variants[0], probe=variants[1])))


def stored_in_state(words: Mapping[int, str]) -> str:
    """LLVM IR that stores values of these names in these words of the thread's state."""
    return "\n".join(
        f"  %{name}_word = getelementptr i64, ptr %state, i64 {number}\n  store i64 %{name}, ptr %{name}_word"
        for number, name in words.items()
    )


def cooperative_entry_point(
    kernel: Kernel, parameters: tuple[tuple[str, str], ...], text: str, *, shared_bytes: int, sites: int
) -> str:
    """The LLVM IR of the entry point of a kernel whose threads work together: the one that smelt's own have."""
    loads, computed, arguments = arguments_of(kernel, parameters, "arguments")
    words = (*(f"position_{axis}" for axis in AXES), *SIZES)
    state = "\n".join(
        f"  %{name}_word = getelementptr i64, ptr %state, i64 {number}\n  %{name} = load i64, ptr %{name}_word"
        for number, name in enumerate(words)
    )
    lowered = LoweredModule(
        text=text,
        name=f'"{kernel.name}"',
        result_type=RESULT,
        functions=(),
        sources=(),
        errors=(),
        prints=(),
        symbols=(),
        threadgroups=Threadgroups(shared_bytes, is_sized_at_launch=True, exhausted=sites + NO_MEMORY),
    )
    kept, passed = _kept(arguments)
    prepared = f"{state}\n{GROUPS}\n{LAUNCH_MEMORY_LOADED}\n{loads}\n{QUANTITIES}\n{computed}\n{kept}"
    return threads_entry_point(lowered, ENTRY, prepared, f"ptr %state, ptr %arguments{passed}", RUN_GROUPS)


def _kept(arguments: str) -> tuple[str, str]:
    """LLVM IR that makes of numbers what coroutines keep, and the arguments with these in their place.

    What is computed they would compute again behind each place where a thread waits, divisions and all, and keep what that takes.
    """
    frozen = []

    def keep(found: re.Match[str]) -> str:
        frozen.append(f"  %kept_{found['name']} = freeze {found['kind']} %{found['name']}")
        return f", {found['kind']} %kept_{found['name']}"

    passed = re.sub(r", (?P<kind>i\d+|<\d x i\d+>) %(?P<name>\w+)", keep, arguments)
    return "\n".join(frozen), passed


_POSITION_STORED = stored_in_state({number: f"position_{axis}" for number, axis in enumerate(AXES)})

# A position fits into 31 bits on any grid that one waits for; then LLVM knows more of addresses.
_ROW = """
define internal i32 @{name}(
  ptr noalias %state, ptr noalias readonly %words, i64 %begin, i64 %end, i64 %position_y, i64 %position_z
) {attributes} {{
entry:
{grid}
{groups}
{loads}
  br label %loop
loop:
  %position_x = phi i64 [ %begin, %entry ], [ %next, %thread ]
  %total = phi i32 [ 0, %entry ], [ %together, %thread ]
  %is_left = icmp slt i64 %position_x, %end
  %has_ended = icmp ne i32 %total, 0
  %ends = and i1 %has_ended, {ends_at_once}
  %goes_on = xor i1 %ends, true
  %more = and i1 %is_left, %goes_on
  br i1 %more, label %thread, label %done
thread:
{position}
{inputs}
  %returned = {call}
  %status = extractvalue {result} %returned, 0
  %together = or i32 %total, %status
  %next = add nuw nsw i64 %position_x, 1
  br label %loop
done:
  ret i32 %total
}}
"""

_ENTRY = """
declare void @{rows}(ptr, ptr, ptr, ptr, ptr)
define void @{entry}(ptr noalias %launch, ptr noalias readonly %words) {{
  call void @{rows}(ptr %launch, ptr %words, ptr @run_row, ptr {clear}, ptr {probe})
  ret void
}}
"""
