# SPDX-License-Identifier: Apache-2.0
"""What becomes of kernels whose threads work together: typed programs, LLVM IR, artifacts, and groups in any order."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import smelt
import smelt.driver.pipeline
import smelt.ir.verifier
from smelt._wiring import driver
from smelt.compiler.config import CompilerJob
from smelt.targets.native.words import LAUNCH_WORDS

pytestmark = pytest.mark.once


def waits(shared: Any, i: Any) -> Any:
    shared[i % 8] = i
    smelt.threadgroup_barrier()
    return shared[7 - i % 8]


def does_not_wait(x: Any, i: Any) -> Any:
    return x[i] + 1


@smelt.kernel
def together(x: Any) -> None:
    shared = smelt.threadgroup_array(8, smelt.int32)
    own = smelt.thread_array(2, smelt.int32)
    i = smelt.grid(1)
    own[0] = waits(shared, i)
    smelt.atomic_add(x, i, own[0] + does_not_wait(x, i))
    smelt.atomic_compare_exchange(x, i, -1, smelt.simd_sum(smelt.simd_shuffle(x[i], 0)))


@smelt.kernel
def alone(x: Any) -> None:
    own = smelt.thread_array(2, smelt.int32)
    i = smelt.grid(1)
    own[0] = smelt.thread_index_in_simdgroup()
    smelt.atomic_add(x, i, own[0])


KINDS = (smelt.int32[:],)


def test_the_typed_program_is_well_formed_and_says_what_waits() -> None:
    for kernel in (together, alone):
        code = driver().inferred(CompilerJob(kernel.instance(KINDS), kernel.config))
        smelt.ir.verifier.verify(smelt.driver.pipeline.typed_function(code))
    text = smelt.code_typed(together, KINDS)
    assert "int32[:] threadgroup = threadgroup_array shape=(8,)" in text
    assert "int32[:] thread = thread_array shape=(2,)" in text
    assert "atomic x " in text
    assert "function='add'" in text


def test_a_kernel_whose_threads_are_alone_stays_a_loop() -> None:
    text = smelt.code_llvm(alone, KINDS, optimised=False)
    assert "coro" not in text
    results = alone.compile(*KINDS)
    assert not results.works_together
    assert results.relocations == ()


def test_only_what_waits_is_a_part_of_the_coroutine() -> None:
    # What is called stands before what calls it.
    lines = [
        line for line in smelt.code_llvm(together, KINDS, optimised=False).splitlines() if line.startswith("define")
    ]
    assert ["alwaysinline" in line for line in lines] == [True, False, True]
    results = together.compile(*KINDS)
    assert results.works_together
    # The last two are what LLVM makes of clearing and copying memory.
    assert results.relocations == ("free", "malloc", "memcpy", "memset")
    assert results.threadgroup_memory_bytes == 64


def test_the_artifact_needs_no_symbols_but_those_it_lists() -> None:
    job = CompilerJob(together.instance(KINDS), together.config)
    module, _ = driver().optimised(job, driver().inferred(job))
    declared = {function.name for function in module.functions if function.is_declaration}
    assert {name for name in declared if not name.startswith("llvm.")} <= {"free", "malloc"}
    # Everything of the coroutines is gone but what calls through their frames.
    assert not any(name.startswith("llvm.coro") for name in declared)


ARTIFACT = """
import hashlib, importlib.util, sys
spec = importlib.util.spec_from_file_location("test_compilation", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
results = module.together.compile(*module.KINDS)
print(hashlib.sha256(results.code).hexdigest(), results.error_sites)
"""


def test_processes_with_different_hash_seeds_make_the_same_artifact() -> None:
    outputs = {
        subprocess.run(
            [sys.executable, "-c", ARTIFACT, __file__],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
    assert "MemoryError" in outputs.pop()


@smelt.kernel
def blurred(out: Any, image: Any) -> None:
    tile = smelt.threadgroup_array((4, 6), smelt.int32)
    x, y = smelt.grid(2)
    inner = smelt.thread_position_in_threadgroup()
    tile[inner.y, inner.x] = image[y, x]
    smelt.threadgroup_barrier()
    total = smelt.simd_sum(image[y, x])
    for row in range(inner.y + 1):
        total += tile[row, 0]
    out[y, x] = total


def run_box(kernel: Any, begin: Any, end: Any, sizes: Any, group: Any, *arguments: Any) -> None:
    """Run a part of the grid, as the native target does with the whole."""
    loaded = kernel.loaded(tuple(map(smelt.types.typeof, arguments)))
    words = (ctypes.c_int64 * LAUNCH_WORDS)(*begin, *end, *sizes, *group)
    packed = ctypes.create_string_buffer(loaded._pack(arguments))
    loaded.results.kernel.run(ctypes.addressof(words), ctypes.addressof(packed))
    assert words[12] == 0


@pytest.mark.parametrize("order", [1, 2, 3])
def test_results_do_not_depend_on_the_order_of_groups(run_by_python: Any, order: int) -> None:
    height, width = 11, 20
    image = np.arange(height * width, dtype=np.int32).reshape(height, width)
    whole, parts, expected = np.zeros((3, height, width), np.int64)
    smelt.launch.kernel.Launcher(blurred, smelt.launch.grids.Grid((width, height, 1), (6, 4, 1)))(whole, image)
    run_by_python(blurred, (width, height), (6, 4), expected, image)
    # Boxes of whole groups: 6 * order by 4, the last cut off at the grid's end.
    boxes = [(x, y) for y in range(0, height, 4) for x in range(0, width, 6 * order)]
    for number in np.random.default_rng(order).permutation(len(boxes)):
        x, y = boxes[number]
        end = (min(x + 6 * order, width), min(y + 4, height), 1)
        run_box(blurred, (x, y, 0), end, (width, height, 1), (6, 4, 1), parts, image)
    assert whole.tolist() == expected.tolist()
    assert parts.tolist() == expected.tolist()


def test_memory_that_is_not_there_is_an_error_of_the_launch() -> None:
    x = np.zeros(8, np.int32)
    loaded = together.loaded(tuple(map(smelt.types.typeof, (x,))))
    words = (ctypes.c_int64 * LAUNCH_WORDS)(0, 0, 0, 8, 1, 1, 8, 1, 1, 8, 1, 1)
    # No launch lets this through: more memory than any machine has.
    words[16] = 1 << 60
    packed = ctypes.create_string_buffer(loaded._pack((x,)))
    loaded.results.kernel.run(ctypes.addressof(words), ctypes.addressof(packed))
    error, message, *_ = loaded.results.error_sites[words[12] - 1]
    assert (error, message) == ("MemoryError", "there is no memory to run a threadgroup")
    assert not x.any()
