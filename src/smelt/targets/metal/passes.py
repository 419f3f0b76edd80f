# SPDX-License-Identifier: Apache-2.0
"""What is done to a module for the sake of Apple's loader and its compilers for GPUs: passes over the text of an optimised module.

What Apple's compilers do wrong was found by the authors of GPUCompiler.jl and Metal.jl; each pass says what it is about. Some of what they
found can't come up here: smelt loads no aggregates, compares no pointers with null, and addresses constants in their own space.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from smelt.compiler.errors import ArtifactError
from smelt.targets.metal.functions import with_definitions
from smelt.targets.metal.target import MetalCompilerTarget

_NAME = r'%(?:"[^"]*"|[\w.$-]+)'


def legal_functions(text: str, target: MetalCompilerTarget) -> str:  # noqa: ARG001 - the same for all
    """LLVM's functions are AIR's, or made of those: Apple's compilers know few of LLVM's own."""
    return with_definitions(text, is_finished=True)


_UNREACHABLE = re.compile(r"^  unreachable$", re.MULTILINE)
_FUNCTION = re.compile(r"^define [^\n]*?\{$.*?^\}$", re.MULTILINE | re.DOTALL)
_RESULT = re.compile(
    r"define (?:[a-z_]+ )*?((?:void|\{.*?\}|<[^>]*>|i\d+|float|half|bfloat|ptr(?: addrspace\(\d+\))?)) @"
)


def no_unreachable(text: str, target: MetalCompilerTarget) -> str:  # noqa: ARG001 - the same for all
    """What is never reached returns: some compilers of Apple's let threads that part there hang, and a trap stops the whole GPU."""

    def replaced(found: re.Match[str]) -> str:
        function = found[0]
        if not _UNREACHABLE.search(function):
            return function
        result = _RESULT.match(function)
        assert result is not None, function
        returned = "ret void" if result[1] == "void" else f"ret {result[1]} zeroinitializer"
        return _UNREACHABLE.sub(f"  {returned}", function)

    return _FUNCTION.sub(replaced, text)


_BYTE_ADDRESS = re.compile(
    rf"^  (?P<name>{_NAME}) = getelementptr (?:inbounds |nuw |nusw )*i8, (?P<pointer>ptr(?: addrspace\(\d\))?) (?P<base>[^,]+), "
    r"i64 (?P<offset>[^\s,]+)(?P<rest>[^\n]*)$"
)


def no_chains_of_byte_addresses(text: str, target: MetalCompilerTarget) -> str:  # noqa: ARG001 - the same for all
    """An address of a byte is counted from where the whole begins, not from another byte's.

    Through an address that was made in two such steps the GPU's compiler loses what the first threadgroup of exactly two reads or writes
    if that is one byte.
    """

    def replaced(found: re.Match[str]) -> str:
        made: dict[str, tuple[str, str]] = {}
        lines = []
        for line in found[0].split("\n"):
            address = _BYTE_ADDRESS.match(line)
            if address is None:
                lines.append(line)
                continue
            base, offset = address["base"], address["offset"]
            if base in made:
                base, before = made[base]
                total = f'%"{address["name"].removeprefix("%").strip(chr(34))}.from.begin"'
                lines.append(f"  {total} = add i64 {before}, {offset}")
                offset = total
            made[address["name"]] = base, offset
            lines.append(
                f"  {address['name']} = getelementptr i8, {address['pointer']} {base}, i64 {offset}{address['rest']}"
            )
        return "\n".join(lines)

    return _FUNCTION.sub(replaced, text)


_ATOMIC = re.compile(r"(@air\.atomic\.[\w.]+\([^\n]*), i1 true\)")
_ATOMIC_DECLARED = re.compile(r"(declare [^\n]*@air\.atomic\.[\w.]+\([^\n]*), i1\)")


def flags_of_atomic_operations(text: str, target: MetalCompilerTarget) -> str:
    """From AIR 2.9 on atomic operations say which memory they order, here none, and are not volatile."""
    if target.air < (2, 9):
        return text
    return _ATOMIC.sub(r"\1, i32 0, i1 false)", _ATOMIC_DECLARED.sub(r"\1, i32, i1)", text))


_WIDE = re.compile(r"(?<![\w.%@\"$])(?:i(?!(?:1|8|16|32|64)\b)\d+|double|fp128)\b")
_STRING = re.compile(r'"[^"\n]*"')
_CONSTANT_IN_GENERIC_SPACE = re.compile(r"^(@\S+) = (?![^\n]*addrspace)[^\n]*\b(?:constant|global) ", re.MULTILINE)


def checked(text: str, target: MetalCompilerTarget) -> str:  # noqa: ARG001 - the same for all
    """Nothing is left that Metal has not: numbers of unusual width, and variables in no certain address space.

    Loads of constants by addresses of any space give zeros.
    """
    body = _STRING.sub('""', text)
    found = _WIDE.search(body)
    if found is not None:
        line = next(line for line in body.splitlines() if _WIDE.search(line)).strip()
        raise ArtifactError(f"LLVM made a {found[0]}, which Metal has not: {line}")
    variable = _CONSTANT_IN_GENERIC_SPACE.search(body)
    if variable is not None:
        raise ArtifactError(f"LLVM made the variable {variable[1]}, which is in no address space of Metal's")
    return text


PASSES: tuple[Callable[[str, MetalCompilerTarget], str], ...] = (
    legal_functions,
    no_unreachable,
    no_chains_of_byte_addresses,
    flags_of_atomic_operations,
    checked,
)
"""What is done, in this order."""
