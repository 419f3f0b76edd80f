# SPDX-License-Identifier: Apache-2.0
"""What to write instead of a function that kernels don't have."""

from __future__ import annotations

from typing import Any

from smelt.types import Array, Type

_MAKERS = {
    "array",
    "arange",
    "empty",
    "full",
    "linspace",
    "ones",
    "zeros",
    "empty_like",
    "full_like",
    "ones_like",
    "zeros_like",
}
_RANDOM = "smelt.random_uniform(seed, index) and smelt.random_normal(seed, index) make random numbers"


def instead_of_function(function: Any, kinds: tuple[Type, ...]) -> str:
    """What to write instead of calling `function` with arguments of these types; empty if nothing can be said."""
    module, name = getattr(function, "__module__", None) or "", getattr(function, "__name__", "")
    if module.partition(".")[0] == "numpy" and name in _MAKERS:
        return "pass an array as an argument, or make a small one for each thread by smelt.thread_array"
    if any(isinstance(kind, Array) for kind in kinds):
        return "loop over the elements"
    return _RANDOM if _is_random(function) else ""


def instead_of_value(value: Any) -> str:
    """What to write instead of capturing a value that kernels can't use."""
    return _RANDOM if _is_random(value) else "pass what is needed of it as an argument"


def _is_random(method: Any) -> bool:
    owner = type(getattr(method, "__self__", None)).__module__
    return owner == "random" or owner.startswith("numpy.random")
