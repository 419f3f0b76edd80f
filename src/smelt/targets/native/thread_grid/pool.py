# SPDX-License-Identifier: Apache-2.0
"""The pool of threads as LLVM IR: how the job of a launch gets to threads that are free, and when the launch may return.

What is decided between threads is decided in one word, `state`. It counts the threads that are active, at work at the job; those that sleep;
and the seats that are left, how many more may join. One bit says that the launching thread sleeps until nobody is active. The word
is changed by atomic read-modify-write operations only, so its changes have an order, the same for all.

- The pool belongs to the launch that has changed `job` from null to its own. Only that one gives seats, at a time when there are none and
  nobody is active; and it puts null back only when that is so again.
- A thread takes a seat and becomes active in one step. The launch then can't return before this thread has left, so the job, which is
  on the stack of the launching thread, is there for as long as it is looked at.
- Who finds that nothing is left to be begun takes away what seats there are. It is active, or the launch itself, so they are this job's.
- A thread is counted as sleeping in one step that fails if there are seats. It has the mutex from before that until the system lets it wait.
  So a launch that gives seats, and is told in the same step that some sleep, takes the mutex and gives it back before
  it wakes them: those that were counted wait by then. Those that were not will find the seats.
- The launching thread sets its bit with the mutex in its hands, too, and then looks whether anybody is active. The last one to leave
  is told of the bit in the same step, and takes the mutex before it wakes the launching thread.

Giving seats releases and taking one acquires: a thread finds the job as it was filled in. Leaving releases, and seeing that nobody is active
acquires: what the threads stored is there when the launch returns. Changes by others in between break neither, as all read what they change.
Putting null back releases and the next launch's taking the pool acquires, for what only the owner changes. Everything else that is shared
decides what is worth doing, never what is done, and may be out of date.

A job is done without those that don't join, so no launch depends on who sleeps, on who was woken or could be started. Those that look for work
give way to other threads: where there are more threads than processors, looking takes nothing from who works.
"""

from __future__ import annotations

import ctypes

POOL = "smelt_thread_pool"
"""The symbol of the pool's memory."""

REMEMBERED = 256
"""Of how many kernels it is remembered how long they take."""

_ACTIVE_BIT, _SLEEPING_BIT, _SEATS_BIT, _WAITS_BIT = 0, 20, 40, 60

MOST_THREADS = 1 << 19
"""More than any system has, and few enough to be counted in `state`."""


class Rate(ctypes.Structure):
    """How long a unit of a kernel took, in ticks."""

    _fields_ = (("kernel", ctypes.c_void_p), ("ticks", ctypes.c_double))


class PoolRecord(ctypes.Structure):
    """The memory of the pool.

    First what the system keeps in it, in more room than any system needs. `most` threads are started beside the launching one at most,
    `started` have been.

    Times are in ticks of the system's clock. A launch runs alone for `alone_ticks` at least. What is left then is shared if it would take
    longer than `least_ticks` and threads are awake, or longer than `worthwhile_ticks` if they have to be woken. A chunk takes `chunk_ticks`
    at least. A thread looks for `spin_ticks` whether what it waits for is there, before it lets the system wake it.

    `job` is that of the launch which the pool belongs to, 0 for none; `state` see above. Launches that ran alone, each less than `spin_ticks`
    behind the one before, have taken `streak_ticks` together, and the last of them ended at `streak_end`.

    Fields that are written often have lines of the cache for themselves.
    """

    _fields_ = (
        ("mutex", ctypes.c_char * 64),
        ("has_work", ctypes.c_char * 64),
        ("is_done", ctypes.c_char * 64),
        ("thread_attributes", ctypes.c_char * 128),
        ("most", ctypes.c_int64),
        ("started", ctypes.c_int64),
        ("alone_ticks", ctypes.c_int64),
        ("least_ticks", ctypes.c_int64),
        ("worthwhile_ticks", ctypes.c_int64),
        ("chunk_ticks", ctypes.c_int64),
        ("spin_ticks", ctypes.c_int64),
        ("before_state", ctypes.c_char * 128),
        ("state", ctypes.c_int64),
        ("job", ctypes.c_void_p),
        ("before_streak", ctypes.c_char * 128),
        ("streak_ticks", ctypes.c_int64),
        ("streak_end", ctypes.c_int64),
        ("before_rates", ctypes.c_char * 128),
        ("rates", Rate * REMEMBERED),
    )


def pool_words() -> dict[str, str]:
    """What texts call the parts of the pool: the line `{most_at}` sets `%most_at` to the address of that field of `%pool`; numbers are parts of
    `state`.
    """
    counter = (1 << _SLEEPING_BIT) - 1
    numbers = {
        "seat_taken": (1 << _ACTIVE_BIT) - (1 << _SEATS_BIT),
        "active": counter << _ACTIVE_BIT,
        "sleeper": 1 << _SLEEPING_BIT,
        "sleeping_bit": _SLEEPING_BIT,
        "seats_bit": _SEATS_BIT,
        "counter": counter,
        "seats": counter << _SEATS_BIT,
        "not_seats": ~(counter << _SEATS_BIT),
        "waits": 1 << _WAITS_BIT,
        "not_waits": ~(1 << _WAITS_BIT),
        "active_and_waits": counter << _ACTIVE_BIT | 1 << _WAITS_BIT,
        "last_and_waits": 1 << _ACTIVE_BIT | 1 << _WAITS_BIT,
    }
    addresses = {
        f"{name}_at": f"%{name}_at = getelementptr i8, ptr %pool, i64 {getattr(PoolRecord, name).offset}"
        for name, _ in PoolRecord._fields_
    }
    return {"pool": POOL, **addresses, **{name: str(number) for name, number in numbers.items()}}


POOL_TEXT = """
@{pool} = external global i8

; Its address and nothing else is what flat code can have of it: where LLVM takes what is outside to be near, it would add to it.
define internal ptr @the_pool() noinline {{
entry:
  ret ptr @{pool}
}}

; A thread of the pool: takes seats as long as there are some, looks for more for a while, and sleeps.
define internal void @work(ptr %pool) noinline {{
entry:
  {spin_ticks_at}
  {state_at}
  {job_at}
  br label %idle
idle:
  %begin = call i64 @now()
  br label %look
look:
  %seen = load atomic i64, ptr %state_at monotonic, align 8
  %seats = and i64 %seen, {seats}
  %has_seat = icmp ne i64 %seats, 0
  br i1 %has_seat, label %take, label %rest
take:
  %seated = add i64 %seen, {seat_taken}
  %taking = cmpxchg ptr %state_at, i64 %seen, i64 %seated acquire monotonic, align 8
  %has_taken = extractvalue {{ i64, i1 }} %taking, 1
  br i1 %has_taken, label %join, label %look
join:
  %job = load atomic ptr, ptr %job_at monotonic, align 8
  %units = call i64 @take_chunks(ptr %pool, ptr %job)
  %with_me = atomicrmw sub ptr %state_at, i64 1 release, align 8
  %who = and i64 %with_me, {active_and_waits}
  %is_awaited = icmp eq i64 %who, {last_and_waits}
  br i1 %is_awaited, label %announce, label %idle
announce:
  call void @lock(ptr %pool)
  call void @unlock(ptr %pool)
  call void @announce_done(ptr %pool)
  br label %idle
rest:
  call void @give_way()
  %time = call i64 @now()
  %elapsed = sub i64 %time, %begin
  %spin_ticks = load atomic i64, ptr %spin_ticks_at monotonic, align 8
  %is_early = icmp slt i64 %elapsed, %spin_ticks
  br i1 %is_early, label %look, label %tire
tire:
  call void @lock(ptr %pool)
  br label %consider
consider:
  %last_seen = load atomic i64, ptr %state_at monotonic, align 8
  %last_seats = and i64 %last_seen, {seats}
  %may_sleep = icmp eq i64 %last_seats, 0
  br i1 %may_sleep, label %count, label %stay
count:
  %slept = add i64 %last_seen, {sleeper}
  %counting = cmpxchg ptr %state_at, i64 %last_seen, i64 %slept monotonic monotonic, align 8
  %is_counted = extractvalue {{ i64, i1 }} %counting, 1
  br i1 %is_counted, label %sleep, label %consider
sleep:
  ; Whatever wakes it, it looks for a while again: what it was woken for may be over, but what follows is not.
  call void @wait_for_work(ptr %pool)
  %with_sleeper = atomicrmw sub ptr %state_at, i64 {sleeper} monotonic, align 8
  br label %stay
stay:
  call void @unlock(ptr %pool)
  br label %idle
}}

; Makes a job that of the pool, unless the pool belongs to another one.
define internal i1 @claim(ptr %pool, ptr %job) {{
entry:
  {job_at}
  %owner = load atomic ptr, ptr %job_at monotonic, align 8
  %seems_free = icmp eq ptr %owner, null
  br i1 %seems_free, label %try, label %busy
try:
  %claiming = cmpxchg ptr %job_at, ptr null, ptr %job acquire monotonic, align 8
  %is_claimed = extractvalue {{ ptr, i1 }} %claiming, 1
  ret i1 %is_claimed
busy:
  ret i1 false
}}

; Lets so many threads join the job of the pool, and sees to it that so many are awake.
define internal void @give_seats(ptr %pool, i64 %seats) {{
entry:
  {state_at}
  {started_at}
  %given = shl i64 %seats, {seats_bit}
  %before = atomicrmw add ptr %state_at, i64 %given release, align 8
  %sleeping = call i64 @sleeping_in(i64 %before)
  %present = load atomic i64, ptr %started_at monotonic, align 8
  %awake = sub i64 %present, %sleeping
  %missing = sub i64 %seats, %awake
  %woken = call i64 @llvm.smin.i64(i64 %missing, i64 %sleeping)
  %wakes = icmp sgt i64 %woken, 0
  br i1 %wakes, label %wake, label %start
wake:
  call void @lock(ptr %pool)
  call void @unlock(ptr %pool)
  br label %wake_one
wake_one:
  %left = phi i64 [ %woken, %wake ], [ %left_now, %wake_one ]
  call void @wake_worker(ptr %pool)
  %left_now = sub i64 %left, 1
  %is_more = icmp sgt i64 %left_now, 0
  br i1 %is_more, label %wake_one, label %start
start:
  %started = load atomic i64, ptr %started_at monotonic, align 8
  %lacks = icmp slt i64 %started, %seats
  br i1 %lacks, label %start_one, label %end
start_one:
  %has_started = call i1 @start_worker(ptr %pool)
  br i1 %has_started, label %count_one, label %end
count_one:
  %started_now = add i64 %started, 1
  store atomic i64 %started_now, ptr %started_at monotonic, align 8
  br label %start
end:
  ret void
}}

; Nothing is left to be begun. Called by who is active, or has the pool.
define internal void @end_seats(ptr %pool) {{
entry:
  {state_at}
  %seen = load atomic i64, ptr %state_at monotonic, align 8
  %seats = and i64 %seen, {seats}
  %has_seats = icmp ne i64 %seats, 0
  br i1 %has_seats, label %take, label %end
take:
  %before = atomicrmw and ptr %state_at, i64 {not_seats} monotonic, align 8
  br label %end
end:
  ret void
}}

; Waits until nobody is active, and gives the pool back. There are no seats.
define internal void @finish(ptr %pool) {{
entry:
  {spin_ticks_at}
  {state_at}
  {job_at}
  %spin_ticks = load i64, ptr %spin_ticks_at
  %begin = call i64 @now()
  br label %spin
spin:
  %seen = load atomic i64, ptr %state_at acquire, align 8
  %active = and i64 %seen, {active}
  %is_over = icmp eq i64 %active, 0
  br i1 %is_over, label %give_back, label %rest
rest:
  call void @give_way()
  %time = call i64 @now()
  %elapsed = sub i64 %time, %begin
  %is_early = icmp slt i64 %elapsed, %spin_ticks
  br i1 %is_early, label %spin, label %tire
tire:
  call void @lock(ptr %pool)
  %before = atomicrmw or ptr %state_at, i64 {waits} monotonic, align 8
  br label %look
look:
  %seen_now = load atomic i64, ptr %state_at acquire, align 8
  %active_now = and i64 %seen_now, {active}
  %is_over_now = icmp eq i64 %active_now, 0
  br i1 %is_over_now, label %calm, label %wait
wait:
  call void @wait_until_done(ptr %pool)
  br label %look
calm:
  %after = atomicrmw and ptr %state_at, i64 {not_waits} monotonic, align 8
  call void @unlock(ptr %pool)
  br label %give_back
give_back:
  store atomic ptr null, ptr %job_at release, align 8
  ret void
}}

define internal i64 @sleeping_in(i64 %state) {{
entry:
  %lowest = lshr i64 %state, {sleeping_bit}
  %sleeping = and i64 %lowest, {counter}
  ret i64 %sleeping
}}

; How long launches have run alone that followed each other closely, if one that begins now is the next.
define internal i64 @streak_at(ptr %pool, i64 %begin) {{
entry:
  {streak_end_at}
  {streak_ticks_at}
  {spin_ticks_at}
  %end = load atomic i64, ptr %streak_end_at monotonic, align 8
  %ticks = load atomic i64, ptr %streak_ticks_at monotonic, align 8
  %most = load i64, ptr %spin_ticks_at
  %gap = sub i64 %begin, %end
  %is_next = icmp slt i64 %gap, %most
  %streak = select i1 %is_next, i64 %ticks, i64 0
  ret i64 %streak
}}

; A launch has run alone.
define internal void @lengthen_streak(ptr %pool, i64 %streak, i64 %begin, i64 %end) {{
entry:
  {streak_ticks_at}
  {streak_end_at}
  %elapsed = sub i64 %end, %begin
  %ticks = add i64 %streak, %elapsed
  store atomic i64 %ticks, ptr %streak_ticks_at monotonic, align 8
  store atomic i64 %end, ptr %streak_end_at monotonic, align 8
  ret void
}}

; How long a launch must take at least, beside that streak, to be shared.
define internal i64 @worthwhile_after(ptr %pool, i64 %streak) {{
entry:
  {state_at}
  {started_at}
  {least_ticks_at}
  {worthwhile_ticks_at}
  %state = load atomic i64, ptr %state_at monotonic, align 8
  %sleeping = call i64 @sleeping_in(i64 %state)
  %started = load atomic i64, ptr %started_at monotonic, align 8
  %is_awake = icmp sgt i64 %started, %sleeping
  %least = load i64, ptr %least_ticks_at
  %worthwhile = load i64, ptr %worthwhile_ticks_at
  %rest = sub i64 %worthwhile, %streak
  %to_wake = call i64 @llvm.smax.i64(i64 %rest, i64 %least)
  %result = select i1 %is_awake, i64 %least, i64 %to_wake
  ret i64 %result
}}
"""
