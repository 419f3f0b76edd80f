# SPDX-License-Identifier: Apache-2.0
"""How the functions of a kernel call each other: each returns a status with the row of its result.

A status other than 0 is the number of an error site: the thread has failed there, and every caller passes it on.
"""

from __future__ import annotations

from collections.abc import Sequence

from smelt.ir.positions import Position
from smelt.ir.typed import Function, Instruction, Value
from smelt.lowering.knowledge.assumptions import Assumptions
from smelt.lowering.thread_state import ThreadStateLowering
from smelt.lowering.threadgroups import LEFT


class CallLowering(ThreadStateLowering):
    """The part of the lowering of a function that is about calling and returning."""

    function: Function
    _assumptions: Assumptions

    def _row(self, value: Value) -> list[str]:
        raise NotImplementedError

    def result_type(self) -> str:
        """The LLVM type of what the function returns."""
        return "{ " + ", ".join(["i32", *self._row_types(self.function.result)]) + " }"

    def _result_parameters(self) -> list[str]:
        """What the function is given for the sake of its result."""
        return []

    def _lower_call(self, instruction: Instruction) -> list[str]:
        callee = instruction.attributes["callee"]
        name = self.module.callee(callee, self._assumptions.calls.get(instruction))
        rare = self.module.rare(callee)
        if rare is not None:
            return [self.emit(rare.call(self._row(instruction.operands[0])[0]))]
        arguments = ["ptr %state"]
        for operand in instruction.operands:
            kinds = self._row_types(operand.type)
            arguments += [f"{kind} {part}" for kind, part in zip(kinds, self._row(operand), strict=True)]
        results = [] if instruction.result is None else self._row_types(instruction.result.type)
        status, reads = self._call_function(name, arguments, results)
        succeeded = self.emit(f"icmp eq i32 {status}, 0")
        failed, goes_on = f"failed{self._count}", f"on{self._count}"
        self.do(f"br i1 {succeeded}, label %{goes_on}, label %{failed}, !prof !0")
        self._begin(failed)
        if before := self.module.before_errors(callee, instruction.position):
            own = self.emit(f"add i32 {status}, {before}")
            if self.module.waits(callee):
                own = self.emit(f"select i1 {self.emit(f'icmp eq i32 {status}, {LEFT}')}, i32 {LEFT}, i32 {own}")
            status = own
        self._return_status(status)
        self._begin(goes_on)
        return [self.emit(read) for read in reads]

    def _call_function(self, name: str, arguments: list[str], results: list[str]) -> tuple[str, list[str]]:
        """Call a function with results of these types: its status, and the instructions that get the results if that is 0."""
        kind = "{ " + ", ".join(["i32", *results]) + " }"
        self._declare_linked(name, kind, arguments)
        # Where the last thing that a function does is to call itself, LLVM would make a loop of it, which might run for ever.
        marker, self._recurs = "notail " if self._recurs else "", False
        returned = self.emit(f"{marker}call {kind} {name}({', '.join(arguments)})")
        status = self.emit(f"extractvalue {kind} {returned}, 0")
        return status, [f"extractvalue {kind} {returned}, {index + 1}" for index in range(len(results))]

    def _declare_linked(self, name: str, kind: str, arguments: list[str]) -> None:
        """Declare a function that is linked into the module; others are defined in it."""
        if name.startswith('@"'):
            self.declare(name[1:], kind, tuple(argument.rpartition(" ")[0] for argument in arguments))

    def _require(self, condition: str, error: str, message: str, position: Position) -> None:
        site = self.module.error_site(error, message, position)
        self._count += 1
        failed, goes_on = f"failed{self._count}", f"on{self._count}"
        self.do(f"br i1 {condition}, label %{goes_on}, label %{failed}, !prof !0")
        self._begin(failed)
        self._return_status(str(site))
        self._begin(goes_on)

    def _return_status(self, status: str) -> None:
        kind = self.result_type()
        returned = self.emit(f"insertvalue {kind} zeroinitializer, i32 {status}, 0")
        self.do(f"ret {kind} {returned}")

    def _return_row(self, row: Sequence[tuple[str, str]]) -> None:
        kind, returned = self.result_type(), "zeroinitializer"
        for place, (part, name) in enumerate(row, 1):
            returned = self.emit(f"insertvalue {kind} {returned}, {part} {name}, {place}")
        self.do(f"ret {kind} {returned}")
