# SPDX-License-Identifier: Apache-2.0
"""From a lowered kernel to a metallib.

LLVM optimises the module as far as that depends on no processor. What it makes of a kernel is translated by the passes of `passes`
into what Apple's loader knows, and written as LLVM 14 would have written it; Apple's compiler optimises it for the GPU.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import prod
from typing import Any

from smelt.compiler.config import CompilerConfig
from smelt.compiler.results import InferenceResults
from smelt.lowering import LoweredModule
from smelt.lowering.llvm import link, module_of_text, run_passes
from smelt.targets.metal.air import downgrade, wrapped
from smelt.targets.metal.artifact import MetalArtifact
from smelt.targets.metal.entry_point import ENTRY, EntryPoint, entry_point, relocations_of
from smelt.targets.metal.functions import with_definitions
from smelt.targets.metal.metallib import Function, Library, write_metallib
from smelt.targets.metal.passes import PASSES
from smelt.targets.metal.target import MetalCompilerTarget, metal_versions
from smelt.types import Type

DATA_LAYOUT = (
    "e-p:64:64:64-i1:8:8-i8:8:8-i16:16:16-i32:32:32-i64:64:64-f32:32:32-f64:64:64-v16:16:16-v24:32:32-v32:32:32-v48:64:64-"
    "v64:64:64-v96:128:128-v128:128:128-v192:256:256-v256:256:256-v512:512:512-v1024:1024:1024-n8:16:32"
)
"""That of every module of AIR."""

# Functions are inlined throughout, since threads may wait in them, and so that the state of a thread is in registers. Loops are left
# as they are: LLVM would compute what they come to with integers of 65 bits.
_INLINING = ("always_inliner", "global_dead_code_eliminate", "strip_dead_prototype", "sroa")
_SIMPLIFYING = (
    *("simplify_cfg", "instruction_combine", "sccp", "simplify_cfg", "instruction_combine"),
    *("reassociate", "instruction_combine", "dead_store_elimination", "aggressive_dce", "simplify_cfg"),
)

_DEFINITION = re.compile(r"^define (?P<head>[^\n]*?\))(?P<attributes>[\w ]*)\{$", re.MULTILINE)
_DECLARATION = re.compile(r"^(declare [^\n]* @(air\.[\w.]+)\([^\n]*\))$", re.MULTILINE)
# LLVM is not to think of the C library, nor to put what a branch decides into tables, which would lie in no address space of Metal's.
_ATTRIBUTES = 'convergent nounwind "no-builtins" "no-jump-tables"="true"'
_COOPERATIVE = ("air.wg.", "air.simdgroup.", "air.simd_")


def compile_artifact(lowered: LoweredModule, parameters: Sequence[Type], config: CompilerConfig) -> MetalArtifact:
    """The artifact of a kernel whose parameters, captured arrays included, have these types."""
    target = metal_versions(config.target)
    module, entry = _compiled(lowered, parameters, config)
    name = entry_name(lowered, config)
    air = downgrade(module)
    # Some releases of the loader take the versions of a library for those of the system that it is for.
    function = Function(name, wrapped(air), target.air, target.metal)
    threadgroups = lowered.threadgroups
    return MetalArtifact(
        air=air,
        metallib=write_metallib(Library([function], system=target.macos)),
        entry=name,
        logging_enabled=bool(lowered.prints),
        relocations=relocations_of(lowered),
        arrays=tuple((array.word, array.is_written) for array in entry.arrays),
        argument_words=entry.argument_words,
        error_sites=tuple(site.as_tuple() for site in lowered.errors),
        prints=lowered.prints,
        works_together=threadgroups is not None,
        threadgroup_memory_bytes=threadgroups.memory_bytes if threadgroups is not None else 0,
        is_sized_at_launch=threadgroups is not None and threadgroups.is_sized_at_launch,
    )


def compile_module(lowered: LoweredModule, parameters: Sequence[Type], config: CompilerConfig) -> Any:
    """The LLVM module of a kernel, with AIR's functions, as it is before it is written in the words of LLVM 14."""
    return _compiled(lowered, parameters, config)[0]


def compile_function(lowered: LoweredModule, config: CompilerConfig) -> bytes:
    """The LLVM bitcode of a function that kernels link."""
    module = _parsed(_head(lowered.name, metal_versions(config.target)) + _prepared(lowered.text))
    run_passes(module, _pipeline(config))
    bitcode: bytes = module.as_bitcode()
    return bitcode


def entry_name(lowered: LoweredModule, config: CompilerConfig) -> str:
    """The name of a kernel in its library: the one that is asked for or that of its function, in characters that Metal's names have."""
    given = config.name or lowered.functions[0].instance.source.__name__
    name = re.sub(r"\W", "_", given, flags=re.ASCII)
    return name if re.match(r"[A-Za-z_]", name) else f"_{name}"


def _compiled(lowered: LoweredModule, parameters: Sequence[Type], config: CompilerConfig) -> tuple[Any, EntryPoint]:
    code, name, target = lowered.functions[0], entry_name(lowered, config), metal_versions(config.target)
    inferred = code.results(InferenceResults)
    assert inferred.function is not None
    # What is known when a kernel is compiled is none of them.
    names = [parameter.name for parameter in inferred.function.parameters]
    group = config.threads_per_threadgroup
    most_threads = None if group is None else prod(group)
    entry = entry_point(lowered, parameters, names, inferred.written, target, most_threads)
    module = _parsed(_head(name, target) + _prepared(lowered.text + entry.text, most_threads))
    link(module, lowered.linked)
    run_passes(module, _pipeline(config))
    text = str(module)
    for run in PASSES:
        text = run(text, target)
    # What has a name with a point in it is smelt's own.
    text = re.sub(r"@table(?=\d+\b)", "@smelt.table", text).replace(f"@{ENTRY}", f"@{name}")
    module = _parsed(text)
    run_passes(module, _INLINING)
    return module, entry


def _pipeline(config: CompilerConfig) -> tuple[str, ...]:
    return (*_INLINING, *(_SIMPLIFYING if config.opt_level else ()))


def _head(name: str, target: MetalCompilerTarget) -> str:
    # The name of the file is that of the kernel, as Apple's linker writes it.
    written = re.sub(r"\W", "_", name, flags=re.ASCII)
    return f'source_filename = "{written}"\ntarget datalayout = "{DATA_LAYOUT}"\ntarget triple = "{target.triple}"\n'


def _prepared(text: str, most_threads: int | None = None) -> str:
    """A module with definitions of smelt's own functions, and with what LLVM has to know of the others.

    `most_threads` is how many threads a group of its kernel can have, None if that is the device's choice.
    """
    of_kernel = "" if most_threads is None else f' "max-work-group-size"="{most_threads}"'

    def with_attributes(found: re.Match[str]) -> str:
        is_kernel = found["head"].startswith("void")
        return f"define {found['head']} {'' if is_kernel else 'alwaysinline '}{_ATTRIBUTES}{of_kernel if is_kernel else ''} {{"

    text = _DEFINITION.sub(with_attributes, with_definitions(text, is_finished=False))
    return _DECLARATION.sub(_with_effects, text)


def _with_effects(found: re.Match[str]) -> str:
    if found[2].startswith(_COOPERATIVE):
        return f"{found[1]} convergent nounwind willreturn"
    return f"{found[1]} nounwind willreturn{'' if found[2].startswith('air.atomic.') else ' memory(none)'}"


def _parsed(text: str) -> Any:
    module = module_of_text(text)
    module.verify()
    return module
