# SPDX-License-Identifier: Apache-2.0
"""`smelt inspect`: what is in a metallib."""

from __future__ import annotations

import json
import struct

import pytest

from smelt.cli import main
from smelt.targets.metal.metallib import FunctionConstant, Tag, read_metallib, write_metallib

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
    assert main(["inspect", str(tmp_path / "missing")]) == 1
    assert "missing" in capsys.readouterr().err
