# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
import enum
import pickle
import threading
import typing
from collections import namedtuple
from fractions import Fraction
from typing import ClassVar
from unittest.mock import Mock

import pytest
from hypothesis import given, strategies as st

from smelt.caching import (
    LinearCache,
    Results,
    ResultsError,
    SmeltError,
    portable,
    portable_state,
    restore,
    session_local,
)


class Handle:
    """A thing of this process that nobody may write out."""

    def __reduce__(self):
        raise AssertionError("a session-local field was serialised")


class Metal(Results):
    metallib: bytes | None = portable()
    entry: str = portable(default="")
    numbers: tuple[int, ...] = portable(default=(1, 2))
    pipelines: LinearCache[object, object] = session_local(factory=LinearCache)
    handle: object = session_local()
    limit: ClassVar[int] = 7
    other_limit: typing.ClassVar[int] = 8

    def describe(self):
        return f"{self.entry}: {self.limit}"


PORTABLE = [
    None,
    True,
    False,
    0,
    -1,
    1 << 200,
    1.5,
    float("inf"),
    1j,
    "",
    "text",
    b"",
    b"bytes",
    (),
    (1, ("a", (None,))),
]
atoms = st.none() | st.booleans() | st.integers() | st.floats() | st.complex_numbers() | st.text() | st.binary()
portable_values = st.recursive(atoms, lambda inner: st.lists(inner, max_size=4).map(tuple), max_leaves=12)


# Declaring


def test_a_new_object_holds_the_defaults():
    results = Metal()
    assert (results.metallib, results.entry, results.numbers, results.handle) == (None, "", (1, 2), None)
    assert len(results.pipelines) == 0
    assert results.pipelines is not Metal().pipelines


def test_fields_may_be_given_by_name():
    handle = Handle()
    results = Metal(entry="main", handle=handle)
    assert (results.entry, results.handle, results.metallib) == ("main", handle, None)


def test_class_variables_and_methods_are_no_fields():
    assert set(Metal.declared_fields) == {"metallib", "entry", "numbers", "pipelines", "handle"}
    assert (Metal.limit, Metal.other_limit, Metal(entry="e").describe()) == (7, 8, "e: 7")
    assert set(portable_state(Metal())) == {"metallib", "entry", "numbers"}


UNDECLARED = {
    "annotation alone": "text: str",
    "plain value": "text: str = ''",
    "none": "text: 'str | None' = None",
    "after declared ones": "code: bytes = portable(default=b'')\n    text: str = ''",
    "list": "text: list = []",
    "a name like a class variable's": "text: 'ClassVariant' = 3",
}


@pytest.mark.parametrize("header", ["", "from __future__ import annotations\n"])
@pytest.mark.parametrize("what", UNDECLARED)
def test_a_field_that_is_not_declared_is_refused_when_the_class_is_made(what, header):
    namespace = {"Results": Results, "portable": portable, "__name__": "m"}
    source = f"{header}class Wrong(Results):\n    {UNDECLARED[what]}\n"
    with pytest.raises(ResultsError) as caught:
        exec(compile(source, "m", "exec", dont_inherit=True), namespace)
    assert str(caught.value).startswith("Wrong.text is neither portable nor session-local; write `text: ")
    assert "= portable()` or `= session_local()`" in str(caught.value)
    assert isinstance(caught.value, SmeltError)
    assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize("header", ["", "from __future__ import annotations\n"])
@pytest.mark.parametrize(
    "annotation", ["ClassVar", "ClassVar[int]", "typing.ClassVar[int]", "other_name.ClassVar[int]"]
)
def test_class_variables_are_allowed_however_they_are_written(annotation, header):
    check_class_variable(f"{header}class Right(Results):\n    version: {annotation} = 3\n    text: str = portable()\n")


def test_class_variables_may_be_written_as_strings():
    check_class_variable("class Right(Results):\n    version: 'ClassVar[int]' = 3\n    text: str = portable()\n")


def check_class_variable(source):
    namespace = {"Results": Results, "portable": portable, "__name__": "m"}
    namespace |= {"ClassVar": ClassVar, "typing": typing, "other_name": typing}
    exec(compile(source, "m", "exec", dont_inherit=True), namespace)
    right = namespace["Right"]
    assert right.version == 3
    assert set(right.declared_fields) == {"text"}


def test_an_annotation_that_can_not_be_evaluated_is_no_obstacle():
    class Lazy(Results):
        text: NotImportedHere = portable(default="")  # noqa: F821

    assert Lazy().text == ""


def test_declarations_need_no_annotation():
    class Bare(Results):
        text = portable(default="t")
        handle = session_local(factory=list)

    assert portable_state(Bare()) == {"text": "t"}
    assert Bare().handle == []


def test_a_default_that_is_not_portable_is_refused_when_the_class_is_made():
    with pytest.raises(ResultsError, match=r"Wrong\.text is portable and can't hold an object of class builtins\.list"):

        class Wrong(Results):
            text: list[str] = portable(default=[])


def test_fields_are_inherited_and_added_to():
    class More(Metal):
        entry: str = portable(default="main")
        extra: int = portable(default=0)
        more_handles: list[object] = session_local(factory=list)

    assert portable_state(More()) == {"metallib": None, "entry": "main", "numbers": (1, 2), "extra": 0}
    assert portable_state(Metal())["entry"] == ""
    assert "extra" not in Metal.declared_fields
    with pytest.raises(ResultsError, match="Metal has no field 'extra'"):
        Metal(extra=1)


def test_fields_of_several_bases_come_together():
    class One(Results):
        first: int = portable(default=1)
        shared: str = portable(default="one")

    class Other(Results):
        second: object = session_local(factory=Handle)
        shared: str = portable(default="other")

    class Both(One, Other):
        pass

    assert portable_state(Both(first=3)) == {"first": 3, "shared": "one"}
    assert isinstance(Both().second, Handle)


def test_a_field_can_not_change_sides_in_a_subclass():
    with pytest.raises(ResultsError, match=r"Wrong\.handle is declared otherwise by a class that it inherits from"):

        class Wrong(Metal):
            handle: bytes = portable(default=b"")

    class Portable(Results):
        handle: bytes = portable(default=b"")

    with pytest.raises(ResultsError, match=r"Mixed\.handle is declared otherwise"):

        class Mixed(Metal, Portable):
            pass


@pytest.mark.parametrize("name", ["declared_fields", "__init__", "__setattr__", "__dict__"])
def test_a_field_can_not_take_the_name_of_what_every_results_class_has(name):
    with pytest.raises(ResultsError, match=f"Wrong.{name} can't be a field"):
        type("Wrong", (Results,), {name: portable()})


# Setting


@pytest.mark.parametrize("value", PORTABLE, ids=repr)
def test_a_portable_field_takes_portable_values(value):
    results = Metal()
    results.metallib = value
    assert results.metallib is value
    assert portable_state(results)["metallib"] is value


class Number(enum.IntEnum):
    ONE = 1


class Word(enum.StrEnum):
    ONE = "one"


class MyInt(int):
    pass


class MyBytes(bytes):
    pass


class MyTuple(tuple):
    __slots__ = ()


Pair = namedtuple("Pair", "first second")  # noqa: PYI024


class BoolLike:
    def __bool__(self):
        return True

    def __eq__(self, other):
        return other is True or other is False

    def __hash__(self):
        return hash(True)


class Liar:
    """Says that it is an int, as mocks and lazy proxies do."""

    @property
    def __class__(self):
        return int


NOT_PORTABLE = [
    ([], "builtins.list"),
    ([1], "builtins.list"),
    ({}, "builtins.dict"),
    ({1}, "builtins.set"),
    (frozenset({1}), "builtins.frozenset"),
    (bytearray(b"b"), "builtins.bytearray"),
    (memoryview(b"b"), "builtins.memoryview"),
    (object(), "builtins.object"),
    (print, "builtins.builtin_function_or_method"),
    (int, "builtins.type"),
    (..., "builtins.ellipsis"),
    (range(3), "builtins.range"),
    (Fraction(1, 2), "fractions.Fraction"),
    (Number.ONE, "Number"),
    (Word.ONE, "Word"),
    (MyInt(3), "MyInt"),
    (MyBytes(b"b"), "MyBytes"),
    (MyTuple((1,)), "MyTuple"),
    (Pair(1, 2), "Pair"),
    (BoolLike(), "BoolLike"),
    (Liar(), "Liar"),
    (Mock(spec=int), "unittest.mock.Mock"),
    (Handle(), "Handle"),
    (LinearCache(), "LinearCache"),
]


@pytest.mark.parametrize(("value", "name"), NOT_PORTABLE, ids=[name for _, name in NOT_PORTABLE])
@pytest.mark.parametrize("nest", [lambda v: v, lambda v: (1, v), lambda v: ((), ("a", (v, 2)))], ids=["", "in", "deep"])
def test_a_portable_field_refuses_anything_else_when_it_is_set_and_names_the_field(value, name, nest):
    results = Metal(metallib=b"before")
    with pytest.raises(ResultsError) as caught:
        results.metallib = nest(value)
    assert str(caught.value).startswith("Metal.metallib is portable and can't hold an object of class ")
    assert f"{name}{'' if nest(value) is value else ' inside a tuple'}: it takes None, bool" in str(caught.value)
    assert "convert it, or declare the field as session_local()" in str(caught.value)
    assert results.metallib == b"before"
    with pytest.raises(ResultsError, match=r"Metal\.entry is portable"):
        Metal(entry=nest(value))


def test_a_session_local_field_takes_anything():
    handle = Handle()
    results = Metal()
    for value in (handle, [handle], 3, None):
        results.handle = value
        assert results.handle is value


def test_a_field_that_is_not_declared_can_not_be_set_or_deleted():
    results = Metal()
    for name in ("other", "limit", "describe", "__class__", "__dict__"):
        with pytest.raises(ResultsError, match=f"Metal has no field '{name}'; declare it as portable"):
            setattr(results, name, 1)
    with pytest.raises(ResultsError, match=r"Metal\.entry can't be deleted"):
        del results.entry
    with pytest.raises(ResultsError, match="Metal has no field 'other'"):
        Metal(other=1)
    assert not hasattr(results, "other")


def test_results_show_their_fields_and_only_the_length_of_long_bytes():
    results = Metal(metallib=b"x" * 100, entry="main")
    assert repr(results) == (
        "Metal(metallib=<100 bytes>, entry='main', numbers=(1, 2), pipelines=LinearCache(), handle=None)"
    )
    assert "metallib=b'short'" in repr(Metal(metallib=b"short"))


# What leaves the process


def test_the_portable_state_has_the_portable_fields_and_nothing_else():
    results = Metal(metallib=b"MTLB", entry="main", handle=Handle())
    results.pipelines.get_or_create("device", lambda _device: Handle())
    assert portable_state(results) == {"metallib": b"MTLB", "entry": "main", "numbers": (1, 2)}


def test_there_is_no_way_around_the_setter():
    results = Metal()
    vars(results)["smuggled"] = b"not declared"
    vars(results)["handle"] = b"portable, but declared session-local"
    assert portable_state(results) == {"metallib": None, "entry": "", "numbers": (1, 2)}
    vars(results)["entry"] = ["not portable"]
    with pytest.raises(
        ResultsError, match=r"Metal\.entry is portable and can't hold an object of class builtins\.list"
    ):
        portable_state(results)
    object.__setattr__(results, "entry", ("a", Handle()))
    with pytest.raises(ResultsError, match="inside a tuple"):
        portable_state(results)


def test_the_portable_state_is_a_copy():
    results = Metal()
    portable_state(results)["entry"] = "changed"
    assert results.entry == ""


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda results: pickle.loads(pickle.dumps(results))])
def test_a_copy_of_results_has_the_portable_fields_and_new_session_local_ones(duplicate):
    results = Metal(metallib=b"MTLB", handle=Handle())
    results.pipelines.get_or_create("device", lambda _device: Handle())
    copied = duplicate(results)
    assert portable_state(copied) == portable_state(results)
    assert copied.handle is None
    assert len(copied.pipelines) == 0


@given(portable_values, portable_values)
def test_what_was_restored_is_what_was_written(metallib, entry):
    results = Metal(metallib=metallib, entry=entry, handle=Handle())
    restored = restore(Metal, portable_state(results))
    assert restored is not results
    # By their text, since a NaN does not equal itself.
    assert repr(portable_state(restored)) == repr(portable_state(results))
    assert restored.handle is None
    assert len(restored.pipelines) == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.pop("entry"),
        lambda state: state.update(extra=1),
        lambda state: state.update(handle=None),
        lambda state: (state.pop("entry"), state.update(entries="")),
        lambda state: state.clear(),
    ],
)
def test_a_state_of_other_fields_is_not_guessed_at(change):
    state = portable_state(Metal())
    change(state)
    with pytest.raises(ResultsError) as caught:
        restore(Metal, state)
    assert str(caught.value) == (
        f"Metal has the portable fields ['entry', 'metallib', 'numbers'], the state has {sorted(state)}"
    )


def test_a_state_with_a_value_that_is_not_portable_is_refused():
    state = {**portable_state(Metal()), "numbers": [1, 2]}
    with pytest.raises(ResultsError, match=r"Metal\.numbers is portable"):
        restore(Metal, state)


@pytest.mark.parametrize("wrong", [None, object(), {}, Metal])
def test_only_results_have_a_portable_state(wrong):
    with pytest.raises(ResultsError, match="is no results object; its class must be derived from Results"):
        portable_state(wrong)


@pytest.mark.parametrize("wrong", [None, dict, Results, Metal()])
def test_only_results_classes_can_be_restored(wrong):
    with pytest.raises(ResultsError, match="is no results class"):
        restore(wrong, {})


# The cache of handles by device


class Device:
    """All devices are equal, and none can be hashed."""

    __hash__ = None

    def __init__(self, name):
        self.name = name

    def __eq__(self, other):
        return isinstance(other, Device)

    def __repr__(self):
        return self.name


def link(device):
    return f"pipeline on {device}"


def never(device):
    raise AssertionError(f"linked again for {device}")


def test_a_handle_is_linked_once_for_a_device():
    cache, device = LinearCache(), Device("gpu")
    assert cache.get(device) is None
    handle = cache.get_or_create(device, link)
    assert handle == "pipeline on gpu"
    assert cache.get(device) is handle
    assert cache.get_or_create(device, never) is handle


def test_devices_are_told_apart_by_identity():
    cache, devices = LinearCache(), [Device(str(index)) for index in range(5)]
    handles = [cache.get_or_create(device, link) for device in devices]
    assert handles == [f"pipeline on {index}" for index in range(5)]
    for device, handle in zip(reversed(devices), reversed(handles), strict=True):
        assert cache.get(device) is handle
        assert cache.get_or_create(device, never) is handle
    assert cache.get(Device("0")) is None
    assert [(device.name, handle) for device, handle in cache] == [(str(i), f"pipeline on {i}") for i in range(5)]
    assert len(cache) == 5
    assert repr(cache).startswith("LinearCache(0: 'pipeline on 0', 1: ")


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_handle_can_be_discarded_and_is_linked_again(position):
    cache, devices = LinearCache(), [Device(name) for name in "abc"]
    for device in devices:
        cache.get_or_create(device, link)
    cache.discard(devices[position])
    cache.discard(Device("unknown"))
    assert [cache.get(device) is None for device in devices] == [index == position for index in range(3)]
    assert len(cache) == 2
    assert cache.get_or_create(devices[position], lambda _device: "again") == "again"
    cache.clear()
    assert len(cache) == 0
    assert [cache.get(device) for device in devices] == [None] * 3


def test_a_link_that_raises_leaves_nothing_behind_and_the_next_call_tries_again():
    cache, device = LinearCache(), Device("gpu")

    def failing(_device):
        raise ZeroDivisionError("no pipeline today")

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            cache.get_or_create(device, failing)
    assert len(cache) == 0
    assert cache.get_or_create(device, link) == "pipeline on gpu"


def test_a_link_may_link_for_another_device():
    cache, first, second = LinearCache(), Device("first"), Device("second")
    handle = cache.get_or_create(first, lambda device: (link(device), cache.get_or_create(second, link)))
    assert handle == ("pipeline on first", "pipeline on second")
    assert cache.get(first) is handle
    assert cache.get(second) == "pipeline on second"


def test_who_waited_for_another_thread_s_link_takes_its_handle():
    device = Device("gpu")

    class Raced(LinearCache):
        __slots__ = ()

        def _exclusively(self):
            # Between the look without the lock and the lock, another thread has linked.
            self._replace(((device, "theirs"),))
            return super()._exclusively()

    cache = Raced()
    assert cache.get_or_create(device, never) == "theirs"
    assert len(cache) == 1


def test_many_threads_link_once_for_each_device():
    cache, devices = LinearCache(), [Device(str(index)) for index in range(3)]
    linked, found = [], []
    barrier = threading.Barrier(12)

    def link_once(device):
        linked.append(device.name)
        return object()

    def ask(device):
        barrier.wait()
        found.append((device.name, cache.get_or_create(device, link_once)))

    threads = [threading.Thread(target=ask, args=(device,)) for device in devices for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(linked) == ["0", "1", "2"]
    assert len(found) == 12
    assert len({(name, id(handle)) for name, handle in found}) == 3
