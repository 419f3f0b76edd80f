# SPDX-License-Identifier: Apache-2.0
"""Worlds: the counter that every definition moves on, and the range of it in which something is valid."""

from __future__ import annotations

import functools
import sys
from typing import NamedTuple

OPEN = sys.maxsize
"""The end of a world range that nothing has ended yet."""


class WorldRange(NamedTuple):
    """The worlds from `first` to `last`, both included; `last` is `OPEN` while nothing has ended it."""

    first: int
    last: int = OPEN

    def __contains__(self, world: object) -> bool:
        return isinstance(world, (World, int)) and self.first <= int(world) <= self.last

    def intersection(self, other: WorldRange) -> WorldRange:
        """The worlds of both ranges. Empty, with `last < first`, where they have none in common."""
        return WorldRange(max(self.first, other.first), min(self.last, other.last))

    def __str__(self) -> str:
        return f"{self.first}..{'' if self.last == OPEN else self.last}"


@functools.total_ordering
class World:
    """A world that somebody holds on to: what was valid there stays reachable as long as this object lives.

    Compares with other worlds and with plain numbers; `int(world)` is its number.
    """

    __slots__ = ("__weakref__", "number")

    def __init__(self, number: int) -> None:
        self.number = number

    def __int__(self) -> int:
        return self.number

    __index__ = __int__

    def __eq__(self, other: object) -> bool:
        if isinstance(other, (World, int)):
            return self.number == int(other)
        return NotImplemented

    def __lt__(self, other: World | int) -> bool:
        return self.number < int(other)

    def __hash__(self) -> int:
        return hash(self.number)

    def __repr__(self) -> str:
        return f"World({self.number})"

    def __str__(self) -> str:
        return str(self.number)
