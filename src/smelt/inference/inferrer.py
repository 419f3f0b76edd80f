# SPDX-License-Identifier: Apache-2.0
"""The maker of inferred code: what a cache view calls for a method instance whose types are not known yet."""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import dataclass

from smelt.caching import CacheView, CodeInstance, LookupTable, MethodInstance
from smelt.caching.methods import function_name
from smelt.caching.sources import FunctionSource, function_source
from smelt.compiler.errors import KernelError
from smelt.compiler.results import InferenceResults
from smelt.inference.calls import is_passed
from smelt.inference.closures import handed_over
from smelt.inference.context import Frame, NeverReturns
from smelt.inference.environment import Environment
from smelt.inference.recursion import Assumptions, Inferred, beginning
from smelt.inference.statements import StatementInference
from smelt.ir import untyped
from smelt.ir.builder import NONE
from smelt.ir.typed import Role
from smelt.ir.writes import waits, written_parameters
from smelt.runtime.elementary.exact import ROLE
from smelt.types import Array, Iteration, Memory, Struct, Tuple, Type, none


@dataclass(frozen=True)
class Inferrer:
    """Infers method instances whose methods are Python functions.

    Attributes
    ----------
    table
        Where calls are looked up: the overlays of the target over Python's functions.
    translate
        The frontend: from a Python function to its untyped program.
    has_doubles
        Whether the target has float64.
    has_recursion
        Whether functions can call themselves on the target.
    has_printing
        Whether kernels can print on it. All of these belong in the owner of the view that this is used with.
    """

    table: LookupTable
    translate: Callable[[types.FunctionType], untyped.Body]
    has_doubles: bool = True
    has_recursion: bool = True
    has_printing: bool = True

    def __call__(self, view: CacheView[InferenceResults], instance: MethodInstance) -> CodeInstance:
        """Infer `instance` and return its code. Raises `KernelError` and `SourceError`."""
        assumptions = Assumptions(lambda member, shared: self._inferred(view, member, shared))
        results, edges = self._inferred(view, instance, assumptions)
        code = view.code_instance(instance, (*edges, *assumptions.edges))
        code.attach(results)
        return code

    def completed(self, view: CacheView[InferenceResults], code: CodeInstance) -> InferenceResults:
        """The results of `code` with its typed function, which is inferred now if the code came from a store."""
        results = view.results(code)
        if results.function is None:
            made = view.results(self(view, code.instance))
            results.captured, results.result, results.returns = made.captured, made.result, made.returns
            results.waits, results.recursive_calls = made.waits, made.recursive_calls
            # Last, for it says that everything is there.
            results.function = made.function
        return results

    def _inferred(
        self, view: CacheView[InferenceResults], instance: MethodInstance, assumptions: Assumptions
    ) -> Inferred:
        """What is inferred of `instance`, and what that depends on."""
        function = instance.source
        assert isinstance(function, types.FunctionType)
        body = self.translate(function)
        source = function_source(function)
        context = StatementInference(
            view, instance, self.table, source, self, assumptions, has_doubles=self.has_doubles
        )
        builder = context.builder
        parameters = body.parameters
        names = (*parameters.positional_only, *parameters.positional, *parameters.keyword_only)
        if parameters.rest is not None:
            names = (*names, parameters.rest)
        variables: Environment = {
            name: builder.parameter(name, kind) for name, kind in zip(names, instance.types, strict=True)
        }
        results = InferenceResults(function=None, result=None)
        with beginning(instance):
            try:
                result = handed_over(context, context.run(Frame(function, body, variables), body), body)
            except NeverReturns:
                result, results.returns = NONE, False
        if _has_thread_memory(result.type):
            raise context.error(
                f"{body.name} returns a {result.type}, which lasts only as long as the function that made it",
                body,
                help="make the array in the caller, and pass it",
            )
        builder.ret(builder.value(result) if is_passed(result.type) else None)
        results.result = result.type
        results.signature = str(result.type)
        results.captured = tuple(array for array, _ in context.captured.values())
        typed = results.function = builder.finish(result.type if is_passed(result.type) else none)
        typed.role = Role[getattr(function, ROLE, Role.ORDINARY.name)]
        passed = [value.name for value in typed.parameters]
        results.captured_names = tuple(passed[len(passed) - len(results.captured) :])

        def called(callee: CodeInstance | MethodInstance) -> InferenceResults:
            return view.results(callee) if isinstance(callee, CodeInstance) else assumptions.of(callee)

        results.written = tuple(sorted(written_parameters(typed, lambda callee: frozenset(called(callee).written))))
        results.written_names = tuple(passed[position] for position in results.written)
        results.waits = waits(typed, lambda callee: called(callee).waits)
        results.recursive_calls = tuple(context.recursive_calls)
        _refuse_waiting(results, source)
        return results, context.edges


def _refuse_waiting(results: InferenceResults, source: FunctionSource) -> None:
    """A thread that waits is a coroutine, which holds the calls that it is in: there can't be any number of them."""
    for call in results.recursive_calls:
        if results.waits and call.is_in(results.function):
            raise KernelError(
                f"{function_name(call.instance.source)} calls itself, and waits for other threads",
                source,
                call.instruction.position,
                help="wait where it is called: a barrier or a simdgroup operation can't stand in a recursive function",
            )


def _has_thread_memory(kind: Type) -> bool:
    if isinstance(kind, (Tuple, Iteration)):
        return any(map(_has_thread_memory, kind.items))
    if isinstance(kind, Struct):
        return any(_has_thread_memory(field) for _, field in kind.fields)
    return isinstance(kind, Array) and kind.memory is Memory.THREAD
