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


@pytest.fixture
def programs(tmp_path):
    """A directory with one program, which was run once with the store beside it."""
    write_program(tmp_path / "programs", "program", FILES)
    (first,) = run(tmp_path / "store", "run", tmp_path / "programs", "program")
    assert first["compilations"] == 1
    assert first["result"] == first["expected"]
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


def test_neither_hash_seed_nor_home_nor_locale_matters(programs):
    line = rerun(programs, PYTHONHASHSEED="77", HOME=str(programs), USER="somebody", LC_ALL="C", TZ="Asia/Tokyo")
    assert line["compilations"] == line["sources_read"] == 0


def test_neither_the_place_of_the_files_nor_their_times_matter(programs, tmp_path):
    shutil.copytree(programs, tmp_path / "moved")
    for path in (tmp_path / "moved").rglob("*.py"):
        os.utime(path, (1, 1))
    assert rerun(programs, tmp_path / "moved")["compilations"] == 0


def test_the_store_can_be_copied(programs, tmp_path):
    shutil.copytree(tmp_path / "store", tmp_path / "other/store")
    shutil.copytree(programs, tmp_path / "other/programs")
    shutil.rmtree(tmp_path / "store")
    assert rerun(tmp_path / "other/programs")["compilations"] == 0


def test_being_traced_and_profiled_does_not_matter(programs):
    assert rerun(programs, mode="traced")["compilations"] == 0


def test_optimised_bytecode_does_not_matter_without_an_assertion(programs):
    assert rerun(programs, flags=("-O",))["compilations"] == 0


def test_optimised_bytecode_matters_to_an_assertion(tmp_path):
    checked = FILES["main.py"].replace("    return", "    assert x < 100.0\n    return")
    write_program(tmp_path / "programs", "program", {**FILES, "main.py": checked})
    for flags, compilations in [((), 1), (("-O",), 1), ((), 0), (("-O",), 0)]:
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
    assert line["why"] == [
        "program.main.kernel(float64[:], float64[:]): program.helpers.helper changed; it is called by "
        "program.main.compute(float64), which is called by program.main.kernel(float64[:], float64[:])"
    ]
    path.write_text(text)
    assert rerun(programs)["compilations"] == 0


def test_a_module_of_the_same_name_elsewhere_is_another(programs, tmp_path):
    other = {**FILES, "helpers.py": FILES["helpers.py"].replace("2.0", "7.0")}
    write_program(tmp_path / "elsewhere", "program", other)
    line = rerun(programs, tmp_path / "elsewhere")
    assert line["compilations"] == 1
    assert line["why"] == [
        "program.main.kernel(float64[:], float64[:]): program.helpers.factor changed; it is read by "
        "program.helpers.helper(float64), which is called by program.main.compute(float64), which is called by "
        "program.main.kernel(float64[:], float64[:])"
    ]
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


def test_a_store_that_can_only_be_read_serves_as_well(programs, tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root writes wherever it likes; the store is made unwritable by a file in its place elsewhere")
    for path in [tmp_path / "store", *(tmp_path / "store").rglob("*")]:
        path.chmod(0o500 if path.is_dir() else 0o400)
    assert rerun(programs)["compilations"] == 0


@pytest.mark.parametrize("minor", range(11, 15))
def test_another_version_of_python_finds_the_same(programs, tmp_path, minor):
    executable = shutil.which(f"python3.{minor}")
    probe = "import importlib.util as u; assert all(u.find_spec(n) for n in ('numpy', 'llvmlite'))"
    if executable is None or sys.version_info[1] == minor:
        pytest.skip(f"there is no other Python 3.{minor} on the path")
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


def session(tmp_path, *statements, **settings):
    (tmp_path / "script.py").write_text(SCRIPT + "\n".join(statements) + "\n")
    return json.loads(python(tmp_path / "store", "-W", "error", tmp_path / "script.py", cwd=tmp_path, **settings))


LAUNCH = "out, x = np.zeros(2), np.array([3.0, 4.0])\nfirst[2](out, x)"


def test_a_kernel_from_the_store_can_be_called_by_a_new_one(tmp_path):
    session(tmp_path, LAUNCH, "shown()")
    found = session(tmp_path, LAUNCH, "second[2](out, x)", "shown(out=out.tolist())")
    assert found == {"compilations": 1, "store_hits": 1, "out": [7.0, 9.0]}


def test_a_kernel_from_the_store_can_be_compiled_with_other_options(tmp_path):
    session(tmp_path, LAUNCH, "shown()")
    other = "smelt.kernel(opt_level=1)(first.function)[2](out, x)"
    assert session(tmp_path, LAUNCH, other, "shown(out=out.tolist())") == {
        "compilations": 1,
        "store_hits": 1,
        "out": [6.0, 8.0],
    }
    assert session(tmp_path, LAUNCH, other, "shown()") == {"compilations": 0, "store_hits": 1}


def test_a_kernel_from_the_store_can_be_shown(tmp_path):
    kinds = "(smelt.float64[:], smelt.float64[:])"
    shown = f"shown(text=smelt.code_typed(first, {kinds}))"
    before = session(tmp_path, LAUNCH, shown)
    after = session(tmp_path, LAUNCH, shown)
    assert (before["compilations"], after["compilations"]) == (1, 0)
    assert before["text"] == after["text"]
    assert "load" in after["text"]


def test_the_contents_of_a_captured_array_are_those_of_this_process(tmp_path):
    session(tmp_path, LAUNCH, "shown()")
    changed = "table[1] = 10.0"
    assert session(tmp_path, changed, LAUNCH, "shown(out=out.tolist())") == {
        "compilations": 0,
        "store_hits": 1,
        "out": [30.0, 40.0],
    }
    rebound = "table = np.array([5.0, 6.0])"
    assert session(tmp_path, LAUNCH, rebound, "first[2](out, x)", "shown(out=out.tolist())") == {
        "compilations": 0,
        "store_hits": 2,
        "out": [18.0, 24.0],
    }


def test_errors_of_a_kernel_from_the_store_name_the_line(tmp_path):
    fails = "try:\n    first[3](np.zeros(2), np.zeros(3))\nexcept IndexError as error:\n    shown(note=error.__notes__)"
    before, after = session(tmp_path, fails), session(tmp_path, fails)
    assert (before["compilations"], after["compilations"]) == (1, 0)
    assert before["note"] == after["note"]
    assert "out[i] = scaled(x[i], 1)" in after["note"][0]


def test_a_change_after_it_was_found_invalidates_what_was_found(tmp_path):
    session(tmp_path, LAUNCH, "shown()")
    redefined = "def scaled(x, i):\n    return x - table[i]"
    found = session(tmp_path, LAUNCH, redefined, "first[2](out, x)", "shown(out=out.tolist(), why=smelt.why(first))")
    why = found.pop("why")
    assert found == {"compilations": 1, "store_hits": 1, "out": [1.0, 2.0]}
    assert "__main__.scaled was rebound" in why[0]


def test_what_was_replaced_for_a_while_is_found_again(tmp_path):
    replaced = (
        "original = scaled\ndef other(x, i):\n    return x\nscaled = other\nfirst[2](out, x)\nscaled = original\n"
        "first[2](out, x)"
    )
    expected = {"compilations": 2, "store_hits": 1, "out": [6.0, 8.0]}
    assert session(tmp_path, LAUNCH, replaced, "shown(out=out.tolist())") == expected


def test_what_can_not_be_compiled_is_not_kept(tmp_path):
    fails = (
        "@smelt.kernel\ndef bad(out):\n    out[0.5] = 1.0\nmessages = []\nfor _ in range(2):\n    try:\n"
        "        bad[1](np.zeros(1))\n    except smelt.KernelError as error:\n        messages.append(error.message)\n"
        "shown(messages=messages)"
    )
    for _ in range(2):
        found = session(tmp_path, fails)
        assert found["messages"] == ["an index is an integer, not a weak float"] * 2
        assert found["store_hits"] == 0


def test_without_a_store_nothing_is_kept(tmp_path):
    for _ in range(2):
        assert session(tmp_path, LAUNCH, "shown()", SMELT_STORE="off")["compilations"] == 1
    assert not (tmp_path / "store").exists()
