# SPDX-License-Identifier: Apache-2.0
"""`functools.partial` objects in kernels: captured, given as arguments, made there; and what happens when one changes."""

from __future__ import annotations

import functools
import math
from functools import partial
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest

import smelt


def affine(v, scale, offset=1, *, power=1):
    return v**power * scale + offset


def gather(first, *rest, weight=1):
    return first + weight * sum(rest)


def item(values, index):
    return values[index]


def apply(function, *values):
    return function(*values)


class Point(NamedTuple):
    x: float
    y: float


class Rules:
    rule = partial(affine, scale=7)


class Pair(NamedTuple):
    first: partial
    factor: float


doubled = partial(affine, scale=2)
first_of_all = partial(affine, 3.0, 4.0)
nested = partial(partial(partial(affine, scale=2), power=2), offset=np.float32(5))
spread = partial(gather, 1, 2.5, weight=3)
table = np.array([10.0, 20.0, 30.0])
row = partial(item, table)
pair = Pair(partial(affine, scale=5), 2.0)
several = (partial(affine, scale=2), partial(affine, offset=3, scale=4), partial(pow, 2))


def captured(out, x):
    out[0] = doubled(x[1])
    out[1] = doubled(x[1], scale=10)
    out[2] = doubled(x[1], offset=0.5, power=2)
    out[3] = first_of_all() + first_of_all(2) + first_of_all(power=2)
    out[4] = nested(x[2]) + nested(x[2], power=3)
    out[5] = spread() + spread(4, x[1]) + spread(weight=0)
    out[6] = row(1) + row(index=2)
    out[7] = Rules.rule(x[1]) + partial(Point, y=2)(x[1]).y
    out[8] = pair.first(x[1]) * pair.factor
    out[9] = partial(math.pow, 2.0)(x[2]) + partial(max, 3)(x[1]) + partial(max, key=lambda v: -v)(x[1], x[2])
    for f in several:
        out[10] += f(x[2])


def given(out, x):
    out[0] = apply(doubled, x[1])
    out[1] = apply(partial(doubled, power=2), x[2])
    out[2] = apply(apply, doubled, 3)
    k = x[1] + 1

    def scaled(v, by):
        return v * by + k

    bound = partial(scaled, by=x[2])
    out[3] = apply(bound, 5) + bound(1, by=2)
    k = 100
    out[4] = bound(1)
    chosen = partial(affine, scale=2) if x[1] > 0 else partial(affine, scale=3)
    out[5] = chosen(x[1])
    out[6] = apply(made(x[2]), 4)
    out[7] = doubled.keywords["scale"] + doubled.func(1, 2) + first_of_all.args[1]
    out[8] = apply((lambda fs, v: fs[0](fs[1](v))), several, x[1])


def made(by):
    return partial(affine, scale=by, offset=by)


@pytest.mark.parametrize("program", [captured, given])
def test_a_partial_does_what_it_does_in_python(agree, program):
    agree(program, np.zeros(11), np.array([1.0, 2.0, 3.0]))


def test_a_partial_is_captured_in_a_closure_and_as_a_default(agree):
    inner = partial(affine, scale=3)

    def program(out, x, function=partial(affine, 2.0)):  # noqa: B008
        def once_more(v, rule=doubled):
            return rule(v)

        out[0] = inner(x[0]) + function(x[1]) + once_more(x[1])

    agree(program, np.zeros(1), np.array([1.0, 2.0, 3.0]))


@smelt.kernel
def map_with(out, function, x):
    i = smelt.grid(1)
    out[i] = function(x[i])


def test_a_partial_is_an_argument_of_a_kernel():
    x, out = np.arange(4.0), np.zeros(4)
    functions = [partial(affine, scale=scale) for scale in (2, 3, 4.5, np.float32(2))]
    functions += [partial(affine, offset=2, scale=3), partial(affine, scale=3, offset=4), partial(np.add, 3)]
    functions += [partial(math.pow, 2.0), partial(partial(gather, 1), 2, weight=4), partial(affine, 1.5)]
    for function in functions:
        map_with[4](out, function, x)
        np.testing.assert_array_equal(out, [function(v) for v in x], str(function))


def test_what_a_given_partial_binds_is_passed_when_the_kernel_runs():
    x, out = np.arange(4.0), np.zeros(4)
    map_with[4](out, partial(affine, offset=1, scale=2), x)
    before = smelt.stats().compilations
    for scale in range(5):
        map_with[4](out, partial(affine, scale=scale, offset=scale), x)
        np.testing.assert_array_equal(out, x * scale + scale)
    assert smelt.stats().compilations == before


def test_arrays_that_a_given_partial_binds_are_arguments():
    @smelt.kernel
    def fill(out, function):
        i = smelt.grid(1)
        out[i] = function(index=i)

    values, out = np.arange(4.0), np.zeros(4)
    for _ in range(2):
        fill[4](out, partial(item, values))
        np.testing.assert_array_equal(out, values)
        values = values * 2
    with pytest.raises(smelt.LaunchError, match="overlap"):
        fill[3](values[1:], partial(item, values))


def test_a_partial_of_a_kernel_is_one_of_its_function():
    @smelt.kernel
    def store(out, place, value):
        out[place] = value

    at_two = partial(store, place=2)

    @smelt.kernel
    def program(out):
        at_two(out, value=5)

    out = np.zeros(3)
    program[1](out)
    assert out[2] == 5


def power_of(v, exponent):
    return 1 if exponent < 1 else v * power_again(v, exponent - 1)


power_again = partial(power_of)


def recursive(out):
    out[0] = power_again(3, 4) + partial(power_of, exponent=2)(5)


def test_a_function_calls_itself_through_a_partial(agree):
    agree(recursive, np.zeros(1))


rebound = partial(affine, scale=2)


@smelt.kernel
def with_rebound(out, x):
    i = smelt.grid(1)
    out[i] = rebound(x[i])


def ran():
    out = np.zeros(1)
    with_rebound[1](out, np.array([3.0]))
    return out[0]


def test_a_change_of_a_partial_is_noticed(monkeypatch):
    module = SimpleNamespace(**globals())
    assert ran() == 7
    assert ran() == 7
    for changed in (partial(affine, scale=5), partial(affine, 2.0, scale=5), partial(gather, weight=2), abs):
        try:
            expected = changed(3.0)
        except TypeError:
            monkeypatch.setitem(globals(), "rebound", changed)
            with pytest.raises(smelt.KernelError, match="twice"):
                ran()
            continue
        monkeypatch.setitem(globals(), "rebound", changed)
        assert ran() == expected
        assert ran() == expected
    monkeypatch.setitem(globals(), "rebound", module.rebound)
    assert ran() == 7
    rebound.keywords["scale"] = 4
    assert ran() == 13
    rebound.keywords["offset"] = 10
    assert ran() == 22
    rebound.keywords.pop("offset")
    assert ran() == 13
    rebound.keywords["scale"] = 2


def test_the_partial_that_stands_there_now_is_watched(monkeypatch):
    assert ran() == 7
    monkeypatch.setitem(globals(), "rebound", partial(affine, scale=2))
    assert ran() == 7
    rebound.keywords["scale"] = 6
    assert ran() == 19


class Own(functools.partial):
    def __call__(self, *arguments):
        return super().__call__(*arguments) + 1


holding_set = partial(affine, scale={1})
own = Own(affine, scale=2)


def with_set(out):
    out[0] = holding_set(1)


def with_own(out):
    out[0] = own(1)


def twice_bound(out):
    out[0] = doubled(1, 2)


def unknown(out):
    out[0] = partial(affine, scal=2)(1)


def compared(out):
    out[0] = doubled == rebound


def shown(out):
    print(doubled)  # noqa: T201
    out[0] = 1


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (with_set, "a kernel can't use a set"),
        (with_own, r"a kernel can't use a .*Own"),
        (twice_bound, "affine gets scale twice"),
        (unknown, "affine has no parameter scal"),
        (compared, "can't be compared with =="),
        (shown, r"can't print a partial\(constant affine, scale=weak int\)"),
    ],
)
def test_what_a_kernel_cannot_have_is_refused(program, message):
    with pytest.raises(smelt.KernelError, match=message):
        smelt.kernel(program)[1](np.zeros(1))


def test_a_launch_tells_what_a_partial_must_not_hold():
    with pytest.raises(smelt.LaunchError, match="argument function: a kernel can't use a set"):
        map_with[4](np.zeros(4), holding_set, np.zeros(4))
