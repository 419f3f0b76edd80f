# SPDX-License-Identifier: Apache-2.0
"""The command's help, its exit statuses, and `smelt bench`."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import smelt
from smelt.cli import main, measuring, parser, precompile_command
from smelt.cli.measuring import Measurement
from smelt.cli.output import duration

pytestmark = pytest.mark.once


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(smelt.__file__).parent.parent)}


def commands():
    (action,) = [action for action in parser()._actions if action.nargs == argparse.PARSER]
    return action.choices


@pytest.mark.parametrize("name", sorted(commands()))
def test_the_help_of_every_command_has_a_description_examples_and_the_exit_status(name, capsys):
    with pytest.raises(SystemExit) as raised:
        main([name, "--help"])
    assert raised.value.code == 0
    shown = capsys.readouterr().out
    assert commands()[name].description in shown
    assert "examples:\n" in shown
    assert shown.rpartition("exit status:\n")[2].strip()


def test_every_example_of_the_help_is_a_command_line_that_is_understood():
    lines = [
        line.strip().partition("  ")[0]
        for command in (parser(), *commands().values())
        for line in (command.epilog or "").partition("examples:\n")[2].partition("\n\n")[0].splitlines()
    ]
    plain = [line.split()[1:] for line in lines if line.startswith("smelt ") and not {">", "COMMAND"} & {*line.split()}]
    assert len(plain) > 15
    for words in plain:
        assert parser().parse_args(words).run


def test_the_options_and_arguments_of_every_command_are_explained():
    for command in commands().values():
        inner = [action for action in command._actions if action.nargs == argparse.PARSER]
        for one in (command, *(inner[0].choices.values() if inner else ())):
            assert [action.dest for action in one._actions if not action.help and action.nargs != argparse.PARSER] == []


def test_a_command_that_shows_little_loads_neither_rich_nor_pillow_nor_llvm():
    program = "import sys\nfrom smelt.cli import main\nmain(['cache', 'info'])\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}
    assert "smelt" in loaded
    assert not {"rich", "PIL", "llvmlite"} & loaded


def test_a_command_line_that_is_not_understood_has_the_exit_status_2(capsys):
    with pytest.raises(SystemExit) as raised:
        main(["melt"])
    assert raised.value.code == 2
    assert "invalid choice: 'melt'" in capsys.readouterr().err


def test_python_runs_the_command_too():
    given = [sys.executable, "-m", "smelt", "--version"]
    done = subprocess.run(given, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert done.stdout == f"smelt {smelt.__version__}\n"


def test_an_image_that_cannot_be_written_is_told_and_nothing_is_left_behind(tmp_path, monkeypatch, capsys):
    place = tmp_path / "kernels.smelt.image"
    place.mkdir()
    monkeypatch.setattr(precompile_command, "precompile", lambda *_: {"kernels": b"an image"})
    monkeypatch.setattr(precompile_command, "image_place", lambda *_: place)
    assert main(["precompile", "kernels"]) == 1
    # Which error it is depends on the system.
    assert capsys.readouterr().err.startswith(f"smelt: {place}: ")
    assert list(tmp_path.iterdir()) == [place]


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"smelt {smelt.__version__}\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (12.345, "12.3 s"),
        (1.0, "1.00 s"),
        (0.0456, "45.6 ms"),
        (123.4, "123 s"),
        (7.89e-5, "78.9 us"),
        (7.8e-8, "78 ns"),
    ],
)
def test_times_are_told_to_three_digits(seconds, text):
    assert duration(seconds) == text


def test_bench_tells_each_figure_beside_its_yardstick(monkeypatch, capsys):
    found = [Measurement("a launch", 2e-6, "a call", 1e-6)]
    monkeypatch.setattr(measuring, "measurements", lambda: iter(found))
    assert main(["bench"]) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header.split() == ["measured", "takes", "that", "is", "of"]
    assert " ".join(row.split()) == "a launch 2.00 us 2.00 x a call, 1.00 us"
    assert main(["bench", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told == {
        "subject": "a launch",
        "seconds": 2e-6,
        "yardstick": "a call",
        "yardstick_seconds": 1e-6,
        "ratio": 2.0,
    }


def test_bench_measures_processes_launches_and_kernels(monkeypatch):
    for name, few in {"_PROCESSES": 1, "_ROUNDS": 1, "_CALLS": 10, "_ELEMENTS": 1000}.items():
        monkeypatch.setattr(measuring, name, few)
    found = {one.subject: one for one in measuring.measurements()}
    assert len(found) == 6
    assert all(one.seconds > 0 and one.yardstick_seconds > 0 for one in found.values())
    assert {"a process that compiles it", "a warm launch of one thread", "2 * x + y of 1000 elements"} <= set(found)
