# SPDX-License-Identifier: Apache-2.0
"""Expressions: what each evaluates to, and the instructions that compute it."""

from __future__ import annotations

import types
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from smelt.caching import MISSING, read_attribute, read_cell, read_global
from smelt.inference import captured, operators, ranges
from smelt.inference.arrays import ArrayInference
from smelt.inference.comparisons import compare
from smelt.inference.context import Closure, Frame, NeverReturns
from smelt.inference.environment import Unusable, Way, Ways, join, leave
from smelt.inference.iteration import rounds
from smelt.inference.texts import text_of
from smelt.ir import untyped
from smelt.ir.builder import Operand, constant, is_number, make_tuple
from smelt.types import (
    Array,
    Constant,
    Dict,
    Iteration,
    List,
    Range,
    Scalar,
    Struct,
    Tuple,
    Weak,
    part_type,
    placeholder,
    weak_float,
    weak_int,
)

_MOST_CHOICES = 8
"""Among that many constants one is chosen by comparing; more of them are a table."""

_CHOSEN = "chosen."
"""What a choice evaluates to, as a variable beside those of the function."""


class ExpressionInference(ArrayInference):
    """Infers expressions."""

    def evaluate(self, frame: Frame, node: untyped.Expression) -> Operand:
        """What `node` evaluates to. Raises `KernelError`."""
        self.builder.position = node.position
        match node:
            case untyped.Literal(value=value):
                return self.constant(value, node)
            case untyped.Unset():
                return Operand(placeholder)
            case untyped.Local(name=name):
                return self._variable(frame, name, node)
            case untyped.Captured(name=name):
                return self._captured(frame, name, node)
            case untyped.Global(name=name):
                return self._global(frame, name, node)
            case untyped.Attribute(value=value, name=name):
                return self.attribute(self.evaluate(frame, value), name, node)
            case untyped.Subscript(value=value, index=index):
                return self.subscript(frame, self.evaluate(frame, value), index, node)
            case untyped.TupleDisplay(items=items):
                return make_tuple(self.evaluate_all(frame, items))
            case untyped.Unary(operator="not", operand=operand):
                return operators.negation(self, self.evaluate_truth(frame, operand))
            case untyped.Unary(operator=symbol, operand=operand):
                return self.unary(symbol, self.evaluate(frame, operand), node)
            case untyped.Binary(operator=symbol, left=left, right=right):
                first, second = self.evaluate(frame, left), self.evaluate(frame, right)
                self.builder.position = node.position
                return self.binary(symbol, first, second, node)
            case untyped.Compare():
                return self._comparison(frame, node)
            case untyped.Logical():
                return self._logical(frame, node.operator, node.operands, node)
            case untyped.Conditional():
                return self._conditional(frame, node)
            case untyped.Walrus(name=name, value=value):
                assigned = frame.variables[name] = self.evaluate(frame, value)
                return assigned
            case untyped.Closure():
                return self._closure(frame, node)
            case untyped.FormattedString(parts=parts):
                evaluated = (
                    part if isinstance(part, str) else (self.evaluate(frame, part[0]), *part[1:]) for part in parts
                )
                return text_of(self, tuple(evaluated), node)
            case untyped.Call():
                return self.call(frame, node)
        raise self.error(f"{type(node).__name__} has no place here", node)

    def evaluate_truth(self, frame: Frame, node: untyped.Expression) -> Operand:
        """Whether `node` counts as true."""
        operand = self.evaluate(frame, node)
        if isinstance(operand.type, Range):
            return ranges.truth(self, operand, node)
        return operators.truth(self, operand, node)

    def evaluate_all(self, frame: Frame, nodes: tuple[untyped.Expression, ...]) -> tuple[Operand, ...]:
        """The operands of several nodes, with the items of starred ones in their places."""
        operands: list[Operand] = []
        for node in nodes:
            if isinstance(node, untyped.Starred):
                operands.extend(self.items_of(self.evaluate(frame, node.value), node))
            else:
                operands.append(self.evaluate(frame, node))
        return tuple(operands)

    def items_of(self, operand: Operand, node: untyped.Node) -> tuple[Operand, ...]:
        """The items of something whose number of items is known when the kernel is compiled."""
        kind = operand.type
        if isinstance(kind, Tuple) or (isinstance(kind, Struct) and kind.has_items):
            return self.builder.parts(operand)
        over = rounds(self, operand, node) if isinstance(kind, (Range, Iteration, Dict)) else None
        if over is None or not over.count.is_constant:
            raise self.error(f"a {kind} can't be unpacked", node, help="unpack tuples; index arrays")
        return tuple(over.item(constant(number)) for number in range(over.count.known))

    def attribute(self, operand: Operand, name: str, node: untyped.Node) -> Operand:
        """`operand.name`."""
        kind = operand.type
        builder = self.builder
        if isinstance(kind, (List, Dict)):
            return self._captured_attribute(operand, name, node)
        if isinstance(kind, Constant):
            return self._constant_attribute(kind.value, name, node)
        if isinstance(kind, Array):
            found = self.array_attribute(operand, name, node)
            if found is not None:
                return found
        if isinstance(kind, Struct):
            position = kind.field(name)
            if position is not None:
                return builder.parts(operand)[position]
            if kind.python_class is not None:
                return self.instance_attribute(operand, kind.python_class, name, node)
        if isinstance(kind, Range) and name in ("start", "stop", "step"):
            return builder.parts(operand)[("start", "stop", "step").index(name)]
        if is_number(kind) and name in ("real", "imag"):
            return self._complex_part(operand, name)
        raise self.error(f"a {kind} has no attribute {name}", node)

    def subscript(self, frame: Frame, operand: Operand, index: untyped.Expression, node: untyped.Node) -> Operand:
        """`operand[index]`."""
        kind = operand.type
        if isinstance(kind, Array):
            return self.array_item(frame, operand, index, node)
        if isinstance(kind, Dict) and not isinstance(index, untyped.Slice):
            return captured.item(self, operand, self.evaluate(frame, index), node)
        if isinstance(kind, Tuple) or (isinstance(kind, Struct) and kind.is_tuple):
            return self._tuple_item(frame, operand, index, node)
        if isinstance(kind, Range):
            if isinstance(index, untyped.Slice):
                span = self.span(frame, index)
                return ranges.part(self, operand, span.start, span.stop, span.step, node)
            return ranges.item(self, operand, self.evaluate(frame, index), node)
        if isinstance(kind, Struct):
            name = self.evaluate(frame, index)
            if isinstance(name.type, Constant) and isinstance(name.known, str):
                return self.attribute(operand, name.known, node)
            if kind.has_items:
                return self._item(operand, name, node)
        raise self.error(f"a {kind} can't be indexed", node)

    def _variable(self, frame: Frame, name: str, node: untyped.Node) -> Operand:
        operand = frame.variables.get(name)
        if operand is None:
            raise self.error(f"{name.partition('.')[0]} has no value yet", node)
        if isinstance(operand, Unusable):
            raise self.error(operand.reason, node, help="assign it on every way, with values of one type")
        return operand

    def _captured(self, frame: Frame, name: str, node: untyped.Node) -> Operand:
        outer = frame.outer
        while outer is not None:
            if name in outer.variables:
                return self._variable(outer, name, node)
            outer = outer.outer
        value = self.read(read_cell, frame.function, name, node)
        if value is MISSING:
            raise self.error(f"the captured variable {name} has no value yet", node)
        return self.constant(value, node)

    def _global(self, frame: Frame, name: str, node: untyped.Node) -> Operand:
        value = self.read(read_global, frame.function, name, node)
        if value is MISSING:
            raise self.error(f"name {name!r} is not defined", node)
        return self.constant(value, node)

    def captured_list(self, container: list[Any], node: untyped.Node) -> Operand:
        return captured.captured_list(self, container, node)

    def _captured_attribute(self, operand: Operand, name: str, node: untyped.Node) -> Operand:
        found = captured.method(operand, name) if isinstance(operand.type, Dict) else None
        if found is None:
            what = "dict" if isinstance(operand.type, Dict) else "list"
            raise self.error(
                f"a kernel can read a captured {what}, not change it: there is no {name}",
                node,
                help="collect values in an array",
            )
        return found

    def _constant_attribute(self, value: Any, name: str, node: untyped.Node) -> Operand:
        if not isinstance(value, (types.ModuleType, type)):
            raise self.error(f"{value!r} has no attribute that a kernel can use: {name}", node)
        found = self.read(read_attribute, value, name, node)
        if found is MISSING:
            raise self.error(f"{value.__name__} has no attribute {name}", node)
        return self.unwrapped(value, found, node) if isinstance(value, type) else self.constant(found, node)

    def decide(self, frame: Frame, node: untyped.Expression) -> Ways:
        """The ways on from a test. What `and` and `or` assign on a way is assigned there."""
        if isinstance(node, untyped.Unary) and node.operator == "not":
            holds, fails = self.decide(frame, node.operand)
            return fails, holds
        if not isinstance(node, untyped.Logical):
            with suppress(NeverReturns):
                return self.fork(frame, self.evaluate_truth(frame, node))
            return [], []
        first, *rest = node.operands
        holds, fails = self.decide(frame, first)
        for following in rest:
            goes_on = holds if node.operator == "and" else fails
            if not goes_on:
                break
            frame.variables = join(self.builder, goes_on, node.operator)
            then, otherwise = self.decide(frame, following)
            holds, fails = (then, fails + otherwise) if node.operator == "and" else (holds + then, otherwise)
        return holds, fails

    def fork(self, frame: Frame, test: Operand) -> Ways:
        """The ways on from a bool."""
        builder = self.builder
        if test.is_constant:
            only = leave(builder, frame.variables)
            return (only, []) if test.known else ([], only)
        blocks = (builder.new_block("then"), builder.new_block("otherwise"))
        builder.branch(builder.value(test), *blocks)
        ways = []
        for block in blocks:
            builder.enter(block)
            ways.append(leave(builder, frame.variables))
        return ways[0], ways[1]

    def _comparison(self, frame: Frame, node: untyped.Compare) -> Operand:
        return self._compare(frame, self.evaluate(frame, node.first), node.rest, node)

    def _compare(
        self, frame: Frame, left: Operand, rest: tuple[tuple[str, untyped.Expression], ...], node: untyped.Compare
    ) -> Operand:
        (symbol, following), *further = rest
        right = self.evaluate(frame, following)
        self.builder.position = node.position
        result = compare(self, symbol, left, right, node)
        if not further:
            return result
        # Each further operand is evaluated only where what stands before it holds.
        return self._choose(
            frame,
            self.fork(frame, result),
            lambda: self._compare(frame, right, tuple(further), node),
            lambda: constant(False),
            node,
        )

    def _logical(
        self, frame: Frame, operator: str, operands: tuple[untyped.Expression, ...], node: untyped.Node
    ) -> Operand:
        """The value of the operand that decides, as in Python."""
        first, *rest = operands
        value = self.evaluate(frame, first)
        if not rest:
            return value
        ways = self.fork(frame, operators.truth(self, value, first))
        following = partial(self._logical, frame, operator, tuple(rest), node)
        if operator == "and":
            return self._choose(frame, ways, following, lambda: value, node)
        return self._choose(frame, ways, lambda: value, following, node)

    def _conditional(self, frame: Frame, node: untyped.Conditional) -> Operand:
        return self._choose(
            frame,
            self.decide(frame, node.test),
            lambda: self.evaluate(frame, node.then),
            lambda: self.evaluate(frame, node.otherwise),
            node,
        )

    def _choose(
        self,
        frame: Frame,
        tests: Ways,
        then: Callable[[], Operand],
        otherwise: Callable[[], Operand],
        node: untyped.Node,
    ) -> Operand:
        """What `then` evaluates to where a test holds, and `otherwise` where it doesn't."""
        builder = self.builder
        ways: list[Way] = []
        for begins, evaluate in zip(tests, (then, otherwise), strict=True):
            if begins:
                frame.variables = join(builder, begins, "choice")
                with suppress(NeverReturns):
                    operand = evaluate()
                    ways += leave(builder, {**frame.variables, _CHOSEN: operand})
        if not ways:
            raise NeverReturns
        merged = join(builder, ways, "chosen")
        chosen = merged.pop(_CHOSEN)
        frame.variables = merged
        if isinstance(chosen, Unusable):
            kinds = " or ".join(str(way.variables[_CHOSEN].type) for way in ways)  # type: ignore[union-attr]
            raise self.error(f"this is {kinds}, depending on the test", node, help="make both the same type")
        return chosen

    def _closure(self, frame: Frame, node: untyped.Closure) -> Operand:
        defaults = {name: self.evaluate(frame, value) for name, value in node.defaults}
        return Operand(Closure(node, frame), parts=tuple(defaults.values()))

    def _tuple_item(self, frame: Frame, operand: Operand, index: untyped.Expression, node: untyped.Node) -> Operand:
        parts = self.builder.parts(operand)
        if isinstance(index, untyped.Slice):
            limits = [
                None if part is None else self.evaluate(frame, part) for part in (index.start, index.stop, index.step)
            ]
            if all(limit is None or limit.is_constant for limit in limits):
                part = parts[slice(*(None if limit is None else limit.known for limit in limits))]
                is_list = isinstance(operand.type, List)
                return Operand(List(tuple(item.type for item in part)), parts=part) if is_list else make_tuple(part)
            raise self.error("a tuple is sliced with constants", node)
        return self._item(operand, self.evaluate(frame, index), node)

    def _item(self, operand: Operand, place: Operand, node: untyped.Node) -> Operand:
        parts = self.builder.parts(operand)
        what = "list" if isinstance(operand.type, List) else "tuple"
        if place.is_constant and isinstance(place.known, int):
            if -len(parts) <= place.known < len(parts):
                return parts[place.known]
            raise self.error(f"index {place.known} is out of range for a {what} of {len(parts)}", node)
        return self._item_chosen_at_run_time(parts, operators.as_index(self, place, node), what, node)

    def _item_chosen_at_run_time(
        self, parts: tuple[Operand, ...], place: Operand, what: str, node: untyped.Node
    ) -> Operand:
        builder = self.builder
        common, converted = builder.promoted(*parts) if parts else (None, ())
        if common is None:
            raise self.error("items of different types are chosen with a constant index", node)
        count = builder.value(constant(len(parts)))
        zero = builder.value(constant(0))
        index = builder.value(place)
        wrapped = builder.emit("add", (index, count))
        index = builder.emit("select", (builder.emit("lt", (index, zero)), wrapped, index), weak_int)
        inside = builder.emit("and", (builder.emit("ge", (index, zero)), builder.emit("lt", (index, count))))
        if self.is_checked:
            builder.do("check", (inside,), error="IndexError", message=f"{what} index out of range")
        if len(parts) > _MOST_CHOICES and all(part.is_constant for part in parts):
            return Operand(common, builder.emit("table", (index,), common, items=tuple(part.known for part in parts)))
        chosen = builder.value(converted[-1])
        for number, part in enumerate(converted[:-1]):
            is_it = builder.emit("eq", (index, builder.value(constant(number))))
            chosen = builder.emit("select", (is_it, builder.value(part), chosen), common)
        return Operand(common, chosen)

    def _complex_part(self, operand: Operand, name: str) -> Operand:
        kind = operand.type
        builder = self.builder
        assert isinstance(kind, (Scalar, Weak))
        if not kind.is_complex:
            return operand if name == "real" else builder.convert(constant(0), kind)
        part: Scalar | Weak = weak_float if isinstance(kind, Weak) else part_type(kind)
        return Operand(part, builder.emit("item", (builder.value(operand),), part, index=("real", "imag").index(name)))
