# SPDX-License-Identifier: Apache-2.0
"""The command `smelt`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from smelt.caching import SmeltError
from smelt.cli import cache_commands, demo_command, inspect_command, precompile_command, why_command
from smelt.cli.output import complain

__all__ = ["main", "parser"]


def parser() -> argparse.ArgumentParser:
    """What understands the command line: one command for each module here that has one."""
    command = argparse.ArgumentParser(prog="smelt", description="A kernel compiler and compile cache for Python.")
    commands = command.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for module in (demo_command, cache_commands, precompile_command, inspect_command, why_command):
        module.add_to(commands)
    return command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with these arguments, by default the process's. Returns the exit status."""
    chosen = parser().parse_args(arguments)
    try:
        status: int = chosen.run(chosen)
    except (SmeltError, ImportError, ValueError, OSError) as error:
        complain(f"smelt: {error}\n")
        return 1
    return status
