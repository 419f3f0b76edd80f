# SPDX-License-Identifier: Apache-2.0
"""Modules of a recent LLVM as LLVM 14 bitcode with typed pointers: read by LLVM 14's own tools, and back by llvmlite."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import llvmlite.binding as llvm
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import smelt
from smelt.lowering.llvm import module_of_bitcode, module_of_text
from smelt.targets.metal.air import BitstreamError, DowngradeError, downgrade, wrapped
from smelt.targets.metal.air.bitstream import Block, Record, read_bitstream, write_bitstream
from smelt.targets.metal.air.pointers import pointee_of_parameter

pytestmark = pytest.mark.once

DISASSEMBLER = shutil.which("llvm-dis-14")
ASSEMBLER = shutil.which("llvm-as-14")

needs_llvm_14 = pytest.mark.skipif(
    DISASSEMBLER is None or ASSEMBLER is None,
    reason="LLVM 14's llvm-dis-14 or llvm-as-14 is missing: install Debian's package llvm-14",
)

AIR = 'target triple = "air64_v26-apple-macosx14.0.0"\n'

# Each is a module, and lines that LLVM 14 has to read in it.
MODULES = {
    "pointers_are_what_they_are_first_used_as": (
        """
define void @scale(ptr addrspace(1) %x, ptr addrspace(2) %factor, i32 %i, ptr %unused) {
  %p = getelementptr inbounds float, ptr addrspace(1) %x, i32 %i
  %a = load float, ptr addrspace(1) %p, align 4
  %b = load float, ptr addrspace(2) %factor, align 4
  %c = fmul nnan float %a, %b
  store float %c, ptr addrspace(1) %p, align 4
  ret void
}
!air.kernel = !{!0}
!0 = !{ptr @scale, !{}, !"text", i32 3}
""",
        [
            "define void @scale(float addrspace(1)* %x, float addrspace(2)* %factor, i32 %i, i8* %unused)",
            '!0 = !{void (float addrspace(1)*, float addrspace(2)*, i32, i8*)* @scale, !1, !"text", i32 3}',
        ],
    ),
    "a_pointer_used_as_two_types_is_cast": (
        """
define i64 @f(ptr %x) {
  %a = load i32, ptr %x
  %b = load i64, ptr %x
  %p = getelementptr i8, ptr %x, i64 4
  %c = load i16, ptr %p
  %d = zext nneg i32 %a to i64
  %e = sext i16 %c to i64
  %f = add nuw nsw i64 %b, %d
  %g = or disjoint i64 %f, %e
  ret i64 %g
}
""",
        [
            "define i64 @f(i32* %x)",
            "= bitcast i32* %x to i64*",
            "= bitcast i32* %x to i8*",
            "%p = getelementptr i8, i8*",
            "%d = zext i32 %a to i64",
            "%f = add nuw nsw i64 %b, %d",
            "%g = or i64 %f, %e",
        ],
    ),
    "phis_and_selects_of_pointers": (
        """
@table = internal addrspace(2) constant [4 x i32] [i32 1, i32 2, i32 3, i32 4]
define void @f(ptr addrspace(1) %x, ptr addrspace(1) %y, i1 %c, i32 %n) {
entry:
  %half = load half, ptr addrspace(1) %y
  br i1 %c, label %loop, label %done
loop:
  %p = phi ptr addrspace(1) [ %x, %entry ], [ %next, %loop ]
  %i = phi i32 [ 0, %entry ], [ %j, %loop ]
  %q = select i1 %c, ptr addrspace(1) %p, ptr addrspace(1) %y
  store float 1.0, ptr addrspace(1) %q
  %next = getelementptr i8, ptr addrspace(1) %p, i64 4
  %j = add i32 %i, 1
  %more = icmp samesign ult i32 %j, %n
  br i1 %more, label %loop, label %done
done:
  %e = icmp eq ptr addrspace(1) %x, %y
  %s = select i1 %e, ptr addrspace(2) @table, ptr addrspace(2) null
  %v = load i32, ptr addrspace(2) %s
  ret void
}
""",
        [
            "%q = select i1 %c, float addrspace(1)*",
            "%more = icmp ult i32 %j, %n",
            "%s = select i1 %e, i32 addrspace(2)* getelementptr inbounds ([4 x i32], [4 x i32] addrspace(2)* @table",
        ],
    ),
    "constants_of_all_sorts": (
        """
%pair = type { i32, ptr }
@bytes = addrspace(2) constant [4 x i8] c"abc\\00"
@floats = addrspace(2) constant [2 x float] [float 1.5, float 0x7FF8000000000000]
@wide = constant i128 170141183460469231731687303715884105727
@pairs = constant [2 x %pair] [%pair { i32 -1, ptr @wide }, %pair { i32 2, ptr getelementptr (i8, ptr @pairs, i64 8) }]
@zero = global %pair zeroinitializer
@shared = internal addrspace(3) global [32 x float] undef, align 4
@nested = constant { <2 x half>, [1 x i16] } { <2 x half> <half 1.0, half -0.0>, [1 x i16] [i16 -2] }
@number = constant i64 ptrtoint (ptr @zero to i64)
@cast = constant ptr addrspacecast (ptr addrspace(2) @bytes to ptr)
define ptr @f(i1 %c) {
  %p = select i1 %c, ptr @zero, ptr poison
  store double 0x400921FB54442D18, ptr @wide
  store bfloat 1.0, ptr undef
  store float 2.0, ptr addrspace(3) getelementptr inbounds ([32 x float], ptr addrspace(3) @shared, i64 0, i64 3)
  ret ptr %p
}
""",
        [
            "%pair = type { i32, i8* }",
            '@bytes = addrspace(2) constant [4 x i8] c"abc\\00"',
            "@wide = constant i128 170141183460469231731687303715884105727",
            "%pair { i32 -1, i8* bitcast (i128* @wide to i8*) }",
            "@shared = internal addrspace(3) global [32 x float] undef, align 4",
            "@number = constant i64 ptrtoint (%pair* @zero to i64)",
            "store double 0x400921FB54442D18, double* bitcast (i128* @wide to double*)",
            "float addrspace(3)* getelementptr inbounds ([32 x float], [32 x float] addrspace(3)* @shared, i64 0, i64 3)",
            "define i8* @f(i1 %c)",
        ],
    ),
    "memory_and_aggregates": (
        """
declare void @llvm.memcpy.p0.p1.i64(ptr noalias writeonly, ptr addrspace(1) noalias readonly, i64, i1 immarg)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1 immarg)
declare void @llvm.lifetime.start.p0(LIFETIME ptr)
define { i32, ptr } @f(ptr addrspace(1) %x, { i32, ptr } %s) {
  %a = alloca [4 x i32], align 16
  call void @llvm.lifetime.start.p0(LIFETIME_VALUE ptr %a)
  call void @llvm.memcpy.p0.p1.i64(ptr align 16 %a, ptr addrspace(1) align 4 %x, i64 16, i1 false)
  call void @llvm.memset.p0.i64(ptr %a, i8 0, i64 4, i1 false)
  %v = extractvalue { i32, ptr } %s, 0
  %p = extractvalue { i32, ptr } %s, 1
  %i = load i32, ptr %p
  %t = insertvalue { i32, ptr } %s, ptr %a, 1
  %w = insertvalue { i32, ptr } %t, i32 %i, 0
  %q = load ptr, ptr %p
  store ptr %a, ptr %q
  ret { i32, ptr } %w
}
""",
        [
            "declare void @llvm.memcpy.p0i8.p1i8.i64(i8* noalias",
            "%a = alloca [4 x i32], align 16",
            "%t = insertvalue { i32, i8* } %s, i8* %",
            "define { i32, i8* } @f(i8 addrspace(1)* %x, { i32, i8* } %s)",
        ],
    ),
    "vectors": (
        """
define <4 x float> @f(<2 x float> %a, <4 x float> %b, i32 %i) {
  %s = shufflevector <2 x float> %a, <2 x float> poison, <4 x i32> <i32 0, i32 1, i32 poison, i32 0>
  %e = extractelement <4 x float> %b, i32 %i
  %v = insertelement <4 x float> %s, float %e, i64 2
  %n = fneg fast <4 x float> %v
  %c = fcmp nnan olt <4 x float> %n, %b
  %r = select <4 x i1> %c, <4 x float> %n, <4 x float> zeroinitializer
  %z = freeze <4 x float> %r
  ret <4 x float> %z
}
""",
        ["shufflevector <2 x float> %a, <2 x float> poison, <4 x i32> <i32 0, i32 1, i32 undef, i32 0>", "fneg fast"],
    ),
    "control_flow": (
        """
define i32 @f(i32 %x) {
entry:
  switch i32 %x, label %other [ i32 1, label %one
                                i32 -7, label %two ]
one:
  br label %done
two:
  br label %done
other:
  %c = icmp sgt i32 %x, 100
  br i1 %c, label %done, label %never, !prof !0
done:
  %r = phi i32 [ 10, %one ], [ 20, %two ], [ %x, %other ]
  ret i32 %r
never:
  unreachable
}
!0 = !{!"branch_weights", i32 7, i32 1}
""",
        ["i32 -7, label %two", "!prof !0", "phi i32 [ 10, %one ], [ 20, %two ], [ %x, %other ]", "unreachable"],
    ),
    "atomic_operations": (
        """
define i32 @f(ptr addrspace(1) %x, i32 %v) {
  %a = atomicrmw add ptr addrspace(1) %x, i32 %v monotonic, align 4
  %f = atomicrmw fadd ptr addrspace(1) %x, float 1.0 seq_cst, align 4
  %p = cmpxchg weak ptr addrspace(1) %x, i32 %a, i32 %v acquire monotonic, align 4
  %l = load atomic i32, ptr addrspace(1) %x acquire, align 4
  store atomic i32 %l, ptr addrspace(1) %x release, align 4
  fence syncscope("singlethread") seq_cst
  %o = extractvalue { i32, i1 } %p, 0
  ret i32 %o
}
""",
        [
            "define i32 @f(i32 addrspace(1)* %x, i32 %v)",
            "cmpxchg weak i32 addrspace(1)* %x",
            'fence syncscope("singlethread")',
        ],
    ),
    "functions_of_air": (
        AIR
        + """
declare float @air.atomic.global.add.f32(ptr addrspace(1) nocapture, float, i32, i32, i1)
declare <64 x float> @air.simdgroup_matrix_8x8_load.v64f32.p1f32(ptr addrspace(1), i64, <2 x i64>, i1)
declare void @air.wg.barrier(i32, i32) convergent
define void @f(ptr addrspace(1) %x) {
  %old = call float @air.atomic.global.add.f32(ptr addrspace(1) %x, float 1.0, i32 0, i32 2, i1 true)
  call void @air.wg.barrier(i32 2, i32 1)
  %m = tail call fast <64 x float> @air.simdgroup_matrix_8x8_load.v64f32.p1f32(ptr addrspace(1) %x, i64 8, <2 x i64> zeroinitializer, i1 false)
  ret void
}
""",
        [
            "declare float @air.atomic.global.add.f32(float addrspace(1)* nocapture, float, i32, i32, i1)",
            "define void @f(float addrspace(1)* %x)",
            'target triple = "air64_v26-apple-macosx14.0.0"',
        ],
    ),
    "attributes": (
        """
define i32 @none(ptr captures(none) dereferenceable(4) %x) memory(none) { ret i32 1 }
define i32 @reads(ptr captures(address) %x) memory(argmem: read) nounwind willreturn { ret i32 1 }
define range(i32 0, 4) i32 @hidden() memory(inaccessiblemem: write) mustprogress { ret i32 1 }
define void @strings() "no-trapping-math"="true" "alone" uwtable nocallback { ret void }
define void @by_value(ptr byval({ i32, ptr }) align 8 %x, ptr addrspace(1) noundef "air-buffer-no-alias" %y) { ret void }
define void @reads_all() memory(read) { ret void }
""",
        [
            "; Function Attrs: readnone",
            "define i32 @none(i8* nocapture dereferenceable(4) %x)",
            "; Function Attrs: argmemonly nounwind readonly willreturn",
            "; Function Attrs: inaccessiblememonly mustprogress writeonly",
            '"alone" "no-trapping-math"="true"',
            'define void @by_value({ i32, i8* }* byval({ i32, i8* }) align 8 %x, i8 addrspace(1)* noundef "air-buffer-no-alias" %y)',
            "; Function Attrs: readonly",
        ],
    ),
    "metadata": (
        """
define i32 @f(ptr %x) {
entry:
  br label %loop
loop:
  %i = phi i32 [ 0, %entry ], [ %j, %loop ]
  %v = load i32, ptr %x, !range !0, !tbaa !4
  %j = add i32 %i, %v
  %c = icmp ult i32 %j, 100
  br i1 %c, label %loop, label %done, !llvm.loop !2
done:
  ret i32 %j
}
!named = !{!1}
!llvm.module.flags = !{!7}
!0 = !{i32 0, i32 7}
!1 = !{!"text", null, i64 5, !0}
!2 = distinct !{!2, !3}
!3 = !{!"llvm.loop.mustprogress"}
!4 = !{!5, !5, i64 0}
!5 = !{!"int", !6}
!6 = !{!"root"}
!7 = !{i32 2, !"SDK Version", [2 x i32] [i32 14, i32 0]}
""",
        [
            "!llvm.loop !",
            "distinct !{",
            '!{!"text", null, i64 5, !',
            '!{i32 2, !"SDK Version", [2 x i32] [i32 14, i32 0]}',
        ],
    ),
    "debug_information_is_left_out": (
        """
define i32 @f(i32 %x) !dbg !3 {
  %y = add i32 %x, 1, !dbg !5
    #dbg_value(i32 %y, !6, !DIExpression(), !5)
  ret i32 %y, !dbg !5
}
!llvm.dbg.cu = !{!0}
!llvm.module.flags = !{!2}
!0 = distinct !DICompileUnit(language: DW_LANG_C99, file: !1, emissionKind: FullDebug)
!1 = !DIFile(filename: "a.c", directory: "/")
!2 = !{i32 2, !"Debug Info Version", i32 3}
!3 = distinct !DISubprogram(name: "f", file: !1, line: 1, unit: !0, type: !4, spFlags: DISPFlagDefinition)
!4 = !DISubroutineType(types: !{})
!5 = !DILocation(line: 1, scope: !3)
!6 = !DILocalVariable(name: "y", scope: !3, file: !1, line: 1)
""",
        ["%y = add i32 %x, 1\n"],
    ),
}


def module_of(text):
    # LLVM 22 has one operand less there.
    has_size = llvm.llvm_version_info[0] < 22
    text = text.replace("LIFETIME_VALUE", "i64 16," if has_size else "").replace("LIFETIME", "i64," if has_size else "")
    module = module_of_text(text)
    module.verify()
    return module


def read_by_llvm_14(bitcode, tmp_path):
    """The text that LLVM 14 makes of bitcode, which its verifier has passed: it stands before the assembler."""
    path = tmp_path / "module.bc"
    path.write_bytes(bitcode)
    text = tmp_path / "read.ll"
    for command in ([DISASSEMBLER, "-o", text, path], [ASSEMBLER, "-o", os.devnull, text]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return text.read_text()


def comparable(module):
    """The text of a module without what LLVM 14 has no words for, and with the casts of pointers folded."""
    text = re.sub(r"\b(optnone|noinline) ", "", str(module))
    module = module_of_text(text)
    llvm.initialize_all_targets()
    machine = llvm.Target.from_default_triple().create_target_machine()
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=1))
    passes = llvm.create_new_function_pass_manager()
    passes.add_instruction_combine_pass()
    for function in module.functions:
        if not function.is_declaration:
            passes.run(function, builder)
    lines = [without_news(line) for line in str(module).splitlines() if line and not NOT_COMPARED.match(line)]
    functions = "\n".join(lines).split("define ")
    return "define ".join(map(with_numbers_for_names, functions))


NOT_COMPARED = re.compile(r";|attributes|declare|!llvm\.dbg|!llvm\.module\.flags|!\d+ = |.*@llvm\.lifetime")

# What is new since LLVM 14; numbers of attributes and of metadata; where blocks come from.
NEWS = re.compile(
    r"\b(getelementptr(?: inbounds)?)(?: nusw)?(?: nuw)?|\b(icmp) samesign|\b(zext|uitofp) nneg|\b(or) disjoint"
    r"|\b(trunc)(?: nuw)?(?: nsw)?|(?:range|captures|nofpclass|initializes)\([^)]*\) ?|(?:dead_on_unwind|writable|nocapture) "
    r"| #\d+|, !\w+(?:\.\w+)* !\d+| !dbg !\d+| *; preds = .*"
)


def without_news(line):
    return NEWS.sub(lambda found: "".join(filter(None, found.groups())), line)


def with_numbers_for_names(text):
    names: dict[str, str] = {}
    return re.sub(r"%[\w.$-]+", lambda found: names.setdefault(found[0], f"%{len(names)}"), text)


@needs_llvm_14
@pytest.mark.parametrize("name", MODULES)
def test_llvm_14_reads_typed_pointers(name, tmp_path):
    text, expected = MODULES[name]
    read = read_by_llvm_14(downgrade(module_of(text)), tmp_path)
    for part in expected:
        assert part in read
    assert re.search(r"\bptr\b", read) is None


@pytest.mark.parametrize("name", [name for name in MODULES if name != "debug_information_is_left_out"])
def test_what_llvmlite_reads_back_is_the_module_that_went_in(name):
    module = module_of(MODULES[name][0])
    back = module_of_bitcode(downgrade(module))
    back.verify()
    assert comparable(back) == comparable(module)


def saxpy(out, a, x, y):
    i = smelt.grid(1)
    if i < out.size:
        out[i] = a * x[i] + y[i]


def tree(out, x):
    total = smelt.float32(0)
    row = x[smelt.grid(1)]
    for start in range(0, row.size, 4):
        part = row[start : start + 4]
        total += max(part) * np.float32(part.size)
        if total > 100:
            break
    out[smelt.grid(1)] = total


KERNELS = {
    saxpy: (smelt.float32[:], smelt.float32, smelt.float32[:], smelt.float32[:]),
    tree: (smelt.float32[:], smelt.float32[:, :]),
}


@needs_llvm_14
@pytest.mark.parametrize("level", [0, 1, 3])
@pytest.mark.parametrize("function", KERNELS, ids=lambda function: function.__name__)
def test_compiled_kernels_are_read_by_llvm_14_and_come_back_the_same(function, level, tmp_path):
    text = smelt.code_llvm(smelt.kernel(opt_level=level)(function), KERNELS[function])
    bitcode = downgrade(module_of(text))
    read_by_llvm_14(bitcode, tmp_path)
    assert comparable(module_of_bitcode(bitcode)) == comparable(module_of(text))


def test_one_module_gives_the_same_bytes_in_every_process():
    program = (
        "import hashlib, sys; sys.path.insert(0, sys.argv[1]); import test_downgrade as tests\n"
        "print([hashlib.sha256(tests.downgrade(tests.module_of(text))).hexdigest() for text, _ in tests.MODULES.values()])"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", program, os.path.dirname(__file__)],  # noqa: PTH120
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1
    assert printed.pop().count("'") == 2 * len(MODULES)


def test_bitcode_does_as_well_as_a_module_of_llvmlite():
    module = module_of(MODULES["vectors"][0])
    assert downgrade(module.as_bitcode()) == downgrade(module)
    assert downgrade(wrapped(module.as_bitcode())) == downgrade(module)


@needs_llvm_14
def test_the_wrapper_is_the_one_that_llvm_14_writes(tmp_path):
    source = tmp_path / "module.ll"
    source.write_text(AIR + "define void @f() {\n  ret void\n}\n")
    theirs = subprocess.run([ASSEMBLER, "-o", "-", source], capture_output=True, check=True).stdout
    ours = wrapped(downgrade(module_of(source.read_text())))
    assert ours[:12] == theirs[:12]
    assert ours[16:24] == theirs[16:24]
    assert int.from_bytes(ours[12:16], "little") % 4 == 0
    assert len(ours) % 16 == len(theirs) % 16 == 0
    assert "define void @f()" in read_by_llvm_14(ours, tmp_path)


REFUSED = {
    "define void @f(ptr %g) {\n  call void %g()\n  ret void\n}": "calls a function through a pointer",
    'module asm "nop"': "module-level assembly",
    "@a = global i32 0\n@b = alias i32, ptr @a": "an alias",
    "$c = comdat any\n@a = global i32 0, comdat($c)": "a comdat",
    "declare void @p(ptr, ...)\ndefine void @f(ptr %x) {\n  call void (ptr, ...) @p(ptr %x, i32 1)\n  ret void\n}": (
        "a variable number of arguments"
    ),
    "define float @f(ptr %x) {\n  %a = atomicrmw fmax ptr %x, float 1.0 monotonic\n  ret float %a\n}": (
        "an atomic operation (13) that LLVM 14 has not"
    ),
    "define x86_fp80 @f() {\n  ret x86_fp80 0xK3FFF8000000000000000\n}": "a type (record 13)",
    "define <2 x ptr> @f(<2 x ptr> %x, i32 %i) {\n  %y = getelementptr i8, <2 x ptr> %x, i32 %i\n  ret <2 x ptr> %y\n}": (
        "a vector of addresses"
    ),
    "define void @f(ptr %x) {\n  indirectbr ptr %x, [label %a]\na:\n  ret void\n}": "an instruction (record 31)",
    "declare i1 @llvm.type.test(ptr, metadata)\ndefine i1 @f(ptr %x) {\n"
    '  %r = call i1 @llvm.type.test(ptr %x, metadata !"a")\n  ret i1 %r\n}': "passes metadata to llvm.type.test",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_has_no_counterpart_is_refused(text):
    with pytest.raises(DowngradeError, match=re.escape(REFUSED[text])):
        downgrade(module_of(text))


def test_what_is_no_bitcode_is_refused():
    with pytest.raises(BitstreamError, match="does not begin with 'BC' 0xC0DE"):
        downgrade(b"MTLB")


BITCODE = module_of(MODULES["constants_of_all_sorts"][0]).as_bitcode()


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.data())
def test_damaged_bitcode_is_refused_or_read_but_nothing_else(data):
    damaged = bytearray(BITCODE)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(4, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    del damaged[data.draw(st.sampled_from([len(damaged), data.draw(st.integers(0, len(damaged)))])) :]
    try:
        downgrade(bytes(damaged))
    except (BitstreamError, DowngradeError):
        return


numbers = st.integers(0, 2**64 - 1)
records = st.builds(Record, st.integers(0, 100), st.lists(numbers, max_size=20)) | st.builds(
    Record, st.integers(0, 100), st.lists(numbers, max_size=3), st.binary(max_size=50)
)
blocks = st.recursive(
    st.builds(Block, st.integers(8, 30), st.lists(records, max_size=5)),
    lambda inner: st.builds(Block, st.integers(8, 30), st.lists(records | inner, max_size=4)),
    max_leaves=6,
)


@settings(max_examples=100, derandomize=True, deadline=None)
@given(st.lists(blocks, max_size=3))
def test_a_bitstream_that_is_written_is_read_back(written):
    assert read_bitstream(write_bitstream(written)) == written


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.lists(blocks, max_size=3), st.sets(st.integers(8, 30), max_size=12))
def test_blocks_of_some_numbers_are_left_out_when_a_bitstream_is_read(written, without):
    def left(items):
        return [
            Block(item.number, left(item.items)) if isinstance(item, Block) else item
            for item in items
            if not isinstance(item, Block) or item.number not in without
        ]

    assert read_bitstream(write_bitstream(written), without) == left(written)


@pytest.mark.parametrize(
    ("name", "pointee"),
    [
        ("air.atomic.global.add.f32", "Primitive(name='float')"),
        ("air.atomic.local.xchg.i32", "Integer(bits=32)"),
        ("air.atomic.global.max.u.i64", "Integer(bits=64)"),
        ("air.simdgroup_matrix_8x8_store.v64f16.p3f16", "Primitive(name='half')"),
        ("air.sincos.bf16", "Primitive(name='bfloat')"),
        ("air.something.v4f32", "Sequence(count=4, of=Primitive(name='float'), is_vector=True)"),
        ("air.os_log", "Integer(bits=8)"),
        ("llvm.memset.p0i8.i64", "Integer(bits=8)"),
    ],
)
def test_the_name_of_a_function_of_air_tells_what_its_pointers_point_to(name, pointee):
    assert repr(pointee_of_parameter(name)) == pointee
