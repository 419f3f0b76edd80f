# SPDX-License-Identifier: Apache-2.0
"""Frozen dataclasses and named tuples: how values of them are made, and their methods, properties and operators."""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
import types
from typing import Any, NamedTuple

from smelt.caching import MISSING, read_attribute
from smelt.inference import operators
from smelt.inference.calls import CallInference
from smelt.inference.partials import bound_operand
from smelt.ir import untyped
from smelt.ir.builder import Operand
from smelt.types import BoundMethod, Struct
from smelt.types.records import field_defaults, field_names, field_type, is_value_class

# The one function that all named tuples have as their method `_replace`.
_TUPLE_REPLACE = NamedTuple("_Probe", [])._replace.__code__
_METHODS = {
    "+": "add",
    "-": "sub",
    "*": "mul",
    "/": "truediv",
    "//": "floordiv",
    "%": "mod",
    "**": "pow",
    "&": "and",
    "|": "or",
    "^": "xor",
    "<<": "lshift",
    ">>": "rshift",
}
_UNARY_METHODS = {"-": "__neg__", "+": "__pos__", "~": "__invert__"}


class RecordInference(CallInference):
    """Infers what values of classes are asked for."""

    def construct(
        self, cls: type, arguments: tuple[Operand, ...], keywords: dict[str, Operand], node: untyped.Node
    ) -> Operand:
        """A value of a frozen dataclass or named tuple."""
        self._refuse_own_construction(cls, node)
        defaults = field_defaults(cls)

        def default(name: str) -> Operand | None:
            return self.constant(defaults[name], node) if name in defaults else None

        keyword_only = tuple(name for name in field_names(cls) if _is_keyword_only(cls, name))
        positional = tuple(name for name in field_names(cls) if name not in keyword_only)
        parameters = untyped.Parameters((), positional, None, keyword_only, frozenset(defaults))
        given = self.match(cls.__name__, parameters, arguments, keywords, default, node)
        fields = {}
        for name in field_names(cls):
            try:
                fields[name] = self.builder.convert(given[name], field_type(cls, name, given[name].type))
            except TypeError as error:
                raise self.error(str(error), node, help="convert the value first") from error
        kinds = tuple((name, operand.type) for name, operand in fields.items())
        kind = Struct(cls.__qualname__, kinds, cls, is_tuple=issubclass(cls, tuple))
        return Operand(kind, parts=tuple(fields.values()))

    def call_special(
        self, function: Any, arguments: tuple[Operand, ...], keywords: dict[str, Operand], node: untyped.Node
    ) -> Operand | None:
        """What calling a value class, `partial` or `replace` evaluates to; None for what is called otherwise."""
        if isinstance(function, type) and is_value_class(function):
            return self.construct(function, arguments, keywords, node)
        if function is functools.partial and arguments:
            return bound_operand(arguments[0], arguments[1:], keywords)
        if not arguments or not isinstance(function, types.FunctionType):
            return None
        is_any_replace = function in (dataclasses.replace, getattr(copy, "replace", None))
        if not is_any_replace and function.__code__ is not _TUPLE_REPLACE:
            return None
        kind = arguments[0].type
        cls = kind.python_class if isinstance(kind, Struct) and len(arguments) == 1 else None
        if not isinstance(kind, Struct) or cls is None or (kind.is_tuple and function is dataclasses.replace):
            raise self.error(
                f"replace takes a frozen dataclass, and fields by name, not a {kind}",
                node,
                help="write replace(value, field=...); for a named tuple value._replace(field=...)",
            )
        names = [name for name, _ in kind.fields]
        fields = dict(zip(names, self.builder.parts(arguments[0]), strict=True))
        return self.construct(cls, (), {**fields, **keywords}, node)

    def instance_attribute(self, operand: Operand, cls: type, name: str, node: untyped.Node) -> Operand:
        """A method, a property or a class attribute of a value."""
        found = self.read(read_attribute, cls, name, node)
        if isinstance(found, types.FunctionType):
            return Operand(BoundMethod(found, operand.type), parts=(operand,))
        if isinstance(found, property) and isinstance(found.fget, types.FunctionType):
            method = Operand(BoundMethod(found.fget, operand.type), parts=(operand,))
            return self.call_operand(method, (), {}, node)
        if found is MISSING or (inspect.isdatadescriptor(found) and not isinstance(found, (staticmethod, classmethod))):
            raise self.error(f"a {operand.type} has no attribute {name}", node)
        return self.unwrapped(cls, found, node)

    def unwrapped(self, cls: type, found: Any, node: untyped.Node) -> Operand:
        """What stands in the body of a class, as it is seen through the class."""
        if isinstance(found, classmethod):
            owner = self.constant(cls, node)
            return Operand(BoundMethod(found.__func__, owner.type), parts=(owner,))
        return self.constant(found.__func__ if isinstance(found, staticmethod) else found, node)

    def binary(self, symbol: str, left: Operand, right: Operand, node: untyped.Node) -> Operand:
        """`left symbol right`, by the method of a class if that has one."""
        for owner, other, prefix in ((left, right, "__"), (right, left, "__r")):
            method = self.method_of(owner, f"{prefix}{_METHODS.get(symbol, '')}__", node)
            if method is not None:
                return self.call_operand(method, (other,), {}, node)
        return operators.binary(self, symbol, left, right, node)

    def unary(self, symbol: str, operand: Operand, node: untyped.Node) -> Operand:
        """`symbol operand`, by the method of a class if that has one."""
        method = self.method_of(operand, _UNARY_METHODS[symbol], node)
        return (
            operators.unary(self, symbol, operand, node) if method is None else self.call_operand(method, (), {}, node)
        )

    def method_of(self, operand: Operand, name: str, node: untyped.Node) -> Operand | None:
        kind = operand.type
        if not isinstance(kind, Struct) or kind.python_class is None:
            return None
        found = self.read(read_attribute, kind.python_class, name, node)
        if not isinstance(found, types.FunctionType) or _is_made(found):
            return None
        return Operand(BoundMethod(found, kind), parts=(operand,))

    def _refuse_own_construction(self, cls: type, node: untyped.Node) -> None:
        """Refuse a class that computes its fields itself: what it does there is not what this compiler does."""
        is_tuple = issubclass(cls, tuple)
        for name in ("__new__",) if is_tuple else ("__new__", "__init__", "__post_init__"):
            found = self.read(read_attribute, cls, name, node)
            inner = getattr(found, "__func__", found)
            if isinstance(inner, types.FunctionType) and not _is_made(inner):
                raise self.error(
                    f"{cls.__qualname__} has its own {name}, which kernels don't run",
                    node,
                    help="make the value in a function of its own, and leave the class without it",
                )


def _is_made(method: types.FunctionType) -> bool:
    """Whether `dataclass` or `namedtuple` made a method, which they compile from a string."""
    return method.__code__.co_filename == "<string>"


def _is_keyword_only(cls: Any, name: str) -> bool:
    return dataclasses.is_dataclass(cls) and cls.__dataclass_fields__[name].kw_only is True
