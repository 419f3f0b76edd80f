# SPDX-License-Identifier: Apache-2.0
"""Whether the threads of a whole group write all that they share before any of it is read, so that nobody sees what was there before.

That is known of an array with as many elements as the group has threads, if in one phase each thread writes the element of its own
number, whatever way it takes, and if nothing is done with the array in that phase otherwise, nor before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from smelt.compiler.threadgroups import Sizes
from smelt.ir.branches import dominators, in_order
from smelt.ir.typed import Block, Function, Instruction, Jump, Value
from smelt.lowering.cutting.known_phases import KnownPhases
from smelt.lowering.cutting.phases import Group
from smelt.lowering.knowledge.linear import Linear, number
from smelt.lowering.knowledge.values import Values


def writes_first(known: KnownPhases) -> bool:
    """Whether all that the threads of a group share is written first, if it has the size that is known."""
    group, size = known.group, known.size
    blocks = in_order(group.function.blocks[0])
    arrays = [one for block in blocks for one in block.instructions if one.operation == "threadgroup_array"]
    if size is None or any(array.attributes["shape"] is None for array in arrays):
        return False
    values = known.values()
    return all(_is_written_first(group, blocks, array, values, size) for array in arrays)


def _is_written_first(group: Group, blocks: list[Block], array: Instruction, values: list[Values], size: Sizes) -> bool:
    shape: tuple[int, ...] = array.attributes["shape"]
    shared = array.result
    if prod(shape) != prod(size) or shared is None:
        return False
    runs: list[tuple[Block, int, int]] = []
    for block in blocks:
        for place, instruction in enumerate(block.instructions):
            if shared not in instruction.operands:
                continue
            if instruction.operation == "run_phase":
                runs.append((block, place, instruction.attributes["phase"]))
            elif instruction.operation != "extent":
                return False
    above = dominators(blocks)
    return any(
        _writes_own_elements(
            group.phases[phase].function, shared, shape, values[phase], values[phase].exact(group.number)
        )
        and all(run == (block, place, phase) or _is_before((block, place), run[:2], above) for run in runs)
        for block, place, phase in runs
    )


def _is_before(first: tuple[Block, int], second: tuple[Block, int], above: dict[Block, Block]) -> bool:
    """Whether every way to a place leads through another one."""
    block: Block | None = second[0]
    if block is first[0]:
        return first[1] < second[1]
    while block is not None and block is not first[0]:
        block = above.get(block)
    return block is not None


def _writes_own_elements(
    function: Function, shared: Value, shape: tuple[int, ...], values: Values, thread: Linear | None
) -> bool:
    """Whether each thread that runs a phase writes the element of its number, and nothing else is done with the array."""
    for block in function.blocks:
        if isinstance(block.terminator, Jump) and shared in block.terminator.arguments:
            return False
        for one in block.instructions:
            is_target = one.operation in ("index", "store", "extent") and one.operands[0] is shared
            if shared in one.operands[1 if is_target else 0 :]:
                return False
    return thread is not None and any(
        _element(one, shape, values) == thread
        for one in _always_run(function)
        if one.operation == "store" and one.operands[0] is shared
    )


def _always_run(function: Function) -> Iterator[Instruction]:
    """The instructions that are run whatever way is taken, as far as that is plain."""
    block, seen = function.blocks[0], set[Block]()
    while block not in seen:
        seen.add(block)
        yield from block.instructions
        if not isinstance(block.terminator, Jump):
            return
        block = block.terminator.target


def _element(store: Instruction, shape: tuple[int, ...], values: Values) -> Linear | None:
    """Which element is written, counted row by row."""
    found = number(0)
    for index, extent in zip(store.operands[2:], shape, strict=True):
        definition = values.definitions.get(index)
        given = definition.operands[1] if definition is not None and definition.operation == "index" else index
        exact = values.exact(given)
        if exact is None:
            return None
        found = found.times(extent).plus(exact)
    return found
