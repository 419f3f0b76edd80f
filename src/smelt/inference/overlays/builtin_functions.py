# SPDX-License-Identifier: Apache-2.0
"""Python's builtins."""

from __future__ import annotations

import builtins
from functools import reduce
from typing import Any

from smelt import kernel_language
from smelt.caching import MethodTable, Variadic, add_method
from smelt.inference import operators, texts
from smelt.inference.calls import Primitive
from smelt.inference.iteration import rounds
from smelt.inference.overlays.numbers import absolute, to_integer
from smelt.inference.statements import UNCHECKED
from smelt.ir import untyped
from smelt.ir.builder import Operand, constant, is_boolean, is_integer, is_number
from smelt.runtime import sequences
from smelt.types import (
    Array,
    Constant,
    Iteration,
    List,
    Nothing,
    Range,
    Scalar,
    Struct,
    Tuple,
    Type,
    boolean,
    complex64,
    complex128,
    dtype_of,
    strong,
    weak_complex,
    weak_float,
    weak_int,
)
from smelt.types.patterns import array, dict_type, integer, iteration, number, range_type, real, tuple_like


def define(table: MethodTable) -> None:
    """Add the methods of builtins to `table`."""
    add_method(table, abs, (real,), Primitive(absolute))
    for function, operation in ((min, "min"), (max, "max")):
        add_method(table, function, (real, real, Variadic(real)), Primitive(_extreme(operation)))
        add_method(table, function, (tuple_like,), Primitive(_extreme_of_tuple(operation)))
        by_items = Primitive(_by_runtime(_OF_ITEMS[operation]))
        add_method(table, function, (iteration,), by_items)
        add_method(table, function, (tuple_like, tuple_like, Variadic(tuple_like)), by_items)
    add_method(table, pow, (number, number), Primitive(_binary("**")))
    add_method(table, divmod, (real, real), Primitive(quotient_and_remainder))
    add_method(table, round, (real,), Primitive(_round))
    add_method(table, int, (real,), Primitive(_int))
    add_method(table, float, (real,), Primitive(_float))
    add_method(table, bool, (Any,), Primitive(_bool))
    add_method(table, complex, (number,), Primitive(_complex))
    add_method(table, complex, (real, real), Primitive(_complex_of_parts))
    add_method(table, len, (tuple_like,), Primitive(_tuple_length))
    add_method(table, len, (dict_type,), Primitive(_dict_length))
    add_method(table, len, (array,), Primitive(_array_length))
    add_method(table, len, (range_type,), Primitive(_range_length))
    for signature in ((integer,), (integer, integer), (integer, integer, integer)):
        add_method(table, range, signature, Primitive(_range))
    add_method(table, enumerate, (Any,), Primitive(_enumerate))
    add_method(table, enumerate, (Any, integer), Primitive(_enumerate))
    add_method(table, zip, (Any, Variadic(Any)), Primitive(_iteration("zip")))
    add_method(table, sequences.strictly_zipped, (tuple_like,), Primitive(_strict_zip))
    add_method(table, reversed, (Any,), Primitive(_iteration("reversed")))
    add_method(table, sum, (tuple_like,), Primitive(_sum))
    add_method(table, any, (tuple_like,), Primitive(_any_or_all("or", start=False)))
    add_method(table, all, (tuple_like,), Primitive(_any_or_all("and", start=True)))
    add_method(table, isinstance, (Any, Any), Primitive(_isinstance))
    for kind in (tuple_like, range_type, iteration, dict_type):
        add_method(table, tuple, (kind,), Primitive(_tuple))
    add_method(table, print, (Variadic(Any),), Primitive(texts.infer_print))
    add_method(table, str, (Any,), Primitive(texts.infer_str))
    add_method(table, repr, (Any,), Primitive(texts.infer_repr))
    add_method(table, kernel_language.inbounds, (), Primitive(_inbounds))


def _binary(symbol: str) -> Any:
    def infer(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
        return operators.binary(context, symbol, operands[0], operands[1], node)

    return infer


def _extreme(operation: str) -> Any:
    def infer(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
        if all(operand.is_constant for operand in operands):
            return constant(getattr(builtins, operation)(operand.known for operand in operands))
        common, converted = context.builder.promoted(*operands)
        if common is None:
            raise context.error(f"{operation} of {', '.join(str(operand.type) for operand in operands)}", node)
        values = map(context.builder.value, converted)
        return Operand(common, reduce(lambda one, other: context.builder.emit(operation, (one, other)), values))

    return infer


_OF_ITEMS = {"min": sequences.least, "max": sequences.greatest}


def _by_runtime(function: Any) -> Any:
    def infer(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
        result: Operand = context.call_runtime(function, operands, node)
        return result

    return infer


def _extreme_of_tuple(operation: str) -> Any:
    def infer(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
        parts = context.builder.parts(operands[0])
        if not parts:
            raise context.error(f"{operation} of an empty tuple", node)
        if not all(is_number(part.type) for part in parts):
            return _by_runtime(_OF_ITEMS[operation])(context, operands, node)  # type: ignore[no-any-return]
        result: Operand = _extreme(operation)(context, parts, node)
        return result

    return infer


def quotient_and_remainder(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
    """`divmod`."""
    parts = tuple(operators.binary(context, symbol, operands[0], operands[1], node) for symbol in ("//", "%"))
    return Operand(Tuple(tuple(part.type for part in parts)), parts=parts)


def _round(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:  # noqa: ARG001
    (operand,) = operands
    if is_integer(operand.type) or is_boolean(operand.type):
        return context.builder.convert(operand, weak_int)  # type: ignore[no-any-return]
    # Halves to even, as Python's.
    rounded = context.builder.emit("rint", (context.builder.value(operand),))
    return to_integer(context, Operand(operand.type, rounded))


def _int(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:  # noqa: ARG001
    (operand,) = operands
    return constant(int(operand.known)) if operand.is_constant else to_integer(context, operand)


def _float(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:  # noqa: ARG001
    return context.builder.convert(operands[0], weak_float)  # type: ignore[no-any-return]


def _bool(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
    return operators.truth(context, operands[0], node)


def _complex(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:  # noqa: ARG001
    (operand,) = operands
    kind = strong(operand.type, has_doubles=context.builder.has_doubles)
    if kind in (complex64, complex128):
        return operand
    return context.builder.convert(operand, weak_complex)  # type: ignore[no-any-return]


def _complex_of_parts(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:  # noqa: ARG001
    builder = context.builder
    parts = [builder.value(builder.convert(operand, weak_float)) for operand in operands]
    return Operand(weak_complex, builder.emit("make", parts, weak_complex))


def _tuple_length(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:  # noqa: ARG001
    return constant(len(context.builder.parts(operands[0])))


def _dict_length(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
    return constant(len(context.items_of(operands[0], node)))


def _array_length(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
    (operand,) = operands
    if operand.type.dimensions == 0:  # type: ignore[attr-defined]
        raise context.error("an array without dimensions has no length", node)
    return Operand(weak_int, context.builder.emit("extent", (context.builder.value(operand),), dimension=0))


def _range_length(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
    return rounds(context, operands[0], node).count


def _range(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
    start = operands[0] if len(operands) > 1 else constant(0)
    stop = operands[min(1, len(operands) - 1)]
    step = operands[2] if len(operands) == 3 else constant(1)
    if step.is_constant and step.known == 0:
        raise context.error("range() arg 3 must not be zero", node)
    common, parts = context.builder.promoted(start, stop, step)
    return Operand(Range(common), parts=parts)


def _enumerate(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:  # noqa: ARG001
    start = operands[1] if len(operands) == 2 else constant(0)
    return Operand(Iteration("enumerate", (start.type, operands[0].type)), parts=(start, operands[0]))


def _iteration(kind: str) -> Any:
    def infer(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:  # noqa: ARG001
        return Operand(Iteration(kind, tuple(operand.type for operand in operands)), parts=operands)

    return infer


def _strict_zip(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
    # All its arguments are one parameter.
    zipped: Operand = _iteration("strict zip")(context, context.builder.parts(operands[0]), node)
    return zipped


def _sum(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
    total = constant(0)
    for part in context.builder.parts(operands[0]):
        total = operators.binary(context, "+", total, part, node)
    return total


def _any_or_all(operation: str, *, start: bool) -> Any:
    def infer(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
        result = constant(start)
        for part in context.builder.parts(operands[0]):
            truth = operators.truth(context, part, node)
            if truth.is_constant:
                if truth.known != start:
                    return truth
                continue
            values = (context.builder.value(result), context.builder.value(truth))
            result = Operand(boolean, context.builder.emit(operation, values))
        return result

    return infer


def _isinstance(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
    value, classes = operands
    listed = [part.known if part.is_constant else None for part in classes.parts or (classes,)]
    if not all(isinstance(cls, type) for cls in listed):
        raise context.error("isinstance takes a class, or a tuple of classes", node)
    return constant(any(_is_instance(value.type, cls) for cls in listed if isinstance(cls, type)))


def _is_instance(kind: Type, cls: type) -> bool:
    if isinstance(kind, Constant):
        return isinstance(kind.value, cls)
    if isinstance(kind, Struct) and kind.python_class is not None:
        return issubclass(kind.python_class, cls)
    if isinstance(kind, Tuple):
        return issubclass(list if isinstance(kind, List) else tuple, cls)
    if isinstance(kind, Nothing):
        return cls is type(None) or cls is object
    if is_number(kind):
        python = {weak_int: int, weak_float: float, weak_complex: complex, boolean: bool}.get(kind)
        if python is not None:
            return issubclass(python, cls)
        assert isinstance(kind, Scalar)
        return issubclass(dtype_of(kind).type, cls)
    if isinstance(kind, Array):
        return cls.__name__ == "ndarray" or cls is object
    return False


def _tuple(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
    parts = context.items_of(operands[0], node)
    return Operand(Tuple(tuple(part.type for part in parts)), parts=parts)


def _inbounds(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:  # noqa: ARG001
    return Operand(Constant(UNCHECKED), constant=(UNCHECKED,))
