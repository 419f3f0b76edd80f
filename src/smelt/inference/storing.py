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
from smelt.types import Array, Struct, Tuple, Type, weak_int

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
            self._each(destination, lambda place: self._put_one(place, value, node, symbol))

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
        given = operand.type
        is_alike = (
            isinstance(given, Tuple)
            or (isinstance(given, Struct) and given.has_items)
            or _are_fields_of(given, element)
        )
        parts = self.builder.parts(operand) if is_alike else ()
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
        return (
            operand
            if symbol is not None and operand.is_constant
            else Operand(operand.type, self.builder.value(operand))
        )

    def _put_items(self, part: Operand, operand: Operand, node: untyped.Node, symbol: str | None) -> None:
        """Store the items of a tuple, which may be nested, along the last axes of a part."""
        kind = views.array_type_of(part)
        depth = self._depth(operand, node)
        if depth > kind.dimensions:
            what = f"an element of type {kind.element}" if kind.dimensions == 0 else f"a {kind}"
            raise self.error(f"a {operand.type} can't be assigned to {what}", node)
        count = views.extent(self.builder, part, 0)
        if depth < kind.dimensions:
            self._repeat(count, lambda number: self._put_items(self._row(part, number), operand, node, symbol))
            return
        items = self.builder.parts(operand)
        if len(items) == 1:
            self._repeat(count, lambda number: self._put_item(part, number, items[0], node, symbol))
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
                raise self.error(
                    "a tuple with arrays in it can't be assigned to a part", node, help="assign each array"
                )
            return 0
        depths = {self._depth(part, node) for part in self.builder.parts(operand)}
        if len(depths) != 1:
            raise self.error(
                f"a {operand.type} has no one shape",
                node,
                help="assign tuples whose items are all numbers, or all as long",
            )
        return 1 + depths.pop()

    def _row(self, part: Operand, number: Value) -> Operand:
        return views.item(self.builder, part, Operand(weak_int, number))

    def _put_through_mask(self, masked: Masked, operand: Operand, node: untyped.Node, symbol: str | None) -> None:
        """Store one value in each element, or part, whose place in the mask is true."""
        builder = self.builder
        array, mask = masked.array, masked.mask
        kind, shape = views.array_type_of(array), views.shape(builder, mask)
        if isinstance(operand.type, Array) or (
            isinstance(operand.type, Tuple) and not isinstance(kind.element, Struct)
        ):
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

        self._each(mask, put)

    def _copy(self, part: Operand, source: Operand, node: untyped.Node, symbol: str | None) -> None:
        """Store the elements of `source`, repeated along the leading axes that it lacks and those of which it has one."""
        builder = self.builder
        kind, given = views.array_type_of(part), views.array_type_of(source)
        missing = kind.dimensions - given.dimensions
        if missing < 0:
            raise self.error(f"a {given} can't be assigned to a {kind}", node, help="index it down to as many axes")
        shape = views.shape(builder, part)
        is_repeated = [
            self._is_repeated(wanted, found)
            for wanted, found in zip(shape[missing:], views.shape(builder, source), strict=True)
        ]
        special = list(is_repeated)
        may_overlap = kind.element == given.element and kind.memory is given.memory
        is_backward = order_of_copy(builder, part, source, is_repeated) if may_overlap else None
        if is_backward is not None:
            special.append(is_backward)

        def copy(part: Operand, source: Operand) -> None:
            def put(place: Element) -> None:
                self._put_one(place, views.load(builder, source, place.indices[missing:]), node, symbol)

            self._each(part, put)

        if not special or not builder.is_reachable:
            copy(part, source)
            return
        # Apart, since LLVM vectorises loops whose strides it knows. The other one has the order and what is repeated in its strides.
        turned, plain, done = (builder.new_block(name) for name in ("turned", "plain", "copied"))
        builder.branch(reduce(lambda one, other: builder.emit("or", (one, other)), special), turned, plain)
        builder.enter(turned)
        not_repeated = [builder.value(constant(False))] * len(shape)
        copy(
            self._turned(part, shape, not_repeated, is_backward),
            self._turned(source, shape[missing:], is_repeated, is_backward),
        )
        builder.jump(done)
        builder.enter(plain)
        copy(part, source)
        builder.jump(done)
        builder.enter(done)

    def _is_repeated(self, wanted: Operand, found: Operand) -> Value:
        """Whether an axis with `found` elements is repeated to have `wanted`; checks that it has as many, or one."""
        builder = self.builder
        extent = builder.value(found)
        differs = builder.emit("ne", (builder.value(wanted), extent))
        is_one = builder.emit("eq", (extent, builder.value(constant(1))))
        fits = builder.emit("or", (builder.emit("not", (differs,)), is_one))
        builder.do("check", (fits,), error="ValueError", message="could not broadcast: arrays of different shapes")
        return differs

    def _turned(
        self, array: Operand, shape: Sequence[Operand], is_repeated: Sequence[Value], is_backward: Value | None
    ) -> Operand:
        """An array with all axes reversed where `is_backward` holds, and the one element of some repeated."""
        builder = self.builder
        zero, one = builder.value(constant(0)), builder.value(constant(1))
        axes = []
        for wanted, found, repeated in zip(shape, views.shape(builder, array), is_repeated, strict=True):
            start, step = zero, one
            if is_backward is not None:
                last = builder.emit("sub", (builder.value(found), one))
                start = builder.emit("select", (is_backward, last, zero), weak_int)
                step = builder.emit("select", (is_backward, builder.value(constant(-1)), one), weak_int)
            step = builder.emit("select", (repeated, zero, step), weak_int)
            axes.append(views.Axis("slice", (start, builder.value(wanted), step)))
        return views.part(builder, array, axes)

    def _each(self, part: Operand, body: Callable[[Element], None]) -> None:
        """Loops over all elements of a part: the last axis varies fastest."""

        def loops(extents: Sequence[Operand], indices: tuple[Value, ...]) -> None:
            if extents:
                self._repeat(extents[0], lambda number: loops(extents[1:], (*indices, number)))
            else:
                body(Element(part, indices))

        loops(views.shape(self.builder, part), ())

    def _repeat(self, extent: Operand, body: Callable[[Value], None]) -> None:
        """A loop with so many rounds, of which `body` gets the numbers."""
        builder = self.builder
        if not builder.is_reachable:
            return
        header, inside, outside = (builder.new_block(name) for name in ("loop", "round", "loop_end"))
        count, one = builder.value(extent), builder.value(constant(1))
        counter = Value(weak_int)
        header.parameters.append(counter)
        builder.jump(header, (builder.value(constant(0)),))
        builder.enter(header)
        builder.branch(builder.emit("lt", (counter, count)), inside, outside)
        builder.enter(inside)
        body(counter)
        builder.jump(header, (builder.emit("add", (counter, one)),))
        builder.enter(outside)


def _are_fields_of(given: Type, element: Struct) -> bool:
    """Whether a value has the fields of an element, in the same order."""
    return isinstance(given, Struct) and [name for name, _ in given.fields] == [name for name, _ in element.fields]


def _sort(kind: Type) -> int:
    """The sort of a number: NumPy's operations in place turn none into one that follows."""
    if is_boolean(kind):
        return 0
    if getattr(kind, "is_complex", False):
        return 4
    if getattr(kind, "is_floating", False):
        return 3
    return 2 if getattr(kind, "is_signed", False) else 1
