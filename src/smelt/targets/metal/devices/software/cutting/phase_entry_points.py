# SPDX-License-Identifier: Apache-2.0
"""The entry point of a kernel that was cut into phases, see `phases`, and the loops over the threads of a row that run one phase."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from smelt.compiler.threadgroups import MOST_THREADS
from smelt.lowering import LoweredModule
from smelt.lowering.lowered import Threadgroups
from smelt.lowering.threadgroups import STATE_WORDS
from smelt.targets.metal.air.kernels import Kernel
from smelt.targets.metal.devices.software.artifacts import NO_MEMORY, STOPPED
from smelt.targets.metal.devices.software.cooperation import RESULT
from smelt.targets.metal.devices.software.cutting.group_code import GROUP_WORDS, PhaseRun, group_code
from smelt.targets.metal.devices.software.entry_points import ENTRY
from smelt.targets.metal.devices.software.inputs import (
    AXES,
    GROUPS,
    LAUNCH_MEMORY_LOADED,
    QUANTITIES_IN_GROUP,
    SIZES_LOADED,
    arguments_of,
)
from smelt.targets.native.kernels.groups import phases_entry_point


@dataclass(frozen=True)
class GroupProgram:
    """What the entry point is made for.

    Attributes
    ----------
    kernel, parameters
        The kernel, and the types and names of its parameters.
    runs
        What is to know of its phases. The function of phase n is `kernel.phasen`.
    parallel
        Those whose threads touch nothing that they use one after the other.
    thread_bytes, common_bytes, shared_bytes
        What is kept for each thread, and once for the group; the memory that the group's variables take.
    node
        The metadata that is free from this number on, and names there the accesses in which threads are independent.
    """

    kernel: Kernel
    parameters: tuple[tuple[str, str], ...]
    runs: Mapping[int, PhaseRun]
    parallel: Collection[int]
    thread_bytes: int
    common_bytes: int
    shared_bytes: int
    node: int

    @property
    def sites(self) -> int:
        """How many places there are where threads wait."""
        return len(self.runs) - 1

    def text(self, functions: str) -> str:
        """The LLVM IR of the entry point, given that of the functions of the phases."""
        lowered = LoweredModule(
            text=functions,
            name="smelt.group",
            result_type=RESULT,
            functions=(),
            sources=(),
            errors=(),
            prints=(),
            symbols=(),
            threadgroups=Threadgroups(
                self.shared_bytes,
                is_sized_at_launch=True,
                exhausted=self.sites + NO_MEMORY,
                slot_bytes=self.thread_bytes + 1,
            ),
        )
        entry = phases_entry_point(lowered, ENTRY, "", "ptr %state, ptr %arguments")
        group = group_code(
            self.runs,
            thread_bytes=self.thread_bytes,
            common_bytes=self.common_bytes,
            stopped=self.sites + STOPPED,
        )
        return "\n".join((*map(self._loop, self.runs), group, entry, self._metadata()))

    def _loop(self, phase: int) -> str:
        """The loop over threads of a row that runs a phase."""
        loads, computed, arguments = arguments_of(self.kernel, self.parameters, "words")
        is_parallel = phase in self.parallel and not self.runs[phase].is_common
        note = access_note(self.node) if is_parallel else ""
        is_undecided = self.runs[phase].is_undecided
        return _LOOP.format(
            phase=phase,
            words_bytes=3 * 8 * len(self.parameters),
            thread_bytes=self.thread_bytes,
            sizes=SIZES_LOADED,
            group=_GROUP_LOADED.format(positions=self.node + 4, sizes=self.node + 5),
            groups=GROUPS,
            launch_memory=LAUNCH_MEMORY_LOADED,
            loads=loads,
            note=note,
            quantities=QUANTITIES_IN_GROUP,
            computed=computed,
            call=f'call {RESULT} @"{self.kernel.name}.phase{phase}"(ptr %state, ptr %words{arguments}, {_OWN_ARGUMENTS})',
            result_type=RESULT,
            place=_PLACE_NOTED.format(note=note) if is_undecided else "",
            result="-1" if is_undecided else "%place",
            more="false" if self.runs[phase].is_common else "%more_x",
            loop=f", !llvm.loop !{self.node + (6 if phase not in self._repeated() else 1)}" if is_parallel else "",
        )

    def _repeated(self) -> set[int]:
        """The phases that a group may run more than once; all of them if there are none."""
        ways = {phase: {place for place in run.places if place} for phase, run in self.runs.items()}
        found = set()
        for phase, places in ways.items():
            seen: set[int] = set()
            todo = list(places)
            while todo:
                place = todo.pop()
                if place not in seen:
                    seen.add(place)
                    todo += ways[place]
            if phase in seen:
                found.add(phase)
        return found or set(ways)

    def _metadata(self) -> str:
        first = self.node
        return (
            f"!{first} = distinct !{{}}\n"
            f"!{first + 1} = distinct !{{!{first + 1}, !{first + 2}, !{first + 3}}}\n"
            f'!{first + 2} = !{{!"llvm.loop.parallel_accesses", !{first}}}\n'
            f'!{first + 3} = !{{!"llvm.loop.interleave.count", i32 1}}\n'
            f"!{first + 4} = !{{i64 0, i64 {_MOST_POSITIONS}}}\n!{first + 5} = !{{i64 0, i64 {MOST_THREADS + 1}}}\n"
            f"!{first + 6} = distinct !{{!{first + 6}, !{first + 7}, !{first + 8}}}\n"
            f'!{first + 7} = !{{!"llvm.loop.vectorize.enable", i1 false}}\n!{first + 8} = !{{!"llvm.loop.unroll.disable"}}\n'
        )


def access_note(node: int) -> str:
    """What is said of an access in which threads are independent, given the number of the metadata."""
    return f", !llvm.access.group !{node}"


# Grids have fewer threads than 2^32 on an axis; so LLVM knows that positions don't overflow.
_MOST_POSITIONS = 1 << 32

_GROUP_LOADED = "\n".join(
    f"  %{name}_place = getelementptr i64, ptr %group, i64 {number}\n"
    f"  %{name} = load i64, ptr %{name}_place, !range !{{{'positions' if number < 2 * len(AXES) else 'sizes'}}}"
    for name, number in GROUP_WORDS.items()
)

_ROW_STORED = "\n".join(
    f"  %own_{axis}_place = getelementptr i64, ptr %state, i64 {number}\n  store i64 %position_{axis}, ptr %own_{axis}_place"
    for number, axis in enumerate(AXES)
    if number
)

_PLACE_NOTED = """\
  %byte = trunc i32 %place to i8
  %own_place = getelementptr i8, ptr %places, i64 %index
  store i8 %byte, ptr %own_place{note}"""

_OWN_ARGUMENTS = "i64 %index, ptr %slots, i64 %most, ptr %common, ptr %next"

# What is loaded of the state and of the words may be loaded before a loop in which not all threads need it. Sizes and places in a group are
# small, so that LLVM knows that numbers of threads don't overflow either.
_PARAMETERS = (
    f"ptr noalias align 8 dereferenceable({8 * STATE_WORDS}) %state, ptr noalias readonly align 8 dereferenceable({{words_bytes}}) %words, "
    "ptr noalias readonly %group, ptr noalias %slots, i64 %most, ptr noalias readonly %common, ptr noalias %next, "
    f"i64 range(i64 0, {MOST_THREADS}) %before, i64 range(i64 0, {MOST_THREADS}) %inner_y, i64 range(i64 0, {MOST_THREADS}) %inner_z, "
    f"i64 range(i64 0, {MOST_THREADS}) %from_x, i64 range(i64 1, {MOST_THREADS + 1}) %to_x"
)

_LOOP = f"""
define internal i32 @phase{{phase}}({_PARAMETERS}) noinline {{{{
entry:
  %places_offset = mul i64 %most, {{thread_bytes}}
  %places = getelementptr i8, ptr %slots, i64 %places_offset
{{sizes}}
{{group}}
{{groups}}
{{launch_memory}}
{{loads}}
  %position_y = add nuw nsw i64 %first_y, %inner_y
  %position_z = add nuw nsw i64 %first_z, %inner_z
{_ROW_STORED}
  br label %thread
thread:
  %inner_x = phi i64 [ %from_x, %entry ], [ %next_x, %thread ]
  %position_x = add nuw nsw i64 %first_x, %inner_x
  %index = add nuw nsw i64 %before, %inner_x
  store i64 %position_x, ptr %state{{note}}
{{quantities}}
{{computed}}
  %returned = {{call}}
  %place = extractvalue {{result_type}} %returned, 0
{{place}}
  %next_x = add nuw nsw i64 %inner_x, 1
  %more_x = icmp slt i64 %next_x, %to_x
  br i1 {{more}}, label %thread, label %done{{loop}}
done:
  ret i32 {{result}}
}}}}
"""
