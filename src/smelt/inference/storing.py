# SPDX-License-Identifier: Apache-2.0
"""Storing into elements and parts of arrays, element by element: converted, and repeated along the axes that a value lacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

from smelt.inference import views
from smelt.inference.arrays import Element, Masked
from smelt.inference.environment import common_type
from smelt.inference.expressions import ExpressionInference
from smelt.inference.overlaps import order_of_copy
from smelt.ir import untyped
from smelt.ir.builder import Operand, constant, is_boolean
from smelt.ir.typed import Value
from smelt.types import Array, Struct, Tuple, Type, boolean, weak_int

Destination = Element | Masked | Operand
"""Where something is stored: in an element, in those that a mask selects, or in all of a part."""


class StoreInference(ExpressionInference):
    """Infers what is stored where."""

    def put(self, destination: Destination, operand: Operand, node: untyped.Node, symbol: str | None = None) -> None:
        """Store `operand`, or what is there `symbol` it. Raises `KernelError`."""
        if isinstance(destination, Element):
            self._put_element(destination, operand, node, symbol)
        elif isinstance(destination, Masked):
            self._put_through_mask(destination, operand, node, symbol)
        elif isinstance(operand.type, Array):
            self._copy(destination, operand, node, symbol)
        elif isinstance(operand.type, Tuple) and not isinstance(views.array_type_of(destination).element, Struct):
            self._put_items(destination, operand, node, symbol)
        else:
            value = self._prepared(operand, views.array_type_of(destination).element, node, symbol)
            self._each(destination, None, lambda place: self._put_one(place, value, node, symbol))

    def loaded(self, place: Element) -> Operand:
        """The element at a place."""
        return views.load(self.builder, place.array, place.indices)

    def converted_to_element(self, operand: Operand, element: Type, node: untyped.Node) -> Operand:
        """`operand` as an element of an array, converted as NumPy's assignment does. Raises `KernelError`."""
        if isinstance(element, Struct) and isinstance(operand.type, (Tuple, Struct)) and operand.type != element:
            return self._record(operand, element, node)
        is_narrowed = getattr(operand.type, "is_complex", False) and not getattr(element, "is_complex", False)
        if is_narrowed or (operand.type != element and common_type(self.builder, [operand.type, element]) is None):
            raise self.error(f"a {operand.type} can't be assigned to an element of type {element}", node)
        return self.builder.convert(operand, element)

    def _record(self, operand: Operand, element: Struct, node: untyped.Node) -> Operand:
        is_tuple = isinstance(operand.type, Tuple) or (isinstance(operand.type, Struct) and operand.type.is_tuple)
        parts = self.builder.parts(operand) if is_tuple else ()
        if len(parts) != len(element.fields):
            raise self.error(
                f"a {operand.type} can't be assigned to an element of type {element}",
                node,
                help=f"assign a tuple of {len(element.fields)}, or each field by itself",
            )
        fields = zip(parts, element.fields, strict=True)
        return Operand(element, parts=tuple(self.converted_to_element(part, kind, node) for part, (_, kind) in fields))

    def _put_element(self, place: Element, operand: Operand, node: untyped.Node, symbol: str | None) -> None:
        if symbol is not None:
            operand = self.binary(symbol, self.loaded(place), operand, node)
        element = views.array_type_of(place.array).element
        value = self.builder.value(self.converted_to_element(operand, element, node))
        self.builder.do("store", (self.builder.value(place.array), value, *place.indices))

    def _put_one(self, place: Element, operand: Operand, node: untyped.Node, symbol: str | None) -> None:
        """As `_put_element`, one of many: an operation in place keeps the sort of number, as NumPy's do."""
        if symbol is not None:
            element = views.array_type_of(place.array).element
            operand = self.binary(symbol, self.loaded(place), operand, node)
            if _sort(operand.type) > _sort(element):
                raise self.error(
                    f"{symbol}= makes a {operand.type} here, which elements of type {element} can't hold",
                    node,
                    help="loop over the elements, and convert each: a[i] = int(...)",
                )
        self._put_element(place, operand, node, None)

    def _prepared(self, operand: Operand, element: Type, node: untyped.Node, symbol: str | None) -> Operand:
        """What is stored many times, converted and computed once."""
        operand = operand if symbol is not None else self.converted_to_element(operand, element, node)
        return operand if symbol is not None and operand.is_constant else Operand(operand.type, self.builder.value(operand))

    def _put_items(self, part: Operand, operand: Operand, node: untyped.Node, symbol: str | None) -> None:
        """Store the items of a tuple, which may be nested, along the last axes of a part."""
        kind = views.array_type_of(part)
        depth = self._depth(operand, node)
        if depth > kind.dimensions:
            what = f"an element of type {kind.element}" if kind.dimensions == 0 else f"a {kind}"
            raise self.error(f"a {operand.type} can't be assigned to {what}", node)
        count = views.extent(self.builder, part, 0)
        if depth < kind.dimensions:
            self._repeat(count, None, lambda number: self._put_items(self._row(part, number), operand, node, symbol))
            return
        items = self.builder.parts(operand)
        if len(items) == 1:
            self._repeat(count, None, lambda number: self._put_item(part, number, items[0], node, symbol))
            return
        fits = self.builder.emit("eq", (self.builder.value(count), self.builder.value(constant(len(items)))))
        self.builder.do("check", (fits,), error="ValueError", message=f"{len(items)} items do not fit into this part")
        for number, item in enumerate(items):
            self._put_item(part, self.builder.value(constant(number)), item, node, symbol)

    def _put_item(self, part: Operand, number: Value, item: Operand, node: untyped.Node, symbol: str | None) -> None:
        if views.array_type_of(part).dimensions == 1:
            self._put_one(Element(part, (number,)), item, node, symbol)
        else:
            self._put_items(self._row(part, number), item, node, symbol)

    def _depth(self, operand: Operand, node: untyped.Node) -> int:
        """How many axes a tuple has as an array: 0 for a number."""
        if not isinstance(operand.type, Tuple):
            if isinstance(operand.type, Array):
                raise self.error("a tuple with arrays in it can't be assigned to a part", node, help="assign each array")
            return 0
        depths = {self._depth(part, node) for part in self.builder.parts(operand)}
        if len(depths) != 1:
            raise self.error(
                f"a {operand.type} has no one shape", node, help="assign tuples whose items are all numbers, or all as long"
            )
        return 1 + depths.pop()

    def _row(self, part: Operand, number: Value) -> Operand:
        return views.item(self.builder, part, Operand(weak_int, number))

    def _put_through_mask(self, masked: Masked, operand: Operand, node: untyped.Node, symbol: str | None) -> None:
        """Store one value in each element, or part, whose place in the mask is true."""
        builder = self.builder
        array, mask = masked.array, masked.mask
        kind, shape = views.array_type_of(array), views.shape(builder, mask)
        if isinstance(operand.type, Array) or (isinstance(operand.type, Tuple) and not isinstance(kind.element, Struct)):
            raise self.error(
                f"a {operand.type} can't be assigned through a mask",
                node,
                help="assign one number, or loop over the elements and test the mask for each",
            )
        for wanted, found in zip(views.shape(builder, array), shape, strict=False):
            fits = builder.emit("eq", (builder.value(wanted), builder.value(found)))
            builder.do("check", (fits,), error="IndexError", message="the mask has another shape than the array")
        value = self._prepared(operand, kind.element, node, symbol)

        def put(place: Element) -> None:
            chosen, goes_on = builder.new_block("chosen"), builder.new_block("next")
            builder.branch(builder.value(self.loaded(place)), chosen, goes_on)
            builder.enter(chosen)
            if kind.dimensions == len(place.indices):
                self._put_one(Element(array, place.indices), value, node, symbol)
            else:
                axes = [views.Axis("index", (index,)) for index in place.indices]
                rest = [views.WHOLE] * (kind.dimensions - len(axes))
                self.put(views.part(builder, array, [*axes, *rest]), value, node, symbol)
            builder.jump(goes_on)
            builder.enter(goes_on)

        self._each(mask, None, put)

    def _copy(self, part: Operand, source: Operand, node: untyped.Node, symbol: str | None) -> None:
        """Store the elements of `source`, repeated along the leading axes that it lacks and those of which it has one."""
        builder = self.builder
        kind, given = views.array_type_of(part), views.array_type_of(source)
        missing = kind.dimensions - given.dimensions
        if missing < 0:
            raise self.error(f"a {given} can't be assigned to a {kind}", node, help="index it down to as many axes")
        one, zero = builder.value(constant(1)), builder.value(constant(0))
        is_repeated, axes = [], []
        for wanted, found in zip(views.shape(builder, part)[missing:], views.shape(builder, source), strict=True):
            extent = builder.value(found)
            differs = builder.emit("ne", (builder.value(wanted), extent))
            fits = builder.emit("or", (builder.emit("not", (differs,)), builder.emit("eq", (extent, one))))
            builder.do("check", (fits,), error="ValueError", message="could not broadcast: arrays of different shapes")
            is_repeated.append(differs)
            step = builder.emit("select", (differs, zero, one), weak_int)
            axes.append(views.Axis("slice", (zero, builder.value(wanted), step)))
        is_backward = order_of_copy(builder, part, source, is_repeated) if kind.element == given.element else None

        def copy(elements: Operand) -> None:
            def put(place: Element) -> None:
                self._put_one(place, views.load(builder, elements, place.indices[missing:]), node, symbol)

            self._each(part, is_backward, put)

        if not axes or not builder.is_reachable:
            copy(source)
            return
        repeating, plain, done = (builder.new_block(name) for name in ("repeating", "plain", "copied"))
        is_any_repeated = reduce(lambda first, second: builder.emit("or", (first, second)), is_repeated)
        builder.branch(is_any_repeated, repeating, plain)
        # Apart, since what LLVM makes of the plain loop is faster than one whose strides can be 0.
        for block in (repeating, plain):
            builder.enter(block)
            copy(source if block is plain else views.part(builder, source, axes))
            builder.jump(done)
        builder.enter(done)

    def _each(self, part: Operand, is_backward: Value | None, body: Callable[[Element], None]) -> None:
        """Loops over all elements of a part: the last axis varies fastest, backward all of them where `is_backward` holds."""

        def loops(extents: Sequence[Operand], indices: tuple[Value, ...]) -> None:
            if extents:
                self._repeat(extents[0], is_backward, lambda number: loops(extents[1:], (*indices, number)))
            else:
                body(Element(part, indices))

        loops(views.shape(self.builder, part), ())

    def _repeat(self, extent: Operand, is_backward: Value | None, body: Callable[[Value], None]) -> None:
        """A loop with so many rounds, of which `body` gets the numbers: from the last to the first where `is_backward` holds."""
        builder = self.builder
        if not builder.is_reachable:
            return
        count, one = builder.value(extent), builder.value(constant(1))
        header, inside, outside = (builder.new_block(name) for name in ("loop", "round", "loop_end"))
        counter = Value(weak_int)
        header.parameters.append(counter)
        builder.jump(header, (builder.value(constant(0)),))
        builder.enter(header)
        builder.branch(builder.emit("lt", (counter, count)), inside, outside)
        builder.enter(inside)
        number = counter
        if is_backward is not None:
            mirrored = builder.emit("sub", (builder.emit("sub", (count, one)), counter))
            number = builder.emit("select", (is_backward, mirrored, counter), weak_int)
        body(number)
        builder.jump(header, (builder.emit("add", (counter, one)),))
        builder.enter(outside)


def _sort(kind: Type) -> int:
    """The sort of a number: NumPy's operations in place turn none into one that follows."""
    if is_boolean(kind):
        return 0
    if getattr(kind, "is_complex", False):
        return 4
    if getattr(kind, "is_floating", False):
        return 3
    return 2 if getattr(kind, "is_signed", False) else 1
