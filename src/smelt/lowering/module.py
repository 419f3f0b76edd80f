# SPDX-License-Identifier: Apache-2.0
"""A kernel with all functions that it calls, as one LLVM module in text."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from smelt.compiler.texts import Template
from smelt.ir.intrinsics import INTRINSICS, Effect
from smelt.ir.typed import Function
from smelt.ir.untyped import Position
from smelt.lowering.function import FunctionLowering

_ALIGNMENT = 64
"""Of each array that the threads of a group share: no type needs more."""


SiteTuple: TypeAlias = tuple[str, str, int, int, int, int, int]


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

    def as_tuple(self) -> SiteTuple:
        """The same as strings and numbers: error, message, function, line, column, end line, end column."""
        at = self.position
        return self.error, self.message, self.function, at.line, at.column, at.end_line, at.end_column

    @classmethod
    def of_tuple(cls, site: SiteTuple) -> ErrorSite:
        """The error site that `as_tuple` gave."""
        error, message, function, *position = site
        return cls(error, message, function, Position(*position))


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
class LinkedFunction:
    """A function that was compiled before, by itself, and is linked into the modules that call it.

    Attributes
    ----------
    name
        Its LLVM name.
    bitcode
        Its LLVM bitcode, and that of what it calls of the same kind, by their names.
    errors, functions, symbols
        As in the `LoweredModule` that it was made of.
    """

    name: str
    bitcode: tuple[tuple[str, bytes], ...]
    errors: tuple[ErrorSite, ...]
    functions: tuple[Any, ...]
    symbols: tuple[str, ...]


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
    prints
        The templates of what it prints, see `compiler.texts`: text n is `prints[n]`.
    symbols
        The functions of the C library that it calls.
    linked
        The bitcode that is linked into it, by the names of the functions.
    threadgroups
        What its threads need to work together; None if each runs alone.
    """

    text: str
    name: str
    result_type: str
    functions: tuple[Any, ...]
    errors: tuple[ErrorSite, ...]
    prints: tuple[Template, ...]
    symbols: tuple[str, ...]
    linked: tuple[tuple[str, bytes], ...] = ()
    threadgroups: Threadgroups | None = None


def lower_module(
    code: Any,
    typed: Callable[[Any], Function],
    *,
    has_doubles: bool = True,
    is_checked: bool = True,
    is_fast: bool = False,
    linked: Callable[[Any], LinkedFunction | None] = lambda _: None,
    name: str | None = None,
) -> LoweredModule:
    """Lower a kernel's code instance and all that it calls.

    `typed` gives the typed function of a code instance; `is_checked` keeps the bounds checks; `is_fast` lets floating arithmetic be
    reordered; `linked` gives what was compiled of a callee by itself, None where that is lowered here. Names are numbers in the
    order in which functions are first called, so that one job gives one text; with a `name`, the first function has that one and
    is seen from outside.
    """
    module = _ModuleLowering(
        typed, linked, has_doubles=has_doubles, is_checked=is_checked, is_fast=is_fast, exported=name
    )
    return module.lowered(code)


class _ModuleLowering:
    def __init__(
        self,
        typed: Callable[[Any], Function],
        linked: Callable[[Any], LinkedFunction | None],
        *,
        has_doubles: bool,
        is_checked: bool,
        is_fast: bool,
        exported: str | None,
    ) -> None:
        self.has_doubles = has_doubles
        self.is_checked = is_checked
        self.is_fast = is_fast
        self._typed = typed
        self._linked = linked
        self._exported = exported
        # All functions, as error sites number them, and the names of those that are called.
        self._functions: list[Any] = []
        self._names: dict[Any, str] = {}
        self._waiting_to_be_lowered: list[tuple[int, Any]] = []
        self._first_errors: dict[Any, int] = {}
        self._bitcode: dict[str, bytes] = {}
        self._linked_symbols: set[str] = set()
        self._declared: dict[str, str] = {}
        self._errors: dict[ErrorSite, int] = {}
        self._prints: dict[Template, int] = {}
        self._current = 0
        self._waiting: dict[Any, bool] = {}
        self._memory_bytes = 0
        self._has_threadgroup_memory = False
        self._is_sized_at_launch = False

    def callee(self, code: Any) -> tuple[str, int]:
        """The name of a function that is called, and what is added to a status that it returns."""
        if code not in self._names:
            linked = self._linked(code)
            if linked is None or self._bitcode.get(linked.name, linked.bitcode[0][1]) != linked.bitcode[0][1]:
                self._to_be_lowered(code, f"f{len(self._functions)}")
            else:
                self._link(code, linked)
        return self._names[code], self._first_errors.get(code, 0)

    def _to_be_lowered(self, code: Any, name: str) -> None:
        self._names[code] = f"@{name}"
        self._waiting_to_be_lowered.append((len(self._functions), code))
        self._functions.append(code)

    def _link(self, code: Any, linked: LinkedFunction) -> None:
        """Its functions and error sites follow those that are there already."""
        self._names[code] = f'@"{linked.name}"'
        self._bitcode.update(linked.bitcode)
        self._linked_symbols.update(linked.symbols)
        self._first_errors[code] = len(self._errors)
        for site in linked.errors:
            moved = dataclasses.replace(site, function=len(self._functions) + site.function)
            self._errors[moved] = len(self._errors) + 1
        self._functions += linked.functions

    def declare(self, name: str, result: str, parameters: tuple[str, ...]) -> str:
        self._declared[name] = f"declare {result} @{name}({', '.join(parameters)})"
        return f"@{name}"

    def error_site(self, error: str, message: str, position: Position) -> int:
        return self._errors.setdefault(ErrorSite(error, message, self._current, position), len(self._errors) + 1)

    def print_site(self, template: Template) -> int:
        return self._prints.setdefault(template, len(self._prints))

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

    def lowered(self, kernel: Any) -> LoweredModule:
        name = "f0" if self._exported is None else f'"{self._exported}"'
        self._to_be_lowered(kernel, name)
        texts: list[str] = []
        result_type = ""
        # Lowering a function finds the functions that it calls.
        for number, code in self._waiting_to_be_lowered:
            self._current = number
            function = FunctionLowering(self, self._typed(code), self._names[code])
            # What waits has to be inlined: it is a part of the kernel's coroutine.
            is_inlined = self._waits(code) or (code is kernel and self._exported is None)
            is_internal = code is not kernel or self._exported is None
            texts.append(function.text("internal" if is_internal else "", "alwaysinline" if is_inlined else ""))
            result_type = result_type or function.result_type()
        # Failing is unlikely: the way on is laid out straight.
        texts += [*sorted(self._declared.values()), '!0 = !{!"branch_weights", i32 1048576, i32 1}\n']
        outside = (name for name in self._declared if not name.startswith(("llvm.", '"')))
        threadgroups = self._threadgroups(kernel)
        return LoweredModule(
            "\n".join(texts),
            name,
            result_type,
            tuple(self._functions),
            tuple(self._errors),
            tuple(self._prints),
            tuple(sorted({*outside, *self._linked_symbols})),
            tuple(self._bitcode.items()),
            threadgroups,
        )
