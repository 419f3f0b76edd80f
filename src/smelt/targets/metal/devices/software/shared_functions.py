# SPDX-License-Identifier: Apache-2.0
"""The LLVM IR of the functions that all kernels of AIR call, see `shared_code`."""

from __future__ import annotations

from smelt.lowering.threadgroups import ALONE_WORDS, PRINTER
from smelt.targets.metal.devices.software.checking.watching_code import REPORTING, WATCHING
from smelt.targets.metal.devices.software.entry_points import stored_in_state
from smelt.targets.metal.devices.software.shared_code import GROUPS, REPORTS, ROWS, RUN_GROUPS, RUN_ROWS
from smelt.targets.metal.devices.software.unused import without_unused
from smelt.targets.native.kernels.boxes import loops_begin, loops_end
from smelt.targets.native.kernels.threadgroups import DECLARATIONS_OF_GROUPS, groups_function
from smelt.targets.native.words import BOX, SIZES, loads_of_words, places_of_words


def text_of(part: str) -> str:
    """The text of a part."""
    return without_unused(_TEXTS[part])


_ROW_THREADS = 16384
"""So many threads of a row are run at once: what they read and write stays near the processor, and they end soon if they have to stop."""

_ROWS = f"""
; Runs a box of the grid row by row, given the function that runs a row and looks after each access. Where rows can be looked at before they
; run, there are two more: one that looks after nothing, and one that only finds out whether that will do.
define void @{RUN_ROWS}(ptr noalias %launch, ptr noalias readonly %words, ptr %run, ptr %run_clear, ptr %run_probe) {{
entry:
  %state = alloca [{ALONE_WORDS} x i64], align 8
{loads_of_words(*BOX, *SIZES, "printer")}
{places_of_words("status")}
{stored_in_state({**dict(enumerate(SIZES, 3)), PRINTER: "printer"})}
  %is_probed = icmp ne ptr %run_probe, null
{loops_begin("", before="entry", inside="looks")}
  %is_stopped = call i1 @smelt.is_stopped(ptr %state)
  br i1 %is_stopped, label %done, label %row
row:
  %far = add i64 %x, {_ROW_THREADS}
  %is_last = icmp slt i64 %end_x, %far
  %row_end = select i1 %is_last, i64 %end_x, i64 %far
  br i1 %is_probed, label %probes, label %checked
probes:
  %is_outside = call i32 %run_probe(ptr %state, ptr %words, i64 %x, i64 %row_end, i64 %y, i64 %z)
  %is_inside = icmp eq i32 %is_outside, 0
  %changes = call i1 @smelt.changes(ptr %state)
  %is_clear = icmp ugt i1 %is_inside, %changes
  br i1 %is_clear, label %clear, label %checked
clear:
  %clear_status = call i32 %run_clear(ptr %state, ptr %words, i64 %x, i64 %row_end, i64 %y, i64 %z)
  br label %row_done
checked:
  %checked_status = call i32 %run(ptr %state, ptr %words, i64 %x, i64 %row_end, i64 %y, i64 %z)
  br label %row_done
row_done:
  %status = phi i32 [ %clear_status, %clear ], [ %checked_status, %checked ]
  %has_stopped = icmp ne i32 %status, 0
  br i1 %has_stopped, label %stopped, label %end_of_x
{loops_end("", steps=(str(_ROW_THREADS), "1", "1"))}
stopped:
  %wide_status = zext i32 %status to i64
  store i64 %wide_status, ptr %status_place
  br label %done
done:
  ret void
}}
"""

_HELPERS = "\n".join(line for line in WATCHING.splitlines() if not line.startswith("declare")) + "\n"

_TEXTS = {
    ROWS: _HELPERS + _ROWS,
    GROUPS: DECLARATIONS_OF_GROUPS + groups_function(RUN_GROUPS),
    REPORTS: _HELPERS + REPORTING,
}
