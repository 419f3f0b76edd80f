# SPDX-License-Identifier: Apache-2.0
"""The LLVM IR of phases: a function for one thread, twice where most threads can assume something, and loops over the threads of a row.

Where the size of groups is known when compiling, each phase has functions of its own for whole groups: loops whose rounds are counted
beforehand, and one test for a group instead of one for each row. What doesn't keep to that test, and groups at the end of a grid, run what
there would be if the size weren't known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from smelt.ir.loops import has_loop
from smelt.ir.typed import Function
from smelt.lowering.cutting.common_values import AXES
from smelt.lowering.cutting.known_phases import KnownPhases
from smelt.lowering.cutting.phases import Phase
from smelt.lowering.debugging import FunctionDebugInformation
from smelt.lowering.function import FunctionLowering
from smelt.lowering.knowledge.assumptions import Assumptions, Row
from smelt.lowering.knowledge.limits import limits_function, whole_limits_function
from smelt.lowering.layout import row_types

_LONG_ROW = 16
"""Threads, two vectors of floats on most processors."""


@dataclass(frozen=True)
class PhaseFunctions:
    """The names of the functions of one phase.

    Attributes
    ----------
    general
        The loop over threads that check everything; None if there is no need for it.
    main
        The loop over threads that assume something; None if there is nothing to assume.
    limits
        What tells which threads may run it: a function of `knowledge.limits`; None if all of them.
    deciding_rows
        Whether all threads of a plane may run it if those of its first row may, and those of its last one: which of the two must be
        looked at. Neither if nobody knows, or if it isn't worth it.
    """

    general: str | None
    main: str | None
    limits: str | None
    deciding_rows: tuple[bool, bool] = (False, False)


class PhaseWriter:
    """Writes the functions of the phases of a group: those for whole groups, if their size is known.

    Attributes
    ----------
    texts
        The definitions.
    functions
        The names of the functions of each phase; None for one that has to be run as if the size weren't known.
    """

    def __init__(
        self,
        module: Any,
        known: KnownPhases,
        typed: Callable[[Any], Function | None],
        debug_of: Callable[[str], FunctionDebugInformation | None],
    ) -> None:
        self._module = module
        self._known = known
        self._typed = typed
        self._debug_of = debug_of
        self._size = known.size
        self.texts: list[str] = []
        write = self._functions if known.size is None else self._functions_of_whole
        phases = known.group.phases
        self.functions: list[PhaseFunctions | None] = [write(place, phase) for place, phase in enumerate(phases)]

    def _functions(self, place: int, phase: Phase) -> PhaseFunctions:
        row, general, main, limits = self._known.row(place, self._typed), None, None, None
        if row is None or row.is_limited:
            general = f"phase{place}"
            self._write_thread(phase, general, None)
            self._write_loop(phase, general, "noinline optsize" if row is not None else "alwaysinline", "")
        if row is not None:
            main = f"main{place}"
            self._write_main(phase, main, row)
        if row is not None and row.is_limited:
            limits = f"limits{place}"
            text = limits_function(self._module, limits, row, phase.function.parameters, is_in_group=True)
            self.texts.append(text)
        if row is None or place not in self._known.often_run:
            return PhaseFunctions(general, main, limits)
        return PhaseFunctions(general, main, limits, row.deciding_rows)

    def _functions_of_whole(self, place: int, phase: Phase) -> PhaseFunctions | None:
        assert self._size is not None
        row, main, limits = self._known.row(place, self._typed), f"whole{place}", None
        if row is None:
            self._write_thread(phase, main, None)
            self._write_loop(phase, main, "alwaysinline", "")
        elif row.is_limited:
            limits = f"wholelimits{place}"
            text = whole_limits_function(self._module, limits, row, phase.function.parameters, self._size[0])
            if text is None:
                return None
            self.texts.append(text)
        if row is not None:
            self._write_main(phase, main, row)
        return PhaseFunctions(None, main, limits)

    def _write_main(self, phase: Phase, name: str, row: Row) -> None:
        self._write_thread(phase, name, row.assumptions)
        notes = (5, 2) if self._size is None else (8, 7)
        note = notes[0] if self._is_interleaved(phase) else notes[1]
        self._write_loop(phase, name, "alwaysinline", f", !llvm.loop !{note}")

    def _write_thread(self, phase: Phase, name: str, assumptions: Assumptions | None) -> None:
        function = FunctionLowering(self._module, phase.function, f"@{name}", assumptions, self._debug_of(f"@{name}"))
        self.texts.append(function.text("internal", "alwaysinline"))

    def _is_interleaved(self, phase: Phase) -> bool:
        """Whether the loop over the threads of a row computes two vectors in each round.

        Where it isn't known how long the rows of a group are, they are seldom shorter than those of the arrays that it shares.
        """
        if self._size is not None:
            return has_loop(phase.function) and self._size[0] >= _LONG_ROW
        has_long_rows = all(shape and shape[-1] >= _LONG_ROW for shape in self._known.shapes.values())
        return has_loop(phase.function) and bool(self._known.shapes) and has_long_rows

    def _write_loop(self, phase: Phase, function: str, attributes: str, note: str) -> None:
        has_doubles = self._module.has_doubles
        self.texts.append(loop_over_threads(phase, function, attributes, note, has_doubles=has_doubles))


def loop_over_threads(phase: Phase, function: str, attributes: str, note: str, *, has_doubles: bool) -> str:
    """The LLVM IR of a function that runs a phase, a `function` for one thread, for some threads of a row.

    `%first` is the number of the row's first thread and `%begin` its position in the grid, from which `%from` and `%to` count.
    """
    kinds = [
        kind
        for parameter in phase.function.parameters[1 + len(AXES) :]
        for kind in row_types(parameter.type, has_doubles=has_doubles)
    ]
    names = [f"{kind} %a{place}" for place, kind in enumerate(kinds)]
    parameters = "".join(f", {one}" for one in names)
    return _LOOP.format(function=function, parameters=parameters, attributes=attributes, note=note)


_LOOP = """\
define internal i32 @{function}.threads(
  ptr %state, i64 %first, i64 %y, i64 %z, i64 %begin, i64 %from, i64 %to{parameters}
) {attributes} {{
entry:
  br label %loop
loop:
  %x = phi i64 [ %from, %entry ], [ %next_x, %next ]
  %more = icmp slt i64 %x, %to
  br i1 %more, label %thread, label %done
thread:
  %position = add nsw i64 %begin, %x
  store i64 %position, ptr %state, align 8
  %number = add nsw i64 %first, %x
  %returned = call {{ i32 }} @{function}(ptr %state, i64 %number, i64 %x, i64 %y, i64 %z{parameters})
  %status = extractvalue {{ i32 }} %returned, 0
  %succeeded = icmp eq i32 %status, 0
  br i1 %succeeded, label %next, label %failed, !prof !0
next:
  %next_x = add nsw i64 %x, 1
  br label %loop{note}
failed:
  ret i32 %status
done:
  ret i32 0
}}
"""
