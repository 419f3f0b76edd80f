# SPDX-License-Identifier: Apache-2.0
"""Values in files: what is written is read back, with its type, and nothing but values is ever made."""

from __future__ import annotations

import contextlib
import enum
import math
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from smelt.caching import StoreError, constant_key
from smelt.sessions.container import digest
from smelt.sessions.values import EncodingError, Vocabulary


@dataclass(frozen=True)
class Point:
    x: int
    label: Any


class Colour(enum.Enum):
    RED = 1


VOCABULARY = Vocabulary((Point, Colour))

atoms = st.none() | st.booleans() | st.integers() | st.floats() | st.complex_numbers() | st.text() | st.binary()
values = st.recursive(
    atoms | st.just(Colour.RED),
    lambda inner: st.lists(inner, max_size=4).map(tuple) | st.builds(Point, st.integers(), inner),
    max_leaves=12,
)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(values)
def test_a_value_is_read_back_as_it_was(value):
    read = VOCABULARY.decode(VOCABULARY.encode(value))
    assert constant_key(read) == constant_key(value)


def test_numbers_keep_their_type_and_their_bits():
    values = (1, 1.0, True, 0.0, -0.0, math.nan, 2**100, -(2**100), "\ud800", 1j)
    assert constant_key(VOCABULARY.decode(VOCABULARY.encode(values))) == constant_key(values)


def test_long_bytes_become_blobs_that_are_shared():
    blobs = {}
    encoded = VOCABULARY.encode((b"x" * 5000, b"x" * 5000, b"short"), blobs)
    assert len(encoded) < 200
    assert blobs == {digest(b"x" * 5000): b"x" * 5000}
    assert VOCABULARY.decode(encoded, blobs.__getitem__) == (b"x" * 5000, b"x" * 5000, b"short")
    with pytest.raises(EncodingError, match="refers to a blob where there is none"):
        VOCABULARY.decode(encoded)


@pytest.mark.parametrize("value", [[1], {1: 2}, object(), len, (1, [2]), Vocabulary])
def test_other_objects_are_refused(value):
    with pytest.raises(EncodingError, match=r"an object of class .* can't be written to a file"):
        VOCABULARY.encode(value)


def test_a_class_of_the_same_name_is_another():
    with pytest.raises(EncodingError, match="can't be written"):
        VOCABULARY.encode(dataclass(frozen=True)(type("Point", (), {}))())
    with pytest.raises(ValueError, match="two classes of the vocabulary are called Point"):
        Vocabulary((Point, type("Point", (), {})))


def test_names_in_a_file_make_nothing_that_is_not_in_the_vocabulary():
    encoded = VOCABULARY.encode(Point(1, Colour.RED))
    with pytest.raises(EncodingError, match="there is no Point"):
        Vocabulary((Colour,)).decode(encoded)
    with pytest.raises(EncodingError, match=r"there is no Colour\.RED"):
        Vocabulary((Point,)).decode(encoded)
    with pytest.raises(EncodingError, match=r"there is no Colour\.BLUE"):
        VOCABULARY.decode(encoded.replace(b"\3\0\0\0RED", b"\4\0\0\0BLUE"))


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"", "no value"),
        (b"q\0\0\0\0", "no value begins with"),
        (b"i\xff\xff\xff\xff", "ends too early"),
        (b"t\xff\xff\xff\xff", "no value"),
        (b"n\1\0\0\0x", "None has no content"),
        (b"b\1\0\0\0\7", "a boolean is one byte"),
        (b"f\1\0\0\0x", "no value"),
        (b"n\0\0\0\0n", "something follows"),
        (b"t\1\0\0\0" * 200 + b"n\0\0\0\0", "nested too deeply"),
    ],
)
def test_what_is_no_value_is_refused(payload, message):
    with pytest.raises(EncodingError, match=message):
        VOCABULARY.decode(payload)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(values, st.integers(0, 10**6), st.binary(min_size=1, max_size=3))
def test_damaged_bytes_give_a_value_or_an_error_of_the_store(value, at, junk):
    encoded = bytearray(VOCABULARY.encode(value))
    at %= len(encoded)
    encoded[at : at + len(junk)] = junk
    with contextlib.suppress(StoreError):
        VOCABULARY.encode(VOCABULARY.decode(bytes(encoded)))
