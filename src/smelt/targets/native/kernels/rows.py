# SPDX-License-Identifier: Apache-2.0
"""The entry point of a kernel whose threads run alone.

The threads of a box run one after the other, x fastest; the first that fails ends the box. Those that follow each other on the x axis are
a row. Where most threads of a row can assume something (see `lowering.assumptions`) they are a loop of their own, in which LLVM may take for
granted that none waits for what another one writes; the threads before and behind run one by one.
"""

from __future__ import annotations

from smelt.lowering import LoweredModule
from smelt.lowering.limits import LIMITS
from smelt.lowering.threadgroups import ALONE_WORDS, PRINTER, STACK
from smelt.targets.native.words import SIZES, STATUS_WORD, loads_of_words


def row_entry_point(lowered: LoweredModule, entry: str, loads: str, arguments: str) -> str:
    """The LLVM IR of the entry point, given how the kernel's arguments are loaded from `%arguments` and passed."""
    words = loads_of_words("begin_x", "end_x", "begin_y", "end_y", *SIZES, *(("printer",) if lowered.prints else ()))
    begin = _BEGIN.format(state_words=ALONE_WORDS, words=words, loads=loads, state=_state(lowered))

    def loop(function: str, note: str) -> str:
        call = f"call {lowered.result_type} @{function}({arguments})"
        return _LOOP.format(call=call, kind=lowered.result_type, note=note, status_word=STATUS_WORD)

    texts, row = [], _WHOLE_ROW
    if lowered.limits is not None:
        # What only threads at an edge run isn't worth much of the compiler's time.
        texts.append(_THREADS.format(begin=begin, loop=loop(lowered.name, "")))
        row = _ROW_WITH_LIMITS.format(
            type=LIMITS, call=f"call {LIMITS} @{lowered.limits}({arguments}, i64 %begin_x, i64 %end_x)"
        )
    threads = loop(lowered.name, "") if lowered.main is None else loop(lowered.main, ", !llvm.loop !2")
    texts.append(_PLANE.format(begin=begin, row=row, loop=threads))
    texts.append(_ENTRY.format(entry=entry, words=loads_of_words("begin_z", "end_z")))
    return "".join(texts)


def _state(lowered: LoweredModule) -> str:
    """LLVM IR that stores what a thread's state holds, but for its position on the axes x and y."""
    words = list(enumerate(("i64 %z", *(f"i64 %{name}" for name in SIZES)), 2))
    if lowered.prints:
        words.append((PRINTER, "i64 %printer"))
    if lowered.is_recursive:
        # The state itself is on the stack.
        words.append((STACK, "ptr %state"))
    return "\n".join(
        f"  %state{word} = getelementptr i64, ptr %state, i64 {word}\n  store {value}, ptr %state{word}, align 8"
        for word, value in words
    )


_BEGIN = """\
  %state = alloca [{state_words} x i64], align 8
{words}
{loads}
  %state_y = getelementptr i64, ptr %state, i64 1
{state}"""

# Runs the threads from `%from` to `%to`.
_LOOP = """\
loop:
  %x = phi i64 [ %from, %threads ], [ %next_x, %next ]
  %more = icmp slt i64 %x, %to
  br i1 %more, label %thread, label %ran
thread:
  store i64 %x, ptr %state, align 8
  %returned = {call}
  %status = extractvalue {kind} %returned, 0
  %succeeded = icmp eq i32 %status, 0
  br i1 %succeeded, label %next, label %failed, !prof !0
next:
  %next_x = add nsw i64 %x, 1
  br label %loop{note}
failed:
  %wide_status = zext i32 %status to i64
  %status_place = getelementptr i64, ptr %launch, i64 {status_word}
  store i64 %wide_status, ptr %status_place, align 8
  %failed_x = getelementptr i64, ptr %status_place, i64 1
  store i64 %x, ptr %failed_x, align 8
  %failed_y = getelementptr i64, ptr %status_place, i64 2
  store i64 %y, ptr %failed_y, align 8
  %failed_z = getelementptr i64, ptr %status_place, i64 3
  store i64 %z, ptr %failed_z, align 8
  ret i64 1"""

# Some threads of a row, one by one.
_THREADS = """
define internal i64 @run_threads(
  ptr noalias %launch, ptr noalias readonly %arguments, i64 %y, i64 %z, i64 %from, i64 %to
) noinline optsize {{
entry:
{begin}
  store i64 %y, ptr %state_y, align 8
  br label %threads
threads:
  br label %loop
{loop}
ran:
  ret i64 0
}}
"""

# The rows of a plane are one function, for much is the same for all of them.
_PLANE = """
define internal i64 @run_plane(ptr noalias %launch, ptr noalias readonly %arguments, i64 %z) noinline {{
entry:
{begin}
  br label %rows
rows:
  %y = phi i64 [ %begin_y, %entry ], [ %next_y, %end_of_row ]
  %more_y = icmp slt i64 %y, %end_y
  br i1 %more_y, label %row, label %done
row:
  store i64 %y, ptr %state_y, align 8
{row}
{loop}
end_of_row:
  %next_y = add nsw i64 %y, 1
  br label %rows
done:
  ret i64 0
}}
"""

_WHOLE_ROW = """\
  br label %threads
threads:
  %from = phi i64 [ %begin_x, %row ]
  %to = phi i64 [ %end_x, %row ]
  br label %loop
ran:
  br label %end_of_row"""

# Without `noduplicate` LLVM writes out all rows four times: with threads before and behind the main ones, and without.
_ROW_WITH_LIMITS = """\
  %limits = {call}
  %first = extractvalue {type} %limits, 0
  %from = extractvalue {type} %limits, 1
  %to = extractvalue {type} %limits, 2
  %last = extractvalue {type} %limits, 3
  %has_before = icmp slt i64 %first, %from
  br i1 %has_before, label %before, label %threads
before:
  %failed_before = call i64 @run_threads(ptr %launch, ptr %arguments, i64 %y, i64 %z, i64 %first, i64 %from) noduplicate
  %has_failed_before = icmp ne i64 %failed_before, 0
  br i1 %has_failed_before, label %failed_alone, label %threads
threads:
  br label %loop
ran:
  %has_behind = icmp slt i64 %to, %last
  br i1 %has_behind, label %behind, label %end_of_row
behind:
  %failed_behind = call i64 @run_threads(ptr %launch, ptr %arguments, i64 %y, i64 %z, i64 %to, i64 %last) noduplicate
  %has_failed_behind = icmp ne i64 %failed_behind, 0
  br i1 %has_failed_behind, label %failed_alone, label %end_of_row
failed_alone:
  ret i64 1"""

_ENTRY = """
define void @{entry}(ptr %launch, ptr %arguments) noinline optnone {{
entry:
{words}
  br label %planes
planes:
  %z = phi i64 [ %begin_z, %entry ], [ %next_z, %end_of_plane ]
  %more = icmp slt i64 %z, %end_z
  br i1 %more, label %plane, label %done
plane:
  %failed = call i64 @run_plane(ptr %launch, ptr %arguments, i64 %z)
  %has_failed = icmp ne i64 %failed, 0
  br i1 %has_failed, label %done, label %end_of_plane
end_of_plane:
  %next_z = add nsw i64 %z, 1
  br label %planes
done:
  ret void
}}
"""
