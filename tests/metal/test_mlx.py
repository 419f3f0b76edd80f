# SPDX-License-Identifier: Apache-2.0
"""Kernels that Apple's toolchain made: those of MLX, of the public wheel `mlx-metal`, which is downloaded for it."""

from __future__ import annotations

import subprocess
import sys
import zipfile

import numpy as np
import pytest

import smelt
from smelt.targets.metal.metallib import Library, read_metallib, write_metallib

pytestmark = pytest.mark.once

WHEEL = "mlx-metal==0.32.4"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mlx")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", folder]
    done = subprocess.run(
        [*command, "--platform=macosx_14_0_arm64", WHEEL], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"{WHEEL} could not be downloaded: {done.stderr.strip().splitlines()[-1:]}")
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as files:
        (name,) = [name for name in files.namelist() if name.endswith(".metallib")]
        return files.read(name)


@pytest.fixture(scope="module")
def mlx(data):
    """Those kernels that are run here, as a library of their own."""
    whole = read_metallib(data)
    names = {"arangefloat32", "v_Expfloat32float32", "v_copyfloat32float16", "vv_Powerfloat32", "block_softmax_float32"}
    names |= {"rmsfloat32", "all_reduce_sumfloat32"}
    chosen = Library([function for function in whole.functions if function.name in names], system=whole.system)
    return smelt.metal.library(write_metallib(chosen))


def test_the_library_comes_back_byte_for_byte(data):
    assert write_metallib(read_metallib(data)) == data


def test_element_by_element(mlx):
    count = np.uint32(1000)
    x = np.random.default_rng(0).random(1000, dtype=np.float32)
    y, z, half, steps = np.zeros_like(x), np.zeros_like(x), np.zeros(1000, np.float16), np.zeros(10, np.float32)
    mlx.function("arangefloat32")({0: np.float32(3), 1: np.float32(0.5), 2: steps}, threads=10)
    assert (steps == np.arange(3, 8, 0.5)).all()
    mlx.function("v_Expfloat32float32")({0: x, 1: y, 2: count}, threads=1000)
    np.testing.assert_allclose(y, np.exp(x), rtol=1e-6)
    mlx.function("v_copyfloat32float16")({0: x, 1: half, 2: count}, threads=1000)
    assert (half == x.astype(np.float16)).all()
    mlx.function("vv_Powerfloat32")({0: x, 1: y, 2: z, 3: count}, threads=1000)
    np.testing.assert_allclose(z, x**y, rtol=1e-6)


def test_softmax_norm_and_sum_with_threads_that_work_together(mlx):
    rng = np.random.default_rng(1)
    x, weights, out = (
        rng.standard_normal((5, 300), dtype=np.float32),
        rng.random(300, dtype=np.float32),
        np.zeros((5, 300), np.float32),
    )
    groups = {"threadgroups": 5, "threads_per_threadgroup": 96}
    mlx.function("block_softmax_float32")({0: x, 1: out, 2: np.int32(300)}, **groups)
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    np.testing.assert_allclose(out, powers / powers.sum(axis=1, keepdims=True), rtol=1e-5)
    buffers = {0: x, 1: weights, 2: out, 3: np.float32(1e-5), 4: np.uint32(300), 5: np.uint32(1)}
    mlx.function("rmsfloat32")(buffers, **groups)
    np.testing.assert_allclose(out, weights * x / np.sqrt((x * x).mean(axis=1, keepdims=True) + 1e-5), rtol=1e-5)
    total = np.zeros(1, np.float32)
    buffers = {0: x, 1: total, 2: np.uint64(1500), 3: np.uint64(1500)}
    mlx.function("all_reduce_sumfloat32")(buffers, threadgroups=1, threads_per_threadgroup=128)
    np.testing.assert_allclose(total[0], x.sum(dtype=np.float64), rtol=1e-5, atol=1e-3)
