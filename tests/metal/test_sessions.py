# SPDX-License-Identifier: Apache-2.0
"""Kernels for Metal in sessions: what one process compiled is there in the next, which loads no compiler."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import smelt

pytestmark = pytest.mark.once

SOURCE = Path(smelt.__file__).parents[1]

MODULE = """
import numpy as np
import smelt


def helper(x):
    return x + FACTOR


FACTOR = 1


@smelt.kernel(signatures=[(smelt.float32[:], float)])
def scaled(x, a):
    i = smelt.grid(1)
    x[i] = a * helper(x[i])


@smelt.kernel
def told(x):
    print("thread", x[smelt.grid(1)])


with smelt.precompile_workload():
    told[1](np.zeros(1, np.int32))
"""

USE = """
import json, sys
import numpy as np
import smelt, module

x = smelt.array(np.arange(4, dtype=np.float32), device="metal:software")
module.scaled[4](x, 2.0)
y = smelt.array(np.arange(4, dtype=np.float32), device="metal:software:1")
module.scaled[4](y, 0.5)
module.told[1](smelt.array(np.array([7], np.int32), device="metal:software"))
smelt.synchronize()
stats = smelt.stats()
found = module.scaled.compile(smelt.float32[:], float, device="metal:software")
print(json.dumps([
    x.numpy().tolist(), y.numpy().tolist(), stats.compilations, stats.inferences, stats.store_hits, stats.image_hits, stats.links,
    stats.llvm_loaded, len(found.pipelines), sorted({"smelt.driver", "smelt.lowering", "smelt.inference"} & sys.modules.keys()),
]))
"""
RESULT = [[2.0, 4.0, 6.0, 8.0], [0.5, 1.0, 1.5, 2.0]]
TEXT = "thread 7"


def run(folder, *arguments, **environment):
    given = {**os.environ, "SMELT_STORE": "on", "SMELT_CACHE_DIR": str(folder / "store"), "PYTHONPATH": str(SOURCE)}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**given, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def use(folder, **environment):
    """What a process that launches the kernels did: what it counted, and that it computed and printed what it should."""
    text, counted = run(folder, "use.py", **environment).splitlines()
    found = json.loads(counted)
    assert text == TEXT
    assert found[:2] == RESULT
    names = ("compilations", "inferences", "store_hits", "image_hits", "links", "llvm_loaded", "pipelines", "compiler")
    return dict(zip(names, found[2:], strict=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("project")
    (made / "module.py").write_text(MODULE)
    (made / "use.py").write_text(USE)
    return made


def test_a_second_process_compiles_nothing_and_links_what_is_kept(folder):
    first = use(folder)
    assert (first["compilations"], first["links"], first["llvm_loaded"]) == (2, 3, True)
    second = use(folder)
    assert (second["compilations"], second["inferences"], second["store_hits"], second["links"]) == (0, 0, 2, 3)
    assert (second["pipelines"], second["compiler"]) == (2, [])
    # What the device in software makes of it is kept, too.
    assert not second["llvm_loaded"]


def test_an_edit_of_what_a_kernel_calls_is_seen(folder, tmp_path):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "module.py").write_text(MODULE.replace("FACTOR = 1", "FACTOR = 3"))
    _, counted = run(tmp_path, "use.py").splitlines()
    assert json.loads(counted)[0] == [6.0, 8.0, 10.0, 12.0]
    assert json.loads(counted)[2] == 1


def test_what_was_precompiled_for_a_system_serves_without_a_compiler(folder, tmp_path):
    for name in ("module.py", "use.py"):
        shutil.copy(folder / name, tmp_path)
    arguments = ("-m", "smelt", "precompile", "module", "-j", "1", "--target", "metal:macos=14")
    missing = [
        f"not precompiled: module.{kernel} for metal:macos=14"
        for kernel in ("scaled(float32[:], weak float)", "told(int32[:])")
    ]
    checked = subprocess.run(
        [sys.executable, *arguments, "--check"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout.splitlines()) == (1, missing)
    assert "module." in run(tmp_path, *arguments)
    assert run(tmp_path, *arguments, "--check") == ""
    shutil.rmtree(tmp_path / "store", ignore_errors=True)
    found = use(tmp_path)
    assert (found["compilations"], found["inferences"], found["image_hits"], found["links"]) == (0, 0, 2, 3)
    # The device in software makes machine code of it.
    assert set(found["compiler"]) <= {"smelt.lowering"}


LIBRARY = """
import json, math
import numpy as np
import smelt
import smelt._wiring

written, backend = [], smelt._wiring._backend("metal")
bitcode = backend.bitcode
backend.bitcode = lambda job, lowered: written.append(lowered.name) or bitcode(job, lowered)


@smelt.kernel
def {name}(counted, n):
    i = smelt.grid(1)
    counted[i] = math.comb(n[i], 2) + {more}


counted = np.zeros(4, np.int64)
{name}[4](counted, np.arange(4))
print(json.dumps([len(written), smelt.stats().compilations, counted.tolist()]))
"""


def test_the_functions_of_the_runtime_library_are_compiled_for_metal_once_for_all_processes(tmp_path):
    (tmp_path / "first.py").write_text(LIBRARY.format(name="pairs", more=0))
    (tmp_path / "later.py").write_text(LIBRARY.format(name="others", more=7))
    written, *first = json.loads(run(tmp_path, "first.py", SMELT_DEVICE="metal:software"))
    assert written > 0
    assert first == [1, [0, 0, 1, 3]]
    # Another kernel, which has to be compiled; what it calls of the library was kept.
    assert json.loads(run(tmp_path, "later.py", SMELT_DEVICE="metal:software")) == [0, 1, [7, 7, 8, 10]]
