# SPDX-License-Identifier: Apache-2.0
"""What integers are at least and at most, as sums of multiples of the thread's position and of what a row of threads has in common.

A bound may have needs: sums that must be at least 0 for it to hold. They are looked at when the kernel runs, once for a row of threads,
so a bound may suppose what nearly always holds. Sums are those of whole numbers that don't overflow: whoever relies on them sees to it
that no term has more than 45 bits.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from smelt.ir.typed import Block, Instruction, Jump, Value
from smelt.lowering.invariants import Invariants
from smelt.lowering.linear import POSITION, Bound, Linear, number, term
from smelt.types import Array, Kind, Scalar, Type, Weak, WeakKind, int64

_MOST_BOUNDS = 4


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

# Operations without effects whose results are the same for the same operands.
_PURE = frozenset(
    (
        "constant",
        "convert",
        "not",
        "extent",
        "add",
        "sub",
        "mul",
        "neg",
        "min",
        "max",
        "floordiv",
        "mod",
        "and",
        "or",
        "xor",
    )
    + ("shl", "shr", "invert", "abs", "lt", "le", "gt", "ge", "eq", "ne", "select", "thread", "item")
)


class Ranges:
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
        self._bounds: dict[tuple[Value, Block, str], tuple[Bound, ...]] = {}
        self._asked: set[tuple[Value, Block, str]] = set()
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

    def known(self, value: Value, block: Block) -> Known:
        """All that is known of a value in a block."""
        kind = value.type
        if isinstance(kind, Array):
            return Known(extents=self.extents(value), row=self.row(value))
        definition = self.definitions.get(self.same(value))
        if definition is not None and definition.operation == "make":
            return Known(
                items=tuple(self.known(operand, block) for operand in definition.operands), row=self.row(value)
            )
        if value in self._arguments or value in self.results:
            return self._arguments.get(value) or self.results[value]
        if not is_counted(kind):
            return Known(row=self.row(value))
        return Known(self.least(value, block), self.most(value, block), self.exact(value), self.row(value))

    def row(self, value: Value) -> tuple[str, ...] | None:
        """The names of a value in the function that computes needs; None if threads of a row may differ in it."""
        value = self.same(value)
        if value in self._arguments:
            return self._arguments[value].row
        definition = self.definitions.get(value)
        if definition is None:
            arguments = self._arriving(value)
            if arguments is not None and len(arguments) == 1:
                return self.row(arguments[0][1])
            return None
        return self.invariants.of(definition, self.row)

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
            # While it is looked for, as in a loop that it runs through, nothing is known of it.
            self._exact[value] = None
            self._exact[value] = self._exact_of(value)
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
            case "thread" if attributes["quantity"] == "thread_position_in_grid" and attributes["axis"] == 0:
                return term(POSITION)
            case "extent":
                return self.extents(definition.operands[0])[attributes["dimension"]]
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
        return known.items[index].exact if known is not None and known.items else None

    def least(self, value: Value, block: Block) -> tuple[Bound, ...]:
        """What a value is at least where a block is run."""
        return self._bounds_of(value, block, "least")

    def most(self, value: Value, block: Block) -> tuple[Bound, ...]:
        """What a value is at most where a block is run."""
        return self._bounds_of(value, block, "most")

    def _bounds_of(self, value: Value, block: Block, side: str) -> tuple[Bound, ...]:
        value = self.same(value)
        key = (value, block, side)
        if key in self._bounds:
            return self._bounds[key]
        if key in self._asked:
            return ()
        self._asked.add(key)
        exact = self.exact(value)
        found = [] if exact is not None and exact.is_constant else self._found(value, block, side)
        if exact is not None:
            found.insert(0, Bound(exact))
        for relation, other, distance in self._facts[block].get(value, ()):
            if relation == side:
                found += _moved(self._bounds_of(other, block, side), distance)
        self._asked.discard(key)
        bounds = self._useful(found)
        if not self._asked:
            # What was found while something else was being looked for may lack what depends on that.
            self._bounds[key] = bounds
        return bounds

    def _useful(self, found: Iterable[Bound]) -> tuple[Bound, ...]:
        kept: dict[Bound, None] = {}
        for bound in found:
            needs = self.invariants.signs.open(bound.needs)
            if needs is not None and bound.linear.is_small:
                kept[Bound(bound.linear, needs)] = None
        return tuple(sorted(kept, key=lambda bound: len(bound.needs))[:_MOST_BOUNDS])

    def _found(self, value: Value, block: Block, side: str) -> list[Bound]:
        known = self._arguments.get(value) or self.results.get(value)
        if known is not None:
            return list(known.least if side == "least" else known.most)
        definition = self.definitions.get(value)
        if definition is None:
            return self._joined(value, side)
        operands = definition.operands
        match definition.operation:
            case "add":
                return self._sums(operands[0], operands[1], block, side, side)
            case "sub":
                return self._sums(operands[0], operands[1], block, side, _other(side))
            case "neg":
                return [
                    Bound(bound.linear.times(-1), bound.needs)
                    for bound in self._bounds_of(operands[0], block, _other(side))
                ]
            case "mul":
                return self._products(definition, block, side)
            case "min" | "max":
                return self._extreme(definition.operation, operands, block, side)
            case "select":
                return self._chosen([self._bounds_of(operand, block, side) for operand in operands[1:]], side)
            case "mod" | "floordiv" | "and" | "shr":
                return self._divided(definition, block, side)
            case "convert":
                return self._converted(operands[0], block, side)
            case "item":
                known = self.known(operands[0], block)
                if known.items:
                    item = known.items[definition.attributes["index"]]
                    return list(item.least if side == "least" else item.most)
        return []

    def _sums(self, first: Value, second: Value, block: Block, side: str, other_side: str) -> list[Bound]:
        times = 1 if side == other_side else -1
        pairs = product(self._bounds_of(first, block, side), self._bounds_of(second, block, other_side))
        return [Bound(one.linear.plus(other.linear, times), one.needs | other.needs) for one, other in pairs]

    def _products(self, definition: Instruction, block: Block, side: str) -> list[Bound]:
        first, second = definition.operands
        factor = self.exact(second)
        if factor is None or not factor.is_constant:
            first, second = second, first
            factor = self.exact(second)
        if factor is None or not factor.is_constant:
            return []
        bounds = self._bounds_of(first, block, side if factor.constant >= 0 else _other(side))
        return [Bound(bound.linear.times(factor.constant), bound.needs) for bound in bounds]

    def _extreme(self, operation: str, operands: Sequence[Value], block: Block, side: str) -> list[Bound]:
        both = [self._bounds_of(operand, block, side) for operand in operands]
        if (operation == "max") == (side == "least"):
            return [*both[0], *both[1]]
        return self._chosen(both, side)

    def _chosen(self, bounds: Sequence[Iterable[Bound]], side: str) -> list[Bound]:
        """What is at least (or at most) one of several that have these bounds."""
        found = []
        for choice in product(*bounds):
            needs = frozenset[Linear]().union(*(bound.needs for bound in choice))
            for bound in choice:
                gaps = (other.linear.minus(bound.linear) for other in choice if other is not bound)
                wanted = (gap if side == "least" else gap.times(-1) for gap in gaps)
                found.append(Bound(bound.linear, needs | frozenset(wanted)))
        return found

    def _divided(self, definition: Instruction, block: Block, side: str) -> list[Bound]:
        first, second = definition.operands
        divisor = self.exact(second)
        if divisor is None:
            return []
        if definition.operation == "mod":
            # The remainder has the sign of the divisor.
            linear = number(0) if side == "least" else divisor.moved(-1)
            return [Bound(linear, frozenset((divisor.moved(-1),)))]
        if definition.operation == "and":
            if side == "most" or self.invariants.signs.surely(divisor):
                return [Bound(number(0) if side == "least" else divisor, frozenset((divisor,)))]
            return []
        if not divisor.is_constant or not (0 < divisor.constant or definition.operation == "shr"):
            return []
        least = self._bounds_of(first, block, "least")
        nonnegative = [bound for bound in least if bound.linear.is_constant and bound.linear.constant >= 0]
        if side == "least":
            return [Bound(number(0), bound.needs) for bound in nonnegative[:1]]
        # Dividing doesn't make greater what isn't negative.
        return (
            [Bound(most.linear, most.needs | nonnegative[0].needs) for most in self.most(first, block)]
            if nonnegative
            else []
        )

    def _converted(self, operand: Value, block: Block, side: str) -> list[Bound]:
        kind = operand.type
        if is_counted(kind):
            return list(self._bounds_of(operand, block, side))
        if not isinstance(kind, Scalar) or not (kind.is_integer or kind.kind is Kind.BOOLEAN) or kind == _UINT64:
            return []
        bits = 1 if kind.kind is Kind.BOOLEAN else kind.bits
        if side == "least":
            return [Bound(number(-(1 << (bits - 1)) if kind.is_signed else 0))]
        return [Bound(number((1 << (bits - 1 if kind.is_signed else bits)) - 1))]

    def _joined(self, value: Value, side: str) -> list[Bound]:
        arguments = self._arriving(value)
        if value not in self._joins or not arguments:
            return []
        block = self._joins[value]
        if block in self._heads:
            return self._counted(value, arguments, side)
        return self._chosen([self._bounds_of(argument, way, side) for way, argument in arguments], side)

    def _counted(self, value: Value, arguments: list[tuple[Block, Value]], side: str) -> list[Bound]:
        """The bounds of what a loop counts up or down: on one side it stays at what it began with."""
        # The blocks that lead back to the loop's head were not entered yet when it was.
        begins = [(way, argument) for way, argument in arguments if self._is_before(way, value)]
        steps = [argument for way, argument in arguments if not self._is_before(way, value)]
        if len(begins) != 1:
            return []
        ((way, begin),) = begins
        if all(self._goes(step, value, side, set()) for step in steps):
            return list(self._bounds_of(begin, way, side))
        if all(self._is_part(step, value) for step in steps):
            nonnegative = [
                bound for bound in self._bounds_of(begin, way, "least") if self.invariants.signs.surely(bound.linear)
            ]
            if nonnegative:
                return (
                    [Bound(number(0), nonnegative[0].needs)]
                    if side == "least"
                    else list(self._bounds_of(begin, way, side))
                )
        return []

    def _is_before(self, way: Block, value: Value) -> bool:
        return self._places[way] < self._places[self._joins[value]]

    def _is_part(self, step: Value, value: Value) -> bool:
        """Whether `step` is `value` divided by a positive constant."""
        definition = self.definitions.get(self.same(step))
        if definition is None or definition.operation != "floordiv" or self.same(definition.operands[0]) is not value:
            return False
        divisor = self.exact(definition.operands[1])
        return divisor is not None and divisor.is_constant and divisor.constant > 0

    def _goes(self, step: Value, value: Value, side: str, asked: set[Value]) -> bool:
        """Whether `step` is `value`, or that with constants added which lead away from this side."""
        step = self.same(step)
        if step is value or step in asked:
            return True
        definition = self.definitions.get(step)
        if definition is None:
            asked.add(step)
            sources = self._sources.get(step)
            return sources is not None and all(self._goes(argument, value, side, asked) for _, argument in sources)
        if definition.operation not in ("add", "sub"):
            return False
        first, second = definition.operands
        distance = self.exact(second)
        if definition.operation == "add" and (distance is None or not distance.is_constant):
            first, second = second, first
            distance = self.exact(second)
        if distance is None or not distance.is_constant:
            return False
        is_up = (distance.constant >= 0) == (definition.operation == "add")
        return (distance.constant == 0 or is_up == (side == "least")) and self._goes(first, value, side, asked)

    def _arriving(self, value: Value) -> list[tuple[Block, Value]] | None:
        """Where a value comes from that a block is handed: blocks, and what they hand to it."""
        sources = self._sources.get(value)
        ways = self._ways.get(self._joins[value]) if value in self._joins else None
        return sources if ways is None or sources is None else [source for source in sources if source[0] in ways]


_UINT64 = Scalar(Kind.UNSIGNED, 64)


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


def _moved(bounds: Iterable[Bound], distance: int) -> list[Bound]:
    return [Bound(bound.linear.moved(distance), bound.needs) for bound in bounds]


def _other(side: str) -> str:
    return "most" if side == "least" else "least"
