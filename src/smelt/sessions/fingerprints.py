# SPDX-License-Identifier: Apache-2.0
"""Fingerprints of functions, remembered under the digests of their code objects: a source is read once, by whichever process."""

from __future__ import annotations

import types
import weakref

from smelt.caching.fingerprints import fingerprint_function
from smelt.sessions.code_digests import code_digest
from smelt.sessions.container import DIGEST_SIZE, Container, ContainerError, digest, write_container
from smelt.sessions.directory import Directory
from smelt.sessions.toolchain import toolchain_fingerprint, toolchain_stamp

_FOLDER = "fingerprints"


class Fingerprints:
    """What was fingerprinted, in this process and in those that share `directory`.

    Attributes
    ----------
    sources_read
        How often a source had to be read.
    """

    def __init__(self, directory: Directory | None) -> None:
        self.sources_read = 0
        self._directory = directory
        self._known: dict[bytes, bytes] = {}
        self._compiler: bytes | None = None
        # By identity, as code objects of different files compare equal; the reference says when an entry is void.
        self._by_code: dict[int, tuple[weakref.ref[types.CodeType], bytes]] = {}

    def of(self, function: types.FunctionType) -> bytes:
        """The fingerprint of a function's own text. Raises `SourceError` if it has none and none is remembered."""
        code = function.__code__
        found = self._by_code.get(id(code))
        if found is not None and found[0]() is code:
            return found[1]
        key = code_digest(code)
        fingerprint = self._remembered(key)
        if fingerprint is None:
            self.sources_read += 1
            fingerprint = fingerprint_function(function).digest
            self._remember(key, fingerprint)
        by_code, address = self._by_code, id(code)
        by_code[address] = (weakref.ref(code, lambda _: by_code.pop(address, None)), fingerprint)
        return fingerprint

    def of_compiler(self) -> bytes:
        """The fingerprint of smelt and of the version of LLVM that it compiles with."""
        if self._compiler is None:
            key = toolchain_stamp()
            self._compiler = self._remembered(key)
            if self._compiler is None:
                self._compiler = toolchain_fingerprint()
                self._remember(key, self._compiler)
        return self._compiler

    def learn(self, key: bytes, fingerprint: bytes) -> None:
        """Take over what is remembered elsewhere, in an image."""
        self._known.setdefault(key, fingerprint)

    def _remembered(self, key: bytes) -> bytes | None:
        found = self._known.get(key)
        if found is not None or self._directory is None:
            return found
        contents = self._directory.read(_name(key))
        if contents is None:
            return None
        try:
            found = Container(contents).get(key)
        except ContainerError:
            return None
        if found is not None and len(found) == DIGEST_SIZE:
            self._known[key] = found
            return found
        return None

    def _remember(self, key: bytes, fingerprint: bytes) -> None:
        self._known[key] = fingerprint
        if self._directory is not None:
            name = digest(fingerprint)
            self._directory.write(_name(key), write_container({key: name}, {name: fingerprint}))


def _name(key: bytes) -> str:
    return f"{_FOLDER}/{key[:1].hex()}/{key.hex()}"
