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
GEMM = "steel_gemm_fused_nn_float32_float32_bm64_bn64_bk16_wm2_wn2"
GEMV = "gemv_float32_bm1_bn8_sm1_sn32_tm4_tn4_nc0_axpby0"


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
    names |= {"rmsfloat32", "all_reduce_sumfloat32", "gg2_copyfloat32float32", "arangeint32", "layer_normfloat32"}
    names |= {"c_block_sort_float32_float32_bn64_tn4", "carg_block_sort_float32_uint32_bn64_tn4", GEMV, GEMM}
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


def test_copies_with_strides(mlx):
    x = np.random.default_rng(2).random((7, 5), dtype=np.float32)
    out = np.zeros((5, 7), np.float32)
    buffers = {0: x, 1: out, 3: np.array([1, 5]), 4: np.array([7, 1])}
    mlx.function("gg2_copyfloat32float32")(buffers, threads=(7, 5), threads_per_threadgroup=(4, 4))
    assert (out == x.T).all()
    steps = np.zeros(9, np.int32)
    mlx.function("arangeint32")({0: np.int32(-4), 1: np.int32(3), 2: steps}, threads=9)
    assert (steps == np.arange(-4, 23, 3)).all()


def test_sorting(mlx):
    x = np.random.default_rng(3).standard_normal((3, 200), dtype=np.float32)
    out, order = np.zeros_like(x), np.zeros(x.shape, np.uint32)
    sizes = {2: np.int32(200), 3: np.int32(1), 4: np.int32(1), 5: np.int32(200), 6: np.int32(200)}
    groups = {"threadgroups": (1, 3, 1), "threads_per_threadgroup": 64}
    mlx.function("c_block_sort_float32_float32_bn64_tn4")({0: x, 1: out, **sizes}, **groups)
    assert (out == np.sort(x, axis=1)).all()
    mlx.function("carg_block_sort_float32_uint32_bn64_tn4")({0: x, 1: order, **sizes}, **groups)
    assert (order == np.argsort(x, axis=1)).all()


def test_a_matrix_times_a_vector(mlx):
    rng = np.random.default_rng(4)
    matrix, vector, out = rng.random((30, 260), np.float32), rng.random(260, np.float32), np.zeros(30, np.float32)
    sizes = {4: np.int32(260), 5: np.int32(30), 6: np.int32(260), 9: np.int32(1), 10: np.array([1], np.int32)}
    strides = {11: np.array([0]), 12: np.array([0])}
    buffers = {0: matrix, 1: vector, 3: out, **sizes, **strides}
    mlx.function(GEMV)(buffers, threadgroups=(8, 1, 1), threads_per_threadgroup=(32, 8, 1))
    np.testing.assert_allclose(out, matrix @ vector, rtol=1e-5)


def test_a_product_of_matrices_that_fill_no_tiles(mlx):
    rows, columns, inner = 70, 50, 37
    rng = np.random.default_rng(5)
    a, b = rng.standard_normal((rows, inner), np.float32), rng.standard_normal((inner, columns), np.float32)
    out = np.zeros((rows, columns), np.float32)
    tiles = -(-columns // 64), -(-rows // 64)
    numbers = np.array([rows, columns, inner, inner, columns, columns, *tiles], np.int32)
    strides, rest = np.array([a.size, b.size, out.size]), np.array([0, inner // 16, 1, 0], np.int32)
    parameters = b"".join(part.tobytes() for part in (numbers, strides, rest))
    constants = {"has_batch": False, "use_out_source": False, "do_axpby": False}
    constants |= dict.fromkeys(("align_M", "align_N", "align_K"), False)
    product = mlx.function(GEMM, constants)
    product({0: a, 1: b, 3: out, 4: parameters}, threadgroups=(*tiles, 1), threads_per_threadgroup=(32, 2, 2))
    np.testing.assert_allclose(out, a @ b, rtol=1e-4, atol=1e-4)


def test_a_layer_norm(mlx):
    rng = np.random.default_rng(6)
    x, out = rng.standard_normal((4, 300), np.float32), np.zeros((4, 300), np.float32)
    w, b = rng.random(300, np.float32), rng.random(300, np.float32)
    buffers = {0: x, 1: w, 2: b, 3: out, 4: np.float32(1e-5), 5: np.uint32(300), 6: np.uint32(1), 7: np.uint32(1)}
    mlx.function("layer_normfloat32")(buffers, threadgroups=4, threads_per_threadgroup=64)
    centred = x - x.mean(axis=1, keepdims=True)
    expected = centred / np.sqrt(x.var(axis=1, keepdims=True) + 1e-5) * w + b
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-5)


def test_what_its_kernels_do_is_no_race(data):
    # The sums over rows use simdgroups and threadgroup memory in all the ways that there are.
    names = {"block_softmax_float32", "rmsfloat32", "c_block_sort_float32_float32_bn64_tn4"}
    whole = read_metallib(data)
    chosen = Library([function for function in whole.functions if function.name in names], system=whole.system)
    library = smelt.metal.library(write_metallib(chosen), checks=smelt.metal.Checks(races=True))
    x = np.random.default_rng(7).standard_normal((2, 200), dtype=np.float32)
    out = np.zeros_like(x)
    library.function("block_softmax_float32")(
        {0: x, 1: out, 2: np.int32(200)}, threadgroups=2, threads_per_threadgroup=64
    )
    np.testing.assert_allclose(out.sum(axis=1), 1, rtol=1e-5)
    sizes = {2: np.int32(200), 3: np.int32(1), 4: np.int32(1), 5: np.int32(200), 6: np.int32(200)}
    sort = library.function("c_block_sort_float32_float32_bn64_tn4")
    sort({0: x, 1: out, **sizes}, threadgroups=(1, 2, 1), threads_per_threadgroup=64)
    assert (out == np.sort(x, axis=1)).all()
