# SPDX-License-Identifier: Apache-2.0
"""Machine code of Apple's that later processes find: a binary archive for each device and build of the system.

Making a pipeline compiles AIR to machine code, which is what a launch in a fresh process takes longest for. An archive answers with
the code instead. It compares whole libraries byte for byte, so it answers in later processes only because one kernel gives the same
metallib in each. It saves time and nothing else: what goes wrong with it costs a compilation.

Concurrent processes each write the archive whole; the last one stays, and what only the others knew is compiled once more.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import tempfile
import threading
from pathlib import Path
from typing import Any, Protocol

from smelt.targets.metal.devices.macos.objective_c import Frameworks, answer

_DIGEST_BYTES = 32


class Files(Protocol):
    """Where archives are kept: files that this user alone can write to, each replaced as a whole. Neither method raises."""

    def read(self, name: str) -> bytes | None:
        """The contents of a file; None if there is none."""
        ...

    def write(self, name: str, contents: bytes) -> bool:
        """Write a file, replacing one of that name; whether that was done."""
        ...


class BinaryArchive:
    """The machine code of pipelines of one device. Its file is the SHA-256 of what Metal wrote, and that.

    Attributes
    ----------
    name
        The name of the file: by the device and the build of the system, since code of one is of no use to another.
    hits, misses
        How many pipelines it had the code of, and how many it had not.
    """

    def __init__(self, frameworks: Frameworks, device: Any, files: Files, system_build: str) -> None:
        self._frameworks = frameworks
        self._device = device
        self._files = files
        self._lock = threading.Lock()
        self._is_changed = False
        self.name = "archives/" + re.sub(r"[^0-9A-Za-z._-]", "_", f"{device.name()}-{system_build}")
        self.hits = 0
        self.misses = 0
        kept = self._kept()
        self._archive = self._opened(None) if kept is None else kept

    def _kept(self) -> Any:
        """The archive in the file. None if there is none, if the file is damaged, or if Metal can't use it: it is replaced then."""
        contents = self._files.read(self.name)
        if contents is None:
            return None
        written = contents[_DIGEST_BYTES:]
        found = None
        if hashlib.sha256(written).digest() == contents[:_DIGEST_BYTES]:
            with contextlib.suppress(OSError), tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "archive"
                path.write_bytes(written)
                found = self._opened(path)
        self._is_changed = found is None
        return found

    def _opened(self, path: Path | None) -> Any:
        """The archive in a file, or an empty one. None if Metal makes none."""
        descriptor = self._frameworks.metal.MTLBinaryArchiveDescriptor.new()
        if path is not None:
            descriptor.setUrl_(self._url(path))
        archive, _ = self._device.newBinaryArchiveWithDescriptor_error_(descriptor, None)
        return archive

    def _url(self, path: Path) -> Any:
        return self._frameworks.foundation.NSURL.fileURLWithPath_(str(path))

    def pipeline_state(self, function: Any, what: str) -> Any:
        """The pipeline state of a function: with the code of the archive, or compiled, and then in the archive too. Raises `DeviceError`."""
        with self._lock:
            found = self._found(function)
            if found is not None:
                self.hits += 1
                return found
            self.misses += 1
            made = answer(self._device.newComputePipelineStateWithFunction_error_(function, None), what)
            if self._archive is not None:
                added, _ = self._archive.addComputePipelineFunctionsWithDescriptor_error_(self._of(function), None)
                self._is_changed |= bool(added)
            return made

    def _of(self, function: Any) -> Any:
        descriptor = self._frameworks.metal.MTLComputePipelineDescriptor.new()
        descriptor.setComputeFunction_(function)
        return descriptor

    def _found(self, function: Any) -> Any:
        """The pipeline state of a function that the archive has the code of, else None."""
        if self._archive is None:
            return None
        descriptor = self._of(function)
        descriptor.setBinaryArchives_([self._archive])
        only_archived = self._frameworks.metal.MTLPipelineOptionFailOnBinaryArchiveMiss
        state, _ = self._device.newComputePipelineStateWithDescriptor_options_reflection_error_(
            descriptor, only_archived, None, None
        )
        return state

    def save(self) -> bool:
        """Write what is new to the file. Returns whether the file has it all now."""
        with self._lock:
            if self._archive is not None and self._is_changed:
                written = self._serialized()
                contents = hashlib.sha256(written).digest() + written
                self._is_changed = not (written and self._files.write(self.name, contents))
            return not self._is_changed

    def _serialized(self) -> bytes:
        """What Metal writes; nothing if it can't."""
        with contextlib.suppress(OSError), tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "archive"
            is_written, _ = self._archive.serializeToURL_error_(self._url(path), None)
            if is_written:
                return path.read_bytes()
        return b""
