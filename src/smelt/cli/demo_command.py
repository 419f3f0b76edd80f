# SPDX-License-Identifier: Apache-2.0
"""`smelt demo`: what smelt does, shown on a photograph."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from smelt import knobs
from smelt.cli.help_texts import add_command
from smelt.cli.output import say


def add_to(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = add_command(
        commands,
        "demo",
        "show what smelt does, on a photograph, in some ten seconds",
        "Draws a photograph with an image pipeline and with a simulation, written as kernels that call plain functions:\n"
        "compiled for the processor and for Metal, launched cold, warm, and in a second process; then a function is edited.\n"
        "Writes the programs and the pictures into a directory, where they can be read and changed.",
        {
            "smelt demo": "write into smelt-demo",
            "smelt demo holiday.jpg": "draw a picture of your own",
            "smelt demo --json": "the claims and the times, for a script",
        },
        "1 if anything that it claims does not hold",
    )
    parser.add_argument(
        "photograph", nargs="?", type=Path, metavar="PHOTOGRAPH", help="a picture; by default one of Grace Hopper"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("smelt-demo"),
        metavar="DIRECTORY",
        help="where to write; smelt-demo by default",
    )
    parser.add_argument(
        "--steps", type=_count, default=800, metavar="N", help="steps of the simulation; 800 by default"
    )
    parser.add_argument("--json", action="store_true", help="print nothing but the claims and the times, as JSON")
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Run `smelt demo`. Returns the exit status: 1 if a claim doesn't hold. Raises `ValueError` for a directory with other things in it."""
    story_module = importlib.import_module("smelt.cli.demo.story")
    screen = importlib.import_module("smelt.cli.screen").Screen(quiet=chosen.json)
    directory: Path = chosen.output.resolve()
    # The programs are edited, and compiled files would be as old, and as long, as what is edited after them.
    sys.dont_write_bytecode = True
    with (
        tempfile.TemporaryDirectory(prefix="smelt-demo-", ignore_cleanup_errors=True) as scratch,
        # Everything begins cold, and on the processor, whatever this user has chosen.
        knobs.CACHE_DIRECTORY.set(str(Path(scratch, "store"))),
        knobs.STORE.set(True),
        knobs.DEVICE.set(None),
    ):
        story = story_module.Story(directory, Path(scratch), chosen.steps, screen, chosen.photograph)
        story.tell()
    if chosen.json:
        claims = [{"claim": text, "holds": holds} for text, holds in story.claims]
        say(json.dumps({"directory": str(directory), "claims": claims, "seconds": story.seconds}, indent=2))
    else:
        screen.summary(story.claims, directory)
    return 1 if story.broken else 0


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError("it is a number, 1 or more")
    return int(text)
