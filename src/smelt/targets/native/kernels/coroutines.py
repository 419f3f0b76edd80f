# SPDX-License-Identifier: Apache-2.0
"""Threads as coroutines, and how the threads of a group take turns.

Each thread is a coroutine, which is suspended where it waits. A simdgroup runs until each of its threads waits for the threadgroup or
has ended: its threads are resumed in turn, again and again. Once all simdgroups have come to that point, the next round begins. Threads
that have ended are waited for by none; those that wait must all wait at one place, else the launch fails there.

A coroutine holds nothing but its frame, so it is left as it is when another thread fails.
"""

from __future__ import annotations

import llvmlite.binding as llvm

from smelt.compiler.threadgroups import SIMD_WIDTH
from smelt.lowering import LoweredModule
from smelt.lowering.threadgroups import EXCHANGE_BYTES, HANDLE, LEFT, STATE_WORDS, STATUS, WAITS_AT

ALIGNMENT = 64
"""Of the coroutines' frames and of the parts of a group's memory: that of the widest registers, and of a line of the cache."""

# Since LLVM 22 `llvm.coro.end` has no result.
_END = "void" if llvm.llvm_version_info[0] >= 22 else "i1"


def thread_function(lowered: LoweredModule, loads: str, arguments: str) -> str:
    """The LLVM IR of `@thread`, which makes a thread.

    `loads` loads the kernel's arguments from `%arguments`, and `arguments` passes them.
    """
    return _THREAD.format(
        loads=loads,
        call=f"call {lowered.result_type} @{lowered.name}({arguments})",
        result=lowered.result_type,
        waits_at=WAITS_AT,
        status=STATUS,
        handle=HANDLE,
        left=LEFT,
        alignment=ALIGNMENT,
        less=ALIGNMENT - 1,
        end=_END,
    )


DECLARATIONS_OF_THREAD = f"""\
declare token @llvm.coro.id(i32, ptr, ptr, ptr)
declare i64 @llvm.coro.size.i64()
declare ptr @llvm.coro.begin(token, ptr)
declare i8 @llvm.coro.suspend(token, i1)
declare ptr @llvm.coro.free(token, ptr)
declare {_END} @llvm.coro.end(ptr, i1, token)
declare ptr @malloc(i64)
"""

DECLARATIONS_OF_GROUP = """\
declare void @llvm.coro.resume(ptr)
declare i64 @llvm.cttz.i64(i64, i1)
declare i64 @llvm.umin.i64(i64, i64)
"""

_THREAD = """
; One thread. The first to begin takes the memory of all frames, for it alone knows how large one is.
define internal void @thread(ptr %state, ptr %arguments, ptr %frames, i64 %number, i64 %count) presplitcoroutine {{
entry:
  %id = call token @llvm.coro.id(i32 {alignment}, ptr null, ptr null, ptr null)
  %size = call i64 @llvm.coro.size.i64()
  %padded = add i64 %size, {less}
  %step = and i64 %padded, -{alignment}
  %known = load ptr, ptr %frames
  %is_first = icmp eq ptr %known, null
  br i1 %is_first, label %allocates, label %begins
allocates:
  %needed = mul i64 %step, %count
  %more = add i64 %needed, {alignment}
  %allocated = call ptr @malloc(i64 %more)
  store ptr %allocated, ptr %frames
  %is_exhausted = icmp eq ptr %allocated, null
  br i1 %is_exhausted, label %never_began, label %begins
never_began:
  ret void
begins:
  %memory = phi ptr [ %known, %entry ], [ %allocated, %allocates ]
  %address = ptrtoint ptr %memory to i64
  %negated = sub i64 0, %address
  %skipped = and i64 %negated, {less}
  %aligned = getelementptr i8, ptr %memory, i64 %skipped
  %offset = mul i64 %number, %step
  %frame = getelementptr i8, ptr %aligned, i64 %offset
  %coroutine = call ptr @llvm.coro.begin(token %id, ptr %frame)
  %handle = getelementptr i64, ptr %state, i64 {handle}
  store ptr %coroutine, ptr %handle
  %way = call i8 @llvm.coro.suspend(token none, i1 false)
  switch i8 %way, label %suspended [ i8 0, label %runs i8 1, label %destroyed ]
runs:
{loads}
  %returned = {call}
  %status = extractvalue {result} %returned, 0
  %is_left = icmp eq i32 %status, {left}
  br i1 %is_left, label %suspended, label %ends
ends:
  %wide_status = zext i32 %status to i64
  %status_word = getelementptr i64, ptr %state, i64 {status}
  store i64 %wide_status, ptr %status_word
  %waits_at = getelementptr i64, ptr %state, i64 {waits_at}
  store i64 0, ptr %waits_at
  %last_way = call i8 @llvm.coro.suspend(token none, i1 true)
  switch i8 %last_way, label %suspended [ i8 0, label %never i8 1, label %destroyed ]
never:
  unreachable
destroyed:
  %freed = call ptr @llvm.coro.free(token %id, ptr %coroutine)
  br label %suspended
suspended:
  call {end} @llvm.coro.end(ptr %coroutine, i1 false, token none)
  ret void
}}
"""

RUN_GROUP = f"""\
; Run a simdgroup until each thread waits for the threadgroup or has ended: where they wait, 0 if none does, -1 - the number of
; the thread that failed if one did. The mask of those that wait is left in the exchange area.
define internal i64 @run_simdgroup(ptr %states, i64 %count, ptr %exchange) {{
entry:
  br label %round
round:
  br label %next
next:
  %thread = phi i64 [ 0, %round ], [ %following, %after ]
  %place = phi i64 [ 0, %round ], [ %new_place, %after ]
  %mask = phi i64 [ 0, %round ], [ %new_mask, %after ]
  %is_thread = icmp ult i64 %thread, %count
  br i1 %is_thread, label %looks, label %ends
looks:
  %state = getelementptr [{STATE_WORDS} x i64], ptr %states, i64 %thread
  %waits_at = getelementptr i64, ptr %state, i64 {WAITS_AT}
  %before = load i64, ptr %waits_at
  %had_ended = icmp eq i64 %before, 0
  br i1 %had_ended, label %after, label %resumes
resumes:
  %handle = getelementptr i64, ptr %state, i64 {HANDLE}
  %coroutine = load ptr, ptr %handle
  call void @llvm.coro.resume(ptr %coroutine)
  %here = load i64, ptr %waits_at
  %status_word = getelementptr i64, ptr %state, i64 {STATUS}
  %has_ended = icmp eq i64 %here, 0
  br i1 %has_ended, label %ended, label %waits
ended:
  %status = load i64, ptr %status_word
  %has_failed = icmp ne i64 %status, 0
  br i1 %has_failed, label %failed, label %after
waits:
  %is_first = icmp eq i64 %place, 0
  %is_same = icmp eq i64 %place, %here
  %agrees = or i1 %is_first, %is_same
  %bit = shl i64 1, %thread
  %mask_with_it = or i64 %mask, %bit
  br i1 %agrees, label %after, label %strays
strays:
  %site = lshr i64 %here, 1
  store i64 %site, ptr %status_word
  br label %failed
failed:
  %number = sub i64 -1, %thread
  ret i64 %number
after:
  %new_place = phi i64 [ %place, %looks ], [ %place, %ended ], [ %here, %waits ]
  %new_mask = phi i64 [ %mask, %looks ], [ %mask, %ended ], [ %mask_with_it, %waits ]
  %following = add i64 %thread, 1
  br label %next
ends:
  store i64 %mask, ptr %exchange
  %waits_for_simdgroup = trunc i64 %place to i1
  br i1 %waits_for_simdgroup, label %round, label %done
done:
  ret i64 %place
}}

; Run a group to its end: the number of the thread that failed, -1 if none did.
define internal i64 @run_group(ptr %states, i64 %count, ptr %exchanges) {{
entry:
  br label %round
round:
  br label %next
next:
  %first = phi i64 [ 0, %round ], [ %following, %after ]
  %place = phi i64 [ 0, %round ], [ %new_place, %after ]
  %is_simdgroup = icmp ult i64 %first, %count
  br i1 %is_simdgroup, label %runs, label %ends
runs:
  %remaining = sub i64 %count, %first
  %size = call i64 @llvm.umin.i64(i64 %remaining, i64 {SIMD_WIDTH})
  %own_states = getelementptr [{STATE_WORDS} x i64], ptr %states, i64 %first
  %simdgroup = udiv i64 %first, {SIMD_WIDTH}
  %exchange = getelementptr [{EXCHANGE_BYTES} x i8], ptr %exchanges, i64 %simdgroup
  %here = call i64 @run_simdgroup(ptr %own_states, i64 %size, ptr %exchange)
  %has_failed = icmp slt i64 %here, 0
  br i1 %has_failed, label %failed, label %looks
failed:
  %lane = sub i64 -1, %here
  br label %fails
looks:
  %has_ended = icmp eq i64 %here, 0
  br i1 %has_ended, label %after, label %waits
waits:
  %is_first = icmp eq i64 %place, 0
  %is_same = icmp eq i64 %place, %here
  %agrees = or i1 %is_first, %is_same
  br i1 %agrees, label %after, label %strays
strays:
  %mask = load i64, ptr %exchange
  %stray_lane = call i64 @llvm.cttz.i64(i64 %mask, i1 true)
  %stray_state = getelementptr [{STATE_WORDS} x i64], ptr %own_states, i64 %stray_lane
  %status_word = getelementptr i64, ptr %stray_state, i64 {STATUS}
  %site = lshr i64 %here, 1
  store i64 %site, ptr %status_word
  br label %fails
fails:
  %failed_lane = phi i64 [ %lane, %failed ], [ %stray_lane, %strays ]
  %number = add i64 %first, %failed_lane
  ret i64 %number
after:
  %new_place = phi i64 [ %place, %looks ], [ %here, %waits ]
  %following = add i64 %first, {SIMD_WIDTH}
  br label %next
ends:
  %all_have_ended = icmp eq i64 %place, 0
  br i1 %all_have_ended, label %done, label %round
done:
  ret i64 -1
}}
"""
"""The LLVM IR of `@run_group`, which runs the threads of a group."""
