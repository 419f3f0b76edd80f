# SPDX-License-Identifier: Apache-2.0
"""Loops that go round a few times are unrolled where it takes little time, or is worth it since the kernel runs for long."""

from __future__ import annotations

import numpy as np
import pytest

import smelt

pytestmark = pytest.mark.once

# Each thread adds up four numbers, in memory of its own.
ROUNDS = """
  %p = getelementptr float, ptr addrspace(1) %x, i32 %i
  %own = alloca [4 x float], align 4
  br label %reads
reads:
  %n = phi i32 [ 0, %entry ], [ %n1, %reads ]
  %place = shl i32 %i, 2
  %at = add i32 %place, %n
  %q = getelementptr float, ptr addrspace(1) %y, i32 %at
  %v = load float, ptr addrspace(1) %q, align 4
  %o = getelementptr [4 x float], ptr %own, i32 0, i32 %n
  store float %v, ptr %o, align 4
  %n1 = add i32 %n, 1
  %goes = icmp ult i32 %n1, 4
  br i1 %goes, label %reads, label %adds
adds:
  %m = phi i32 [ 0, %reads ], [ %m1, %adds ]
  %sum = phi float [ 0.0, %reads ], [ %more, %adds ]
  %r = getelementptr [4 x float], ptr %own, i32 0, i32 %m
  %w = load float, ptr %r, align 4
  %more = fadd float %sum, %w
  %m1 = add i32 %m, 1
  %goes_on = icmp ult i32 %m1, 4
  br i1 %goes_on, label %adds, label %ends
ends:
"""
ALONE = f"""
define void @quarter(ptr addrspace(1) %x, ptr addrspace(1) %y, i32 %i) {{
entry:
{ROUNDS}
  store float %more, ptr addrspace(1) %p, align 4
  ret void
}}
"""
TOGETHER = f"""
declare float @air.simd_sum.f32(float) convergent
define void @quarter(ptr addrspace(1) %x, ptr addrspace(1) %y, i32 %i) {{
entry:
{ROUNDS}
  %all = call float @air.simd_sum.f32(float %more)
  store float %all, ptr addrspace(1) %p, align 4
  ret void
}}
"""


def function_of(air, text):
    arguments = [air.buffer(0, 0, "x"), air.buffer(1, 1, "y"), air.quantity(2, "thread_position_in_grid")]
    data = air.metallib((air.with_kernel(text, "quarter", arguments), "quarter"))
    return smelt.metal.library(data, device="metal:software").function("quarter")


def sums(function, threads):
    x, y = np.zeros(threads, np.float32), np.arange(4 * threads, dtype=np.float32)
    function({0: x, 1: y}, threads=threads, threads_per_threadgroup=32)
    return x.tolist(), y.reshape(-1, 4).sum(axis=1)


def test_threads_that_are_alone_have_no_loops_left(air):
    function = function_of(air, ALONE)
    found, expected = sums(function, 100)
    assert found == expected.tolist()
    assert not function.pipeline._compiled.results.has_loops


def test_threads_that_work_together_have_loops_until_they_have_run_for_long(air):
    function = function_of(air, TOGETHER)
    pipeline = function.pipeline
    for has_loops in (True, False):
        assert pipeline._compiled.results.has_loops is has_loops
        found, expected = sums(function, 64)
        assert found == [expected[:32].sum()] * 32 + [expected[32:].sum()] * 32
        pipeline.hasten()


def test_what_is_outside_is_told_alike_of_loops_and_of_what_is_left_of_them(air):
    function = function_of(air, TOGETHER)
    said = []
    for _ in range(2):
        with pytest.raises(smelt.metal.DeviceError) as caught:
            function({0: np.zeros(32, np.float32), 1: np.zeros(127, np.float32)}, threads=32)
        said.append(str(caught.value))
        function.pipeline.hasten()
    assert said[0] == said[1]
    assert said[0].endswith("the thread at (31, 0, 0) reads 4 bytes at offset 508 of buffer 1 (y), which has 508 bytes")
