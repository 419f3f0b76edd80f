# SPDX-License-Identifier: Apache-2.0
"""The function that runs threads of a row in strips, see `lowering.cutting.strips`: the longest first, then shorter ones in what is left."""

from __future__ import annotations

from smelt.lowering import LoweredModule


def strips_function(lowered: LoweredModule, begin: str, arguments: str) -> str:
    """The LLVM IR of `@run_strips`, given how what all threads have is loaded, and how the kernel's arguments are passed.

    It runs threads from `%from` on, and returns the position of the first that it doesn't run: fewer than a strip are left before `%to`.
    """
    parts, first, before = "", "%from", "entry"
    for place, strip in enumerate(lowered.strips):
        call = f"call {lowered.result_type} @{strip.name}({arguments}, i64 %first{place})"
        parts += _STRIPS.format(
            place=place, next=place + 1, first=first, before=before, threads=strip.threads, call=call
        )
        first, before = f"%first{place}", f"strips{place}"
    return _FUNCTION.format(begin=begin, parts=parts, last=len(lowered.strips), reached=first)


_STRIPS = """\
strips{place}:
  %first{place} = phi i64 [ {first}, %{before} ], [ %behind{place}, %strip{place} ]
  %behind{place} = add nsw i64 %first{place}, {threads}
  %has_strip{place} = icmp sle i64 %behind{place}, %to
  br i1 %has_strip{place}, label %strip{place}, label %strips{next}
strip{place}:
  ; Nothing in a strip can fail.
  %ignored{place} = {call}
  br label %strips{place}
"""

_FUNCTION = """
define internal i64 @run_strips(
  ptr noalias %launch, ptr noalias readonly %arguments, i64 %y, i64 %z, i64 %from, i64 %to
) noinline {{
entry:
{begin}
  store i64 %y, ptr %state_y, align 8
  store i64 %z, ptr %state_z, align 8
  br label %strips0
{parts}strips{last}:
  ret i64 {reached}
}}
"""
