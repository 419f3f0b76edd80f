# SPDX-License-Identifier: Apache-2.0
"""What entry points do for kernels of AIR, as LLVM IR."""

from __future__ import annotations

import re

import pytest

import smelt
from smelt.lowering.llvm import optimise, parsed, run_passes
from smelt.targets.metal.devices.software import compilation
from smelt.targets.native.machine_code.code_generation import machine_for
from smelt.targets.native.target import host_target

pytestmark = pytest.mark.once

WAITS = """
declare float @air.simd_sum.f32(float) convergent
define void @waits(ptr addrspace(1) %x, i32 %i, i32 %inner, i32 %simdgroup) {
  %p = getelementptr float, ptr addrspace(1) %x, i32 %i
  %v = load float, ptr addrspace(1) %p
  %a = call float @air.simd_sum.f32(float %v)
  %q = getelementptr float, ptr addrspace(1) %x, i32 %inner
  store float %a, ptr addrspace(1) %q
  %b = call float @air.simd_sum.f32(float %a)
  %r = getelementptr float, ptr addrspace(1) %x, i32 %simdgroup
  store float %b, ptr addrspace(1) %r
  ret void
}
"""


def test_a_coroutine_keeps_its_place_in_the_group_and_computes_it_once(air, monkeypatch):
    texts = []
    code_of = compilation.code_of
    monkeypatch.setattr(
        compilation, "code_of", lambda text, **options: [texts.append(text), code_of(text, **options)][1]
    )
    arguments = [
        *(air.buffer(0, 0, "x"), air.quantity(1, "thread_position_in_grid")),
        *(air.quantity(2, "thread_index_in_threadgroup"), air.quantity(3, "simdgroup_index_in_threadgroup")),
    ]
    data = air.metallib((air.with_kernel(WAITS, "waits", arguments), "waits"))
    smelt.metal.library(data, device="metal:software").function("waits")
    machine = machine_for(host_target(), opt_level=1)
    module = parsed(texts[0], machine)
    optimise(module, machine, 0)
    run_passes(module, ("instruction_combine", "simplify_cfg"), machine)
    resumed = re.search(r"^define [^\n]*@thread\.resume\(.*?^}", str(module), re.MULTILINE | re.DOTALL)
    assert resumed is not None
    # One for each axis of the group.
    assert len(re.findall(r" = u(?:div|rem) ", texts[0])) == 3
    assert len(re.findall(r" = u(?:div|rem) ", resumed[0])) == 3
