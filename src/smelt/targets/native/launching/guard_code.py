# SPDX-License-Identifier: Apache-2.0
"""The check of a guard, as LLVM IR: in a launch, and as a builtin of its own.

    PyObject *is_current(self, arguments, count, names)     `self` is a `GuardRecord`; gives True or False

See `smelt.caching.guards` for what is compared.
"""

from __future__ import annotations

from smelt.targets.native.launching import object_layouts as layouts
from smelt.targets.native.launching.dict_code import bound_text

IS_CURRENT = "is_current"


def guard_text() -> str:
    """The LLVM IR of `guard_holds`, and of the builtin."""
    return bound_text() + _GUARD + _is_current_text()


def _is_current_text() -> str:
    return f"""
@_Py_TrueStruct = external global i8
@_Py_FalseStruct = external global i8

define ptr @{IS_CURRENT}(ptr %self, ptr %arguments, i64 %count, ptr %names) {{
  %record_at = getelementptr i8, ptr %self, i64 {layouts.CTYPES_MEMORY}
  %record = load ptr, ptr %record_at
  %guard = load ptr, ptr %record
  %words_at = getelementptr i8, ptr %record, i64 8
  %words = load i64, ptr %words_at
  %holds = call i1 @guard_holds(ptr %guard, i64 %words)
  %answer = select i1 %holds, ptr @_Py_TrueStruct, ptr @_Py_FalseStruct
  call void @Py_IncRef(ptr %answer)
  ret ptr %answer
}}
"""


# The word is read before the names are looked up, so that whatever changes meanwhile (a key may have a method `__eq__`) is found.
_GUARD = """
define internal i1 @guard_holds(ptr %guard, i64 %count) {
entry:
  br label %next
next:
  %number = phi i64 [ 0, %entry ], [ %following, %equal ]
  %is_end = icmp eq i64 %number, %count
  br i1 %is_end, label %holds, label %find_word
find_word:
  %triple = getelementptr [3 x ptr], ptr %guard, i64 %number
  %word_at = load ptr, ptr %triple
  %expected_place = getelementptr ptr, ptr %triple, i64 1
  %expected_at = load ptr, ptr %expected_place
  %has_no_word = icmp eq ptr %word_at, null
  br i1 %has_no_word, label %find_values, label %compare
compare:
  %here = load i64, ptr %word_at
  %expected = load i64, ptr %expected_at
  %is_equal = icmp eq i64 %here, %expected
  br i1 %is_equal, label %equal, label %find_values
equal:
  %following = add nuw i64 %number, 1
  br label %next
find_values:
  %word = phi i64 [ 0, %find_word ], [ %here, %compare ]
  %values_place = getelementptr ptr, ptr %triple, i64 2
  %values = load ptr, ptr %values_place
  %has_none = icmp eq ptr %values, null
  br i1 %has_none, label %differs, label %look
look:
  %are_bound = call i1 @are_bound(ptr %values)
  br i1 %are_bound, label %same, label %differs
same:
  br i1 %has_no_word, label %equal, label %compare_again
compare_again:
  %word_after = load i64, ptr %word_at
  %is_quiet = icmp eq i64 %word, %word_after
  br i1 %is_quiet, label %settle, label %differs
settle:
  store i64 %word, ptr %expected_at
  br label %equal
holds:
  ret i1 true
differs:
  ret i1 false
}
"""
