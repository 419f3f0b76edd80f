# SPDX-License-Identifier: Apache-2.0
"""What the integers of a function are, as far as they are sums of multiples of the thread's position and of what a row has in common."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

from smelt.ir.typed import Block, Instruction, Jump, Value
from smelt.lowering.knowledge.invariants import Invariants
from smelt.lowering.knowledge.linear import Bound, Linear, number
from smelt.types import Array, Type, Weak, WeakKind, int64


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of an argument or a result: an integer, an array or an aggregate.

    Attributes
    ----------
    least, most
        The bounds of an integer.
    exact
        What an integer is.
    row
        The names of what it is computed from in the function that computes needs; None if threads of a row may differ in it.
    extents
        Those of an array.
    items
        Those of an aggregate.
    """

    least: tuple[Bound, ...] = ()
    most: tuple[Bound, ...] = ()
    exact: Linear | None = None
    row: tuple[str, ...] | None = None
    extents: tuple[Linear | None, ...] = ()
    items: tuple[Known, ...] = ()


UNKNOWN = Known()

MOST_STEPS = 40
"""How many values are looked through to find out what one is: Python's stack is not deep."""

# Operations without effects whose results are the same for the same operands.
_PURE = {
    *("constant", "convert", "not", "extent", "thread", "item", "select"),
    *("add", "sub", "mul", "neg", "abs", "min", "max", "floordiv", "mod"),
    *("and", "or", "xor", "invert", "shl", "shr", "lt", "le", "gt", "ge", "eq", "ne"),
}


class Values:
    """The bounds of the integers of one function, called with arguments of which something is known.

    Blocks are entered in order, each with the ways that lead to it; bounds are asked for in blocks that were entered.
    """

    def __init__(
        self,
        blocks: list[Block],
        parameters: Sequence[Value],
        arguments: Sequence[Known],
        heads: Container[Block],
        invariants: Invariants,
    ) -> None:
        self.invariants = invariants
        self.definitions: dict[Value, Instruction] = {}
        self.results: dict[Value, Known] = {}
        self._arguments = dict(zip(parameters, arguments, strict=True))
        self._same: dict[Value, Value] = {}
        self._numbered: dict[object, Value] = {}
        self._joins: dict[Value, Block] = {}
        self._places = {block: place for place, block in enumerate(blocks)}
        self._sources: dict[Value, list[tuple[Block, Value]]] = {}
        self._ways: dict[Block, list[Block]] = {}
        self._heads = heads
        self._facts: dict[Block, dict[Value, list[tuple[str, Value, int]]]] = {}
        self._exact: dict[Value, Linear | None] = {}
        self._depth = 0
        for block in blocks:
            self._joins.update(dict.fromkeys(block.parameters, block))
            for instruction in block.instructions:
                self._define(instruction)
            if isinstance(block.terminator, Jump):
                for value, argument in zip(block.terminator.target.parameters, block.terminator.arguments, strict=True):
                    self._sources.setdefault(value, []).append((block, argument))

    def enter(
        self, block: Block, ways: list[Block], *, after: Block | None, facts: list[tuple[Value, str, Value, int]]
    ) -> None:
        """Begin a block that is reached from the blocks `ways`. What held in `after` holds, and `facts`: `a is at most|least b + c`."""
        self._ways[block] = ways
        known = {value: list(found) for value, found in self._facts[after].items()} if after is not None else {}
        for value, relation, other, distance in facts:
            opposite = "least" if relation == "most" else "most"
            known.setdefault(self.same(value), []).append((relation, other, distance))
            known.setdefault(self.same(other), []).append((opposite, value, -distance))
        self._facts[block] = known

    def has_entered(self, block: Block) -> bool:
        """Whether a block was begun."""
        return block in self._facts

    def _define(self, instruction: Instruction) -> None:
        value = instruction.result
        if value is None:
            return
        self.definitions[value] = instruction
        if instruction.operation in _PURE:
            attributes = tuple((name, type(given), given) for name, given in instruction.attributes.items())
            operands = tuple(map(self.same, instruction.operands))
            key = (instruction.operation, operands, value.type, attributes)
            self._same[value] = self._numbered.setdefault(key, value)

    def same(self, value: Value) -> Value:
        """The first value that is known to equal this one."""
        return self._same.get(value, value)

    def row(self, value: Value) -> tuple[str, ...] | None:
        """The names of a value in the function that computes needs; None if threads of a row may differ in it."""
        value = self.same(value)
        if value in self._arguments:
            return self._arguments[value].row
        if self._depth >= MOST_STEPS:
            return None
        definition = self.definitions.get(value)
        self._depth += 1
        try:
            if definition is not None:
                return self.invariants.of(definition, self.row)
            arguments = self._arriving(value)
            return self.row(arguments[0][1]) if arguments is not None and len(arguments) == 1 else None
        finally:
            self._depth -= 1

    def extents(self, array: Value) -> tuple[Linear | None, ...]:
        """The extents of an array, as far as they are known."""
        assert isinstance(array.type, Array)
        nothing = (None,) * array.type.dimensions
        if array in self._arguments:
            return self._arguments[array].extents or nothing
        if array in self.results:
            return self.results[array].extents or nothing
        definition = self.definitions.get(array)
        if definition is None:
            return nothing
        attributes = definition.attributes
        match definition.operation:
            case "thread_array" | "threadgroup_array" if attributes["shape"] is not None:
                return tuple(map(number, attributes["shape"]))
            case "permute":
                before = self.extents(definition.operands[0])
                return tuple(before[axis] for axis in attributes["order"])
            case "field":
                return self.extents(definition.operands[0])
            case "view":
                return self._extents_of_part(definition)
        return nothing

    def _extents_of_part(self, definition: Instruction) -> tuple[Linear | None, ...]:
        array, *operands = definition.operands
        before = iter(self.extents(array))
        given = iter(operands)
        found: list[Linear | None] = []
        for word in definition.attributes["axes"]:
            if word == "new":
                found.append(number(1))
                continue
            extent = next(before)
            if word == "whole":
                found.append(extent)
            elif word == "index":
                next(given)
            else:
                _, count, _ = next(given), next(given), next(given)
                found.append(self.exact(count))
        return tuple(found)

    def exact(self, value: Value) -> Linear | None:
        """What an integer is, if it is a sum of multiples."""
        value = self.same(value)
        if value not in self._exact:
            if self._depth >= MOST_STEPS:
                return None
            # While it is looked for, as in a loop that it runs through, nothing is known of it.
            self._exact[value] = None
            self._depth += 1
            self._exact[value] = self._exact_of(value)
            self._depth -= 1
        return self._exact[value]

    def _exact_of(self, value: Value) -> Linear | None:
        known = self._arguments.get(value) or self.results.get(value)
        if known is not None:
            return known.exact or self._as_term(value)
        definition = self.definitions.get(value)
        if definition is None:
            arguments = self._arriving(value)
            return self.exact(arguments[0][1]) if arguments is not None and len(arguments) == 1 else None
        found = self._combined(definition) if is_counted(value.type) else None
        return found if found is not None and found.is_small else self._as_term(value)

    def _as_term(self, value: Value) -> Linear | None:
        row = self.row(value)
        return self.invariants.term(row[0]) if row is not None and is_counted(value.type) else None

    def _combined(self, definition: Instruction) -> Linear | None:
        attributes = definition.attributes
        match definition.operation:
            case "constant":
                return number(int(attributes["value"]))
            case "thread" if attributes["quantity"] == "thread_position_in_grid":
                return self.invariants.positions.get(attributes["axis"])
            case "extent":
                dimension: int = attributes["dimension"]
                return self.extents(definition.operands[0])[dimension]
            case "convert" if is_counted(definition.operands[0].type):
                return self.exact(definition.operands[0])
            case "item":
                return self._exact_item(definition)
            case "neg":
                (operand,) = map(self.exact, definition.operands)
                return None if operand is None else operand.times(-1)
            case "add" | "sub" | "mul":
                first, second = map(self.exact, definition.operands)
                if first is None or second is None:
                    return None
                if definition.operation == "mul":
                    if first.is_constant:
                        first, second = second, first
                    return first.times(second.constant) if second.is_constant else None
                return first.plus(second, 1 if definition.operation == "add" else -1)
        return None

    def _exact_item(self, definition: Instruction) -> Linear | None:
        (operand,), index = definition.operands, definition.attributes["index"]
        made = self.definitions.get(operand)
        if made is not None and made.operation == "make":
            return self.exact(made.operands[index])
        known = self._arguments.get(operand) or self.results.get(operand)
        if known is None or not known.items:
            return None
        found: Linear | None = known.items[index].exact
        return found

    def _arriving(self, value: Value) -> list[tuple[Block, Value]] | None:
        """Where a value comes from that a block is handed: blocks, and what they hand to it."""
        sources = self._sources.get(value)
        ways = self._ways.get(self._joins[value]) if value in self._joins else None
        return sources if ways is None or sources is None else [source for source in sources if source[0] in ways]


def is_counted(kind: Type) -> bool:
    """Whether values of a type are whole numbers that bounds are known of: those of 64 bits, as indices are."""
    return kind == int64 or (isinstance(kind, Weak) and kind.kind is WeakKind.INTEGER)


def facts_of(
    condition: Value, truth: bool, definitions: dict[Value, Instruction]
) -> list[tuple[Value, str, Value, int]]:
    """What follows for integers if a condition is true, or false: each as `a is at most b + c`."""
    definition = definitions.get(condition)
    if definition is None:
        return []
    operation, operands = definition.operation, definition.operands
    if operation == "not":
        return facts_of(operands[0], not truth, definitions)
    if (operation == "and" and truth) or (operation == "or" and not truth):
        return [fact for operand in operands for fact in facts_of(operand, truth, definitions)]
    if operation not in ("lt", "le", "gt", "ge", "eq", "ne") or not is_counted(operands[0].type):
        return []
    first, second = operands
    if not truth:
        operation = {"lt": "ge", "le": "gt", "gt": "le", "ge": "lt", "eq": "ne", "ne": "eq"}[operation]
    match operation:
        case "lt":
            return [(first, "most", second, -1)]
        case "le":
            return [(first, "most", second, 0)]
        case "gt":
            return [(second, "most", first, -1)]
        case "ge":
            return [(second, "most", first, 0)]
        case "eq":
            return [(first, "most", second, 0), (second, "most", first, 0)]
    return []
