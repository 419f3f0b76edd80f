# SPDX-License-Identifier: Apache-2.0
"""Comparisons of what is no number: tuples, named tuples, dataclasses, records and ranges."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import smelt


@dataclass(frozen=True, order=True)
class Version:
    major: int
    minor: float
    note: int = field(default=0, compare=False)


class Point(NamedTuple):
    x: float
    y: float


class Size(NamedTuple):
    width: float
    height: float


@dataclass(frozen=True)
class Nested:
    place: Point
    version: Version


@dataclass(frozen=True)
class Same:
    place: Point
    version: Version


@dataclass(frozen=True)
class ByLength:
    x: float
    y: float

    def __eq__(self, other: object) -> Any:
        return self.x**2 + self.y**2 == other.x**2 + other.y**2  # type: ignore[attr-defined]

    def __lt__(self, other: ByLength) -> Any:
        return self.x**2 + self.y**2 < other.x**2 + other.y**2

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, eq=False)
class Incomparable:
    x: float


def all_of(out, row, first, second):
    out[row, 0] = first == second
    out[row, 1] = first != second
    out[row, 2] = first < second
    out[row, 3] = first <= second
    out[row, 4] = first > second
    out[row, 5] = first >= second


def compare_pairs(out, first, second):
    for row, (one, other) in enumerate(zip(first, second, strict=True)):
        all_of(out, row, one, other)


VALUES = [
    Version(1, 2.0, 5),
    Version(1, 2.0, 6),
    Version(1, 3.0, 0),
    Version(0, 9.0, 0),
    Version(1, float("nan"), 0),
]


def test_dataclasses_have_the_order_that_their_fields_have(agree):
    pairs = [(one, other) for one in VALUES for other in VALUES if one is not other]
    first, second = zip(*pairs, strict=True)
    agree(compare_pairs, np.zeros((len(pairs), 6)), first, second)


small = st.sampled_from([0, 1, 2, -1])
tuples = st.lists(small, max_size=3).map(tuple)


@smelt.kernel
def compare_two(out, first, second):
    all_of(out, 0, first, second)


@settings(max_examples=25, derandomize=True, deadline=None)
@given(tuples, tuples)
def test_tuples_have_pythons_order(first, second):
    out, expected = np.zeros((2, 1, 6))
    compare_two[1](out, first, second)
    all_of(expected, 0, first, second)
    np.testing.assert_array_equal(out, expected)


def compare_mixed(out, p, q, v, nested, k):
    out[0] = p == (1.0, 2.0)
    out[1] = p < (1.0, 2.5, 3)
    out[2] = p == Size(1.0, 2.0)
    out[3] = nested == Nested(p, v)
    out[4] = nested != Nested(q, v)
    out[5] = nested == Same(p, v)
    out[6] = v == 3
    out[7] = v != None  # noqa: E711 - the comparison by value
    out[8] = (1.0, 2.0) == v  # noqa: SIM300 - a tuple asks first
    out[9] = v in (1, p, v)
    out[10] = q not in ((1.0, 2.0), p)
    out[11] = (k, (2, p)) > (k, (2, q))
    out[12] = (1, "a") < (2, "b")
    out[13] = ("a", k) > ("a", 1)
    out[14] = p < q < (9, 9)
    out[15] = max(p, q, p).y if k else 0
    out[16] = (k,) > ()
    out[17] = range(3) == p


def test_values_of_different_types_are_compared_as_python_does(agree):
    p, q, v = Point(1.0, 2.0), Point(1.0, 3.0), Version(2, 1.5)
    agree(compare_mixed, np.zeros(18), p, q, v, Nested(p, v), 4)


def compare_by_method(out, first, second):
    out[0] = first == second
    out[1] = first != second
    out[2] = first < second
    out[3] = first > second
    out[4] = second == first
    out[5] = (first, 1) == (second, 1)
    out[6] = first in (second, second)


def test_a_class_can_define_its_comparisons(agree):
    agree(compare_by_method, np.zeros(7), ByLength(3.0, 4.0), ByLength(0.0, 5.0))
    agree(compare_by_method, np.zeros(7), ByLength(3.0, 4.0), ByLength(0.0, 5.5))


def compare_records(out, records):
    out[0] = records[0] == records[1]
    out[1] = records[0] != records[1]
    out[2] = records[0] == records[2]
    x, y = records[2]
    out[3] = x + 10 * y
    out[4] = records[1][0] + records[1][-1] + len(records[0])
    out[5] = Point(*records[2]) == Point(7, 8)


def test_records_are_compared_unpacked_and_indexed(agree):
    records = np.array([(1, 2), (1, 2), (7, 8)], [("x", "f4"), ("y", "i4")])
    agree(compare_records, np.zeros(6), records)


def compare_ranges(out, a, b, n):
    out[0] = a == b
    out[1] = a != b
    out[2] = n in a
    out[3] = n not in b
    out[4] = n in range(n, n + 1)
    out[5] = 2 in range(0, 10, 2)
    out[6] = bool(n > 0) in range(1, 2)
    out[7] = a == (1, 2)
    out[8] = 1 if a else 2
    out[9] = not b


limits = st.integers(-4, 4)
steps = st.sampled_from([-3, -2, -1, 1, 2, 3])


@smelt.kernel
def compare_ranges_kernel(out, one, other, n):
    compare_ranges(out, range(one[0], one[1], one[2]), range(other[0], other[1], other[2]), n)


@settings(max_examples=120, derandomize=True, deadline=None)
@given(one=st.tuples(limits, limits, steps), other=st.tuples(limits, limits, steps), n=limits)
def test_ranges_are_equal_and_contain_what_pythons_do(one, other, n):
    out, expected = np.zeros((2, 10))
    compare_ranges_kernel[1](out, one, other, n)
    compare_ranges(expected, range(*one), range(*other), n)
    np.testing.assert_array_equal(out, expected)


@smelt.kernel
def search_far(out, k):
    out[0] = 2**63 - 1 in range(-(2**63), 2**63 - 1)
    out[1] = k[0] in range(-5, 10)
    out[2] = k[1] in range(-(2**63), 2**62)
    out[3] = k[2] in range(3, -(2**63), -2)


def test_numbers_are_searched_by_value_whatever_their_type():
    out = np.zeros(4)
    # Python itself would compare a NumPy scalar with each number of the range.
    search_far[1](out, np.array([2**64 - 1, 2**63 + 5, 1], np.uint64))
    assert out.tolist() == [0, 0, 0, 1]


# What is refused


@smelt.kernel
def no_order(out, p):
    out[0] = p < p  # noqa: PLR0124 - there is one of it


@smelt.kernel
def no_equality(out, p):
    out[0] = p == p  # noqa: PLR0124 - by value, which this class has none of


@smelt.kernel
def other_class(out, p):
    out[0] = Version(1, 2.0) < p


@smelt.kernel
def order_of_texts(out, p):
    out[0] = (p.x, "a") < (p.x, "b")


@smelt.kernel
def float_in_range(out, p):
    out[0] = p.x in range(5)


@pytest.mark.parametrize(
    ("kernel", "value", "message", "help_"),
    [
        (
            no_order,
            Nested(Point(1, 2), VALUES[0]),
            "values of Nested can't be compared with <",
            "@dataclass(frozen=True, order=True)",
        ),
        (no_equality, Incomparable(1.0), "values of Incomparable can't be compared with ==", "eq=True"),
        (other_class, Incomparable(1.0), "a Version(", "compare their fields"),
        (order_of_texts, Point(1.0, 2.0), "constant 'a' and constant 'b' have no order", ""),
        (float_in_range, Point(1.0, 2.0), "a weak float can't be searched in a range", "convert it with int()"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_what_can_not_be_compared_is_refused(kernel, value, message, help_):
    with pytest.raises(smelt.KernelError) as error:
        kernel[1](np.zeros(1), value)
    assert error.value.message.startswith(message)
    assert help_ in error.value.help
