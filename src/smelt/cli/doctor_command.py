# SPDX-License-Identifier: Apache-2.0
"""`smelt doctor`: what works on this machine, what doesn't, and what mends it."""

from __future__ import annotations

import argparse
import importlib
import json
from dataclasses import asdict
from typing import Any

from smelt.cli.help_texts import add_command
from smelt.cli.output import say


def add_to(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = add_command(
        commands,
        "doctor",
        "say what works on this machine, what doesn't, and what mends it",
        "Looks at what smelt needs, compiles and runs a kernel on every device, writes to the store, and says what works,\n"
        "what doesn't, and the command that mends it. Nothing is changed.",
        {"smelt doctor": "look at everything", "smelt doctor --json": "for a script, or a report of a bug"},
        "1 if anything does not work that should",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Run `smelt doctor`. Returns the exit status: 1 if anything is broken."""
    findings = importlib.import_module("smelt.cli.examinations").findings()
    if chosen.json:
        say(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        screen = importlib.import_module("smelt.cli.screen").Screen()
        for finding in findings:
            screen.finding(finding)
    return 1 if any(finding.state == "broken" for finding in findings) else 0
