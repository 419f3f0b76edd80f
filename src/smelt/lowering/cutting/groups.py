# SPDX-License-Identifier: Apache-2.0
"""The LLVM IR of kernels that were cut into phases.

The kernel's function is the group's then: behind the rows of the kernel's parameters it takes the position of the group's first thread, how
many threads there are on each axis, the memory for slots, and how many threads a slot is for. It returns a status, and where that isn't
0 the position of the thread that failed is in the state.

Where the size of groups is known when compiling, that function is for groups of this size, and there is a second one, of the same
parameters, for the smaller ones at the end of a grid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import prod
from typing import Any

from smelt.compiler.threadgroups import MOST_THREADS, Sizes
from smelt.ir.typed import Block, Function, Return, Value
from smelt.lowering.cutting.common_values import AXES
from smelt.lowering.cutting.first_writes import writes_first
from smelt.lowering.cutting.group_functions import EdgeGroupLowering, GroupLowering, GroupMemory, WholeGroupLowering
from smelt.lowering.cutting.known_phases import KnownPhases
from smelt.lowering.cutting.phase_functions import PhaseWriter
from smelt.lowering.cutting.phases import Group
from smelt.lowering.debugging import FunctionDebugInformation
from smelt.types import none

_EDGE = "edge"


class GroupWriter:
    """Writes all functions of a kernel that was cut.

    Attributes
    ----------
    texts
        The definitions.
    result_type
        What the group's function returns.
    slot_bytes
        What is kept for each thread.
    edge, written_first_by
        As of `Threadgroups`.
    """

    def __init__(
        self,
        module: Any,
        group: Group,
        name: str,
        typed: Callable[[Any], Function | None],
        debug_of: Callable[[str], FunctionDebugInformation | None],
    ) -> None:
        self._module = module
        self._group = group
        shapes = self._shapes()
        memory = GroupMemory(group)
        self.slot_bytes = memory.nbytes
        self.edge: str | None = None
        phases = PhaseWriter(module, KnownPhases(module, group, shapes, None), typed, debug_of)
        self.texts = phases.texts
        lowering = GroupLowering(module, group, group.function, name, memory, debug_of, phases.functions)
        # Arrays that are shared mostly have an element for each thread.
        known = KnownPhases(module, group, shapes, module.group_size or _size_of(shapes.values()))
        self.written_first_by = known.size if writes_first(known) else None
        if module.group_size is not None:
            whole = PhaseWriter(module, known, typed, debug_of)
            self.texts += whole.texts
            self.edge = _EDGE
            for place, function in enumerate(self._rests()):
                rest = GroupLowering(module, group, function, f"@rest{place}", memory, debug_of, phases.functions)
                self.texts.append(rest.text("internal", "noinline"))
            edge = EdgeGroupLowering(module, group, group.function, f"@{_EDGE}", memory, debug_of, phases.functions)
            self.texts.append(edge.text("internal", "noinline optsize"))
            lowering = WholeGroupLowering(module, group, group.function, name, memory, debug_of, whole.functions)
        self.texts.append(lowering.text("internal", "noinline"))
        self.result_type = lowering.result_type()

    def _shapes(self) -> dict[Value, tuple[int, ...] | None]:
        """The shapes of the arrays that the group shares."""
        return {
            instruction.result: instruction.attributes["shape"]
            for block in self._group.function.blocks
            for instruction in block.instructions
            if instruction.operation == "threadgroup_array" and instruction.result is not None
        }

    def _rests(self) -> list[Function]:
        """For each phase a function that runs it for a group of any size."""
        group, found = self._group, []
        runs = {
            instruction.attributes["phase"]: instruction
            for block in group.function.blocks
            for instruction in block.instructions
            if instruction.operation == "run_phase"
        }
        for place, phase in enumerate(group.phases):
            parameters = dict.fromkeys((*phase.handed, *group.begin, *group.size, group.memory))
            block = Block("rest", [], [runs[place]], Return(None))
            found.append(Function(group.function.name, list(parameters), none, [block]))
        return found


def _size_of(shapes: Iterable[tuple[int, ...] | None]) -> Sizes | None:
    """The size of groups with a thread for each element of an array that they share; None if there is no such array."""
    for shape in shapes:
        if shape is not None and 1 <= len(shape) <= len(AXES) and 0 < prod(shape) <= MOST_THREADS:
            x, y, z = (*reversed(shape), 1, 1)[: len(AXES)]
            return x, y, z
    return None
