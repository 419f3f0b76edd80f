# SPDX-License-Identifier: Apache-2.0
"""Artifacts of kernels: for levels of processors, for other machines, and loaded in a process that has no compiler."""

from __future__ import annotations

import dataclasses
import math
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import smelt
from smelt._wiring import jobs
from smelt.caching import portable_state
from smelt.launch import Kernel
from smelt.targets.native.errors import LinkError
from smelt.targets.native.kernels.loading import link
from smelt.targets.native.processors.host import host_machine
from smelt.targets.native.target import host_target, target_named

pytestmark = pytest.mark.once

is_x86_64 = platform.machine().lower() in ("x86_64", "amd64")
needs_x86_64 = pytest.mark.skipif(not is_x86_64, reason="this processor is no x86-64")

FOREIGN = "native:aarch64" if is_x86_64 else "native:x86-64"


@smelt.kernel
def mixed(out: Any, x: Any, n: Any) -> None:
    i = smelt.grid(1)
    value = math.sin(x[i]) * x[i]
    match (i + n) % 6:
        case 0:
            value += 1.5
        case 1:
            value = math.sqrt(abs(value))
        case 2:
            value = math.fmod(value, 0.25)
        case 3:
            value -= 4.5
        case 4:
            value = value / (x[i] + 5)
        case _:
            value = 0.0
    out[i] = value


@smelt.kernel
def reversed_in_groups(out: Any, x: Any) -> None:
    shared = smelt.threadgroup_array(64, smelt.float32)
    i = smelt.grid(1)
    inner = smelt.thread_position_in_threadgroup().x
    shared[inner] = x[i]
    smelt.threadgroup_barrier()
    out[i] = shared[63 - inner] + smelt.simd_sum(x[i])


@smelt.kernel
def arithmetic(out: Any, x: Any, y: Any) -> None:
    i = smelt.grid(1)
    out[i] = x[i] * y[i] + x[i]


@smelt.kernel
def converted(out: Any, x: Any) -> None:
    i = smelt.grid(1)
    out[i] = x[i]


@smelt.kernel
def negative_root(out: Any) -> None:
    out[0] = 1 // (out[1] - out[1])


def for_target(kernel: Any, target: str) -> Any:
    """A kernel as it would be on another processor, to be launched here."""
    config = dataclasses.replace(kernel.config, target=target_named(target))
    return Kernel(kernel.function, config, jobs)


LEVELS = ["native:x86-64", "native:x86-64-v2", "native:host"] if is_x86_64 else ["native:aarch64", "native:host"]


@pytest.mark.parametrize("target", LEVELS[-2:])
def test_code_for_a_lower_level_computes_the_same(target: str) -> None:
    x = np.linspace(-3, 3, 1024)
    found, expected = np.zeros((2, 1024))
    for_target(mixed, target)[1024](found, x, 1)
    mixed[1024](expected, x, 1)
    # Where there is no instruction for it, multiplication and addition are not one.
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-15)
    single = x.astype(np.float32)
    together, others = np.zeros((2, 1024), np.float32)
    for_target(reversed_in_groups, target)[16, 64](together, single)
    reversed_in_groups[16, 64](others, single)
    assert together.tolist() == others.tolist()
    with pytest.raises(ZeroDivisionError):
        for_target(negative_root, target)[1](np.zeros(2, np.int64))


EVERY_HALF = np.arange(1 << 16, dtype=np.uint16)


def same(found: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> bool:
    """Whether they have the same bits, but for what is no number."""
    bits = np.dtype(f"u{found.dtype.itemsize}")
    both_nan = np.isnan(found) & np.isnan(expected)
    return bool(np.all((found.view(bits) == expected.view(bits)) | both_nan))


def edges(dtype: Any) -> np.ndarray[Any, Any]:
    """All numbers of a narrow type, those half-way between neighbours, and the neighbours of these, as doubles."""
    with np.errstate(all="ignore"):
        narrow = EVERY_HALF.view(dtype).astype(np.float64)
        above = (EVERY_HALF + np.uint16(1)).view(dtype).astype(np.float64)
        half_way = (narrow + above) / 2
        return np.concatenate([narrow, half_way, np.nextafter(half_way, np.inf), np.nextafter(half_way, -np.inf)])


@pytest.mark.parametrize("target", LEVELS)
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_narrow_floats_are_converted_without_instructions_for_it(target: str, dtype: Any) -> None:
    kernel = for_target(converted, target)
    narrow = EVERY_HALF.view(dtype)
    for wide in (np.float32, np.float64):
        out = np.zeros(narrow.size, wide)
        kernel[narrow.size](out, narrow)
        with np.errstate(all="ignore"):
            assert same(out, narrow.astype(wide))
        if dtype is np.float16:
            quiet = 1 << 22 if wide is np.float32 else 1 << 51
            assert np.all(out.view(f"u{out.itemsize}")[np.isnan(out)] & quiet)
    doubles = edges(dtype)
    with np.errstate(all="ignore"):
        singles = doubles.astype(np.float32)
    rounded = np.zeros(doubles.size, dtype)
    kernel[doubles.size](rounded, singles)
    with np.errstate(all="ignore"):
        assert same(rounded, singles.astype(dtype))
    kernel[doubles.size](rounded, doubles)
    with np.errstate(all="ignore"):
        assert same(rounded, nearest(doubles, dtype))


def nearest(doubles: np.ndarray[Any, Any], dtype: Any) -> np.ndarray[Any, Any]:
    """Doubles rounded once. ml_dtypes rounds to float32 first, so that is told here which way to go."""
    if dtype is np.float16:
        return doubles.astype(dtype)
    singles = doubles.astype(np.float32)
    back = singles.astype(np.float64)
    # Round to odd: what was rounded away shows in the last bit.
    bits = singles.view(np.uint32)
    towards_zero = np.where(np.abs(back) > np.abs(doubles), bits - 1, bits)
    odd = np.where((back != doubles) & ~np.isnan(doubles), towards_zero | 1, bits)
    return odd.astype(np.uint32).view(np.float32).astype(dtype)


@pytest.mark.parametrize("target", LEVELS)
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_narrow_floats_are_computed_with(target: str, dtype: Any) -> None:
    x = np.linspace(-3, 3, 301).astype(dtype)
    out = np.zeros(301, dtype)
    for_target(arithmetic, target)[301](out, x, x[::-1].copy())
    assert out.tolist() == ((x * x[::-1]) + x).tolist()


@needs_x86_64
def test_a_kernel_brings_the_conversions_that_its_processor_lacks() -> None:
    half, double = smelt.float16[:], smelt.float64[:]
    assert converted.compile(half, double, target="native:x86-64-v2").relocations == ()
    assert converted.compile(half, double, target="native:x86-64-v3").relocations == ()
    without = converted.compile(double, double, target="native:x86-64-v2")
    assert len(converted.compile(half, double, target="native:x86-64-v2").code) > len(without.code) + 300


# For other machines


@pytest.mark.parametrize(
    ("target", "machine"),
    [
        ("native:x86-64-v4", "x86-64"),
        ("native:x86-64-v3:windows", "x86-64"),
        ("native:aarch64", "aarch64"),
        ("native:apple-m1", "aarch64"),
    ],
)
def test_a_kernel_is_compiled_for_another_machine_and_not_loaded(target: str, machine: str) -> None:
    kinds = (smelt.float64[:], smelt.float64[:])
    results = reversed_in_groups.compile(*kinds, target=target)
    assert (results.machine, results.kernel) == (machine, None)
    assert results.processor == target.split(":")[1]
    assert {"free", "malloc"} <= set(results.relocations)
    assert reversed_in_groups.compile(*kinds, target=target) is results


def test_what_is_compiled_for_another_machine_is_not_loaded() -> None:
    with pytest.raises(LinkError, match=f"this code is for {FOREIGN[7:]}; this processor is {host_machine()}"):
        for_target(mixed, FOREIGN)[8](np.zeros(8), np.zeros(8), 1)
    results = mixed.compile(smelt.float64[:], smelt.float64[:], int, target=FOREIGN)
    with pytest.raises(LinkError, match="this code is for"):
        link(results)
    assert results.kernel is None


def test_compiling_for_the_host_by_name_is_compiling_for_the_host() -> None:
    kinds = (smelt.float64[:], smelt.float64[:], int)
    loaded = mixed.compile(*kinds)
    assert mixed.compile(*kinds, target="native:host") is loaded
    assert mixed.compile(*kinds, target="native:" + host_target().cpu) is loaded
    assert loaded.kernel is not None


def test_options_take_the_place_of_the_kernels_own() -> None:
    kinds = (smelt.float32[:], smelt.float32[:], smelt.float32[:])
    unchecked = arithmetic.compile(*kinds, boundscheck=False)
    assert (unchecked.error_sites, len(arithmetic.compile(*kinds).error_sites) > 0) == ((), True)
    assert arithmetic.compile(*kinds, boundscheck=False) is unchecked


def test_a_target_or_an_option_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no processor 'x86-64-v9'; write one of x86-64,"):
        mixed.compile(smelt.float64[:], smelt.float64[:], int, target="native:x86-64-v9")
    with pytest.raises(TypeError, match="speed"):
        mixed.compile(smelt.float64[:], smelt.float64[:], int, speed=1)


# In a process that has no compiler


LOADED = """
import ast, sys
import numpy as np
from smelt.caching import restore
from smelt.launch.arguments import packer
from smelt.targets.native.kernels.loading import link
from smelt.targets.native.results import NativeResults
from smelt.types import float64, typeof

with open(sys.argv[1], encoding="utf-8") as file:
    results = restore(NativeResults, ast.literal_eval(file.read()))
link(results)
x, out = np.linspace(-3, 3, 64), np.zeros(64)
values = (out, x, 1)
failure = results.kernel.launch((64, 1, 1), (64, 1, 1), 0, packer([typeof(value) for value in values])(values))
assert failure is None, failure
print(out.tolist())
compiler = ("llvmlite", "smelt.inference", "smelt.lowering", "smelt.frontend", "smelt.driver", "smelt.targets.native.kernels.compilation",
            "smelt.targets.native.backend", "smelt.targets.native.machine_code.code_generation", "smelt.targets.native.machine_code.flattening")
assert not [name for name in sys.modules if name.startswith(compiler)], sorted(sys.modules)
"""


def test_an_artifact_is_loaded_and_run_without_a_compiler(tmp_path: Path) -> None:
    x, out = np.linspace(-3, 3, 64), np.zeros(64)
    mixed[64](out, x, 1)
    state = portable_state(mixed.compile(*map(smelt.types.typeof, (out, x, 1))))
    file = tmp_path / "artifact"
    file.write_text(repr(state), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LOADED, file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(out.tolist())
