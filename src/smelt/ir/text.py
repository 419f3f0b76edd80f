# SPDX-License-Identifier: Apache-2.0
"""Typed functions as text, for people to read and tests to compare.

function axpy(a: weak float, x: float32) -> float32
block0:
%0: float32 = convert a
%1: float32 = mul %0 x
return %1
"""

from __future__ import annotations

from typing import Any

from smelt.ir.typed import Block, Branch, Fail, Function, Instruction, Jump, Return, Value


def to_text(function: Function) -> str:
    """The text of a function. Values without a name are numbered in the order in which they stand."""
    names = _Names(function)
    parameters = ", ".join(f"{names.of(value)}: {value.type}" for value in function.parameters)
    lines = [f"function {function.name}({parameters}) -> {function.result}"]
    for block in function.blocks:
        inputs = ", ".join(f"{names.of(value)}: {value.type}" for value in block.parameters)
        lines.append(f"{names.block(block)}{f'({inputs})' if inputs else ''}:")
        lines.extend(f"  {_instruction(instruction, names)}" for instruction in block.instructions)
        lines.append(f"  {_terminator(block, names)}")
    return "\n".join(lines) + "\n"


class _Names:
    def __init__(self, function: Function) -> None:
        self._values: dict[Value, str] = {value: value.name for value in function.parameters}
        self._blocks = {block: f"block{number}" for number, block in enumerate(function.blocks)}
        for block in function.blocks:
            for value in (*block.parameters, *(i.result for i in block.instructions if i.result is not None)):
                self._values[value] = f"%{len(self._values) - len(function.parameters)}"

    def of(self, value: Value) -> str:
        return self._values.get(value, f"%undefined:{value.type}")

    def block(self, block: Block) -> str:
        return self._blocks.get(block, f"undefined:{block.name}")


def _instruction(instruction: Instruction, names: _Names) -> str:
    words = [instruction.operation, *map(names.of, instruction.operands)]
    words += [f"{name}={_attribute(value)}" for name, value in instruction.attributes.items()]
    text = " ".join(words)
    return text if instruction.result is None else f"{names.of(instruction.result)}: {instruction.result.type} = {text}"


def _attribute(value: Any) -> str:
    # Of the code that a call runs, what it is; which object that is, and in which worlds it is valid, differs between runs.
    instance = getattr(value, "instance", None)
    return repr(value) if instance is None else str(instance)


def _terminator(block: Block, names: _Names) -> str:
    match block.terminator:
        case Jump(target, arguments):
            given = f"({', '.join(map(names.of, arguments))})" if arguments else ""
            return f"jump {names.block(target)}{given}"
        case Branch(condition, then, otherwise):
            return f"branch {names.of(condition)} {names.block(then)} {names.block(otherwise)}"
        case Return(value):
            return "return" if value is None else f"return {names.of(value)}"
        case Fail(error, message, _):
            return f"fail {error} {message!r}"
    return "nothing"
