# SPDX-License-Identifier: Apache-2.0
"""Atomic operations that Metal has not, in LLVM IR: made of the one that writes a number if another one is there.

Metal has add and sub of float32 on memory of the device only, and no least and greatest of it. Its compare-exchange gives what was there
in memory, as C++'s does. What was found there decides whether a number was written: numbers are compared as bits, so that NaN is one.
"""

from __future__ import annotations

_COMPARE_EXCHANGE = """
declare i32 @air.atomic.{space}.cmpxchg.weak.i32({pointer}, ptr, i32, i32, i32, i32, i1)

define internal i32 @{name}({pointer} %place, i32 %expected, i32 %value) alwaysinline nounwind {{
  %found_place = alloca i32, align 4
  store i32 %expected, ptr %found_place, align 4
  %ignored = call i32 @air.atomic.{space}.cmpxchg.weak.i32({pointer} %place, ptr %found_place, i32 %value, i32 0, i32 0, i32 {scope}, i1 true)
  %found = load i32, ptr %found_place, align 4
  ret i32 %found
}}
"""

_LOOP = """
declare i32 @air.atomic.{{space}}.cmpxchg.weak.i32({{pointer}}, ptr, i32, i32, i32, i32, i1)
declare i32 @air.atomic.{{space}}.load.i32({{pointer}}, i32, i32, i1)

define internal float @{{name}}({{pointer}} %place, float %given) alwaysinline nounwind {{{{
entry:
  %found_place = alloca i32, align 4
  %first = call i32 @air.atomic.{{space}}.load.i32({{pointer}} %place, i32 0, i32 {{scope}}, i1 true)
  br label %again
again:
  %bits = phi i32 [ %first, %entry ], [ %found, %again ]
  %old = bitcast i32 %bits to float
  {new}
  %new_bits = bitcast float %new to i32
  store i32 %bits, ptr %found_place, align 4
  %ignored = call i32 @air.atomic.{{space}}.cmpxchg.weak.i32({{pointer}} %place, ptr %found_place, i32 %new_bits, i32 0, i32 0, i32 {{scope}}, i1 true)
  %found = load i32, ptr %found_place, align 4
  %is_written = icmp eq i32 %found, %bits
  br i1 %is_written, label %done, label %again
done:
  ret float %old
}}}}
"""

# Of a number and NaN the number, as on the processor.
_EXTREME = """\
%is_better = fcmp {order} float %given, %old
  %is_nan = fcmp uno float %old, %old
  %is_taken = or i1 %is_better, %is_nan
  %new = select i1 %is_taken, float %given, float %old"""

ATOMICS = {
    "compare_exchange": _COMPARE_EXCHANGE,
    "add": _LOOP.format(new="%new = fadd float %old, %given"),
    "sub": _LOOP.format(new="%new = fsub float %old, %given"),
    "min": _LOOP.format(new=_EXTREME.format(order="olt")),
    "max": _LOOP.format(new=_EXTREME.format(order="ogt")),
}
"""Definitions by the operation: `name` is that of the function, `space` and `pointer` say which memory, `scope` which threads see it."""
