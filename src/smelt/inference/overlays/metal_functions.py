# SPDX-License-Identifier: Apache-2.0
"""The elementary functions of `math` and NumPy on Metal: those that it has itself, and those that the runtime library computes without doubles."""

from __future__ import annotations

from smelt.caching import MethodTable
from smelt.inference.overlays.elementary import define_operations, define_runtime_functions
from smelt.runtime.elementary import single

_OPERATIONS = frozenset(
    (
        *("exp", "exp2", "log", "log2", "log10", "sin", "cos", "tan", "asin", "acos", "atan"),
        *("sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "pow", "atan2"),
    )
)
_RUNTIME = {
    "expm1": single.expm1,
    "log1p": single.log1p,
    "cbrt": single.cbrt,
    "hypot": single.hypot,
    "erf": single.erf,
    "erfc": single.erfc,
}


def define(table: MethodTable) -> None:
    """Add the methods of Metal's elementary functions to `table`."""
    define_operations(table, _OPERATIONS)
    define_runtime_functions(table, _RUNTIME)
