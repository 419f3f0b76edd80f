# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import enum
import math
import struct
from collections import namedtuple
from dataclasses import dataclass, field
from typing import NamedTuple
from unittest.mock import Mock

import pytest
from hypothesis import given, strategies as st

from smelt.caching import constant_key, same_constant


@dataclass(frozen=True)
class Point:
    x: object
    y: object = 0


@dataclass(frozen=True)
class OtherPoint:
    x: object
    y: object = 0


@dataclass(frozen=True)
class Noted:
    x: object
    note: object = field(default="", compare=False)


@dataclass(frozen=True, eq=False)
class ByIdentity:
    x: object


@dataclass
class Mutable:
    x: object

    def __hash__(self):
        return hash(self.x)


class Extended(Point):
    """Not a dataclass itself, so nothing keeps its instances from having more attributes."""


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Number(enum.IntEnum):
    ONE = 1


class Flags(enum.Flag):
    A = 1
    B = 2


class Typed(NamedTuple):
    first: object
    second: object = 0


Pair = namedtuple("Pair", "first second")  # noqa: PYI024


class TupleWithAttributes(tuple):  # noqa: SLOT001
    pass


class SetWithAttributes(frozenset):
    pass


class SmallTuple(tuple):
    __slots__ = ()


class MyInt(int):
    pass


class MyFloat(float):
    pass


class MyStr(str):
    __slots__ = ()


def float_of(bits):
    return struct.unpack("<d", struct.pack("<Q", bits))[0]


any_float = st.integers(0, 2**64 - 1).map(float_of)
numbers = st.one_of(
    st.integers(-2, 2), st.booleans(), any_float, st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, math.nan, math.inf])
)
atoms = st.one_of(
    numbers,
    st.builds(complex, any_float, any_float),
    st.sampled_from([None, ..., "", "1", b"", b"1", "a", 1 + 0j, complex(0.0, -0.0)]),
    st.text(max_size=2),
    st.binary(max_size=2),
)
keyable_atoms = atoms | st.sampled_from(
    [Color.RED, Color.BLUE, Number.ONE, Flags.A, int, float, Color, MyInt(1), MyStr("1")]
)


def nested(leaves):
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3).map(tuple),
            st.lists(inner, max_size=3).map(frozenset),
            st.builds(Point, inner, inner),
            st.builds(OtherPoint, inner),
            st.builds(Typed, inner, inner),
            st.builds(Pair, inner, inner),
        ),
        max_leaves=6,
    )


constants = nested(atoms)
keyable = nested(keyable_atoms)


def shape(value):
    """What a value is made of, written out: the same text exactly for the same constants. The plain way to compare."""
    kind = type(value)
    if kind is float:
        return f"float {struct.pack('<d', value).hex()}"
    if kind is complex:
        return f"complex {struct.pack('<dd', value.real, value.imag).hex()}"
    if isinstance(value, tuple):
        return f"{kind.__name__}({', '.join(map(shape, value))})"
    if isinstance(value, frozenset):
        return f"frozenset({', '.join(sorted({shape(item) for item in value}))})"
    if isinstance(value, (Point, OtherPoint)):
        return f"{kind.__name__}({shape(value.x)}, {shape(value.y)})"
    return f"{kind.__name__} {value!r}"


def rebuilt(value):
    """An equal value made of other objects wherever Python makes others."""
    kind = type(value)
    if kind is float:
        return struct.unpack("<d", struct.pack("<d", value))[0]
    if kind is complex:
        return complex(*struct.unpack("<dd", struct.pack("<dd", value.real, value.imag)))
    if kind is str:
        return value.encode("utf-8", "surrogatepass").decode("utf-8", "surrogatepass")
    if kind is bytes:
        return bytes(bytearray(value))
    if kind is int:
        return int(str(value))
    if kind is tuple:
        return tuple(map(rebuilt, value))
    if kind is frozenset:
        return frozenset(map(rebuilt, value))
    if kind in (Typed, Pair):
        return kind(*map(rebuilt, value))
    if kind in (Point, OtherPoint):
        return kind(rebuilt(value.x), rebuilt(value.y))
    return value


@given(keyable, keyable)
def test_keys_are_equal_exactly_where_the_constants_are_the_same(first, second):
    assert (constant_key(first) == constant_key(second)) == (shape(first) == shape(second))


@given(constants, constants)
def test_constants_are_the_same_exactly_where_they_are_made_of_the_same(first, second):
    assert same_constant(first, second) == (shape(first) == shape(second))


@given(keyable)
def test_a_value_made_again_has_an_equal_key_that_hashes_alike(value):
    first, second = constant_key(value), constant_key(rebuilt(value))
    assert first == second
    assert hash(first) == hash(second)
    assert {first: "found"}[second] == "found"


@given(constants)
def test_a_constant_made_again_is_the_same_constant(value):
    assert same_constant(value, rebuilt(value))
    assert same_constant(rebuilt(value), value)


@given(keyable, keyable)
def test_a_key_is_not_mistaken_for_that_of_a_value_that_looks_like_a_key(first, second):
    # Whatever stands for one value in a dict must not stand for another, not even for the key itself.
    if constant_key(first) == constant_key(constant_key(second)):
        assert shape(first) == shape(constant_key(second))


APART = [
    (1, 1.0),
    (1, True),
    (1.0, True),
    (0, False),
    (0.0, -0.0),
    (0.0, 0),
    (1, 1 + 0j),
    (complex(0.0, 0.0), complex(0.0, -0.0)),
    (complex(0.0, 0.0), complex(-0.0, 0.0)),
    ("1", 1),
    ("1", b"1"),
    (None, "None"),
    (None, False),
    (..., None),
    (float_of(0x7FF8000000000000), float_of(0x7FF8000000000001)),
    (float_of(0x7FF8000000000000), float_of(0xFFF8000000000000)),
    ((), frozenset()),
    ((1,), (1.0,)),
    ((1, (2, (True,))), (1, (2, (1,)))),
    ((1, 2), ((1, 2),)),
    ((1, 2), Typed(1, 2)),
    (Pair(1, 2), Typed(1, 2)),
    (Typed(1), Typed(1.0)),
    (frozenset({1}), frozenset({1.0})),
    (Point(1), Point(1.0)),
    (Point(1), Point(True)),
    (Point(0.0), Point(-0.0)),
    (Point((1, 0.0)), Point((1, -0.0))),
    (Point(1), OtherPoint(1)),
    (Point(1), (1, 0)),
    (Color.RED, Color.BLUE),
    (Color.RED, 1),
    (Number.ONE, 1),
    (Number.ONE, MyInt(1)),
    (MyInt(1), 1),
    (MyFloat(1.0), 1.0),
    (MyStr("1"), "1"),
    (int, "int"),
    (int, bool),
    ((Color.RED,), (1,)),
]


@pytest.mark.parametrize(("first", "second"), APART, ids=lambda value: f"{type(value).__name__}:{value!r}")
def test_these_are_told_apart(first, second):
    for one, other in [(first, second), (second, first)]:
        assert constant_key(one) != constant_key(other)
        assert not same_constant(one, other)
        assert same_constant(one, one)


nan_bits = st.builds(
    lambda sign, mantissa: (sign << 63) | (0x7FF << 52) | mantissa, st.integers(0, 1), st.integers(1, 2**52 - 1)
)


@given(nan_bits, nan_bits)
def test_numbers_that_are_none_are_compared_by_their_bits(first, second):
    # The bits that the value has now: making a float of a signalling pattern may set the quiet bit.
    one, other = float_of(first), float_of(second)
    is_same = struct.pack("<d", one) == struct.pack("<d", other)
    assert (constant_key(one) == constant_key(other)) == is_same
    assert same_constant(one, other) == is_same
    assert same_constant(one, float_of(first))
    assert same_constant((one, Point(one)), (float_of(first), Point(float_of(first))))


def function():
    return 1


def other_function():
    return 1


class Incomparable:
    """Compares equal to everything, and must not be asked."""

    def __eq__(self, other):
        raise AssertionError("compared")

    def __hash__(self):
        raise AssertionError("hashed")


@pytest.mark.parametrize(
    "make",
    [
        lambda: [1],
        dict,
        set,
        object,
        lambda: lambda: 1,
        lambda: type("C", (), {}),
        lambda: Mutable(1),
        lambda: ByIdentity(1),
        lambda: MyInt(1000),
        lambda: MyFloat(1.5),
        lambda: MyStr("text"),
        lambda: TupleWithAttributes((1, 2)),
        lambda: SetWithAttributes((1, 2)),
        lambda: Extended(1, 2),
        lambda: bytearray(b"1"),
        lambda: range(3),
        Incomparable,
    ],
)
def test_what_has_an_identity_is_the_same_only_as_itself_also_inside_others(make):
    one, other = make(), make()
    assert one is not other
    assert same_constant(one, one)
    assert not same_constant(one, other)
    assert same_constant((1, one), (1, one))
    assert not same_constant((1, one), (1, other))
    assert same_constant(Point(one), Point(one))
    assert not same_constant(Point(one), Point(other))


def test_tuples_and_frozen_dataclasses_of_the_same_functions_and_members_are_the_same():
    assert same_constant((function, Color.RED, int), (function, Color.RED, int))
    assert not same_constant((function, Color.RED), (other_function, Color.RED))
    assert not same_constant((function, Color.RED), (function, Color.BLUE))
    assert same_constant(Point(function, (Color.RED,)), Point(function, (Color.RED,)))
    assert not same_constant(Point(function), Point(other_function))
    assert same_constant(SmallTuple((1, 2)), SmallTuple((1, 2)))


def test_what_a_dataclass_leaves_out_of_its_comparison_counts_for_compiled_code_but_not_for_keys():
    assert constant_key(Noted(1, "a")) == constant_key(Noted(1, "b"))
    assert not same_constant(Noted(1, "a"), Noted(1, "b"))
    assert same_constant(Noted(1, "a"), Noted(1, "a"))


def test_a_dataclass_with_a_field_that_was_never_set_can_be_compared():
    one, other = (object.__new__(Point) for _ in range(2))
    object.__setattr__(one, "x", 1)
    object.__setattr__(other, "x", 1)
    assert same_constant(one, other)
    object.__setattr__(other, "y", 1)
    assert not same_constant(one, other)


def test_what_pretends_to_be_of_another_class_is_not_taken_for_a_constant():
    one, other = Mock(spec=int), Mock(spec=int)
    assert one.__class__ is int
    assert not same_constant(one, other)
    assert not same_constant(one, 1)
    assert not same_constant(1, one)


@pytest.mark.parametrize("value", [[], {}, set(), bytearray(), ([],), (1, (2, {})), Point([]), Typed([])], ids=repr)
def test_what_can_not_be_hashed_has_no_key(value):
    with pytest.raises(TypeError, match="unhashable type"):
        constant_key(value)


def test_enumeration_members_are_keys_by_themselves():
    assert constant_key(Color.RED) == constant_key(Color["RED"])
    assert constant_key(Flags.A | Flags.B) == constant_key(Flags.B | Flags.A)
    assert constant_key(Flags.A) != constant_key(Flags.B)
    assert len({constant_key(value) for value in (Color.RED, Number.ONE, Flags.A, 1, 1.0, True, "1")}) == 7


def test_classes_whose_metaclass_compares_them_equal_have_keys_of_their_own():
    class Equal(type):
        def __eq__(cls, other):
            return other is str or isinstance(other, Equal)

        def __hash__(cls):
            return hash(str)

    class Like(metaclass=Equal):
        pass

    assert Like == str  # noqa: E721 - that is the point
    assert constant_key(Like) != constant_key(str)
    assert not same_constant(Like, str)
