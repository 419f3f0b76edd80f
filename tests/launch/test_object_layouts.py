# SPDX-License-Identifier: Apache-2.0
"""What compiled launches expect of objects is held against real ones."""

from __future__ import annotations

import sys

import pytest

from smelt.targets.native.launching import object_layouts


def are_as_expected():
    return object_layouts.are_as_expected.__wrapped__()


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="this is not CPython")
@pytest.mark.skipif(not getattr(sys, "_is_gil_enabled", lambda: True)(), reason="this Python has no interpreter lock")
def test_on_cpython_they_are():
    assert are_as_expected()


@pytest.mark.parametrize(
    "name",
    [
        "OBJECT_TYPE",
        "CTYPES_MEMORY",
        "SCALAR_VALUE",
        "ARRAY_DATA",
        "ARRAY_DIMENSIONS",
        "ARRAY_DTYPE",
        "ARRAY_FLAGS",
        "DTYPE_BYTE_ORDER",
        "DTYPE_NUMBER",
        "DTYPE_ITEM_BYTES",
    ],
)
def test_a_number_that_is_wrong_is_found(monkeypatch, name):
    # By a word that is readable and holds something else.
    there = getattr(object_layouts, name)
    monkeypatch.setattr(object_layouts, name, 0 if there else 8)
    assert not are_as_expected()


@pytest.mark.parametrize("name", ["C_CONTIGUOUS", "F_CONTIGUOUS", "ALIGNED", "WRITEABLE"])
def test_a_flag_that_is_wrong_is_found(monkeypatch, name):
    monkeypatch.setattr(object_layouts, name, 0x800)
    assert not are_as_expected()


def test_extents_that_are_swapped_are_found(monkeypatch):
    monkeypatch.setattr(object_layouts, "_EXTENTS", (object_layouts.ARRAY_STRIDES, object_layouts.ARRAY_SHAPE))
    assert not are_as_expected()


def test_without_an_interpreter_lock_or_cpython_they_are_not(monkeypatch):
    monkeypatch.setattr(object_layouts, "_has_interpreter_lock", lambda: False)
    assert not are_as_expected()
    monkeypatch.undo()
    monkeypatch.setattr(sys.implementation, "name", "another")
    assert not are_as_expected()


def test_what_stubs_are_made_for_names_both_interfaces():
    python, platform, numpy = object_layouts.interface_versions()
    assert str(sys.implementation.cache_tag) in python
    assert sys.platform in platform
    assert numpy == "numpy 2"


def test_types_of_one_size_have_all_their_numbers():
    assert object_layouts.type_numbers("float32") == (11,)
    assert len(object_layouts.type_numbers("int64")) == 2
    assert len(object_layouts.scalar_classes("int64")) == 2
