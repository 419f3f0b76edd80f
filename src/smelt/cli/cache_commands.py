# SPDX-License-Identifier: Apache-2.0
"""`smelt cache`: what the store of this user holds."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import Any

from smelt import knobs
from smelt.caching import StoreError
from smelt.cli.help_texts import add_command
from smelt.cli.output import say
from smelt.sessions.contents import FOLDERS, clear, entries, prune, sizes, verify
from smelt.sessions.directory import Directory, default_directory

_COMMANDS = {
    "info": "where the store is, and how large",
    "list": "the kernels in it",
    "verify": "compare every digest in it, and remove what is damaged",
    "prune": "remove what was used least recently, until it is as small as SMELT_CACHE_SIZE says",
    "clear": "remove everything",
}


def add_to(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = add_command(
        commands,
        "cache",
        "look after what is kept between sessions",
        "What is compiled is kept in the store of this user, or in SMELT_CACHE_DIR. Nothing has to be done about it: what was\n"
        "used least recently makes room. Here it can be looked at, and cleared.",
        {
            "smelt cache info": "where it is, and how large",
            "smelt cache list": "the kernels in it, with types and targets",
            "smelt cache verify": "remove what was damaged",
            "SMELT_CACHE_SIZE=100M smelt cache prune": "make it smaller now",
        },
        "1 if verify found something damaged",
    )
    chosen = parser.add_subparsers(title="what to do", required=True, dest="action", metavar="ACTION")
    for name, description in _COMMANDS.items():
        action = chosen.add_parser(name, help=description)
        action.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Run `smelt cache`. Returns the exit status: 1 if something was found to be damaged."""
    directory = store_directory()
    action = {"info": _info, "list": _list, "verify": _verify, "prune": _prune, "clear": _clear}[chosen.action]
    report = action(directory)
    if chosen.json:
        say(json.dumps(report, indent=2))
    else:
        for line in _lines(report):
            say(line)
    return 1 if report.get("damaged") else 0


def store_directory() -> Directory:
    """The directory of the store. Raises `StoreError` if there is none."""
    place = knobs.CACHE_DIRECTORY.value or default_directory()
    if place is None:
        raise StoreError("this user has no home, and SMELT_CACHE_DIR is not set: there is no store")
    return Directory(place)


def _info(directory: Directory) -> dict[str, Any]:
    return {
        "directory": directory.path,
        "most_bytes": knobs.CACHE_SIZE.value,
        **{
            folder: {"holds": FOLDERS[folder], "files": count, "bytes": size}
            for folder, (count, size) in sizes(directory).items()
        },
    }


def _list(directory: Directory) -> dict[str, Any]:
    found = [
        {
            "kernel": f"{entry.module}.{entry.function}",
            "types": entry.text,
            "target": f"{entry.config.target.name}:{entry.config.target.cpu}",
            "bytes": len(entry.artifact),
            "compiler": entry.compiler.hex()[:16],
        }
        for entry in entries(directory)
    ]
    return {"entries": sorted(found, key=lambda row: tuple(map(str, row.values())))}


def _verify(directory: Directory) -> dict[str, Any]:
    whole, damaged = verify(directory)
    return {"whole": whole, "damaged": damaged}


def _prune(directory: Directory) -> dict[str, Any]:
    return {"removed_bytes": prune(directory, knobs.CACHE_SIZE.value)}


def _clear(directory: Directory) -> dict[str, Any]:
    return {"removed_files": clear(directory)}


def _lines(report: dict[str, Any]) -> Iterator[str]:
    for name, value in report.items():
        if isinstance(value, dict):
            yield f"{value['holds']}: {value['files']} files, {value['bytes']} bytes"
        elif isinstance(value, list):
            for row in value:
                yield "  ".join(map(str, row.values())) if isinstance(row, dict) else f"{name}: {row}"
        else:
            yield f"{name.replace('_', ' ')}: {value}"
