# SPDX-License-Identifier: Apache-2.0
"""`smelt cache` and `smelt why`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import smelt
from smelt import knobs
from smelt.cli import main
from smelt.sessions import contents
from smelt.sessions.directory import Directory

SOURCE = Path(smelt.__file__).parent.parent
KERNEL = "import smelt\nimport helpers\n@smelt.kernel\ndef fill(out):\n    out[smelt.grid(1)] = helpers.value(2.0)\n"


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A folder with a program and a store in which its kernel is."""
    folder = tmp_path_factory.mktemp("filled")
    (folder / "program.py").write_text(KERNEL)
    (folder / "helpers.py").write_text("def value(x):\n    return x + 1.0\n")
    python(folder, "-c", "import program, numpy; program.fill[2](numpy.zeros(2))")
    return folder


def python(folder, *arguments, status=0):
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("SMELT_", "PYTHON"))}
    settings |= {"PYTHONPATH": str(SOURCE), "PYTHONDONTWRITEBYTECODE": "1", "SMELT_CACHE_DIR": str(folder / "store")}
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=settings, cwd=folder, check=False
    )
    assert done.returncode == status, done.stderr
    return done.stdout


@pytest.fixture
def command(filled, capsys):
    """Runs the command on the store; returns its status and what it printed, as JSON."""

    def run(*arguments):
        with knobs.CACHE_DIRECTORY.set(str(filled / "store")):
            status = main(["cache", *arguments, "--json"])
        return status, json.loads(capsys.readouterr().out)

    return run


def test_what_is_in_the_store_can_be_listed(command, filled):
    status, report = command("info")
    assert status == 0
    assert report["directory"] == str(filled / "store")
    assert report["entries"]["files"] == 1
    assert report["fingerprints"]["files"] == 2
    _, listed = command("list")
    (row,) = listed["entries"]
    assert (row["kernel"], row["types"]) == ("program.fill", "program.fill(float64[:])")
    assert row["target"].startswith("native:")


def test_it_can_be_read_without_json(filled, capsys):
    with knobs.CACHE_DIRECTORY.set(str(filled / "store")):
        assert main(["cache", "list"]) == 0
    assert capsys.readouterr().out.startswith("program.fill  program.fill(float64[:])  native:")


def test_what_the_store_holds_is_named(filled, command, capsys):
    with knobs.CACHE_DIRECTORY.set(str(filled / "store")):
        assert main(["cache", "info"]) == 0
    rows = [line.partition(": ")[0] for line in capsys.readouterr().out.splitlines()]
    holds = [
        "kernels",
        "fingerprints of functions",
        "fingerprints of smelt and its LLVM",
        "launch stubs and the runtime library",
    ]
    assert rows == ["directory", "most bytes", *holds]
    report = command("info")[1]
    assert [report[folder]["holds"] for folder in contents.FOLDERS] == holds


def test_why_says_what_changed(filled):
    assert python(filled, "-m", "smelt", "why", "program:fill") == "program.fill(float64[:]): is kept, and right\n"
    text = (filled / "helpers.py").read_text()
    (filled / "helpers.py").write_text(text.replace("1.0", "2.0"))
    told = python(filled, "-m", "smelt", "why", "program:fill", status=1)
    (filled / "helpers.py").write_text(text)
    assert told == "program.fill(float64[:]): helpers.value changed; it is called by program.fill(float64[:])\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["why", "json"], "json names no kernel; write MODULE:KERNEL"),
        (["why", "json:nothing"], "has no attribute 'nothing'"),
        (["why", "json:loads"], "json:loads is no kernel, but a function"),
        (["why", "no_such_module:kernel"], "No module named 'no_such_module'"),
    ],
)
def test_a_wrong_command_is_explained(arguments, message, capsys):
    assert main(arguments) == 1
    assert message in capsys.readouterr().err


def test_damage_is_found_and_removed_and_the_rest_can_be_cleared(command, filled):
    directory = Directory(filled / "store")
    (name,) = contents.files(directory, "entries")
    path = filled / "store" / name
    path.write_bytes(path.read_bytes()[:-1])
    status, report = command("verify")
    assert status == 1
    assert report["damaged"] == [name]
    assert not path.exists()
    status, report = command("verify")
    assert (status, report["damaged"]) == (0, [])
    assert command("prune") == (0, {"removed_bytes": 0})
    status, report = command("clear")
    assert report["removed_files"] > 0
    assert contents.sizes(directory) == dict.fromkeys(contents.FOLDERS, (0, 0))
