# SPDX-License-Identifier: Apache-2.0
"""From a module whose pointers have types to the bitcode of LLVM 14.

All constants stand in the module, none in its functions. What is written depends on the module alone.
"""

from __future__ import annotations

from smelt.targets.metal.air import bitstream
from smelt.targets.metal.air.attributes import attributes_of_14
from smelt.targets.metal.air.bitstream import Record, write_bitstream
from smelt.targets.metal.air.codes import BlockId, ConstantCode, MetadataCode, ModuleCode, TypeCode
from smelt.targets.metal.air.pointers import in_memory
from smelt.targets.metal.air.program import (
    Constant,
    DowngradeError,
    Function,
    Global,
    Integer,
    Metadata,
    Module,
    Node,
    Pointer,
    Primitive,
    Sequence,
    Signature,
    Structure,
    Text,
    Type,
    Value,
    ValueNode,
)
from smelt.targets.metal.air.writing_functions import write_body

PRODUCER = b"LLVM14.0.6"
"""What the bitcode says that it was written by."""

_PRIMITIVES = {
    "void": TypeCode.VOID,
    "float": TypeCode.FLOAT,
    "double": TypeCode.DOUBLE,
    "label": TypeCode.LABEL,
    "half": TypeCode.HALF,
    "metadata": TypeCode.METADATA,
    "token": TypeCode.TOKEN,
    "bfloat": TypeCode.BFLOAT,
}

# How many operands these records have in LLVM 14, without the name: those that came later stand behind.
_VARIABLE_OPERANDS, _FUNCTION_OPERANDS = 13, 16

_GROUP_HEAD = 2
"""A group of attributes begins with its number and its place."""


def write_module(module: Module) -> bytes:
    """The bitcode of a module."""
    return ModuleWriter(module).bitcode()


class Types:
    """The table of types: each type has the number of its first use."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._numbers: dict[Type, int] = {}
        self._count = 0

    def number(self, kind: Type) -> int:
        """The number of a type, which is entered if need be, behind its parts."""
        if kind in self._numbers:
            return self._numbers[kind]
        records = self._records_of(kind)
        self.records += records
        self._numbers[kind] = self._count
        self._count += 1
        return self._numbers[kind]

    def _records_of(self, kind: Type) -> list[Record]:
        match kind:
            case Primitive(name=name):
                return [Record(_PRIMITIVES[name], [])]
            case Integer(bits=bits):
                return [Record(TypeCode.INTEGER, [bits])]
            case Pointer(space=space, to=to):
                if to is None:
                    raise DowngradeError("a pointer without a type is left")
                return [Record(TypeCode.POINTER, [self.number(to), space])]
            case Sequence(count=count, of=of, is_vector=is_vector):
                return [Record(TypeCode.VECTOR if is_vector else TypeCode.ARRAY, [count, self.number(of)])]
            case Structure(fields=fields, is_packed=is_packed, name=name):
                parts = [int(is_packed), *map(self.number, fields)]
                if name is None:
                    return [Record(TypeCode.STRUCT_ANON, parts)]
                return [Record(TypeCode.STRUCT_NAME, list(name.encode())), Record(TypeCode.STRUCT_NAMED, parts)]
            case Signature(result=result, parameters=parameters, is_variadic=is_variadic):
                return [
                    Record(TypeCode.FUNCTION, [int(is_variadic), self.number(result), *map(self.number, parameters)])
                ]

    def block(self) -> bitstream.Block:
        """The table as a block."""
        return bitstream.Block(BlockId.TYPE, [Record(TypeCode.NUMENTRY, [self._count]), *self.records])


class ModuleWriter:
    """Writes one module."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.types = Types()
        self.values: dict[Value, int] = {}
        self.metadata: dict[Metadata, int] = {}
        self._names = bytearray()
        self._constants: list[Constant] = []

    def bitcode(self) -> bytes:
        """The whole bitcode."""
        module = self.module
        for value in (*module.globals, *module.functions):
            self.values[value] = len(self.values)
        self._number_constants()
        self._number_metadata()
        variables = [self._variable(variable) for variable in module.globals]
        functions = [self._function(function) for function in module.functions]
        constants = self._constants_block()
        metadata = self._metadata_block()
        bodies = [write_body(self, function) for function in module.functions if not function.is_declaration]
        groups, lists = self._attributes()
        block = bitstream.Block(BlockId.MODULE, [Record(ModuleCode.VERSION, [2])])
        block.items += [
            groups,
            lists,
            self.types.block(),
            *module.records,
            *variables,
            *functions,
            constants,
            bitstream.Block(
                BlockId.METADATA_KIND,
                [Record(MetadataCode.KIND, [number, *name]) for number, name in module.kinds],
            ),
            metadata,
            bitstream.Block(BlockId.SYNC_SCOPE_NAMES, [Record(1, list(name)) for name in module.scopes]),
            *bodies,
        ]
        identification = bitstream.Block(BlockId.IDENTIFICATION, [Record(1, list(PRODUCER)), Record(2, [0])])
        names = bitstream.Block(BlockId.STRTAB, [Record(1, [], bytes(self._names))])
        return write_bitstream([identification, block, names])

    def _attributes(self) -> tuple[bitstream.Block, bitstream.Block]:
        groups = bitstream.Block(BlockId.PARAMATTR_GROUP)
        for group in self.module.attribute_groups:
            record = attributes_of_14(group, self._attribute_type)
            # LLVM 14 has no groups without attributes.
            if len(record.operands) > _GROUP_HEAD:
                groups.items.append(record)
        kept = {record.operands[0] for record in groups.records()}
        lists = bitstream.Block(BlockId.PARAMATTR)
        for entry in self.module.attribute_lists:
            lists.items.append(Record(entry.code, [number for number in entry.operands if number in kept]))
        return groups, lists

    def _attribute_type(self, number: int) -> int:
        return self.types.number(in_memory(self.module.attribute_types[number]))

    def _name(self, value: Value) -> list[int]:
        name = (value.name or "").encode()
        self._names += name
        return [len(self._names) - len(name), len(name)]

    def _variable(self, variable: Global) -> Record:
        assert isinstance(variable.type, Pointer)
        has_explicit_type = 2
        flags = variable.type.space << 2 | has_explicit_type | variable.is_constant
        initial = 0 if variable.initial is None else self.values[variable.initial] + 1
        operands = [self.types.number(variable.content), flags, initial, *variable.operands[:_VARIABLE_OPERANDS]]
        self.types.number(variable.type)
        return Record(ModuleCode.GLOBALVAR, [*self._name(variable), *operands])

    def _function(self, function: Function) -> Record:
        convention, linkage, *rest = function.operands
        operands = [convention, int(function.is_declaration), linkage, function.attributes, *rest]
        self.types.number(function.type)
        return Record(
            ModuleCode.FUNCTION,
            [*self._name(function), self.types.number(function.signature), *operands[:_FUNCTION_OPERANDS]],
        )

    # Constants

    def _number_constants(self) -> None:
        for variable in self.module.globals:
            if variable.initial is not None:
                self._number_constant(variable.initial)
        for function in self.module.functions:
            for block in function.blocks:
                for instruction in block.instructions:
                    for operand in instruction.operands:
                        self._number_constant(operand)
        for node in self._all_metadata():
            if isinstance(node, ValueNode):
                self._number_constant(node.value)

    def _number_constant(self, value: Value) -> None:
        if not isinstance(value, Constant) or value in self.values:
            return
        for operand in value.operands:
            self._number_constant(operand)
        self.values[value] = len(self.values)
        self._constants.append(value)

    def _constants_block(self) -> bitstream.Block:
        block = bitstream.Block(BlockId.CONSTANTS)
        kind: Type | None = None
        for constant in self._constants:
            if constant.type != kind:
                kind = constant.type
                block.items.append(Record(ConstantCode.SETTYPE, [self.types.number(kind)]))
            block.items.append(self._constant(constant))
        return block

    def _constant(self, constant: Constant) -> Record:
        numbers = [self.values[operand] for operand in constant.operands]
        if constant.code == ConstantCode.CE_GEP:
            assert constant.source is not None
            pairs = [
                part
                for operand, number in zip(constant.operands, numbers, strict=True)
                for part in (self.types.number(operand.type), number)
            ]
            is_inbounds = constant.numbers[0]
            code = ConstantCode.CE_INBOUNDS_GEP_14 if is_inbounds else ConstantCode.CE_GEP_14
            return Record(code, [self.types.number(constant.source), *pairs])
        if constant.code == ConstantCode.CE_CAST:
            return Record(constant.code, [*constant.numbers, self.types.number(constant.operands[0].type), *numbers])
        return Record(constant.code, [*constant.numbers, *numbers])

    # Metadata

    def _all_metadata(self) -> list[Metadata]:
        """All metadata that is reached, each behind what it is reached from."""
        found: dict[Metadata, None] = {}
        pending: list[Metadata] = [node for _, nodes in self.module.named for node in nodes]
        for function in self.module.functions:
            pending += [node for _, node in function.attachments]
            for block in function.blocks:
                pending += [node for instruction in block.instructions for _, node in instruction.attachments]
        pending.reverse()
        while pending:
            node = pending.pop()
            if node in found:
                continue
            found[node] = None
            if isinstance(node, Node):
                pending += [operand for operand in reversed(node.operands) if operand is not None]
        return list(found)

    def _number_metadata(self) -> None:
        # Strings come first.
        found = self._all_metadata()
        strings: dict[bytes, int] = {}
        for node in found:
            if isinstance(node, Text):
                self.metadata[node] = strings.setdefault(node.text, len(strings))
        self._strings = list(strings)
        count = len(strings)
        for node in found:
            if not isinstance(node, Text):
                self.metadata[node] = count
                count += 1

    def _metadata_block(self) -> bitstream.Block:
        block = bitstream.Block(BlockId.METADATA)
        if self._strings:
            lengths = bitstream.write_lengths([len(text) for text in self._strings])
            block.items.append(
                Record(MetadataCode.STRINGS, [len(self._strings), len(lengths)], lengths + b"".join(self._strings))
            )
        for node in self.metadata:
            if isinstance(node, ValueNode):
                operands = [self.types.number(node.value.type), self.values[node.value]]
                block.items.append(Record(MetadataCode.VALUE, operands))
            elif isinstance(node, Node):
                code = MetadataCode.DISTINCT_NODE if node.is_distinct else MetadataCode.NODE
                numbers = [0 if operand is None else self.metadata[operand] + 1 for operand in node.operands]
                block.items.append(Record(code, numbers))
        for name, nodes in self.module.named:
            block.items.append(Record(MetadataCode.NAME, list(name)))
            block.items.append(Record(MetadataCode.NAMED_NODE, [self.metadata[node] for node in nodes]))
        return block
