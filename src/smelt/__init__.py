# SPDX-License-Identifier: Apache-2.0
"""smelt: a kernel compiler and compile cache for Python.

What this package exports is imported when it is first asked for, so that `smelt.caching` can be used without NumPy, and kernels
without the compiler.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smelt._wiring import (
        code_llvm as code_llvm,
        code_native as code_native,
        code_typed as code_typed,
        kernel as kernel,
        on_compile as on_compile,
        overlay as overlay,
        stats as stats,
    )
    from smelt.caching import SmeltError as SmeltError
    from smelt.compiler.errors import KernelError as KernelError
    from smelt.kernel_language import (
        grid as grid,
        gridsize as gridsize,
        inbounds as inbounds,
        thread_position_in_grid as thread_position_in_grid,
        thread_position_in_threadgroup as thread_position_in_threadgroup,
        threadgroup_position_in_grid as threadgroup_position_in_grid,
        threadgroups_per_grid as threadgroups_per_grid,
        threads_per_grid as threads_per_grid,
        threads_per_threadgroup as threads_per_threadgroup,
    )
    from smelt.launch import Kernel as Kernel, LaunchError as LaunchError
    from smelt.types import (
        bfloat16 as bfloat16,
        complex64 as complex64,
        complex128 as complex128,
        float16 as float16,
        float32 as float32,
        float64 as float64,
        int8 as int8,
        int16 as int16,
        int32 as int32,
        int64 as int64,
        uint8 as uint8,
        uint16 as uint16,
        uint32 as uint32,
        uint64 as uint64,
    )

__version__ = "0.1.0"

_EXPORTS = {
    "smelt._wiring": ("code_llvm", "code_native", "code_typed", "kernel", "on_compile", "overlay", "stats"),
    "smelt.caching": ("SmeltError",),
    "smelt.compiler.errors": ("KernelError",),
    "smelt.kernel_language": (
        "grid",
        "gridsize",
        "inbounds",
        "thread_position_in_grid",
        "thread_position_in_threadgroup",
        "threadgroup_position_in_grid",
        "threadgroups_per_grid",
        "threads_per_grid",
        "threads_per_threadgroup",
    ),
    "smelt.launch": ("Kernel", "LaunchError"),
    "smelt.types": (
        "bfloat16",
        "complex64",
        "complex128",
        "float16",
        "float32",
        "float64",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
    ),
}
_MODULE_OF = {name: module for module, names in _EXPORTS.items() for name in names}

__all__ = sorted(_MODULE_OF)  # noqa: PLE0605 - a test compares it with the imports for type checkers


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Bound here, so that it is asked for once, and a kernel that reads it depends on an ordinary name.
    value = globals()[name] = getattr(importlib.import_module(module), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF})
