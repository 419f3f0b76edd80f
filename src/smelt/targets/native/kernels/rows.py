# SPDX-License-Identifier: Apache-2.0
"""The entry point of a kernel whose threads run alone.

The threads of a box run one after the other, x fastest; the first that fails ends the box. Those that follow each other on the x axis are
a row. Where most threads of a row can assume something (see `lowering.knowledge.assumptions`) they are a loop of their own, in which LLVM may take for
granted that none waits for what another one writes; the threads before and behind run one by one.

Each of the two loops is a function, and the entry point, which goes from row to row, isn't optimised: if all were one function, LLVM
would take half as long again for a small kernel. But that of most threads goes from row to row itself where no thread of a row is run by
the other: what is the same for all rows is computed once then, which saves 3 to 5 ns for each row.
"""

from __future__ import annotations

from typing import NamedTuple

from smelt.lowering import LoweredModule
from smelt.lowering.knowledge.limits import LIMITS
from smelt.lowering.threadgroups import ALONE_WORDS, PRINTER, STACK
from smelt.targets.native.kernels.boxes import loops_begin, loops_end
from smelt.targets.native.kernels.strips import strips_function
from smelt.targets.native.words import BOX, SIZES, STATUS_WORD, loads_of_words, places_of_words


def row_entry_point(lowered: LoweredModule, entry: str, loads: str, arguments: str) -> str:
    """The LLVM IR of the entry point, given how the kernel's arguments are loaded from `%arguments` and passed."""
    begin = _begin(lowered, loads)

    def threads(name: str, function: str, rows: _Rows, *, attributes: str = "", note: str = "") -> str:
        call = f"call {lowered.result_type} @{function}({arguments})"
        return _THREADS.format(
            name=name,
            begin=begin,
            parameters=rows.parameters,
            row=rows.begin,
            end_of_row=rows.end,
            call=call,
            kind=lowered.result_type,
            attributes=attributes,
            note=note,
            status_word=STATUS_WORD,
        )

    are_alike = lowered.limits is None or lowered.has_same_limits
    rows = _SEVERAL_ROWS if lowered.main and lowered.has_rows and are_alike and not lowered.strips else _ONE_ROW
    box, texts = "", []
    if lowered.strips:
        texts.append(strips_function(lowered, begin, arguments))
        main = _ROW_PARTS.format(main=_MAIN_STRIPS, reached="%reached")
    elif lowered.main is not None:
        texts.append(threads("run_main_threads", lowered.main, rows, note=", !llvm.loop !2"))
        main = _ROW_PARTS.format(main=_MAIN_THREADS.format(rows=rows), reached="%to")
    if lowered.main is None or (lowered.limits is None and not lowered.strips):
        box, row = rows.all, _WHOLE_ROW.format(name="run_main_threads" if lowered.main else "run_threads", rows=rows)
        if lowered.main is None:
            texts.append(threads("run_threads", lowered.name, rows))
    elif lowered.limits is None:
        texts.append(threads("run_threads", lowered.main, _ONE_ROW, attributes="optsize"))
        row = _NO_LIMITS + main
    else:
        # What only threads at an edge run isn't worth much of the compiler's time.
        texts.append(threads("run_threads", lowered.name, _ONE_ROW, attributes="optsize"))
        call = f"call {LIMITS} @{lowered.limits}({arguments}, i64 %begin_x, i64 %end_x)"
        if lowered.has_same_limits:
            limits = _LIMITS.format(type=LIMITS, call=call, y="%begin_y", z="%begin_z")
            box, row = begin + limits + rows.alike, main
        else:
            box, row = begin, _LIMITS.format(type=LIMITS, call=call, y="%y", z="%z") + main
    texts.append(
        _ENTRY.format(
            entry=entry,
            words=loads_of_words(*BOX),
            box=box,
            loops_begin=loops_begin("", before="entry", inside="row", axes="yz"),
            row=row,
            loops_end=loops_end("", steps=(rows.step, "1"), axes="yz"),
        )
    )
    return "".join((_COPY, *texts))


def _begin(lowered: LoweredModule, loads: str) -> str:
    """LLVM IR that loads the arguments, and stores what a thread's state holds, but for its position."""
    words = {}
    if lowered.prints:
        words[PRINTER] = "i64 %printer"
    if lowered.is_recursive:
        # The state itself is on the stack.
        words[STACK] = "ptr %state"
    stores = "\n".join(
        f"  %state{word} = getelementptr i64, ptr %state, i64 {word}\n  store {value}, ptr %state{word}, align 8"
        for word, value in words.items()
    )
    known = "\n".join((places_of_words(SIZES[0]), loads_of_words(*(("printer",) if lowered.prints else ()))))
    return _BEGIN.format(state_words=ALONE_WORDS, words=known, loads=loads, stores=stores)


# Never a call, which code that isn't optimised would be without `inline`.
_COPY = "declare void @llvm.memcpy.inline.p0.p0.i64(ptr, ptr, i64, i1)\n"

_BEGIN = """\
  %state = alloca [{state_words} x i64], align 8
{words}
{loads}
  %state_y = getelementptr i64, ptr %state, i64 1
  %state_z = getelementptr i64, ptr %state, i64 2
  %state_sizes = getelementptr i64, ptr %state, i64 3
  call void @llvm.memcpy.inline.p0.p0.i64(ptr align 8 %state_sizes, ptr align 8 %grid_x_place, i64 48, i1 false)
{stores}"""

# Runs the threads from `%from` to `%to` of a row, or of several.
_THREADS = """
define internal i64 @{name}(
  ptr noalias %launch, ptr noalias readonly %arguments, {parameters}, i64 %z, i64 %from, i64 %to
) noinline {attributes} {{
entry:
{begin}
  store i64 %z, ptr %state_z, align 8
  %has_threads = icmp slt i64 %from, %to
  br i1 %has_threads, label %row, label %ran
row:
{row}
  store i64 %y, ptr %state_y, align 8
  br label %thread
thread:
  %x = phi i64 [ %from, %row ], [ %next_x, %next ]
  store i64 %x, ptr %state, align 8
  %returned = {call}
  %status = extractvalue {kind} %returned, 0
  %succeeded = icmp eq i32 %status, 0
  br i1 %succeeded, label %next, label %failed, !prof !0
next:
  %next_x = add nsw i64 %x, 1
  %more = icmp slt i64 %next_x, %to
  br i1 %more, label %thread, label %end_of_row{note}
end_of_row:
{end_of_row}
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
  ret i64 1
ran:
  ret i64 0
}}
"""


class _Rows(NamedTuple):
    """How many rows a function runs, as LLVM IR.

    Attributes
    ----------
    parameters, begin, end
        In the function: the rows, the begin of a row, and what comes behind it.
    all, alike
        In the entry point: how many are run at once where all threads are run by the same function, and where most are.
    behind, arguments, step
        Where the function is called for the row `%y` or the rows from there on: what is computed before, what is passed, and how far it goes.
    """

    parameters: str = "i64 %y"
    begin: str = ""
    end: str = "  br label %ran"
    all: str = ""
    alike: str = ""
    behind: str = ""
    arguments: str = "i64 %y"
    step: str = "1"


_ONE_ROW = _Rows()

_SEVERAL_ROWS = _Rows(
    parameters="i64 %first_y, i64 %behind_y",
    # An assembler text without instructions is all that LLVM sees between the counter and its use. So places in arrays are computed once
    # for each row; as one more counter for each of them, they would cost a fifth of the time to compile.
    begin="""\
  %row_y = phi i64 [ %first_y, %entry ], [ %next_y, %end_of_row ]
  %y = call i64 asm "", "=r,0"(i64 %row_y)""",
    end="""\
  %next_y = add nsw i64 %row_y, 1
  %more_rows = icmp slt i64 %next_y, %behind_y
  br i1 %more_rows, label %row, label %ran""",
    all="""
  %rows = sub i64 %end_y, %begin_y
""",
    alike="""
  %all_rows = sub i64 %end_y, %begin_y
  %begins_alike = icmp eq i64 %first, %from
  %ends_alike = icmp eq i64 %to, %last
  %are_alike = and i1 %begins_alike, %ends_alike
  %rows = select i1 %are_alike, i64 %all_rows, i64 1
""",
    behind="  %behind_y = add i64 %y, %rows",
    arguments="i64 %y, i64 %behind_y",
    step="%rows",
)

_WHOLE_ROW = """\
{rows.behind}
  %failed = call i64 @{name}(ptr %launch, ptr %arguments, {rows.arguments}, i64 %z, i64 %begin_x, i64 %end_x)
  %has_failed = icmp ne i64 %failed, 0
  br i1 %has_failed, label %done, label %end_of_y"""

_LIMITS = """
  store i64 {y}, ptr %state_y, align 8
  store i64 {z}, ptr %state_z, align 8
  %limits = {call}
  %first = extractvalue {type} %limits, 0
  %from = extractvalue {type} %limits, 1
  %to = extractvalue {type} %limits, 2
  %last = extractvalue {type} %limits, 3
"""

_NO_LIMITS = """\
  %first = add i64 %begin_x, 0
  %from = add i64 %begin_x, 0
  %to = add i64 %end_x, 0
  %last = add i64 %end_x, 0
"""

_ROW_PARTS = """\
  %has_before = icmp slt i64 %first, %from
  br i1 %has_before, label %before, label %main
before:
  %failed_before = call i64 @run_threads(ptr %launch, ptr %arguments, i64 %y, i64 %z, i64 %first, i64 %from)
  %has_failed_before = icmp ne i64 %failed_before, 0
  br i1 %has_failed_before, label %done, label %main
main:
{main}
ran:
  %has_behind = icmp slt i64 {reached}, %last
  br i1 %has_behind, label %behind, label %end_of_y
behind:
  %failed_behind = call i64 @run_threads(ptr %launch, ptr %arguments, i64 %y, i64 %z, i64 {reached}, i64 %last)
  %has_failed_behind = icmp ne i64 %failed_behind, 0
  br i1 %has_failed_behind, label %done, label %end_of_y"""

_MAIN_THREADS = """\
{rows.behind}
  %failed = call i64 @run_main_threads(ptr %launch, ptr %arguments, {rows.arguments}, i64 %z, i64 %from, i64 %to)
  %has_failed = icmp ne i64 %failed, 0
  br i1 %has_failed, label %done, label %ran"""

_MAIN_STRIPS = """\
  %reached = call i64 @run_strips(ptr %launch, ptr %arguments, i64 %y, i64 %z, i64 %from, i64 %to)
  br label %ran"""

_ENTRY = """
define void @{entry}(ptr %launch, ptr %arguments) noinline optnone {{
entry:
{words}
{box}
{loops_begin}
{row}
{loops_end}
done:
  ret void
}}
"""
