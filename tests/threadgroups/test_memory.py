# SPDX-License-Identifier: Apache-2.0
"""Arrays of threadgroups and of threads: their shapes, their lifetime, and launches that give memory."""

from __future__ import annotations

import resource
from typing import Any, NamedTuple

import numpy as np
import pytest

import smelt

pytestmark = pytest.mark.once

SIZE = 16


@smelt.kernel
def of_each_type(out: Any, dtype: Any) -> None:
    shared = smelt.threadgroup_array((2, SIZE), dtype)
    own = smelt.thread_array(3, dtype)
    i = smelt.grid(1)
    shared[1, i] = out[i]
    own[i % 3] = out[i]
    smelt.threadgroup_barrier()
    out[i] = shared[1, SIZE - 1 - i]
    out[SIZE + i] = own[0]
    out[2 * SIZE + i] = shared.size + shared.ndim + len(own)


@pytest.mark.parametrize(
    "dtype",
    [*(np.dtype(name).type for name in "?bHlefF"), smelt.float32, np.dtype("int16"), int, float, complex, bool],
)
def test_arrays_of_every_type_of_number(dtype: Any) -> None:
    given = smelt.types.dtype_of(dtype) if dtype is smelt.float32 else np.dtype(dtype)
    x = np.arange(3 * SIZE).astype(given)
    first = x[:SIZE].tolist()
    of_each_type[1, SIZE](x, dtype)
    assert x[:SIZE].tolist() == first[::-1]
    assert x[SIZE : 2 * SIZE].tolist() == [v if i % 3 == 0 else given.type(0) for i, v in enumerate(first)]
    assert x[2 * SIZE :].tolist() == [given.type(37)] * SIZE


@smelt.kernel
def sized_at_launch(out: Any) -> None:
    wide = smelt.threadgroup_array(None, smelt.int32)
    bytes_ = smelt.threadgroup_array(None, smelt.uint8)
    fixed = smelt.threadgroup_array(3, smelt.int32)
    i = smelt.grid(1)
    fixed[i % 3] = 7
    wide[smelt.thread_index_in_threadgroup() % wide.size] = 0x01020304
    smelt.threadgroup_barrier()
    out[i, 0] = wide.size
    out[i, 1] = bytes_.shape[0]
    out[i, 2] = bytes_[0]
    out[i, 3] = fixed[0]


@pytest.mark.parametrize("nbytes", [4, 10, 64, 4096])
def test_memory_given_at_launch(nbytes: int) -> None:
    out = np.zeros((8, 4), np.int32)
    sized_at_launch.configure(2, 4, threadgroup_memory=nbytes)(out)
    assert out.tolist() == [[nbytes // 4, nbytes, 4, 7]] * 8


@smelt.kernel
def reversed_at_launch(x: Any) -> None:
    shared = smelt.threadgroup_array(None, x.dtype)
    i, number = smelt.grid(1), smelt.thread_index_in_threadgroup()
    shared[number] = x[i]
    smelt.threadgroup_barrier()
    x[i] = shared[shared.size - 1 - number]


def test_memory_given_at_launch_is_for_one_group(run_by_python: Any) -> None:
    x = np.arange(24.0)
    expected = x.copy()
    reversed_at_launch.configure(3, 8, threadgroup_memory=64)(x)
    run_by_python(reversed_at_launch, (24,), (8,), expected, nbytes=64)
    assert x.tolist() == expected.tolist()
    assert x.tolist() == np.arange(24.0).reshape(3, 8)[:, ::-1].ravel().tolist()


def test_an_index_beyond_the_memory_that_was_given_raises() -> None:
    x = np.arange(24.0)
    with pytest.raises(IndexError):
        reversed_at_launch.configure(3, 8, threadgroup_memory=60)(x)


@smelt.kernel
def not_sized_at_launch(x: Any) -> None:
    shared = smelt.threadgroup_array(8, x.dtype)
    shared[0] = x[0]
    smelt.threadgroup_barrier()


@smelt.kernel
def needs_half_of_all(x: Any) -> None:
    fixed = smelt.threadgroup_array(1 << 19, smelt.uint8)
    given = smelt.threadgroup_array(None, smelt.uint8)
    fixed[0] = given[0]
    x[0] = fixed[0]


LAUNCHES = [
    (lambda: reversed_at_launch.configure(1, 8, threadgroup_memory=-1), "threadgroup_memory can't be negative: -1"),
    (lambda: reversed_at_launch.configure(1, 8, threadgroup_memory=1.5), "threadgroup_memory is an integer, not 1.5"),
    (
        lambda: reversed_at_launch.configure(1, 8, threadgroup_memory=1 << 21),
        "needs 2097152 bytes of memory; the most is",
    ),
    (lambda: needs_half_of_all.configure(1, 8, threadgroup_memory=(1 << 19) + 1), "needs 1048577 bytes of memory"),
    (lambda: reversed_at_launch[1, 8], r"reversed_at_launch.configure\(groups, threads, threadgroup_memory=nbytes\)"),
    (
        lambda: not_sized_at_launch.configure(1, 8, threadgroup_memory=8),
        "not_sized_at_launch takes no threadgroup_memory",
    ),
    (lambda: not_sized_at_launch[1, 1025], "a group has at most 1024, not 1025"),
    (lambda: not_sized_at_launch[1, (33, 8, 4)], "a group has at most 1024, not 1056"),
]


@pytest.mark.parametrize(("launcher", "message"), LAUNCHES)
def test_launches_that_can_not_be_are_refused_before_anything_runs(launcher: Any, message: str) -> None:
    x = np.arange(8.0)
    with pytest.raises(smelt.LaunchError, match=message):
        launcher()(x)
    assert x.tolist() == list(range(8))


def test_the_most_memory_there_is_can_be_used() -> None:
    x = np.ones(1)
    needs_half_of_all.configure(1, 1024, threadgroup_memory=1 << 19)(x)
    assert x.tolist() == [0]


@smelt.kernel
def leaves_something(out: Any) -> None:
    shared = smelt.threadgroup_array(4, smelt.int32)
    own = smelt.thread_array(4, smelt.int32)
    i = smelt.grid(1)
    out[i] = shared[0] + own[0]
    smelt.threadgroup_barrier()
    shared[0] = own[0] = i + 1


def test_nothing_of_one_group_shows_in_the_next() -> None:
    out = np.ones(64, np.int32)
    leaves_something[16, 4](out)
    assert not out.any()


@smelt.kernel
def fresh_in_each_round(out: Any) -> None:
    i = smelt.grid(1)
    for number in range(4):
        own = smelt.thread_array((2, 2), smelt.int64)
        own[0, number % 2] += i
        smelt.threadgroup_barrier()
        out[i] += 10**number * own[0, 0]


def filled(own: Any, value: Any) -> Any:
    for number in range(len(own)):
        own[number] = value * number
    return own[len(own) - 1]


@smelt.kernel
def own_memory_without_a_barrier(out: Any) -> None:
    own = smelt.thread_array(5, smelt.int64)
    i = smelt.grid(1)
    out[i] = filled(own, i) + own[1]


def test_arrays_of_threads_are_zero_in_each_round_and_live_across_barriers() -> None:
    out = np.zeros(4, np.int64)
    fresh_in_each_round[1, 4](out)
    assert out.tolist() == [0, 101, 202, 303]


def test_arrays_of_threads_need_no_barrier_and_can_be_passed_to_functions() -> None:
    out = np.zeros(400, np.int64)
    own_memory_without_a_barrier[400](out)
    assert out.tolist() == [5 * i for i in range(400)]


def shared_of_function(number: Any) -> Any:
    shared = smelt.threadgroup_array(8, smelt.int64)
    shared[number] += number + 1
    return shared


@smelt.kernel
def memory_of_functions(out: Any) -> None:
    i = smelt.grid(1)
    first = shared_of_function(i)
    second = shared_of_function(i)
    smelt.threadgroup_barrier()
    out[i] = first[7 - i] + second[i]


def test_a_function_has_one_shared_array_however_often_it_is_called(run_by_python: Any) -> None:
    out, expected = np.zeros((2, 8), np.int64)
    memory_of_functions[1, 8](out)
    run_by_python(memory_of_functions, (8,), (8,), expected)
    assert out.tolist() == expected.tolist() == [18] * 8


class Pair(NamedTuple):
    own: Any
    number: int


def returns_its_own(count: Any) -> Any:
    own = smelt.thread_array(2, smelt.int32)
    return Pair(own, count)


@smelt.kernel
def takes_what_has_ended(x: Any) -> None:
    x[0] = returns_its_own(1).own[0]


@smelt.kernel
def size_of_an_argument(x: Any) -> None:
    smelt.threadgroup_array(x.size, smelt.int32)


@smelt.kernel
def own_size_of_an_argument(x: Any) -> None:
    smelt.thread_array((2, x.size), smelt.int32)


@smelt.kernel
def no_extent(x: Any) -> None:
    x[0] = smelt.thread_array((2, 0), smelt.int32).size


@smelt.kernel
def of_strings(x: Any) -> None:
    x[0] = smelt.threadgroup_array(4, str).size


@smelt.kernel
def of_dates(x: Any) -> None:
    x[0] = smelt.threadgroup_array(4, np.datetime64).size


@smelt.kernel
def far_too_large(x: Any) -> None:
    x[0] = smelt.threadgroup_array((1 << 17, 2), smelt.float64).size


@smelt.kernel
def own_far_too_large(x: Any) -> None:
    x[0] = smelt.thread_array((1 << 13) + 1, smelt.float64).size


REFUSED = [
    (
        takes_what_has_ended,
        "lasts only as long as the function that made it",
        "make the array in the caller, and pass it",
    ),
    (size_of_an_argument, "the shape of a threadgroup array is a constant integer", "None takes what the launch gives"),
    (
        own_size_of_an_argument,
        r"the shape of a thread array is a constant .*, not a \(weak int, weak int\)",
        "a global",
    ),
    (no_extent, r"the extents of a thread array are positive, not \(2, 0\)", ""),
    (of_strings, "the elements of such an array are numbers or records, not constant str", "smelt.float32, np.int64"),
    (
        of_dates,
        "the elements of such an array are numbers or records, not constant datetime64",
        "smelt.float32, np.int64",
    ),
    (far_too_large, "a threadgroup array has at most 1048576 bytes, not 2097152", ""),
    (own_far_too_large, "a thread array has at most 65536 bytes, not 65544", ""),
]


@pytest.mark.parametrize(("kernel", "message", "help_"), REFUSED)
def test_arrays_that_can_not_be_are_refused_with_their_line(kernel: Any, message: str, help_: str) -> None:
    with pytest.raises(smelt.KernelError, match=message) as caught:
        kernel[1](np.zeros(4))
    assert caught.value.filename == __file__
    assert help_ in caught.value.help


@pytest.mark.parametrize("name", ["threadgroup_barrier", "thread_index_in_simdgroup", "simdgroup_barrier"])
def test_what_only_kernels_can_call_says_so(name: str) -> None:
    with pytest.raises(RuntimeError, match=f"smelt.{name} can only be called in a kernel"):
        getattr(smelt, name)()


@smelt.kernel
def fails_with_much_memory(x: Any) -> None:
    own = smelt.thread_array(65536, smelt.uint8)
    shared = smelt.threadgroup_array(1 << 20, smelt.uint8)
    i = smelt.grid(1)
    own[i] = shared[i] = 1
    smelt.threadgroup_barrier()
    x[i] = own[x.size - i]


def test_a_launch_that_fails_gives_all_its_memory_back() -> None:
    def most_megabytes() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

    x = np.zeros(63)
    fails_with_much_memory[1, 63](x)
    before = most_megabytes()
    for _ in range(400):
        with pytest.raises(IndexError):
            fails_with_much_memory[1, 64](x)
    # Each launch takes one for what is shared, and four for what is not.
    assert most_megabytes() - before < 150
