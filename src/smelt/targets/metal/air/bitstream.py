# SPDX-License-Identifier: Apache-2.0
"""LLVM's bitstream container: blocks of records, of which numbers are written in as few bits as they need.

Source: "LLVM Bitcode File Format", https://llvm.org/docs/BitCodeFormat.html. Records are written without abbreviations, but for those
with a blob, which need one: what is read by machines only gains little by the others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

MAGIC = b"BC\xc0\xde"

_END_BLOCK, _ENTER_SUBBLOCK, _DEFINE_ABBREVIATION, _UNABBREVIATED = range(4)
_BLOCKINFO, _SETBID = 0, 1
_FIXED, _VBR, _ARRAY, _CHAR6, _BLOB = 1, 2, 3, 4, 5
_CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._"

_MOST_DEPTH = 64
_MOST_BITS = 64


class BitstreamError(ValueError):
    """Bytes that are no bitstream."""


@dataclass(slots=True)
class Record:
    """A code and its operands, each an integer of up to 64 bits; the bytes of a blob last, if it has one."""

    code: int
    operands: list[int]
    blob: bytes | None = None


@dataclass(slots=True)
class Block:
    """A block: records and blocks, in order."""

    number: int
    items: list[Record | Block] = field(default_factory=list)

    def records(self, code: int | None = None) -> list[Record]:
        """Its own records, of one code if that is given."""
        return [item for item in self.items if isinstance(item, Record) and code in (None, item.code)]

    def blocks(self, number: int) -> list[Block]:
        """The blocks of that number that stand in it."""
        return [item for item in self.items if isinstance(item, Block) and item.number == number]


# An abbreviation is a list of operands, each a literal number or a pair of an encoding and its width.
_Operand = int | tuple[int, int]
_Abbreviation = list[_Operand]


def read_bitstream(data: bytes, without: Collection[int] = ()) -> list[Block]:
    """The blocks at the top of a bitstream, wrapped or not; those of the numbers `without` are left out, unread. Raises `BitstreamError`."""
    if data[:4] == b"\xde\xc0\x17\x0b":
        offset, size = int.from_bytes(data[8:12], "little"), int.from_bytes(data[12:16], "little")
        data = data[offset : offset + size]
    if data[:4] != MAGIC:
        raise BitstreamError("this is no LLVM bitcode: it does not begin with 'BC' 0xC0DE")
    return _Reader(data, without).top()


class _Reader:
    def __init__(self, data: bytes, without: Collection[int] = ()) -> None:
        self._data = data
        self._without = without
        self._position = 32
        self._end = len(data) * 8
        self._known: dict[int, list[_Abbreviation]] = {}

    def top(self) -> list[Block]:
        blocks: list[Block] = []
        while self._position + 32 <= self._end:
            if self._fixed(2) != _ENTER_SUBBLOCK:
                raise BitstreamError("something else than a block stands at the top of the bitcode")
            self._add_block(blocks, 0)
        return blocks

    def _fixed(self, width: int) -> int:
        if self._position + width > self._end:
            raise BitstreamError("the bitcode ends in the middle of a record")
        first = self._position >> 3
        last = (self._position + width + 7) >> 3
        bits = int.from_bytes(self._data[first:last], "little") >> (self._position & 7)
        self._position += width
        return bits & ((1 << width) - 1)

    def _vbr(self, width: int) -> int:
        more = 1 << (width - 1)
        value = self._fixed(width)
        if value < more:
            return value
        value, shift = value - more, width - 1
        while True:
            part = self._fixed(width)
            value |= (part & (more - 1)) << shift
            if part < more:
                return value
            shift += width - 1
            if shift > 64:
                raise BitstreamError("a number has more than 64 bits")

    def _align(self) -> None:
        self._position = (self._position + 31) & ~31

    def _add_block(self, blocks: list[Any], depth: int) -> None:
        """Add the block that begins here, unless it is one of those that are left out."""
        number, width = self._vbr(8), self._vbr(4)
        self._align()
        size = self._fixed(32)
        if number not in self._without:
            blocks.append(self._block(number, width, depth))
            return
        self._position += 32 * self._checked(size)

    def _block(self, number: int, width: int, depth: int) -> Block:
        if depth > _MOST_DEPTH:
            raise BitstreamError("blocks are nested too deeply")
        block = Block(number)
        abbreviations = list(self._known.get(number, []))
        described: int | None = None
        while True:
            kind = self._fixed(width)
            if kind == _END_BLOCK:
                self._align()
                return block
            if kind == _ENTER_SUBBLOCK:
                self._add_block(block.items, depth + 1)
            elif kind == _DEFINE_ABBREVIATION:
                abbreviation = self._abbreviation()
                if number != _BLOCKINFO:
                    abbreviations.append(abbreviation)
                elif described is not None:
                    self._known.setdefault(described, []).append(abbreviation)
            else:
                record = self._record(kind, abbreviations)
                if number == _BLOCKINFO and record.code == _SETBID:
                    described = record.operands[0]
                block.items.append(record)

    def _abbreviation(self) -> _Abbreviation:
        operands: _Abbreviation = []
        for _ in range(self._vbr(5)):
            if self._fixed(1):
                operands.append(self._vbr(8))
                continue
            encoding = self._fixed(3)
            width = self._vbr(5) if encoding in (_FIXED, _VBR) else 0
            if width > _MOST_BITS:
                raise BitstreamError(f"an abbreviation has numbers of {width} bits")
            # Numbers of no bits are zeros.
            operands.append((encoding, width) if width or encoding not in (_FIXED, _VBR) else 0)
        return operands

    def _record(self, kind: int, abbreviations: list[_Abbreviation]) -> Record:
        if kind == _UNABBREVIATED:
            code, count = self._vbr(6), self._vbr(6)
            return Record(code, [self._vbr(6) for _ in range(self._checked(count))])
        if kind - 4 >= len(abbreviations):
            raise BitstreamError(f"there is no abbreviation {kind}")
        values: list[int] = []
        blob = None
        pending = iter(abbreviations[kind - 4])
        for operand in pending:
            if operand == (_ARRAY, 0):
                element = next(pending, 0)
                if isinstance(element, int):
                    # As many as one likes would take no room at all.
                    raise BitstreamError("an abbreviation has an array of nothing")
                values += [self._operand(element) for _ in range(self._checked(self._vbr(6)))]
            elif operand == (_BLOB, 0):
                blob = self._blob()
            else:
                values.append(self._operand(operand))
        if not values:
            raise BitstreamError("a record has no code")
        return Record(values[0], values[1:], blob)

    def _checked(self, count: int) -> int:
        if count > self._end - self._position:
            raise BitstreamError("a record claims more operands than there are bits")
        return count

    def _operand(self, operand: _Operand) -> int:
        if isinstance(operand, int):
            return operand
        encoding, width = operand
        if encoding == _FIXED:
            return self._fixed(width)
        if encoding == _VBR:
            return self._vbr(width)
        if encoding == _CHAR6:
            return ord(_CHARACTERS[self._fixed(6)])
        raise BitstreamError(f"an abbreviation has the encoding {encoding}")

    def _blob(self) -> bytes:
        size = self._checked(self._vbr(6))
        self._align()
        start = self._position >> 3
        self._position += size * 8
        if self._position > self._end:
            raise BitstreamError("a blob ends behind the bitcode")
        self._align()
        return self._data[start : start + size]


def read_lengths(data: bytes, count: int) -> list[int]:
    """So many numbers as they are packed in front of the texts of metadata."""
    reader = _Reader(bytes(4) + data)
    return [reader._vbr(6) for _ in range(count)]  # noqa: SLF001 - it is this module's own


def write_lengths(lengths: list[int]) -> bytes:
    """The bytes that `read_lengths` reads."""
    writer = _Writer()
    for length in lengths:
        writer._vbr(length, 6)  # noqa: SLF001 - it is this module's own
    return writer.finished()[len(MAGIC) :]


def write_bitstream(blocks: Iterable[Block]) -> bytes:
    """Blocks as bytes that `read_bitstream` gives back."""
    writer = _Writer()
    for block in blocks:
        writer.block(block, 2)
    return writer.finished()


class _Writer:
    """Bits are gathered in a number, which is emptied into bytes by 32."""

    def __init__(self) -> None:
        self._bytes = bytearray(MAGIC)
        self._bits = 0
        self._count = 0

    def finished(self) -> bytes:
        self._align()
        return bytes(self._bytes)

    def _fixed(self, value: int, width: int) -> None:
        self._bits |= value << self._count
        self._count += width
        while self._count >= 32:
            self._bytes += (self._bits & 0xFFFFFFFF).to_bytes(4, "little")
            self._bits >>= 32
            self._count -= 32

    def _vbr(self, value: int, width: int) -> None:
        more = 1 << (width - 1)
        while value >= more:
            self._fixed(value & (more - 1) | more, width)
            value >>= width - 1
        self._fixed(value, width)

    def _align(self) -> None:
        if self._count:
            self._fixed(0, 32 - self._count)

    _WIDTH = 4

    def block(self, block: Block, outer_width: int) -> None:
        self._fixed(_ENTER_SUBBLOCK, outer_width)
        self._vbr(block.number, 8)
        self._vbr(self._WIDTH, 4)
        self._align()
        start = len(self._bytes)
        self._bytes += bytes(4)
        # The abbreviation of records with a blob, by their code and the number of operands before it.
        abbreviations: dict[tuple[int, int], int] = {}
        for item in block.items:
            if isinstance(item, Block):
                self.block(item, self._WIDTH)
            elif item.blob is None:
                self._unabbreviated(item)
            else:
                self._with_blob(item, item.blob, abbreviations)
        self._fixed(_END_BLOCK, self._WIDTH)
        self._align()
        words = (len(self._bytes) - start - 4) // 4
        self._bytes[start : start + 4] = words.to_bytes(4, "little")

    def _unabbreviated(self, record: Record) -> None:
        self._fixed(_UNABBREVIATED, self._WIDTH)
        self._vbr(record.code, 6)
        self._vbr(len(record.operands), 6)
        for operand in record.operands:
            self._vbr(operand, 6)

    def _with_blob(self, record: Record, blob: bytes, abbreviations: dict[tuple[int, int], int]) -> None:
        key = (record.code, len(record.operands))
        if key not in abbreviations:
            abbreviations[key] = len(abbreviations) + 4
            self._fixed(_DEFINE_ABBREVIATION, self._WIDTH)
            self._vbr(2 + len(record.operands), 5)
            self._fixed(1, 1)
            self._vbr(record.code, 8)
            for _ in record.operands:
                self._fixed(0, 1)
                self._fixed(_VBR, 3)
                self._vbr(6, 5)
            self._fixed(0, 1)
            self._fixed(_BLOB, 3)
        self._fixed(abbreviations[key], self._WIDTH)
        for operand in record.operands:
            self._vbr(operand, 6)
        self._vbr(len(blob), 6)
        self._align()
        self._bytes += blob + bytes(-len(blob) % 4)
