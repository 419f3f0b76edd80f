# SPDX-License-Identifier: Apache-2.0
"""The store of code that depends on nothing but the compiler: launch stubs, the runtime library and their like.

Their functions are smelt's own, so the compiler's fingerprint covers them; the owner and the argument types say the rest. There is one
entry for each key, in the directory or in an image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from smelt.caching import CacheView, CodeInstance, FingerprintError, MethodInstance, Results, ResultsError, StoreError
from smelt.caching.digests import digest
from smelt.caching.encoding import encode, encode_str, frame, sequence
from smelt.sessions.container import Container, OtherVersionError, write_container
from smelt.sessions.directory import Directory
from smelt.sessions.entries import State, restored, state_of
from smelt.sessions.fingerprints import Fingerprints
from smelt.sessions.objects import Objects, UnnamedError
from smelt.sessions.values import Vocabulary

_FOLDER = "compiler"
_VOCABULARY = Vocabulary((State,))

R = TypeVar("R", bound=Results)


class CompilerCode:
    """A `ResultStore` for code whose results are a function of the compiler, the owner and the argument types.

    Parameters
    ----------
    directory
        Where it is kept, or None.
    fingerprints
        Gives the compiler's.
    images
        Gives the containers in which there may be such code, too. They are asked for what the directory doesn't have.
    """

    def __init__(
        self,
        directory: Directory | None,
        fingerprints: Fingerprints,
        images: Callable[[], Iterable[Container]] = lambda: (),
    ) -> None:
        self._directory = directory
        self._fingerprints = fingerprints
        self._images = images

    def __repr__(self) -> str:
        return self._directory.path if self._directory is not None else "in images only"

    # As a ResultStore

    def load(self, view: CacheView[Any], instance: MethodInstance) -> CodeInstance | None:
        """The code of `instance`, if an earlier process kept it."""
        results = self.load_results(view.results_class, instance, view.owner)
        if results is None:
            return None
        code = view.code_instance(instance)
        code.attach(results)
        return code

    def save(self, view: CacheView[Any], code: CodeInstance) -> None:
        """Keep the results of `code`."""
        self.save_results(view.results(code), code.instance, view.owner)

    # Results by themselves

    def load_results(self, results_class: type[R], instance: MethodInstance, owner: object) -> R | None:
        """The results of `instance` for an owner, if an earlier process kept them."""
        if self._directory is None and not any(True for _ in self._images()):
            # The key has the compiler's fingerprint in it, which takes long to make where it is not kept.
            return None
        key = self._key(instance, owner)
        if key is None:
            return None
        found = self._in_directory(results_class, instance, key)
        return found if found is not None else self._in_images(results_class, instance, key)

    def save_results(self, results: Results, instance: MethodInstance, owner: object) -> None:
        """Keep the results of `instance` for an owner. What has no name in other processes is not kept."""
        if self._directory is None or self._fingerprints.compiler_has_changed():
            return
        key = self._key(instance, owner)
        if key is None:
            return
        blobs: dict[bytes, bytes] = {}
        try:
            # With its key, as an entry is.
            encoded = _VOCABULARY.encode((key, state_of(results, Objects(instance.source, ()))), blobs)
        except UnnamedError:
            return
        blobs[digest(encoded)] = encoded
        self._directory.write(_name(key), write_container({key: digest(encoded)}, blobs))

    def _in_directory(self, results_class: type[R], instance: MethodInstance, key: bytes) -> R | None:
        contents = self._directory.read(_name(key)) if self._directory is not None else None
        if contents is None or self._directory is None:
            return None
        try:
            found = _results_in(Container(contents), results_class, instance, key)
        except OtherVersionError:
            return None
        except _DAMAGED as error:
            self._directory.warn(f"holds a damaged file, {_name(key)}: {error}")
            return None
        self._directory.mark_as_used(_name(key))
        return found

    def _in_images(self, results_class: type[R], instance: MethodInstance, key: bytes) -> R | None:
        for container in self._images():
            try:
                found = _results_in(container, results_class, instance, key)
            except _DAMAGED:
                continue
            if found is not None:
                return found
        return None

    def _key(self, instance: MethodInstance, owner: object) -> bytes | None:
        try:
            return digest(
                sequence(
                    [
                        encode_str(instance.source.__module__),
                        encode_str(instance.source.__qualname__),
                        encode(instance.types, "the argument types"),
                        encode(owner, "the owner"),
                        frame("compiler", self._fingerprints.of_compiler()),
                    ]
                )
            )
        except FingerprintError:
            # It has something to do with what has no name in other processes.
            return None


_DAMAGED = (StoreError, ResultsError, TypeError, ValueError, AttributeError)


def _results_in(container: Container, results_class: type[R], instance: MethodInstance, key: bytes) -> R | None:
    encoded = container.get(key)
    if encoded is None:
        return None
    own, state = _VOCABULARY.decode(encoded, container.blob)
    return restored(results_class, state, Objects(instance.source, ())) if own == key else None


def compiler_code(directory: Directory) -> dict[bytes, tuple[bytes, dict[bytes, bytes]]]:
    """All such code in a directory by its key, as it stands in containers: what it is, and the blobs that this refers to."""
    found = {}
    for folder in directory.folders(_FOLDER):
        for name in directory.names(folder):
            key, contents = bytes.fromhex(name.rpartition("/")[2]), directory.read(name)
            if contents is not None:
                container = Container(contents)
                encoded = container.get(key)
                if encoded is not None:
                    found[key] = encoded, container.blobs()
    return found


def _name(key: bytes) -> str:
    return f"{_FOLDER}/{key[:1].hex()}/{key.hex()}"
