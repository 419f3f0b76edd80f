# SPDX-License-Identifier: Apache-2.0
"""What the threads of a row have in common, computed once for all of them.

The instructions that compute it are those of the kernel, written a second time into the function that says which threads keep all
needs. Only what has no effects and can't fail is: the row may turn out not to come to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from smelt.compiler.threadgroups import Sizes
from smelt.ir.typed import Instruction, Value
from smelt.lowering import arithmetic
from smelt.lowering.knowledge.linear import POSITION, Linear, Signs, number, term
from smelt.lowering.layout import item_span, register_type, row_types, scalar_type
from smelt.types import Array, Kind, Scalar, Tuple, Type

Row = tuple[str, ...]

_ARITHMETIC = ("add", "sub", "mul", "neg", "min", "max", "abs", "and", "or", "xor", "invert", "shl", "shr")
_COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")

_NAME = re.compile(r"%\w+")
_POSITION_OF_ROW = (1, 2)
"""The words of a thread's state for its position on the axes y and z."""


class Invariants:
    """The instructions that compute what is the same for all threads of a row.

    Attributes
    ----------
    lines
        The instructions, as LLVM IR.
    signs
        Which of the values are known not to be negative.
    has_doubles
        Whether the target has float64.
    group_size
        How many threads groups have, as far as kernels can tell; None if it is known at launch only.
    unchecked
        Those that sums are made of and that may be any number, in the order in which they were first used.
    varying
        Those that differ from row to row.
    of_rows
        Those of them that are positions of rows.
    positions
        The position of a thread in the grid, on those axes on which it is a sum.
    begin
        The term for where the group begins on the axis x, if one test is to tell for all threads of a group; None if not.
    """

    def __init__(
        self,
        declare: Callable[[str, str, tuple[str, ...]], str],
        *,
        has_doubles: bool,
        group_size: Sizes | None = None,
    ) -> None:
        self.lines: list[str] = []
        self.signs = Signs()
        self.unchecked: dict[str, None] = {}
        self.varying: set[str] = set()
        self.of_rows: set[str] = set()
        self._declare = declare
        self.has_doubles = has_doubles
        self.group_size = group_size
        self.positions: dict[int, Linear] = {0: term(POSITION)}
        self.begin: str | None = None
        self._small: set[str] = set()
        self._computed: dict[Value, Row | None] = {}
        self._words: dict[int, str] = {}

    def emit(self, instruction: str) -> str:
        name = f"%w{len(self.lines)}"
        self.lines.append(f"{name} = {instruction}")
        if not self.varying.isdisjoint(_NAME.findall(instruction)):
            self.varying.add(name)
        return name

    def declare(self, name: str, result: str, parameters: tuple[str, ...]) -> str:
        return self._declare(name, result, parameters)

    def extent(self, name: str, most: int | None = None) -> Linear:
        """The extent of an array, which is neither negative nor larger than memory, nor than `most`."""
        self._small.add(name)
        self.signs.add(name, most)
        return term(name)

    def position_of_row(self, name: str) -> None:
        """Take note that a value is where a row is on its axis."""
        self.varying.add(name)
        self.of_rows.add(name)

    def small(self, name: str) -> None:
        """Take note that a value is no larger than the size of an array or a grid can be."""
        self._small.add(name)

    def term(self, name: str) -> Linear:
        """A value by its name, or the constant that the name is."""
        if not name.startswith("%"):
            return number(int(name))
        if name not in self._small:
            self.unchecked[name] = None
        return term(name)

    def of(self, instruction: Instruction, row: Callable[[Value], Row | None]) -> Row | None:
        """The names of an instruction's result; None if threads may differ in it, or if it can't be computed before."""
        assert instruction.result is not None
        if instruction.result not in self._computed:
            # While it is looked for nothing is known of it.
            self._computed[instruction.result] = None
            self._computed[instruction.result] = self._row_of(instruction, row)
        return self._computed[instruction.result]

    def _row_of(self, instruction: Instruction, row: Callable[[Value], Row | None]) -> Row | None:
        operation, attributes = instruction.operation, instruction.attributes
        assert instruction.result is not None
        if operation == "constant":
            return self._constant(instruction.result.type, attributes["value"])
        if operation == "thread":
            return self._thread(attributes["quantity"], attributes["axis"])
        if not instruction.operands:
            return None
        operands: list[Row] = []
        for operand in instruction.operands:
            known = row(operand)
            if known is None:
                return None
            operands.append(known)
        if operation == "make":
            return tuple(name for operand in operands for name in operand)
        if operation == "item":
            span = item_span(instruction.operands[0].type, attributes["index"], has_doubles=self.has_doubles)
            return operands[0][span]
        if operation == "extent":
            return (operands[0][1 + attributes["dimension"]],)
        if not all(_is_whole(operand.type) for operand in instruction.operands):
            return None
        return self._computed_row(instruction, operands)

    def _computed_row(self, instruction: Instruction, operands: list[Row]) -> Row | None:
        operation = instruction.operation
        scalar = self._scalar(instruction.operands[0].type)
        assert instruction.result is not None
        if operation == "not":
            return (self.emit(f"xor i1 {operands[0][0]}, true"),)
        if operation in _COMPARISONS:
            return (arithmetic.compare(self, operation, scalar, operands[0][0], operands[1][0]),)
        if operation == "select":
            kind = register_type(self._scalar(instruction.result.type))
            chosen, first, second = (names[0] for names in operands)
            return (self.emit(f"select i1 {chosen}, {kind} {first}, {kind} {second}"),)
        if operation == "convert" and _is_whole(instruction.result.type):
            return (arithmetic.convert(self, scalar, self._scalar(instruction.result.type), operands[0][0]),)
        divides = operation in ("floordiv", "mod") and operands[1][0] not in ("0", "-1") and operands[1][0][0] != "%"
        if divides or (operation in _ARITHMETIC and not (operation == "abs" and not scalar.is_integer)):
            if len(operands) == 1:
                return (arithmetic.unary(self, operation, scalar, operands[0][0]),)
            return (arithmetic.binary(self, operation, scalar, operands[0][0], operands[1][0]),)
        return None

    def _constant(self, kind: Type, value: Any) -> Row | None:
        if not _is_whole(kind):
            return None
        return (arithmetic.constant(self._scalar(kind), value),)

    def _thread(self, quantity: str, axis: int) -> Row | None:
        # The words of a thread's state, see `function`.
        quantities = ("thread_position_in_grid", "threads_per_grid", "threads_per_threadgroup")
        if quantity == quantities[2] and self.group_size is not None:
            return (str(self.group_size[axis]),)
        word = quantities.index(quantity) * 3 + axis
        if word == 0:
            return None
        if word not in self._words:
            address = self.emit(f"getelementptr i64, ptr %state, i64 {word}")
            name = self._words[word] = self.emit(f"load i64, ptr {address}, align 8")
            if word in _POSITION_OF_ROW:
                self.position_of_row(name)
            self.extent(name)
        return (self._words[word],)

    def _scalar(self, kind: Type) -> Scalar:
        return scalar_type(kind, has_doubles=self.has_doubles)


def parameter_rows(parameters: list[Value], *, has_doubles: bool) -> list[Row]:
    """Names for the rows of a function's parameters, `%p0` and so on."""
    rows = []
    count = 0
    for parameter in parameters:
        kinds = row_types(parameter.type, has_doubles=has_doubles)
        rows.append(tuple(f"%p{count + place}" for place in range(len(kinds))))
        count += len(kinds)
    return rows


def _is_whole(kind: Type) -> bool:
    if isinstance(kind, (Array, Tuple)):
        return False
    return (isinstance(kind, Scalar) and kind.kind is Kind.BOOLEAN) or bool(getattr(kind, "is_integer", False))
