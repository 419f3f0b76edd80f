# SPDX-License-Identifier: Apache-2.0
"""The fixture that gives tests of other projects a Metal device, in runs of pytest of its own."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest

import smelt

pytestmark = pytest.mark.once

TESTS = """
import numpy as np
import pytest
import smelt


@smelt.kernel
def double(out, x, places):
    i = smelt.grid(1)
    out[i] = 2 * x[places[i]]


def launched(device, places):
    x = smelt.array(np.arange(8, dtype=np.float32), device=device)
    out = smelt.zeros(8, np.float32, device=device)
    double[8](out, x, smelt.array(np.asarray(places, np.int32), device=device))
    return out


def test_a_kernel_of_ones_own(metal_device):
    assert launched(metal_device, range(8)).numpy().tolist() == [0, 2, 4, 6, 8, 10, 12, 14]


def test_a_kernel_of_a_metallib(metal_device):
    library = smelt.metal.library("fill.metallib", device=metal_device)
    x = np.zeros(4, np.float32)
    library.function("fill")({0: x}, threads=4)
    assert x.tolist() == [1, 1, 1, 1]
    assert metal_device.name == "metal:software"


def test_nobody_waits_for_what_goes_wrong(metal_device):
    launched(metal_device, [0, 1, 2, 3, 4, 5, 6, 1000])
"""

FILL = """
define void @fill(ptr addrspace(1) %x, i32 %i) {
  %p = getelementptr inbounds float, ptr addrspace(1) %x, i32 %i
  store float 1.0, ptr addrspace(1) %p, align 4
  ret void
}
"""


@pytest.fixture
def project(tmp_path):
    from smelt.lowering.llvm import module_of_text
    from smelt.targets.metal.air import downgrade, wrapped
    from smelt.targets.metal.metallib import Function, Library, Version, write_metallib

    described = (
        "!air.kernel = !{!0}\n!0 = !{ptr @fill, !1, !2}\n!1 = !{}\n!2 = !{!3, !4}\n"
        '!3 = !{i32 0, !"air.buffer", !"air.location_index", i32 0, i32 1, !"air.read_write", !"air.address_space", i32 1, '
        '!"air.arg_type_size", i32 4, !"air.arg_type_align_size", i32 4, !"air.arg_type_name", !"float", !"air.arg_name", !"x"}\n'
        '!4 = !{i32 1, !"air.thread_position_in_grid", !"air.arg_type_name", !"uint", !"air.arg_name", !"i"}\n'
    )
    module = wrapped(downgrade(module_of_text(FILL + described)))
    data = write_metallib(Library([Function("fill", module, Version(2, 6), Version(3, 1))]))
    (tmp_path / "fill.metallib").write_bytes(data)
    (tmp_path / "test_kernels.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    return tmp_path


def run(project, *arguments):
    # Where smelt is installed pytest finds the plugin by itself.
    found = {entry.name for entry in importlib.metadata.entry_points(group="pytest11")}
    plugin = [] if "smelt" in found else ["-p", "smelt.testing"]
    command = [sys.executable, "-m", "pytest", *plugin, "-p", "no:cacheprovider", "-q", *arguments]
    path = os.pathsep.join([str(Path(smelt.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_a_project_with_metal_kernels_has_a_device(project):
    status, printed = run(project, "--metal-device=metal:software")
    assert status == 1, printed
    assert "3 passed, 1 error" in printed
    # What went wrong is an error of the test that it went wrong in.
    assert "ERROR at teardown of test_nobody_waits_for_what_goes_wrong" in printed
    assert "IndexError" in printed


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cpu", "--metal-device=cpu: a Metal device is metal:0, say, or metal:software"),
        ("metal:77", "--metal-device=metal:77: there is no device 'metal:77'"),
    ],
)
def test_another_name_is_an_error_that_says_which_there_are(project, name, message):
    status, printed = run(project, f"--metal-device={name}", "-k", "metallib")
    assert status != 0
    assert message in printed


def test_the_option_is_explained(project):
    _, printed = run(project, "--help")
    assert "--metal-device=NAME" in printed
