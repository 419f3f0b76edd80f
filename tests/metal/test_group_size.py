# SPDX-License-Identifier: Apache-2.0
"""Kernels for Metal whose groups have a size that is known when they are compiled."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest

import smelt
from smelt import knobs
from smelt.launch.errors import LaunchError

pytestmark = pytest.mark.once

SOFTWARE = "metal:software"
KINDS = (smelt.float32[:], smelt.float32[:])
DISASSEMBLER = shutil.which("llvm-dis-14")


@pytest.fixture(autouse=True)
def _on_metal():
    with knobs.DEVICE.set(SOFTWARE):
        yield
    smelt.synchronize()


@smelt.kernel(threads_per_threadgroup=(16, 2))
def reversed_groups(out, x):
    shared = smelt.threadgroup_array(32, smelt.float32)
    number = smelt.thread_index_in_threadgroup()
    j = smelt.grid(2)[1]
    size = smelt.threads_per_threadgroup()
    place = (j // size.y * size.x * size.y) + number
    shared[number] = x[place]
    smelt.threadgroup_barrier()
    out[place] = shared[31 - number]


@smelt.kernel
def sizes(out, x):
    out[smelt.grid(1)] = smelt.threads_per_threadgroup().x + x[smelt.grid(1)]


def test_devices_are_told_how_many_threads_a_group_has_at_most():
    assert smelt.metal.mtlfunction(reversed_groups, KINDS).max_threads == 32
    assert smelt.metal.mtlfunction(sizes, KINDS).max_threads == 1024


def test_the_description_is_the_one_that_apples_compiler_writes():
    text = smelt.code_air(reversed_groups, KINDS)
    assert '!{!"air.max_work_group_size", i32 32}' in text
    assert '"max-work-group-size"="32"' in text
    assert "max-work-group-size" not in smelt.code_air(sizes, KINDS)


def test_sizes_are_constants():
    text = smelt.code_air(reversed_groups, KINDS)
    assert "extractelement <3 x i32> %dispatch_threads_per_threadgroup" not in text
    assert "extractelement <3 x i32> %dispatch_threads_per_threadgroup" in smelt.code_air(sizes, KINDS)


@pytest.mark.skipif(DISASSEMBLER is None, reason="LLVM 14's llvm-dis-14 is missing: install Debian's package llvm-14")
def test_llvm_14_reads_it(tmp_path):
    path = tmp_path / "kernel.air"
    path.write_bytes(reversed_groups.compile(*KINDS, target="metal").air)
    text = subprocess.run([DISASSEMBLER, "-o", "-", path], capture_output=True, text=True, check=True).stdout
    assert '"max-work-group-size"="32"' in text


def test_launches_are_in_groups_of_that_size():
    x = np.arange(128, dtype=np.float32)
    expected = x.reshape(4, 32)[:, ::-1].reshape(-1)
    launches = (
        reversed_groups.over(16, 8),
        reversed_groups.configure((1, 4)),
        reversed_groups[(1, 4), (16, 2)],
    )
    for launch in launches:
        out = np.zeros_like(x)
        launch(out, x)
        np.testing.assert_array_equal(out, expected)


def test_a_linked_kernel_knows_its_size():
    x = np.zeros(48, np.float32)
    linked = smelt.metal.mtlfunction(sizes, KINDS, threads_per_threadgroup=24)
    assert linked is smelt.metal.mtlfunction(sizes, KINDS, threads_per_threadgroup=24)
    assert linked is not smelt.metal.mtlfunction(sizes, KINDS)
    assert linked.max_threads == 24
    for given in ({}, {"threads": 24}):
        out = np.zeros(48, np.float32)
        linked(out, x, groups=2, **given)
        assert out.tolist() == [24.0] * 48
    with pytest.raises(
        LaunchError, match=r"sizes is compiled for groups of 24 threads \(threads_per_threadgroup\), not of 12"
    ):
        linked(x, x, groups=4, threads=12)
    out = np.zeros(1, np.float32)
    smelt.metal.mtlfunction(sizes, KINDS)(out, x[:1])
    assert out.tolist() == [1.0]


def test_groups_of_another_size_are_refused():
    with pytest.raises(LaunchError, match=r"reversed_groups is compiled for groups of \(16, 2\) threads .*, not of 32"):
        reversed_groups[4, 32]


def test_another_size_is_another_artifact():
    made = []
    end = smelt.on_compile(lambda job: made.append((job.config.target.name, job.config.threads_per_threadgroup)))
    first = sizes.compile(*KINDS, target="metal", threads_per_threadgroup=7)
    assert sizes.compile(*KINDS, target="metal", threads_per_threadgroup=(7, 1, 1)) is first
    second = sizes.compile(*KINDS, target="metal", threads_per_threadgroup=9)
    end()
    assert first.metallib != second.metallib
    assert made == [("metal", (7, 1, 1)), ("metal", (9, 1, 1))]
