# SPDX-License-Identifier: Apache-2.0
"""The thread grid as LLVM IR: one launch, run by a pool of threads that the system knows and Python doesn't.

    void run_threads(kernel, launch, arguments)
    void run_brief_threads(kernel, launch, arguments)
    void run_groups(kernel, launch, arguments)

run the grid of a launch (see `words`) over a kernel's entry point, in units of one thread, of one that takes about as long whatever the
arguments are, or of a whole threadgroup. The units have a serial
order, x fastest. A chunk is some that follow each other; it is run as the few boxes that it is made of.

The launching thread begins alone, with few units, then more. Only if what is left is worth it does the launch become a job of
the pool: that is little if threads of the pool are awake, and more if they have to be woken. Launches that follow each other
closely add up: a loop of launches, none of which is worth waking anyone, wakes the pool after some, and keeps it awake.
Then chunks are taken by whoever is free, in their serial order. When a chunk fails, none behind it is
begun; all before it have been, and the one of them that fails first decides. So which thread fails does not depend on how many run.

The pool has one job at a time, see `thread_grid.pool`. A launch that finds it busy goes on alone, and looks again after each chunk; so nobody
ever waits for a launch of somebody else. How long a unit of a kernel took is remembered, and only decides how to begin the next launch.

`prepare(pool)` makes a pool of zeroed memory ready, in the child of a fork too, where its threads are gone.
"""

from __future__ import annotations

from smelt.compiler.threadgroups import LONGEST_STRIP, SHORTEST_STRIP
from smelt.targets.native.thread_grid.jobs import JOB_TEXT
from smelt.targets.native.thread_grid.pool import POOL_TEXT, REMEMBERED, pool_words
from smelt.targets.native.thread_grid.system import system_text
from smelt.targets.native.words import LAUNCH_WORDS, SIZES, STATUS_WORD, loads_of_words, places_of_words

PREPARE = "prepare"
RUN_THREADS, RUN_BRIEF_THREADS, RUN_GROUPS = "run_threads", "run_brief_threads", "run_groups"

_CHUNKS_PER_THREAD, _LEAST_CHUNKS_PER_THREAD = 32, 4
_STATUS_BYTES = 32


def thread_grid_text(platform: str) -> str:
    """The LLVM IR of the thread grid, for a system as `sys.platform` names it."""
    values = {
        **pool_words(),
        "remembered": REMEMBERED,
        "last_remembered": REMEMBERED - 1,
        "chunks_per_thread": _CHUNKS_PER_THREAD,
        "least_chunks_per_thread": _LEAST_CHUNKS_PER_THREAD,
        "long_strip": LONGEST_STRIP,
        "short_strip": SHORTEST_STRIP,
        "launch_words": LAUNCH_WORDS,
        "launch_bytes": 8 * LAUNCH_WORDS,
        "status_word": STATUS_WORD,
        "status_bytes": _STATUS_BYTES,
        "sizes": loads_of_words(*SIZES),
        "grid_sizes": loads_of_words(*SIZES[:3]),
        "bounds": places_of_words(*(f"{end}_{axis}" for end in ("begin", "end") for axis in "xyz")),
    }
    return "".join(part.format(**values) for part in (JOB_TEXT, POOL_TEXT, _LAUNCH)) + system_text(platform, PREPARE)


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

define internal void @run_over(
  ptr %kernel, ptr %launch, ptr %arguments, i1 %is_brief, i64 %size_x, i64 %size_y, i64 %size_z
) noinline {{
entry:
  %pool = call ptr @the_pool()
  {most_at}
  {alone_ticks_at}
  {rates_at}
  %job = alloca %job, align 64
{grid_sizes}
  %units_x = call i64 @quotient_above(i64 %grid_x, i64 %size_x)
  %units_y = call i64 @quotient_above(i64 %grid_y, i64 %size_y)
  %units_z = call i64 @quotient_above(i64 %grid_z, i64 %size_z)
  %plane = mul i64 %units_x, %units_y
  %total = mul i64 %plane, %units_z
  %most = load atomic i64, ptr %most_at monotonic, align 8
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
  %alone_ticks = load i64, ptr %alone_ticks_at
  %address = ptrtoint ptr %kernel to i64
  %hash = lshr i64 %address, 12
  %place = and i64 %hash, {last_remembered}
  %rate_kernel_at = getelementptr [{remembered} x {{ ptr, double }}], ptr %rates_at, i64 0, i64 %place, i32 0
  %rate_at = getelementptr [{remembered} x {{ ptr, double }}], ptr %rates_at, i64 0, i64 %place, i32 1
  %rate_kernel = load atomic ptr, ptr %rate_kernel_at monotonic, align 8
  %remembered = load atomic double, ptr %rate_at monotonic, align 8
  %is_known = icmp eq ptr %rate_kernel, %kernel
  %begin = call i64 @now()
  %streak = call i64 @streak_at(ptr %pool, i64 %begin)
  %worthwhile_ticks = call i64 @worthwhile_after(ptr %pool, i64 %streak)
  %worthwhile = sitofp i64 %worthwhile_ticks to double
  %units = sitofp i64 %total to double
  %expected = fmul double %remembered, %units
  %is_long = fcmp ogt double %expected, %worthwhile
  %begins_shared = and i1 %is_known, %is_long
  br i1 %begins_shared, label %share, label %first
first:
  ; Unless it is certain, not more than an eighth of the grid: what is remembered may be wrong for these arguments.
  %rate_if_known = select i1 %is_known, double %remembered, double 1.0e18
  %expected_units = call i64 @units_in(i64 %alone_ticks, double %rate_if_known)
  %eighth = lshr i64 %total, 3
  %less = call i64 @llvm.smin.i64(i64 %expected_units, i64 %eighth)
  %bounded = select i1 %is_brief, i64 %expected_units, i64 %less
  %some = call i64 @llvm.smax.i64(i64 %bounded, i64 1)
  %first_step = call i64 @whole_vectors(ptr %job, i64 %some, i64 0, i64 1)
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
  call void @lengthen_streak(ptr %pool, i64 %streak, i64 %begin, i64 %time)
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
  %finish_time = call i64 @now()
  call void @lengthen_streak(ptr %pool, i64 %streak, i64 %begin, i64 %finish_time)
  br label %end
share:
  %done_before = phi i64 [ 0, %describe ], [ %done_alone, %weigh ]
  %rate = phi double [ %remembered, %describe ], [ %measured, %weigh ]
  br label %offer
offer:
  %done_now = phi i64 [ %done_before, %share ], [ %done_busy, %busy_on ]
  %is_shared = call i1 @publish(ptr %pool, ptr %job, i64 %done_now, double %rate)
  br i1 %is_shared, label %shared, label %busy
busy:
  ; Another launch has the pool: as long as a launch runs alone, and ask again.
  %busy_units = call i64 @units_in(i64 %alone_ticks, double %rate)
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
  %taken = call i64 @take_chunks(ptr %pool, ptr %job)
  %end_shared = call i64 @now()
  call void @finish(ptr %pool)
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
