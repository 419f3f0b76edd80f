# SPDX-License-Identifier: Apache-2.0
"""The command `smelt`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from smelt import __version__
from smelt.caching import SmeltError
from smelt.cli import (
    bench_command,
    cache_commands,
    completion_command,
    demo_command,
    doctor_command,
    inspect_command,
    precompile_command,
    why_command,
)
from smelt.cli.help_texts import epilog
from smelt.cli.output import complain

__all__ = ["main", "parser"]

# In the order in which a user meets them.
_COMMANDS = (
    demo_command,
    doctor_command,
    precompile_command,
    cache_commands,
    why_command,
    inspect_command,
    bench_command,
    completion_command,
)


def parser() -> argparse.ArgumentParser:
    """What understands the command line: one command for each module here that has one."""
    command = argparse.ArgumentParser(
        prog="smelt",
        description="Compiles Python functions into kernels, and keeps what it compiled.\n"
        "Kernels are launched from Python; this command shows, looks after and ships what was compiled.",
        epilog=epilog(
            {
                "smelt demo": "see it at work",
                "smelt doctor": "what works on this machine",
                "smelt cache list": "what was compiled, and is kept",
                "smelt why mypackage.filters:blur": "why it would be compiled again",
                "smelt COMMAND --help": "what a command does, with examples",
            },
            "0 if all is well, 1 if not, and 2 for a command line that can't be understood",
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("-V", "--version", action="version", version=f"smelt {__version__}")
    commands = command.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for module in _COMMANDS:
        module.add_to(commands)
    return command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with these arguments, by default the process's. Returns the exit status."""
    chosen = parser().parse_args(arguments)
    try:
        status: int = chosen.run(chosen)
    except OSError as error:
        # Python's own text begins with a number.
        where = error.filename2 or error.filename
        complain(f"smelt: {where}: {error.strerror}\n" if where and error.strerror else f"smelt: {error}\n")
        return 1
    except (SmeltError, ImportError, ValueError) as error:
        complain(f"smelt: {error}\n")
        return 1
    return status
