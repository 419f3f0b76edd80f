# SPDX-License-Identifier: Apache-2.0
"""Calls: which method a call runs, how its arguments meet the parameters, and what it evaluates to."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from smelt.caching import (
    MISSING,
    AmbiguousCallError,
    CodeInstance,
    CycleError,
    MethodInstance,
    SourceError,
    read_attribute,
    read_default,
)
from smelt.caching.methods import function_name
from smelt.compiler.errors import KernelError
from smelt.compiler.results import InferenceResults
from smelt.inference import captured
from smelt.inference.advice import instead_of_function
from smelt.inference.closures import frame_around, handed_over, recursion, run_in_place
from smelt.inference.context import Closure, Context, Frame, FunctionValue, NeverReturns
from smelt.inference.generators import reduction, temporaries
from smelt.inference.partials import call_partial
from smelt.inference.recursion import RecursiveCall, UnstableError, grows, is_begun
from smelt.ir import untyped
from smelt.ir.builder import NONE, Operand
from smelt.runtime import sequences
from smelt.types import BoundMethod, Constant, Dict, Placeholder, Struct, Tuple, Type, none
from smelt.types.partials import Partial


@dataclass(frozen=True)
class Primitive:
    """The source of an overlay method that inference itself understands.

    `infer(context, operands, node)` adds the instructions and returns what the call evaluates to; `context` is the inference that the
    call stands in.
    """

    infer: Callable[..., Operand]


# Functions of Python's that take keywords, but don't tell their signature, as functions of the runtime library that have it.
_WITH_KEYWORDS: dict[Any, Callable[..., Any]] = {min: sequences.least, max: sequences.greatest}


class CallInference(Context):
    """Infers calls."""

    def evaluate(self, frame: Frame, node: untyped.Expression) -> Operand:
        raise NotImplementedError

    def evaluate_all(self, frame: Frame, nodes: tuple[untyped.Expression, ...]) -> tuple[Operand, ...]:
        raise NotImplementedError

    def run(self, frame: Frame, node: untyped.Node) -> Operand:
        """What a function that is inferred in place returns."""
        raise NotImplementedError

    def call_special(
        self, function: Any, arguments: tuple[Operand, ...], keywords: dict[str, Operand], node: untyped.Node
    ) -> Operand | None:
        raise NotImplementedError

    def statements(self, frame: Frame, nodes: Iterable[untyped.Statement]) -> None:
        raise NotImplementedError

    def call(self, frame: Frame, node: untyped.Call) -> Operand:
        """What a call evaluates to."""
        function = self.evaluate(frame, node.function)
        if any(isinstance(argument, untyped.Generator) for argument in node.arguments):
            return self._reduce(frame, function, node)
        arguments = self.evaluate_all(frame, node.arguments)
        keywords = {name: self.evaluate(frame, value) for name, value in node.keywords}
        self.builder.position = node.position
        return self.call_operand(function, arguments, keywords, node)

    def _reduce(self, frame: Frame, function: Operand, node: untyped.Call) -> Operand:
        """What a call whose argument is a comprehension evaluates to."""
        known = function.known if isinstance(function.type, Constant) else None
        reduced = reduction(known, node) if isinstance(node.arguments[0], untyped.Generator) else None
        if reduced is None:
            raise self.error(
                f"a kernel can't give this comprehension to {function_name(known) if known else function.type}",
                node,
                help="sum, min, max, any and all take one as their first argument; else use a tuple, or an array",
            )
        statements, result = reduced
        self.statements(frame, statements)
        if not self.builder.is_reachable:
            raise NeverReturns
        value = self.evaluate(frame, result)
        for name in temporaries(statements):
            frame.variables.pop(name, None)
        return value

    def call_operand(
        self, function: Operand, arguments: tuple[Operand, ...], keywords: dict[str, Operand], node: untyped.Node
    ) -> Operand:
        """What calling `function` with these arguments evaluates to."""
        kind = function.type
        if isinstance(kind, BoundMethod):
            assert function.parts is not None
            if isinstance(kind.owner, Dict) and not keywords:
                return captured.call_method(self, kind.function, function.parts[0], arguments, node)
            return self._call_value(kind.function, (*function.parts, *arguments), keywords, node)
        if isinstance(kind, Closure):
            return self._call_closure(function, kind.node, kind.frame, function.parts or (), arguments, keywords, node)
        if isinstance(kind, FunctionValue):
            definition, around, defaults = frame_around(self, function)
            return self._call_closure(function, definition.node, around, defaults, arguments, keywords, node)
        if isinstance(kind, Constant) and not isinstance(kind, Dict):
            return self._call_value(kind.value, arguments, keywords, node)
        if isinstance(kind, Partial):
            return call_partial(self, function, arguments, keywords, node)
        if isinstance(kind, Struct) and kind.python_class is not None:
            method = self.read(read_attribute, kind.python_class, "__call__", node)
            if isinstance(method, types.FunctionType):
                return self._call_value(method, (function, *arguments), keywords, node)
        raise self.error(f"a {kind} can't be called", node)

    def _call_value(
        self, function: Any, arguments: tuple[Operand, ...], keywords: dict[str, Operand], node: untyped.Node
    ) -> Operand:
        special = self.call_special(function, arguments, keywords, node)
        if special is not None:
            return special
        if keywords and function in _WITH_KEYWORDS:
            for name in set(keywords) - {"key", "default"}:
                raise self.error(f"{function_name(function)} has no parameter {name}", node)
            function = _WITH_KEYWORDS[function]
        elif function is zip and set(keywords) == {"strict"}:
            function, keywords = self._zip(keywords["strict"], node), {}
        if isinstance(function, types.FunctionType):
            bound = self._bind(function, arguments, keywords, node)
            arguments = tuple(handed_over(self, argument, node) for argument in bound)
        elif keywords and function is not print:
            arguments = self._bind_builtin(function, arguments, keywords, node)
        kinds = tuple(argument.type for argument in arguments)
        try:
            outcome = self.table.dispatch(function, kinds, self.view.world)
        except AmbiguousCallError as error:
            raise self.error(str(error), node) from error
        self.edges.append(outcome)
        if outcome.instance is None:
            raise self.error(_no_method(function, kinds), node, help=instead_of_function(function, kinds))
        source = outcome.instance.source
        if isinstance(source, Primitive):
            # `print` takes any number of arguments, so that its keywords are bound to no place.
            return (
                source.infer(self, arguments, node, **keywords)
                if function is print
                else source.infer(self, arguments, node)
            )
        return self._call_instance(outcome.instance, arguments, node)

    def _call_instance(self, instance: MethodInstance, arguments: tuple[Operand, ...], node: untyped.Node) -> Operand:
        if is_begun(instance):
            return self._call_recursively(instance, arguments, node)
        if grows(instance):
            raise self.error(
                f"{function_name(instance.source)} calls itself, and each time with arguments of other types",
                node,
                help="pass values of the same types; what grows goes into an array",
            )
        try:
            code = self.view.get_or_create(instance, self.infer)
        except KernelError as error:
            error.called_from(self.source, node.position)
            raise
        except SourceError as error:
            raise self.error(str(error), node) from error
        except CycleError:
            # Another thread is inferring it, and waits for what this one infers.
            return self._call_recursively(instance, arguments, node)
        self.edges.append(code)
        results = self.infer.completed(self.view, code)
        self.recursive_calls += results.recursive_calls
        return self._call_typed(code, results, arguments)

    def _call_recursively(
        self, instance: MethodInstance, arguments: tuple[Operand, ...], node: untyped.Node
    ) -> Operand:
        """As `_call_instance`, where the code of the function can't be there yet."""
        if not self.infer.has_recursion:
            raise recursion(self, str(instance), node)
        try:
            results = self.assumptions.of(instance)
        except UnstableError as error:
            raise self.error(
                f"what {function_name(instance.source)} returns has another type each time that it calls itself",
                node,
                help="return values of one type on every way",
            ) from error
        if not results.returns and self.assumptions.are_final:
            raise self.error(
                f"{function_name(instance.source)} never returns: it calls itself on every way",
                node,
                help="return a value on some way without calling it again",
            )
        self.edges.append(instance)
        self.builder.do("recur", ())
        block = self.builder.current
        operand = self._call_typed(instance, results, arguments)
        call = next(other for other in reversed(block.instructions) if other.operation == "call")
        self.recursive_calls.append(RecursiveCall(call, call.operands, instance, results))
        return operand

    def _call_typed(
        self, callee: CodeInstance | MethodInstance, results: InferenceResults, arguments: tuple[Operand, ...]
    ) -> Operand:
        passed = [self.builder.value(argument) for argument in arguments if is_passed(argument.type)]
        for name, array in zip(results.captured_names, results.captured, strict=True):
            passed.append(self.builder.value(self.captured_array(array, name)))
        if not results.returns:
            self.builder.do_call(passed, callee)
            self.builder.fail("RuntimeError", "a function that always raises has returned")
            raise NeverReturns
        result = results.result
        assert result is not None
        if not is_passed(result):
            self.builder.do_call(passed, callee)
            return NONE if result == none else Operand(result, constant=(result.value,))  # type: ignore[attr-defined]
        return Operand(result, self.builder.emit("call", passed, result, callee=callee))

    def _call_closure(
        self,
        function: Operand,
        closure: untyped.Closure,
        around: Frame,
        defaults: tuple[Operand, ...],
        arguments: tuple[Operand, ...],
        keywords: dict[str, Operand],
        node: untyped.Node,
    ) -> Operand:
        body = closure.body
        known = dict(zip((name for name, _ in closure.defaults), defaults, strict=True))
        bound = self.match(body.name, body.parameters, arguments, keywords, known.get, node)
        return run_in_place(self, self.run, function.type, Frame(around.function, body, dict(bound), around), node)

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
        return tuple(self.match(function_name(function), parameters, arguments, keywords, default, node).values())

    def _zip(self, strict: Operand, node: untyped.Node) -> Any:
        """The function that `zip` with the keyword `strict` is."""
        if not strict.is_constant:
            raise self.error("whether zip is strict is known when a kernel is compiled", node, help="write strict=True")
        return sequences.strictly_zipped if strict.known else zip

    def _bind_builtin(
        self, function: Any, arguments: tuple[Operand, ...], keywords: dict[str, Operand], node: untyped.Node
    ) -> tuple[Operand, ...]:
        """The arguments of a call of a function that is not written in Python, in the order of its parameters."""
        parameters: Mapping[str, inspect.Parameter]
        try:
            # The keyword parameters of NumPy's functions of elements say what kernels have no use for: where, casting, out.
            parameters = {} if isinstance(function, np.ufunc) else inspect.signature(function).parameters
        except (TypeError, ValueError):
            parameters = {}
        names = tuple(name for name, parameter in parameters.items() if parameter.kind is not parameter.VAR_POSITIONAL)
        if len(names) < len(parameters) or not names:
            raise self.error(
                f"{function_name(function)} takes no keyword arguments in a kernel", node, help="leave them out"
            )

        def default(name: str) -> Operand | None:
            value = parameters[name].default
            return None if value is inspect.Parameter.empty else self.constant(value, node)

        # What is left out at the end is left out: a default of None says nothing of what a kernel's method does.
        while names[-1] not in keywords and len(names) > len(arguments) and parameters[names[-1]].default is None:
            names = names[:-1]
        matched = untyped.Parameters((), names, None, (), frozenset())
        return tuple(self.match(function_name(function), matched, arguments, keywords, default, node).values())

    def match(
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
    return not isinstance(kind, (Constant, BoundMethod, Placeholder)) and kind != none


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
