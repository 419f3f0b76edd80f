# SPDX-License-Identifier: Apache-2.0
"""Numbers that threads count up together: by `+=` on an attribute two threads may come to the same number."""

from __future__ import annotations

import threading

from smelt.caching.locking import hold_over_forks

# One for all: what is counted is rare. It is held by nobody in the child of a fork.
_lock = threading.RLock()
hold_over_forks(_lock)


class Counter:
    """How often something has happened.

    Attributes
    ----------
    value
        The number.
    """

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0

    def count(self) -> None:
        """It has happened once more."""
        with _lock:
            self.value += 1
