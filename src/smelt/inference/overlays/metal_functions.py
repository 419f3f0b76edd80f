# SPDX-License-Identifier: Apache-2.0
"""The elementary functions of `math` and NumPy on Metal: those that it has itself, and those that the runtime library computes without doubles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from smelt.caching import MethodTable
from smelt.inference.overlays.elementary import define_operations, define_runtime_functions
from smelt.runtime.elementary import error_functions, exponentials, gamma, logarithms, powers

_OPERATIONS = frozenset(
    (
        *("exp", "exp2", "log", "log2", "log10", "sin", "cos", "tan", "asin", "acos", "atan"),
        *("sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "pow", "atan2"),
    )
)
_RUNTIME: dict[str, Callable[..., Any]] = {
    "expm1": exponentials.expm1_without_double,
    "log1p": logarithms.log1p_without_double,
    "cbrt": powers.cbrt_without_double,
    "hypot": powers.hypot_without_double,
    "erf": error_functions.erf_single,
    "erfc": error_functions.erfc_without_double,
    "gamma": gamma.gamma_without_double,
    "lgamma": gamma.lgamma_without_double,
}


def define(table: MethodTable) -> None:
    """Add the methods of Metal's elementary functions to `table`."""
    define_operations(table, _OPERATIONS)
    define_runtime_functions(table, _RUNTIME)
