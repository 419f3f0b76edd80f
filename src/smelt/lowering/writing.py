# SPDX-License-Identifier: Apache-2.0
"""Writing the instructions of one LLVM function, each with the place that it comes from if debuggers are to know it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from smelt.ir.positions import Position
from smelt.lowering.debugging import FunctionDebugInformation
from smelt.lowering.layout import FLAT
from smelt.types import Memory, Type

_FAST = ("fadd", "fsub", "fmul", "fdiv", "frem", "fneg", "fcmp")


class InstructionWriter:
    """The instructions of one LLVM function, by their blocks."""

    module: Any

    pointers: ClassVar[Mapping[Memory, str]] = FLAT
    """The LLVM types of addresses in each sort of memory."""

    constants_pointer: ClassVar[str] = "ptr"
    """That of addresses of constants."""

    has_vectors: ClassVar[bool] = True
    """Whether LLVM makes vectors of the numbers of several threads."""

    def __init__(self, module: Any, debug: FunctionDebugInformation | None, *, is_fast: bool) -> None:
        self.module = module
        self._debug = debug
        self._is_fast = is_fast
        self._lines: dict[str, list[str]] = {}
        self._label = ""
        self._count = 0
        self._allocations: list[str] = []
        # What says where an instruction comes from.
        self._note = ""

    def emit(self, instruction: str) -> str:
        """Write an instruction: the name of what it computes."""
        name = self._new()
        if self._is_fast and instruction.startswith(_FAST):
            operation, _, rest = instruction.partition(" ")
            instruction = f"{operation} fast {rest}"
        self._lines[self._label].append(f"{name} = {instruction}{self._note}")
        return name

    def do(self, instruction: str) -> None:
        """Write an instruction for its effect."""
        self._lines[self._label].append(instruction + self._note)

    def declare(self, name: str, result: str, parameters: tuple[str, ...]) -> str:
        """The name of a function that is defined elsewhere, declared in the module."""
        declared: str = self.module.declare(name, result, parameters)
        return declared

    def allocated(self, kind: str) -> str:
        """Memory of the thread's own. It is taken at the function's entry, so that a loop takes no more with each round."""
        place = self._new()
        self._allocations.append(f"{place} = alloca {kind}, align 16")
        return place

    def _new(self) -> str:
        self._count += 1
        return f"%v{self._count}"

    def _begin(self, label: str) -> None:
        self._lines[label] = []
        self._label = label

    def _locate(self, position: Position | None) -> None:
        """What follows comes from `position`; from no line if that is None."""
        if self._debug is not None:
            place = self._debug.nowhere if position is None else self._debug.location(position)
            self._note = f", !dbg {place}"

    def _show(
        self, name: str, kind: Type, row: Sequence[tuple[str, str]], position: Position, *, argument: int = 0
    ) -> None:
        """A variable is from here on what the row says, LLVM types and names, where debuggers are to know variables."""
        record = self._debug and self._debug.variable(name, kind, row, position, argument=argument)
        if record:
            self._lines[self._label].append(record)
