# SPDX-License-Identifier: Apache-2.0
"""`smelt why`: what of a kernel would be compiled again now, and for which reason."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from smelt import _wiring
from smelt.cli.help_texts import add_command
from smelt.cli.naming import kernel_named
from smelt.cli.output import say
from smelt.sessions.explanations import explain


def add_to(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = add_command(
        commands,
        "why",
        "say why a kernel would be compiled again",
        "Imports a kernel, and compares what is kept of it with what it is now: the functions that it calls, the constants that\n"
        "it reads, its options, the compiler. In a running process smelt.why(kernel) tells the same.",
        {
            "smelt why mypackage.filters:blur": "of one kernel",
            "smelt why mypackage.filters:blur --json": "for a script",
        },
        "1 if something would be compiled again",
    )
    parser.add_argument("kernel", metavar="MODULE:KERNEL", help="the kernel, say mypackage.filters:blur")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Run `smelt why`. Returns the exit status: 1 if something would be compiled again."""
    module, _, name = chosen.kernel.partition(":")
    if not name:
        raise ValueError(f"{chosen.kernel} names no kernel; write MODULE:KERNEL, say mypackage.filters:blur")
    sys.path.insert(0, "")
    kernel = kernel_named(module, name)
    jobs, session = _wiring.jobs(), _wiring.session()
    lines = explain(kernel.function, jobs.instance, jobs.overlays, session.directory, session.images)
    if chosen.json:
        say(json.dumps([{"kernel": text, "reason": reason} for text, reason in lines], indent=2))
    else:
        for text, reason in lines:
            say(f"{text}: {reason or 'is kept, and right'}")
        if not lines:
            say(f"nothing is kept of {chosen.kernel}")
    return 1 if any(reason for _, reason in lines) else 0
