# SPDX-License-Identifier: Apache-2.0
"""A kernel with all functions that it calls, as one LLVM module in text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from smelt.compiler.sites import ErrorSite, Place
from smelt.compiler.texts import Template
from smelt.compiler.threadgroups import Sizes
from smelt.ir.circles import circles
from smelt.ir.loops import has_loop
from smelt.ir.positions import InlinedPosition, Position
from smelt.ir.typed import Function, Role
from smelt.ir.writes import waits
from smelt.lowering.cutting.groups import GroupWriter
from smelt.lowering.cutting.phases import Group, cut
from smelt.lowering.cutting.strips import cut_at_loops, lowered_strips
from smelt.lowering.debugging import DebugInformation, FunctionDebugInformation
from smelt.lowering.error_numbers import ErrorNumbers
from smelt.lowering.function import FunctionLowering
from smelt.lowering.knowledge.assumptions import Assumptions, Row, kernel_arguments
from smelt.lowering.knowledge.invariants import Invariants
from smelt.lowering.knowledge.limits import limits_function
from smelt.lowering.layout import row_types
from smelt.lowering.lowered import LinkedFunction, LoweredModule, Strip, Threadgroups
from smelt.lowering.rare import RareFunction, kept
from smelt.lowering.thread_state import has_rows

_METADATA = (
    # Failing is unlikely: the way on is laid out straight.
    '!0 = !{!"branch_weights", i32 1048576, i32 1}',
    # The accesses to memory in which the threads of a row are independent, and the loop over such threads.
    "!1 = distinct !{}",
    "!2 = distinct !{!2, !3, !4}",
    '!3 = !{!"llvm.loop.parallel_accesses", !1}',
    # Vectors are long enough: threads that don't depend on each other keep a processor busy as they are. To write several vectors out in
    # each round takes LLVM a third as long again.
    '!4 = !{!"llvm.loop.interleave.count", i32 1}',
    # But for threads that have a loop of their own, in which each round waits for the one before: two vectors fill the time.
    "!5 = distinct !{!5, !3, !6}",
    '!6 = !{!"llvm.loop.interleave.count", i32 2}',
    # The threads of a strip are always as many, and so are those of whole groups of a known size: as vectors, and not before, they are
    # written out, as far as that is worth it.
    "!7 = distinct !{!7, !3, !4, !9, !10}",
    "!8 = distinct !{!8, !3, !6, !9, !10}",
    '!9 = !{!"llvm.loop.unroll.disable"}',
    '!10 = !{!"llvm.loop.vectorize.followup_all", !11}',
    '!11 = !{!"llvm.loop.isvectorized"}\n',
)

# What is rarely run isn't worth optimising.
_ATTRIBUTES = {Role.ORDINARY: "", Role.ELEMENTARY: "alwaysinline", Role.RARE: "noinline cold optnone"}

_UNUSUAL = re.compile(r"\W", re.ASCII)

_ALIGNMENT = 64
"""Of each array that the threads of a group share: no type needs more."""


def lower_module(
    code: Any,
    typed: Callable[[Any], Function],
    *,
    has_doubles: bool = True,
    is_checked: bool = True,
    is_fast: bool = False,
    group_size: Sizes | None = None,
    linked: Callable[[Any], LinkedFunction | None] = lambda _: None,
    name: str | None = None,
    has_main: bool = False,
    debug: DebugInformation | None = None,
    lowering: type[FunctionLowering] = FunctionLowering,
) -> LoweredModule:
    """Lower a kernel's code instance and all that it calls.

    `typed` gives the typed function of a code instance; `is_checked` keeps the bounds checks; `is_fast` lets floating arithmetic be
    reordered; `group_size` is that of all groups, but for those at the end of a grid, None if it is known at launch only; `linked` gives what was compiled of a callee by itself, None where that is lowered here. Names are numbers in the
    order in which functions are first called, so that one job gives one text; with a `name`, the first function has that one and
    is seen from outside. `has_main` asks for a second function for most threads of a row. `debug` collects what debuggers are told, and lets
    the names tell what is what. `lowering` writes the functions, as the target has them.
    """
    module = _ModuleLowering(
        typed,
        linked,
        debug,
        lowering,
        has_doubles=has_doubles,
        is_checked=is_checked,
        is_fast=is_fast,
        group_size=group_size,
        exported=name,
    )
    return module.lowered(code, has_main=has_main)


class _ModuleLowering:
    def __init__(
        self,
        typed: Callable[[Any], Function],
        linked: Callable[[Any], LinkedFunction | None],
        debug: DebugInformation | None,
        lowering: type[FunctionLowering],
        *,
        has_doubles: bool,
        is_checked: bool,
        is_fast: bool,
        group_size: Sizes | None,
        exported: str | None,
    ) -> None:
        self.has_doubles = has_doubles
        self.is_checked = is_checked
        self.is_fast = is_fast
        self.group_size = group_size
        self._typed = typed
        self._linked = linked
        self._debug = debug
        self._lowering = lowering
        self._exported = exported
        # All functions, their names, and the numbers of their error sites.
        self._functions: list[Any] = []
        self._sources: dict[Any, int] = {}
        self._names: dict[Any, str] = {}
        self._numbers: dict[Any, ErrorNumbers] = {}
        # What is lowered once more, for most threads.
        self._waiting_to_be_lowered: list[tuple[Any, str, Assumptions]] = []
        self._bitcode: dict[str, bytes] = {}
        self._linked_symbols: set[str] = set()
        self._declared: dict[str, str] = {}
        self._rare: dict[Any, RareFunction] = {}
        self._tables: dict[str, str] = {}
        self._prints: dict[Template, int] = {}
        self._is_recursive = self._has_loops = self._has_rows = False
        self._lowered_count = 0
        self._result_type = ""
        self._kernel: Any = None
        self._current: Any = None
        self._waiting: dict[Any, bool] = {}
        self._group: Group | None = None
        self._written_group: GroupWriter | None = None
        self._memory_bytes = 0
        self._has_threadgroup_memory = False
        self._is_sized_at_launch = False

    def callee(self, code: Any, assumptions: Assumptions | None = None) -> str:
        """The name of a function that is called."""
        if not assumptions:
            return self._names[code]
        name = self._symbol(f"m{len(self._waiting_to_be_lowered)}", code)
        self._waiting_to_be_lowered.append((code, f"@{name}", assumptions))
        return f"@{name}"

    def before_errors(self, code: Any, position: Position) -> int:
        """What is added to a status that a function returned that is called at a position."""
        return self._numbers[self._current].before(self._numbers[code], self._places(position))

    def _found(self, code: Any) -> list[Any]:
        """Take note of a function: those that it calls, in order, unless it is linked with them."""
        linked = self._linked(code) if code is not self._kernel else None
        if linked is not None and self._bitcode.get(linked.name, linked.bitcode[0][1]) == linked.bitcode[0][1]:
            self._link(code, linked)
            return []
        name = self._symbol(f"f{len(self._functions)}", code)
        self._names[code] = f'@"{self._exported}"' if self._exported and code is self._kernel else f"@{name}"
        self._functions.append(code)
        return [
            instruction.attributes["callee"]
            for block in self._typed(code).blocks
            for instruction in block.instructions
            if instruction.operation == "call"
        ]

    def _symbol(self, name: str, code: Any) -> str:
        return name if self._debug is None else f"{name}.{_UNUSUAL.sub('_', code.instance.source.__name__)}"

    def _link(self, code: Any, linked: LinkedFunction) -> None:
        self._names[code] = f'@"{linked.name}"'
        self._bitcode.update(linked.bitcode)
        self._linked_symbols.update(linked.symbols)
        self._numbers[code] = numbers = ErrorNumbers()
        for site in linked.errors:
            numbers.sites.append(ErrorSite.of_tuple(site, lambda number: self._source(linked.sources[number])))

    def declare(self, name: str, result: str, parameters: tuple[str, ...]) -> str:
        self._declared[name] = f"declare {result} @{name}({', '.join(parameters)})"
        return f"@{name}"

    def rare(self, code: Any) -> RareFunction | None:
        """What to call in place of a function that few numbers need; None for any other function."""
        if not self._lowering.has_vectors:
            return None
        if code not in self._rare:
            function = self._typed_unless_linked(code)
            if function is None or function.role is not Role.RARE:
                return None
            (kind,) = row_types(function.result, has_doubles=self.has_doubles)
            source = code.instance.source
            name = f"{source.__module__.rpartition('.')[2]}.{source.__name__}.{kind}"
            self._rare[code] = RareFunction(name, self.callee(code), kind)
        return self._rare[code]

    def table(self, kind: str, items: list[str]) -> str:
        """The address of constants of an LLVM type."""
        values = f"[{len(items)} x {kind}] [{', '.join(f'{kind} {item}' for item in items)}]"
        return self._tables.setdefault(values, f"@table{len(self._tables)}")

    def error_site(self, error: str, message: str, position: Position) -> int:
        return self._numbers[self._current].number(ErrorSite(error, message, self._places(position)))

    def final_error_site(self, error: str, message: str, position: Position) -> int:
        """The number of an error site among those of the kernel, whatever the calls were on the way to it."""
        return self._numbers[self._kernel].number(ErrorSite(error, message, self._places(position)))

    def _places(self, position: Position) -> tuple[Place, ...]:
        if isinstance(position, InlinedPosition):
            return Place(self._source(position.function), position.name, position.plain), *self._places(position.call)
        source = self._current.instance.source
        return (Place(self._source(source), source.__code__.co_name, position),)

    def _source(self, function: Any) -> int:
        return self._sources.setdefault(function, len(self._sources))

    def print_site(self, template: Template) -> int:
        return self._prints.setdefault(template, len(self._prints))

    def recursion(self) -> None:
        """Take note that there is a function that calls itself."""
        self._is_recursive = True

    def threadgroup_memory(self, size_bytes: int) -> int:
        """Take some of the memory that the threads of a group share: its offset."""
        self._has_threadgroup_memory = True
        offset = self._memory_bytes
        self._memory_bytes += -(-size_bytes // _ALIGNMENT) * _ALIGNMENT
        return offset

    def launch_memory(self) -> None:
        """Take note that there is an array whose size is given at launch."""
        self._has_threadgroup_memory = self._is_sized_at_launch = True

    def waits(self, code: Any) -> bool:
        """Whether a function waits for other threads, itself or in what it calls."""
        if code not in self._waiting:
            # Functions that call each other don't wait: that was refused.
            self._waiting[code] = False
            self._waiting[code] = waits(self._typed(code), self.waits)
        return self._waiting[code]

    def _lowered_group(self, kernel: Any, group: Group, name: str) -> list[str]:
        written = GroupWriter(self, group, name, self._typed_unless_linked, lambda name: self._debug_of(kernel, name))
        texts = written.texts
        if self._debug is not None:
            texts = [self._debug.attached(text, kernel.instance.source) for text in texts]
        self._written_group = written
        self._result_type = written.result_type
        return texts

    def _lowered_strips(self, kernel: Any, assumptions: Assumptions) -> tuple[list[str], list[Strip]]:
        # Debuggers show what one thread does.
        cut_kernel = None
        if self._debug is None and self._has_loops:
            cut_kernel = cut_at_loops(assumptions, self._typed, has_doubles=self.has_doubles)
        if cut_kernel is None:
            return [], []
        self._current = kernel
        texts, strips = lowered_strips(self, cut_kernel)
        return [*texts, *self._lowered_for_most_threads()], strips

    def _works_together(self, kernel: Any) -> bool:
        """Whether the threads of a kernel share memory or wait for each other."""
        return self.waits(kernel) or any(
            instruction.operation == "threadgroup_array"
            for block in self._typed(kernel).blocks
            for instruction in block.instructions
        )

    def _threadgroups(self, kernel: Any) -> Threadgroups | None:
        if not (self.waits(kernel) or self._has_threadgroup_memory):
            return None
        self._current = kernel
        exhausted = self.error_site("MemoryError", "there is no memory to run a threadgroup", Position(0, 0, 0, 0))
        written = self._written_group
        of_group = () if written is None else (written.slot_bytes, written.edge, written.written_first_by)
        return Threadgroups(self._memory_bytes, self._is_sized_at_launch, exhausted, *of_group)

    def _row(self, kernel: Any) -> Row | None:
        """What the threads of a row may assume, once the kernel is lowered; None if nothing."""
        if self.waits(kernel) or self._has_threadgroup_memory:
            return None
        invariants = Invariants(self.declare, has_doubles=self.has_doubles, group_size=self.group_size)
        row = Row(self._typed_unless_linked, invariants, is_checked=self.is_checked)
        function = self._typed(kernel)
        row.assume(function, kernel_arguments(function, invariants))
        return row if row.assumptions is not None else None

    def _typed_unless_linked(self, code: Any) -> Function | None:
        return self._typed(code) if self._linked(code) is None else None

    def lowered(self, kernel: Any, *, has_main: bool) -> LoweredModule:
        self._kernel = kernel
        self._numbers[kernel] = ErrorNumbers()
        self._source(kernel.instance.source)
        # What is called is lowered before, so that its error sites are known.
        order = circles(kernel, self._found)
        if has_main and self._works_together(kernel):
            self._group = cut(self._typed(kernel), self.waits, has_doubles=self.has_doubles)
        texts = [text for circle in order for text in self._lowered_circle(circle)]
        row = self._row(kernel) if has_main else None
        main = limits = None
        strips: list[Strip] = []
        if row is not None:
            main = self.callee(kernel, row.assumptions)
            texts += self._lowered_for_most_threads()
            if row.is_limited:
                limits = "limits"
                texts.append(limits_function(self, limits, row, self._typed(kernel).parameters))
            assert row.assumptions is not None
            strip_texts, strips = self._lowered_strips(kernel, row.assumptions)
            texts += strip_texts
        texts += [rare.definitions for rare in self._rare.values()]
        texts += [kept(self._rare.values())] if self._rare else []
        space = self._lowering.constants_pointer.removeprefix("ptr")
        texts += [f"{name} = private unnamed_addr{space} constant {values}\n" for values, name in self._tables.items()]
        texts += [*sorted(self._declared.values()), *_METADATA]
        outside = (name for name in self._declared if not name.startswith(("llvm.", '"')))
        threadgroups = self._threadgroups(kernel)
        return LoweredModule(
            "\n".join(texts),
            self._names[kernel].removeprefix("@"),
            self._result_type,
            tuple(self._functions),
            tuple(self._sources),
            tuple(self._numbers[kernel].sites),
            tuple(self._prints),
            tuple(sorted({*outside, *self._linked_symbols})),
            tuple(self._bitcode.items()),
            threadgroups,
            main and main.removeprefix("@"),
            limits,
            row is not None and row.is_same_for_all_rows,
            tuple(strips),
            self._is_recursive,
            self._has_loops,
            self._has_rows,
            self._debug,
        )

    def _debug_of(self, code: Any, name: str) -> FunctionDebugInformation | None:
        if self._debug is None:
            return None
        # Its lines are a part of the artifact.
        self._source(code.instance.source)
        return self._debug.function(name.removeprefix("@"), code.instance.source)

    def _lowered_circle(self, circle: list[Any]) -> Iterator[str]:
        """The texts of functions that call each other."""
        numbers = self._numbers[self._kernel] if self._kernel in circle else ErrorNumbers()
        to_be_lowered = [code for code in circle if code is self._kernel or code not in self._numbers]
        self._numbers |= dict.fromkeys(to_be_lowered, numbers)
        for code in to_be_lowered:
            self._current = code
            self._has_loops |= has_loop(self._typed(code))
            self._has_rows |= has_rows(self._typed(code))
            if self._group is not None and code is self._kernel:
                yield from self._lowered_group(code, self._group, self._names[code])
                yield from self._lowered_for_most_threads()
            else:
                yield self._lowered_function(code, self._names[code], None)

    def _lowered_for_most_threads(self) -> Iterator[str]:
        """The texts of what waits to be lowered once more, and of all that is called there."""
        while self._lowered_count < len(self._waiting_to_be_lowered):
            self._lowered_count += 1
            code, name, assumptions = self._waiting_to_be_lowered[self._lowered_count - 1]
            self._current = code
            yield self._lowered_function(code, name, assumptions)

    def _lowered_function(self, code: Any, name: str, assumptions: Assumptions | None) -> str:
        function = self._lowering(self, self._typed(code), name, assumptions, self._debug_of(code, name))
        is_exported = code is self._kernel and self._exported is not None
        # What waits has to be inlined: it is a part of the kernel's coroutine.
        is_inlined = self.waits(code) or (code is self._kernel and not is_exported)
        attributes = "alwaysinline" if is_inlined else _ATTRIBUTES[function.function.role]
        if code is self._kernel:
            self._result_type = function.result_type()
        return function.text("" if is_exported else "internal", attributes)
