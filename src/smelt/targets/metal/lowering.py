# SPDX-License-Identifier: Apache-2.0
"""Operations of typed programs that AIR has functions for: mathematics, barriers, what goes from lane to lane, atomic operations, memory.

Names and operands are those of the Metal Shading Language's functions, as Apple's compiler and Metal.jl write them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import ClassVar

from smelt.compiler.threadgroups import SIMD_WIDTH
from smelt.ir.typed import Instruction
from smelt.lowering import memory
from smelt.lowering.function import FunctionLowering
from smelt.lowering.layout import register_type
from smelt.lowering.threadgroups import LANE, LAUNCH_MEMORY, LAUNCH_MEMORY_BYTES, PRINTER
from smelt.targets.metal.functions import air_name
from smelt.types import Kind, Memory, Scalar, part_type

DEVICE = "ptr addrspace(1)"
CONSTANT = "ptr addrspace(2)"
THREADGROUP = "ptr addrspace(3)"

THREADGROUP_VARIABLE = "@smelt.threadgroup_memory"
"""The memory that the threads of a group share, but for what is sized at launch."""

_SPACES = {Memory.DEVICE: "global", Memory.THREADGROUP: "local"}

_BARRIERS = {"threadgroup": "air.wg.barrier", "simdgroup": "air.simdgroup.barrier"}
# Memory of the device and of the threadgroup is what was written there, for the threads of the group.
_BARRIER_OPERANDS = "i32 3, i32 1"

_NO_ROOM = "this could not be printed: there is no room for more in one launch"

_REDUCTIONS = {"add": "sum", "mul": "product", "min": "min", "max": "max", "and": "and", "or": "or", "xor": "xor"}
_VOTES = {"and": "air.simd_all", "or": "air.simd_any"}


class MetalLowering(FunctionLowering):
    """Writes the LLVM IR of a function for Metal."""

    pointers: ClassVar[Mapping[Memory, str]] = {
        Memory.DEVICE: DEVICE,
        Memory.THREADGROUP: THREADGROUP,
        Memory.THREAD: "ptr",
    }
    constants_pointer: ClassVar[str] = CONSTANT
    has_vectors: ClassVar[bool] = False

    def declare(self, name: str, result: str, parameters: tuple[str, ...]) -> str:
        """The name of a function that is defined elsewhere: AIR's, for one of LLVM's or of the C library that AIR has."""
        return super().declare(air_name(name, is_fast=self._is_fast), result, parameters)

    def emit(self, instruction: str) -> str:
        """Write an instruction: the name of what it computes. A remainder of floats is a function of AIR's."""
        if not instruction.startswith("frem "):
            return super().emit(instruction)
        kind, first, second = instruction.removeprefix("frem ").replace(",", "").split(" ")
        return self._call("air.fmod.f32", kind, (kind, first), (kind, second))

    def _call(self, name: str, result: str, *arguments: tuple[str, str]) -> str:
        function = self.declare(name, result, tuple(kind for kind, _ in arguments))
        return self.emit(f"call {result} {function}({', '.join(f'{kind} {value}' for kind, value in arguments)})")

    # Calls: a function writes its results where its caller says, for LLVM would keep a status with results together once it is inlined,
    # and Apple's compilers seldom see such aggregates.

    def result_type(self) -> str:
        """The LLVM type of what the function returns: its status."""
        return "i32"

    def _result_parameters(self) -> list[str]:
        return [f"ptr %result{number}" for number in range(len(self._row_types(self.function.result)))]

    def _call_function(self, name: str, arguments: list[str], results: list[str]) -> tuple[str, list[str]]:
        places = [self.allocated(kind) for kind in results]
        given = [*arguments, *(f"ptr {place}" for place in places)]
        self._declare_linked(name, "i32", given)
        status = self.emit(f"call i32 {name}({', '.join(given)})")
        return status, [f"load {kind}, ptr {place}" for kind, place in zip(results, places, strict=True)]

    def _return_status(self, status: str) -> None:
        self.do(f"ret i32 {status}")

    def _return_row(self, row: Sequence[tuple[str, str]]) -> None:
        for number, (kind, name) in enumerate(row):
            self.do(f"store {kind} {name}, ptr %result{number}")
        self._return_status("0")

    # Threads that work together

    def _lower_barrier(self, instruction: Instruction) -> list[str]:
        function = self.declare(_BARRIERS[instruction.attributes["scope"]], "void", ("i32", "i32"))
        self.do(f"call void {function}({_BARRIER_OPERANDS})")
        return []

    def _lower_simd_shuffle(self, instruction: Instruction) -> list[str]:
        value, lane = instruction.operands
        scalar = self._scalar(value.type)
        own, asked = self._load(LANE), self._row(lane)[0]
        # A lane that isn't there gives its own value to whom asks for it: in Metal that is undefined.
        is_lane = self.emit(f"icmp ult i64 {asked}, {SIMD_WIDTH}")
        known = self.emit(f"select i1 {is_lane}, i64 {asked}, i64 {own}")
        bits = self.emit(f"lshr i64 {self._active_lanes()}, {known}")
        takes_part = self.emit(f"trunc i64 {bits} to i1")
        chosen = self.emit(f"select i1 {takes_part}, i64 {known}, i64 {own}")
        part = part_type(scalar) if scalar.is_complex else scalar
        return [self._shuffled(part, name, chosen) for name in self._row(value)]

    def _lower_simd_reduce(self, instruction: Instruction) -> list[str]:
        (value,) = instruction.operands
        scalar, operation = self._scalar(value.type), instruction.attributes["function"]
        kind, (given,) = register_type(scalar), self._row(value)
        if kind == "i1":
            return [self._vote(operation, given)]
        if scalar.bits == 64 or scalar.kind is Kind.BRAIN_FLOATING:
            lanes = self._active_lanes()
            return [self._combined(operation, scalar, lanes, lambda lane: self._shuffled(scalar, given, lane))]
        return [self._call(f"air.simd_{_REDUCTIONS[operation]}.{_suffix(scalar)}", kind, (kind, given))]

    def _vote(self, operation: str, given: str) -> str:
        if operation in _VOTES:
            return self._call(_VOTES[operation], "i1", ("i1", given))
        # Of all those that are true only whether their number is odd is left.
        lanes = self._call("air.simd_ballot.i64", "i64", ("i1", given))
        return self.emit(f"trunc i64 {self._call('llvm.ctpop.i64', 'i64', ('i64', lanes))} to i1")

    def _active_lanes(self) -> str:
        """The lanes that are here, as bits."""
        return self._call("air.simd_ballot.i64", "i64", ("i1", "true"))

    def _shuffled(self, scalar: Scalar, name: str, lane: str) -> str:
        """What a lane has, which must be here."""
        kind = register_type(scalar)
        narrow = ("i16", self.emit(f"trunc i64 {lane} to i16"))
        if kind == "i1":
            byte = self.emit(f"zext i1 {name} to i8")
            return self.emit(f"trunc i8 {self._call('air.simd_shuffle.u.i8', 'i8', ('i8', byte), narrow)} to i1")
        # Metal moves nothing wider than four bytes, and no bfloat.
        moved = {"i64": ("<2 x i32>", "u.v2i32"), "bfloat": ("i16", "u.i16")}.get(kind)
        if moved is None:
            return self._call(f"air.simd_shuffle.{_suffix(scalar)}", kind, (kind, name), narrow)
        given = self.emit(f"bitcast {kind} {name} to {moved[0]}")
        result = self._call(f"air.simd_shuffle.{moved[1]}", moved[0], (moved[0], given), narrow)
        return self.emit(f"bitcast {moved[0]} {result} to {kind}")

    # Printing: a record is the number of the text and the words of its values, behind those that other threads have written.

    def _lower_print(self, instruction: Instruction) -> list[str]:
        number = self.module.print_site(instruction.attributes["template"])
        words = [("i64", str(number))]
        for operand in instruction.operands:
            words += list(zip(self._row_types(operand.type), self._row(operand), strict=True))
        buffer = self._load(PRINTER, DEVICE)
        taken = self._call(
            "air.atomic.global.add.u.i32", "i32", (DEVICE, buffer), ("i32", str(len(words))), *_order("global")
        )
        used = self.emit(f"zext i32 {taken} to i64")
        capacity_place = self.emit(f"getelementptr i32, {DEVICE} {buffer}, i64 1")
        capacity = self.emit(f"zext i32 {self.emit(f'load i32, {DEVICE} {capacity_place}, align 4')} to i64")
        begin = self.emit(f"add i64 {used}, 1")
        end = self.emit(f"add i64 {used}, {len(words)}")
        for place, (kind, name) in enumerate(words):
            if place < 2:
                # The number alone tells the host where the record would have ended.
                fits = self.emit(f"icmp ule i64 {begin if place == 0 else end}, {capacity}")
                self._require(fits, "RuntimeError", _NO_ROOM, instruction.position)
            address = self.emit(f"getelementptr i64, {DEVICE} {buffer}, i64 {begin}")
            address = self.emit(f"getelementptr i64, {DEVICE} {address}, i64 {place}")
            stored = f"i8 {self.emit(f'zext i1 {name} to i8')}" if kind == "i1" else f"{kind} {name}"
            self.do(f"store {stored}, {DEVICE} {address}, align 8")
        return []

    # Memory

    def _lower_threadgroup_array(self, instruction: Instruction) -> list[str]:
        kind = self._array_type(instruction)
        shape = instruction.attributes["shape"]
        size = memory.element_size(kind.element)
        if shape is None:
            self.module.launch_memory()
            nbytes = self._load(LAUNCH_MEMORY_BYTES)
            return [self._load(LAUNCH_MEMORY, THREADGROUP), self.emit(f"udiv i64 {nbytes}, {size}")]
        offset = self.module.threadgroup_memory(prod(shape) * size)
        address = self.emit(f"getelementptr i8, {THREADGROUP} {THREADGROUP_VARIABLE}, i64 {offset}")
        return [address, *map(str, shape)]

    # Atomic operations, of 32 bits: others were refused.

    def _lower_atomic(self, instruction: Instruction) -> list[str]:
        array, value, *indices = instruction.operands
        kind, address = self._element(array, indices)
        scalar, space, pointer = self._scalar(kind.element), _SPACES[kind.memory], self.pointers[kind.memory]
        operation, number = instruction.attributes["function"], register_type(scalar)
        given = self._row(value)[0]
        if operation == "exchange":
            bits = self.emit(f"bitcast {number} {given} to i32")
            old = self._call(f"air.atomic.{space}.xchg.i32", "i32", (pointer, address), ("i32", bits), *_order(space))
            return [self.emit(f"bitcast i32 {old} to {number}")]
        if not scalar.is_floating:
            sign = "s" if scalar.is_signed else "u"
            name = f"air.atomic.{space}.{operation}.{sign}.i32"
        elif space == "global" and operation in ("add", "sub"):
            name = f"air.atomic.global.{operation}.f32"
        else:
            return [self._call(f"smelt.atomic.{space}.{operation}.f32", "float", (pointer, address), ("float", given))]
        return [self._call(name, number, (pointer, address), (number, given), *_order(space))]

    def _lower_atomic_compare_exchange(self, instruction: Instruction) -> list[str]:
        array, expected, value, *indices = instruction.operands
        kind, address = self._element(array, indices)
        number, pointer = register_type(self._scalar(kind.element)), self.pointers[kind.memory]
        words = [("i32", self.emit(f"bitcast {number} {self._row(given)[0]} to i32")) for given in (expected, value)]
        name = f"smelt.atomic.{_SPACES[kind.memory]}.compare_exchange.i32"
        return [self.emit(f"bitcast i32 {self._call(name, 'i32', (pointer, address), *words)} to {number}")]


def _order(space: str) -> tuple[tuple[str, str], ...]:
    """The last operands of an atomic operation: relaxed, for all threads that see the memory, volatile."""
    return ("i32", "0"), ("i32", "2" if space == "global" else "1"), ("i1", "true")


def _suffix(scalar: Scalar) -> str:
    """How functions of AIR's say which type they are for."""
    if scalar.is_floating:
        return f"f{scalar.bits}"
    return f"{'s' if scalar.is_signed else 'u'}.i{scalar.bits}"
