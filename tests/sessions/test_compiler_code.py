# SPDX-License-Identifier: Apache-2.0
"""What depends on the compiler alone: launch stubs and the runtime library, in the store and in images."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from smelt.caching import FunctionTable, Results, StoreWarning, portable, session_local
from smelt.caching.digests import digest
from smelt.runtime import integers
from smelt.sessions.compiler_code import CompilerCode, compiler_code
from smelt.sessions.container import Container, write_container
from smelt.sessions.directory import Directory
from smelt.sessions.fingerprints import Fingerprints
from smelt.sessions.images import Image, image_bytes
from smelt.types import Constant, float32, int64

pytestmark = pytest.mark.once


class Code(Results):
    text: str = portable(default="")
    blob: bytes = portable(default=b"")
    sources: tuple = session_local(factory=tuple, is_named=True)


class OtherCode(Results):
    text: str = portable(default="")


@pytest.fixture(scope="module")
def fingerprints(tmp_path_factory):
    return Fingerprints(Directory(tmp_path_factory.mktemp("fingerprints") / "store"))


@pytest.fixture
def directory(tmp_path):
    return Directory(tmp_path / "store")


@pytest.fixture
def store(directory, fingerprints):
    return CompilerCode(directory, fingerprints)


def instance_of(function, *kinds):
    return FunctionTable("table").method_instance(function, kinds)


COMBINATIONS = instance_of(integers.combinations, int64, int64)


def code(text="x", **more):
    return Code(text=text, **more)


def test_what_is_kept_is_found_again_with_the_functions_that_it_names(store):
    sources = (integers.combinations, integers.permutations)
    store.save_results(code(blob=b"b" * 1000, sources=sources), COMBINATIONS, ("owner", 1))
    found = store.load_results(Code, COMBINATIONS, ("owner", 1))
    assert (found.text, found.blob, found.sources) == ("x", b"b" * 1000, sources)


@pytest.mark.parametrize(
    ("instance", "owner"),
    [
        (COMBINATIONS, ("owner", 1.0)),
        (COMBINATIONS, ("another", 1)),
        (instance_of(integers.combinations, int64, float32), ("owner", 1)),
        (instance_of(integers.permutations, int64, int64), ("owner", 1)),
    ],
)
def test_another_owner_other_types_and_another_function_have_others(store, instance, owner):
    store.save_results(code(), COMBINATIONS, ("owner", 1))
    assert store.load_results(Code, instance, owner) is None
    store.save_results(code("other"), instance, owner)
    assert store.load_results(Code, COMBINATIONS, ("owner", 1)).text == "x"


def test_another_compiler_has_others(store, fingerprints, monkeypatch):
    store.save_results(code(), COMBINATIONS, "owner")
    monkeypatch.setattr(fingerprints, "of_compiler", lambda: bytes(32))
    assert store.load_results(Code, COMBINATIONS, "owner") is None


def test_what_has_no_name_in_other_processes_is_not_kept(store, directory):
    def local():
        pass

    store.save_results(code(), instance_of(integers.combinations, Constant(object())), "owner")
    store.save_results(code(sources=(local,)), COMBINATIONS, "owner")
    assert compiler_code(directory) == {}
    assert store.load_results(Code, instance_of(integers.combinations, Constant(object())), "owner") is None


def test_nothing_is_kept_while_the_compiler_is_being_changed(store, directory, fingerprints, monkeypatch):
    monkeypatch.setattr(fingerprints, "compiler_has_changed", lambda: True)
    store.save_results(code(), COMBINATIONS, "owner")
    assert compiler_code(directory) == {}


def file_of(directory):
    (path,) = Path(directory.path, "compiler").glob("*/*")
    return path


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:40], lambda _: b"", lambda b: b[:-5] + bytes(5)])
def test_a_damaged_file_costs_a_warning(store, directory, damage):
    store.save_results(code(), COMBINATIONS, "owner")
    path = file_of(directory)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.warns(StoreWarning, match="holds a damaged file, compiler/"):
        assert store.load_results(Code, COMBINATIONS, "owner") is None


def test_one_of_another_version_costs_none(store, directory):
    store.save_results(code(), COMBINATIONS, "owner")
    contents = bytearray(file_of(directory).read_bytes())
    contents[8] += 1
    file_of(directory).write_bytes(contents)
    assert store.load_results(Code, COMBINATIONS, "owner") is None


def test_results_of_another_class_are_not_made_of_it(store):
    store.save_results(code(), COMBINATIONS, "owner")
    with pytest.warns(StoreWarning, match="what was kept is no OtherCode"):
        assert store.load_results(OtherCode, COMBINATIONS, "owner") is None


def test_a_table_that_leads_to_the_code_of_another_key_leads_nowhere(store, directory):
    store.save_results(code(), COMBINATIONS, "owner")
    store.save_results(code("other"), COMBINATIONS, "another")
    (first, (one, _)), (second, (two, _)) = compiler_code(directory).items()
    swapped = Container(write_container({first: digest(two), second: digest(one)}, {digest(b): b for b in (one, two)}))
    images = CompilerCode(None, store._fingerprints, lambda: [swapped])
    assert images.load_results(Code, COMBINATIONS, "owner") is None
    assert images.load_results(Code, COMBINATIONS, "another") is None


def test_an_image_has_it_too(store, directory, fingerprints):
    store.save_results(code(blob=b"b" * 1000), COMBINATIONS, "owner")
    image = Image(image_bytes({}, {}, compiler_code(directory)), "somewhere")
    image.verify()
    damaged = Container(write_container({}, {}))
    images = CompilerCode(None, fingerprints, lambda: [damaged, image.container])
    assert images.load_results(Code, COMBINATIONS, "owner").blob == b"b" * 1000
    assert images.load_results(Code, COMBINATIONS, "another") is None
    # It is only looked into.
    images.save_results(code(), COMBINATIONS, "another")
    assert images.load_results(Code, COMBINATIONS, "another") is None


def test_where_there_is_neither_a_store_nor_an_image_the_compiler_is_not_even_fingerprinted(monkeypatch):
    fingerprints = Fingerprints(None)
    monkeypatch.setattr(fingerprints, "of_compiler", lambda: math.nan / 0)
    nothing = CompilerCode(None, fingerprints)
    assert nothing.load_results(Code, COMBINATIONS, "owner") is None
    nothing.save_results(code(), COMBINATIONS, "owner")
    assert repr(nothing) == "in images only"
