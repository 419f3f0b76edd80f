# SPDX-License-Identifier: Apache-2.0
"""Functions and values that nothing uses are left out of a module, and nothing else is."""

from __future__ import annotations

import pytest

from smelt.lowering.llvm import module_of_text
from smelt.targets.metal.devices.software.unused import without_unused

pytestmark = pytest.mark.once

TEXT = """
@table = internal constant [2 x i64] [i64 1, i64 2]
define i64 @run(ptr %p, i64 %n) {
entry:
  %q = getelementptr i64, ptr %p, i64 1
  %unused = load i64, ptr %q
  %more = add i64 %unused, 1
  %r = call i64 @"a name"(i64 %n)
  %volatile = load volatile i64, ptr %p
  %atomic = load atomic i64, ptr %p monotonic, align 8
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %next = add i64 %i, %r
  %goes = icmp ult i64 %next, 9
  br i1 %goes, label %loop, label %done
done:
  ret i64 %next
}
define internal i64 @"a name"(
  i64 %n
) alwaysinline {
  %m = call i64 @called(i64 %n)
  ret i64 %m
}
define internal i64 @called(i64 %n) {
  ret i64 %n
}
define internal i64 @alone(i64 %n) {
  %m = call i64 @with_alone(i64 %n)
  ret i64 %m
}
define internal i64 @with_alone(i64 %n) {
  %m = call i64 @alone(i64 %n)
  ret i64 %m
}
define internal i64 @of_table(i64 %n) {
  ret i64 %n
}
@pointer = internal constant ptr @of_table
"""


def test_functions_that_only_call_each_other_are_left_out_and_those_that_are_reached_stay():
    module = module_of_text(without_unused(TEXT))
    module.verify()
    assert {function.name for function in module.functions} == {"run", "a name", "called", "of_table"}
    assert {variable.name for variable in module.global_variables} == {"table", "pointer"}


def test_values_that_nobody_uses_are_left_out_with_what_they_were_computed_of():
    left = without_unused(TEXT)
    assert not any(f"{name} = " in left for name in ("%q", "%unused", "%more"))


def test_what_has_effects_or_goes_round_stays():
    left = without_unused(TEXT)
    assert all(f"{name} = " in left for name in ("%r", "%volatile", "%atomic", "%i", "%next", "%goes"))


def test_a_module_in_which_all_is_used_stays_as_it_is():
    used = without_unused(TEXT)
    assert without_unused(used) == used
