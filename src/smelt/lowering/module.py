# SPDX-License-Identifier: Apache-2.0
"""A kernel with all functions that it calls, as one LLVM module in text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from smelt.ir.intrinsics import INTRINSICS, Effect
from smelt.ir.typed import Function
from smelt.ir.untyped import Position
from smelt.lowering.function import FunctionLowering

_ALIGNMENT = 64
"""Of each array that the threads of a group share: no type needs more."""


@dataclass(frozen=True, slots=True)
class ErrorSite:
    """Where a thread can fail, and with which exception.

    Attributes
    ----------
    error
        The name of the exception's class.
    message
        Its message.
    function
        The function, counted as in `LoweredModule.functions`, and the position in it.
    """

    error: str
    message: str
    function: int
    position: Position


@dataclass(frozen=True, slots=True)
class Threadgroups:
    """What a kernel needs whose threads work together.

    Attributes
    ----------
    memory_bytes
        The memory that the threads of a group share, without what is given at launch.
    is_sized_at_launch
        Whether there is an array whose size is given at launch.
    exhausted
        The error site for when there is no memory to run a group.
    """

    memory_bytes: int
    is_sized_at_launch: bool
    exhausted: int


@dataclass(frozen=True, slots=True)
class LoweredModule:
    """The LLVM IR of a kernel.

    Attributes
    ----------
    text
        The definitions, without a target and without an entry point.
    name
        The LLVM name of the kernel's function.
    result_type
        What that function returns.
    functions
        The code instances in it, the kernel's first.
    errors
        The error sites: a status of n is `errors[n - 1]`.
    symbols
        The functions of the C library that it calls.
    threadgroups
        What its threads need to work together; None if each runs alone.
    """

    text: str
    name: str
    result_type: str
    functions: tuple[Any, ...]
    errors: tuple[ErrorSite, ...]
    symbols: tuple[str, ...]
    threadgroups: Threadgroups | None = None


def lower_module(
    code: Any,
    typed: Callable[[Any], Function],
    *,
    has_doubles: bool = True,
    is_checked: bool = True,
    is_fast: bool = False,
) -> LoweredModule:
    """Lower a kernel's code instance and all that it calls.

    `typed` gives the typed function of a code instance; `is_checked` keeps the bounds checks; `is_fast` lets floating arithmetic be
    reordered. Names are numbers in the order in which functions are first called, so that one job gives one text.
    """
    module = _ModuleLowering(typed, has_doubles=has_doubles, is_checked=is_checked, is_fast=is_fast)
    name = module.callee(code)
    return module.lowered(name.removeprefix("@"))


class _ModuleLowering:
    def __init__(self, typed: Callable[[Any], Function], *, has_doubles: bool, is_checked: bool, is_fast: bool) -> None:
        self.has_doubles = has_doubles
        self.is_checked = is_checked
        self.is_fast = is_fast
        self._typed = typed
        self._functions: dict[Any, str] = {}
        self._declared: dict[str, str] = {}
        self._errors: dict[ErrorSite, int] = {}
        self._current = 0
        self._waiting: dict[Any, bool] = {}
        self._memory_bytes = 0
        self._has_threadgroup_memory = False
        self._is_sized_at_launch = False

    def callee(self, code: Any) -> str:
        if code not in self._functions:
            self._functions[code] = f"f{len(self._functions)}"
        return f"@{self._functions[code]}"

    def declare(self, name: str, result: str, parameters: tuple[str, ...]) -> str:
        self._declared[name] = f"declare {result} @{name}({', '.join(parameters)})"
        return f"@{name}"

    def error_site(self, error: str, message: str, position: Position) -> int:
        return self._errors.setdefault(ErrorSite(error, message, self._current, position), len(self._errors) + 1)

    def threadgroup_memory(self, size_bytes: int) -> int:
        """Take some of the memory that the threads of a group share: its offset."""
        self._has_threadgroup_memory = True
        offset = self._memory_bytes
        self._memory_bytes += -(-size_bytes // _ALIGNMENT) * _ALIGNMENT
        return offset

    def launch_memory(self) -> None:
        """Take note that there is an array whose size is given at launch."""
        self._has_threadgroup_memory = self._is_sized_at_launch = True

    def _waits(self, code: Any) -> bool:
        """Whether a function waits for other threads, itself or in what it calls."""
        if code not in self._waiting:
            self._waiting[code] = any(
                INTRINSICS[instruction.operation].effect is Effect.WAITS
                or (instruction.operation == "call" and self._waits(instruction.attributes["callee"]))
                for block in self._typed(code).blocks
                for instruction in block.instructions
            )
        return self._waiting[code]

    def _threadgroups(self, kernel: Any) -> Threadgroups | None:
        if not (self._waits(kernel) or self._has_threadgroup_memory):
            return None
        self._current = 0
        exhausted = self.error_site("MemoryError", "there is no memory to run a threadgroup", Position(0, 0, 0, 0))
        return Threadgroups(self._memory_bytes, self._is_sized_at_launch, exhausted)

    def lowered(self, name: str) -> LoweredModule:
        texts: list[str] = []
        result_type = ""
        # Lowering a function finds the functions that it calls, which stand behind it then.
        while self._current < len(self._functions):
            code, own_name = list(self._functions.items())[self._current]
            function = FunctionLowering(self, self._typed(code), own_name)
            # What waits has to be inlined: it is a part of the kernel's coroutine.
            texts.append(function.text("alwaysinline" if self._current == 0 or self._waits(code) else ""))
            result_type = result_type or function.result_type()
            self._current += 1
        # Failing is unlikely: the way on is laid out straight.
        texts += [*sorted(self._declared.values()), '!0 = !{!"branch_weights", i32 1048576, i32 1}\n']
        symbols = tuple(sorted(name for name in self._declared if not name.startswith("llvm.")))
        functions = tuple(self._functions)
        threadgroups = self._threadgroups(functions[0])
        return LoweredModule("\n".join(texts), name, result_type, functions, tuple(self._errors), symbols, threadgroups)
