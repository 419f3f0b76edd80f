# SPDX-License-Identifier: Apache-2.0
"""smelt's kernels as AIR: what LLVM 14 reads of it, what it says of its arguments, and what Metal hasn't."""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest

import smelt
from smelt.compiler.errors import ArtifactError, KernelError
from smelt.lowering.llvm import module_of_bitcode, module_of_text
from smelt.targets.metal.air.kernels import kernels_of
from smelt.targets.metal.air.reading import read_module
from smelt.targets.metal.artifact import arguments_index, failure_in, kernel_state, state_index
from smelt.targets.metal.compilation import DATA_LAYOUT
from smelt.targets.metal.functions import with_definitions
from smelt.targets.metal.metallib import Version, read_metallib
from smelt.targets.metal.passes import (
    checked,
    flags_of_atomic_operations,
    no_chains_of_byte_addresses,
    no_unreachable,
)
from smelt.targets.metal.target import metal_target, metal_target_named, metal_versions
from smelt.types.typeof import typeof

pytestmark = pytest.mark.once

DISASSEMBLER, ASSEMBLER = shutil.which("llvm-dis-14"), shutil.which("llvm-as-14")

needs_llvm_14 = pytest.mark.skipif(
    DISASSEMBLER is None or ASSEMBLER is None,
    reason="LLVM 14's llvm-dis-14 or llvm-as-14 is missing: install Debian's package llvm-14",
)

GAINS = np.array([1.0, 2.0, 4.0], np.float32)


class Point(NamedTuple):
    x: float
    y: float


def axpy(a, x, y):
    return a * x + y


@smelt.kernel
def saxpy(out, a, x, y):
    i = smelt.grid(1)
    if i < out.size:
        out[i] = axpy(a, x[i], y[i])


@smelt.kernel
def reverse(out, x):
    shared = smelt.threadgroup_array(64, smelt.float32)
    inner = smelt.thread_index_in_threadgroup()
    shared[inner] = x[smelt.grid(1)]
    smelt.threadgroup_barrier()
    out[smelt.grid(1)] = shared[63 - inner]


@smelt.kernel
def sized(out, x):
    shared = smelt.threadgroup_array(None, smelt.int32)
    inner = smelt.thread_index_in_threadgroup()
    shared[inner] = x[smelt.grid(1)]
    smelt.threadgroup_barrier()
    out[smelt.grid(1)] = shared[shared.size - 1 - inner]


@smelt.kernel
def lanes(out, x):
    i = smelt.grid(1)
    smelt.simdgroup_barrier()
    out[i] = smelt.simd_sum(x[i]) + smelt.simd_shuffle_xor(x[i], 1) + smelt.simd_sum(i)


@smelt.kernel
def counts(histogram, least, x):
    i = smelt.grid(1)
    smelt.atomic_add(histogram, x[i] % histogram.size, 1)
    smelt.atomic_compare_exchange(histogram, 0, 0, 7)
    smelt.atomic_min(least, 0, np.float32(x[i]))
    smelt.atomic_add(least, 1, np.float32(1))
    smelt.atomic_exchange(least, 2, np.float32(i))


@smelt.kernel
def maths(out, x):
    i = smelt.grid(1)
    v = x[i]
    out[i] = math.sin(v) + math.erfc(v) + v % 0.7 + np.float32(np.float16(v)) + np.float32(np.int32(v)) + math.sqrt(v)


@smelt.kernel
def values(out, point, flag, pair, rows):
    i = smelt.grid(1)
    (scale, columns) = pair
    total = 0.0
    for k in range(columns):
        total += rows[i, k]
    if flag:
        out[i] = (point.x * total + point.y) * scale * GAINS[i % 3] + (3, 1, 4, 1, 5, 9, 2, 6, 5, 3)[i % 10]


@smelt.kernel
def shows(out):
    i = smelt.grid(1)
    out[i] = i
    print("at", i, out[i])  # noqa: T201 - what is tested


@smelt.kernel
def nothing():
    pass


FLOATS, INTS, LONGS = smelt.float32[:], smelt.int32[:], smelt.int64[:]
KERNELS = {
    saxpy: (FLOATS, float, FLOATS, FLOATS),
    reverse: (FLOATS, FLOATS),
    sized: (INTS, INTS),
    lanes: (FLOATS, FLOATS),
    counts: (INTS, FLOATS, INTS),
    maths: (FLOATS, FLOATS),
    values: (FLOATS, Point, bool, (float, int), smelt.float32[:, :]),
    shows: (LONGS,),
    nothing: (),
}


def kinds_of(kernel):
    """The types of a kernel of this module, as a launch finds them."""
    found = []
    for kind in KERNELS[kernel]:
        if kind is Point:
            found.append(smelt.types.typeof(Point(1.0, 2.0)))
        elif isinstance(kind, tuple):
            found.append(smelt.types.typeof((2.0, 3)))
        else:
            found.append(kind)
    return found


def compiled(kernel, *, target="metal", **options):
    return kernel.compile(*kinds_of(kernel), target=target, **options)


def described(results):
    """What a module says of its kernel."""
    (kernel,) = kernels_of(read_module(module_of_bitcode(results.air).as_bitcode()))
    return kernel


def name_of(kernel):
    return kernel.name


def instructions(module):
    """The instructions of a module, function by function, but for casts of pointers, which LLVM 14 needs."""
    return [
        (function.name, instruction.opcode, str(instruction.type))
        for function in module.functions
        for block in function.blocks
        for instruction in block.instructions
        if not (instruction.opcode == "bitcast" and str(instruction.type).startswith("ptr"))
    ]


@needs_llvm_14
@pytest.mark.parametrize("target", ["metal:macos=14", "metal:macos=27"])
@pytest.mark.parametrize("kernel", KERNELS, ids=name_of)
def test_llvm_14_reads_and_verifies_every_module(kernel, target):
    read = subprocess.run(
        [DISASSEMBLER, "-o", "-"], input=compiled(kernel, target=target).air, capture_output=True, check=False
    )
    assert read.returncode == 0, read.stderr
    # The verifier stands before the assembler.
    done = subprocess.run([ASSEMBLER, "-o", os.devnull], input=read.stdout, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    text = read.stdout.decode()
    assert f"define void @{kernel.name}(" in text
    assert re.search(r"\bptr\b", text) is None
    assert re.search(r"\bdouble\b|\bi65\b|\bunreachable\b|@llvm\.(?!mem)", text) is None
    # A status and a result are two numbers.
    assert re.search(r"\b(?:insert|extract)value\b", text) is None


@pytest.mark.parametrize("level", [0, 3])
@pytest.mark.parametrize("kernel", KERNELS, ids=name_of)
def test_what_llvmlite_reads_back_is_the_module_that_went_in(kernel, level):
    chosen = smelt.kernel(opt_level=level)(kernel.function)
    kinds = tuple(kinds_of(kernel))
    back = module_of_bitcode(chosen.compile(*kinds, target="metal").air)
    back.verify()
    assert instructions(back) == instructions(module_of_text(smelt.code_air(chosen, kinds)))


def test_one_job_gives_the_same_bytes_in_every_process(tmp_path):
    program = (
        "import hashlib, importlib.util, sys\n"
        "found = importlib.util.spec_from_file_location('kernels', sys.argv[1])\n"
        "module = importlib.util.module_from_spec(found); sys.modules['kernels'] = module; found.loader.exec_module(module)\n"
        "kernels = list(module.KERNELS)[:: int(sys.argv[2])]\n"
        "made = {k.name: hashlib.sha256(module.compiled(k).metallib).hexdigest() for k in kernels}\n"
        "print(sorted(made.items()))"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", program, __file__, order],
            env={**os.environ, "PYTHONHASHSEED": seed, "SMELT_STORE": "off"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed, order in (("1", "1"), ("2", "-1"))
    }
    assert len(printed) == 1
    assert printed.pop().count("saxpy") == 1


def test_a_metallib_holds_the_kernel_for_its_system():
    results = compiled(saxpy, target="metal:macos=15,metal=3.1", name="other")
    library = read_metallib(results.metallib)
    (function,) = library.functions
    assert (results.entry, function.name) == ("other", "other")
    # An older language doesn't make the AIR older.
    assert (function.air, function.language, library.system[:2]) == (Version(2, 7), Version(3, 1), (15, 0))
    module = module_of_bitcode(results.air)
    assert module.triple == "air64_v27-apple-macosx15.0.0"
    assert module.data_layout == DATA_LAYOUT
    text = str(module)
    assert 'source_filename = "other"' in text
    for expected in (
        '!{i32 2, !"SDK Version", [2 x i32] [i32 15, i32 0]}',
        "!{i32 2, i32 7, i32 0}",
        '!{!"Metal", i32 3, i32 1, i32 0}',
        '!{!"air.compile.fast_math_disable"}',
    ):
        assert expected in text


def test_a_name_has_characters_that_metal_has():
    assert compiled(saxpy, name="2 x ✓").entry == "_2_x__"


@pytest.mark.parametrize("name", ["f0", "table0", "threadgroup_memory"])
def test_a_kernel_may_have_any_name(name):
    for kernel in (values, reverse):
        results = compiled(kernel, name=name)
        assert (results.entry, described(results).name) == (name, name)


def test_arguments_are_described():
    results = compiled(values)
    kernel = described(results)
    buffers = {buffer.name: buffer for buffer in kernel.buffers}
    assert [(b.name, b.index, b.space, b.is_written, b.type_name) for b in kernel.buffers] == [
        ("out", 0, 1, True, "float"),
        ("rows", 1, 1, False, "float"),
        ("GAINS", 2, 1, False, "float"),
        ("arguments", 3, 2, False, "ulong"),
        ("kernel_state", 4, 1, True, "uint"),
    ]
    assert buffers["arguments"].size_bytes == 8
    # out and its extent, two fields, the flag, two items, rows and its extents, the captured array and its extent
    assert results.argument_words == 2 + 2 + 1 + 2 + 3 + 2
    assert results.arrays == ((0, True), (7, False), (10, False))
    assert [one.quantity for one in kernel.inputs] == [
        "thread_position_in_grid",
        "threads_per_grid",
        "dispatch_threads_per_threadgroup",
        "thread_index_in_simdgroup",
    ]
    assert arguments_index(results.arrays, results.argument_words) == 3
    assert state_index(results.arrays, results.argument_words, results.error_sites, results.relocations) == 4


def test_a_kernel_that_can_not_fail_has_no_state():
    results = compiled(nothing)
    assert described(results).buffers == ()
    assert arguments_index(results.arrays, results.argument_words) is None
    assert state_index(results.arrays, results.argument_words, results.error_sites, results.relocations) is None


def test_memory_of_a_group_is_described():
    fixed, given = compiled(reverse), compiled(sized)
    assert (fixed.works_together, fixed.threadgroup_memory_bytes, fixed.is_sized_at_launch) == (True, 256, False)
    assert (given.works_together, given.threadgroup_memory_bytes, given.is_sized_at_launch) == (True, 0, True)
    kernel = described(given)
    assert [(b.index, b.space) for b in kernel.buffers if b.name == "launch_memory"] == [(0, 3)]
    # The size stands behind the row of arguments.
    assert given.argument_words == 4 + 1
    assert "addrspace(3) global [256 x i8] undef" in smelt.code_air(reverse, KERNELS[reverse])


def test_printing_needs_an_address():
    results = compiled(shows)
    assert results.logging_enabled
    assert results.relocations == ("smelt_print",)
    assert len(results.prints) == 1
    assert not compiled(saxpy).logging_enabled


def test_the_state_of_a_kernel_says_which_thread_failed():
    assert failure_in(kernel_state()) is None
    state = bytearray(kernel_state([1 << 40]))
    assert len(state) == 40
    state[:20] = b"".join(number.to_bytes(4, "little") for number in (1, 3, 70000, 2, 1))
    assert failure_in(state) == (3, (70000, 2, 1))


def test_mathematics_is_that_of_metal_precise_or_fast():
    precise = smelt.code_air(maths, (FLOATS, FLOATS))
    fast = smelt.code_air(smelt.kernel(fastmath=True)(maths.function), (FLOATS, FLOATS))
    assert "@air.sin.f32(" in precise
    assert "@air.sqrt.f32(" in precise
    assert "@air.fast_sin.f32(" in fast
    assert "@air.fast_sqrt.f32(" in fast
    assert " fast " in fast
    assert " fast " not in precise
    # A remainder is a function of AIR's.
    assert "@air.fmod.f32(" in precise
    assert " frem " not in precise


def test_only_lanes_that_are_there_are_asked():
    # What Metal gives of other lanes is undefined.
    text = smelt.code_air(lanes, KERNELS[lanes])
    assert "@air.simd_ballot.i64(i1 true)" in text
    assert re.search(r"select i1 %\S+, i64 \S+, i64 \S+\n.*trunc i64 %\S+ to i16\n", text)


def test_constants_lie_in_their_own_address_space():
    text = smelt.code_air(values, tuple(kinds_of(values)))
    assert re.search(r"^@\S+ = .*addrspace\(2\) constant \[10 x i64\]", text, re.MULTILINE)
    assert re.search(r"^@\S+ = (?!.*addrspace)", text, re.MULTILINE) is None


def test_a_sum_over_a_loop_has_integers_of_metal():
    @smelt.kernel
    def sums(out, x):
        i = smelt.grid(1)
        total = 0
        for k in range(x[i]):
            total += k
        out[i] = total

    assert "i65" not in smelt.code_air(sums, (LONGS, LONGS))


# What Metal hasn't


@smelt.kernel
def widened(out, x):
    out[smelt.grid(1)] = np.float64(x[smelt.grid(1)])


def helper(x):
    return np.complex128(x)


@smelt.kernel
def widened_in_a_helper(out, x):
    out[0] = abs(helper(x[0]))


@smelt.kernel
def wide_atomics(out):
    smelt.atomic_add(out, 0, 1)


@smelt.kernel
def with_much_memory(out):
    shared = smelt.threadgroup_array((64, 129), smelt.float32)
    out[0] = shared[0, 0]


def factorial(n):
    return 1 if n < 2 else n * factorial(n - 1)


@smelt.kernel
def recursive(out, x):
    out[0] = factorial(x[0])


@smelt.kernel
def of_many(arrays):
    for array in arrays:
        array[0] = 1


@smelt.kernel
def untouched(values):
    pass


@dataclass(frozen=True)
class Position:
    x: np.complex128
    y: np.float32


@dataclass(frozen=True)
class Weighted:
    position: Position
    weight: np.complex128


POINTS = np.zeros(2, [("position", [("x", "c16"), ("y", "f4")]), ("weight", "c16")])

REFUSED = [
    (
        saxpy,
        (smelt.float64[:], float, FLOATS, FLOATS),
        "the parameter out is a float64[:], and Metal has no float64",
        "pass an array of float32: out.astype(np.float32)",
        "def saxpy(out, a, x, y):\n              ^^^",
    ),
    (
        saxpy,
        (FLOATS, smelt.float64, FLOATS, FLOATS),
        "the parameter a is a float64, and Metal has no float64",
        "pass a Python number or a float32",
        "def saxpy(out, a, x, y):\n                   ^",
    ),
    (
        untouched,
        (typeof(POINTS),),
        "and Metal has no complex128",
        "pass an array of records with complex64 for values[i].position.x and values[i].weight",
        "def untouched(values):\n                  ^^^^^^",
    ),
    (
        untouched,
        (typeof(Weighted(Position(1j, 2.0), 1j)),),
        "and Metal has no complex128",
        "declare values.position.x and values.weight as complex64",
        "def untouched(values):\n                  ^^^^^^",
    ),
    (
        untouched,
        (smelt.types.Tuple((FLOATS, smelt.types.Tuple((smelt.float64[:], smelt.float64)))),),
        "and Metal has no float64",
        "pass an array of float32: values[1][0].astype(np.float32)",
        "def untouched(values):\n                  ^^^^^^",
    ),
    (
        widened,
        (FLOATS, FLOATS),
        "this is a float64, which Metal has not",
        "compute with float32: write np.float32(...), or a Python number, which is as wide as what it is joined with",
        "np.float64(x[smelt.grid(1)])",
    ),
    (
        widened_in_a_helper,
        (FLOATS, FLOATS),
        "this is a complex128, which Metal has not",
        "compute with complex64: write np.complex64(...)",
        "called from widened_in_a_helper",
    ),
    (
        wide_atomics,
        (LONGS,),
        "Metal has atomic operations on numbers of 32 bits, not on a int64[:]",
        "use an array of int32, uint32 or float32",
        "smelt.atomic_add(out, 0, 1)",
    ),
    (
        with_much_memory,
        (FLOATS,),
        "a threadgroup has 32768 bytes on Metal, and this array 33024",
        "use smaller groups, or narrower elements",
        "smelt.threadgroup_array((64, 129), smelt.float32)",
    ),
    (
        of_many,
        (smelt.types.Tuple((FLOATS,) * 30),),
        "the kernel takes 30 arrays, captured ones included; a kernel on Metal has 29 at most",
        "put several into one array, with one more axis or as fields of records",
        "",
    ),
]


@pytest.mark.parametrize(
    ("kernel", "kinds", "message", "advice", "place"), REFUSED, ids=lambda value: getattr(value, "name", "")
)
def test_what_metal_has_not_is_refused_with_the_line(kernel, kinds, message, advice, place):
    with pytest.raises(KernelError) as refused:
        kernel.compile(*kinds, target="metal")
    text = str(refused.value)
    assert message in text
    assert f"help: {advice}" in text
    assert place in text


def test_recursion_is_refused_with_the_line():
    with pytest.raises(KernelError, match=r"factorial\(int32\) calls itself"):
        recursive.compile(INTS, INTS, target="metal")


# Targets


def test_a_target_has_the_versions_that_go_together():
    assert str(metal_versions(metal_target())) == "macos=14.0,air=2.6,metal=3.1"
    assert metal_target_named("metal") == metal_target(14)
    assert metal_target_named("metal:macos=26,air=2.7,metal=3.2").cpu == "macos=26.0,air=2.7,metal=3.2"
    assert metal_versions(metal_target("15.2")).triple == "air64_v27-apple-macosx15.2.0"
    assert metal_target(15) != metal_target(14)
    assert not metal_target().has_doubles


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("metal:macos=13", "smelt compiles for macOS 14, 15, 26, 27, not for macOS 13.0"),
        ("metal:air=2.5", "smelt writes AIR 2.6, 2.7, 2.8, 2.9, not AIR 2.5"),
        ("metal:metal=2.4", "smelt knows Metal 3.1, 3.2, 4.0, 4.1, not Metal 2.4"),
        ("metal:macos=15,air=2.6", "Metal 3.2 needs AIR 2.7 at least, not AIR 2.6"),
        ("metal:macos=14,air=2.7", "macOS 14.0 loads AIR up to 2.6, not AIR 2.7: give macos=15"),
        (
            "metal:macos=14,metal=4.0",
            "macOS 14.0 loads AIR up to 2.6, not AIR 2.8, which Metal 4.0 needs: give macos=26",
        ),
        ("metal:macos=x", "macos= is a version like 14 or 14.2, not 'x'"),
        ("metal:ios=17", "there is no target 'metal:ios=17'; write metal:macos=14, with air= and metal= if need be"),
        ("cuda", "'cuda' is no target of Metal's; write metal, or metal:macos=14"),
    ],
)
def test_versions_that_do_not_go_together_are_refused(name, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        metal_target_named(name)


# Passes

TARGET = metal_versions(metal_target())


def verified(text):
    module = module_of_text(text)
    module.verify()
    return str(module)


def test_what_is_unreachable_returns():
    text = verified("""
define i32 @f(i1 %x) {
  br i1 %x, label %a, label %b
a:
  ret i32 1
b:
  unreachable
}
define void @g() {
  unreachable
}
""")
    changed = verified(no_unreachable(text, TARGET))
    assert "unreachable" not in changed
    assert "ret i32 0" in changed
    assert changed.count("ret void") == 1


def test_byte_addresses_are_counted_from_the_whole():
    text = verified("""
define void @f(ptr addrspace(1) %p, i64 %i, i64 %j) {
  %a = getelementptr i8, ptr addrspace(1) %p, i64 %i
  %1 = getelementptr inbounds i8, ptr addrspace(1) %a, i64 4
  %c = getelementptr i8, ptr addrspace(1) %1, i64 %j
  store i8 1, ptr addrspace(1) %c
  store i8 2, ptr addrspace(1) %1
  ret void
}
""")
    changed = verified(no_chains_of_byte_addresses(text, TARGET))
    bases = re.findall(r"getelementptr i8, ptr addrspace\(1\) (%\w+), i64 (\S+)", changed)
    assert [base for base, _ in bases] == ["%p", "%p", "%p"]
    assert "add i64 %i, 4" in changed
    assert no_chains_of_byte_addresses(changed, TARGET) == changed


def test_atomic_operations_have_flags_from_air_2_9_on():
    newer = smelt.code_air(counts, KERNELS[counts], target="metal:macos=27")
    older = smelt.code_air(counts, KERNELS[counts], target="metal:macos=26")
    called = r"call i32 @air\.atomic\.global\.add\.s\.i32\(ptr [^ ]* [^,]*, ([^)]*)\)"
    assert re.findall(called, newer) == ["i32 1, i32 0, i32 2, i32 0, i1 false"]
    assert re.findall(called, older) == ["i32 1, i32 0, i32 2, i1 true"]
    assert flags_of_atomic_operations(older, TARGET) == older


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("  %x = zext i64 %a to i65", "LLVM made a i65, which Metal has not: %x = zext i64 %a to i65"),
        ("  %x = fpext float %a to double", "LLVM made a double, which Metal has not"),
        (
            "@t = private constant [2 x float] zeroinitializer",
            "LLVM made the variable @t, which is in no address space of Metal's",
        ),
    ],
)
def test_what_metal_has_not_is_found_in_what_llvm_made(line, message):
    with pytest.raises(ArtifactError, match=re.escape(message)):
        checked(line, TARGET)


def test_a_function_that_air_has_not_is_named():
    with pytest.raises(
        ArtifactError, match=r"AIR has no llvm\.readcyclecounter, and smelt has no definition of it in AIR"
    ):
        with_definitions("declare i64 @llvm.readcyclecounter()\n", is_finished=True)
