# SPDX-License-Identifier: Apache-2.0
"""The one format of all files that sessions leave behind: blobs under keys. docs/store-format.md describes it.

A container is looked into without being read whole, and nothing in it is trusted before its digest was compared: a wrong table
can only lead to a blob that doesn't have the digest which was asked for. All numbers are little-endian and unsigned.

| bytes | what |
|---|---|
| 8 | the magic number |
| 4 | the version of the format |
| 4 | the number of keys, k |
| 4 | the number of blobs, b |
| 4 | zero |
| k x 64 | the keys in ascending order, each of 32 bytes, with the digest of its blob |
| b x 48 | the digests of the blobs in ascending order, with where each begins and how long it is, 8 bytes each |
| the rest | the blobs |
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from smelt.caching import StoreError
from smelt.caching.digests import DIGEST_SIZE, digest

MAGIC = b"\x89smelt\r\n"
VERSION = 1
MOST_BYTES = 1 << 30
"""The most bytes of a blob, and of all that is put into one container."""

Buffer: TypeAlias = "bytes | memoryview"

_HEADER = struct.Struct("<8sIIII")
_KEY_SIZE = 2 * DIGEST_SIZE
_EXTENT = struct.Struct("<QQ")
_BLOB_SIZE = DIGEST_SIZE + _EXTENT.size


class ContainerError(StoreError):
    """Bytes that are no container, one of another version, or one that was damaged."""


class OtherVersionError(ContainerError):
    """A container of another version: whoever wrote it can read it."""


def write_container(keys: Mapping[bytes, bytes], blobs: Mapping[bytes, bytes]) -> bytes:
    """A container.

    Parameters
    ----------
    keys
        The digest of the blob that each key stands for; both have 32 bytes.
    blobs
        The blobs by their digests: those that keys stand for, and those that are referred to from blobs.

    Raises
    ------
    ContainerError
        If they are too large together.
    """
    total = sum(map(len, blobs.values()))
    if total > MOST_BYTES:
        raise ContainerError(f"a container holds at most {MOST_BYTES} bytes, not {total}")
    names = sorted(blobs)
    begin = _HEADER.size + _KEY_SIZE * len(keys) + _BLOB_SIZE * len(names)
    table = []
    for name in names:
        table.append(name + _EXTENT.pack(begin, len(blobs[name])))
        begin += len(blobs[name])
    header = _HEADER.pack(MAGIC, VERSION, len(keys), len(names), 0)
    return b"".join([header, *(key + keys[key] for key in sorted(keys)), *table, *(blobs[name] for name in names)])


class Container:
    """A container to look into. Raises `ContainerError` if `buffer` does not begin as one."""

    def __init__(self, buffer: Buffer) -> None:
        if len(buffer) < _HEADER.size:
            raise ContainerError("it is shorter than the header of a container")
        magic, version, keys, blobs, zero = _HEADER.unpack_from(buffer)
        if magic != MAGIC:
            raise ContainerError("it is no container of smelt")
        if version != VERSION:
            raise OtherVersionError(f"it is a container of version {version}, and this is made for version {VERSION}")
        self._buffer = buffer
        self._keys = _HEADER.size
        self._blobs = self._keys + keys * _KEY_SIZE
        self.key_count, self.blob_count = keys, blobs
        if zero or self._blobs + blobs * _BLOB_SIZE > len(buffer):
            raise ContainerError("its tables do not fit into it")

    def get(self, key: bytes) -> bytes | None:
        """The blob of a key, or None. Raises `ContainerError` if it is damaged."""
        place = self._search(self._keys, self.key_count, _KEY_SIZE, key)
        return None if place is None else self.blob(bytes(self._buffer[place : place + DIGEST_SIZE]))

    def blob(self, name: bytes) -> bytes:
        """The blob with the digest `name`. Raises `ContainerError` if it isn't there or is damaged."""
        place = self._search(self._blobs, self.blob_count, _BLOB_SIZE, name)
        if place is None:
            raise ContainerError(f"it has no blob {name.hex()}")
        begin, length = _EXTENT.unpack_from(self._buffer, place)
        if length > MOST_BYTES or begin + length > len(self._buffer):
            raise ContainerError(f"its blob {name.hex()} does not fit into it")
        blob = bytes(self._buffer[begin : begin + length])
        if digest(blob) != name:
            raise ContainerError(f"its blob {name.hex()} is damaged")
        return blob

    def blobs(self) -> dict[bytes, bytes]:
        """All blobs, by their digests. Raises `ContainerError` at the first that is damaged."""
        places = range(self._blobs, self._blobs + self.blob_count * _BLOB_SIZE, _BLOB_SIZE)
        names = [bytes(self._buffer[place : place + DIGEST_SIZE]) for place in places]
        return {name: self.blob(name) for name in names}

    def keys(self) -> Iterator[bytes]:
        """The keys, in ascending order."""
        for place in range(self._keys, self._keys + self.key_count * _KEY_SIZE, _KEY_SIZE):
            yield bytes(self._buffer[place : place + DIGEST_SIZE])

    def verify(self) -> None:
        """Compare every digest. Raises `ContainerError` at the first that is wrong."""
        self.blobs()
        for key in self.keys():
            if self.get(key) is None:
                raise ContainerError("its keys are out of order")

    def _search(self, table: int, count: int, size: int, name: bytes) -> int | None:
        """Where what belongs to `name` stands in a sorted table, or None."""
        low, high = 0, count
        while low < high:
            middle = (low + high) // 2
            place = table + middle * size
            found = bytes(self._buffer[place : place + DIGEST_SIZE])
            if found == name:
                return place + DIGEST_SIZE
            low, high = (middle + 1, high) if found < name else (low, middle)
        return None
