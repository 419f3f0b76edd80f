# SPDX-License-Identifier: Apache-2.0
"""Compiling from several threads: different artifacts are made side by side, one artifact once."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import llvmlite.binding as llvm
import numpy as np

import smelt
from smelt.lowering import llvm as llvm_calls

KINDS = [
    tuple(kind[:] for _ in range(2))
    for kind in (smelt.float32, smelt.float64, smelt.int32, smelt.int64, smelt.uint8, smelt.int16)
]


def twice(value):
    return value + value


def doubled(out, x):
    i = smelt.grid(1)
    if i < out.size:
        out[i] = twice(x[i])


def test_two_threads_compile_at_once():
    kernel = smelt.kernel(doubled)
    both_compile = threading.Barrier(2, timeout=60)
    end = smelt.on_compile(lambda _: both_compile.wait())
    try:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda kinds: kernel.compile(*kinds), KINDS[:2]))
    finally:
        end()
    assert not both_compile.broken


def test_one_artifact_is_made_once_however_many_threads_ask():
    kernel = smelt.kernel(name="once")(doubled)
    seen = []
    end = smelt.on_compile(seen.append)
    try:
        with ThreadPoolExecutor(8) as pool:
            results = list(pool.map(lambda _: kernel.compile(*KINDS[0]), range(8)))
    finally:
        end()
    assert len(seen) == 1
    assert len(set(map(id, results))) == 1


def test_what_threads_compile_side_by_side_is_what_one_compiles_alone():
    alone = [smelt.code_llvm(smelt.kernel(doubled), kinds) for kinds in KINDS]
    kernel = smelt.kernel(name="side_by_side")(doubled)
    with ThreadPoolExecutor(6) as pool:
        side_by_side = list(pool.map(lambda kinds: smelt.code_llvm(kernel, kinds), KINDS * 2))
        list(pool.map(lambda kinds: kernel.compile(*kinds), KINDS))
    assert side_by_side == alone * 2
    out = np.zeros(5, np.int16)
    kernel[5](out, np.arange(5, dtype=np.int16))
    assert out.tolist() == [0, 2, 4, 6, 8]


def test_the_long_calls_of_llvm_hold_no_lock():
    machine = llvm_calls.target_machine(llvm.get_default_triple(), "", "", opt_level=2)
    module = llvm_calls.parsed("define i32 @one() { ret i32 1 }", machine)
    emitted = []
    run = llvm_calls._without_lock("LLVMPY_TargetMachineEmitToMemory")

    def emit():
        with llvm.ffi.OutputString() as message:
            locked.wait(60)
            emitted.append(run(machine, module, 1, message))
            done.set()
            # What is released takes the lock.
            released.wait(60)

    locked, done, released = threading.Event(), threading.Event(), threading.Event()
    thread = threading.Thread(target=emit)
    with llvm.ffi.lib._lock:
        thread.start()
        locked.set()
        assert done.wait(60)
    released.set()
    thread.join()
    llvm.ffi.lib.LLVMPY_DisposeMemoryBuffer(emitted[0])


GARBAGE = """
import gc, sys
import llvmlite.binding as llvm
from smelt.lowering.llvm import module_of_text

gc.disable()
for _ in range(200):
    module = module_of_text("define i32 @one() { ret i32 1 }")
    # The garbage collector finds both at once, and takes them in any order.
    module.circle = [module, module._context]
    module._context.circle = module.circle
    del module
    gc.collect()
print("done")
"""


def test_a_module_and_its_context_may_be_collected_in_any_order():
    done = subprocess.run([sys.executable, "-c", GARBAGE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
