# SPDX-License-Identifier: Apache-2.0
"""Reading the bodies of functions.

An operand is written as the distance back from the number of the next value. One that stands further on has its type behind it
where that can't be told from elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from smelt.targets.metal.air import bitstream
from smelt.targets.metal.air.bitstream import Record
from smelt.targets.metal.air.codes import BlockId, InstructionCode as Code, MetadataCode
from smelt.targets.metal.air.program import (
    METADATA,
    VOID,
    Block,
    DowngradeError,
    Function,
    Instruction,
    Integer,
    Node,
    Pointer,
    Sequence,
    Signature,
    Structure,
    Type,
    Value,
)

if TYPE_CHECKING:
    from smelt.targets.metal.air.reading import ModuleReader

_IS_EXPLICIT, _HAS_FAST_FLAGS = 1 << 15, 1 << 17
"""Bits of a call: its function type is written, and so are flags of fast arithmetic."""

_DEBUG = (Code.DEBUG_LOC, Code.DEBUG_LOC_AGAIN, Code.BLOCKADDR_USERS)

DROPPED = ("llvm.dbg.", "llvm.experimental.noalias.scope.decl", "llvm.lifetime.")
"""Functions that do nothing: they tell of metadata, or are called in another way by LLVM 14."""

_TERMINATORS = (Code.RET, Code.BR, Code.SWITCH, Code.UNREACHABLE)


class FunctionReader:
    """Reads the body of one function."""

    def __init__(self, module: ModuleReader, function: Function) -> None:
        self._module = module
        self._function = function
        self._blocks: list[Block] = []
        self._operands: list[int] = []
        self._at = 0
        # Values by their number, as far as they are known; and those that were named before.
        self._pending: list[tuple[list[Value], int, int]] = []
        self._first = len(module.values)
        self._instructions: list[Instruction] = []

    def read(self, body: bitstream.Block) -> None:
        """Read the whole body."""
        values = self._module.values
        values += self._function.parameters
        for constants in body.blocks(BlockId.CONSTANTS):
            self._module.read_constants(constants)
        for metadata in body.blocks(BlockId.METADATA):
            self._module.read_metadata(metadata)
        current = 0
        for record in body.records():
            if record.code == Code.DECLAREBLOCKS:
                self._blocks = [Block() for _ in range(record.operands[0])]
            elif record.code in _DEBUG or Code.DEBUG_RECORD_VALUE <= record.code <= Code.DEBUG_RECORD_DECLARE_VALUE:
                continue
            elif record.code == Code.OPERAND_BUNDLE:
                # They only tell what llvm.assume may assume.
                continue
            else:
                instruction = self._instruction(record)
                self._instructions.append(instruction)
                self._blocks[current].instructions.append(instruction)
                if instruction.type != VOID:
                    values.append(instruction)
                current += record.code in _TERMINATORS
        for operands, place, number in self._pending:
            operands[place] = values[number]
        self._function.blocks = self._blocks
        self._read_names(body)
        self._read_attachments(body)
        for block in self._blocks:
            block.instructions = [one for one in block.instructions if not _is_dropped(one)]

    def _read_names(self, body: bitstream.Block) -> None:
        entry, of_block = 1, 2
        for table in body.blocks(BlockId.VALUE_SYMTAB):
            for record in table.records():
                name = bytes(record.operands[1:]).decode()
                if record.code == entry:
                    self._module.values[record.operands[0]].name = name
                elif record.code == of_block:
                    self._blocks[record.operands[0]].name = name

    def _read_attachments(self, body: bitstream.Block) -> None:
        for table in body.blocks(BlockId.METADATA_ATTACHMENT):
            for record in table.records(MetadataCode.ATTACHMENT):
                if len(record.operands) % 2:
                    owner: list[tuple[int, Node]] = self._instructions[record.operands[0]].attachments
                    owner += self._module.attachments(record.operands[1:])
                else:
                    self._function.attachments += self._module.attachments(record.operands)

    # The operands of a record, one after the other.

    def _number(self) -> int:
        self._at += 1
        return self._operands[self._at - 1]

    def _rest(self) -> list[int]:
        rest = self._operands[self._at :]
        self._at = len(self._operands)
        return rest

    def _type(self) -> Type:
        return self._module.types[self._number()]

    def _block(self) -> Block:
        return self._blocks[self._number()]

    def _value(self, instruction: Instruction, kind: Type | None = None, *, is_signed: bool = False) -> Type:
        """Append the next operand to those of an instruction; its type, as far as `kind` or the record tell it."""
        values = self._module.values
        distance = self._number()
        if is_signed:
            distance = -(distance >> 1) if distance & 1 else distance >> 1
        number = (len(values) - distance) & 0xFFFFFFFF
        if number < len(values):
            instruction.operands.append(values[number])
            return values[number].type
        if kind is None:
            kind = self._type()
        placeholder = Value(kind)
        self._pending.append((instruction.operands, len(instruction.operands), number))
        instruction.operands.append(placeholder)
        return kind

    def _instruction(self, record: Record) -> Instruction:
        self._operands, self._at = record.operands, 0
        instruction = Instruction(VOID, None, record.code)
        reader = self._READERS.get(record.code)
        if reader is None:
            raise DowngradeError(
                f"the function {self._function.name} has an instruction (record {record.code}) that AIR has not"
            )
        reader(self, instruction)
        return instruction

    # Instructions, each by its record.

    def _binary(self, instruction: Instruction) -> None:
        instruction.type = self._value(instruction)
        self._value(instruction, instruction.type)
        instruction.numbers = self._rest()

    def _unary(self, instruction: Instruction) -> None:
        instruction.type = self._value(instruction)
        instruction.numbers = self._rest()

    def _cast(self, instruction: Instruction) -> None:
        self._value(instruction)
        instruction.type = self._type()
        instruction.numbers = self._rest()[:1]

    def _address(self, instruction: Instruction) -> None:
        instruction.numbers = [self._number() & 1]
        instruction.source = self._type()
        base = self._value(instruction)
        kinds = [base]
        while self._at < len(self._operands):
            kinds.append(self._value(instruction))
        for kind in kinds:
            if isinstance(kind, Sequence):
                raise DowngradeError(f"the function {self._function.name} has a vector of addresses")
        instruction.type = base

    def _extract_element(self, instruction: Instruction) -> None:
        vector = self._value(instruction)
        assert isinstance(vector, Sequence)
        self._value(instruction)
        instruction.type = vector.of

    def _insert_element(self, instruction: Instruction) -> None:
        vector = self._value(instruction)
        assert isinstance(vector, Sequence)
        self._value(instruction, vector.of)
        self._value(instruction)
        instruction.type = vector

    def _shuffle(self, instruction: Instruction) -> None:
        vector = self._value(instruction)
        assert isinstance(vector, Sequence)
        self._value(instruction, vector)
        mask = self._value(instruction)
        assert isinstance(mask, Sequence)
        instruction.type = Sequence(mask.count, vector.of, is_vector=True)

    def _compare(self, instruction: Instruction) -> None:
        kind = self._value(instruction)
        self._value(instruction, kind)
        instruction.numbers = self._rest()
        instruction.type = (
            Sequence(kind.count, Integer(1), is_vector=True) if isinstance(kind, Sequence) else Integer(1)
        )

    def _select(self, instruction: Instruction) -> None:
        instruction.type = self._value(instruction)
        self._value(instruction, instruction.type)
        self._value(instruction)
        instruction.numbers = self._rest()

    def _return(self, instruction: Instruction) -> None:
        if self._operands:
            self._value(instruction)

    def _branch(self, instruction: Instruction) -> None:
        instruction.blocks.append(self._block())
        if self._at < len(self._operands):
            instruction.blocks.append(self._block())
            self._value(instruction, Integer(1))

    def _switch(self, instruction: Instruction) -> None:
        kind = self._type()
        self._value(instruction, kind)
        instruction.blocks.append(self._block())
        while self._at < len(self._operands):
            # These are numbers of constants, not distances.
            instruction.operands.append(self._module.values[self._number()])
            instruction.blocks.append(self._block())

    def _unreachable(self, instruction: Instruction) -> None:
        pass

    def _phi(self, instruction: Instruction) -> None:
        instruction.type = self._type()
        # With flags there is one operand more than pairs.
        has_flags = len(self._operands) % 2 == 0
        while self._at < len(self._operands) - has_flags:
            self._value(instruction, instruction.type, is_signed=True)
            instruction.blocks.append(self._block())
        instruction.numbers = self._rest()

    def _allocate(self, instruction: Instruction) -> None:
        instruction.source = self._type()
        self._type()
        instruction.operands.append(self._module.values[self._number()])
        alignment, *space = self._rest()
        if space and space[0]:
            raise DowngradeError(f"the function {self._function.name} allocates in address space {space[0]}")
        instruction.numbers = [alignment]
        instruction.type = Pointer(0)

    def _load(self, instruction: Instruction) -> None:
        self._value(instruction)
        instruction.type = instruction.source = self._type()
        instruction.numbers = self._rest()

    def _store(self, instruction: Instruction) -> None:
        self._value(instruction)
        self._value(instruction)
        instruction.numbers = self._rest()

    def _compare_exchange(self, instruction: Instruction) -> None:
        self._value(instruction)
        kind = self._value(instruction)
        self._value(instruction, kind)
        instruction.numbers = self._rest()
        instruction.type = Structure((kind, Integer(1)), is_packed=False)

    def _read_modify_write(self, instruction: Instruction) -> None:
        self._value(instruction)
        instruction.type = self._value(instruction)
        instruction.numbers = self._rest()

    def _fence(self, instruction: Instruction) -> None:
        instruction.numbers = self._rest()

    def _extract_value(self, instruction: Instruction) -> None:
        kind = self._value(instruction)
        instruction.numbers = self._rest()
        instruction.type = _part(kind, instruction.numbers)

    def _insert_value(self, instruction: Instruction) -> None:
        instruction.type = self._value(instruction)
        self._value(instruction)
        instruction.numbers = self._rest()

    def _freeze(self, instruction: Instruction) -> None:
        instruction.type = self._value(instruction)

    def _call(self, instruction: Instruction) -> None:
        instruction.attributes = self._number()
        flags = self._number()
        instruction.numbers = [flags]
        if flags & _HAS_FAST_FLAGS:
            instruction.numbers.append(self._number())
        if not flags & _IS_EXPLICIT:
            raise DowngradeError(f"the function {self._function.name} has a call without a function type")
        signature = self._type()
        assert isinstance(signature, Signature)
        called: list[Value] = []
        callee = Instruction(VOID, operands=called)
        self._value(callee)
        if signature.is_variadic:
            raise DowngradeError(
                f"the function {self._function.name} calls a function with a variable number of arguments"
            )
        for parameter in signature.parameters:
            if parameter == METADATA and (called[0].name or "").startswith(DROPPED):
                self._number()
            elif parameter == METADATA:
                raise DowngradeError(f"the function {self._function.name} passes metadata to {called[0].name}")
            else:
                self._value(instruction, parameter)
        # A function is a value of the module, so it was known.
        instruction.operands += called
        instruction.source = signature
        instruction.type = signature.result

    _READERS: ClassVar[dict[int, Callable[[FunctionReader, Instruction], None]]] = {
        Code.BINOP: _binary,
        Code.UNOP: _unary,
        Code.CAST: _cast,
        Code.GEP: _address,
        Code.EXTRACTELT: _extract_element,
        Code.INSERTELT: _insert_element,
        Code.SHUFFLEVEC: _shuffle,
        Code.CMP2: _compare,
        Code.VSELECT: _select,
        Code.RET: _return,
        Code.BR: _branch,
        Code.SWITCH: _switch,
        Code.UNREACHABLE: _unreachable,
        Code.PHI: _phi,
        Code.ALLOCA: _allocate,
        Code.LOAD: _load,
        Code.LOADATOMIC: _load,
        Code.STORE: _store,
        Code.STOREATOMIC: _store,
        Code.CMPXCHG: _compare_exchange,
        Code.ATOMICRMW: _read_modify_write,
        Code.FENCE: _fence,
        Code.EXTRACTVAL: _extract_value,
        Code.INSERTVAL: _insert_value,
        Code.FREEZE: _freeze,
        Code.CALL: _call,
    }


def _part(kind: Type, indices: list[int]) -> Type:
    for index in indices:
        if isinstance(kind, Structure):
            kind = kind.fields[index]
        else:
            assert isinstance(kind, Sequence)
            kind = kind.of
    return kind


def _is_dropped(instruction: Instruction) -> bool:
    return instruction.code == Code.CALL and (instruction.operands[-1].name or "").startswith(DROPPED)
