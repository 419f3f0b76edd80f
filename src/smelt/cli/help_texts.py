# SPDX-License-Identifier: Apache-2.0
"""How the help of a command is laid out: what it does, examples that can be typed, what the exit status says."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any


def add_command(
    commands: Any, name: str, summary: str, description: str, examples: Mapping[str, str], status: str
) -> argparse.ArgumentParser:
    """Add a command to the parser's.

    Parameters
    ----------
    commands
        What `add_subparsers` returned.
    summary
        What it does, in a line of the list of commands.
    description
        What it does, and what that is good for.
    examples
        Command lines, each with what it does.
    status
        What the exit status says.
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=epilog(examples, status),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def epilog(examples: Mapping[str, str], status: str) -> str:
    """What stands at the end of a help text."""
    width = max(map(len, examples))
    lines = [f"  {command:<{width}}  {meaning}" for command, meaning in examples.items()]
    return "\n".join(["examples:", *lines, "", "exit status:", f"  {status}"])
