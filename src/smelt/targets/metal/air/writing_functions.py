# SPDX-License-Identifier: Apache-2.0
"""Writing the bodies of functions: the reverse of `reading_functions`, in the records of LLVM 14."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smelt.targets.metal.air import bitstream
from smelt.targets.metal.air.bitstream import Record
from smelt.targets.metal.air.codes import BlockId, InstructionCode as Code, MetadataCode
from smelt.targets.metal.air.program import VOID, DowngradeError, Function, Instruction, Signature, Value

if TYPE_CHECKING:
    from smelt.targets.metal.air.writing import ModuleWriter

_ENTRY, _ENTRY_OF_BLOCK = 1, 2

_OR, _ICMP = 11, 32
"""The opcode of `or`, whose flag is new; the first predicate of integers, whose flag is new."""

_LAST_OPERATION = 12
"""The last operation on memory that LLVM 14 knows: the subtraction of floats."""


def write_body(module: ModuleWriter, function: Function) -> bitstream.Block:
    """The block of a function's body."""
    return _BodyWriter(module, function).block()


class _BodyWriter:
    def __init__(self, module: ModuleWriter, function: Function) -> None:
        self._module = module
        self._function = function
        self._types = module.types
        self._numbers: dict[Value, int] = {}
        self._next = len(module.values)
        for parameter in function.parameters:
            self._number(parameter)
        self._blocks = {block: number for number, block in enumerate(function.blocks)}
        # Where values are named before they are numbered their numbers have to be known.
        following = self._next
        for block in function.blocks:
            for instruction in block.instructions:
                if instruction.type != VOID:
                    self._numbers[instruction] = following
                    following += 1

    def block(self) -> bitstream.Block:
        body = bitstream.Block(BlockId.FUNCTION, [Record(Code.DECLAREBLOCKS, [len(self._blocks)])])
        for block in self._function.blocks:
            for instruction in block.instructions:
                body.items.append(Record(instruction.code, self._operands(instruction)))
                self._next += instruction.type != VOID
        body.items += [part for part in (self._names(), self._attachments()) if part.items]
        return body

    def _number(self, value: Value) -> None:
        self._numbers[value] = self._next
        self._next += 1

    def _names(self) -> bitstream.Block:
        table = bitstream.Block(BlockId.VALUE_SYMTAB)
        for value, number in self._numbers.items():
            if value.name:
                table.items.append(Record(_ENTRY, [number, *value.name.encode()]))
        for block, number in self._blocks.items():
            if block.name:
                table.items.append(Record(_ENTRY_OF_BLOCK, [number, *block.name.encode()]))
        return table

    def _attachments(self) -> bitstream.Block:
        table = bitstream.Block(BlockId.METADATA_ATTACHMENT)
        number = 0
        if self._function.attachments:
            table.items.append(Record(MetadataCode.ATTACHMENT, self._pairs(self._function)))
        for block in self._function.blocks:
            for instruction in block.instructions:
                if instruction.attachments:
                    table.items.append(Record(MetadataCode.ATTACHMENT, [number, *self._pairs(instruction)]))
                number += 1
        return table

    def _pairs(self, owner: Function | Instruction) -> list[int]:
        return [part for kind, node in owner.attachments for part in (kind, self._module.metadata[node])]

    # Operands

    def _absolute(self, value: Value) -> int:
        return self._numbers[value] if value in self._numbers else self._module.values[value]

    def _relative(self, value: Value) -> int:
        return (self._next - self._absolute(value)) & 0xFFFFFFFF

    def _with_type(self, value: Value) -> list[int]:
        """An operand, and its type if it is not known yet."""
        number = self._absolute(value)
        return [self._relative(value), *([self._types.number(value.type)] if number >= self._next else [])]

    def _all_with_types(self, values: list[Value]) -> list[int]:
        return [part for value in values for part in self._with_type(value)]

    def _signed(self, value: Value) -> int:
        distance = self._next - self._absolute(value)
        return distance << 1 if distance >= 0 else -distance << 1 | 1

    def _operands(self, instruction: Instruction) -> list[int]:
        operands, numbers = instruction.operands, instruction.numbers
        blocks = [self._blocks[block] for block in instruction.blocks]
        match instruction.code:
            case Code.BINOP:
                # That the bits of an `or` are disjoint is not said yet.
                kept = numbers[:1] if numbers[0] == _OR else numbers
                return [*self._with_type(operands[0]), self._relative(operands[1]), *kept]
            case Code.CMP2:
                kept = numbers[:1] if numbers[0] >= _ICMP else numbers
                return [*self._with_type(operands[0]), self._relative(operands[1]), *kept]
            case Code.UNOP | Code.EXTRACTVAL | Code.INSERTVAL | Code.EXTRACTELT | Code.FREEZE | Code.RET:
                return [*self._all_with_types(operands), *numbers]
            case Code.ATOMICRMW if numbers[0] > _LAST_OPERATION:
                raise DowngradeError(
                    f"the function {self._function.name} has an atomic operation ({numbers[0]}) that LLVM 14 has not"
                )
            case Code.STORE | Code.STOREATOMIC | Code.ATOMICRMW:
                return [*self._all_with_types(operands), *numbers]
            case Code.CAST:
                return [*self._with_type(operands[0]), self._types.number(instruction.type), *numbers]
            case Code.GEP:
                assert instruction.source is not None
                return [*numbers, self._types.number(instruction.source), *self._all_with_types(operands)]
            case Code.INSERTELT | Code.SHUFFLEVEC:
                first, second, third = operands
                return [*self._with_type(first), self._relative(second), *self._with_type(third)]
            case Code.VSELECT:
                first, second, condition = operands
                return [*self._with_type(first), self._relative(second), *self._with_type(condition), *numbers]
            case Code.BR:
                return [*blocks, *map(self._relative, operands)]
            case Code.SWITCH:
                pairs = zip(map(self._absolute, operands[1:]), blocks[1:], strict=True)
                return [
                    self._types.number(operands[0].type),
                    self._relative(operands[0]),
                    blocks[0],
                    *(part for pair in pairs for part in pair),
                ]
            case Code.PHI:
                pairs = zip(map(self._signed, operands), blocks, strict=True)
                return [self._types.number(instruction.type), *(part for pair in pairs for part in pair), *numbers]
            case Code.LOAD | Code.LOADATOMIC:
                return [*self._with_type(operands[0]), self._types.number(instruction.type), *numbers]
            case Code.CMPXCHG:
                pointer, expected, new = operands
                return [*self._with_type(pointer), *self._with_type(expected), self._relative(new), *numbers]
            case Code.ALLOCA:
                assert instruction.source is not None
                size = operands[0]
                return [
                    self._types.number(instruction.source),
                    self._types.number(size.type),
                    self._absolute(size),
                    *numbers,
                ]
            case Code.CALL:
                return self._call(instruction)
        # Those that have nothing but numbers: fences, and what is never reached.
        return numbers

    def _call(self, instruction: Instruction) -> list[int]:
        *arguments, callee = instruction.operands
        signature = instruction.source
        assert isinstance(signature, Signature)
        return [
            instruction.attributes,
            *instruction.numbers,
            self._types.number(signature),
            *self._with_type(callee),
            *map(self._relative, arguments),
        ]
