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
