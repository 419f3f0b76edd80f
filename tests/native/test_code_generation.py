# SPDX-License-Identifier: Apache-2.0
"""What LLVM is told of a target, and what the code that it makes has then."""

from __future__ import annotations

import llvmlite.binding as llvm
import pytest

from smelt.targets.native.machine_code.code_generation import machine_for, missing_conversions, with_attributes
from smelt.targets.native.machine_code.flattening import flatten
from smelt.targets.native.target import target_named

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("define void @f() {", 'define void @f() nounwind "probe-stack"="inline-asm" "tune-cpu"="znver3" {'),
        (
            "define { i32 } @f(ptr %x) alwaysinline !dbg !12 {",
            'define { i32 } @f(ptr %x) alwaysinline nounwind "probe-stack"="inline-asm" "tune-cpu"="znver3" !dbg !12 {',
        ),
        (
            "define internal i64 @f(\n    ptr %x, i64 %y\n) noinline {",
            'define internal i64 @f(\n    ptr %x, i64 %y\n) noinline nounwind "probe-stack"="inline-asm" "tune-cpu"="znver3" {',
        ),
        ("declare void @f()", "declare void @f()"),
    ],
)
def test_each_function_has_the_attributes_of_the_target(head, expected):
    target = target_named("native:x86-64-v3@znver3")
    body = "\nentry:\n  ret void\n}\n"
    assert with_attributes(head + body, target) == expected + body
    assert with_attributes(head + body + head + body, target) == 2 * (expected + body)


def test_on_windows_the_system_touches_the_pages_of_a_frame():
    text = with_attributes("define void @f() {\n}\n", target_named("native:x86-64-v3:windows"))
    assert text == "define void @f() nounwind {\n}\n"


LARGE_FRAME = """
define i64 @f(i64 %x) {
  %large = alloca [100000 x i64]
  %place = getelementptr i64, ptr %large, i64 %x
  store volatile i64 %x, ptr %place
  %y = load volatile i64, ptr %large
  ret i64 %y
}
"""


@pytest.mark.parametrize(
    ("target", "call"), [("native:x86-64", ()), ("native:aarch64", ()), ("native:x86-64:windows", ("__chkstk",))]
)
def test_a_large_frame_is_touched_page_by_page(object_of, target, call):
    assert flatten(object_of(LARGE_FRAME, target)).symbols == call
    text = machine_for(target_named(target), opt_level=2).emit_assembly(
        llvm.parse_assembly(with_attributes(LARGE_FRAME, target_named(target)))
    )
    # AArch64 writes it as `#1, lsl #12`.
    assert ("4096" in text or "lsl #12" in text) == (not call)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("define float @f(half %x) {\n}", ("@__truncsfhf2", "@__truncdfhf2", "@__extendhfsf2")),
        ("declare <4 x bfloat> @f(ptr)", ("@__truncsfbf2", "@__truncdfbf2")),
        ("define float @f({ half } %x) {\n}", ("@__extendhfsf2",)),
        ("; of which half is bfloat \ndefine void @half(i64 %half) {\nhalf:\n  br label %half\n}", ()),
        ("define void @f() {\n  ret void ; half \n}", ()),
        ("@behalf = constant i64 0", ()),
    ],
)
def test_conversions_are_there_where_numbers_of_that_type_are(text, names):
    found = missing_conversions(text, target_named("native:x86-64"))
    assert all(f"{name}(" in found for name in names)
    assert bool(found) == bool(names)
    assert missing_conversions(text, target_named("native:aarch64")) == ""


def test_aarch64_code_leaves_the_register_alone_that_systems_keep():
    # More values live at once than there are registers.
    loads = "".join(
        f"  %p{n} = getelementptr i64, ptr %x, i64 {n}\n  %v{n} = load volatile i64, ptr %p{n}\n" for n in range(40)
    )
    stores = "".join(f"  store volatile i64 %v{n}, ptr %p{n}\n" for n in range(40))
    text = f"define void @f(ptr %x) {{\n{loads}{stores}  ret void\n}}\n"
    target = target_named("native:aarch64")
    assembly = machine_for(target, opt_level=2).emit_assembly(llvm.parse_assembly(with_attributes(text, target)))
    words = assembly.replace(",", " ").split()
    assert {"x17", "x19"} <= set(words)
    assert not {"x18", "w18"} & set(words)
