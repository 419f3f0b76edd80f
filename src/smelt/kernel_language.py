# SPDX-License-Identifier: Apache-2.0
"""The functions that kernels call to learn which thread they are. On the host they can't be called: each says so."""

from __future__ import annotations

from typing import Any, NamedTuple, NoReturn


class OutsideKernelError(RuntimeError):
    """A function that only kernels can call was called by ordinary Python."""


class Index(NamedTuple):
    """Three indices or sizes, one for each axis."""

    x: int
    y: int
    z: int


def grid(dimensions: int) -> Any:  # noqa: ARG001
    """The position of this thread in the grid: a number for one dimension, `x, y` for two, `x, y, z` for three. Counts from 0."""
    _refuse("grid")


def gridsize(dimensions: int) -> Any:  # noqa: ARG001
    """The number of threads in the grid: a number for one dimension, a tuple of two or three for more."""
    _refuse("gridsize")


def thread_position_in_grid() -> Index:
    """The position of this thread in the grid."""
    _refuse("thread_position_in_grid")


def thread_position_in_threadgroup() -> Index:
    """The position of this thread in its threadgroup."""
    _refuse("thread_position_in_threadgroup")


def threadgroup_position_in_grid() -> Index:
    """The position of this thread's threadgroup among the threadgroups."""
    _refuse("threadgroup_position_in_grid")


def threads_per_grid() -> Index:
    """The number of threads in the grid, on each axis."""
    _refuse("threads_per_grid")


def threads_per_threadgroup() -> Index:
    """The number of threads in a threadgroup, on each axis."""
    _refuse("threads_per_threadgroup")


def threadgroups_per_grid() -> Index:
    """The number of threadgroups in the grid, on each axis."""
    _refuse("threadgroups_per_grid")


class inbounds:  # noqa: N801 - used like a function
    """`with smelt.inbounds():` leaves out the bounds checks of what stands in it. An index that is out of bounds there is
    undefined behaviour.
    """

    def __enter__(self) -> None:
        _refuse("inbounds")

    def __exit__(self, *exception: object) -> None:
        pass


def _refuse(name: str) -> NoReturn:
    raise OutsideKernelError(
        f"smelt.{name} can only be called in a kernel; decorate the function with @smelt.kernel and launch it"
    )
