# SPDX-License-Identifier: Apache-2.0
"""What the device in software looks after while a kernel runs: bounds, races, values that nobody wrote, endless loops."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest

import smelt
from smelt.metal import Checks

pytestmark = pytest.mark.once

BARRIERS = (
    "declare void @air.wg.barrier(i32, i32) convergent\ndeclare void @air.simdgroup.barrier(i32, i32) convergent\n"
)
POSITION = "thread_position_in_grid"


def opened(air, text, name, arguments, **settings):
    data = air.metallib((air.with_kernel(BARRIERS + text, name, arguments), name))
    return smelt.metal.library(data, **settings).function(name)


# Out of bounds

SHIFTED = """
define void @shifted(ptr addrspace(1) %out, ptr addrspace(1) %x, ptr addrspace(2) %by, i32 %i) {
  %step = load i32, ptr addrspace(2) %by
  %j = add i32 %i, %step
  %p = getelementptr inbounds float, ptr addrspace(1) %x, i32 %j
  %v = load float, ptr addrspace(1) %p, align 4
  %w = fadd float %v, 1.0
  %q = getelementptr inbounds float, ptr addrspace(1) %out, i32 %i
  store float %w, ptr addrspace(1) %q, align 4
  ret void
}
"""


@pytest.fixture(scope="module")
def shifted(air):
    arguments = [
        *(air.buffer(0, 0, "out"), air.buffer(1, 1, "x", access="read")),
        *(air.buffer(2, 2, "by", access="read", space=2, kind="int"), air.quantity(3, POSITION)),
    ]
    return lambda **settings: opened(air, SHIFTED, "shifted", arguments, **settings)


def test_an_access_outside_of_a_buffer_is_told_of_and_does_nothing(shifted):
    x = np.arange(40000, dtype=np.float32)
    memory = np.full(40016, -1, np.float32)
    out = memory[:40000]
    kernel = shifted()
    kernel({0: out, 1: x, 2: np.int32(0)}, threads=40000)
    assert (out == x + 1).all()
    with pytest.raises(
        smelt.metal.DeviceError,
        match=r"^shifted: the thread at \(39998, 0, 0\) reads 4 bytes at offset 160000 of buffer 1 \(x\), which has 160000 bytes "
        r"\(2 times in all\)$",
    ):
        kernel({0: out, 1: x, 2: np.int32(2)}, threads=40000)
    # The kernel has run to its end: what is not there is zero.
    assert (out == np.append(x[2:], [0, 0]) + 1).all()
    with pytest.raises(smelt.metal.DeviceError, match=r"at \(0, 0, 0\) reads 4 bytes at offset -4 of buffer 1 \(x\)"):
        kernel({0: out, 1: x, 2: np.int32(-1)}, threads=40000)
    with pytest.raises(
        smelt.metal.DeviceError,
        match=r"at \(40000, 0, 0\) writes 4 bytes at offset 160000 of buffer 0 \(out\), which has 160000 bytes \(16 times",
    ):
        kernel({0: out, 1: np.zeros(50000, np.float32), 2: np.int32(0)}, threads=40016)
    assert (memory[40000:] == -1).all()
    with pytest.raises(smelt.metal.DeviceError, match=r"at offset 65536 of buffer 1 \(x\), which is not bound"):
        kernel({0: out, 2: np.int32(0)}, threads=40000)


def test_what_is_found_can_be_a_warning_or_not_looked_for(shifted):
    x = np.arange(8, dtype=np.float32)
    out = np.zeros(8, np.float32)
    buffers = {0: out, 1: x, 2: np.int32(1)}
    with pytest.warns(smelt.metal.DeviceWarning, match=r"shifted: the thread at \(7, 0, 0\) reads 4 bytes") as caught:
        shifted(checks=Checks(raises=False))(buffers, threads=8)
    assert caught[0].filename == __file__
    assert out.tolist() == [2, 3, 4, 5, 6, 7, 8, 1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shifted(checks=Checks(bounds=False))({**buffers, 1: np.arange(16, dtype=np.float32)[:8]}, threads=8)
    assert out.tolist() == [2, 3, 4, 5, 6, 7, 8, 9]


def test_a_constant_that_the_kernel_overwrites_is_looked_after_as_it_changes(shifted):
    # `by` is the first element of `out`, which the first thread writes: all others are shifted by that.
    x, out = np.zeros(100, np.float32), np.zeros(100, np.float32)
    with pytest.raises(smelt.metal.DeviceError, match=r"at \(1, 0, 0\) reads 4 bytes at offset 4261412868 of buffer 1"):
        shifted()({0: out, 1: x, 2: out[:1]}, threads=100)


TABLES = """
@table = internal addrspace(2) constant [3 x i32] [i32 5, i32 6, i32 7]
define void @tables(ptr addrspace(1) %out, i32 %i) {
entry:
  %own = alloca [4 x i32], align 4
  br label %fill
fill:
  %k = phi i32 [ 0, %entry ], [ %next, %fill ]
  %o = getelementptr [4 x i32], ptr %own, i32 0, i32 %k
  store i32 %k, ptr %o
  %next = add i32 %k, 1
  %more = icmp ult i32 %next, 4
  br i1 %more, label %fill, label %reads
reads:
  %t = getelementptr [3 x i32], ptr addrspace(2) @table, i32 0, i32 %i
  %v = load i32, ptr addrspace(2) %t
  %p = getelementptr [4 x i32], ptr %own, i32 0, i32 %i
  %w = load i32, ptr %p
  %s = add i32 %v, %w
  %q = getelementptr i32, ptr addrspace(1) %out, i32 %i
  store i32 %s, ptr addrspace(1) %q
  ret void
}
"""


def test_tables_and_memory_of_a_thread_have_bounds_too(air):
    tables = opened(air, TABLES, "tables", [air.buffer(0, 0, "out", kind="int"), air.quantity(1, POSITION)])
    out = np.zeros(8, np.int32)
    tables({0: out}, threads=3)
    assert out[:3].tolist() == [5, 7, 9]
    with pytest.raises(
        smelt.metal.DeviceError, match=r"at \(3, 0, 0\) reads 4 bytes at offset 12 of a constant table$"
    ):
        tables({0: out}, threads=4)
    with pytest.raises(
        smelt.metal.DeviceError, match=r"at \(3, 0, 0\) reads .* of a constant table \(2 times in all\)"
    ):
        tables({0: out}, threads=5)
    assert out.tolist() == [5, 7, 9, 3, 0, 0, 0, 0]


def test_memory_that_is_copied_has_bounds(air):
    text = """
declare void @llvm.memcpy.p1.p1.i64(ptr addrspace(1), ptr addrspace(1), i64, i1)
define void @copies(ptr addrspace(1) %out, ptr addrspace(1) %x, ptr addrspace(2) %size) {
  %n = load i64, ptr addrspace(2) %size
  call void @llvm.memcpy.p1.p1.i64(ptr addrspace(1) align 4 %out, ptr addrspace(1) align 4 %x, i64 %n, i1 false)
  ret void
}
"""
    arguments = [air.buffer(0, 0, "out"), air.buffer(1, 1, "x"), air.buffer(2, 2, "size", space=2, size=8, kind="long")]
    copies = opened(air, text, "copies", arguments)
    out, x = np.zeros(8, np.float32), np.ones(6, np.float32)
    copies({0: out, 1: x, 2: np.int64(20)}, threads=1)
    assert out.tolist() == [1, 1, 1, 1, 1, 0, 0, 0]
    with pytest.raises(
        smelt.metal.DeviceError, match=r"reads 28 bytes at offset 0 of buffer 1 \(x\), which has 24 bytes$"
    ):
        copies({0: out, 1: x, 2: np.int64(28)}, threads=1)
    assert out.sum() == 5


def test_a_pointer_that_was_read_from_memory_leads_into_resources_only(air):
    text = """
define void @follows(ptr addrspace(1) %out, ptr addrspace(2) %where, i32 %i) {
  %x = load ptr addrspace(1), ptr addrspace(2) %where
  %p = getelementptr i32, ptr addrspace(1) %x, i32 %i
  %v = load i32, ptr addrspace(1) %p
  %q = getelementptr i32, ptr addrspace(1) %out, i32 %i
  store i32 %v, ptr addrspace(1) %q
  ret void
}
"""
    arguments = [
        *(air.buffer(0, 0, "out", kind="int"), air.buffer(1, 1, "where", access="read", space=2, size=8)),
        air.quantity(2, POSITION),
    ]
    device = smelt.device("metal:software")
    library = device.library(air.metallib((air.with_kernel(text, "follows", arguments), "follows")))
    pipeline = library.function("follows").pipeline({})
    out, there = device.buffer(40), device.buffer(24)
    there.contents[:] = np.arange(6, dtype=np.int32).tobytes()

    def run(*, uses):
        commands = device.queue().command_buffer()
        encoder = commands.compute_encoder()
        encoder.set_pipeline(pipeline)
        encoder.set_buffer(out, 0, 0)
        encoder.set_bytes(there.gpu_address.to_bytes(8, "little"), 1)
        if uses:
            encoder.use_resource(there, is_written=False)
        encoder.dispatch_threads((7, 1, 1), (7, 1, 1))
        encoder.end_encoding()
        commands.commit()
        commands.wait_until_completed()

    with pytest.raises(
        smelt.metal.DeviceError, match=r"at \(6, 0, 0\) reads 4 bytes by a pointer .* none of its buffers$"
    ):
        run(uses=True)
    assert np.frombuffer(out.contents, np.int32)[:7].tolist() == [0, 1, 2, 3, 4, 5, 0]
    with pytest.raises(smelt.metal.DeviceError, match=r"at \(0, 0, 0\) reads .* \(7 times in all\)"):
        run(uses=False)


def test_threadgroup_memory_has_bounds(air):
    text = """
@shared = internal addrspace(3) global [4 x i32] undef, align 4
define void @turns(ptr addrspace(1) %x, ptr addrspace(3) %room, i32 %i) {
  %s = getelementptr [4 x i32], ptr addrspace(3) @shared, i32 0, i32 %i
  store i32 %i, ptr addrspace(3) %s
  %r = getelementptr i32, ptr addrspace(3) %room, i32 %i
  store i32 %i, ptr addrspace(3) %r
  call void @air.wg.barrier(i32 2, i32 1)
  %last = load i32, ptr addrspace(3) getelementptr inbounds ([4 x i32], ptr addrspace(3) @shared, i32 0, i32 3)
  %p = getelementptr i32, ptr addrspace(1) %x, i32 %i
  store i32 %last, ptr addrspace(1) %p
  ret void
}
"""
    arguments = [
        *(air.buffer(0, 0, "x", kind="int"), air.buffer(1, 0, "room", space=3, kind="int")),
        air.quantity(2, "thread_position_in_threadgroup"),
    ]
    turns = opened(air, text, "turns", arguments)
    x = np.zeros(8, np.int32)
    turns({0: x}, threads=4, threads_per_threadgroup=4, threadgroup_memory={0: 16})
    assert x[:4].tolist() == [3, 3, 3, 3]
    with pytest.raises(
        smelt.metal.DeviceError, match=r"at \(4, 0, 0\) writes 4 bytes at offset 16 of a variable in threadgroup memory"
    ):
        turns({0: x}, threads=5, threads_per_threadgroup=8, threadgroup_memory={0: 32})
    with pytest.raises(
        smelt.metal.DeviceError,
        match=r"at \(2, 0, 0\) writes 4 bytes at offset 8 of threadgroup memory 0 \(room\), which has 8 bytes",
    ):
        turns({0: x}, threads=4, threads_per_threadgroup=4, threadgroup_memory={0: 8})


# Races, and values that nobody wrote

SUMS = """
@shared = internal addrspace(3) global [64 x i32] undef, align 4
define void @sums(ptr addrspace(1) %x, i32 %i) {
  %s = getelementptr [64 x i32], ptr addrspace(3) @shared, i32 0, i32 %i
  store i32 %i, ptr addrspace(3) %s
  BARRIER
  %j = xor i32 %i, PARTNER
  %t = getelementptr [64 x i32], ptr addrspace(3) @shared, i32 0, i32 %j
  %v = load i32, ptr addrspace(3) %t
  %p = getelementptr i32, ptr addrspace(1) %x, i32 %i
  store i32 %v, ptr addrspace(1) %p
  ret void
}
"""
GROUP, LANES = "call void @air.wg.barrier(i32 2, i32 1)", "call void @air.simdgroup.barrier(i32 2, i32 1)"


@pytest.mark.parametrize(
    ("barrier", "partner", "races"),
    [(GROUP, 32, False), (GROUP, 1, False), (LANES, 1, False), (LANES, 32, True), ("", 1, True), ("", 0, False)],
)
def test_a_race_is_found_where_no_barrier_is_between(air, barrier, partner, races):
    text = SUMS.replace("BARRIER", barrier).replace("PARTNER", str(partner))
    arguments = [air.buffer(0, 0, "x", kind="int"), air.quantity(1, POSITION)]
    sums = opened(air, text, "sums", arguments, checks=Checks(races=True))
    x = np.zeros(64, np.int32)
    if races:
        with pytest.raises(
            smelt.metal.DeviceError,
            match=r"sums: a race: the thread at .* (reads|writes) 4 bytes at offset \d+ of a variable in threadgroup memory, which "
            r"thread \d+ of its threadgroup accessed too, with no barrier between",
        ):
            sums({0: x}, threads=64, threads_per_threadgroup=64)
    else:
        sums({0: x}, threads=64, threads_per_threadgroup=64)
        assert (x == np.arange(64) ^ partner).all()
        sums({0: np.zeros(128, np.int32)}, threads=64, threads_per_threadgroup=64)


def test_races_in_device_memory_are_found_and_atomic_operations_are_none(air):
    text = """
declare i32 @air.atomic.global.add.u.i32(ptr addrspace(1), i32, i32, i32, i1)
define void @counts(ptr addrspace(1) %n, ptr addrspace(1) %x, i32 %i) {
  %old = call i32 @air.atomic.global.add.u.i32(ptr addrspace(1) %n, i32 1, i32 0, i32 2, i1 true)
  store i32 %i, ptr addrspace(1) %x
  ret void
}
"""
    arguments = [air.buffer(0, 0, "n", kind="uint"), air.buffer(1, 1, "x", kind="int"), air.quantity(2, POSITION)]
    counts = opened(air, text, "counts", arguments, checks=Checks(races=True))
    n, x = np.zeros(1, np.uint32), np.zeros(1, np.int32)
    counts({0: n, 1: x}, threads=7, threads_per_threadgroup=1)
    assert n.tolist() == [7]
    with pytest.raises(
        smelt.metal.DeviceError,
        match=r"counts: a race: the thread at \(1, 0, 0\) writes 4 bytes at offset 0 of buffer 1 \(x\), which thread 0",
    ):
        counts({0: n, 1: x}, threads=2, threads_per_threadgroup=2)
    # The same memory by another name.
    with pytest.raises(
        smelt.metal.DeviceError, match=r"a race: the thread at \(1, 0, 0\) changes by an atomic operation"
    ):
        counts({0: n, 1: n.view(np.int32)}, threads=2, threads_per_threadgroup=2)


def test_reads_of_threadgroup_memory_that_nobody_wrote_are_found(air):
    text = SUMS.replace("BARRIER", GROUP).replace("PARTNER", "1")
    arguments = [air.buffer(0, 0, "x", kind="int"), air.quantity(1, "thread_index_in_threadgroup")]
    sums = opened(air, text, "sums", arguments, checks=Checks(uninitialised=True))
    x = np.zeros(64, np.int32)
    sums({0: x}, threads=16, threads_per_threadgroup=8)
    # The last group has one thread: what those before left behind is not its own.
    with pytest.raises(
        smelt.metal.DeviceError,
        match=r"sums: the thread at \(8, 0, 0\) reads 4 bytes at offset 4 of a variable in threadgroup memory, to which nobody in "
        r"its threadgroup has written$",
    ):
        sums({0: x}, threads=9, threads_per_threadgroup=8)


# Launches that don't end

ENDLESS = """
define void @endless(ptr addrspace(1) %x) {
entry:
  br label %loop
loop:
  %n = phi i32 [ 0, %entry ], [ %next, %loop ]
  %next = add i32 %n, 1
  store volatile i32 %n, ptr addrspace(1) %x
  WAITS
  br label %loop
}
"""


@pytest.mark.parametrize("waits", ["", GROUP, LANES])
def test_a_launch_that_takes_too_long_is_stopped(air, waits):
    arguments = [air.buffer(0, 0, "x", kind="int")]
    endless = opened(air, ENDLESS.replace("WAITS", waits), "endless", arguments, seconds=0.05)
    x = np.zeros(1, np.int32)
    for _ in range(2):
        with pytest.raises(
            smelt.metal.DeviceError, match=r"^endless has not ended after 0\.05 seconds; it was stopped$"
        ):
            endless({0: x}, threads=64, threads_per_threadgroup=32)
    assert x[0] > 0


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="this system sends no signals to threads")
def test_a_launch_that_never_ends_can_be_interrupted(air):
    endless = opened(air, ENDLESS.replace("WAITS", ""), "endless", [air.buffer(0, 0, "x", kind="int")])
    x = np.zeros(1, np.int32)
    main = threading.get_ident()

    def interrupt():
        while not x[0]:
            pass
        signal.pthread_kill(main, signal.SIGINT)

    helper = threading.Thread(target=interrupt)
    helper.start()
    with pytest.raises(KeyboardInterrupt):
        endless({0: x}, threads=64)
    helper.join()
    # All is as before.
    with pytest.raises(smelt.metal.DeviceError, match="it was stopped"):
        opened(air, ENDLESS.replace("WAITS", ""), "endless", [air.buffer(0, 0, "x", kind="int")], seconds=0.01)(
            {0: x}, threads=1
        )


# What is refused before anything runs


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "declare i32 @system(ptr)\ndefine void @bad() {\n  %r = call i32 @system(ptr null)\n  ret void\n}",
            "calls system, which",
        ),
        (
            "define void @bad(ptr addrspace(1) %x) {\n  %f = load ptr, ptr addrspace(1) %x\n  call void %f()\n  ret void\n}",
            "calls what is only known when it runs, or assembly",
        ),
        (
            'define void @bad() {\n  call void asm sideeffect "nop", ""()\n  ret void\n}',
            "calls what is only known when it runs, or assembly",
        ),
        (
            """define internal void @again(i32 %n) {
  %m = add i32 %n, 1
  call void @again(i32 %m)
  ret void
}
define void @bad() {
  call void @again(i32 1)
  ret void
}""",
            "calls again, which could not be made a part of it: does it call itself",
        ),
        (
            "define void @bad(i32 %i) {\n  %m = alloca i8, i32 %i\n  store volatile i8 1, ptr %m\n  ret void\n}",
            "takes memory from the stack as it runs, which no kernel does",
        ),
        (
            """define void @bad(i32 %i) {
  %m = alloca [9000000 x i8]
  %p = getelementptr i8, ptr %m, i32 %i
  store volatile i8 1, ptr %p
  ret void
}""",
            "a thread of the kernel bad has 72000000 bytes of its own; the most is 1048576",
        ),
        (
            "declare void @llvm.trap()\ndefine void @bad() {\n  call void @llvm.trap()\n  ret void\n}",
            r"calls llvm\.trap, which",
        ),
    ],
)
def test_a_hostile_module_is_refused_when_the_pipeline_is_made(air, text, message):
    arguments = (
        [air.buffer(0, 0, "x", size=1)] if "%x" in text else [air.quantity(0, POSITION)] if "%i)" in text else []
    )
    data = air.recent_metallib(air.with_kernel(text, "bad", arguments), "bad")
    with pytest.raises(smelt.metal.DeviceError, match=message):
        smelt.metal.library(data).function("bad")


def test_what_ends_processes_on_processors_ends_no_kernel(air):
    text = """
define void @divides(ptr addrspace(1) %out, ptr addrspace(1) %a, ptr addrspace(1) %b, i32 %i) {
  %p = getelementptr i32, ptr addrspace(1) %a, i32 %i
  %q = getelementptr i32, ptr addrspace(1) %b, i32 %i
  %x = load i32, ptr addrspace(1) %p
  %y = load i32, ptr addrspace(1) %q
  %d = sdiv i32 %x, %y
  %r = srem i32 %x, %y
  %z = shl i32 %r, 16
  %s = xor i32 %z, %d
  %o = getelementptr i32, ptr addrspace(1) %out, i32 %i
  store i32 %s, ptr addrspace(1) %o
  %none = icmp eq i32 %y, 77
  br i1 %none, label %never, label %ends
never:
  unreachable
ends:
  ret void
}
"""
    arguments = [air.buffer(number, number, kind="int") for number in range(3)]
    divides = opened(air, text, "divides", [*arguments, air.quantity(3, POSITION)])
    least = -(2**31)
    a, b = np.array([7, -7, 5, least, least, 0], np.int32), np.array([2, 2, 0, -1, 0, 77], np.int32)
    out = np.ones(6, np.int32)
    divides({0: out, 1: a, 2: b}, threads=6)
    assert out.tolist() == [3 ^ 1 << 16, -3 ^ -1 << 16, 5 << 16, least, 0, 0]


# Threads over processors


def test_results_are_equal_whatever_the_number_of_processors(air, tmp_path):
    path = tmp_path / "sums.metallib"
    arguments = [air.buffer(0, 0, "x", kind="int"), air.quantity(1, "thread_index_in_threadgroup")]
    text = air.with_kernel(BARRIERS + SUMS.replace("BARRIER", GROUP).replace("PARTNER", "5"), "sums", arguments)
    path.write_bytes(air.metallib((text, "sums")))
    program = f"""
import hashlib, numpy as np, smelt
x = np.zeros(64, np.int32)
kernel = smelt.metal.library({str(path)!r}).function("sums")
for _ in range(3):
    kernel({{0: x}}, threadgroups=500, threads_per_threadgroup=64)
try:
    kernel({{0: x[:60]}}, threadgroups=500, threads_per_threadgroup=64)
except smelt.metal.DeviceError as error:
    print(error)
print(x.tolist())
"""
    said = set()
    for threads in ("1", "3"):
        environment = {**os.environ, "SMELT_NUM_THREADS": threads}
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
        )
        said.add(done.stdout)
    (text,) = said
    assert (
        "the thread at (60, 0, 0) writes 4 bytes at offset 240 of buffer 0 (x), which has 240 bytes (2000 times" in text
    )
