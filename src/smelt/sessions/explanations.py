# SPDX-License-Identifier: Apache-2.0
"""Why what was kept can't be used, in one line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

from smelt.caching import LookupTable, MethodInstance
from smelt.sessions.contents import keyed_entries
from smelt.sessions.directory import Directory
from smelt.sessions.edges import CallEdge, ReadEdge, Replay
from smelt.sessions.entries import Entry
from smelt.sessions.fingerprints import Fingerprints
from smelt.sessions.images import Images
from smelt.sessions.objects import Objects, UnnamedError
from smelt.sessions.signatures import Named, resolved_types

OTHER_COMPILER = "what is kept was made by another version of smelt or of LLVM"
OTHER_TEXT = "its own text was another"


def why_none_of(names: Sequence[str], prefix: str) -> str:
    """Why none of the entries of these names begins with `prefix`."""
    compiler = prefix[: prefix.index("-")]
    return OTHER_TEXT if any(name.startswith(compiler) for name in names) else OTHER_COMPILER


def why_failed(entry: Entry, failed: ReadEdge | CallEdge) -> str:
    """One line for an edge that no longer holds, with the calls by which it was reached."""
    reader = failed.reader
    if isinstance(failed, CallEdge):
        what = "an overlay of a function was added or removed; it is called by"
    elif failed.name == "__code__":
        what, reader = f"{failed.label} changed; it is called by", entry.readers[reader].caller
    else:
        name = "an entry" if isinstance(failed.name, Named) else failed.name
        what = f"{failed.label}.{name} changed; it is read by"
    chain = []
    while reader >= 0:
        chain.append(entry.readers[reader].text)
        reader = entry.readers[reader].caller
    return f"{what} {', which is called by '.join(chain)}"


def explain(
    function: FunctionType,
    instance_of: Callable[[FunctionType, tuple[Any, ...]], MethodInstance],
    overlays: LookupTable,
    directory: Directory | None,
    images: Images,
) -> list[tuple[str, str | None]]:
    """All that is kept of a kernel: each method instance as text, with the reason for which it would be compiled again, or None.

    It is looked for in the image of the kernel's module, and in the directory if there is one.
    """
    fingerprints = Fingerprints(directory, images.fingerprint)
    module, name = str(function.__globals__.get("__name__")), function.__code__.co_qualname
    in_images = [entry for image in images.of(module) for entry in image.entries()]
    in_directory = [] if directory is None else [entry for _, entry in keyed_entries(directory)]
    found: dict[str, str | None] = {}
    for entry in in_images + in_directory:
        if (entry.module, entry.function) == (module, name) and found.get(entry.text, "") is not None:
            reason = _why_not(entry, function, instance_of, overlays, fingerprints)
            found[entry.text] = reason if reason is None else found.get(entry.text, reason)
    return sorted(found.items())


def _why_not(
    entry: Entry,
    function: FunctionType,
    instance_of: Callable[[FunctionType, tuple[Any, ...]], MethodInstance],
    overlays: LookupTable,
    fingerprints: Fingerprints,
) -> str | None:
    if entry.compiler != fingerprints.of_compiler():
        return OTHER_COMPILER
    if entry.own != fingerprints.of(function):
        return OTHER_TEXT
    try:
        if entry.types is None:
            return "its argument types can't be written down"
        instance = instance_of(function, resolved_types(entry.types, Objects(function, ())))
    except UnnamedError as error:
        return str(error)
    failed = Replay(instance, overlays, overlays.cache.world(), fingerprints.of).check(entry.edges)
    return None if failed is None else why_failed(entry, failed)
