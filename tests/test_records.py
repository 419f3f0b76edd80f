# SPDX-License-Identifier: Apache-2.0
"""Records behave like frozen dataclasses with slots, and the functions of `dataclasses` take them for such."""

from __future__ import annotations

import copy
import dataclasses
import math
import pickle
from typing import Any, ClassVar

import pytest

from smelt.records import Record, defaults_of_fields, field, fields, is_dataclass, replace


class Point(Record):
    x: Any
    y: Any = 2
    count: ClassVar[int] = 7

    def length(self):
        return math.hypot(self.x, self.y)


class Named(Point):
    name: str = field(default="none", compare=False, metadata={"unit": "m"})


class Nothing(Record):
    pass


class Single(Record):
    value: Any


class Node(Record, eq=False):
    value: int


class Positive(Record):
    number: int

    def __post_init__(self) -> None:
        if self.number <= 0:
            raise ValueError("it is positive")


class Described(Record):
    number: int
    secret: str = field(default="s", repr=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Described) and abs(self.number) == abs(other.number)

    def __hash__(self) -> int:
        return abs(self.number)


def test_fields_are_set_by_place_or_by_name_and_have_defaults():
    assert (Point(1).x, Point(1).y, Point(y=3, x=1).y, Point(1, 4).y) == (1, 2, 3, 4)
    assert Named(1, 2, "a") == Named(1, 2, name="b")
    assert Named(1).name == "none"
    assert Point(3, 4).length() == 5
    assert Point.count == 7


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Point, "Point: no value for x"),
        (lambda: Named(y=1), "Named: no value for x"),
        (lambda: Point(1, 2, 3), "Point takes 2 values, and 3 were given"),
        (lambda: Point(1, x=1), "Point: 'x' is given twice"),
        (lambda: Point(1, z=1), "Point: 'z' is no field"),
        (lambda: Point(1, count=1), "Point: 'count' is no field"),
    ],
)
def test_what_does_not_fit_the_fields_is_refused(make, message):
    with pytest.raises(TypeError, match=message):
        make()


def test_a_field_without_a_default_can_not_follow_one_that_has_one():
    with pytest.raises(TypeError, match="Wrong: a field without a default stands after one that has one"):

        class Wrong(Point):
            z: int


def test_equality_is_that_of_the_fields_and_of_the_class():
    assert Point(1) == Point(1, 2)
    assert Point(1) != Point(2)
    assert Point(1) != Named(1)
    assert Point(1) != (1, 2)
    assert Nothing() == Nothing()
    assert Nothing() != Single(None)
    assert hash(Point(1)) == hash(Point(1, 2))
    assert hash(Nothing()) == hash(Nothing())
    assert hash(Single("a")) == hash(Single("a"))
    # As of a tuple, whose items are compared by identity first.
    assert Single(math.nan) == Single(math.nan)
    assert Single(math.nan) != Single(float("nan"))


def test_equality_can_be_that_of_the_object_or_ones_own():
    assert Node(1) != Node(1)
    assert len({Node(1), Node(1)}) == 2
    assert Described(1) == Described(-1)
    assert len({Described(1), Described(-1)}) == 1


def test_records_are_immutable_and_have_no_other_attributes():
    point = Point(1)
    with pytest.raises(AttributeError, match="Point is immutable: 'x' can't be assigned"):
        point.x = 2
    with pytest.raises(AttributeError, match="Point is immutable: 'z' can't be assigned"):
        point.z = 2
    with pytest.raises(AttributeError, match="Point is immutable: 'x' can't be deleted"):
        del point.x
    assert point.x == 1
    assert not hasattr(point, "__dict__")


def test_they_are_shown_with_their_fields():
    assert repr(Named(1)) == "Named(x=1, y=2, name='none')"
    assert repr(Described(3)) == "Described(number=3)"
    assert repr(Nothing()) == "Nothing()"


def test_values_are_checked_by_classes_that_say_how():
    assert Positive(1).number == 1
    with pytest.raises(ValueError, match="it is positive"):
        Positive(0)
    with pytest.raises(ValueError, match="it is positive"):
        replace(Positive(1), number=-1)


def test_some_fields_can_be_replaced():
    assert replace(Named(1, 2, "a"), x=5) == Named(5, 2, "a")
    assert replace(Named(1, 2, "a"), x=5).name == "a"
    with pytest.raises(TypeError, match="Point: 'z' is no field"):
        replace(Point(1), z=1)


def test_they_can_be_copied_pickled_and_matched():
    for copied in (
        copy.copy(Named(1, 2, "a")),
        copy.deepcopy(Named(1, 2, "a")),
        pickle.loads(pickle.dumps(Named(1, 2, "a"))),
    ):
        assert (copied, copied.name) == (Named(1, 2), "a")
    match Named(1, 2, "a"):
        case Named(x, y, name):
            assert (x, y, name) == (1, 2, "a")


def test_the_functions_of_dataclasses_take_them():
    assert dataclasses.is_dataclass(Named)
    assert dataclasses.is_dataclass(Named(1))
    found = dataclasses.fields(Named(1))
    assert [(one.name, one.compare, one.repr, one.default) for one in found[1:]] == [
        ("y", True, True, 2),
        ("name", False, True, "none"),
    ]
    assert found[0].default is dataclasses.MISSING
    assert found[2].metadata == {"unit": "m"}
    assert dataclasses.fields(Point) == dataclasses.fields(Point(1))
    assert dataclasses.replace(Named(1), x=3) == Named(3)
    assert dataclasses.asdict(Named(1)) == {"x": 1, "y": 2, "name": "none"}


@dataclasses.dataclass(frozen=True)
class Plain:
    x: int
    y: int = 4
    count: ClassVar[int] = 7


def test_of_records_and_of_dataclasses_the_fields_are_found_alike():
    assert [one.name for one in fields(Named)] == ["x", "y", "name"]
    assert [one.name for one in fields(Plain)] == ["x", "y"]
    assert defaults_of_fields(Named) == {"y": 2, "name": "none"}
    assert defaults_of_fields(Plain) == {"y": 4}
    assert is_dataclass(Named)
    assert is_dataclass(Plain)
    assert not is_dataclass(int)
