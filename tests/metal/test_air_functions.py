# SPDX-License-Identifier: Apache-2.0
"""Functions of AIR against what Python and NumPy say: numbers packed into bits, integers, vectors, lanes."""

from __future__ import annotations

import numpy as np
import pytest

import smelt

pytestmark = pytest.mark.once

POSITION = "thread_position_in_grid"


def run(air, calls, arrays, outs):
    """Call functions of AIR for the elements of arrays, all in one kernel.

    `calls` are (name, type of the result, types of the parameters, numbers of the arrays), each with an array in `outs`.
    """
    count = len(arrays)
    body = []
    declared = {}
    for number, (name, result, kinds, given) in enumerate(calls):
        values = []
        for place, (kind, array) in enumerate(zip(kinds, given, strict=True)):
            body.append(f"  %p{number}.{place} = getelementptr {kind}, ptr addrspace(1) %b{array}, i32 %i")
            body.append(f"  %v{number}.{place} = load {kind}, ptr addrspace(1) %p{number}.{place}, align 1")
            values.append(f"{kind} %v{number}.{place}")
        declared[name] = f"declare {result} @air.{name}({', '.join(kinds)})"
        body.append(f"  %r{number} = call {result} @air.{name}({', '.join(values)})")
        body.append(f"  %o{number} = getelementptr {result}, ptr addrspace(1) %b{count + number}, i32 %i")
        body.append(f"  store {result} %r{number}, ptr addrspace(1) %o{number}, align 1")
    total = count + len(calls)
    heads = ", ".join(f"ptr addrspace(1) %b{place}" for place in range(total))
    text = "\n".join((*declared.values(), f"define void @calls({heads}, i32 %i) {{", *body, "  ret void", "}"))
    described = [air.buffer(place, place, size=1) for place in range(total)]
    described.append(air.quantity(total, POSITION))
    kernel = smelt.metal.library(air.metallib((air.with_kernel(text, "calls", described), "calls"))).function("calls")
    kernel(dict(enumerate((*arrays, *outs))), threads=len(outs[0]))
    return outs


def test_numbers_packed_into_bits_and_unpacked(air):
    rng = np.random.default_rng(3)
    bits = rng.integers(0, 2**32, 300, dtype=np.uint32)
    bits[:4] = 0, 2**32 - 1, 0x80808080, 0x7F7F7F7F
    x = rng.uniform(-1.2, 1.2, (300, 4)).astype(np.float32)
    x[:2] = [[0, 1, -1, 0.5], [2, -2, np.nan, 0]]
    pairs = np.ascontiguousarray(x[:, :2])
    v4, v2 = "<4 x float>", "<2 x float>"
    calls = [
        ("unpack.unorm4x8.v4f32", v4, ["i32"], [0]),
        ("unpack.snorm4x8.v4f32", v4, ["i32"], [0]),
        ("unpack.unorm2x16.v2f32", v2, ["i32"], [0]),
        ("unpack.snorm2x16.v2f32", v2, ["i32"], [0]),
        ("unpack.unorm4x8.srgb.v4f32", v4, ["i32"], [0]),
        ("unpack.unorm10a2.v4f32", v4, ["i32"], [0]),
        ("pack.unorm4x8.v4f32", "i32", [v4], [1]),
        ("pack.snorm4x8.v4f32", "i32", [v4], [1]),
        ("pack.unorm2x16.v2f32", "i32", [v2], [2]),
        ("pack.snorm2x16.v2f32", "i32", [v2], [2]),
    ]
    outs = [np.zeros((300, 4 if call[1] == v4 else 2), np.float32) for call in calls[:6]]
    outs += [np.zeros(300, np.uint32) for _ in calls[6:]]
    run(air, calls, [bits, x, pairs], outs)
    bytes_, words = bits.view(np.uint8).reshape(300, 4), bits.view(np.uint16).reshape(300, 2)
    unit = bytes_.astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(outs[0], unit)
    signed = bytes_.view(np.int8).astype(np.float32) / np.float32(127)
    np.testing.assert_array_equal(outs[1], np.maximum(signed, -1))
    np.testing.assert_array_equal(outs[2], words.astype(np.float32) / np.float32(65535))
    np.testing.assert_array_equal(outs[3], np.maximum(words.view(np.int16).astype(np.float32) / np.float32(32767), -1))
    wide = unit.astype(np.float64)
    curved = np.where(wide <= 0.04045, wide / 12.92, ((wide + 0.055) / 1.055) ** 2.4)
    np.testing.assert_allclose(outs[4][:, :3], curved[:, :3], rtol=1e-6)
    np.testing.assert_array_equal(outs[4][:, 3], unit[:, 3])
    fields = [(bits >> shift & mask) / np.float32(mask) for shift, mask in ((0, 1023), (10, 1023), (20, 1023), (30, 3))]
    np.testing.assert_array_equal(outs[5], np.stack(fields, axis=1).astype(np.float32))

    def packed(values, low, most, dtype):
        numbers = np.rint(np.clip(np.where(np.isnan(values), low, values), low, 1) * np.float32(most))
        return numbers.astype(dtype).view(np.uint32).reshape(-1)

    np.testing.assert_array_equal(outs[6], packed(x, np.float32(0), 255, np.uint8))
    np.testing.assert_array_equal(outs[7], packed(x, np.float32(-1), 127, np.int8))
    np.testing.assert_array_equal(outs[8], packed(pairs, np.float32(0), 65535, np.uint16))
    np.testing.assert_array_equal(outs[9], packed(pairs, np.float32(-1), 32767, np.int16))


INTEGERS = np.array([0, 1, -1, 5, -17, 2**31 - 1, -(2**31), 123456789], np.int32)


def test_integers(air):
    a, b, c = INTEGERS, INTEGERS[::-1].copy(), np.roll(INTEGERS, 3)
    offset, count = np.array([0, 3, 8, 31, 16, 0, 4, 1], np.int32), np.array([32, 5, 0, 1, 16, 1, 28, 7], np.int32)
    wide = [array.astype(np.int64) for array in (a, b, c)]
    unsigned = [array.view(np.uint32).astype(np.uint64) for array in (a, b, c)]
    three, two = ["i32"] * 3, ["i32"] * 2

    def bounded(values, kind):
        limits = np.iinfo(kind)
        return np.array([min(max(int(value), limits.min), limits.max) for value in values], kind)

    def low24(values):
        return ((values & 0xFFFFFF) ^ 0x800000) - 0x800000

    mask = (1 << count.astype(np.uint64)) - np.uint64(1)
    field = (unsigned[0] >> offset.astype(np.uint64)) & mask
    sign = np.where(count > 0, field >> (np.maximum(count, 1) - 1).astype(np.uint64) & np.uint64(1), 0)
    extended = field.astype(np.int64) - np.where(sign == 1, 1 << count.astype(np.int64), 0)
    hole = mask << offset.astype(np.uint64)
    inserted = (unsigned[0] & ~hole) | (unsigned[1] << offset.astype(np.uint64) & hole)
    rows = [
        ("median3.s.i32", three, [0, 1, 2], np.median(np.stack(wide), axis=0)),
        ("add_sat.s.i32", two, [0, 1], bounded([int(x) + int(y) for x, y in zip(a, b, strict=True)], np.int32)),
        ("sub_sat.u.i32", two, [0, 1], np.where(unsigned[0] > unsigned[1], unsigned[0] - unsigned[1], 0)),
        ("hadd.s.i32", two, [0, 1], wide[0] + wide[1] >> 1),
        ("rhadd.u.i32", two, [0, 1], unsigned[0] + unsigned[1] + np.uint64(1) >> np.uint64(1)),
        ("absdiff.s.i32", two, [0, 1], np.abs(wide[0] - wide[1])),
        ("mad_hi.s.i32", three, [0, 1, 2], (wide[0] * wide[1] >> 32) + wide[2]),
        (
            *("mad_sat.s.i32", three, [0, 1, 2]),
            bounded([int(x) * int(y) + int(z) for x, y, z in zip(a, b, c, strict=True)], np.int32),
        ),
        ("mul24.s.i32", two, [0, 1], low24(wide[0]) * low24(wide[1])),
        (
            "rotate.i32",
            two,
            [0, 3],
            unsigned[0] << offset.astype(np.uint64) | unsigned[0] >> (32 - offset).astype(np.uint64),
        ),
        ("extract_bits.s.i32", three, [0, 3, 4], extended),
        ("extract_bits.u.i32", three, [0, 3, 4], field),
        ("insert_bits.i32", ["i32"] * 4, [0, 1, 3, 4], inserted),
    ]
    outs = [np.zeros(8, np.int32) for _ in rows]
    run(air, [(name, "i32", kinds, given) for name, kinds, given, _ in rows], [a, b, c, offset, count], outs)
    for (name, _, _, expected), found in zip(rows, outs, strict=True):
        low = np.array([int(value) & 0xFFFFFFFF for value in expected], np.uint32)
        np.testing.assert_array_equal(found.view(np.uint32), low, err_msg=name)


def test_floats(air):
    x = np.array([-2.75, -1, -0.0, 0.25, 0.5, 3.5, 1e30, np.inf], np.float32)
    y, z = x[::-1].copy(), np.array([1, 0, 2, 0.5, -3, 8, 0, 1], np.float32)
    v = np.arange(1, 33, dtype=np.float32).reshape(8, 4)
    one, two, three = ["float"], ["float"] * 2, ["float"] * 3
    with np.errstate(all="ignore"):
        rows = [
            ("fmin3.f32", three, [0, 1, 2], np.minimum(np.minimum(x, y), z)),
            ("fmedian3.f32", three, [0, 1, 2], np.median(np.stack([x, y, z]), axis=0)),
            ("fast_fmax3.f32", three, [0, 1, 2], np.maximum(np.maximum(x, y), z)),
            ("saturate.f32", one, [0], np.clip(x, 0, 1)),
            ("sign.f32", one, [0], np.sign(x)),
            ("fast_divide.f32", two, [0, 2], x / z),
            ("recip.f32", one, [2], 1 / z),
            ("mix.f32", three, [2, 2, 0], np.where(np.isfinite(x), z, z + 0 * x)),
            ("length.v4f32", ["<4 x float>"], [3], np.sqrt((v * v).sum(axis=1))),
            ("distance.v4f32", ["<4 x float>"] * 2, [3, 3], np.zeros(8)),
        ]
    outs = [np.zeros(8, np.float32) for _ in rows]
    run(air, [(name, "float", kinds, given) for name, kinds, given, _ in rows], [x, y, z, v], outs)
    for (name, _, _, expected), found in zip(rows, outs, strict=True):
        np.testing.assert_allclose(found, np.asarray(expected, np.float32), rtol=1e-6, err_msg=name)


def test_functions_with_two_results(air):
    text = """
declare float @air.sincos.f32(float, ptr)
declare float @air.fast_modf.f32(float, ptr)
declare <2 x float> @air.frexp.v2f32(<2 x float>, ptr)
declare i32 @air.ilogb.i32.f32(float)
declare i32 @air.convert.s.i32.f.f32.rtn(float)
define void @parts(ptr addrspace(1) %x, ptr addrspace(1) %out, i32 %i) {
  %second = alloca float
  %powers = alloca <2 x i32>
  %p = getelementptr float, ptr addrspace(1) %x, i32 %i
  %v = load float, ptr addrspace(1) %p
  %sin = call float @air.sincos.f32(float %v, ptr %second)
  %cos = load float, ptr %second
  %part = call float @air.fast_modf.f32(float %v, ptr %second)
  %whole = load float, ptr %second
  %one = insertelement <2 x float> poison, float %v, i32 0
  %both = insertelement <2 x float> %one, float 12.0, i32 1
  %m = call <2 x float> @air.frexp.v2f32(<2 x float> %both, ptr %powers)
  %e = load <2 x i32>, ptr %powers
  %m0 = extractelement <2 x float> %m, i32 0
  %e0 = extractelement <2 x i32> %e, i32 0
  %e1 = extractelement <2 x i32> %e, i32 1
  %log = call i32 @air.ilogb.i32.f32(float %v)
  %down = call i32 @air.convert.s.i32.f.f32.rtn(float %v)
  %f0 = sitofp i32 %e0 to float
  %f1 = sitofp i32 %e1 to float
  %f2 = sitofp i32 %log to float
  %f3 = sitofp i32 %down to float
""" + "".join(
        f"  %q{place} = getelementptr [9 x float], ptr addrspace(1) %out, i32 %i, i32 {place}\n"
        f"  store float %{name}, ptr addrspace(1) %q{place}\n"
        for place, name in enumerate(("sin", "cos", "part", "whole", "m0", "f0", "f1", "f2", "f3"))
    )
    arguments = [air.buffer(0, 0), air.buffer(1, 1), air.quantity(2, POSITION)]
    data = air.metallib((air.with_kernel(f"{text}  ret void\n}}", "parts", arguments), "parts"))
    x = np.array([0.3, -2.75, 100.5, 1e-3], np.float32)
    out = np.zeros((4, 9), np.float32)
    smelt.metal.library(data).function("parts")({0: x, 1: out}, threads=4)
    part, whole = np.modf(x)
    mantissa, power = np.frexp(x)
    expected = [np.sin(x), np.cos(x), part, whole, mantissa, power, np.full(4, 4), power - 1, np.floor(x)]
    np.testing.assert_allclose(out, np.stack(expected, axis=1), rtol=1e-6)


def test_what_lanes_do_together(air):
    text = (
        """
declare i1 @air.simd_is_first()
declare i64 @air.simd_active_threads_mask.i64()
declare i64 @air.simd_ballot.i64(i1)
declare i1 @air.simd_vote_all.i64(i64)
declare i1 @air.simd_vote_any.i64(i64)
declare i32 @air.simd_xor.u.i32(i32)
declare i32 @air.simd_broadcast_first.u.i32(i32)
declare i32 @air.simd_shuffle_rotate_up.u.i32(i32, i16)
declare i32 @air.quad_shuffle_rotate_down.u.i32(i32, i16)
declare i32 @air.quad_prefix_exclusive_sum.u.i32(i32)
declare i32 @air.quad_max.u.i32(i32)
define void @lanes(ptr addrspace(1) %out, i32 %i) {
entry:
  %odd = trunc i32 %i to i1
  %ballot = call i64 @air.simd_ballot.i64(i1 %odd)
  %votes = trunc i64 %ballot to i32
  %xor = call i32 @air.simd_xor.u.i32(i32 %i)
  %up = call i32 @air.simd_shuffle_rotate_up.u.i32(i32 %i, i16 1)
  %down = call i32 @air.quad_shuffle_rotate_down.u.i32(i32 %i, i16 1)
  %sum = call i32 @air.quad_prefix_exclusive_sum.u.i32(i32 %i)
  %most = call i32 @air.quad_max.u.i32(i32 %i)
  %all = call i1 @air.simd_vote_all.i64(i64 -1)
  %any = call i1 @air.simd_vote_any.i64(i64 0)
  %all_word = zext i1 %all to i32
  %any_word = zext i1 %any to i32
  br i1 %odd, label %odds, label %ends
odds:
  %first = call i1 @air.simd_is_first()
  %first_word = zext i1 %first to i32
  %mask = call i64 @air.simd_active_threads_mask.i64()
  %mask_word = trunc i64 %mask to i32
  %there = call i32 @air.simd_broadcast_first.u.i32(i32 %i)
  br label %ends
ends:
  %f = phi i32 [ 9, %entry ], [ %first_word, %odds ]
  %m = phi i32 [ 0, %entry ], [ %mask_word, %odds ]
  %t = phi i32 [ 0, %entry ], [ %there, %odds ]
"""
        + "".join(
            f"  %q{place} = getelementptr [10 x i32], ptr addrspace(1) %out, i32 %i, i32 {place}\n"
            f"  store i32 %{name}, ptr addrspace(1) %q{place}\n"
            for place, name in enumerate(
                ("votes", "xor", "up", "down", "sum", "most", "all_word", "any_word", "f", "m")
            )
        )
        + "  %same = icmp eq i32 %t, 1\n  br i1 %same, label %marks, label %done\nmarks:\n"
        + ("  store i32 %i, ptr addrspace(1) %q8\n  br label %done\ndone:\n  ret void\n}\n")
    )
    arguments = [air.buffer(0, 0, kind="uint"), air.quantity(1, POSITION)]
    data = air.metallib((air.with_kernel(text, "lanes", arguments), "lanes"))
    out = np.zeros((32, 10), np.uint32)
    smelt.metal.library(data).function("lanes")({0: out}, threads=32, threads_per_threadgroup=32)
    i = np.arange(32)
    odds = 0xAAAAAAAA
    expected = [
        *(np.full(32, odds), np.full(32, 0), (i - 1) % 32, i // 4 * 4 + (i + 1) % 4),
        np.concatenate([np.cumsum(quad) - quad for quad in i.reshape(8, 4)]),
        *(i // 4 * 4 + 3, np.full(32, 1), np.full(32, 0)),
        # All odd lanes got the first one's number, which is 1.
        *(np.where(i % 2, i, 9), np.where(i % 2, odds, 0)),
    ]
    np.testing.assert_array_equal(out, np.stack(expected, axis=1))


def test_atomic_operations_on_floats_and_wide_integers(air):
    text = """
declare float @air.atomic.global.load.f32(ptr addrspace(1), i32, i32, i1)
declare void @air.atomic.global.store.f32(ptr addrspace(1), float, i32, i32, i1)
declare float @air.atomic.global.xchg.f32(ptr addrspace(1), float, i32, i32, i1)
declare i64 @air.atomic.global.max.u.i64(ptr addrspace(1), i64, i32, i32, i1)
declare void @air.atomic.fence(i32, i32, i32)
define void @all(ptr addrspace(1) %f, ptr addrspace(1) %n, i32 %i) {
  %old = call float @air.atomic.global.xchg.f32(ptr addrspace(1) %f, float 2.5, i32 0, i32 2, i1 true)
  call void @air.atomic.fence(i32 1, i32 5, i32 2)
  %second = getelementptr float, ptr addrspace(1) %f, i32 1
  call void @air.atomic.global.store.f32(ptr addrspace(1) %second, float %old, i32 0, i32 2, i1 true)
  %third = getelementptr float, ptr addrspace(1) %f, i32 2
  %now = call float @air.atomic.global.load.f32(ptr addrspace(1) %f, i32 0, i32 2, i1 true)
  store float %now, ptr addrspace(1) %third
  %wide = zext i32 %i to i64
  %high = shl i64 %wide, 40
  %most = call i64 @air.atomic.global.max.u.i64(ptr addrspace(1) %n, i64 %high, i32 0, i32 2, i1 true)
  ret void
}
"""
    arguments = [air.buffer(0, 0), air.buffer(1, 1, size=8, kind="ulong"), air.quantity(2, POSITION)]
    kernel = smelt.metal.library(air.metallib((air.with_kernel(text, "all", arguments), "all"))).function("all")
    f, n = np.array([1.5, 0, 0], np.float32), np.zeros(1, np.uint64)
    kernel({0: f, 1: n}, threads=1)
    assert f.tolist() == [2.5, 1.5, 2.5]
    kernel({0: f, 1: n}, threads=10)
    assert n.tolist() == [9 << 40]
