# SPDX-License-Identifier: Apache-2.0
"""Kernels of AIR that are cut where their threads wait: what they do is what they do as coroutines, which is how they run at first."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import smelt
from smelt.metal import Checks
from smelt.targets.metal.devices.software import pipeline

pytestmark = pytest.mark.once

BARRIER = "declare void @air.wg.barrier(i32, i32) convergent\n"
SHARED = "@shared = internal addrspace(3) global [64 x i32] undef, align 4\n"
WAIT = "call void @air.wg.barrier(i32 2, i32 1)"


def opened(air, text, name, arguments, **options):
    data = air.metallib((air.with_kernel(BARRIER + text, name, arguments), name))
    return smelt.metal.library(data, **options).function(name)


def both_ways(function, launch):
    """What `launch` returns, given the function as coroutines and then cut; it is the same."""
    assert function.pipeline.phases == 0
    first = launch(function)
    function.pipeline.hasten()
    second = launch(function)
    assert np.array_equal(first, second)
    return second


def index(air, number=1, what="thread_position_in_grid"):
    return air.quantity(number, what)


def run(function, count, group, *more):
    out = np.arange(count, dtype=np.int32)
    function({0: out, **dict(enumerate(more, 1))}, threads=count, threads_per_threadgroup=group)
    return out


ROTATE = f"""{SHARED}
define void @rotate(ptr addrspace(1) %x, i32 %i, i32 %inner, i32 %size) {{
entry:
  %p = getelementptr i32, ptr addrspace(1) %x, i32 %i
  %first = load i32, ptr addrspace(1) %p
  %own = getelementptr [64 x i32], ptr addrspace(3) @shared, i32 0, i32 %inner
  %next = add i32 %inner, 1
  %beside = urem i32 %next, %size
  %there = getelementptr [64 x i32], ptr addrspace(3) @shared, i32 0, i32 %beside
  br label %loop
loop:
  %n = phi i32 [ 0, %entry ], [ %m, %loop ]
  %v = phi i32 [ %first, %entry ], [ %w, %loop ]
  store i32 %v, ptr addrspace(3) %own
  {WAIT}
  %w = load i32, ptr addrspace(3) %there
  {WAIT}
  %m = add i32 %n, 1
  %more = icmp ult i32 %m, 59
  br i1 %more, label %loop, label %done
done:
  store i32 %w, ptr addrspace(1) %p
  ret void
}}
"""


def rotate(air, **options):
    arguments = [
        air.buffer(0, 0, "x", kind="int"),
        index(air),
        index(air, 2, "thread_index_in_threadgroup"),
        index(air, 3, "threads_per_threadgroup"),
    ]
    return opened(air, ROTATE, "rotate", arguments, **options)


@pytest.mark.parametrize("checks", [Checks(), Checks(bounds=False)], ids=["checked", "unchecked"])
def test_a_loop_with_barriers_over_groups_of_any_size(air, checks):
    function = rotate(air, checks=checks)

    def launch(function):
        # The last group is smaller; then there are groups of one thread.
        return np.concatenate([run(function, 150, 64), run(function, 3, 1)])

    groups = np.split(np.arange(150), [64, 128])
    expected = np.concatenate([*(np.roll(group, -59) for group in groups), np.arange(3)])
    assert (both_ways(function, launch) == expected).all()
    # One before the loop, one behind each barrier, one each for going round and for leaving.
    assert function.pipeline.phases == 5


def test_nested_loops_whose_rounds_are_given_at_launch(air):
    text = f"""{SHARED}
define void @nest(ptr addrspace(1) %x, ptr addrspace(2) %counts, i32 %i) {{
entry:
  %outer_count = load i32, ptr addrspace(2) %counts
  %q = getelementptr i32, ptr addrspace(2) %counts, i32 1
  %inner_count = load i32, ptr addrspace(2) %q
  %p = getelementptr i32, ptr addrspace(1) %x, i32 %i
  %own = getelementptr i32, ptr addrspace(3) @shared, i32 %i
  %beside = xor i32 %i, 5
  %there = getelementptr i32, ptr addrspace(3) @shared, i32 %beside
  br label %outer
outer:
  %a = phi i32 [ 0, %entry ], [ %a1, %joined ]
  %sum = phi i32 [ %i, %entry ], [ %t, %joined ]
  br label %inner
inner:
  %b = phi i32 [ 0, %outer ], [ %b1, %inner ]
  %s = phi i32 [ %sum, %outer ], [ %t, %inner ]
  %mixed = mul i32 %s, 3
  store i32 %mixed, ptr addrspace(3) %own
  {WAIT}
  %o = load i32, ptr addrspace(3) %there
  {WAIT}
  %t0 = add i32 %s, %o
  %t = add i32 %t0, %b
  %b1 = add i32 %b, 1
  %again = icmp slt i32 %b1, %inner_count
  br i1 %again, label %inner, label %joined
joined:
  %a1 = add i32 %a, 1
  %more = icmp slt i32 %a1, %outer_count
  br i1 %more, label %outer, label %done
done:
  store i32 %t, ptr addrspace(1) %p
  ret void
}}
"""
    arguments = [
        air.buffer(0, 0, "x", kind="int"),
        air.buffer(1, 1, "counts", space=2, access="read", kind="int"),
        index(air, 2),
    ]
    function = opened(air, text, "nest", arguments)
    found = both_ways(function, lambda function: run(function, 16, 16, np.array([3, 4], np.int32)))
    expected = np.arange(16, dtype=np.int32)
    for _ in range(3):
        for b in range(4):
            expected = expected + 3 * expected[np.arange(16) ^ 5] + b
    assert (found == expected).all()


EARLY = f"""
define void @early(ptr addrspace(1) %x, i32 %i, i32 %inner) {{
  %p = getelementptr i32, ptr addrspace(1) %x, i32 %i
  %third = urem i32 %inner, 3
  %ends = icmp eq i32 %third, 1
  br i1 %ends, label %end, label %first
first:
  store i32 1, ptr addrspace(1) %p
  {WAIT}
  %late = icmp ugt i32 %inner, 9
  br i1 %late, label %end, label %second
second:
  store i32 2, ptr addrspace(1) %p
  {WAIT}
  store i32 3, ptr addrspace(1) %p
  br label %end
end:
  ret void
}}
"""


def test_threads_that_end_early_are_waited_for_by_none(air):
    arguments = [air.buffer(0, 0, "x", kind="int"), index(air), index(air, 2, "thread_index_in_threadgroup")]
    function = opened(air, EARLY, "early", arguments)
    found = both_ways(function, lambda function: run(function, 28, 14))
    inner = np.arange(28) % 14
    assert (found == np.where(inner % 3 == 1, np.arange(28), np.where(inner > 9, 1, 3))).all()
    assert function.pipeline.phases == 3


APART = f"""
define void @apart(ptr addrspace(1) %x, <3 x i32> %at) {{
  %i = extractelement <3 x i32> %at, i32 0
  %j = extractelement <3 x i32> %at, i32 1
  %k = extractelement <3 x i32> %at, i32 2
  %sum = add i32 %i, %j
  %all = add i32 %sum, %k
  %stray = icmp eq i32 %all, 6
  br i1 %stray, label %here, label %there
here:
  {WAIT}
  br label %end
there:
  {WAIT}
  br label %end
end:
  ret void
}}
"""


def test_the_first_thread_that_waits_elsewhere_is_told_of(air):
    arguments = [air.buffer(0, 0, "x", kind="int"), air.quantity(1, "thread_position_in_grid", "uint3")]
    function = opened(air, APART, "apart", arguments)
    told = []
    for _ in range(2):
        with pytest.raises(
            smelt.metal.DeviceError, match=r"apart: threads of one threadgroup.* wait at different places"
        ) as error:
            function({0: np.zeros(1, np.int32)}, threads=(5, 4, 4), threads_per_threadgroup=(5, 2, 2))
        told.append(str(error.value))
        function.pipeline.hasten()
    assert function.pipeline.phases == 3
    assert told[0] == told[1]
    assert told[1].endswith("the first that waits elsewhere is at (4, 1, 1)")


def test_a_branch_that_depends_on_the_thread_and_that_all_take(air):
    text = f"""{SHARED}
define void @guarded(ptr addrspace(1) %x, i32 %i) {{
  %inside = icmp ult i32 %i, 32
  %p = getelementptr i32, ptr addrspace(1) %x, i32 %i
  br i1 %inside, label %works, label %end
works:
  %own = getelementptr i32, ptr addrspace(3) @shared, i32 %i
  store i32 %i, ptr addrspace(3) %own
  {WAIT}
  %other = sub i32 31, %i
  %there = getelementptr i32, ptr addrspace(3) @shared, i32 %other
  %v = load i32, ptr addrspace(3) %there
  store i32 %v, ptr addrspace(1) %p
  br label %end
end:
  ret void
}}
"""
    function = opened(air, text, "guarded", [air.buffer(0, 0, "x", kind="int"), index(air)])
    assert both_ways(function, lambda function: run(function, 32, 32)).tolist() == list(range(31, -1, -1))
    assert function.pipeline.phases == 2


def test_a_uniform_branch_around_a_barrier(air):
    text = f"""{SHARED}
define void @maybe(ptr addrspace(1) %x, ptr addrspace(2) %flag, i32 %i, i32 %group) {{
entry:
  %p = getelementptr i32, ptr addrspace(1) %x, i32 %i
  %f = load i32, ptr addrspace(2) %flag
  %inner = and i32 %i, 7
  %own = getelementptr i32, ptr addrspace(3) @shared, i32 %inner
  store i32 %i, ptr addrspace(3) %own
  %waits = icmp eq i32 %f, %group
  br i1 %waits, label %wait, label %joined
wait:
  {WAIT}
  %other = xor i32 %inner, 7
  %there = getelementptr i32, ptr addrspace(3) @shared, i32 %other
  %v = load i32, ptr addrspace(3) %there
  br label %joined
joined:
  %r = phi i32 [ %i, %entry ], [ %v, %wait ]
  %out = mul i32 %r, 10
  store i32 %out, ptr addrspace(1) %p
  ret void
}}
"""
    arguments = [
        air.buffer(0, 0, "x", kind="int"),
        air.buffer(1, 1, "flag", space=2, access="read", kind="int"),
        index(air, 2),
        index(air, 3, "threadgroup_position_in_grid"),
    ]
    function = opened(air, text, "maybe", arguments)
    found = both_ways(function, lambda function: run(function, 24, 8, np.array([1], np.int32)))
    assert found.tolist() == [10 * n for n in (*range(8), *range(15, 7, -1), *range(16, 24))]


def test_values_of_many_types_and_arrays_of_threads_live_across_barriers(air):
    text = f"""
define void @keeps(ptr addrspace(1) %x, i32 %i, i32 %n) {{
entry:
  %array = alloca [8 x i32], align 4
  %p = getelementptr i32, ptr addrspace(1) %x, i32 %i
  %v = load i32, ptr addrspace(1) %p
  %odd = trunc i32 %v to i1
  %low = trunc i32 %v to i8
  %short = trunc i32 %v to i16
  %float = sitofp i32 %v to float
  %half = sitofp i32 %v to half
  %root = call float @air.sqrt.f32(float %float)
  %start = insertelement <3 x float> zeroinitializer, float %root, i32 2
  %wide = zext i32 %v to i64
  %big = mul i64 %wide, 5000000000
  br label %fill
fill:
  %k = phi i32 [ 0, %entry ], [ %k1, %fill ]
  %place = and i32 %k, 7
  %q = getelementptr [8 x i32], ptr %array, i32 0, i32 %place
  %value = add i32 %k, %v
  store i32 %value, ptr %q
  %k1 = add i32 %k, 1
  %more = icmp ult i32 %k1, %n
  br i1 %more, label %fill, label %wait
wait:
  {WAIT}
  %which = and i32 %v, 7
  %r = getelementptr [8 x i32], ptr %array, i32 0, i32 %which
  %a = load i32, ptr %r
  store i32 0, ptr %r
  {WAIT}
  %b = load i32, ptr %r
  %c0 = zext i1 %odd to i32
  %c1 = sext i8 %low to i32
  %c2 = sext i16 %short to i32
  %f2 = extractelement <3 x float> %start, i32 2
  %c3 = fptosi float %f2 to i32
  %h = fpext half %half to float
  %c4 = fptosi float %h to i32
  %c5w = lshr i64 %big, 32
  %c5 = trunc i64 %c5w to i32
  %s0 = add i32 %a, %b
  %s1 = add i32 %s0, %c0
  %s2 = add i32 %s1, %c1
  %s3 = add i32 %s2, %c2
  %s4 = add i32 %s3, %c3
  %s5 = add i32 %s4, %c4
  %s6 = add i32 %s5, %c5
  store i32 %s6, ptr addrspace(1) %p
  ret void
}}
declare float @air.sqrt.f32(float)
"""
    arguments = [air.buffer(0, 0, "x", kind="int"), index(air), index(air, 2, "threads_per_grid")]
    function = opened(air, text, "keeps", arguments)
    found = both_ways(function, lambda function: run(function, 30, 10))
    v = np.arange(30)
    last = np.array([max(k for k in range(30) if k % 8 == which) for which in v % 8])
    low = v.astype(np.int8).astype(int)
    expected = last + v + v % 2 + low + v + np.sqrt(v).astype(int) + v + (v * 5_000_000_000 >> 32)
    assert (found == expected).all()
    assert function.pipeline.phases == 3


def test_groups_of_three_dimensions_with_memory_of_the_launch(air):
    text = f"""
define void @turn(ptr addrspace(1) %x, ptr addrspace(3) %room, <3 x i32> %at, <3 x i32> %grid, i32 %inner, <3 x i32> %size) {{
  %i = extractelement <3 x i32> %at, i32 0
  %j = extractelement <3 x i32> %at, i32 1
  %k = extractelement <3 x i32> %at, i32 2
  %w = extractelement <3 x i32> %grid, i32 0
  %h = extractelement <3 x i32> %grid, i32 1
  %kh = mul i32 %k, %h
  %row = add i32 %kh, %j
  %rows = mul i32 %row, %w
  %n = add i32 %rows, %i
  %a = extractelement <3 x i32> %size, i32 0
  %b = extractelement <3 x i32> %size, i32 1
  %c = extractelement <3 x i32> %size, i32 2
  %ab = mul i32 %a, %b
  %abc = mul i32 %ab, %c
  %own = getelementptr i32, ptr addrspace(3) %room, i32 %inner
  store i32 %n, ptr addrspace(3) %own
  {WAIT}
  %less = sub i32 %abc, 1
  %mirror = sub i32 %less, %inner
  %there = getelementptr i32, ptr addrspace(3) %room, i32 %mirror
  %v = load i32, ptr addrspace(3) %there
  %p = getelementptr i32, ptr addrspace(1) %x, i32 %n
  store i32 %v, ptr addrspace(1) %p
  ret void
}}
"""
    arguments = [
        air.buffer(0, 0, "x", kind="int"),
        air.buffer(1, 0, "room", space=3, kind="int"),
        air.quantity(2, "thread_position_in_grid", "uint3"),
        air.quantity(3, "threads_per_grid", "uint3"),
        index(air, 4, "thread_index_in_threadgroup"),
        air.quantity(5, "threads_per_threadgroup", "uint3"),
    ]
    function = opened(air, text, "turn", arguments)

    def launch(function):
        x = np.zeros((3, 5, 7), np.int32)
        function({0: x}, threads=(7, 5, 3), threads_per_threadgroup=(4, 3, 2), threadgroup_memory={0: 96})
        return x

    expected = np.arange(105).reshape(3, 5, 7)
    for z in (slice(0, 2), slice(2, 3)):
        for y in (slice(0, 3), slice(3, 5)):
            for x in (slice(0, 4), slice(4, 7)):
                expected[z, y, x] = expected[z, y, x][::-1, ::-1, ::-1].copy()
    assert (both_ways(function, launch) == expected).all()
    assert function.pipeline.phases == 2


def test_what_is_outside_is_told_of_with_the_same_thread(air):
    text = f"""{SHARED}
define void @outside(ptr addrspace(1) %x, i32 %i) {{
  %own = getelementptr i32, ptr addrspace(3) @shared, i32 %i
  store i32 %i, ptr addrspace(3) %own
  {WAIT}
  %far = add i32 %i, 3
  %p = getelementptr i32, ptr addrspace(1) %x, i32 %far
  store i32 %i, ptr addrspace(1) %p
  {WAIT}
  ret void
}}
"""
    function = opened(
        air, text, "outside", [air.buffer(0, 0, "x", kind="int"), index(air, 1, "thread_index_in_threadgroup")]
    )
    told = []
    for _ in range(2):
        x = np.zeros(20, np.int32)
        with pytest.raises(smelt.metal.DeviceError) as error:
            function({0: x}, threads=(5, 2, 2), threads_per_threadgroup=(5, 2, 2))
        told.append(str(error.value))
        assert x.tolist() == [0, 0, 0, *range(17)]
        function.pipeline.hasten()
    assert function.pipeline.phases == 3
    assert told[0] == told[1]
    assert (
        "the thread at (2, 1, 1) writes 4 bytes at offset 80 of buffer 0 (x), which has 80 bytes (3 times in all)"
        in told[1]
    )


ENDLESS = """
define void @endless(ptr addrspace(1) %x, i32 %i) {{
  br label %loop
loop:
  {wait}
  %v = load volatile i32, ptr addrspace(1) %x
  %never = icmp eq i32 %v, 7
  br i1 %never, label %done, label %loop
done:
  {barrier}
  ret void
}}
"""


@pytest.mark.parametrize("wait", ["", WAIT], ids=["within a phase", "over barriers"])
def test_an_endless_loop_is_stopped(air, wait):
    text = ENDLESS.format(wait=wait, barrier=WAIT)
    function = opened(air, text, "endless", [air.buffer(0, 0, "x", kind="int"), index(air)], seconds=0.2)
    function.pipeline.hasten()
    assert function.pipeline.phases == (3 if wait else 2)
    with pytest.raises(smelt.metal.DeviceError, match=r"endless has not ended after 0\.2 seconds; it was stopped"):
        function({0: np.zeros(1, np.int32)}, threads=64, threads_per_threadgroup=32)


def test_kernels_that_wait_otherwise_remain_coroutines(air):
    text = f"""{SHARED}
declare i32 @air.simd_sum.s.i32(i32)
define void @sums(ptr addrspace(1) %x, i32 %i) {{
  %p = getelementptr i32, ptr addrspace(1) %x, i32 %i
  %s = call i32 @air.simd_sum.s.i32(i32 %i)
  {WAIT}
  store i32 %s, ptr addrspace(1) %p
  ret void
}}
"""
    function = opened(air, text, "sums", [air.buffer(0, 0, "x", kind="int"), index(air)])
    function.pipeline.hasten()
    assert (run(function, 32, 32) == 496).all()
    assert function.pipeline.phases == 0
    function = rotate(air, checks=Checks(races=True))
    function.pipeline.hasten()
    assert (run(function, 64, 64) == np.roll(np.arange(64), -59)).all()
    assert function.pipeline.phases == 0


def test_a_thread_with_much_memory_remains_a_coroutine(air):
    text = f"""
define void @much(ptr addrspace(1) %x, i32 %i) {{
  %array = alloca [8000 x i32], align 4
  %place = and i32 %i, 1023
  %q = getelementptr [8000 x i32], ptr %array, i32 0, i32 %place
  store i32 %i, ptr %q
  %beside = xor i32 %place, 1
  %r = getelementptr [8000 x i32], ptr %array, i32 0, i32 %beside
  store i32 70, ptr %r
  {WAIT}
  %p = getelementptr i32, ptr addrspace(1) %x, i32 %i
  %o = load i32, ptr addrspace(1) %p
  %odd = and i32 %o, 1
  %which = xor i32 %place, %odd
  %s = getelementptr [8000 x i32], ptr %array, i32 0, i32 %which
  %w = load i32, ptr %s
  store i32 %w, ptr addrspace(1) %p
  ret void
}}
"""
    function = opened(air, text, "much", [air.buffer(0, 0, "x", kind="int"), index(air)])
    function.pipeline.hasten()
    assert run(function, 8, 8).tolist() == [0, 70, 2, 70, 4, 70, 6, 70]
    assert function.pipeline.phases == 0


def test_a_kernel_that_has_run_for_long_is_cut_on_its_own(air, monkeypatch):
    monkeypatch.setattr(pipeline, "_LONG_SECS", 0.0)
    function = rotate(air)
    found = []
    for _ in range(2):
        assert (run(function, 64, 64) == np.roll(np.arange(64), -59)).all()
        found.append(function.pipeline.phases)
    assert found == [0, 5]


def test_a_launch_of_many_threads_is_cut_at_once(air, monkeypatch):
    monkeypatch.setattr(pipeline, "_MANY_THREADS", 100)
    function = rotate(air)
    run(function, 100, 50)
    assert function.pipeline.phases == 0
    run(function, 101, 50)
    assert function.pipeline.phases == 5


def test_threads_that_share_memory_and_wait_for_nobody_are_one_phase(air):
    text = f"""{SHARED}
define void @alone(ptr addrspace(1) %x, i32 %i) {{
  %own = getelementptr i32, ptr addrspace(3) @shared, i32 %i
  store i32 %i, ptr addrspace(3) %own
  %v = load volatile i32, ptr addrspace(3) %own
  %p = getelementptr i32, ptr addrspace(1) %x, i32 %i
  store i32 %v, ptr addrspace(1) %p
  ret void
}}
"""
    function = opened(air, text, "alone", [air.buffer(0, 0, "x", kind="int"), index(air)])
    assert both_ways(function, lambda function: run(function, 20, 20)).tolist() == list(range(20))
    assert function.pipeline.phases == 1


class Program:
    """A kernel made of statements on four variables of each thread, which exchange values through shared memory."""

    def __init__(self, statements):
        self.lines = []
        self.count = 0
        self.write(statements)

    def new(self):
        self.count += 1
        return f"%t{self.count}"

    def do(self, line):
        name = self.new()
        self.lines.append(f"  {name} = {line}")
        return name

    def get(self, variable):
        return self.do(f"load i32, ptr %x{variable}")

    def put(self, variable, value):
        self.lines.append(f"  store i32 {value}, ptr %x{variable}")

    def label(self):
        self.count += 1
        return f"b{self.count}"

    def begin(self, label):
        self.lines += [f"  br label %{label}", f"{label}:"]

    def write(self, statements):
        for what, *operands in statements:
            getattr(self, what)(*operands)

    def compute(self, operation, result, first, second):
        self.put(result, self.do(f"{operation} i32 {self.get(first)}, {self.get(second)}"))

    def mix(self, result, number):
        self.put(result, self.do(f"add i32 {self.do(f'mul i32 {self.get(result)}, {number}')}, %i"))

    def exchange(self, given, taken, distance):
        self.lines.append(f"  store i32 {self.get(given)}, ptr addrspace(3) %own")
        self.lines.append(f"  {WAIT}")
        there = self.do(f"urem i32 {self.do(f'add i32 %inner, {distance}')}, %size")
        place = self.do(f"getelementptr i32, ptr addrspace(3) @shared, i32 {there}")
        self.put(taken, self.do(f"load i32, ptr addrspace(3) {place}"))
        self.lines.append(f"  {WAIT}")

    def remember(self, variable, place):
        index = self.do(f"and i32 {self.get(place)}, 3")
        address = self.do(f"getelementptr [4 x i32], ptr %array, i32 0, i32 {index}")
        old = self.do(f"load i32, ptr {address}")
        self.lines.append(f"  store i32 {self.get(variable)}, ptr {address}")
        self.put(variable, old)

    def loop(self, rounds, statements):
        counter = self.do("add i32 0, 0")
        place = f"%counter{counter[2:]}"
        self.lines.insert(0, f"  {place} = alloca i32")
        self.lines.append(f"  store i32 0, ptr {place}")
        head, done = self.label(), self.label()
        self.begin(head)
        self.write(statements)
        following = self.do(f"add i32 {self.do(f'load i32, ptr {place}')}, 1")
        self.lines.append(f"  store i32 {following}, ptr {place}")
        # The number of rounds is only known at launch.
        more = self.do(f"icmp ult i32 {following}, {self.do(f'mul i32 %one, {rounds}')}")
        self.lines += [f"  br i1 {more}, label %{head}, label %{done}", f"{done}:"]

    def branch(self, condition, statements, others):
        then, otherwise, joined = self.label(), self.label(), self.label()
        self.lines += [f"  br i1 {condition}, label %{then}, label %{otherwise}", f"{then}:"]
        self.write(statements)
        self.lines += [f"  br label %{joined}", f"{otherwise}:"]
        self.write(others)
        self.begin(joined)

    def together(self, bit, statements, others):
        bits = self.do(f"and i32 %group, {bit}")
        self.branch(self.do(f"icmp eq i32 {bits}, 0"), statements, others)

    def each(self, variable, statements, others):
        bits = self.do(f"and i32 {self.get(variable)}, 1")
        self.branch(self.do(f"icmp eq i32 {bits}, 0"), statements, others)

    def leave(self, most):
        ends, stays = self.label(), self.label()
        leaves = self.do(f"icmp ugt i32 %inner, {most}")
        self.lines += [f"  br i1 {leaves}, label %{ends}, label %{stays}", f"{ends}:"]
        self.lines += [f"  store i32 {self.get(0)}, ptr addrspace(1) %p", "  ret void", f"{stays}:"]

    def text(self):
        variables = "\n".join(f"  %x{n} = alloca i32\n  store i32 %i, ptr %x{n}" for n in range(4))
        counters = [line for line in self.lines if line.startswith("  %counter") and "alloca" in line]
        body = "\n".join(line for line in self.lines if line not in counters)
        return f"""{SHARED}
define void @made(ptr addrspace(1) %x, ptr addrspace(2) %ones, i32 %i, i32 %inner, i32 %size, i32 %group) {{
  %array = alloca [4 x i32]
  store [4 x i32] zeroinitializer, ptr %array
{chr(10).join(counters)}
{variables}
  %one = load i32, ptr addrspace(2) %ones
  %p = getelementptr i32, ptr addrspace(1) %x, i32 %i
  %own = getelementptr i32, ptr addrspace(3) @shared, i32 %inner
{body}
  %r0 = load i32, ptr %x0
  %r1 = load i32, ptr %x1
  %r2 = load i32, ptr %x2
  %r3 = load i32, ptr %x3
  %r4 = mul i32 %r0, 31
  %r5 = add i32 %r4, %r1
  %r6 = mul i32 %r5, 31
  %r7 = xor i32 %r6, %r2
  %r8 = add i32 %r7, %r3
  store i32 %r8, ptr addrspace(1) %p
  ret void
}}
"""


VARIABLES = st.integers(0, 3)
ALONE = st.one_of(
    st.tuples(st.just("compute"), st.sampled_from(["add", "mul", "xor", "sub"]), VARIABLES, VARIABLES, VARIABLES),
    st.tuples(st.just("mix"), VARIABLES, st.integers(2, 9)),
    st.tuples(st.just("remember"), VARIABLES, VARIABLES),
)
SIMPLE = st.one_of(
    ALONE,
    st.tuples(st.just("exchange"), VARIABLES, VARIABLES, st.integers(1, 5)),
    st.tuples(st.just("each"), VARIABLES, st.lists(ALONE, max_size=2), st.lists(ALONE, max_size=1)),
)
STATEMENTS = st.recursive(
    SIMPLE,
    lambda inner: st.one_of(
        st.tuples(st.just("loop"), st.integers(1, 3), st.lists(inner, min_size=1, max_size=3)),
        st.tuples(st.just("together"), st.integers(1, 2), st.lists(inner, max_size=3), st.lists(inner, max_size=2)),
    ),
    max_leaves=6,
)


@settings(max_examples=20, deadline=None, derandomize=True, database=None)
@given(st.lists(STATEMENTS, min_size=2, max_size=5), st.sampled_from([None, 5, 20]), st.booleans())
def test_kernels_of_any_form_do_the_same_both_ways(air, statements, most, is_checked):
    leaves = [] if most is None else [("leave", most)]
    text = Program([*statements[:1], *leaves, *statements[1:], ("exchange", 1, 2, 1)]).text()
    arguments = [
        air.buffer(0, 0, "x", kind="int"),
        air.buffer(1, 1, "ones", space=2, access="read", kind="int"),
        index(air, 2),
        index(air, 3, "thread_index_in_threadgroup"),
        index(air, 4, "threads_per_threadgroup"),
        index(air, 5, "threadgroup_position_in_grid"),
    ]
    function = opened(air, text, "made", arguments, checks=Checks(bounds=is_checked))
    both_ways(function, lambda function: run(function, 70, 32, np.array([1], np.int32)))
    assert function.pipeline.phases > 1


def test_launches_from_many_threads_while_the_kernel_is_cut(air):
    function = rotate(air)
    found = []

    def launch():
        found.extend(run(function, 64, 64) for _ in range(20))

    threads = [threading.Thread(target=launch) for _ in range(4)]
    for thread in threads:
        thread.start()
    function.pipeline.hasten()
    for thread in threads:
        thread.join()
    assert len(found) == 80
    assert (np.array(found) == np.roll(np.arange(64), -59)).all()
    assert function.pipeline.phases == 5
