# SPDX-License-Identifier: Apache-2.0
"""Calls: which method a call runs, how its arguments meet the parameters, and what it evaluates to."""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from smelt.caching import (
    MISSING,
    AmbiguousCallError,
    CycleError,
    MethodInstance,
    SourceError,
    read_attribute,
    read_default,
)
from smelt.caching.methods import function_name
from smelt.compiler.errors import KernelError
from smelt.inference.context import Closure, Context, Frame
from smelt.ir import untyped
from smelt.ir.builder import NONE, Operand, is_number
from smelt.types import BoundMethod, Constant, Struct, Tuple, Type, none
from smelt.types.records import declared_field_type, field_defaults, field_names, is_value_class


@dataclass(frozen=True)
class Primitive:
    """The source of an overlay method that inference itself understands.

    `infer(context, operands, node)` adds the instructions and returns what the call evaluates to; `context` is the inference that the
    call stands in.
    """

    infer: Callable[[Any, tuple[Operand, ...], untyped.Node], Operand]


class CallInference(Context):
    """Infers calls."""

    def evaluate(self, frame: Frame, node: untyped.Expression) -> Operand:
        raise NotImplementedError

    def evaluate_all(self, frame: Frame, nodes: tuple[untyped.Expression, ...]) -> tuple[Operand, ...]:
        raise NotImplementedError

    def run(self, frame: Frame, node: untyped.Node) -> Operand:
        """What a function that is inferred in place returns."""
        raise NotImplementedError

    def call(self, frame: Frame, node: untyped.Call) -> Operand:
        """What a call evaluates to."""
        function = self.evaluate(frame, node.function)
        arguments = self.evaluate_all(frame, node.arguments)
        keywords = {name: self.evaluate(frame, value) for name, value in node.keywords}
        self.builder.position = node.position
        return self.call_operand(function, arguments, keywords, node)

    def call_operand(
        self, function: Operand, arguments: tuple[Operand, ...], keywords: dict[str, Operand], node: untyped.Node
    ) -> Operand:
        """What calling `function` with these arguments evaluates to."""
        kind = function.type
        if isinstance(kind, BoundMethod):
            assert function.parts is not None
            return self._call_value(kind.function, (*function.parts, *arguments), keywords, node)
        if isinstance(kind, Closure):
            return self._call_closure(kind, function.parts or (), arguments, keywords, node)
        if isinstance(kind, Constant):
            return self._call_value(kind.value, arguments, keywords, node)
        if isinstance(kind, Struct) and kind.python_class is not None:
            method = self.read(read_attribute, kind.python_class, "__call__", node)
            if isinstance(method, types.FunctionType):
                return self._call_value(method, (function, *arguments), keywords, node)
        raise self.error(f"a {kind} can't be called", node)

    def _call_value(
        self, function: Any, arguments: tuple[Operand, ...], keywords: dict[str, Operand], node: untyped.Node
    ) -> Operand:
        if isinstance(function, types.FunctionType):
            arguments = self._bind(function, arguments, keywords, node)
        elif isinstance(function, type) and is_value_class(function):
            return self._construct(function, arguments, keywords, node)
        elif keywords:
            raise self.error(f"{function_name(function)} takes no keyword arguments in a kernel", node)
        kinds = tuple(argument.type for argument in arguments)
        try:
            outcome = self.table.dispatch(function, kinds, self.view.world)
        except AmbiguousCallError as error:
            raise self.error(str(error), node) from error
        self.edges.append(outcome)
        if outcome.instance is None:
            raise self.error(_no_method(function, kinds), node)
        source = outcome.instance.source
        if isinstance(source, Primitive):
            return source.infer(self, arguments, node)
        return self._call_instance(outcome.instance, arguments, node)

    def _construct(
        self, cls: type, arguments: tuple[Operand, ...], keywords: dict[str, Operand], node: untyped.Node
    ) -> Operand:
        """A value of a frozen dataclass or named tuple."""
        names = field_names(cls)
        defaults = field_defaults(cls)

        def default(name: str) -> Operand | None:
            return self.constant(defaults[name], node) if name in defaults else None

        parameters = untyped.Parameters((), names, None, (), frozenset(defaults))
        given = self._match(cls.__name__, parameters, arguments, keywords, default, node)
        fields = []
        for name, operand in given.items():
            declared = declared_field_type(cls, name)
            if (
                declared is not None
                and not (is_number(operand.type) and is_number(declared))
                and operand.type != declared
            ):
                raise self.error(f"{cls.__name__}.{name} is a {declared}, not a {operand.type}", node)
            fields.append((name, operand if declared is None else self.builder.convert(operand, declared)))
        kind = Struct(
            cls.__qualname__,
            tuple((name, operand.type) for name, operand in fields),
            cls,
            is_tuple=issubclass(cls, tuple),
        )
        return Operand(kind, parts=tuple(operand for _, operand in fields))

    def _call_instance(self, instance: MethodInstance, arguments: tuple[Operand, ...], node: untyped.Node) -> Operand:
        if instance is self.instance:
            raise self._recursion(instance, node)
        try:
            code = self.view.get_or_create(instance, self.infer)
        except KernelError as error:
            error.called_from(self.source, node.position)
            raise
        except SourceError as error:
            raise self.error(str(error), node) from error
        except CycleError as error:
            raise self._recursion(instance, node) from error
        self.edges.append(code)
        result = self.view.results(code).result
        assert result is not None
        passed = [self.builder.value(argument) for argument in arguments if is_passed(argument.type)]
        if not is_passed(result):
            self.builder.do_call(passed, code)
            return NONE if result == none else Operand(result, constant=(result.value,))  # type: ignore[attr-defined]
        return Operand(result, self.builder.emit("call", passed, result, callee=code))

    def _recursion(self, instance: MethodInstance, node: untyped.Node) -> KernelError:
        return self.error(f"{instance} calls itself", node, help="write a loop, with a thread_array for what is to do")

    def _call_closure(
        self,
        closure: Closure,
        defaults: tuple[Operand, ...],
        arguments: tuple[Operand, ...],
        keywords: dict[str, Operand],
        node: untyped.Node,
    ) -> Operand:
        body = closure.node.body
        known = dict(zip((name for name, _ in closure.node.defaults), defaults, strict=True))
        bound = self._match(body.name, body.parameters, arguments, keywords, known.get, node)
        frame = Frame(closure.frame.function, body, dict(bound), closure.frame)
        return self.run(frame, node)

    def _bind(
        self,
        function: types.FunctionType,
        arguments: tuple[Operand, ...],
        keywords: dict[str, Operand],
        node: untyped.Node,
    ) -> tuple[Operand, ...]:
        """The arguments of a call in the order of the function's parameters, `*rest` as one tuple."""

        def default(name: str) -> Operand | None:
            value = self.read(read_default, function, name, node)
            return None if value is MISSING else self.constant(value, node)

        parameters = parameters_of(function)
        return tuple(self._match(function_name(function), parameters, arguments, keywords, default, node).values())

    def _match(
        self,
        name: str,
        parameters: untyped.Parameters,
        arguments: tuple[Operand, ...],
        keywords: dict[str, Operand],
        default: Callable[[str], Operand | None],
        node: untyped.Node,
    ) -> dict[str, Operand]:
        positional = (*parameters.positional_only, *parameters.positional)
        if len(arguments) > len(positional) and parameters.rest is None:
            raise self.error(f"{name} takes {len(positional)} arguments, not {len(arguments)}", node)
        bound = dict(zip(positional, arguments, strict=False))
        for keyword, operand in keywords.items():
            if keyword in bound:
                raise self.error(f"{name} gets {keyword} twice", node)
            if keyword not in (*parameters.positional, *parameters.keyword_only):
                raise self.error(f"{name} has no parameter {keyword}", node)
            bound[keyword] = operand
        ordered: dict[str, Operand] = {}
        for parameter in (*positional, *parameters.keyword_only):
            given = bound.get(parameter) or default(parameter)
            if given is None:
                raise self.error(f"{name} needs the argument {parameter}", node)
            ordered[parameter] = given
        if parameters.rest is not None:
            rest = arguments[len(positional) :]
            ordered[parameters.rest] = Operand(Tuple(tuple(operand.type for operand in rest)), parts=rest)
        return ordered


def is_passed(kind: Type) -> bool:
    """Whether values of this type exist when a kernel runs."""
    return not isinstance(kind, (Constant, BoundMethod)) and kind != none


def parameters_of(function: types.FunctionType) -> untyped.Parameters:
    """The parameters of a Python function, from its code object alone."""
    code = function.__code__
    names = code.co_varnames
    positional = names[: code.co_argcount]
    keyword_only = names[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    rest = names[code.co_argcount + code.co_kwonlyargcount] if code.co_flags & 0x04 else None
    return untyped.Parameters(
        positional[: code.co_posonlyargcount], positional[code.co_posonlyargcount :], rest, keyword_only, frozenset()
    )


def _no_method(function: Any, kinds: tuple[Type, ...]) -> str:
    types_ = ", ".join(map(str, kinds))
    return f"kernels have no {function_name(function)}({types_})"
