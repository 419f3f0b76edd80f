# SPDX-License-Identifier: Apache-2.0
"""From an object file to flat code: what is left of linking when there is one file and nothing outside is near."""

from __future__ import annotations

from smelt.targets.native.errors import FlatError
from smelt.targets.native.machine_code.elf import (
    ALLOC,
    EXECUTE,
    NOBITS,
    PROGBITS,
    TLS,
    UNDEFINED,
    WRITE,
    ObjectFile,
    Relocation,
    Section,
    Symbol,
    read_object,
)
from smelt.targets.native.machine_code.flat import MOST_ALIGNMENT, WORD_BYTES, FlatCode
from smelt.targets.native.machine_code.machines import MACHINES, Kind, Wants

_UNWIND = 0x70000001
"""The type of `.eh_frame` on x86-64. It says how to unwind the stack, which nothing does: kernels raise nothing."""


def flatten(object_code: bytes) -> FlatCode:
    """Make an object file flat.

    Raises `FlatError` if it is malformed, and for what flat code doesn't have: data that can be written, thread-local data, addresses of
    what is outside as a constant in data, and relocations that nobody has met yet.
    """
    return _Flattening(read_object(object_code)).flat()


class _Flattening:
    def __init__(self, file: ObjectFile) -> None:
        self._file = file
        self._machine = MACHINES[file.machine]
        self._code = bytearray()
        self._places = self._laid_out()
        self._relocations = [
            (relocation, self._kind(relocation))
            for relocation in file.relocations
            if relocation.section in self._places
        ]
        wanted = [(relocation.symbol, kind.wants) for relocation, kind in self._relocations]
        outside = [(symbol.name, wants) for symbol, wants in wanted if symbol.section == UNDEFINED]
        self._symbols = tuple(sorted({name for name, _ in outside}))
        called = sorted({name for name, wants in outside if wants is Wants.CALL})
        self._jumps = {name: self._take(self._machine.jump_bytes, WORD_BYTES) for name in called}
        # Words for addresses in the blob, by what they point to: LLVM asks for them where it can't know what lies in the blob.
        held = sorted({self._inside(symbol) for symbol, wants in wanted if wants is Wants.WORD and symbol.section})
        self._words = {target: self._take(WORD_BYTES, WORD_BYTES) for target in held}
        self._take(0, WORD_BYTES)
        table = len(self._code)
        self._table = {name: table + WORD_BYTES * number for number, name in enumerate(self._symbols)}

    def flat(self) -> FlatCode:
        for name, place in self._jumps.items():
            jump = self._machine.jump(place, self._table[name])
            self._code[place : place + len(jump)] = jump
        pointers = {place: target for target, place in self._words.items()}
        for relocation, kind in self._relocations:
            place = self._place_of(relocation, kind)
            target = self._target(relocation, kind)
            kind.encode(self._code, place, target)
            if kind.wants is Wants.POINTER:
                pointers[place] = target
        entries = {symbol.name: self._inside(symbol) for symbol in self._file.symbols if symbol.is_exported}
        return FlatCode(
            self._machine.name,
            bytes(self._code),
            tuple(sorted(entries.items())),
            self._symbols,
            tuple(sorted(pointers.items())),
        )

    def _laid_out(self) -> dict[int, int]:
        """Where each section lies that becomes a part of the blob; code first."""
        parts = [number for number, section in enumerate(self._file.sections) if _is_part(section)]
        parts.sort(key=lambda number: not self._file.sections[number].flags & EXECUTE)
        places = {}
        for number in parts:
            section = self._file.sections[number]
            places[number] = place = self._take(section.size, section.alignment)
            self._code[place : place + section.size] = section.contents
        return places

    def _take(self, size: int, alignment: int) -> int:
        """Append so many bytes: their place."""
        place = -(-len(self._code) // alignment) * alignment
        self._code.extend(bytes(place + size - len(self._code)))
        return place

    def _kind(self, relocation: Relocation) -> Kind:
        kind = self._machine.kinds.get(relocation.type)
        if kind is None:
            raise FlatError(
                f"relocation {relocation.type} of {self._machine.name}, at {self._shown(relocation)}, is none that flat code has"
            )
        return kind

    def _shown(self, relocation: Relocation) -> str:
        section = self._file.sections[relocation.section]
        return f"{section.name}+{relocation.offset:#x} (of {relocation.symbol.name or 'no symbol'})"

    def _inside(self, symbol: Symbol) -> int:
        """Where a symbol lies in the blob."""
        if symbol.section not in self._places:
            section = self._file.sections[symbol.section]
            raise FlatError(f"symbol {symbol.name} is in section {section.name}, which is no part of flat code")
        return self._places[symbol.section] + symbol.value

    def _place_of(self, relocation: Relocation, kind: Kind) -> int:
        if relocation.offset + kind.size > self._file.sections[relocation.section].size:
            raise FlatError(f"{kind.name} at {self._shown(relocation)} is behind the section's end")
        return self._places[relocation.section] + relocation.offset

    def _target(self, relocation: Relocation, kind: Kind) -> int:
        symbol, addend = relocation.symbol, relocation.addend
        if symbol.section == UNDEFINED:
            if kind.wants is Wants.WORD or self._loads(relocation, kind):
                return self._table[symbol.name] + addend
            if kind.wants is Wants.CALL:
                return self._jumps[symbol.name] + addend
            raise FlatError(
                f"{kind.name} at {self._shown(relocation)}: what is outside has no address before it is loaded"
            )
        target = self._inside(symbol)
        if kind.wants is Wants.WORD:
            return self._words[target] + addend
        if kind.wants is Wants.POINTER and not 0 <= target + addend <= len(self._code):
            raise FlatError(f"{kind.name} at {self._shown(relocation)} points out of the blob")
        return target + addend

    def _loads(self, relocation: Relocation, kind: Kind) -> bool:
        """Whether an instruction that computes the address of what is outside could be made to load it. An address behind it could not."""
        in_code = self._file.sections[relocation.section].flags & EXECUTE
        place = self._place_of(relocation, kind)
        is_itself = relocation.addend == -kind.size
        may_load = bool(in_code) and kind.wants is Wants.ADDRESS and is_itself
        return may_load and self._machine.load_address(self._code, place)


def _is_part(section: Section) -> bool:
    """Whether a section becomes a part of the blob. Raises `FlatError` if it should, and can't."""
    if not section.flags & ALLOC or not section.size:
        return False
    if section.name == ".eh_frame" and section.type in (PROGBITS, _UNWIND):
        return False
    if section.type == NOBITS or section.flags & TLS or section.type != PROGBITS:
        what = (
            "thread-local"
            if section.flags & TLS
            else "zeroed"
            if section.type == NOBITS
            else f"of type {section.type:#x}"
        )
        raise FlatError(f"section {section.name} is {what}, which flat code doesn't have")
    # What is written by nobody but the linker may be there: it is settled before anything runs.
    if section.flags & WRITE and not section.name.startswith(".data.rel.ro"):
        raise FlatError(f"section {section.name} is data that can be written, which flat code doesn't have")
    if section.alignment > MOST_ALIGNMENT:
        raise FlatError(f"section {section.name} is aligned to {section.alignment}; the most is {MOST_ALIGNMENT}")
    return True
