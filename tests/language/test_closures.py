# SPDX-License-Identifier: Apache-2.0
"""Functions that kernels define: called, handed to other functions, returned, and refused where they call themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest

import smelt


def apply(function, value):
    return function(value)


def twice(function):
    return lambda v: function(function(v))


def compose(first, second):
    def both(v):
        return first(second(v))

    return both


def fold(function, items, start):
    for i in range(items.size):
        start = function(start, items[i])
    return start


def both_of(functions, value):
    return functions[0](functions[1](value))


def closures(out, x):
    k = x[2] * 2
    out[0] = apply(lambda v: v * k, x[1])

    def g(v, scale=k):
        return v * scale + x[1] + k

    out[1] = apply(g, 3)
    out[2] = twice(lambda v: v + k)(1.0)
    out[3] = compose(math.sqrt, lambda v: v * v)(x[3])
    out[4] = fold(lambda a, b: a * 2 + b, x, 0)
    k = 100
    out[5] = apply(g, 3) + g(1)
    add = lambda a, b=5: a + b  # noqa: E731
    out[6] = add(2) + add(2, b=k)
    total = 0
    for j in range(3):
        total += apply(lambda v: v + j, 10)  # noqa: B023 - it is called in its round
    out[7] = total
    functions = (lambda v: v + 1, lambda v: v * k)
    for f in functions:
        out[8] += apply(f, 3)
    out[9] = both_of(functions, 4)
    out[10] = compose(compose(lambda v: v + 1, lambda v: v * k), lambda v: v - 1)(5)
    out[11] = apply(lambda v: sum(v * w for w in x), 2)


def test_closures_do_what_they_do_in_python(agree):
    agree(closures, np.zeros(12), np.arange(1.0, 5.0))


def test_a_function_is_an_argument_of_a_kernel():
    @smelt.kernel
    def map_it(out, function, x):
        i = smelt.grid(1)
        out[i] = function(x[i])

    x, out = np.arange(4.0), np.zeros(4)
    for function, expected in ((math.sqrt, np.sqrt(x)), (lambda v: v + 1, x + 1), (np.square, x * x), (abs, x)):
        map_it[4](out, function, x)
        np.testing.assert_array_equal(out, expected)


def in_a_kernel(out):
    def f(n):
        return f(n - 1)

    out[0] = f(3)


def through_another(out):
    def f(n):
        return apply(f, n - 1)

    out[0] = apply(f, 3)


@pytest.mark.parametrize("program", [in_a_kernel, through_another])
def test_recursion_is_refused(program):
    with pytest.raises(smelt.KernelError, match="calls itself") as caught:
        smelt.kernel(program)[1](np.zeros(1))
    assert "write a function of the module" in caught.value.help
    assert caught.value.filename == __file__


def test_a_mistake_in_a_closure_is_shown_there_with_the_calls_that_led_to_it():
    def program(out, x):
        out[0] = apply(lambda v: x[0.5] + v, 3)

    with pytest.raises(smelt.KernelError, match="an index is an integer") as caught:
        smelt.kernel(program)[1](np.zeros(1), np.zeros(1))
    assert caught.value.line == program.__code__.co_firstlineno + 1
    assert "called from apply" in str(caught.value)
    assert "called from" in str(caught.value)


def test_an_error_in_a_closure_that_another_function_calls_is_shown_at_its_call():
    def program(out, x):
        out[0] = apply(lambda v: x[v + 7], 3)

    with pytest.raises(IndexError) as caught:
        smelt.kernel(program)[1](np.zeros(1), np.zeros(1))
    (note,) = caught.value.__notes__
    assert "return function(value)" in note


def test_a_captured_variable_that_has_no_one_type_is_refused():
    def program(out, n):
        if n > 1:  # noqa: SIM108 - the two ways are the point
            k = 1
        else:
            k = (1, 2)
        out[0] = apply(lambda v: v + k, 3)

    with pytest.raises(smelt.KernelError, match=r"k is weak int or \(weak int, weak int\) here") as caught:
        smelt.kernel(program)[1](np.zeros(1), 1)
    assert "values of one type" in caught.value.help
