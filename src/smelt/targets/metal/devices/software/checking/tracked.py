# SPDX-License-Identifier: Apache-2.0
"""The memory in which a launch notes who accessed which byte last, see `tracking`."""

from __future__ import annotations

import bisect
from collections.abc import Iterable

import numpy as np

_WORDS = 3
"""What is known of a byte."""


class Known:
    """What is known of each byte of the memory of a launch.

    Parameters
    ----------
    places
        The memory, as (address, bytes, parameter). Where two overlap the same is known of the bytes of both.
    group_bytes
        The bytes that a threadgroup shares.
    """

    def __init__(self, places: Iterable[tuple[int, int, int]], group_bytes: int) -> None:
        merged: list[list[int]] = []
        for address, nbytes, _ in sorted(places):
            if merged and address <= merged[-1][1]:
                merged[-1][1] = max(merged[-1][1], address + nbytes)
            else:
                merged.append([address, address + nbytes])
        self._begins = [begin for begin, _ in merged]
        # LIFETIME: as long as this, and so as the launch.
        self._words = [np.zeros(max(_WORDS * (end - begin), 1), np.int64) for begin, end in merged]
        self._group = np.zeros(max(_WORDS * group_bytes, 1), np.int64)

    def of(self, address: int) -> int:
        """Where what is known of the byte at this address is."""
        number = bisect.bisect_right(self._begins, address) - 1
        return int(self._words[number].ctypes.data) + 8 * _WORDS * (address - self._begins[number])

    def of_group(self, place: int) -> int:
        """The same for a byte of the memory of a threadgroup."""
        return int(self._group.ctypes.data) + 8 * _WORDS * place
