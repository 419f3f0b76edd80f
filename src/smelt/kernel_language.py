# SPDX-License-Identifier: Apache-2.0
"""The functions that kernels call to learn which thread they are, and to work with the other threads of their threadgroup. On the
host they can't be called: each says so.

Threads of a threadgroup share memory and wait for each other. 32 consecutive ones, x fastest, are a simdgroup: its threads, the lanes,
exchange values. Every thread of the group has to come to a barrier, and every thread of the simdgroup to a simdgroup operation, unless
it has ended. Where some wait at one place and others at another, the launch fails with RuntimeError. The last groups of a grid may
have fewer threads, and so their last simdgroups.
"""

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


def thread_index_in_simdgroup() -> int:
    """The lane of this thread: its number in its simdgroup, 0 to 31."""
    _refuse("thread_index_in_simdgroup")


def simdgroup_index_in_threadgroup() -> int:
    """The number of this thread's simdgroup in its threadgroup."""
    _refuse("simdgroup_index_in_threadgroup")


def thread_index_in_threadgroup() -> int:
    """The number of this thread among those of its threadgroup that exist, x fastest."""
    _refuse("thread_index_in_threadgroup")


def threadgroup_array(shape: int | tuple[int, ...] | None, dtype: Any) -> Any:  # noqa: ARG001
    """An array that the threads of a threadgroup share. The shape is constant; each place where one is made is one array.

    With a shape of None it has one dimension, and takes all the memory that the launch gives:
    `kernel.configure(groups, threads, threadgroup_memory=nbytes)`. All arrays of that sort in a kernel are the same memory.

    Write an element before it is read. (The CPU begins each group with zeros; GPUs don't.)
    """
    _refuse("threadgroup_array")


def thread_array(shape: int | tuple[int, ...], dtype: Any) -> Any:  # noqa: ARG001
    """An array of this thread's own, full of zeros. The shape is constant.

    Each place where one is made is one array: in a loop it is the same one, filled with zeros again. It can be passed to functions,
    but a function can't return one that it made.
    """
    _refuse("thread_array")


def threadgroup_barrier() -> None:
    """Wait for the other threads of the threadgroup. What each wrote before, all see after."""
    _refuse("threadgroup_barrier")


def simdgroup_barrier() -> None:
    """Wait for the other threads of the simdgroup. What each wrote before, all see after."""
    _refuse("simdgroup_barrier")


def simd_shuffle(value: Any, lane: int) -> Any:  # noqa: ARG001
    """The value that another lane gives here. A lane that isn't there, or has ended, gives this thread's own value."""
    _refuse("simd_shuffle")


def simd_shuffle_xor(value: Any, mask: int) -> Any:  # noqa: ARG001
    """As `simd_shuffle`, of the lane whose number differs from this thread's in the bits of `mask`."""
    _refuse("simd_shuffle_xor")


def simd_shuffle_up(value: Any, delta: int) -> Any:  # noqa: ARG001
    """As `simd_shuffle`, of the lane that is `delta` before this thread's."""
    _refuse("simd_shuffle_up")


def simd_shuffle_down(value: Any, delta: int) -> Any:  # noqa: ARG001
    """As `simd_shuffle`, of the lane that is `delta` behind this thread's."""
    _refuse("simd_shuffle_down")


def simd_sum(value: Any) -> Any:  # noqa: ARG001
    """The sum of the values that the lanes give here. In which order floating numbers are added is the target's choice."""
    _refuse("simd_sum")


def simd_product(value: Any) -> Any:  # noqa: ARG001
    """The product of the values that the lanes give here."""
    _refuse("simd_product")


def simd_min(value: Any) -> Any:  # noqa: ARG001
    """The least of the values that the lanes give here."""
    _refuse("simd_min")


def simd_max(value: Any) -> Any:  # noqa: ARG001
    """The greatest of the values that the lanes give here."""
    _refuse("simd_max")


def simd_and(value: Any) -> Any:  # noqa: ARG001
    """The bits that all the integers have that the lanes give here."""
    _refuse("simd_and")


def simd_or(value: Any) -> Any:  # noqa: ARG001
    """The bits that any of the integers has that the lanes give here."""
    _refuse("simd_or")


def simd_xor(value: Any) -> Any:  # noqa: ARG001
    """The bits that an odd number of the integers have that the lanes give here."""
    _refuse("simd_xor")


def simd_all(condition: Any) -> bool:  # noqa: ARG001
    """Whether the condition holds for all lanes."""
    _refuse("simd_all")


def simd_any(condition: Any) -> bool:  # noqa: ARG001
    """Whether the condition holds for any lane."""
    _refuse("simd_any")


def simd_ballot(condition: Any) -> Any:  # noqa: ARG001
    """The lanes for which the condition holds, as the bits of a uint32."""
    _refuse("simd_ballot")


def atomic_add(array: Any, index: Any, value: Any) -> Any:  # noqa: ARG001
    """`array[index] += value`, at once for all other threads. Returns the old element.

    The index is an integer, or a tuple of them. The elements are integers of any width, float32 or float64. Atomic operations order
    nothing but themselves: other elements that one thread wrote are seen by another after a barrier.
    """
    _refuse("atomic_add")


def atomic_sub(array: Any, index: Any, value: Any) -> Any:  # noqa: ARG001
    """`array[index] -= value`, as `atomic_add`."""
    _refuse("atomic_sub")


def atomic_min(array: Any, index: Any, value: Any) -> Any:  # noqa: ARG001
    """The element becomes the lesser of itself and `value`, as `atomic_add`. Of a NaN and a number that is the number."""
    _refuse("atomic_min")


def atomic_max(array: Any, index: Any, value: Any) -> Any:  # noqa: ARG001
    """The element becomes the greater of itself and `value`, as `atomic_add`. Of a NaN and a number that is the number."""
    _refuse("atomic_max")


def atomic_and(array: Any, index: Any, value: Any) -> Any:  # noqa: ARG001
    """`array[index] &= value`, as `atomic_add`, for integers."""
    _refuse("atomic_and")


def atomic_or(array: Any, index: Any, value: Any) -> Any:  # noqa: ARG001
    """`array[index] |= value`, as `atomic_add`, for integers."""
    _refuse("atomic_or")


def atomic_xor(array: Any, index: Any, value: Any) -> Any:  # noqa: ARG001
    """`array[index] ^= value`, as `atomic_add`, for integers."""
    _refuse("atomic_xor")


def atomic_exchange(array: Any, index: Any, value: Any) -> Any:  # noqa: ARG001
    """`array[index] = value`, as `atomic_add`."""
    _refuse("atomic_exchange")


def atomic_compare_exchange(array: Any, index: Any, expected: Any, value: Any) -> Any:  # noqa: ARG001
    """`array[index] = value` if the element is `expected`, bit for bit, as `atomic_add`. Returns the old element either way."""
    _refuse("atomic_compare_exchange")


def _refuse(name: str) -> NoReturn:
    raise OutsideKernelError(
        f"smelt.{name} can only be called in a kernel; decorate the function with @smelt.kernel and launch it"
    )
