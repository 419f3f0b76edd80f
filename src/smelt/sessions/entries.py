# SPDX-License-Identifier: Apache-2.0
"""Entries: the code of one method instance for one configuration, as it is kept, and the names under which it is found.

Everything that was ever kept for a method instance and owner stands under one key, which says nothing of what the method depends on;
which of these candidates is right is found by checking their edges. Their names say which are worth a look.
"""

from __future__ import annotations

from typing import Any, TypeVar

from smelt.caching import MethodInstance, Results, ResultsError, StoreError, portable_state, restore
from smelt.caching.digests import digest
from smelt.caching.encoding import encode, encode_str, frame, sequence
from smelt.caching.results import named_fields
from smelt.compiler.config import CompilerConfig, Target
from smelt.records import Record
from smelt.sessions.container import Container, ContainerError, write_container
from smelt.sessions.edges import CallEdge, ReadEdge, Reader
from smelt.sessions.objects import Objects, Reference, UnnamedError
from smelt.sessions.signatures import TYPES, named_types
from smelt.sessions.values import Vocabulary

R = TypeVar("R", bound=Results)

_SHORT = 8
"""How many bytes of a digest stand in a name."""


class State(Record):
    """What is kept of a results object: its portable fields, and references to the objects in its named ones."""

    results_class: str
    portable: tuple[tuple[str, Any], ...]
    named: tuple[tuple[str, tuple[Reference, ...]], ...]


class Entry(Record):
    """The code of a method instance for one configuration.

    Attributes
    ----------
    text
        The method instance, as text.
    module, function, types
        The module of its function, the function's qualified name, and the argument types; None for types that can't be written.
    owner
        The owner of its code.
    compiler
        The fingerprint of what compiled it.
    own
        The fingerprint of the method's own text.
    readers
        The functions that it consists of.
    edges
        What it depends on.
    inferred
        What inference found out.
    config
        The configuration that the artifact was compiled with.
    artifact
        What compiling produced: a `State`, encoded, so that it is a blob of its own.
    """

    text: str
    module: str
    function: str
    types: tuple[Any, ...] | None
    owner: bytes
    compiler: bytes
    own: bytes
    readers: tuple[Reader, ...]
    edges: tuple[ReadEdge | CallEdge, ...]
    inferred: State
    config: CompilerConfig
    artifact: bytes

    def name(self) -> str:
        """What the entry is called among those of its key: equal for what replaces it."""
        edges = digest(VOCABULARY.encode((self.readers, self.edges)))
        config = digest(VOCABULARY.encode(self.config))
        return "-".join(part[:_SHORT].hex() for part in (self.compiler, self.own, edges, config))


VOCABULARY = Vocabulary((*TYPES, ReadEdge, CallEdge, Reader, State, Entry, CompilerConfig, Target))


def name_prefix(compiler: bytes, own: bytes) -> str:
    """How the names of the entries begin that this compiler made of this text."""
    return f"{compiler[:_SHORT].hex()}-{own[:_SHORT].hex()}-"


def group_of(name: str) -> str:
    """The part of a name that entries with the same edges share."""
    return name.rpartition("-")[0]


def key_of(instance: MethodInstance, owner: object) -> bytes:
    """The key of a method instance's code. Raises `UnnamedError` if a type of its arguments can't be described."""
    module, name = method_name(instance)
    objects = Objects(instance.source, ())
    return digest(
        sequence(
            [
                encode_str(module),
                encode_str(name),
                objects.describe(instance.types),
                frame("owner", encode(owner, "the owner")),
            ]
        )
    )


def method_name(instance: MethodInstance) -> tuple[str, str]:
    """The module and the qualified name of what a method instance is made of."""
    function = instance.source
    return str(function.__globals__.get("__name__")), function.__code__.co_qualname


def types_of(instance: MethodInstance) -> tuple[Any, ...] | None:
    """The argument types of a method instance as they are kept, None if they can't be."""
    try:
        types: tuple[Any, ...] = named_types(instance.types, Objects(instance.source, ()))
    except UnnamedError:
        return None
    return types


def state_of(results: Results, objects: Objects) -> State:
    """What is kept of `results`. Raises `UnnamedError` if an object that they name can't be found by reading."""
    named = tuple(
        (name, tuple(objects.reference(value) for value in getattr(results, name)))
        for name in named_fields(type(results))
    )
    return State(type(results).__name__, tuple(sorted(portable_state(results).items())), named)


def restored(cls: type[R], state: State, objects: Objects) -> R:
    """The results that `state_of` was given. Raises `StoreError` if it is a state of no such results."""
    try:
        results = restore(cls, dict(state.portable))
        for name, references in state.named:
            setattr(results, name, tuple(objects.resolve(reference) for reference in references))
    except ResultsError as error:
        raise StoreError(f"what was kept is no {cls.__qualname__}: {error}") from error
    return results


def encode_entry(key: bytes, entry: Entry) -> bytes:
    """A container with one entry."""
    blobs: dict[bytes, bytes] = {}
    # With its key: where it stands is no reason to believe that it belongs there.
    encoded = VOCABULARY.encode((key, entry), blobs)
    blobs[digest(encoded)] = encoded
    return write_container({key: digest(encoded)}, blobs)


def decode_entry(key: bytes, contents: bytes) -> Entry:
    """The entry in a container that `encode_entry` made. Raises `ContainerError`, `EncodingError`."""
    container = Container(contents)
    encoded = container.get(key)
    if encoded is None:
        raise ContainerError("it holds the entry of another key")
    return checked_entry(key, VOCABULARY.decode(encoded, container.blob))


def checked_entry(key: bytes, value: Any) -> Entry:
    """The entry in what was decoded. Raises `ContainerError` if it is none, or that of another key."""
    if not (isinstance(value, tuple) and len(value) == 2 and value[0] == key and isinstance(value[1], Entry)):
        raise ContainerError("it holds no entry of this key")
    entry: Entry = value[1]
    return entry
