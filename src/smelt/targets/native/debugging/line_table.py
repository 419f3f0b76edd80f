# SPDX-License-Identifier: Apache-2.0
"""Reading the line table of an object file: which instruction comes from which line of the user's program.

Source: DWARF Debugging Information Format, version 4, chapter 6.2, of which LLVM's tables use all but the tables of several units.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from smelt.targets.native.errors import FlatError
from smelt.targets.native.machine_code.elf import ObjectFile

_SECTION = ".debug_line"
_VERSION = 4


class Line(NamedTuple):
    """From `offset` of the section with the code on, instructions come from this line; `is_end` if no code is there."""

    offset: int
    file: str
    line: int
    is_end: bool


def read_lines(file: ObjectFile, section: int) -> list[Line]:
    """The line table of the code in the section of that number. Empty if the file has none.

    Raises `FlatError` for a table that is not one of this version.
    """
    number = next((number for number, found in enumerate(file.sections) if found.name == _SECTION), None)
    if number is None:
        return []
    contents = bytearray(file.sections[number].contents)
    places = {}
    for relocation in file.relocations:
        # The address of the first instruction of a sequence is all that is left to the linker.
        if relocation.section == number:
            places[relocation.offset] = relocation.symbol.section
            struct.pack_into("<Q", contents, relocation.offset, relocation.symbol.value + relocation.addend)
    return _Program(bytes(contents), places, section).run()


class _Program:
    """The table as it is kept: a program for a small machine that has the columns of a row for its registers."""

    def __init__(self, contents: bytes, places: dict[int, int], section: int) -> None:
        self._contents = contents
        self._places = places
        self._section = section
        self._at = 0
        self._rows: list[Line] = []

    def run(self) -> list[Line]:
        length, version, header_bytes = self._fixed("<IHI")
        if version != _VERSION or length + 4 != len(self._contents):
            raise FlatError(f"this object file has a line table of version {version}, {length} bytes")
        begin = self._at + header_bytes
        self._unit_bytes, _, _, self._base, self._range, count = self._fixed("<BBBbBB")
        # How many operands each of the usual instructions has.
        self._operands = [0, *self._fixed(f"<{count - 1}B")]
        while self._text():
            # A directory: files are named with theirs here.
            pass
        self._files = [""]
        while name := self._text():
            self._files.append(name)
            for _ in range(3):
                self._unsigned()
        self._at = begin
        while self._at < len(self._contents):
            self._sequence()
        return self._rows

    def _sequence(self) -> None:
        """Run up to the end of a sequence of instructions that follow each other."""
        offset, number, line, is_here = 0, 1, 1, True
        while True:
            (operation,) = self._fixed("<B")
            if operation >= len(self._operands):
                step, forward = divmod(operation - len(self._operands), self._range)
                offset, line = offset + step * self._unit_bytes, line + self._base + forward
                self._row(offset, number, line, is_here)
            elif operation == 0:
                size = self._unsigned()
                end = self._at + size
                (extended,) = self._fixed("<B")
                if extended == 1:
                    self._row(offset, number, line, is_here, is_end=True)
                    self._at = end
                    return
                if extended == 2:
                    is_here = self._places.get(self._at, self._section) == self._section
                    (offset,) = self._fixed("<Q")
                self._at = end
            elif operation == 1:
                self._row(offset, number, line, is_here)
            elif operation == 2:
                offset += self._unsigned() * self._unit_bytes
            elif operation == 3:
                line += self._signed()
            elif operation == 4:
                number = self._unsigned()
            elif operation == 8:
                offset += (255 - len(self._operands)) // self._range * self._unit_bytes
            elif operation == 9:
                offset += self._fixed("<H")[0]
            else:
                # Columns, statements and blocks, which nobody asks for.
                for _ in range(self._operands[operation]):
                    self._unsigned()

    def _row(self, offset: int, number: int, line: int, is_here: bool, *, is_end: bool = False) -> None:
        if is_here:
            self._rows.append(Line(offset, self._files[number], line, is_end))

    def _fixed(self, form: str) -> tuple[int, ...]:
        try:
            values = struct.unpack_from(form, self._contents, self._at)
        except struct.error:
            raise FlatError("the line table of this object file ends too early") from None
        self._at += struct.calcsize(form)
        return values

    def _text(self) -> str:
        end = self._contents.find(b"\0", self._at)
        if end < 0:
            raise FlatError("a name in the line table of this object file has no end")
        text, self._at = self._contents[self._at : end].decode(), end + 1
        return text

    def _unsigned(self) -> int:
        value, shift, more = 0, 0, True
        while more:
            (byte,) = self._fixed("<B")
            value |= (byte & 0x7F) << shift
            shift, more = shift + 7, bool(byte & 0x80)
        return value

    def _signed(self) -> int:
        begin = self._at
        value = self._unsigned()
        bits = 7 * (self._at - begin)
        return value - (1 << bits) if value >> (bits - 1) else value
