# SPDX-License-Identifier: Apache-2.0
"""What LLVM does to kernels of AIR, and what it doesn't: a pipeline is made while somebody waits for it.

A compiler has optimised the kernel before it came here, so LLVM's own pipelines would find little, and take most of the time. What is done:
first what a device knows and that compiler didn't; then, once checks and the entry point are there, what makes these cheap.
"""

from __future__ import annotations

from typing import Any

from smelt.lowering.llvm import emit_object, optimise, parsed, run_passes
from smelt.targets.native.machine_code.code_generation import machine_for, missing_conversions
from smelt.targets.native.machine_code.flat import FlatCode
from smelt.targets.native.machine_code.flattening import flatten
from smelt.targets.native.target import host_target

# Of the levels of LLVM's code generator this is the first that allocates registers across blocks.
_OPT_LEVEL = 1

_SIMPLIFYING = ("always_inliner", "global_opt", "sroa", "instruction_combine", "simplify_cfg")
_UNROLLING = ("loop_rotate", "loop_unroll", "sroa", "instruction_combine", "simplify_cfg")

# Of a matrix only the elements that a lane has are to be kept by its coroutine, not the whole vector, of which the others are empty.
_BEFORE_MATRICES_ARE_KEPT = ("always_inliner", "sroa", "instruction_combine", "simplify_cfg")
_CLEANUP = ("instruction_combine", "simplify_cfg")


def simplified(text: str, *, unrolls: bool) -> str:
    """A module whose calls have become parts of the functions that they were in, for no processor in particular.

    With `unrolls` loops are gone that go round a few times, and with them most memory of the thread's own: of what is left each access is
    looked after. Function constants are computed by functions that run before the kernel; LLVM runs those itself.
    """
    module = parsed(text, _machine())
    run_passes(module, _SIMPLIFYING)
    if unrolls:
        run_passes(module, _UNROLLING)
    return str(module)


def code_of(text: str, *, runs_long: bool = False) -> FlatCode:
    """The code of a module for the processor that this runs on; if it `runs_long`, loops are worth more of LLVM's time."""
    machine = _machine()
    module = parsed(text + missing_conversions(text, host_target()), machine)
    if "presplitcoroutine" in text:
        if '@"smelt.matrix.' in text:
            run_passes(module, _BEFORE_MATRICES_ARE_KEPT, machine)
        # Level 0 splits threads, too; the others do it, and all else that they do, twice.
        optimise(module, machine, _OPT_LEVEL if runs_long else 0, vectorises=False)
        run_passes(module, _CLEANUP, machine)
    else:
        vectorises = runs_long or _has_clear_loops(text)
        optimise(module, machine, _OPT_LEVEL, vectorises=vectorises, is_compact=not runs_long)
    return flatten(emit_object(module, machine))


def code_of_shared(text: str) -> FlatCode:
    """The code of functions that many kernels call, each of which does little between its calls of a kernel."""
    machine = _machine()
    module = parsed(text, machine)
    optimise(module, machine, 0)
    run_passes(module, _CLEANUP, machine)
    return flatten(emit_object(module, machine))


def _has_clear_loops(text: str) -> bool:
    """Whether there are loops in which no access is looked after: others are never made into vectors."""
    return ".clear" in text or "call ptr @smelt.at(" not in text


def _machine() -> Any:
    return machine_for(host_target(), opt_level=_OPT_LEVEL)
