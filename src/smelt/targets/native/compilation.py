# SPDX-License-Identifier: Apache-2.0
"""From a lowered kernel to an object file, through LLVM.

The entry point takes the launch and the arguments, each as an array of words of eight bytes (see `words` for those of the launch), and
runs a box of the grid: every thread with `begin <= position < end` on all axes.

The threads of a box run one after the other, x fastest; the first that fails ends the box. Those that work together are run by the
entry point of `threadgroups`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import llvmlite.binding as llvm

from smelt.lowering import LoweredModule
from smelt.lowering.layout import row_types
from smelt.lowering.llvm import link, optimise, parsed, target_machine
from smelt.lowering.threadgroups import ALONE_WORDS, PRINTER
from smelt.targets.native.threadgroups import group_entry_point
from smelt.targets.native.words import SIZES, STATUS_WORD, loads_of_words
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
    if lowered.threadgroups is not None:
        return group_entry_point(lowered, ENTRY, "\n".join(loads), ", ".join(arguments))
    kind = lowered.result_type
    return _ENTRY_TEMPLATE.format(
        entry=ENTRY,
        words=loads_of_words("begin_x", "end_x", *SIZES),
        rows=loads_of_words("begin_y", "begin_z", "end_y", "end_z"),
        sizes="\n".join(
            f"  %state_{name} = getelementptr i64, ptr %state, i64 {number}\n  store i64 %{name}, ptr %state_{name}, align 8"
            for number, name in enumerate(SIZES, 3)
        ),
        loads="\n".join(loads),
        call=f"call {kind} @{lowered.name}({', '.join(arguments)})",
        kind=kind,
        status_word=STATUS_WORD,
        state_words=ALONE_WORDS,
        printer=_printer_to_state() if lowered.prints else "",
    )


def _printer_to_state() -> str:
    place = f"  %state_printer = getelementptr i64, ptr %state, i64 {PRINTER}"
    return f"{loads_of_words('printer')}\n{place}\n  store i64 %printer, ptr %state_printer, align 8"


def compile_module(lowered: LoweredModule, parameters: Sequence[Type], *, opt_level: int, cpu: str) -> tuple[Any, Any]:
    """The optimised LLVM module of a kernel, and the target machine that it was optimised for."""
    machine = host_machine(cpu, opt_level)
    module = parsed(lowered.text + entry_point(lowered, parameters), machine)
    link(module, lowered.linked)
    optimise(module, machine, opt_level)
    return module, machine


def compile_function(lowered: LoweredModule, *, opt_level: int, cpu: str) -> bytes:
    """The LLVM bitcode of a function that kernels link.

    It is not vectorised: that is left to the loops that it will be a part of.
    """
    machine = host_machine(cpu, opt_level)
    module = parsed(lowered.text, machine)
    optimise(module, machine, opt_level, vectorises=False)
    bitcode: bytes = module.as_bitcode()
    return bitcode


def host_machine(cpu: str, opt_level: int) -> Any:
    """LLVM's description of a processor, `host` for the one that this runs on."""
    name, features = _host() if cpu == "host" else (cpu, "")
    return target_machine(llvm.get_default_triple(), name, features, opt_level=opt_level)


@functools.cache
def _host() -> tuple[str, str]:
    return llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()


# The rows are one function, so that all that LLVM does to loops it does to one; what calls it is not worth optimising.
_ENTRY_TEMPLATE = """
define internal i64 @run_row(ptr noalias %launch, ptr noalias readonly %arguments, i64 %y, i64 %z) noinline {{
entry:
  %state = alloca [{state_words} x i64], align 8
{words}
{loads}
  %state_x = getelementptr i64, ptr %state, i64 0
  %state_y = getelementptr i64, ptr %state, i64 1
  store i64 %y, ptr %state_y, align 8
  %state_z = getelementptr i64, ptr %state, i64 2
  store i64 %z, ptr %state_z, align 8
{sizes}
{printer}
  br label %loop
loop:
  %x = phi i64 [ %begin_x, %entry ], [ %next_x, %next ]
  %more = icmp slt i64 %x, %end_x
  br i1 %more, label %thread, label %done
thread:
  store i64 %x, ptr %state_x, align 8
  %returned = {call}
  %status = extractvalue {kind} %returned, 0
  %succeeded = icmp eq i32 %status, 0
  br i1 %succeeded, label %next, label %failed, !prof !0
next:
  %next_x = add nsw i64 %x, 1
  br label %loop
failed:
  %wide_status = zext i32 %status to i64
  %status_place = getelementptr i64, ptr %launch, i64 {status_word}
  store i64 %wide_status, ptr %status_place, align 8
  %failed_x = getelementptr i64, ptr %status_place, i64 1
  store i64 %x, ptr %failed_x, align 8
  %failed_y = getelementptr i64, ptr %status_place, i64 2
  store i64 %y, ptr %failed_y, align 8
  %failed_z = getelementptr i64, ptr %status_place, i64 3
  store i64 %z, ptr %failed_z, align 8
  ret i64 1
done:
  ret i64 0
}}

define void @{entry}(ptr %launch, ptr %arguments) noinline optnone {{
entry:
{rows}
  br label %loop_z
loop_z:
  %z = phi i64 [ %begin_z, %entry ], [ %next_z, %end_of_z ]
  %more_z = icmp slt i64 %z, %end_z
  br i1 %more_z, label %loop_y, label %done
loop_y:
  %y = phi i64 [ %begin_y, %loop_z ], [ %next_y, %end_of_y ]
  %more_y = icmp slt i64 %y, %end_y
  br i1 %more_y, label %row, label %end_of_z
row:
  %failed = call i64 @run_row(ptr %launch, ptr %arguments, i64 %y, i64 %z)
  %has_failed = icmp ne i64 %failed, 0
  br i1 %has_failed, label %done, label %end_of_y
end_of_y:
  %next_y = add nsw i64 %y, 1
  br label %loop_y
end_of_z:
  %next_z = add nsw i64 %z, 1
  br label %loop_z
done:
  ret void
}}
"""
