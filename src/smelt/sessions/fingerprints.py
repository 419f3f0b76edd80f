# SPDX-License-Identifier: Apache-2.0
"""Fingerprints of functions, remembered under the digests of their code objects: a source is read once, by whichever process."""

from __future__ import annotations

import types
import weakref
from collections.abc import Callable

from smelt.caching.digests import DIGEST_SIZE, digest
from smelt.caching.fingerprints import fingerprint_function
from smelt.sessions.code_digests import code_digest
from smelt.sessions.container import Container, ContainerError, write_container
from smelt.sessions.directory import Directory
from smelt.sessions.toolchain import toolchain_fingerprint, toolchain_stamp

_FUNCTIONS = "fingerprints"
_COMPILERS = "compilers"


class Fingerprints:
    """What was fingerprinted, in this process and in those that share `directory`.

    Parameters
    ----------
    directory
        Where it is remembered, or None.
    in_images
        Gives what images remember, by the digest of a code object.

    Attributes
    ----------
    sources_read
        How often a source had to be read.
    """

    def __init__(
        self, directory: Directory | None, in_images: Callable[[bytes], bytes | None] = lambda _: None
    ) -> None:
        self.sources_read = 0
        self._directory = directory
        self._in_images = in_images
        self._compiler: bytes | None = None
        self._stamp = b""
        # By identity, as code objects of different files compare equal; the reference says when an entry is void.
        self._by_code: dict[int, tuple[weakref.ref[types.CodeType], bytes]] = {}

    def of(self, function: types.FunctionType) -> bytes:
        """The fingerprint of a function's own text. Raises `SourceError` if it has none and none is remembered."""
        code = function.__code__
        found = self._by_code.get(id(code))
        if found is not None and found[0]() is code:
            return found[1]
        key = code_digest(code)
        fingerprint = self._in_images(key) or self._remembered(_FUNCTIONS, key)
        if fingerprint is None:
            self.sources_read += 1
            fingerprint = fingerprint_function(function).digest
            self._remember(_FUNCTIONS, key, fingerprint)
        by_code, address = self._by_code, id(code)
        by_code[address] = (weakref.ref(code, lambda _: by_code.pop(address, None)), fingerprint)
        return fingerprint

    def of_compiler(self) -> bytes:
        """The fingerprint of smelt and of the version of LLVM that it compiles with."""
        if self._compiler is None:
            self._stamp = toolchain_stamp()
            self._compiler = self._remembered(_COMPILERS, self._stamp)
            if self._compiler is None:
                self._compiler = toolchain_fingerprint()
                self._remember(_COMPILERS, self._stamp, self._compiler)
        return self._compiler

    def compiler_has_changed(self) -> bool:
        """Whether smelt's files were changed since its fingerprint was asked for, so that it may not be that of what runs here."""
        self.of_compiler()
        return toolchain_stamp() != self._stamp

    def _remembered(self, folder: str, key: bytes) -> bytes | None:
        if self._directory is None:
            return None
        contents = self._directory.read(_name(folder, key))
        if contents is None:
            return None
        try:
            return fingerprint_in(Container(contents), key)
        except ContainerError:
            return None

    def _remember(self, folder: str, key: bytes, fingerprint: bytes) -> None:
        if self._directory is not None:
            blob = fingerprint_blob(key, fingerprint)
            self._directory.write(_name(folder, key), write_container({key: digest(blob)}, {digest(blob): blob}))


def fingerprint_blob(key: bytes, fingerprint: bytes) -> bytes:
    """What stands for a fingerprint in a container: with its key, for where it stands is no reason to believe that it belongs there."""
    return key + fingerprint


def fingerprint_in(container: Container, key: bytes) -> bytes | None:
    """The fingerprint under a key, None if there is none. Raises `ContainerError` if it is damaged."""
    found = container.get(key)
    if found is None or len(found) != 2 * DIGEST_SIZE or found[:DIGEST_SIZE] != key:
        return None
    return found[DIGEST_SIZE:]


def remembered_fingerprints(directory: Directory) -> dict[bytes, bytes]:
    """All fingerprints of functions that are remembered in `directory`, by the digests of code objects."""
    found = {}
    for folder in directory.folders(_FUNCTIONS):
        for name in directory.names(folder):
            key, contents = bytes.fromhex(name.rpartition("/")[2]), directory.read(name)
            fingerprint = fingerprint_in(Container(contents), key) if contents is not None else None
            if fingerprint is not None:
                found[key] = fingerprint
    return found


def _name(folder: str, key: bytes) -> str:
    return f"{folder}/{key[:1].hex()}/{key.hex()}"
