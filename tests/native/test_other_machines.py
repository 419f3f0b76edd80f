# SPDX-License-Identifier: Apache-2.0
"""Code for machines and systems that this one is not: flat code for AArch64 run by an emulator, and for Windows through a bridge."""

from __future__ import annotations

import ctypes
import platform
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import smelt
from smelt.targets.native.loader.mapping import MappedCode
from smelt.targets.native.machine_code.flat import FlatCode
from smelt.targets.native.machine_code.flattening import flatten
from smelt.targets.native.words import LAUNCH_WORDS, NAMES, STATUS_WORD

pytestmark = pytest.mark.once

ObjectOf = Callable[..., bytes]

# Everything that code of kernels does: calls outside, constants, tables of jumps, addresses in data and of functions, a large frame.
KERNEL = """
@numbers = private constant [4 x double] [double 1.0, double 2.0, double 4.0, double 8.0]
@functions = internal constant [2 x ptr] [ptr @twice, ptr @exported]

declare double @outer(double, double)
declare double @other(double, double)

define internal double @twice(double %x) noinline {
  %y = fmul double %x, 2.0
  ret double %y
}

define double @exported(double %x) noinline {
  %y = fadd double %x, 0.5
  ret double %y
}

define double @step(i64 %case, double %x) noinline {
  %large = alloca [3000 x double]
  %place = getelementptr [3000 x double], ptr %large, i64 0, i64 %case
  store volatile double %x, ptr %place
  switch i64 %case, label %otherwise [
    i64 0, label %a
    i64 1, label %b
    i64 2, label %c
    i64 3, label %d
    i64 4, label %e
    i64 5, label %f
  ]
a:
  %a1 = call double @outer(double %x, double 3.0)
  ret double %a1
b:
  %b1 = call double @other(double 2.0, double %x)
  %b2 = fsub double %b1, %x
  ret double %b2
c:
  %c1 = load volatile ptr, ptr @functions
  %c2 = call double %c1(double %x)
  ret double %c2
d:
  %d1 = getelementptr [2 x ptr], ptr @functions, i64 0, i64 1
  %d2 = load volatile ptr, ptr %d1
  %d3 = call double %d2(double %x)
  ret double %d3
e:
  %positive = fcmp ogt double %x, 0.0
  %chosen = select i1 %positive, ptr @outer, ptr @other
  %e1 = call double %chosen(double %x, double %x)
  ret double %e1
f:
  %again = load volatile double, ptr %place
  ret double %again
otherwise:
  %index = and i64 %case, 3
  %from = getelementptr [4 x double], ptr @numbers, i64 0, i64 %index
  %constant = load double, ptr %from
  ret double %constant
}

define void @run(ptr %results, i64 %count) {
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %number = sitofp i64 %i to double
  %x = fsub double %number, 2.5
  %result = call double @step(i64 %i, double %x)
  %place = getelementptr double, ptr %results, i64 %i
  store double %result, ptr %place
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, %count
  br i1 %more, label %loop, label %done
done:
  ret void
}
"""

COUNT = 10


def outer(x: float, y: float) -> float:
    return x * 10.0 + y


def other(x: float, y: float) -> float:
    return x - y


def expected() -> list[float]:
    found = []
    for case in range(COUNT):
        x = case - 2.5
        chosen = outer if x > 0 else other
        cases = (outer(x, 3.0), other(2.0, x) - x, 2 * x, x + 0.5, chosen(x, x), x)
        found.append(cases[case] if case < 6 else float(1 << case % 4))
    return found


# AArch64: an executable file of two pieces of flat code, and what runs the one with the other as what is outside.

BASE = 0x400000
PAGE = 0x10000

OUTSIDE = """
define double @outer(double %x, double %y) {
  %a = fmul double %x, 10.0
  %b = fadd double %a, %y
  ret double %b
}
define double @other(double %x, double %y) {
  %a = fsub double %x, %y
  ret double %a
}
"""


def literal(register: int, place: int, word: int) -> int:
    """`ldr` of a word of the table behind the twelve instructions of `START`."""
    return 0x58000000 | 12 + 2 * word - place << 5 | register


# Calls a function with two arguments, and writes memory to standard output: of Linux's system calls 64 is write, and 93 is exit.
START = FlatCode(
    "aarch64",
    struct.pack(
        "<12I",
        *(literal(16, 0, 0), literal(0, 1, 1), literal(1, 2, 2), 0xD63F0200),  # ldr x16, x0 and x1; blr x16
        *(0xD2800020, literal(1, 5, 3), literal(2, 6, 4)),  # mov x0, #1; ldr x1 and x2
        *(0xD2800808, 0xD4000001),  # mov x8, #64; svc #0
        *(0xD2800000, 0xD2800BA8, 0xD4000001),  # mov x0, #0; mov x8, #93; svc #0
    ),
    (("_start", 0),),
    ("function", "first argument", "second argument", "memory", "size of memory"),
)


def loaded(flat: FlatCode, base: int, addresses: dict[str, int]) -> bytes:
    """Flat code as it is in memory from `base` on."""
    blob = bytearray(flat.blob)
    for offset, target in flat.pointers:
        struct.pack_into("<Q", blob, offset, base + target)
    return bytes(blob) + struct.pack(f"<{len(flat.symbols)}Q", *(addresses[name] for name in flat.symbols))


def run_on_aarch64(
    folder: Path, parts: list[FlatCode], function: str, arguments: Callable[[int], tuple[int, int]], memory: bytes
) -> bytes:
    """Call a function in a program for Linux on AArch64, and return what it leaves in memory.

    The program is made of pieces of flat code, each of which may call those before it. `arguments` gives the function's two, given the
    address of the memory.
    """
    emulator = shutil.which("qemu-aarch64")
    if emulator is None:
        pytest.skip("qemu-aarch64, which runs programs for AArch64, is not installed")
    place = BASE + 16 * PAGE
    addresses: dict[str, int] = dict(zip(START.symbols[1:], (*arguments(place), place, len(memory)), strict=True))
    image = bytearray()
    for flat in (*parts, START):
        assert flat.machine == "aarch64"
        image.extend(bytes(-len(image) % 4096))
        base = BASE + PAGE + len(image)
        image += loaded(flat, base, addresses)
        addresses |= {name: base + offset for name, offset in flat.entries}
        addresses["function"] = addresses.get(function, 0)
    assert len(image) < 15 * PAGE
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, 183, 1, addresses["_start"], 64, 0, 0, 64, 56, 2, 0, 0, 0
    )
    segments = [(5, PAGE, BASE + PAGE, bytes(image)), (6, 16 * PAGE, place, memory)]
    for flags, offset, address, contents in segments:
        header += struct.pack("<IIQQQQQQ", 1, flags, offset, address, address, len(contents), len(contents), PAGE)
    program = folder / "program"
    program.write_bytes((header.ljust(PAGE, b"\0") + image).ljust(16 * PAGE, b"\0") + memory)
    program.chmod(0o700)
    done = subprocess.run([emulator, program], capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("opt_level", [0, 2])
@pytest.mark.parametrize("target", ["native:aarch64", "native:apple-m1"])
def test_flat_code_for_aarch64_runs(object_of, tmp_path: Path, target: str, opt_level: int):
    parts = [flatten(object_of(text, target, opt_level)) for text in (OUTSIDE, KERNEL)]
    assert parts[1].symbols == ("other", "outer")
    assert len(parts[1].pointers) >= 2
    results = run_on_aarch64(tmp_path, parts, "run", lambda address: (address, COUNT), bytes(8 * COUNT))
    assert list(struct.unpack(f"<{COUNT}d", results)) == expected()


@smelt.kernel
def computed(out: Any, x: Any, y: Any) -> None:
    i = smelt.grid(1)
    # Wraps around at one end, and fails behind the other.
    out[i] = x[i] * y[i] + x[-1 - i]


@pytest.mark.parametrize("target", ["native:aarch64", "native:aarch64+bf16+lse", "native:apple-m1"])
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.int16, np.uint64])
def test_kernels_for_aarch64_compute_what_numpy_does(tmp_path: Path, target: str, dtype: Any):
    count = 301
    x = (np.arange(count) * 37 % 301 * 0.0375 - (3 if np.dtype(dtype).kind != "u" else 0)).astype(dtype)
    y = np.roll(x, 7)
    arrays = [np.zeros(count, dtype), x, y]
    results = computed.compile(*map(smelt.types.typeof, arrays), target=target)
    # Two threads too many: the launch, the arguments, and the arrays.
    words = dict.fromkeys(NAMES, 0) | {"end_x": count + 2, "end_y": 1, "end_z": 1}
    words |= {name: words[name.replace("grid", "end")] for name in NAMES if name.startswith("grid")}
    begin = 8 * (LAUNCH_WORDS + 6)
    size = -(-x.nbytes // 64) * 64

    def memory(address: int) -> bytes:
        places = [number for array in range(3) for number in (address + begin + array * size, count)]
        head = struct.pack(f"<{LAUNCH_WORDS + 6}q", *words.values(), *places)
        return head + b"".join(array.tobytes().ljust(size, b"\0") for array in arrays)

    place = BASE + 16 * PAGE
    written = run_on_aarch64(
        tmp_path,
        [results.flat_code()],
        results.entry,
        lambda address: (address, address + 8 * LAUNCH_WORDS),
        memory(place),
    )
    out = np.frombuffer(written, dtype, count, begin)
    assert out.tolist() == (x * y + x[::-1]).tolist()
    status, *position = struct.unpack_from("<4q", written, 8 * STATUS_WORD)
    assert results.error_sites[status - 1][0] == "IndexError"
    assert position == [count, 0, 0]


# Windows: a bridge between the two calling conventions of x86-64.

BRIDGE = """
declare double @smelt_test_outer(double, double)
declare double @smelt_test_other(double, double)
define win64cc double @outer(double %x, double %y) {
  %z = call double @smelt_test_outer(double %x, double %y)
  ret double %z
}
define win64cc double @other(double %x, double %y) {
  %z = call double @smelt_test_other(double %x, double %y)
  ret double %z
}
define void @call_run(ptr %run, ptr %results, i64 %count) {
  call win64cc void %run(ptr %results, i64 %count)
  ret void
}
"""


@pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64") or platform.system() == "Windows",
    reason="this is not POSIX on x86-64, from whose calling convention the bridge is",
)
@pytest.mark.parametrize("opt_level", [0, 2])
def test_flat_code_for_windows_runs_through_a_bridge(object_of, opt_level: int):
    kind = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double, ctypes.c_double)
    functions = {"smelt_test_outer": kind(outer), "smelt_test_other": kind(other)}
    addresses = {name: ctypes.cast(function, ctypes.c_void_p).value or 0 for name, function in functions.items()}
    bridge = MappedCode(flatten(object_of(BRIDGE)), addresses.__getitem__)
    functions_of_bridge = ("outer", "other")
    # It touches the pages of a large frame. Here nothing has to be done: the stack has them.
    probe = MappedCode(FlatCode("x86-64", b"\xc3".ljust(8, b"\xcc"), (("__chkstk", 0),)), {}.__getitem__)
    flat = flatten(object_of(KERNEL, "native:x86-64:windows", opt_level))
    assert flat.symbols == ("__chkstk", "other", "outer")
    code = MappedCode(flat, lambda name: bridge.address(name) if name in functions_of_bridge else probe.address(name))
    results = (ctypes.c_double * COUNT)()
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(bridge.address("call_run"))
    call(code.address("run"), ctypes.addressof(results), COUNT)
    assert list(results) == expected()


def test_what_is_expected_is_what_this_machine_computes(object_of):
    kind = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double, ctypes.c_double)
    functions = {"outer": kind(outer), "other": kind(other)}
    code = MappedCode(flatten(object_of(KERNEL)), lambda name: ctypes.cast(functions[name], ctypes.c_void_p).value or 0)
    results = (ctypes.c_double * COUNT)()
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(code.address("run"))(ctypes.addressof(results), COUNT)
    assert list(results) == expected()
