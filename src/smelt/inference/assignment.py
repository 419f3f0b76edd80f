# SPDX-License-Identifier: Apache-2.0
"""Assignment: to variables, to elements of arrays and fields of them, and to parts of arrays, element by element."""

from __future__ import annotations

from collections.abc import Callable

from smelt.inference import views
from smelt.inference.arrays import Element
from smelt.inference.context import Frame
from smelt.inference.environment import common_type
from smelt.inference.expressions import ExpressionInference
from smelt.inference.overlaps import order_of_copy
from smelt.ir import untyped
from smelt.ir.builder import Operand, constant, make_tuple
from smelt.ir.typed import Value
from smelt.types import Array, Constant, Struct, Tuple, Type, weak_int


class AssignmentInference(ExpressionInference):
    """Infers assignments."""

    def assign(self, frame: Frame, target: untyped.Target, operand: Operand) -> None:
        """`target = operand`."""
        if isinstance(target, untyped.Local):
            frame.variables[target.name] = operand
        elif isinstance(target, untyped.TupleTarget):
            self._unpack(frame, target, operand)
        else:
            self._put(self._destination(frame, target), operand, target)

    def assign_augmented(self, frame: Frame, node: untyped.AugmentedAssign) -> None:
        """`target operator= value`; the target's index is evaluated once, and before the value."""
        target = node.target
        if isinstance(target, untyped.Local):
            current = self.evaluate(frame, target)
            value = self.evaluate(frame, node.value)
            self.builder.position = node.position
            frame.variables[target.name] = self.binary(node.operator, current, value, node)
            return
        destination = self._destination(frame, target)
        # Loaded before the value is evaluated, as Python does.
        current_element = self._loaded(destination) if isinstance(destination, Element) else None
        value = self.evaluate(frame, node.value)
        self.builder.position = node.position
        if isinstance(destination, Element):
            assert current_element is not None
            self._put(destination, self.binary(node.operator, current_element, value, node), node)
        else:
            self._put(destination, value, node, node.operator)

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

    def _unpack(self, frame: Frame, target: untyped.TupleTarget, operand: Operand) -> None:
        items = self.items_of(operand, target)
        count = len(target.items)
        if target.starred is None:
            if len(items) != count:
                raise self.error(f"{len(items)} values can't be unpacked into {count}", target)
        else:
            after = count - target.starred - 1
            if len(items) < count - 1:
                raise self.error(f"{len(items)} values can't be unpacked into at least {count - 1}", target)
            middle = items[target.starred : len(items) - after]
            items = (*items[: target.starred], make_tuple(middle), *items[len(items) - after :])
        for item, value in zip(target.items, items, strict=True):
            self.assign(frame, item, value)

    def _destination(self, frame: Frame, target: untyped.Subscript | untyped.Attribute) -> Element | Operand:
        """The element or the part of an array that `target` names. Raises `KernelError` if it can't be assigned."""
        container = self._place(frame, target.value)
        self.builder.position = target.position
        if isinstance(target, untyped.Attribute):
            kind = container.array.type.element if isinstance(container, Element) else container.type  # type: ignore[attr-defined]
            if not isinstance(container, Element) or not isinstance(kind, Struct) or kind.field(target.name) is None:
                raise self.error(
                    f"the attribute {target.name} of a {kind} can't be assigned",
                    target,
                    help="make a new value, with dataclasses.replace or _replace",
                )
        elif not isinstance(container, Element) and not isinstance(container.type, Array):
            raise self.error(
                f"the items of a {container.type} can't be assigned",
                target,
                help="make a new one; assign elements of arrays",
            )
        destination = self._within(frame, container, target)
        array = destination.array if isinstance(destination, Element) else destination
        if not isinstance(array.type, Array):
            raise self.error(f"the items of a {array.type} can't be assigned", target)
        if not array.type.writeable:
            name = self._name_of(container)
            raise self.error(f"{name} is read-only ({array.type})", target, help="pass an array that can be written")
        return destination

    def _place(self, frame: Frame, node: untyped.Expression) -> Element | Operand:
        """Where the value of `node` is, if that is an element of an array, and the value itself if not."""
        if isinstance(node, (untyped.Subscript, untyped.Attribute)):
            return self._within(frame, self._place(frame, node.value), node)
        return self.evaluate(frame, node)

    def _within(
        self, frame: Frame, container: Element | Operand, node: untyped.Subscript | untyped.Attribute
    ) -> Element | Operand:
        """Where the attribute or item `node` of `container` is."""
        if isinstance(container, Element):
            element = views.array_type_of(container.array).element
            name = node.name if isinstance(node, untyped.Attribute) else self._field_name(frame, node.index, element)
            if isinstance(element, Struct) and element.field(name) is not None:
                return Element(self.array_field(container.array, name, node), container.indices)
            container = self._loaded(container)
        if isinstance(node, untyped.Attribute):
            return self.attribute(container, node.name, node)
        if isinstance(container.type, Array):
            return self.select(frame, container, node.index, node)
        return self.subscript(frame, container, node.index, node)

    def _field_name(self, frame: Frame, index: untyped.Expression, element: Type) -> str:
        operand = self.evaluate(frame, index) if isinstance(element, Struct) else None
        is_name = operand is not None and isinstance(operand.type, Constant) and isinstance(operand.known, str)
        return operand.known if operand is not None and is_name else ""

    def _loaded(self, place: Element) -> Operand:
        return views.load(self.builder, place.array, place.indices)

    def _name_of(self, container: Element | Operand) -> str:
        operand = container.array if isinstance(container, Element) else container
        name = operand.value.name if operand.value is not None else ""
        return f"the array {name}" if name else "the array"

    def _put(
        self, destination: Element | Operand, operand: Operand, node: untyped.Node, symbol: str | None = None
    ) -> None:
        """Store `operand`, or what is there `symbol` it, in an element or in every element of a part."""
        if isinstance(destination, Element):
            element = views.array_type_of(destination.array).element
            if symbol is not None:
                operand = self.binary(symbol, self._loaded(destination), operand, node)
            value = self.builder.value(self.converted_to_element(operand, element, node))
            self.builder.do("store", (self.builder.value(destination.array), value, *destination.indices))
            return
        kind = views.array_type_of(destination)
        if isinstance(operand.type, Array):
            self._copy(destination, operand, node, symbol)
        elif isinstance(operand.type, Tuple) and not isinstance(kind.element, Struct):
            self._put_items(destination, self.builder.parts(operand), node, symbol)
        else:
            if symbol is None:
                # Once, not for each element.
                operand = self.converted_to_element(operand, kind.element, node)
                operand = Operand(operand.type, self.builder.value(operand))
            self._each(destination, None, lambda place: self._put(place, operand, node, symbol))

    def _put_items(self, part: Operand, items: tuple[Operand, ...], node: untyped.Node, symbol: str | None) -> None:
        """Store each item of a tuple along the first axis."""
        kind = views.array_type_of(part)
        if kind.dimensions == 0:
            raise self.error(f"a tuple of {len(items)} can't be assigned to an element of type {kind.element}", node)
        count = self.builder.value(views.extent(self.builder, part, 0))
        fits = self.builder.emit("eq", (count, self.builder.value(constant(len(items)))))
        self.builder.do("check", (fits,), error="ValueError", message=f"{len(items)} items do not fit into this part")
        for number, item in enumerate(items):
            position = constant(number)
            place: Element | Operand = (
                Element(part, (self.builder.value(position),))
                if kind.dimensions == 1
                else views.item(self.builder, part, position)
            )
            self._put(place, item, node, symbol)

    def _copy(self, part: Operand, source: Operand, node: untyped.Node, symbol: str | None) -> None:
        """Store the elements of `source`, repeated along the leading axes that it lacks."""
        kind, given = views.array_type_of(part), views.array_type_of(source)
        missing = kind.dimensions - given.dimensions
        if missing < 0:
            raise self.error(f"a {given} can't be assigned to a {kind}", node, help="index it down to as many axes")
        extents = zip(views.shape(self.builder, part)[missing:], views.shape(self.builder, source), strict=True)
        for wanted, found in extents:
            fits = self.builder.emit("eq", (self.builder.value(wanted), self.builder.value(found)))
            self.builder.do("check", (fits,), error="ValueError", message="arrays of different shapes")
        is_backward = order_of_copy(self.builder, part, source) if kind.element == given.element else None
        self._each(
            part,
            is_backward,
            lambda place: self._put(place, views.load(self.builder, source, place.indices[missing:]), node, symbol),
        )

    def _each(self, part: Operand, is_backward: Value | None, body: Callable[[Element], None]) -> None:
        """Loops over all elements of a part: the last axis varies fastest, backward all of them where `is_backward` holds."""
        builder = self.builder
        one = builder.value(constant(1))

        def loop(extents: tuple[Operand, ...], indices: tuple[Value, ...]) -> None:
            if not extents:
                body(Element(part, indices))
                return
            count = builder.value(extents[0])
            header, inside, outside = (builder.new_block(name) for name in ("loop", "round", "loop_end"))
            counter = Value(weak_int)
            header.parameters.append(counter)
            builder.jump(header, (builder.value(constant(0)),))
            builder.enter(header)
            builder.branch(builder.emit("lt", (counter, count)), inside, outside)
            builder.enter(inside)
            index = counter
            if is_backward is not None:
                mirrored = builder.emit("sub", (builder.emit("sub", (count, one)), counter))
                index = builder.emit("select", (is_backward, mirrored, counter), weak_int)
            loop(extents[1:], (*indices, index))
            builder.jump(header, (builder.emit("add", (counter, one)),))
            builder.enter(outside)

        if builder.is_reachable:
            loop(views.shape(builder, part), ())
