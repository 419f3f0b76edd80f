# SPDX-License-Identifier: Apache-2.0
"""What a kernel is taken apart to before phases are made of it, see `phases`."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from smelt.ir.typed import Block, Instruction, Terminator, Value


class End(enum.Enum):
    """How a phase goes on at the end of a part of it."""

    STOPS = "it is at its end"
    FLOWS = "as the kernel does"
    HANDS_ON = "it is at its end, and what differs from thread to thread is kept for the block that follows"


@dataclass(eq=False)
class Node:
    """A part of a phase: a block of the kernel, or what of one is between two barriers."""

    block: Block
    instructions: list[Instruction]
    end: End


@dataclass(eq=False)
class Piece:
    """A phase in the making.

    Attributes
    ----------
    nodes
        Its parts. It begins with the first.
    common
        What the group's function computes before it.
    handed, repeated, kept
        What it needs: what the group's function knows, what it computes again, and what is kept in slots.
    vote
        The vote at its end, if there is one.
    """

    nodes: list[Node] = field(default_factory=list)
    common: list[Instruction] = field(default_factory=list)
    handed: dict[Value, None] = field(default_factory=dict)
    repeated: dict[Value, Instruction] = field(default_factory=dict)
    kept: dict[Value, None] = field(default_factory=dict)
    vote: Instruction | None = None

    def add(self, block: Block) -> Node:
        self.nodes.append(Node(block, [], End.STOPS))
        return self.nodes[-1]


@dataclass(eq=False)
class Steps:
    """What a group does from one decision to the next, and how it goes on in terms of the kernel's blocks."""

    pieces: list[Piece]
    terminator: Terminator | None
