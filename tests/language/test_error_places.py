# SPDX-License-Identifier: Apache-2.0
"""Where an error of a thread is shown: at its own line, also in functions that kernels define, with the calls of those."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import smelt


def apply(function, value):
    doubled = value * 2
    return function(doubled)


def kernel_with_a_closure(out):
    def item(place):
        return out[place]

    out[0] = apply(item, 5)


def kernel_that_calls_its_own(out):
    def item(place):
        return out[place]

    out[0] = item(9)


def make(limit):
    def checked(value):
        assert value < limit, "too much"
        return value

    return checked


def outer(function):
    return apply(lambda value: function(value) + 1, 4)


def kernel_with_closures_in_closures(out):
    out[0] = outer(make(3))


def places(error):
    """The functions and lines in the note of an error, the innermost first."""
    (note,) = error.__notes__
    heads = [line for line in note.splitlines() if " at " in line and ".py:" in line]
    return [(line.split(" at ")[0].split(" ")[-1], line.rstrip(":").rsplit(":", 1)[1]) for line in heads]


def line_of(function, text):
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    first = function.__code__.co_firstlineno
    return str(next(number for number, line in enumerate(lines[first - 1 :], first) if text in line))


@pytest.mark.parametrize(
    ("program", "error", "expected"),
    [
        (
            kernel_with_a_closure,
            IndexError,
            [("item", kernel_with_a_closure, "return out[place]"), ("apply", apply, "function(doubled)")],
        ),
        (
            kernel_that_calls_its_own,
            IndexError,
            [
                ("item", kernel_that_calls_its_own, "return out"),
                ("kernel_that_calls_its_own", kernel_that_calls_its_own, "item(9)"),
            ],
        ),
        (
            kernel_with_closures_in_closures,
            AssertionError,
            [
                ("checked", make, "assert"),
                ("<lambda>", outer, "lambda"),
                ("apply", apply, "function(doubled)"),
            ],
        ),
    ],
)
def test_an_error_in_a_function_of_a_kernel_is_shown_there_and_where_it_is_called(program, error, expected):
    with pytest.raises(error) as caught:
        smelt.kernel(program)[1](np.zeros(3))
    assert places(caught.value) == [(name, line_of(function, text)) for name, function, text in expected]
    assert caught.value.__notes__[0].startswith("in thread (0, 0, 0) of the grid, ")
    assert caught.value.__notes__[0].count("called from") == len(expected) - 1


def test_the_text_of_the_line_is_the_one_that_failed():
    with pytest.raises(IndexError) as caught:
        smelt.kernel(kernel_with_a_closure)[1](np.zeros(3))
    lines = caught.value.__notes__[0].splitlines()
    assert lines[1].strip() == "return out[place]"
    assert lines[2].strip() == "^" * len("out[place]")
