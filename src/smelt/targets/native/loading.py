# SPDX-License-Identifier: Apache-2.0
"""From an object file to a function that can be called in this process."""

from __future__ import annotations

import ctypes
from typing import Any

import llvmlite.binding as llvm

from smelt.targets.native.compilation import target_machine

_PROTOTYPE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)


class NativeKernel:
    """A loaded kernel: `run(launch, arguments)` takes the addresses of its two arrays of words. The interpreter lock is released."""

    def __init__(self, object_code: bytes, entry: str) -> None:
        # LIFETIME: the engine owns the memory of the code, so it lives as long as the function that points into it.
        self._engine = _engine_with(object_code)
        self.address: int = self._engine.get_function_address(entry)
        self.run: Any = _PROTOTYPE(self.address)


def _engine_with(object_code: bytes) -> Any:
    machine = target_machine("host", 0)
    # MCJIT resolves the references to the C library among the symbols of the process.
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(object_code))
    engine.finalize_object()
    return engine
