# SPDX-License-Identifier: Apache-2.0
"""What a store's directory holds, for whoever looks after it."""

from __future__ import annotations

from collections.abc import Iterator

from smelt.caching import StoreError
from smelt.sessions.container import Container, OtherVersionError
from smelt.sessions.directory import Directory
from smelt.sessions.entries import Entry, decode_entry

FOLDERS = {
    "entries": "kernels",
    "fingerprints": "fingerprints of functions",
    "compilers": "fingerprints of smelt and its LLVM",
    "compiler": "launch stubs and the runtime library",
}
"""The folders of a store, and what is in each."""


def files(directory: Directory, folder: str) -> Iterator[str]:
    """All files in a folder of the store."""
    for shelf in directory.folders(folder):
        yield from directory.names(shelf)
        for inner in directory.folders(shelf):
            yield from directory.names(inner)


def sizes(directory: Directory) -> dict[str, tuple[int, int]]:
    """How many files there are in each folder, and how many bytes."""
    found = {}
    for folder in FOLDERS:
        contents = [directory.read(name) or b"" for name in files(directory, folder)]
        found[folder] = (len(contents), sum(map(len, contents)))
    return found


def entries(directory: Directory) -> Iterator[Entry]:
    """All entries that are whole."""
    for _, entry in keyed_entries(directory):
        yield entry


def keyed_entries(directory: Directory) -> Iterator[tuple[bytes, Entry]]:
    """All entries that are whole, with their keys."""
    for name in files(directory, "entries"):
        key, contents = bytes.fromhex(name.split("/")[-2]), directory.read(name)
        try:
            if contents is not None:
                yield key, decode_entry(key, contents)
        except StoreError:
            continue


def verify(directory: Directory) -> tuple[int, list[str]]:
    """Compare every digest; remove what is damaged. Returns how many files are whole, and the names of those that were not.

    Files of another version of the format are left to those who can read them.
    """
    whole, damaged = 0, []
    for folder in FOLDERS:
        for name in list(files(directory, folder)):
            contents = directory.read(name)
            try:
                container = Container(contents or b"")
                container.verify()
                if folder == "entries":
                    decode_entry(bytes.fromhex(name.split("/")[-2]), contents or b"")
            except OtherVersionError:
                continue
            except StoreError:
                damaged.append(name)
                directory.remove(name)
            else:
                whole += 1
    return whole, damaged


def prune(directory: Directory, most_bytes: int) -> int:
    """Remove what was used least recently until `most_bytes` are left, about. Returns how many bytes were removed."""
    removed = 0
    for folder in FOLDERS:
        shelves = directory.folders(folder)
        # Of which each is a like part of the whole.
        removed += sum(directory.prune(shelf, most_bytes // 256) for shelf in shelves)
    return removed


def clear(directory: Directory) -> int:
    """Remove everything. Returns how many files that were."""
    names = [name for folder in FOLDERS for name in files(directory, folder)]
    count = sum(directory.remove(name) for name in names)
    for folder in FOLDERS:
        for shelf in directory.folders(folder):
            # Takes the empty folders away.
            directory.prune(shelf, 0)
    return count
