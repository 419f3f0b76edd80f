# SPDX-License-Identifier: Apache-2.0
"""Kernels by the names that users and traces give them."""

from __future__ import annotations

import importlib
from functools import reduce
from typing import Any

from smelt.launch import Kernel


def kernel_named(module: str, name: str) -> Kernel:
    """The kernel of that qualified name. Imports its module, and raises what that raises; `ValueError` if there is no such kernel."""
    imported: Any = importlib.import_module(module)
    try:
        found = reduce(getattr, name.split("."), imported)
    except AttributeError as error:
        raise ValueError(f"there is no kernel {module}:{name}: {error}") from error
    if not isinstance(found, Kernel):
        raise ValueError(  # noqa: TRY004 - what was typed is wrong
            f"{module}:{name} is no kernel, but a {type(found).__qualname__}; kernels are made by @smelt.kernel"
        )
    return found
