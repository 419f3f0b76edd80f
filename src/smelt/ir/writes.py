# SPDX-License-Identifier: Apache-2.0
"""What a typed function does besides computing its result, itself or through the functions that it calls: which of its parameters it may
write to, and whether it waits for other threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from smelt.ir.intrinsics import INTRINSICS, Effect
from smelt.ir.typed import Function, Jump, Value
from smelt.types import Array, Iteration, Struct, Tuple, Type


def written_parameters(function: Function, written_by: Callable[[Any], frozenset[int]]) -> frozenset[int]:
    """The positions of the parameters with arrays in them that may be written. `written_by` gives those of a callee.

    Values that may refer to the same array are one group: what is made of one, a part of it or a tuple with it, refers to what it
    does.
    """
    groups: dict[Value, Value] = {}

    def group(value: Value) -> Value:
        while value in groups:
            parent = groups[value]
            # Shortened, so that long chains are walked once.
            groups[value] = groups.get(parent, parent)
            value = parent
        return value

    for first, second in _links(function):
        one, other = group(first), group(second)
        if one is not other:
            groups[one] = other
    written: list[Value] = []
    for block in function.blocks:
        for instruction in block.instructions:
            if INTRINSICS[instruction.operation].effect is Effect.WRITES:
                written.append(instruction.operands[0])
            elif instruction.operation == "call":
                positions = written_by(instruction.attributes["callee"])
                written += [operand for number, operand in enumerate(instruction.operands) if number in positions]
    roots = {group(value) for value in written}
    return frozenset(number for number, value in enumerate(function.parameters) if group(value) in roots)


def waits(function: Function, callee_waits: Callable[[Any], bool]) -> bool:
    """Whether a function waits for other threads, itself or in what it calls. `callee_waits` tells it of a callee."""
    return any(
        INTRINSICS[instruction.operation].effect is Effect.WAITS
        or (instruction.operation == "call" and callee_waits(instruction.attributes["callee"]))
        for block in function.blocks
        for instruction in block.instructions
    )


def _links(function: Function) -> Iterator[tuple[Value, Value]]:
    """Pairs of values that may refer to the same array."""
    for block in function.blocks:
        for instruction in block.instructions:
            if instruction.result is not None and refers_to_array(instruction.result.type):
                for operand in instruction.operands:
                    if refers_to_array(operand.type):
                        yield instruction.result, operand
        if isinstance(block.terminator, Jump):
            for parameter, argument in zip(block.terminator.target.parameters, block.terminator.arguments, strict=True):
                if refers_to_array(parameter.type):
                    yield parameter, argument


def refers_to_array(kind: Type) -> bool:
    """Whether a value of this type is an array, or has one in it."""
    if isinstance(kind, (Tuple, Iteration)):
        return any(map(refers_to_array, kind.items))
    if isinstance(kind, Struct):
        return any(refers_to_array(field) for _, field in kind.fields)
    return isinstance(kind, Array)
