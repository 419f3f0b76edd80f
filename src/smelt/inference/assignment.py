# SPDX-License-Identifier: Apache-2.0
"""Assignment: to variables, to elements of arrays and fields of them, and to parts of arrays."""

from __future__ import annotations

from smelt.inference import views
from smelt.inference.arrays import Element, Masked
from smelt.inference.context import Frame
from smelt.inference.storing import Destination, StoreInference
from smelt.ir import untyped
from smelt.ir.builder import Operand, constant, make_tuple
from smelt.types import Array, Constant, List, Struct, Type


class AssignmentInference(StoreInference):
    """Infers assignments."""

    def assign(self, frame: Frame, target: untyped.Target, operand: Operand) -> None:
        """`target = operand`."""
        if isinstance(target, untyped.Local):
            frame.variables[target.name] = operand
            if operand.value is not None and not operand.value.name:
                # What a debugger shows, and errors call an array.
                operand.value.name = target.name
        elif isinstance(target, untyped.TupleTarget):
            self._unpack(frame, target, operand)
        else:
            self.put(self._destination(frame, target), operand, target)

    def assign_augmented(self, frame: Frame, node: untyped.AugmentedAssign) -> None:
        """`target operator= value`; the target's index is evaluated once, and before the value."""
        target = node.target
        if isinstance(target, untyped.Local):
            current = self.evaluate(frame, target)
            value = self.evaluate(frame, node.value)
            self.builder.position = node.position
            if isinstance(current.type, List):
                raise self.error("a captured list can't be changed", node, help="make a new one: a = a + b")
            if isinstance(current.type, Array):
                # In place, as NumPy does: the variable goes on being the same array.
                self._require_writeable(current, current, node)
                self.put(current, value, node, node.operator)
            else:
                self.assign(frame, target, self.binary(node.operator, current, value, node))
            return
        destination = self._destination(frame, target)
        # Loaded before the value is evaluated, as Python does.
        current_element = self.loaded(destination) if isinstance(destination, Element) else None
        value = self.evaluate(frame, node.value)
        self.builder.position = node.position
        if isinstance(destination, Element):
            assert current_element is not None
            self.put(destination, self.binary(node.operator, current_element, value, node), node)
        else:
            self.put(destination, value, node, node.operator)

    def _unpack(self, frame: Frame, target: untyped.TupleTarget, operand: Operand) -> None:
        count = len(target.items)
        is_array = isinstance(operand.type, Array) and operand.type.dimensions > 0
        if is_array and target.starred is not None:
            raise self.error(
                f"a {operand.type} can't be unpacked with a star: how many elements it has is known when the kernel runs",
                target,
                help="index the first ones, and take the rest as a part: rest = a[1:]",
            )
        items = self._elements(operand, count) if is_array else self.items_of(operand, target)
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

    def _elements(self, array: Operand, count: int) -> tuple[Operand, ...]:
        """The items along the first axis of an array, of which there have to be `count`."""
        builder = self.builder
        extent, wanted = builder.value(views.extent(builder, array, 0)), builder.value(constant(count))
        for operation, message in (("ge", "not enough values to unpack"), ("le", "too many values to unpack")):
            fits = builder.emit(operation, (extent, wanted))
            builder.do("check", (fits,), error="ValueError", message=f"{message} (expected {count})")
        return tuple(views.item(builder, array, constant(number)) for number in range(count))

    def _destination(self, frame: Frame, target: untyped.Subscript | untyped.Attribute) -> Destination:
        """Where in an array `target` stands. Raises `KernelError` if it can't be assigned."""
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
        array = destination if isinstance(destination, Operand) else destination.array
        if not isinstance(array.type, Array):
            raise self.error(f"the items of a {array.type} can't be assigned", target)
        self._require_writeable(array, container, target)
        return destination

    def _require_writeable(self, array: Operand, container: Destination, node: untyped.Node) -> None:
        """Raise `KernelError` unless `array`, which is in `container`, can be written."""
        if not views.array_type_of(array).writeable:
            name = self._name_of(container)
            raise self.error(f"{name} is read-only ({array.type})", node, help="pass an array that can be written")

    def _place(self, frame: Frame, node: untyped.Expression) -> Element | Operand:
        """Where the value of `node` is, if that is an element of an array, and the value itself if not."""
        if not isinstance(node, (untyped.Subscript, untyped.Attribute)):
            return self.evaluate(frame, node)
        place = self._within(frame, self._place(frame, node.value), node)
        if isinstance(place, Masked):
            raise self.no_such_index(place.array, place.mask, node)
        return place

    def _within(
        self, frame: Frame, container: Element | Operand, node: untyped.Subscript | untyped.Attribute
    ) -> Destination:
        """Where the attribute or item `node` of `container` is."""
        if isinstance(container, Element):
            element = views.array_type_of(container.array).element
            name = node.name if isinstance(node, untyped.Attribute) else self._field_name(frame, node.index, element)
            if isinstance(element, Struct) and element.field(name) is not None:
                return Element(self.array_field(container.array, name, node), container.indices)
            container = self.loaded(container)
        if isinstance(node, untyped.Attribute):
            return self.attribute(container, node.name, node)
        if isinstance(container.type, Array):
            return self.select(frame, container, node.index, node)
        return self.subscript(frame, container, node.index, node)

    def _field_name(self, frame: Frame, index: untyped.Expression, element: Type) -> str:
        operand = self.evaluate(frame, index) if isinstance(element, Struct) else None
        is_name = operand is not None and isinstance(operand.type, Constant) and isinstance(operand.known, str)
        return operand.known if operand is not None and is_name else ""

    def _name_of(self, container: Destination) -> str:
        operand = container if isinstance(container, Operand) else container.array
        name = operand.value.name if operand.value is not None else ""
        return f"the array {name}" if name else "the array"
