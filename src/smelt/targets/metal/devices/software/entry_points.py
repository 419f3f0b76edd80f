# SPDX-License-Identifier: Apache-2.0
"""The function `run(launch, words)` that runs a box of a kernel's grid: thread by thread, x fastest, or group by group.

`launch` is an array of the words of `targets.native.words`, with the address of the launch's record where that of the printer is. `words`
are three for each parameter of the kernel, in three rows: the addresses of the buffers, their bytes, and the addresses of what is known of
each byte. Of memory that a threadgroup shares the first row has the offset.
"""

from __future__ import annotations

import re

from smelt.lowering import LoweredModule
from smelt.lowering.lowered import Threadgroups
from smelt.lowering.threadgroups import ALONE_WORDS, LAUNCH_MEMORY, PRINTER
from smelt.targets.metal.air.kernels import THREADGROUP_SPACE, Kernel
from smelt.targets.metal.devices.errors import DeviceError
from smelt.targets.metal.devices.software.artifacts import NO_MEMORY
from smelt.targets.metal.devices.software.cooperation import RESULT
from smelt.targets.native.kernels.boxes import loops_begin, loops_end
from smelt.targets.native.kernels.threadgroups import group_entry_point
from smelt.targets.native.words import BOX, SIZES, loads_of_words, places_of_words

ENTRY = "run"

_AXES = "xyz"

# What each input is, of `position`, `inner` (the position in the threadgroup), `outer` (that of the threadgroup), `grid`, `group`
# (threads per threadgroup, as asked for), `actual` (fewer at an edge of the grid), `groups`, and `origin`, which is where a grid begins.
_VECTORS = {
    "thread_position_in_grid": "position",
    "thread_position_in_threadgroup": "inner",
    "threadgroup_position_in_grid": "outer",
    "threads_per_grid": "grid",
    "grid_size": "grid",
    "grid_origin": "origin",
    "threads_per_threadgroup": "actual",
    "dispatch_threads_per_threadgroup": "group",
    "threadgroups_per_grid": "groups",
}
_NUMBERS = {
    "thread_index_in_threadgroup": "index",
    "thread_index_in_simdgroup": "lane",
    "simdgroup_index_in_threadgroup": "simdgroup",
    "simdgroups_per_threadgroup": "simdgroups",
    "dispatch_simdgroups_per_threadgroup": "dispatched_simdgroups",
    "thread_index_in_quadgroup": "quad_lane",
    "quadgroup_index_in_threadgroup": "quadgroup",
    "quadgroups_per_threadgroup": "quadgroups",
    "dispatch_quadgroups_per_threadgroup": "dispatched_quadgroups",
    "threads_per_simdgroup": "simd_width",
    "thread_execution_width": "simd_width",
}


def unknown_inputs(kernel: Kernel) -> list[str]:
    """What a kernel takes of its device that is not known here."""
    return [one.quantity for one in kernel.inputs if one.quantity not in _VECTORS and one.quantity not in _NUMBERS]


def entry_point(kernel: Kernel, parameters: tuple[tuple[str, str], ...], *, is_probed: bool) -> str:
    """The LLVM IR of the entry point of a kernel whose threads are alone.

    If `is_probed`, there are three kernels: `name`, `name.clear`, which looks after nothing, and `name.probe`, which only looks whether
    that will do.
    """
    loads, computed, arguments = _arguments(kernel, parameters, "words")
    rows = [
        _ROW.format(
            name=f"run_row{variant}",
            grid=_GRID,
            groups=_GROUPS,
            loads=loads,
            position=_POSITION_STORED if not variant else "",
            inputs=f"{_QUANTITIES}\n{computed}",
            call=f'call {RESULT} @"{kernel.name}{variant}"(ptr %state, ptr %words{arguments})',
            result=RESULT,
            ends_at_once=str(variant != ".probe").lower(),
            # Rows in which something is wrong are few.
            attributes="noinline optnone" if is_probed and not variant else "noinline",
        )
        for variant in (("", ".clear", ".probe") if is_probed else ("",))
    ]
    words = {**dict(enumerate(SIZES, 3)), PRINTER: "printer"}
    entry = _ENTRY.format(
        entry=ENTRY,
        words=loads_of_words(*BOX, *SIZES, "printer"),
        status_place=places_of_words("status"),
        state_words=ALONE_WORDS,
        state=_stored(words),
        row_threads=_ROW_THREADS,
        loops_begin=loops_begin("", before="entry", inside="looks"),
        loops_end=loops_end("", steps=(str(_ROW_THREADS), "1", "1")),
        row=_PROBED_ROW if is_probed else _CHECKED_ROW,
    )
    return "".join((*rows, entry))


def _stored(words: dict[int, str]) -> str:
    return "\n".join(
        f"  %{name}_word = getelementptr i64, ptr %state, i64 {number}\n  store i64 %{name}, ptr %{name}_word"
        for number, name in words.items()
    )


def cooperative_entry_point(
    kernel: Kernel, parameters: tuple[tuple[str, str], ...], text: str, *, shared_bytes: int, sites: int
) -> str:
    """The LLVM IR of the entry point of a kernel whose threads work together: the one that smelt's own have."""
    loads, computed, arguments = _arguments(kernel, parameters, "arguments")
    words = (*(f"position_{axis}" for axis in _AXES), *SIZES)
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
    prepared = f"{state}\n{_GROUPS}\n{_LAUNCH_MEMORY}\n{loads}\n{_QUANTITIES}\n{computed}"
    return group_entry_point(lowered, ENTRY, prepared, f"ptr %state, ptr %arguments{arguments}")


def _arguments(kernel: Kernel, parameters: tuple[tuple[str, str], ...], words: str) -> tuple[str, str, str]:
    """LLVM IR that loads the buffers, LLVM IR that computes the inputs, and the arguments, each after a comma."""
    buffers = {buffer.parameter: buffer for buffer in kernel.buffers}
    inputs = {one.parameter: one for one in kernel.inputs}
    loads: list[str] = []
    computed: list[str] = []
    for number, (kind, _) in enumerate(parameters):
        if number in buffers:
            loads.append(f"  %place{number} = getelementptr i64, ptr %{words}, i64 {number}")
            if buffers[number].space == THREADGROUP_SPACE:
                loads.append(f"  %offset{number} = load i64, ptr %place{number}")
                loads.append(f"  %room{number} = getelementptr i8, ptr %launch_memory, i64 %offset{number}")
                loads.append(f"  %a{number} = addrspacecast ptr %room{number} to {kind}")
            else:
                loads.append(f"  %a{number} = load {kind}, ptr %place{number}")
        elif number in inputs:
            computed += _input(inputs[number].quantity, kind, number)
        else:
            raise DeviceError(f"nothing is said of parameter {number} of the kernel {kernel.name}")
    arguments = "".join(f", {kind} %a{number}" for number, (kind, _) in enumerate(parameters))
    return "\n".join(loads), "\n".join(computed), arguments


_LAUNCH_MEMORY = f"""\
  %launch_memory_word = getelementptr i64, ptr %state, i64 {LAUNCH_MEMORY}
  %launch_memory = load ptr, ptr %launch_memory_word"""


def _input(quantity: str, kind: str, number: int) -> list[str]:
    """LLVM IR that computes the argument of that number."""
    if quantity in _NUMBERS:
        return [f"  %a{number} = {_narrowed('%' + _NUMBERS[quantity], kind)}"]
    source = _VECTORS[quantity]
    vector = re.fullmatch(r"<(\d) x (i\d+)>", kind)
    if vector is None:
        return [f"  %a{number} = {_narrowed(f'%{source}_x', kind)}"]
    lines, result = [], "poison"
    for place, axis in enumerate(_AXES[: int(vector[1])]):
        name = f"%a{number}" if place + 1 == int(vector[1]) else f"%a{number}_{axis}"
        lines.append(f"  %part{number}_{axis} = {_narrowed(f'%{source}_{axis}', vector[2])}")
        lines.append(f"  {name} = insertelement {kind} {result}, {vector[2]} %part{number}_{axis}, i32 {place}")
        result = name
    return lines


def _narrowed(value: str, kind: str) -> str:
    return f"add i64 {value}, 0" if kind == "i64" else f"trunc i64 {value} to {kind}"


_GROUPS = "\n".join(
    f"  %padded_{axis} = add i64 %grid_{axis}, %group_{axis}\n  %last_{axis} = sub i64 %padded_{axis}, 1\n"
    f"  %groups_{axis} = udiv i64 %last_{axis}, %group_{axis}\n  %origin_{axis} = add i64 0, 0"
    for axis in _AXES
)

_POSITION = """\
  %outer_{axis} = udiv i64 %position_{axis}, %group_{axis}
  %first_{axis} = mul i64 %outer_{axis}, %group_{axis}
  %inner_{axis} = sub i64 %position_{axis}, %first_{axis}
  %rest_{axis} = sub i64 %grid_{axis}, %first_{axis}
  %is_edge_{axis} = icmp ult i64 %rest_{axis}, %group_{axis}
  %actual_{axis} = select i1 %is_edge_{axis}, i64 %rest_{axis}, i64 %group_{axis}
"""

_QUANTITIES = (
    "".join(_POSITION.format(axis=axis) for axis in _AXES)
    + """\
  %row_before = mul i64 %inner_z, %actual_y
  %in_plane = add i64 %row_before, %inner_y
  %in_rows = mul i64 %in_plane, %actual_x
  %index = add i64 %in_rows, %inner_x
  %lane = and i64 %index, 31
  %simdgroup = lshr i64 %index, 5
  %quad_lane = and i64 %index, 3
  %quadgroup = lshr i64 %index, 2
  %simd_width = add i64 0, 32
  %threads_of_plane = mul i64 %actual_x, %actual_y
  %threads_of_group = mul i64 %threads_of_plane, %actual_z
  %threads_padded = add i64 %threads_of_group, 31
  %simdgroups = lshr i64 %threads_padded, 5
  %threads_in_quads = add i64 %threads_of_group, 3
  %quadgroups = lshr i64 %threads_in_quads, 2
  %dispatched_plane = mul i64 %group_x, %group_y
  %dispatched = mul i64 %dispatched_plane, %group_z
  %dispatched_padded = add i64 %dispatched, 31
  %dispatched_simdgroups = lshr i64 %dispatched_padded, 5
  %dispatched_in_quads = add i64 %dispatched, 3
  %dispatched_quadgroups = lshr i64 %dispatched_in_quads, 2"""
)

_POSITION_STORED = _stored({number: f"position_{axis}" for number, axis in enumerate(_AXES)})

_GRID = "\n".join(
    f"  %{name}_word = getelementptr i64, ptr %state, i64 {number}\n  %{name} = load i64, ptr %{name}_word"
    for number, name in enumerate(SIZES, 3)
)

_ROW_THREADS = 16384
"""So many threads of a row are run at once: what they read and write stays near the processor, and they end soon if they have to stop."""

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

_CHECKED_ROW = """\
  %status = call i32 @run_row(ptr %state, ptr %words, i64 %x, i64 %row_end, i64 %y, i64 %z)
  br label %row_done
row_done:"""

_PROBED_ROW = """\
  %is_outside = call i32 @run_row.probe(ptr %state, ptr %words, i64 %x, i64 %row_end, i64 %y, i64 %z)
  %is_inside = icmp eq i32 %is_outside, 0
  %changes = call i1 @smelt.changes(ptr %state)
  %is_clear = icmp ugt i1 %is_inside, %changes
  br i1 %is_clear, label %clear, label %checked
clear:
  %clear_status = call i32 @run_row.clear(ptr %state, ptr %words, i64 %x, i64 %row_end, i64 %y, i64 %z)
  br label %row_done
checked:
  %checked_status = call i32 @run_row(ptr %state, ptr %words, i64 %x, i64 %row_end, i64 %y, i64 %z)
  br label %row_done
row_done:
  %status = phi i32 [ %clear_status, %clear ], [ %checked_status, %checked ]"""

_ENTRY = """
define void @{entry}(ptr noalias %launch, ptr noalias readonly %words) noinline optnone {{
entry:
  %state = alloca [{state_words} x i64], align 8
{words}
{status_place}
{state}
{loops_begin}
  %is_stopped = call i1 @smelt.is_stopped(ptr %state)
  br i1 %is_stopped, label %done, label %row
row:
  %far = add i64 %x, {row_threads}
  %is_last = icmp slt i64 %end_x, %far
  %row_end = select i1 %is_last, i64 %end_x, i64 %far
{row}
  %has_stopped = icmp ne i32 %status, 0
  br i1 %has_stopped, label %stopped, label %end_of_x
{loops_end}
stopped:
  %wide_status = zext i32 %status to i64
  store i64 %wide_status, ptr %status_place
  br label %done
done:
  ret void
}}
"""
