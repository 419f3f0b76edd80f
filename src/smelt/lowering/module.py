# SPDX-License-Identifier: Apache-2.0
"""A kernel with all functions that it calls, as one LLVM module in text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from smelt.ir.typed import Function
from smelt.ir.untyped import Position
from smelt.lowering.function import FunctionLowering


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
    """

    text: str
    name: str
    result_type: str
    functions: tuple[Any, ...]
    errors: tuple[ErrorSite, ...]
    symbols: tuple[str, ...]


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

    def callee(self, code: Any) -> str:
        if code not in self._functions:
            self._functions[code] = f"f{len(self._functions)}"
        return f"@{self._functions[code]}"

    def declare(self, name: str, result: str, parameters: tuple[str, ...]) -> str:
        self._declared[name] = f"declare {result} @{name}({', '.join(parameters)})"
        return f"@{name}"

    def error_site(self, error: str, message: str, position: Position) -> int:
        return self._errors.setdefault(ErrorSite(error, message, self._current, position), len(self._errors) + 1)

    def lowered(self, name: str) -> LoweredModule:
        texts: list[str] = []
        result_type = ""
        # Lowering a function finds the functions that it calls, which stand behind it then.
        while self._current < len(self._functions):
            code, own_name = list(self._functions.items())[self._current]
            function = FunctionLowering(self, self._typed(code), own_name)
            texts.append(function.text("alwaysinline" if self._current == 0 else ""))
            result_type = result_type or function.result_type()
            self._current += 1
        # Failing is unlikely: the way on is laid out straight.
        texts += [*sorted(self._declared.values()), '!0 = !{!"branch_weights", i32 1048576, i32 1}\n']
        symbols = tuple(sorted(name for name in self._declared if not name.startswith("llvm.")))
        return LoweredModule("\n".join(texts), name, result_type, tuple(self._functions), tuple(self._errors), symbols)
