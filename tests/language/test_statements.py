# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: ARG001, ARG005, SIM300 - all programs have the same parameters, and compare as their subject demands
"""Statements in the combinations that the table of docs/language.md doesn't show."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import smelt


def classify(value):
    match value:
        case (0, _) | (_, 0):
            return 1
        case (a, b) if a == b:
            return 2 + a
        case (first, *_, last) if first > last:
            return first * 10 + last
        case 7 | 8 | 9 as n:
            return n
        case None:
            return -1
        case True:
            return -2
    return 99


def test_match_finds_the_case_that_python_finds(agree):
    def program(out, n):
        out[0] = classify((0, n))
        out[1] = classify((n, n))
        out[2] = classify((n, n - 1, n - 2))
        out[3] = classify(n + 5)
        out[4] = classify(None)
        out[5] = classify((n, n + 1))
        out[6] = classify(n + 50)
        out[7] = classify(True)
        match (n, (a := n * 2, 5)):
            case (1, (b, *_)) | (b, (4 | 6, _)):
                out[8] = b + a
            case (_, [b, 5]):
                out[8] = -b

    for n in (0, 1, 3, 4):
        agree(program, np.zeros(9), n)


def test_and_and_or_give_the_operand_that_decides(agree):
    def program(out, n, a):
        out[0] = n or 5
        out[1] = n and a
        out[2] = (n and a) or 7
        out[3] = 1 < n and (b := n * 2) > 5 and b
        if (n > 1 and (c := n + 1) > 2) or (c := -n) < -100:
            out[4] = c
        while not (n < 1 or (d := n - 1) < 0):
            out[5] += d
            n -= 1
        out[6] = 1 if (e := a) and e > 0 else 2

    for n in (0, 1, 4):
        agree(program, np.zeros(7), n, 2.5)
        agree(program, np.zeros(7), n, 0.0)


def test_a_walrus_in_a_short_circuit_is_not_assigned_where_it_did_not_run():
    def program(out, n):
        if n > 1 and (b := n) > 2:
            out[0] = b
        out[1] = b

    with pytest.raises(smelt.KernelError, match="b is not assigned on every way"):
        smelt.kernel(program)[1](np.zeros(2), 3)


def test_loops_nest_break_continue_and_end(agree):
    def program(out, n):
        found = -1
        for i in range(n):
            for j in range(i):
                if i * j == 12:
                    found = i * 100 + j
                    break
                if j % 2:
                    continue
                out[0] += j
            else:
                out[1] += 1
                continue
            break
        else:
            out[2] = 1
        out[3] = found
        count = 0
        while True:
            count += 1
            if count > n:
                break
        else:
            count = -1
        out[4] = count
        for k in range(n, -n, -3):
            out[5] = out[5] * 2 + k
        for v in (1, 2.5, n):
            if v == 2.5:
                continue
            out[6] += v

    for n in (0, 3, 5, 9):
        agree(program, np.zeros(7), n)


def test_a_weak_variable_takes_the_type_of_what_it_meets_in_a_loop(agree):
    def program(out, x):
        s = 0
        for v in x:
            s += v
        out[0] = s
        t = 0.0
        for i in range(3):
            t = t * 3 + x[i] if i else x[i]
        out[1] = t / 3

    agree(program, np.zeros(2), np.array([0.1, 0.2, 0.3], np.float32))


def test_comprehensions_stop_early_where_pythons_do(agree):
    def program(out, x):
        # The third element is never divided by.
        out[0] = any(4 // v == 4 for v in x)
        out[1] = all(4 // v > 4 for v in x)
        out[2] = any(v == w and v > 1 for v in x for w in range(10) if w)
        out[3] = sum(sum(v * w for w in range(v)) for v in x)
        out[4] = min((v - 2) ** 2 for v in x if v)
        out[5] = max(max(v, w) for v, w in zip(x, reversed(x)))  # noqa: B905 - kernels' zip has no strict

    agree(program, np.zeros(6), np.array([1, 3, 0, 5]))


ERRORS = """
import numpy as np, smelt

@smelt.kernel
def asserts(out, n):
    assert n < 2, f"n is at most {1}"
    out[0] = 1

out = np.zeros(1)
try:
    asserts[1](out, 3)
except AssertionError as error:
    print(type(error).__name__, error)
print(out[0])
"""


@pytest.mark.parametrize(("flag", "expected"), [("-B", "AssertionError n is at most 1\n0.0\n"), ("-O", "1.0\n")])
def test_assertions_are_left_out_with_python_minus_o(tmp_path, flag, expected):
    path = tmp_path / "asserting.py"
    path.write_text(ERRORS)
    done = subprocess.run([sys.executable, flag, path], capture_output=True, text=True, check=True)
    assert done.stdout == expected


def test_a_raised_error_arrives_with_its_message_line_and_thread():
    def program(out, n):
        if smelt.grid(1) == n:
            raise ValueError("too much")

    with pytest.raises(ValueError, match=r"^too much") as caught:
        smelt.kernel(program)[8](np.zeros(1), 5)
    (note,) = caught.value.__notes__
    assert "thread (5, 0, 0)" in note
    assert 'raise ValueError("too much")' in note


@pytest.mark.parametrize(
    ("program", "message", "help_"),
    [
        (
            lambda out, n: sum(1, (v for v in range(n))),
            "can't give this comprehension to sum",
            "as their first argument",
        ),
        (lambda out, n: len(v for v in range(n)), "can't give this comprehension to len", "sum, min, max, any and all"),
        (lambda out, n: 1 << 5000, "a constant of more than 4096 bits", "use a float"),
        (lambda out, n: 1 << -1, "negative shift count", ""),
        (lambda out, n: n.real.size, "a weak int has no attribute size", ""),
        (lambda out, n: isinstance(n, 3), "isinstance takes a class", ""),
        (lambda out, n: range(1, n, 0), "range() arg 3 must not be zero", ""),
        (lambda out, n: np.sin(x=n), "takes no keyword arguments in a kernel", "leave them out"),
    ],
)
def test_a_mistake_is_refused_with_its_line_and_help(program, message, help_):
    with pytest.raises(smelt.KernelError) as caught:
        smelt.kernel(program)[1](np.zeros(1), 3)
    assert message in caught.value.message
    assert help_ in caught.value.help
    assert caught.value.line == program.__code__.co_firstlineno
