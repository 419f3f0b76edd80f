# SPDX-License-Identifier: Apache-2.0
"""Where an error of a thread is shown: at its own line, also in functions that kernels define, with the calls of those."""

from __future__ import annotations

import math
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


def positive(value):
    if value < 0:
        raise ValueError("negative")
    return value


def root_of(value):
    return math.sqrt(positive(value))


def kernel_that_calls_a_function_twice(out):
    out[0] = root_of(4.0)
    out[1] = positive(1.0)
    out[2] = root_of(-1.0)


def walk(out, place):
    if place > 5:
        return out[place]
    return walk(out, place + 1)


def kernel_that_recurs(out):
    out[0] = walk(out, 0)


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
            [
                ("item", kernel_with_a_closure, "return out[place]"),
                ("apply", apply, "function(doubled)"),
                ("kernel_with_a_closure", kernel_with_a_closure, "apply(item, 5)"),
            ],
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
                ("outer", outer, "return apply"),
                ("kernel_with_closures_in_closures", kernel_with_closures_in_closures, "outer(make(3))"),
            ],
        ),
        (
            kernel_that_calls_a_function_twice,
            ValueError,
            [
                ("positive", positive, "raise"),
                ("root_of", root_of, "positive(value)"),
                ("kernel_that_calls_a_function_twice", kernel_that_calls_a_function_twice, "root_of(-1.0)"),
            ],
        ),
        (
            kernel_that_recurs,
            IndexError,
            [
                ("walk", walk, "return out[place]"),
                ("kernel_that_recurs", kernel_that_recurs, "walk(out, 0)"),
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


@smelt.kernel
def checked_roots(out, x):
    i = smelt.grid(1)
    if x[i] > 10:
        out[i] = root_of(x[i] - 100)
    else:
        out[i] = root_of(x[i])


@pytest.mark.parametrize(("value", "line"), [(-4, "root_of(x[i])"), (50, "root_of(x[i] - 100)")])
def test_the_call_is_the_one_that_failed_in_loops_without_checks_too(value, line):
    x = np.full(1000, 9.0)
    x[700] = value
    with pytest.raises(ValueError, match="negative") as caught:
        checked_roots[1000](np.zeros(1000), x)
    assert places(caught.value)[-1] == ("checked_roots", line_of(checked_roots.function, line))
    assert caught.value.__notes__[0].startswith("in thread (700, 0, 0) of the grid, positive at ")


@smelt.kernel
def power(out, exponent):
    out[0] = exponent[1]
    out[1] = exponent[0] ** exponent[1]
    out[2] = out[1] ** exponent[2]


def test_a_call_of_the_runtime_library_is_shown():
    with pytest.raises(ValueError, match="negative") as caught:
        power[1](np.zeros(3, np.int64), np.array([2, 3, -1]))
    assert places(caught.value)[-1] == ("power", line_of(power.function, "exponent[2]"))


def a1(out):
    return positive(out[0]) + positive(out[1])


def a2(out):
    return a1(out) + a1(out)


def a3(out):
    return a2(out) + a2(out) + a2(out) + a2(out)


def a4(out):
    return a3(out) + a3(out) + a3(out) + a3(out)


def a5(out):
    return a4(out) + a4(out) + a4(out) + a4(out)


def a6(out):
    return a5(out) + a5(out) + a5(out) + a5(out)


def a7(out):
    return a6(out) + a6(out) + a6(out) + a6(out)


@smelt.kernel
def kernel_with_countless_ways(out):
    out[2] = a7(out)


def test_where_there_are_countless_ways_to_a_place_the_place_is_shown():
    with pytest.raises(ValueError, match="negative") as caught:
        kernel_with_countless_ways[1](np.array([1.0, -1.0, 0.0]))
    (first, second, *_) = places(caught.value)
    assert first == ("positive", line_of(positive, "raise"))
    assert second == ("a1", line_of(a1, "return"))
    assert len(kernel_with_countless_ways.compile(smelt.float64[:]).error_sites) < 10_000
