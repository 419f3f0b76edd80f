# SPDX-License-Identifier: Apache-2.0
"""Every change of the table, between two processes and in a running one."""

from __future__ import annotations

import pytest
from soundness_cases import AGAIN, CASES
from soundness_programs import edited, package_name, run, write_program

BETWEEN = [(package_name(index), case) for index, case in enumerate(CASES)]
WITHIN = [(name, case) for name, case in BETWEEN if case.in_process]


@pytest.fixture(scope="module")
def between(tmp_path_factory):
    """What each program gave before it was changed, and in a later process after."""
    directory = tmp_path_factory.mktemp("between")
    for name, case in BETWEEN:
        write_program(directory / "programs", name, case.files)
    environment = {key: value for case in CASES for key, value in case.environment.items()}
    names = [name for name, _ in BETWEEN]
    before = run(directory / "store", "run", directory / "programs", *names)
    for name, case in BETWEEN:
        write_program(directory / "programs", name, edited(case.files, case.edits))
    after = run(directory / "store", "run", directory / "programs", *names, **environment)
    return {name: pair for name, *pair in zip(names, before, after, strict=True)}


@pytest.fixture(scope="module")
def within(tmp_path_factory):
    """What each program gave before it was changed and reloaded, and after, in one process."""
    directory = tmp_path_factory.mktemp("within")
    for name, case in WITHIN:
        write_program(directory / "programs", name, case.files)
        write_program(directory / "changed", name, edited(case.files, case.edits))
    names = [name for name, _ in WITHIN]
    lines = run(directory / "store", "change", directory / "programs", directory / "changed", *names)
    return {line["case"]: [line, lines[index + 1]] for index, line in enumerate(lines) if index % 2 == 0}


@pytest.mark.parametrize(("name", "case"), BETWEEN, ids=[case.name for _, case in BETWEEN])
def test_a_change_between_two_processes(between, name, case):
    before, after = between[name]
    assert "error" not in before
    assert "error" not in after
    assert before["result"] == before["expected"]
    assert before["compilations"] == 1
    assert after["result"] == after["expected"]
    assert after["compilations"] == (1 if case.expected == AGAIN else 0)
    assert (after["inferences"] > 0) == (case.expected == AGAIN)


@pytest.mark.parametrize(("name", "case"), WITHIN, ids=[case.name for _, case in WITHIN])
def test_a_change_in_a_running_process(within, name, case):
    before, after = within[name]
    assert "error" not in before
    assert "error" not in after
    assert before["result"] == before["expected"]
    assert before["compilations"] == 1
    assert after["result"] == after["expected"]
    assert after["compilations"] == (1 if case.expected == AGAIN else 0)
