# SPDX-License-Identifier: Apache-2.0
"""What a target hasn't is refused before anything is lowered, with the line of the kernel that it is for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from smelt.caching import CodeInstance
from smelt.caching.sources import FunctionSource, function_source
from smelt.compiler.errors import KernelError
from smelt.compiler.restrictions import Refusal, Restrictions
from smelt.driver.runtime_library import is_in_library
from smelt.ir.positions import InlinedPosition, Position
from smelt.ir.typed import Function, Instruction


def check(kernel: CodeInstance, typed: Callable[[Any], Function], restrictions: Restrictions) -> None:
    """Raise `KernelError` for the first thing in a kernel, or in what it calls, that a target hasn't."""
    parameters = typed(kernel).parameters
    looked_at = [(restrictions.parameters(parameters), "")]
    looked_at += [(restrictions.parameter(parameter), parameter.name) for parameter in parameters]
    for refusal, name in looked_at:
        if refusal is not None:
            source = function_source(kernel.instance.source)
            raise KernelError(refusal.message, source, _place_of_parameter(source, name), help=refusal.help)
    _Check(typed, restrictions).function(kernel)


def _place_of_parameter(source: FunctionSource, name: str) -> Position:
    """Where a parameter is declared; for an array that was captured, where the function is."""
    arguments = source.node.args
    for node in (*arguments.posonlyargs, *arguments.args):
        if node.arg == name:
            first, last = node.lineno - source.first_line, (node.end_lineno or node.lineno) - source.first_line
            return Position(first, node.col_offset, last, node.end_col_offset or node.col_offset)
    return Position(0, 0, 0, 0)


class _Check:
    def __init__(self, typed: Callable[[Any], Function], restrictions: Restrictions) -> None:
        self._typed = typed
        self._restrictions = restrictions
        self._checked: set[Any] = set()

    def function(self, code: CodeInstance) -> None:
        # What a function does depends on nothing but itself, so it is looked at once.
        if code in self._checked:
            return
        self._checked.add(code)
        for block in self._typed(code).blocks:
            for instruction in block.instructions:
                # What is wrong in a function shows in what it returns too: the line is where it begins.
                if instruction.operation == "call":
                    self._call(code, instruction)
                refusal = self._restrictions.instruction(instruction)
                if refusal is not None:
                    raise _error(refusal, code, instruction.position)

    def _call(self, code: CodeInstance, instruction: Instruction) -> None:
        callee = instruction.attributes["callee"]
        try:
            self.function(callee)
        except _Refused as refused:
            # The line is one of the user's, not of a function of smelt's.
            raise _error(refused.refusal, code, instruction.position) from None
        except KernelError as error:
            error.called_from(*_place(code, instruction.position))
            raise


class _Refused(Exception):  # noqa: N818 - becomes an error where the library is called
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal


def _error(refusal: Refusal, code: CodeInstance, position: Position) -> Exception:
    if is_in_library(code.instance):
        return _Refused(refusal)
    return KernelError(refusal.message, *_place(code, position), help=refusal.help)


def _place(code: CodeInstance, position: Position) -> tuple[Any, Position]:
    if isinstance(position, InlinedPosition):
        return function_source(position.function), position.plain
    return function_source(code.instance.source), position
