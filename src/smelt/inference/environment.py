# SPDX-License-Identifier: Apache-2.0
"""The variables of a function while it is inferred, and how they come together where ways join."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from smelt.ir.builder import FunctionBuilder, Operand
from smelt.ir.typed import Block, Value
from smelt.types import Constant, Type, promote


@dataclass(frozen=True, slots=True)
class Unusable:
    """A variable that can't be used from here on, and why. To assign it makes it usable again."""

    reason: str


Environment = dict[str, Operand | Unusable]


@dataclass(frozen=True, slots=True)
class Way:
    """The end of a block that goes on to a place where ways join, and the variables there."""

    block: Block
    variables: Environment


Ways: TypeAlias = tuple[list[Way], list[Way]]
"""The ways on from a test: where it holds, and where it doesn't."""


def leave(builder: FunctionBuilder, variables: Environment) -> list[Way]:
    """The way from the current block to a join that is not built yet; none if nothing comes here."""
    if not builder.is_reachable:
        return []
    way = Way(builder.current, dict(variables))
    builder.suspend()
    return [way]


def join(builder: FunctionBuilder, ways: Sequence[Way], name: str) -> Environment:
    """Let `ways` come together in a new block, which is the current one then, and return the variables there.

    Without any way the current block stays the one that nothing comes to.
    """
    if not ways:
        return {}
    if len(ways) == 1:
        builder.resume(ways[0].block)
        return dict(ways[0].variables)
    merged: Environment = {}
    block = builder.new_block(name)
    given: list[list[Value]] = [[] for _ in ways]
    names = dict.fromkeys(variable for way in ways for variable in way.variables)
    for variable in names:
        merged[variable] = _join_variable(builder, variable, ways, block, given)
    for way, arguments in zip(ways, given, strict=True):
        builder.resume(way.block)
        builder.jump(block, arguments)
    builder.enter(block)
    return merged


def join_operands(builder: FunctionBuilder, ways: Sequence[tuple[Block, Operand]], name: str) -> Operand | None:
    """As `join`, for one value. None if its types have nothing in common."""
    result = join(builder, [Way(block, {"": operand}) for block, operand in ways], name)[""]
    return result if isinstance(result, Operand) else None


def common_type(builder: FunctionBuilder, kinds: Sequence[Type]) -> Type | None:
    """The type that values of all these types can have, or None."""
    common: Type | None = kinds[0]
    for kind in kinds[1:]:
        common = None if common is None else promote(common, kind, has_doubles=builder.has_doubles)
    return common


def _join_variable(
    builder: FunctionBuilder, name: str, ways: Sequence[Way], block: Block, given: list[list[Value]]
) -> Operand | Unusable:
    operands: list[Operand] = []
    for way in ways:
        operand = way.variables.get(name)
        if operand is None:
            return Unusable(f"{name} is not assigned on every way that leads here")
        if isinstance(operand, Unusable):
            return operand
        operands.append(operand)
    first = operands[0]
    if all(operand is first or _is_same(operand, first) for operand in operands):
        return first
    common = common_type(builder, [operand.type for operand in operands])
    if common is None or isinstance(common, Constant):
        kinds = " or ".join(dict.fromkeys(str(operand.type) for operand in operands))
        return Unusable(f"{name.partition('.')[0]} is {kinds} here, depending on the way that led here")
    for way, operand, arguments in zip(ways, operands, given, strict=True):
        builder.resume(way.block)
        arguments.append(builder.value(builder.convert(operand, common)))
        builder.suspend()
    parameter = Value(common, name)
    block.parameters.append(parameter)
    return Operand(common, parameter)


def _is_same(first: Operand, second: Operand) -> bool:
    if first.type != second.type:
        return False
    if first.value is not None or second.value is not None:
        return first.value is second.value
    if first.parts is not None and second.parts is not None:
        return all(map(_is_same, first.parts, second.parts))
    # Types that are equal have constants of one type; -0.0 and NaN are told apart by their text.
    return first.is_constant and second.is_constant and repr(first.known) == repr(second.known)
