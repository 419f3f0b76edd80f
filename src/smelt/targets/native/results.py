# SPDX-License-Identifier: Apache-2.0
"""What compiling for the CPU produces."""

from __future__ import annotations

from typing import Any

from smelt.caching import Results, portable, session_local
from smelt.compiler.sites import SiteTuple
from smelt.compiler.texts import Template
from smelt.targets.native.machine_code.flat import FlatCode


class FlatResults(Results):
    """Machine code as an artifact. `code` is None as long as it was not compiled.

    Portable: the parts of a `FlatCode`, which are `machine`, `code` (the blob), `entries`, `relocations` (the functions outside that it
    refers to) and `pointers`.
    """

    machine: str = portable(default="")
    code: bytes | None = portable()
    entries: tuple[tuple[str, int], ...] = portable(default=())
    relocations: tuple[str, ...] = portable(default=())
    pointers: tuple[tuple[int, int], ...] = portable(default=())

    def flat_code(self) -> FlatCode:
        """The code as one object. Raises `FlatError` if its parts don't hold together."""
        assert self.code is not None
        return FlatCode(self.machine, self.code, self.entries, self.relocations, self.pointers)

    def keep_flat_code(self, flat: FlatCode) -> None:
        """Keep the parts of the code; the blob last, since nothing was compiled as long as it is None."""
        self.machine, self.entries, self.relocations, self.pointers = (
            flat.machine,
            flat.entries,
            flat.symbols,
            flat.pointers,
        )
        self.code = flat.blob


class NativeResults(FlatResults):
    """A kernel for the CPU.

    Portable: its code; `processor` and `abi`, what it was compiled for, as in a target; `entry`, the one of the entries that runs the
    kernel; `is_brief`, whether no thread of it runs for long; `error_sites`, where its threads can fail, each as (class of the exception,
    message, places), a place as (number of the function, name, line, column, end line, end column); `prints`, the templates of the texts
    that they print, by their numbers; `works_together`, whether the threads of a group wait for each other or share memory,
    `threadgroup_memory_bytes`, how much of it, and `is_sized_at_launch`, whether the launch gives more; `debug_object`, the object
    file with debug information that the code was made of, empty at debug level 0; `debug_lines`, the first lines of `functions` that it tells of.

    Session-local: `kernel`, the loaded function; `functions`, the functions that `error_sites` number.
    """

    processor: str = portable(default="")
    abi: str = portable(default="")
    entry: str = portable(default="")
    is_brief: bool = portable(default=False)
    error_sites: tuple[SiteTuple, ...] = portable(default=())
    prints: tuple[Template, ...] = portable(default=())
    works_together: bool = portable(default=False)
    threadgroup_memory_bytes: int = portable(default=0)
    is_sized_at_launch: bool = portable(default=False)
    debug_object: bytes = portable(default=b"")
    debug_lines: tuple[int, ...] = portable(default=())
    kernel: Any = session_local()
    functions: tuple[Any, ...] = session_local(factory=tuple, is_named=True)
