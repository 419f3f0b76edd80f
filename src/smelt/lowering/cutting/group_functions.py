# SPDX-License-Identifier: Apache-2.0
"""The LLVM IR of what a group does: functions in which an instruction `run_phase` runs a phase for all threads of the group."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

from smelt.compiler.threadgroups import Sizes
from smelt.ir.typed import Function, Instruction, Value
from smelt.lowering.cutting.common_values import AXES
from smelt.lowering.cutting.phase_functions import PhaseFunctions
from smelt.lowering.cutting.phases import Group, Phase
from smelt.lowering.debugging import FunctionDebugInformation
from smelt.lowering.function import FunctionLowering
from smelt.lowering.knowledge.limits import LIMITS, WHOLE_LIMITS
from smelt.lowering.threadgroups import ALONE_WORDS
from smelt.types import Array, Scalar

_FEW_ROWS = 2
"""Of a plane: not more than are looked at to know of all of them."""

SLOT_THREADS = 64
"""The memory of a slot is for a multiple of so many threads."""


PlanePosition = tuple[str, str]
"""Of a plane: how many rows there are before it, and its z in the group."""

RowPosition = tuple[str, str, str, str]
"""Of a row: the number of its first thread, its y and z in the group, and where the group begins on the axis x."""


class GroupMemory:
    """The memory of a group, which is the same for all functions of it.

    Attributes
    ----------
    offsets
        Where slots are in the memory for them: the bytes before each, for each thread.
    nbytes
        The bytes of all slots, for each thread.
    arrays
        Where the arrays are that the threads share, by the instructions that make them; those that were lowered so far.
    """

    def __init__(self, group: Group) -> None:
        self.arrays: dict[Instruction, int] = {}
        self.offsets: dict[Value, int] = {}
        self.nbytes = 0
        for value, slot in group.slots.items():
            assert isinstance(slot.type, Array)
            assert isinstance(slot.type.element, Scalar)
            self.offsets[value] = self.nbytes
            self.nbytes += slot.type.element.size


class GroupLowering(FunctionLowering):
    """Writes a function for groups of any size."""

    def __init__(
        self,
        module: Any,
        group: Group,
        function: Function,
        name: str,
        memory: GroupMemory,
        debug_of: Callable[[str], FunctionDebugInformation | None],
        phases: Sequence[PhaseFunctions | None],
    ) -> None:
        super().__init__(module, function, name, None, debug_of(name))
        self._group = group
        self._memory = memory
        self._phases = phases
        self._own_state = self._new()

    def text(self, linkage: str, attributes: str) -> str:
        # The state of the threads that assume something is one that LLVM sees through. Between barriers each thread is alone.
        self._allocations.append(f"{self._own_state} = alloca [{ALONE_WORDS} x i64], align 8")
        for word in range(2, ALONE_WORDS):
            value, source, target = self._new(), self._new(), self._new()
            self._allocations += [
                f"{source} = getelementptr i64, ptr %state, i64 {word}",
                f"{value} = load i64, ptr {source}, align 8",
                f"{target} = getelementptr i64, ptr {self._own_state}, i64 {word}",
                f"store i64 {value}, ptr {target}, align 8",
            ]
        return super().text(linkage, attributes)

    def _lower_run_phase(self, instruction: Instruction) -> list[str]:
        functions = self._phases[instruction.attributes["phase"]]
        assert functions is not None
        given = self._given(self._group.phases[instruction.attributes["phase"]])
        with self._each_plane() as plane:
            is_whole = self._is_whole(functions, given, plane)
            with self._each_row(plane) as position:
                self._run_row(functions, given, position, is_whole)
        return []

    @contextmanager
    def _each_plane(self) -> Iterator[PlanePosition]:
        """A loop over the planes of the group: what is written inside runs a plane."""
        begin, size = self._begin_of_group(), self._size_of_group()
        with self._counted(size[2]) as z:
            self._store_position(2, begin[2], z)
            yield self.emit(f"mul nsw i64 {z}, {size[1]}"), z

    @contextmanager
    def _each_row(self, plane: PlanePosition) -> Iterator[RowPosition]:
        """A loop over the rows of a plane: what is written inside runs a row."""
        with self._counted(self._size_of_group()[1]) as y:
            yield self._row_at(plane, y)

    def _row_at(self, plane: PlanePosition, y: str) -> RowPosition:
        """Begin a row."""
        begin, size = self._begin_of_group(), self._size_of_group()
        first_row, z = plane
        self._store_position(1, begin[1], y)
        number = self.emit(f"mul nsw i64 {self.emit(f'add nsw i64 {first_row}, {y}')}, {size[0]}")
        return number, y, z, begin[0]

    def _is_whole(self, functions: PhaseFunctions, given: list[str], plane: PlanePosition) -> str | None:
        """Whether it is known that all threads of a plane may assume all there is to assume: so if those of two rows may."""
        if not any(functions.deciding_rows):
            return None
        size = self._size_of_group()
        before = self._label
        looks, known = self._new_labels("looks", "known")
        # It is worth it for some rows.
        self.do(f"br i1 {self.emit(f'icmp sgt i64 {size[1]}, {_FEW_ROWS}')}, label %{looks}, label %{known}")
        self._begin(looks)
        found = "true"
        rows = ("0", self.emit(f"add nsw i64 {size[1]}, -1"))
        for y in (row for row, decides in zip(rows, functions.deciding_rows, strict=True) if decides):
            _, start, end, _ = self._limits(functions, given, self._row_at(plane, y))
            for one, other in ((start, "0"), (end, size[0])):
                found = self.emit(f"and i1 {found}, {self.emit(f'icmp eq i64 {one}, {other}')}")
        self.do(f"br label %{known}")
        self._begin(known)
        return self.emit(f"phi i1 [ false, %{before} ], [ {found}, %{looks} ]")

    def _limits(self, functions: PhaseFunctions, given: list[str], position: RowPosition) -> list[str]:
        """The positions in a row from which on threads run, from which on and up to which they may assume all, up to which they run."""
        first, y, z, begin = position
        size = self._size_of_group()[0]
        arguments = ", ".join((*(f"i64 {one}" for one in (first, "0", y, z)), *given, f"i64 {begin}", f"i64 {size}"))
        limits = self.emit(f"call {LIMITS} @{functions.limits}(ptr {self._own_state}, {arguments})")
        return [self.emit(f"extractvalue {LIMITS} {limits}, {number}") for number in range(4)]

    def _offset(self, array: Instruction, nbytes: int) -> int:
        if array not in self._memory.arrays:
            self._memory.arrays[array] = super()._offset(array, nbytes)
        return self._memory.arrays[array]

    def _begin_of_group(self) -> list[str]:
        return [self._row(value)[0] for value in self._group.begin]

    def _size_of_group(self) -> list[str]:
        return [self._row(value)[0] for value in self._group.size]

    def _threads_of_slots(self) -> str:
        return self._row(self._group.memory)[1]

    def _handed(self, phase: Phase) -> list[str]:
        """What a phase is handed, as arguments of a call."""
        return [
            f"{kind} {name}"
            for value in phase.handed
            for kind, name in zip(self._row_types(value.type), self._row(value), strict=True)
        ]

    def _given(self, phase: Phase) -> list[str]:
        """What a phase is handed, and its slots, as arguments of a call."""
        found = self._handed(phase)
        memory, threads = self._row(self._group.memory)[0], self._threads_of_slots()
        for value in phase.slots:
            offset = self.emit(f"mul i64 {threads}, {self._memory.offsets[value]}")
            found += [f"ptr {self.emit(f'getelementptr i8, ptr {memory}, i64 {offset}')}", f"i64 {threads}"]
        return found

    @contextmanager
    def _counted(self, end: str) -> Iterator[str]:
        """A loop over what is written inside, in which a counter runs from 0 to an end that is more than that."""
        if end == "1":
            yield "0"
            return
        before, counter, following = self._label, self._new(), self._new()
        head, latch, done = self._new_labels("loop", "latch", "done")
        self.do(f"br label %{head}")
        self._begin(head)
        self.do(f"{counter} = phi i64 [ 0, %{before} ], [ {following}, %{latch} ]")
        yield counter
        self.do(f"br label %{latch}")
        self._begin(latch)
        self.do(f"{following} = add nsw i64 {counter}, 1")
        self.do(f"br i1 {self.emit(f'icmp slt i64 {following}, {end}')}, label %{head}, label %{done}")
        self._begin(done)

    def _store_position(self, axis: int, begin: str, position: str) -> None:
        """Store the position of a row in both states: that of the main threads, and that of the others."""
        value = self.emit(f"add nsw i64 {begin}, {position}")
        for state in ("%state", self._own_state):
            self.do(f"store i64 {value}, ptr {self.emit(f'getelementptr i64, ptr {state}, i64 {axis}')}, align 8")

    def _run_row(
        self, functions: PhaseFunctions, given: list[str], position: RowPosition, is_whole: str | None
    ) -> None:
        """Run the threads of a row. `is_whole` says whether it is known that all of them may assume all there is to assume."""
        size = self._size_of_group()[0]
        if functions.limits is None:
            self._run_threads(functions, given, position, ("0", size), is_main=functions.main is not None)
            return
        places = self._limits_unless(is_whole, functions, given, position)
        for part in range(3):
            some, on = self._new_labels("some", "on")
            if part != 1:
                has_some = self.emit(f"icmp slt i64 {places[part]}, {places[part + 1]}")
                self.do(f"br i1 {has_some}, label %{some}, label %{on}")
                self._begin(some)
            self._run_threads(functions, given, position, (places[part], places[part + 1]), is_main=part == 1)
            if part != 1:
                self.do(f"br label %{on}")
                self._begin(on)

    def _limits_unless(
        self, is_whole: str | None, functions: PhaseFunctions, given: list[str], position: RowPosition
    ) -> list[str]:
        """As `_limits`, which aren't looked for if all threads of the row may assume all."""
        if is_whole is None:
            return self._limits(functions, given, position)
        before, size = self._label, self._size_of_group()[0]
        looks, known = self._new_labels("looks", "known")
        self.do(f"br i1 {is_whole}, label %{known}, label %{looks}")
        self._begin(looks)
        limits = self._limits(functions, given, position)
        self.do(f"br label %{known}")
        self._begin(known)
        return [
            self.emit(f"phi i64 [ {place}, %{looks} ], [ {whole}, %{before} ]")
            for place, whole in zip(limits, ("0", "0", size, size), strict=True)
        ]

    def _run_threads(
        self,
        functions: PhaseFunctions,
        given: list[str],
        position: RowPosition,
        limits: tuple[str, str],
        *,
        is_main: bool,
    ) -> None:
        """Run some threads of a row, and return if one fails."""
        name = functions.main if is_main else functions.general
        state = self._own_state if is_main else "%state"
        arguments = ", ".join((*(f"i64 {one}" for one in (*position, *limits)), *given))
        # Without `noduplicate` LLVM writes out the loop around it once for each of the cases that there are.
        note = "" if is_main else " noduplicate"
        status = self.emit(f"call i32 @{name}.threads(ptr {state}, {arguments}){note}")
        words = (0,) if is_main else ()
        self._return_if_failed(status, words)

    def _return_if_failed(self, status: str, words: Sequence[int] = ()) -> None:
        """Return with a status that isn't 0. Words of the main threads' state say where they failed."""
        condition = f"icmp eq i32 {status}, 0"
        failed, on = self._new_labels("failed", "on")
        self.do(f"br i1 {self.emit(condition)}, label %{on}, label %{failed}, !prof !0")
        self._begin(failed)
        for word in words:
            source, target = (
                self.emit(f"getelementptr i64, ptr {state}, i64 {word}") for state in (self._own_state, "%state")
            )
            self.do(f"store i64 {self.emit(f'load i64, ptr {source}, align 8')}, ptr {target}, align 8")
        self._return_status(status)
        self._begin(on)

    def _run_rest(self, instruction: Instruction) -> None:
        """Run a phase by the function for groups of any size."""
        place = instruction.attributes["phase"]
        parameters = dict.fromkeys((*self._group.phases[place].handed, *self._group.begin, *self._group.size))
        given = [
            f"{kind} {name}"
            for value in parameters
            for kind, name in zip(self._row_types(value.type), self._row(value), strict=True)
        ]
        memory = f"ptr {self._row(self._group.memory)[0]}, i64 {self._threads_of_slots()}"
        kind = self.result_type()
        returned = self.emit(f"call {kind} @rest{place}(ptr %state, {', '.join((*given, memory))})")
        status = self.emit(f"extractvalue {kind} {returned}, 0")
        self._return_if_failed(status)


class EdgeGroupLowering(GroupLowering):
    """Writes the function for groups at the end of a grid: nothing in it is compiled for speed but the phases."""

    def _lower_run_phase(self, instruction: Instruction) -> list[str]:
        self._run_rest(instruction)
        return []


class WholeGroupLowering(GroupLowering):
    """Writes the function for groups whose size is known when compiling."""

    def _lower_run_phase(self, instruction: Instruction) -> list[str]:
        functions = self._phases[instruction.attributes["phase"]]
        if functions is None:
            self._run_rest(instruction)
            return []
        given = self._given(self._group.phases[instruction.attributes["phase"]])
        begin, size = self._begin_of_group(), self._size_of_group()
        if functions.limits is None:
            with self._each_plane() as plane, self._each_row(plane) as position:
                self._run_threads(functions, given, position, ("0", size[0]), is_main=True)
            return []
        arguments = ", ".join((*["i64 0"] * (1 + len(AXES)), *given, *(f"i64 {one}" for one in begin)))
        limits = self.emit(f"call {WHOLE_LIMITS} @{functions.limits}(ptr {self._own_state}, {arguments})")
        keeps, first, last = (self.emit(f"extractvalue {WHOLE_LIMITS} {limits}, {number}") for number in range(3))
        whole, rest, done = self._new_labels("whole", "rest", "done")
        self.do(f"br i1 {keeps}, label %{whole}, label %{rest}, !prof !0")
        self._begin(rest)
        self._run_rest(instruction)
        self.do(f"br label %{done}")
        self._begin(whole)
        with self._each_plane() as plane, self._each_row(plane) as position:
            self._run_threads(functions, given, position, (first, last), is_main=True)
        self.do(f"br label %{done}")
        self._begin(done)
        return []

    def _size_of_group(self) -> list[str]:
        return list(map(str, self._size))

    def _threads_of_slots(self) -> str:
        return str(-(-prod(self._size) // SLOT_THREADS) * SLOT_THREADS)

    @property
    def _size(self) -> Sizes:
        size = self.module.group_size
        assert size is not None
        return size
