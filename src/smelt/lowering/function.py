# SPDX-License-Identifier: Apache-2.0
"""One typed function as LLVM IR.

A function takes the thread's state and the rows of its parameters, and returns a status with the row of its result. A status other
than 0 is the number of an error site: the thread has failed there, and every caller passes it on.
"""

from __future__ import annotations

from typing import Any, Protocol

from smelt.compiler.texts import Template
from smelt.compiler.threadgroups import Sizes
from smelt.ir.positions import Position
from smelt.ir.typed import Block, Branch, Fail, Function, Instruction, Jump, Return, Role, Value
from smelt.lowering import arithmetic, memory
from smelt.lowering.calls import CallLowering
from smelt.lowering.debugging import FunctionDebugInformation
from smelt.lowering.knowledge.assumptions import Assumptions
from smelt.lowering.layout import item_span, register_type, row_types, scalar_type
from smelt.lowering.rare import RareFunction
from smelt.types import Array, Memory, Scalar, Type, Weak, int64, part_type

_UNARY = ("neg", "invert", "abs")
_COMPARE = ("eq", "ne", "lt", "le", "gt", "ge")


INDEPENDENT = ", !llvm.access.group !1"
"""Written behind accesses to memory of which LLVM may take for granted that no thread of a row waits for what another one wrote."""


class Module(Protocol):
    """What a function needs of the module around it."""

    has_doubles: bool
    is_checked: bool
    is_fast: bool
    group_size: Sizes | None

    def declare(self, name: str, result: str, parameters: tuple[str, ...]) -> str: ...
    def callee(self, code: Any, assumptions: Assumptions | None) -> str: ...
    def before_errors(self, code: Any, position: Position) -> int: ...
    def waits(self, code: Any) -> bool: ...
    def rare(self, code: Any) -> RareFunction | None: ...
    def table(self, kind: str, items: list[str]) -> str: ...
    def error_site(self, error: str, message: str, position: Position) -> int: ...
    def print_site(self, template: Template) -> int: ...
    def recursion(self) -> None: ...
    def threadgroup_memory(self, size_bytes: int) -> int: ...
    def launch_memory(self) -> None: ...


class FunctionLowering(CallLowering):
    """Writes the LLVM IR of one typed function."""

    module: Module

    def __init__(
        self,
        module: Module,
        function: Function,
        name: str,
        assumptions: Assumptions | None = None,
        debug: FunctionDebugInformation | None = None,
    ) -> None:
        super().__init__(module, debug, is_fast=module.is_fast and function.role is Role.ORDINARY)
        self.function = function = assumptions.function if assumptions is not None else function
        self._assumptions = assumptions or Assumptions(function)
        self._is_assumed = assumptions is not None
        self.name = name
        self._rows: dict[Value, list[str]] = {}
        self._labels = {block: f"b{number}" for number, block in enumerate(function.blocks)}
        # The LLVM block that a block ends in, which is not the one it begins in if something in it may fail.
        self._ends: dict[Block, str] = {}

    def text(self, linkage: str, attributes: str) -> str:
        """The definition of the function, with LLVM's `linkage` and `attributes` of a function."""
        parameters = ["ptr %state"]
        for value in self.function.parameters:
            kinds = self._row_types(value.type)
            self._rows[value] = [self._new() for _ in kinds]
            parameters += [f"{kind} {name}" for kind, name in zip(kinds, self._rows[value], strict=True)]
        parameters += self._result_parameters()
        for block in self.function.blocks:
            for value in block.parameters:
                self._rows[value] = [self._new() for _ in self._row_types(value.type)]
        for block in self.function.blocks:
            self._begin(self._labels[block])
            self._show_parameters(block)
            for instruction in block.instructions:
                self._instruction(instruction)
            self._ends[block] = self._label
            self._terminator(block)
        self._write_phis()
        self._lines[self._labels[self.function.blocks[0]]][:0] = self._allocations
        body = "\n".join(
            f"{label}:\n" + "\n".join(f"  {line}" for line in lines) for label, lines in self._lines.items()
        )
        head = f"define {linkage} {self.result_type()} {self.name}({', '.join(parameters)}) {attributes}"
        if self._debug is not None:
            head += f" !dbg {self._debug.subprogram}"
        return f"{head} {{\n{body}\n}}\n"

    def _row_types(self, kind: Type) -> list[str]:
        return row_types(kind, has_doubles=self.module.has_doubles, pointers=self.pointers)

    def _scalar(self, kind: Type) -> Scalar:
        return scalar_type(kind, has_doubles=self.module.has_doubles)

    def _row(self, value: Value) -> list[str]:
        return self._rows[value]

    def _instruction(self, instruction: Instruction) -> None:
        self._locate(instruction.position)
        lower = getattr(self, f"_lower_{instruction.operation}", None)
        row = lower(instruction) if lower is not None else self._arithmetic(instruction)
        if instruction.result is not None:
            self._rows[instruction.result] = row
            self._show_value(instruction.result, instruction.position)

    def _show_parameters(self, block: Block) -> None:
        """Show the variables that are known where a block begins."""
        self._locate(None)
        if block is self.function.blocks[0]:
            for number, value in enumerate(self.function.parameters, 1):
                self._show_value(value, Position(0, 0, 0, 0), argument=number)
        position = next((instruction.position for instruction in block.instructions), Position(0, 0, 0, 0))
        for value in block.parameters:
            self._show_value(value, position)

    def _show_value(self, value: Value, position: Position, *, argument: int = 0) -> None:
        if value.name and self._debug is not None:
            kinds = self._row_types(value.type)
            kind = self._scalar(value.type) if isinstance(value.type, (Scalar, Weak)) else value.type
            self._show(value.name, kind, list(zip(kinds, self._row(value), strict=True)), position, argument=argument)

    def _arithmetic(self, instruction: Instruction) -> list[str]:
        operation = instruction.operation
        scalar = self._scalar(instruction.operands[0].type)
        if scalar.is_complex:
            return self._complex_arithmetic(instruction, part_type(scalar))
        operands = [self._row(operand)[0] for operand in instruction.operands]
        if operation in _COMPARE:
            return [arithmetic.compare(self, operation, scalar, operands[0], operands[1])]
        if len(operands) == 1:
            return [arithmetic.unary(self, operation, scalar, operands[0])]
        if len(operands) == 3:
            return [arithmetic.floating_function(self, operation, scalar, tuple(operands))]
        return [arithmetic.binary(self, operation, scalar, operands[0], operands[1])]

    def _complex_arithmetic(self, instruction: Instruction, part: Scalar) -> list[str]:
        operation = instruction.operation
        (a, b), *others = map(self._row, instruction.operands)
        if operation == "neg":
            return [arithmetic.unary(self, "neg", part, a), arithmetic.unary(self, "neg", part, b)]
        ((c, d),) = others
        if operation in ("add", "sub"):
            return [arithmetic.binary(self, operation, part, a, c), arithmetic.binary(self, operation, part, b, d)]
        if operation in ("eq", "ne"):
            parts = arithmetic.compare(self, operation, part, a, c), arithmetic.compare(self, operation, part, b, d)
            return [self.emit(f"{'and' if operation == 'eq' else 'or'} i1 {parts[0]}, {parts[1]}")]

        def times(x: str, y: str) -> str:
            return arithmetic.binary(self, "mul", part, x, y)

        if operation == "mul":
            real = arithmetic.binary(self, "sub", part, times(a, c), times(b, d))
            return [real, arithmetic.binary(self, "add", part, times(a, d), times(b, c))]
        raise AssertionError(operation)

    def _lower_constant(self, instruction: Instruction) -> list[str]:
        assert instruction.result is not None
        if not self._row_types(instruction.result.type):
            return []
        scalar = self._scalar(instruction.result.type)
        value = instruction.attributes["value"]
        if scalar.is_complex:
            part = part_type(scalar)
            return [arithmetic.constant(part, value.real), arithmetic.constant(part, value.imag)]
        return [arithmetic.constant(scalar, value)]

    def _lower_convert(self, instruction: Instruction) -> list[str]:
        assert instruction.result is not None
        (operand,) = instruction.operands
        source, target = self._scalar(operand.type), self._scalar(instruction.result.type)
        row = self._row(operand)
        if not target.is_complex:
            return [arithmetic.convert(self, source, target, row[0])]
        part = part_type(target)
        if source.is_complex:
            return [arithmetic.convert(self, part_type(source), part, name) for name in row]
        return [arithmetic.convert(self, source, part, row[0]), arithmetic.constant(part, 0)]

    def _lower_reinterpret(self, instruction: Instruction) -> list[str]:
        assert instruction.result is not None
        (operand,) = instruction.operands
        source, target = self._scalar(operand.type), self._scalar(instruction.result.type)
        return [arithmetic.reinterpret(self, source, target, self._row(operand)[0])]

    def _lower_select(self, instruction: Instruction) -> list[str]:
        condition, first, second = instruction.operands
        kinds = self._row_types(first.type)
        chosen = self._row(condition)[0]
        pairs = zip(kinds, self._row(first), self._row(second), strict=True)
        return [self.emit(f"select i1 {chosen}, {kind} {one}, {kind} {other}") for kind, one, other in pairs]

    def _lower_not(self, instruction: Instruction) -> list[str]:
        return [self.emit(f"xor i1 {self._row(instruction.operands[0])[0]}, true")]

    def _lower_table(self, instruction: Instruction) -> list[str]:
        assert instruction.result is not None
        kind = register_type(self._scalar(instruction.result.type))
        items = [
            arithmetic.constant(self._scalar(instruction.result.type), item) for item in instruction.attributes["items"]
        ]
        table = self.module.table(kind, items)
        address = self.emit(
            f"getelementptr {kind}, {self.constants_pointer} {table}, i64 {self._row(instruction.operands[0])[0]}"
        )
        return [self.emit(f"load {kind}, {self.constants_pointer} {address}")]

    def _lower_make(self, instruction: Instruction) -> list[str]:
        return [name for operand in instruction.operands for name in self._row(operand)]

    def _lower_item(self, instruction: Instruction) -> list[str]:
        (operand,) = instruction.operands
        span = item_span(operand.type, instruction.attributes["index"], has_doubles=self.module.has_doubles)
        return self._row(operand)[span]

    def _lower_extent(self, instruction: Instruction) -> list[str]:
        return [self._row(instruction.operands[0])[1 + instruction.attributes["dimension"]]]

    def _lower_index(self, instruction: Instruction) -> list[str]:
        array, index = instruction.operands
        dimension = instruction.attributes["dimension"]
        extent = self._row(array)[1 + dimension]
        given = arithmetic.convert(self, self._scalar(index.type), int64, self._row(index)[0])
        if instruction in self._assumptions.inside:
            is_from_end = self._assumptions.inside[instruction]
            return [self.emit(f"add i64 {given}, {extent}") if is_from_end else given]
        is_negative = self.emit(f"icmp slt i64 {given}, 0")
        from_the_end = self.emit(f"add i64 {given}, {extent}")
        counted = self.emit(f"select i1 {is_negative}, i64 {from_the_end}, i64 {given}")
        if instruction.attributes["checked"] and self.module.is_checked:
            is_inside = self.emit(f"icmp ult i64 {counted}, {extent}")
            where = f"{array.name}: " if array.name else ""
            message = f"{where}index is out of bounds for dimension {dimension} of {array.type}"
            self._require(is_inside, "IndexError", message, instruction.position)
        return [counted]

    def _lower_view(self, instruction: Instruction) -> list[str]:
        array, *operands = instruction.operands
        kind, result = self._array_types(instruction)
        given = [self._row(operand)[0] for operand in operands]
        axes, pointer = instruction.attributes["axes"], self.pointers[kind.memory]
        return memory.part(self, kind, self._row(array), result, axes, given, pointer=pointer)

    def _lower_permute(self, instruction: Instruction) -> list[str]:
        kind, result = self._array_types(instruction)
        row = self._row(instruction.operands[0])
        return memory.permuted(self, kind, row, result, instruction.attributes["order"])

    def _lower_field(self, instruction: Instruction) -> list[str]:
        kind, _ = self._array_types(instruction)
        row, pointer = self._row(instruction.operands[0]), self.pointers[kind.memory]
        return memory.field(self, kind, row, instruction.attributes["index"], pointer=pointer)

    def _lower_distance(self, instruction: Instruction) -> list[str]:
        start, end = (
            self.emit(f"ptrtoint {self._row_types(operand.type)[0]} {self._row(operand)[0]} to i64")
            for operand in instruction.operands
        )
        return [self.emit(f"sub i64 {end}, {start}")]

    def _lower_stride(self, instruction: Instruction) -> list[str]:
        (array,) = instruction.operands
        assert isinstance(array.type, Array)
        return [memory.strides(self, array.type, self._row(array))[instruction.attributes["dimension"]]]

    def _array_types(self, instruction: Instruction) -> tuple[Array, Array]:
        assert instruction.result is not None
        kind, result = instruction.operands[0].type, instruction.result.type
        assert isinstance(kind, Array)
        assert isinstance(result, Array)
        return kind, result

    def _lower_load(self, instruction: Instruction) -> list[str]:
        array, *indices = instruction.operands
        kind, address = self._element(array, indices)
        pointer = self.pointers[kind.memory]
        return memory.load(self._access(kind), kind.element, address, is_aligned=kind.aligned, pointer=pointer)

    def _lower_store(self, instruction: Instruction) -> list[str]:
        array, value, *indices = instruction.operands
        kind, address = self._element(array, indices)
        pointer, row = self.pointers[kind.memory], self._row(value)
        memory.store(self._access(kind), kind.element, address, row, is_aligned=kind.aligned, pointer=pointer)
        return []

    def _access(self, kind: Array) -> memory.Writer:
        """What writes an access to an array: with the note that threads are independent, but for memory of a thread's own."""
        return memory.NotedAccess(self, INDEPENDENT) if self._is_assumed and kind.memory is not Memory.THREAD else self

    def _element(self, array: Value, indices: list[Value]) -> tuple[Array, str]:
        kind = array.type
        assert isinstance(kind, Array)
        places = [self._row(index)[0] for index in indices]
        return kind, memory.element_address(self, kind, self._row(array), places, pointer=self.pointers[kind.memory])

    def _lower_check(self, instruction: Instruction) -> list[str]:
        if instruction in self._assumptions.holding:
            return []
        attributes = instruction.attributes
        condition = self._row(instruction.operands[0])[0]
        self._require(condition, attributes["error"], attributes["message"], instruction.position)
        return []

    def _terminator(self, block: Block) -> None:
        match block.terminator:
            case Jump(target=target):
                self.do(f"br label %{self._labels[target]}")
            case Branch() if block in self._assumptions.ways:
                self.do(f"br label %{self._labels[self._assumptions.ways[block]]}")
            case Branch(condition=condition, then=then, otherwise=otherwise):
                test = self._row(condition)[0]
                self.do(f"br i1 {test}, label %{self._labels[then]}, label %{self._labels[otherwise]}")
            case Return(value=value):
                row = [] if value is None else self._row(value)
                kinds = [] if value is None else self._row_types(value.type)
                self._return_row(list(zip(kinds, row, strict=True)))
            case Fail(error=error, message=message, position=position):
                self._locate(position)
                self._return_status(str(self.module.error_site(error, message, position)))

    def _write_phis(self) -> None:
        incoming: dict[Block, list[tuple[str, tuple[Value, ...]]]] = {}
        for block in self.function.blocks:
            if isinstance(block.terminator, Jump):
                target = block.terminator.target
                incoming.setdefault(target, []).append((self._ends[block], block.terminator.arguments))
        for block in self.function.blocks:
            phis = []
            for number, value in enumerate(block.parameters):
                for place, (kind, name) in enumerate(zip(self._row_types(value.type), self._row(value), strict=True)):
                    sources = ", ".join(
                        f"[ {self._row(arguments[number])[place]}, %{label} ]"
                        for label, arguments in incoming.get(block, [])
                    )
                    phis.append(f"{name} = phi {kind} {sources}")
            lines = self._lines[self._labels[block]]
            lines[:0] = phis
