# SPDX-License-Identifier: Apache-2.0
"""What integers are at least and at most, as sums of multiples of the thread's position and of what a row of threads has in common.

A bound may have needs: sums that must be at least 0 for it to hold. They are looked at when the kernel runs, once for a row of threads,
so a bound may suppose what nearly always holds. Sums are those of whole numbers that don't overflow: whoever relies on them sees to it
that no term has more than 45 bits.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from itertools import product
from typing import TypeAlias

from smelt.ir.typed import Block, Instruction, Value
from smelt.lowering.knowledge.invariants import Invariants
from smelt.lowering.knowledge.linear import Bound, Linear, number
from smelt.lowering.knowledge.values import MOST_STEPS, Known, Values, is_counted
from smelt.types import Array, Kind, Scalar

_Question: TypeAlias = tuple[Value, Block, str]

_MOST_BOUNDS = 4
_MOST_CHOICES = 2
"""Of how many values all bounds are tried with all others."""

_UINT64 = Scalar(Kind.UNSIGNED, 64)


class Ranges(Values):
    """The bounds of the integers of one function, in each of its blocks."""

    def __init__(
        self,
        blocks: list[Block],
        parameters: Sequence[Value],
        arguments: Sequence[Known],
        heads: Container[Block],
        invariants: Invariants,
    ) -> None:
        super().__init__(blocks, parameters, arguments, heads, invariants)
        self._bounds: dict[_Question, tuple[Bound, ...]] = {}
        self._asked: set[_Question] = set()
        self._found_on_the_way: dict[_Question, tuple[Bound, ...]] = {}
        self._circles = 0

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
        if len(self._asked) >= MOST_STEPS:
            return ()
        if key in self._asked or key in self._found_on_the_way:
            self._circles += 1
            return self._found_on_the_way.get(key, ())
        circles = self._circles
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
        # What was found while it was itself being looked for may lack what depends on that.
        if self._asked and self._circles > circles:
            self._found_on_the_way[key] = bounds
        else:
            self._bounds[key] = bounds
        if not self._asked:
            self._found_on_the_way.clear()
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
        choices = [list(some) if len(bounds) <= _MOST_CHOICES else list(some)[:1] for some in bounds]
        for choice in product(*choices):
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
        if not divisor.is_constant or not (divisor.constant > 0 or definition.operation == "shr"):
            return []
        least = self._bounds_of(first, block, "least")
        nonnegative = [bound for bound in least if self.invariants.signs.surely(bound.linear)]
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
        if len(asked) >= MOST_STEPS:
            return False
        asked.add(step)
        definition = self.definitions.get(step)
        if definition is None:
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


def _moved(bounds: Iterable[Bound], distance: int) -> list[Bound]:
    return [Bound(bound.linear.moved(distance), bound.needs) for bound in bounds]


def _other(side: str) -> str:
    return "most" if side == "least" else "least"
