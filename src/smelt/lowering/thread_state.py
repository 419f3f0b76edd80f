# SPDX-License-Identifier: Apache-2.0
"""What a function takes from the state of its thread: where it is in the grid, who prints, and how much of the stack is used.

To print, the values of a text are laid out as words, and the host is called, which makes the text of them.
"""

from __future__ import annotations

from smelt.ir.branches import uses_of
from smelt.ir.positions import Position
from smelt.ir.typed import Function, Instruction
from smelt.lowering.threadgroups import PRINTER, STACK, ThreadgroupLowering
from smelt.types import Type

AXES = range(3)

GROUP_SIZE = "threads_per_threadgroup"

THREAD_QUANTITIES = ("thread_position_in_grid", "threads_per_grid", GROUP_SIZE)
"""The first words of a thread's state, each for three axes."""

PRINT = "smelt_print"
"""`i32 smelt_print(ptr printer, i64 number of the text, ptr words)`: 0, or anything else if the thread has to end."""

MOST_STACK_BYTES = 1 << 19
"""Of the recursive functions of a thread: half of the smallest stack that threads usually have."""


def has_rows(function: Function) -> bool:
    """Whether a function uses a thread's position on an axis on which threads don't follow each other."""
    uses = uses_of(function)
    return any(
        instruction.operation == "thread"
        and instruction.attributes["quantity"] == THREAD_QUANTITIES[0]
        and instruction.attributes["axis"] != AXES[0]
        and instruction.result in uses
        for block in function.blocks
        for instruction in block.instructions
    )


class ThreadStateLowering(ThreadgroupLowering):
    """The part of the lowering of a function that is about the state of its thread."""

    # Whether the next call is recursive.
    _recurs = False

    def _require(self, condition: str, error: str, message: str, position: Position) -> None:
        raise NotImplementedError

    def _row_types(self, kind: Type) -> list[str]:
        raise NotImplementedError

    def _lower_thread(self, instruction: Instruction) -> list[str]:
        quantity, axis = instruction.attributes["quantity"], instruction.attributes["axis"]
        if quantity == GROUP_SIZE and self.module.group_size is not None:
            return [str(self.module.group_size[axis])]
        return [self._load(THREAD_QUANTITIES.index(quantity) * len(AXES) + axis)]

    def _lower_print(self, instruction: Instruction) -> list[str]:
        values = []
        for operand in instruction.operands:
            values += list(zip(self._row_types(operand.type), self._row(operand), strict=True))
        words = self.allocated(f"[{len(values)} x i64]") if values else "null"
        for place, (kind, name) in enumerate(values):
            address = self.emit(f"getelementptr i64, ptr {words}, i64 {place}")
            # A bool has a byte in memory.
            stored = f"i8 {self.emit(f'zext i1 {name} to i8')}" if kind == "i1" else f"{kind} {name}"
            self.do(f"store {stored}, ptr {address}, align 8")
        number = self.module.print_site(instruction.attributes["template"])
        function = self.declare(PRINT, "i32", ("ptr", "i64", "ptr"))
        printer = self._load(PRINTER, "ptr")
        status = self.emit(f"call i32 {function}(ptr {printer}, i64 {number}, ptr {words})")
        is_printed = self.emit(f"icmp eq i32 {status}, 0")
        self._require(is_printed, "RuntimeError", "this could not be printed", instruction.position)
        return []

    def _lower_recur(self, instruction: Instruction) -> list[str]:
        self.module.recursion()
        # The stack grows down on every processor that there is code for.
        address = self.declare("llvm.frameaddress.p0", "ptr", ("i32",))
        here = self.emit(f"ptrtoint ptr {self.emit(f'call ptr {address}(i32 0)')} to i64")
        used = self.emit(f"sub i64 {self._load(STACK)}, {here}")
        has_room = self.emit(f"icmp slt i64 {used}, {MOST_STACK_BYTES}")
        self._require(has_room, "RecursionError", "maximum recursion depth exceeded", instruction.position)
        self._recurs = True
        return []
