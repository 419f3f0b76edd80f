# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import abc
import itertools
from dataclasses import dataclass
from typing import Any, Optional, Protocol

import pytest
from hypothesis import given, strategies as st

from smelt.caching import (
    CodeCache,
    MethodTable,
    Pattern,
    SignatureError,
    SmeltError,
    StackedMethodTable,
    Variadic,
    add_method,
    method_instance,
)
from smelt.caching.signatures import check_signature, describe, is_as_specific, matches


class Animal: ...


class Dog(Animal): ...


class Cat(Animal): ...


class Chimera(Dog, Cat): ...


@dataclass(frozen=True)
class Point:
    x: object


@dataclass(frozen=True)
class Between:
    """A pattern: the whole numbers from `low` to `high`, as types."""

    low: int
    high: int

    def includes(self, other: object) -> bool:
        if isinstance(other, Between):
            return self.low <= other.low and other.high <= self.high
        return type(other) is int and self.low <= other <= self.high


@pytest.mark.parametrize(
    ("signature", "types"),
    [
        ((), ()),
        ((int,), (int,)),
        ((Animal,), (Chimera,)),
        ((object,), (int,)),
        ((int,), (bool,)),
        ((int | str,), (str,)),
        ((int | str,), (bool,)),
        ((int | str | None,), (int | None,)),
        ((Optional[int],), (int | None,)),  # noqa: UP045 - the other form of a union
        ((int | None,), (None,)),
        ((None,), (type(None),)),
        ((type(None),), (None,)),
        ((Any,), (int,)),
        ((Any,), (Any,)),
        ((Any,), (7,)),
        ((Variadic(int),), ()),
        ((Variadic(int),), (int, bool, int)),
        ((str, Variadic(int)), (str,)),
        ((str, Variadic(int | None)), (str, int, None)),
        ((Variadic(None),), (None, None)),
        ((7,), (7,)),
        (("float32",), ("float32",)),
        ((Between(0, 9),), (7,)),
        ((Between(0, 9),), (Between(3, 4),)),
        ((Any, Between(0, 9)), (str, 0)),
        ((Variadic(Between(0, 9)),), (1, 2, 3)),
        ((list[int],), (list[int],)),
    ],
)
def test_a_signature_matches_what_it_describes(signature, types):
    table = MethodTable("t", cache=CodeCache())
    method = add_method(table, "f", signature, None)
    instance = method_instance("f", types, table=table)
    assert instance is not None
    assert instance.method is method


@pytest.mark.parametrize(
    ("signature", "types"),
    [
        ((), (int,)),
        ((int,), ()),
        ((int,), (int, int)),
        ((Dog,), (Animal,)),
        ((Dog,), (Cat,)),
        ((int,), (Any,)),
        ((object,), (Any,)),
        ((int | str,), (float,)),
        ((int | str,), (int | float,)),
        ((int,), (int | str,)),
        ((int,), (None,)),
        ((Variadic(int),), (int, str)),
        ((str, Variadic(int)), ()),
        ((str, Variadic(int)), (int,)),
        ((Variadic(None),), (int,)),
        ((7,), (8,)),
        ((7,), (int,)),
        ((int,), (7,)),
        ((object,), (7,)),
        ((Between(0, 9),), (10,)),
        ((Between(0, 9),), (Between(5, 10),)),
        ((Between(0, 9),), (int,)),
        ((Between(0, 9),), (True,)),
        ((int,), (Between(0, 9),)),
        ((list[int],), (list[str],)),
        ((list,), (list[int],)),
    ],
)
def test_a_signature_matches_nothing_else(signature, types):
    table = MethodTable("t", cache=CodeCache())
    add_method(table, "f", signature, None)
    assert method_instance("f", types, table=table) is None


def test_values_as_types_are_told_apart_by_their_type_and_bits():
    table = MethodTable("t", cache=CodeCache())
    values = (1, 1.0, True, "1", b"1", 1 + 0j, 0.0, -0.0, (1,), (1.0,), (True,), Point(1), Point(True))
    methods = [add_method(table, "f", (value,), value) for value in values]
    found = [method_instance("f", (value,), table=table) for value in values]
    assert [instance.method for instance in found] == methods
    assert len(set(methods)) == len(values)


def test_a_not_a_number_matches_itself():
    table = MethodTable("t", cache=CodeCache())
    method = add_method(table, "f", (float("nan"),), None)
    assert method_instance("f", (float("nan"),), table=table).method is method


def test_instances_of_equal_values_are_one_and_of_unequal_types_are_several():
    table = MethodTable("t", cache=CodeCache())
    add_method(table, "f", (Any,), None)

    def find(value):
        return method_instance("f", (value,), table=table)

    assert find(1.0) is find(1.0)
    assert find(None) is find(type(None))
    assert len({id(find(value)) for value in (1, 1.0, True, "1", int, -0.0, 0.0)}) == 7


def test_a_class_with_a_metaclass_that_compares_equal_is_still_another_class():
    class Equal(type):
        def __eq__(cls, other):
            return isinstance(other, Equal)

        def __hash__(cls):
            return 0

    class One(metaclass=Equal): ...

    class Two(metaclass=Equal): ...

    table = MethodTable("t", cache=CodeCache())
    add_method(table, "f", (One,), 1)
    assert method_instance("f", (Two,), table=table) is None


# Specificity

ENTRIES = [object, Animal, Dog, Cat, Chimera, int, Dog | Cat, Animal | int, int | None, Any, None, 7]
ARGUMENTS = [Animal, Dog, Cat, Chimera, int, bool, type(None), str, 7, Any, Dog | int]
CALLS = [call for length in range(3) for call in itertools.product(ARGUMENTS, repeat=length)]

signatures = st.builds(
    lambda fixed, rest: check_signature((*fixed, *[Variadic(entry) for entry in rest])),
    st.lists(st.sampled_from(ENTRIES), max_size=2),
    st.lists(st.sampled_from(ENTRIES), max_size=1),
)


@given(signatures, signatures)
def test_a_signature_is_as_specific_as_another_exactly_where_all_calls_that_match_it_match_the_other(first, second):
    first_calls = {call for call in CALLS if matches(first, call)}
    second_calls = {call for call in CALLS if matches(second, call)}
    # Two arguments can't tell (int, int, *int) from (int, int): a third may come.
    first_longer = [(*call, entry) for call in CALLS if len(call) == 2 for entry in ARGUMENTS]
    included = first_calls <= second_calls and all(
        matches(second, call) for call in first_longer if matches(first, call)
    )
    assert is_as_specific(first, second) == included


@given(st.lists(signatures, min_size=1, max_size=4, unique_by=repr), st.sampled_from(CALLS))
def test_what_a_call_finds_is_no_less_specific_than_anything_else_that_matches(choices, call):
    table = MethodTable("t", cache=CodeCache())
    for signature in choices:
        add_method(table, "f", signature, signature)
    matching = [signature for signature in choices if matches(signature, call)]
    minimal = [one for one in matching if all(is_as_specific(one, other) for other in matching)]
    if len(minimal) == 1:
        assert method_instance("f", call, table=table).method.signature == minimal[0]
    elif not matching:
        assert method_instance("f", call, table=table) is None
    else:
        with pytest.raises(SmeltError, match="ambiguous"):
            method_instance("f", call, table=table)


@pytest.mark.parametrize(
    ("specific", "general", "types"),
    [
        ((Dog,), (Animal,), (Chimera,)),
        ((int,), (Any,), (int,)),
        ((object,), (Any,), (int,)),
        ((int,), (int | str,), (int,)),
        ((int | str,), (int | str | None,), (str,)),
        ((int | str,), (object,), (str,)),
        ((int,), (Variadic(int),), (int,)),
        ((int, Variadic(int)), (Variadic(int),), (int, int)),
        ((int, int), (int, Variadic(int)), (int, int)),
        ((Variadic(int),), (Variadic(object),), (int, int)),
        ((7,), (Any,), (7,)),
        ((7,), (Between(0, 9),), (7,)),
        ((Between(5, 9),), (Between(0, 9),), (7,)),
        ((int, Dog), (object, Animal), (bool, Chimera)),
    ],
)
@pytest.mark.parametrize("order", [1, -1])
def test_the_more_specific_signature_wins_in_whichever_order_they_were_added(specific, general, types, order):
    table = MethodTable("t", cache=CodeCache())
    for signature in (specific, general)[::order]:
        add_method(table, "f", signature, signature)
    assert method_instance("f", types, table=table).source == specific


# Abstract classes


def make_abstract():
    class Quacks(abc.ABC):  # noqa: B024
        pass

    class Duck: ...

    return Quacks, Duck


@pytest.mark.parametrize("wrap", [lambda q: q, lambda q: q | None, Variadic, lambda q: Variadic(q | int)])
def test_a_class_registered_with_an_abstract_one_afterwards_invalidates_what_depends_on_the_outcome(bench, wrap):
    quacks, duck = make_abstract()
    bench.define("speak", (Variadic(object),), "anything")
    bench.define("speak", (wrap(quacks),), "quack")
    bench.define("main")
    bench.define("outer")
    outcome = bench.table.dispatch("speak", (duck,))
    assert outcome.method.source == "anything"
    main = bench.compile("main", outcome)
    bench.compile("outer", main)
    world = bench.cache.world()
    quacks.register(duck)
    assert not bench.has("main")
    assert not bench.has("outer")
    assert bench.cache.world() > world
    assert bench.table.dispatch("speak", (duck,)).method.source == "quack"
    assert "a class was registered with an abstract base class" in bench.cache.why(main)[0]


def test_the_outermost_of_several_callers_notices_a_registration_first(bench):
    quacks, duck = make_abstract()
    bench.define("speak", (quacks,))
    for name in ("main", "outer", "outermost"):
        bench.define(name)
    main = bench.compile("main", bench.table.dispatch("speak", (duck,)))
    outer = bench.compile("outer", main)
    bench.compile("outermost", outer)
    quacks.register(duck)
    assert not bench.has("outermost")
    assert not main.is_current


def test_a_method_for_an_abstract_class_that_comes_later_makes_registrations_matter(bench):
    quacks, duck = make_abstract()
    bench.define("speak", (object,), "anything")
    bench.define("main")
    bench.define("outer")
    main = bench.compile("main", bench.table.dispatch("speak", (duck,)))
    outer = bench.compile("outer", main)
    bench.define("speak", (quacks,), "quack")
    assert main.is_current
    assert outer.is_current
    quacks.register(duck)
    assert not bench.has("outer")
    assert not bench.has("main")


def test_a_registration_ends_the_outcome_that_no_method_matches(bench):
    quacks, duck = make_abstract()
    bench.define("speak", (quacks,), "quack")
    bench.define("main")
    outcome = bench.table.dispatch("speak", (duck,))
    assert outcome.method is None
    bench.compile("main", outcome)
    quacks.register(duck)
    assert not bench.has("main")
    assert bench.instance("speak", (duck,)).source == "quack"


def test_a_registration_of_another_class_invalidates_nothing(bench):
    quacks, duck = make_abstract()
    bench.define("speak", (object,))
    bench.define("speak", (quacks,))
    bench.define("main")
    code = bench.compile("main", bench.table.dispatch("speak", (duck,)))
    quacks.register(int)
    make_abstract()[0].register(duck)
    assert bench.view[bench.instance("main")] is code
    assert not bench.cache.invalidations


def test_a_registration_reaches_outcomes_of_a_stack_with_the_abstract_class_below(bench):
    quacks, duck = make_abstract()
    overlay = MethodTable("overlay", cache=bench.cache)
    stack = StackedMethodTable(overlay, bench.table)
    bench.define("speak", (quacks,))
    bench.define("main")
    bench.compile("main", stack.dispatch("speak", (duck,)))
    quacks.register(duck)
    assert not bench.has("main")


# What isn't one


class Unhashable:
    __hash__ = None

    def __repr__(self):
        return "Unhashable()"


class NotRuntime(Protocol):
    def method(self) -> None: ...


class Stubborn(type):
    def __subclasscheck__(cls, other):
        raise TypeError("ask me something else")


class Refusing(metaclass=Stubborn): ...


NOT_SIGNATURES = [
    (int, "a signature must be a tuple with one entry for each argument, not <class 'int'>; write (int,)"),
    (Between(0, 9), "write (Between(low=0, high=9),)"),
    ([int], "a signature must be a tuple with one entry for each argument, not [<class 'int'>]"),
    ("int", "not 'int'"),
    (None, "not None"),
    (int | str, "not int | str"),
    ((int, []), "a signature: argument 1 is [], which can't be hashed and so is no type"),
    ((Unhashable(), int), "a signature: argument 0 is Unhashable()"),
    ((Variadic(int), int), "(*int, int): *int stands before the end; only the last entry can be variadic"),
    ((Variadic([]),), "can't be hashed"),
    ((int, Variadic(Variadic(int))), "(int, **int): a Variadic of a Variadic"),
]


@pytest.mark.parametrize(("signature", "text"), NOT_SIGNATURES)
def test_what_is_no_signature_is_refused_with_what_is_wrong_and_leaves_nothing(bench, signature, text):
    bench.define("f", (str,))
    before = bench.registered()
    with pytest.raises(SignatureError) as caught:
        bench.define("f", signature)
    assert text in str(caught.value)
    assert isinstance(caught.value, SmeltError)
    assert isinstance(caught.value, TypeError)
    assert bench.registered() == before
    assert bench.table.matching_methods("f", (int,)) == ()


@pytest.mark.parametrize("entry", [Refusing, Refusing | None, Variadic(Refusing)])
def test_a_class_that_does_not_tell_its_subclasses_is_refused_in_a_signature(bench, entry):
    with pytest.raises(SignatureError, match=r"Refusing can't be in a signature.*ask me something else"):
        bench.define("f", (int, entry))


def test_a_protocol_without_runtime_checks_is_refused_in_a_signature(bench):
    with pytest.raises(SignatureError, match="NotRuntime can't be in a signature"):
        bench.define("f", (NotRuntime,))


@pytest.mark.parametrize(
    ("types", "text"),
    [
        (
            int,
            "the argument types of a call must be a tuple with one entry for each argument, not <class 'int'>; write (int,)",
        ),
        ([int], "not [<class 'int'>]"),
        ((int, {}), "argument 1 is {}, which can't be hashed and so is no type"),
        ((Variadic(int),), "(*int): a call has as many arguments as it has; Variadic is for signatures"),
    ],
)
@pytest.mark.parametrize("ask", ["dispatch", "method_instance", "matching_methods"])
def test_what_are_no_argument_types_is_refused_whatever_is_asked(bench, ask, types, text):
    bench.define("f", (Any,))
    with pytest.raises(SignatureError) as caught:
        getattr(bench.table, ask)("f", types)
    assert text in str(caught.value)


def test_a_pattern_is_recognised_by_its_method():
    assert isinstance(Between(0, 1), Pattern)
    assert not isinstance(7, Pattern)


def test_a_pattern_that_fails_while_a_method_is_added_leaves_no_stale_outcome(bench):
    class Moody:
        def includes(self, other):  # noqa: ARG002
            raise ZeroDivisionError("not today")

    bench.define("f", (object,))
    bench.define("main")
    code = bench.compile("main", bench.table.dispatch("f", (int,)))
    bench.define("f", (Moody(),))
    assert not code.is_current
    with pytest.raises(ZeroDivisionError):
        bench.table.dispatch("f", (int,))


def test_signatures_read_as_they_are_written():
    assert describe((int, None.__class__, int | str, Any, Variadic(float), "float32")) == (
        "(int, None, int | str, Any, *float, 'float32')"
    )
    assert describe(int) == "<class 'int'>"
