# SPDX-License-Identifier: Apache-2.0
"""The store of code that depends on nothing but the compiler: launch stubs and their like.

Their functions are smelt's own, so the compiler's fingerprint covers them; the argument types say the rest. There is one entry for each key.
"""

from __future__ import annotations

from typing import Any

from smelt.caching import CacheView, CodeInstance, MethodInstance, ResultsError, StoreError, portable_state, restore
from smelt.caching.digests import digest
from smelt.caching.encoding import encode, encode_str, frame, sequence
from smelt.sessions.container import Container, write_container
from smelt.sessions.directory import Directory
from smelt.sessions.fingerprints import Fingerprints
from smelt.sessions.values import Vocabulary

_FOLDER = "compiler"
_VOCABULARY = Vocabulary(())


class CompilerCode:
    """A `ResultStore` for code whose results are a function of the compiler, the owner and the argument types."""

    def __init__(self, directory: Directory, fingerprints: Fingerprints) -> None:
        self._directory = directory
        self._fingerprints = fingerprints

    def __repr__(self) -> str:
        return self._directory.path

    def load(self, view: CacheView[Any], instance: MethodInstance) -> CodeInstance | None:
        """The code of `instance`, if an earlier process kept it."""
        key = self._key(view, instance)
        contents = self._directory.read(_name(key))
        if contents is None:
            return None
        try:
            container = Container(contents)
            encoded = container.get(key)
            if encoded is None:
                return None
            results = restore(view.results_class, dict(_VOCABULARY.decode(encoded, container.blob)))
        except (StoreError, ResultsError, TypeError, ValueError) as error:
            self._directory.warn(f"holds a damaged file, {_name(key)}: {error}")
            return None
        self._directory.mark_as_used(_name(key))
        code = view.code_instance(instance)
        code.attach(results)
        return code

    def save(self, view: CacheView[Any], code: CodeInstance) -> None:
        """Keep the results of `code`."""
        if self._fingerprints.compiler_has_changed():
            return
        key = self._key(view, code.instance)
        blobs: dict[bytes, bytes] = {}
        encoded = _VOCABULARY.encode(tuple(sorted(portable_state(view.results(code)).items())), blobs)
        blobs[digest(encoded)] = encoded
        self._directory.write(_name(key), write_container({key: digest(encoded)}, blobs))

    def _key(self, view: CacheView[Any], instance: MethodInstance) -> bytes:
        return digest(
            sequence(
                [
                    encode_str(instance.function.__module__),
                    encode_str(instance.function.__qualname__),
                    encode(instance.types, "the argument types"),
                    encode(view.owner, "the owner"),
                    frame("compiler", self._fingerprints.of_compiler()),
                ]
            )
        )


def _name(key: bytes) -> str:
    return f"{_FOLDER}/{key[:1].hex()}/{key.hex()}"
