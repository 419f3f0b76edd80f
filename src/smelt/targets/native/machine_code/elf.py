# SPDX-License-Identifier: Apache-2.0
"""Reading relocatable object files: ELF, 64 bits, little-endian, as LLVM writes them for x86-64 and AArch64.

Source of the format: System V Application Binary Interface, chapters 4 (object files) and its 64-bit layout ("ELF-64 Object File
Format", version 1.5). Nothing is trusted: every offset, size and index is held against the file before it is used.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from smelt.targets.native.errors import FlatError

X86_64 = 62
AARCH64 = 183
"""Machines, as in the field `e_machine`."""

PROGBITS, SYMTAB, STRTAB, RELA, NOBITS, REL, SYMTAB_SHNDX = 1, 2, 3, 4, 8, 9, 18
"""Types of sections, as in the field `sh_type`."""

WRITE, ALLOC, EXECUTE, TLS = 0x1, 0x2, 0x4, 0x400
"""Flags of sections, as in the field `sh_flags`."""

UNDEFINED = 0
_FIRST_RESERVED, _ABSOLUTE = 0xFF00, 0xFFF1
_LOCAL, _GLOBAL, _WEAK = 0, 1, 2
_NOTYPE, _OBJECT, _FUNCTION, _SECTION, _FILE = 0, 1, 2, 3, 4

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION_HEADER = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QQq")

_IDENTIFICATION = b"\x7fELF\x02\x01\x01"
_RELOCATABLE = 1


class Section(NamedTuple):
    """A section: its contents are empty where the file holds none, and `size` counts bytes."""

    name: str
    type: int
    flags: int
    alignment: int
    size: int
    contents: bytes


class Symbol(NamedTuple):
    """A symbol: `value` is an offset in the section with the index `section`, which is `UNDEFINED` if it stands elsewhere; `size` counts
    bytes.
    """

    name: str
    section: int
    value: int
    size: int
    is_exported: bool


class Relocation(NamedTuple):
    """At `offset` of the section with the index `section` the value of a symbol is wanted, in the way that `type` says."""

    section: int
    offset: int
    type: int
    symbol: Symbol
    addend: int


class ObjectFile(NamedTuple):
    """What an object file holds. The sections stand in their order in the file, the first of them empty."""

    machine: int
    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]
    relocations: tuple[Relocation, ...]


def read_object(data: bytes) -> ObjectFile:
    """Read an object file. Raises `FlatError` if it isn't one, or not whole."""
    return _Reader(data).read()


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._headers: list[tuple[int, ...]] = []
        self._sections: list[Section] = []

    def read(self) -> ObjectFile:
        header = _HEADER.unpack(self._part(0, _HEADER.size, "the header"))
        identification, kind, machine, _, _, _, sections_offset, _, _, _, _, size, count, names = header
        if not identification.startswith(_IDENTIFICATION):
            raise FlatError("this is no ELF file of 64 bits, little-endian")
        if kind != _RELOCATABLE:
            raise FlatError(f"this ELF file is of kind {kind}, not a relocatable object file")
        if machine not in (X86_64, AARCH64):
            raise FlatError(
                f"this object file is for machine {machine}, neither x86-64 ({X86_64}) nor AArch64 ({AARCH64})"
            )
        if size != _SECTION_HEADER.size or not count:
            raise FlatError(f"this object file has {count} section headers of {size} bytes")
        table = self._part(sections_offset, size * count, "the section headers")
        self._headers = list(_SECTION_HEADER.iter_unpack(table))
        self._read_sections(names)
        symbols = self._symbols()
        return ObjectFile(machine, tuple(self._sections), symbols, self._relocations(symbols))

    def _part(self, offset: int, size: int, what: str) -> bytes:
        if offset + size > len(self._data):
            raise FlatError(
                f"{what} of an object file ends behind the file's end: {offset} + {size} > {len(self._data)}"
            )
        return self._data[offset : offset + size]

    def _read_sections(self, names: int) -> None:
        if names >= len(self._headers) or self._headers[names][1] != STRTAB:
            raise FlatError("this object file has no names of sections")
        texts = self._part(self._headers[names][4], self._headers[names][5], "the section with the names of sections")
        for name, kind, flags, _, offset, size, _, _, alignment, _ in self._headers:
            shown = _text(texts, name)
            if alignment & (alignment - 1):
                raise FlatError(f"section {shown} is aligned to {alignment}, which is no power of two")
            is_empty = kind in (0, NOBITS)
            contents = b"" if is_empty else self._part(offset, size, f"section {shown}")
            self._sections.append(Section(shown, kind, flags, max(alignment, 1), size, contents))

    def _only(self, kind: int) -> int | None:
        """The index of the one section of a type, if there is one."""
        found = [number for number, section in enumerate(self._sections) if section.type == kind]
        if len(found) > 1:
            raise FlatError(f"this object file has {len(found)} sections of type {kind}, not one")
        return found[0] if found else None

    def _symbols(self) -> tuple[Symbol, ...]:
        if self._only(SYMTAB_SHNDX) is not None:
            raise FlatError("this object file has more sections than a symbol's 16 bits can number")
        number = self._only(SYMTAB)
        if number is None:
            return ()
        link = self._headers[number][6]
        if link >= len(self._sections) or self._sections[link].type != STRTAB:
            raise FlatError("the symbols of this object file have no names")
        names = self._sections[link].contents
        return tuple(self._symbol(fields, names) for fields in _records(_SYMBOL, self._sections[number]))

    def _symbol(self, fields: tuple[int, ...], names: bytes) -> Symbol:
        name_offset, info, visibility, section, value, size = fields
        binding, kind = info >> 4, info & 15
        name = _text(names, name_offset)
        if kind == _SECTION and section < len(self._sections):
            name = self._sections[section].name
        if kind == _FILE:
            # Its name is that of a source file, and nothing refers to it.
            return Symbol(name, UNDEFINED, 0, 0, is_exported=False)
        if binding not in (_LOCAL, _GLOBAL, _WEAK) or kind not in (_NOTYPE, _OBJECT, _FUNCTION, _SECTION):
            raise FlatError(f"symbol {name} has binding {binding} and type {kind}, which flat code doesn't have")
        if section >= _FIRST_RESERVED:
            what = "an absolute address" if section == _ABSOLUTE else f"in the reserved section {section:#x}"
            raise FlatError(f"symbol {name} is {what}, which flat code doesn't have")
        if section >= len(self._sections):
            raise FlatError(f"symbol {name} is in section {section}; there are {len(self._sections)}")
        if section != UNDEFINED and value > self._sections[section].size:
            raise FlatError(f"symbol {name} is behind the end of section {self._sections[section].name}")
        # Of the visibilities, only the default one lets others see a symbol.
        return Symbol(
            name, section, value, size, is_exported=binding != _LOCAL and not visibility & 3 and section != UNDEFINED
        )

    def _relocations(self, symbols: tuple[Symbol, ...]) -> tuple[Relocation, ...]:
        found = []
        for section, header in zip(self._sections, self._headers, strict=True):
            if section.type == REL:
                raise FlatError(f"{section.name} has relocations without addends, which x86-64 and AArch64 don't use")
            if section.type != RELA:
                continue
            place = header[7]
            if place >= len(self._sections):
                raise FlatError(f"{section.name} is about section {place}; there are {len(self._sections)}")
            for offset, info, addend in _records(_RELOCATION, section):
                number = info >> 32
                if number >= len(symbols):
                    raise FlatError(f"{section.name} refers to symbol {number}; there are {len(symbols)}")
                found.append(Relocation(place, offset, info & 0xFFFFFFFF, symbols[number], addend))
        return tuple(found)


def _records(record: struct.Struct, section: Section) -> list[tuple[int, ...]]:
    if section.size % record.size:
        raise FlatError(f"section {section.name} is not made of entries of {record.size} bytes: it has {section.size}")
    return list(record.iter_unpack(section.contents))


def _text(texts: bytes, offset: int) -> str:
    end = texts.find(b"\0", offset)
    if end < 0:
        raise FlatError(f"a name of this object file has no end: it begins at {offset} of {len(texts)} bytes")
    try:
        return texts[offset:end].decode("ascii")
    except UnicodeDecodeError:
        raise FlatError(f"a name of this object file isn't ASCII: {texts[offset:end]!r}") from None
