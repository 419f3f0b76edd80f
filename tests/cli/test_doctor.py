# SPDX-License-Identifier: Apache-2.0
"""`smelt doctor`: what it finds on a machine that is well, and on one that isn't."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import smelt
from smelt import _wiring, knobs
from smelt.caching import StoreWarning
from smelt.cli import examinations, main
from smelt.cli.finding import Finding

pytestmark = pytest.mark.once

SOURCE = Path(smelt.__file__).parent.parent


@pytest.fixture(autouse=True)
def store(tmp_path):
    with knobs.CACHE_DIRECTORY.set(str(tmp_path / "store")), knobs.STORE.set(True):
        yield tmp_path / "store"


def found(subject):
    return examinations._examined(subject, examinations._EXAMINATIONS[subject])


def test_a_process_that_is_well_says_so_and_a_script_can_read_it(tmp_path):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SMELT_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "smelt", "doctor", "--json"],
        capture_output=True,
        text=True,
        check=False,
        env={**kept, "PYTHONPATH": str(SOURCE), "SMELT_CACHE_DIR": str(tmp_path / "store")},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    findings = {one["subject"]: one for one in json.loads(done.stdout)}
    assert set(findings) == set(examinations._EXAMINATIONS)
    for subject in ("Python", "LLVM", "compiling for the processor", "Metal in software", "the store"):
        assert findings[subject]["state"] == "works", findings[subject]
    assert "a kernel was compiled, and ran" in findings["compiling for the processor"]["detail"]
    assert findings["environment variables"]["detail"] == f"SMELT_CACHE_DIR={tmp_path / 'store'}"


def test_what_it_wrote_into_the_store_is_taken_away_again(store):
    finding = found("the store")
    assert (finding.state, finding.detail) == ("works", f"{store}: 0 kernels, 0.0 MB")
    assert list((store / "entries").iterdir()) == []


def test_a_store_that_cannot_be_written_to_is_told_with_what_mends_it(store):
    store.touch()
    with pytest.warns(StoreWarning):
        finding = found("the store")
    assert finding.state == "limited"
    assert finding.detail == f"{store} can't be used: every process compiles anew"
    assert finding.remedy == "set SMELT_CACHE_DIR to a directory of yours, which nobody else can write to"


def test_a_store_that_is_turned_off_is_no_fault():
    with knobs.STORE.set(False):
        finding = found("the store")
    assert finding == Finding(
        "the store", "limited", "it is turned off: every process compiles anew", "unset SMELT_STORE"
    )


def test_a_variable_that_cannot_be_read_is_broken(monkeypatch):
    monkeypatch.setenv("SMELT_CACHE_SIZE", "lots")
    monkeypatch.setattr(knobs.CACHE_SIZE, "_value", knobs._NOT_READ)
    finding = found("environment variables")
    assert finding.state == "broken"
    assert finding.detail.startswith("the environment variable SMELT_CACHE_SIZE is 'lots': it is a number of bytes")
    assert finding.remedy == "unset SMELT_CACHE_SIZE"


def test_a_misspelt_variable_is_noticed(monkeypatch):
    monkeypatch.setenv("SMELT_CASH_DIR", "/tmp")
    finding = found("environment variables")
    assert finding.state == "limited"
    assert finding.detail.startswith("SMELT_CASH_DIR is set, and means nothing; there are SMELT_CACHE_DIR, ")


def test_a_missing_llvmlite_is_broken_and_named(monkeypatch):
    def version(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    finding = found("LLVM")
    assert (finding.state, finding.remedy) == ("broken", "python -m pip install llvmlite")
    assert "what is in the store and in images runs, nothing can be compiled" in finding.detail


def test_an_old_llvmlite_is_broken(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "0.44.1")
    finding = found("LLVM")
    assert finding.state == "broken"
    assert finding.detail.startswith("llvmlite 0.44.1 with LLVM ")
    assert finding.detail.endswith(", which is too old")
    assert finding.remedy == 'python -m pip install --upgrade "llvmlite>=0.45"'


def test_launches_that_are_not_compiled_are_slower_and_no_more(monkeypatch):
    monkeypatch.setattr(_wiring, "stubs", lambda: None)
    finding = found("launching")
    assert finding.state == "limited"
    assert finding.detail.startswith("this Python or NumPy lays its objects out in another way")


def test_a_machine_that_is_no_mac_has_no_metal_and_misses_nothing(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    finding = found("Metal")
    assert (finding.state, finding.remedy) == ("absent", "")
    assert finding.detail == "this is no Mac; what is compiled for Metal here runs on Macs, too"


def test_a_mac_without_pyobjc_is_told_what_to_install(monkeypatch):
    monkeypatch.setattr(smelt, "devices", lambda: ())
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert found("Metal") == Finding(
        "Metal",
        "limited",
        "pyobjc is not installed",
        "python -m pip install pyobjc-framework-Metal pyobjc-framework-libdispatch",
    )
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    assert found("Metal").detail == "macOS has no Metal device for this process"


def test_a_kernel_that_computes_something_wrong_is_broken(monkeypatch):
    monkeypatch.setattr(np, "array_equal", lambda *_: False)
    finding = found("Metal in software")
    assert (finding.state, finding.detail) == ("broken", "a kernel computed something wrong on metal:software")
    assert found("compiling for the processor").detail == "a kernel computed something wrong"
    assert found("launching").detail == "a compiled launch computed something wrong"


def test_one_core_is_told(monkeypatch):
    with knobs.NUM_THREADS.set(1):
        assert found("threads") == Finding("threads", "limited", "kernels run on one core", "unset SMELT_NUM_THREADS")
    monkeypatch.setattr(examinations, "available_cpus", lambda: 1)
    assert found("threads").remedy == "give this process more processors"


def test_what_an_examination_raises_is_a_finding_and_the_status_is_1(monkeypatch, capsys):
    def examine(_):
        raise OSError("the disk is on fire")

    monkeypatch.setattr(examinations, "_EXAMINATIONS", {"the disk": examine})
    assert main(["doctor"]) == 1
    shown = capsys.readouterr().out
    assert "the disk: OSError: the disk is on fire" in shown
    assert "report it, with the output of smelt doctor --json" in shown
