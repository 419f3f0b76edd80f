# SPDX-License-Identifier: Apache-2.0
"""The file format: what is written is read back, and nothing else ever is."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings, strategies as st

from smelt.sessions.container import Container, ContainerError, digest, write_container

BLOBS = [b"", b"one", b"two" * 1000]


def contained(blobs):
    return write_container({digest(b"key of " + blob): digest(blob) for blob in blobs}, {digest(b): b for b in blobs})


def test_blobs_are_found_by_key_and_by_digest():
    container = Container(contained(BLOBS))
    for blob in BLOBS:
        assert container.get(digest(b"key of " + blob)) == blob
        assert container.blob(digest(blob)) == blob
    assert container.get(digest(b"no key")) is None
    with pytest.raises(ContainerError, match="it has no blob"):
        container.blob(digest(b"no blob"))
    assert list(container.keys()) == sorted(digest(b"key of " + blob) for blob in BLOBS)
    container.verify()


def test_equal_blobs_are_kept_once():
    one = digest(b"x" * 10_000)
    written = write_container({digest(bytes([i])): one for i in range(100)}, {one: b"x" * 10_000})
    assert len(written) < 20_000


def test_the_bytes_depend_on_neither_order_nor_process():
    assert contained(BLOBS) == contained(BLOBS[::-1])
    assert contained(BLOBS)[:24] == b"\x89smelt\r\n" + struct.pack("<IIII", 1, 3, 3, 0)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda b: b[:10], "shorter than the header"),
        (lambda b: b"#!/bin/s" + b[8:], "no container"),
        (lambda b: b[:8] + struct.pack("<I", 2) + b[12:], "container of version 2, and this is made for version 1"),
        (lambda b: b[:12] + struct.pack("<I", 10**6) + b[16:], "tables do not fit"),
        (lambda b: b[:100], "tables do not fit"),
        (lambda b: b[:20] + struct.pack("<I", 1) + b[24:], "tables do not fit"),
    ],
)
def test_what_is_no_container_is_refused(damage, message):
    with pytest.raises(ContainerError, match=message):
        Container(damage(contained(BLOBS)))


@pytest.mark.parametrize("place", [(2**63, 2**62), (0, 2**40), (10, 1000), (10**6, 4)])
def test_a_blob_whose_place_is_wrong_is_refused(place):
    written = bytearray(contained([b"blob"]))
    written[24 + 64 + 32 : 24 + 64 + 48] = struct.pack("<QQ", *place)
    with pytest.raises(ContainerError, match="does not fit"):
        Container(bytes(written)).blob(digest(b"blob"))


def test_a_damaged_blob_is_refused():
    written = bytearray(contained([b"blob"]))
    written[-1] ^= 1
    container = Container(bytes(written))
    with pytest.raises(ContainerError, match="is damaged"):
        container.get(digest(b"key of blob"))
    with pytest.raises(ContainerError, match="is damaged"):
        container.verify()


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.data())
def test_whatever_is_done_to_the_bytes_no_wrong_blob_is_read(data):
    written = bytearray(contained(BLOBS))
    for _ in range(data.draw(st.integers(1, 3))):
        kind = data.draw(st.sampled_from(["flip", "cut", "extend", "zero", "swap"]))
        at = data.draw(st.integers(0, max(0, len(written) - 1)))
        if kind == "flip" and written:
            written[at] ^= 1 << data.draw(st.integers(0, 7))
        elif kind == "cut":
            del written[at:]
        elif kind == "extend":
            written += data.draw(st.binary(max_size=20))
        elif kind == "zero":
            written[at : at + 40] = bytes(len(written[at : at + 40]))
        else:
            written[at : at + 32], written[:32] = written[:32], written[at : at + 32]
    try:
        container = Container(bytes(written))
        found = [container.get(digest(b"key of " + blob)) for blob in BLOBS]
    except ContainerError:
        return
    # A key may be lost or lead to another blob, which says itself whose it is; bytes that nobody wrote are never read.
    assert set(found) <= {None, *BLOBS}
