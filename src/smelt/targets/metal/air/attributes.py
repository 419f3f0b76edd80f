# SPDX-License-Identifier: Apache-2.0
"""Attributes of functions and parameters in the words of LLVM 14.

What memory a function touches is one attribute with a number today, and was one of several; what captures a pointer likewise. Those
that LLVM 14 doesn't know are left out: none changes what code does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from smelt.targets.metal.air.bitstream import Record
from smelt.targets.metal.air.codes import AttributeKind as Kind
from smelt.targets.metal.air.program import DowngradeError

# How an attribute is written: its kind; that and a number; one or two texts; a kind and perhaps a type; a range; several.
_ENUM, _NUMBER = 0, 1
_TEXT, _TEXT_AND_VALUE = 3, 4
_TYPE_LEFT_OUT, _TYPE = 5, 6
_RANGE, _RANGES = 7, 8

# Attributes of a parameter that say what it points to: byval, sret, inalloca, preallocated, byref.
_POINTEES = (3, 29, 38, 65, 69)

# What each location of memory may be: two bits for each. The locations of LLVM 20 and of later releases.
_READS, _WRITES = 1, 2
_ARGUMENTS, _INACCESSIBLE = 0, 1
_MOST_LOCATIONS = 8


def attributes_of_14(group: Record, type_number: Callable[[int], int]) -> Record:
    """A record of a group of attributes as LLVM 14 writes it. `type_number` gives the new number of a type."""
    written = group.operands[:2]
    for form, parts in _attributes(group):
        if form in (_TEXT, _TEXT_AND_VALUE):
            written += [form, *parts]
        elif form == _NUMBER:
            written += _of_number(parts[0], parts[1])
        elif form in (_ENUM, _TYPE_LEFT_OUT, _TYPE) and parts[0] <= Kind.LAST_OF_14:
            written += [form, parts[0], *map(type_number, parts[1:])]
    return Record(group.code, written)


def pointees(groups: list[Record], entry: Record) -> dict[int, int]:
    """The numbers of the types that a list of attributes says parameters point to, by the number of the parameter."""
    return {
        group.operands[1] - 1: parts[1]
        for group in groups
        if group.operands[0] in entry.operands
        for form, parts in _attributes(group)
        if form == _TYPE and parts[0] in _POINTEES
    }


def _attributes(group: Record) -> Iterator[tuple[int, list[int]]]:
    """The attributes of a group, each as its form and what follows that."""
    rest = group.operands[2:]
    while rest:
        form = rest[0]
        if form not in _SIZES:
            raise DowngradeError(f"the module has an attribute in a form ({form}) that is not known")
        size = _SIZES[form](rest)
        yield form, rest[1:size]
        rest = rest[size:]


def _size_of_texts(count: int) -> Callable[[list[int]], int]:
    def size(rest: list[int]) -> int:
        end = 1
        for _ in range(count):
            end = rest.index(0, end) + 1
        return end

    return size


def _size_of_ranges(rest: list[int]) -> int:
    """A kind, how many if there may be several, the width of their numbers, and two numbers for each."""
    at = 2
    count = 1
    if rest[0] == _RANGES:
        count = rest[at]
        at += 1
    is_wide = rest[at] > _WORD_BITS
    at += 1
    for _ in range(count):
        # Of wide numbers the counts of their words come first, both in one.
        at += 1 + (rest[at] & 0xFFFFFFFF) + (rest[at] >> 32) if is_wide else 2
    return at


_WORD_BITS = 64

# How many numbers an attribute takes, by its form.
_SIZES: dict[int, Callable[[list[int]], int]] = {
    _ENUM: lambda _: 2,
    _NUMBER: lambda _: 3,
    _TEXT: _size_of_texts(1),
    _TEXT_AND_VALUE: _size_of_texts(2),
    _TYPE_LEFT_OUT: lambda _: 2,
    _TYPE: lambda _: 3,
    _RANGE: _size_of_ranges,
    _RANGES: _size_of_ranges,
}


def _of_number(kind: int, value: int) -> list[int]:
    if kind == Kind.MEMORY:
        return [part for known in _memory(value) for part in (_ENUM, int(known))]
    if kind == Kind.CAPTURES:
        return [_ENUM, int(Kind.NO_CAPTURE)] if value == 0 else []
    if kind == Kind.UW_TABLE:
        return [_ENUM, kind]
    return [_NUMBER, kind, value] if kind <= Kind.LAST_OF_14 else []


def _memory(value: int) -> list[Kind]:
    touched = {place: value >> 2 * place & 3 for place in range(_MOST_LOCATIONS) if value >> 2 * place & 3}
    if not touched:
        return [Kind.READ_NONE]
    found = []
    if touched.keys() == {_ARGUMENTS}:
        found.append(Kind.ARGMEMONLY)
    elif touched.keys() == {_INACCESSIBLE}:
        found.append(Kind.INACCESSIBLEMEM_ONLY)
    elif touched.keys() == {_ARGUMENTS, _INACCESSIBLE}:
        found.append(Kind.INACCESSIBLEMEM_OR_ARGMEMONLY)
    if not any(how & _WRITES for how in touched.values()):
        found.append(Kind.READ_ONLY)
    elif not any(how & _READS for how in touched.values()):
        found.append(Kind.WRITEONLY)
    return found
