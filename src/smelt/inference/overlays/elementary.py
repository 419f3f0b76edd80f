# SPDX-License-Identifier: Apache-2.0
"""The elementary functions of `math` and NumPy: those of `runtime.elementary`, and the operations that those are made of.

A target that has some itself puts a table with `define_operations` above this one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Mapping
from types import ModuleType
from typing import Any

import numpy as np

from smelt.caching import MethodTable, add_method
from smelt.inference.calls import Primitive
from smelt.inference.overlays.numbers import as_floating, operation_of_floats
from smelt.ir import untyped
from smelt.ir.builder import Operand
from smelt.runtime.elementary import (
    error_functions,
    exact,
    exponentials,
    hyperbolics,
    inverse_trigonometry,
    logarithms,
    powers,
    trigonometry,
)
from smelt.types import float32, float64, strong
from smelt.types.patterns import floating, real, tuple_like

_DOUBLE, _SINGLE = "_double", "_single"

# The modules of the runtime library with the functions that they have: of how many numbers, by their names in math and in NumPy.
_FUNCTIONS: list[tuple[ModuleType, int, dict[str, str | None]]] = [
    (exponentials, 1, {"exp": "exp", "exp2": "exp2", "expm1": "expm1"}),
    (logarithms, 1, {"log": "log", "log2": "log2", "log10": "log10", "log1p": "log1p"}),
    (powers, 1, {"cbrt": "cbrt"}),
    (trigonometry, 1, {"sin": "sin", "cos": "cos", "tan": "tan"}),
    (inverse_trigonometry, 1, {"asin": "arcsin", "acos": "arccos", "atan": "arctan"}),
    (inverse_trigonometry, 2, {"atan2": "arctan2"}),
    (hyperbolics, 1, {"sinh": "sinh", "cosh": "cosh", "tanh": "tanh"}),
    (hyperbolics, 1, {"asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh"}),
    (error_functions, 1, {"erf": None, "erfc": None}),
    (powers, 2, {"pow": None, "hypot": "hypot"}),
]


def define(table: MethodTable) -> None:
    """Add the methods of the elementary functions to `table`."""
    add_method(table, exact.multiply_add, (floating, floating, floating), Primitive(_multiply_add))
    add_method(table, exact.polynomial, (floating, tuple_like), Primitive(_polynomial))
    for module, count, names in _FUNCTIONS:
        for name in names:
            functions = getattr(module, name + _DOUBLE), getattr(module, name + _SINGLE)
            _define(table, name, names[name], count, Primitive(_computed_by(*functions)))


def define_operations(table: MethodTable, wanted: Container[str]) -> None:
    """Add methods to `table` by which those of the elementary functions are operations that a target has itself."""
    for _, count, names in _FUNCTIONS:
        for name in names:
            if name in wanted:
                _define(table, name, names[name], count, Primitive(operation_of_floats(name)))


def define_runtime_functions(table: MethodTable, functions: Mapping[str, Callable[..., Any]]) -> None:
    """Add methods to `table` by which functions of `math`, by their names, are functions of the runtime library on float32."""
    known = {name: (count, names[name]) for _, count, names in _FUNCTIONS for name in names}
    for name, function in functions.items():
        count, name_in_numpy = known.get(name, (1, None))
        _define(table, name, name_in_numpy, count, Primitive(_computed_by(function, function)))


def _define(table: MethodTable, name: str, name_in_numpy: str | None, count: int, primitive: Primitive) -> None:
    add_method(table, getattr(math, name), (real,) * count, primitive)
    if name_in_numpy is not None:
        add_method(table, getattr(np, name_in_numpy), (real,) * count, primitive)


def _computed_by(for_double: Callable[..., Any], for_single: Callable[..., Any]) -> Callable[..., Operand]:
    def infer(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
        builder = context.builder
        kind, converted = as_floating(context, *operands)
        is_double = strong(kind, has_doubles=builder.has_doubles) == float64
        # Narrower numbers are computed as float32, and weak ones as what stands for them.
        computed, function = (float64, for_double) if is_double else (float32, for_single)
        arguments = tuple(builder.convert(operand, computed) for operand in converted)
        return builder.convert(context.call_runtime(function, arguments, node), kind)  # type: ignore[no-any-return]

    return infer


def _multiply_add(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:  # noqa: ARG001
    kind, converted = context.builder.promoted(*operands)
    return Operand(kind, context.builder.emit("fma", map(context.builder.value, converted)))


def _polynomial(context: Any, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:  # noqa: ARG001
    builder = context.builder
    argument, coefficients = operands
    kind = argument.type
    values = [builder.emit("constant", (), kind, value=part.known) for part in builder.parts(coefficients)]

    def apply(operation: str) -> Callable[..., Any]:
        return lambda *operands: builder.emit(operation, operands)

    return Operand(kind, exact.evaluated(builder.value(argument), values, apply("fma"), apply("mul")))
