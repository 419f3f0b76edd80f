# SPDX-License-Identifier: Apache-2.0
"""The compiler's fingerprint: another one for another compiler, found without reading it."""

from __future__ import annotations

import os

import pytest

from smelt.sessions import fingerprints
from smelt.sessions.toolchain import PACKAGE, toolchain_fingerprint, toolchain_stamp


@pytest.fixture
def package(tmp_path):
    (tmp_path / "inner/__pycache__").mkdir(parents=True)
    (tmp_path / "a.py").write_text("a = 1\n")
    (tmp_path / "inner/b.py").write_text("b = 1\n")
    return tmp_path


def edit(package):
    path = package / "inner/b.py"
    status = path.stat()
    path.write_text("b = 2\n")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_an_edit_changes_both_though_size_and_time_stay(package):
    before = toolchain_stamp(str(package)), toolchain_fingerprint(str(package))
    edit(package)
    after = toolchain_stamp(str(package)), toolchain_fingerprint(str(package))
    assert before[0] != after[0]
    assert before[1] != after[1]


@pytest.mark.parametrize("change", [lambda p: (p / "c.py").touch(), lambda p: (p / "a.py").rename(p / "inner/a.py")])
def test_a_file_that_is_added_or_moved_changes_both(package, change):
    before = toolchain_stamp(str(package)), toolchain_fingerprint(str(package))
    change(package)
    assert toolchain_stamp(str(package)) != before[0]
    assert toolchain_fingerprint(str(package)) != before[1]


def test_what_is_no_source_changes_nothing(package):
    before = toolchain_stamp(str(package)), toolchain_fingerprint(str(package))
    (package / "inner/__pycache__/b.cpython-311.pyc").write_bytes(b"compiled")
    (package / "py.typed").touch()
    assert (toolchain_stamp(str(package)), toolchain_fingerprint(str(package))) == before


def test_a_touched_file_changes_the_stamp_alone(package):
    before = toolchain_stamp(str(package)), toolchain_fingerprint(str(package))
    os.utime(package / "a.py", (1, 1))
    assert toolchain_stamp(str(package)) != before[0]
    assert toolchain_fingerprint(str(package)) == before[1]


def test_both_stay_as_they_are():
    assert toolchain_stamp() == toolchain_stamp(PACKAGE)
    assert toolchain_fingerprint() == toolchain_fingerprint(PACKAGE)


def test_a_compiler_that_changes_while_it_runs_is_noticed(package, monkeypatch):
    monkeypatch.setattr(fingerprints, "toolchain_stamp", lambda: toolchain_stamp(str(package)))
    found = fingerprints.Fingerprints(None)
    assert found.of_compiler() == toolchain_fingerprint()
    assert not found.compiler_has_changed()
    edit(package)
    assert found.compiler_has_changed()
