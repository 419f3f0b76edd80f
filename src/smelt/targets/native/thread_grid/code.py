# SPDX-License-Identifier: Apache-2.0
"""The thread grid as LLVM IR: one launch, run by a pool of threads that the system knows and Python doesn't.

    void run_threads(kernel, launch, arguments)
    void run_brief_threads(kernel, launch, arguments)
    void run_groups(kernel, launch, arguments)

run the grid of a launch (see `words`) over a kernel's entry point, in units of one thread, of one that takes about as long whatever the
arguments are, or of a whole threadgroup. The units have a serial
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

from smelt.targets.native.thread_grid.jobs import CHUNKS, JOBS, RECORDS
from smelt.targets.native.thread_grid.system import system_text
from smelt.targets.native.words import LAUNCH_WORDS, SIZES, STATUS_WORD, loads_of_words, places_of_words

PREPARE = "prepare"
RUN_THREADS, RUN_BRIEF_THREADS, RUN_GROUPS = "run_threads", "run_brief_threads", "run_groups"

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
    least, how long what is left must take to be worth a job, how long a chunk must take at least, and how long a thread looks for the next
    job, or the end of its own, before it lets the system wake it.
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
        ("spin_ticks", ctypes.c_int64),
        ("rates", Rate * _REMEMBERED),
    )


def thread_grid_text(platform: str) -> str:
    """The LLVM IR of the thread grid, for a system as `sys.platform` names it."""
    fields = {name: number for number, (name, _) in enumerate(PoolRecord._fields_)}
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
    return "".join(part.format(**values) for part in (RECORDS, CHUNKS, JOBS, _LAUNCH)) + system_text(platform, PREPARE)


_LAUNCH = """
define void @run_threads(ptr %kernel, ptr %launch, ptr %arguments) {{
entry:
  call void @run_over(ptr %kernel, ptr %launch, ptr %arguments, i1 false, i64 1, i64 1, i64 1)
  ret void
}}

define void @run_brief_threads(ptr %kernel, ptr %launch, ptr %arguments) {{
entry:
  call void @run_over(ptr %kernel, ptr %launch, ptr %arguments, i1 true, i64 1, i64 1, i64 1)
  ret void
}}

define void @run_groups(ptr %kernel, ptr %launch, ptr %arguments) {{
entry:
{sizes}
  call void @run_over(ptr %kernel, ptr %launch, ptr %arguments, i1 false, i64 %group_x, i64 %group_y, i64 %group_z)
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

define internal void @run_over(
  ptr %kernel, ptr %launch, ptr %arguments, i1 %is_brief, i64 %size_x, i64 %size_y, i64 %size_z
) noinline {{
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
  ; Unless it is certain, not more than an eighth of the grid: what is remembered may be wrong for these arguments.
  %rate_if_known = select i1 %is_known, double %remembered, double 1.0e18
  %expected_units = call i64 @units_in(i64 %alone_ticks, double %rate_if_known)
  %eighth = lshr i64 %total, 3
  %less = call i64 @llvm.smin.i64(i64 %expected_units, i64 %eighth)
  %bounded = select i1 %is_brief, i64 %expected_units, i64 %less
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
  call void @unlock(ptr @{pool})
  %spin_at = getelementptr %pool, ptr @{pool}, i64 0, i32 {pool_spin_ticks}
  %spin_ticks = load i64, ptr %spin_at
  br label %spin
spin:
  ; The others are at their last chunks.
  %active_now = load atomic i64, ptr %active_at monotonic, align 8
  %is_busy_still = icmp ne i64 %active_now, 0
  %spin_time = call i64 @now()
  %spun = sub i64 %spin_time, %end_shared
  %is_early = icmp slt i64 %spun, %spin_ticks
  %spins = and i1 %is_busy_still, %is_early
  br i1 %spins, label %spin, label %settle
settle:
  call void @lock(ptr @{pool})
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
