# SPDX-License-Identifier: Apache-2.0
"""What builtins, `math`, NumPy's scalar functions and smelt's own functions mean in a kernel: methods of one table."""

from __future__ import annotations

import functools

from smelt.caching import FunctionTable, MethodTable, StackedMethodTable
from smelt.inference.overlays import (
    bits,
    builtin_functions,
    complex_functions,
    elementary,
    library,
    metal_functions,
    numbers,
    numpy_functions,
    threadgroups,
    threads,
)


@functools.cache
def standard_overlays() -> MethodTable:
    """The overlay methods that every target has."""
    table = MethodTable("kernel language", timeless=True)
    modules = (
        bits,
        builtin_functions,
        complex_functions,
        elementary,
        library,
        numbers,
        numpy_functions,
        threadgroups,
        threads,
    )
    for module in modules:
        module.define(table)
    return table


@functools.cache
def metal_overlays() -> MethodTable:
    """The overlay methods of Metal, for above those that every target has."""
    table = MethodTable("Metal", timeless=True)
    metal_functions.define(table)
    return table


def table_of(overlays: MethodTable, functions: FunctionTable, *own: MethodTable) -> StackedMethodTable:
    """Where calls in kernels are looked up: the overlays of users, those of a target, those of smelt, and below them Python's functions."""
    return StackedMethodTable(overlays, *own, standard_overlays(), functions, name="kernels")
