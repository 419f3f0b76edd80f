# SPDX-License-Identifier: Apache-2.0
"""Philox4x32-10: the published numbers, in kernels and on the host, and what is made of them."""

from __future__ import annotations

import numpy as np
import pytest

import smelt

pytestmark = pytest.mark.once

# Random123, tests/kat_vectors: philox 4x32 with 10 rounds; counter, key and what comes out.
VECTORS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@smelt.kernel
def four(out, key, counter):
    out[0], out[1], out[2], out[3] = smelt.philox(key, counter)


@smelt.kernel
def streams(uniform, normal, bits, seed):
    i = smelt.grid(1)
    uniform[i] = smelt.random_uniform(seed, i)
    normal[i] = smelt.random_normal(seed, i)
    bits[i] = smelt.random_bits(seed, i)


@pytest.mark.parametrize(("counter", "key", "expected"), VECTORS)
def test_philox_gives_the_published_numbers(counter, key, expected):
    out = np.zeros(4, np.uint32)
    four[1](out, key, counter)
    assert tuple(out) == expected
    assert smelt.philox(key, counter) == expected


def test_kernels_and_the_host_see_the_same_stream():
    uniform, normal, bits = np.zeros(64, np.float32), np.zeros(64, np.float32), np.zeros(64, np.uint32)
    streams[64](uniform, normal, bits, 12345)
    assert list(bits) == [smelt.random_bits(12345, i) for i in range(64)]
    assert list(uniform) == [smelt.random_uniform(12345, i) for i in range(64)]
    np.testing.assert_allclose(normal, [smelt.random_normal(12345, i) for i in range(64)], rtol=1e-5, atol=1e-6)
    first = smelt.philox((12345, 0), (0, 0, 0, 0))
    assert list(bits[:4]) == list(first)


def test_random_numbers_have_the_moments_of_their_distributions():
    count = 100_000
    uniform, normal, bits = np.zeros(count, np.float32), np.zeros(count, np.float32), np.zeros(count, np.uint32)
    streams[count](uniform, normal, bits, 7)
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert abs(uniform.mean() - 0.5) < 0.005
    assert abs(uniform.var() - 1 / 12) < 0.002
    assert abs(normal.mean()) < 0.015
    assert abs(normal.std() - 1) < 0.015
    assert abs((np.abs(normal) < 1).mean() - 0.6827) < 0.01
    assert len(np.unique(bits)) > count * 0.9999
    assert abs(np.corrcoef(uniform[:-1], uniform[1:])[0, 1]) < 0.015
    other = np.zeros(count, np.float32)
    streams[count](other, normal, bits, 8)
    assert abs(np.corrcoef(uniform, other)[0, 1]) < 0.015
