# SPDX-License-Identifier: Apache-2.0
"""From an object file to a function that can be called in this process."""

from __future__ import annotations

import ctypes
from typing import Any

import llvmlite.binding as llvm

from smelt.caching import SmeltError
from smelt.lowering.llvm import initialise
from smelt.targets.native.compilation import LAUNCH_WORDS, STATUS_WORD, THREADGROUP_MEMORY_WORD

_PROTOTYPE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)

Sizes = tuple[int, int, int]


class LinkError(SmeltError, OSError):
    """An object file that refers to a function which this process doesn't have."""


class NativeKernel:
    """A loaded kernel.

    `run(launch, arguments)` takes the addresses of its two arrays of words, see `compilation`. The interpreter lock is released.
    Raises `LinkError` if a function that it refers to is missing.
    """

    def __init__(self, object_code: bytes, entry: str, relocations: tuple[str, ...]) -> None:
        # LIFETIME: the engine owns the memory of the code, so it lives as long as the function that points into it.
        self._engine = _engine_with(object_code, relocations)
        self.address: int = self._engine.get_function_address(entry)
        self.run: Any = _PROTOTYPE(self.address)

    def launch(
        self, threads: Sizes, group: Sizes, threadgroup_memory: int, arguments: bytes
    ) -> tuple[int, tuple[int, int, int]] | None:
        """Run a whole grid. Returns the status and the position of the first thread that failed, None if none did."""
        words = (ctypes.c_int64 * LAUNCH_WORDS)(0, 0, 0, *threads, *threads, *group)
        words[THREADGROUP_MEMORY_WORD] = threadgroup_memory
        # LIFETIME: both arrays live until the call has returned.
        packed = ctypes.create_string_buffer(arguments or bytes(8))
        self.run(ctypes.addressof(words), ctypes.addressof(packed))
        status, x, y, z = words[STATUS_WORD : STATUS_WORD + 4]
        return (status, (x, y, z)) if status else None


def _engine_with(object_code: bytes, relocations: tuple[str, ...]) -> Any:
    initialise()
    # The engine takes it over, so it is none of those that code is generated with.
    machine = llvm.Target.from_default_triple().create_target_machine(reloc="pic")
    # MCJIT resolves the references to the C library among the symbols of the process, and what is missing to the address 0.
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    missing = [name for name in relocations if not llvm.address_of_symbol(name)]
    if missing:
        raise LinkError(f"this process has no {', '.join(missing)}, which a kernel calls")
    engine.add_object_file(llvm.ObjectFileRef.from_data(object_code))
    engine.finalize_object()
    return engine
