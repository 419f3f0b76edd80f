# SPDX-License-Identifier: Apache-2.0
"""What compiling for the CPU produces."""

from __future__ import annotations

from typing import Any

from smelt.caching import Results, portable, session_local


class NativeResults(Results):
    """A kernel for the CPU. `object_code` is None as long as it was inferred but not compiled.

    Portable: `object_code`, an object file; `entry`, the name of its one exported function; `relocations`, the functions of the C
    library that it refers to; `error_sites`, where its threads can fail, each as (class of the exception, message, number of the
    function, line, column, end line, end column); `works_together`, whether the threads of a group wait for each other or share memory,
    `threadgroup_memory_bytes`, how much of it, and `is_sized_at_launch`, whether the launch gives more.

    Session-local: `kernel`, the loaded function; `functions`, the method instances that `error_sites` number.
    """

    object_code: bytes | None = portable()
    entry: str = portable(default="")
    relocations: tuple[str, ...] = portable(default=())
    error_sites: tuple[tuple[str, str, int, int, int, int, int], ...] = portable(default=())
    works_together: bool = portable(default=False)
    threadgroup_memory_bytes: int = portable(default=0)
    is_sized_at_launch: bool = portable(default=False)
    kernel: Any = session_local()
    functions: tuple[Any, ...] = session_local(factory=tuple)
