# SPDX-License-Identifier: Apache-2.0
"""Comparisons: of numbers, tuples, values of classes, records and ranges, `is`, and `in`."""

from __future__ import annotations

import dataclasses
import enum
import operator
from collections.abc import Callable, Sequence
from typing import Any

from smelt.inference import captured
from smelt.inference.context import Context
from smelt.inference.iteration import rounds
from smelt.inference.operators import (
    advice_for,
    are_weak_constants,
    as_index,
    binary,
    is_complex,
    is_tuple,
    negation,
    truth,
    zero_of,
)
from smelt.ir import untyped
from smelt.ir.builder import NONE, Operand, constant, is_boolean, is_integer, is_number
from smelt.types import Constant, Dict, List, Range, Struct, Type, boolean, int64, none, placeholder, uint64

_PYTHON: dict[str, Callable[..., Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_COMPARISONS = {"==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
# The methods of the left operand, and of the right one with the operands exchanged.
_METHODS = {
    "==": ("__eq__", "__eq__"),
    "!=": ("__ne__", "__ne__"),
    "<": ("__lt__", "__gt__"),
    "<=": ("__le__", "__ge__"),
    ">": ("__gt__", "__lt__"),
    ">=": ("__ge__", "__le__"),
}
_EQUALITY = ("==", "!=")


def compare(context: Context, symbol: str, left: Operand, right: Operand, node: untyped.Node) -> Operand:
    """One comparison of two operands."""
    if symbol in ("is", "is not"):
        return _identity(context, symbol, left, right, node)
    if symbol in ("in", "not in"):
        return _membership(context, symbol, left, right, node)
    left, right = _as_number(left), _as_number(right)
    if isinstance(left.type, Dict) or isinstance(right.type, Dict):
        raise context.error(f"dicts can't be compared with {symbol}", node, help="compare their items")
    if left.is_constant and right.is_constant and (are_weak_constants(left, right) or _are_compile_time(left, right)):
        if symbol in _EQUALITY or are_weak_constants(left, right):
            return constant(bool(_PYTHON[symbol](left.known, right.known)))
        raise context.error(f"{left.type} and {right.type} have no order", node)
    if placeholder in (left.type, right.type):
        return constant(False)
    by_method = _by_method(context, symbol, left, right, node)
    if by_method is not None:
        return by_method
    if is_tuple(left.type) and is_tuple(right.type) and _is_list(left.type) == _is_list(right.type):
        return _compare_tuples(context, symbol, context.builder.parts(left), context.builder.parts(right), node)
    if isinstance(left.type, Struct) and isinstance(right.type, Struct):
        return _compare_structs(context, symbol, left, right, node)
    if symbol in _EQUALITY and isinstance(left.type, Range) and isinstance(right.type, Range):
        equal = _are_equal_ranges(context, left, right, node)
        return equal if symbol == "==" else negation(context, equal)
    if symbol in _EQUALITY and _are_never_equal(left.type, right.type):
        return constant(symbol == "!=")
    return _compare_numbers(context, symbol, left, right, node)


def _as_number(operand: Operand) -> Operand:
    """A member of an enumeration of numbers, which is one in Python, as that number; any other operand as it is."""
    known = operand.known if operand.is_constant else None
    return constant(known.value) if isinstance(known, enum.Enum) and isinstance(known, (int, float)) else operand


def _compare_numbers(context: Context, symbol: str, left: Operand, right: Operand, node: untyped.Node) -> Operand:
    builder = context.builder
    if is_integer(left.type) and is_integer(right.type) and left.type != right.type:
        return _compare_integers(context, symbol, left, right)
    common, operands = builder.promoted(left, right)
    if common is None or not is_number(common):
        raise context.error(
            f"a {left.type} and a {right.type} can't be compared with {symbol}",
            node,
            help=advice_for(left.type, right.type),
        )
    if is_complex(common) and symbol not in _EQUALITY:
        raise context.error("complex numbers have no order", node, help="compare abs(z), or z.real")
    return Operand(boolean, builder.emit(_COMPARISONS[symbol], map(builder.value, operands)))


def _compare_integers(context: Context, symbol: str, left: Operand, right: Operand) -> Operand:
    """Integers of two types, compared by value as NumPy and Python do: no conversion may change one."""
    builder = context.builder
    if uint64 not in (left.type, right.type):
        values = [builder.value(builder.convert(operand, int64)) for operand in (left, right)]
        return Operand(boolean, builder.emit(_COMPARISONS[symbol], values))
    values = [builder.value(builder.convert(operand, uint64)) for operand in (left, right)]
    result = builder.emit(_COMPARISONS[symbol], values)
    for operand, is_less in ((left, True), (right, False)):
        if not getattr(operand.type, "is_signed", True) or (operand.is_constant and operand.known >= 0):
            continue
        # A negative integer is less than, and never equal to, any unsigned one.
        outcome = symbol == "!=" or symbol in (("<", "<=") if is_less else (">", ">="))
        is_negative = builder.emit("lt", (builder.value(operand), zero_of(context, operand.type)))
        result = builder.emit("select", (is_negative, builder.value(constant(outcome)), result), boolean)
    return Operand(boolean, result)


def _compare_tuples(
    context: Context, symbol: str, first: Sequence[Operand], second: Sequence[Operand], node: untyped.Node
) -> Operand:
    """Item by item: the first two that differ decide, or the lengths where one is the beginning of the other."""
    if symbol in _EQUALITY:
        equal = constant(len(first) == len(second))
        for one, other in zip(first, second, strict=False) if equal.known else ():
            equal = _both(context, equal, compare(context, "==", one, other, node))
            if equal.is_constant and not equal.known:
                break
        return equal if symbol == "==" else negation(context, equal)
    equalities = []
    for one, other in zip(first, second, strict=False):
        equalities.append(compare(context, "==", one, other, node))
        if equalities[-1].is_constant and not equalities[-1].known:
            # These differ, so none behind them is looked at.
            break
    result = constant(bool(_PYTHON[symbol](len(first), len(second))))
    for equal, one, other in reversed(list(zip(equalities, first, second, strict=False))):
        if not (equal.is_constant and equal.known):
            result = _chosen(context, equal, result, compare(context, symbol, one, other, node))
    return result


def _compare_structs(context: Context, symbol: str, left: Operand, right: Operand, node: untyped.Node) -> Operand:
    """Dataclasses as the methods compare them that `dataclass` makes; records of arrays field by field."""
    kind, other = left.type, right.type
    assert isinstance(kind, Struct)
    assert isinstance(other, Struct)
    own, others = (context.builder.parts(operand) for operand in (left, right))
    if kind.python_class is None or kind.python_class is not other.python_class:
        is_class = kind.python_class is not None and other.python_class is not None
        if is_class and symbol in _EQUALITY:
            return constant(symbol == "!=")
        names = [[name for name, _ in struct.fields] for struct in (kind, other)]
        if not is_class and symbol in _EQUALITY and kind.offsets and other.offsets and names[0] == names[1]:
            return _compare_tuples(context, symbol, own, others, node)
        raise context.error(
            f"a {kind} and a {other} can't be compared with {symbol}", node, help="compare their fields"
        )
    cls: Any = kind.python_class
    parameters = cls.__dataclass_params__
    if not (parameters.eq if symbol in _EQUALITY else parameters.order):
        option = "eq" if symbol in _EQUALITY else "order"
        raise context.error(
            f"values of {cls.__qualname__} can't be compared with {symbol}",
            node,
            help=f"write @dataclass(frozen=True, {option}=True), or compare their fields",
        )
    compared = {field.name for field in dataclasses.fields(cls) if field.compare}
    places = [place for place, (name, _) in enumerate(kind.fields) if name in compared]
    first, second = ([fields[place] for place in places] for fields in (own, others))
    return _compare_tuples(context, symbol, first, second, node)


def _by_method(context: Context, symbol: str, left: Operand, right: Operand, node: untyped.Node) -> Operand | None:
    """The comparison by a method that a class defines itself; None if neither operand's does."""
    for owner, other, name in zip((left, right), (right, left), _METHODS[symbol], strict=True):
        method = context.method_of(owner, name, node)
        if method is not None:
            return context.call_operand(method, (other,), {}, node)
        if symbol == "!=":
            equal = context.method_of(owner, "__eq__", node)
            if equal is not None:
                return negation(context, truth(context, context.call_operand(equal, (other,), {}, node), node))
    return None


def _are_equal_ranges(context: Context, left: Operand, right: Operand, node: untyped.Node) -> Operand:
    """Ranges are equal if they have the same integers: of an empty one neither start nor step matter, of one with one the step."""
    count = rounds(context, left, node).count
    equal = compare(context, "==", count, rounds(context, right, node).count, node)
    first, second = (context.builder.parts(operand) for operand in (left, right))
    for place, least in ((0, 1), (2, 2)):
        is_shorter = compare(context, "<", count, constant(least), node)
        same = compare(context, "==", first[place], second[place], node)
        equal = _both(context, equal, _chosen(context, is_shorter, is_shorter, same))
    return equal


def _membership(context: Context, symbol: str, item: Operand, group: Operand, node: untyped.Node) -> Operand:
    if isinstance(group.type, Range):
        found = _is_in_range(context, item, group, node)
        return found if symbol == "in" else negation(context, found)
    if isinstance(group.type, Dict):
        return constant(captured.has_key(context, group, item, node) == (symbol == "in"))
    if not is_tuple(group.type):
        raise context.error(
            f"a {group.type} can't be searched with {symbol}", node, help="search a tuple, or loop over it"
        )
    found = constant(False)
    for part in context.builder.parts(group):
        equal = truth(context, compare(context, "==", item, part, node), node)
        if equal.is_constant and equal.known:
            found = equal
            break
        if not equal.is_constant:
            known = context.builder.value(found)
            found = Operand(boolean, context.builder.emit("or", (known, context.builder.value(equal))))
    return found if symbol == "in" else negation(context, found)


def _is_in_range(context: Context, item: Operand, group: Operand, node: untyped.Node) -> Operand:
    if not (is_integer(item.type) or is_boolean(item.type)):
        raise context.error(f"a {item.type} can't be searched in a range", node, help="convert it with int()")
    start, stop, step = context.builder.parts(group)
    item = context.builder.convert(item, int64) if is_boolean(item.type) else item

    def is_between(low: Operand, below: str, high: Operand) -> Operand:
        above = "<" if below == "<=" else "<="
        return _both(context, compare(context, above, low, item, node), compare(context, below, item, high, node))

    is_forward = compare(context, ">", step, constant(0), node)
    inside = _chosen(context, is_forward, is_between(start, "<", stop), is_between(stop, "<=", start))
    if step.is_constant and abs(step.known) == 1:
        return inside
    distance = binary(context, "-", as_index(context, item, node), start, node)
    rest = binary(context, "%", distance, step, node)
    return _both(context, inside, compare(context, "==", rest, constant(0), node))


def _identity(context: Context, symbol: str, left: Operand, right: Operand, node: untyped.Node) -> Operand:
    if none in (left.type, right.type) or (isinstance(left.type, Constant) and isinstance(right.type, Constant)):
        same = left.type == right.type
    elif is_boolean(right.type) and right.is_constant and (is_number(left.type) or is_tuple(left.type)):
        # There is one True and one False.
        if is_boolean(left.type):
            return compare(context, "==" if symbol == "is" else "!=", left, right, node)
        same = False
    else:
        raise context.error(
            f"a {left.type} and a {right.type} can't be compared with {symbol}",
            node,
            help="compare values with == or !=",
        )
    return constant(same == (symbol == "is"))


def _both(context: Context, first: Operand, second: Operand) -> Operand:
    if first.is_constant:
        return second if first.known else first
    if second.is_constant:
        return first if second.known else second
    return Operand(boolean, context.builder.emit("and", map(context.builder.value, (first, second))))


def _chosen(context: Context, test: Operand, then: Operand, otherwise: Operand) -> Operand:
    if test.is_constant:
        return then if test.known else otherwise
    values = tuple(map(context.builder.value, (test, then, otherwise)))
    return Operand(boolean, context.builder.emit("select", values, boolean))


def _are_compile_time(left: Operand, right: Operand) -> bool:
    return all(isinstance(operand.type, Constant) for operand in (left, right)) or NONE in (left, right)


def _is_list(kind: Type) -> bool:
    return isinstance(kind, List)


def _are_never_equal(first: Type, second: Type) -> bool:
    """Whether values of these types differ whatever they are: numbers, tuples, ranges, None, dataclasses, and constants."""
    sorts = [_sort(kind) for kind in (first, second)]
    return None not in sorts and sorts[0] != sorts[1]


def _sort(kind: Type) -> str | None:
    if is_number(kind):
        return "number"
    if is_tuple(kind):
        return "list" if _is_list(kind) else "tuple"
    if isinstance(kind, Constant):
        return "constant"
    if isinstance(kind, Range):
        return "range"
    if isinstance(kind, Struct) and kind.python_class is not None:
        return "dataclass"
    return "None" if kind == none else None
