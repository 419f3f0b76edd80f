# SPDX-License-Identifier: Apache-2.0
"""Flat code in memory: mapped, made executable, and freed when nobody holds it any more.

Memory is never writable and executable at once: it is written, and from then on it can only be read and run. So each piece has pages of
its own; sharing a page would mean to write to it while what stands there already runs.
"""

from __future__ import annotations

import struct
import weakref
from collections.abc import Callable

from smelt.targets.native.errors import LinkError
from smelt.targets.native.loader import pages
from smelt.targets.native.machine_code.flat import FlatCode


class MappedCode:
    """Flat code that can be called.

    `resolve` gives the address of a symbol. Raises what it raises, and `LinkError` if the system gives no memory that can be executed.
    The memory is freed when this is dropped, so whoever calls an address holds on to this; at the process's end it stays, for threads may
    run in it still.
    """

    def __init__(self, flat: FlatCode, resolve: Callable[[str], int]) -> None:
        self._entries = dict(flat.entries)
        # Before there is memory that would have to be freed, for this may raise.
        table = [resolve(name) for name in flat.symbols]

        def contents(base: int) -> bytes:
            blob = bytearray(flat.blob)
            for offset, target in flat.pointers:
                struct.pack_into("<Q", blob, offset, base + target)
            return bytes(blob) + struct.pack(f"<{len(table)}Q", *table)

        self._base = pages.executable(flat.size, contents)
        weakref.finalize(self, pages.free, self._base, flat.size).atexit = False

    def address(self, entry: str) -> int:
        """The address of an exported symbol. Raises `LinkError` if there is none of that name."""
        if entry not in self._entries:
            raise LinkError(f"this code exports no {entry}; it has {', '.join(self._entries) or 'nothing'}")
        return self._base + self._entries[entry]
