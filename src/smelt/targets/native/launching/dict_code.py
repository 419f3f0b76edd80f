# SPDX-License-Identifier: Apache-2.0
"""Whether names in a dict have the values that they had, as LLVM IR, with no call of Python's C API for names that are where they were.

    i1 are_bound(values)                          `values` is that of a `smelt.caching.NamedValues`
    PyObject *look_up(dict, name, hash, place)    a borrowed reference; null if the name isn't bound

A dict has a table of its keys, which is replaced by another one when it is full. Where each name's entry is in the table is noted; as long
as the dict has a table of this size in this place, there is an entry there. If it is the name's still, with the value that is expected,
then that is the value of the name: a table has no two entries for one name. Otherwise the name is looked up, as CPython does it.

Names and keys are compared by address, as names of modules and classes are one object for one text. Where the hashes are equal and the
objects aren't, and for dicts whose keys are not all strings or that share their keys with others, the C API is asked.

Sources: CPython's Include/cpython/dictobject.h, Include/internal/pycore_dict.h and `unicodekeys_lookup_unicode` in Objects/dictobject.c,
which are the same for this in 3.11 to 3.14. None of it is promised, so it is held against real dicts (`is_as_expected`).
"""

from __future__ import annotations

import ctypes
from typing import Any

DICT_KEYS = 32
"""The keys of a dict, a table of its own."""

SHAPE = 4
"""Of a table, eight bytes: the upper half of a number of references, and what says how large it is and what the keys are, in which are:"""
SIZE_LOGARITHM, INDEX_BYTES_LOGARITHM, KIND = 8, 9, 10
"""A byte each: of how many slots there are, of how many bytes they are in all, and what the keys are."""
ONLY_STRINGS = 1
SLOTS = 32
"""In each slot the number of an entry, in as many bytes as the largest number needs, or a number below 0. The entries are behind the slots."""
EMPTY_SLOT = -1
ENTRY_BYTES, ENTRY_VALUE = 16, 8
"""Of an entry in a table whose keys are all strings; the key is first."""

STRING_HASH = 24
"""The hash of a string that is a key."""

PERTURB_SHIFT = 5
"""How many bits of the hash are used up by each further slot that is tried."""


def bound_text() -> str:
    """The LLVM IR of `are_bound` and `look_up`.

    A slot is loaded with what is behind it, up to eight bytes, which are there, and cut to its size: so there is one way for all sizes.
    """
    return f"""
declare ptr @PyDict_GetItemWithError(ptr, ptr)
declare void @PyErr_Clear()

define internal i1 @are_bound(ptr %values) {{
entry:
  %count = load i64, ptr %values
  %dict_at = getelementptr i64, ptr %values, i64 1
  %dict = load ptr, ptr %dict_at
  %noted_keys_at = getelementptr i64, ptr %values, i64 2
  %noted_keys = load ptr, ptr %noted_keys_at
  %noted_shape_at = getelementptr i64, ptr %values, i64 3
  %noted_shape = load i64, ptr %noted_shape_at
  %names = getelementptr i64, ptr %values, i64 4
  %keys_at = getelementptr i8, ptr %dict, i64 {DICT_KEYS}
  %keys = load ptr, ptr %keys_at
  %shape_at = getelementptr i8, ptr %keys, i64 {SHAPE}
  %shape = load i64, ptr %shape_at, align 4
  %is_there = icmp eq ptr %keys, %noted_keys
  %is_alike = icmp eq i64 %shape, %noted_shape
  %is_noted = and i1 %is_there, %is_alike
  br label %next
next:
  %number = phi i64 [ 0, %entry ], [ %following, %same ]
  %is_end = icmp eq i64 %number, %count
  br i1 %is_end, label %all_same, label %find
find:
  %name_at = getelementptr [4 x i64], ptr %names, i64 %number
  %name = load ptr, ptr %name_at
  %identity_place = getelementptr i64, ptr %name_at, i64 2
  %identity_at = load ptr, ptr %identity_place
  %expected = load ptr, ptr %identity_at
  %place = getelementptr i64, ptr %name_at, i64 3
  br i1 %is_noted, label %look, label %search
look:
  %offset = load i64, ptr %place
  %entry_here = getelementptr i8, ptr %keys, i64 %offset
  %key = load ptr, ptr %entry_here
  %value_at = getelementptr i8, ptr %entry_here, i64 {ENTRY_VALUE}
  %value = load ptr, ptr %value_at
  %is_key = icmp eq ptr %key, %name
  %is_value = icmp eq ptr %value, %expected
  %is_entry = and i1 %is_key, %is_value
  br i1 %is_entry, label %same, label %search
search:
  %hash_at = getelementptr i64, ptr %name_at, i64 1
  %hash = load i64, ptr %hash_at
  %found = call ptr @look_up(ptr %dict, ptr %name, i64 %hash, ptr %place)
  %is_same = icmp eq ptr %found, %expected
  br i1 %is_same, label %same, label %other
same:
  %following = add nuw i64 %number, 1
  br label %next
all_same:
  br i1 %is_noted, label %bound, label %look_again
look_again:
  %keys_now = load ptr, ptr %keys_at
  %is_quiet = icmp eq ptr %keys_now, %keys
  br i1 %is_quiet, label %note, label %other
note:
  store ptr %keys, ptr %noted_keys_at
  store i64 %shape, ptr %noted_shape_at
  br label %bound
bound:
  ret i1 true
other:
  ; Some places are of another table now.
  store ptr null, ptr %noted_keys_at
  ret i1 false
}}

define internal ptr @look_up(ptr %dict, ptr %name, i64 %hash, ptr %place) {{
entry:
  ; The number of references to the table is where no name is.
  store i64 0, ptr %place
  %keys_at = getelementptr i8, ptr %dict, i64 {DICT_KEYS}
  %keys = load ptr, ptr %keys_at
  %kind_at = getelementptr i8, ptr %keys, i64 {KIND}
  %kind = load i8, ptr %kind_at
  %is_known = icmp eq i8 %kind, {ONLY_STRINGS}
  br i1 %is_known, label %begin, label %ask
begin:
  %size_at = getelementptr i8, ptr %keys, i64 {SIZE_LOGARITHM}
  %short_size = load i8, ptr %size_at
  %size = zext i8 %short_size to i64
  %bytes_at = getelementptr i8, ptr %keys, i64 {INDEX_BYTES_LOGARITHM}
  %short_bytes = load i8, ptr %bytes_at
  %bytes = zext i8 %short_bytes to i64
  %slots = getelementptr i8, ptr %keys, i64 {SLOTS}
  %all_bytes = shl i64 1, %bytes
  %entries = getelementptr i8, ptr %slots, i64 %all_bytes
  %slot_bytes = sub i64 %bytes, %size
  %slot_bits = shl i64 8, %slot_bytes
  %surplus = sub i64 64, %slot_bits
  %slot_count = shl i64 1, %size
  %mask = sub i64 %slot_count, 1
  br label %try
try:
  %around = phi i64 [ %hash, %begin ], [ %further, %go_on ]
  %rest = phi i64 [ %hash, %begin ], [ %less, %go_on ]
  %number = and i64 %around, %mask
  %offset = shl i64 %number, %slot_bytes
  %slot = getelementptr i8, ptr %slots, i64 %offset
  %wide = load i64, ptr %slot, align 1
  %high = shl i64 %wide, %surplus
  %index = ashr i64 %high, %surplus
  %is_entry = icmp sge i64 %index, 0
  br i1 %is_entry, label %compare, label %no_entry
compare:
  %entry_offset = mul i64 %index, {ENTRY_BYTES}
  %found = getelementptr i8, ptr %entries, i64 %entry_offset
  %key = load ptr, ptr %found
  %is_name = icmp eq ptr %key, %name
  br i1 %is_name, label %bound, label %other
bound:
  %behind = ptrtoint ptr %found to i64
  %begin_of_table = ptrtoint ptr %keys to i64
  %offset_in_table = sub i64 %behind, %begin_of_table
  store i64 %offset_in_table, ptr %place
  %value_at = getelementptr i8, ptr %found, i64 {ENTRY_VALUE}
  %value = load ptr, ptr %value_at
  ret ptr %value
other:
  %key_hash_at = getelementptr i8, ptr %key, i64 {STRING_HASH}
  %key_hash = load i64, ptr %key_hash_at
  %may_be_equal = icmp eq i64 %key_hash, %hash
  br i1 %may_be_equal, label %ask, label %go_on
no_entry:
  %is_empty = icmp eq i64 %index, {EMPTY_SLOT}
  br i1 %is_empty, label %unbound, label %go_on
go_on:
  %less = lshr i64 %rest, {PERTURB_SHIFT}
  %fivefold = mul i64 %number, 5
  %perturbed = add i64 %fivefold, %less
  %further = add i64 %perturbed, 1
  br label %try
unbound:
  ret ptr null
ask:
  %answer = call ptr @PyDict_GetItemWithError(ptr %dict, ptr %name)
  %is_found = icmp ne ptr %answer, null
  br i1 %is_found, label %answered, label %forgive
forgive:
  ; A key that is no string may raise when it is compared.
  call void @PyErr_Clear()
  br label %answered
answered:
  ret ptr %answer
}}
"""


def is_as_expected() -> bool:
    """Whether the dicts and strings of this Python are laid out as the numbers here say."""
    if dict.__basicsize__ < DICT_KEYS + 8:
        return False
    few: dict[str, Any] = {f"name {number}": object() for number in range(5)}
    # More than one byte can number.
    many: dict[str, Any] = dict.fromkeys(map(str, range(200)), few)
    return all(_word(id(name) + STRING_HASH) == hash(name) % 2**64 for name in few) and all(map(_table_is, (few, many)))


def _table_is(mapping: dict[str, Any]) -> bool:
    table = _word(id(mapping) + DICT_KEYS)
    if table < _LEAST_ADDRESS:
        return False
    size, index_bytes, kind = (_byte(table + at) for at in (SIZE_LOGARITHM, INDEX_BYTES_LOGARITHM, KIND))
    others = _word(id({1: 1}) + DICT_KEYS)
    if kind != ONLY_STRINGS or _byte(others + KIND) == kind or index_bytes - size not in (0, 1) or size > 10:
        return False
    slot = (ctypes.c_int8, ctypes.c_int16)[index_bytes - size]
    slots = (slot * 2**size).from_address(table + SLOTS)
    numbers = sorted(number for number in slots if number != EMPTY_SLOT)
    entries = table + SLOTS + 2**index_bytes
    first, *_, last = mapping.items()
    return numbers == list(range(len(mapping))) and all(
        _word(entries + ENTRY_BYTES * number) == id(name)
        and _word(entries + ENTRY_BYTES * number + ENTRY_VALUE) == id(value)
        for number, (name, value) in ((0, first), (len(mapping) - 1, last))
    )


_LEAST_ADDRESS = 4096
"""No memory is below."""


def _byte(address: int) -> int:
    return ctypes.c_uint8.from_address(address).value


def _word(address: int) -> int:
    return ctypes.c_uint64.from_address(address).value
