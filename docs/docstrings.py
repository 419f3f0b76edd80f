# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: INP001 - a part of the documentation
"""Docstrings as smelt's sources write them, for tools that expect NumPy's form to the letter."""

from __future__ import annotations

from collections.abc import Sequence


def prose_first(lines: Sequence[str]) -> list[str]:
    """A docstring whose paragraphs stand before its sections.

    smelt's docstrings may end with what is raised, in a paragraph behind the parameters; in NumPy's form that would be one more parameter.
    """
    first = next((at for at in range(len(lines)) if _is_section(lines, at)), len(lines))
    prose, sections = list(lines[:first]), list[str]()
    at = first
    while at < len(lines):
        end = at + 1
        while _is_unindented(lines[at]) and end < len(lines) and _is_unindented(lines[end]):
            end += 1
        describes = end < len(lines) and lines[end].startswith(" ")
        if _is_unindented(lines[at]) and not describes and not _is_section(lines, at):
            prose += [*lines[at:end], ""]
        else:
            sections += lines[at:end]
        at = end
    return prose + sections


def _is_unindented(line: str) -> bool:
    return bool(line) and not line.startswith(" ")


def _is_section(lines: Sequence[str], at: int) -> bool:
    return at + 1 < len(lines) and bool(lines[at]) and set(lines[at + 1]) == {"-"}
