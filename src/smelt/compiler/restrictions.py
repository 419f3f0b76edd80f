# SPDX-License-Identifier: Apache-2.0
"""What a target hasn't: why something can't be done there, and what to write instead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from smelt.ir.typed import Instruction, Value


class Refusal(NamedTuple):
    """Why something can't be done on a target, and what to write instead."""

    message: str
    help: str


class Restrictions(NamedTuple):
    """What a target hasn't. Each function returns None for what it has.

    Attributes
    ----------
    parameters
        Looks at all parameters of a kernel.
    parameter
        Looks at a parameter of a kernel.
    instruction
        Looks at an instruction.
    """

    parameters: Callable[[Sequence[Value]], Refusal | None]
    parameter: Callable[[Value], Refusal | None]
    instruction: Callable[[Instruction], Refusal | None]
