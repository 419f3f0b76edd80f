# SPDX-License-Identifier: Apache-2.0
"""Captured lists and dicts: what kernels read of them, and that a change of them is noticed at the next launch."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
import pytest

import smelt


class Mode(enum.Enum):
    FAST = 1
    SLOW = 2


@dataclass(frozen=True)
class Key:
    number: int


def doubled(v):
    return v * 2


arrays = [np.arange(3.0), np.arange(4.0)]
functions = [doubled, abs]
rows = [[1.0, 2.0], [3.0]]
many = list(range(65))
odd = [1, {2}]
pair = (1, 2)
around = [1]
around.append(around)
mixed = (3.0, [1.0, 2.0], ({"a": 5.0}, [6, (7.0, [8.0])]), (np.arange(3.0), [np.ones(2)]))
in_tuple = [1.0]
in_tuple.append((2.0, in_tuple))
by_mode = {Mode.FAST: 1.5, Mode.SLOW: 2.5, (1, "a"): 7, None: 5, "f": doubled, "list": [4, 5], "other": object()}


def ask(table, key):
    return table[key]


def total(values, start=0):
    return sum(values, start)


def with_default(v, scales=[2.0, 3.0]):  # noqa: B006 - it is never changed
    return v * scales[1]


def reads(out, n):
    out[0] = arrays[0][n] + arrays[1][-1] + functions[0](n) + functions[1](-n)
    out[1] = rows[1][0] + sum([sum(row) for row in rows]) + rows[0][n - 2]
    out[2] = by_mode[Mode.FAST] + by_mode[1, "a"] + by_mode[None] + by_mode["f"](n) + by_mode["list"][1]
    out[3] = ask(by_mode, Mode.SLOW) + total(rows[0]) + total(rows[0], start=n) + with_default(n)
    out[4] = by_mode.get("nothing") is None
    out[5] = isinstance(rows, list) + 2 * isinstance(rows, tuple) + 4 * isinstance(by_mode, dict)
    out[6] = tuple(rows[0]) == (1.0, 2.0)
    table = by_mode
    out[7] = table["list"][0] if "list" in table else 0


def second_of_second(pair, index=1):
    return pair[1][index]


def reads_in_tuples(out, n):
    first, second, (entries, inner), (array, arrays_of_list) = mixed
    out[0] = first + second[n - 2] + sum(second) + second_of_second(mixed) + second_of_second((n, second), 0)
    out[1] = entries["a"] + ("b" in entries) + inner[1][1][0] + inner[0]
    out[2] = array[n] + arrays_of_list[0][1] + len(mixed) + len(mixed[2][1])
    out[3] = isinstance(mixed, tuple) + 2 * isinstance(mixed[1], list) + 4 * (mixed[:2] == mixed[:2])
    for _, values in ((1, mixed[1]), (2, mixed[1])):
        out[4] += values[1]


@pytest.mark.parametrize("function", [reads, reads_in_tuples], ids=lambda function: function.__name__)
def test_what_is_read_is_what_python_reads(function):
    in_kernel, in_python = np.zeros(8), np.zeros(8)
    smelt.kernel(function)[1](in_kernel, 2)
    function(in_python, 2)
    np.testing.assert_array_equal(in_kernel, in_python)


weights = [1.5, 2.5, 3.5]
rates = {"a": 1.5, "b": 2.5}


levels = (1, [2.0, 3.0], ({"a": 4.0},))


@smelt.kernel
def levelled(out):
    out[0] = levels[1][1] + len(levels[1])
    out[1] = levels[2][0]["a"] + ("c" in levels[2][0])


TUPLE_CHANGES = {
    "an item": (lambda: levels[1].__setitem__(1, 9.5), 1),
    "one more": (lambda: levels[1].append(9.5), 1),
    "an equal constant": (lambda: levels[1].__setitem__(1, float("3.0")), 0),
    "an entry": (lambda: levels[2][0].update(a=9.5), 1),
    "an entry that was not there": (lambda: levels[2][0].update(c=9.5), 1),
    "an entry that is not read": (lambda: levels[2][0].update(d=9.5), 0),
    "another list": (lambda: globals().update(levels=(1, [2.0, 9.5], levels[2])), 1),
    "another tuple of the same": (lambda: globals().update(levels=(*levels[:2], levels[2])), 0),
}


@pytest.mark.parametrize(("change", "compilations"), TUPLE_CHANGES.values(), ids=TUPLE_CHANGES)
def test_a_change_of_what_is_in_a_tuple_is_noticed_by_compiled_launches(change, compilations, monkeypatch):
    monkeypatch.setitem(globals(), "levels", (1, [2.0, 3.0], ({"a": 4.0},)))
    out, launch = np.zeros(2), levelled.over(1)
    for _ in range(5):
        launch(out)
    assert out.tolist() == [5, 4]
    before = smelt.stats()
    change()
    for _ in range(5):
        launch(out)
        assert out.tolist() == [levels[1][1] + len(levels[1]), levels[2][0]["a"] + ("c" in levels[2][0])]
    assert smelt.stats().compilations - before.compilations == compilations


@smelt.kernel
def weighted(out):
    out[0] = 0.0
    for weight in weights:
        out[0] += weight
    out[1] = rates["a"] + ("c" in rates)


LIST_CHANGES = {
    "an item": (lambda: weights.__setitem__(0, 9.5), 1),
    "one more": (lambda: weights.append(4.5), 1),
    "none": (lambda: weights.__delitem__(slice(None)), 1),
    "another order": (lambda: weights.sort(reverse=True), 1),
    "an equal constant": (lambda: weights.__setitem__(0, float("1.5")), 0),
    "grown and as before": (lambda: (weights.extend(many), weights.__delitem__(slice(3, None))), 0),
    "an entry": (lambda: rates.update(a=9.5), 1),
    "an equal entry": (lambda: rates.update(a=float("1.5")), 0),
    "an entry that is not read": (lambda: rates.update(b=9.5), 0),
    "an entry that was not there": (lambda: rates.update(c=9.5), 1),
}


@pytest.mark.parametrize(("change", "compilations"), LIST_CHANGES.values(), ids=LIST_CHANGES)
def test_a_change_is_noticed_by_compiled_launches(change, compilations, monkeypatch):
    monkeypatch.setitem(globals(), "weights", [1.5, 2.5, 3.5])
    monkeypatch.setitem(globals(), "rates", {"a": 1.5, "b": 2.5})
    out, launch = np.zeros(2), weighted.over(1)
    for _ in range(5):
        launch(out)
    assert out.tolist() == [7.5, 1.5]
    before = smelt.stats()
    change()
    for _ in range(5):
        launch(out)
        assert out.tolist() == [sum(weights), rates["a"] + ("c" in rates)]
    after = smelt.stats()
    made = after.compilations - before.compilations + after.store_hits - before.store_hits
    assert made == compilations


def test_what_was_done_to_a_list_while_a_kernel_was_not_launched_is_seen():
    out, launch = np.zeros(2), weighted.over(1)
    for value in range(20):
        weights[:] = [float(value)] * (value % 4)
        launch(out)
        assert out[0] == sum(weights)


def test_a_list_is_printed_as_one(capsys, monkeypatch):
    monkeypatch.setitem(globals(), "weights", [1.5, 2, True])

    @smelt.kernel
    def show(out):
        print(weights)  # noqa: T201 - what is tested
        out[0] = 1

    show[1](np.zeros(1))
    assert capsys.readouterr().out == "[1.5, 2, True]\n"


def test_an_index_out_of_range_raises_what_python_does():
    @smelt.kernel
    def item(out, n):
        out[0] = rows[0][n]

    out = np.zeros(1)
    item[1](out, -1)
    assert out[0] == 2
    with pytest.raises(IndexError, match="list index out of range"):
        item[1](out, 2)


def too_many(out):
    out[0] = many[0]


def with_a_set(out):
    out[0] = odd[0]


def keyed_by_an_array(out):
    out[0] = by_mode[out[0]]


def called(out):
    out[0] = by_mode(1)


def with_an_object(out):
    out[0] = by_mode["other"]


def joined(out):
    out[0] = len(rows + pair)


def got(out):
    out[0] = by_mode.get()


def printed(out):
    print(by_mode)  # noqa: T201 - what is tested
    out[0] = 1


def beyond(out):
    out[0] = rows[2][0]


def of_itself(out):
    out[0] = around[0]


def of_itself_in_a_tuple(out):
    out[0] = in_tuple[0]


unusable = (1.0, [2.0], {3.0})


def with_a_set_in_a_tuple(out):
    out[0] = unusable[0]


def keyed_by_a_record(out):
    out[0] = by_mode[Key(1)]


def removed(out):
    by_mode.clear()
    out[0] = 1


@pytest.mark.parametrize(
    ("function", "message", "help"),
    [
        (too_many, "a kernel can't use a list of 65 items", "use a tuple, or a NumPy array"),
        (with_a_set, "a kernel can't use a set", ""),
        (keyed_by_an_array, "a dict is indexed with constants, not a float64", "use an array, or if and elif"),
        (called, "a dict can't be called", ""),
        (with_an_object, "a kernel can't use a", ""),
        (joined, r"bad operands for \+", ""),
        (got, r"dict.get can't be called with 0 arguments", ""),
        (printed, "a kernel can't print a dict", ""),
        (beyond, "index 2 is out of range for a list of 2", ""),
        (of_itself, "a list that holds itself", "use a tuple"),
        (of_itself_in_a_tuple, "a list that holds itself", "use a tuple"),
        (with_a_set_in_a_tuple, "a kernel can't use a set; use a tuple", ""),
        (keyed_by_a_record, r"a kernel can't look up a Key\(.*\) in a dict", "use strings, numbers"),
        (removed, "a kernel can read a captured dict, not change it: there is no clear", "collect values in an array"),
    ],
)
def test_what_is_refused(function, message, help):  # noqa: A002
    with pytest.raises(smelt.KernelError, match=message) as caught:
        smelt.kernel(function)[1](np.zeros(2))
    assert help in caught.value.help
