"""Arrays that a kernel captures are passed when it runs: it sees what they hold then, and the array that the name is bound to then."""

from __future__ import annotations

import sys
import types
from dataclasses import dataclass

import numpy as np
import pytest

import smelt

pytestmark = pytest.mark.once

TABLE = np.arange(4.0)
OTHER = np.zeros(4)
PAIR = (np.arange(4) * 10, 2.5)


@dataclass(frozen=True)
class Filter:
    weights: np.ndarray
    scale: float = 1

    def at(self, i):
        return self.weights[i] * self.scale


FILTER = Filter(np.array([3.0, 1.0, 4.0, 1.0]), 2)


def look_up(i):
    return TABLE[i]


def look_deeper(i, table=OTHER):
    return look_up(i) + table[i]


@smelt.kernel
def from_module(out):
    i = smelt.grid(1)
    out[i] = look_deeper(i) + TABLE[-1]


@smelt.kernel
def from_containers(out):
    i = smelt.grid(1)
    out[i] = PAIR[0][i] * PAIR[1] + FILTER.at(i)


@smelt.kernel
def from_attribute(out, table):
    i = smelt.grid(1)
    table[i] = 1
    out[i] = settings.table[i] + TABLE[i] + table[i]


settings = types.SimpleNamespace()


@smelt.kernel
def write_table():
    i = smelt.grid(1)
    OTHER[i] = TABLE[i] * 2


def run(kernel, *arguments):
    out = np.zeros(4)
    kernel[4](out, *arguments)
    return out


def test_contents_are_read_when_the_kernel_runs(monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "TABLE", np.arange(4.0))
    np.testing.assert_array_equal(run(from_module), TABLE + OTHER + 3)
    before = smelt.stats()
    TABLE[:] = (5, 6, 7, 8)
    OTHER[:] = 100
    np.testing.assert_array_equal(run(from_module), [113, 114, 115, 116])
    assert smelt.stats().compilations == before.compilations
    assert smelt.stats().inferences == before.inferences
    OTHER[:] = 0


@pytest.mark.parametrize("table", [np.ones(4), np.ones(4, np.int8), np.ones(8)[::2], np.ones(5)])
def test_another_array_under_the_name_is_the_one_that_is_read(table, monkeypatch):
    run(from_module)
    monkeypatch.setattr(sys.modules[__name__], "TABLE", table)
    np.testing.assert_array_equal(run(from_module), [2, 2, 2, 2])


def test_arrays_in_tuples_and_values_of_classes_are_passed_too():
    expected = PAIR[0] * 2.5 + FILTER.weights * 2
    np.testing.assert_array_equal(run(from_containers), expected)
    FILTER.weights[:] += 1
    PAIR[0][:] += 1
    np.testing.assert_array_equal(run(from_containers), expected + 2 + 2.5)


def test_a_captured_array_can_be_written():
    write_table[4]()
    np.testing.assert_array_equal(OTHER, TABLE * 2)
    OTHER[:] = 0


def kernel_over(table):
    @smelt.kernel
    def from_cell(out):
        i = smelt.grid(1)
        out[i] = table[i] + look_up(i)

    def rebind(other):
        nonlocal table
        table = other

    return from_cell, rebind


def test_an_array_in_a_closure_is_passed_and_followed(monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "TABLE", np.zeros(4))
    first = np.arange(4.0)
    kernel, rebind = kernel_over(first)
    np.testing.assert_array_equal(run(kernel), first)
    first[:] = 9
    np.testing.assert_array_equal(run(kernel), [9, 9, 9, 9])
    rebind(np.full(4, 2, np.float32))
    np.testing.assert_array_equal(run(kernel), [2, 2, 2, 2])


def test_one_array_under_two_names_is_passed_once():
    @smelt.kernel
    def same(out):
        i = smelt.grid(1)
        out[i] = TABLE[i] + look_up(i)

    text = smelt.code_typed(same, (smelt.float64[:],))
    assert text.splitlines()[0].endswith("(out: float64[:], TABLE: float64[:]) -> None")


def test_a_parameter_of_the_same_name_is_another_value():
    module = types.ModuleType("settings_of_the_test")
    module.table = np.full(4, 3.0)
    globals()["settings"] = module
    table = np.zeros(4)
    np.testing.assert_array_equal(run(from_attribute, table), TABLE + 4)
    assert "table.2: float64[:]" in smelt.code_typed(from_attribute, (smelt.float64[:], smelt.float64[:]))
    np.testing.assert_array_equal(module.table, [3, 3, 3, 3])


def test_an_array_whose_shape_was_changed_in_place_is_refused(monkeypatch):
    table = np.arange(4.0)
    monkeypatch.setattr(sys.modules[__name__], "TABLE", table)
    run(from_module)
    table.flags.writeable = False
    with pytest.raises(
        smelt.LaunchError, match=r"from_module: .* changed in place from a float64\[:\] to a float64\[:\] read"
    ):
        run(from_module)


def test_what_is_written_may_not_overlap_a_captured_array(monkeypatch):
    room = np.arange(8.0)
    monkeypatch.setattr(sys.modules[__name__], "TABLE", room[:4])
    with pytest.raises(smelt.LaunchError, match="from_module: out, which is written, and TABLE overlap"):
        from_module[4](room[2:6])
    from_module[4](room[4:])


RECORD = np.zeros(1, [("x", "f4")])[0]
STRINGS = np.array(["a", "b"])


@smelt.kernel
def captures_record(out):
    out[0] = RECORD.x


@smelt.kernel
def captures_strings(out):
    out[0] = STRINGS[0]


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (captures_record, "one record of an array is no constant"),
        (captures_strings, "kernels have no values of dtype <U1"),
    ],
)
def test_what_can_not_be_captured_is_refused_where_it_is_read(kernel, message):
    with pytest.raises(smelt.KernelError) as error:
        kernel.compile(smelt.float64[:])
    assert message in error.value.message
    assert error.value.help == "pass what is needed of it as an argument"
    assert error.value.line == kernel.function.__code__.co_firstlineno + 2
