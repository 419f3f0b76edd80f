"""Frozen dataclasses and named tuples in kernels: arguments, locals, returns, through branches and loops, with what their classes define."""

from __future__ import annotations

import copy
import dataclasses
import sys
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import ClassVar, NamedTuple

import numpy as np
import pytest

import smelt
from smelt.types import Struct, boolean, typeof, weak_complex, weak_float, weak_int


@dataclass(frozen=True)
class Vector:
    x: float
    y: float = 0.0

    SIDES: ClassVar[int] = 4

    def __add__(self, other):
        return Vector(self.x + other.x, self.y + other.y)

    def __mul__(self, factor):
        return Vector(self.x * factor, self.y * factor)

    def __rmul__(self, factor):
        return self * factor

    def __neg__(self):
        return Vector(-self.x, -self.y)

    def __call__(self, t):
        return self.x + t * self.y

    @property
    def norm(self):
        return self.x * self.x + self.y * self.y

    @classmethod
    def diagonal(cls, length):
        return cls(length, length)

    @staticmethod
    def corners():
        return Vector.SIDES


class Ray(NamedTuple):
    origin: Vector
    direction: Vector
    steps: int = 3

    def at(self, t):
        return self.origin + t * self.direction


@dataclass(frozen=True)
class Sample:
    weight: np.float32
    count: smelt.int8
    _: KW_ONLY
    is_kept: bool = True


def follow(ray, steps):
    position = ray.origin
    for n in range(steps):
        position = position + ray.direction if n % 2 else ray.at(n)
        if position.norm > 50:
            position = -position
    return position, ray._replace(steps=steps)


def trace(i, out, ray):
    end, used = follow(ray, i)
    start = Vector(0)
    if i > 1:
        start = Vector(1, 2) if i > 2 else replace(end, y=3)
    origin, (x, y), steps = used.origin, (end.x, end.y), used[2]
    out[i, 0] = x + 10 * y
    out[i, 1] = start.norm + origin(2)
    out[i, 2] = steps + len(used) + used.steps
    out[i, 3] = Vector.diagonal(i).norm + Vector.corners() + end.corners() + end.SIDES
    out[i, 4] = dataclasses.replace(used.origin, y=7).norm + used._replace(origin=Vector(y=7, x=i)).origin.norm


@smelt.kernel
def trace_all(out, ray):
    trace(smelt.grid(1), out, ray)


def test_values_of_classes_are_used_as_in_python():
    ray = Ray(Vector(1, 2), Vector(0.5, -1.25))
    out, expected = np.zeros((6, 5)), np.zeros((6, 5))
    for i in range(6):
        trace(i, expected, ray)
    trace_all[6](out, ray)
    np.testing.assert_array_equal(out, expected)


@smelt.kernel
def make_samples(out, weights):
    i = smelt.grid(1)
    sample = Sample(weights[i], i, is_kept=i > 0)
    other = Sample(0.5, 300)
    if i == 2:
        sample = other
    out[i, 0] = sample.weight
    out[i, 1] = sample.count
    out[i, 2] = sample.is_kept


def test_fields_have_the_types_that_they_are_annotated_with():
    out = np.zeros((3, 3))
    make_samples[3](out, np.array([0.1, 0.2, 0.3]))
    np.testing.assert_array_equal(out, [[np.float32(0.1), 0, 0], [np.float32(0.2), 1, 1], [0.5, 44, 1]])


def test_fields_annotated_with_pythons_numbers_are_weak():
    kind = typeof(Vector(1, np.float32(2)))
    assert isinstance(kind, Struct)
    assert kind.fields == (("x", weak_float), ("y", weak_float))

    @dataclass(frozen=True)
    class All:
        a: int
        b: bool
        c: complex
        d: object

    assert typeof(All(np.int8(1), True, 2, 3)).fields == (
        ("a", weak_int),
        ("b", boolean),
        ("c", weak_complex),
        ("d", weak_int),
    )


def test_one_annotation_that_can_not_be_evaluated_does_not_hide_the_others():
    class Inner(NamedTuple):
        n: int

    class Outer(NamedTuple):
        x: float
        inner: Inner

    inner = ("inner", typeof(Inner(1)))
    assert typeof(Outer(1, Inner(1))).fields == (("x", weak_float), inner)


@smelt.kernel
def accumulate(out, values):
    total = Vector(0, 0)
    for value in values:
        total = total + Vector(value, 1)
    out[0] = total.x
    out[1] = total.y
    out[2] = SHIFT.x + SHIFT.y


@dataclass(frozen=True)
class Holder:
    held: object


@smelt.kernel
def sum_in_holder(out, values):
    total = Holder(0)
    for value in values:
        total = Holder(total.held + value)
    if out[0] > 0:
        total = Holder(True)
    out[0] = total.held


def test_fields_without_a_type_of_their_own_are_joined_like_variables():
    out = np.zeros(1)
    values = np.arange(4, dtype=np.float32)
    sum_in_holder[1](out, values)
    assert out[0] == 6
    assert "Holder(held: float32)" in smelt.code_typed(sum_in_holder, (typeof(out), typeof(values)))


SHIFT = Vector(3, 4)


def test_a_value_in_a_loop_and_a_captured_one(monkeypatch):
    out = np.zeros(3, np.float32)
    accumulate[1](out, np.arange(5, dtype=np.float32))
    np.testing.assert_array_equal(out, [10, 5, 7])
    monkeypatch.setattr(sys.modules[__name__], "SHIFT", Vector(30, 4))
    accumulate[1](out, np.arange(5, dtype=np.float32))
    np.testing.assert_array_equal(out, [10, 5, 34])


def pass_captured(shift, factor):
    return shift.x * factor


@smelt.kernel
def give_captured(out):
    out[0] = pass_captured(SHIFT, 2)


def test_a_captured_value_is_passed_with_the_types_of_its_fields():
    out = np.zeros(1)
    give_captured[1](out)
    assert out[0] == 6


class Callbacks(NamedTuple):
    function: object
    name: str
    nothing: None = None


def double(x):
    return 2 * x


@smelt.kernel
def call_back(out, callbacks):
    i = smelt.grid(1)
    chosen = callbacks
    for _ in range(2):
        chosen = callbacks
    out[i] = chosen.function(i) + (callbacks.name == "double") + (chosen.nothing is None)


def test_fields_can_be_functions_strings_and_none():
    out = np.zeros(3)
    call_back[3](out, Callbacks(double, "double"))
    np.testing.assert_array_equal(out, [2, 4, 6])


@pytest.mark.skipif(sys.version_info < (3, 13), reason="copy.replace is new in Python 3.13")
def test_copy_replace_is_replace():
    out = np.zeros(1)
    replace_copy[1](out, Vector(1, 2))
    assert out[0] == 7


@smelt.kernel
def replace_copy(out, vector):
    out[0] = copy.replace(vector, x=5).x + vector.y


# What is refused


@dataclass(frozen=True)
class Checked:
    x: float

    def __post_init__(self):
        assert self.x > 0


@dataclass(frozen=True, init=False)
class Own:
    x: float

    def __init__(self, x):
        object.__setattr__(self, "x", 2 * x)


class Counted(NamedTuple):
    n: int


@dataclass(frozen=True)
class Listed:
    items: tuple = field(default_factory=tuple)


@smelt.kernel
def make_checked(out):
    out[0] = Checked(1).x


@smelt.kernel
def make_own(out):
    out[0] = Own(1).x


@smelt.kernel
def make_counted(out):
    out[0] = Counted(out[0]).n


@smelt.kernel
def make_listed(out):
    out[0] = len(Listed().items)


@smelt.kernel
def make_twice(out):
    out[0] = Vector(1, x=2).x


@smelt.kernel
def make_unknown(out):
    out[0] = Vector(1, z=2).x


@smelt.kernel
def make_too_many(out):
    out[0] = Sample(1, 2, True).weight


@smelt.kernel
def replace_number(out):
    out[0] = replace(out, x=1)


@smelt.kernel
def replace_tuple(out):
    out[0] = replace(Counted(1), n=1).n


@smelt.kernel
def replace_unknown(out):
    out[0] = replace(Vector(1), z=1).x


@smelt.kernel
def unknown_attribute(out):
    out[0] = Vector(1).z


@smelt.kernel
def add_number(out):
    out[0] = (Vector(1) - 1).x


@pytest.mark.parametrize(
    ("kernel", "message", "help_"),
    [
        (make_checked, "Checked has its own __post_init__, which kernels don't run", "a function of its own"),
        (make_own, "Own has its own __init__, which kernels don't run", "a function of its own"),
        (make_counted, "Counted.n is annotated as weak int, and can't hold a float64", "convert the value first"),
        (make_listed, "Listed needs the argument items", ""),
        (make_twice, "Vector gets x twice", ""),
        (make_unknown, "Vector has no parameter z", ""),
        (make_too_many, "Sample takes 2 arguments, not 3", ""),
        (
            replace_number,
            "replace takes a frozen dataclass, and fields by name, not a float64[:]",
            "replace(value, field",
        ),
        (
            replace_tuple,
            "replace takes a frozen dataclass, and fields by name, not a Counted",
            "value._replace(field=...)",
        ),
        (replace_unknown, "Vector has no parameter z", ""),
        (unknown_attribute, "a Vector(x: weak float, y: weak float) has no attribute z", ""),
        (add_number, "bad operands for -: a Vector(x: weak float, y: weak float) and a weak int", ""),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_what_a_class_does_not_mean_in_a_kernel_is_refused(kernel, message, help_):
    with pytest.raises(smelt.KernelError) as error:
        kernel.compile(smelt.float64[:])
    assert message in error.value.message
    assert help_ in error.value.help
    assert error.value.line == kernel.function.__code__.co_firstlineno + 2
