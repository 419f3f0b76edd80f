# SPDX-License-Identifier: Apache-2.0
"""The entry point of a kernel that was cut into phases: what runs is a function for a group, see `lowering.cutting.groups`.

The groups of a box run one after the other, x fastest, in the same memory; a box is made of whole groups. Of a group at the grid's end
only the threads that are in the grid exist.
"""

from __future__ import annotations

from collections.abc import Iterable

from smelt.lowering import LoweredModule
from smelt.lowering.threadgroups import (
    LAUNCH_MEMORY,
    LAUNCH_MEMORY_BYTES,
    PRINTER,
    STACK,
    STATE_WORDS,
    THREADGROUP_MEMORY,
)
from smelt.targets.native.kernels.boxes import GROUP_STEPS, group_sizes, loops_begin, loops_end
from smelt.targets.native.words import BOX, SIZES, loads_of_words, places_of_words

_ALIGNMENT = 64


def phases_entry_point(lowered: LoweredModule, entry: str, loads: str, arguments: str) -> str:
    """The LLVM IR of the entry point, given how the kernel's arguments are loaded from `%arguments` and passed."""
    assert lowered.threadgroups is not None
    words = {number: f"i64 %{name}" for number, name in enumerate(SIZES, 3)}
    words |= {
        PRINTER: "i64 %printer",
        STACK: "ptr %state",
        THREADGROUP_MEMORY: "ptr %memory",
        LAUNCH_MEMORY: "ptr %launch_memory",
        LAUNCH_MEMORY_BYTES: "i64 %launch_bytes",
    }
    state = "\n".join(
        f"  %word{word} = getelementptr i64, ptr %state, i64 {word}\n  store {value}, ptr %word{word}, align 8"
        for word, value in words.items()
    )
    passed = ", ".join(f"i64 %{name}_{axis}" for name in ("at", "size") for axis in ("x", "y", "z"))
    text = _TEMPLATE.format(
        entry=entry,
        loops_begin=loops_begin("at_", before="begins", inside="group"),
        group_sizes=group_sizes("at_"),
        loops_end=loops_end("at_", steps=GROUP_STEPS),
        words=loads_of_words(*BOX, *SIZES, "launch_bytes", "printer"),
        status_place=places_of_words("status"),
        loads=loads,
        state=state,
        state_words=STATE_WORDS,
        memory_bytes=lowered.threadgroups.memory_bytes,
        slot_bytes=lowered.threadgroups.slot_bytes,
        exhausted=lowered.threadgroups.exhausted,
        clears=_clears(lowered),
        runs=_runs(lowered, f"{arguments}, {passed}, ptr %slots, i64 %most_padded"),
        alignment=_ALIGNMENT,
        less=_ALIGNMENT - 1,
    )
    # What the kernel declares too is declared once.
    return "\n".join(line for line in text.splitlines() if not line.startswith("declare") or line not in lowered.text)


def _clears(lowered: LoweredModule) -> str:
    """LLVM IR that clears what threads share, unless those of the group write all of it first."""
    assert lowered.threadgroups is not None
    size = lowered.threadgroups.written_first_by
    if size is None:
        return _CLEARS
    given = _has_size("writes_first", map(str, size))
    return f"{given}\n  br i1 %writes_first, label %cleared, label %clears\nclears:\n{_CLEARS}\n  br label %cleared\ncleared:"


def _runs(lowered: LoweredModule, arguments: str) -> str:
    """LLVM IR that runs a group, and sets `%status`."""
    assert lowered.threadgroups is not None
    kind, edge = lowered.result_type, lowered.threadgroups.edge
    call = f"call {kind} @{lowered.name}({arguments})"
    if edge is None:
        return f"  %returned = {call}\n  %status = extractvalue {kind} %returned, 0"
    of_edge = f"call {kind} @{edge}({arguments})"
    return f"{_has_size('is_whole', GROUP_STEPS)}\n{_WHOLE_OR_EDGE.format(kind=kind, whole=call, edge=of_edge)}"


def _has_size(name: str, sizes: Iterable[str]) -> str:
    """LLVM IR that sets `%name` to whether the group has this size."""
    lines = [f"  %{name}_{axis} = icmp eq i64 %size_{axis}, {size}" for axis, size in zip("xyz", sizes, strict=True)]
    lines.append(f"  %{name}_xy = and i1 %{name}_x, %{name}_y")
    lines.append(f"  %{name} = and i1 %{name}_xy, %{name}_z")
    return "\n".join(lines)


_CLEARS = """\
  ; What a group leaves behind must not show in the next.
  call void @llvm.memset.p0.i64(ptr %memory, i8 0, i64 %launch_end, i1 false)"""

_WHOLE_OR_EDGE = """\
  br i1 %is_whole, label %whole, label %edge
whole:
  %of_whole = {whole}
  br label %has_run
edge:
  %of_edge = {edge}
  br label %has_run
has_run:
  %returned = phi {kind} [ %of_whole, %whole ], [ %of_edge, %edge ]
  %status = extractvalue {kind} %returned, 0"""

_TEMPLATE = """
declare ptr @malloc(i64)
declare void @free(ptr)
declare i64 @llvm.smin.i64(i64, i64)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)

; Not optimised: what runs often is in the group's function.
define void @{entry}(ptr noalias %launch, ptr noalias readonly %arguments) noinline optnone {{
entry:
  %state = alloca [{state_words} x i64], align 8
{words}
{status_place}
{loads}
  %plane = mul i64 %group_x, %group_y
  %most = mul i64 %plane, %group_z
  ; The memory: what threads share, and slots.
  %launch_end = add i64 %launch_bytes, {memory_bytes}
  %launch_padded = add i64 %launch_end, {less}
  %shared_bytes = and i64 %launch_padded, -{alignment}
  %most_and_more = add i64 %most, {less}
  %most_padded = and i64 %most_and_more, -{alignment}
  %slots_bytes = mul i64 %most_padded, {slot_bytes}
  %used_bytes = add i64 %shared_bytes, %slots_bytes
  %bytes = add i64 %used_bytes, {alignment}
  %allocated = call ptr @malloc(i64 %bytes)
  %is_exhausted = icmp eq ptr %allocated, null
  br i1 %is_exhausted, label %exhausted, label %begins
begins:
  %address = ptrtoint ptr %allocated to i64
  %negated = sub i64 0, %address
  %skipped = and i64 %negated, {less}
  %memory = getelementptr i8, ptr %allocated, i64 %skipped
  %launch_memory = getelementptr i8, ptr %memory, i64 {memory_bytes}
  %slots = getelementptr i8, ptr %memory, i64 %shared_bytes
{state}
{loops_begin}
{group_sizes}
{clears}
{runs}
  %succeeded = icmp eq i32 %status, 0
  br i1 %succeeded, label %end_of_x, label %fails
{loops_end}
fails:
  %wide_status = zext i32 %status to i64
  store i64 %wide_status, ptr %status_place, align 8
  %failed_position = getelementptr i64, ptr %status_place, i64 1
  call void @llvm.memcpy.p0.p0.i64(ptr %failed_position, ptr %state, i64 24, i1 false)
  br label %done
done:
  call void @free(ptr %allocated)
  ret void
exhausted:
  store i64 {exhausted}, ptr %status_place, align 8
  ret void
}}
"""
