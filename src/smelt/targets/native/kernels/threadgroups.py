# SPDX-License-Identifier: Apache-2.0
"""The entry point of a kernel whose threads work together.

The groups of a box run one after the other, x fastest, in the same memory; a box is made of whole groups. Of a group at the grid's end
only the threads that are in the grid exist.
"""

from __future__ import annotations

from smelt.compiler.threadgroups import SIMD_WIDTH
from smelt.lowering import LoweredModule
from smelt.lowering.threadgroups import (
    EXCHANGE,
    EXCHANGE_BYTES,
    LANE,
    LAUNCH_MEMORY,
    LAUNCH_MEMORY_BYTES,
    PARITY,
    PRINTER,
    STACK,
    STATE_WORDS,
    STATUS,
    THREADGROUP_MEMORY,
    WAITS_AT,
)
from smelt.targets.native.kernels import coroutines
from smelt.targets.native.kernels.boxes import GROUP_STEPS, group_sizes, loops_begin, loops_end
from smelt.targets.native.words import BOX, SIZES, loads_of_words, places_of_words

_GROUPS = "run_groups"


def group_entry_point(lowered: LoweredModule, entry: str, loads: str, arguments: str) -> str:
    """The LLVM IR of the entry point, given how the kernel's arguments are loaded from `%arguments` and passed."""
    declared = _undeclared(coroutines.DECLARATIONS_OF_THREAD + DECLARATIONS_OF_GROUPS, lowered)
    return f"{declared}\n{_threads(lowered, entry, loads, arguments, _GROUPS)}\n{groups_function(_GROUPS, 'internal')}"


def threads_entry_point(lowered: LoweredModule, entry: str, loads: str, arguments: str, groups: str) -> str:
    """The entry point that calls the function `groups`, which runs groups and is in another module."""
    declared = f"{coroutines.DECLARATIONS_OF_THREAD}declare void @{groups}(ptr, ptr, ptr, i64, i64)"
    return f"{_undeclared(declared, lowered)}\n{_threads(lowered, entry, loads, arguments, groups)}"


def _threads(lowered: LoweredModule, entry: str, loads: str, arguments: str, groups: str) -> str:
    assert lowered.threadgroups is not None
    return coroutines.thread_function(lowered, loads, arguments) + _ENTRY.format(
        entry=entry,
        groups=groups,
        memory_bytes=lowered.threadgroups.memory_bytes,
        exhausted=lowered.threadgroups.exhausted,
    )


def _undeclared(declarations: str, lowered: LoweredModule) -> str:
    # What the kernel declares too is declared once.
    return "\n".join(line for line in dict.fromkeys(declarations.splitlines()) if line not in lowered.text)


def groups_function(name: str, linkage: str = "") -> str:
    """The LLVM IR of the function of that name, the same for all kernels, which runs the groups of a box.

    It is given what makes a thread, the bytes of threadgroup memory, and the status that says that there is no memory.
    """
    return coroutines.RUN_GROUP + _TEMPLATE.format(
        name=name,
        linkage=linkage,
        loops_begin=loops_begin("", before="begins", inside="group"),
        group_sizes=group_sizes(""),
        loops_end=loops_end("", steps=GROUP_STEPS),
        words_of_launch=loads_of_words(*BOX, *SIZES, "launch_bytes", "printer"),
        status_place=places_of_words("status"),
        words=STATE_WORDS,
        width=SIMD_WIDTH,
        exchange_bytes=EXCHANGE_BYTES,
        threadgroup_memory=THREADGROUP_MEMORY,
        launch_memory=LAUNCH_MEMORY,
        printer=PRINTER,
        stack=STACK,
        launch_memory_bytes=LAUNCH_MEMORY_BYTES,
        exchange=EXCHANGE,
        lane=LANE,
        parity=PARITY,
        waits_at=WAITS_AT,
        status=STATUS,
        alignment=coroutines.ALIGNMENT,
        less=coroutines.ALIGNMENT - 1,
    )


DECLARATIONS_OF_GROUPS = f"""\
{coroutines.DECLARATIONS_OF_GROUP}\
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
declare i64 @llvm.smin.i64(i64, i64)
declare ptr @malloc(i64)
declare void @free(ptr)
"""

_ENTRY = """
define void @{entry}(ptr noalias %launch, ptr noalias readonly %arguments) {{
  call void @{groups}(ptr %launch, ptr %arguments, ptr @thread, i64 {memory_bytes}, i64 {exhausted})
  ret void
}}
"""

_TEMPLATE = """
; The words of the launch are those of a kernel whose threads run alone. Not optimised: that took half the time of compiling a small
; kernel, and what runs often is in the functions above.
define {linkage} void @{name}(
  ptr noalias %launch, ptr noalias readonly %arguments, ptr %make_thread, i64 %memory_bytes, i64 %exhausted_status
) noinline optnone {{
entry:
  %frames = alloca ptr
  store ptr null, ptr %frames
{words_of_launch}
{status_place}
  %plane = mul i64 %group_x, %group_y
  %most = mul i64 %plane, %group_z
  ; The memory: what threads share, exchange areas, states.
  %launch_end = add i64 %launch_bytes, %memory_bytes
  %launch_padded = add i64 %launch_end, {less}
  %shared_bytes = and i64 %launch_padded, -{alignment}
  %most_padded = add i64 %most, {width}
  %simdgroups = udiv i64 %most_padded, {width}
  %exchange_bytes = mul i64 %simdgroups, {exchange_bytes}
  %states_offset = add i64 %shared_bytes, %exchange_bytes
  %states_bytes = mul i64 %most, ptrtoint (ptr getelementptr ([{words} x i64], ptr null, i64 1) to i64)
  %used_bytes = add i64 %states_offset, %states_bytes
  %bytes = add i64 %used_bytes, {alignment}
  %allocated = call ptr @malloc(i64 %bytes)
  %is_exhausted = icmp eq ptr %allocated, null
  br i1 %is_exhausted, label %exhausted, label %begins
begins:
  %address = ptrtoint ptr %allocated to i64
  %negated = sub i64 0, %address
  %skipped = and i64 %negated, {less}
  %memory = getelementptr i8, ptr %allocated, i64 %skipped
  %launch_memory = getelementptr i8, ptr %memory, i64 %memory_bytes
  %exchanges = getelementptr i8, ptr %memory, i64 %shared_bytes
  %states = getelementptr i8, ptr %memory, i64 %states_offset
{loops_begin}
{group_sizes}
  %size_plane = mul i64 %size_x, %size_y
  %count = mul i64 %size_plane, %size_z
  ; What a group leaves behind must not show in the next.
  call void @llvm.memset.p0.i64(ptr %memory, i8 0, i64 %launch_end, i1 false)
  br label %prepare
prepare:
  %thread = phi i64 [ 0, %group ], [ %following, %prepared ]
  %is_thread = icmp ult i64 %thread, %count
  br i1 %is_thread, label %thread_begins, label %run
thread_begins:
  %state = getelementptr [{words} x i64], ptr %states, i64 %thread
  %inner_x = urem i64 %thread, %size_x
  %row = udiv i64 %thread, %size_x
  %inner_y = urem i64 %row, %size_y
  %inner_z = udiv i64 %row, %size_y
  %own_x = add i64 %x, %inner_x
  %own_y = add i64 %y, %inner_y
  %own_z = add i64 %z, %inner_z
  store i64 %own_x, ptr %state
  %own_y_word = getelementptr i64, ptr %state, i64 1
  store i64 %own_y, ptr %own_y_word
  %own_z_word = getelementptr i64, ptr %state, i64 2
  store i64 %own_z, ptr %own_z_word
  %own_sizes = getelementptr i64, ptr %state, i64 3
  call void @llvm.memcpy.p0.p0.i64(ptr %own_sizes, ptr %grid_x_place, i64 48, i1 false)
  %threadgroup_memory_word = getelementptr i64, ptr %state, i64 {threadgroup_memory}
  store ptr %memory, ptr %threadgroup_memory_word
  %launch_memory_word = getelementptr i64, ptr %state, i64 {launch_memory}
  store ptr %launch_memory, ptr %launch_memory_word
  %own_launch_bytes_word = getelementptr i64, ptr %state, i64 {launch_memory_bytes}
  store i64 %launch_bytes, ptr %own_launch_bytes_word
  %simdgroup = udiv i64 %thread, {width}
  %exchange = getelementptr [{exchange_bytes} x i8], ptr %exchanges, i64 %simdgroup
  %exchange_word = getelementptr i64, ptr %state, i64 {exchange}
  store ptr %exchange, ptr %exchange_word
  %own_printer_word = getelementptr i64, ptr %state, i64 {printer}
  store i64 %printer, ptr %own_printer_word
  %stack_word = getelementptr i64, ptr %state, i64 {stack}
  store ptr %frames, ptr %stack_word
  %lane = urem i64 %thread, {width}
  %lane_word = getelementptr i64, ptr %state, i64 {lane}
  store i64 %lane, ptr %lane_word
  %parity_word = getelementptr i64, ptr %state, i64 {parity}
  store i64 0, ptr %parity_word
  ; Anything but 0: it has not ended.
  %waits_at = getelementptr i64, ptr %state, i64 {waits_at}
  store i64 -1, ptr %waits_at
  call void %make_thread(ptr %state, ptr %arguments, ptr %frames, i64 %thread, i64 %most)
  %frames_known = load ptr, ptr %frames
  %has_no_frames = icmp eq ptr %frames_known, null
  br i1 %has_no_frames, label %no_frames, label %prepared
prepared:
  %following = add i64 %thread, 1
  br label %prepare
run:
  %failed = call i64 @run_group(ptr %states, i64 %count, ptr %exchanges)
  %has_failed = icmp sge i64 %failed, 0
  br i1 %has_failed, label %fails, label %end_of_x
{loops_end}
fails:
  %failed_state = getelementptr [{words} x i64], ptr %states, i64 %failed
  %failed_status_word = getelementptr i64, ptr %failed_state, i64 {status}
  %failed_status = load i64, ptr %failed_status_word
  store i64 %failed_status, ptr %status_place
  %failed_position = getelementptr i64, ptr %status_place, i64 1
  call void @llvm.memcpy.p0.p0.i64(ptr %failed_position, ptr %failed_state, i64 24, i1 false)
  br label %done
no_frames:
  store i64 %exhausted_status, ptr %status_place
  br label %done
done:
  %used_frames = load ptr, ptr %frames
  call void @free(ptr %used_frames)
  call void @free(ptr %allocated)
  ret void
exhausted:
  store i64 %exhausted_status, ptr %status_place
  ret void
}}
"""
