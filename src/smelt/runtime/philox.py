# SPDX-License-Identifier: Apache-2.0
"""Random numbers made from a key and a counter: Philox4x32-10, the same stream on every target and on the host.

Source: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC11); constants and test vectors from their
library Random123 (include/Random123/philox.h, tests/kat_vectors).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

_ROUNDS = 10


def philox(key: tuple[Any, Any], counter: tuple[Any, Any, Any, Any]) -> tuple[Any, Any, Any, Any]:
    """Four random numbers of type uint32, for a key of two and a counter of four integers of which 32 bits are used."""
    mask = np.uint64(0xFFFFFFFF)
    key_0, key_1 = np.uint64(key[0]) & mask, np.uint64(key[1]) & mask
    a, b = np.uint64(counter[0]) & mask, np.uint64(counter[1]) & mask
    c, d = np.uint64(counter[2]) & mask, np.uint64(counter[3]) & mask
    for _ in range(_ROUNDS):
        first, second = np.uint64(0xD2511F53) * a, np.uint64(0xCD9E8D57) * c
        a, b, c, d = (second >> 32) ^ b ^ key_0, second & mask, (first >> 32) ^ d ^ key_1, first & mask
        # Weyl sequences: the golden ratio, and the root of 3 less 1.
        key_0, key_1 = (key_0 + 0x9E3779B9) & mask, (key_1 + 0xBB67AE85) & mask
    return np.uint32(a), np.uint32(b), np.uint32(c), np.uint32(d)


def random_bits(seed: int, index: int) -> Any:
    """The random number of type uint32 with this index in the stream of a seed, both integers of 64 bits."""
    seed_bits, place = np.uint64(seed), np.uint64(index)
    a, b, c, d = philox((seed_bits, seed_bits >> 32), (place >> 2, place >> 34, 0, 0))
    lane = place & 3
    return (a if lane == 0 else b) if lane < 2 else (c if lane == 2 else d)


def random_uniform(seed: int, index: int) -> Any:
    """A random float32, at least 0 and less than 1: one of the 2**24 multiples of 2**-24, all equally likely."""
    return np.float32(random_bits(seed, index) >> 8) * np.float32(2.0**-24)


def random_normal(seed: int, index: int) -> Any:
    """A random float32 from the standard normal distribution, by the method of Box and Muller.

    The bits behind it are the same on every target; its last digits are those of the target's logarithm and cosine. It uses a
    stream of its own: numbers with the same seed and index are independent of those of `random_uniform`.
    """
    seed_bits, place = np.uint64(seed), np.uint64(index)
    a, b, _, _ = philox((seed_bits, seed_bits >> 32), (place, place >> 32, 1, 0))
    # Never 0, which has no logarithm.
    radius = np.float32((a >> 8) + 1) * np.float32(2.0**-24)
    angle = np.float32(b >> 8) * np.float32(2.0**-24)
    return np.float32(np.sqrt(np.float32(-2) * np.log(radius)) * np.cos(np.float32(2 * math.pi) * angle))
