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
    name, message, places = results.error_sites[status - 1]
    error: Exception = getattr(builtins, name)(message)
    here, *calls = (_shown(results.functions[number], *place) for number, *place in places)
    error.add_note("\n".join((f"in thread {position} of the grid, {here}", *(f"called from {call}" for call in calls))))
    return error


def _shown(function: Any, name: str, line: int, column: int, end_line: int, end_column: int) -> str:
    source = function_source(function)
    excerpt = excerpt_of(source, line, column, end_line, end_column)
    return f"{name} at {source.filename}:{source.first_line + line}:\n{excerpt}"
