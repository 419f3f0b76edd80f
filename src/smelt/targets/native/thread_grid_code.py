# SPDX-License-Identifier: Apache-2.0
"""The thread grid as LLVM IR: one launch, run by a pool of threads that the system knows and Python doesn't.

    void run_threads(kernel, launch, arguments)
    void run_groups(kernel, launch, arguments)

run the grid of a launch (see `words`) over a kernel's entry point, in units of one thread or of a whole threadgroup. The units have a serial
order, x fastest. A chunk is some that follow each other; it is run as the few boxes that it is made of.

The launching thread begins alone, with few units, then more. Only if what is left is worth waking others for does the launch become
a job of the pool: then chunks are taken by whoever is free, in their serial order. When a chunk fails, none behind it is
begun; all before it have been, and the one of them that fails first decides. So which thread fails does not depend on how many run.

The pool has one job at a time. A launch that finds it busy goes on alone, and looks again after each chunk; so nobody ever waits for a
launch of somebody else. How long a unit of a kernel took is remembered, and only decides how to begin the next launch.

`prepare(pool)` makes a pool of zeroed memory ready, in the child of a fork too, where its threads are gone.
"""

from __future__ import annotations

import ctypes
import sys

from smelt.targets.native.thread_grid_system import system_text
from smelt.targets.native.words import LAUNCH_WORDS, SIZES, STATUS_WORD, loads_of_words, places_of_words

PREPARE, RUN_THREADS, RUN_GROUPS = "prepare", "run_threads", "run_groups"

POOL = "smelt_thread_pool"
"""The symbol of the pool's memory."""

_REMEMBERED = 256
_CHUNKS_PER_THREAD = 32
_STATUS_BYTES = 32


class Rate(ctypes.Structure):
    """How long a unit of a kernel took, in ticks."""

    _fields_ = (("kernel", ctypes.c_void_p), ("ticks", ctypes.c_double))


class PoolRecord(ctypes.Structure):
    """The memory of the pool.

    First what the system keeps in it, in more room than any system needs. `job` is what the threads work at, 0 for nothing. `most` threads
    are started beside the launching one, `started` have been. The rest is in ticks of the system's clock: how long a launch runs alone at
    least, how long what is left must take to be worth a job, and how long a chunk must take at least.
    """

    _fields_ = (
        ("mutex", ctypes.c_char * 64),
        ("has_work", ctypes.c_char * 64),
        ("is_done", ctypes.c_char * 64),
        ("thread_attributes", ctypes.c_char * 128),
        ("job", ctypes.c_void_p),
        ("most", ctypes.c_int64),
        ("started", ctypes.c_int64),
        ("alone_ticks", ctypes.c_int64),
        ("worthwhile_ticks", ctypes.c_int64),
        ("chunk_ticks", ctypes.c_int64),
        ("rates", Rate * _REMEMBERED),
    )


def thread_grid_text() -> str:
    """The LLVM IR of the thread grid, for this system."""
    fields = {name: number for number, (name, _) in enumerate(PoolRecord._fields_)}  # type: ignore[misc]
    values = {
        **{f"pool_{name}": number for name, number in fields.items()},
        "remembered": _REMEMBERED,
        "last_remembered": _REMEMBERED - 1,
        "chunks_per_thread": _CHUNKS_PER_THREAD,
        "launch_words": LAUNCH_WORDS,
        "launch_bytes": 8 * LAUNCH_WORDS,
        "status_word": STATUS_WORD,
        "status_bytes": _STATUS_BYTES,
        "sizes": loads_of_words(*SIZES),
        "grid_sizes": loads_of_words(*SIZES[:3]),
        "bounds": places_of_words(*(f"{end}_{axis}" for end in ("begin", "end") for axis in "xyz")),
        "pool": POOL,
    }
    return "".join(part.format(**values) for part in (_RECORDS, _CHUNKS, _WORKER, _LAUNCH)) + system_text(
        sys.platform, PREPARE
    )


# A job: kernel, launch, arguments, units on each axis, threads of a unit on each axis, units in all, units of a chunk, how many more may
# join, how many are at it beside the launching thread, the unit from which on nothing is begun; and, on a line of the cache for itself, the next unit.
_RECORDS = """
@{pool} = external global i8
%pool = type {{
  [64 x i8], [64 x i8], [64 x i8], [128 x i8], ptr, i64, i64, i64, i64, i64, [{remembered} x {{ ptr, double }}]
}}
%job = type {{ ptr, ptr, ptr, [3 x i64], [3 x i64], i64, i64, i64, i64, i64, [128 x i8], i64, [64 x i8] }}
declare i64 @llvm.smin.i64(i64, i64)
declare i64 @llvm.smax.i64(i64, i64)
declare void @llvm.memcpy.inline.p0.p0.i64(ptr, ptr, i64, i1 immarg)
"""

_CHUNKS = """
; Runs the units from one to another, in boxes: parts of rows, or whole rows of a plane. 1 if a thread failed.
define internal i64 @run_units(ptr %job, ptr %launch, i64 %from, i64 %to) noinline {{
entry:
  %kernel = load ptr, ptr %job
  %arguments_at = getelementptr %job, ptr %job, i64 0, i32 2
  %arguments = load ptr, ptr %arguments_at
  %units_at = getelementptr %job, ptr %job, i64 0, i32 3
  %units_y_at = getelementptr i64, ptr %units_at, i64 1
  %units_z_at = getelementptr i64, ptr %units_at, i64 2
  %units_x = load i64, ptr %units_at
  %units_y = load i64, ptr %units_y_at
  %units_z = load i64, ptr %units_z_at
  %size_at = getelementptr %job, ptr %job, i64 0, i32 4
  %size_y_at = getelementptr i64, ptr %size_at, i64 1
  %size_z_at = getelementptr i64, ptr %size_at, i64 2
  %size_x = load i64, ptr %size_at
  %size_y = load i64, ptr %size_y_at
  %size_z = load i64, ptr %size_z_at
{grid_sizes}
{bounds}
  %status_at = getelementptr i64, ptr %launch, i64 {status_word}
  br label %boxes
boxes:
  %unit = phi i64 [ %from, %entry ], [ %unit_next, %ran ]
  %is_more = icmp slt i64 %unit, %to
  br i1 %is_more, label %box, label %done
box:
  %x = urem i64 %unit, %units_x
  %row = udiv i64 %unit, %units_x
  %y = urem i64 %row, %units_y
  %z = udiv i64 %row, %units_y
  %left = sub i64 %to, %unit
  %begins_row = icmp eq i64 %x, 0
  %has_row = icmp sge i64 %left, %units_x
  %is_rows = and i1 %begins_row, %has_row
  %rows_left = udiv i64 %left, %units_x
  %rows_of_plane = sub i64 %units_y, %y
  %rows = call i64 @llvm.smin.i64(i64 %rows_left, i64 %rows_of_plane)
  %count_y = select i1 %is_rows, i64 %rows, i64 1
  %left_of_row = sub i64 %units_x, %x
  %part = call i64 @llvm.smin.i64(i64 %left_of_row, i64 %left)
  %count_x = select i1 %is_rows, i64 %units_x, i64 %part
  call void @set_bounds(ptr %begin_x_place, ptr %end_x_place, i64 %x, i64 %count_x, i64 %size_x, i64 %units_x, i64 %grid_x)
  call void @set_bounds(ptr %begin_y_place, ptr %end_y_place, i64 %y, i64 %count_y, i64 %size_y, i64 %units_y, i64 %grid_y)
  call void @set_bounds(ptr %begin_z_place, ptr %end_z_place, i64 %z, i64 1, i64 %size_z, i64 %units_z, i64 %grid_z)
  call void %kernel(ptr %launch, ptr %arguments)
  %status = load i64, ptr %status_at
  %succeeded = icmp eq i64 %status, 0
  br i1 %succeeded, label %ran, label %failed
ran:
  %count = mul i64 %count_x, %count_y
  %unit_next = add i64 %unit, %count
  br label %boxes
done:
  ret i64 0
failed:
  ret i64 1
}}

; The last unit of an axis may be cut off by the end of the grid.
define internal void @set_bounds(ptr %begin_at, ptr %end_at, i64 %unit, i64 %count, i64 %size, i64 %units, i64 %grid) alwaysinline {{
entry:
  %begin = mul i64 %unit, %size
  %following = add i64 %unit, %count
  %is_last = icmp eq i64 %following, %units
  %inner_end = mul i64 %following, %size
  %end = select i1 %is_last, i64 %grid, i64 %inner_end
  store i64 %begin, ptr %begin_at
  store i64 %end, ptr %end_at
  ret void
}}

; Runs chunks of a job until none is left: how many units.
define internal i64 @take_chunks(ptr %job) noinline {{
entry:
  %words = alloca [{launch_words} x i64], align 16
  %launch_at = getelementptr %job, ptr %job, i64 0, i32 1
  %launch = load ptr, ptr %launch_at
  call void @llvm.memcpy.inline.p0.p0.i64(ptr align 16 %words, ptr align 8 %launch, i64 {launch_bytes}, i1 false)
  %status_at = getelementptr i64, ptr %words, i64 {status_word}
  store i64 0, ptr %status_at
  %total_at = getelementptr %job, ptr %job, i64 0, i32 5
  %total = load i64, ptr %total_at
  %chunk_at = getelementptr %job, ptr %job, i64 0, i32 6
  %chunk = load i64, ptr %chunk_at
  %limit_at = getelementptr %job, ptr %job, i64 0, i32 9
  %next_at = getelementptr %job, ptr %job, i64 0, i32 11
  br label %take
take:
  %taken = phi i64 [ 0, %entry ], [ %taken_next, %ran ]
  %from = atomicrmw add ptr %next_at, i64 %chunk monotonic
  %limit = load atomic i64, ptr %limit_at monotonic, align 8
  %is_begun = icmp slt i64 %from, %limit
  br i1 %is_begun, label %run, label %end
run:
  %behind = add i64 %from, %chunk
  %to = call i64 @llvm.smin.i64(i64 %behind, i64 %total)
  %has_failed = call i64 @run_units(ptr %job, ptr %words, i64 %from, i64 %to)
  %count = sub i64 %to, %from
  %taken_next = add i64 %taken, %count
  %succeeded = icmp eq i64 %has_failed, 0
  br i1 %succeeded, label %ran, label %failed
ran:
  br label %take
failed:
  call void @lock(ptr @{pool})
  %known = load i64, ptr %limit_at
  %is_first = icmp slt i64 %from, %known
  br i1 %is_first, label %note, label %noted
note:
  store atomic i64 %from, ptr %limit_at monotonic, align 8
  %launch_status_at = getelementptr i64, ptr %launch, i64 {status_word}
  call void @llvm.memcpy.inline.p0.p0.i64(ptr align 8 %launch_status_at, ptr align 8 %status_at, i64 {status_bytes}, i1 false)
  br label %noted
noted:
  call void @unlock(ptr @{pool})
  br label %end
end:
  %result = phi i64 [ %taken, %take ], [ %taken_next, %noted ]
  ret i64 %result
}}
"""

_WORKER = """
; A thread of the pool: joins the job that is there, or waits for one.
define internal void @work(ptr %pool) noinline {{
entry:
  %job_at = getelementptr %pool, ptr %pool, i64 0, i32 {pool_job}
  call void @lock(ptr %pool)
  br label %look
look:
  %job = load ptr, ptr %job_at
  %is_none = icmp eq ptr %job, null
  br i1 %is_none, label %wait, label %ask
ask:
  %seats_at = getelementptr %job, ptr %job, i64 0, i32 7
  %seats = load i64, ptr %seats_at
  %is_full = icmp eq i64 %seats, 0
  br i1 %is_full, label %wait, label %join
wait:
  call void @wait_for_work(ptr %pool)
  br label %look
join:
  %seats_left = sub i64 %seats, 1
  store i64 %seats_left, ptr %seats_at
  %active_at = getelementptr %job, ptr %job, i64 0, i32 8
  %active = load i64, ptr %active_at
  %active_now = add i64 %active, 1
  store i64 %active_now, ptr %active_at
  call void @unlock(ptr %pool)
  %taken = call i64 @take_chunks(ptr %job)
  call void @lock(ptr %pool)
  ; The job's memory is there as long as one is active.
  call void @withdraw(ptr %pool, ptr %job)
  %still_active = load i64, ptr %active_at
  %others = sub i64 %still_active, 1
  store i64 %others, ptr %active_at
  %is_last = icmp eq i64 %others, 0
  br i1 %is_last, label %announce, label %look
announce:
  call void @announce_done(ptr %pool)
  br label %look
}}

; Nothing is left of the job to be begun.
define internal void @withdraw(ptr %pool, ptr %job) {{
entry:
  %job_at = getelementptr %pool, ptr %pool, i64 0, i32 {pool_job}
  %present = load ptr, ptr %job_at
  %is_present = icmp eq ptr %present, %job
  br i1 %is_present, label %forget, label %end
forget:
  store atomic ptr null, ptr %job_at monotonic, align 8
  br label %end
end:
  ret void
}}

; Makes a job of the pool what is left of a launch. 1 unless the pool is busy.
define internal i64 @publish(ptr %job, i64 %done, double %rate) noinline {{
entry:
  %job_at = getelementptr %pool, ptr @{pool}, i64 0, i32 {pool_job}
  %seen = load atomic ptr, ptr %job_at monotonic, align 8
  %seems_free = icmp eq ptr %seen, null
  br i1 %seems_free, label %enter, label %busy
enter:
  call void @lock(ptr @{pool})
  %present = load ptr, ptr %job_at
  %is_free = icmp eq ptr %present, null
  br i1 %is_free, label %fill, label %leave
fill:
  %most_at = getelementptr %pool, ptr @{pool}, i64 0, i32 {pool_most}
  %most = load i64, ptr %most_at
  %total_at = getelementptr %job, ptr %job, i64 0, i32 5
  %total = load i64, ptr %total_at
  %left = sub i64 %total, %done
  %threads = add i64 %most, 1
  %shares = mul i64 %threads, {chunks_per_thread}
  %share = sdiv i64 %left, %shares
  %least = call i64 @chunk_units(double %rate)
  %wanted = call i64 @llvm.smax.i64(i64 %share, i64 %least)
  ; Whole rows, where a chunk has some.
  %units_at = getelementptr %job, ptr %job, i64 0, i32 3
  %units_x = load i64, ptr %units_at
  %rest = srem i64 %wanted, %units_x
  %whole = sub i64 %wanted, %rest
  %has_row = icmp sge i64 %wanted, %units_x
  %chunk = select i1 %has_row, i64 %whole, i64 %wanted
  %chunk_at = getelementptr %job, ptr %job, i64 0, i32 6
  store i64 %chunk, ptr %chunk_at
  %seats_at = getelementptr %job, ptr %job, i64 0, i32 7
  store i64 %most, ptr %seats_at
  %active_at = getelementptr %job, ptr %job, i64 0, i32 8
  store i64 0, ptr %active_at
  %limit_at = getelementptr %job, ptr %job, i64 0, i32 9
  store i64 %total, ptr %limit_at
  %next_at = getelementptr %job, ptr %job, i64 0, i32 11
  store i64 %done, ptr %next_at
  %started_at = getelementptr %pool, ptr @{pool}, i64 0, i32 {pool_started}
  br label %start
start:
  %started = load i64, ptr %started_at
  %lacks = icmp slt i64 %started, %most
  br i1 %lacks, label %start_one, label %wake
start_one:
  %has_started = call i1 @start_worker(ptr @{pool})
  br i1 %has_started, label %count_one, label %wake
count_one:
  %started_now = add i64 %started, 1
  store i64 %started_now, ptr %started_at
  br label %start
wake:
  store atomic ptr %job, ptr %job_at monotonic, align 8
  call void @wake_workers(ptr @{pool})
  call void @unlock(ptr @{pool})
  ret i64 1
leave:
  call void @unlock(ptr @{pool})
  br label %busy
busy:
  ret i64 0
}}

; How many units a chunk has at least.
define internal i64 @chunk_units(double %rate) {{
entry:
  %ticks_at = getelementptr %pool, ptr @{pool}, i64 0, i32 {pool_chunk_ticks}
  %ticks = load i64, ptr %ticks_at
  %units = call i64 @units_in(i64 %ticks, double %rate)
  ret i64 %units
}}

; How many units a time is enough for, 1 at least.
define internal i64 @units_in(i64 %ticks, double %rate) {{
entry:
  %time = sitofp i64 %ticks to double
  %quotient = fdiv double %time, %rate
  %is_many = fcmp ogt double %quotient, 1.0e15
  %bounded = select i1 %is_many, double 1.0e15, double %quotient
  %units = fptosi double %bounded to i64
  %result = call i64 @llvm.smax.i64(i64 %units, i64 1)
  ret i64 %result
}}
"""

_LAUNCH = """
define void @run_threads(ptr %kernel, ptr %launch, ptr %arguments) {{
entry:
  call void @run_over(ptr %kernel, ptr %launch, ptr %arguments, i64 1, i64 1, i64 1)
  ret void
}}

define void @run_groups(ptr %kernel, ptr %launch, ptr %arguments) {{
entry:
{sizes}
  call void @run_over(ptr %kernel, ptr %launch, ptr %arguments, i64 %group_x, i64 %group_y, i64 %group_z)
  ret void
}}

define internal i64 @units_of(i64 %threads, i64 %size) {{
entry:
  %quotient = udiv i64 %threads, %size
  %rest = urem i64 %threads, %size
  %is_exact = icmp eq i64 %rest, 0
  %more = add i64 %quotient, 1
  %units = select i1 %is_exact, i64 %quotient, i64 %more
  ret i64 %units
}}

define internal void @run_over(ptr %kernel, ptr %launch, ptr %arguments, i64 %size_x, i64 %size_y, i64 %size_z) noinline {{
entry:
  %job = alloca %job, align 64
{grid_sizes}
  %units_x = call i64 @units_of(i64 %grid_x, i64 %size_x)
  %units_y = call i64 @units_of(i64 %grid_y, i64 %size_y)
  %units_z = call i64 @units_of(i64 %grid_z, i64 %size_z)
  %plane = mul i64 %units_x, %units_y
  %total = mul i64 %plane, %units_z
  %most_at = getelementptr %pool, ptr @{pool}, i64 0, i32 {pool_most}
  %most = load i64, ptr %most_at
  %is_single = icmp sle i64 %total, 1
  %has_nobody = icmp eq i64 %most, 0
  %is_alone = or i1 %is_single, %has_nobody
  br i1 %is_alone, label %at_once, label %describe
at_once:
  call void %kernel(ptr %launch, ptr %arguments)
  ret void
describe:
  store ptr %kernel, ptr %job
  %launch_at = getelementptr %job, ptr %job, i64 0, i32 1
  store ptr %launch, ptr %launch_at
  %arguments_at = getelementptr %job, ptr %job, i64 0, i32 2
  store ptr %arguments, ptr %arguments_at
  %units_at = getelementptr %job, ptr %job, i64 0, i32 3
  %units_y_at = getelementptr i64, ptr %units_at, i64 1
  %units_z_at = getelementptr i64, ptr %units_at, i64 2
  store i64 %units_x, ptr %units_at
  store i64 %units_y, ptr %units_y_at
  store i64 %units_z, ptr %units_z_at
  %size_at = getelementptr %job, ptr %job, i64 0, i32 4
  %size_y_at = getelementptr i64, ptr %size_at, i64 1
  %size_z_at = getelementptr i64, ptr %size_at, i64 2
  store i64 %size_x, ptr %size_at
  store i64 %size_y, ptr %size_y_at
  store i64 %size_z, ptr %size_z_at
  %total_at = getelementptr %job, ptr %job, i64 0, i32 5
  store i64 %total, ptr %total_at
  %alone_at = getelementptr %pool, ptr @{pool}, i64 0, i32 {pool_alone_ticks}
  %alone_ticks = load i64, ptr %alone_at
  %worthwhile_at = getelementptr %pool, ptr @{pool}, i64 0, i32 {pool_worthwhile_ticks}
  %worthwhile_ticks = load i64, ptr %worthwhile_at
  %worthwhile = sitofp i64 %worthwhile_ticks to double
  %address = ptrtoint ptr %kernel to i64
  %hash = lshr i64 %address, 12
  %place = and i64 %hash, {last_remembered}
  %rate_kernel_at = getelementptr %pool, ptr @{pool}, i64 0, i32 {pool_rates}, i64 %place, i32 0
  %rate_at = getelementptr %pool, ptr @{pool}, i64 0, i32 {pool_rates}, i64 %place, i32 1
  %rate_kernel = load atomic ptr, ptr %rate_kernel_at monotonic, align 8
  %remembered = load atomic double, ptr %rate_at monotonic, align 8
  %is_known = icmp eq ptr %rate_kernel, %kernel
  %units = sitofp i64 %total to double
  %expected = fmul double %remembered, %units
  %is_long = fcmp ogt double %expected, %worthwhile
  %begins_shared = and i1 %is_known, %is_long
  %begin = call i64 @now()
  br i1 %begins_shared, label %share, label %first
first:
  ; Not more than an eighth of the grid: what is remembered may be wrong for these arguments.
  %rate_if_known = select i1 %is_known, double %remembered, double 1.0e18
  %expected_units = call i64 @units_in(i64 %alone_ticks, double %rate_if_known)
  %eighth = lshr i64 %total, 3
  %bounded = call i64 @llvm.smin.i64(i64 %expected_units, i64 %eighth)
  %first_step = call i64 @llvm.smax.i64(i64 %bounded, i64 1)
  br label %alone
alone:
  %done = phi i64 [ 0, %first ], [ %done_alone, %short ]
  %step = phi i64 [ %first_step, %first ], [ %longer_step, %short ]
  %alone_end = add i64 %done, %step
  %done_alone = call i64 @llvm.smin.i64(i64 %alone_end, i64 %total)
  %failed_alone = call i64 @run_units(ptr %job, ptr %launch, i64 %done, i64 %done_alone)
  %has_failed_alone = icmp ne i64 %failed_alone, 0
  br i1 %has_failed_alone, label %end, label %measure
measure:
  %time = call i64 @now()
  %elapsed = sub i64 %time, %begin
  ; The clock may stand still between two looks.
  %elapsed_once = call i64 @llvm.smax.i64(i64 %elapsed, i64 1)
  %elapsed_time = sitofp i64 %elapsed_once to double
  %done_units = sitofp i64 %done_alone to double
  %measured = fdiv double %elapsed_time, %done_units
  %is_finished = icmp eq i64 %done_alone, %total
  br i1 %is_finished, label %remember_alone, label %consider
remember_alone:
  store atomic ptr %kernel, ptr %rate_kernel_at monotonic, align 8
  store atomic double %measured, ptr %rate_at monotonic, align 8
  br label %end
consider:
  %is_short = icmp slt i64 %elapsed, %alone_ticks
  br i1 %is_short, label %short, label %weigh
short:
  %longer_step = mul i64 %done_alone, 3
  br label %alone
weigh:
  %units_left = sub i64 %total, %done_alone
  %left = sitofp i64 %units_left to double
  %time_left = fmul double %left, %measured
  %is_worthwhile = fcmp ogt double %time_left, %worthwhile
  br i1 %is_worthwhile, label %share, label %finish
finish:
  %failed_finish = call i64 @run_units(ptr %job, ptr %launch, i64 %done_alone, i64 %total)
  br label %end
share:
  %done_before = phi i64 [ 0, %describe ], [ %done_alone, %weigh ]
  %rate = phi double [ %remembered, %describe ], [ %measured, %weigh ]
  br label %offer
offer:
  %done_now = phi i64 [ %done_before, %share ], [ %done_busy, %busy_on ]
  %is_shared = call i64 @publish(ptr %job, i64 %done_now, double %rate)
  %is_busy = icmp eq i64 %is_shared, 0
  br i1 %is_busy, label %busy, label %shared
busy:
  ; Another launch has the pool: as long as a launch runs alone, and ask again.
  %busy_units = call i64 @units_in(i64 %worthwhile_ticks, double %rate)
  %busy_end = add i64 %done_now, %busy_units
  %done_busy = call i64 @llvm.smin.i64(i64 %busy_end, i64 %total)
  %failed_busy = call i64 @run_units(ptr %job, ptr %launch, i64 %done_now, i64 %done_busy)
  %has_failed_busy = icmp ne i64 %failed_busy, 0
  br i1 %has_failed_busy, label %end, label %busy_on
busy_on:
  %is_finished_busy = icmp eq i64 %done_busy, %total
  br i1 %is_finished_busy, label %end, label %offer
shared:
  %begin_shared = call i64 @now()
  %taken = call i64 @take_chunks(ptr %job)
  %end_shared = call i64 @now()
  %active_at = getelementptr %job, ptr %job, i64 0, i32 8
  call void @lock(ptr @{pool})
  call void @withdraw(ptr @{pool}, ptr %job)
  br label %look
look:
  %active = load i64, ptr %active_at
  %is_over = icmp eq i64 %active, 0
  br i1 %is_over, label %over, label %wait
wait:
  call void @wait_until_done(ptr @{pool})
  br label %look
over:
  call void @unlock(ptr @{pool})
  %has_taken = icmp sgt i64 %taken, 0
  br i1 %has_taken, label %remember_shared, label %end
remember_shared:
  %shared_ticks = sub i64 %end_shared, %begin_shared
  %shared_once = call i64 @llvm.smax.i64(i64 %shared_ticks, i64 1)
  %shared_time = sitofp i64 %shared_once to double
  %taken_units = sitofp i64 %taken to double
  %shared_rate = fdiv double %shared_time, %taken_units
  store atomic ptr %kernel, ptr %rate_kernel_at monotonic, align 8
  store atomic double %shared_rate, ptr %rate_at monotonic, align 8
  br label %end
end:
  ret void
}}
"""
