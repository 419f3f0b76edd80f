# SPDX-License-Identifier: Apache-2.0
"""`smelt bench`: what smelt costs on this machine."""

from __future__ import annotations

import argparse
import importlib
import json
from dataclasses import asdict
from typing import Any

from smelt.cli.help_texts import add_command
from smelt.cli.output import duration, say


def add_to(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = add_command(
        commands,
        "bench",
        "measure what smelt costs on this machine",
        "Measures whole processes, cold and warm, a warm launch, and kernels over many elements, each beside a yardstick in\n"
        "the same run. Takes some ten seconds, and the processor for itself. The repository's benchmarks look closer.",
        {"smelt bench": "a table", "smelt bench --json": "for a script, in seconds"},
        "0; how fast something is, is not judged",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Run `smelt bench`. Returns the exit status, 0."""
    screen = importlib.import_module("smelt.cli.screen").Screen(quiet=chosen.json)
    with screen.waiting("measuring"):
        found = list(importlib.import_module("smelt.cli.measuring").measurements())
    if chosen.json:
        say(json.dumps([{**asdict(one), "ratio": one.ratio} for one in found], indent=2))
    rows = [
        (
            one.subject,
            duration(one.seconds),
            f"{one.ratio:.2f} x",
            f"{one.yardstick}, {duration(one.yardstick_seconds)}",
        )
        for one in found
    ]
    screen.table(("measured", "takes", "that is", "of"), rows)
    return 0
