# SPDX-License-Identifier: Apache-2.0
"""Where threads can fail, and how that is kept in an artifact: as strings and numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from smelt.ir.positions import Position
from smelt.records import Record

PlaceTuple: TypeAlias = tuple[int, str, int, int, int, int]
SiteTuple: TypeAlias = tuple[str, str, tuple[PlaceTuple, ...]]


class Place(Record):
    """A place in the program.

    Attributes
    ----------
    source
        The number of the Python function that lines are counted in.
    name
        The name of the function: another one for one that is defined in that.
    position
        Where in it.
    """

    source: int
    name: str
    position: Position

    def as_tuple(self) -> PlaceTuple:
        """The same as numbers and a string: source, name, line, column, end line, end column."""
        at = self.position
        return self.source, self.name, at.line, at.column, at.end_line, at.end_column


class ErrorSite(Record):
    """Where a thread can fail, and with which exception.

    Attributes
    ----------
    error
        The name of the exception's class.
    message
        Its message.
    places
        Where, and for a function that is written out where it is called also where that is, innermost first.
    """

    error: str
    message: str
    places: tuple[Place, ...]

    def as_tuple(self) -> SiteTuple:
        """The same as strings and numbers: error, message, places."""
        return self.error, self.message, tuple(place.as_tuple() for place in self.places)

    @classmethod
    def of_tuple(cls, site: SiteTuple, renumbered: Callable[[int], int]) -> ErrorSite:
        """The error site that `as_tuple` gave. `renumbered` gives new numbers to the functions."""
        error, message, places = site
        return cls(
            error, message, tuple(Place(renumbered(number), name, Position(*at)) for number, name, *at in places)
        )
