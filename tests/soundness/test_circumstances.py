# SPDX-License-Identifier: Apache-2.0
"""What is around a program: none of it matters but what would change its results."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from soundness_cases import KERNEL
from soundness_programs import SOURCE, python, run, write_program

FILES = {
    "__init__.py": "",
    "helpers.py": "factor = 2.0\ndef helper(x):\n    return x * factor\n",
    "main.py": "from .helpers import helper\ndef compute(x):\n    return helper(x) + 1.0\n" + KERNEL,
}


@pytest.fixture(scope="module")
def run_once(tmp_path_factory):
    """A directory with one program, which was run once with the store beside it."""
    directory = tmp_path_factory.mktemp("programs")
    write_program(directory / "programs", "program", FILES)
    (first,) = run(directory / "store", "run", directory / "programs", "program")
    assert first["compilations"] == 1
    assert first["result"] == first["expected"]
    return directory


@pytest.fixture
def programs(run_once, tmp_path):
    """As `run_once`, to be changed; the programs."""
    shutil.copytree(run_once, tmp_path, dirs_exist_ok=True)
    return tmp_path / "programs"


def rerun(programs, directory=None, mode="run", **settings):
    (line,) = run(programs.parent / "store", mode, directory or programs, "program", **settings)
    assert line["result"] == line["expected"]
    return line


def test_a_later_process_needs_neither_the_compiler_nor_llvm_nor_the_sources(programs):
    line = rerun(programs)
    assert line["compilations"] == line["inferences"] == line["sources_read"] == 0
    assert line["store_hits"] == line["links"] == 1
    assert not line["llvm_loaded"]
    assert not line["compiler_loaded"]


def test_neither_place_nor_time_nor_user_nor_hash_seed_nor_being_traced_matter(programs, tmp_path):
    shutil.copytree(programs, tmp_path / "moved")
    for path in (tmp_path / "moved").rglob("*.py"):
        os.utime(path, (1, 1))
    around = {"PYTHONHASHSEED": "77", "HOME": str(programs), "USER": "somebody", "LC_ALL": "C", "TZ": "Asia/Tokyo"}
    line = rerun(programs, tmp_path / "moved", mode="traced", **around)
    assert line["compilations"] == line["sources_read"] == 0


def test_optimised_bytecode_does_not_matter_without_an_assertion(programs):
    assert rerun(programs, flags=("-O",))["compilations"] == 0


def test_optimised_bytecode_matters_to_an_assertion(tmp_path):
    checked = FILES["main.py"].replace("    return", "    assert x < 100.0\n    return")
    write_program(tmp_path / "programs", "program", {**FILES, "main.py": checked})
    for flags, compilations in [((), 1), (("-O",), 1), ((), 0)]:
        assert rerun(tmp_path / "programs", flags=flags)["compilations"] == compilations


def test_an_edit_that_keeps_size_and_time_is_seen(programs):
    path = programs / "program/helpers.py"
    status = path.stat()
    path.write_text(path.read_text().replace("2.0", "5.0"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    assert rerun(programs)["compilations"] == 1


def test_an_edit_that_is_taken_back_finds_the_first_result_again(programs):
    path = programs / "program/helpers.py"
    text = path.read_text()
    path.write_text(text.replace("return x", "return 3.0 * x"))
    line = rerun(programs)
    assert line["compilations"] == 1
    (why,) = line["why"]
    assert why == (
        "program.main.kernel(float64[:], float64[:]): program.helpers.helper changed; it is called by "
        "program.main.compute(float64), which is called by program.main.kernel(float64[:], float64[:])"
    )
    path.write_text(text)
    assert rerun(programs)["compilations"] == 0


def test_a_module_of_the_same_name_elsewhere_is_another(programs, tmp_path):
    other = {**FILES, "helpers.py": FILES["helpers.py"].replace("2.0", "7.0")}
    write_program(tmp_path / "elsewhere", "program", other)
    line = rerun(programs, tmp_path / "elsewhere")
    assert line["compilations"] == 1
    (why,) = line["why"]
    assert why == (
        "program.main.kernel(float64[:], float64[:]): program.helpers.factor changed; it is read by "
        "program.helpers.helper(float64), which is called by program.main.compute(float64), which is called by "
        "program.main.kernel(float64[:], float64[:])"
    )
    assert rerun(programs)["compilations"] == 0
    assert rerun(programs, tmp_path / "elsewhere")["compilations"] == 0


def test_another_version_of_smelt_compiles_anew_and_leaves_the_first_in_peace(programs, tmp_path):
    changed = tmp_path / "changed"
    shutil.copytree(SOURCE / "smelt", changed / "smelt", ignore=shutil.ignore_patterns("__pycache__"))
    with (changed / "smelt/lowering/module.py").open("a") as file:
        file.write("\n# Something else.\n")
    line = rerun(programs, PYTHONPATH=str(changed))
    assert line["compilations"] == 1
    assert "what is kept was made by another version of smelt or of LLVM" in line["why"][0]
    assert rerun(programs)["compilations"] == 0
    assert rerun(programs, PYTHONPATH=str(changed))["compilations"] == 0


@pytest.mark.parametrize("minor", range(11, 15))
def test_another_version_of_python_finds_the_same(programs, tmp_path, minor):
    executable = shutil.which(f"python3.{minor}")
    probe = "import importlib.util as u; assert all(u.find_spec(n) for n in ('numpy', 'llvmlite'))"
    if sys.version_info[1] == minor:
        pytest.skip(f"Python 3.{minor} is the one that runs the tests")
    if executable is None:
        pytest.skip(f"there is no python3.{minor} on the path")
    if subprocess.run([executable, "-c", probe], capture_output=True, check=False).returncode:
        pytest.skip(f"{executable} has no NumPy or no llvmlite")
    runner = Path(__file__).parent / "run_programs.py"
    output = python(tmp_path / "store", runner, "run", programs, "program", executable=executable)
    assert '"compilations": 0' in output


# Sessions of one file

SCRIPT = """
import json, sys
import numpy as np
import smelt

table = np.array([1.0, 2.0])

def scaled(x, i):
    return x * table[i]

@smelt.kernel
def first(out, x):
    i = smelt.grid(1)
    out[i] = scaled(x[i], 1)

@smelt.kernel
def second(out, x):
    i = smelt.grid(1)
    first(out, x)
    out[i] += 1.0

def shown(**more):
    stats = smelt.stats()
    print(json.dumps({"compilations": stats.compilations, "store_hits": stats.store_hits, **more}))
"""


def session(directory, *statements, **settings):
    (directory / "script.py").write_text(SCRIPT + "\n".join(statements) + "\n")
    return json.loads(python(directory / "store", "-W", "error", directory / "script.py", cwd=directory, **settings))


LAUNCH = "out, x = np.zeros(2), np.array([3.0, 4.0])\nfirst[2](out, x)"
KINDS = "(smelt.float64[:], smelt.float64[:])"
FAILS = "try:\n    first[3](np.zeros(2), np.zeros(3))\nexcept IndexError as error:\n    note = error.__notes__[0]"


@pytest.fixture(scope="module")
def launched_once(tmp_path_factory):
    """A directory with a store, in which an earlier session kept the first kernel; and what that session showed."""
    directory = tmp_path_factory.mktemp("session")
    found = session(directory, LAUNCH, FAILS, f"shown(note=note, text=smelt.code_typed(first, {KINDS}))")
    assert found["compilations"] == 1
    return directory, found


@pytest.fixture
def kept(launched_once, tmp_path):
    """As `launched_once`, to be changed; the directory."""
    shutil.copytree(launched_once[0], tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_a_kernel_from_the_store_can_be_called_by_a_new_one(kept):
    found = session(kept, LAUNCH, "second[2](out, x)", "shown(out=out.tolist())")
    assert found == {"compilations": 1, "store_hits": 1, "out": [7.0, 9.0]}


def test_a_kernel_from_the_store_can_be_compiled_with_other_options(kept):
    other = "smelt.kernel(opt_level=1)(first.function)[2](out, x)"
    assert session(kept, LAUNCH, other, "shown(out=out.tolist())") == {
        "compilations": 1,
        "store_hits": 1,
        "out": [6.0, 8.0],
    }
    assert session(kept, LAUNCH, other, "shown()") == {"compilations": 0, "store_hits": 1}


def test_a_kernel_from_the_store_can_be_shown_and_its_errors_name_the_line(kept, launched_once):
    found = session(kept, LAUNCH, FAILS, f"shown(note=note, text=smelt.code_typed(first, {KINDS}))")
    directory, before = launched_once
    assert before["note"].replace(str(directory), str(kept)) == found["note"]
    assert (found["compilations"], found["store_hits"], found["text"]) == (0, 1, before["text"])
    assert "load" in found["text"]
    assert "out[i] = scaled(x[i], 1)" in found["note"]


def test_the_contents_of_a_captured_array_are_those_of_this_process(kept):
    changed = "table[1] = 10.0"
    assert session(kept, changed, LAUNCH, "shown(out=out.tolist())") == {
        "compilations": 0,
        "store_hits": 1,
        "out": [30.0, 40.0],
    }
    rebound = "table = np.array([5.0, 6.0])"
    assert session(kept, LAUNCH, rebound, "first[2](out, x)", "shown(out=out.tolist())") == {
        "compilations": 0,
        "store_hits": 2,
        "out": [18.0, 24.0],
    }


def test_a_change_after_it_was_found_invalidates_what_was_found(kept):
    redefined = "def scaled(x, i):\n    return x - table[i]"
    found = session(kept, LAUNCH, redefined, "first[2](out, x)", "shown(out=out.tolist(), why=smelt.why(first))")
    why = found.pop("why")
    assert found == {"compilations": 1, "store_hits": 1, "out": [1.0, 2.0]}
    assert "__main__.scaled was rebound" in why[0]


def test_an_overlay_after_it_was_found_invalidates_what_was_found(kept):
    overlay = (
        "from typing import Any\n@smelt.overlay(scaled, (smelt.float64, Any))\ndef other(x, i):\n    return x * 100.0"
    )
    found = session(kept, LAUNCH, overlay, "first[2](out, x)", "shown(out=out.tolist())")
    assert found == {"compilations": 1, "store_hits": 1, "out": [300.0, 400.0]}


def test_what_was_replaced_for_a_while_is_found_again(kept):
    replaced = (
        "original = scaled\ndef other(x, i):\n    return x\nscaled = other\nfirst[2](out, x)\nscaled = original\n"
        "first[2](out, x)"
    )
    expected = {"compilations": 1, "store_hits": 2, "out": [6.0, 8.0]}
    assert session(kept, LAUNCH, replaced, "shown(out=out.tolist())") == expected


def test_what_can_not_be_compiled_is_not_kept(kept):
    fails = (
        "@smelt.kernel\ndef bad(out):\n    out[0.5] = 1.0\nmessages = []\nfor _ in range(2):\n    try:\n"
        "        bad[1](np.zeros(1))\n    except smelt.KernelError as error:\n        messages.append(error.message)\n"
        "shown(messages=messages)"
    )
    for _ in range(2):
        found = session(kept, fails)
        assert found["messages"] == ["an index is an integer, not a weak float"] * 2
        assert found["store_hits"] == 0


def test_without_a_store_nothing_is_kept(tmp_path):
    assert session(tmp_path, LAUNCH, "shown()", SMELT_STORE="off")["compilations"] == 1
    assert not (tmp_path / "store").exists()


def test_a_kernel_from_the_store_that_nobody_holds_is_collected(kept):
    found = session(
        kept,
        "import gc, weakref",
        LAUNCH,
        "code = weakref.ref(first.loaded(first.compiled_for[0]).code)",
        "held = code() is not None",
        "del first, second\nsmelt._wiring.jobs().cache.world()\ngc.collect()",
        "shown(held=held, is_collected=code() is None)",
    )
    assert found == {"compilations": 0, "store_hits": 1, "held": True, "is_collected": True}


# The runtime library

COMBINATIONS = """
import math
from smelt.runtime.integers import greatest_common_divisor

written, bitcode = [], smelt._wiring._backend("native").bitcode
smelt._wiring._backend("native").bitcode = lambda job, lowered: written.append(lowered.name) or bitcode(job, lowered)

@smelt.kernel
def {name}(out, n):
    i = smelt.grid(1)
    out[i] = math.comb(n[i], 2) + {more}

n, counted = np.arange(4), np.zeros(4, np.int64)
"""
COUNT = "shown(written=len(written), counted=counted.tolist())"


@pytest.mark.once
def test_the_functions_of_the_runtime_library_are_compiled_once_for_all_processes(tmp_path):
    first = session(tmp_path, COMBINATIONS.format(name="pairs", more=0), "pairs[4](counted, n)", COUNT)
    assert first["written"] > 0
    assert first["counted"] == [0, 0, 1, 3]
    later = session(tmp_path, COMBINATIONS.format(name="others", more=7), "others[4](counted, n)", COUNT)
    assert later == {"compilations": 1, "store_hits": 0, "written": 0, "counted": [7, 7, 8, 10]}
    options = COMBINATIONS.replace("@smelt.kernel", "@smelt.kernel(opt_level=1)").format(name="others", more=9)
    assert session(tmp_path, options, "others[4](counted, n)", COUNT)["written"] > 0
    failing = (
        "try:\n    others[2](counted, np.array([-1, 1]))\nexcept ValueError as error:\n    shown(error=str(error))"
    )
    message = {"error": "n must be a non-negative integer"}
    assert message.items() <= session(tmp_path, COMBINATIONS.format(name="others", more=8), failing).items()


SIGNS = """
written, bitcode = [], smelt._wiring._backend("native").bitcode
smelt._wiring._backend("native").bitcode = lambda job, lowered: written.append(lowered.name) or bitcode(job, lowered)

@smelt.kernel
def {name}(out, x):
    i = smelt.grid(1)
    out[i] = {call} + {more}

x, found = np.array([1.5, -2.5]), np.zeros(2)
{name}[2](found, x)
"""
OVERLAY = "@smelt.overlay(np.sqrt, (smelt.float64,))\ndef other(x):\n    return 100.0 * x"
FOUND = "shown(written=len(written), found=found.tolist())"


@pytest.mark.once
def test_an_overlay_of_what_the_library_calls_concerns_kernels_that_call_the_library(tmp_path):
    lines = SIGNS.format(name="lengths", call="np.hypot(x[i], 2.0)", more=0.0), FOUND
    first = session(tmp_path, *lines)
    assert first["found"] == [2.5, 3.2015621187164243]
    replaced = session(tmp_path, OVERLAY, *lines)
    assert replaced["compilations"] == 1
    assert min(replaced["found"]) > 100
    # What was made with the overlay in it is nobody else's.
    assert replaced["written"] > 0
    assert session(tmp_path, *lines) == first | {"compilations": 0, "store_hits": 1, "written": 0}
    others = SIGNS.format(name="others", call="np.hypot(x[i], 2.0)", more=1.0), FOUND
    assert session(tmp_path, *others)["found"] == [3.5, 4.201562118716424]
    assert session(tmp_path, OVERLAY, *lines) == replaced | {"compilations": 0, "store_hits": 1, "written": 0}


# What is in the store, but of no use


def entries_of(directory):
    return sorted((directory / "store/entries").glob("*/*/*"))


@pytest.mark.once
def test_an_entry_in_another_version_of_the_format_is_left_alone(kept):
    (entry,) = entries_of(kept)
    other = bytearray(entry.read_bytes())
    other[8] += 1
    entry.write_bytes(other)
    entry.chmod(0o600)
    # Without a warning: it is not damaged. What is compiled takes its place here, since it has its name.
    assert session(kept, LAUNCH, "shown(out=out.tolist())") == {"compilations": 1, "store_hits": 0, "out": [6.0, 8.0]}
    entry.write_bytes(other)
    removed = session(
        kept,
        "from smelt.sessions import contents",
        "whole, damaged = contents.verify(smelt._wiring.session().directory)",
        "shown(damaged=damaged)",
    )
    assert removed["damaged"] == []
    assert entry.read_bytes() == other


@pytest.mark.once
def test_what_was_not_used_for_long_makes_room_for_what_is_kept(kept):
    (entry,) = entries_of(kept)
    os.utime(entry, (1000, 1000))
    # The same name and types, so that it stands beside the one before; of another text, so that the other one is not looked at.
    changed = "@smelt.kernel\ndef first(out, x):\n    i = smelt.grid(1)\n    out[i] = x[i]"
    assert session(kept, changed, LAUNCH, "shown()", SMELT_CACHE_SIZE="1K")["compilations"] == 1
    assert not entry.exists()
    assert session(kept, changed, LAUNCH, "shown()", SMELT_CACHE_SIZE="1K") == {"compilations": 0, "store_hits": 1}


@pytest.mark.once
def test_names_are_a_hint_and_entries_are_compared_whole(kept):
    (entry,) = entries_of(kept)
    changed = "def scaled(x, i):\n    return x - table[i]"
    assert session(kept, changed, LAUNCH, "shown(out=out.tolist())")["out"] == [1.0, 2.0]
    (other,) = set(entries_of(kept)) - {entry}
    # Each under the name of the other one, as if their short digests were the same.
    first, second = entry.read_bytes(), other.read_bytes()
    entry.write_bytes(second)
    other.write_bytes(first)
    assert session(kept, changed, LAUNCH, "shown(out=out.tolist())") == {
        "compilations": 0,
        "store_hits": 1,
        "out": [1.0, 2.0],
    }
    assert session(kept, LAUNCH, "shown(out=out.tolist())") == {"compilations": 0, "store_hits": 1, "out": [6.0, 8.0]}


@pytest.mark.once
@pytest.mark.parametrize("field", ["compiler", "own"])
def test_an_entry_of_another_compiler_or_text_is_of_no_use_whatever_its_name(kept, field):
    (path,) = entries_of(kept)
    change = (
        "from pathlib import Path\nfrom smelt.records import replace\nfrom smelt.sessions.entries import decode_entry, encode_entry",
        f"path = Path({str(path)!r})\nkey = bytes.fromhex(path.parent.name)\nentry = decode_entry(key, path.read_bytes())",
        f"path.write_bytes(encode_entry(key, replace(entry, {field}=bytes(32))))",
        "shown()",
    )
    session(kept, *change)
    assert session(kept, LAUNCH, "shown(out=out.tolist())") == {"compilations": 1, "store_hits": 0, "out": [6.0, 8.0]}


@pytest.mark.once
def test_an_entry_under_the_key_of_another_kernel_is_not_taken_for_its(kept):
    (entry,) = entries_of(kept)
    other = (
        "@smelt.kernel\ndef other(out, x):\n    i = smelt.grid(1)\n    out[i] = scaled(x[i], 1) * 0.0\nother[2](out, x)"
    )
    assert session(kept, LAUNCH, other, "shown(out=out.tolist())")["out"] == [0.0, 0.0]
    (written,) = set(entries_of(kept)) - {entry}
    written.write_bytes(entry.read_bytes())
    allowed = "import warnings\nwarnings.simplefilter('ignore')"
    found = session(kept, allowed, LAUNCH, other, "shown(out=out.tolist())")
    assert found == {"compilations": 1, "store_hits": 1, "out": [0.0, 0.0]}


@pytest.mark.once
def test_a_callee_that_is_gone_is_an_error_though_an_entry_knows_it(kept):
    gone = "del scaled\ntry:\n    first[2](np.zeros(2), np.zeros(2))\nexcept smelt.KernelError as error:\n    shown(error=error.message)"
    found = session(kept, gone)
    assert (found["compilations"], found["store_hits"]) == (0, 0)
    assert "scaled" in found["error"]


@pytest.mark.once
def test_an_old_reference_to_a_function_is_the_old_function(tmp_path):
    lines = (
        "old = scaled",
        "def scaled(x, i):\n    return x - 1.0",
        "@smelt.kernel\ndef by_reference(out, x):\n    i = smelt.grid(1)\n    out[i] = old(x[i], 1)",
        "out, x = np.zeros(2), np.array([3.0, 4.0])\nby_reference[2](out, x)\nfirst[2](x, x.copy())",
        "shown(out=out.tolist(), x=x.tolist())",
    )
    for compilations in (2, 0):
        found = session(tmp_path, *lines)
        assert (found["compilations"], found["out"], found["x"]) == (compilations, [6.0, 8.0], [2.0, 3.0])


@pytest.mark.once
def test_another_version_of_llvm_compiles_anew(kept, tmp_path):
    versions = tmp_path / "versions"
    for number in ("1", "2"):
        package = versions / number / "llvmlite"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("")
        (package / "_version.py").write_text(f"version = {number!r}\n")
    found = []
    for number in ("1", "2", "1"):
        # Only its version is looked at, as long as nothing has to be compiled.
        line = f"import sys\nsys.path.insert(0, {str(versions / number)!r})\nfrom smelt.sessions.toolchain import toolchain_fingerprint"
        found.append(session(kept, line, "shown(fingerprint=toolchain_fingerprint().hex())")["fingerprint"])
    assert found[0] == found[2] != found[1]


@pytest.mark.once
def test_another_processor_has_an_artifact_of_its_own_and_both_live_on(tmp_path):
    compile_for = "first.compile(smelt.float64[:], smelt.float64[:], target='native:{}')"
    x86 = [compile_for.format("x86-64"), compile_for.format("x86-64-v3")]
    assert session(tmp_path, *x86, "shown()")["compilations"] == 2
    assert session(tmp_path, *x86[::-1], "shown()")["compilations"] == 0
    assert session(tmp_path, compile_for.format("aarch64"), "shown()")["compilations"] == 1
    assert session(tmp_path, *x86, "shown()")["compilations"] == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_the_child_of_a_fork_runs_what_its_parent_found_and_finds_more(kept):
    child = (
        "import os",
        LAUNCH,
        "read, write = os.pipe()\nchild = os.fork()",
        "if child == 0:\n    first[2](out, 2 * x)\n    first[2](out.astype(np.float32), x.astype(np.float32))",
        "    os.write(write, json.dumps([out.tolist(), smelt.stats().compilations]).encode())\n    os._exit(0)",
        "os.waitpid(child, 0)\nshown(child=json.loads(os.read(read, 1000)))",
    )
    assert session(kept, *child) == {"compilations": 0, "store_hits": 1, "child": [[12.0, 16.0], 1]}


@pytest.mark.once
def test_one_job_gives_one_sequence_of_bytes_whatever_the_process(tmp_path):
    kinds = "smelt.float64[:], smelt.float64[:]"
    written = f"for kernel in (first, second)[::{{}}]:\n    kernel.compile({kinds}, target='native:x86-64-v3')"
    contents = []
    for order, seed in ((1, "1"), (-1, "2")):
        folder = tmp_path / seed
        folder.mkdir()
        session(folder, written.format(order), "shown()", PYTHONHASHSEED=seed)
        contents.append({path.relative_to(folder): path.read_bytes() for path in entries_of(folder)})
    assert len(contents[0]) == 2
    assert contents[0] == contents[1]
