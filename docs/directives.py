# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: INP001 - read by Sphinx
"""What the pages show of smelt itself: docstrings, and the directives `error-messages`, `command-help`, `examples` and `knobs`."""

from __future__ import annotations

import argparse
import ast
import os
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

from docstrings import prose_first
from docutils import nodes
from error_messages import listed, messages
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import smelt
from smelt import cli, knobs


class ErrorMessages(SphinxDirective):
    """`{error-messages} KIND...`: a table of the messages of these kinds, in the modules whose names begin with one of `:in:`."""

    required_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar[dict[str, Any]] = {"in": str}

    def run(self) -> list[nodes.Node]:
        kinds, places = self.arguments[0].split(), self.options.get("in", "").split()
        package = Path(str(smelt.__file__)).parent
        shown = sorted({(one.text, one.help) for one in listed(messages(package), kinds, places)})
        if not shown:
            raise self.error(f"smelt has no message of {self.arguments[0]} in {' '.join(places)}")
        with_help = any(instead for _, instead in shown)
        rows = [(text, instead) if with_help else (text,) for text, instead in shown]
        return [_table(("message", "what to do")[: 1 + with_help], rows)]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> nodes.table:
    group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in heads), cols=len(heads))
    head, body = nodes.thead("", _row(heads)), nodes.tbody()
    body += [_row(row) for row in rows]
    group += [head, body]
    return nodes.table("", group, classes=["error-messages"])


def _row(texts: Iterable[str]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", *_marked_up(text))) for text in texts))


def _marked_up(text: str) -> Iterator[nodes.Node]:
    """A text in which code stands between backticks."""
    for number, part in enumerate(text.split("`")):
        yield nodes.literal("", part) if number % 2 else nodes.Text(part)


def commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A parser, and those of its commands, and of theirs."""
    yield parser
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to its commands
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for command in dict.fromkeys(action.choices.values()):
                yield from commands(command)


class CommandHelp(SphinxDirective):
    """`{command-help}`: a section for each command, with its help."""

    def run(self) -> list[nodes.Node]:
        # As wide as a page of text, whatever the terminal.
        with mock.patch.dict(os.environ, {"COLUMNS": "100"}):
            return [node for command in commands(cli.parser()) for node in _shown(command)]


def _shown(command: argparse.ArgumentParser) -> tuple[nodes.Node, nodes.Node]:
    return nodes.rubric("", "", nodes.literal("", command.prog)), nodes.literal_block(
        "", command.format_help(), language="text"
    )


class Examples(SphinxDirective):
    """`{examples}`: the programs in examples/, each with what its docstring says."""

    def run(self) -> list[nodes.Node]:
        shown = nodes.definition_list()
        for path in sorted((Path(__file__).parents[1] / "examples").glob("*.py")):
            said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            parts = [
                nodes.literal_block("", textwrap.dedent(part), language="sh")
                if part.startswith(" ")
                else nodes.paragraph("", "", *_marked_up(" ".join(part.split())))
                for part in said.split("\n\n")
            ]
            name = nodes.term("", "", nodes.literal("", path.name))
            shown += nodes.definition_list_item("", name, nodes.definition("", *parts))
        return [shown]


class Knobs(SphinxDirective):
    """`{knobs}`: the environment variables, and what each says."""

    def run(self) -> list[nodes.Node]:
        body = ast.parse(Path(str(knobs.__file__)).read_text(encoding="utf-8")).body
        listed = nodes.definition_list()
        for assignment, text in pairwise(body):
            if isinstance(assignment, ast.Assign | ast.AnnAssign) and isinstance(text, ast.Expr):
                target = assignment.target if isinstance(assignment, ast.AnnAssign) else assignment.targets[0]
                knob = getattr(knobs, ast.unparse(target))
                said = " ".join(ast.literal_eval(text.value).split())
                listed += nodes.definition_list_item(
                    "",
                    nodes.term("", "", nodes.literal("", knob.name)),
                    nodes.definition("", nodes.paragraph("", "", *_marked_up(said))),
                )
        return [listed]


def order_docstring(_app: Sphinx, _what: str, _name: str, _found: Any, _options: Any, lines: list[str]) -> None:
    """Have a docstring in the order that napoleon, which comes next, expects."""
    lines[:] = prose_first(lines)


def setup(app: Sphinx) -> dict[str, Any]:
    """What Sphinx calls: adds the directives."""
    app.connect("autodoc-process-docstring", order_docstring, priority=100)
    app.add_directive("error-messages", ErrorMessages)
    app.add_directive("command-help", CommandHelp)
    app.add_directive("examples", Examples)
    app.add_directive("knobs", Knobs)
    return {"parallel_read_safe": True}
