# SPDX-License-Identifier: Apache-2.0
"""The benchmarks of launches run, and print what they say that they print."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import smelt
from smelt.targets.native.launching import object_layouts

ROOT = Path(__file__).parents[2]


def run(name: str, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(Path(smelt.__file__).parents[1])}
    command = [sys.executable, str(ROOT / "benchmarks" / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.skipif(
    not object_layouts.are_as_expected(),
    reason="the objects of this Python or NumPy are laid out as no compiled launch expects",
)
def test_that_of_warm_launches_has_a_table_for_each_number_of_arrays():
    shown = run("launch.py", "--quick")
    for title in ("1 array and a scalar", "3 arrays and a scalar", "8 arrays and a scalar", "a store to a global"):
        assert title in shown
    for row in (
        "a builtin that does nothing",
        "smelt, kernel.over(n), kept",
        "smelt, kernel[n]",
        "smelt, the slow path",
    ):
        assert shown.count(row) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no resource module")
def test_that_of_memory_ends_well():
    assert "the memory of the process grew by" in run("launch_memory.py", "--launches", "30000")


def test_that_of_the_import_has_a_row_for_each_program():
    shown = run("import_time.py", "--quick")
    assert "import numpy, smelt; smelt.kernel" in shown


@pytest.mark.once
def test_that_of_metal_has_what_a_lookup_costs_and_what_it_would_cost_eagerly():
    shown = run("metal_launch.py", "--quick")
    for row in (
        "mtlfunction, warm",
        "look up or compile, eagerly",
        "arrays on the device",
        "arrays of NumPy, as they are",
    ):
        assert shown.count(f"  {row} ") == 1
    assert "of Metal.jl" in shown
