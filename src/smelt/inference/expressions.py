# SPDX-License-Identifier: Apache-2.0
"""Expressions: what each evaluates to, and the instructions that compute it."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from smelt.caching import MISSING, read_attribute, read_cell, read_global
from smelt.inference import operators
from smelt.inference.calls import CallInference
from smelt.inference.context import Closure, Frame
from smelt.inference.environment import Unusable, Way, join, leave
from smelt.ir import untyped
from smelt.ir.builder import Operand, constant, is_number
from smelt.types import (
    Array,
    BoundMethod,
    Constant,
    Range,
    Scalar,
    Struct,
    Tuple,
    Weak,
    dtype_of,
    part_type,
    weak_float,
    weak_int,
)

_CHOSEN = "chosen."
"""What a choice evaluates to, as a variable beside those of the function."""


class ExpressionInference(CallInference):
    """Infers expressions."""

    def evaluate(self, frame: Frame, node: untyped.Expression) -> Operand:
        """What `node` evaluates to. Raises `KernelError`."""
        self.builder.position = node.position
        match node:
            case untyped.Literal(value=value):
                return self.constant(value, node)
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
                return operators.unary(self, symbol, self.evaluate(frame, operand), node)
            case untyped.Binary(operator=symbol, left=left, right=right):
                first, second = self.evaluate(frame, left), self.evaluate(frame, right)
                self.builder.position = node.position
                return operators.binary(self, symbol, first, second, node)
            case untyped.Compare():
                return self._comparison(frame, node)
            case untyped.Logical():
                return self._logical(frame, node)
            case untyped.Conditional():
                return self._conditional(frame, node)
            case untyped.Walrus(name=name, value=value):
                assigned = frame.variables[name] = self.evaluate(frame, value)
                return assigned
            case untyped.Closure():
                return self._closure(frame, node)
            case untyped.Call():
                return self.call(frame, node)
        raise self.error(f"{type(node).__name__} has no place here", node)

    def evaluate_truth(self, frame: Frame, node: untyped.Expression) -> Operand:
        """Whether `node` counts as true."""
        return operators.truth(self, self.evaluate(frame, node), node)

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
        """The items of something whose number of items is part of its type."""
        if isinstance(operand.type, Tuple) or (isinstance(operand.type, Struct) and operand.type.is_tuple):
            return self.builder.parts(operand)
        raise self.error(f"a {operand.type} can't be unpacked", node, help="unpack tuples; index arrays")

    def attribute(self, operand: Operand, name: str, node: untyped.Node) -> Operand:
        """`operand.name`."""
        kind = operand.type
        builder = self.builder
        if isinstance(kind, Constant):
            return self._constant_attribute(kind.value, name, node)
        if isinstance(kind, Array):
            if name == "ndim":
                return constant(kind.dimensions)
            if name == "dtype" and isinstance(kind.element, Scalar):
                return constant(dtype_of(kind.element))
            if name in ("shape", "size"):
                array = builder.value(operand)
                extents = tuple(
                    Operand(weak_int, builder.emit("extent", (array,), dimension=d)) for d in range(kind.dimensions)
                )
                if name == "shape":
                    return make_tuple(extents)
                size = constant(1)
                for extent in extents:
                    size = operators.binary(self, "*", size, extent, node)
                return size
        if isinstance(kind, Struct):
            position = kind.field(name)
            if position is not None:
                return builder.parts(operand)[position]
            if kind.python_class is not None:
                return self._instance_attribute(operand, kind.python_class, name, node)
        if isinstance(kind, Range) and name in ("start", "stop", "step"):
            return builder.parts(operand)[("start", "stop", "step").index(name)]
        if is_number(kind) and name in ("real", "imag"):
            return self._complex_part(operand, name)
        raise self.error(f"a {kind} has no attribute {name}", node)

    def subscript(self, frame: Frame, operand: Operand, index: untyped.Expression, node: untyped.Node) -> Operand:
        """`operand[index]`."""
        kind = operand.type
        if isinstance(kind, Array):
            array, indices = self.element_indices(frame, operand, index, node)
            return Operand(kind.element, self.builder.emit("load", (array, *indices), kind.element))
        if isinstance(kind, Tuple) or (isinstance(kind, Struct) and kind.is_tuple):
            return self._tuple_item(frame, operand, index, node)
        if isinstance(kind, Struct):
            name = self.evaluate(frame, index)
            if isinstance(name.type, Constant) and isinstance(name.known, str):
                return self.attribute(operand, name.known, node)
        raise self.error(f"a {kind} can't be indexed", node)

    def element_indices(
        self, frame: Frame, operand: Operand, index: untyped.Expression, node: untyped.Node
    ) -> tuple[Any, list[Any]]:
        """An array and the indices of one of its elements, as values, counted from the start and checked."""
        kind = operand.type
        assert isinstance(kind, Array)
        nodes = index.items if isinstance(index, untyped.TupleDisplay) else (index,)
        given = [operand for part in nodes for operand in self._index_operands(frame, part)]
        if len(given) != kind.dimensions:
            raise self.error(
                f"a {kind} takes {kind.dimensions} ind{'ex' if kind.dimensions == 1 else 'ices'}, not {len(given)}",
                node,
            )
        self.builder.position = node.position
        array = self.builder.value(operand)
        indices = [
            self.builder.emit("index", (array, self.builder.value(part)), dimension=d, checked=self.is_checked)
            for d, part in enumerate(given)
        ]
        return array, indices

    def _index_operands(self, frame: Frame, node: untyped.Expression) -> list[Operand]:
        if isinstance(node, untyped.Slice):
            raise self.error("kernels can't slice arrays yet", node, help="index element by element")
        operand = self.evaluate(frame, node)
        if isinstance(operand.type, Tuple):
            return [operators.as_index(self, part, node) for part in self.builder.parts(operand)]
        return [operators.as_index(self, operand, node)]

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
        if isinstance(value, np.ndarray):
            raise self.error(f"{name} is an array of the module", node, help="pass it as an argument")
        return self.constant(value, node)

    def _constant_attribute(self, value: Any, name: str, node: untyped.Node) -> Operand:
        if not isinstance(value, (types.ModuleType, type)):
            raise self.error(f"{value!r} has no attribute that a kernel can use: {name}", node)
        found = self.read(read_attribute, value, name, node)
        if found is MISSING:
            raise self.error(f"{value.__name__} has no attribute {name}", node)
        if isinstance(found, staticmethod):
            found = found.__func__
        return self.constant(found, node)

    def _instance_attribute(self, operand: Operand, cls: type, name: str, node: untyped.Node) -> Operand:
        found = self.read(read_attribute, cls, name, node)
        if isinstance(found, types.FunctionType):
            return Operand(BoundMethod(found, operand.type), parts=(operand,))
        if isinstance(found, staticmethod):
            return self.constant(found.__func__, node)
        if isinstance(found, property) and isinstance(found.fget, types.FunctionType):
            method = Operand(BoundMethod(found.fget, operand.type), parts=(operand,))
            return self.call_operand(method, (), {}, node)
        if found is MISSING or inspect.isdatadescriptor(found):
            raise self.error(f"a {operand.type} has no attribute {name}", node)
        return self.constant(found, node)

    def _comparison(self, frame: Frame, node: untyped.Compare) -> Operand:
        result, left, rest = None, self.evaluate(frame, node.first), list(node.rest)
        symbol, following = rest.pop(0)
        right = self.evaluate(frame, following)
        self.builder.position = node.position
        result = operators.compare(self, symbol, left, right, node)
        if not rest:
            return result
        # Each further operand is evaluated only where what stands before it holds.
        return self._short_circuit(frame, result, True, lambda: self._compare_rest(frame, right, rest, node), node)

    def _compare_rest(
        self, frame: Frame, left: Operand, rest: list[tuple[str, untyped.Expression]], node: untyped.Compare
    ) -> Operand:
        (symbol, following), *further = rest
        right = self.evaluate(frame, following)
        result = operators.compare(self, symbol, left, right, node)
        if not further:
            return result
        return self._short_circuit(frame, result, True, lambda: self._compare_rest(frame, right, further, node), node)

    def _logical(self, frame: Frame, node: untyped.Logical) -> Operand:
        first, *rest = node.operands
        goes_on = node.operator == "and"
        result = self.evaluate_truth(frame, first)
        for following in rest:
            rest_of_it = partial(self.evaluate_truth, frame, following)
            result = self._short_circuit(frame, result, goes_on, rest_of_it, node)
        return result

    def _short_circuit(
        self, frame: Frame, first: Operand, goes_on: bool, rest: Callable[[], Operand], node: untyped.Node
    ) -> Operand:
        """`first`, unless it is `goes_on`; what `rest` evaluates to then."""
        return self._choose(frame, first, rest if goes_on else None, None if goes_on else rest, node) or first

    def _conditional(self, frame: Frame, node: untyped.Conditional) -> Operand:
        test = self.evaluate_truth(frame, node.test)
        chosen = self._choose(
            frame,
            test,
            lambda: self.evaluate(frame, node.then),
            lambda: self.evaluate(frame, node.otherwise),
            node,
        )
        assert chosen is not None
        return chosen

    def _choose(
        self,
        frame: Frame,
        test: Operand,
        then: Callable[[], Operand] | None,
        otherwise: Callable[[], Operand] | None,
        node: untyped.Node,
    ) -> Operand | None:
        """What one of two ways evaluates to; where a way is None, the outcome of the test itself."""
        if test.is_constant:
            way = then if test.known else otherwise
            return way() if way is not None else None
        builder = self.builder
        blocks = (builder.new_block("then"), builder.new_block("otherwise"))
        builder.branch(builder.value(test), *blocks)
        before = dict(frame.variables)
        ways: list[Way] = []
        for block, way, known in zip(blocks, (then, otherwise), (True, False), strict=True):
            builder.enter(block)
            frame.variables = dict(before)
            operand = way() if way is not None else constant(known)
            ways += leave(builder, {**frame.variables, _CHOSEN: operand})
        if not ways:
            frame.variables = before
            return constant(False)
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
                return make_tuple(parts[slice(*(None if limit is None else limit.known for limit in limits))])
            raise self.error("a tuple is sliced with constants", node)
        place = self.evaluate(frame, index)
        if place.is_constant and isinstance(place.known, int):
            if -len(parts) <= place.known < len(parts):
                return parts[place.known]
            raise self.error(f"index {place.known} is out of range for a tuple of {len(parts)}", node)
        return self._item_chosen_at_run_time(parts, operators.as_index(self, place, node), node)

    def _item_chosen_at_run_time(self, parts: tuple[Operand, ...], place: Operand, node: untyped.Node) -> Operand:
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
            builder.do("check", (inside,), error="IndexError", message="tuple index out of range")
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


def make_tuple(items: tuple[Operand, ...]) -> Operand:
    return Operand(Tuple(tuple(item.type for item in items)), parts=items)
