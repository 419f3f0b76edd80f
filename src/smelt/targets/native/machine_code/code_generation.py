# SPDX-License-Identifier: Apache-2.0
"""What LLVM is told of a target: the machine, and what holds for each function that is compiled for it.

Object files are ELF whatever the system is, so that there is one format to make flat; the calling convention is the system's. On AArch64
it is what all systems have in common: x18 is left alone, which macOS and Windows keep for themselves.
"""

from __future__ import annotations

import re
from typing import Any

from smelt.compiler.config import Target
from smelt.lowering.llvm import target_machine
from smelt.targets.native.machine_code.conversions import conversions
from smelt.targets.native.processors.processor import LEVELS, parse_processor

# No system is named where it makes no difference: LLVM would call what only its libraries have.
_TRIPLES = {
    ("x86-64", "sysv"): "x86_64-unknown-none-elf",
    ("x86-64", "windows"): "x86_64-pc-windows-msvc-elf",
    ("aarch64", "aapcs64"): "aarch64-unknown-none-elf",
}
_ALWAYS = {"x86-64": (), "aarch64": ("reserve-x18",)}

# The end of a function's head, which may take several lines: but for the heads of types no other line ends with a brace that opens.
# Metadata stands behind the attributes.
_END_OF_HEAD = re.compile(r" (?<!= type )((?:![a-z]+ ![0-9]+ )*)\{\n")


def machine_for(target: Target, *, opt_level: int) -> Any:
    """LLVM's target machine."""
    processor = parse_processor(target.cpu)
    features = ",".join(f"+{name}" for name in (*processor.features, *_ALWAYS[processor.machine]))
    triple = _TRIPLES[processor.machine, target.abi]
    return target_machine(triple, LEVELS[processor.level].cpu, features, opt_level=opt_level)


def missing_conversions(text: str, target: Target) -> str:
    """The LLVM IR of what a module with this text may call, since the processor has no instructions for it."""
    return conversions(text) if parse_processor(target.cpu).machine == "x86-64" else ""


def with_attributes(text: str, target: Target) -> str:
    """The text of a module, each of its functions with the attributes that it has on a target."""
    return _END_OF_HEAD.sub(rf" {_attributes(target)} \1{{\n", text)


def _attributes(target: Target) -> str:
    # Nothing unwinds the stack.
    attributes = ["nounwind"]
    if target.abi != "windows":
        # A frame larger than a page is touched page by page, for the system puts one guarding page below the stack. On Windows LLVM calls
        # a function of the system's that does it.
        attributes.append('"probe-stack"="inline-asm"')
    tuning = parse_processor(target.cpu).tuning
    if tuning:
        attributes.append(f'"tune-cpu"="{tuning}"')
    return " ".join(attributes)
