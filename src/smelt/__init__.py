# SPDX-License-Identifier: Apache-2.0
"""smelt: a kernel compiler and compile cache for Python."""

from __future__ import annotations

from smelt._wiring import code_llvm, code_native, code_typed, kernel, on_compile, overlay, stats
from smelt.caching import SmeltError
from smelt.compiler.errors import KernelError
from smelt.kernel_language import (
    grid,
    gridsize,
    inbounds,
    thread_position_in_grid,
    thread_position_in_threadgroup,
    threadgroup_position_in_grid,
    threadgroups_per_grid,
    threads_per_grid,
    threads_per_threadgroup,
)
from smelt.launch import Kernel, LaunchError
from smelt.types import (
    bfloat16,
    complex64,
    complex128,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)

__version__ = "0.1.0"

__all__ = [
    "Kernel",
    "KernelError",
    "LaunchError",
    "SmeltError",
    "bfloat16",
    "code_llvm",
    "code_native",
    "code_typed",
    "complex64",
    "complex128",
    "float16",
    "float32",
    "float64",
    "grid",
    "gridsize",
    "inbounds",
    "int8",
    "int16",
    "int32",
    "int64",
    "kernel",
    "on_compile",
    "overlay",
    "stats",
    "thread_position_in_grid",
    "thread_position_in_threadgroup",
    "threadgroup_position_in_grid",
    "threadgroups_per_grid",
    "threads_per_grid",
    "threads_per_threadgroup",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
]
