# SPDX-License-Identifier: Apache-2.0
"""How many threads work together, and in how much memory."""

from __future__ import annotations

import operator
from math import prod
from typing import Any

Sizes = tuple[int, int, int]
"""On the axes x, y and z."""

SIMD_WIDTH = 32
"""The threads of a simdgroup: what Apple's and NVIDIA's GPUs have."""

LONGEST_STRIP, SHORTEST_STRIP = 64, 8
"""How many threads of a row go through loops together on a processor, see `lowering.cutting.strips`."""

MOST_THREADS = 1024
"""Of a threadgroup: what both sorts of GPU can do."""

MOST_THREADGROUP_BYTES = 1 << 20
"""Of memory that the threads of a group share: far more than any GPU has, so it only keeps mistakes from taking all."""

MOST_THREAD_BYTES = 1 << 16
"""Of one array of a thread: it lies on the stack where the thread is alone."""


def group_size(given: Any) -> Sizes:
    """The size of a group, given as a number or as a tuple of up to three. Raises `ValueError` for what no group can be."""
    try:
        sizes = tuple(map(operator.index, given if isinstance(given, tuple) else (given,)))
    except TypeError:
        sizes = ()
    if not 1 <= len(sizes) <= len("xyz") or min(sizes) < 1:
        raise ValueError(
            f"threads_per_threadgroup is a positive integer or a tuple of one, two or three of them, not {given!r}"
        )
    if prod(sizes) > MOST_THREADS:
        raise ValueError(f"a group has at most {MOST_THREADS} threads, and {given!r} are {prod(sizes)}")
    x, y, z = (*sizes, 1, 1)[: len("xyz")]
    return x, y, z
