# SPDX-License-Identifier: Apache-2.0
"""`smelt completion`: scripts that know every command and option that the parser knows."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from smelt.cli import main

pytestmark = pytest.mark.once

COMMANDS = {"demo", "doctor", "bench", "precompile", "cache", "why", "inspect", "completion"}


@pytest.fixture
def script(capsys):
    def printed(shell):
        assert main(["completion", shell]) == 0
        return capsys.readouterr().out

    return printed


@pytest.fixture
def completed(script, tmp_path):
    """Completes words with bash, as the tabulator key does."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash on this machine")
    (tmp_path / "shapes.metallib").touch()

    def words_for(*words):
        asked = f"COMP_WORDS=(smelt {' '.join(words)}); COMP_CWORD={len(words)}; _smelt; echo ${{COMPREPLY[@]}}"
        done = subprocess.run(
            [bash, "-c", f"{script('bash')}\n{asked}"], capture_output=True, text=True, check=True, cwd=tmp_path
        )
        assert done.stderr == ""
        return set(done.stdout.split())

    return words_for


def test_bash_completes_commands_actions_and_options(completed):
    assert completed("''") == COMMANDS
    assert completed("co") == {"completion"}
    assert completed("cache", "''") == {"info", "list", "verify", "prune", "clear"}
    assert completed("cache", "list", "--") == {"--help", "--json"}
    assert completed("completion", "z") == {"zsh"}


def test_bash_completes_names_of_files_where_a_command_takes_them(completed):
    assert completed("inspect", "sha") == {"shapes.metallib"}
    assert completed("inspect", "--output", "sha") == {"shapes.metallib"}
    assert completed("doctor", "sha") == set()


def test_zsh_reads_the_script_of_bash_by_its_own_means(script):
    first, rest = script("zsh").split("\n", 1)
    assert first == "autoload -U +X bashcompinit && bashcompinit"
    assert rest == script("bash")


def test_fish_is_told_every_command_and_what_it_does(script):
    lines = script("fish").splitlines()
    start = 'complete -c smelt -n "__fish_use_subcommand" -a '
    told = [line.removeprefix(start) for line in lines if line.startswith(start)]
    assert {line.split()[0] for line in told} == COMMANDS
    assert all(re.fullmatch(r"\w+ -d '([^'\\]|\\.)+'", line) for line in told)
    assert "complete -c smelt -n \"__fish_seen_subcommand_from precompile\" -s j -d 'processes'" in lines


def test_another_shell_is_refused_by_name(capsys):
    with pytest.raises(SystemExit) as raised:
        main(["completion", "tcsh"])
    assert raised.value.code == 2
    assert "invalid choice: 'tcsh'" in capsys.readouterr().err
