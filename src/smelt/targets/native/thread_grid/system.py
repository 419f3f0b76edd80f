# SPDX-License-Identifier: Apache-2.0
"""What the thread grid needs of an operating system, as LLVM IR: a lock, two conditions to wait for, threads, and a clock.

It is the C library's, or on Windows kernel32's; the same few functions on both:

    prepare(pool)                           makes zeroed memory a pool
    lock(pool), unlock(pool)
    wait_for_work(pool), wake_worker(pool)  wakes one of those that wait, or none: glibc up to 2.40 may lose one (its bug 25847)
    wait_until_done(pool), announce_done(pool)
    start_worker(pool)                      whether it could
    give_way()                              lets another thread have the processor, if one waits for it
    now()                                   in ticks, see `ticks_per_second`
"""

from __future__ import annotations

import ctypes

STACK_BYTES = 8 << 20
"""The stack of a thread of the pool: that of a program's first thread on most systems. The threads of some have half a megabyte."""

_OFFSETS = {"mutex": 0, "has_work": 64, "is_done": 128, "attributes": 192}


def ticks_per_second(platform: str) -> int:
    """How fast the clock of `now` counts."""
    if platform != "win32":
        return 10**9
    frequency = ctypes.c_int64()
    ctypes.WinDLL("kernel32").QueryPerformanceFrequency(ctypes.byref(frequency))  # type: ignore[attr-defined,unused-ignore]
    return frequency.value


def system_text(platform: str, prepare: str) -> str:
    """The LLVM IR for `sys.platform`."""
    if platform == "win32":
        return _WINDOWS.format(prepare=prepare, stack_bytes=STACK_BYTES, **_OFFSETS)
    # CLOCK_MONOTONIC and SIG_SETMASK, from time.h and signal.h of Linux and macOS; SIGBUS too.
    clock, set_mask, bus_error = (6, 3, 10) if platform == "darwin" else (1, 2, 7)
    return _POSIX.format(
        prepare=prepare, stack_bytes=STACK_BYTES, clock=clock, set_mask=set_mask, bus_error=bus_error, **_OFFSETS
    )


# A signal that is sent to the process is for a thread that runs Python, whose system calls it interrupts; what a thread brings on itself
# is for that thread: SIGILL is 4, SIGFPE 8 and SIGSEGV 11 on both systems. A set of signals has 128 bytes at most. PTHREAD_CREATE_DETACHED
# is 1 on Linux and 2 on macOS, so threads are detached when they exist.
_POSIX = """
declare i32 @pthread_mutex_init(ptr, ptr)
declare i32 @pthread_mutex_lock(ptr)
declare i32 @pthread_mutex_unlock(ptr)
declare i32 @pthread_cond_init(ptr, ptr)
declare i32 @pthread_cond_wait(ptr, ptr)
declare i32 @pthread_cond_signal(ptr)
declare i32 @pthread_cond_broadcast(ptr)
declare i32 @pthread_attr_init(ptr)
declare i32 @pthread_attr_setstacksize(ptr, i64)
declare i32 @pthread_create(ptr, ptr, ptr, ptr)
declare i32 @pthread_detach(i64)
declare i32 @pthread_sigmask(i32, ptr, ptr)
declare i32 @sigfillset(ptr)
declare i32 @sigdelset(ptr, i32)
declare i32 @sched_yield()
declare i32 @clock_gettime(i32, ptr)

define void @{prepare}(ptr %pool) {{
entry:
  %has_work = getelementptr i8, ptr %pool, i64 {has_work}
  %is_done = getelementptr i8, ptr %pool, i64 {is_done}
  %attributes = getelementptr i8, ptr %pool, i64 {attributes}
  %mutex_made = call i32 @pthread_mutex_init(ptr %pool, ptr null)
  %work_made = call i32 @pthread_cond_init(ptr %has_work, ptr null)
  %done_made = call i32 @pthread_cond_init(ptr %is_done, ptr null)
  %attributes_made = call i32 @pthread_attr_init(ptr %attributes)
  %stack_set = call i32 @pthread_attr_setstacksize(ptr %attributes, i64 {stack_bytes})
  ret void
}}

define internal void @lock(ptr %pool) {{
entry:
  %ignored = call i32 @pthread_mutex_lock(ptr %pool)
  ret void
}}

define internal void @unlock(ptr %pool) {{
entry:
  %ignored = call i32 @pthread_mutex_unlock(ptr %pool)
  ret void
}}

define internal void @wait_for_work(ptr %pool) {{
entry:
  %has_work = getelementptr i8, ptr %pool, i64 {has_work}
  %ignored = call i32 @pthread_cond_wait(ptr %has_work, ptr %pool)
  ret void
}}

define internal void @wake_worker(ptr %pool) {{
entry:
  %has_work = getelementptr i8, ptr %pool, i64 {has_work}
  %ignored = call i32 @pthread_cond_signal(ptr %has_work)
  ret void
}}

define internal void @wait_until_done(ptr %pool) {{
entry:
  %is_done = getelementptr i8, ptr %pool, i64 {is_done}
  %ignored = call i32 @pthread_cond_wait(ptr %is_done, ptr %pool)
  ret void
}}

define internal void @announce_done(ptr %pool) {{
entry:
  %is_done = getelementptr i8, ptr %pool, i64 {is_done}
  %ignored = call i32 @pthread_cond_broadcast(ptr %is_done)
  ret void
}}

define internal ptr @thread_main(ptr %pool) {{
entry:
  call void @work(ptr %pool)
  ret ptr null
}}

define internal i1 @start_worker(ptr %pool) {{
entry:
  %thread = alloca i64, align 8
  %blocked = alloca [128 x i8], align 16
  %before = alloca [128 x i8], align 16
  %filled = call i32 @sigfillset(ptr %blocked)
  %without_ill = call i32 @sigdelset(ptr %blocked, i32 4)
  %without_fpe = call i32 @sigdelset(ptr %blocked, i32 8)
  %without_segv = call i32 @sigdelset(ptr %blocked, i32 11)
  %without_bus = call i32 @sigdelset(ptr %blocked, i32 {bus_error})
  %set = call i32 @pthread_sigmask(i32 {set_mask}, ptr %blocked, ptr %before)
  %attributes = getelementptr i8, ptr %pool, i64 {attributes}
  %error = call i32 @pthread_create(ptr %thread, ptr %attributes, ptr @thread_main, ptr %pool)
  %reset = call i32 @pthread_sigmask(i32 {set_mask}, ptr %before, ptr null)
  %has_started = icmp eq i32 %error, 0
  br i1 %has_started, label %detach, label %end
detach:
  %identity = load i64, ptr %thread
  %detached = call i32 @pthread_detach(i64 %identity)
  br label %end
end:
  ret i1 %has_started
}}

define internal void @give_way() {{
entry:
  %ignored = call i32 @sched_yield()
  ret void
}}

define internal i64 @now() {{
entry:
  %time = alloca [2 x i64], align 8
  %ignored = call i32 @clock_gettime(i32 {clock}, ptr %time)
  %seconds = load i64, ptr %time
  %nanoseconds_at = getelementptr i64, ptr %time, i64 1
  %nanoseconds = load i64, ptr %nanoseconds_at
  %scaled = mul i64 %seconds, 1000000000
  %result = add i64 %scaled, %nanoseconds
  ret i64 %result
}}
"""

# Slim reader/writer locks and condition variables are one word each, and zeroed memory is what they begin as. INFINITE is -1, and
# STACK_SIZE_PARAM_IS_A_RESERVATION 0x10000, from winbase.h.
_WINDOWS = """
declare void @AcquireSRWLockExclusive(ptr)
declare void @ReleaseSRWLockExclusive(ptr)
declare i32 @SleepConditionVariableSRW(ptr, ptr, i32, i32)
declare void @WakeConditionVariable(ptr)
declare void @WakeAllConditionVariable(ptr)
declare ptr @CreateThread(ptr, i64, ptr, ptr, i32, ptr)
declare i32 @CloseHandle(ptr)
declare i32 @SwitchToThread()
declare i32 @QueryPerformanceCounter(ptr)

define void @{prepare}(ptr %pool) {{
entry:
  ret void
}}

define internal void @lock(ptr %pool) {{
entry:
  call void @AcquireSRWLockExclusive(ptr %pool)
  ret void
}}

define internal void @unlock(ptr %pool) {{
entry:
  call void @ReleaseSRWLockExclusive(ptr %pool)
  ret void
}}

define internal void @wait_for_work(ptr %pool) {{
entry:
  %has_work = getelementptr i8, ptr %pool, i64 {has_work}
  %ignored = call i32 @SleepConditionVariableSRW(ptr %has_work, ptr %pool, i32 -1, i32 0)
  ret void
}}

define internal void @wake_worker(ptr %pool) {{
entry:
  %has_work = getelementptr i8, ptr %pool, i64 {has_work}
  call void @WakeConditionVariable(ptr %has_work)
  ret void
}}

define internal void @wait_until_done(ptr %pool) {{
entry:
  %is_done = getelementptr i8, ptr %pool, i64 {is_done}
  %ignored = call i32 @SleepConditionVariableSRW(ptr %is_done, ptr %pool, i32 -1, i32 0)
  ret void
}}

define internal void @announce_done(ptr %pool) {{
entry:
  %is_done = getelementptr i8, ptr %pool, i64 {is_done}
  call void @WakeAllConditionVariable(ptr %is_done)
  ret void
}}

define internal i32 @thread_main(ptr %pool) {{
entry:
  call void @work(ptr %pool)
  ret i32 0
}}

define internal i1 @start_worker(ptr %pool) {{
entry:
  %thread = call ptr @CreateThread(ptr null, i64 {stack_bytes}, ptr @thread_main, ptr %pool, i32 65536, ptr null)
  %has_started = icmp ne ptr %thread, null
  br i1 %has_started, label %close, label %end
close:
  %closed = call i32 @CloseHandle(ptr %thread)
  br label %end
end:
  ret i1 %has_started
}}

define internal void @give_way() {{
entry:
  %ignored = call i32 @SwitchToThread()
  ret void
}}

define internal i64 @now() {{
entry:
  %ticks = alloca i64, align 8
  %ignored = call i32 @QueryPerformanceCounter(ptr %ticks)
  %result = load i64, ptr %ticks
  ret i64 %result
}}
"""
