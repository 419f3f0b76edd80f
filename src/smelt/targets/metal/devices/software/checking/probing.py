# SPDX-License-Identifier: Apache-2.0
"""Whether the threads of a row access nothing that they may not, found out before they run.

A kernel whose addresses and branches don't depend on what it reads from memory that it may write to can be run once without touching that
memory: what is left is a short computation that LLVM turns into vectors. Where it finds nothing, the row is run by the kernel as it is;
else by the one in which each access is looked after, which tells what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from smelt.targets.metal.devices.software.checking.accesses import ATOMIC, READ, Access, Roots, accesses_of, has_size
from smelt.targets.metal.devices.software.checking.bounds import Root, Watching
from smelt.targets.metal.devices.software.checking.checks import Checks

_LIBRARY_CALL = re.compile(r"^  (?P<name>%[^ ]+) = (?:tail )?call (?P<kind>\w+) @(?!llvm\.|smelt\.)[\w.]+\(")
"""What LLVM doesn't know to have no effects."""

UNKNOWN = "smelt.unknown."
"""How the functions begin that stand for what is not known: where one is left, the probe does not do without it."""

OUTSIDE = "  %smelt.own.outside = alloca i1\n  store i1 false, ptr %smelt.own.outside"
"""LLVM IR that begins to find out."""

_NAME = re.compile(r"%(?:[\w.$-]+|\"[^\"]+\")")
_RESULT = re.compile(r"^  (%[^ ]+) = ")
_CONSTANT_SPACE = "ptr addrspace(2)"


def can_be_probed(body: Sequence[str], parameters: Sequence[str]) -> bool:
    """Whether neither an address nor a branch of a kernel without loops depends on what it reads from memory that may change."""
    roots = Roots(body, parameters)
    unknown: set[str] = set()
    size = -1
    while size != len(unknown):
        size = len(unknown)
        for line in body:
            result = _RESULT.match(line)
            operands = set(_NAME.findall(line[result.end() :] if result is not None else line))
            accesses = accesses_of(line)
            if accesses and not _is_simple(line, accesses, roots, unknown):
                return False
            if line.startswith(("  br i1", "  switch ")) and operands & unknown:
                return False
            if result is None:
                continue
            is_read = bool(accesses) and not (_is_constant(accesses[0]) or _is_private(accesses[0], roots))
            if is_read or operands & unknown or _LIBRARY_CALL.match(line):
                unknown.add(result[1])
    return True


def _is_simple(line: str, accesses: Sequence[Access], roots: Roots, unknown: set[str]) -> bool:
    if has_size(line) or any(access.kind == ATOMIC or access.pointer in unknown for access in accesses):
        return False
    if accesses[0].kind == READ or not _is_private(accesses[0], roots):
        return True
    # What a thread writes to memory of its own is known as long as that is.
    return not set(_NAME.findall(line)) & unknown


def _is_constant(access: Access) -> bool:
    return access.pointer_type == _CONSTANT_SPACE


def _is_private(access: Access, roots: Roots) -> bool:
    return all(root in roots.private for root in roots.of(access.pointer))


class Probing(Watching):
    """The body of a kernel that accesses nothing, and only finds out whether all would be right."""

    def __init__(self, body: Sequence[str], roots: Mapping[str, Root], checks: Checks) -> None:
        super().__init__(body, roots, checks)
        self.unknown: dict[str, None] = {}
        """The declarations of the functions that stand for what is not known."""

    def body(self, lines: Sequence[str]) -> list[str]:
        """The lines. They return 1 if an access would be outside."""
        left = []
        for number, line in enumerate(super().body(lines)):
            if re.match(r"  ret \{ i32 \} zeroinitializer", line):
                own = f"%smelt.result{number}"
                left += [
                    f"  {own}.outside = load i1, ptr %smelt.own.outside",
                    f"  {own}.status = zext i1 {own}.outside to i32",
                    f"  {own} = insertvalue {{ i32 }} poison, i32 {own}.status, 0",
                    f"  ret {{ i32 }} {own}",
                ]
            elif _LIBRARY_CALL.match(line):
                call = _LIBRARY_CALL.match(line)
                assert call is not None
                left.append(self._standing_for(call["name"], call["kind"]))
            elif line:
                left.append(line)
        return left

    def _safe(self, own: str, access: Access, root: Root) -> str:  # noqa: ARG002
        kind, spare = access.pointer_type, "zeros" if access.kind == READ else "junk"
        return "\n".join(
            (
                f"  {own}.is_outside = xor i1 {own}.is_clear, true",
                f"  {own}.was_outside = load i1, ptr %smelt.own.outside",
                f"  {own}.any_outside = or i1 {own}.is_outside, {own}.was_outside",
                f"  store i1 {own}.any_outside, ptr %smelt.own.outside",
                f"  {own}.spare = call {kind} @smelt.{spare}(ptr %smelt.state)",
                f"  {own}.safe = select i1 {own}.is_clear, {kind} {access.pointer}, {kind} {own}.spare",
            )
        )

    def _done(self, line: str, original: str, accesses: Sequence[Access]) -> str:
        if _is_constant(accesses[0]) or _is_private(accesses[0], self._pointers):
            return line
        result = _RESULT.match(original)
        if result is None:
            return ""
        kind = original.partition(" = load ")[2].removeprefix("volatile ").partition(", ptr")[0]
        return self._standing_for(result[1], kind)

    def _standing_for(self, name: str, kind: str) -> str:
        symbol = f'@"{UNKNOWN}{kind}"'
        self.unknown[f"declare {kind} {symbol}() nounwind willreturn memory(none)"] = None
        return f"  {name} = call {kind} {symbol}()"
