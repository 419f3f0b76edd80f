# SPDX-License-Identifier: Apache-2.0
"""What the command says."""

from __future__ import annotations

import sys


def say(line: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{line}\n")


def complain(text: str) -> None:
    """Print a text to the stream for errors."""
    sys.stderr.write(text)
    sys.stderr.flush()


def duration(seconds: float) -> str:
    """A time as people read it, to three digits: 1.23 s, 45.6 ms, 789 ns."""
    for unit, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if seconds >= unit:
            return f"{seconds / unit:#.3g}".rstrip(".") + f" {name}"
    return f"{seconds * 1e9:.0f} ns"
