# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: PTH118, PTH122, PTH123 - a warm process doesn't import pathlib
"""Images: one file beside a module, or in a package, with what was compiled ahead of time for the kernels in it.

An image is a container. Under the key of a method instance it has the names of its entries with their digests, and under the digest of a
code object the fingerprint of a function, so that no source has to be read where the image is used. What launches need beside kernels,
their stubs, is there as in the store.
"""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import ModuleType
from typing import TypeAlias

from smelt.caching import StoreError
from smelt.caching.digests import digest
from smelt.sessions.container import Buffer, Container, ContainerError, write_container
from smelt.sessions.entries import VOCABULARY, Entry, checked_entry
from smelt.sessions.fingerprints import fingerprint_blob, fingerprint_in

CompilerBlobs: TypeAlias = Mapping[bytes, tuple[bytes, Mapping[bytes, bytes]]]

IMAGE = "smelt.image"
"""The name of the image in a package; beside a module `m` it is `m.smelt.image`."""


def image_bytes(
    entries: Mapping[bytes, list[Entry]],
    fingerprints: Mapping[bytes, bytes],
    compiler_code: CompilerBlobs | None = None,
) -> bytes:
    """An image. The same bytes for the same contents.

    Parameters
    ----------
    entries
        By their keys.
    fingerprints
        By the digests of code objects.
    compiler_code
        By their keys, as `sessions.compiler_code` gives them.
    """
    keys: dict[bytes, bytes] = {}
    blobs: dict[bytes, bytes] = {}

    def add(blob: bytes) -> bytes:
        name = digest(blob)
        blobs[name] = blob
        return name

    for key, found in entries.items():
        encoded = {entry.name(): add(VOCABULARY.encode((key, entry), blobs)) for entry in found}
        keys[key] = add(VOCABULARY.encode((key, tuple(sorted(encoded.items())))))
    for code, fingerprint in fingerprints.items():
        keys[code] = add(fingerprint_blob(code, fingerprint))
    for key, (kept, referred) in (compiler_code or {}).items():
        keys[key] = add(kept)
        blobs |= referred
    return write_container(keys, blobs)


class Image:
    """An image to look into. Raises `ContainerError` if it is none."""

    def __init__(self, buffer: Buffer, place: str) -> None:
        self.place = place
        self.container = Container(buffer)

    def names(self, key: bytes) -> list[str]:
        """The names of the entries of a key."""
        return [name for name, _ in self._index(key)]

    def entry(self, key: bytes, name: str) -> Entry | None:
        """One of them; None if it is damaged."""
        try:
            encoded = self.container.blob(dict(self._index(key))[name])
            return checked_entry(key, VOCABULARY.decode(encoded, self.container.blob))
        except (KeyError, StoreError):
            return None

    def entries(self) -> Iterator[Entry]:
        """All entries that are whole."""
        for key in tuple(self.container.keys()):
            found = (self.entry(key, name) for name in self.names(key))
            yield from (entry for entry in found if entry is not None)

    def fingerprint(self, code: bytes) -> bytes | None:
        """The fingerprint of the function whose code object has that digest, None if it is not known."""
        try:
            return fingerprint_in(self.container, code)
        except ContainerError:
            return None

    def verify(self) -> None:
        """Compare every digest. Raises `ContainerError` at the first that is wrong."""
        self.container.verify()

    def _index(self, key: bytes) -> tuple[tuple[str, bytes], ...]:
        try:
            encoded = self.container.get(key)
            if encoded is None:
                return ()
            own, names = VOCABULARY.decode(encoded)
        except (StoreError, TypeError, ValueError):
            return ()
        return names if own == key and isinstance(names, tuple) else ()


class Images:
    """The images beside the modules of this process, opened when first asked for.

    Parameters
    ----------
    warn
        What is told of an image that can't be used.
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._of_packages: dict[str, Image | None] = {}

    def of(self, module: str) -> Iterator[Image]:
        """The image that a module's kernels may be in."""
        package = module.partition(".")[0]
        if package not in self._of_packages:
            self._of_packages[package] = self._open(sys.modules.get(package))
        image = self._of_packages[package]
        if image is not None:
            yield image

    def containers(self, modules: Iterable[str]) -> Iterator[Container]:
        """The images of modules, and those that were opened before."""
        for module in tuple(modules):
            list(self.of(module))
        for image in tuple(self._of_packages.values()):
            if image is not None:
                yield image.container

    def fingerprint(self, code: bytes) -> bytes | None:
        """The fingerprint of the function whose code object has that digest, from the images that were opened."""
        for image in tuple(self._of_packages.values()):
            found = image.fingerprint(code) if image is not None else None
            if found is not None:
                return found
        return None

    def _open(self, module: ModuleType | None) -> Image | None:
        path = image_path(module) if module is not None else None
        if module is None or path is None:
            return None
        try:
            buffer = _contents(module, path)
            return Image(buffer, path) if buffer is not None else None
        except (OSError, ContainerError) as error:
            self._warn(f"the image {path} can't be used: {error}")
            return None


def image_path(module: ModuleType) -> str | None:
    """Where the image of a module or a package is, if it has one; None for a module that is no file."""
    file = getattr(module, "__file__", None)
    if not isinstance(file, str):
        return None
    folder, name = os.path.split(file)
    return os.path.join(folder, IMAGE if hasattr(module, "__path__") else f"{os.path.splitext(name)[0]}.{IMAGE}")


def _mapped(file: int) -> Buffer | None:
    """A file in memory without being read; None where it can't be."""
    if sys.platform == "win32":
        # Nobody could replace the file as long as this process lives.
        return None
    try:
        # LIFETIME: the view holds the map, and the image the view.
        return memoryview(mmap.mmap(file, 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError):
        # On some file systems, and an empty one.
        return None


def _contents(module: ModuleType, path: str) -> Buffer | None:
    try:
        with open(path, "rb") as file:
            return _mapped(file.fileno()) or file.read()
    except (FileNotFoundError, NotADirectoryError):
        pass
    # In an archive, say. Not a file that was removed: the loader of files would look for it in the same place.
    read = getattr(getattr(module, "__loader__", None), "get_data", None)
    try:
        contents: bytes | None = read(path) if read is not None else None
    except OSError:
        return None
    return contents
