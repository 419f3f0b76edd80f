# SPDX-License-Identifier: Apache-2.0
"""`smelt precompile`: compile now what modules ask for, and write it into images beside them."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

from smelt.cli.help_texts import add_command
from smelt.cli.output import complain, say
from smelt.cli.precompiling import Order, missing, precompile
from smelt.sessions.images import IMAGE

_WIDTH = 40


def add_to(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = add_command(
        commands,
        "precompile",
        "compile modules' kernels now, for later sessions and other machines",
        "Imports modules, compiles what their kernels declare by signatures= and what they launch in\n"
        "`with smelt.precompile_workload():`, and writes images beside them, to be shipped with them.",
        {
            "smelt precompile mypackage": "for this machine",
            "smelt precompile mypackage --target native:x86-64-v3 --target native:aarch64": "for others",
            "smelt precompile mypackage --trace launches.jsonl": "what smelt.trace recorded, too",
            "smelt precompile mypackage --check": "does an image lack anything?",
            "smelt precompile mypackage --check --json": "for a script",
        },
        "1 if --check found that something is missing",
    )
    parser.add_argument("modules", nargs="+", metavar="MODULE", help="a module, or a package with all that is in it")
    parser.add_argument(
        "--target",
        action="append",
        default=[],
        help="what to compile for, any number of times; native:host by default, or native:x86-64-v3, native:aarch64...",
    )
    parser.add_argument("-j", type=int, default=os.cpu_count() or 1, metavar="N", dest="processes", help="processes")
    parser.add_argument("--trace", metavar="FILE", help="compile what smelt.trace(FILE) recorded, too")
    parser.add_argument(
        "--check", action="store_true", help="compile nothing, and fail if there is anything that an image lacks"
    )
    parser.add_argument("--output", metavar="DIRECTORY", help="write the images there, in place of beside the modules")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Run `smelt precompile`. Returns the exit status: 1 if `--check` found that something is missing."""
    targets = tuple(chosen.target or ["native:host"])
    # A command that is installed isn't started with the current directory in its path.
    sys.path.insert(0, str(Path.cwd()))
    order = Order(tuple(chosen.modules), targets, chosen.trace, tuple(sys.path))
    if chosen.check:
        lacking = missing(order)
        if chosen.json:
            say(json.dumps({"missing": lacking}, indent=2))
        else:
            for line in lacking:
                say(f"not precompiled: {line}")
        return 1 if lacking else 0
    images = precompile(order, chosen.processes, _show_progress)
    written = []
    for package, contents in images.items():
        path = image_place(package, chosen.output)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
        try:
            temporary.write_bytes(contents)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        written.append({"path": str(path), "bytes": len(contents)})
    if chosen.json:
        say(json.dumps({"images": written}, indent=2))
        return 0
    for image in written:
        say(f"{image['path']}: {image['bytes']} bytes")
    if not images:
        say("nothing was asked for: declare signatures=, or launch in `with smelt.precompile_workload():`")
    return 0


def image_place(package: str, output: str | None) -> Path:
    """Where the image of a top-level module or package is written. Raises `ValueError` if it is no file."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise ValueError(f"{package} is no file, beside which an image could be")
    origin = Path(found.origin)
    is_package = found.submodule_search_locations is not None
    if output is not None:
        return Path(output, package, IMAGE) if is_package else Path(output, f"{package}.{IMAGE}")
    return origin.with_name(IMAGE) if is_package else origin.with_name(f"{origin.stem}.{IMAGE}")


def _show_progress(done: int, count: int) -> None:
    if sys.stderr.isatty():
        filled = _WIDTH * done // count if count else _WIDTH
        end = "\n" if done == count else ""
        complain(f"\r[{'#' * filled}{'.' * (_WIDTH - filled)}] {done}/{count}{end}")
