# SPDX-License-Identifier: Apache-2.0
"""What compiling for Metal produces."""

from __future__ import annotations

from typing import Any

from smelt.caching import LinearCache, Results, portable, session_local
from smelt.compiler.sites import SiteTuple
from smelt.compiler.texts import Template
from smelt.targets.metal.artifact import MetalArtifact


class MetalResults(Results):
    """A kernel for Metal. `metallib` is None as long as it was not compiled, be it that inference has run.

    Portable: the parts of a `MetalArtifact`.

    Session-local: `pipelines`, what `metallib` was linked to, and `reloc_tables`, what `relocations` refer to, both by device, compared by
    identity; `functions`, the functions that `error_sites` number. A device is kept as long as the results of kernels that ran on it: those
    with names live as long as the process anyhow.
    """

    air: bytes = portable(default=b"")
    metallib: bytes | None = portable()
    entry: str = portable(default="")
    logging_enabled: bool = portable(default=False)
    relocations: tuple[str, ...] = portable(default=())
    arrays: tuple[tuple[int, bool], ...] = portable(default=())
    argument_words: int = portable(default=0)
    error_sites: tuple[SiteTuple, ...] = portable(default=())
    prints: tuple[Template, ...] = portable(default=())
    works_together: bool = portable(default=False)
    threadgroup_memory_bytes: int = portable(default=0)
    is_sized_at_launch: bool = portable(default=False)
    pipelines: LinearCache[Any, Any] = session_local(factory=LinearCache)
    reloc_tables: LinearCache[Any, Any] = session_local(factory=LinearCache)
    functions: tuple[Any, ...] = session_local(factory=tuple, is_named=True)

    def keep_artifact(self, artifact: MetalArtifact) -> None:
        """Keep what was compiled; the metallib last, since nothing was compiled as long as it is None."""
        self.air, self.entry = artifact.air, artifact.entry
        self.logging_enabled, self.relocations = artifact.logging_enabled, artifact.relocations
        self.arrays, self.argument_words = artifact.arrays, artifact.argument_words
        self.error_sites, self.prints = artifact.error_sites, artifact.prints
        self.works_together = artifact.works_together
        self.threadgroup_memory_bytes = artifact.threadgroup_memory_bytes
        self.is_sized_at_launch = artifact.is_sized_at_launch
        # What an earlier artifact was linked to is not what this one is.
        self.pipelines, self.reloc_tables = LinearCache(), LinearCache()
        self.metallib = artifact.metallib
