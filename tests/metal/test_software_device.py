# SPDX-License-Identifier: Apache-2.0
"""Kernels of AIR, run in software on NumPy arrays."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import smelt
from smelt.targets.metal.devices.software.air_functions.function_bodies import Declaration, declaration_of
from smelt.targets.metal.devices.software.air_functions.functions import definition_of

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def scale(air):
    return smelt.metal.library(air.scale()).function("scale")


def test_a_kernel_runs_on_arrays_in_place(scale):
    x = np.arange(1000, dtype=np.float32)
    scale({0: x, 3: np.float32(2.5)}, threads=900)
    assert (x[:900] == np.arange(900, dtype=np.float32) * np.float32(2.5)).all()
    assert (x[900:] == np.arange(900, 1000)).all()
    scale({0: x, 3: np.array([2.0], np.float32)}, threadgroups=2, threads_per_threadgroup=5)
    assert x[9] == np.float32(9 * 2.5) * 2
    assert x[10] == np.float32(25)
    scale({0: x, 3: np.float32(0).tobytes()}, threads=(1000,), threads_per_threadgroup=(32, 1))
    assert not x.any()


def test_what_is_not_bound_is_zeros(scale):
    x = np.ones(4, np.float32)
    scale({0: x}, threads=4)
    assert not x.any()
    scale({3: np.float32(2)}, threads=4)


def test_a_file_is_opened_as_well(air, tmp_path):
    data = air.metallib((air.with_kernel("define void @nothing() {\n  ret void\n}", "nothing", []), "nothing"))
    path = tmp_path / "a.metallib"
    path.write_bytes(data)
    opened = smelt.metal.library(path)
    assert opened.functions == ("nothing",)
    opened.function("nothing")({}, threads=3)
    assert repr(opened) == "<metallib of 1 functions on metal:software>"
    for same in (data, bytearray(data), memoryview(data)):
        assert smelt.metal.library(same).functions == opened.functions


def read_only():
    array = np.zeros(4, np.float32)
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    ("buffers", "grid", "message"),
    [
        (
            {0: np.zeros((4, 4), np.float32)[:, ::2]},
            {"threads": 1},
            r"scale, buffer 0 \(x\): the array has gaps; copy it",
        ),
        ({0: read_only()}, {"threads": 1}, r"buffer 0 \(x\): the kernel writes to it, and the array is read-only"),
        ({0: np.zeros(9, np.uint8)[1:]}, {"threads": 1}, "the array is not aligned to 4 bytes"),
        ({1: np.zeros(4)}, {"threads": 1}, r"scale has no buffer 1; it has 0 \(x\), 3 \(factor\)"),
        ({3: 2.5}, {"threads": 1}, "give a NumPy array, a NumPy scalar of type float, or bytes, not 2.5"),
        ({}, {}, "give either threads, how many in all, or threadgroups, how many whole ones"),
        ({}, {"threads": 1, "threadgroups": 1}, "give either threads"),
        ({}, {"threads": 0}, "a grid has at least one thread on each axis"),
        ({}, {"threads": (1, 2, 3, 4)}, "a grid has one to three whole numbers"),
        ({}, {"threads": 2.0}, "a grid has one to three whole numbers"),
        (
            {},
            {"threads": 9, "threads_per_threadgroup": (33, 32)},
            "scale takes at most 1024 threads in a threadgroup, not 1056",
        ),
    ],
)
def test_a_wrong_dispatch_is_refused(scale, buffers, grid, message):
    with pytest.raises((smelt.metal.DeviceError, TypeError), match=message):
        scale(buffers, **grid)


# Of a thread at `p`, in groups of `g` threads, in a grid of `n`.
QUANTITIES = {
    "thread_position_in_grid": "p",
    "thread_position_in_threadgroup": "p % g",
    "threadgroup_position_in_grid": "p // g",
    "threads_per_grid": "n",
    "threads_per_threadgroup": "np.minimum(g, n - p // g * g)",
    "dispatch_threads_per_threadgroup": "g",
    "threadgroups_per_grid": "-(-n // g)",
}


@pytest.mark.parametrize("what", QUANTITIES)
def test_what_the_device_computes_of_each_thread(air, what):
    text = """
define void @where(ptr addrspace(1) %out, <3 x i32> %here, <3 x i32> %what) {
  %x = extractelement <3 x i32> %here, i32 0
  %y = extractelement <3 x i32> %here, i32 1
  %z = extractelement <3 x i32> %here, i32 2
  %plane = mul i32 %z, 5
  %row = add i32 %plane, %y
  %before = mul i32 %row, 7
  %index = add i32 %before, %x
  %p = getelementptr <3 x i32>, ptr addrspace(1) %out, i32 %index
  store <3 x i32> %what, ptr addrspace(1) %p, align 16
  ret void
}
"""
    arguments = [
        air.buffer(0, 0, "out", size=16, kind="uint3"),
        air.quantity(1, "thread_position_in_grid", "uint3"),
        air.quantity(2, what, "uint3"),
    ]
    kernel = smelt.metal.library(air.metallib((air.with_kernel(text, "where", arguments), "where"))).function("where")
    memory = np.zeros(3 * 5 * 7 * 4 + 3, np.uint32)
    start = -memory.ctypes.data % 16 // 4
    out = memory[start : start + 3 * 5 * 7 * 4]
    kernel({0: out}, threads=(7, 5, 3), threads_per_threadgroup=(4, 2, 2))
    found = out.reshape(3, 5, 7, 4)[..., :3]
    group, size = np.array([4, 2, 2]), np.array([7, 5, 3])
    for z, y, x in np.ndindex(3, 5, 7):
        names = {"np": np, "p": np.array([x, y, z]), "g": group, "n": size}
        assert (found[z, y, x] == eval(QUANTITIES[what], names)).all()


def test_indices_in_a_threadgroup(air):
    names = ("thread_index_in_threadgroup", "thread_index_in_simdgroup", "simdgroup_index_in_threadgroup")
    names += ("simdgroups_per_threadgroup", "threads_per_simdgroup", "quadgroup_index_in_threadgroup")
    parameters = ", ".join(f"{'i16' if place % 2 else 'i32'} %q{place}" for place in range(len(names)))
    stores = "".join(
        (f"  %w{place} = zext i16 %q{place} to i32\n" if place % 2 else f"  %w{place} = add i32 %q{place}, 0\n")
        + f"  %p{place} = getelementptr [6 x i32], ptr addrspace(1) %out, i32 %i, i32 {place}\n"
        f"  store i32 %w{place}, ptr addrspace(1) %p{place}\n"
        for place in range(len(names))
    )
    text = f"define void @where(ptr addrspace(1) %out, i32 %i, {parameters}) {{\n{stores}  ret void\n}}\n"
    arguments = [air.buffer(0, 0, kind="uint"), air.quantity(1, "thread_position_in_grid")]
    arguments += [air.quantity(2 + place, name) for place, name in enumerate(names)]
    kernel = smelt.metal.library(air.metallib((air.with_kernel(text, "where", arguments), "where"))).function("where")
    out = np.zeros((150, 6), np.uint32)
    kernel({0: out}, threads=150, threads_per_threadgroup=70)
    inner = np.arange(150) % 70
    actual = np.where(np.arange(150) < 140, 70, 10)
    expected = [inner, inner % 32, inner // 32, -(-actual // 32), np.full(150, 32), inner // 4]
    assert (out == np.stack(expected, axis=1)).all()


def test_function_constants_are_given_by_name_or_by_index(air):
    library = smelt.metal.library(air.line())
    out = np.zeros(5, np.float32)
    library.function("line", {"flag": True, 4: -3, "slope": 0.1})({0: out}, threads=5)
    assert (out == (np.arange(5) * -3).astype(np.float32) * np.float32(0.1)).all()
    library.function("line", {1: False, 4: 1, 5: 2})({0: out}, threads=5)
    assert (out == -1).all()
    with pytest.raises(smelt.metal.DeviceError, match="line needs values for its function constants flag, slope"):
        library.function("line", {4: 1})
    with pytest.raises(
        smelt.metal.DeviceError, match=r"has no function constant 'x'; it has flag \(1\), step \(4\), slope"
    ):
        library.function("line", {"x": 1})
    with pytest.raises(smelt.metal.DeviceError, match="the function constant step is a int"):
        library.function("line", {"flag": 1, "step": "two", "slope": 1})


def test_what_this_device_does_not_know_is_named_when_the_pipeline_is_made(air):
    unknown = (
        "declare float @air.simd_shuffle_around.f32(float, i16)\ndeclare void @air.new()\ndeclare i32 @system(ptr)\n"
        "define void @calls() {\n  call void @air.new()\n  ret void\n}"
    )
    waits = unknown.replace("calls", "waits").replace(
        "call void @air.new()", "%r = call float @air.simd_shuffle_around.f32(float 1.0, i16 1)"
    )
    library = smelt.metal.library(
        air.metallib(
            (air.with_kernel(unknown, "calls", []), "calls"),
            (air.with_kernel(waits, "waits", []), "waits"),
            (
                air.with_kernel("define void @takes(i32 %i) {\n  ret void\n}", "takes", [air.quantity(0, "new")]),
                "takes",
            ),
        )
    )
    with pytest.raises(
        smelt.metal.DeviceError, match=r"the kernel calls calls air\.new, air\.simd_shuffle_around\.f32, system, which"
    ):
        library.function("calls")
    with pytest.raises(
        smelt.metal.DeviceError,
        match=r"waits calls air\.new, air\.simd_shuffle_around\.f32, system, which this device doesn't know",
    ):
        library.function("waits")
    with pytest.raises(smelt.metal.DeviceError, match="the kernel takes takes new, which this device doesn't know"):
        library.function("takes")
    with pytest.raises(smelt.metal.MetallibError, match="no function 'other'; it has calls, waits, takes"):
        library.function("other")


def test_the_most_threads_of_a_group_are_those_that_the_kernel_says(air):
    text = air.with_kernel("define void @few() {\n  ret void\n}", "few", [], '!{!"air.max_work_group_size", i32 64}')
    few = smelt.metal.library(air.metallib((text, "few"))).function("few")
    few({}, threads=1000)
    assert few.pipeline.max_total_threads_per_threadgroup == 64
    assert (few.pipeline.thread_execution_width, few.pipeline.static_threadgroup_memory_length) == (32, 0)
    with pytest.raises(smelt.metal.DeviceError, match="at most 64 threads"):
        few({}, threads=1000, threads_per_threadgroup=65)


# The functions of AIR: their names, LLVM types, and what NumPy says.

FLOATS = np.array(
    [0.0, -0.0, 0.3, -0.7, 1.0, -1.5, 2.5, 3.75, -8.25, 100.5, 1e-30, 3e38, np.inf, -np.inf, np.nan], np.float32
)
POSITIVE = np.array([1e-6, 0.3, 1.0, 2.5, 10.0, 12345.0], np.float32)
UNIT = np.array([-1, -0.6, -0.0, 0.2, 0.99, 1], np.float32)
INTEGERS = np.array([0, 1, -1, 5, -17, 2**31 - 1, -(2**31)], np.int32)


def truncated(x, kind):
    limits = np.iinfo(kind)
    clipped = np.clip(
        np.nan_to_num(x.astype(np.float64), nan=0, posinf=1e300, neginf=-1e300), float(limits.min), float(limits.max)
    )
    return np.array([min(max(int(value), limits.min), limits.max) for value in clipped], kind)


ONE_FLOAT = {
    "sqrt": (POSITIVE, np.sqrt),
    "rsqrt": (POSITIVE, lambda x: (1 / np.sqrt(x.astype(np.float64))).astype(np.float32)),
    "floor": (FLOATS, np.floor),
    "ceil": (FLOATS, np.ceil),
    "trunc": (FLOATS, np.trunc),
    "rint": (FLOATS, np.rint),
    "round": (FLOATS, lambda x: np.where(np.isfinite(x), np.trunc(x + np.copysign(np.float32(0.5), x)), x)),
    "fabs": (FLOATS, np.abs),
    "sin": (UNIT, np.sin),
    "cos": (UNIT, np.cos),
    "tan": (UNIT, np.tan),
    "sinpi": (UNIT, lambda x: np.sin(np.pi * x.astype(np.float64))),
    "acos": (UNIT, np.arccos),
    "asin": (UNIT, np.arcsin),
    "atan": (UNIT, np.arctan),
    "sinh": (UNIT, np.sinh),
    "cosh": (UNIT, np.cosh),
    "tanh": (UNIT, np.tanh),
    "asinh": (UNIT, np.arcsinh),
    "acosh": (POSITIVE + 1, np.arccosh),
    "atanh": (UNIT * np.float32(0.9), np.arctanh),
    "exp": (UNIT, np.exp),
    "exp2": (UNIT, np.exp2),
    "exp10": (UNIT, lambda x: 10.0**x),
    "log": (POSITIVE, np.log),
    "log2": (POSITIVE, np.log2),
    "log10": (POSITIVE, np.log10),
    "fract": (UNIT, lambda x: x - np.floor(x)),
}
TWO_FLOATS = {
    "pow": (POSITIVE, POSITIVE[::-1], np.power),
    "atan2": (FLOATS[2:10], FLOATS[3:11], np.arctan2),
    "fmod": (FLOATS[2:10], FLOATS[3:11], np.fmod),
    "fmin": (FLOATS, FLOATS[::-1], np.fmin),
    "fmax": (FLOATS, FLOATS[::-1], np.fmax),
    "copysign": (FLOATS[:-1], FLOATS[:-1][::-1], np.copysign),
    "nextafter": (POSITIVE, POSITIVE[::-1], np.nextafter),
}


def run(air, name, result, parameters, arrays, out):
    """Call a function of AIR for the elements of arrays."""
    kinds = [*parameters, result]
    loads = "".join(
        f"  %p{place} = getelementptr {kind}, ptr addrspace(1) %b{place}, i32 %i\n"
        + (f"  %v{place} = load {kind}, ptr addrspace(1) %p{place}, align 1\n" if place < len(parameters) else "")
        for place, kind in enumerate(kinds)
    )
    last = len(parameters)
    arguments = ", ".join(f"{kind} %v{place}" for place, kind in enumerate(parameters))
    heads = ", ".join(f"ptr addrspace(1) %b{place}" for place in range(len(kinds)))
    text = f"""
declare {result} @air.{name}({", ".join(parameters)})
define void @calls({heads}, i32 %i) {{
{loads}  %r = call {result} @air.{name}({arguments})
  store {result} %r, ptr addrspace(1) %p{last}, align 1
  ret void
}}
"""
    described = [air.buffer(place, place, size=1) for place in range(len(kinds))]
    described.append(air.quantity(len(kinds), "thread_position_in_grid"))
    kernel = smelt.metal.library(air.metallib((air.with_kernel(text, "calls", described), "calls"))).function("calls")
    kernel({**dict(enumerate(arrays)), last: out}, threads=len(arrays[0]))
    return out


@pytest.mark.parametrize("prefix", ["", "fast_"])
def test_functions_of_one_float(air, prefix):
    for name, (x, expected) in ONE_FLOAT.items():
        found = run(air, f"{prefix}{name}.f32", "float", ["float"], [x], np.zeros_like(x))
        np.testing.assert_allclose(found, np.asarray(expected(x), np.float32), rtol=1e-6, atol=1e-7, err_msg=name)


def test_functions_of_two_floats(air):
    for name, (x, y, expected) in TWO_FLOATS.items():
        found = run(air, f"{name}.f32", "float", ["float", "float"], [x.copy(), y.copy()], np.zeros_like(x))
        np.testing.assert_allclose(found, expected(x, y), rtol=1e-6, err_msg=name)


def test_functions_of_three_floats_and_of_halves(air):
    x = UNIT.copy()
    found = run(air, "fma.f32", "float", ["float"] * 3, [x, x, x], np.zeros_like(x))
    exact = (x.astype(np.float64) * x + x).astype(np.float32)
    assert (found == exact).all()
    found = run(air, "clamp.f32", "float", ["float"] * 3, [x * 3, x * 0, x * 0 + 1], np.zeros_like(x))
    assert (found == np.clip(x * 3, 0, 1)).all()
    half = UNIT.astype(np.float16)
    found = run(air, "exp.f16", "half", ["half"], [half], np.zeros_like(half))
    assert (found == np.exp(half.astype(np.float32)).astype(np.float16)).all()
    powers = np.arange(-3, 3, dtype=np.int32)
    found = run(air, "ldexp.f32", "float", ["float", "i32"], [x, powers], np.zeros_like(x))
    assert (found == np.ldexp(x, powers)).all()


def test_functions_of_vectors(air):
    x, y = np.arange(8, dtype=np.float32).reshape(2, 4) + 1, np.arange(8, 0, -1, dtype=np.float32).reshape(2, 4)
    found = run(air, "dot.v4f32", "float", ["<4 x float>"] * 2, [x, y], np.zeros(2, np.float32))
    assert (found == (x * y).sum(axis=1)).all()
    found = run(air, "sqrt.v4f32", "<4 x float>", ["<4 x float>"], [x], np.zeros_like(x))
    assert (found == np.sqrt(x)).all()
    found = run(
        air, "max.s.v4i32", "<4 x i32>", ["<4 x i32>"] * 2, [x.astype("i4"), y.astype("i4")], np.zeros((2, 4), "i4")
    )
    assert (found == np.maximum(x, y)).all()
    found = run(air, "convert.f.v4f32.f.v4f16", "<4 x float>", ["<4 x half>"], [x.astype("f2")], np.zeros_like(x))
    assert (found == x).all()


def test_functions_of_integers(air):
    a, b = INTEGERS, INTEGERS[::-1].copy()
    unsigned = [a.view(np.uint32), b.view(np.uint32)]
    two = ["i32", "i32"]
    with np.errstate(over="ignore"):
        assert (run(air, "abs.s.i32", "i32", ["i32"], [a], np.zeros_like(a)) == np.abs(a)).all()
    assert (run(air, "min.s.i32", "i32", two, [a, b], np.zeros_like(a)) == np.minimum(a, b)).all()
    assert (run(air, "max.u.i32", "i32", two, unsigned, np.zeros(7, np.uint32)) == np.maximum(*unsigned)).all()
    assert (
        run(air, "min3.s.i32", "i32", ["i32"] * 3, [a, b, b - 1], np.zeros_like(a))
        == np.minimum(np.minimum(a, b), b - 1)
    ).all()
    clamped = run(air, "clamp.s.i32", "i32", ["i32"] * 3, [a, a * 0 - 5, a * 0 + 9], np.zeros_like(a))
    assert (clamped == np.clip(a, -5, 9)).all()
    high = run(air, "mul_hi.s.i32", "i32", two, [a, b], np.zeros_like(a))
    assert (high == (a.astype(np.int64) * b >> 32)).all()
    high = run(air, "mul_hi.u.i32", "i32", two, unsigned, np.zeros(7, np.uint32))
    assert (high == (unsigned[0].astype(np.uint64) * unsigned[1] >> 32)).all()
    counts = run(air, "popcount.i32", "i32", ["i32"], [a], np.zeros_like(a))
    assert counts.tolist() == [int(value).bit_count() for value in a.view(np.uint32)]
    zeros = run(air, "clz.i32", "i32", ["i32"], [a], np.zeros_like(a))
    assert zeros.tolist() == [32 - int(value).bit_length() for value in a.view(np.uint32)]
    reversed_bits = run(air, "reverse_bits.i32", "i32", ["i32"], [a], np.zeros_like(a))
    assert reversed_bits.view(np.uint32).tolist() == [int(f"{value:032b}"[::-1], 2) for value in a.view(np.uint32)]


CONVERSIONS = [
    ("convert.f.f32.s.i32", "float", "i32", INTEGERS, lambda x: x.astype(np.float32)),
    ("convert.f.f16.u.i16", "half", "i16", np.array([0, 1, 2049, 60000], np.uint16), lambda x: x.astype(np.float16)),
    ("convert.s.i32.f.f32", "i32", "float", FLOATS, lambda x: truncated(x, np.int32)),
    ("convert.u.i8.f.f32", "i8", "float", FLOATS, lambda x: truncated(x, np.uint8)),
    ("convert.s.i64.s.i16", "i64", "i16", np.array([-5, 7], np.int16), lambda x: x.astype(np.int64)),
    ("convert.u.i16.u.i32", "i16", "i32", np.array([70000, 5], np.uint32), lambda x: x.astype(np.uint16)),
    ("convert.f.f16.f.f32", "half", "float", UNIT, lambda x: x.astype(np.float16)),
    ("convert.f.f32.f.f16", "float", "half", UNIT.astype(np.float16), lambda x: x.astype(np.float32)),
]


@pytest.mark.parametrize(("name", "result", "kind", "x", "expected"), CONVERSIONS, ids=[row[0] for row in CONVERSIONS])
def test_conversions(air, name, result, kind, x, expected):
    wanted = expected(x)
    np.testing.assert_array_equal(run(air, name, result, [kind], [x], np.zeros_like(wanted)), wanted)


def test_what_is_not_zero_is_true(air):
    text = """
declare i1 @air.convert.u.i1.f.f32(float)
define void @truth(ptr addrspace(1) %out, ptr addrspace(1) %x, i32 %i) {
  %p = getelementptr float, ptr addrspace(1) %x, i32 %i
  %v = load float, ptr addrspace(1) %p
  %t = call i1 @air.convert.u.i1.f.f32(float %v)
  %b = zext i1 %t to i8
  %q = getelementptr i8, ptr addrspace(1) %out, i32 %i
  store i8 %b, ptr addrspace(1) %q
  ret void
}
"""
    described = [air.buffer(0, 0, size=1), air.buffer(1, 1), air.quantity(2, "thread_position_in_grid")]
    out = np.zeros(len(FLOATS), bool)
    smelt.metal.library(air.metallib((air.with_kernel(text, "truth", described), "truth"))).function("truth")(
        {0: out, 1: FLOATS}, threads=len(FLOATS)
    )
    assert (out == FLOATS.astype(bool)).all()


ATOMICS = {
    "add.s.i32": np.add,
    "sub.u.i32": np.subtract,
    "min.s.i32": np.minimum,
    "max.u.i32": np.maximum,
    "and.s.i32": np.bitwise_and,
    "or.u.i32": np.bitwise_or,
    "xor.s.i32": np.bitwise_xor,
    "xchg.i32": lambda _, y: y,
}


@pytest.mark.parametrize("name", ATOMICS)
def test_atomic_operations_return_what_was_there(air, name):
    text = f"""
declare i32 @air.atomic.global.{name}(ptr addrspace(1), i32, i32, i32, i1)
define void @atomic(ptr addrspace(1) %x, ptr addrspace(1) %old, i32 %i) {{
  %v = add i32 %i, 3
  %o = call i32 @air.atomic.global.{name}(ptr addrspace(1) %x, i32 %v, i32 0, i32 2, i1 true)
  %p = getelementptr i32, ptr addrspace(1) %old, i32 %i
  store i32 %o, ptr addrspace(1) %p
  ret void
}}
"""
    described = [air.buffer(0, 0), air.buffer(1, 1), air.quantity(2, "thread_position_in_grid")]
    kernel = smelt.metal.library(air.metallib((air.with_kernel(text, "atomic", described), "atomic"))).function(
        "atomic"
    )
    x, old = np.array([5], np.int32), np.zeros(4, np.int32)
    kernel({0: x, 1: old}, threads=4)
    value = np.int32(5)
    for number in range(4):
        assert old[number] == value
        value = ATOMICS[name](value, np.int32(number + 3))
    assert x[0] == value


def test_a_float_is_added_and_a_word_exchanged_if_it_is_the_expected_one(air):
    text = """
declare float @air.atomic.global.add.f32(ptr addrspace(1), float, i32, i32, i1)
declare i32 @air.atomic.global.cmpxchg.weak.i32(ptr addrspace(1), ptr, i32, i32, i32, i32, i1)
declare i32 @air.atomic.global.load.i32(ptr addrspace(1), i32, i32, i1)
declare void @air.atomic.global.store.i32(ptr addrspace(1), i32, i32, i32, i1)
define void @both(ptr addrspace(1) %sum, ptr addrspace(1) %word, i32 %i) {
  %e = alloca i32
  %now = call i32 @air.atomic.global.load.i32(ptr addrspace(1) %word, i32 0, i32 2, i1 true)
  %wrong = xor i32 %now, 1
  store i32 %wrong, ptr %e
  %n = add i32 %now, 10
  %o = call i32 @air.atomic.global.cmpxchg.weak.i32(ptr addrspace(1) %word, ptr %e, i32 99, i32 0, i32 0, i32 2, i1 true)
  %o2 = call i32 @air.atomic.global.cmpxchg.weak.i32(ptr addrspace(1) %word, ptr %e, i32 %n, i32 0, i32 0, i32 2, i1 true)
  %f = uitofp i32 %i to float
  %old = call float @air.atomic.global.add.f32(ptr addrspace(1) %sum, float %f, i32 0, i32 2, i1 true)
  %second = getelementptr i32, ptr addrspace(1) %word, i32 1
  call void @air.atomic.global.store.i32(ptr addrspace(1) %second, i32 %o2, i32 0, i32 2, i1 true)
  ret void
}
"""
    described = [air.buffer(0, 0), air.buffer(1, 1), air.quantity(2, "thread_position_in_grid")]
    kernel = smelt.metal.library(air.metallib((air.with_kernel(text, "both", described), "both"))).function("both")
    total, word = np.zeros(1, np.float32), np.zeros(2, np.int32)
    kernel({0: total, 1: word}, threads=5)
    assert (total[0], word.tolist()) == (10, [50, 40])


def test_declarations_are_understood_with_their_attributes():
    line = "declare float @air.sincos.f32(float noundef, ptr captures(none) writeonly) local_unnamed_addr #3"
    assert declaration_of(line) == Declaration("air.sincos.f32", "float", ("float", "ptr"))
    assert declaration_of("declare void @llvm.assume(i1 noundef)") is None
    assert definition_of(Declaration("air.simd_sum.f32", "float", ("float",))) is None


FOLDER = os.environ.get("SMELT_TEST_METALLIBS", "")


@pytest.mark.skipif(not FOLDER, reason="SMELT_TEST_METALLIBS names no folder with metallibs of Apple's toolchain")
def test_kernels_of_apples_toolchain_run():
    a, b = np.arange(10, dtype=np.float32), np.linspace(1, 2, 10, dtype=np.float32)
    files = sorted(Path(FOLDER).glob("constants.*.metallib"))
    assert files
    for path in files:
        c = np.zeros(10, np.float32)
        smelt.metal.library(path).function("vadd", {"foo": 2.5, "bar": 0.5})({0: a, 1: b, 2: c}, threads=10)
        np.testing.assert_allclose(c, a * 2.5 + b + 0.5, rtol=1e-6)


def test_reading_a_library_needs_no_llvm():
    program = "import sys, smelt.targets.metal.metallib; print('llvmlite' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
