# SPDX-License-Identifier: Apache-2.0
"""Arrays: their attributes, and what an index selects, an element or a part."""

from __future__ import annotations

from dataclasses import dataclass

from smelt.compiler.errors import KernelError
from smelt.inference import operators, views
from smelt.inference.context import Frame
from smelt.inference.records import RecordInference
from smelt.ir import untyped
from smelt.ir.builder import Operand, constant, make_tuple
from smelt.ir.typed import Value
from smelt.types import Array, Constant, Scalar, Struct, Tuple, Type, boolean, dtype_of, none


@dataclass(frozen=True)
class Span:
    """An evaluated slice."""

    start: Operand | None
    stop: Operand | None
    step: Operand | None


@dataclass(frozen=True)
class Element:
    """Where an element of an array is: it can be loaded from there, and stored there.

    Attributes
    ----------
    array
        The array.
    indices
        The indices of the element, counted from the start and checked.
    """

    array: Operand
    indices: tuple[Value, ...]


@dataclass(frozen=True)
class Masked:
    """The elements, or parts, of an array that a mask selects, which has as many axes or fewer: something can be stored there.

    Attributes
    ----------
    array
        The array.
    mask
        An array of bools, for the first axes of `array`.
    """

    array: Operand
    mask: Operand


class ArrayInference(RecordInference):
    """Infers attributes and indices of arrays."""

    def array_attribute(self, array: Operand, name: str, node: untyped.Node) -> Operand | None:
        """`array.name`, or None if arrays have no such attribute."""
        kind = views.array_type_of(array)
        match name:
            case "ndim":
                return constant(kind.dimensions)
            case "dtype" if isinstance(kind.element, (Scalar, Struct)):
                return constant(dtype_of(kind.element))
            case "itemsize" if isinstance(kind.element, (Scalar, Struct)):
                return constant(kind.element.size)
            case "shape":
                return make_tuple(views.shape(self.builder, array))
            case "strides":
                return make_tuple(views.strides(self.builder, array))
            case "T":
                return views.transposed(self.builder, array)
            case "size":
                size = constant(1)
                for extent in views.shape(self.builder, array):
                    size = operators.binary(self, "*", size, extent, node)
                return size
        return None

    def array_item(self, frame: Frame, array: Operand, index: untyped.Expression, node: untyped.Node) -> Operand:
        """`array[index]`: an element or a part."""
        selected = self.select(frame, array, index, node)
        if isinstance(selected, Masked):
            raise self.no_such_index(array, selected.mask, node)
        return views.load(self.builder, selected.array, selected.indices) if isinstance(selected, Element) else selected

    def select(
        self, frame: Frame, array: Operand, index: untyped.Expression, node: untyped.Node
    ) -> Element | Masked | Operand:
        """Where `array[index]` is: an element, a part as an array of its own, or what a mask selects."""
        given = self._indices(frame, index)
        self.builder.position = node.position
        if len(given) == 1 and isinstance(given[0], Operand) and isinstance(given[0].type, Constant):
            name = given[0].known
            if isinstance(name, str):
                return self.array_field(array, name, node)
        kind = views.array_type_of(array)
        if len(given) == 1 and isinstance(given[0], Operand) and _is_mask(given[0].type, kind):
            return Masked(array, given[0])
        positions = sum(not _is_new(part) and not _is_ellipsis(part) for part in given)
        ellipses = [number for number, part in enumerate(given) if _is_ellipsis(part)]
        if len(ellipses) > 1:
            raise self.error("an index has at most one ellipsis", node, help="write `:` for each axis")
        if positions > kind.dimensions:
            wanted = f"{kind.dimensions} ind{'ex' if kind.dimensions == 1 else 'ices'}"
            raise self.error(f"a {kind} takes {wanted}, not {positions}", node)
        rest = [views.WHOLE] * (kind.dimensions - positions)
        axes: list[views.Axis] = []
        dimension = 0
        for part in given:
            if _is_ellipsis(part):
                axes += rest
                dimension += len(rest)
            elif _is_new(part):
                axes.append(views.NEW)
            else:
                axes.append(self._axis(array, dimension, part, node))
                dimension += 1
        if not ellipses:
            axes += rest
        # NumPy gives a part, though one without dimensions, where an ellipsis says so.
        if not ellipses and all(axis.word == "index" for axis in axes):
            return Element(array, tuple(axis.operands[0] for axis in axes))
        return views.part(self.builder, array, axes)

    def array_field(self, array: Operand, name: str, node: untyped.Node) -> Operand:
        """The array of one field of an array of records."""
        found = views.field(self.builder, array, name)
        if found is None:
            raise self.error(f"a {array.type} has no field {name!r}", node)
        return found

    def no_such_index(self, array: Operand, index: Operand, node: untyped.Node) -> KernelError:
        """The error for an index that would copy elements out of an array."""
        is_mask = isinstance(index.type, Array) and index.type.element == boolean
        instead = (
            "; test the mask for each, or assign one number with a[mask] = number" if is_mask else ": a[indices[i]]"
        )
        return self.error(
            f"a {array.type} can't be indexed with a {index.type}",
            node,
            help=f"index with integers and slices; loop over the elements that are wanted{instead}",
        )

    def _axis(self, array: Operand, dimension: int, part: Operand | Span, node: untyped.Node) -> views.Axis:
        if isinstance(part, Span):
            count = views.extent(self.builder, array, dimension)
            if part == Span(None, None, None):
                return views.WHOLE
            return views.slice_axis(self, count, part.start, part.stop, part.step, node)
        if isinstance(part.type, (Array, Tuple)):
            raise self.no_such_index(array, part, node)
        number = operators.as_index(self, part, node)
        values = (self.builder.value(array), self.builder.value(number))
        return views.Axis("index", (self.builder.emit("index", values, dimension=dimension, checked=self.is_checked),))

    def _indices(self, frame: Frame, index: untyped.Expression) -> list[Operand | Span]:
        if not isinstance(index, untyped.TupleDisplay):
            part = self._index(frame, index)
            if isinstance(part, Operand) and isinstance(part.type, Tuple):
                return list(self.builder.parts(part))
            return [part]
        given: list[Operand | Span] = []
        for node in index.items:
            if isinstance(node, untyped.Starred):
                given += self.evaluate_all(frame, (node,))
            else:
                given.append(self._index(frame, node))
        return given

    def _index(self, frame: Frame, node: untyped.Expression) -> Operand | Span:
        return self.span(frame, node) if isinstance(node, untyped.Slice) else self.evaluate(frame, node)

    def span(self, frame: Frame, node: untyped.Slice) -> Span:
        """The evaluated limits of a slice."""
        return Span(*(self._limit(frame, part) for part in (node.start, node.stop, node.step)))

    def _limit(self, frame: Frame, node: untyped.Expression | None) -> Operand | None:
        if node is None:
            return None
        operand = self.evaluate(frame, node)
        return None if operand.type == none else operators.as_index(self, operand, node)


def _is_mask(index: Type, array: Array) -> bool:
    return isinstance(index, Array) and index.element == boolean and index.dimensions <= array.dimensions


def _is_new(part: Operand | Span) -> bool:
    return isinstance(part, Operand) and part.type == none


def _is_ellipsis(part: Operand | Span) -> bool:
    return isinstance(part, Operand) and part.is_constant and part.known is ...
