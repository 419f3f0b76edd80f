# SPDX-License-Identifier: Apache-2.0
"""Divisions of integers that end no process: on a GPU a quotient that doesn't exist is any number, on many a processor a fault.

Here the quotient by zero is 0, so that the rest is the number itself, and the quotient of the least number by -1 is that number, with no
rest. So it makes no difference whether LLVM computes a rest of a quotient.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_DIVISION = re.compile(
    r"^  (?P<name>%[^ ]+) = (?P<what>[su](?:div|rem)) (?:exact )?(?P<kind>i\d+|<\d+ x i\d+>) (?P<first>.+?), (?P<second>[^,<]+|<.*>)(?P<rest>, !.*)?$"
)


def with_safe_divisions(lines: Iterable[str]) -> list[str]:
    """The body of a kernel with divisors that can be divided by."""
    safe: list[str] = []
    for number, line in enumerate(lines):
        found = _DIVISION.match(line)
        if found is None or re.fullmatch(r"[1-9]\d*", found["second"]):
            safe.append(line)
            continue
        what, kind, first, second = found["what"], found["kind"], found["first"], found["second"]
        own = f"%smelt.division{number}"
        flags = re.sub(r"<(\d+) x i\d+>|i\d+", lambda vector: f"<{vector[1]} x i1>" if vector[1] else "i1", kind)
        zero = "zeroinitializer" if kind.startswith("<") else "0"
        safe.append(f"  {own}.is_zero = icmp eq {kind} {second}, {zero}")
        ones = _splat(kind, "1")
        safe.append(f"  {own}.no_zero = select {flags} {own}.is_zero, {kind} {ones}, {kind} {second}")
        divisor = f"{own}.no_zero"
        if what[0] == "s":
            bits = int(re.findall(r"i(\d+)", kind)[0])
            safe += [
                f"  {own}.is_least = icmp eq {kind} {first}, {_splat(kind, str(-(1 << bits - 1)))}",
                f"  {own}.is_minus_one = icmp eq {kind} {second}, {_splat(kind, '-1')}",
                f"  {own}.overflows = and {flags} {own}.is_least, {own}.is_minus_one",
                f"  {own}.divisor = select {flags} {own}.overflows, {kind} {ones}, {kind} {divisor}",
            ]
            divisor = f"{own}.divisor"
        safe.append(f"  {own}.result = {what} {kind} {first}, {divisor}")
        left = first if what.endswith("rem") else zero
        safe.append(f"  {found['name']} = select {flags} {own}.is_zero, {kind} {left}, {kind} {own}.result")
    return safe


def _splat(kind: str, value: str) -> str:
    vector = re.fullmatch(r"<(\d+) x (i\d+)>", kind)
    if vector is None:
        return value
    return "<" + ", ".join([f"{vector[2]} {value}"] * int(vector[1])) + ">"
