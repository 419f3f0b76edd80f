# SPDX-License-Identifier: Apache-2.0
"""Stubs against what is written in Python: the words of arguments, and which arguments they are for."""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from smelt import _wiring
from smelt.launch.arguments import packer
from smelt.targets.native.launching import object_layouts
from smelt.targets.native.launching.dispatch_records import MOST_ARRAYS, MOST_HELD, MOST_WORDS
from smelt.targets.native.launching.stub_shapes import shapes_of
from smelt.types import typeof

pytestmark = pytest.mark.skipif(
    not object_layouts.are_as_expected(),
    reason="the objects of this Python or NumPy are laid out as no compiled launch expects",
)


class Pair(NamedTuple):
    first: Any
    second: Any


class Reversed(NamedTuple):
    first: Any
    second: Any


@dataclass(frozen=True)
class Point:
    x: Any
    y: Any


@dataclass(frozen=True, slots=True)
class Slotted:
    x: Any


class Subclass(np.ndarray):
    pass


def some_function():
    pass


RECORDS = (
    np.dtype([("a", "i4"), ("b", "f8")]),
    np.dtype([("a", "i1"), ("b", "f8")]),
    np.dtype([("c", "i4"), ("b", "f8")]),
)
NUMBERS = tuple(np.dtype(code) for code in "?bBhHiIlLqQefdFD")
FOREIGN = (np.dtype(">f4"), np.dtype(">i8"))


@st.composite
def arrays(draw):
    dtype = draw(st.sampled_from((*NUMBERS, *NUMBERS, *RECORDS, *FOREIGN)))
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    whole = np.zeros([2 * extent + 1 for extent in shape], dtype)
    array = whole[(..., *(slice(1, 1 + extent) for extent in shape))]
    match draw(
        st.sampled_from(["contiguous"] * 3 + ["view", "transposed", "reversed", "unaligned", "subclass", "fortran"])
    ):
        case "contiguous":
            array = array.copy()
        case "transposed":
            array = array.T
        case "fortran":
            array = np.asfortranarray(array)
        case "reversed":
            array = array[(..., *(slice(None, None, -1) for _ in shape))]
        case "unaligned":
            array = np.zeros(shape, np.dtype([("before", "i1"), ("field", dtype)]))["field"]
        case "subclass":
            array = array.view(Subclass)
    array.flags.writeable = draw(st.integers(0, 3)) > 0
    return array


@st.composite
def numpy_scalars(draw):
    dtype = draw(st.sampled_from(NUMBERS))
    content = draw(st.binary(min_size=dtype.itemsize, max_size=dtype.itemsize))
    if dtype.kind == "b":
        content = bytes([content[0] & 1])
    return np.frombuffer(content, dtype)[0]


plain = st.one_of(
    arrays(),
    numpy_scalars(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.complex_numbers(),
    st.none(),
    st.sampled_from([some_function, "text", np.float32, "other"]),
)
values = st.one_of(
    plain,
    plain,
    st.lists(plain, max_size=3).map(tuple),
    st.builds(Pair, plain, plain),
    st.builds(Reversed, plain, plain),
    st.builds(Point, plain, plain),
    st.builds(Slotted, plain),
    st.builds(Slotted, st.builds(Pair, plain, st.tuples(plain, plain))),
)


@cache
def stubs():
    return _wiring.stubs()


def kinds_of(arguments):
    try:
        return tuple(map(typeof, arguments))
    except TypeError:
        return None


class Unpacking:
    """A stub of its own, to be called with arguments."""

    def __init__(self, kinds, arguments, given):
        self.stub = stubs().stub(kinds, arguments, given)
        self.is_there = self.stub is not None

    def __call__(self, arguments):
        """The words and the arrays, or None if the arguments are not of the stub's types."""
        words, arrays = (ctypes.c_uint64 * MOST_WORDS)(), (ctypes.c_void_p * MOST_ARRAYS)()
        held = (ctypes.c_uint64 * (MOST_HELD + 1))()
        objects = (ctypes.py_object * len(self.stub.objects))(*self.stub.objects)
        given = (ctypes.py_object * len(arguments))(*arguments)
        call = ctypes.PYFUNCTYPE(ctypes.c_int, *[ctypes.c_void_p] * 5)(self.stub.address)
        is_unpacked = call(*map(ctypes.addressof, (objects, given, words, arrays, held)))
        for place in held[1 : 1 + held[0]]:
            ctypes.pythonapi.Py_DecRef(ctypes.c_void_p(place))
        return (bytes(words), list(arrays)) if is_unpacked else None


def expected_words(kinds, arguments):
    packed = packer(kinds)(arguments)
    return packed + bytes(8 * MOST_WORDS - len(packed))


@given(st.lists(values, min_size=1, max_size=4), st.data())
@settings(max_examples=250, deadline=None, derandomize=True)
def test_a_stub_fills_the_words_that_python_would(arguments, data):
    kinds = kinds_of(arguments)
    if kinds is None:
        return
    count = data.draw(st.integers(0, len(arguments)))
    unpack = Unpacking(kinds, arguments, count)
    if not unpack.is_there:
        assert "Subclass" in str([type(value) for value in flattened(arguments)])
        return
    result = unpack(arguments[:count])
    assert result is not None
    assert result[0] == expected_words(kinds, arguments)
    found = [id(value) for value in flattened(arguments) if isinstance(value, np.ndarray)]
    assert result[1][: len(found)] == found


def flattened(value):
    if isinstance(value, (tuple, list)):
        return [leaf for item in value for leaf in flattened(item)]
    if isinstance(value, (Point, Slotted)):
        return flattened([getattr(value, name) for name in type(value).__dataclass_fields__])
    return [value]


@given(st.lists(values, min_size=1, max_size=2), st.lists(values, min_size=2, max_size=2))
@settings(max_examples=250, deadline=None, derandomize=True)
def test_a_stub_takes_no_arguments_of_other_types(arguments, others):
    kinds = kinds_of(arguments)
    others = others[: len(arguments)]
    if kinds is None:
        return
    unpack = Unpacking(kinds, arguments, len(arguments))
    if unpack.is_there:
        result = unpack(others)
        assert result is None or (kinds_of(others) == kinds and result[0] == expected_words(kinds, others))


NEIGHBOURS = [
    np.zeros(3, "f4"),
    np.zeros(3, "f8"),
    np.zeros(3, ">f4"),
    np.zeros(3, "i4"),
    np.zeros(3, "q"),
    np.zeros(3, "l"),
    np.zeros((3, 1), "f4"),
    np.zeros((3, 4), "f4"),
    np.zeros((3, 4), "f4").T,
    np.zeros((3, 4), "f4")[:, ::2],
    np.zeros(6, "f4")[::2],
    np.zeros(3, "f4").view(Subclass),
    np.zeros(3, RECORDS[0]),
    np.zeros(3, RECORDS[1]),
    np.zeros(3, RECORDS[0])["b"],
    np.zeros(3, RECORDS[1])["b"],
    np.broadcast_to(np.zeros(1, "f4"), 3),
    True,
    1,
    1.0,
    1j,
    np.True_,
    np.int64(1),
    np.longlong(1),
    np.int32(1),
    np.float64(1),
    np.float32(1),
    None,
    "text",
    some_function,
    (1,),
    (1, 2),
    (1.0,),
    (1, (2,)),
    Pair(1, 2),
    Reversed(1, 2),
    Point(1, 2),
    Point(1, 2.0),
    Slotted(1),
    [1],
    2**70,
]


def test_of_neighbouring_types_each_stub_takes_its_own():
    for one in NEIGHBOURS:
        kinds = kinds_of([one])
        if kinds is None:
            continue
        unpack = Unpacking(kinds, [one], 1)
        for other in NEIGHBOURS if unpack.is_there else ():
            is_taken = unpack([other]) is not None
            # What it leaves to the slow path: subclasses of ndarray, and integers that don't fit.
            is_left = isinstance(other, Subclass) or (type(other) is int and other == 2**70)
            assert is_taken == (kinds_of([other]) == kinds and not is_left), (one, other)


def test_an_integer_that_does_not_fit_is_left_to_python():
    unpack = Unpacking((typeof(1),), [1], 1)
    assert unpack([2**63 - 1])[0][:8] == (2**63 - 1).to_bytes(8, "little")
    assert unpack([-(2**63)])[0][:8] == (2**63).to_bytes(8, "little")
    assert unpack([2**63]) is None
    assert unpack([-(2**63) - 1]) is None


class Computed(NamedTuple):
    x: float


class ComputedToo(Computed):
    @property
    def x(self):
        return 2.0


@dataclass(frozen=True)
class Failing:
    x: float

    def __getattribute__(self, name):
        if name == "x" and Failing.fails:
            raise RuntimeError("not now")
        return super().__getattribute__(name)

    fails = False


def test_fields_are_read_as_python_reads_them():
    for value, expected in ((Computed(1.0), 1.0), (ComputedToo(1.0), 2.0), (Failing(3.0), 3.0)):
        words, _ = Unpacking((typeof(value),), [value], 1)([value])
        assert np.frombuffer(words[:8], "f8")[0] == expected


def test_an_attribute_that_cannot_be_read_is_left_to_python(monkeypatch):
    value = Failing(3.0)
    unpack = Unpacking((typeof(value),), [value], 1)
    references = sys.getrefcount(value)
    monkeypatch.setattr(Failing, "fails", True)
    assert unpack([value]) is None
    assert sys.getrefcount(value) == references


def test_what_needs_more_room_than_there_is_has_no_stub():
    for value in (
        tuple(range(MOST_WORDS)),
        tuple(np.zeros(1) for _ in range(MOST_ARRAYS)),
        tuple(Slotted(1) for _ in range(MOST_HELD)),
    ):
        assert Unpacking((typeof(value),), [value], 1).is_there
        assert not Unpacking((typeof((*value, value[0])),), [(*value, value[0])], 1).is_there


def test_kernels_of_one_signature_share_a_stub_and_it_names_nothing_of_this_process():
    arguments = [Point(some_function, np.zeros(3, RECORDS[0])), Pair(1, 2)]
    others = [Point(len, np.zeros(3, RECORDS[2])), Reversed(3, 4)]
    first, second = (stubs().stub(tuple(map(typeof, given)), given, 2) for given in (arguments, others))
    assert first.code is second.code
    assert [type(part) for part in flattened(shapes_of(tuple(map(typeof, arguments)), arguments)[0])].count(object) == 0
    assert {type(part) for part in flattened(shapes_of(tuple(map(typeof, arguments)), arguments)[0])} <= {
        str,
        int,
        bool,
    }
