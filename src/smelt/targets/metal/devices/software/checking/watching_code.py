# SPDX-License-Identifier: Apache-2.0
"""The functions of LLVM IR that kernels call while they are looked after: tests, reports, and whether to stop.

The thread's state has its position in words 0 to 2, the grid's sizes in 3 to 5, those of a group in 6 to 8, and the address of the
launch's record where smelt's own kernels have their printer.
"""

from __future__ import annotations

from smelt.lowering.threadgroups import PRINTER
from smelt.targets.metal.devices.software.checking.accesses import READ
from smelt.targets.metal.devices.software.checking.records import OUTSIDE, ROW_WORDS, THREAD, place_of

_RECORD = f"""\
  %record_at = getelementptr i64, ptr %state, i64 {PRINTER}
  %record = load ptr, ptr %record_at, !invariant.load !{{}}"""

_STORED = ("what", "kind", "root", "offset", "bytes", "x", "y", "z", "other", "serial")

WATCHING = f"""
declare preserve_allcc ptr @smelt.outside(ptr, i64, i64, i64, i64) cold nounwind
declare void @smelt.report(ptr, i64, i64, i64, i64, i64, i64) cold nounwind
declare ptr @smelt.row(ptr, i64, i64) memory(read) willreturn nounwind

define internal i1 @smelt.is_stopped(ptr %state) alwaysinline {{
{_RECORD}
{place_of("stop")}
  %stop = load atomic i64, ptr %stop_place monotonic, align 8
  %is_stopped = icmp ne i64 %stop, 0
  ret i1 %is_stopped
}}

define internal i1 @smelt.changes(ptr %state) alwaysinline {{
{_RECORD}
{place_of("changes")}
  %word = load i64, ptr %changes_place, !invariant.load !{{}}
  %changes = icmp ne i64 %word, 0
  ret i1 %changes
}}

define internal i64 @smelt.group_shadow(ptr %state) alwaysinline {{
{_RECORD}
{place_of("group_shadow")}
  %shadow = load i64, ptr %group_shadow_place, !invariant.load !{{}}
  ret i64 %shadow
}}

define internal ptr @smelt.zeros(ptr %state) alwaysinline {{
{_RECORD}
{place_of("zeros")}
  %zeros = load ptr, ptr %zeros_place, !invariant.load !{{}}
  ret ptr %zeros
}}

define internal ptr @smelt.junk(ptr %state) alwaysinline {{
{_RECORD}
{place_of("junk")}
  %junk = load ptr, ptr %junk_place, !invariant.load !{{}}
  ret ptr %junk
}}

define internal i1 @smelt.is_in(i64 %address, i64 %base, i64 %size, i64 %bytes) alwaysinline {{
  %offset = sub i64 %address, %base
  %last = sub i64 %size, %bytes
  %is_before_end = icmp ule i64 %offset, %last
  %has_room = icmp ule i64 %bytes, %size
  %is_in = and i1 %is_before_end, %has_room
  ret i1 %is_in
}}

define internal i64 @smelt.limit(i64 %size, i64 %bytes) alwaysinline {{
  %room = sub i64 %size, %bytes
  %limit = add i64 %room, 1
  %has_room = icmp uge i64 %size, %bytes
  %result = select i1 %has_room, i64 %limit, i64 0
  ; So that coroutines keep it, and don't compute it again.
  %kept = freeze i64 %result
  ret i64 %kept
}}

define internal ptr @smelt.at(
  ptr %state, ptr %pointer, i1 %is_clear, i64 %offset, i64 %bytes, i64 %root, i64 %kind
) alwaysinline {{
entry:
  br i1 %is_clear, label %done, label %outside
outside:
  %spare = call preserve_allcc ptr @smelt.outside(ptr %state, i64 %offset, i64 %bytes, i64 %root, i64 %kind)
  br label %done
done:
  %safe = phi ptr [ %pointer, %entry ], [ %spare, %outside ]
  ret ptr %safe
}}
"""
"""What every kernel that is looked after has. Metadata `!{}` says that nothing changes the record's addresses while a kernel runs."""

# What is called where something is wrong saves all registers itself: so a kernel need not, where it is right.
REPORTING = f"""
; Where to read or write instead of memory that is outside.
define preserve_allcc ptr @smelt.outside(
  ptr %state, i64 %offset, i64 %bytes, i64 %root, i64 %kind
) noinline cold {{
  %is_own = icmp eq i64 %root, {THREAD}
  br i1 %is_own, label %done, label %reports
reports:
  call void @smelt.report(ptr %state, i64 {OUTSIDE}, i64 %kind, i64 %root, i64 %offset, i64 %bytes, i64 -1)
  br label %done
done:
  %zeros = call ptr @smelt.zeros(ptr %state)
  %junk = call ptr @smelt.junk(ptr %state)
  %is_read = icmp eq i64 %kind, {READ}
  %spare = select i1 %is_read, ptr %zeros, ptr %junk
  ret ptr %spare
}}

; The row of the memory that some bytes are in; the first one, which has none, if they are in none.
define ptr @smelt.row(ptr %state, i64 %address, i64 %bytes) noinline memory(read) willreturn nounwind {{
entry:
{_RECORD}
{place_of("rows")}
{place_of("row_count")}
  %rows = load ptr, ptr %rows_place
  %count = load i64, ptr %row_count_place
  br label %next
next:
  %number = phi i64 [ 1, %entry ], [ %following, %looks ]
  %has_row = icmp ult i64 %number, %count
  br i1 %has_row, label %looks, label %none
looks:
  %row = getelementptr [{ROW_WORDS} x i64], ptr %rows, i64 %number
  %base = load i64, ptr %row
  %size_at = getelementptr i64, ptr %row, i64 1
  %size = load i64, ptr %size_at
  %is_in = call i1 @smelt.is_in(i64 %address, i64 %base, i64 %size, i64 %bytes)
  %following = add i64 %number, 1
  br i1 %is_in, label %found, label %next
found:
  ret ptr %row
none:
  ret ptr %rows
}}

define void @smelt.report(
  ptr %state, i64 %what, i64 %kind, i64 %root, i64 %offset, i64 %bytes, i64 %other
) noinline cold {{
entry:
{_RECORD}
  %x_at = getelementptr i64, ptr %state, i64 0
  %y_at = getelementptr i64, ptr %state, i64 1
  %z_at = getelementptr i64, ptr %state, i64 2
  %width_at = getelementptr i64, ptr %state, i64 3
  %height_at = getelementptr i64, ptr %state, i64 4
  %x = load i64, ptr %x_at
  %y = load i64, ptr %y_at
  %z = load i64, ptr %z_at
  %width = load i64, ptr %width_at
  %height = load i64, ptr %height_at
  %plane = mul i64 %z, %height
  %row = add i64 %plane, %y
  %before = mul i64 %row, %width
  %serial = add i64 %before, %x
{place_of("lock")}
{place_of("count")}
{chr(10).join(place_of(word) for word in _STORED)}
  br label %waits
waits:
  %held = atomicrmw xchg ptr %lock_place, i64 1 acquire
  %is_held = icmp ne i64 %held, 0
  br i1 %is_held, label %waits, label %has
has:
  %count = load i64, ptr %count_place
  %more = add i64 %count, 1
  store i64 %more, ptr %count_place
  %first_serial = load i64, ptr %serial_place
  %is_first = icmp eq i64 %count, 0
  %is_earlier = icmp ult i64 %serial, %first_serial
  %is_told = or i1 %is_first, %is_earlier
  br i1 %is_told, label %tells, label %gives
tells:
{chr(10).join(f"  store i64 %{word}, ptr %{word}_place" for word in _STORED)}
  br label %gives
gives:
  store atomic i64 0, ptr %lock_place release, align 8
  ret void
}}
"""
"""What all kernels that are looked after have in common, see `shared_functions`."""
