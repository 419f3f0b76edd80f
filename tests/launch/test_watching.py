# SPDX-License-Identifier: Apache-2.0
"""The compiled dict watcher: it passes on what is watched, however it is changed, and nothing else."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest

import smelt
from smelt import _wiring
from smelt.caching import publishing, watching
from smelt.caching.namespaces import WatchedNamespace
from smelt.targets.native.launching import object_layouts

pytestmark = [
    pytest.mark.skipif(not watching.is_available(), reason="this Python has no dict watchers"),
    pytest.mark.skipif(not object_layouts.are_as_expected(), reason="this Python has no compiled launches"),
]

WATCHED = 1
UNRELATED = 1


@pytest.fixture(autouse=True)
def are_watched(monkeypatch):
    """Namespaces are watched, also where this Python has a safer way."""
    monkeypatch.setattr(publishing, "best_namespace", lambda: WatchedNamespace)


@smelt.kernel
def reads(out):
    out[0] = WATCHED


@pytest.fixture
def calls():
    """The calls of the callback in Python, while the test runs."""
    out = np.zeros(1)
    reads[1](out)
    assert _wiring.stubs() is not None
    seen = []

    def profile(frame, event, _):
        if event == "call" and frame.f_code is watching._on_event.__code__:
            seen.append(frame.f_locals["event"])

    before = sys.getprofile()
    sys.setprofile(profile)
    yield seen
    sys.setprofile(before)


@pytest.fixture
def namespace():
    """The globals, put back afterwards."""
    before = WATCHED, UNRELATED
    yield globals()
    globals()["WATCHED"], globals()["UNRELATED"] = before


def launched():
    out = np.zeros(1)
    reads[1](out)
    return out[0]


def test_a_name_that_is_not_watched_does_not_enter_python(calls, namespace):
    global UNRELATED
    for UNRELATED in range(100):  # noqa: B007 - the store is what is tested
        namespace["ANOTHER"] = 1
        del namespace["ANOTHER"]
    namespace.update(UNRELATED=5)
    assert calls == []


def spelt(name):
    """An equal string that is another object than the one that the compiler has interned."""
    return "".join(list(name))


class Name(str):
    """A string that is equal to another one, and hashes otherwise."""

    __slots__ = ()

    def __hash__(self):
        return 1


@pytest.mark.parametrize(
    "rebind",
    [
        lambda namespace: namespace.__setitem__("WATCHED", 7),
        lambda namespace: namespace.__setitem__(spelt("WATCHED"), 7),
        lambda namespace: namespace.update(WATCHED=7),
        lambda namespace: namespace.update({spelt("WATCHED"): 7}),
        lambda _: setattr(sys.modules[__name__], "WATCHED", 7),
        lambda namespace: namespace.__ior__({"WATCHED": 7}),
        lambda namespace: (namespace.pop("WATCHED"), namespace.setdefault("WATCHED", 7)),
    ],
)
def test_a_name_that_is_watched_is_told_of_however_it_is_rebound(calls, namespace, rebind):
    assert launched() == 1
    calls.clear()
    rebind(namespace)
    assert calls
    assert launched() == 7


def test_a_key_that_is_no_plain_string_is_left_to_python(calls, namespace):
    calls.clear()
    namespace[Name("STRANGE")] = 1
    namespace[3] = 1
    assert len(calls) == 2
    del namespace[Name("STRANGE")], namespace[3]


def test_a_dict_that_is_cleared_is_told_of(calls):
    values = {"__builtins__": __builtins__, "smelt": smelt}
    namespace = {**values, "WATCHED": 5}
    # Kernels are read from their sources, so its code is that of one here.
    kernel = smelt.kernel(types.FunctionType(reads.function.__code__, namespace))
    out = np.zeros(1)
    kernel[1](out)
    assert out[0] == 5
    calls.clear()
    namespace.clear()
    assert calls
    namespace.update(values, WATCHED=6)
    kernel[1](out)
    assert out[0] == 6


def test_what_is_watched_no_longer_does_not_enter_python(calls, namespace):
    assert launched() == 1
    namespace["WATCHED"] = 2
    calls.clear()
    namespace["WATCHED"] = 3
    namespace["WATCHED"] = 4
    assert calls == []
    assert launched() == 4
