# SPDX-License-Identifier: Apache-2.0
"""Which names are watched in which dicts, as a hash table that compiled code can read.

A callback in Python costs microseconds for each store to a watched dict, whichever name is stored. So whoever has a compiler may put a
compiled callback before it, which calls the one in Python only for what is in this table: see `watching.use_compiled_callback`.

`description` is two words: the address of the table, and the address of the callback in Python. The table is words too: the number of
its slots less one, and the slots. A free one is 0, one that was freed is 1. The key of a name in a dict is

    (address of the dict * DICT_FACTOR + hash of the name * NAME_FACTOR) | NEVER_A_KEY

modulo 2 ** 64. It stands in the first slot from `key >> INDEX_SHIFT`, modulo their number, on that was free when it came. Two names may
have one key: what is in the table may be watched, what isn't certainly isn't.

Everything here is called under the lock of `locking`; who reads does so while no other thread runs Python.
"""

from __future__ import annotations

import ctypes

# Odd, and far from a sum of few powers of two: multiplying by them spreads what differs in few bits over all. The first is 2 ** 64
# divided by the golden ratio (Knuth, The Art of Computer Programming, volume 3, 6.4), the second that of splitmix64.
DICT_FACTOR = 0x9E3779B97F4A7C15
NAME_FACTOR = 0xBF58476D1CE4E5B9
INDEX_SHIFT = 32
NEVER_A_KEY = 2
"""This bit is set in every key, so none is 0 or 1."""

_FREE, _FREED = 0, 1
_WORD = (1 << 64) - 1
_FEWEST_SLOTS = 64


class WatchedNames:
    """The names that are watched, of all dicts."""

    def __init__(self) -> None:
        # LIFETIME: compiled code reads these as long as it is called.
        self.description = (ctypes.c_uint64 * 2)()
        self._names: set[tuple[int, str]] = set()
        # How many names have a key.
        self._counts: dict[int, int] = {}
        self._rebuild()

    def use_callback(self, address: int) -> None:
        """Set the address of the callback in Python."""
        self.description[1] = address

    def add(self, container: int, name: str) -> None:
        """Add a name in the dict at an address, unless it is here already."""
        if (container, name) in self._names:
            return
        self._names.add((container, name))
        key = _key(container, name)
        self._counts[key] = self._counts.get(key, 0) + 1
        if self._counts[key] > 1:
            return
        self._used += 1
        if 2 * self._used > self._table[0]:
            self._rebuild()
        else:
            self._table[_position(self._table, key, (_FREE, _FREED))] = key

    def remove(self, container: int, name: str) -> None:
        """Remove what was added, if it is here still."""
        if (container, name) not in self._names:
            return
        self._names.remove((container, name))
        key = _key(container, name)
        self._counts[key] -= 1
        if not self._counts[key]:
            del self._counts[key]
            self._table[_position(self._table, key, (key,))] = _FREED

    def _rebuild(self) -> None:
        """Make the table anew, with four slots or more for each key."""
        size = _FEWEST_SLOTS
        while size < 4 * len(self._counts):
            size *= 2
        table = (ctypes.c_uint64 * (1 + size))(size - 1)
        for key in self._counts:
            table[_position(table, key, (_FREE,))] = key
        # One store, so that compiled code sees the one or the other; and the former table lives until it has happened.
        self.description[0] = ctypes.addressof(table)
        self._table = table
        self._used = len(self._counts)


def _key(container: int, name: str) -> int:
    return (container * DICT_FACTOR + hash(name) * NAME_FACTOR) & _WORD | NEVER_A_KEY


def _position(table: ctypes.Array[ctypes.c_uint64], key: int, sought: tuple[int, ...]) -> int:
    """Where the first slot is, from that of the key on, that has one of these in it."""
    mask, index = table[0], key >> INDEX_SHIFT
    while table[1 + (index & mask)] not in sought:
        index += 1
    return 1 + (index & mask)
