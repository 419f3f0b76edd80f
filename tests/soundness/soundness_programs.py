# SPDX-License-Identifier: Apache-2.0
"""Programs in directories of their own, and processes that run them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import smelt

RUNNER = Path(__file__).parent / "run_programs.py"
SOURCE = Path(smelt.__file__).parent.parent


def package_name(index: int) -> str:
    return f"program_{index}"


def write_program(directory: Path, name: str, files: dict[str, str]) -> None:
    """Write a package of these files."""
    for path, text in files.items():
        place = directory / name / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")


def edited(files: dict[str, str], edits: dict[str, tuple[str, str]]) -> dict[str, str]:
    """The files with the replacements of a case made."""
    changed = dict(files)
    for path, (old, new) in edits.items():
        changed[path] = changed[path].replace(old, new)
    return changed


def run(store: Path, *arguments: object, flags: tuple[str, ...] = (), **environment: str) -> list[dict]:
    """What the runner prints, run with that store in a process of its own."""
    output = python(store, "-W", "error", *flags, RUNNER, *arguments, **environment)
    return [json.loads(line) for line in output.splitlines()]


def python(
    store: Path, *arguments: object, executable: str = sys.executable, cwd: Path | None = None, **environment: str
) -> str:
    """What a Python process prints that has that store and nothing else of this process's settings."""
    settings = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("SMELT_", "PYTHON"))},
        "PYTHONPATH": str(SOURCE),
        "PYTHONDONTWRITEBYTECODE": "1",
        "SMELT_CACHE_DIR": str(store),
        **environment,
    }
    done = subprocess.run(
        [executable, *map(str, arguments)], capture_output=True, text=True, env=settings, cwd=cwd, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
