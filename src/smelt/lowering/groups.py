# SPDX-License-Identifier: Apache-2.0
"""The LLVM IR of kernels that were cut into phases.

The kernel's function is the group's then: behind the rows of the kernel's parameters it takes the position of the group's first thread, how
many threads there are on each axis, the memory for slots, and how many threads a slot is for. It returns a status, and where that isn't
0 the position of the thread that failed is in the state.

Each phase is a function for one thread, twice where most threads can assume something (see `assumptions`), and a function for the loop
over the threads of a row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from smelt.ir.loops import has_loop
from smelt.ir.typed import Function, Instruction, Value
from smelt.lowering.assumptions import Assumptions, Row, kernel_arguments
from smelt.lowering.common_values import AXES
from smelt.lowering.debugging import FunctionDebugInformation
from smelt.lowering.function import FunctionLowering
from smelt.lowering.handed import Handed, handed_to_phases
from smelt.lowering.invariants import Invariants, parameter_rows
from smelt.lowering.layout import row_types
from smelt.lowering.limits import LIMITS, limits_function
from smelt.lowering.linear import POSITION, Bound, number, term
from smelt.lowering.phases import Group, Phase
from smelt.lowering.threadgroups import STATE_WORDS
from smelt.lowering.values import Known
from smelt.types import Array, Scalar

_LONG_ROW = 16
"""Threads, two vectors of floats on most processors."""


class GroupLowering(FunctionLowering):
    """Writes the LLVM IR of what a group does."""

    def __init__(
        self,
        module: Any,
        group: Group,
        name: str,
        typed: Callable[[Any], Function | None],
        debug_of: Callable[[str], FunctionDebugInformation | None],
    ) -> None:
        super().__init__(module, group.function, name, None, debug_of(name))
        self._debug_of = debug_of
        self._group = group
        self._typed = typed
        self._offsets: dict[Value, int] = {}
        self._limits: dict[int, str | None] = {}
        self._has_main_of: dict[int, bool] = {}
        self.slot_bytes = 0
        for value, slot in group.slots.items():
            assert isinstance(slot.type, Array)
            assert isinstance(slot.type.element, Scalar)
            self._offsets[value] = self.slot_bytes
            self.slot_bytes += slot.type.element.size
        self._shapes = {
            instruction.result: instruction.attributes["shape"]
            for block in group.function.blocks
            for instruction in block.instructions
            if instruction.operation == "threadgroup_array"
        }

    def texts(self) -> list[str]:
        """The definitions of the group's function, and of all phases."""
        found = []
        handed = self._handed()
        for place, phase in enumerate(self._group.phases):
            found += self._phase_texts(place, phase, handed[place])
        own = self._new()
        self._own_state = own
        self._allocations.append(f"{own} = alloca [{STATE_WORDS} x i64], align 8")
        for word in range(2, STATE_WORDS):
            value, source, target = self._new(), self._new(), self._new()
            self._allocations += [
                f"{source} = getelementptr i64, ptr %state, i64 {word}",
                f"{value} = load i64, ptr {source}, align 8",
                f"{target} = getelementptr i64, ptr {own}, i64 {word}",
                f"store i64 {value}, ptr {target}, align 8",
            ]
        return [*found, self.text("internal", "noinline")]

    def _phase_texts(self, place: int, phase: Phase, handed: dict[Value, Handed]) -> list[str]:
        row = self._row_of(phase, handed)
        general, main = f"phase{place}", f"main{place}"
        texts = []
        self._limits[place] = None
        if row is None or row.is_limited:
            texts.append(self._function(phase, general, None))
            attributes = "noinline optsize" if row is not None else "alwaysinline"
            texts.append(self._loop(f"{general}.threads", general, phase, attributes, ""))
        if row is not None:
            texts.append(self._function(phase, main, row.assumptions))
            note = f", !llvm.loop !{5 if self._is_interleaved(phase) else 2}"
            texts.append(self._loop(f"{main}.threads", main, phase, "alwaysinline", note))
        if row is not None and row.is_limited:
            self._limits[place] = f"limits{place}"
            texts.append(limits_function(self.module, f"limits{place}", row, phase.function.parameters))
        self._has_main_of[place] = row is not None
        return texts

    def _is_interleaved(self, phase: Phase) -> bool:
        """Whether the loop over the threads of a row computes two vectors in each round.

        How long the rows of a group are isn't known, but they are seldom shorter than those of the arrays that it shares.
        """
        has_long_rows = all(shape and shape[-1] >= _LONG_ROW for shape in self._shapes.values())
        return has_loop(phase.function) and bool(self._shapes) and has_long_rows

    def _function(self, phase: Phase, name: str, assumptions: Assumptions | None) -> str:
        function = FunctionLowering(self.module, phase.function, f"@{name}", assumptions, self._debug_of(f"@{name}"))
        return function.text("internal", "alwaysinline")

    def _row_of(self, phase: Phase, handed: dict[Value, Handed]) -> Row | None:
        invariants = Invariants(self.module.declare, has_doubles=self.module.has_doubles)
        row = Row(self._typed, invariants, is_checked=self.module.is_checked)
        row.assume(phase.function, self._known(phase, handed, invariants))
        return row if row.assumptions is not None else None

    def _known(self, phase: Phase, handed: dict[Value, Handed], invariants: Invariants) -> list[Known]:
        """What is known of the parameters of a phase."""
        found = []
        rows = parameter_rows(phase.function.parameters, has_doubles=self.module.has_doubles)
        begin = invariants.extent("%begin")
        for parameter, names in zip(phase.function.parameters, rows, strict=True):
            if parameter is self._group.number:
                found.append(Known())
            elif parameter in self._group.position:
                axis = self._group.position.index(parameter)
                exact = term(POSITION).minus(begin) if axis == 0 else invariants.extent(names[0])
                found.append(Known((Bound(number(0)),), (), exact, None if axis == 0 else names))
            elif parameter in self._shapes and self._shapes[parameter] is not None:
                found.append(Known(extents=tuple(map(number, self._shapes[parameter])), row=names))
            elif isinstance(parameter.type, Array):
                extents = names[1 : 1 + parameter.type.dimensions]
                found.append(Known(extents=tuple(map(invariants.extent, extents)), row=names))
            elif parameter in handed:
                known = handed[parameter]
                if known.is_small:
                    invariants.small(names[0])
                if known.is_nonnegative:
                    invariants.signs.add(names[0])
                found.append(Known(known.least, known.most, row=names))
            else:
                found.append(Known(row=names))
        return found

    def _handed(self) -> dict[int, dict[Value, Handed]]:
        """What is known of what each phase is handed."""
        invariants = Invariants(lambda name, *_: f"@{name}", has_doubles=self.module.has_doubles)
        arguments = kernel_arguments(self._group.function, invariants)
        for known, parameter in zip(arguments, self._group.function.parameters, strict=True):
            if parameter in (*self._group.begin, *self._group.size):
                assert known.row is not None
                invariants.extent(known.row[0])
        found = handed_to_phases(self._group.function, arguments, invariants)
        return {instruction.attributes["phase"]: known for instruction, known in found.items()}

    def _loop(self, name: str, function: str, phase: Phase, attributes: str, note: str) -> str:
        kinds = [
            kind
            for parameter in phase.function.parameters[1 + len(AXES) :]
            for kind in row_types(parameter.type, has_doubles=self.module.has_doubles)
        ]
        names = [f"{kind} %a{place}" for place, kind in enumerate(kinds)]
        return _LOOP.format(
            name=name,
            function=function,
            parameters="".join(f", {one}" for one in names),
            attributes=attributes,
            note=note,
        )

    def _lower_run_phase(self, instruction: Instruction) -> list[str]:
        place = instruction.attributes["phase"]
        phase = self._group.phases[place]
        group = self._group
        arguments = [
            f"{kind} {name}"
            for value in phase.handed
            for kind, name in zip(self._row_types(value.type), self._row(value), strict=True)
        ]
        memory, threads = self._row(group.memory)
        for value in phase.slots:
            offset = self.emit(f"mul i64 {threads}, {self._offsets[value]}")
            arguments += [f"ptr {self.emit(f'getelementptr i8, ptr {memory}, i64 {offset}')}", f"i64 {threads}"]
        begin = [self._row(value)[0] for value in group.begin]
        size = [self._row(value)[0] for value in group.size]
        end_x = self.emit(f"add i64 {begin[0]}, {size[0]}")
        planes, plane, rows, row, end_of_plane, done = self._new_labels(
            "planes", "plane", "rows", "row", "endofplane", "done"
        )
        before = self._label
        z, next_z, y, next_y = (self._new() for _ in range(4))
        self.do(f"br label %{planes}")
        self._begin(planes)
        self.do(f"{z} = phi i64 [ 0, %{before} ], [ {next_z}, %{end_of_plane} ]")
        self.do(f"br i1 {self.emit(f'icmp slt i64 {z}, {size[2]}')}, label %{plane}, label %{done}")
        self._begin(plane)
        self._store_both(2, self.emit(f"add i64 {begin[2]}, {z}"))
        first_row = self.emit(f"mul i64 {z}, {size[1]}")
        self.do(f"br label %{rows}")
        self._begin(rows)
        latch = f"{row}end"
        self.do(f"{y} = phi i64 [ 0, %{plane} ], [ {next_y}, %{latch} ]")
        self.do(f"br i1 {self.emit(f'icmp slt i64 {y}, {size[1]}')}, label %{row}, label %{end_of_plane}")
        self._begin(row)
        self._store_both(1, self.emit(f"add i64 {begin[1]}, {y}"))
        number_ = self.emit(f"mul i64 {self.emit(f'add i64 {first_row}, {y}')}, {size[0]}")
        self._run_row(place, arguments, (number_, y, z), (begin[0], end_x))
        self.do(f"br label %{latch}")
        self._begin(latch)
        self.do(f"{next_y} = add nsw i64 {y}, 1")
        self.do(f"br label %{rows}")
        self._begin(end_of_plane)
        self.do(f"{next_z} = add nsw i64 {z}, 1")
        self.do(f"br label %{planes}")
        self._begin(done)
        return []

    def _store_both(self, word: int, value: str) -> None:
        """Store a word of the states: that of the main threads, and that of the others."""
        for state in ("%state", self._own_state):
            place = self.emit(f"getelementptr i64, ptr {state}, i64 {word}")
            self.do(f"store i64 {value}, ptr {place}, align 8")

    def _run_row(self, place: int, arguments: list[str], position: tuple[str, str, str], row: tuple[str, str]) -> None:
        begin, end = row
        given = "".join(f", {argument}" for argument in arguments)
        if self._limits[place] is None:
            name = "main" if self._has_main_of[place] else "phase"
            self._run_threads(f"{name}{place}", given, position, begin, (begin, end), is_noted=True)
            return
        number_, y, z = position
        rows = f"i64 {number_}, i64 0, i64 {y}, i64 {z}{given}"
        limits = self.emit(
            f"call {LIMITS} @{self._limits[place]}(ptr {self._own_state}, {rows}, i64 {begin}, i64 {end})"
        )
        places = [self.emit(f"extractvalue {LIMITS} {limits}, {number}") for number in range(4)]
        parts = ((f"phase{place}", 0), (f"main{place}", 1), (f"phase{place}", 2))
        for name, part in parts:
            some, on = self._new_labels("some", "on")
            if part != 1:
                has_some = self.emit(f"icmp slt i64 {places[part]}, {places[part + 1]}")
                self.do(f"br i1 {has_some}, label %{some}, label %{on}")
                self._begin(some)
            self._run_threads(name, given, position, begin, (places[part], places[part + 1]), is_noted=part == 1)
            if part != 1:
                self.do(f"br label %{on}")
                self._begin(on)

    def _run_threads(
        self,
        name: str,
        given: str,
        position: tuple[str, str, str],
        begin: str,
        limits: tuple[str, str],
        *,
        is_noted: bool,
    ) -> None:
        """Run some threads of a row, and return if one fails."""
        state = self._own_state if is_noted else "%state"
        numbers = ", ".join(f"i64 {one}" for one in (*position, begin, *limits))
        # Without `noduplicate` LLVM writes out the loop around it once for each of the cases that there are.
        note = "" if is_noted else " noduplicate"
        status = self.emit(f"call i32 @{name}.threads(ptr {state}, {numbers}{given}){note}")
        succeeded = self.emit(f"icmp eq i32 {status}, 0")
        failed, on = self._new_labels("failed", "on")
        self.do(f"br i1 {succeeded}, label %{on}, label %{failed}, !prof !0")
        self._begin(failed)
        if is_noted:
            self.do(f"store i64 {self.emit(f'load i64, ptr {state}, align 8')}, ptr %state, align 8")
        self._return_status(status)
        self._begin(on)


_LOOP = """\
define internal i32 @{name}(
  ptr %state, i64 %first, i64 %y, i64 %z, i64 %begin, i64 %from, i64 %to{parameters}
) {attributes} {{
entry:
  br label %loop
loop:
  %x = phi i64 [ %from, %entry ], [ %next_x, %next ]
  %more = icmp slt i64 %x, %to
  br i1 %more, label %thread, label %done
thread:
  store i64 %x, ptr %state, align 8
  %inner = sub i64 %x, %begin
  %number = add i64 %first, %inner
  %returned = call {{ i32 }} @{function}(ptr %state, i64 %number, i64 %inner, i64 %y, i64 %z{parameters})
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
