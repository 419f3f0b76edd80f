# SPDX-License-Identifier: Apache-2.0
"""Launch stubs and what belongs to them, from LLVM IR to flat code."""

from __future__ import annotations

from smelt.lowering.llvm import emit_object, parsed
from smelt.targets.native.machine_code.code_generation import machine_for, with_attributes
from smelt.targets.native.machine_code.flat import FlatCode
from smelt.targets.native.machine_code.flattening import flatten
from smelt.targets.native.target import least_target


def compile_stub(text: str, opt_level: int) -> FlatCode:
    """Compile LLVM IR for every processor of this machine's kind: a stub has no use for what only some of them have.

    The text is written as it is meant to be, and LLVM's passes, which take most of the time of a compilation, are left out: `opt_level` is
    that of code generation. At 0 it takes least time.
    """
    target = least_target()
    machine = machine_for(target, opt_level=opt_level)
    return flatten(emit_object(parsed(with_attributes(text, target), machine), machine))
