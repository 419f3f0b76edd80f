"""What a launch is given: checked before anything runs, with the name of the argument that is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest

import smelt


@smelt.kernel
def add(out, values, offset=1):
    i = smelt.grid(1)
    out[i] = values[i] + offset


@smelt.kernel
def nothing():
    smelt.grid(1)


@smelt.kernel
def with_rest(out, *rest):
    out[0] = len(rest)


@smelt.kernel
def with_keyword(out, *, offset):
    out[0] = offset


@pytest.mark.parametrize(
    ("kernel", "arguments", "message"),
    [
        (add, (), "add takes 3 arguments (out, values, offset), not 0"),
        (add, (1,), "add takes 3 arguments (out, values, offset), not 1"),
        (add, (1, 2, 3, 4), "add takes 3 arguments (out, values, offset), not 4"),
        (nothing, (1,), "nothing takes 0 arguments (), not 1"),
        (with_rest, (1,), "with_rest has keyword-only parameters, *args or **kwargs, which a launch doesn't give"),
        (with_keyword, (1,), "with_keyword has keyword-only parameters"),
    ],
)
def test_the_number_of_arguments_is_that_of_the_parameters(kernel, arguments, message):
    with pytest.raises(smelt.LaunchError) as error:
        kernel[1](*arguments)
    assert str(error.value).startswith(message)


def test_an_argument_that_is_left_out_has_its_default():
    out = np.zeros(3)
    add[3](out, np.arange(3.0))
    np.testing.assert_array_equal(out, [1, 2, 3])
    add[3](out, np.arange(3.0), 5)
    np.testing.assert_array_equal(out, [5, 6, 7])


def test_a_default_that_is_replaced_is_the_one_that_is_used(monkeypatch):
    out = np.zeros(3)
    add[3](out, np.zeros(3))
    monkeypatch.setattr(add.function, "__defaults__", (7,))
    add[3](out, np.zeros(3))
    np.testing.assert_array_equal(out, [7, 7, 7])


@pytest.mark.parametrize(
    ("arguments", "keywords"),
    [
        ((), {"out": None, "values": 2.0, "offset": 5}),
        ((None,), {"offset": 5, "values": 2.0}),
        ((None, 2.0), {"offset": 5}),
        ((), {"offset": 1, "out": None, "values": 6.0}),
        ((None,), {"values": 6.0}),
    ],
)
def test_arguments_are_given_by_name(arguments, keywords):
    out = np.zeros(2)
    given = [out if value is None else np.full(2, value) if isinstance(value, float) else value for value in arguments]
    named = {
        name: out if value is None else np.full(2, value) if isinstance(value, float) else value
        for name, value in keywords.items()
    }
    add[2](*given, **named)
    np.testing.assert_array_equal(out, [7, 7])
    add.configure(1, 2)(*given, **named)
    add.over(2)(*given, **named)


@smelt.kernel
def own_names(self, kernel, /, grid, arguments=2):
    self[smelt.grid(1)] = kernel + grid * arguments


def test_any_name_can_be_that_of_a_parameter():
    out = np.zeros(1)
    own_names[1](out, 3, grid=4)
    assert out[0] == 11
    own_names[1](out, 3, arguments=1, grid=4)
    assert out[0] == 7


@pytest.mark.parametrize(
    ("kernel", "arguments", "keywords", "message"),
    [
        (add, (), {"out": 1, "size": 2}, "add has no parameter size; it takes out, values, offset"),
        (add, (1, 2), {"values": 2}, "add gets values twice: by its position and by its name"),
        (add, (1,), {"offset": 2}, "add needs values, too; it takes out, values, offset"),
        (add, (), {"offset": 2}, "add needs out, values, too; it takes out, values, offset"),
        (add, (1, 2, 3, 4), {"offset": 2}, "add takes 3 arguments (out, values, offset), not 5"),
        (own_names, (1,), {"kernel": 2, "grid": 3}, "own_names takes kernel by its position, not by its name"),
        (with_rest, (), {"out": 1}, "with_rest has keyword-only parameters"),
        (with_keyword, (1,), {"offset": 1}, "with_keyword has keyword-only parameters"),
    ],
)
def test_names_that_are_wrong_are_told(kernel, arguments, keywords, message):
    with pytest.raises(smelt.LaunchError) as error:
        kernel[1](*arguments, **keywords)
    assert str(error.value).startswith(message)


def test_an_argument_given_by_name_is_named_where_its_type_is_wrong():
    with pytest.raises(smelt.LaunchError, match="add, argument values: a kernel can't use a list"):
        add[1](np.zeros(1), values=[1])


@dataclass
class Mutable:
    x: float = 0


class Wrong(NamedTuple):
    n: int


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros(3, ">f8" if np.little_endian else "<f8"), "is not this machine's; convert it"),
        (np.zeros(3, [("x", ">f4"), ("y", "<f4")]), "is not this machine's"),
        (np.zeros(3, "datetime64[s]"), "kernels have no values of dtype datetime64[s]"),
        (np.zeros(3, object), "kernels have no values of dtype object"),
        (np.zeros(3, "U3"), "kernels have no values of dtype <U3"),
        (np.ma.masked_array(np.zeros(3), [0, 1, 0]), "a kernel doesn't see the mask of a masked array"),
        (np.zeros(3, np.longdouble), "kernels have no values of dtype"),
        ([1.0, 2.0], "a kernel can't use a list; use a tuple, or a NumPy array"),
        ({"a": 1}, "a kernel can't use a dict; use a frozen dataclass or a named tuple"),
        ({1}, "a kernel can't use a set; use a tuple"),
        (Mutable(), "make the dataclass frozen"),
        ((1, [2]), "a kernel can't use a list"),
        (Wrong(1.5), "Wrong.n is annotated as weak int, and can't hold a weak float"),
        (iter(()), "use numbers, arrays, tuples, named tuples or frozen dataclasses"),
    ],
    # Not the values: the text of some holds an address.
    ids=lambda part: part if isinstance(part, str) else type(part).__name__,
)
def test_a_value_that_kernels_do_not_have_is_refused_by_name(value, message):
    out = np.zeros(3)
    with pytest.raises(smelt.LaunchError) as error:
        add[3](out, value)
    assert str(error.value).startswith("add, argument values: ")
    assert message in str(error.value)
    assert not out.any()


def test_a_number_that_does_not_fit_is_refused():
    out = np.zeros(3)
    with pytest.raises(smelt.LaunchError, match="does not fit into int64"):
        add[3](out, np.zeros(3), 2**63)
    assert not out.any()


def test_an_output_array_that_is_read_only_is_refused_by_name():
    out, values = np.zeros(3), np.arange(3.0)
    out.flags.writeable = False
    with pytest.raises(smelt.KernelError, match=r"the array out is read-only \(float64\[:\] read-only\)"):
        add[3](out, values)
    values.flags.writeable = False
    writeable = np.zeros(3)
    add[3](writeable, values)
    np.testing.assert_array_equal(writeable, [1, 2, 3])


class Foreign:
    """An array of another library."""

    def __init__(self, array):
        self.array = array

    @property
    def __array_interface__(self):
        return self.array.__array_interface__


def test_objects_that_describe_their_memory_are_used_in_place():
    out, values = np.zeros((3, 2)), np.arange(12.0).reshape(6, 2)
    add_rows[3](Foreign(out), Foreign(values[::2]))
    np.testing.assert_array_equal(out, values[::2])
    out.flags.writeable = False
    with pytest.raises(smelt.KernelError, match="the array out is read-only"):
        add_rows[3](Foreign(out), values)


@smelt.kernel
def add_rows(out, values):
    i = smelt.grid(1)
    out[i] += values[i]


def write(array, i, value):
    array[i] = value


def last_of(pair):
    return pair[-1]


class Pair(NamedTuple):
    first: np.ndarray
    second: np.ndarray


@smelt.kernel
def write_through_callee(a, b):
    i = smelt.grid(1)
    write(a, i, b[i])


@smelt.kernel
def write_through_part(a, b):
    i = smelt.grid(1)
    part = a
    for _ in range(1):
        part = part[1:] if i > 5 else part[:]
    part[i] = b[i]


@smelt.kernel
def write_through_tuple(a, b):
    i = smelt.grid(1)
    write(last_of((i, a)), i, b[i])


@smelt.kernel
def read_only_kernel(a, b):
    i = smelt.grid(1)
    a[i] + b[i]


WRITERS = [write_through_callee, write_through_part, write_through_tuple]


@pytest.mark.parametrize("kernel", WRITERS, ids=lambda kernel: kernel.name)
def test_a_written_array_that_overlaps_another_is_refused(kernel):
    room = np.arange(12.0)
    before = room.copy()
    for first, second in ((room[1:5], room[:4]), (room[:4], room[3::-1]), (room[:4], room[:4].view(np.int64))):
        with pytest.raises(smelt.LaunchError) as error:
            kernel[4](first, second)
        assert str(error.value) == (
            f"{kernel.name}: a, which is written, and b overlap in memory, but are not the same array; copy one of them: b.copy()"
        )
    np.testing.assert_array_equal(room, before)


@pytest.mark.parametrize("kernel", WRITERS, ids=lambda kernel: kernel.name)
def test_arrays_that_share_no_element_or_are_the_same_are_not_refused(kernel):
    room = np.arange(12.0)
    kernel[4](room[::2], room[1::2])
    np.testing.assert_array_equal(room, [1, 1, 3, 3, 5, 5, 7, 7, 8, 9, 10, 11])
    kernel[4](room, room)
    kernel[4](room[:6], room[:6])
    kernel[4](room[4:8], room[8:])
    np.testing.assert_array_equal(room, [1, 1, 3, 3, 8, 9, 10, 11, 8, 9, 10, 11])


def test_arrays_that_are_only_read_may_overlap():
    room = np.arange(12.0)
    read_only_kernel[4](room[1:], room[:-1])


@smelt.kernel
def write_pair(pair, scale):
    i = smelt.grid(1)
    pair.first[i] = pair.second[i] * scale


def test_arrays_in_one_argument_are_checked_too():
    room = np.arange(6.0)
    with pytest.raises(smelt.LaunchError, match="write_pair: pair, which is written, and pair overlap"):
        write_pair[3](Pair(room[1:], room[:-1]), 2)
    write_pair[3](Pair(room[:3], room[3:]), 2)
    np.testing.assert_array_equal(room, [6, 8, 10, 3, 4, 5])


@smelt.kernel
def returns_number(out):
    return out[0]


def test_a_kernel_that_returns_something_is_refused():
    with pytest.raises(smelt.LaunchError, match="returns_number returns a float64; a kernel returns nothing"):
        returns_number[1](np.zeros(1))
