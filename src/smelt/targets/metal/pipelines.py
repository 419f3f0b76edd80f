# SPDX-License-Identifier: Apache-2.0
"""Metal in a session: metallibs become pipelines, one for each device, when they are first used there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from smelt.compiler.config import Target
from smelt.targets.metal.artifact import PRINT_BUFFER
from smelt.targets.metal.devices.errors import DeviceError
from smelt.targets.metal.devices.protocol import Buffer, Device, Pipeline
from smelt.targets.metal.metallib import MetallibError
from smelt.targets.metal.results import MetalResults
from smelt.targets.metal.target import metal_target_named, metal_versions

PRINT_BYTES = 1 << 20
"""So much can one launch print: what doesn't fit ends the thread that prints it."""


class MetalLinker:
    """Links metallibs for devices.

    Parameters
    ----------
    keeps
        Whether what was linked is kept: not while modules are precompiled.
    """

    results_class = MetalResults

    def __init__(self, keeps: Callable[[], bool] = lambda: True) -> None:
        self._keeps = keeps

    def target_named(self, text: str) -> Target:
        """The target of that name. Raises `ValueError` if there is none."""
        return metal_target_named(text)

    def is_compiled(self, results: MetalResults) -> bool:
        """Whether there is a metallib."""
        return results.metallib is not None

    def rank(self, wanted: Target, target: Target) -> int | None:
        """How new the system is that a metallib is for; None for one that is newer than what is wanted, which can't load it."""
        if target.name != wanted.name:
            return None
        has, asked = metal_versions(target), metal_versions(wanted)
        if has.macos > asked.macos or has.air > asked.air or has.metal > asked.metal:
            return None
        return has.macos.major * 1000 + has.macos.minor

    def linked(self, results: MetalResults, device: Device) -> Pipeline | None:
        """The pipeline for a device, if there is one."""
        return results.pipelines.get(device)

    def link(self, results: MetalResults, device: Device) -> Pipeline:
        """Make the pipeline for a device. Raises `DeviceError` if the device can't use what was compiled."""
        if not self._keeps():
            return pipeline_of(device, results)
        pipeline: Pipeline = results.pipelines.get_or_create(device, lambda device: pipeline_of(device, results))
        return pipeline


def pipeline_of(device: Device, results: MetalResults) -> Pipeline:
    """What a metallib is linked to for a device. Raises as `MetalLinker.link`."""
    assert results.metallib is not None
    try:
        library = device.library(results.metallib)
    except MetallibError as error:
        raise DeviceError(f"{device.name} can't use the metallib of {results.entry}: {error}") from error
    if results.entry not in library.names:
        there = ", ".join(library.names) or "nothing"
        raise DeviceError(f"the metallib of {results.entry} has no function of that name, but {there}")
    return library.function(results.entry).pipeline({})


class RelocationTable:
    """What the relocations of a kernel refer to on one device.

    Attributes
    ----------
    addresses
        An address for each.
    buffers
        The memory that they are in.
    launching
        Held from the launch of a kernel until what it wrote there has been read.
    """

    def __init__(self, device: Device, relocations: Sequence[str]) -> None:
        unknown = [name for name in relocations if name != PRINT_BUFFER]
        if unknown:
            raise DeviceError(f"nothing on {device.name} is called {', '.join(unknown)}")
        self.buffers: tuple[Buffer, ...] = tuple(device.buffer(PRINT_BYTES) for _ in relocations)
        self.addresses = tuple(buffer.gpu_address for buffer in self.buffers)
        self.launching = threading.RLock()


def relocation_table(device: Device, results: MetalResults, *, keeps: bool = True) -> RelocationTable | None:
    """The table of a kernel for a device, made when it is first asked for there; None for a kernel that refers to nothing."""
    if not results.relocations:
        return None
    if not keeps:
        return RelocationTable(device, results.relocations)
    table: RelocationTable = results.reloc_tables.get_or_create(
        device, lambda device: RelocationTable(device, results.relocations)
    )
    return table
