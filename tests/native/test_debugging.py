# SPDX-License-Identifier: Apache-2.0
"""What debuggers and profilers see of kernels: lines, functions, variables, and where the code lies."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib.util
import io
import itertools
import os
import platform
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import smelt
from smelt import knobs
from smelt.lowering.debugging import path_of
from smelt.targets.native.debugging import debuggers
from smelt.targets.native.debugging.debugger_library import DESCRIPTOR, library
from smelt.targets.native.debugging.line_table import read_lines
from smelt.targets.native.debugging.profilers import announce, pieces
from smelt.targets.native.errors import FlatError
from smelt.targets.native.linking import NativeLinker
from smelt.targets.native.machine_code.elf import read_object

HERE = Path(__file__).parent
PROGRAM = HERE / "debugged_kernels.py"
LINES = PROGRAM.read_text(encoding="utf-8").splitlines()
KINDS = (smelt.float32[:], float, smelt.float32[:])

_spec = importlib.util.spec_from_file_location("debugged_kernels", PROGRAM)
debugged = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(debugged)

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="debuggers are told of kernels on Linux only")


def line_with(text):
    return next(number for number, line in enumerate(LINES, 1) if text in line)


def compiled(function=debugged.add_scaled, kinds=KINDS, **options):
    return smelt.kernel(**options)(function).compile(*kinds)


def dwarf_of(results):
    elffile = pytest.importorskip("elftools.elf.elffile", reason="the package pyelftools is not installed")
    return elffile.ELFFile(io.BytesIO(results.debug_object)).get_dwarf_info()


@pytest.mark.parametrize("opt_level", [0, 3])
@pytest.mark.parametrize("debug_level", [1, 2])
def test_kernels_with_debug_information_compute_the_same(debug_level, opt_level):
    out, reversed_, deep = debugged.run(debug_level, opt_level)
    x = np.arange(8, dtype=np.float32)
    np.testing.assert_array_equal(out, 2 * x + 1 + (x - 3) ** 2 * 2)
    np.testing.assert_array_equal(reversed_, [3 * (7 - i % 8 + i // 8 * 8) for i in range(16)])
    assert deep[0] == 10


@pytest.mark.parametrize("opt_level", [0, 3])
def test_the_line_table_has_the_lines_of_every_function(opt_level):
    results = compiled(debug_level=1, opt_level=opt_level)
    file = read_object(results.debug_object)
    section = next(symbol.section for symbol in file.symbols if symbol.name == results.entry)
    lines = read_lines(file, section)
    for text in ("in a function", "in a closure", "in the kernel"):
        assert ("debugged_kernels.py", line_with(f"# {text}")) in {(line.file, line.line) for line in lines}
    # As others read it.
    dwarf = dwarf_of(results)
    (unit,) = dwarf.iter_CUs()
    program = dwarf.line_program_for_CU(unit)
    names = ["", *(entry.name.decode() for entry in program["file_entry"])]
    rows = [entry.state for entry in program.get_entries() if entry.state]
    assert lines == [(row.address, names[row.file], row.line, row.end_sequence) for row in rows]


def test_a_line_table_that_is_damaged_is_refused():
    results = compiled(debug_level=1)
    file = read_object(results.debug_object)
    number = next(number for number, section in enumerate(file.sections) if section.name == ".debug_line")
    contents = file.sections[number].contents
    text = next(symbol.section for symbol in file.symbols if symbol.name == results.entry)

    def damaged(table):
        sections = list(file.sections)
        sections[number] = sections[number]._replace(contents=table)
        return file._replace(sections=tuple(sections), relocations=())

    for size in range(0, len(contents), 7):
        with pytest.raises(FlatError):
            read_lines(damaged(contents[:size]), text)
        whole = struct.pack("<I", max(0, size - 4)) + contents[4:size]
        if len(whole) < len(contents) - 8:
            with contextlib.suppress(FlatError):
                read_lines(damaged(whole), text)
    with pytest.raises(FlatError, match="of version 9"):
        read_lines(damaged(contents[:4] + b"\x09" + contents[5:]), text)
    without = tuple(section for section in file.sections if not section.name.startswith(".debug_line"))
    assert read_lines(file._replace(sections=without, relocations=()), text) == []


def test_functions_are_subprograms_and_closures_are_inlined_where_they_are_called():
    dwarf = dwarf_of(compiled(debug_level=1, opt_level=3))
    (unit,) = dwarf.iter_CUs()
    assert "DW_AT_comp_dir" not in unit.get_top_DIE().attributes
    entries = list(unit.iter_DIEs())
    names = {e.attributes["DW_AT_name"].value.decode() for e in entries if "DW_AT_name" in e.attributes}
    assert {"add_scaled", "scaled", "apply", "shifted at add_scaled", "threads of add_scaled"} <= names
    calls = [e.attributes["DW_AT_call_line"].value for e in entries if e.tag == "DW_TAG_inlined_subroutine"]
    assert line_with("return function(value) * 2") in calls
    assert line_with("# in the kernel") in calls


@pytest.mark.parametrize(("level", "expected"), [(1, set()), (2, {"a", "x", "out", "i", "product", "moved", "value"})])
def test_variables_are_there_at_level_2(level, expected):
    dwarf = dwarf_of(compiled(debug_level=level, opt_level=0))
    (unit,) = dwarf.iter_CUs()
    variables = [e for e in unit.iter_DIEs() if e.tag in ("DW_TAG_variable", "DW_TAG_formal_parameter")]
    named = {e.attributes["DW_AT_name"].value.decode() for e in variables if "DW_AT_name" in e.attributes}
    assert expected <= named
    assert bool(named) == bool(expected)


def test_every_instruction_of_a_users_function_has_a_place():
    text = smelt.code_llvm(smelt.kernel(debug_level=1)(debugged.add_scaled), KINDS, optimised=False)
    body = text[text.index("@f0.add_scaled(") :].partition("\n}")[0].splitlines()[1:]
    instructions = [line for line in body if line.startswith("  ") and " = phi " not in line]
    assert len(instructions) > 10
    assert all(re.search(r", !dbg !\d+$", line) for line in instructions)


def test_without_a_debug_level_there_is_nothing_of_it():
    results = compiled()
    assert results.debug_object == b""
    assert "!dbg" not in smelt.code_llvm(smelt.kernel(debugged.add_scaled), KINDS)


@pytest.mark.parametrize("level", [-1, 3, "1", None])
def test_a_debug_level_that_there_is_not_is_refused(level):
    with pytest.raises(ValueError, match="debug_level is 0, 1 or 2"):
        smelt.kernel(debug_level=level)(debugged.add_scaled)


def test_the_same_program_gives_the_same_bytes_wherever_it_lies(tmp_path):
    objects = set()
    for place in ("here", "there"):
        folder = tmp_path / f"somewhere_{place}"
        folder.mkdir()
        spec = importlib.util.spec_from_file_location(
            "package.debugged_kernels", shutil.copy(PROGRAM, folder / PROGRAM.name)
        )
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        objects.add(compiled(module.add_scaled, debug_level=2).debug_object)
        assert folder.name.encode() not in next(iter(objects))
    assert len(objects) == 1
    assert b"package/debugged_kernels.py" in objects.pop()


def test_a_file_is_named_by_its_module():
    def function():
        pass

    function.__module__ = "package.part.module"
    assert path_of(function) == f"package/part/{Path(__file__).name}"
    function.__module__ = "__main__"
    assert path_of(function) == Path(__file__).name


def test_what_was_compiled_for_other_lines_is_compiled_again():
    results = compiled(debug_level=1)
    assert NativeLinker().is_compiled(results)
    results.debug_lines = tuple(line + 1 for line in results.debug_lines)
    assert not NativeLinker().is_compiled(results)


def entries():
    """The object files that debuggers are told of."""
    descriptor = debuggers._interface()._descriptor
    found, entry = [], descriptor.first
    while entry:
        found.append(ctypes.string_at(entry.contents.file, entry.contents.size))
        assert not entry.contents.next or entry.contents.next.contents.previous.contents.file == entry.contents.file
        entry = entry.contents.next
    return found


@on_linux
def test_debuggers_are_told_of_a_kernel_as_long_as_it_is_there():
    before = entries()
    results = compiled(debug_level=1, opt_level=0, name="told of")
    (told,) = [file for file in entries() if file not in before]
    assert len(told) == len(results.debug_object)
    # The address of the code is all that differs, but for sections that lie elsewhere.
    assert told != results.debug_object
    address = results.kernel.address
    names = {piece.name: piece.address for piece in pieces(results)}
    assert names[f"smelt::{results.entry}"] == address
    assert any(name.endswith(".scaled") for name in names)
    results.kernel = None
    gc.collect()
    assert told not in entries()


@on_linux
def test_code_that_is_told_of_first_may_be_dropped_first():
    files = [compiled(debug_level=1, name=name).debug_object for name in ("first", "second", "third")]
    before = len(entries())

    class Code:
        pass

    codes = [Code() for _ in files]
    for number, file in enumerate(files):
        assert debuggers.register(codes[number], file, "smelt_kernel", 0x1000 * (number + 1))
    assert len(entries()) == before + 3
    for remaining in (2, 1, 0):
        # From the middle, then the end, then the beginning.
        del codes[len(codes) // 2]
        gc.collect()
        assert len(entries()) == before + remaining


def test_the_library_of_the_interface_is_a_shared_object_of_the_machine():
    assert library("unknown") is None
    for machine in ("x86_64", "aarch64"):
        elffile = pytest.importorskip("elftools.elf.elffile", reason="the package pyelftools is not installed")
        file = elffile.ELFFile(io.BytesIO(library(machine)))
        assert file["e_type"] == "ET_DYN"
        assert file.get_section_by_name(".dynsym").get_symbol_by_name(DESCRIPTOR)
    if sys.platform == "linux" and platform.machine() in ("x86_64", "aarch64"):
        assert debuggers._interface()._descriptor.version == 1


def run_under_perf(form, level):
    """What a child process, which ran the kernels at a debug level, wrote for perf; and its number."""
    run = f"runpy.run_path({str(PROGRAM)!r}, run_name='__main__')"
    program = f"import os, runpy, sys\nsys.argv = ['', '{level}', '3']\n{run}\nprint(os.getpid())"
    environment = {**os.environ, "SMELT_PERF": form}
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    path = Path({"map": "/tmp/perf-{}.map", "dump": "/tmp/jit-{}.dump"}[form].format(ran.stdout.strip()))
    try:
        assert path.stat().st_mode & 0o077 == 0
        return path.read_bytes(), int(ran.stdout)
    finally:
        path.unlink(missing_ok=True)


@on_linux
def test_perf_gets_a_map_where_the_environment_asks_for_it():
    contents, _ = run_under_perf("map", 0)
    lines = contents.decode().splitlines()
    assert all(re.fullmatch(r"[0-9a-f]+ [0-9a-f]+ smelt::\S+", line) for line in lines)
    assert {"smelt::add_scaled", "smelt::reverse", "smelt::measure"} == {line.split()[2] for line in lines}
    spans = sorted((int(address, 16), int(size, 16)) for address, size, _ in map(str.split, lines))
    assert all(size for _, size in spans)
    assert all(address + size <= following for (address, size), (following, _) in itertools.pairwise(spans))


@on_linux
def test_perf_gets_a_dump_with_code_and_lines_where_the_environment_asks_for_it():
    contents, process = run_under_perf("dump", 1)
    magic, version, size, _, _, number, _, _ = struct.unpack_from("<IIIIIIQQ", contents)
    assert (magic.to_bytes(4, "big"), version, size, number) == (b"JiTD", 1, 40, process)
    at, times, functions_, lines = size, [], {}, {}
    while at < len(contents):
        kind, length, when = struct.unpack_from("<IIQ", contents, at)
        record = contents[at + 16 : at + length]
        assert length % 8 == 0
        times.append(when)
        if kind == 2:
            address, count = struct.unpack_from("<QQ", record)
            record, lines[address] = record[16:], []
            for _ in range(count):
                where, line, _ = struct.unpack_from("<QII", record)
                path, _, record = record[16:].partition(b"\0")
                lines[address].append((where, path.decode(), line))
        else:
            assert kind == 0
            owner, _, address, again, code_bytes, _ = struct.unpack_from("<IIQQQQ", record)
            name, _, code = record[40:].partition(b"\0")
            assert (owner, address) == (process, again)
            functions_[name.decode()] = (address, code[:code_bytes])
        at += length
    assert times == sorted(times)
    (depth,) = (found for name, found in functions_.items() if name.endswith(".depth"))
    assert depth[1]
    assert (str(PROGRAM), line_with("# in a recursive function")) in [place[1:] for place in lines[depth[0]]]
    assert all(depth[0] <= place[0] < depth[0] + len(depth[1]) for place in lines[depth[0]])


@on_linux
def test_where_perf_cannot_be_told_there_is_a_warning_and_the_kernel_runs(monkeypatch):
    monkeypatch.setattr("smelt.targets.native.debugging.profilers._MAP_PATH", "/tmp/no/such/folder/{}.map")
    results = compiled()
    with pytest.warns(RuntimeWarning, match="perf can't be told of kernels"):
        announce(results, "map")


def test_what_perf_is_to_get_is_one_of_two_things():
    knob = knobs.Knob("SMELT_PERF", knobs._parse_perf, None)
    assert knob.value is None
    with pytest.raises(ValueError, match="it is map or dump"):
        knobs._parse_perf("on")


def gdb(*commands, arguments=("2", "0")):
    path = shutil.which("gdb")
    if path is None:
        pytest.skip("gdb is not installed")
    given = [part for command in commands for part in ("-ex", command)]
    ran = subprocess.run(
        [
            path,
            "-nx",
            "-batch",
            "-ex",
            "set breakpoint pending on",
            *given,
            "--args",
            sys.executable,
            str(PROGRAM),
            *arguments,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if "ptrace: Operation not permitted" in ran.stderr or "Could not trace the inferior" in ran.stderr:
        pytest.skip("gdb may not trace a process here")
    return ran.stdout


@on_linux
def test_gdb_stops_at_the_users_lines_and_shows_the_calls_and_the_variables():
    texts = ("in a function", "in a closure", "behind the barrier", "in a recursive function")
    function, closure, barrier, recursive = (f"{PROGRAM.name}:{line_with(f'# {text}')}" for text in texts)
    shown = gdb(
        f"directory {HERE}",
        f"tbreak {function}",
        f"tbreak {closure}",
        f"tbreak {barrier}",
        "run",
        "backtrace 3",
        "info args",
        "info locals",
        "continue",
        "backtrace 3",
        "continue",
        f"break {recursive}",
        "continue",
        "continue",
        "backtrace 3",
    )
    in_function, in_closure, in_barrier, in_recursion, *_ = shown.split("hit ")[1:]
    assert "scaled (a=2, x=" in in_function
    assert re.search(rf"#1 .* in add_scaled \(.*\) at {PROGRAM.name}:{line_with('# in the kernel')}", in_function)
    assert "return product + 1  # in a function" in in_function
    assert re.search(r"^a = 2$", in_function, re.MULTILINE)
    assert re.search(r"^product = 0$", in_function, re.MULTILINE)
    assert f"shifted at add_scaled () at {closure}" in in_closure
    assert re.search(rf"#1 +apply \(.*\) at {PROGRAM.name}:{line_with('return function(value)')}", in_closure)
    assert re.search(rf"reverse \(.*\) at {barrier}", in_barrier)
    assert "depth (n=" in in_recursion
    assert len(re.findall(rf"#[012] .*depth \(.*\) at {recursive}", shown)) >= 2
