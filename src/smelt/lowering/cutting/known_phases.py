# SPDX-License-Identifier: Apache-2.0
"""What is known of the integers of phases, given the size of the group if that is known."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from smelt.compiler.threadgroups import Sizes
from smelt.ir.branches import in_order, loops
from smelt.ir.typed import Block, Function, Value
from smelt.lowering.cutting.common_values import AXES
from smelt.lowering.cutting.handed import Handed, handed_to_phases
from smelt.lowering.cutting.phases import Group, Phase
from smelt.lowering.knowledge.assumptions import Row, kernel_arguments
from smelt.lowering.knowledge.invariants import Invariants, parameter_rows
from smelt.lowering.knowledge.linear import POSITION, Bound, Linear, number, term
from smelt.lowering.knowledge.values import Known, Values
from smelt.types import Array


class KnownPhases:
    """What is known of the phases of a group.

    Attributes
    ----------
    group
        The group.
    size
        How many threads it has, None if that isn't known. Some groups may have fewer.
    shapes
        Those of the arrays that the group shares.
    often_run
        The phases that a group runs more than once.
    """

    def __init__(
        self,
        module: Any,
        group: Group,
        shapes: dict[Value, tuple[int, ...] | None],
        size: Sizes | None,
    ) -> None:
        self.group = group
        self.size = size
        self.shapes = shapes
        self._module = module
        blocks = in_order(group.function.blocks[0])
        bodies = loops(blocks).values()
        self.often_run = {
            instruction.attributes["phase"]
            for block in set[Block]().union(*bodies)
            for instruction in block.instructions
            if instruction.operation == "run_phase"
        }

    def row(self, place: int, typed: Callable[[Any], Function | None]) -> Row | None:
        """What the threads of a row may assume in a phase; None if nothing. `typed` gives the typed function of a callee."""
        phase = self.group.phases[place]
        invariants = self._invariants()
        row = Row(typed, invariants, is_checked=self._module.is_checked)
        row.assume(phase.function, self._known(phase, self._handed[place], invariants))
        return row if row.assumptions is not None else None

    def values(self) -> list[Values]:
        """What the integers of each phase are."""
        found = []
        for place, phase in enumerate(self.group.phases):
            invariants = self._invariants()
            known = self._known(phase, self._handed[place], invariants)
            found.append(Values(phase.function.blocks, phase.function.parameters, known, (), invariants))
        return found

    def _invariants(self) -> Invariants:
        module = self._module
        return Invariants(module.declare, has_doubles=module.has_doubles, group_size=module.group_size)

    @functools.cached_property
    def _handed(self) -> dict[int, dict[Value, Handed]]:
        """What is known of what each phase is handed."""
        module, group = self._module, self.group
        invariants = Invariants(
            lambda name, *_: f"@{name}", has_doubles=module.has_doubles, group_size=module.group_size
        )
        arguments = kernel_arguments(group.function, invariants)
        for place, parameter in enumerate(group.function.parameters):
            if parameter in (*group.begin, *group.size):
                row = arguments[place].row
                assert row is not None
                invariants.extent(row[0])
                if self.size is not None and parameter in group.size:
                    arguments[place] = Known(exact=number(self.size[group.size.index(parameter)]), row=row)
        found = handed_to_phases(group.function, arguments, invariants)
        return {instruction.attributes["phase"]: known for instruction, known in found.items()}

    def _known(self, phase: Phase, handed: dict[Value, Handed], invariants: Invariants) -> list[Known]:
        """What is known of the parameters of a phase."""
        found = []
        rows = parameter_rows(phase.function.parameters, has_doubles=self._module.has_doubles)
        places = self._places(phase, rows, invariants)
        for parameter, names in zip(phase.function.parameters, rows, strict=True):
            if parameter in places:
                exact = places[parameter]
                row = names if exact is not None and exact.factor(POSITION) == 0 else None
                # Terms of sums are known not to be negative: to ask for that once more would be to ask of all threads for what few need.
                found.append(Known((Bound(number(0)),) if exact is None else (), (), exact, row))
            elif (shape := self.shapes.get(parameter)) is not None:
                found.append(Known(extents=tuple(map(number, shape)), row=names))
            elif isinstance(parameter.type, Array):
                extents = names[1 : 1 + parameter.type.dimensions]
                found.append(Known(extents=tuple(map(invariants.extent, extents)), row=names))
            elif parameter in handed:
                known = handed[parameter]
                if known.is_small:
                    invariants.small(names[0])
                if known.is_nonnegative:
                    invariants.signs.add(names[0])
                found.append(Known(known.least, known.most, known.exact, row=names))
            else:
                found.append(Known(row=names))
        return found

    def _places(self, phase: Phase, rows: list[tuple[str, ...]], invariants: Invariants) -> dict[Value, Linear | None]:
        """What a thread's position in its group is, and its number, as sums; the position in the grid is told to `invariants`."""
        names = dict(zip(phase.function.parameters, rows, strict=True))
        for axis in AXES[1:]:
            invariants.position_of_row(names[self.group.position[axis]][0])
        own = [term(POSITION)]
        size = self.size
        if size is None:
            invariants.positions = {0: own[0].plus(invariants.extent("%begin"))}
            own += [invariants.extent(names[self.group.position[axis]][0]) for axis in AXES[1:]]
            return {self.group.number: None, **dict(zip(self.group.position, own, strict=True))}
        invariants.signs.add(POSITION, size[0] - 1)
        for axis in AXES[1:]:
            (name,) = names[self.group.position[axis]]
            own.append(invariants.extent(name, size[axis] - 1) if size[axis] > 1 else number(0))
        invariants.begin = "%begin_x"
        invariants.positions = {
            axis: own[axis].plus(invariants.extent(f"%begin_{word}")) for axis, word in enumerate("xyz")
        }
        of_thread = own[0].plus(own[1], size[0]).plus(own[2], size[0] * size[1])
        return {self.group.number: of_thread, **dict(zip(self.group.position, own, strict=True))}
