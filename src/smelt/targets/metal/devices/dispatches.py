# SPDX-License-Identifier: Apache-2.0
"""What every device refuses of a dispatch, in the same words."""

from __future__ import annotations

import math
from collections.abc import Mapping

from smelt.targets.metal.air.kernels import THREADGROUP_SPACE, Kernel
from smelt.targets.metal.devices.errors import DeviceError
from smelt.targets.metal.devices.protocol import Pipeline, Sizes

MOST_THREADS_ON_AN_AXIS = 2**32 - 1
"""Positions in a grid are numbers of 32 bits."""


def check_dispatch(
    kernel: Kernel,
    pipeline: Pipeline,
    threads: Sizes,
    group: Sizes,
    threadgroup_memory: Mapping[int, int],
    *,
    most_threadgroup_bytes: int,
) -> None:
    """Raise `DeviceError` for a grid that can't be: of no threads or too many, with too large groups, with too much or too little memory.

    `threads` is how many there are in all, `group` how many a group has, `threadgroup_memory` the bytes of the arguments that a group
    shares, by their indices.
    """
    name = kernel.name
    if min((*threads, *group)) < 1:
        raise DeviceError(f"{name}: a grid has at least one thread on each axis, not {threads} by {group}")
    if max(threads) > MOST_THREADS_ON_AN_AXIS:
        raise DeviceError(
            f"{name}: a grid has at most {MOST_THREADS_ON_AN_AXIS} threads on an axis, not {max(threads)}"
        )
    most = pipeline.max_total_threads_per_threadgroup
    if math.prod(group) > most:
        raise DeviceError(f"{name} takes at most {most} threads in a threadgroup, not {math.prod(group)}")
    memory = pipeline.static_threadgroup_memory_length + sum(threadgroup_memory.values())
    if memory > most_threadgroup_bytes:
        raise DeviceError(f"a threadgroup of {name} needs {memory} bytes of memory; it has {most_threadgroup_bytes}")
    shared = {buffer.index: buffer for buffer in kernel.buffers if buffer.space == THREADGROUP_SPACE}
    for index, buffer in shared.items():
        if index not in threadgroup_memory:
            raise DeviceError(f"{name} needs threadgroup memory {index} ({buffer.name}): say how many bytes")
    for index, nbytes in threadgroup_memory.items():
        if index not in shared:
            there = ", ".join(f"{one.index} ({one.name})" for one in shared.values()) or "none"
            raise DeviceError(f"{name} has no threadgroup memory {index}; it has {there}")
        if nbytes < 0:
            raise DeviceError(f"threadgroup memory {index} of {name} can't have {nbytes} bytes")
