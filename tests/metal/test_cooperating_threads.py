# SPDX-License-Identifier: Apache-2.0
"""Kernels of AIR whose threads wait for each other, in software."""

from __future__ import annotations

import numpy as np
import pytest

import smelt

pytestmark = pytest.mark.once

BARRIERS = """
declare void @air.wg.barrier(i32, i32) convergent
declare void @air.simdgroup.barrier(i32, i32) convergent
"""


def opened(air, text, name, arguments):
    return smelt.metal.library(air.metallib((air.with_kernel(BARRIERS + text, name, arguments), name))).function(name)


TREE = """
@shared = internal addrspace(3) global [64 x float] undef, align 4

define void @total(ptr addrspace(1) %out, ptr addrspace(1) %x, i32 %i, i32 %inner, i32 %group, i32 %size) {
entry:
  %p = getelementptr float, ptr addrspace(1) %x, i32 %i
  %v = load float, ptr addrspace(1) %p
  %s = getelementptr [64 x float], ptr addrspace(3) @shared, i32 0, i32 %inner
  store float %v, ptr addrspace(3) %s
  br label %loop
loop:
  %step = phi i32 [ 32, %entry ], [ %half, %joined ]
  tail call void @air.wg.barrier(i32 2, i32 1) #0
  %more = icmp ugt i32 %step, 0
  br i1 %more, label %adds, label %done
adds:
  %other = add i32 %inner, %step
  %is_low = icmp ult i32 %inner, %step
  %is_there = icmp ult i32 %other, %size
  %takes = and i1 %is_low, %is_there
  br i1 %takes, label %add, label %joined
add:
  %q = getelementptr [64 x float], ptr addrspace(3) @shared, i32 0, i32 %other
  %a = load float, ptr addrspace(3) %s
  %b = load float, ptr addrspace(3) %q
  %sum = fadd float %a, %b
  store float %sum, ptr addrspace(3) %s
  br label %joined
joined:
  %half = lshr i32 %step, 1
  br label %loop
done:
  %is_first = icmp eq i32 %inner, 0
  br i1 %is_first, label %writes, label %ends
writes:
  %result = load float, ptr addrspace(3) @shared
  %o = getelementptr float, ptr addrspace(1) %out, i32 %group
  store float %result, ptr addrspace(1) %o
  br label %ends
ends:
  ret void
}
attributes #0 = { convergent }
"""


def test_a_sum_over_a_threadgroup_with_barriers_and_shared_memory(air):
    arguments = [
        air.buffer(0, 0, "out"),
        air.buffer(1, 1, "x", access="read"),
        air.quantity(2, "thread_position_in_grid"),
        air.quantity(3, "thread_index_in_threadgroup"),
        air.quantity(4, "threadgroup_position_in_grid"),
        air.quantity(5, "threads_per_threadgroup"),
    ]
    total = opened(air, TREE, "total", arguments)
    assert total.pipeline.static_threadgroup_memory_length == 256
    x = np.arange(250, dtype=np.float32)
    out = np.zeros(4, np.float32)
    total({0: out, 1: x}, threads=250, threads_per_threadgroup=64)
    # The last group is smaller.
    assert out.tolist() == [x[start : start + 64].sum() for start in range(0, 250, 64)]


def test_memory_that_is_given_at_launch_is_shared_by_the_group(air):
    text = """
define void @turn(ptr addrspace(1) %x, ptr addrspace(3) %room, <3 x i32> %i, i16 %inner, i16 %group_size) {
  %index = extractelement <3 x i32> %i, i32 0
  %p = getelementptr i32, ptr addrspace(1) %x, i32 %index
  %v = load i32, ptr addrspace(1) %p
  %s = getelementptr i32, ptr addrspace(3) %room, i16 %inner
  store i32 %v, ptr addrspace(3) %s
  call void @air.wg.barrier(i32 2, i32 1)
  %less = sub i16 %group_size, 1
  %mirror = sub i16 %less, %inner
  %q = getelementptr i32, ptr addrspace(3) %room, i16 %mirror
  %w = load i32, ptr addrspace(3) %q
  store i32 %w, ptr addrspace(1) %p
  ret void
}
"""
    arguments = [
        air.buffer(0, 0, "x", kind="int"),
        air.buffer(1, 0, "room", space=3, kind="int"),
        air.quantity(2, "thread_position_in_grid", "uint3"),
        air.quantity(3, "thread_index_in_threadgroup", "ushort"),
        air.quantity(4, "threads_per_threadgroup", "ushort"),
    ]
    turn = opened(air, text, "turn", arguments)
    x = np.arange(20, dtype=np.int32)
    turn({0: x}, threadgroups=4, threads_per_threadgroup=5, threadgroup_memory={0: 20})
    assert x.tolist() == [4, 3, 2, 1, 0, 9, 8, 7, 6, 5, 14, 13, 12, 11, 10, 19, 18, 17, 16, 15]
    with pytest.raises(smelt.metal.DeviceError, match=r"turn needs threadgroup memory 0 \(room\): say how many bytes"):
        turn({0: x}, threadgroups=1, threads_per_threadgroup=5)


LANES = np.arange(70)
SIMDGROUPS = [LANES[start : start + 32] for start in range(0, 70, 32)]


def by_lane(air, name, kind, x, *operands):
    """Call a function of AIR on all lanes of three simdgroups, the last of which has six."""
    signature = ", ".join((kind, *("i16" for _ in operands)))
    given = ", ".join((f"{kind} %v", *(f"i16 {operand}" for operand in operands)))
    text = f"""
declare {kind} @air.{name}({signature})
define void @lanes(ptr addrspace(1) %x, i32 %i) {{
  %p = getelementptr {kind}, ptr addrspace(1) %x, i32 %i
  %v = load {kind}, ptr addrspace(1) %p
  %r = tail call {kind} @air.{name}({given})
  store {kind} %r, ptr addrspace(1) %p
  ret void
}}
"""
    arguments = [air.buffer(0, 0, "x", size=x.itemsize), air.quantity(1, "thread_position_in_grid")]
    found = x.copy()
    opened(air, text, "lanes", arguments)({0: found}, threads=70, threads_per_threadgroup=70)
    return found


VALUES = np.random.default_rng(5).integers(-9, 9, 70)
REDUCTIONS = {
    "simd_sum.f32": ("float", np.float32, np.sum),
    "simd_sum.s.i32": ("i32", np.int32, np.sum),
    "simd_product.s.i16": ("i16", np.int16, lambda lanes: np.multiply.reduce(lanes, dtype=np.int16)),
    "simd_max.f32": ("float", np.float32, np.max),
    "simd_min.s.i8": ("i8", np.int8, np.min),
    "simd_max.u.i32": ("i32", np.uint32, np.max),
}


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions_over_the_lanes_that_there_are(air, name):
    kind, dtype, reduce = REDUCTIONS[name]
    x = VALUES.astype(dtype)
    expected = np.concatenate([np.full(len(lanes), reduce(x[lanes]), dtype) for lanes in SIMDGROUPS])
    assert (by_lane(air, name, kind, x) == expected).all()


def test_the_number_wins_over_nan(air):
    x = VALUES.astype(np.float32)
    x[[0, 7, 40]] = np.nan
    expected = np.concatenate([np.full(len(lanes), np.nanmax(x[lanes])) for lanes in SIMDGROUPS])
    assert (by_lane(air, "simd_max.f32", "float", x) == expected).all()


def test_quads_are_four_lanes(air):
    x = VALUES.astype(np.float32)
    expected = [x[lane // 4 * 4 : lane // 4 * 4 + 4].sum() for lane in LANES]
    assert (by_lane(air, "quad_sum.f32", "float", x) == expected).all()
    expected = [x[lane // 4 * 4 + 2] if lane // 4 * 4 + 2 < 70 else x[lane] for lane in LANES]
    assert (by_lane(air, "quad_shuffle.f32", "float", x, 2) == expected).all()


def test_prefix_sums_and_products(air):
    x = VALUES.astype(np.int32)
    inclusive = np.concatenate([np.cumsum(x[lanes]) for lanes in SIMDGROUPS])
    assert (by_lane(air, "simd_prefix_inclusive_sum.s.i32", "i32", x) == inclusive).all()
    assert (by_lane(air, "simd_prefix_exclusive_sum.s.i32", "i32", x) == inclusive - x).all()
    small = np.where(VALUES > 0, 1, -1).astype(np.float32)
    products = np.concatenate([np.cumprod(small[lanes]) for lanes in SIMDGROUPS])
    assert (by_lane(air, "simd_prefix_inclusive_product.f32", "float", small) == products).all()
    first = np.concatenate([np.concatenate([[1], np.cumprod(small[lanes])[:-1]]) for lanes in SIMDGROUPS])
    assert (by_lane(air, "simd_prefix_exclusive_product.f32", "float", small) == first).all()


SHUFFLES = {
    ("simd_shuffle", 3): lambda lane: lane * 0 + 3,
    ("simd_broadcast", 31): lambda lane: lane * 0 + 31,
    ("simd_shuffle_xor", 5): lambda lane: lane ^ 5,
    ("simd_shuffle_down", 4): lambda lane: lane + 4,
    ("simd_shuffle_up", 1): lambda lane: lane - 1,
}


@pytest.mark.parametrize(("name", "operand"), SHUFFLES)
def test_shuffles(air, name, operand):
    x = VALUES.astype(np.float32)
    expected = []
    for lane in LANES:
        wanted = SHUFFLES[name, operand](lane % 32)
        source = lane // 32 * 32 + wanted
        expected.append(x[source] if 0 <= wanted < 32 and source < 70 else x[lane])
    assert (by_lane(air, f"{name}.f32", "float", x, operand) == expected).all()
    assert (
        by_lane(air, f"{name}.s.i32", "i32", VALUES.astype(np.int32), operand) == np.array(expected, np.int32)
    ).all()


@pytest.mark.parametrize(("way", "sign"), [("up", -1), ("down", 1)])
@pytest.mark.parametrize("width", [32, 8])
def test_shuffles_that_fill_up(air, way, sign, width):
    text = f"""
declare float @air.simd_shuffle_and_fill_{way}.f32(float, float, i16, i16)
define void @moves(ptr addrspace(1) %x, ptr addrspace(1) %y, i32 %i) {{
  %p = getelementptr float, ptr addrspace(1) %x, i32 %i
  %v = load float, ptr addrspace(1) %p
  %q = getelementptr float, ptr addrspace(1) %y, i32 %i
  %w = load float, ptr addrspace(1) %q
  %r = call float @air.simd_shuffle_and_fill_{way}.f32(float %v, float %w, i16 3, i16 {width})
  store float %r, ptr addrspace(1) %p
  ret void
}}
"""
    arguments = [air.buffer(0, 0, "x"), air.buffer(1, 1, "y"), air.quantity(2, "thread_position_in_grid")]
    x, y = np.arange(64, dtype=np.float32), np.arange(64, dtype=np.float32) + 100
    expected = []
    for lane in range(64):
        place, first = lane % width, lane - lane % width
        moved = place + 3 * sign
        expected.append(x[first + moved] if 0 <= moved < width else y[first + moved % width])
    opened(air, text, "moves", arguments)({0: x, 1: y}, threads=64, threads_per_threadgroup=64)
    assert x.tolist() == expected


def test_votes_and_vectors(air):
    text = """
declare i1 @air.simd_all(i1)
declare i1 @air.simd_any(i1)
declare <2 x i32> @air.simd_shuffle.u.v2i32(<2 x i32>, i16)
define void @votes(ptr addrspace(1) %x, i32 %i) {
  %p = getelementptr [4 x i32], ptr addrspace(1) %x, i32 %i
  %v = load i32, ptr addrspace(1) %p
  %is = icmp sgt i32 %v, 0
  %all = call i1 @air.simd_all(i1 %is)
  %any = call i1 @air.simd_any(i1 %is)
  %a = zext i1 %all to i32
  %b = zext i1 %any to i32
  %pair = insertelement <2 x i32> poison, i32 %v, i32 0
  %pairs = insertelement <2 x i32> %pair, i32 %i, i32 1
  %there = call <2 x i32> @air.simd_shuffle.u.v2i32(<2 x i32> %pairs, i16 1)
  %n = extractelement <2 x i32> %there, i32 1
  call void @air.simdgroup.barrier(i32 0, i32 1)
  %q = getelementptr [4 x i32], ptr addrspace(1) %x, i32 %i, i32 1
  store i32 %a, ptr addrspace(1) %q
  %r = getelementptr [4 x i32], ptr addrspace(1) %x, i32 %i, i32 2
  store i32 %b, ptr addrspace(1) %r
  %s = getelementptr [4 x i32], ptr addrspace(1) %x, i32 %i, i32 3
  store i32 %n, ptr addrspace(1) %s
  ret void
}
"""
    votes = opened(air, text, "votes", [air.buffer(0, 0, "x"), air.quantity(1, "thread_position_in_grid")])
    x = np.zeros((96, 4), np.int32)
    x[:32, 0] = 1
    x[40, 0] = 1
    votes({0: x}, threads=96, threads_per_threadgroup=96)
    assert (x[:, 1] == np.repeat([1, 0, 0], 32)).all()
    assert (x[:, 2] == np.repeat([1, 1, 0], 32)).all()
    assert (x[:, 3] == np.repeat([1, 33, 65], 32)).all()


def test_threads_that_have_returned_are_waited_for_by_none(air):
    text = """
define void @early(ptr addrspace(1) %x, i32 %i) {
  %out = icmp ugt i32 %i, 4
  br i1 %out, label %ends, label %goes
goes:
  %p = getelementptr i32, ptr addrspace(1) %x, i32 %i
  store i32 1, ptr addrspace(1) %p
  call void @air.wg.barrier(i32 1, i32 1)
  %first = load i32, ptr addrspace(1) %x
  %last = getelementptr i32, ptr addrspace(1) %x, i32 4
  %w = load i32, ptr addrspace(1) %last
  %sum = add i32 %first, %w
  call void @air.wg.barrier(i32 1, i32 1)
  store i32 %sum, ptr addrspace(1) %p
  br label %ends
ends:
  ret void
}
"""
    early = opened(air, text, "early", [air.buffer(0, 0, "x"), air.quantity(1, "thread_position_in_grid")])
    x = np.zeros(8, np.int32)
    early({0: x}, threads=8, threads_per_threadgroup=8)
    assert x.tolist() == [2, 2, 2, 2, 2, 0, 0, 0]


def test_threads_that_wait_at_different_places_are_told_of(air):
    text = """
define void @apart(i32 %i) {
  %odd = trunc i32 %i to i1
  br i1 %odd, label %here, label %there
here:
  call void @air.wg.barrier(i32 0, i32 1)
  br label %ends
there:
  call void @air.wg.barrier(i32 0, i32 1)
  br label %ends
ends:
  ret void
}
"""
    apart = opened(air, text, "apart", [air.quantity(0, "thread_position_in_grid")])
    with pytest.raises(
        smelt.metal.DeviceError,
        match="apart: threads of one threadgroup, or of one simdgroup, wait at different places",
    ):
        apart({}, threads=8, threads_per_threadgroup=8)


@pytest.mark.parametrize("kind", ["float", "half"])
@pytest.mark.parametrize("is_new", [False, True])
def test_matrices_of_a_simdgroup(air, kind, is_new):
    # From AIR 2.8 on sizes and strides are given; a matrix is transposed by its strides.
    places = "<2 x i64> <i64 10, i64 8>, <2 x i64> <i64 1, i64 10>, <2 x i64>" if is_new else "i64 10, <2 x i64>"
    types = "<2 x i64>, <2 x i64>, <2 x i64>" if is_new else "i64, <2 x i64>, i1"
    straight, transposed = ("", "") if is_new else (", i1 false", ", i1 true")
    turned = "<2 x i64> <i64 8, i64 10>, <2 x i64> <i64 10, i64 1>, <2 x i64>" if is_new else places
    matrix, suffix = f"<64 x {kind}>", {"float": "f32", "half": "f16"}[kind]
    origin = "<i64 2, i64 1>"
    text = f"""
declare {matrix} @air.simdgroup_matrix_8x8_load.v64{suffix}.p1{suffix}(ptr addrspace(1), {types})
declare void @air.simdgroup_matrix_8x8_store.v64f32.p1f32(<64 x float>, ptr addrspace(1), {types})
declare <64 x float> @air.simdgroup_matrix_8x8_init_filled.v64f32.f32(float)
declare <64 x float> @air.simdgroup_matrix_8x8_multiply_accumulate.v64f32.v64{suffix}.v64{suffix}.v64f32({matrix}, {matrix}, <64 x float>)
define void @product(ptr addrspace(1) %a, ptr addrspace(1) %b, ptr addrspace(1) %out) {{
  %x = call {matrix} @air.simdgroup_matrix_8x8_load.v64{suffix}.p1{suffix}(ptr addrspace(1) %a, {places} {origin}{straight})
  %y = call {matrix} @air.simdgroup_matrix_8x8_load.v64{suffix}.p1{suffix}(ptr addrspace(1) %b, {turned} zeroinitializer{transposed})
  %c = call <64 x float> @air.simdgroup_matrix_8x8_init_filled.v64f32.f32(float 5.0e-1)
  %d = call <64 x float> @air.simdgroup_matrix_8x8_multiply_accumulate.v64f32.v64{suffix}.v64{suffix}.v64f32({matrix} %x, {matrix} %y, <64 x float> %c)
  call void @air.simdgroup_matrix_8x8_store.v64f32.p1f32(<64 x float> %d, ptr addrspace(1) %out, {places} zeroinitializer{straight})
  ret void
}}
"""
    dtype = np.dtype({"float": "f4", "half": "f2"}[kind])
    arguments = [air.buffer(number, number, size=dtype.itemsize) for number in range(3)]
    values = np.random.default_rng(2).integers(-4, 5, (2, 12, 10)).astype(dtype)
    out = np.zeros((8, 10), np.float32)
    opened(air, text, "product", arguments)(
        {0: values[0], 1: values[1], 2: out}, threads=32, threads_per_threadgroup=32
    )
    expected = values[0, 1:9, 2:10].astype("f4") @ values[1, :8, :8].T.astype("f4") + 0.5
    assert (out[:, :8] == expected).all()
    assert not out[:, 8:].any()
