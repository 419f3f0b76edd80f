# SPDX-License-Identifier: Apache-2.0
"""Ranges, and Python's functions of sequences: their keywords, what they take, and what they raise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import smelt


@smelt.kernel
def slice_ranges_kernel(out, a, b, c, start, stop, step):
    part = range(a, b, c)[start:stop:step]
    out[0] = len(part)
    out[1] = part.start
    out[2] = part.stop
    out[3] = part.step
    for number, value in enumerate(part):
        out[4 + number] = value


limits = st.integers(-7, 7)
steps = st.sampled_from([-3, -1, 1, 2])


@settings(max_examples=100, derandomize=True, deadline=None)
@given(a=limits, b=limits, c=steps, start=limits, stop=limits, step=steps)
def test_a_slice_of_a_range_is_the_range_that_pythons_is(a, b, c, start, stop, step):
    out = np.zeros(20)
    slice_ranges_kernel[1](out, a, b, c, start, stop, step)
    part = range(a, b, c)[start:stop:step]
    expected = [len(part), part.start, part.stop, part.step, *part]
    assert out[: len(expected)].tolist() == expected


def use_ranges(out, n):
    group = range(n, -n, -2)
    out[0] = group[0] + 10 * group[-1] + group[n - 1]
    out[1] = sum(group[1:]) + sum(reversed(group))
    out[2] = range(10)[2:8][-1] + range(10)[::-1][0] + len(range(10)[::3])
    first, *rest = range(3, 8, 2)
    out[3] = first + rest[1]
    out[4] = max(range(n)) + min(range(n, n + 2))
    for i in reversed(range(0, n, 2)):
        out[5] = out[5] * 10 + i
    for i in range(n)[::-1]:
        out[6] = out[6] * 10 + i
    out[7] = sum(tuple(range(4))) + tuple(reversed((1, 2, n)))[1] + len(tuple(zip((1, 2), (3, 4), strict=True)))


def test_ranges_are_indexed_sliced_and_reversed(agree):
    agree(use_ranges, np.zeros(8), 5)


@smelt.kernel
def index_range(out, n, i):
    out[0] = range(n)[i]


@pytest.mark.parametrize("place", [3, -4])
def test_an_index_beyond_a_range_raises(place):
    with pytest.raises(IndexError, match="range object index out of range"):
        index_range[1](np.zeros(1), 3, place)


def farthest(v):
    return abs(v - 3)


def use_keywords(out, x, y, t, n):
    for i, v in enumerate(x, start=n):
        out[0] += i * v
    for v, w in zip(x, y, strict=True):
        out[1] += v * w
    for v, w, i in zip(t, (4, 5, 6), (7, 8, 9), strict=True):
        out[2] += v * w * i
    out[3] = sum(x, start=10) + sum((v for v in x), start=1) + sum(t, start=n)
    out[4] = min(x, key=farthest) + max(x, key=lambda v: -v)
    out[5] = min(t, key=farthest) + max(n, 7, -9, key=abs) + min(4, n, key=farthest)
    out[6] = max(x[:0], default=-1) + min((v for v in x if v > 100), default=n) + max((), default=3)
    out[7] = min((v for v in x), key=lambda v: (v > 0, -v))
    out[8] = max(range(n), key=lambda i: x[i]) + min(range(0), default=4, key=farthest)
    value, place = min((v, i) for i, v in enumerate(x))
    out[9] = value * 100 + place
    value, place = max(zip(x, range(n)))  # noqa: B905 - without, too
    out[10] = value * 100 + place
    pair = max(((i, v) for i, v in enumerate(y)), key=lambda pair: pair[1], default=(0, 0.0))
    out[11] = pair[0] + pair[1]
    out[12] = max((1, n), (1, 2), (0, 99))[1] + min(((2, n), (1, 9)))[1]
    out[13] = any(reversed(x)) + all(zip(x, y, strict=True)) + sum(reversed(y))
    out[14] = round(x[0], ndigits=1) + pow(base=n, exp=2) + complex(imag=2, real=n).imag
    out[15] = zipped_sum(zip(x, y, strict=False)) + zipped_sum(enumerate(x))


def zipped_sum(pairs):
    total = 0.0
    for one, other in pairs:
        total += one * other
    return total


def test_keywords_of_functions_of_sequences(agree):
    x, y = np.array([1.5, -2.0, 4.25, 0.5]), np.array([3, 1, -7, 5], np.int32)
    agree(use_keywords, np.zeros(16), x, y, (1, 2.5, 3), 4)


@smelt.kernel
def zip_strictly(out, x, y, z):
    for v, w, u in zip(x, y, z, strict=True):
        out[0] += v * w * u


@pytest.mark.parametrize("lengths", [(3, 2, 3), (2, 3, 2), (3, 3, 1), (3, 3, 4)])
def test_a_strict_zip_of_different_lengths_raises_what_python_raises(lengths):
    arrays = [np.ones(length) for length in lengths]
    with pytest.raises(ValueError, match="zip") as expected:
        list(zip(*arrays, strict=True))
    with pytest.raises(ValueError, match="zip") as found:
        zip_strictly[1](np.zeros(1), *arrays)
    assert str(found.value).split("\n")[0] == str(expected.value)


def mark(rows):
    for row in rows:
        row[0] = 7


@smelt.kernel
def mark_backward(grid, other):
    mark(reversed(grid))
    other[0, 0] += grid[0, 0]


def test_what_is_written_through_an_iterator_that_a_function_is_given_is_known_to_be_written():
    room, other = np.zeros((4, 2)), np.zeros((1, 1))
    mark_backward[1](room, other)
    assert room[:, 0].tolist() == [7, 7, 7, 7]
    assert other[0, 0] == 7
    with pytest.raises(smelt.LaunchError, match="grid, which is written, and other overlap"):
        mark_backward[1](room[:3], room[1:])


@smelt.kernel
def least_of_nothing(out, x):
    out[0] = min(x, key=farthest)


def test_the_least_of_nothing_raises():
    with pytest.raises(ValueError, match="iterable argument is empty"):
        least_of_nothing[1](np.zeros(1), np.zeros(0))


# What is refused


@smelt.kernel
def strict_tuples(out):
    for one, other in zip((1, 2), (1, 2, 3), strict=True):
        out[0] = one + other


@smelt.kernel
def reversed_zip(out):
    for one, other in reversed(zip(out, out, strict=True)):
        out[0] = one + other


@smelt.kernel
def zip_keyword(out):
    for one in zip(out, strictly=True):
        out[0] = one[0]


@smelt.kernel
def strict_by_element(out):
    for one in zip(out, strict=out[0] > 0):
        out[0] = one[0]


@smelt.kernel
def outside_range(out):
    out[0] = range(3)[5]


@smelt.kernel
def sort_key(out):
    out[0] = min(out, reverse=True)


@pytest.mark.parametrize(
    ("kernel", "message", "help_"),
    [
        (strict_tuples, "zip() argument 2 is longer than argument 1", ""),
        (reversed_zip, "can't be reversed", "reverse what it runs over"),
        (zip_keyword, "zip takes no keyword arguments in a kernel", "leave them out"),
        (strict_by_element, "whether zip is strict is known when a kernel is compiled", "write strict=True"),
        (outside_range, "index 5 is out of range for a range of 3", ""),
        (sort_key, "min has no parameter reverse", ""),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_what_functions_of_sequences_can_not_do_is_refused(kernel, message, help_):
    with pytest.raises(smelt.KernelError) as error:
        kernel.compile(smelt.float64[:])
    assert message in error.value.message
    assert help_ in error.value.help
