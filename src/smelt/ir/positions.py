# SPDX-License-Identifier: Apache-2.0
"""Where something stands in the text of a function."""

from __future__ import annotations

from typing import Any

from smelt.records import Record


class Position(Record):
    """Where a node stands: lines counted from 0 at the function's first line, columns from 0 in UTF-8 bytes, as in `ast`."""

    line: int
    column: int
    end_line: int
    end_column: int


class InlinedPosition(Position):
    """A place in a function that a kernel defines, which is written out where it is called.

    Attributes
    ----------
    function
        The Python function that it is defined in, from whose first line lines are counted.
    name
        Its own name.
    call
        Where it is called.
    """

    function: Any
    name: str
    call: Position

    @property
    def plain(self) -> Position:
        """The position alone."""
        return Position(self.line, self.column, self.end_line, self.end_column)

    @classmethod
    def of(cls, position: Position, function: Any, name: str, call: Position) -> InlinedPosition:
        """The place at `position` of the function that is called at `call`."""
        numbers = position.line, position.column, position.end_line, position.end_column
        return cls(*numbers, function, name, call)
