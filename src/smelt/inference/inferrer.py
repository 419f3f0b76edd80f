# SPDX-License-Identifier: Apache-2.0
"""The maker of inferred code: what a cache view calls for a method instance whose types are not known yet."""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import dataclass

from smelt.caching import CacheView, CodeInstance, LookupTable, MethodInstance
from smelt.caching.sources import function_source
from smelt.inference.calls import is_passed
from smelt.inference.context import Frame
from smelt.inference.environment import Environment
from smelt.inference.results import InferenceResults
from smelt.inference.statements import StatementInference
from smelt.ir import untyped
from smelt.types import none


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
        result = context.run(Frame(function, body, variables), body)
        builder.ret(builder.value(result) if is_passed(result.type) else None)
        code = view.code_instance(instance, context.edges)
        results = view.results(code)
        results.result = result.type
        results.signature = str(result.type)
        results.function = builder.finish(result.type if is_passed(result.type) else none)
        return code
