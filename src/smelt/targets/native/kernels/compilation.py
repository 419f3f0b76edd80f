# SPDX-License-Identifier: Apache-2.0
"""From a lowered kernel to an object file, through LLVM.

The entry point takes the launch and the arguments, each as an array of words of eight bytes (see `words` for those of the launch), and
runs a box of the grid: every thread with `begin <= position < end` on all axes.

Threads that run alone are run by the entry point of `rows`, those that work together by that of `threadgroups`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from smelt.compiler.config import CompilerConfig
from smelt.lowering import LoweredModule
from smelt.lowering.layout import row_types
from smelt.lowering.llvm import link, optimise, parsed
from smelt.targets.native.kernels.groups import phases_entry_point
from smelt.targets.native.kernels.rows import row_entry_point
from smelt.targets.native.kernels.threadgroups import group_entry_point
from smelt.targets.native.machine_code.code_generation import machine_for, missing_conversions, with_attributes
from smelt.types import Type

ENTRY = "smelt_kernel"


def entry_point(lowered: LoweredModule, parameters: Sequence[Type]) -> str:
    """The LLVM IR of the entry point of a kernel whose parameters have these types."""
    loads, arguments = [], ["ptr %state"]
    kinds = [kind for parameter in parameters for kind in row_types(parameter)]
    for number, kind in enumerate(kinds):
        loads.append(f"  %place{number} = getelementptr i64, ptr %arguments, i64 {number}")
        if kind == "i1":
            loads.append(f"  %byte{number} = load i8, ptr %place{number}, align 8")
            loads.append(f"  %argument{number} = icmp ne i8 %byte{number}, 0")
        else:
            loads.append(f"  %argument{number} = load {kind}, ptr %place{number}, align 8")
        arguments.append(f"{kind} %argument{number}")
    if lowered.threadgroups is not None and lowered.threadgroups.slot_bytes is not None:
        return phases_entry_point(lowered, ENTRY, "\n".join(loads), ", ".join(arguments))
    if lowered.threadgroups is not None:
        return group_entry_point(lowered, ENTRY, "\n".join(loads), ", ".join(arguments))
    return row_entry_point(lowered, ENTRY, "\n".join(loads), ", ".join(arguments))


def compile_module(lowered: LoweredModule, parameters: Sequence[Type], config: CompilerConfig) -> tuple[Any, Any]:
    """The optimised LLVM module of a kernel, and the target machine that it was optimised for."""
    machine = machine_for(config.target, opt_level=config.opt_level)
    entry = entry_point(lowered, parameters)
    if lowered.debug is not None:
        entry = lowered.debug.attached(entry, lowered.functions[0].instance.source)
    text = lowered.text + entry
    text += missing_conversions(text, config.target)
    text += lowered.debug.text() if lowered.debug is not None else ""
    module = parsed(with_attributes(text, config.target), machine)
    link(module, lowered.linked)
    optimise(module, machine, config.opt_level)
    return module, machine


def compile_function(lowered: LoweredModule, config: CompilerConfig) -> bytes:
    """The LLVM bitcode of a function that kernels link.

    It is not vectorised: that is left to the loops that it will be a part of.
    """
    machine = machine_for(config.target, opt_level=config.opt_level)
    module = parsed(with_attributes(lowered.text, config.target), machine)
    optimise(module, machine, config.opt_level, vectorises=False)
    bitcode: bytes = module.as_bitcode()
    return bitcode
