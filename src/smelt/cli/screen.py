# SPDX-License-Identifier: Apache-2.0
"""How commands look that show much: headings, tables, progress, and marks that say whether something holds or works.

Where there is no terminal there is no colour and no progress; where the stream can't show a mark there is a word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from smelt.cli.finding import Finding

_WIDE = 1000
"""Of columns, where lines are not to be broken."""

_HOLDS = {True: "works", False: "broken"}
_MARKS = {"works": "✓", "limited": "!", "absent": "-", "broken": "✗"}
_WORDS = {"works": "ok", "limited": "!", "absent": "-", "broken": "WRONG"}
_COLOURS = {"works": "green", "limited": "yellow", "absent": "dim", "broken": "bold red"}


class Screen:
    """Writes to the standard output; to nothing if it is to be `quiet`."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(quiet=quiet, highlight=False)
        if not self._console.is_terminal:
            self._console.width = _WIDE
        try:
            "".join(_MARKS.values()).encode(self._console.encoding)
            self._marks = _MARKS
        except UnicodeEncodeError:
            self._marks = _WORDS

    def heading(self, text: str) -> None:
        """What comes next."""
        self._console.print(f"\n[bold]{escape(text)}[/bold]")

    def say(self, text: str) -> None:
        """A line. It is not broken: a path in it can be copied."""
        self._console.print(f"  {text}", markup=False, soft_wrap=True)

    def path(self, path: Path, what: str) -> None:
        """A file that was written. Terminals that know links can open it."""
        shown = escape(str(path))
        self._console.print(f"  [link={path.as_uri()}][cyan]{shown}[/cyan][/link]  {escape(what)}", soft_wrap=True)

    def claim(self, text: str, *, holds: bool) -> None:
        """A claim, and whether it holds."""
        self._marked(_HOLDS[holds], text)

    def finding(self, finding: Finding) -> None:
        """Something that was looked at, and what mends it."""
        self._marked(finding.state, f"{finding.subject}: {finding.detail}")
        if finding.remedy:
            self._console.print(f"    [bold]{escape(finding.remedy)}[/bold]", soft_wrap=True)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table, whose first column is text and whose others are figures. Without a terminal it is as wide as it needs."""
        table = Table(box=None, header_style="dim", pad_edge=True, padding=(0, 1))
        for number, column in enumerate(columns):
            table.add_column(column, justify="right" if number else "left", no_wrap=True)
        for row in rows:
            table.add_row(*map(escape, row))
        self._console.print(table)

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Shows that something is going on, for as long as this lasts."""
        with self._console.status(what) if self._console.is_terminal else nullcontext():
            yield

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        """A bar for as long as this lasts. Gives what is to be called with how much of `total` is done."""
        columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(
            *columns, console=self._console, transient=True, disable=not self._console.is_terminal
        ) as progress:
            task = progress.add_task(what, total=total)
            yield lambda done: progress.update(task, completed=done)

    def summary(self, claims: Sequence[tuple[str, bool]], directory: Path) -> None:
        """How the story ended."""
        broken = sum(not holds for _, holds in claims)
        self.heading(f"{broken} of {len(claims)} claims do not hold" if broken else f"All {len(claims)} claims hold")
        self.path(directory, "the programs, which can be read in some minutes, and the pictures")

    def _marked(self, state: str, text: str) -> None:
        colour = _COLOURS[state]
        self._console.print(f"  [{colour}]{self._marks[state]}[/{colour}] {escape(text)}", soft_wrap=True)
