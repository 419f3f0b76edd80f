# SPDX-License-Identifier: Apache-2.0
"""The check of a guard, as LLVM IR: in a launch, and as a builtin of its own.

    PyObject *is_current(self, arguments, count, names)     `self` is a `GuardRecord`; gives True or False

See `smelt.caching.guards` for what is compared.
"""

from __future__ import annotations

from smelt.targets.native.launching import object_layouts as layouts

IS_CURRENT = "is_current"


def guard_text() -> str:
    """The LLVM IR of `guard_holds`, and of the builtin."""
    return _GUARD + _is_current_text()


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


# The dict's state is read before its names are, so that whatever changes while they are looked up (a key may have a method `__eq__`)
# is found.
_GUARD = """
define internal i1 @guard_holds(ptr %guard, i64 %count) {
entry:
  br label %next
next:
  %number = phi i64 [ 0, %entry ], [ %following, %equal ]
  %is_end = icmp eq i64 %number, %count
  br i1 %is_end, label %holds, label %compare
compare:
  %triple = getelementptr [3 x ptr], ptr %guard, i64 %number
  %word_at = load ptr, ptr %triple
  %bindings_place = getelementptr ptr, ptr %triple, i64 2
  %bindings_at = load ptr, ptr %bindings_place
  %has_no_word = icmp eq ptr %word_at, null
  br i1 %has_no_word, label %walk, label %compare_word
compare_word:
  %expected_place = getelementptr ptr, ptr %triple, i64 1
  %expected_at = load ptr, ptr %expected_place
  %word = load i64, ptr %word_at
  %expected = load i64, ptr %expected_at
  %is_equal = icmp eq i64 %word, %expected
  br i1 %is_equal, label %equal, label %moved
equal:
  %following = add nuw i64 %number, 1
  br label %next
walk:
  %only_list = load ptr, ptr %bindings_at
  %is_unlisted = icmp eq ptr %only_list, null
  br i1 %is_unlisted, label %differs, label %walk_list
walk_list:
  %holds_still = call i1 @are_bound(ptr %only_list)
  br i1 %holds_still, label %equal, label %differs
moved:
  %has_none = icmp eq ptr %bindings_at, null
  br i1 %has_none, label %differs, label %find_list
find_list:
  %list = load ptr, ptr %bindings_at
  %has_no_list = icmp eq ptr %list, null
  br i1 %has_no_list, label %differs, label %look
look:
  %are_bound = call i1 @are_bound(ptr %list)
  %word_after = load i64, ptr %word_at
  %is_quiet = icmp eq i64 %word, %word_after
  %is_same = and i1 %are_bound, %is_quiet
  br i1 %is_same, label %settle, label %differs
settle:
  store i64 %word, ptr %expected_at
  br label %equal
holds:
  ret i1 true
differs:
  ret i1 false
}

define internal i1 @are_bound(ptr %list) {
entry:
  %count = load i64, ptr %list
  %dict_at = getelementptr i64, ptr %list, i64 1
  %dict = load ptr, ptr %dict_at
  %names = getelementptr i64, ptr %list, i64 2
  br label %next
next:
  %number = phi i64 [ 0, %entry ], [ %following, %same ]
  %is_end = icmp eq i64 %number, %count
  br i1 %is_end, label %bound, label %look
look:
  %name_at = getelementptr [2 x i64], ptr %names, i64 %number
  %name = load ptr, ptr %name_at
  %value_at = getelementptr i64, ptr %name_at, i64 1
  %value = load ptr, ptr %value_at
  %found = call ptr @PyDict_GetItemWithError(ptr %dict, ptr %name)
  %is_found = icmp ne ptr %found, null
  br i1 %is_found, label %compare, label %forgive
forgive:
  ; A key that is no string may raise when it is compared.
  call void @PyErr_Clear()
  br label %compare
compare:
  %is_same = icmp eq ptr %found, %value
  br i1 %is_same, label %same, label %other
same:
  %following = add nuw i64 %number, 1
  br label %next
bound:
  ret i1 true
other:
  ret i1 false
}
"""
