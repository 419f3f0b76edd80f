# SPDX-License-Identifier: Apache-2.0
"""Fingerprints: digests that are equal in every process, on every machine and in every Python version.

A fingerprint is made of named parts, and each keeps its own digest, so that two fingerprints can say in which part they
differ. What is digested is encoded by `smelt.caching.encoding`, and framed: two different inputs never feed the same bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smelt.caching.digests import digest
from smelt.caching.encoding import encode, encode_int, encode_source, encode_str, frame, register_fingerprint, sequence
from smelt.caching.errors import FingerprintError
from smelt.caching.sources import function_source
from smelt.records import Record, field

if TYPE_CHECKING:
    from types import FunctionType

    from smelt.caching.sources import FunctionSource

__all__ = [
    "Fingerprint",
    "FingerprintBuilder",
    "fingerprint_constant",
    "fingerprint_function",
    "fingerprint_source",
    "fingerprint_type",
    "register_fingerprint",
]

_FORMAT = 2
"""Moves on when anything is digested in another way, so that no old fingerprint equals a new one by accident."""


class Fingerprint(Record):
    """A digest and the digests of the parts it is made of.

    Attributes
    ----------
    digest
        32 bytes, BLAKE2b-256 of the framed parts. It alone decides equality.
    parts
        The label and the digest of each part, in the order in which they were added; first comes "schema".
    """

    digest: bytes
    parts: tuple[tuple[str, bytes], ...] = field(compare=False, repr=False)

    def __fingerprint__(self) -> bytes:
        return self.digest

    @property
    def hex(self) -> str:
        """The digest in hexadecimal digits."""
        return self.digest.hex()

    def difference(self, other: Fingerprint) -> tuple[str, ...]:
        """The labels of the parts that differ or that only one of the two has, in order; empty for equal fingerprints."""
        if self == other:
            return ()
        mine, theirs = dict(self.parts), dict(other.parts)
        labels = tuple(label for label in {**mine, **theirs} if mine.get(label) != theirs.get(label))
        # The same parts in another order.
        return labels or tuple(mine)


class FingerprintBuilder:
    """Makes a fingerprint out of named parts.

    Parameters
    ----------
    schema
        What the fingerprint is of. Fingerprints of different schemas differ, whatever their parts.
    version
        The version of the schema. It moves on when the meaning of a part changes.
    """

    def __init__(self, schema: str, version: int) -> None:
        self._parts = {"schema": digest(sequence([encode_str(schema), encode_int(version)]))}

    def add(self, label: str, value: object) -> None:
        """Add a value that `fingerprint_constant` accepts.

        Raises
        ------
        FingerprintError
            If the value, or something in it, has no stable fingerprint.
        ValueError
            If there is a part with this label.
        """
        self.add_bytes(label, encode(value, label))

    def add_bytes(self, label: str, payload: bytes) -> None:
        """Add bytes as they are.

        Raises
        ------
        ValueError
            If there is a part with this label.
        """
        if label in self._parts:
            raise ValueError(f"the fingerprint has a part {label!r} already")
        self._parts[label] = digest(payload)

    def finish(self) -> Fingerprint:
        """The fingerprint of the parts added so far."""
        parts = tuple(self._parts.items())
        framed = [encode_int(_FORMAT), *[encode_str(label) + frame("digest", part) for label, part in parts]]
        return Fingerprint(digest(sequence(framed)), parts)


def fingerprint_function(function: FunctionType, *, annotations: bool = False) -> Fingerprint:
    """The fingerprint of what a function's own text says; its parts are "kind", "parameters", "body" (and "annotations").

    Comments, formatting, docstrings, decorators, the function's own name and its place play no part. Nor does what it refers
    to: the functions it calls, globals, cells, and the values of its defaults are dependencies of their own.

    Parameters
    ----------
    function
        A Python function.
    annotations
        Whether annotations play a part: of parameters, of the result and of local variables.

    Raises
    ------
    SourceError
        If the function has no source, or its source has changed since it was made.
    """
    return fingerprint_source(function_source(function), annotations=annotations)


def fingerprint_source(source: FunctionSource, *, annotations: bool = False) -> Fingerprint:
    """As `fingerprint_function`, of a source already at hand."""
    builder = FingerprintBuilder("function", 1)
    for label, encoded in encode_source(source, annotations=annotations).items():
        builder.add_bytes(label, encoded)
    return builder.finish()


def fingerprint_constant(value: object, *, name: str = "the value") -> Fingerprint:
    """The fingerprint of a compile-time constant: None, numbers, strings, bytes, `...`, ranges, enum members, classes,
    functions, modules, and tuples, named tuples, frozen sets and frozen dataclasses of these.

    Numbers are told apart by type and floats by their bits. Enum members count by class, name and value; frozen dataclasses
    by class and fields; modules, and functions that are not written in Python, by name; Python functions as
    `fingerprint_function` does, without what they refer to; other objects by what `register_fingerprint` or their class's
    method `__fingerprint__(self)` gives for them.

    Parameters
    ----------
    value
        The constant.
    name
        What to call it in errors, for instance `"global SIZES"`.

    Raises
    ------
    FingerprintError
        If the value, or something in it, has no stable fingerprint.
    """
    builder = FingerprintBuilder("constant", 1)
    builder.add_bytes("value", encode(value, name))
    return builder.finish()


def fingerprint_type(cls: type) -> Fingerprint:
    """The fingerprint of a class.

    An enum class counts by qualified name and members; a dataclass or a named tuple class by qualified name, the names and
    types of its fields in order, and whether it is frozen, so that a reloaded or moved class of the same layout is the same;
    any other class by module and qualified name.

    Raises
    ------
    FingerprintError
        If the type of a field has no stable fingerprint, or can't be found out.
    """
    if not isinstance(cls, type):
        raise FingerprintError(f"an object of class {type(cls).__qualname__} is no class")
    builder = FingerprintBuilder("type", 1)
    builder.add_bytes("type", encode(cls, f"class {cls.__qualname__}"))
    return builder.finish()
