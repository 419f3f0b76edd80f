# SPDX-License-Identifier: Apache-2.0
"""Typed programs: what inference makes of an untyped program for given argument types.

A function is a graph of basic blocks in static single assignment form. A block has parameters, to which each jump to it gives
arguments. What an instruction means is in `intrinsics`, one row for each; how it is written in `text`; what makes a function well
formed in `verifier`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from smelt.ir.positions import Position
from smelt.types import Type


@dataclass(eq=False, slots=True)
class Value:
    """Something computed: a parameter of a function or block, or the result of an instruction. Compared by identity."""

    type: Type
    name: str = ""


@dataclass(eq=False, slots=True)
class Instruction:
    """One operation on values.

    Attributes
    ----------
    operation
        Its name, a row of the table of intrinsics.
    operands
        What it is applied to.
    attributes
        What is known of it when it is compiled, by name.
    result
        What it computes, or None.
    position
        Where in its function it comes from.
    """

    operation: str
    operands: tuple[Value, ...]
    attributes: dict[str, Any]
    result: Value | None
    position: Position


@dataclass(eq=False, slots=True)
class Jump:
    """Go on with `target`, whose parameters get `arguments`."""

    target: Block
    arguments: tuple[Value, ...] = ()


@dataclass(eq=False, slots=True)
class Branch:
    """Go on with one of two blocks, neither of which has parameters."""

    condition: Value
    then: Block
    otherwise: Block


@dataclass(eq=False, slots=True)
class Return:
    """End the function with its result; None in a function that returns nothing."""

    value: Value | None


@dataclass(eq=False, slots=True)
class Fail:
    """End the thread with a Python exception.

    Attributes
    ----------
    error
        The name of the exception's class, a builtin one.
    message
        Its message.
    """

    error: str
    message: str
    position: Position


Terminator: TypeAlias = Jump | Branch | Return | Fail


@dataclass(eq=False, slots=True)
class Block:
    """Instructions that run one after the other, and where it goes on."""

    name: str
    parameters: list[Value] = field(default_factory=list)
    instructions: list[Instruction] = field(default_factory=list)
    terminator: Terminator | None = None


class Role(enum.Enum):
    """What a function is to those that call it, and so how it is compiled."""

    ORDINARY = "a function like any other"
    ELEMENTARY = (
        "inlined wherever it is called; its arithmetic is done as it is written even where the rest may be reordered"
    )
    RARE = "elementary, but called: where a loop is vectorised, only if one of the numbers needs it"


@dataclass(eq=False, slots=True)
class Function:
    """One typed function. The first block is where it begins, and has no parameters."""

    name: str
    parameters: list[Value]
    result: Type
    blocks: list[Block]
    role: Role = Role.ORDINARY


def successors(block: Block) -> tuple[Block, ...]:
    """The blocks that may follow."""
    terminator = block.terminator
    if isinstance(terminator, Jump):
        return (terminator.target,)
    if isinstance(terminator, Branch):
        return (terminator.then, terminator.otherwise)
    return ()
