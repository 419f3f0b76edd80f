# SPDX-License-Identifier: Apache-2.0
"""The directives `command-help`, which shows what every command of smelt says of itself, and `knobs`, a table of the environment variables."""

from __future__ import annotations

import argparse
import ast
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from smelt import cli, knobs


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


class Knobs(SphinxDirective):
    """`{knobs}`: the environment variables, and what each says."""

    def run(self) -> list[nodes.Node]:
        body = ast.parse(Path(str(knobs.__file__)).read_text(encoding="utf-8")).body
        listed = nodes.definition_list()
        for assignment, text in zip(body, body[1:], strict=False):
            if isinstance(assignment, ast.Assign | ast.AnnAssign) and isinstance(text, ast.Expr):
                target = assignment.target if isinstance(assignment, ast.AnnAssign) else assignment.targets[0]
                knob = getattr(knobs, ast.unparse(target))
                said = " ".join(ast.literal_eval(text.value).split())
                listed += nodes.definition_list_item(
                    "", nodes.term("", "", nodes.literal("", knob.name)), nodes.definition("", nodes.paragraph("", said))
                )
        return [listed]


def setup(app: Sphinx) -> dict[str, Any]:
    """What Sphinx calls: adds the directives."""
    app.add_directive("command-help", CommandHelp)
    app.add_directive("knobs", Knobs)
    return {"parallel_read_safe": True}
