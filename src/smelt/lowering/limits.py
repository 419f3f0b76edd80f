# SPDX-License-Identifier: Apache-2.0
"""The function that tells for which threads of a row a kernel's assumptions hold."""

from __future__ import annotations

from typing import Protocol

from smelt.ir.typed import Value
from smelt.lowering.assumptions import Row
from smelt.lowering.layout import row_types
from smelt.lowering.linear import POSITION, Linear

LIMITS = "{ i64, i64, i64, i64 }"
"""What the function returns, in LLVM's words."""

_LIMIT = 1 << 44
"""What positions and values have to be below for sums of their multiples not to overflow."""


class Module(Protocol):
    """What the function needs of the module around it."""

    has_doubles: bool

    def declare(self, name: str, result: str, parameters: tuple[str, ...]) -> str: ...


def limits_function(module: Module, name: str, row: Row, parameters: list[Value]) -> str:
    """The LLVM IR of the function.

    It takes a thread's state, the rows of the kernel's parameters, and the begin and end of the row. It returns four positions in the
    row, each no less than the one before: threads before the first and from the fourth on do nothing, and those between the second
    and the third keep all needs.
    """
    return _LimitsLowering(module, row).text(name, parameters)


class _LimitsLowering:
    def __init__(self, module: Module, row: Row) -> None:
        self._module = module
        self._row = row
        self._lines: list[str] = []

    def text(self, name: str, parameters: list[Value]) -> str:
        tests = [self._emit(f"icmp sle i64 %end, {_LIMIT}")]
        for value in self._row.invariants.unchecked:
            moved = self._emit(f"add i64 {value}, {_LIMIT}")
            tests.append(self._emit(f"icmp ult i64 {moved}, {2 * _LIMIT}"))
        outer, inner = ("%begin", "%end"), ("%begin", "%end")
        is_known = tests[0]
        for test in tests[1:]:
            is_known = self._emit(f"and i1 {is_known}, {test}")
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
            for found, whole in zip(outer, ("%begin", "%end"), strict=True)
        )
        first = self._extreme("smin", first, "%end")
        fourth = self._extreme("smax", fourth, first)
        second = self._extreme("smin", inner[0], fourth)
        third = inner[1]
        for test in holds:
            third = self._emit(f"select i1 {test}, i64 {third}, i64 %begin")
        third = self._extreme("smax", second, third)
        result, positions = "zeroinitializer", (first, second, third, fourth)
        for place, position in enumerate(positions):
            result = self._emit(f"insertvalue {LIMITS} {result}, i64 {position}, {place}")
        kinds = [kind for one in parameters for kind in row_types(one.type, has_doubles=self._module.has_doubles)]
        given = "".join(f", {kind} %p{place}" for place, kind in enumerate(kinds))
        body = "\n".join(f"  {line}" for line in (*self._row.invariants.lines, *self._lines))
        head = f"define internal {LIMITS} @{name}(ptr %state{given}, i64 %begin, i64 %end) alwaysinline"
        return f"{head} {{\n{body}\n  ret {LIMITS} {result}\n}}\n"

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
