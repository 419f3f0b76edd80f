# SPDX-License-Identifier: Apache-2.0
"""Threads that work together: waiting, exchanging values, memory that they share, and atomic operations.

A function that waits is part of a coroutine once it is inlined into its kernel: LLVM's `llvm.coro.suspend` gives 0 where the thread goes
on, and anything else where the coroutine is left. The function returns the status `LEFT` then, which its callers pass on as they
do with that of an error, up to the coroutine's end.

Values go from thread to thread through the exchange area of their simdgroup: a word whose bits are the lanes that take part, which the
target sets whenever all of them wait, and two slots for each lane. A lane writes one slot, waits, and reads those of others. Two
operations that follow each other use different slots: before a lane can write its first slot again all others have come to the second
operation, so they have read it.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from smelt.compiler.threadgroups import SIMD_WIDTH
from smelt.ir.positions import Position
from smelt.ir.typed import Instruction, Value
from smelt.lowering import arithmetic, memory
from smelt.lowering.layout import memory_type, register_type
from smelt.lowering.writing import InstructionWriter
from smelt.types import Array, Scalar, Type

SLOT_BYTES = 16
SLOTS_OFFSET = 16
EXCHANGE_BYTES = SLOTS_OFFSET + 2 * SIMD_WIDTH * SLOT_BYTES

# The words of a thread's state that follow those of its position and sizes.
PRINTER = 9
"""What shows the texts of this launch; set where the kernel prints."""
STACK = 10
"""An address on the stack, where the threads begin; set where functions call themselves."""
ALONE_WORDS = 11
# Of a thread that is alone only those before are there.
THREADGROUP_MEMORY = 11
LAUNCH_MEMORY = 12
LAUNCH_MEMORY_BYTES = 13
EXCHANGE = 14
LANE = 15
PARITY = 16
WAITS_AT = 17
"""Twice the error site that tells of a thread that waits where it is alone, and 1 more if its simdgroup waits; 0 once it has ended."""
STATUS = 18
HANDLE = 19
STATE_WORDS = 20

LEFT = -1

_ATOMIC_INTEGERS = {"exchange": "xchg"}
_ATOMIC_UNSIGNED = {"exchange": "xchg", "min": "umin", "max": "umax"}
_ATOMIC_FLOATS = {"exchange": "xchg", "add": "fadd", "sub": "fsub", "min": "fmin", "max": "fmax"}


class ThreadgroupLowering(InstructionWriter):
    """The part of the lowering of a function that is about threads that work together."""

    def _row(self, value: Value) -> list[str]:
        raise NotImplementedError

    def _scalar(self, kind: Type) -> Scalar:
        raise NotImplementedError

    def _element(self, array: Value, indices: list[Value]) -> tuple[Array, str]:
        raise NotImplementedError

    def _return_status(self, status: str) -> None:
        raise NotImplementedError

    def _lower_barrier(self, instruction: Instruction) -> list[str]:
        self._wait(instruction.attributes["scope"], instruction.position)
        return []

    def _lower_simd_shuffle(self, instruction: Instruction) -> list[str]:
        value, lane = instruction.operands
        scalar = self._scalar(value.type)
        own = self._load(LANE)
        asked = self._row(lane)[0]
        mask, slots = self._exchange(scalar, self._row(value), instruction.position)
        # A lane that isn't there gives its own value to whom asks for it.
        is_lane = self.emit(f"icmp ult i64 {asked}, {SIMD_WIDTH}")
        known = self.emit(f"select i1 {is_lane}, i64 {asked}, i64 {own}")
        bits = self.emit(f"lshr i64 {mask}, {known}")
        takes_part = self.emit(f"trunc i64 {bits} to i1")
        chosen = self.emit(f"select i1 {takes_part}, i64 {known}, i64 {own}")
        return memory.load(self, scalar, self._slot(slots, chosen), is_aligned=True)

    def _lower_simd_reduce(self, instruction: Instruction) -> list[str]:
        (value,) = instruction.operands
        scalar = self._scalar(value.type)
        mask, slots = self._exchange(scalar, self._row(value), instruction.position)

        def value_of(lane: str) -> str:
            return memory.load(self, scalar, self._slot(slots, lane), is_aligned=True)[0]

        return [self._combined(instruction.attributes["function"], scalar, mask, value_of)]

    def _combined(self, operation: str, scalar: Scalar, mask: str, value_of: Callable[[str], str]) -> str:
        """The values of all lanes of a mask, combined from the lowest lane to the highest."""
        kind = register_type(scalar)
        first, others = self._lowest_lane(mask)
        initial = value_of(first)
        total_place, remaining_place = self.allocated(kind), self.allocated("i64")
        self.do(f"store {kind} {initial}, ptr {total_place}")
        self.do(f"store i64 {others}, ptr {remaining_place}")
        head, body, done = self._new_labels("lanes", "lane", "reduced")
        self.do(f"br label %{head}")
        self._begin(head)
        remaining = self.emit(f"load i64, ptr {remaining_place}")
        is_done = self.emit(f"icmp eq i64 {remaining}, 0")
        self.do(f"br i1 {is_done}, label %{done}, label %{body}")
        self._begin(body)
        lane, others = self._lowest_lane(remaining)
        self.do(f"store i64 {others}, ptr {remaining_place}")
        other = value_of(lane)
        total = self.emit(f"load {kind}, ptr {total_place}")
        combined = arithmetic.binary(self, operation, scalar, total, other)
        self.do(f"store {kind} {combined}, ptr {total_place}")
        self.do(f"br label %{head}")
        self._begin(done)
        return self.emit(f"load {kind}, ptr {total_place}")

    def _lower_threadgroup_array(self, instruction: Instruction) -> list[str]:
        kind = self._array_type(instruction)
        shape = instruction.attributes["shape"]
        size = memory.element_size(kind.element)
        if shape is None:
            self.module.launch_memory()
            nbytes = self._load(LAUNCH_MEMORY_BYTES)
            return [self._load(LAUNCH_MEMORY, "ptr"), self.emit(f"udiv i64 {nbytes}, {size}")]
        offset = self._offset(instruction, prod(shape) * size)
        base = self._load(THREADGROUP_MEMORY, "ptr")
        return [self.emit(f"getelementptr i8, ptr {base}, i64 {offset}"), *map(str, shape)]

    def _offset(self, array: Instruction, nbytes: int) -> int:  # noqa: ARG002 - each array is made in one place
        """Where an array is in the memory that threads share, given the instruction that makes it."""
        offset: int = self.module.threadgroup_memory(nbytes)
        return offset

    def _lower_thread_array(self, instruction: Instruction) -> list[str]:
        kind = self._array_type(instruction)
        shape = instruction.attributes["shape"]
        nbytes = prod(shape) * memory.element_size(kind.element)
        place = self.allocated(f"[{nbytes} x i8]")
        clear = self.declare("llvm.memset.p0.i64", "void", ("ptr", "i8", "i64", "i1"))
        self.do(f"call void {clear}(ptr align 16 {place}, i8 0, i64 {nbytes}, i1 false)")
        return [place, *map(str, shape)]

    def _lower_atomic(self, instruction: Instruction) -> list[str]:
        array, value, *indices = instruction.operands
        kind, address = self._element(array, indices)
        scalar = self._scalar(kind.element)
        names = _ATOMIC_FLOATS if scalar.is_floating else _ATOMIC_INTEGERS if scalar.is_signed else _ATOMIC_UNSIGNED
        operation = instruction.attributes["function"]
        given = f"{memory_type(scalar)} {self._row(value)[0]}"
        name = names.get(operation, operation)
        return [self.emit(f"atomicrmw {name} ptr {address}, {given} monotonic, align {scalar.size}")]

    def _lower_atomic_compare_exchange(self, instruction: Instruction) -> list[str]:
        array, expected, value, *indices = instruction.operands
        kind, address = self._element(array, indices)
        scalar = self._scalar(kind.element)
        word, number = f"i{scalar.bits}", register_type(scalar)
        operands = [self.emit(f"bitcast {number} {self._row(given)[0]} to {word}") for given in (expected, value)]
        pair = ", ".join(f"{word} {operand}" for operand in operands)
        found = self.emit(f"cmpxchg ptr {address}, {pair} monotonic monotonic, align {scalar.size}")
        old = self.emit(f"extractvalue {{ {word}, i1 }} {found}, 0")
        return [self.emit(f"bitcast {word} {old} to {number}")]

    def _exchange(self, scalar: Scalar, row: list[str], position: Position) -> tuple[str, str]:
        """Give a value to the other lanes: the mask of those that take part, and the address of their slots, once all are here."""
        area = self._load(EXCHANGE, "ptr")
        parity = self._load(PARITY)
        self._store(PARITY, self.emit(f"xor i64 {parity}, 1"))
        offset = self.emit(f"mul i64 {parity}, {SIMD_WIDTH * SLOT_BYTES}")
        slots = self.emit(f"getelementptr i8, ptr {area}, i64 {offset}")
        slots = self.emit(f"getelementptr i8, ptr {slots}, i64 {SLOTS_OFFSET}")
        memory.store(self, scalar, self._slot(slots, self._load(LANE)), row, is_aligned=True)
        self._wait("simdgroup", position)
        return self.emit(f"load i64, ptr {area}, align 8"), slots

    def _wait(self, scope: str, position: Position) -> None:
        message = f"not all threads of the {scope} come here: others wait at another barrier or simdgroup operation"
        site = self.module.final_error_site("RuntimeError", message, position)
        self._store(WAITS_AT, str(2 * site + (scope == "simdgroup")))
        suspend = self.declare("llvm.coro.suspend", "i8", ("token", "i1"))
        way = self.emit(f"call i8 {suspend}(token none, i1 false)")
        resumed, left = self._new_labels("resumed", "left")
        self.do(f"switch i8 {way}, label %{left} [ i8 0, label %{resumed} i8 1, label %{left} ]")
        self._begin(left)
        self._return_status(str(LEFT))
        self._begin(resumed)

    def _new_labels(self, *words: str) -> list[str]:
        number = self._new().removeprefix("%v")
        return [f"{word}{number}" for word in words]

    def _lowest_lane(self, mask: str) -> tuple[str, str]:
        """The lowest lane of a mask that isn't empty, and the mask without it."""
        count = self.declare("llvm.cttz.i64", "i64", ("i64", "i1"))
        lane = self.emit(f"call i64 {count}(i64 {mask}, i1 true)")
        less = self.emit(f"sub i64 {mask}, 1")
        return lane, self.emit(f"and i64 {mask}, {less}")

    def _slot(self, slots: str, lane: str) -> str:
        return self.emit(f"getelementptr [{SLOT_BYTES} x i8], ptr {slots}, i64 {lane}")

    def _load(self, word: int, kind: str = "i64") -> str:
        address = self.emit(f"getelementptr i64, ptr %state, i64 {word}")
        return self.emit(f"load {kind}, ptr {address}, align 8")

    def _store(self, word: int, value: str) -> None:
        address = self.emit(f"getelementptr i64, ptr %state, i64 {word}")
        self.do(f"store i64 {value}, ptr {address}, align 8")

    def _array_type(self, instruction: Instruction) -> Array:
        assert instruction.result is not None
        assert isinstance(instruction.result.type, Array)
        return instruction.result.type
