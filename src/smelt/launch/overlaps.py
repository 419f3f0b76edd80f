# SPDX-License-Identifier: Apache-2.0
"""Arrays that lie over each other: a launch in which the order of the threads would show is refused.

A kernel may be given one array twice: each thread then reads and writes its own elements of it. Where an array that is written and
another one share only some of their memory, or lie differently in it, one thread would write what another reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from smelt.launch.errors import LaunchError
from smelt.types.partials import is_partial

_MOST_WORK: Any = 10_000
"""How many candidates NumPy tries before it gives up proving that two arrays with strides have no byte in common."""


class Given(NamedTuple):
    """An array of a launch, and the name of the argument that it came with; `owner` is the array on a device whose memory it is."""

    name: str
    array: np.ndarray[Any, Any]
    owner: Any = None


def arrays_in(name: str, value: Any) -> Iterator[Given]:
    """The arrays in an argument: it may be one, or a tuple or a value of a class with arrays in it."""
    if isinstance(value, np.ndarray):
        yield Given(name, value)
    elif hasattr(type(value), "__smelt_array__"):
        yield Given(name, value.__smelt_array__, value)
    elif isinstance(value, tuple):
        for item in value:
            yield from arrays_in(name, item)
    elif is_partial(value):
        yield from arrays_in(name, value.args)
        yield from arrays_in(name, tuple(value.keywords[keyword] for keyword in sorted(value.keywords)))
    elif hasattr(value, "__dataclass_fields__"):
        for field in value.__dataclass_fields__:
            yield from arrays_in(name, getattr(value, field, None))


def refuse_overlaps(kernel: str, written: Sequence[Given], given: Sequence[Given]) -> None:
    """Raise `LaunchError` if one of the written arrays shares some of its memory with another array of the launch."""
    for one in written:
        for other in given:
            if one.array is not other.array and _share_some(one.array, other.array):
                raise LaunchError(
                    f"{kernel}: {one.name}, which is written, and {other.name} overlap in memory, but are not the same array; "
                    f"copy one of them: {other.name}.copy()"
                )


def _share_some(first: np.ndarray[Any, Any], second: np.ndarray[Any, Any]) -> bool:
    if not np.may_share_memory(first, second):
        return False
    places = [(array.__array_interface__["data"], array.shape, array.strides) for array in (first, second)]
    if places[0] == places[1] and first.dtype == second.dtype:
        return False
    try:
        return np.shares_memory(first, second, max_work=_MOST_WORK)
    except np.exceptions.TooHardError:
        return True
