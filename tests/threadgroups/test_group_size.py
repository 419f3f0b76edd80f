# SPDX-License-Identifier: Apache-2.0
"""Kernels whose groups have a size that is known when they are compiled compute what others do, and refuse groups of other sizes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import smelt
from smelt._wiring import driver
from smelt.compiler.config import CompilerJob
from smelt.launch.errors import LaunchError
from smelt.types import typeof

pytestmark = pytest.mark.once

WIDTH, HEIGHT = 8, 4
SOURCE = Path(smelt.__file__).parents[1]
PLACES = np.arange(40 * 40, dtype=np.float32).reshape(40, 40)


def blurred(out: Any, image: Any) -> None:
    tile = smelt.threadgroup_array((HEIGHT, WIDTH), smelt.float32)
    x, y = smelt.grid(2)
    place = smelt.thread_position_in_threadgroup()
    height, width = image.shape
    tile[place.y, place.x] = image[y, x]
    smelt.threadgroup_barrier()
    if 0 < x < width - 1 and 0 < y < height - 1:
        left = tile[place.y, place.x - 1] if place.x > 0 else image[y, x - 1]
        above = tile[place.y - 1, place.x] if place.y > 0 else image[y - 1, x]
        out[y, x] = left + above + image[y + 1, x] - image[y, x + 1]


def running_sums(out: Any, x: Any) -> None:
    shared = smelt.threadgroup_array(32, smelt.float32)
    number = smelt.thread_index_in_threadgroup()
    i = smelt.grid(1)
    value = x[i] if i < x.size else 0.0
    distance = 1
    while distance < smelt.threads_per_threadgroup().x:
        shared[number] = value
        smelt.threadgroup_barrier()
        if number >= distance:
            value += shared[number - distance]
        smelt.threadgroup_barrier()
        distance *= 2
    if i < out.size:
        out[i] = value


def reversed_groups(out: Any, x: Any, limit: int) -> None:
    shared = smelt.threadgroup_array(32, smelt.float32)
    i, number = smelt.grid(1), smelt.thread_position_in_threadgroup().x
    shared[number] = x[i]
    smelt.threadgroup_barrier()
    assert x[i] < limit, "x is small"
    other = shared[31 - number]
    smelt.threadgroup_barrier()
    shared[31 - number] = other + i
    smelt.threadgroup_barrier()
    out[i] = shared[number] + number


def half_written(out: Any) -> None:
    shared = smelt.threadgroup_array(32, smelt.float32)
    number = smelt.thread_position_in_threadgroup().x
    out[smelt.grid(1)] = shared[number]
    smelt.threadgroup_barrier()
    shared[number] = 7.0


def read_before_it_is_written(out: Any) -> None:
    shared = smelt.threadgroup_array(32, smelt.float32)
    number = smelt.thread_position_in_threadgroup().x
    out[smelt.grid(1)] = shared[number]
    shared[number] = 6.0
    smelt.threadgroup_barrier()


def written_late(out: Any, n: int) -> None:
    shared = smelt.threadgroup_array(32, smelt.float32)
    number = smelt.thread_position_in_threadgroup().x
    for _ in range(n):
        shared[number] = 5.0
        smelt.threadgroup_barrier()
    out[smelt.grid(1)] = shared[31 - number]
    smelt.threadgroup_barrier()
    shared[number] = 9.0


def written_by_some(out: Any) -> None:
    shared = smelt.threadgroup_array(32, smelt.float32)
    number = smelt.thread_position_in_threadgroup().x
    if number % 2:
        shared[number] = 3.0
    smelt.threadgroup_barrier()
    out[smelt.grid(1)] = shared[number]
    smelt.threadgroup_barrier()
    shared[number] = 4.0


def written_elsewhere(out: Any) -> None:
    shared = smelt.threadgroup_array(32, smelt.float32)
    number = smelt.thread_position_in_threadgroup().x
    shared[number // 2] = 3.0
    smelt.threadgroup_barrier()
    out[smelt.grid(1)] = shared[number]
    smelt.threadgroup_barrier()
    shared[number] = 4.0


def sizes(out: Any) -> None:
    i = smelt.grid(1)
    out[i] = smelt.threads_per_threadgroup().x * 10000 + smelt.threadgroup_position_in_grid().x * 100
    out[i] += smelt.thread_position_in_threadgroup().x


def simdgroup_sums(out: Any, x: Any) -> None:
    i = smelt.grid(1)
    out[i] = smelt.simd_sum(x[i]) + smelt.threads_per_threadgroup().x


def run(kernel: Any, threads: tuple[int, ...], *arguments: Any) -> tuple[Any, list[Any]]:
    copies = [given.copy() if isinstance(given, np.ndarray) else given for given in arguments]
    error: Any = None
    try:
        kernel.over(*threads)(*copies)
    except (AssertionError, IndexError) as raised:
        error = (type(raised), str(raised), raised.__notes__)
    return error, [copy for copy in copies if isinstance(copy, np.ndarray)]


def assert_same(function: Callable[..., None], group: Any, threads: tuple[int, ...], *arguments: Any) -> Any:
    """A kernel does the same cut and uncut (with opt_level=0 each thread is a coroutine), and with bounds checks or without."""
    error, expected = run(smelt.kernel(opt_level=0, threads_per_threadgroup=group)(function), threads, *arguments)
    variants: list[dict[str, Any]] = [{}] if error is not None else [{}, {"boundscheck": False}]
    for options in variants:
        found_error, found = run(smelt.kernel(threads_per_threadgroup=group, **options)(function), threads, *arguments)
        assert found_error == error
        if error is None:
            for one, other in zip(found, expected, strict=True):
                np.testing.assert_array_equal(one, other)
    return error


@settings(max_examples=12, deadline=None, derandomize=True)
@given(width=st.integers(1, 27), height=st.integers(1, 13))
def test_groups_at_the_end_of_a_grid_are_smaller_than_the_size_that_was_given(width: int, height: int) -> None:
    image = PLACES[:height, :width].copy()
    assert_same(blurred, (WIDTH, HEIGHT), (width, height), np.zeros_like(image), image)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(threads=st.integers(1, 150), size=st.integers(1, 150))
def test_grids_may_be_larger_than_arrays_and_smaller(threads: int, size: int) -> None:
    assert_same(running_sums, 32, (threads,), np.zeros(size, np.float32), PLACES.reshape(-1)[:size])


@pytest.mark.parametrize(("threads", "limit", "size"), [(96, 200, 96), (100, 200, 100), (96, 70, 96), (96, 200, 80)])
def test_errors_are_those_of_other_kernels(threads: int, limit: int, size: int) -> None:
    x = np.arange(size, dtype=np.float32)
    error = assert_same(reversed_groups, 32, (threads,), np.zeros(size, np.float32), x, limit)
    assert (error is None) == (limit > size >= threads)


@pytest.mark.parametrize("function", [half_written, read_before_it_is_written, written_by_some, written_elsewhere])
def test_no_group_sees_what_another_one_left(function: Callable[..., None]) -> None:
    assert_same(function, 32, (128,), np.ones(128, np.float32))


@pytest.mark.parametrize("rounds", [0, 2])
def test_no_group_sees_what_another_one_left_if_a_loop_has_no_rounds(rounds: int) -> None:
    assert_same(written_late, 32, (128,), np.ones(128, np.float32), rounds)


def lowered(function: Callable[..., None], *arguments: Any, **options: Any) -> Any:
    kernel = smelt.kernel(**options)(function)
    job = CompilerJob(kernel.instance(tuple(map(typeof, arguments))), kernel.config)
    return driver().lowered(job, driver().inferred(job))


@pytest.mark.parametrize(
    ("function", "arguments", "is_first"),
    [
        (running_sums, (PLACES[0], PLACES[0]), True),
        (reversed_groups, (PLACES[0], PLACES[0], 1), True),
        (half_written, (PLACES[0],), False),
        (read_before_it_is_written, (PLACES[0],), False),
        (written_late, (PLACES[0], 1), False),
        (written_by_some, (PLACES[0],), False),
        (written_elsewhere, (PLACES[0],), False),
    ],
)
def test_what_all_threads_write_first_need_not_be_cleared(
    function: Callable[..., None], arguments: tuple[Any, ...], is_first: bool
) -> None:
    # Of groups whose size isn't known that is so if they have a thread for each element.
    for options in ({}, {"threads_per_threadgroup": 32}):
        found = lowered(function, *arguments, **options).threadgroups.written_first_by
        assert found == ((32, 1, 1) if is_first else None)
    assert lowered(function, *arguments, threads_per_threadgroup=16).threadgroups.written_first_by is None


def test_arrays_of_more_dimensions_have_a_thread_for_each_element() -> None:
    assert lowered(blurred, PLACES, PLACES).threadgroups.written_first_by == (WIDTH, HEIGHT, 1)
    sized = lowered(running_sums, PLACES[0], PLACES[0], threads_per_threadgroup=(8, 4)).threadgroups
    assert sized.written_first_by == (8, 4, 1)


@pytest.mark.parametrize(("threads", "group"), [(128, 32), (128, 16), (120, 32), (33, 32)])
def test_groups_of_any_size_see_zeros_where_nothing_was_written(threads: int, group: int) -> None:
    x, found = np.arange(1, 129, dtype=np.float32), []
    variants: list[dict[str, Any]] = [{"opt_level": 0}, {}]
    for options in variants:
        sized = smelt.kernel(threads_per_threadgroup=group, **options)(reversed_groups).over(threads)
        of_any_size = smelt.kernel(**options)(reversed_groups)
        for launch in (sized, of_any_size.configure(threads // group, group)):
            found.append(np.zeros(128, np.float32))
            launch(found[-1], x, 1000)
    np.testing.assert_array_equal(found[2], found[0])
    np.testing.assert_array_equal(found[3], found[1])


def test_loops_over_threads_of_a_group_have_constant_numbers_of_rounds() -> None:
    kernel = smelt.kernel(threads_per_threadgroup=(WIDTH, HEIGHT), boundscheck=False)(blurred)
    text = smelt.code_llvm(kernel, (smelt.float32[:, :], smelt.float32[:, :]), optimised=False)
    calls = [line for line in text.splitlines() if "@whole0.threads(" in line and "call" in line]
    assert len(calls) == 1
    assert f"i64 0, i64 {WIDTH}," in calls[0]


def definitions(function: Callable[..., None], *kinds: Any, **options: Any) -> dict[str, str]:
    """The functions of a kernel's module before it is optimised, by their names."""
    text = smelt.code_llvm(smelt.kernel(**options)(function), kinds, optimised=False)
    return dict(re.findall(r"^define [^@]*@([\w.]+)\((.*?)^\}", text, re.DOTALL | re.MULTILINE))


def test_a_test_that_some_threads_of_each_row_pass_is_left_to_each_thread() -> None:
    kinds = (smelt.float32[:], smelt.float32[:])
    # What all threads of a group run alike has a way for those that don't pass it; no test for the whole group asks for it.
    sized = definitions(running_sums, *kinds, threads_per_threadgroup=32)
    assert len(re.findall("br i1", sized["whole3"])) == 1
    assert "mul nsw i64 %p6, -1" not in sized["wholelimits3"]
    free = definitions(running_sums, *kinds, boundscheck=False)
    # Where nothing is known of the size, it is a part of each row that passes it.
    assert not any("icmp sge" in body for name, body in free.items() if name.startswith("limits"))


def test_memory_that_a_group_shares_is_taken_once() -> None:
    with_size = lowered(blurred, PLACES, PLACES, threads_per_threadgroup=(WIDTH, HEIGHT))
    assert with_size.threadgroups.memory_bytes == lowered(blurred, PLACES, PLACES).threadgroups.memory_bytes


def test_kernels_know_the_size() -> None:
    kernel = smelt.kernel(threads_per_threadgroup=24)(sizes)
    places = np.arange(100)
    for launch in (kernel[100], kernel.over(100)):
        out = np.zeros(100, np.int64)
        launch(out)
        np.testing.assert_array_equal(out, 240000 + places // 24 * 100 + places % 24)
    text = smelt.code_llvm(kernel, (smelt.int64[:],), optimised=False)
    assert "mul i64 24, 10000" in text


def test_kernels_whose_threads_are_coroutines_take_the_option() -> None:
    kernel = smelt.kernel(threads_per_threadgroup=48)(simdgroup_sums)
    x = np.arange(60, dtype=np.float32)
    out = np.zeros_like(x)
    kernel[60](out, x)
    starts = [0, 32, 48]
    expected = np.repeat(np.add.reduceat(x, starts), np.diff([*starts, 60])) + 48
    np.testing.assert_array_equal(out, expected)


def test_launches_need_not_say_the_size_again() -> None:
    kernel = smelt.kernel(threads_per_threadgroup=(WIDTH, HEIGHT))(blurred)
    expected = np.zeros_like(PLACES)
    smelt.kernel(blurred).configure((5, 10), (WIDTH, HEIGHT))(expected, PLACES)
    assert expected.any()
    launches = (
        kernel.configure((5, 10)),
        kernel.configure((5, 10), (WIDTH, HEIGHT)),
        kernel[(5, 10), (WIDTH, HEIGHT)],
        kernel.over(40, 40),
    )
    for launch in launches:
        out = np.zeros_like(PLACES)
        # The third launch is one in compiled code.
        for _ in range(3):
            launch(out, PLACES)
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize(("threads", "said"), [(16, "16"), ((8, 2), r"\(8, 2\)"), ((8, 4, 2), r"\(8, 4, 2\)")])
def test_groups_of_another_size_are_refused(threads: Any, said: str) -> None:
    kernel = smelt.kernel(threads_per_threadgroup=(WIDTH, HEIGHT))(blurred)
    message = rf"blurred is compiled for groups of \(8, 4\) threads \(threads_per_threadgroup\), not of {said}$"
    with pytest.raises(LaunchError, match=message):
        kernel[4, threads]
    with pytest.raises(LaunchError, match=message):
        kernel.configure(4, threads)


def test_a_launch_of_groups_says_their_size_if_the_kernel_does_not() -> None:
    with pytest.raises(
        LaunchError, match=r"say how many threads a group of blurred has: blurred.configure\(groups, threads\)"
    ):
        smelt.kernel(blurred).configure(4)


@pytest.mark.parametrize("size", [0, -1, (), (1, 2, 3, 4), (8, 0), 2.0, "8", [8, 4]])
def test_what_is_no_size_is_refused_where_the_kernel_is_defined(size: Any) -> None:
    with pytest.raises(
        ValueError, match="threads_per_threadgroup is a positive integer or a tuple of one, two or three"
    ) as error:
        smelt.kernel(threads_per_threadgroup=size)(blurred)
    assert f"not {size!r}" in str(error.value)


@pytest.mark.parametrize(("size", "total"), [(1025, 1025), ((64, 32), 2048), ((8, 8, 17), 1088)])
def test_more_threads_than_a_group_can_have_are_refused_where_the_kernel_is_defined(size: Any, total: int) -> None:
    with pytest.raises(ValueError, match="a group has at most 1024 threads") as error:
        smelt.kernel(threads_per_threadgroup=size)(blurred)
    assert f"{size!r} are {total}" in str(error.value)


def test_one_size_is_one_setting_however_it_is_written() -> None:
    configs = [
        smelt.kernel(threads_per_threadgroup=size)(sizes).config
        for size in (32, np.int32(32), (32,), (32, 1), (32, 1, 1))
    ]
    assert len(set(configs)) == 1


def test_another_size_is_another_artifact() -> None:
    kernel = smelt.kernel(sizes)
    made: list[Any] = []
    end = smelt.on_compile(lambda job: made.append(job.config.threads_per_threadgroup))
    first = kernel.compile(smelt.int32[:], threads_per_threadgroup=24)
    assert kernel.compile(smelt.int32[:], threads_per_threadgroup=(24, 1)) is first
    assert kernel.compile(smelt.int32[:], threads_per_threadgroup=25) is not first
    assert kernel.compile(smelt.int32[:]) is not first
    end()
    assert made == [(24, 1, 1), (25, 1, 1), None]


def test_a_kernel_shows_its_size() -> None:
    assert "threads per threadgroup" in smelt.kernel(threads_per_threadgroup=24)(sizes)._repr_html_()
    assert "threads per threadgroup" not in smelt.kernel(sizes)._repr_html_()


MODULE = """
import numpy as np
import smelt


@smelt.kernel(threads_per_threadgroup=SIZE, signatures=[(smelt.float32[:], smelt.float32[:])])
def reversed_groups(out, x):
    shared = smelt.threadgroup_array(32, smelt.float32)
    number = smelt.thread_position_in_threadgroup().x
    shared[number] = x[smelt.grid(1)]
    smelt.threadgroup_barrier()
    out[smelt.grid(1)] = shared[smelt.threads_per_threadgroup().x - 1 - number]
"""
USE = """
import json
import numpy as np
import smelt, module

x = np.arange(96, dtype=np.float32)
found = []
for device in ("cpu", "metal:software"):
    out = smelt.array(np.zeros(96, np.float32), device=device)
    module.reversed_groups[96](out, smelt.array(x, device=device))
    smelt.synchronize()
    found.append(out.numpy()[:3].tolist())
stats = smelt.stats()
print(json.dumps([found, stats.compilations, stats.store_hits, stats.image_hits]))
"""


def in_a_process(folder: Path, size: Any, *arguments: str) -> Any:
    (folder / "module.py").write_text(MODULE.replace("SIZE", repr(size)))
    (folder / "use.py").write_text(USE)
    settings = {**os.environ, "SMELT_STORE": "on", "SMELT_CACHE_DIR": str(folder / "store"), "PYTHONPATH": str(SOURCE)}
    command = [sys.executable, *(arguments or ("use.py",))]
    done = subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout if arguments else json.loads(done.stdout)


def test_sizes_are_told_apart_from_process_to_process(tmp_path: Path) -> None:
    of_32, of_16 = [31.0, 30.0, 29.0], [15.0, 14.0, 13.0]
    assert in_a_process(tmp_path, 32)[:2] == [[of_32, of_32], 2]
    assert in_a_process(tmp_path, (32, 1))[:3] == [[of_32, of_32], 0, 2]
    assert in_a_process(tmp_path, 16)[:2] == [[of_16, of_16], 2]
    assert in_a_process(tmp_path, 32)[:3] == [[of_32, of_32], 0, 2]


def test_kernels_of_a_size_are_compiled_ahead_of_time(tmp_path: Path) -> None:
    targets = ("--target", "native", "--target", "metal")
    in_a_process(tmp_path, 32, "-m", "smelt", "precompile", "module", "-j", "1", *targets)
    _, compilations, _, image_hits = in_a_process(tmp_path, 32)
    assert (compilations, image_hits) == (0, 2)
