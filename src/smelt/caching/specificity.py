# SPDX-License-Identifier: Apache-2.0
"""Which of several methods that match a call it runs: the most specific one, if there is one."""

from __future__ import annotations

from typing import Any

from smelt.caching.errors import AmbiguousCallError
from smelt.caching.methods import Method, function_name
from smelt.caching.signatures import ArgumentTypes, describe, is_as_specific, matches


def most_specific(function: Any, types: ArgumentTypes, candidates: list[Method]) -> Method | None:
    """Of methods that match a call, the one that is as specific as every other. Raises `AmbiguousCallError`."""
    best = [m for m in candidates if all(is_as_specific(m.signature, other.signature) for other in candidates)]
    if len(best) == 1:
        return best[0]
    if not candidates:
        return None
    minimal = [
        m
        for m in candidates
        if not any(
            is_as_specific(other.signature, m.signature) and not is_as_specific(m.signature, other.signature)
            for other in candidates
        )
    ]
    name = function_name(function)
    listed = "".join(f"\n  {name}{describe(m.signature)} in {m.table}" for m in minimal)
    raise AmbiguousCallError(
        f"{name}{describe(types)} is ambiguous: these methods match, and none is more specific than the others:{listed}\n"
        f"Add a method for {describe(types)}, or narrow one of these."
    )


def most_specific_first(methods: tuple[Method, ...], types: ArgumentTypes) -> list[Method]:
    """The methods that match, no method after a more specific one."""
    rest = [m for m in methods if matches(m.signature, types)]
    ordered: list[Method] = []
    while rest:
        first = next(
            (m for m in rest if not any(_is_more_specific(other, m) for other in rest)),
            rest[0],
        )
        rest.remove(first)
        ordered.append(first)
    return ordered


def _is_more_specific(first: Method, second: Method) -> bool:
    return is_as_specific(first.signature, second.signature) and not is_as_specific(second.signature, first.signature)
