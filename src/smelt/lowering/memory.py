# SPDX-License-Identifier: Apache-2.0
"""Arrays in memory: addresses of elements, parts of arrays, and elements as rows of LLVM scalars.

Fields of records lie where their dtype says, which NumPy doesn't align by default: they are loaded and stored with an alignment of 1,
as are the elements of arrays whose type says that they may not be aligned.

`pointer` is the LLVM type of addresses in the memory that an array lies in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from smelt.lowering.layout import memory_type, register_type, row_types
from smelt.types import Array, Layout, Scalar, Struct, Type, part_type


class Writer(Protocol):
    """Where instructions are written."""

    def emit(self, instruction: str) -> str: ...
    def do(self, instruction: str) -> None: ...


class NotedAccess:
    """Writes accesses to memory with something behind them."""

    def __init__(self, writer: Writer, note: str) -> None:
        self._writer = writer
        self._note = note

    def emit(self, instruction: str) -> str:
        return self._writer.emit(instruction + self._note if instruction.startswith("load ") else instruction)

    def do(self, instruction: str) -> None:
        self._writer.do(instruction + self._note if instruction.startswith("store ") else instruction)


def element_address(writer: Writer, kind: Array, row: Sequence[str], places: Sequence[str], *, pointer: str) -> str:
    """The address of an element, given its indices counted from the start."""
    base, *extents = row
    if kind.layout is Layout.STRIDED:
        return _moved(writer, base, zip(places, strides(writer, kind, row), strict=True), pointer)
    if kind.layout is Layout.F:
        places, extents = places[::-1], extents[::-1]
    linear = places[0] if places else "0"
    for place, extent in zip(places[1:], extents[1:], strict=True):
        before = writer.emit(f"mul nsw i64 {linear}, {extent}")
        linear = writer.emit(f"add nsw i64 {before}, {place}")
    return writer.emit(f"getelementptr {_element_in_memory(kind.element)}, {pointer} {base}, i64 {linear}")


def strides(writer: Writer, kind: Array, row: Sequence[str]) -> list[str]:
    """How many bytes lie between neighbours on each axis."""
    dimensions = kind.dimensions
    if kind.layout is Layout.STRIDED:
        return list(row[1 + dimensions :])
    extents = row[1 : 1 + dimensions]
    axes = range(dimensions) if kind.layout is Layout.F else reversed(range(dimensions))
    found: dict[int, str] = {}
    step = str(element_size(kind.element))
    for number, axis in enumerate(axes):
        found[axis] = step
        if number < dimensions - 1:
            step = writer.emit(f"mul nsw i64 {step}, {extents[axis]}")
    return [found[axis] for axis in range(dimensions)]


def part(
    writer: Writer,
    kind: Array,
    row: Sequence[str],
    result: Array,
    axes: Sequence[str],
    operands: Sequence[str],
    *,
    pointer: str,
) -> list[str]:
    """The row of a part of an array; `axes` are the words of the operation `view`."""
    known = strides(writer, kind, row)
    given = iter(operands)
    axis = 0
    moves, extents, steps = [], [], []
    for word in axes:
        if word == "new":
            extents.append("1")
            steps.append("0")
            continue
        extent, stride = row[1 + axis], known[axis]
        axis += 1
        if word == "index":
            moves.append((next(given), stride))
        elif word == "slice":
            start, extent, step = next(given), next(given), next(given)
            moves.append((start, stride))
            extents.append(extent)
            # May overflow where the step is so great that there is one element.
            steps.append(writer.emit(f"mul i64 {stride}, {step}"))
        else:
            extents.append(extent)
            steps.append(stride)
    base = _moved(writer, row[0], moves, pointer)
    return [base, *extents, *(steps if result.layout is Layout.STRIDED else ())]


def permuted(writer: Writer, kind: Array, row: Sequence[str], result: Array, order: Sequence[int]) -> list[str]:
    """The row of an array with its axes in another order."""
    extents = [row[1 + axis] for axis in order]
    if result.layout is not Layout.STRIDED:
        return [row[0], *extents]
    known = strides(writer, kind, row)
    return [row[0], *extents, *(known[axis] for axis in order)]


def field(writer: Writer, kind: Array, row: Sequence[str], index: int, *, pointer: str) -> list[str]:
    """The row of the array of one field of an array of records."""
    assert isinstance(kind.element, Struct)
    base = writer.emit(f"getelementptr i8, {pointer} {row[0]}, i64 {kind.element.offsets[index]}")
    return [base, *row[1 : 1 + kind.dimensions], *strides(writer, kind, row)]


def load(writer: Writer, kind: Type, address: str, *, is_aligned: bool, pointer: str = "ptr") -> list[str]:
    """The row of the element at an address."""
    if isinstance(kind, Struct):
        return [
            name
            for (_, inner), offset in zip(kind.fields, kind.offsets, strict=True)
            for name in load(
                writer,
                inner,
                writer.emit(f"getelementptr i8, {pointer} {address}, i64 {offset}"),
                is_aligned=False,
                pointer=pointer,
            )
        ]
    assert isinstance(kind, Scalar)
    if kind.is_complex:
        one = part_type(kind)
        places = (address, writer.emit(f"getelementptr i8, {pointer} {address}, i64 {one.size}"))
        return [name for place in places for name in load(writer, one, place, is_aligned=is_aligned, pointer=pointer)]
    loaded = writer.emit(f"load {memory_type(kind)}, {pointer} {address}, align {kind.size if is_aligned else 1}")
    return [writer.emit(f"icmp ne i8 {loaded}, 0") if register_type(kind) == "i1" else loaded]


def store(
    writer: Writer, kind: Type, address: str, row: Sequence[str], *, is_aligned: bool, pointer: str = "ptr"
) -> None:
    """Store an element, given as its row. The padding of a record is left as it is."""
    if isinstance(kind, Struct):
        taken = 0
        for (_, inner), offset in zip(kind.fields, kind.offsets, strict=True):
            count = len(row_types(inner))
            place = writer.emit(f"getelementptr i8, {pointer} {address}, i64 {offset}")
            store(writer, inner, place, row[taken : taken + count], is_aligned=False, pointer=pointer)
            taken += count
        return
    assert isinstance(kind, Scalar)
    if kind.is_complex:
        one = part_type(kind)
        places = (address, writer.emit(f"getelementptr i8, {pointer} {address}, i64 {one.size}"))
        for place, name in zip(places, row, strict=True):
            store(writer, one, place, [name], is_aligned=is_aligned, pointer=pointer)
        return
    stored = writer.emit(f"zext i1 {row[0]} to i8") if register_type(kind) == "i1" else row[0]
    writer.do(f"store {memory_type(kind)} {stored}, {pointer} {address}, align {kind.size if is_aligned else 1}")


def element_size(kind: Type) -> int:
    """Bytes from one element of a contiguous array to the next."""
    assert isinstance(kind, (Scalar, Struct))
    return kind.size


def _element_in_memory(kind: Type) -> str:
    if isinstance(kind, Scalar) and not kind.is_complex:
        return memory_type(kind)
    return f"[{element_size(kind)} x i8]"


def _moved(writer: Writer, base: str, moves: Iterable[tuple[str, str]], pointer: str) -> str:
    """An address, moved by so many steps of so many bytes each."""
    offset = ""
    for count, stride in moves:
        bytes_ = writer.emit(f"mul nsw i64 {count}, {stride}")
        offset = writer.emit(f"add nsw i64 {offset}, {bytes_}") if offset else bytes_
    return writer.emit(f"getelementptr i8, {pointer} {base}, i64 {offset}") if offset else base
