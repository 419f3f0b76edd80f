# SPDX-License-Identifier: Apache-2.0
"""The function that tells for which threads of a row a kernel's assumptions hold."""

from __future__ import annotations

from typing import Protocol

from smelt.ir.typed import Value
from smelt.lowering.knowledge.assumptions import Row
from smelt.lowering.knowledge.linear import POSITION, Linear, term
from smelt.lowering.layout import row_types

LIMITS = "{ i64, i64, i64, i64 }"
"""What the function returns, in LLVM's words."""

WHOLE_LIMITS = "{ i1, i64, i64 }"
"""What the function for a whole group returns."""

_LIMIT = 1 << 44
"""What positions and values have to be below for sums of their multiples not to overflow."""


class Module(Protocol):
    """What the function needs of the module around it."""

    has_doubles: bool

    def declare(self, name: str, result: str, parameters: tuple[str, ...]) -> str: ...


def limits_function(module: Module, name: str, row: Row, parameters: list[Value], *, is_in_group: bool = False) -> str:
    """The LLVM IR of the function.

    It takes a thread's state, the rows of the kernel's parameters, and the begin and end of the row. It returns four positions in the
    row, each no less than the one before: threads before the first and from the fourth on do nothing, and those between the second
    and the third keep all needs.

    With `is_in_group`, positions count from the first thread of the group, whose position in the grid is `%begin`; `%end` is how many
    threads the row has.
    """
    return _LimitsLowering(module, row).text(name, parameters, is_in_group=is_in_group)


def whole_limits_function(module: Module, name: str, row: Row, parameters: list[Value], threads: int) -> str | None:
    """The LLVM IR of a function that tells whether all threads of a group keep all needs; None if no function can tell.

    It takes a thread's state, the rows of the phase's parameters, and the position of the group's first thread in the grid, `%begin_x`,
    `%begin_y` and `%begin_z`. It returns whether they do, and from where to where threads of each row do something, where a row has
    so many threads; those positions count from the row's first thread.
    """
    return _LimitsLowering(module, row).whole_text(name, parameters, threads)


class _LimitsLowering:
    def __init__(self, module: Module, row: Row) -> None:
        self._module = module
        self._row = row
        self._lines: list[str] = []

    def text(self, name: str, parameters: list[Value], *, is_in_group: bool) -> str:
        begin = "0" if is_in_group else "%begin"
        last = self._emit("add nsw i64 %begin, %end") if is_in_group else "%end"
        is_known = self._all([self._emit(f"icmp sle i64 {last}, {_LIMIT}"), *self._tests_of_values()])
        outer, inner = (begin, "%end"), (begin, "%end")
        holds = [is_known]
        for need in self._row.needs:
            if need.factor(POSITION) == 0:
                holds.append(self._emit(f"icmp sge i64 {self._sum(need)}, 0"))
                continue
            limit = self._limit(need)
            inner = self._narrowed(inner, need, limit)
            if need in self._row.guards:
                outer = self._narrowed(outer, need, limit)
        # Of a row in which sums may overflow nothing is known.
        first, fourth = (
            self._emit(f"select i1 {is_known}, i64 {found}, i64 {whole}")
            for found, whole in zip(outer, (begin, "%end"), strict=True)
        )
        first = self._extreme("smin", first, "%end")
        fourth = self._extreme("smax", fourth, first)
        second = self._extreme("smin", inner[0], fourth)
        third = inner[1]
        for test in holds:
            third = self._emit(f"select i1 {test}, i64 {third}, i64 {begin}")
        third = self._extreme("smax", second, third)
        result, positions = "zeroinitializer", (first, second, third, fourth)
        for place, position in enumerate(positions):
            result = self._emit(f"insertvalue {LIMITS} {result}, i64 {position}, {place}")
        return self._definition(name, parameters, ("%begin", "%end"), LIMITS, result)

    def whole_text(self, name: str, parameters: list[Value], threads: int) -> str | None:
        begins = ("%begin_x", "%begin_y", "%begin_z")
        tests = [*(self._emit(f"icmp sle i64 {begin}, {_LIMIT // 2}") for begin in begins), *self._tests_of_values()]
        interval = ("0", str(threads))
        signs, varying = self._row.invariants.signs, self._row.invariants.varying
        for need in self._row.needs:
            position = need.factor(POSITION)
            others = need.plus(term(POSITION), -position)
            if (
                position
                and need in self._row.guards
                and need.factor(begins[0]) == 0
                and signs.lowered(others) == others
            ):
                # What only some threads of each row do, wherever the group is.
                interval = self._narrowed(interval, need, self._limit(need))
            else:
                others = signs.lowered(need)
                tests.append(self._emit(f"icmp sge i64 {self._sum(others)}, 0"))
            if not varying.isdisjoint(name for name, _ in others.terms):
                return None
        if not varying.isdisjoint(self._row.invariants.unchecked):
            return None
        result = "zeroinitializer"
        for place, found in enumerate((f"i1 {self._all(tests)}", *(f"i64 {limit}" for limit in interval))):
            result = self._emit(f"insertvalue {WHOLE_LIMITS} {result}, {found}, {place}")
        return self._definition(name, parameters, begins, WHOLE_LIMITS, result)

    def _definition(
        self, name: str, parameters: list[Value], positions: tuple[str, ...], kind: str, result: str
    ) -> str:
        kinds = [kind for one in parameters for kind in row_types(one.type, has_doubles=self._module.has_doubles)]
        given = "".join(f", {kind} %p{place}" for place, kind in enumerate(kinds))
        given += "".join(f", i64 {position}" for position in positions)
        body = "\n".join(f"  {line}" for line in (*self._row.invariants.lines, *self._lines))
        return f"define internal {kind} @{name}(ptr %state{given}) alwaysinline {{\n{body}\n  ret {kind} {result}\n}}\n"

    def _tests_of_values(self) -> list[str]:
        """Whether values of which nothing is known are small enough for sums of their multiples not to overflow."""
        tests = []
        for value in self._row.invariants.unchecked:
            moved = self._emit(f"add i64 {value}, {_LIMIT}")
            tests.append(self._emit(f"icmp ult i64 {moved}, {2 * _LIMIT}"))
        return tests

    def _all(self, tests: list[str]) -> str:
        found, *others = tests
        for test in others:
            # Where a test fails those behind it need not mean anything: sums may overflow.
            found = self._emit(f"select i1 {found}, i1 {test}, i1 false")
        return found

    def _limit(self, need: Linear) -> str:
        """The least position with which a need holds, or the position behind the greatest."""
        factor = need.factor(POSITION)
        quotient = self._floored(self._sum(need), abs(factor))
        return self._emit(f"sub i64 0, {quotient}" if factor > 0 else f"add i64 {quotient}, 1")

    def _narrowed(self, interval: tuple[str, str], need: Linear, limit: str) -> tuple[str, str]:
        begin, end = interval
        if need.factor(POSITION) > 0:
            return self._extreme("smax", begin, limit), end
        return begin, self._extreme("smin", end, limit)

    def _emit(self, instruction: str) -> str:
        name = f"%n{len(self._lines)}"
        self._lines.append(f"{name} = {instruction}")
        return name

    def _extreme(self, which: str, first: str, second: str) -> str:
        function = self._module.declare(f"llvm.{which}.i64", "i64", ("i64", "i64"))
        return self._emit(f"call i64 {function}(i64 {first}, i64 {second})")

    def _sum(self, need: Linear) -> str:
        """A need without the thread's position."""
        total = str(need.constant)
        for name, factor in need.terms:
            if name != POSITION:
                multiple = name if factor == 1 else self._emit(f"mul nsw i64 {name}, {factor}")
                total = self._emit(f"add nsw i64 {total}, {multiple}")
        return total

    def _floored(self, value: str, divisor: int) -> str:
        if divisor == 1:
            return value
        quotient = self._emit(f"sdiv i64 {value}, {divisor}")
        remainder = self._emit(f"srem i64 {value}, {divisor}")
        is_below = self._emit(f"icmp slt i64 {remainder}, 0")
        step = self._emit(f"sext i1 {is_below} to i64")
        return self._emit(f"add i64 {quotient}, {step}")
