# SPDX-License-Identifier: Apache-2.0
"""The limits that compiled launches compare say what the checks of the slow path say."""

from __future__ import annotations

from types import SimpleNamespace

from hypothesis import example, given, settings, strategies as st

from smelt.compiler.threadgroups import MOST_THREADGROUP_BYTES, MOST_THREADS
from smelt.launch.errors import LaunchError
from smelt.launch.grids import Grid, check_groups, limits_of_groups

near_bytes = st.integers(-2, 2).map(lambda more: MOST_THREADGROUP_BYTES + more)
memory = st.one_of(st.integers(0, 200), near_bytes, st.just(2**40))
group = st.tuples(st.integers(1, 3), st.integers(1, 2), st.one_of(st.integers(1, 3), st.just(MOST_THREADS)))


@given(st.booleans(), st.booleans(), memory, memory, group)
@settings(max_examples=300, deadline=None, derandomize=True)
@example(True, True, 0, MOST_THREADGROUP_BYTES, (1, 1, 1))
@example(True, True, 1, MOST_THREADGROUP_BYTES, (1, 1, 1))
@example(True, False, 0, 0, (MOST_THREADS, 1, 1))
@example(True, False, 0, 0, (MOST_THREADS, 2, 1))
def test_a_grid_is_within_the_limits_exactly_if_it_is_not_refused(
    works_together, is_sized, own_bytes, given_bytes, group
):
    results = SimpleNamespace(
        works_together=works_together or is_sized,
        is_sized_at_launch=is_sized,
        threadgroup_memory_bytes=own_bytes if works_together or is_sized else 0,
    )
    try:
        check_groups("kernel", Grid((1, 1, 1), group, given_bytes), results)
        is_refused = False
    except LaunchError:
        is_refused = True
    most_threads, least_memory, most_memory = limits_of_groups(results)
    is_within = group[0] * group[1] * group[2] <= most_threads and least_memory <= given_bytes <= most_memory
    assert is_within == (not is_refused)
