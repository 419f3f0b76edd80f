# SPDX-License-Identifier: Apache-2.0
"""From the bitcode that a recent LLVM writes to a module of objects.

Debug information is left out: neither its records nor its metadata are those of LLVM 14.
"""

from __future__ import annotations

from smelt.targets.metal.air import bitstream
from smelt.targets.metal.air.bitstream import Record, read_bitstream
from smelt.targets.metal.air.codes import BlockId, ConstantCode, MetadataCode, ModuleCode, TypeCode
from smelt.targets.metal.air.program import (
    METADATA,
    VOID,
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
    refusing_damage,
)
from smelt.targets.metal.air.reading_functions import FunctionReader

_PRIMITIVES = {
    TypeCode.VOID: VOID,
    TypeCode.FLOAT: Primitive("float"),
    TypeCode.DOUBLE: Primitive("double"),
    TypeCode.LABEL: Primitive("label"),
    TypeCode.HALF: Primitive("half"),
    TypeCode.METADATA: METADATA,
    TypeCode.TOKEN: Primitive("token"),
    TypeCode.BFLOAT: Primitive("bfloat"),
}

_IS_EXPLICIT = 2
"""The bit of a global variable that says that its type is that of what it holds."""

_MOST_PARTS = 1 << 16
_MOST_PARAMETERS = 1 << 17
"""What no module has that isn't made to take up all memory."""

_KEPT_OF_MODULE = (ModuleCode.TRIPLE, ModuleCode.DATALAYOUT, ModuleCode.SECTIONNAME, ModuleCode.SOURCE_FILENAME)
_REFUSED_OF_MODULE = {
    ModuleCode.ASM: "module-level assembly",
    ModuleCode.COMDAT: "a comdat",
    ModuleCode.ALIAS: "an alias",
    ModuleCode.IFUNC: "an ifunc",
    ModuleCode.GCNAME: "a garbage collector",
}


_NOT_IN_OUTLINES = (
    *(BlockId.FUNCTION, BlockId.VALUE_SYMTAB, BlockId.PARAMATTR, BlockId.PARAMATTR_GROUP),
    *(BlockId.METADATA_KIND, BlockId.SYNC_SCOPE_NAMES),
)
"""What most of a module consists of, and who asks what its functions are has no use for."""


def read_module(bitcode: bytes, *, is_outline: bool = False) -> Module:
    """The module that `bitcode` holds: the whole of it, or an outline without attributes, and what functions and constants consist of.

    A whole one is of a recent LLVM; an outline can be read of Apple's too, whose pointers have types.

    Raises `BitstreamError` if it is no bitcode, `DowngradeError` for what there are no words for in LLVM 14 or AIR.
    """
    with refusing_damage():
        blocks = read_bitstream(bitcode, without=_NOT_IN_OUTLINES if is_outline else ())
        (block,) = (found for found in blocks if found.number == BlockId.MODULE)
        names = next((found.records()[0].blob for found in blocks if found.number == BlockId.STRTAB), b"")
        return ModuleReader(block, names or b"", is_outline=is_outline).module


class ModuleReader:
    """Reads one module. Values and metadata are numbered in the order in which they stand there."""

    def __init__(self, block: bitstream.Block, names: bytes, *, is_outline: bool) -> None:
        self.module = Module()
        self.types: list[Type] = []
        self._parts_of_types: list[int] = []
        self.values: list[Value] = []
        self.metadata: list[Metadata | None] = []
        self._names = names
        self._block = block
        self._is_outline = is_outline
        self._read_types()
        self._read_globals()
        for constants in block.blocks(BlockId.CONSTANTS):
            self.read_constants(constants)
        for variable, number in self._initial:
            variable.initial = self.values[number]
        self._read_attributes()
        for kinds in block.blocks(BlockId.METADATA_KIND):
            self.module.kinds += [(record.operands[0], bytes(record.operands[1:])) for record in kinds.records()]
        for scopes in block.blocks(BlockId.SYNC_SCOPE_NAMES):
            self.module.scopes += [bytes(record.operands) for record in scopes.records()]
        for metadata in block.blocks(BlockId.METADATA):
            self.read_metadata(metadata)
        if not is_outline:
            self._read_bodies()

    # Types

    def _read_types(self) -> None:
        name = ""
        for table in self._block.blocks(BlockId.TYPE):
            for record in table.records():
                if record.code == TypeCode.NUMENTRY:
                    continue
                if record.code == TypeCode.STRUCT_NAME:
                    name = bytes(record.operands).decode()
                    continue
                kind = self._type(record, name)
                self._parts_of_types.append(self._parts(record, kind))
                self.types.append(kind)

    def _parts(self, record: Record, kind: Type) -> int:
        """Of how many types a type consists, itself included, each counted as often as it is there."""
        if not isinstance(kind, Structure | Sequence):
            return 1
        parts = 1 + sum(self._parts_of_types[number] for number in record.operands[1:])
        if parts > _MOST_PARTS:
            # It would take for ever to look at all of them.
            raise DowngradeError(f"the module has a type of more than {_MOST_PARTS} parts")
        return parts

    def _type(self, record: Record, name: str) -> Type:
        operands = record.operands
        match record.code:
            case TypeCode.INTEGER:
                return Integer(operands[0])
            case TypeCode.OPAQUE_POINTER:
                return Pointer(operands[0])
            case TypeCode.POINTER if self._is_outline:
                return Pointer(operands[1])
            case TypeCode.ARRAY | TypeCode.VECTOR:
                return Sequence(operands[0], self.types[operands[1]], record.code == TypeCode.VECTOR)
            case TypeCode.STRUCT_ANON | TypeCode.STRUCT_NAMED:
                fields = tuple(self.types[number] for number in operands[1:])
                return Structure(fields, bool(operands[0]), name if record.code == TypeCode.STRUCT_NAMED else None)
            case TypeCode.FUNCTION:
                result, *parameters = (self.types[number] for number in operands[1:])
                return Signature(result, tuple(parameters), bool(operands[0]))
        if record.code in _PRIMITIVES:
            return _PRIMITIVES[TypeCode(record.code)]
        raise DowngradeError(f"the module has a type (record {record.code}) that AIR has not")

    # Globals

    def _read_globals(self) -> None:
        self._initial: list[tuple[Global, int]] = []
        self._bodies: list[Function] = []
        self._parameters = 0
        for record in self._block.records():
            if record.code in _REFUSED_OF_MODULE:
                raise DowngradeError(f"the module has {_REFUSED_OF_MODULE[ModuleCode(record.code)]}, which AIR has not")
            if record.code in _KEPT_OF_MODULE:
                self.module.records.append(record)
            elif record.code == ModuleCode.GLOBALVAR:
                self._read_variable(record)
            elif record.code == ModuleCode.FUNCTION:
                self._read_function(record)

    def _name(self, record: Record) -> tuple[str, list[int]]:
        offset, size, *operands = record.operands
        return self._names[offset : offset + size].decode(), operands

    def _read_variable(self, record: Record) -> None:
        name, (content, flags, initial, *operands) = self._name(record)
        if not flags & _IS_EXPLICIT:
            raise DowngradeError(f"the global variable {name} has no explicit type")
        variable = Global(Pointer(flags >> 2), name, self.types[content], bool(flags & 1), None, operands)
        if initial:
            self._initial.append((variable, initial - 1))
        self.module.globals.append(variable)
        self.values.append(variable)

    def _read_function(self, record: Record) -> None:
        name, (kind, convention, is_declaration, linkage, attributes, *operands) = self._name(record)
        signature = self.types[kind]
        assert isinstance(signature, Signature)
        function = Function(
            Pointer(0), name, signature, bool(is_declaration), attributes, [convention, linkage, *operands]
        )
        if not self._is_outline:
            self._parameters += len(signature.parameters)
            if self._parameters > _MOST_PARAMETERS:
                raise DowngradeError(f"the functions of the module have more than {_MOST_PARAMETERS} parameters")
            function.parameters = [Value(parameter) for parameter in signature.parameters]
        if not is_declaration:
            self._bodies.append(function)
        self.module.functions.append(function)
        self.values.append(function)

    def _read_attributes(self) -> None:
        for groups in self._block.blocks(BlockId.PARAMATTR_GROUP):
            self.module.attribute_groups += groups.records()
        for lists in self._block.blocks(BlockId.PARAMATTR):
            self.module.attribute_lists += lists.records()
        self.module.attribute_types = self.types

    # Constants

    def read_constants(self, block: bitstream.Block) -> None:
        """Append the constants of a block to the values."""
        kind: Type = Integer(32)
        # Constants may name others that stand behind them.
        pending: list[tuple[Constant, list[int]]] = []
        for record in block.records():
            if record.code == ConstantCode.SETTYPE:
                kind = self.types[record.operands[0]]
                continue
            constant = Constant(kind, None, record.code, record.operands if self._is_outline else [])
            if not self._is_outline:
                pending.append((constant, self._constant_operands(constant, record.operands)))
            self.values.append(constant)
        for constant, numbers in pending:
            constant.operands = [self.values[number] for number in numbers]

    def _constant_operands(self, constant: Constant, operands: list[int]) -> list[int]:
        """Set what is no constant of a constant's record; the numbers of its operands that are."""
        match constant.code:
            case (
                ConstantCode.NULL
                | ConstantCode.UNDEF
                | ConstantCode.POISON
                | ConstantCode.INTEGER
                | ConstantCode.WIDE_INTEGER
                | ConstantCode.FLOAT
                | ConstantCode.STRING
                | ConstantCode.CSTRING
                | ConstantCode.DATA
            ):
                constant.numbers = operands
                return []
            case ConstantCode.AGGREGATE:
                return operands
            case ConstantCode.CE_BINOP:
                constant.numbers = operands[:1]
                return operands[1:3]
            case ConstantCode.CE_CAST:
                constant.numbers = operands[:1]
                return operands[2:3]
            case ConstantCode.CE_GEP | ConstantCode.CE_GEP_WITH_INRANGE:
                return self._constant_address(constant, operands)
        raise DowngradeError(f"the module has a constant (record {constant.code}) that LLVM 14 has not")

    def _constant_address(self, constant: Constant, operands: list[int]) -> list[int]:
        constant.source = self.types[operands[0]]
        constant.numbers = [operands[1] & 1]
        rest = operands[2:]
        if constant.code == ConstantCode.CE_GEP_WITH_INRANGE:
            # The range: a width, and two numbers of as many words as that takes.
            width = rest[0]
            rest = rest[1:][2 * (-(-width // 64)) if width > 64 else 2 :]
        constant.code = ConstantCode.CE_GEP
        return rest[1::2]

    # Metadata

    def read_metadata(self, block: bitstream.Block) -> None:
        """Append the metadata of a block, and what it names and attaches to."""
        nodes: list[tuple[Node, list[int]]] = []
        name = b""
        for record in block.records():
            operands = record.operands
            match record.code:
                case MetadataCode.STRINGS:
                    self._read_strings(record)
                case MetadataCode.VALUE:
                    # An instruction is there for debug information only.
                    is_known = operands[1] < len(self.values)
                    self.metadata.append(ValueNode(self.values[operands[1]]) if is_known else None)
                case MetadataCode.NODE | MetadataCode.DISTINCT_NODE:
                    node = Node(is_distinct=record.code == MetadataCode.DISTINCT_NODE)
                    nodes.append((node, operands))
                    self.metadata.append(node)
                case MetadataCode.NAME:
                    name = bytes(operands)
                case MetadataCode.NAMED_NODE:
                    found = [self.metadata[number] for number in operands]
                    # What debug information names is gone.
                    self.module.named.append((name, [node for node in found if isinstance(node, Node)]))
                case MetadataCode.GLOBAL_DECL_ATTACHMENT:
                    nodes_of = self.attachments(operands[1:])
                    owner = self.values[operands[0]]
                    if isinstance(owner, Function):
                        owner.attachments += nodes_of
                case MetadataCode.INDEX_OFFSET | MetadataCode.INDEX | MetadataCode.KIND:
                    pass
                case _:
                    # Of debug information only the place among the numbers is kept.
                    self.metadata.append(None)
        for node, numbers in nodes:
            node.operands = [self.metadata[number - 1] if number else None for number in numbers]
        for node, _ in nodes:
            if any(operand is None for operand in node.operands) and _is_loop(node):
                node.operands = [operand for operand in node.operands if operand is not None]

    def _read_strings(self, record: Record) -> None:
        count, offset = record.operands
        blob = record.blob or b""
        lengths = bitstream.read_lengths(blob[:offset], count)
        start = offset
        for length in lengths:
            self.metadata.append(Text(blob[start : start + length]))
            start += length

    def attachments(self, operands: list[int]) -> list[tuple[int, Node]]:
        """Pairs of a kind and a node, without those of debug information."""
        found = [(kind, self.metadata[number]) for kind, number in zip(operands[::2], operands[1::2], strict=True)]
        return [(kind, node) for kind, node in found if isinstance(node, Node)]

    # Functions

    def _read_bodies(self) -> None:
        bodies = self._block.blocks(BlockId.FUNCTION)
        values, metadata = len(self.values), len(self.metadata)
        for function, body in zip(self._bodies, bodies, strict=True):
            FunctionReader(self, function).read(body)
            # What is in a function is numbered for itself.
            del self.values[values:], self.metadata[metadata:]


def _is_loop(node: Node) -> bool:
    """Whether a node describes a loop: its first operand is itself, and those of debug information may be missing."""
    return bool(node.operands) and node.operands[0] is node
