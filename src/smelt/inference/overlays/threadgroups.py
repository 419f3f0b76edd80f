# SPDX-License-Identifier: Apache-2.0
"""Threads that work together: memory that they share, barriers, simdgroup operations and atomic operations."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from smelt import kernel_language
from smelt.caching import MethodTable, add_method
from smelt.compiler.threadgroups import MOST_THREAD_BYTES, MOST_THREADGROUP_BYTES, SIMD_WIDTH
from smelt.inference import operators
from smelt.inference.calls import Primitive
from smelt.inference.overlays.threads import quantity
from smelt.ir import untyped
from smelt.ir.builder import Operand, constant, is_boolean, is_integer
from smelt.types import (
    Array,
    Kind,
    Layout,
    Memory,
    Scalar,
    Struct,
    Tuple,
    Type,
    Weak,
    boolean,
    element_of_class,
    element_type,
    strong,
    uint32,
    weak_complex,
    weak_float,
    weak_int,
)
from smelt.types.patterns import array, integer, integer_or_bool, number, real
from smelt.types.records import is_value_class

_PYTHON_TYPES = {bool: boolean, int: weak_int, float: weak_float, complex: weak_complex}
_BITWISE = ("and", "or", "xor")


def define(table: MethodTable) -> None:
    """Add the methods of threads that work together to `table`."""
    language = kernel_language
    add_method(table, language.thread_index_in_threadgroup, (), Primitive(_index_in_group))
    add_method(table, language.thread_index_in_simdgroup, (), Primitive(_part_of_index("%")))
    add_method(table, language.simdgroup_index_in_threadgroup, (), Primitive(_part_of_index("//")))
    add_method(table, language.threadgroup_array, (Any, Any), Primitive(_threadgroup_array))
    add_method(table, language.thread_array, (Any, Any), Primitive(_thread_array))
    add_method(table, language.threadgroup_barrier, (), Primitive(_barrier("threadgroup")))
    add_method(table, language.simdgroup_barrier, (), Primitive(_barrier("simdgroup")))
    add_method(table, language.simd_shuffle, (number, integer), Primitive(_shuffle))
    for name, symbol in (("xor", "^"), ("up", "-"), ("down", "+")):
        add_method(table, getattr(language, f"simd_shuffle_{name}"), (number, integer), Primitive(_shuffle_by(symbol)))
    for name, operation in (("sum", "add"), ("product", "mul"), ("min", "min"), ("max", "max")):
        add_method(table, getattr(language, f"simd_{name}"), (real,), Primitive(_reduction(operation)))
    for name in _BITWISE:
        add_method(table, getattr(language, f"simd_{name}"), (integer_or_bool,), Primitive(_reduction(name)))
    add_method(table, language.simd_all, (Any,), Primitive(_vote("and")))
    add_method(table, language.simd_any, (Any,), Primitive(_vote("or")))
    add_method(table, language.simd_ballot, (Any,), Primitive(_ballot))
    for operation in ("add", "sub", "min", "max", "exchange", *_BITWISE):
        function = getattr(language, f"atomic_{operation}")
        add_method(table, function, (array, Any, real), Primitive(_atomic(operation)))
    add_method(table, language.atomic_compare_exchange, (array, Any, real, real), Primitive(_compare_exchange))


def _index_in_group(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:  # noqa: ARG001
    positions, sizes = (quantity(context, name) for name in ("thread_position_in_grid", "threads_per_grid"))
    groups = quantity(context, "threads_per_threadgroup")
    builder = context.builder
    index, step = constant(0), constant(1)
    for position, size, group in zip(positions, sizes, groups, strict=True):
        inner = operators.binary(context, "%", position, group, node)
        begin = operators.binary(context, "-", position, inner, node)
        left = operators.binary(context, "-", size, begin, node)
        # The last group of an axis may have fewer threads.
        extent = Operand(weak_int, builder.emit("min", (builder.value(group), builder.value(left))))
        index = operators.binary(context, "+", index, operators.binary(context, "*", inner, step, node), node)
        step = operators.binary(context, "*", step, extent, node)
    return index


def _part_of_index(symbol: str) -> Any:
    def infer(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
        index = _index_in_group(context, operands, node)
        return operators.binary(context, symbol, index, constant(SIMD_WIDTH), node)

    return infer


def _threadgroup_array(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
    if operands[0].is_constant and operands[0].known is None:
        kind = Array(_element(context, operands[1], node), 1, memory=Memory.THREADGROUP)
        return Operand(kind, context.builder.emit("threadgroup_array", (), kind, shape=None))
    return _array(context, operands, Memory.THREADGROUP, MOST_THREADGROUP_BYTES, node)


def _thread_array(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
    return _array(context, operands, Memory.THREAD, MOST_THREAD_BYTES, node)


def _array(context: Any, operands: tuple[Operand, ...], memory: Memory, most: int, node: untyped.Node) -> Operand:
    element = _element(context, operands[1], node)
    shape = _shape(context, operands[0], memory, node)
    nbytes = prod(shape) * element.size
    if nbytes > most:
        raise context.error(f"a {memory.value} array has at most {most} bytes, not {nbytes}", node)
    kind = Array(element, len(shape), Layout.C, memory=memory)
    return Operand(kind, context.builder.emit(f"{memory.value}_array", (), kind, shape=shape))


def _shape(context: Any, operand: Operand, memory: Memory, node: untyped.Node) -> tuple[int, ...]:
    parts = context.builder.parts(operand) if isinstance(operand.type, Tuple) else (operand,)
    if not all(part.is_constant and is_integer(part.type) for part in parts):
        advice = "" if memory is Memory.THREAD else "; None takes what the launch gives as threadgroup_memory="
        raise context.error(
            f"the shape of a {memory.value} array is a constant integer, or a tuple of them, not a {operand.type}",
            node,
            help=f"write a number, or a global that is one{advice}",
        )
    shape = tuple(int(part.known) for part in parts)
    if any(extent <= 0 for extent in shape):
        raise context.error(f"the extents of a {memory.value} array are positive, not {shape}", node)
    return shape


def _element(context: Any, operand: Operand, node: untyped.Node) -> Scalar | Struct:
    given = operand.known if operand.is_constant else None
    kind: Type | None = None
    has_doubles = context.builder.has_doubles
    if isinstance(given, (Scalar, Weak)):
        kind = given
    elif isinstance(given, np.dtype):
        kind = _of_dtype(given)
    elif isinstance(given, type) and is_value_class(given):
        try:
            kind = element_of_class(given, has_doubles=has_doubles)
        except TypeError as error:
            raise context.error(str(error), node) from error
    elif isinstance(given, type):
        kind = _PYTHON_TYPES.get(given) or (_of_dtype(np.dtype(given)) if issubclass(given, np.generic) else None)
    if kind is None:
        raise context.error(
            f"the elements of such an array are numbers or records, not {operand.type}",
            node,
            help="write smelt.float32, np.int64, x.dtype, or a frozen dataclass or named tuple whose fields are annotated",
        )
    concrete = strong(kind, has_doubles=has_doubles)
    assert isinstance(concrete, (Scalar, Struct))
    return concrete


def _of_dtype(dtype: np.dtype[Any]) -> Type | None:
    try:
        return element_type(dtype)
    except TypeError:
        return None


def _barrier(scope: str) -> Any:
    def infer(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:  # noqa: ARG001
        context.builder.do("barrier", (), scope=scope)
        return constant(None)

    return infer


def _shuffle(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
    value, lane = operands
    lane = operators.as_index(context, lane, node)
    given = tuple(map(context.builder.value, (value, lane)))
    return Operand(value.type, context.builder.emit("simd_shuffle", given))


def _shuffle_by(symbol: str) -> Any:
    def infer(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
        value, amount = operands
        own = _part_of_index("%")(context, (), node)
        lane = operators.binary(context, symbol, own, operators.as_index(context, amount, node), node)
        return _shuffle(context, (value, lane), node)

    return infer


def _reduction(operation: str) -> Any:
    def infer(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:  # noqa: ARG001
        (value,) = operands
        if is_boolean(value.type) and operation not in _BITWISE:
            value = context.builder.convert(value, weak_int)
        return _reduced(context, operation, value)

    return infer


def _reduced(context: Any, operation: str, value: Operand) -> Operand:
    given = (context.builder.value(value),)
    return Operand(value.type, context.builder.emit("simd_reduce", given, function=operation))


def _vote(operation: str) -> Any:
    def infer(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
        return _reduced(context, operation, operators.truth(context, operands[0], node))

    return infer


def _ballot(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
    vote = context.builder.convert(operators.truth(context, operands[0], node), uint32)
    lane = context.builder.convert(_part_of_index("%")(context, (), node), uint32)
    return _reduced(context, "or", operators.binary(context, "<<", vote, lane, node))


def _atomic(operation: str) -> Any:
    def infer(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
        target, index, value = operands
        element = _atomic_element(context, target, operation, node)
        converted = context.converted_to_element(value, element, node)
        given = (target, converted, *_indices(context, target, index, node))
        values = tuple(map(context.builder.value, given))
        return Operand(element, context.builder.emit("atomic", values, element, function=operation))

    return infer


def _compare_exchange(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
    target, index, expected, value = operands
    element = _atomic_element(context, target, "compare_exchange", node)
    converted = (context.converted_to_element(operand, element, node) for operand in (expected, value))
    given = (target, *converted, *_indices(context, target, index, node))
    values = tuple(map(context.builder.value, given))
    return Operand(element, context.builder.emit("atomic_compare_exchange", values, element))


def _atomic_element(context: Any, target: Operand, operation: str, node: untyped.Node) -> Scalar:
    kind = target.type
    assert isinstance(kind, Array)
    element = kind.element
    if kind.memory is Memory.THREAD:
        raise context.error(
            f"a {kind} is this thread's own: nothing can come between", node, help="read and write the element"
        )
    if not kind.writeable:
        raise context.error(f"the array is read-only ({kind})", node, help="pass an array that can be written")
    is_float = isinstance(element, Scalar) and element.kind is Kind.FLOATING and element.bits >= 32
    if not (is_integer(element) or is_float) or not kind.aligned:
        raise context.error(
            f"there are no atomic operations on a {kind}",
            node,
            help="they are on aligned integers, float32 and float64",
        )
    assert isinstance(element, Scalar)
    if is_float and operation in _BITWISE:
        raise context.error(f"atomic_{operation} is for integers, not for a {element}", node)
    return element


def _indices(context: Any, target: Operand, index: Operand, node: untyped.Node) -> list[Operand]:
    kind = target.type
    assert isinstance(kind, Array)
    parts = context.builder.parts(index) if isinstance(index.type, Tuple) else (index,)
    if len(parts) != kind.dimensions:
        wanted = f"{kind.dimensions} ind{'ex' if kind.dimensions == 1 else 'ices'}"
        raise context.error(
            f"a {kind} takes {wanted}, not {len(parts)}", node, help="the index is an integer, or a tuple of them"
        )
    indices = []
    for dimension, part in enumerate(parts):
        values = tuple(map(context.builder.value, (target, operators.as_index(context, part, node))))
        checked = context.builder.emit("index", values, dimension=dimension, checked=context.is_checked)
        indices.append(Operand(weak_int, checked))
    return indices
