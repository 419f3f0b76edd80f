# SPDX-License-Identifier: Apache-2.0
"""smelt: a kernel compiler and compile cache for Python.

What this package exports is imported when it is first asked for, so that `smelt.caching` can be used without NumPy, and kernels
without the compiler.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smelt import metal as metal
    from smelt._devices import (
        array as array,
        device as device,
        devices as devices,
        empty as empty,
        full as full,
        synchronize as synchronize,
        zeros as zeros,
    )
    from smelt._kernels import (
        code_air as code_air,
        code_llvm as code_llvm,
        code_native as code_native,
        code_typed as code_typed,
        kernel as kernel,
        on_compile as on_compile,
        overlay as overlay,
        stats as stats,
        trace as trace,
        why as why,
    )
    from smelt.caching import SmeltError as SmeltError
    from smelt.compiler.errors import KernelError as KernelError
    from smelt.kernel_language import (
        atomic_add as atomic_add,
        atomic_and as atomic_and,
        atomic_compare_exchange as atomic_compare_exchange,
        atomic_exchange as atomic_exchange,
        atomic_max as atomic_max,
        atomic_min as atomic_min,
        atomic_or as atomic_or,
        atomic_sub as atomic_sub,
        atomic_xor as atomic_xor,
        grid as grid,
        gridsize as gridsize,
        inbounds as inbounds,
        simd_all as simd_all,
        simd_and as simd_and,
        simd_any as simd_any,
        simd_ballot as simd_ballot,
        simd_max as simd_max,
        simd_min as simd_min,
        simd_or as simd_or,
        simd_product as simd_product,
        simd_shuffle as simd_shuffle,
        simd_shuffle_down as simd_shuffle_down,
        simd_shuffle_up as simd_shuffle_up,
        simd_shuffle_xor as simd_shuffle_xor,
        simd_sum as simd_sum,
        simd_xor as simd_xor,
        simdgroup_barrier as simdgroup_barrier,
        simdgroup_index_in_threadgroup as simdgroup_index_in_threadgroup,
        thread_array as thread_array,
        thread_index_in_simdgroup as thread_index_in_simdgroup,
        thread_index_in_threadgroup as thread_index_in_threadgroup,
        thread_position_in_grid as thread_position_in_grid,
        thread_position_in_threadgroup as thread_position_in_threadgroup,
        threadgroup_array as threadgroup_array,
        threadgroup_barrier as threadgroup_barrier,
        threadgroup_position_in_grid as threadgroup_position_in_grid,
        threadgroups_per_grid as threadgroups_per_grid,
        threads_per_grid as threads_per_grid,
        threads_per_threadgroup as threads_per_threadgroup,
    )
    from smelt.launch import (
        Kernel as Kernel,
        LaunchError as LaunchError,
        precompile_workload as precompile_workload,
    )
    from smelt.runtime.philox import (
        philox as philox,
        random_bits as random_bits,
        random_normal as random_normal,
        random_uniform as random_uniform,
    )
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
    "smelt._devices": ("array", "device", "devices", "empty", "full", "synchronize", "zeros"),
    "smelt._kernels": (
        "code_air",
        "code_llvm",
        "code_native",
        "code_typed",
        "kernel",
        "on_compile",
        "overlay",
        "stats",
        "trace",
        "why",
    ),
    "smelt.caching": ("SmeltError",),
    "smelt.compiler.errors": ("KernelError",),
    "smelt.kernel_language": (
        "atomic_add",
        "atomic_and",
        "atomic_compare_exchange",
        "atomic_exchange",
        "atomic_max",
        "atomic_min",
        "atomic_or",
        "atomic_sub",
        "atomic_xor",
        "grid",
        "gridsize",
        "inbounds",
        "simd_all",
        "simd_and",
        "simd_any",
        "simd_ballot",
        "simd_max",
        "simd_min",
        "simd_or",
        "simd_product",
        "simd_shuffle",
        "simd_shuffle_down",
        "simd_shuffle_up",
        "simd_shuffle_xor",
        "simd_sum",
        "simd_xor",
        "simdgroup_barrier",
        "simdgroup_index_in_threadgroup",
        "thread_array",
        "thread_index_in_simdgroup",
        "thread_index_in_threadgroup",
        "thread_position_in_grid",
        "thread_position_in_threadgroup",
        "threadgroup_array",
        "threadgroup_barrier",
        "threadgroup_position_in_grid",
        "threadgroups_per_grid",
        "threads_per_grid",
        "threads_per_threadgroup",
    ),
    "smelt.launch": ("Kernel", "LaunchError", "precompile_workload"),
    "smelt.runtime.philox": ("philox", "random_bits", "random_normal", "random_uniform"),
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

_SUBMODULES = ("metal",)

__all__ = sorted((*_MODULE_OF, *_SUBMODULES))  # noqa: PLE0605 - a test compares it with the imports for type checkers


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"smelt.{name}")
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Bound here, so that it is asked for once, and a kernel that reads it depends on an ordinary name: interned, as names in source are.
    value = globals()[sys.intern(name)] = getattr(importlib.import_module(module), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
