# SPDX-License-Identifier: Apache-2.0
"""Images by themselves: what is in one is found there, and nothing that stands in a wrong place."""

from __future__ import annotations

import errno
import mmap
import sys
from types import ModuleType, SimpleNamespace

import pytest

from smelt.caching.digests import digest
from smelt.compiler.config import CompilerConfig
from smelt.sessions import images
from smelt.sessions.container import Container, ContainerError, write_container
from smelt.sessions.directory import Directory
from smelt.sessions.entries import VOCABULARY, Entry, State, decode_entry, encode_entry
from smelt.sessions.fingerprints import Fingerprints, fingerprint_in, remembered_fingerprints
from smelt.sessions.images import Image, Images, image_bytes

pytestmark = pytest.mark.once

CODES = [digest(b"code of one"), digest(b"code of two")]
PRINTS = [digest(b"one"), digest(b"two")]


def test_fingerprints_are_found_by_the_digest_of_the_code():
    image = Image(image_bytes({}, dict(zip(CODES, PRINTS, strict=True))), "somewhere")
    image.verify()
    assert [image.fingerprint(code) for code in CODES] == PRINTS
    assert image.fingerprint(digest(b"another")) is None
    assert list(image.entries()) == []
    assert image.names(CODES[0]) == []


@pytest.mark.parametrize("blobs", [lambda one, two: (two, one), lambda one, two: (one[:-1], two + b"x")])
def test_a_fingerprint_in_a_wrong_place_or_of_a_wrong_length_is_none(blobs):
    changed = blobs(*(code + print_ for code, print_ in zip(CODES, PRINTS, strict=True)))
    names = dict(zip(CODES, map(digest, changed), strict=True))
    container = Container(write_container(names, {digest(blob): blob for blob in changed}))
    assert [fingerprint_in(container, code) for code in CODES] == [None, None]


@pytest.mark.parametrize("how", ["mapped", "on Windows", "on a file system that maps nothing"])
def test_an_image_is_mapped_or_read_whole_where_it_must_not_or_cannot_be(tmp_path, monkeypatch, how):
    def refused(*_, **__):
        raise OSError(errno.ENODEV, "no such device")

    if how == "on Windows":
        # There a file that somebody has mapped can't be replaced.
        monkeypatch.setattr(images, "sys", SimpleNamespace(platform="win32", modules=sys.modules))
    elif how != "mapped":
        monkeypatch.setattr(mmap, "mmap", refused)
    (tmp_path / "kernels.smelt.image").write_bytes(image_bytes({}, dict(zip(CODES, PRINTS, strict=True))))
    module = ModuleType("kernels")
    module.__file__ = str(tmp_path / "kernels.py")
    monkeypatch.setitem(sys.modules, "kernels", module)
    warned = []
    (image,) = Images(warned.append).of("kernels")
    assert [image.fingerprint(code) for code in CODES] == PRINTS
    assert type(image.container._buffer) is (memoryview if how == "mapped" else bytes)
    assert warned == []


def test_an_index_in_a_wrong_place_is_none():
    index = VOCABULARY.encode((CODES[0], (("name", PRINTS[0]),)))
    image = Image(write_container(dict.fromkeys(CODES, digest(index)), {digest(index): index}), "somewhere")
    assert image.names(CODES[0]) == ["name"]
    assert image.names(CODES[1]) == []
    # And what it leads to isn't there.
    assert image.entry(CODES[0], "name") is None
    assert image.entry(CODES[1], "name") is None
    assert list(image.entries()) == []


def test_what_is_no_entry_of_the_key_is_refused():
    empty = State("NativeResults", (), ())
    entry = Entry("f()", "m", "f", (), b"", PRINTS[0], PRINTS[1], (), (), empty, CompilerConfig(), b"")
    assert decode_entry(CODES[0], encode_entry(CODES[0], entry)) == entry
    for value in ((CODES[1], entry), (CODES[0], empty), (CODES[0],), entry, None):
        blob = VOCABULARY.encode(value)
        with pytest.raises(ContainerError, match="it holds no entry of this key"):
            decode_entry(CODES[0], write_container({CODES[0]: digest(blob)}, {digest(blob): blob}))
    with pytest.raises(ContainerError, match="it holds the entry of another key"):
        decode_entry(CODES[1], encode_entry(CODES[0], entry))


def test_in_the_store_it_is_no_other(tmp_path):
    directory = Directory(tmp_path / "store")
    made = Fingerprints(directory)
    kept = made.of(image_bytes), made.of(write_container)
    assert made.sources_read == 2
    again = Fingerprints(directory)
    assert (again.of(image_bytes), again.of(write_container), again.sources_read) == (*kept, 0)
    first, second = (
        tmp_path / "store" / f"fingerprints/{key[:1].hex()}/{key.hex()}" for key in remembered_fingerprints(directory)
    )
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)
    read = Fingerprints(directory)
    assert (read.of(image_bytes), read.of(write_container), read.sources_read) == (*kept, 2)


def test_the_bytes_depend_on_no_order():
    pairs = list(zip(CODES, PRINTS, strict=True))
    assert image_bytes({}, dict(pairs)) == image_bytes({}, dict(pairs[::-1]))
