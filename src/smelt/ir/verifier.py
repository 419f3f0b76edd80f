# SPDX-License-Identifier: Apache-2.0
"""What makes a typed function well formed. Run between stages in tests and debugging; a violation is a mistake of ours."""

from __future__ import annotations

from smelt.ir.intrinsics import INTRINSICS
from smelt.ir.typed import Block, Branch, Fail, Function, Instruction, Jump, Return, Value, successors
from smelt.types import Array, Iteration, Kind, Range, Scalar, Struct, Tuple, Type, Weak, boolean, none, weak_int


class MalformedError(AssertionError):
    """A typed function that breaks a rule."""


def verify(function: Function) -> None:
    """Raise `MalformedError` unless `function` keeps every rule of the typed form."""
    _require(bool(function.blocks), function, "a function has a block")
    _require(not function.blocks[0].parameters, function, "the first block has no parameters")
    known = set(function.blocks)
    _require(len(known) == len(function.blocks), function, "a block is in a function once")
    defined: dict[Value, Block | None] = dict.fromkeys(function.parameters)
    for block in function.blocks:
        for value in (*block.parameters, *(i.result for i in block.instructions if i.result is not None)):
            _require(value not in defined, function, f"{value.name} is assigned once")
            defined[value] = block
        _require(block.terminator is not None, function, f"{block.name} goes on somewhere")
        for following in successors(block):
            _require(following in known, function, f"{block.name} goes on within the function")
    dominators = _dominators(function)
    for block in function.blocks:
        seen = set(block.parameters)
        for instruction in block.instructions:
            for operand in instruction.operands:
                _require_visible(function, block, operand, seen, defined, dominators)
            _verify_instruction(function, instruction)
            if instruction.result is not None:
                seen.add(instruction.result)
        for operand in _terminator_operands(block):
            _require_visible(function, block, operand, seen, defined, dominators)
        _verify_terminator(function, block)


def _verify_instruction(function: Function, instruction: Instruction) -> None:
    row = INTRINSICS.get(instruction.operation)
    where = instruction.operation
    _require(row is not None, function, f"{where} is an operation")
    assert row is not None
    _require(
        set(instruction.attributes) == set(row.attributes), function, f"{where} has the attributes {row.attributes}"
    )
    words = list(row.operands)
    if words and words[-1] == "...":
        words.pop()
        fixed = len(words) - 1
        _require(len(instruction.operands) >= fixed, function, f"{where} has at least {fixed} operands")
        words += [words[-1]] * (len(instruction.operands) - len(words))
        words = words[: len(instruction.operands)]
    _require(len(words) == len(instruction.operands), function, f"{where} has {len(words)} operands")
    for position, (word, operand) in enumerate(zip(words, instruction.operands, strict=True)):
        before = instruction.operands[position - 1]
        fits = operand.type == before.type if word == "same" else _is_a(operand.type, word)
        _require(fits, function, f"operand {position} of {where}, a {operand.type}, is {word}")
    if where == "view":
        _verify_view(function, instruction)
    if row.result == "none":
        _require(instruction.result is None, function, f"{where} has no result")
        return
    if row.result == "declared or none":
        return
    result = instruction.result
    _require(result is not None, function, f"{where} has a result")
    assert result is not None
    expected = {
        "same": instruction.operands[0].type if instruction.operands else None,
        "bool": boolean,
        "weak int": weak_int,
    }
    if row.result in expected:
        _require(
            result.type == expected[row.result], function, f"the result of {where}, a {result.type}, is {row.result}"
        )


_VIEW_OPERANDS = {"index": 1, "slice": 3, "whole": 0, "new": 0}


def _verify_view(function: Function, instruction: Instruction) -> None:
    axes = instruction.attributes["axes"]
    _require(set(axes) <= set(_VIEW_OPERANDS), function, f"the axes of view are words of {', '.join(_VIEW_OPERANDS)}")
    array, result = instruction.operands[0].type, instruction.result
    assert isinstance(array, Array)
    taken = len(axes) - axes.count("new")
    _require(taken == array.dimensions, function, f"view takes {taken} axes of an array with {array.dimensions}")
    wanted = sum(_VIEW_OPERANDS[word] for word in axes)
    given = len(instruction.operands) - 1
    _require(given == wanted, function, f"view has {wanted} positions, not {given}")
    kept = len(axes) - axes.count("index")
    fits = result is not None and isinstance(result.type, Array) and result.type.dimensions == kept
    _require(fits, function, f"the result of view is an array with {kept} axes")


def _verify_terminator(function: Function, block: Block) -> None:
    terminator = block.terminator
    if isinstance(terminator, Jump):
        given = [value.type for value in terminator.arguments]
        wanted = [value.type for value in terminator.target.parameters]
        _require(
            given == wanted, function, f"{block.name} gives {terminator.target.name} {given}, which takes {wanted}"
        )
    elif isinstance(terminator, Branch):
        _require(terminator.condition.type == boolean, function, f"{block.name} branches on a bool")
        for target in (terminator.then, terminator.otherwise):
            _require(not target.parameters, function, f"{target.name}, branched to, has no parameters")
    elif isinstance(terminator, Return):
        given_type: Type = none if terminator.value is None else terminator.value.type
        _require(
            given_type == function.result,
            function,
            f"{block.name} returns {given_type}, the function {function.result}",
        )


def _terminator_operands(block: Block) -> tuple[Value, ...]:
    terminator = block.terminator
    if isinstance(terminator, Jump):
        return terminator.arguments
    if isinstance(terminator, Branch):
        return (terminator.condition,)
    if isinstance(terminator, Return):
        return () if terminator.value is None else (terminator.value,)
    assert isinstance(terminator, Fail)
    return ()


def _dominators(function: Function) -> dict[Block, set[Block]]:
    """For each block the blocks that every way to it passes, itself included; blocks that no way leads to have none."""
    order = _reachable(function)
    predecessors: dict[Block, list[Block]] = {block: [] for block in order}
    for block in order:
        for following in successors(block):
            predecessors[following].append(block)
    everything = set(order)
    dominators = {block: set(everything) for block in order}
    dominators[order[0]] = {order[0]}
    changed = True
    while changed:
        changed = False
        for block in order[1:]:
            common = set.intersection(*(dominators[before] for before in predecessors[block])) | {block}
            if common != dominators[block]:
                dominators[block] = common
                changed = True
    return dominators


def _reachable(function: Function) -> list[Block]:
    order: dict[Block, None] = {}
    todo = [function.blocks[0]]
    while todo:
        block = todo.pop()
        if block not in order:
            order[block] = None
            todo.extend(reversed(successors(block)))
    return list(order)


def _require_visible(
    function: Function,
    block: Block,
    operand: Value,
    seen: set[Value],
    defined: dict[Value, Block | None],
    dominators: dict[Block, set[Block]],
) -> None:
    _require(operand in defined, function, f"{operand.name}, used in {block.name}, is a value of the function")
    home = defined[operand]
    if home is None or operand in seen or block not in dominators:
        return
    _require(
        home is not block and home in dominators[block],
        function,
        f"{operand.name} is computed before {block.name} uses it",
    )


def _is_a(kind: Type, word: str) -> bool:
    is_number = isinstance(kind, (Scalar, Weak))
    is_boolean = isinstance(kind, Scalar) and kind.kind is Kind.BOOLEAN
    match word:
        case "any":
            return True
        case "number":
            return is_number
        case "real":
            return is_number and not kind.is_complex  # type: ignore[attr-defined]
        case "integer":
            return is_number and bool(kind.is_integer)  # type: ignore[attr-defined]
        case "integer or bool":
            return is_boolean or (is_number and bool(kind.is_integer))  # type: ignore[attr-defined]
        case "floating":
            return is_number and bool(kind.is_floating)  # type: ignore[attr-defined]
        case "bool":
            return is_boolean
        case "array":
            return isinstance(kind, Array)
        case "aggregate":
            # A complex number has a real and an imaginary part.
            return isinstance(kind, (Tuple, Struct, Range, Iteration)) or (is_number and bool(kind.is_complex))  # type: ignore[attr-defined]
    raise AssertionError(word)


def _require(holds: bool, function: Function, rule: str) -> None:
    if not holds:
        raise MalformedError(f"{function.name}: it does not hold that {rule}")
