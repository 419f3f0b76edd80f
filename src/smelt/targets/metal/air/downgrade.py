# SPDX-License-Identifier: Apache-2.0
"""The downgrader: read, give pointers types, name LLVM's own functions as LLVM 14 does, write."""

from __future__ import annotations

import re
import struct
from typing import Any

from smelt.targets.metal.air.pointers import type_pointers
from smelt.targets.metal.air.program import Module, refusing_damage
from smelt.targets.metal.air.reading import read_module
from smelt.targets.metal.air.reading_functions import DROPPED
from smelt.targets.metal.air.writing import write_module

_ANY_CPU = 0xFFFFFFFF
_WRAPPER_BYTES = 20


def downgrade(module: Any) -> bytes:
    """The LLVM 14 bitcode, with typed pointers, of a module of llvmlite's or of the bitcode of one.

    Debug information is left out, as are attributes and flags that LLVM 14 has not: none changes what the code does. One module gives
    one sequence of bytes.

    Raises `BitstreamError` for what is no bitcode, `DowngradeError` for what has no counterpart in LLVM 14 or in AIR.
    """
    bitcode = module if isinstance(module, bytes) else module.as_bitcode()
    program = read_module(bitcode)
    with refusing_damage():
        _drop_declarations(program)
        _name_intrinsics(program)
        type_pointers(program)
        return write_module(program)


def wrapped(bitcode: bytes) -> bytes:
    """Bitcode in the wrapper that it has in a metallib: magic, version, offset, size, processor; zeros up to 16 bytes."""
    header = struct.pack("<5I", 0x0B17C0DE, 0, _WRAPPER_BYTES, len(bitcode), _ANY_CPU)
    whole = header + bitcode
    return whole + bytes(-len(whole) % 16)


def _drop_declarations(module: Module) -> None:
    module.functions = [
        function
        for function in module.functions
        if not (function.is_declaration and (function.name or "").startswith(DROPPED))
    ]


def _name_intrinsics(module: Module) -> None:
    """`llvm.memcpy.p3.p1.i64` was `llvm.memcpy.p3i8.p1i8.i64` when pointers had types."""
    for function in module.functions:
        if function.name is not None and function.name.startswith("llvm."):
            function.name = re.sub(r"\.p(\d+)(?=\.|$)", r".p\1i8", function.name)
