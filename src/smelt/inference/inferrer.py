# SPDX-License-Identifier: Apache-2.0
"""The maker of inferred code: what a cache view calls for a method instance whose types are not known yet."""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import dataclass

from smelt.caching import CacheView, CodeInstance, LookupTable, MethodInstance
from smelt.caching.sources import function_source
from smelt.inference.calls import is_passed
from smelt.inference.closures import handed_over
from smelt.inference.context import Frame
from smelt.inference.environment import Environment
from smelt.inference.results import InferenceResults
from smelt.inference.statements import StatementInference
from smelt.ir import untyped
from smelt.ir.writes import written_parameters
from smelt.types import Array, Memory, Struct, Tuple, Type, none


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
        Whether the target has float64. Both belong in the owner of the view that this is used with.
    """

    table: LookupTable
    translate: Callable[[types.FunctionType], untyped.Body]
    has_doubles: bool = True

    def __call__(self, view: CacheView[InferenceResults], instance: MethodInstance) -> CodeInstance:
        """Infer `instance` and return its code. Raises `KernelError` and `SourceError`."""
        function = instance.source
        assert isinstance(function, types.FunctionType)
        body = self.translate(function)
        context = StatementInference(
            view, instance, self.table, function_source(function), self, has_doubles=self.has_doubles
        )
        builder = context.builder
        parameters = body.parameters
        names = (*parameters.positional_only, *parameters.positional, *parameters.keyword_only)
        if parameters.rest is not None:
            names = (*names, parameters.rest)
        variables: Environment = {
            name: builder.parameter(name, kind) for name, kind in zip(names, instance.types, strict=True)
        }
        result = handed_over(context, context.run(Frame(function, body, variables), body), body)
        if _has_thread_memory(result.type):
            raise context.error(
                f"{body.name} returns a {result.type}, which lasts only as long as the function that made it",
                body,
                help="make the array in the caller, and pass it",
            )
        builder.ret(builder.value(result) if is_passed(result.type) else None)
        code = view.code_instance(instance, context.edges)
        results = view.results(code)
        results.result = result.type
        results.signature = str(result.type)
        results.captured = tuple(array for array, _ in context.captured.values())
        results.function = builder.finish(result.type if is_passed(result.type) else none)
        results.written = written_parameters(results.function, lambda callee: view.results(callee).written)
        return code


def _has_thread_memory(kind: Type) -> bool:
    if isinstance(kind, Tuple):
        return any(map(_has_thread_memory, kind.items))
    if isinstance(kind, Struct):
        return any(_has_thread_memory(field) for _, field in kind.fields)
    return isinstance(kind, Array) and kind.memory is Memory.THREAD
