# SPDX-License-Identifier: Apache-2.0
"""A launch, as LLVM IR: what all signatures have in common, compiled once for each ABI of Python and NumPy.

    PyObject *launch(self, arguments, count, names)     a builtin; `self` is a launcher, see `dispatch_records`

tries the entries of its kernel's table in turn. The first whose stub takes the arguments, whose guard holds and whose grid fits is
run. Where there is none, `self` is called: the slow path, which knows what is wrong, or makes the entry that was missing.

From the moment that the stub has begun to look until the kernel runs, no other thread runs Python, unless an attribute of an argument
is computed; the guard is compared after that. So one look at the guard is enough, unlike in Python.
"""

from __future__ import annotations

import ctypes

from smelt.targets.native.launching import object_layouts as layouts
from smelt.targets.native.launching.dispatch_records import (
    MOST_ARRAYS,
    MOST_HELD,
    MOST_WORDS,
    SUSPENSIONS,
    EntryRecord,
    LauncherRecord,
)
from smelt.targets.native.launching.guard_code import guard_text
from smelt.targets.native.words import LAUNCH_WORDS, STATUS_WORD

LAUNCH = "launch"

STATUS_WORDS = 4
"""The status of the thread that failed, and its position."""


def dispatch_text() -> str:
    """The LLVM IR of `launch`."""
    return (
        f'@"{SUSPENSIONS}" = external global i64\n'
        + _OUTSIDE
        + _launch_text()
        + guard_text()
        + _apart_text()
        + _RELEASE
    )


def _loads(record: type[ctypes.Structure], holder: str, *names: str) -> str:
    """LLVM IR that loads fields of a record, each to the name of the field."""
    kinds = {name: "ptr" if kind is ctypes.c_void_p else "i64" for name, kind in record._fields_}  # type: ignore[misc]
    return "\n".join(
        f"  %{name}_at = getelementptr i8, ptr {holder}, i64 {getattr(record, name).offset}\n"
        f"  %{name} = load {kinds[name]}, ptr %{name}_at"
        for name in names
    )


def _copies_of_words(source: str, offset: int, target: str) -> str:
    """LLVM IR that copies the words of a launch, one by one: for so few any other way takes longer to get going."""
    return "\n".join(
        f"  %from{number} = getelementptr i8, ptr {source}, i64 {offset + 8 * number}\n"
        f"  %word{number} = load i64, ptr %from{number}\n"
        f"  %to{number} = getelementptr i64, ptr {target}, i64 {number}\n"
        f"  store i64 %word{number}, ptr %to{number}"
        for number in range(LAUNCH_WORDS)
    )


_OUTSIDE = """
@_Py_NoneStruct = external global i8
declare void @Py_IncRef(ptr)
declare void @Py_DecRef(ptr)
declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)
declare ptr @PyBytes_FromStringAndSize(ptr, i64)
declare ptr @PyObject_CallOneArg(ptr, ptr)
declare ptr @PyObject_Vectorcall(ptr, ptr, i64, ptr)
declare i64 @llvm.smin.i64(i64, i64)
declare i64 @llvm.smax.i64(i64, i64)
"""


def _launch_text() -> str:
    return f"""
define ptr @{LAUNCH}(ptr %self, ptr %arguments, i64 %count, ptr %names) {{
entry:
  %words = alloca [{MOST_WORDS} x i64], align 16
  %found_arrays = alloca [{MOST_ARRAYS} x ptr], align 16
  %held = alloca [{MOST_HELD + 1} x i64], align 16
  %launch = alloca [{LAUNCH_WORDS} x i64], align 16
  %has_no_names = icmp eq ptr %names, null
  %suspensions = load i64, ptr @"{SUSPENSIONS}"
  %is_on = icmp eq i64 %suspensions, 0
  %is_usual = and i1 %has_no_names, %is_on
  br i1 %is_usual, label %look, label %slow
look:
  %launcher_at = getelementptr i8, ptr %self, i64 {layouts.CTYPES_MEMORY}
  %launcher = load ptr, ptr %launcher_at
{_loads(LauncherRecord, "%launcher", "table")}
  %holder = load ptr, ptr %table
  %has_no_table = icmp eq ptr %holder, null
  br i1 %has_no_table, label %slow, label %begin
begin:
  ; The table is what keeps entries and code alive, also while another one takes its place.
  call void @Py_IncRef(ptr %holder)
  %entries_at = getelementptr i8, ptr %holder, i64 {layouts.CTYPES_MEMORY}
  %entries = load ptr, ptr %entries_at
  br label %next
next:
  %place = phi ptr [ %entries, %begin ], [ %following, %other ]
  %following = getelementptr ptr, ptr %place, i64 1
  %entry_here = load ptr, ptr %place
  %is_end = icmp eq ptr %entry_here, null
  br i1 %is_end, label %none_found, label %count_arguments
count_arguments:
  store i64 0, ptr %held
{_loads(EntryRecord, "%entry_here", "given")}
  %is_count = icmp eq i64 %given, %count
  br i1 %is_count, label %unpack_arguments, label %other
unpack_arguments:
{_loads(EntryRecord, "%entry_here", "unpack", "objects")}
  %is_unpacked = call i32 %unpack(ptr %objects, ptr %arguments, ptr %words, ptr %found_arrays, ptr %held)
  %is_shape = icmp ne i32 %is_unpacked, 0
  br i1 %is_shape, label %check_arrays, label %other
check_arrays:
{_loads(EntryRecord, "%entry_here", "written", "written_arrays", "arrays")}
  %are_apart = call i1 @are_apart(ptr %found_arrays, i64 %arrays, ptr %written, i64 %written_arrays)
  br i1 %are_apart, label %check_groups, label %other
check_groups:
{_loads(LauncherRecord, "%launcher", "threads", "group_threads", "threadgroup_memory")}
{_loads(EntryRecord, "%entry_here", "most_group_threads", "least_threadgroup_memory", "most_threadgroup_memory")}
  %fits_threads = icmp sle i64 %group_threads, %most_group_threads
  %fits_least = icmp sge i64 %threadgroup_memory, %least_threadgroup_memory
  %fits_most = icmp sle i64 %threadgroup_memory, %most_threadgroup_memory
  %fits_memory = and i1 %fits_least, %fits_most
  %fits = and i1 %fits_threads, %fits_memory
  br i1 %fits, label %check_guard, label %other
check_guard:
{_loads(EntryRecord, "%entry_here", "guard", "guard_words")}
  %holds = call i1 @guard_holds(ptr %guard, i64 %guard_words)
  br i1 %holds, label %prepare, label %other
prepare:
{_loads(EntryRecord, "%entry_here", "run", "run_grid", "most_locked_threads", "most_alone_threads")}
  %is_alone = icmp sle i64 %threads, %most_alone_threads
  %has_grid = icmp ne ptr %run_grid, null
  %has_way = or i1 %is_alone, %has_grid
  br i1 %has_way, label %begin_run, label %other
begin_run:
{_copies_of_words("%launcher", LauncherRecord.words.offset, "%launch")}
  %keeps_lock = icmp sle i64 %threads, %most_locked_threads
  br i1 %keeps_lock, label %run_at_once, label %unlock
run_at_once:
  call void %run(ptr %launch, ptr %words)
  br label %done
unlock:
  %thread = call ptr @PyEval_SaveThread()
  br i1 %is_alone, label %run_alone, label %run_shared
run_alone:
  call void %run(ptr %launch, ptr %words)
  br label %lock
run_shared:
  call void %run_grid(ptr %run, ptr %launch, ptr %words)
  br label %lock
lock:
  call void @PyEval_RestoreThread(ptr %thread)
  br label %done
done:
  call void @release(ptr %held)
  %status_at = getelementptr i64, ptr %launch, i64 {STATUS_WORD}
  %status = load i64, ptr %status_at
  %succeeded = icmp eq i64 %status, 0
  br i1 %succeeded, label %success, label %failure
success:
  call void @Py_IncRef(ptr @_Py_NoneStruct)
  br label %end
failure:
  %status_bytes = call ptr @PyBytes_FromStringAndSize(ptr %status_at, i64 {8 * STATUS_WORDS})
  %has_none = icmp eq ptr %status_bytes, null
  br i1 %has_none, label %end, label %raise
raise:
{_loads(EntryRecord, "%entry_here", "failed")}
  %raised = call ptr @PyObject_CallOneArg(ptr %failed, ptr %status_bytes)
  call void @Py_DecRef(ptr %status_bytes)
  br label %end
end:
  %result = phi ptr [ @_Py_NoneStruct, %success ], [ null, %failure ], [ %raised, %raise ]
  call void @Py_DecRef(ptr %holder)
  ret ptr %result
other:
  call void @release(ptr %held)
  br label %next
none_found:
  call void @Py_DecRef(ptr %holder)
  br label %slow
slow:
  %slow_result = call ptr @PyObject_Vectorcall(ptr %self, ptr %arguments, i64 %count, ptr %names)
  ret ptr %slow_result
}}
"""


def _apart_text() -> str:
    """Whether each array that is written has no byte in common with another one, or is the very same object."""
    return f"""
define internal i1 @are_apart(ptr %arrays, i64 %count, ptr %written, i64 %written_count) {{
entry:
  %ends = alloca [{MOST_ARRAYS} x [2 x i64]], align 16
  %is_alone = icmp ult i64 %count, 2
  %is_written = icmp ne i64 %written_count, 0
  %is_many = xor i1 %is_alone, true
  %matters = and i1 %is_written, %is_many
  br i1 %matters, label %measure, label %apart
measure:
  %number = phi i64 [ 0, %entry ], [ %number_next, %measured ]
  %array_at = getelementptr ptr, ptr %arrays, i64 %number
  %array = load ptr, ptr %array_at
  %data_at = getelementptr i8, ptr %array, i64 {layouts.ARRAY_DATA}
  %data = load i64, ptr %data_at
  %dtype_at = getelementptr i8, ptr %array, i64 {layouts.ARRAY_DTYPE}
  %dtype = load ptr, ptr %dtype_at
  %item_at = getelementptr i8, ptr %dtype, i64 {layouts.DTYPE_ITEM_BYTES}
  %item_bytes = load i64, ptr %item_at
  %behind = add i64 %data, %item_bytes
  %dimensions_at = getelementptr i8, ptr %array, i64 {layouts.ARRAY_DIMENSIONS}
  %short_dimensions = load i32, ptr %dimensions_at
  %dimensions = zext i32 %short_dimensions to i64
  %shape_at = getelementptr i8, ptr %array, i64 {layouts.ARRAY_SHAPE}
  %shape = load ptr, ptr %shape_at
  %strides_at = getelementptr i8, ptr %array, i64 {layouts.ARRAY_STRIDES}
  %strides = load ptr, ptr %strides_at
  br label %axes
axes:
  %axis = phi i64 [ 0, %measure ], [ %axis_next, %wide ]
  %low = phi i64 [ %data, %measure ], [ %low_next, %wide ]
  %high = phi i64 [ %behind, %measure ], [ %high_next, %wide ]
  %is_last = icmp eq i64 %axis, %dimensions
  br i1 %is_last, label %measured, label %widen
widen:
  %extent_at = getelementptr i64, ptr %shape, i64 %axis
  %extent = load i64, ptr %extent_at
  %is_empty = icmp eq i64 %extent, 0
  br i1 %is_empty, label %measured, label %wide
wide:
  %stride_at = getelementptr i64, ptr %strides, i64 %axis
  %stride = load i64, ptr %stride_at
  %last = sub i64 %extent, 1
  %reach = mul i64 %last, %stride
  %below = call i64 @llvm.smin.i64(i64 %reach, i64 0)
  %above = call i64 @llvm.smax.i64(i64 %reach, i64 0)
  %low_next = add i64 %low, %below
  %high_next = add i64 %high, %above
  %axis_next = add nuw i64 %axis, 1
  br label %axes
measured:
  ; An empty array ends where memory begins: it has no byte in common with any.
  %end = phi i64 [ %high, %axes ], [ 0, %widen ]
  %ends_at = getelementptr [2 x i64], ptr %ends, i64 %number
  store i64 %low, ptr %ends_at
  %end_at = getelementptr i64, ptr %ends_at, i64 1
  store i64 %end, ptr %end_at
  %number_next = add nuw i64 %number, 1
  %is_more = icmp ult i64 %number_next, %count
  br i1 %is_more, label %measure, label %writers
writers:
  %writer = phi i64 [ 0, %measured ], [ %writer_next, %compared ]
  %first_at = getelementptr i64, ptr %written, i64 %writer
  %first = load i64, ptr %first_at
  %first_array_at = getelementptr ptr, ptr %arrays, i64 %first
  %first_array = load ptr, ptr %first_array_at
  %first_ends = getelementptr [2 x i64], ptr %ends, i64 %first
  %first_low = load i64, ptr %first_ends
  %first_high_at = getelementptr i64, ptr %first_ends, i64 1
  %first_high = load i64, ptr %first_high_at
  br label %pairs
pairs:
  %second = phi i64 [ 0, %writers ], [ %second_next, %fine ]
  %second_array_at = getelementptr ptr, ptr %arrays, i64 %second
  %second_array = load ptr, ptr %second_array_at
  %second_ends = getelementptr [2 x i64], ptr %ends, i64 %second
  %second_low = load i64, ptr %second_ends
  %second_high_at = getelementptr i64, ptr %second_ends, i64 1
  %second_high = load i64, ptr %second_high_at
  %is_before = icmp ule i64 %first_high, %second_low
  %is_behind = icmp ule i64 %second_high, %first_low
  %is_same = icmp eq ptr %first_array, %second_array
  %is_apart = or i1 %is_before, %is_behind
  %is_fine = or i1 %is_apart, %is_same
  br i1 %is_fine, label %fine, label %unsure
fine:
  %second_next = add nuw i64 %second, 1
  %is_next_pair = icmp ult i64 %second_next, %count
  br i1 %is_next_pair, label %pairs, label %compared
compared:
  %writer_next = add nuw i64 %writer, 1
  %is_next_writer = icmp ult i64 %writer_next, %written_count
  br i1 %is_next_writer, label %writers, label %apart
apart:
  ret i1 true
unsure:
  ret i1 false
}}
"""


_RELEASE = """
define internal void @release(ptr %held) {
entry:
  %count = load i64, ptr %held
  %is_none = icmp eq i64 %count, 0
  br i1 %is_none, label %end, label %next
next:
  %number = phi i64 [ 1, %entry ], [ %following, %next ]
  %place = getelementptr ptr, ptr %held, i64 %number
  %object = load ptr, ptr %place
  call void @Py_DecRef(ptr %object)
  %following = add nuw i64 %number, 1
  %is_more = icmp ule i64 %following, %count
  br i1 %is_more, label %next, label %end
end:
  ret void
}
"""
