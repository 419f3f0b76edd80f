# SPDX-License-Identifier: Apache-2.0
"""Grids spread over threads: what a launch does must not show how many there are.

The clock's thresholds are taken away, so that grids are shared which are far too small to be worth it.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import smelt
from smelt import _wiring, knobs
from smelt.compiler.threadgroups import LONGEST_STRIP, SHORTEST_STRIP
from smelt.targets.native.machine_code.flattening import flatten
from smelt.targets.native.thread_grid import grid as thread_grid
from smelt.targets.native.thread_grid.code import thread_grid_text
from smelt.targets.native.thread_grid.grid import ThreadGrid
from smelt.targets.native.thread_grid.pool import MOST_THREADS, POOL
from smelt.targets.native.words import LAUNCH_WORDS, NAMES

pytestmark = pytest.mark.once

CHILD = Path(__file__).with_name("thread_grid_child.py")
LIMIT_SECS = 60
MOST_TURNS = 10**9
TIMES = ("alone_ticks", "least_ticks", "worthwhile_ticks", "chunk_ticks", "spin_ticks")

has_processes = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no os.fork")
shows_threads = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="only Linux shows threads in /proc")


@pytest.fixture
def grid() -> Iterator[ThreadGrid]:
    found = _wiring.thread_grid()
    if found is None:
        pytest.skip("this process may keep one processor busy, so smelt spreads no grids")
    found.runner(works_together=False)
    pool, before = thread_grid._pool, found.threads
    times = {name: getattr(pool, name) for name in TIMES}
    pool.alone_ticks, pool.least_ticks, pool.worthwhile_ticks, pool.chunk_ticks = 1, 0, 0, 1
    yield found
    for name, ticks in times.items():
        setattr(pool, name, ticks)
    found.threads = before


@pytest.fixture(params=[(0, 1), (0, 500), (0, 1 << 40), (1 << 60, 1)], ids=["units", "chunks", "all", "alone"])
def sharing(request: pytest.FixtureRequest, grid: ThreadGrid) -> None:  # noqa: ARG001 - it puts back what is set here
    """What is shared: units one by one, chunks of half a microsecond, all at once, nothing."""
    pool, (least, pool.chunk_ticks) = thread_grid._pool, request.param
    pool.least_ticks = pool.worthwhile_ticks = least


@pytest.fixture(params=[False, True], ids=["sleep", "spin"])
def waiting(request: pytest.FixtureRequest, grid: ThreadGrid) -> None:  # noqa: ARG001 - it puts back what is set here
    """Whether threads look for what they wait for, or sleep at once and are woken."""
    if not request.param:
        thread_grid._pool.spin_ticks = 0


@pytest.fixture(params=[1, 2, 3, 8])
def threads(request: pytest.FixtureRequest, grid: ThreadGrid) -> int:
    grid.threads = request.param
    return int(request.param)


@smelt.kernel
def count(out):
    x, y, z = smelt.grid(3)
    turns = 0
    # A loop, so that the grid is not taken for a small one.
    while turns < (x + y) % 3:
        turns += 1
    out[z, y, x] += 1 + turns


SIZES = [(1, 1, 1), (2, 1, 1), (7, 1, 1), (1000, 1, 1), (1, 300, 1), (1, 1, 50), (3, 5, 7), (64, 33, 2), (100, 100, 1)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.usefixtures("threads", "sharing")
def test_every_thread_of_a_grid_runs_once(size):
    x, y, z = size
    launch = count.over(x, y, z)
    expected = 1 + np.add.outer(np.arange(y), np.arange(x)) % 3
    # The first launches are Python's, the others compiled; and from the second on it is known how long the kernel takes.
    for _ in range(5):
        out = np.zeros((z, y, x), np.int64)
        launch(out)
        assert (out == expected).all()


def parts_of(grid: ThreadGrid, threads: int) -> list[tuple[int, int]]:
    """The parts that a grid of so many threads in one row is run in."""
    found = []

    @ctypes.CFUNCTYPE(None, ctypes.POINTER(ctypes.c_int64), ctypes.c_void_p)
    def kernel(launch, _):
        found.append((launch[NAMES.index("begin_x")], launch[NAMES.index("end_x")]))

    launch = (ctypes.c_int64 * LAUNCH_WORDS)()
    for name in NAMES[3:12]:
        launch[NAMES.index(name)] = threads if name in ("end_x", "grid_x") else 1
    grid.runner(works_together=False)(ctypes.cast(kernel, ctypes.c_void_p), ctypes.addressof(launch), None)
    return sorted(found)


def test_a_row_is_parted_where_strips_end(grid):
    grid.threads = 4
    for threads, strip in ((100_001, LONGEST_STRIP), (2_005, SHORTEST_STRIP), (70, 1)):
        parts = parts_of(grid, threads)
        assert [begin for begin, _ in parts] == [0, *(end for _, end in parts[:-1])]
        assert parts[-1][1] == threads
        # The launching thread begins with few threads, to see how long they take.
        shared = [end - begin for begin, end in parts if begin * 8 > threads]
        assert len(shared) > 4
        assert all(length % strip == 0 for length in shared[:-1])


@pytest.mark.usefixtures("threads")
def test_a_grid_without_threads_runs_none():
    out = np.zeros((1, 1, 0), np.int64)
    count.over(0, 1, 1)(out)
    assert not out.size


@smelt.kernel
def place_in_grid(out):
    x, y = smelt.grid(2)
    out[y, x] = 1000 * y + x


@pytest.mark.parametrize("size", [(513, 1), (1, 513), (40_001, 1), (300, 200)], ids=str)
@pytest.mark.usefixtures("threads")
def test_every_thread_of_a_grid_runs_once_if_none_takes_long(size):
    x, y = size
    launch = place_in_grid.over(x, y)
    for _ in range(5):
        out = np.full((y, x), -1)
        launch(out)
        assert (out == np.add.outer(1000 * np.arange(y), np.arange(x))).all()


@smelt.kernel
def sum_groups(sums, values):
    shared = smelt.threadgroup_array(64, smelt.int64)
    place = smelt.thread_position_in_threadgroup().x
    i = smelt.grid(1)
    shared[place] = values[i] if i < values.size else 0
    smelt.threadgroup_barrier()
    step = 32
    while step > 0:
        if place < step:
            shared[place] += shared[place + step]
        smelt.threadgroup_barrier()
        step //= 2
    if place == 0:
        sums[smelt.threadgroup_position_in_grid().x] = shared[0]


@pytest.mark.parametrize("groups", [1, 2, 17, 300])
@pytest.mark.usefixtures("threads")
def test_threads_that_wait_for_each_other_stay_together(groups):
    values = np.arange(groups * 64 - 5)
    sums = np.zeros(groups, np.int64)
    for _ in range(4):
        sums[:] = -1
        sum_groups[groups, 64](sums, values)
        assert (sums == [values[64 * group : 64 * group + 64].sum() for group in range(groups)]).all()


@smelt.kernel
def count_together(out):
    x, y = smelt.grid(2)
    smelt.threadgroup_barrier()
    out[y, x] += 1


@pytest.mark.parametrize("size", [(1000, 1), (300, 7), (5, 9)], ids=str)
@pytest.mark.usefixtures("threads", "sharing")
def test_groups_are_cut_off_at_the_end_of_a_grid(size):
    x, y = size
    for _ in range(4):
        # What is written behind the grid would be seen here.
        out = np.zeros((y + 1, x), np.int64)
        count_together.over(x, y)(out)
        assert (out[:y] == 1).all()
        assert not out[y].any()


@smelt.kernel
def where_in_planes(out):
    group = smelt.threadgroup_position_in_grid()
    inner = smelt.thread_position_in_threadgroup()
    smelt.threadgroup_barrier()
    x, y = smelt.grid(2)
    out[y, x] = ((group.y * 10 + group.x) * 10 + inner.y) * 10 + inner.x


@pytest.mark.usefixtures("threads")
def test_groups_of_two_dimensions_are_where_they_belong():
    out = np.zeros((24, 30), np.int64)
    for _ in range(4):
        out[:] = -1
        where_in_planes[(6, 8), (5, 3)](out)
        y, x = np.indices(out.shape)
        assert (out == ((y // 3 * 10 + x // 5) * 10 + y % 3) * 10 + x % 5).all()


# Errors


@smelt.kernel
def fail_here_and_there(out, first, distance):
    x, y = smelt.grid(2)
    place = y * smelt.gridsize(2)[0] + x
    # Those that come later fail sooner.
    turns = 0
    while turns < 2000 - place:
        turns += 1
    if place >= first and (place - first) % distance == 0:
        raise ValueError("not this one")
    out[y, x] = turns


@pytest.mark.parametrize(("width", "height"), [(1000, 1), (10, 100), (1, 1000)])
@pytest.mark.parametrize(("first", "distance"), [(0, 1), (37, 1), (613, 100), (999, 1)])
@pytest.mark.usefixtures("threads")
def test_the_first_thread_that_fails_is_that_of_the_serial_order(width, height, first, distance):
    launch = fail_here_and_there.over(width, height)
    out = np.zeros((height, width), np.int64)
    for _ in range(4):
        with pytest.raises(ValueError, match="not this one") as caught:
            launch(out, first, distance)
        assert f"in thread ({first % width}, {first // width}, 0) of the grid" in caught.value.__notes__[0]


@smelt.kernel
def fail_one_after_the_other(arrived, later, most_turns):
    i = smelt.grid(1)
    if i > 0:
        smelt.atomic_add(arrived, 0, 1)
        turns = 0
        while smelt.atomic_add(arrived, 0, 0) < 2 and turns < most_turns:
            turns += 1
        # Until the other one's error is known.
        turns = 0
        while i == later and turns < 5_000_000:
            turns += 1 if smelt.atomic_add(arrived, 0, 0) > 0 else 2
        raise ValueError("not this one")


@pytest.mark.parametrize("later", [1, 2])
def test_the_first_in_the_serial_order_wins_whichever_fails_first(grid, later):
    grid.threads = 2
    for _ in range(3):
        with pytest.raises(ValueError, match="not this one") as caught:
            fail_one_after_the_other[3](np.zeros(1, np.int64), later, MOST_TURNS)
        assert "in thread (1, 0, 0) of the grid" in caught.value.__notes__[0]


@smelt.kernel
def fail_in_groups(out, first):
    smelt.threadgroup_barrier()
    i = smelt.grid(1)
    if i >= first:
        raise ValueError("not this one")
    out[i] = 1


@pytest.mark.parametrize("first", [0, 100, 511])
@pytest.mark.usefixtures("threads")
def test_the_first_thread_of_a_group_that_fails_is_that_of_the_serial_order(first):
    out = np.zeros(512, np.int64)
    for _ in range(4):
        with pytest.raises(ValueError, match="not this one") as caught:
            fail_in_groups[32, 16](out, first)
        assert f"in thread ({first}, 0, 0) of the grid" in caught.value.__notes__[0]


@pytest.mark.usefixtures("threads")
def test_a_launch_after_one_that_failed_is_as_if_nothing_had_been():
    out = np.zeros((1, 1000), np.int64)
    for _ in range(4):
        with pytest.raises(ValueError, match="not this one"):
            fail_here_and_there.over(1000)(out, 5, 1)
        fail_here_and_there.over(1000)(out, 1000, 1)
        assert (out == 2000 - np.arange(1000)).all()


# At once


@smelt.kernel
def meet(arrived, seen, most_turns):
    i = smelt.grid(1)
    if i > 0:
        smelt.atomic_add(arrived, 0, 1)
        turns = 0
        while smelt.atomic_add(arrived, 0, 0) < 2 and turns < most_turns:
            turns += 1
        seen[i] = arrived[0]


def test_threads_of_one_grid_run_at_the_same_time(grid):
    grid.threads = 2
    arrived, seen = np.zeros(1, np.int64), np.zeros(3, np.int64)
    # The first thread is what the launch runs alone; the others wait for each other.
    meet[3](arrived, seen, MOST_TURNS)
    assert seen.tolist() == [0, 2, 2]


@smelt.kernel
def triangle(out):
    i = smelt.grid(1)
    total = 0
    for j in range(i):
        total += (i ^ j) & 1
    out[i] = total


@pytest.mark.usefixtures("threads")
def test_uneven_work():
    expected = np.array([sum((i ^ j) & 1 for j in range(i)) for i in range(500)])
    for _ in range(4):
        out = np.zeros(500, np.int64)
        triangle[500](out)
        assert (out == expected).all()


@smelt.kernel
def histogram(counts, values):
    i = smelt.grid(1)
    turns = 0
    while turns < 2:
        smelt.atomic_add(counts, values[i], 1)
        turns += 1


@pytest.mark.usefixtures("threads")
def test_atomic_operations_count_every_thread():
    values = np.random.default_rng(1).integers(0, 7, 20_000)
    for _ in range(4):
        counts = np.zeros(7, np.int64)
        histogram[values.size](counts, values)
        assert (counts == 2 * np.bincount(values, minlength=7)).all()


def test_launches_from_many_threads_of_python(grid):
    grid.threads = 4
    errors: list[BaseException] = []
    barrier = threading.Barrier(8)

    def launch_again_and_again(number: int) -> None:
        try:
            barrier.wait(LIMIT_SECS)
            for _ in range(20):
                out = np.zeros(300 + number, np.int64)
                triangle[out.size](out)
                assert out[-1] == sum((out.size - 1 ^ j) & 1 for j in range(out.size - 1))
                failing = np.zeros((1, 400), np.int64)
                with pytest.raises(ValueError, match="not this one") as caught:
                    fail_here_and_there.over(400)(failing, number, 3)
                assert f"in thread ({number}, 0, 0) of" in caught.value.__notes__[0]
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    running = [threading.Thread(target=launch_again_and_again, args=(n,), daemon=True) for n in range(8)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(LIMIT_SECS)
        assert not thread.is_alive(), "a deadlock"
    assert errors == []
    assert thread_grid._pool.job is None


@smelt.kernel
def add_one(out, failing):
    i = smelt.grid(1)
    turns = 0
    while turns < i % 5:
        turns += 1
    if i == failing:
        raise ValueError("not this one")
    out[i] += 1


def check_failing(launch, size: int, failing: int) -> None:
    out = np.zeros(size, np.int64)
    with pytest.raises(ValueError, match="not this one") as caught:
        launch(out, failing)
    assert f"in thread ({failing}, 0, 0) of the grid" in caught.value.__notes__[0]
    assert (out[:failing] == 1).all()
    assert out[failing] == 0
    assert out.max() <= 1


@pytest.mark.usefixtures("waiting")
def test_thousands_of_small_jobs_one_behind_the_other(grid):
    grid.threads = 4
    out = np.zeros(60, np.int64)
    launch = add_one.over(out.size)
    for number in range(2000):
        launch(out, -1)
        if number % 10 == 9:
            check_failing(launch, out.size, number % out.size)
    assert (out == 2000).all()
    assert thread_grid._pool.job is None


@pytest.mark.usefixtures("waiting")
def test_small_jobs_of_many_threads_of_python_while_the_number_of_threads_changes(grid, monkeypatch):
    errors: list[BaseException] = []
    barrier = threading.Barrier(7)
    launched = np.zeros(30, np.int64)

    class Launching:
        def write(self, text: str) -> None:  # noqa: ARG002 - what is printed is not looked at here
            add_one[launched.size](launched, -1)

    def launch_again_and_again(number: int) -> None:
        try:
            barrier.wait(LIMIT_SECS)
            out = np.zeros(40 + number, np.int64)
            launch = add_one.over(out.size)
            for turn in range(200):
                launch(out, -1)
                if turn % 20 == number:
                    check_failing(launch, out.size, turn % out.size)
            assert (out == 200).all()
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    def print_again_and_again() -> None:
        try:
            barrier.wait(LIMIT_SECS)
            for _ in range(10):
                say[4](np.arange(4))
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    monkeypatch.setattr(sys, "stdout", Launching())
    targets = [print_again_and_again, *(partial(launch_again_and_again, number) for number in range(5))]
    running = [threading.Thread(target=target, daemon=True) for target in targets]
    for thread in running:
        thread.start()
    barrier.wait(LIMIT_SECS)
    out = np.zeros(50, np.int64)
    for turn in range(200):
        grid.threads = (4, 1, 8, 2, 3)[turn % 5]
        add_one[out.size](out, -1)
    for thread in running:
        thread.join(LIMIT_SECS)
        assert not thread.is_alive(), "a deadlock"
    assert errors == []
    assert (out == 200).all()
    assert (launched == launched[0]).all()
    assert launched[0] >= 40
    assert thread_grid._pool.job is None


def test_more_threads_than_any_system_has_are_not_asked_for(grid):
    grid.threads = 1 << 70
    assert grid.threads == MOST_THREADS


@smelt.kernel
def say(values):
    i = smelt.grid(1)
    print(values[i])  # noqa: T201 - the kernel does


@pytest.mark.usefixtures("threads")
def test_a_launch_inside_of_a_launch(monkeypatch):
    """What threads print is written by Python, which may launch; and it comes in the order of the threads."""
    texts: list[str] = []

    class Launching:
        def write(self, text: str) -> None:
            out = np.zeros(100, np.int64)
            triangle[100](out)
            assert out[3] == 2
            texts.append(text)

    monkeypatch.setattr(sys, "stdout", Launching())
    say[50](np.arange(50))
    assert "".join(texts) == "".join(f"{number}\n" for number in range(50))


# Processes


def run_child(name: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", str(CHILD), name],
        capture_output=True,
        text=True,
        timeout=LIMIT_SECS,
        env={**os.environ, "SMELT_NUM_THREADS": "4", **environment},
        check=False,
    )


def check_child(name: str, expected: str, **environment: str) -> None:
    done = run_child(name, **environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, expected, "")


@shows_threads
def test_small_grids_start_no_thread():
    check_child("small", "threads after small grids: 0\nafter a large one: 3\n")


@has_processes
@shows_threads
def test_a_child_of_a_fork_has_threads_of_its_own():
    check_child("fork", "child: right, with 4 threads\nparent: right\n")


@has_processes
def test_a_fork_while_another_thread_launches():
    check_child("fork_during_launches", "6 children were right\n")


@has_processes
def test_forks_while_other_threads_launch_small_jobs():
    check_child("fork_during_small_jobs", "10 children were right\nparent: right\n")


def test_launches_that_follow_each_other_wake_threads_and_keep_them_awake():
    expected = """
each alone: 0 threads were started
the streak grows
worth it together: 3 threads were started
awake: shared
asleep: alone
after a pause: alone, a new streak
"""
    check_child("streak", expected.lstrip())


def test_a_process_may_end_during_a_launch():
    check_child("exit", "leaving\n")


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="this system has no signals for threads")
def test_an_interrupt_comes_through_after_the_grid():
    check_child("interrupt", "interrupted\nthe array is whole\nright again\n")


@shows_threads
def test_signals_are_for_the_threads_that_run_python():
    check_child("signals", "3 threads block SIGINT, 0 of them SIGSEGV\n")


def test_one_thread_is_no_pool():
    check_child("alone", "None\nright\n", SMELT_NUM_THREADS="1")


WINDOWS = (
    "AcquireSRWLockExclusive",
    "CloseHandle",
    "CreateThread",
    "QueryPerformanceCounter",
    "ReleaseSRWLockExclusive",
    "SleepConditionVariableSRW",
    "SwitchToThread",
    "WakeAllConditionVariable",
    "WakeConditionVariable",
)


@pytest.mark.parametrize(
    ("target", "platform", "names"),
    [
        ("native:x86-64:windows", "win32", WINDOWS),
        ("native:x86-64", "linux", ("pthread_mutex_lock", "sched_yield")),
        ("native:aarch64", "linux", ("pthread_mutex_lock", "sched_yield")),
        ("native:apple-m1", "darwin", ("pthread_mutex_lock", "sched_yield")),
    ],
)
def test_the_code_for_each_system_refers_to_its_functions_and_to_the_pool(
    object_of: Callable[..., bytes], target: str, platform: str, names: tuple[str, ...]
):
    symbols = flatten(object_of(thread_grid_text(platform), target, 0)).symbols
    assert {POOL, *names} <= set(symbols)
    assert platform != "win32" or len(symbols) == len(names) + 1


def knob_of(monkeypatch: pytest.MonkeyPatch, text: str) -> knobs.Knob[int | None]:
    known = knobs.NUM_THREADS
    monkeypatch.setenv(known.name, text)
    return knobs.Knob(known.name, known._parse, None)


@pytest.mark.parametrize(("text", "expected"), [("7", 7), ("1", 1), ("", None)])
def test_the_number_of_threads_is_what_the_environment_says(monkeypatch, text, expected):
    assert knob_of(monkeypatch, text).value == expected


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5"])
def test_a_number_of_threads_that_is_none_is_refused_by_name(monkeypatch, text):
    message = f"the environment variable SMELT_NUM_THREADS is '{text}': it is a number, 1 or more"
    with pytest.raises(ValueError, match=re.escape(message)):
        _ = knob_of(monkeypatch, text).value
