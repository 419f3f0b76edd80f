# SPDX-License-Identifier: Apache-2.0
"""Giving pointers the types that LLVM 14 wants of them, and casting where one is used as another.

A pointer in memory, and one that a call returns, is an `i8*`. Of the others each gets the type that it is first used as, or that
follows from what it is: the address of a part points to the part. Where a pointer is used as another type than its own, a bitcast
stands before the use.
"""

from __future__ import annotations

import functools
import re
from collections import defaultdict

from smelt.targets.metal.air.attributes import pointees
from smelt.targets.metal.air.codes import Cast, ConstantCode, InstructionCode as Code
from smelt.targets.metal.air.program import (
    BYTE,
    Block,
    Constant,
    DowngradeError,
    Function,
    Global,
    Instruction,
    Integer,
    Module,
    Pointer,
    Primitive,
    Sequence,
    Signature,
    Structure,
    Type,
    Value,
    ValueNode,
)


@functools.cache
def in_memory(kind: Type) -> Type:
    """A type with every pointer in it an `i8*`."""
    match kind:
        case Pointer(space=space, to=None):
            return Pointer(space, BYTE)
        case Sequence(count=count, of=of, is_vector=is_vector):
            return Sequence(count, in_memory(of), is_vector)
        case Structure(fields=fields, is_packed=is_packed, name=name):
            return Structure(tuple(map(in_memory, fields)), is_packed, name)
    return kind


def _stored(kind: Type) -> Type:
    """The type in memory of a value that has got its own."""
    return Pointer(kind.space, BYTE) if isinstance(kind, Pointer) else in_memory(kind)


def type_pointers(module: Module) -> None:
    """Give every value of a module a type of LLVM 14's."""
    for variable in module.globals:
        assert isinstance(variable.type, Pointer)
        variable.content = in_memory(variable.content)
        variable.type = Pointer(variable.type.space, variable.content)
    uses = {function: _uses(function) for function in module.functions}
    # First those that are only declared: what they take says what others are used as.
    for function in sorted(module.functions, key=lambda function: not function.is_declaration):
        _type_signature(function, uses[function], _declared_pointees(module, function))
    constants = _Constants()
    for variable in module.globals:
        if variable.initial is not None:
            variable.initial = constants.as_type(variable.initial, variable.content)
    for function in module.functions:
        if not function.is_declaration:
            _FunctionTyping(function, uses[function], constants).run()
    _type_metadata(module, constants)


def _type_metadata(module: Module, constants: _Constants) -> None:
    seen: set[int] = set()
    pending: list[object] = [node for _, nodes in module.named for node in nodes]
    for function in module.functions:
        pending += [node for _, node in function.attachments]
        for block in function.blocks:
            pending += [node for instruction in block.instructions for _, node in instruction.attachments]
    while pending:
        node = pending.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, ValueNode):
            if isinstance(node.value, Constant):
                node.value = constants.typed(node.value)
        else:
            pending += getattr(node, "operands", ())


# What a value is used as

_Uses = dict[Value, list[tuple[Instruction, int]]]


def _uses(function: Function) -> _Uses:
    uses: _Uses = defaultdict(list)
    for block in function.blocks:
        for instruction in block.instructions:
            for place, operand in enumerate(instruction.operands):
                uses[operand].append((instruction, place))
    return uses


def _used_as(value: Value, uses: _Uses) -> Type:
    """The type that a pointer points to where it is first used as one."""
    for instruction, place in uses.get(value, ()):
        if place == 0 and instruction.code in (Code.LOAD, Code.LOADATOMIC, Code.GEP):
            assert instruction.source is not None
            return in_memory(instruction.source)
        if place == 0 and instruction.code in (Code.STORE, Code.STOREATOMIC, Code.CMPXCHG, Code.ATOMICRMW):
            return _stored(instruction.operands[1].type)
        if instruction.code == Code.CALL and isinstance(instruction.operands[-1], Function):
            callee = instruction.operands[-1]
            if callee.is_declaration and place < len(callee.signature.parameters):
                parameter = callee.signature.parameters[place]
                assert isinstance(parameter, Pointer)
                return parameter.to or BYTE
    return BYTE


def _declared_pointees(module: Module, function: Function) -> dict[int, Type]:
    """What attributes say that parameters point to, by the number of the parameter."""
    if not function.attributes:
        return {}
    found = pointees(module.attribute_groups, module.attribute_lists[function.attributes - 1])
    return {number: in_memory(module.attribute_types[kind]) for number, kind in found.items()}


def _type_signature(function: Function, uses: _Uses, declared: dict[int, Type]) -> None:
    parameters = []
    for number, parameter in enumerate(function.parameters):
        kind = in_memory(parameter.type)
        if isinstance(kind, Pointer):
            if number in declared:
                pointee = declared[number]
            elif function.is_declaration:
                pointee = pointee_of_parameter(function.name or "")
            else:
                pointee = _used_as(parameter, uses)
            kind = Pointer(kind.space, pointee)
        function.parameters[number].type = kind
        parameters.append(kind)
    function.signature = Signature(in_memory(function.signature.result), tuple(parameters))
    function.type = Pointer(0, function.signature)


_SCALARS: dict[str, Type] = {
    "f16": Primitive("half"),
    "f32": Primitive("float"),
    "f64": Primitive("double"),
    "bf16": Primitive("bfloat"),
    **{f"i{bits}": Integer(bits) for bits in (1, 8, 16, 32, 64)},
}
_SUFFIX = re.compile(r"\.(?:p\d+)?(?:v(\d+))?(f16|f32|f64|bf16|i1|i8|i16|i32|i64)$")


def pointee_of_parameter(function: str) -> Type:
    """What the pointers that a declared function takes point to, as far as its name tells it.

    `air.atomic.global.add.f32` takes a `float*`, `air.simdgroup_matrix_8x8_load.v64f32.p1f32` too: the last part of a name of AIR's is
    the type of what its pointer points to. Those of LLVM's own functions are `i8*`.
    """
    found = _SUFFIX.search(function) if function.startswith("air.") else None
    if found is None:
        return BYTE
    count, scalar = found.groups()
    return Sequence(int(count), _SCALARS[scalar], is_vector=True) if count else _SCALARS[scalar]


# Constants


class _Constants:
    """Constants with types of LLVM 14's: one object for each constant and type."""

    def __init__(self) -> None:
        self._typed: dict[Constant, Constant] = {}
        self._casts: dict[tuple[Value, Type], Constant] = {}

    def as_type(self, value: Value, kind: Type) -> Value:
        """A constant, or a global, as one of type `kind`."""
        if isinstance(value, Constant):
            if isinstance(kind, Pointer) and value.code in _WITHOUT_OPERANDS:
                return self._cast_of(value, kind, value.code, [])
            value = self.typed(value)
        if value.type == kind:
            return value
        return self._cast_of(value, kind, ConstantCode.CE_CAST, [value])

    def _cast_of(self, value: Value, kind: Type, code: int, operands: list[Value]) -> Constant:
        found = self._casts.get((value, kind))
        if found is None:
            numbers = [int(Cast.BITCAST)] if operands else []
            found = self._casts[value, kind] = Constant(kind, None, code, numbers, operands)
        return found

    def typed(self, constant: Constant) -> Constant:
        """A constant with the type that follows from what it is."""
        if constant in self._typed:
            return self._typed[constant]
        made = Constant(in_memory(constant.type), None, constant.code, constant.numbers, source=constant.source)
        self._typed[constant] = made
        if constant.code == ConstantCode.CE_GEP:
            self._type_address(constant, made)
        elif constant.code == ConstantCode.AGGREGATE:
            parts = _parts(made.type, len(constant.operands))
            made.operands = [self.as_type(part, kind) for part, kind in zip(constant.operands, parts, strict=True)]
        else:
            made.operands = [
                self.typed(operand) if isinstance(operand, Constant) else operand for operand in constant.operands
            ]
        return made

    def _type_address(self, constant: Constant, made: Constant) -> None:
        base, *indices = constant.operands
        assert constant.source is not None
        assert isinstance(constant.type, Pointer)
        made.source = in_memory(constant.source)
        made.operands = [
            self.as_type(base, Pointer(constant.type.space, made.source)),
            *(self.typed(index) if isinstance(index, Constant) else index for index in indices),
        ]
        made.type = Pointer(constant.type.space, _pointee(made.source, indices[1:]))


_WITHOUT_OPERANDS = (ConstantCode.NULL, ConstantCode.UNDEF, ConstantCode.POISON)


def _parts(kind: Type, count: int) -> tuple[Type, ...]:
    if isinstance(kind, Structure):
        return kind.fields
    assert isinstance(kind, Sequence)
    return (kind.of,) * count


def _pointee(kind: Type, indices: list[Value]) -> Type:
    """The type of the part of `kind` that indices lead to."""
    for index in indices:
        if isinstance(kind, Structure):
            assert isinstance(index, Constant)
            kind = kind.fields[index.numbers[0] >> 1 if index.numbers else 0]
        else:
            assert isinstance(kind, Sequence)
            kind = kind.of
    return kind


# Functions


class _FunctionTyping:
    def __init__(self, function: Function, uses: _Uses, constants: _Constants) -> None:
        self._function = function
        self._uses = uses
        self._constants = constants
        self._casts: dict[tuple[Block, Value, Type], Instruction] = {}
        self._at_end: dict[Block, dict[tuple[Value, Type], Instruction]] = defaultdict(dict)

    def run(self) -> None:
        for block in self._function.blocks:
            for instruction in block.instructions:
                self._type_result(instruction)
        for block in self._function.blocks:
            self._type_operands(block)
        for block, casts in self._at_end.items():
            block.instructions[-1:-1] = casts.values()

    def _type_result(self, instruction: Instruction) -> None:
        kind = in_memory(instruction.type)
        if instruction.source is not None and instruction.code != Code.CALL:
            instruction.source = in_memory(instruction.source)
        if isinstance(kind, Pointer):
            if instruction.code == Code.ALLOCA:
                kind = Pointer(0, instruction.source)
            elif instruction.code == Code.GEP:
                assert instruction.source is not None
                kind = Pointer(kind.space, _pointee(instruction.source, instruction.operands[2:]))
            elif instruction.code in (Code.PHI, Code.VSELECT, Code.FREEZE, Code.CAST):
                kind = Pointer(kind.space, _used_as(instruction, self._uses))
        if instruction.code == Code.CALL:
            callee = instruction.operands[-1]
            if not isinstance(callee, Function):
                raise DowngradeError(
                    f"the function {self._function.name} calls a function through a pointer, which AIR has not"
                )
            instruction.source = callee.signature
        instruction.type = kind

    def _type_operands(self, block: Block) -> None:
        before = block.instructions
        block.instructions = []
        for instruction in before:
            for place, operand in enumerate(instruction.operands):
                wanted = self._wanted(instruction, place)
                if instruction.code == Code.PHI:
                    instruction.operands[place] = self._cast_at_end(
                        operand, instruction.type, instruction.blocks[place]
                    )
                else:
                    instruction.operands[place] = self._cast(operand, wanted, block)
            block.instructions.append(instruction)

    def _wanted(self, instruction: Instruction, place: int) -> Type | None:
        """The type that an operand has to have; None where its own will do."""
        operand = instruction.operands[place]
        code = instruction.code
        if code == Code.CALL:
            signature = instruction.source
            assert isinstance(signature, Signature)
            return signature.parameters[place] if place < len(signature.parameters) else None
        if code == Code.RET:
            return self._function.signature.result
        if place == 0 and isinstance(operand.type, Pointer):
            if code in (Code.LOAD, Code.LOADATOMIC, Code.GEP):
                return Pointer(operand.type.space, instruction.source)
            if code in (Code.STORE, Code.STOREATOMIC, Code.CMPXCHG, Code.ATOMICRMW):
                return Pointer(operand.type.space, _stored(instruction.operands[1].type))
        if code in (Code.STORE, Code.STOREATOMIC, Code.CMPXCHG, Code.ATOMICRMW, Code.INSERTVAL):
            return _stored(operand.type)
        if code == Code.VSELECT and place < 2:
            return instruction.type
        if code == Code.FREEZE:
            return instruction.type
        if code == Code.CMP2 and place == 1 and isinstance(operand.type, Pointer):
            return instruction.operands[0].type
        return None

    def _cast(self, value: Value, wanted: Type | None, block: Block) -> Value:
        if isinstance(value, (Constant, Global, Function)):
            if isinstance(wanted, Pointer):
                return self._constants.as_type(value, wanted)
            return self._constants.typed(value) if isinstance(value, Constant) else value
        if not isinstance(wanted, Pointer) or value.type == wanted:
            return value
        made = self._casts.get((block, value, wanted))
        if made is None:
            made = Instruction(wanted, None, Code.CAST, [value], numbers=[int(Cast.BITCAST)])
            self._casts[block, value, wanted] = made
            block.instructions.append(made)
        return made

    def _cast_at_end(self, value: Value, wanted: Type, source: Block) -> Value:
        """A value as another type where a block ends."""
        if isinstance(value, (Constant, Global, Function)) or not isinstance(wanted, Pointer) or value.type == wanted:
            return self._cast(value, wanted, source)
        casts = self._at_end[source]
        if (value, wanted) not in casts:
            casts[value, wanted] = Instruction(wanted, None, Code.CAST, [value], numbers=[int(Cast.BITCAST)])
        return casts[value, wanted]
