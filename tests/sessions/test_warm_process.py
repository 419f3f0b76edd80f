# SPDX-License-Identifier: Apache-2.0
"""A process that finds its kernel in the store imports next to nothing: what it imports is most of what it costs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import smelt

SOURCE = Path(smelt.__file__).parent.parent

PROGRAM = """
import json, sys
import numpy as np
before = set(sys.modules)
import smelt

@smelt.kernel
def saxpy(out, a, x, y):
    i = smelt.grid(1)
    if i < out.size:
        out[i] = a * x[i] + y[i]

x, out = np.ones(1000, np.float32), np.zeros(1000, np.float32)
saxpy[1000](out, 2.0, x, x)
assert (out == 3).all()
print(json.dumps([sorted(set(sys.modules) - before), smelt.stats().compilations]))
"""

# Of the standard library, with what these import themselves.
EXPECTED = (
    *("__future__", "_blake2", "atexit", "contextlib", "ctypes", "ctypes._layout", "fcntl", "gc", "importlib.util"),
    *("inspect", "mmap", "struct", "threading", "typing"),
)

# The compiler, what only an error or a command needs, and what launches on other devices.
NOT_NEEDED = (
    *("smelt.frontend", "smelt.inference", "smelt.lowering", "smelt.driver", "smelt.runtime", "smelt.cli"),
    *("smelt.ir.typed", "smelt.ir.untyped", "smelt.ir.builder", "smelt.ir.intrinsics", "smelt.sessions.traces"),
    *("smelt.targets.metal", "smelt.targets.native.debugging", "smelt.targets.native.backend", "smelt.metal"),
    "smelt.targets.native.machine_code.elf",
    "smelt.targets.native.launching.stub_compilation",
)


def run(folder):
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("SMELT_", "PYTHON"))}
    settings |= {"PYTHONPATH": str(SOURCE), "PYTHONDONTWRITEBYTECODE": "1", "SMELT_CACHE_DIR": str(folder / "store")}
    command = [sys.executable, str(folder / "program.py")]
    return json.loads(subprocess.run(command, env=settings, capture_output=True, text=True, check=True).stdout)


def imported_by(*names):
    """What is imported in a process that imports NumPy and these modules, as far as this system has them."""
    program = f"""
import contextlib, importlib, json, numpy, sys
for name in {names}:
    with contextlib.suppress(ImportError):
        importlib.import_module(name)
print(json.dumps(sorted(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """What the second of two like processes imported beside NumPy."""
    folder = tmp_path_factory.mktemp("warm")
    (folder / "program.py").write_text(PROGRAM)
    assert run(folder)[1] == 1
    imported, compilations = run(folder)
    assert compilations == 0
    return imported


def test_of_the_standard_library_little_is_imported_beside_what_numpy_imports(imported):
    assert {name for name in imported if name.partition(".")[0] != "smelt"} <= imported_by(*EXPECTED)


def test_neither_the_compiler_nor_what_errors_and_commands_need_is_imported(imported):
    assert [name for name in imported if name.startswith(NOT_NEEDED)] == []


def test_the_modules_are_counted(imported):
    # Each costs a third of a thousandth of `import numpy`, and more. Whoever needs more should look what can be imported later.
    assert len(imported) <= 160


def test_the_classes_of_a_warm_process_are_no_dataclasses(imported):
    # Records take their place: `dataclass` compiles the methods of each class whenever its module is imported.
    sources = {name: SOURCE / (name.replace(".", "/") + ".py") for name in imported if name.startswith("smelt")}
    texts = {name: path.read_text(encoding="utf-8") for name, path in sources.items() if path.exists()}
    assert len(texts) > 50
    assert [
        name for name, text in texts.items() if re.search(r"^@(dataclasses\.)?dataclass\b", text, re.MULTILINE)
    ] == []


def test_importing_smelt_alone_imports_nothing_more():
    program = "import json, sys, numpy\nbefore = set(sys.modules)\nimport smelt\nprint(json.dumps(sorted(set(sys.modules) - before)))"
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert set(json.loads(done.stdout)) <= {"smelt", *imported_by("__future__")}
