# SPDX-License-Identifier: Apache-2.0
"""What goes wrong while a kernel is compiled: mistakes of its author, shown at their line, and mistakes of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smelt.caching import SmeltError
from smelt.ir.positions import Position

if TYPE_CHECKING:
    from smelt.caching.sources import FunctionSource


class ArtifactError(SmeltError):
    """Something is wrong with what was compiled, not with the kernel that it was compiled from."""


class KernelError(SmeltError, TypeError):
    """Something that a kernel can't do, with the line where it is written and what to write instead.

    Attributes
    ----------
    message
        What is wrong, with the types involved.
    help
        What to write instead; empty if nothing can be said.
    filename, line, column
        Where, counted from 1 as editors do.
    """

    def __init__(self, message: str, source: FunctionSource, position: Position, *, help: str = "") -> None:  # noqa: A002
        self.message = message
        self.help = help
        self.filename = source.filename
        self.line = source.first_line + position.line
        self.column = position.column + 1
        self.name = getattr(source.node, "name", "<lambda>")
        self._excerpt = excerpt(source, position)
        self.callers: list[str] = []
        super().__init__(message)

    def called_from(self, source: FunctionSource, position: Position) -> None:
        """Note that the function with the mistake was reached by a call at `position`. Innermost call first."""
        name = getattr(source.node, "name", "<lambda>")
        caller = (
            f"  called from {name}, {source.filename}:{source.first_line + position.line}:{position.column + 1}\n"
            f"{excerpt(source, position)}"
        )
        # A function that calls itself is shown once.
        if caller not in self.callers[-1:]:
            self.callers.append(caller)

    def __str__(self) -> str:
        lines = [f"{self.filename}:{self.line}:{self.column}: in {self.name}: {self.message}", self._excerpt]
        lines += self.callers
        if self.help:
            lines.append(f"  help: {self.help}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[Any, ...]:
        """How it comes from another process, such as those of `smelt precompile`: what it shows, without its source."""
        return _without_source, (type(self), *self.args), vars(self)

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in place of the way through the compiler."""
        return [f"{type(self).__name__}: {self}"]


def _without_source(cls: type[KernelError], message: str) -> KernelError:
    return cls.__new__(cls, message)


def excerpt_of(source: FunctionSource, line: int, column: int, end_line: int, end_column: int) -> str:
    """As `excerpt`, for a position whose numbers were kept apart from it."""
    return excerpt(source, Position(line, column, end_line, end_column))


def excerpt(source: FunctionSource, position: Position) -> str:
    """The line at `position` with carets below what the position spans there."""
    text = source.line(source.first_line + position.line)
    # Columns of syntax trees count bytes.
    encoded = text.encode()
    start = len(encoded[: position.column].decode(errors="ignore"))
    end_column = position.end_column if position.end_line == position.line else len(encoded)
    end = len(encoded[:end_column].decode(errors="ignore"))
    margin = len(text) - len(text.lstrip())
    carets = " " * (start - margin) + "^" * max(1, end - start)
    return f"    {text.strip()}\n    {carets}"
