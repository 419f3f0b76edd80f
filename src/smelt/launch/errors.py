# SPDX-License-Identifier: Apache-2.0
"""Wrong launches, and errors that threads of a kernel raised."""

from __future__ import annotations

import builtins
from typing import Any

from smelt.caching import SmeltError
from smelt.caching.sources import function_source
from smelt.compiler.errors import excerpt_of


class LaunchError(SmeltError, TypeError):
    """A launch that can't be: its arguments, or its grid. Nothing has run."""


def error_of_thread(results: Any, status: int, position: tuple[int, int, int]) -> Exception:
    """The Python exception that a thread ended with, with the place in the kernel and the thread in its notes."""
    name, message, number, line, column, end_line, end_column = results.error_sites[status - 1]
    error: Exception = getattr(builtins, name)(message)
    source = function_source(results.functions[number])
    function = getattr(source.node, "name", "<lambda>")
    error.add_note(
        f"in thread {position} of the grid, {function} at {source.filename}:{source.first_line + line}:\n"
        f"{excerpt_of(source, line, column, end_line, end_column)}"
    )
    return error
