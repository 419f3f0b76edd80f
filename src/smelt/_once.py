# SPDX-License-Identifier: Apache-2.0
"""What there is one of in a process, made when it is first asked for."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def once(make: Callable[..., T]) -> functools._lru_cache_wrapper[T]:
    """A function that gives the same object each time, for each tuple of arguments, also where several threads ask first at once.

    Each of these threads may call `make`, for no lock is held meanwhile: it imports modules, which may ask for such objects themselves.
    What one thread made is given to all, and the rest is dropped.
    """
    made: dict[tuple[object, ...], T] = {}

    @functools.cache
    @functools.wraps(make)
    def get(*arguments: Any) -> T:
        return made.setdefault(arguments, make(*arguments))

    return get
