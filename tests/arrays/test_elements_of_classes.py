# SPDX-License-Identifier: Apache-2.0
"""Frozen dataclasses and named tuples as elements: of arrays that kernels make, and in arrays of records."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest

import smelt
from smelt.types import dtype_of, element_of_class, value_of_element

pytestmark = pytest.mark.once


class Pair(NamedTuple):
    index: np.int16
    weight: float


@dataclass(frozen=True)
class Body:
    flag: bool
    place: smelt.float32  # type: ignore[valid-type]
    spin: np.complex64
    pair: Pair
    count: int = 2

    def energy(self) -> Any:
        return self.place * self.pair.weight + self.count + abs(self.spin)

    @property
    def is_heavy(self) -> Any:
        return self.pair.weight > 2


@smelt.kernel
def sort_bodies(out, x):
    i = smelt.grid(1)
    own = smelt.thread_array(4, Body)
    out[i, 0] = own[0].count + own[3].pair.weight
    for j in range(4):
        own[j] = Body(j % 2 == 0, x[j], 3 + 4j, Pair(j, x[3 - j]))
    own[1].place = 7
    own[2].pair = (5, 1.5)
    own[3].pair.weight += 10
    own["count"][2:] = 9
    chosen = own[i] if x[i] > 1.75 else own[0]
    out[i, 1] = chosen.energy()
    out[i, 2] = chosen.is_heavy + 2 * chosen.flag + 4 * (chosen == own[i])
    own[0] = dataclasses.replace(chosen, count=-1)
    out[i, 3] = own[0].energy() + own[0].pair.index
    for number, body in enumerate(own[1:]):
        out[i, 4] += number * body.energy()
    index, weight = own[i].pair
    out[i, 5] = index * 100 + weight


def test_values_of_classes_are_elements_of_arrays():
    x = np.array([1.5, 2.5, 3.5, 0.5])
    out, expected = np.zeros((4, 6)), np.zeros((4, 6))
    sort_bodies[4](out, x)
    for i in range(4):
        own = [Body(j % 2 == 0, float(x[j]), 3 + 4j, Pair(j, float(x[3 - j]))) for j in range(4)]
        own[1] = dataclasses.replace(own[1], place=7)
        own[2] = dataclasses.replace(own[2], pair=Pair(5, 1.5), count=9)
        own[3] = dataclasses.replace(own[3], pair=own[3].pair._replace(weight=own[3].pair.weight + 10), count=9)
        chosen = own[i] if x[i] > 1.75 else own[0]
        expected[i, 1] = chosen.energy()
        expected[i, 2] = chosen.is_heavy + 2 * chosen.flag + 4 * (chosen == own[i])
        own[0] = dataclasses.replace(chosen, count=-1)
        expected[i, 3] = own[0].energy() + own[0].pair.index
        expected[i, 4] = sum(number * body.energy() for number, body in enumerate(own[1:]))
        index, weight = own[i].pair
        expected[i, 5] = index * 100 + weight
    np.testing.assert_array_equal(out, expected)


@smelt.kernel
def rotate(out, given):
    shared = smelt.threadgroup_array((2, 4), Pair)
    records = smelt.threadgroup_array(8, given.dtype)
    t = smelt.thread_index_in_threadgroup()
    shared[t // 4, t % 4] = Pair(t, t * 1.5)
    records[t] = given[t]
    smelt.threadgroup_barrier()
    other = shared.T[(t + 1) % 4, 1 - t // 4]
    out[t] = other.index + other.weight + records[7 - t].y
    smelt.threadgroup_barrier()
    smelt.atomic_add(shared["index"], (0, 0), 1)
    smelt.threadgroup_barrier()
    if t == 0:
        out[8] = shared[0, 0].index
        out[9] = shared.itemsize + shared.size


def test_threads_share_values_of_classes():
    given = np.zeros(8, [("x", "i1"), ("y", "f8")])
    given["y"] = np.arange(8) / 8
    out = np.zeros(10)
    rotate[1, 8](out, given)
    neighbours = [(1 - t // 4) * 4 + (t + 1) % 4 for t in range(8)]
    expected = [n * 2.5 + given["y"][7 - t] for t, n in enumerate(neighbours)]
    np.testing.assert_array_equal(out, [*expected, 8, 24])


@dataclass(frozen=True)
class Place:
    x: float
    y: int


def exchange(_, records, out):
    records[0] = Place(1.5, 2)
    records[1] = Pair(np.int16(4), 5.0)
    place = Place(*records[0])
    out[0] = place.x + place.y
    one, other = records[1]
    out[1] = one + 10 * other
    records[2:] = Place(7.0, 8)
    records[3] = records[0]


def test_records_hold_values_of_classes():
    records = np.zeros(4, [("x", "f4"), ("y", "i2")])
    out = np.zeros(2)
    smelt.kernel(run_exchange)[1](records, out)
    assert records.tolist() == [(1.5, 2), (4.0, 5), (7.0, 8), (1.5, 2)]
    assert out.tolist() == [3.5, 54]


def run_exchange(records, out):
    exchange(0, records, out)


@pytest.mark.parametrize("cls", [Pair, Body, Place])
def test_the_layout_of_a_class_is_that_of_an_aligned_dtype(cls):
    element = element_of_class(cls)
    dtype = dtype_of(element)
    described = np.dtype([(name, dtype.fields[name][0]) for name in dtype.names], align=True)
    assert (dtype.itemsize, [dtype.fields[name][1] for name in dtype.names]) == (
        described.itemsize,
        [described.fields[name][1] for name in described.names],
    )
    assert value_of_element(element).python_class is cls
    assert value_of_element(value_of_element(element)) == value_of_element(element)


class Loose(NamedTuple):
    anything: Any


@smelt.kernel
def of_loose(out):
    out[0] = smelt.thread_array(3, Loose)[0].anything


@smelt.kernel
def of_other_fields(out):
    own = smelt.thread_array(3, Place)
    own[0] = Other(out[0], 2)


@smelt.kernel
def of_number(out):
    smelt.thread_array(3, Place)[0] = out[0]


@dataclass(frozen=True)
class Other:
    x: float
    z: int


@pytest.mark.parametrize(
    ("kernel", "message", "help_"),
    [
        (of_loose, "the annotation of Loose.anything doesn't say what it takes in memory", ""),
        (of_other_fields, "a Other(x: weak float, z: weak int) can't be assigned to an element", "a tuple of 2"),
        (of_number, "a float64 can't be assigned to an element of type Place[16]", ""),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_what_an_element_can_not_be_is_refused(kernel, message, help_):
    with pytest.raises(smelt.KernelError) as error:
        kernel.compile(smelt.float64[:])
    assert message in error.value.message
    assert help_ in error.value.help
