# SPDX-License-Identifier: Apache-2.0
"""A dict watcher as LLVM IR, for CPython 3.12 and later: it calls back to Python only for names that are watched.

    int namespace_changed(event, dict, key, value)

Every store to a global of a watched module goes through it, so it has to decide in nanoseconds: it looks the dict and the name up in the
table of `smelt.caching.watched_names`, which describes it.
"""

from __future__ import annotations

from smelt.targets.native.launching import object_layouts as layouts

NAMESPACE_CHANGED = "namespace_changed"

TABLE = "smelt.watched_names"
"""The symbol of the table."""

_ADDED_MODIFIED_OR_DELETED, _DEALLOCATED = 2, 5
"""The events up to the first number have a key (enum PyDict_WatchEvent, Include/cpython/dictobject.h); the second means nothing here."""


def watcher_text(dict_factor: int, name_factor: int, index_shift: int, never_a_key: int) -> str:
    """The LLVM IR of `namespace_changed`. The numbers are those by which the table's keys are computed."""
    return f"""
@PyUnicode_Type = external global i8
@"{TABLE}" = external global i8
declare i64 @PyObject_Hash(ptr)

define i32 @{NAMESPACE_CHANGED}(i32 %event, ptr %dict, ptr %key, ptr %value) {{
entry:
  %has_key = icmp ule i32 %event, {_ADDED_MODIFIED_OR_DELETED}
  br i1 %has_key, label %check_key, label %without_key
without_key:
  %is_end = icmp eq i32 %event, {_DEALLOCATED}
  br i1 %is_end, label %unwatched, label %tell
check_key:
  %class_at = getelementptr i8, ptr %key, i64 {layouts.OBJECT_TYPE}
  %class = load ptr, ptr %class_at
  %is_string = icmp eq ptr %class, @PyUnicode_Type
  br i1 %is_string, label %begin, label %tell
begin:
  %hash = call i64 @PyObject_Hash(ptr %key)
  %dict_address = ptrtoint ptr %dict to i64
  %dict_part = mul i64 %dict_address, {_signed(dict_factor)}
  %name_part = mul i64 %hash, {_signed(name_factor)}
  %sum = add i64 %dict_part, %name_part
  %wanted = or i64 %sum, {never_a_key}
  %table = load ptr, ptr @"{TABLE}"
  %mask = load i64, ptr %table
  %slots = getelementptr i64, ptr %table, i64 1
  %first = lshr i64 %wanted, {index_shift}
  br label %look
look:
  %position = phi i64 [ %first, %begin ], [ %following, %other ]
  %index = and i64 %position, %mask
  %slot_at = getelementptr i64, ptr %slots, i64 %index
  %slot = load i64, ptr %slot_at
  %is_wanted = icmp eq i64 %slot, %wanted
  br i1 %is_wanted, label %tell, label %not_here
not_here:
  %is_free = icmp eq i64 %slot, 0
  br i1 %is_free, label %unwatched, label %other
other:
  %following = add i64 %position, 1
  br label %look
unwatched:
  ret i32 0
tell:
  %callback_at = getelementptr i8, ptr @"{TABLE}", i64 8
  %callback = load ptr, ptr %callback_at
  %answer = call i32 %callback(i32 %event, ptr %dict, ptr %key, ptr %value)
  ret i32 %answer
}}
"""


def _signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word
