# SPDX-License-Identifier: Apache-2.0
"""Values as bytes, and back: what may stand in a container's blob. docs/store-format.md describes the form.

None, booleans, numbers, strings, bytes, tuples, and the dataclasses and enumerations of a closed table, by name. Long bytes become blobs
of their own, which are shared by content. Reading makes nothing but these: no name in a file decides which code runs.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Callable, Iterable
from typing import Any

from smelt.caching import StoreError
from smelt.caching.digests import DIGEST_SIZE, digest
from smelt.records import fields, is_dataclass

SHORT = 256
"""Bytes that are longer become a blob of their own."""

_MOST_DEPTH = 100


class EncodingError(StoreError):
    """A value that can't be written, or bytes that are no value."""


class Vocabulary:
    """The dataclasses and enumerations that values may be made of, by the names that they have in files.

    Raises `ValueError` if two have one name.
    """

    def __init__(self, classes: Iterable[type]) -> None:
        self._classes: dict[str, type] = {}
        for cls in classes:
            if self._classes.setdefault(cls.__name__, cls) is not cls:
                raise ValueError(f"two classes of the vocabulary are called {cls.__name__}")
        self._fields = {
            cls: tuple(field.name for field in fields(cls)) for cls in self._classes.values() if is_dataclass(cls)
        }

    def encode(self, value: object, blobs: dict[bytes, bytes] | None = None) -> bytes:
        """The bytes of a value. Long bytes in it go to `blobs`, if it is given.

        Raises `EncodingError` for what is no value.
        """
        parts: list[bytes] = []
        self._write(value, parts, blobs)
        return b"".join(parts)

    def decode(self, payload: bytes, blob: Callable[[bytes], bytes] | None = None) -> Any:
        """The value that `payload` stands for; `blob` gives those by digest that it refers to.

        Raises `EncodingError` if it stands for none.
        """
        try:
            value, end = self._read(payload, 0, blob, 0)
        except (struct.error, IndexError, UnicodeDecodeError, TypeError, ValueError, OverflowError) as error:
            raise EncodingError(f"it is no value: {type(error).__name__}: {error}") from error
        if end != len(payload):
            raise EncodingError("something follows the value")
        return value

    def _write(self, value: Any, parts: list[bytes], blobs: dict[bytes, bytes] | None) -> None:
        kind = type(value)
        if kind in _ATOMS:
            tag, write = _ATOMS[kind]
            payload = write(value)
            if kind is bytes and len(value) > SHORT and blobs is not None:
                tag, payload = b"r", digest(value)
                blobs[payload] = value
            parts.append(tag + _LENGTH.pack(len(payload)) + payload)
        elif kind is tuple:
            parts.append(b"t" + _LENGTH.pack(len(value)))
            for item in value:
                self._write(item, parts, blobs)
        elif self._classes.get(kind.__name__) is not kind:
            raise EncodingError(f"an object of class {kind.__module__}.{kind.__qualname__} can't be written to a file")
        elif issubclass(kind, enum.Enum):
            parts.append(b"e" + _named(kind.__name__) + _named(value.name))
        else:
            fields = self._fields[kind]
            parts.append(b"d" + _named(kind.__name__) + _LENGTH.pack(len(fields)))
            for name in fields:
                self._write(getattr(value, name), parts, blobs)

    def _read(self, payload: bytes, at: int, blob: Callable[[bytes], bytes] | None, depth: int) -> tuple[Any, int]:
        if depth > _MOST_DEPTH:
            raise EncodingError("it is nested too deeply")
        tag, at = payload[at : at + 1], at + 1
        if tag == b"t":
            (count,), at = _LENGTH.unpack_from(payload, at), at + _LENGTH.size
            items = []
            # Each item takes a byte at least, so a wrong count ends with the payload.
            for _ in range(count):
                item, at = self._read(payload, at, blob, depth + 1)
                items.append(item)
            return tuple(items), at
        if tag in (b"e", b"d"):
            return self._read_named(tag, payload, at, blob, depth)
        content, at = _framed(payload, at)
        if tag == b"r":
            if blob is None or len(content) != DIGEST_SIZE:
                raise EncodingError("it refers to a blob where there is none")
            return blob(content), at
        reader = _READERS.get(tag)
        if reader is None:
            raise EncodingError(f"no value begins with {tag!r}")
        return reader(content), at

    def _read_named(
        self, tag: bytes, payload: bytes, at: int, blob: Callable[[bytes], bytes] | None, depth: int
    ) -> tuple[Any, int]:
        name, at = _framed(payload, at)
        cls = self._classes.get(name.decode())
        if tag == b"e":
            member, at = _framed(payload, at)
            if cls is None or not issubclass(cls, enum.Enum) or member.decode() not in cls.__members__:
                raise EncodingError(f"there is no {name.decode()}.{member.decode()}")
            return cls[member.decode()], at
        fields = self._fields.get(cls, ()) if cls is not None else ()
        (count,), at = _LENGTH.unpack_from(payload, at), at + _LENGTH.size
        if cls is None or count != len(fields):
            raise EncodingError(f"there is no {name.decode()} with {count} fields")
        values = {}
        for field in fields:
            values[field], at = self._read(payload, at, blob, depth + 1)
        return cls(**values), at


_LENGTH = struct.Struct("<I")


def _named(name: str) -> bytes:
    encoded = name.encode()
    return _LENGTH.pack(len(encoded)) + encoded


def _framed(payload: bytes, at: int) -> tuple[bytes, int]:
    (length,) = _LENGTH.unpack_from(payload, at)
    begin = at + _LENGTH.size
    if begin + length > len(payload):
        raise EncodingError("it ends too early")
    return payload[begin : begin + length], begin + length


_ATOMS: dict[type, tuple[bytes, Callable[[Any], bytes]]] = {
    type(None): (b"n", lambda _: b""),
    bool: (b"b", lambda value: b"\1" if value else b"\0"),
    int: (b"i", lambda value: value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)),
    float: (b"f", lambda value: struct.pack("<d", value)),
    complex: (b"c", lambda value: struct.pack("<dd", value.real, value.imag)),
    # A string may hold half of a surrogate pair.
    str: (b"s", lambda value: value.encode("utf-8", "surrogatepass")),
    bytes: (b"y", lambda value: value),
}


def _nothing(content: bytes) -> None:
    if content:
        raise EncodingError("None has no content")


def _boolean(content: bytes) -> bool:
    if content not in (b"\0", b"\1"):
        raise EncodingError("a boolean is one byte, 0 or 1")
    return content == b"\1"


def _floating(content: bytes) -> float:
    (value,) = struct.unpack("<d", content)
    assert isinstance(value, float)
    return value


_READERS: dict[bytes, Callable[[bytes], object]] = {
    b"n": _nothing,
    b"b": _boolean,
    b"i": lambda content: int.from_bytes(content, "little", signed=True),
    b"f": _floating,
    b"c": lambda content: complex(*struct.unpack("<dd", content)),
    b"s": lambda content: content.decode("utf-8", "surrogatepass"),
    b"y": bytes,
}
