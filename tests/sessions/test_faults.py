# SPDX-License-Identifier: Apache-2.0
"""What goes wrong with a store costs a compilation at most, and one warning: never a run, never a wrong result."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

import smelt

pytestmark = pytest.mark.once

SOURCE = Path(smelt.__file__).parent.parent
PROGRAM = Path(__file__).parent / "faulty_store.py"


def environment(store, **settings):
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("SMELT_", "PYTHON"))},
        "PYTHONPATH": str(SOURCE),
        "PYTHONDONTWRITEBYTECODE": "1",
        "SMELT_CACHE_DIR": str(store),
        **settings,
    }


def start(store, *arguments):
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(store),
    )


def finish(process):
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    return json.loads(output)


def test_processes_that_start_at_once_compile_each_job_once(tmp_path):
    processes = [start(tmp_path / "store", "all", tmp_path / "begin", 4) for _ in range(6)]
    for process in processes:
        # Each says that it is ready.
        assert process.stdout.readline() == "ready\n"
    (tmp_path / "begin").touch()
    done = [finish(process) for process in processes]
    assert sum(one["compilations"] for one in done) == 4
    assert all(one["is_right"] for one in done)


def test_a_process_that_is_killed_leaves_nothing_that_is_not_whole(tmp_path):
    chosen = random.Random(1)
    for _ in range(4):
        process = start(tmp_path / "store", "write", tmp_path / "begin")
        assert process.stdout.readline() == "ready\n"
        # It writes files without end: whenever it is killed, it is writing.
        for _ in range(chosen.randrange(1, 2000)):
            process.stdout.readline()
        process.kill()
        process.communicate()
    found = finish(start(tmp_path / "store", "verify"))
    assert found["damaged"] == []
    assert found["whole"] > 0


def test_damage_of_any_kind_costs_a_compilation_at_most(tmp_path):
    found = finish(start(tmp_path / "store", "damage", 150))
    assert found["is_right"]
    assert 0 < found["lost"] <= 150
    assert found["warnings"] <= found["sessions"]


@pytest.mark.parametrize("fault", ["disk full", "read-only", "no locks", "removed"])
def test_a_store_that_can_not_be_written_to_changes_no_result(tmp_path, fault):
    found = finish(start(tmp_path / "store", "fault", fault))
    assert found["is_right"]
    assert found["warnings"] == (1 if fault in ("disk full", "read-only") else 0)
    assert found["compilations"] == 2
