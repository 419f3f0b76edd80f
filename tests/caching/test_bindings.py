# SPDX-License-Identifier: Apache-2.0
"""Bindings: what code read under a name, in every kind of place, and which changes there have it made again.

Every test runs with each kind of namespace that this Python has, and all of them must agree.
"""

from __future__ import annotations

import abc
import builtins
import dataclasses
import enum
import fractions
import functools
import importlib
import math
import struct
import sys
import types
from collections.abc import Callable, Iterator
from unittest import mock

import pytest

from smelt.caching import (
    MISSING,
    BindingError,
    CacheView,
    CodeCache,
    CodeInstance,
    MethodInstance,
    MethodTable,
    Observed,
    OutdatedError,
    Results,
    add_method,
    namespaces,
    publishing,
    read_attribute,
    read_cell,
    read_code,
    read_default,
    read_global,
    read_keyword,
    session_local,
)

KINDS = [namespaces.Namespace]
if namespaces._has_version_tags():
    KINDS.append(namespaces.VersionedNamespace)


@pytest.fixture(autouse=True, params=KINDS, ids=lambda kind: kind.__name__)
def kind_of_namespace(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # In a context of its own, so that a test may undo its own patches.
    with monkeypatch.context() as patch:
        patch.setattr(publishing, "best_namespace", lambda: request.param)
        yield


class Kept(Results):
    value: object = session_local()


class Probe:
    """Code that depends on what one read gives, and how often it was made."""

    def __init__(self, read: Callable[[], Observed], cache: CodeCache | None = None) -> None:
        self.read = read
        self.makes = 0
        self.cache = cache if cache is not None else CodeCache()
        table = MethodTable("probes", cache=self.cache)
        add_method(table, "probe", (), "the source")
        instance = table.method_instance("probe", ())
        assert instance is not None
        self.instance = instance
        self.view = CacheView("tests", Kept, cache=self.cache)

    def make(self, view: CacheView[Kept], instance: MethodInstance) -> CodeInstance:
        self.makes += 1
        observed = self.read()
        code = view.code_instance(instance, edges=observed.edges)
        view.results(code).value = observed.value
        return code

    def value(self) -> object:
        """What the code was made for; the cache is checked on the way."""
        code = self.view.get_or_create(self.instance, self.make)
        assert code.is_current
        assert self.view.get(self.instance) is code
        self.cache.check_invariants()
        return self.view.results(code).value

    def is_cached(self) -> bool:
        return self.instance in self.view


def module_of(source: str, **names: object) -> types.ModuleType:
    module = types.ModuleType("settings")
    vars(module).update(names)
    exec(source, vars(module))
    return module


def global_probe(name: str = "X", source: str = "", **names: object) -> tuple[types.ModuleType, Probe]:
    module = module_of(f"{source}\ndef function(): return {name}", **names)
    return module, Probe(lambda: read_global(module.function, name))


# Globals


def test_a_global_is_read_and_the_code_is_kept_while_nothing_changes():
    _, probe = global_probe(X=3)
    assert [probe.value() for _ in range(3)] == [3, 3, 3]
    assert probe.makes == 1


def test_rebinding_a_global_has_the_code_made_for_the_new_value():
    module, probe = global_probe(X=3)
    assert probe.value() == 3
    module.X = 4
    assert not probe.is_cached()
    assert probe.value() == 4
    module.X = 5
    assert probe.value() == 5
    assert probe.makes == 3
    assert probe.cache.counts.invalidated == 2


def test_a_global_statement_in_a_function_rebinds_like_any_assignment():
    module, probe = global_probe(source="def change(to):\n    global X\n    X = to", X=3)
    assert probe.value() == 3
    for value in range(40):
        # Often enough for the interpreter to specialise the store.
        module.change(value)
        assert probe.value() == value


@pytest.mark.parametrize(
    "change",
    [
        lambda module: setattr(module, "X", 4),
        lambda module: vars(module).update(X=4),
        lambda module: vars(module).__setitem__("X", 4),
        lambda module: vars(module).__ior__({"X": 4}),
        lambda module: exec("X = 4", vars(module)),
        lambda module: object.__setattr__(module, "X", 4),
        lambda module: (vars(module).pop("X"), vars(module).setdefault("X", 4)),
    ],
    ids=["setattr", "update", "setitem", "ior", "exec", "object.__setattr__", "pop and setdefault"],
)
def test_a_global_can_be_rebound_in_many_ways_from_other_code(change):
    module, probe = global_probe(X=3)
    assert probe.value() == 3
    change(module)
    assert not probe.is_cached()
    assert probe.value() == 4


def test_unrelated_names_invalidate_nothing():
    module, probe = global_probe(X=3, Y=1)
    assert probe.value() == 3
    module.Y = 2
    del module.Y
    module.Z = 3
    vars(module).update(A=1, B=2)
    module.__doc__ = "other"
    assert probe.is_cached()
    assert probe.value() == 3
    assert probe.makes == 1
    assert len(probe.cache.invalidations) == 0


def test_two_names_of_one_namespace_invalidate_each_its_own_dependents():
    module, first = global_probe("X", X=1, Y=1)
    second = Probe(lambda: read_global(module.function, "Y"), first.cache)
    assert (first.value(), second.value()) == (1, 1)
    module.Y = 2
    assert first.is_cached()
    assert not second.is_cached()
    assert (first.value(), second.value()) == (1, 2)
    assert (first.makes, second.makes) == (1, 2)


def test_deleting_a_global_and_defining_it_again_are_changes():
    module, probe = global_probe(X=3)
    assert probe.value() == 3
    del module.X
    assert not probe.is_cached()
    assert probe.value() is MISSING
    module.X = 3
    assert not probe.is_cached()
    assert probe.value() == 3
    assert probe.makes == 3


def test_deleting_and_defining_the_same_constant_before_the_next_look_never_gives_the_wrong_value():
    module, probe = global_probe(X=3)
    assert probe.value() == 3
    del module.X
    module.X = 3
    assert probe.value() == 3
    del module.X
    module.X = 4
    assert probe.value() == 4


def test_a_global_found_among_the_builtins_is_shadowed_later():
    module, probe = global_probe("len")
    assert probe.value() is len
    module.len = max
    assert not probe.is_cached()
    assert probe.value() is max
    del module.len
    assert probe.value() is len
    assert probe.makes == 3


def test_a_builtin_that_is_replaced_invalidates(monkeypatch):
    _, probe = global_probe("smelt_builtin")
    assert probe.value() is MISSING
    monkeypatch.setattr(builtins, "smelt_builtin", 1, raising=False)
    assert probe.value() == 1
    monkeypatch.setattr(builtins, "smelt_builtin", 2)
    assert probe.value() == 2
    monkeypatch.undo()
    assert probe.value() is MISSING
    assert probe.makes == 4


def test_a_builtin_does_not_matter_to_a_global_of_the_same_name(monkeypatch):
    _, probe = global_probe("smelt_builtin", smelt_builtin=7)
    assert probe.value() == 7
    monkeypatch.setattr(builtins, "smelt_builtin", 1, raising=False)
    assert probe.is_cached()
    assert probe.value() == 7


def test_a_namespace_with_builtins_of_its_own_is_read_as_python_reads_it():
    own = {"size": 5}
    module, probe = global_probe("size", __builtins__=own)
    assert module.function() == probe.value() == 5
    own["size"] = 6
    assert module.function() == probe.value() == 6


def test_a_name_that_is_bound_nowhere_is_an_edge_too():
    module, probe = global_probe("nowhere")
    assert probe.value() is MISSING
    assert probe.is_cached()
    module.nowhere = 1
    assert not probe.is_cached()
    assert probe.value() == 1


def test_clearing_and_refilling_a_namespace_are_changes():
    module, probe = global_probe(X=3)
    assert probe.value() == 3
    function, contents = module.function, dict(vars(module))
    probe.read = lambda: read_global(function, "X")
    vars(module).clear()
    assert not probe.is_cached()
    assert probe.value() is MISSING
    vars(module).update(contents)
    assert not probe.is_cached()
    assert probe.value() == 3


def test_an_empty_namespace_that_is_filled_at_once_is_a_change():
    namespace: dict[str, object] = {}
    function = types.FunctionType((lambda: X).__code__, namespace)  # noqa: F821
    probe = Probe(lambda: read_global(function, "X"))
    assert probe.value() is MISSING
    namespace.update({"X": 1, "Y": 2})
    assert not probe.is_cached()
    assert probe.value() == 1


def test_popitem_is_a_deletion():
    module, probe = global_probe(X=3)
    vars(module)["X"] = vars(module).pop("X")
    assert probe.value() == 3
    assert vars(module).popitem() == ("X", 3)
    assert not probe.is_cached()
    assert probe.value() is MISSING


def test_a_key_that_is_a_subclass_of_str_binds_the_name():
    class Text(str):
        __slots__ = ()

    module, probe = global_probe("X", X=3)
    assert probe.value() == 3
    vars(module)[Text("X")] = 4
    assert module.function() == probe.value() == 4
    del vars(module)["X"]
    assert probe.value() is MISSING
    vars(module)[Text("X")] = 5
    assert module.function() == probe.value() == 5


def test_keys_that_are_no_strings_are_no_names():
    module, probe = global_probe(X=3)
    assert probe.value() == 3
    vars(module)[17] = 1
    vars(module)[None] = 1
    vars(module)["X", 1] = 1
    assert probe.is_cached()


def test_a_change_while_the_code_is_made_has_it_made_again():
    module, probe = global_probe(X=1)
    read = probe.read

    def read_and_rebind() -> Observed:
        observed = read()
        if probe.makes == 1:
            module.X = 2
        return observed

    probe.read = read_and_rebind
    assert probe.value() == 2
    assert probe.makes == 2


def test_a_change_while_the_code_is_made_in_a_frozen_view_is_reported():
    module, probe = global_probe(X=1)

    def make(view: CacheView[Kept], instance: MethodInstance) -> CodeInstance:
        observed = read_global(module.function, "X")
        module.X = 2
        return view.code_instance(instance, edges=observed.edges)

    with pytest.raises(OutdatedError, match=r"settings\.X"):
        probe.view.frozen().get_or_create(probe.instance, make)
    assert not probe.is_cached()


def test_a_global_is_read_of_python_functions_only():
    for what in (len, 3, types, Probe, Probe(lambda: None).value):
        with pytest.raises(BindingError, match="no Python function"):
            read_global(what, "X")


def test_monkeypatching_and_undoing_it(monkeypatch):
    module, probe = global_probe("helper", source="def helper(): return 1")
    original = module.helper
    assert probe.value() is original
    monkeypatch.setattr(module, "helper", len)
    assert probe.value() is len
    monkeypatch.undo()
    assert probe.value() is original
    assert probe.makes == 3


def test_the_cause_names_the_binding_and_what_happened_to_it():
    module, probe = global_probe(X=1)
    probe.value()
    module.X = 2
    probe.value()
    del module.X
    probe.value()
    module.X = 1
    assert not probe.is_cached()
    assert [invalidation.cause for invalidation in probe.cache.invalidations] == [
        "settings.X was rebound",
        "settings.X was deleted",
        "settings.X was defined",
    ]
    assert probe.cache.why(probe.instance)[-1].startswith("settings.X was rebound; probe() depends on it")


# Constants


@dataclasses.dataclass(frozen=True)
class Tile:
    width: int
    height: float


@dataclasses.dataclass(frozen=True)
class Tagged:
    number: int
    tag: object = dataclasses.field(default=None, compare=False)


def nan(payload: int) -> float:
    return struct.unpack("<d", struct.pack("<Q", 0x7FF8_0000_0000_0000 | payload))[0]


def copy_of(value: object) -> object:
    """An equal constant that is another object, as far as Python makes one."""
    return eval(compile(repr(value), "copy", "eval"), dict(globals()))


@pytest.mark.parametrize(
    "value",
    [
        10**20,
        -1,
        2.5,
        1e300,
        -0.0,
        1 + 2j,
        "a long enough string not to be interned",
        b"bytes that are no constant of this module",
        True,
        None,
        ...,
        (1, 2.0, ("x", None)),
        Tile(1, 2.0),
        (Tile(1, 2.0), Tile(3, -0.0)),
        frozenset({1, 2.5}),
        (),
    ],
    ids=repr,
)
def test_rebinding_to_an_equal_constant_invalidates_nothing(value):
    module, probe = global_probe(X=value)
    assert probe.value() is value
    module.X = copy_of(value)
    assert probe.is_cached()
    module.X = copy_of(value)
    assert probe.value() is value
    assert probe.makes == 1
    assert len(probe.cache.invalidations) == 0
    # It is still depended on.
    module.X = "something else"
    assert not probe.is_cached()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (1, 2),
        (1, 1.0),
        (1.0, True),
        (True, 1),
        (0, False),
        (0.0, -0.0),
        (-0.0, 0.0),
        (1.0, 1 + 0j),
        (complex(0.0, 0.0), complex(0.0, -0.0)),
        (nan(1), nan(2)),
        ("a", b"a"),
        (None, 0),
        ((1, 2), (1, 2.0)),
        ((0.0,), (-0.0,)),
        ((1, (2, (3,))), (1, (2, (True,)))),
        ((1, 2), [1, 2]),
        (frozenset({1}), frozenset({True})),
        (frozenset({1}), {1}),
        (Tile(1, 2.0), Tile(1, 2)),
        (Tile(1, 0.0), Tile(1, -0.0)),
        (Tagged(1, "a"), Tagged(1, "b")),
        (Tagged(1, 1), Tagged(1, True)),
    ],
    ids=repr,
)
def test_constants_that_only_compare_equal_are_changes(old, new):
    module, probe = global_probe(X=old)
    assert probe.value() is old
    module.X = new
    assert not probe.is_cached()
    assert probe.value() is new


def test_a_nan_with_equal_bits_is_the_same_constant():
    module, probe = global_probe(X=nan(7))
    probe.value()
    module.X = nan(7)
    assert probe.is_cached()
    assert probe.makes == 1


def test_a_long_way_through_equal_values_is_made_once_for_each_constant():
    module, probe = global_probe(X=1)
    kinds = []
    for value in (1, 1.0, True, 1, 0.0, -0.0, 0.0, 0):
        module.X = value
        kinds.append(repr(probe.value()))
    assert kinds == ["1", "1.0", "True", "1", "0.0", "-0.0", "0.0", "0"]
    assert probe.makes == 8


class Colour(enum.Enum):
    RED = 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: lambda: 1,
        lambda: type("Same", (), {}),
        lambda: types.ModuleType("same"),
        lambda: [1],
        lambda: {"a": 1},
        lambda: {1},
        lambda: bytearray(b"1"),
        object,
        lambda: fractions.Fraction(1, 2),
        lambda: enum.Enum("Colour", "RED").RED,
        lambda: (1, [2]),
        lambda: Tagged(1, []),
        lambda: Tile([], 1.0),
    ],
    ids=[
        "function",
        "class",
        "module",
        "list",
        "dict",
        "set",
        "bytearray",
        "object",
        "instance with ==",
        "enum",
        "list in a tuple",
        "list in a dataclass, not compared",
        "list in a dataclass",
    ],
)
def test_what_has_an_identity_is_the_same_only_as_the_same_object(make):
    first, second = make(), make()
    module, probe = global_probe(X=first)
    assert probe.value() is first
    module.X = first
    assert probe.is_cached()
    assert probe.makes == 1
    module.X = second
    assert not probe.is_cached()
    assert probe.value() is second


@pytest.mark.parametrize(
    "part", [len, int, math, Colour.RED, Probe.value], ids=["builtin", "class", "module", "enum", "function"]
)
def test_an_equal_tuple_or_dataclass_of_the_same_objects_is_the_same_constant(part):
    for wrap in (lambda part: (1, part), lambda part: Tile(part, 1.0), lambda part: frozenset([part])):
        module, probe = global_probe(X=wrap(part))
        probe.value()
        module.X = wrap(part)
        assert probe.is_cached()
        module.X = wrap(max)
        assert not probe.is_cached()


def test_an_object_that_claims_another_class_is_no_constant_of_that_class():
    # A mock, put in the place of a constant by somebody's test, or a proxy that can't tell its class yet.
    class Proxy:
        @property
        def __class__(self):
            raise RuntimeError("outside of any context")

    for pretender in (mock.Mock(spec=float), mock.Mock(spec=tuple), Proxy()):
        module, probe = global_probe(X=2.5)
        assert probe.value() == 2.5
        module.X = pretender
        assert not probe.is_cached()
        assert probe.value() is pretender
        module.X = 2.5
        assert not probe.is_cached()
        assert probe.value() == 2.5


def test_a_frozen_dataclass_with_a_field_that_was_never_set_can_be_rebound():
    @dataclasses.dataclass(frozen=True)
    class Half:
        first: int
        second: int = dataclasses.field(init=False)

    module, probe = global_probe(X=Half(1))
    probe.value()
    module.X = Half(1)
    assert probe.is_cached()
    module.X = Half(2)
    assert not probe.is_cached()


# Modules


def module_probe(name: str, source: str = "", **names: object) -> tuple[types.ModuleType, Probe]:
    module = module_of(source, **names)
    return module, Probe(lambda: read_attribute(module, name))


def test_a_module_attribute_is_an_edge_found_or_not():
    module, probe = module_probe("X")
    assert probe.value() is MISSING
    module.X = 1
    assert not probe.is_cached()
    assert probe.value() == 1
    module.X = 1
    module.Y = 1
    assert probe.is_cached()
    del module.X
    assert probe.value() is MISSING


def test_a_global_and_the_attribute_of_its_module_are_one_binding():
    module, first = global_probe(X=1)
    second = Probe(lambda: read_attribute(module, "X"), first.cache)
    assert first.value() == second.value() == 1
    module.X = 2
    assert first.value() == second.value() == 2
    assert len(first.cache.invalidations) == 1


LAZY = """
def __getattr__(name):
    if name == "part":
        globals()["part"] = 7
        return 7
    raise AttributeError(name)
"""


def test_a_module_that_binds_its_parts_on_demand_can_be_depended_on():
    module, probe = module_probe("part", LAZY)
    assert probe.value() == 7
    assert probe.is_cached()
    module.part = 8
    assert probe.value() == 8


def test_a_module_that_computes_an_attribute_each_time_is_refused():
    module = module_of("def __getattr__(name): return object()")
    with pytest.raises(BindingError, match=r"settings\.part is computed by the module's __getattr__"):
        read_attribute(module, "part")


def test_a_name_that_a_lazy_module_does_not_have_is_refused_since_it_may_have_it_next_time():
    with pytest.raises(BindingError, match="settings has no attribute nowhere"):
        read_attribute(module_of(LAZY), "nowhere")


def test_a_bound_name_of_a_module_with_getattr_is_read_without_asking_it():
    module, probe = module_probe("X", "def __getattr__(name): raise RuntimeError(name)", X=1)
    assert probe.value() == 1
    module.X = 2
    assert probe.value() == 2


def test_a_module_of_a_class_with_a_property_of_that_name_is_refused():
    class Computed(types.ModuleType):
        @property
        def X(self):  # noqa: N802
            return object()

    module = Computed("computed")
    module.Y = 1
    with pytest.raises(BindingError, match=r"computed\.X is computed by class .*Computed"):
        read_attribute(module, "X")
    assert read_attribute(module, "Y").value == 1


@pytest.mark.parametrize("name", ["__getattr__", "__getattribute__"])
def test_a_module_of_a_class_that_replaces_reading_is_refused(name):
    module = type("Computed", (types.ModuleType,), {name: lambda self, name: object()})("computed")  # noqa: ARG005
    with pytest.raises(BindingError, match="is computed by class"):
        read_attribute(module, "X")


def test_attributes_of_anything_else_are_refused():
    for container in (3, object(), Tile(1, 1.0), [], len):
        with pytest.raises(BindingError, match="only attributes of modules and classes"):
            read_attribute(container, "X")


def test_reloading_a_real_module(tmp_path, monkeypatch, request):
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    path = tmp_path / "smelt_reloaded.py"
    path.write_text("X = 2.5\nT = (1, 'a')\ndef helper(): return 1\n")
    module = importlib.import_module("smelt_reloaded")
    request.addfinalizer(lambda: sys.modules.pop("smelt_reloaded"))
    cache = CodeCache()
    constant, pair, function = (
        Probe(lambda name=name: read_attribute(module, name), cache) for name in ("X", "T", "helper")
    )
    assert (constant.value(), pair.value(), function.value()) == (2.5, (1, "a"), module.helper)
    before = module.helper

    importlib.reload(module)
    assert constant.is_cached()
    assert pair.is_cached()
    assert not function.is_cached(), "a new function is another constant, whatever its source"
    assert function.value() is module.helper is not before

    path.write_text("X = 3.5\nT = (1, 'a')\ndef helper(): return 1  # and longer\n")
    importlib.invalidate_caches()
    importlib.reload(module)
    assert not constant.is_cached()
    assert pair.is_cached()
    assert (constant.value(), pair.makes) == (3.5, 1)


# Classes


def class_probe(cls: type, name: str) -> Probe:
    return Probe(lambda: read_attribute(cls, name))


class Base:
    size = 1

    def area(self):
        return self.size


def hierarchy() -> tuple[type, type, type]:
    bottom = type("Bottom", (), {"size": 1})
    middle = type("Middle", (bottom,), {})
    return bottom, middle, type("Top", (middle,), {})


def test_an_attribute_of_a_class_itself():
    cls = type("Settings", (), {"size": 1, "other": 1})
    probe = class_probe(cls, "size")
    assert probe.value() == 1
    cls.other = 2
    cls.new = 2
    cls.size = 1
    assert probe.is_cached()
    cls.size = 2
    assert not probe.is_cached()
    assert probe.value() == 2
    del cls.size
    assert probe.value() is MISSING
    cls.size = 3
    assert probe.value() == 3


def test_a_store_to_a_class_that_the_interpreter_has_specialised():
    cls = type("Settings", (), {"size": -1})
    probe = class_probe(cls, "size")
    probe.value()
    for number in range(40):
        cls.size = number
        assert probe.value() == number


def test_an_inherited_attribute_that_changes_where_it_is():
    bottom, _, top = hierarchy()
    probe = class_probe(top, "size")
    assert probe.value() == 1
    bottom.size = 2
    assert not probe.is_cached()
    assert probe.value() == 2
    del bottom.size
    assert probe.value() is MISSING


@pytest.mark.parametrize("where", [1, 2], ids=["in between", "at the top"])
def test_an_override_that_is_defined_later_and_deleted_again(where):
    classes = hierarchy()
    probe = class_probe(classes[2], "size")
    assert probe.value() == 1
    classes[where].size = 5
    assert not probe.is_cached()
    assert probe.value() == 5
    classes[0].size = 9
    assert probe.is_cached(), "what is overridden doesn't matter"
    del classes[where].size
    assert not probe.is_cached()
    assert probe.value() == 9


def test_other_bases_are_a_change_where_they_hold_another_value():
    other = type("Other", (), {"size": 7})
    bottom, middle, top = hierarchy()
    probe = class_probe(top, "size")
    assert probe.value() == 1
    middle.__bases__ = (other,)
    assert not probe.is_cached()
    assert probe.value() == 7
    bottom.size = 3
    assert probe.is_cached()
    other.size = 8
    assert probe.value() == 8


def test_bases_that_are_assigned_as_they_were_invalidate_nothing():
    _, middle, top = hierarchy()
    probe = class_probe(top, "size")
    probe.value()
    middle.__bases__ = tuple(middle.__bases__)
    assert probe.is_cached()
    assert probe.value() == 1
    assert probe.makes == 1


def test_several_bases_are_searched_in_their_order():
    left, right = type("Left", (), {}), type("Right", (), {"size": 2})
    both = type("Both", (left, right), {})
    probe = class_probe(both, "size")
    assert probe.value() == 2
    left.size = 1
    assert probe.value() == 1
    both.__bases__ = (right, left)
    assert probe.value() == 2


def test_a_missing_attribute_of_a_class_appears_in_any_of_its_bases():
    for where in range(3):
        classes = hierarchy()
        probe = class_probe(classes[2], "height")
        assert probe.value() is MISSING
        classes[where].height = where
        assert not probe.is_cached()
        assert probe.value() == where


def test_a_method_that_is_replaced():
    class Shape(Base):
        pass

    probe = class_probe(Shape, "area")
    assert probe.value() is Base.area
    Shape.area = area = lambda self: 2  # noqa: ARG005
    assert probe.value() is area


def test_the_object_in_the_class_body_is_what_is_read():
    class Shape:
        static = staticmethod(len)
        of_class = classmethod(len)
        computed = property(len)

    for name, kind in (("static", staticmethod), ("of_class", classmethod), ("computed", property)):
        probe = class_probe(Shape, name)
        assert type(probe.value()) is kind
        setattr(Shape, name, kind(len))
        assert not probe.is_cached(), "another descriptor"


def test_built_in_classes_are_read_and_depend_on_nothing():
    observed = read_attribute(int, "bit_length")
    assert observed.value is int.__dict__["bit_length"]
    assert observed.edges == ()
    assert read_attribute(int, "nowhere") == (MISSING, ())


def test_a_subclass_of_a_built_in_class_depends_on_what_it_may_override():
    cls = type("Number", (int,), {})
    probe = class_probe(cls, "bit_length")
    assert probe.value() is int.__dict__["bit_length"]
    cls.bit_length = 3
    assert probe.value() == 3


def test_an_enum_member_is_an_attribute_of_its_class():
    class Mode(enum.Enum):
        FAST = 1
        SLOW = 2

    probe = class_probe(Mode, "FAST")
    member = probe.value()
    assert member is Mode.FAST or getattr(member, "member", None) is Mode.FAST
    Mode.note = "unrelated"
    assert probe.is_cached()
    type.__setattr__(Mode, "FAST", Mode.SLOW)
    assert not probe.is_cached()


def test_an_enum_that_is_defined_again_is_another_constant():
    source = "import enum\nclass Mode(enum.Enum):\n    FAST = {}\n"
    module, probe = global_probe("Mode", source.format(1))
    assert probe.value() is module.Mode
    exec(source.format(2), vars(module))
    assert not probe.is_cached()
    assert probe.value().FAST.value == 2


def test_an_attribute_that_a_metaclass_computes_is_refused():
    class Meta(type):
        @property
        def size(cls):
            return object()

    class Late(type):
        def __getattr__(cls, name):
            return object()

    class Early(type):
        def __getattribute__(cls, name):
            return object()

    for meta, name in ((Meta, "size"), (Late, "size"), (Early, "size"), (Early, "anything")):
        cls = meta("Computed", (), {"size": 1} if meta is not Late else {})
        with pytest.raises(BindingError, match=rf"Computed.*\.{name} is computed by its metaclass"):
            read_attribute(cls, name)


def test_an_attribute_that_stands_before_what_a_metaclass_computes_is_read():
    class Late(type):
        size = 3

        def __getattr__(cls, name):
            return object()

    cls = Late("Settings", (), {"size": 1})
    probe = class_probe(cls, "size")
    assert probe.value() == 1
    cls.size = 2
    assert probe.value() == 2
    with pytest.raises(BindingError, match="computed"):
        read_attribute(Late("Settings", (), {}), "size")


def test_an_abstract_class_is_a_class():
    class Shape(abc.ABC):
        size = 1

        @abc.abstractmethod
        def area(self): ...

    probe = class_probe(Shape, "size")
    assert probe.value() == 1
    Shape.size = 2
    assert probe.value() == 2


# Closure cells


def counter(start: object) -> tuple[Callable[[], object], Callable[[object], None], Callable[[], None]]:
    value = start

    def read() -> object:
        return value

    def write(new: object) -> None:
        nonlocal value
        value = new

    def unbind() -> None:
        nonlocal value
        del value

    return read, write, unbind


def test_a_captured_variable_is_rebound_through_nonlocal():
    read, write, _ = counter(1)
    probe = Probe(lambda: read_cell(read, "value"))
    assert probe.value() == 1
    write(2)
    assert not probe.is_cached()
    assert probe.value() == 2
    write(2.0)
    assert not probe.is_cached()
    assert probe.value() == 2.0
    assert probe.makes == 3


def test_a_captured_variable_that_is_rebound_to_an_equal_constant_changes_nothing():
    read, write, _ = counter((1, 10**20))
    probe = Probe(lambda: read_cell(read, "value"))
    first = probe.value()
    write((1, 10**20 + len([])))
    assert probe.is_cached()
    assert probe.value() is first
    write((1, 10**20 + 1))
    assert not probe.is_cached()


def test_a_cell_that_is_emptied_and_filled():
    read, write, unbind = counter(None)
    probe = Probe(lambda: read_cell(read, "value"))
    assert probe.value() is None
    unbind()
    assert not probe.is_cached()
    assert probe.value() is MISSING
    assert probe.is_cached()
    write(None)
    assert not probe.is_cached()
    assert probe.value() is None


def test_the_cell_contents_can_be_set_from_outside():
    read, _, _ = counter(1)
    probe = Probe(lambda: read_cell(read, "value"))
    assert probe.value() == 1
    read.__closure__[0].cell_contents = 5
    assert probe.value() == 5


def test_two_closures_of_one_factory_have_cells_of_their_own():
    (first, write_first, _), (second, _, _) = counter(1), counter(1)
    cache = CodeCache()
    probes = [Probe(lambda function=function: read_cell(function, "value"), cache) for function in (first, second)]
    assert [probe.value() for probe in probes] == [1, 1]
    write_first(2)
    assert [probe.is_cached() for probe in probes] == [False, True]


def test_a_variable_that_is_not_captured_is_refused_by_name():
    read, _, _ = counter(1)
    with pytest.raises(BindingError, match=r"counter.<locals>.read captures no variable 'other'"):
        read_cell(read, "other")
    with pytest.raises(BindingError, match="captures no variable"):
        read_cell(counter, "value")
    with pytest.raises(BindingError, match="no Python function"):
        read_cell(len, "value")


# Defaults and code


def function_with_defaults() -> types.FunctionType:
    def function(a, b=1, c=2, *rest, d, e=3, f=4, **more):
        return a, b, c, rest, d, e, f, more

    return function


def default_probe(function: types.FunctionType, parameter: str, cache: CodeCache | None = None) -> Probe:
    return Probe(lambda: read_default(function, parameter), cache)


def test_defaults_are_read_as_python_fills_them_in():
    function = function_with_defaults()
    found = {name: read_default(function, name).value for name in "abcdef"}
    assert found == {"a": MISSING, "b": 1, "c": 2, "d": MISSING, "e": 3, "f": 4}
    for name in ("rest", "more", "nowhere"):
        with pytest.raises(BindingError, match=f"no parameter '{name}'"):
            read_default(function, name)
    with pytest.raises(BindingError, match="no Python function"):
        read_default(len, "obj")


def test_only_the_default_that_is_used_matters():
    function = function_with_defaults()
    probes = {name: default_probe(function, name) for name in "abc"}
    assert [probe.value() for probe in probes.values()] == [MISSING, 1, 2]
    function.__defaults__ = (1, 9)
    assert {name: probe.is_cached() for name, probe in probes.items()} == {"a": True, "b": True, "c": False}
    assert probes["c"].value() == 9
    function.__defaults__ = (0, 1, 9)
    assert {name: probe.is_cached() for name, probe in probes.items()} == {"a": False, "b": True, "c": True}
    assert probes["a"].value() == 0
    function.__defaults__ = None
    assert [probe.value() for probe in probes.values()] == [MISSING] * 3


def test_keyword_only_defaults_are_replaced():
    function = function_with_defaults()
    cache = CodeCache()
    used, other, none = (default_probe(function, name, cache) for name in "efd")
    assert (used.value(), other.value(), none.value()) == (3, 4, MISSING)
    function.__kwdefaults__ = {"e": 30, "f": 4}
    assert not used.is_cached()
    assert (used.value(), other.value(), none.value()) == (30, 4, MISSING)
    function.__kwdefaults__ = {"d": 1, "e": 30}
    assert (used.value(), other.value(), none.value()) == (30, MISSING, 1)
    function.__kwdefaults__ = None
    assert (used.value(), other.value(), none.value()) == (MISSING, MISSING, MISSING)
    function.__kwdefaults__ = {"e": 5}
    assert used.value() == 5


def test_keyword_only_defaults_are_changed_in_place():
    function = function_with_defaults()
    used = default_probe(function, "e")
    other = default_probe(function, "f")
    assert (used.value(), other.value()) == (3, 4)
    function.__kwdefaults__["e"] = 30
    assert (used.is_cached(), other.is_cached()) == (False, True)
    assert used.value() == 30
    del function.__kwdefaults__["e"]
    assert used.value() is MISSING
    function.__kwdefaults__.clear()
    assert other.value() is MISSING
    function.__kwdefaults__["e"] = 1
    assert used.value() == 1


def test_a_replaced_dict_of_keyword_defaults_is_the_one_that_counts_from_then_on():
    function = function_with_defaults()
    probe = default_probe(function, "e")
    assert probe.value() == 3
    old, new = function.__kwdefaults__, {"e": 3}
    function.__kwdefaults__ = new
    assert probe.value() == 3
    new["e"] = 5
    assert not probe.is_cached()
    assert probe.value() == 5
    old["e"] = 6
    assert probe.is_cached()
    assert probe.value() == 5


def test_keyword_defaults_that_appear_empty_and_are_filled_in_place():
    def function(*, e):
        return e

    probe = default_probe(function, "e")
    assert probe.value() is MISSING
    function.__kwdefaults__ = {}
    assert probe.value() is MISSING
    function.__kwdefaults__["e"] = 1
    assert not probe.is_cached()
    assert probe.value() == function() == 1
    function.__kwdefaults__ = None
    assert probe.value() is MISSING


def test_equal_defaults_change_nothing():
    function = function_with_defaults()
    positional, keyword = default_probe(function, "b"), default_probe(function, "e")
    assert (positional.value(), keyword.value()) == (1, 3)
    function.__defaults__ = (*function.__defaults__[:1], 2)
    function.__kwdefaults__["e"] = 1 + len("ab")
    assert positional.is_cached()
    assert keyword.is_cached()
    function.__defaults__ = (1.0, 2)
    assert not positional.is_cached()


def test_the_code_of_a_function_is_replaced():
    function, other = function_with_defaults(), lambda: 1
    probe = Probe(lambda: read_code(function))
    original = function.__code__
    assert probe.value() is original
    function.__defaults__ = (7, 8)
    function.__doc__ = "other"
    function.attribute = 1
    assert probe.is_cached()
    function.__code__ = other.__code__
    assert not probe.is_cached()
    assert probe.value() is other.__code__
    function.__code__ = original
    assert probe.value() is original
    with pytest.raises(BindingError, match="no Python function"):
        read_code(len)


def test_a_keyword_of_a_partial_object_changes():
    bound = functools.partial(max, key=abs, default=1)
    probe, missing = (Probe(lambda name=name: read_keyword(bound, name)) for name in ("default", "other"))
    assert probe.value() == 1
    assert missing.value() is MISSING
    bound.keywords["key"] = len
    assert probe.is_cached()
    bound.keywords["default"] = 2
    assert not probe.is_cached()
    assert probe.value() == 2
    bound.keywords["other"] = 3
    assert probe.is_cached()
    assert missing.value() == 3
    bound.keywords.clear()
    assert probe.value() is missing.value() is MISSING


def test_a_default_is_found_anew_when_the_code_names_its_parameters_otherwise():
    def function(a, b=1):
        return a, b

    probe = default_probe(function, "b")
    assert probe.value() == 1
    function.__code__ = (lambda b, a: (a, b)).__code__
    assert function(5) == (1, 5)
    assert not probe.is_cached()
    assert probe.value() is MISSING


def test_code_made_from_a_python_function_depends_on_its_code_without_an_edge():
    def function():
        return 1

    cache = CodeCache()
    table = MethodTable("functions", cache=cache)
    add_method(table, function, (), function)
    instance = table.method_instance(function, ())
    view = CacheView("tests", Kept, cache=cache)
    code = view.get_or_create(instance, lambda view, instance: view.code_instance(instance))
    assert view.get(instance) is code
    function.__code__ = (lambda: 2).__code__
    assert view.get(instance) is None
    assert "function.__code__ was rebound" in cache.why(instance)[0]
