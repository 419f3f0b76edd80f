# SPDX-License-Identifier: Apache-2.0
"""Whether a typed function goes round in circles."""

from __future__ import annotations

from smelt.ir.typed import Function, successors


def has_loop(function: Function) -> bool:
    """Whether some of its blocks may run more than once.

    Every circle of blocks has one that goes on with itself or with one that stands before it.
    """
    positions = {block: number for number, block in enumerate(function.blocks)}
    return any(
        positions[following] <= number
        for number, block in enumerate(function.blocks)
        for following in successors(block)
    )
