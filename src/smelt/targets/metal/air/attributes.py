# SPDX-License-Identifier: Apache-2.0
"""Attributes of functions and parameters in the words of LLVM 14.

What memory a function touches is one attribute with a number today, and was one of several; what captures a pointer likewise. Those
that LLVM 14 doesn't know are left out: none changes what code does.
"""

from __future__ import annotations

from collections.abc import Callable

from smelt.targets.metal.air.bitstream import Record
from smelt.targets.metal.air.codes import AttributeKind as Kind
from smelt.targets.metal.air.program import DowngradeError

# How an attribute is written: its kind; that and a number; one or two texts; a kind and perhaps a type; a range; several.
_ENUM, _NUMBER = 0, 1
_TEXT, _TEXT_AND_VALUE = 3, 4
_TYPE_LEFT_OUT, _TYPE = 5, 6
_RANGE, _RANGES = 7, 8

# What each location of memory may be: two bits for each. The locations of LLVM 20 and of later releases.
_READS, _WRITES = 1, 2
_ARGUMENTS, _INACCESSIBLE = 0, 1
_MOST_LOCATIONS = 8


def attributes_of_14(group: Record, type_number: Callable[[int], int]) -> Record:
    """A record of a group of attributes as LLVM 14 writes it. `type_number` gives the new number of a type."""
    number, place, *rest = group.operands
    written = [number, place]
    while rest:
        form = rest.pop(0)
        if form == _ENUM:
            written += _of_kind(rest.pop(0))
        elif form == _NUMBER:
            kind, value = rest[:2]
            del rest[:2]
            written += _of_number(kind, value)
        elif form in (_TEXT, _TEXT_AND_VALUE):
            written += [form, *_texts(rest, 1 + (form == _TEXT_AND_VALUE))]
        elif form in (_TYPE_LEFT_OUT, _TYPE):
            kind = rest.pop(0)
            kept = [form, kind] if form == _TYPE_LEFT_OUT else [form, kind, type_number(rest.pop(0))]
            written += kept if kind <= Kind.LAST_OF_14 else []
        elif form in (_RANGE, _RANGES):
            _skip_ranges(rest, form)
        else:
            raise DowngradeError(f"the module has an attribute in a form ({form}) that is not known")
    return Record(group.code, written)


def _of_kind(kind: int) -> list[int]:
    return [_ENUM, kind] if kind <= Kind.LAST_OF_14 else []


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


def _texts(rest: list[int], count: int) -> list[int]:
    taken = []
    for _ in range(count):
        end = rest.index(0) + 1
        taken += rest[:end]
        del rest[:end]
    return taken


def _skip_ranges(rest: list[int], form: int) -> None:
    """Leave out a kind with one range of numbers, or with several."""
    del rest[0]
    count = rest.pop(0) if form == _RANGES else 1
    width = rest.pop(0)
    for _ in range(count):
        # Of wide numbers the numbers of words come first, both in one.
        words = 2 if width <= 64 else 1 + (rest[0] & 0xFFFFFFFF) + (rest[0] >> 32)
        del rest[:words]
