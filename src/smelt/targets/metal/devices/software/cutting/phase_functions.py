# SPDX-License-Identifier: Apache-2.0
"""The functions of a kernel's phases, see `phases`, for one thread each.

In them `%smelt.number` is the number of the thread in its group, `%smelt.slots` the memory of all slots, each with room for `%smelt.most`
threads; `%smelt.old` is what is kept once for the group, as the phase finds it, and `%smelt.new` as it leaves it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from smelt.targets.metal.devices.software.artifacts import STOPPED
from smelt.targets.metal.devices.software.cooperation import RESULT, STOPPED_LABEL
from smelt.targets.metal.devices.software.cutting.control_flow import (
    NAME,
    Block,
    Blocks,
    defined,
    incoming,
    reached,
    used,
)
from smelt.targets.metal.devices.software.cutting.group_code import PhaseRun
from smelt.targets.metal.devices.software.cutting.phases import Plan, waiting_blocks

PARAMETERS = "i64 %smelt.number, ptr %smelt.slots, i64 %smelt.most, ptr %smelt.old, ptr %smelt.new"
"""What the function of a phase has beside the parameters of the kernel."""

_ACCESS = re.compile(r"  (?:%\S+ = load|store) (?!atomic|volatile)")
_EFFECT = re.compile(
    r"  (?:store|fence|(?:tail )?call void|%\S+ = (?:alloca|atomicrmw|cmpxchg|load (?:atomic|volatile)|.*call .*@smelt\.)) "
)


class PhaseWriter:
    """Writes the functions of the phases of a kernel.

    Parameters
    ----------
    blocks
        Its blocks, which it cuts up.
    note
        What is said of accesses to memory in which threads are independent.
    """

    def __init__(self, plan: Plan, blocks: Blocks, note: str) -> None:
        self.plan = plan
        self.note = note
        self.blocks = blocks
        self.places = waiting_blocks(blocks)
        self.repeated: dict[str, str] = {}
        self.own: list[str] = []
        for block in blocks.values():
            block.lines = [line for line in block.lines if not self._is_taken(line)]

    def _is_taken(self, line: str) -> bool:
        """Whether a line is one for the beginning of phases."""
        name = defined(line)
        if name is not None and name in self.plan.repeated:
            self.repeated[name] = line
            return True
        if " = alloca " in line:
            self.own.append(line)
            return True
        return "@llvm.lifetime." in line

    def labels(self, site: int) -> list[str]:
        """The blocks of the phase behind a place, in their order."""
        found = reached(self.blocks, self.plan.heads[site], without=self.places)
        return [label for label in self.blocks if label in found]

    def is_parallel(self, site: int) -> bool:
        """Whether the threads of a phase touch no memory that they use one after the other."""
        return site != 0 or not self.own

    def is_common(self, site: int) -> bool:
        """Whether all threads do the same in a phase, and only compute, so that one of them can do it for all."""
        blocks = [self.blocks[label] for label in self.labels(site)]
        lines = [line for block in blocks for line in (*block.phis, *block.lines)]
        slots = self.plan.slots
        keeps = any(name in slots and not slots[name].is_common for name in map(defined, lines))
        return not (site in self.plan.undecided or keeps or any(_EFFECT.match(line) for line in lines))

    def run(self, site: int) -> PhaseRun:
        """What is to know of a phase to run it."""
        blocks = [self.blocks[label] for label in self.labels(site)]
        ends = [
            self.places.get(block.label, 0) for block in blocks if block.label in self.places or not block.successors
        ]
        changed = {name for block in blocks for name in map(defined, block.instructions)}
        slots = [slot for name, slot in self.plan.slots.items() if slot.is_common and name in changed]
        return PhaseRun(sorted(set(ends)), slots, site in self.plan.undecided, self.is_common(site))

    def phase(self, site: int) -> list[str]:
        """The lines of the phase behind a place; they go on from the first block of a function."""
        return _Phase(self, site).lines


class _Phase:
    """Writes a phase."""

    def __init__(self, writer: PhaseWriter, site: int) -> None:
        self._writer = writer
        self._site = site
        self._note = writer.note if writer.is_parallel(site) else ""
        slots = writer.plan.slots
        head = writer.plan.heads[site]
        labels = writer.labels(site)
        self._inside = frozenset(labels)
        made = {defined(one) for label in labels for one in writer.blocks[label].instructions}
        self._made = [name for name in slots if name in made]
        self._given = writer.plan.needed.get(site, [])
        # What a phase finds and also makes anew is memory for LLVM, which finds out which of both is meant where.
        self._places = {name: f"%smelt.kept{slots[name].number}" for name in self._made if name in self._given}
        self._count = 0
        text = [line for label in labels for line in self._block(writer.blocks[label])]
        if any(STOPPED_LABEL in line for line in text):
            text += [f"{STOPPED_LABEL}:", *_returning(len(writer.plan.heads) - 1 + STOPPED)]
        self.lines = [*self._begins(text), f"  br label %{head}", *text]

    def _new(self) -> str:
        self._count += 1
        return f"%smelt.phase{self._count}"

    def _begins(self, text: Iterable[str]) -> list[str]:
        lines = list(self._writer.own) if self._site == 0 else []
        lines += self._repeated(text)
        for name in self._given:
            slot = self._writer.plan.slots[name]
            place = self._places.get(name)
            value = name if place is None else self._new()
            address = self._address(name, "old", lines)
            if slot.kind == slot.kept_kind:
                lines.append(f"  {value} = load {slot.kind}, ptr {address}{self._note}")
            else:
                wide = self._new()
                lines.append(f"  {wide} = load {slot.kept_kind}, ptr {address}{self._note}")
                lines.append(f"  {value} = trunc {slot.kept_kind} {wide} to {slot.kind}")
            if place is not None:
                lines += [f"  {place} = alloca {slot.kind}", f"  store {slot.kind} {value}, ptr {place}"]
        return lines

    def _repeated(self, text: Iterable[str]) -> list[str]:
        """What the lines of the phase need that is computed again."""
        repeated, arrays = self._writer.repeated, self._writer.plan.arrays
        needed: set[str] = set()
        todo = [name for line in text for name in NAME.findall(line) if name in repeated]
        while todo:
            name = todo.pop()
            if name not in needed:
                needed.add(name)
                todo += [other for other in used(repeated[name]) if other in repeated]
        lines: list[str] = []
        for name, line in repeated.items():
            if name in needed and name in arrays:
                offset, size = arrays[name]
                before, memory, skipped = self._new(), self._new(), self._new()
                lines += [
                    f"  {before} = mul i64 %smelt.most, {offset}",
                    f"  {memory} = getelementptr i8, ptr %smelt.slots, i64 {before}",
                    f"  {skipped} = mul i64 %smelt.number, {size}",
                    f"  {name} = getelementptr i8, ptr {memory}, i64 {skipped}",
                ]
            elif name in needed:
                lines.append(line)
        return lines

    def _address(self, name: str, which: str, lines: list[str]) -> str:
        """Where a value is kept."""
        slot = self._writer.plan.slots[name]
        address = self._new()
        if slot.is_common:
            lines.append(f"  {address} = getelementptr i8, ptr %smelt.{which}, i64 {slot.offset}")
        else:
            before, memory = self._new(), self._new()
            lines += [
                f"  {before} = mul i64 %smelt.most, {slot.offset}",
                f"  {memory} = getelementptr i8, ptr %smelt.slots, i64 {before}",
                f"  {address} = getelementptr {slot.kept_kind}, ptr {memory}, i64 %smelt.number",
            ]
        return address

    def _block(self, block: Block) -> list[str]:
        lines = [self._phi(phi, block.label) for phi in block.phis]
        for name in map(defined, block.phis):
            self._store_if_changed(name, lines)
        for line in block.lines:
            current = self._with_values(line, lines)
            lines.append(f"{current}{self._note}" if _ACCESS.match(line) else current)
            self._store_if_changed(defined(line), lines)
        return [f"{block.label}:", *lines, *self._end(block)]

    def _phi(self, phi: str, label: str) -> str:
        """A phi, of the values that come from inside of the phase."""
        ways = []
        for value, before in incoming(phi):
            if before in self._inside:
                given = self._handed(value, before, label) if value in self._places else value
                ways.append(f"[ {given}, %{before} ]")
        return f"{phi[: phi.index('[ ')]}{', '.join(ways)}"

    def _handed(self, value: str, before: str, label: str) -> str:
        """What a value is called that one block hands to another."""
        order = list(self._writer.blocks)
        return f"{self._places[value]}.{order.index(before)}.{order.index(label)}"

    def _store_if_changed(self, name: str | None, lines: list[str]) -> None:
        if name is not None and name in self._places:
            lines.append(f"  store {self._writer.plan.slots[name].kind} {name}, ptr {self._places[name]}")

    def _with_values(self, line: str, lines: list[str]) -> str:
        """An instruction with the values that are in memory as it stands there."""
        for name in dict.fromkeys(one for one in used(line) if one in self._places):
            value = self._loaded(name, lines)
            begin = len(line) - len(line.partition(" = ")[2]) if defined(line) is not None else 0
            line = line[:begin] + re.sub(rf"{re.escape(name)}(?![\w.$-])", value, line[begin:])
        return line

    def _loaded(self, name: str, lines: list[str], into: str | None = None) -> str:
        value = self._new() if into is None else into
        lines.append(f"  {value} = load {self._writer.plan.slots[name].kind}, ptr {self._places[name]}")
        return value

    def _end(self, block: Block) -> list[str]:
        lines: list[str] = []
        site = self._writer.places.get(block.label)
        if site is not None:
            self._keep(site, lines)
            return [*lines, *_returning(site)]
        for way in block.successors:
            handed = {
                value: None
                for phi in self._writer.blocks[way].phis
                for value, before in incoming(phi)
                if before == block.label and value in self._places
            }
            for value in handed:
                self._loaded(value, lines, self._handed(value, block.label, way))
        end = self._with_values("\n".join(block.end), lines)
        return [*lines, *end.split("\n")]

    def _keep(self, site: int, lines: list[str]) -> None:
        """Store what is needed behind a barrier and was made here."""
        for name in self._made:
            if name not in self._writer.plan.needed[site]:
                continue
            slot = self._writer.plan.slots[name]
            value = self._loaded(name, lines) if name in self._places else name
            if slot.kind != slot.kept_kind:
                wide = self._new()
                lines.append(f"  {wide} = zext {slot.kind} {value} to {slot.kept_kind}")
                value = wide
            address = self._address(name, "new", lines)
            lines.append(f"  store {slot.kept_kind} {value}, ptr {address}{'' if slot.is_common else self._note}")


def _returning(place: int) -> list[str]:
    """How the function of a phase tells where its thread came to."""
    return [f"  ret {RESULT} {{ i32 {place} }}"]
