# SPDX-License-Identifier: Apache-2.0
"""Building a typed function: the current block, operands that may be constants, and conversions.

An operand is what an expression evaluates to while it is inferred. Its value is computed when the kernel runs, or it is a constant
that is known already and gets a value only where one is needed: `2 * pi` costs nothing at run time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from smelt.ir.intrinsics import INTRINSICS
from smelt.ir.positions import InlinedPosition, Position
from smelt.ir.typed import Block, Branch, Fail, Function, Instruction, Jump, Return, Value
from smelt.types import (
    Array,
    Constant,
    Dict,
    Iteration,
    Kind,
    Range,
    Scalar,
    Struct,
    Tuple,
    Type,
    Weak,
    WeakKind,
    boolean,
    none,
    placeholder,
    promote,
    typeof,
    weak_float,
    weak_int,
)

_PYTHON_NUMBERS = {WeakKind.INTEGER: int, WeakKind.FLOATING: float, WeakKind.COMPLEX: complex}


@dataclass(frozen=True, slots=True)
class Operand:
    """What an expression evaluates to.

    Attributes
    ----------
    type
        Its type.
    value
        What computes it; None for a constant and for an aggregate that is known by its parts.
    constant
        What it is known to be, in a tuple of one; None if it is not known.
    parts
        The items of a tuple or the fields of a struct, where they are known one by one.
    """

    type: Type
    value: Value | None = None
    constant: tuple[Any] | None = None
    parts: tuple[Operand, ...] | None = None

    @property
    def is_constant(self) -> bool:
        return self.constant is not None

    @property
    def known(self) -> Any:
        """The constant that it is; to be asked only of a constant."""
        assert self.constant is not None
        return self.constant[0]


def constant(value: Any, kind: Type | None = None) -> Operand:
    """The operand of a value that is known, of its own type or of that of the field that it is in.

    Raises `TypeError` if kernels can't have it.
    """
    kind = kind if kind is not None else typeof(value)
    if isinstance(kind, Struct):
        if kind.offsets:
            raise TypeError("one record of an array is no constant, since its fields can be assigned; use the array")
        items = [getattr(value, name) for name, _ in kind.fields]
        kinds = [field for _, field in kind.fields]
        return Operand(kind, constant=(value,), parts=tuple(map(constant, items, kinds)))
    if isinstance(kind, Tuple):
        return Operand(kind, constant=(value,), parts=tuple(map(constant, value, kind.items)))
    return Operand(kind, constant=(_PYTHON_NUMBERS[kind.kind](value) if isinstance(kind, Weak) else value,))


def make_tuple(items: tuple[Operand, ...]) -> Operand:
    """The tuple of these operands."""
    return Operand(Tuple(tuple(item.type for item in items)), parts=items)


NONE = Operand(none, constant=(None,))


_SUSPENDED = Return(None)


@dataclass(frozen=True, slots=True)
class Mark:
    """A point that building can go back to."""

    blocks: int
    current: Block
    instructions: int


class FunctionBuilder:
    """A typed function in the making."""

    def __init__(self, name: str, *, has_doubles: bool = True) -> None:
        self.name = name
        self.has_doubles = has_doubles
        self.parameters: list[Value] = []
        self.blocks: list[Block] = []
        self.current = self.new_block("entry")
        # The function that is written out where it is called, its name, and the place of the call.
        self.inlined: tuple[Any, str, Position] | None = None
        self._position = Position(0, 0, 0, 0)
        self.enter(self.current)

    @property
    def position(self) -> Position:
        """Where in the function the next instructions come from."""
        return self._position

    @position.setter
    def position(self, position: Position) -> None:
        self._position = position if self.inlined is None else InlinedPosition.of(position, *self.inlined)

    def new_block(self, name: str) -> Block:
        return Block(name)

    def enter(self, block: Block) -> None:
        """Go on building in `block`, which is added to the function."""
        self.blocks.append(block)
        self.current = block

    @property
    def is_reachable(self) -> bool:
        """Whether anything comes to where the function is being built."""
        return self.current.terminator is None

    def mark(self) -> Mark:
        return Mark(len(self.blocks), self.current, len(self.current.instructions))

    def go_back(self, mark: Mark) -> None:
        """Forget all that was built since `mark`."""
        del self.blocks[mark.blocks :]
        del mark.current.instructions[mark.instructions :]
        mark.current.terminator = None
        self.current = mark.current

    def suspend(self) -> None:
        """Leave the current block open: how it goes on is decided when it is resumed."""
        self.current.terminator = _SUSPENDED

    def resume(self, block: Block) -> None:
        """Go on building at the end of a suspended block."""
        assert block.terminator is _SUSPENDED
        block.terminator = None
        self.current = block

    def parameter(self, name: str, kind: Type) -> Operand:
        """Add a parameter of the function; one whose type says all there is to know of it is not passed."""
        if isinstance(kind, Constant):
            return Operand(kind, constant=(kind.value,))
        if kind == none:
            return NONE
        value = Value(kind, name)
        self.parameters.append(value)
        return Operand(kind, value)

    def emit(self, operation: str, operands: Iterable[Value], kind: Type | None = None, **attributes: Any) -> Value:
        """Add an instruction that computes a value. `kind` is needed where the table says that it is declared."""
        given = tuple(operands)
        row = INTRINSICS[operation]
        if row.result == "same":
            kind = given[0].type
        elif row.result == "bool":
            kind = boolean
        elif row.result == "weak int":
            kind = weak_int
        assert kind is not None, operation
        result = Value(kind)
        self._add(operation, given, attributes, result)
        return result

    def do(self, operation: str, operands: Iterable[Value], **attributes: Any) -> None:
        """Add an instruction for its effect."""
        self._add(operation, tuple(operands), attributes, None)

    def do_call(self, operands: Iterable[Value], callee: Any) -> None:
        """Add a call of a function that returns nothing."""
        self._add("call", tuple(operands), {"callee": callee}, None)

    def _add(
        self, operation: str, operands: tuple[Value, ...], attributes: dict[str, Any], result: Value | None
    ) -> None:
        if self.is_reachable:
            self.current.instructions.append(Instruction(operation, operands, attributes, result, self.position))

    def jump(self, target: Block, arguments: Iterable[Value] = ()) -> None:
        if self.is_reachable:
            self.current.terminator = Jump(target, tuple(arguments))

    def branch(self, condition: Value, then: Block, otherwise: Block) -> None:
        if self.is_reachable:
            self.current.terminator = Branch(condition, then, otherwise)

    def fail(self, error: str, message: str) -> None:
        if self.is_reachable:
            self.current.terminator = Fail(error, message, self.position)

    def ret(self, value: Value | None) -> None:
        if self.is_reachable:
            self.current.terminator = Return(value)

    def value(self, operand: Operand) -> Value:
        """The operand as a value, computed here if it is a constant or known by its parts."""
        if operand.value is not None:
            return operand.value
        if operand.parts is not None:
            return self.emit("make", map(self.value, operand.parts), operand.type)
        # Which dict it is its type says: there is none when a kernel runs.
        known = None if isinstance(operand.type, Dict) else operand.known
        return self.emit("constant", (), operand.type, value=known)

    def convert(self, operand: Operand, kind: Type) -> Operand:
        """The operand with type `kind`, to which its own type is known to convert: a number, an array, or a tuple of such."""
        if operand.type == kind:
            return operand
        if operand.type == placeholder:
            return self._zero(kind)
        if isinstance(kind, (Tuple, Struct)):
            wanted = kind.items if isinstance(kind, Tuple) else tuple(kind for _, kind in kind.fields)
            parts = tuple(self.convert(part, item) for part, item in zip(self.parts(operand), wanted, strict=True))
            return Operand(kind, parts=parts)
        if operand.is_constant and isinstance(kind, Weak):
            return Operand(kind, constant=(_PYTHON_NUMBERS[kind.kind](operand.known),))
        if isinstance(kind, Array):
            # All of it, as an array of which less is known.
            return Operand(kind, self.emit("view", (self.value(operand),), kind, axes=("whole",) * kind.dimensions))
        if operand.is_constant and operand.type == weak_int and not is_integer(kind) and not is_boolean(kind):
            # A Python int may be larger than an int64, which only matters where it becomes a float.
            operand = self.convert(operand, weak_float)
        return Operand(kind, self.emit("convert", (self.value(operand),), kind))

    def _zero(self, kind: Type) -> Operand:
        """What stands for a value that is never looked at."""
        if isinstance(kind, (Tuple, Struct)):
            kinds = kind.items if isinstance(kind, Tuple) else tuple(field for _, field in kind.fields)
            return Operand(kind, parts=tuple(map(self._zero, kinds)))
        if isinstance(kind, Constant):
            return Operand(kind, constant=(kind.value,))
        if kind == none:
            return NONE
        return Operand(kind, self.emit("constant", (), kind, value=0))

    def parts(self, operand: Operand) -> tuple[Operand, ...]:
        """The items of a tuple, the fields of a struct, start, stop and step of a range, or what an iteration runs over."""
        if operand.parts is not None:
            return operand.parts
        value = self.value(operand)
        kind = operand.type
        if isinstance(kind, Tuple):
            kinds = kind.items
        elif isinstance(kind, Struct):
            kinds = tuple(field for _, field in kind.fields)
        elif isinstance(kind, Iteration):
            kinds = kind.items
        else:
            assert isinstance(kind, Range)
            kinds = (kind.element,) * 3
        return tuple(self._part(value, index, kind) for index, kind in enumerate(kinds))

    def _part(self, value: Value, index: int, kind: Type) -> Operand:
        if isinstance(kind, Constant):
            return Operand(kind, constant=(kind.value,))
        if kind == none:
            return NONE
        return Operand(kind, self.emit("item", (value,), kind, index=index))

    def promoted(self, *operands: Operand) -> tuple[Type | None, tuple[Operand, ...]]:
        """Operands converted to the type that they have in common; None and the operands if they have none."""
        common: Type | None = operands[0].type
        for operand in operands[1:]:
            common = None if common is None else promote(common, operand.type, has_doubles=self.has_doubles)
        if common is None:
            return None, operands
        return common, tuple(self.convert(operand, common) for operand in operands)

    def finish(self, result: Type) -> Function:
        return Function(self.name, self.parameters, result, self.blocks)


def is_number(kind: Type) -> bool:
    return isinstance(kind, (Scalar, Weak))


def is_boolean(kind: Type) -> bool:
    return isinstance(kind, Scalar) and kind.kind is Kind.BOOLEAN


def is_integer(kind: Type) -> bool:
    return isinstance(kind, (Scalar, Weak)) and kind.is_integer
