# SPDX-License-Identifier: Apache-2.0
"""`smelt inspect`: what is in a metallib."""

from __future__ import annotations

import json
import struct

import pytest

from smelt.cli import main
from smelt.targets.metal.metallib import (
    Archive,
    Function,
    FunctionConstant,
    FunctionKind,
    Sources,
    Tag,
    Version,
    read_metallib,
    write_metallib,
)

pytestmark = pytest.mark.once

TEXT = """
define void @scale(ptr addrspace(1) %x, ptr addrspace(2) %factor, i32 %i) {
  %p = getelementptr inbounds float, ptr addrspace(1) %x, i32 %i
  store float 1.0, ptr addrspace(1) %p, align 4
  ret void
}
"""


@pytest.fixture
def path(air, tmp_path):
    arguments = [
        air.buffer(0, 0, "x"),
        air.buffer(1, 3, "factor", access="read", space=2, kind="half"),
        air.quantity(2, "thread_position_in_grid"),
    ]
    text = air.with_kernel(TEXT, "scale", arguments, '!{!"air.max_work_group_size", i32 64}')
    nothing = air.with_kernel("define void @nothing() {\n  ret void\n}", "nothing", [])
    library = read_metallib(air.metallib((text, "scale"), (nothing, "nothing")))
    library.functions[0].declare_constants((FunctionConstant("slope", 3, 5),))
    library.functions[0].private.append(Tag("DEBI", struct.pack("<I", 12) + b"a.metal\0"))
    path = tmp_path / "a.metallib"
    path.write_bytes(write_metallib(library))
    return path


def test_functions_are_listed_with_their_arguments(path, capsys):
    assert main(["inspect", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "metallib 1.2.7 for macOS 14.0.0, 2 functions"
    assert lines[2].startswith("kernel scale: AIR 2.6, Metal 3.1, ")
    assert lines[3:9] == [
        "  from a.metal:12",
        "  constant 5: slope",
        "  buffer 0: x, float, device memory, read and written",
        "  buffer 3: factor, half, constant memory, read",
        "  thread_position_in_grid: i, uint",
        "  at most 64 threads in a threadgroup",
    ]
    assert lines[10].startswith("kernel nothing: ")


def test_one_function_as_json(path, capsys):
    assert main(["inspect", str(path), "--function", "scale", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["version"], shown["system"], shown["sources"]) == ("1.2.7", "14.0.0", None)
    (function,) = shown["functions"]
    assert (function["name"], function["kind"], function["location"]) == ("scale", "kernel", ["a.metal", 12])
    assert [buffer["name"] for buffer in function["arguments"]["buffers"]] == ["x", "factor"]
    assert function["constants"] == [{"name": "slope", "kind": 3, "index": 5, "is_active": True}]


def test_functions_are_disassembled(path, capsys):
    assert main(["inspect", str(path), "--function", "nothing", "--disassemble"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("; nothing\n")
    assert "define void @nothing()" in shown
    assert "@scale" not in shown


def test_what_is_no_metallib_is_refused(path, capsys, tmp_path):
    assert main(["inspect", str(path), "--function", "other"]) == 1
    assert "no function 'other'; it has scale, nothing" in capsys.readouterr().err
    other = tmp_path / "other"
    other.write_bytes(b"something else")
    assert main(["inspect", str(other)]) == 1
    assert "smelt: this is no metallib" in capsys.readouterr().err
    missing = tmp_path / "missing"
    assert main(["inspect", str(missing)]) == 1
    said = (
        f"smelt: there is no file {missing}: give the path of a metallib, as in smelt inspect build/shapes.metallib\n"
    )
    assert capsys.readouterr().err == said


@pytest.fixture
def rich(air, tmp_path):
    """A library with all that there is to tell of."""
    text = """
@shared = internal addrspace(3) global [64 x float] undef
@other = internal addrspace(3) global i32 undef
@step.MTL_FC_INIT_4_i = internal addrspace(2) externally_initialized constant i32 undef, section "air.fc_initializer"
declare float @air.fmax.f32(float, float)
declare void @air.wg.barrier(i32, i32)
define void @works(ptr addrspace(1) %x) {
  call void @air.wg.barrier(i32 2, i32 1)
  %v = load float, ptr addrspace(3) @shared
  %m = call float @air.fmax.f32(float %v, float 1.0)
  store float %m, ptr addrspace(1) %x
  store i32 1, ptr addrspace(3) @other
  ret void
}
!air.function_constants = !{!1}
!1 = !{ptr addrspace(2) @step.MTL_FC_INIT_4_i, !"int", !"step", i32 4, i1 true}
"""
    library = read_metallib(air.metallib((air.with_kernel(text, "works", [air.buffer(0, 0, "x")]), "works")))
    works = library.functions[0]
    works.declare_constants((FunctionConstant("step", 29, 4), FunctionConstant("unused", 53, 5)))
    corner = Function("corner", works.module, Version(2, 6), Version(3, 1), kind=FunctionKind.VERTEX)
    broken = Function("broken", b"BC\xc0\xde" + bytes(12), Version(2, 6), Version(3, 1), kind=77)
    library.functions += [corner, broken]
    library.dynamic = [Tag("NAME", b"default.metallib\0")]
    library.sources = Sources("metallib a.air -o default.metallib", "/work", [Archive("0", b"BZh")])
    library.file_type = 2
    path = tmp_path / "rich.metallib"
    path.write_bytes(write_metallib(library))
    return path


def test_all_that_there_is_is_told(rich, capsys):
    assert main(["inspect", str(rich)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        "dynamic library 1.2.7 for macOS 14.0.0, 3 functions, written as default.metallib",
        "linked by: metallib a.air -o default.metallib, with 1 archives of sources",
    ]
    assert lines[4:9] == [
        "  constant 4: step, int",
        "  constant 5: unused",
        "  buffer 0: x, float, device memory, read and written",
        "  260 bytes of threadgroup memory",
        "  calls air.fmax.f32, air.wg.barrier",
    ]
    # What is wrong with one function keeps nobody from the others.
    assert lines[10].startswith("vertex corner: AIR 2.6, Metal 3.1, ")
    assert lines[-2] == "kind 77 broken: AIR 2.6, Metal 3.1, 16 bytes"
    assert lines[-1].startswith("  its module can't be understood: something else than a block stands at the top")


def test_names_only(rich, capsys):
    assert main(["inspect", str(rich), "--names"]) == 0
    assert capsys.readouterr().out == "works\ncorner\nbroken\n"


def test_all_that_there_is_as_json(rich, capsys):
    assert main(["inspect", str(rich), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["platform"], shown["file_type"], shown["name"]) == ("macOS", 2, "default.metallib")
    assert (shown["link_command"], shown["sources"]) == ("metallib a.air -o default.metallib", ["0"])
    works, corner, broken = shown["functions"]
    assert (works["threadgroup_bytes"], works["calls"]) == (260, ["air.fmax.f32", "air.wg.barrier"])
    assert (works["error"], works["arguments"]["buffers"][0]["name"]) == (None, "x")
    assert (corner["kind"], corner["arguments"]) == ("vertex", None)
    assert (broken["kind"], broken["arguments"]) == ("kind 77", None)
    assert broken["error"].startswith("something else than a block")


def test_a_module_that_is_no_module_is_not_disassembled(rich, capsys):
    assert main(["inspect", str(rich), "--function", "broken", "--disassemble"]) == 1
    assert "smelt: the module of broken is damaged: " in capsys.readouterr().err


def test_other_platforms_are_named(rich, capsys):
    library = read_metallib(rich.read_bytes())
    library.is_macos = False
    for platform, name in ((2, "iOS"), (40, "platform 40")):
        library.platform = platform
        rich.write_bytes(write_metallib(library))
        assert main(["inspect", str(rich), "--json", "--function", "corner"]) == 0
        assert json.loads(capsys.readouterr().out)["platform"] == name
