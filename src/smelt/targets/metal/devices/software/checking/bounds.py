# SPDX-License-Identifier: Apache-2.0
"""Accesses to memory that are looked after: each is tested against the memory that its pointer came from.

An access outside of it is reported, see `records`; a load finds zeros then, and a store goes where nobody looks. So the kernel goes on, as
it would on a GPU with Metal's own validation of shaders: dispatches whose last threads read behind a buffer, and drop what they find, are
common.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from smelt.targets.metal.devices.software.checking import records, tracking
from smelt.targets.metal.devices.software.checking.accesses import PRIVATE, Access, Roots, accesses_of, has_size
from smelt.targets.metal.devices.software.checking.checks import Checks

DEVICE_SPACES = ("ptr addrspace(1)", "ptr addrspace(3)")


@dataclass(frozen=True)
class Root:
    """Memory that pointers come from, as numbers of LLVM IR.

    Attributes
    ----------
    base, size
        Where it begins, and its bytes.
    number
        What a report calls it.
    shadow
        Where what is known of its bytes is.
    is_in_rows
        Whether it is found among the rows of the launch's record.
    """

    base: str
    size: str
    number: str
    shadow: str = "0"
    is_in_rows: bool = False


class Watching:
    """The body of a kernel in which each access is looked after.

    Parameters
    ----------
    roots
        The roots that pointers may have, beside memory of the thread, by the names of parameters and variables.
    """

    def __init__(self, body: Sequence[str], roots: Mapping[str, Root], checks: Checks) -> None:
        self._known = dict(roots)
        self._pointers = Roots(body, [name for name in roots if name.startswith("%")])
        self._checks = checks
        self._count = 0
        self.limits: dict[str, str] = {}
        """What is computed before: instructions, with the names of their results. Filled by `body`."""
        for number, (name, size) in enumerate(self._pointers.private.items()):
            self._known[name] = Root(f"%smelt.private{number}", size, str(records.THREAD))
        self._rows = {name: f"%smelt.found{number}" for number, name in enumerate(self._pointers.loaded)}
        for name, row in self._rows.items():
            self._known[name] = Root(f"{row}.base", f"{row}.size", f"{row}.root", f"{row}.shadow", is_in_rows=True)

    def body(self, lines: Sequence[str]) -> list[str]:
        """The lines with what looks after them. Raises `ValueError` for pointers that are not understood."""
        watched: list[str] = []
        numbers = {name: number for number, name in enumerate(self._pointers.private)}
        for line in lines:
            before, instruction = self._watched(line)
            watched += [*before, instruction]
            name = line[2:].partition(" = ")[0]
            if name in self._rows:
                watched += self._row(name)
            elif name in numbers:
                # Behind what the stack gives; nothing is between such lines.
                watched.append(f"  %smelt.private{numbers[name]} = ptrtoint ptr {name} to i64")
        return watched

    @property
    def limits_computed(self) -> list[str]:
        """LLVM IR that computes what is computed before."""
        return [f"  {name} = {computed}" for computed, name in self.limits.items()]

    def _row(self, name: str) -> list[str]:
        """What memory a pointer that was read is in, found once for all accesses through it."""
        row = self._rows[name]
        lines = [
            f"  {row} = ptrtoint {self._pointers.loaded[name]} {name} to i64",
            f"  {row}.row = call ptr @smelt.row(ptr %smelt.state, i64 {row}, i64 1)",
        ]
        for number, word in enumerate(("base", "size", "root", "shadow")):
            lines.append(f"  {row}.{word}_place = getelementptr i64, ptr {row}.row, i64 {number}")
            lines.append(f"  {row}.{word} = load i64, ptr {row}.{word}_place, !invariant.load !{{}}")
        return lines

    def _watched(self, line: str) -> tuple[list[str], str]:
        before: list[str] = []
        clear: list[str] = []
        original, accesses = line, accesses_of(line)
        for access in accesses:
            roots = self._pointers.of(access.pointer)
            if roots == (PRIVATE,):
                continue
            self._count += 1
            own = f"%smelt.access{self._count}"
            before.append(f"  {own} = ptrtoint {access.pointer_type} {access.pointer} to i64")
            root = self._root(before, own, access, roots)
            clear.append(f"{own}.is_clear")
            before += self._test(own, access, root)
            before.append(self._safe(own, access, root))
            line = _with_pointer(line, access, f"{own}.safe")
        if clear and has_size(line):
            line = self._safe_size(before, clear, line)
        elif clear and "atomic" not in line and "cmpxchg" not in line:
            # A pointer may have been cast from one with less alignment.
            line = re.sub(r", align \d+", ", align 1", line) if ", align " in line else f"{line}, align 1"
        return before, self._done(line, original, accesses) if clear else line

    def _test(self, own: str, access: Access, root: Root) -> list[str]:
        """LLVM IR that finds out whether an access is in its memory, as `.is_clear`, and where, as `.offset`."""
        lines: list[str] = []
        limit = self._limit(root.size, access.size, lines, own)
        lines.append(f"  {own}.offset = sub i64 {own}, {root.base}")
        lines.append(f"  {own}.is_clear = icmp ult i64 {own}.offset, {limit}")
        if self._checks.tracks and access.pointer_type in DEVICE_SPACES:
            lines.append(tracking.noting(own, access, root.base, root.number, root.shadow))
        return lines

    def _limit(self, size: str, nbytes: str, lines: list[str], own: str) -> str:
        """The offset that is too large for so many bytes in memory of that size."""
        if size.isdigit() and nbytes.isdigit():
            return str(max(0, int(size) - int(nbytes) + 1))
        computed = f"call i64 @smelt.limit(i64 {size}, i64 {nbytes})"
        if size.startswith("%smelt.size") and not nbytes.startswith("%"):
            return self.limits.setdefault(computed, f"%smelt.limit{len(self.limits)}")
        lines.append(f"  {own}.limit = {computed}")
        return f"{own}.limit"

    def _done(self, line: str, original: str, accesses: Sequence[Access]) -> str:  # noqa: ARG002
        """The instruction, given as it was, and with safe pointers."""
        return line

    def _root(self, before: list[str], own: str, access: Access, names: Sequence[str]) -> Root:
        """The memory that an access has to be in: if its pointer may come from several, the one that it is in."""
        known = [self._known[name] for name in names if name in self._known]
        if len(known) == 1 and len(names) == 1:
            return known[0]
        before.append(f"  {own}.row = call ptr @smelt.row(ptr %smelt.state, i64 {own}, i64 {access.size})")
        for number, word in enumerate(("base", "size", "root", "shadow")):
            before.append(f"  {own}.{word}_place = getelementptr i64, ptr {own}.row, i64 {number}")
            before.append(f"  {own}.{word} = load i64, ptr {own}.{word}_place")
        words = {word: f"{own}.{word}" for word in ("base", "size", "root", "shadow")}
        for number, root in enumerate(root for root in known if not root.is_in_rows):
            inside = f"{own}.is_in{number}"
            before.append(
                f"  {inside} = call i1 @smelt.is_in(i64 {own}, i64 {root.base}, i64 {root.size}, i64 {access.size})"
            )
            values = {"base": root.base, "size": root.size, "root": root.number, "shadow": root.shadow}
            for word, value in values.items():
                before.append(f"  {own}.{word}{number} = select i1 {inside}, i64 {value}, i64 {words[word]}")
                words[word] = f"{own}.{word}{number}"
        return Root(words["base"], words["size"], words["root"], words["shadow"])

    def _safe(self, own: str, access: Access, root: Root) -> str:
        """LLVM IR that makes a pointer that may be used, and tells of one that may not."""
        where = f"i64 {own}.offset, i64 {access.size}, i64 {root.number}, i64 {access.kind}"
        return (
            f"  {own}.safe = call {access.pointer_type} @smelt.at(ptr %smelt.state, {access.pointer_type} {access.pointer}, "
            f"i1 {own}.is_clear, {where})"
        )

    def _safe_size(self, before: list[str], clear: Sequence[str], line: str) -> str:
        """What can't be copied whole is not copied."""
        together = clear[0]
        if len(clear) > 1:
            together = f"{clear[0]}.both"
            before.append(f"  {together} = and i1 {clear[0]}, {clear[1]}")
        found = re.search(r"i64 ([^, ]+)(, i1 \w+)?\)[^()]*$", line)
        assert found is not None
        before.append(f"  {clear[0]}.size = select i1 {together}, i64 {found[1]}, i64 0")
        return f"{line[: found.start(1)]}{clear[0]}.size{line[found.end(1) :]}"


_ATTRIBUTES = (
    r"(?:(?:noundef|nonnull|align \d+|captures\([^)]*\)|nocapture|noalias|readonly|writeonly|dereferenceable\(\d+\)) )*"
)


def _with_pointer(line: str, access: Access, pointer: str) -> str:
    """An instruction with another pointer for an access."""
    kind, value = access.pointer_type, access.pointer
    pattern = rf"{re.escape(kind)} {_ATTRIBUTES}{re.escape(value)}(?=[, )]|$)"
    return re.sub(pattern, lambda _: f"{kind} {pointer}", line, count=1)
