# SPDX-License-Identifier: Apache-2.0
"""Grids: how many threads a launch has on each axis, and in which groups."""

from __future__ import annotations

import operator
from math import prod
from typing import Any, NamedTuple

from smelt.compiler import threadgroups
from smelt.compiler.threadgroups import Sizes
from smelt.launch.errors import LaunchError

_USUAL_GROUP = 256
_MOST_THREADS = 2**63 - 1


class Grid(NamedTuple):
    """The threads of a launch, x first. The last groups of an axis may have fewer threads than the others.

    `threadgroup_memory` is how many bytes the launch gives to threadgroup arrays whose shape is None, `is_group_free` whether the size of
    a group was not asked for.
    """

    threads: Sizes
    group: Sizes
    threadgroup_memory: int = 0
    is_group_free: bool = False


def grid_of_threads(*threads: Any, group: Sizes | None = None) -> Grid:
    """A grid with so many threads in all. The group size is smelt's choice unless it is given."""
    is_nested = any(isinstance(size, (tuple, list)) for size in threads)
    sizes = _sizes(threads, "the number of threads", "; for a tuple write over(*shape), x first" if is_nested else "")
    if group is not None:
        return Grid(sizes, group)
    return Grid(sizes, (min(_USUAL_GROUP, max(1, sizes[0])), 1, 1), is_group_free=True)


def grid_of_groups(
    name: str, groups: Any, threads: Any, threadgroup_memory: Any = 0, group: Sizes | None = None
) -> Grid:
    """A grid of so many groups of so many threads each: both a number, or a tuple of up to three.

    The kernel of that name may have been compiled for groups of the size `group`: then `threads` is that, or None.
    """
    group_counts = _sizes(groups if isinstance(groups, tuple) else (groups,), "the number of groups")
    if threads is not None:
        given = _sizes(threads if isinstance(threads, tuple) else (threads,), "the number of threads of a group")
        if 0 in given:
            raise LaunchError(f"a group has at least one thread on each axis, not {threads!r}")
        if group is not None and given != group:
            raise LaunchError(
                f"{name} is compiled for groups of {_written(group)} threads (threads_per_threadgroup), not of {_written(given)}"
            )
        group = given
    if group is None:
        raise LaunchError(f"say how many threads a group of {name} has: {name}.configure(groups, threads)")
    sizes = tuple(map(operator.mul, group_counts, group))
    (memory, _, _) = _sizes((threadgroup_memory,), "threadgroup_memory")
    return Grid(_checked((sizes[0], sizes[1], sizes[2])), group, memory)


def check_groups(name: str, grid: Grid, results: Any) -> None:
    """Raise `LaunchError` unless the groups of a grid fit a kernel, given its results."""
    memory, size = grid.threadgroup_memory, prod(grid.group)
    if memory and not results.is_sized_at_launch:
        raise LaunchError(
            f"{name} takes no threadgroup_memory: it has no array that is sized at launch, "
            "smelt.threadgroup_array(None, dtype)"
        )
    if not results.works_together:
        return
    if results.is_sized_at_launch and not memory:
        raise LaunchError(
            f"{name} has a threadgroup array that is sized at launch: "
            f"{name}.configure(groups, threads, threadgroup_memory=nbytes)"
        )
    if size > threadgroups.MOST_THREADS:
        raise LaunchError(
            f"the threads of {name} work together: a group has at most {threadgroups.MOST_THREADS}, not {size}"
        )
    total = memory + results.threadgroup_memory_bytes
    if total > threadgroups.MOST_THREADGROUP_BYTES:
        raise LaunchError(
            f"a group of {name} needs {total} bytes of memory; the most is {threadgroups.MOST_THREADGROUP_BYTES}"
        )


def limits_of_groups(results: Any) -> tuple[int, int, int]:
    """What `check_groups` comes down to: the most threads of a group, and the least and the most bytes of memory given at launch.

    Where no grid fits, the most is less than the least.
    """
    is_sized = results.is_sized_at_launch
    least_memory, most_memory = (1, _MOST_THREADS) if is_sized else (0, 0)
    if not results.works_together:
        return _MOST_THREADS, least_memory, most_memory
    room = threadgroups.MOST_THREADGROUP_BYTES - results.threadgroup_memory_bytes
    return threadgroups.MOST_THREADS, least_memory, min(most_memory, room)


def _sizes(given: tuple[Any, ...], what: str, hint: str = "") -> Sizes:
    if not 1 <= len(given) <= 3:
        raise LaunchError(f"a grid has 1, 2 or 3 dimensions, not {len(given)}")
    sizes = []
    for size in given:
        try:
            number = operator.index(size)
        except TypeError:
            raise LaunchError(f"{what} is an integer, not {size!r}{hint}") from None
        if number < 0:
            raise LaunchError(f"{what} can't be negative: {number}")
        sizes.append(number)
    x, y, z = (*sizes, 1, 1)[:3]
    return _checked((x, y, z))


def _checked(sizes: Sizes) -> Sizes:
    if sizes[0] * sizes[1] * sizes[2] > _MOST_THREADS:
        raise LaunchError(f"a grid of {sizes} has more threads than can be counted with 64 bits")
    return sizes


def _written(sizes: Sizes) -> str:
    """A size as one writes it: without the axes on which it is 1, from the last on."""
    x, y, z = sizes
    return str((x, y, z) if z > 1 else (x, y) if y > 1 else x)
