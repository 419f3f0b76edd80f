# SPDX-License-Identifier: Apache-2.0
"""Machine code of Apple's that later processes find: a binary archive for each device and build of the system.

Making a pipeline compiles AIR to machine code, which is what a launch in a fresh process takes longest for. An archive answers with
the code instead. It compares whole libraries byte for byte, so it answers in later processes only because one kernel gives the same
metallib in each. It saves time and nothing else: what goes wrong with it costs a compilation.

Concurrent processes each write the archive whole; the last one stays, and what only the others knew is compiled once more.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import threading
from pathlib import Path
from typing import Any

from smelt.targets.metal.devices.errors import DeviceError
from smelt.targets.metal.devices.macos.objective_c import Frameworks, answer

SUFFIX = ".metalarchive"


class BinaryArchive:
    """The machine code of pipelines of one device, in a file of a folder.

    Attributes
    ----------
    path
        The file: named by the device and the build of the system, since code of one is no use to another.
    hits, misses
        How many pipelines it had the code of, and how many it had not.
    """

    def __init__(self, frameworks: Frameworks, device: Any, folder: Path, system_build: str) -> None:
        self._frameworks = frameworks
        self._device = device
        self._lock = threading.Lock()
        self._is_changed = False
        name = re.sub(r"[^0-9A-Za-z._-]", "_", f"{device.name()}-{system_build}")
        self.path = folder / f"{name}{SUFFIX}"
        self.hits = 0
        self.misses = 0
        self._archive = self._opened()

    def _opened(self) -> Any:
        """The archive in the file, or an empty one. Neither damaged files nor those of another device are kept. None if there can't be one."""
        if self.path.exists():
            try:
                return self._new(self._url(self.path))
            except DeviceError:
                with contextlib.suppress(OSError):
                    self.path.unlink()
        try:
            return self._new(None)
        except DeviceError:
            return None

    def _new(self, url: Any) -> Any:
        descriptor = self._frameworks.metal.MTLBinaryArchiveDescriptor.new()
        if url is not None:
            descriptor.setUrl_(url)
        return answer(self._device.newBinaryArchiveWithDescriptor_error_(descriptor, None), "a binary archive")

    def _url(self, path: Path) -> Any:
        return self._frameworks.foundation.NSURL.fileURLWithPath_(str(path))

    def pipeline_state(self, function: Any, what: str) -> Any:
        """The pipeline state of a function: from the archive, or compiled, and then in the archive. Raises `DeviceError`."""
        metal = self._frameworks.metal
        descriptor = metal.MTLComputePipelineDescriptor.new()
        descriptor.setComputeFunction_(function)
        with self._lock:
            if self._archive is None:
                return self._state(descriptor, metal.MTLPipelineOptionNone, what)
            descriptor.setBinaryArchives_([self._archive])
            with contextlib.suppress(DeviceError):
                found = self._state(descriptor, metal.MTLPipelineOptionFailOnBinaryArchiveMiss, what)
                self.hits += 1
                return found
            self.misses += 1
            compiled = self._state(descriptor, metal.MTLPipelineOptionNone, what)
            added, _ = self._archive.addComputePipelineFunctionsWithDescriptor_error_(descriptor, None)
            self._is_changed |= bool(added)
            return compiled

    def _state(self, descriptor: Any, options: int, what: str) -> Any:
        made = self._device.newComputePipelineStateWithDescriptor_options_reflection_error_(
            descriptor, options, None, None
        )
        return answer((made[0], made[-1]), what)

    def save(self) -> bool:
        """Write what is new to the file, whole or not at all. Returns whether the file has it all now."""
        with self._lock:
            if not self._is_changed:
                return True
            try:
                self._replace()
            except OSError:
                return False
            self._is_changed = False
            return True

    def _replace(self) -> None:
        """Write the file. Raises `OSError` if it can't be written."""
        # For this user only: it is code that will run.
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Metal writes the file itself, and only where there is none: the name is of a folder of our own.
        with tempfile.TemporaryDirectory(dir=self.path.parent) as folder:
            written = Path(folder) / self.path.name
            is_written, error = self._archive.serializeToURL_error_(self._url(written), None)
            if not is_written:
                raise OSError(f"{self.path} can't be written: {error}")
            os.replace(written, self.path)  # noqa: PTH105 - Path.replace is the same, and says less
