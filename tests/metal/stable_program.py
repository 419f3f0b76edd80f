# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: T201 - a program, which prints
"""Prints the digests of metallibs that are compiled anew: of kernels of smelt's, and of AIR that is written by hand."""

import hashlib
import importlib.util
import math
from pathlib import Path

import smelt

specification = importlib.util.spec_from_file_location("air_modules", Path(__file__).with_name("air_modules.py"))
air = importlib.util.module_from_spec(specification)
specification.loader.exec_module(air)

TABLE = (1.5, 2.5, 3.5)


def wave(x):
    return math.sin(x) * TABLE[1]


@smelt.kernel
def waves(out, x):
    i = smelt.grid(1)
    if i < out.size:
        out[i] = wave(x[i])


@smelt.kernel
def sums(out, x):
    shared = smelt.threadgroup_array(64, smelt.float32)
    i = smelt.thread_position_in_threadgroup().x
    shared[i] = x[smelt.grid(1)]
    smelt.threadgroup_barrier()
    if i == 0:
        total = 0.0
        for k in range(64):
            total += shared[k]
        out[smelt.threadgroup_position_in_grid().x] = total


ARRAY = smelt.float32[:]
TEXT = """
@a = internal addrspace(2) constant [2 x float] [float 1.0, float 2.0]
declare float @air.fmax.f32(float, float)
declare float @air.sin.f32(float)
define void @k(ptr addrspace(1) %x, i32 %i) {
  %p = getelementptr inbounds float, ptr addrspace(1) %x, i32 %i
  %t = getelementptr inbounds [2 x float], ptr addrspace(2) @a, i32 0, i32 %i
  %b = load float, ptr addrspace(2) %t
  %s = call float @air.sin.f32(float %b)
  %m = call float @air.fmax.f32(float %s, float 0.5)
  store float %m, ptr addrspace(1) %p, align 4
  ret void
}
"""


def shown(data):
    print(hashlib.sha256(data).hexdigest())


for kernel in (waves, sums):
    shown(kernel.compile(ARRAY, ARRAY, target="metal:macos=14").metallib)
shown(waves.compile(ARRAY, ARRAY, target="metal:macos=26").metallib)
arguments = [air.buffer(0, 0, "x"), air.quantity(1, "thread_position_in_grid")]
shown(air.metallib((air.with_kernel(TEXT, "k", arguments), "k")))
