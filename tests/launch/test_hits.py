# SPDX-License-Identifier: Apache-2.0
"""Launches that run in compiled code: when they do, and that they do what the slow path would."""

from __future__ import annotations

import contextlib
import gc
import signal
import sys
import threading
import weakref
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest

import smelt
from smelt.launch.grids import Grid
from smelt.launch.kernel import Launcher
from smelt.targets.native.launching import object_layouts

pytestmark = pytest.mark.skipif(
    not object_layouts.are_as_expected(),
    reason="the objects of this Python or NumPy are laid out as no compiled launch expects",
)


@pytest.fixture
def slow(monkeypatch):
    """The launches that took the slow path since."""
    taken: list[tuple[object, ...]] = []
    path = Launcher.__call__

    def counted(self, /, *arguments, **keywords):
        taken.append(arguments)
        return path(self, *arguments, **keywords)

    monkeypatch.setattr(Launcher, "__call__", counted)
    return taken


def warm(launch, *arguments):
    """Launch until there is an entry for these arguments."""
    for _ in range(3):
        launch(*arguments)


@smelt.kernel
def add(out, values, offset=1):
    i = smelt.grid(1)
    out[i] = values[i] + offset


def test_the_third_launch_does_not_enter_python(slow):
    out, values = np.zeros(3), np.arange(3.0)
    launch = add.over(3)
    for expected in (1, 2, 2, 2):
        out[:] = 0
        launch(out, values, 2.0)
        np.testing.assert_array_equal(out, values + 2)
        assert len(slow) == expected
    assert launch.__self__.kernel is add
    assert launch.__self__.grid == Grid((3, 1, 1), (3, 1, 1), is_group_free=True)


def test_launchers_of_one_kernel_share_what_was_learnt(slow):
    out, values = np.zeros(30), np.arange(30.0)
    warm(add.over(30), out, values, 3)
    slow.clear()
    for launch in (add[30], add[10, 3], add.configure(15, 2), add.over(30)):
        out[:] = 0
        launch(out, values, 3)
        np.testing.assert_array_equal(out, values + 3)
    assert not slow


def test_what_indexing_gives_is_found_again():
    assert add[5] is add[5]
    assert add[2, 3] is add[2, 3]
    assert add[5] is not add[6]
    for size in (5.0, (2, 3.0), (2.0, 3)):
        with pytest.raises(smelt.LaunchError, match="is an integer, not"):
            add[size]
    for size in range(1000):
        assert add[size].__self__.grid.threads[0] == size


def test_an_argument_that_is_left_out_has_its_default(slow, monkeypatch):
    out, values = np.zeros(3), np.arange(3.0)
    launch = add.over(3)
    warm(launch, out, values)
    slow.clear()
    launch(out, values)
    np.testing.assert_array_equal(out, values + 1)
    assert not slow
    launch(out, values, offset=3)
    np.testing.assert_array_equal(out, values + 3)
    monkeypatch.setattr(add.function, "__defaults__", (7,))
    launch(out, values)
    np.testing.assert_array_equal(out, values + 7)
    assert slow


def test_arguments_by_name_and_wrong_ones_are_the_slow_paths(slow):
    out, values = np.zeros(3), np.arange(3.0)
    launch = add.over(3)
    warm(launch, out, values, 1)
    slow.clear()
    launch(out, offset=5, values=values)
    np.testing.assert_array_equal(out, values + 5)
    with pytest.raises(smelt.LaunchError, match="add takes 3 arguments"):
        launch(out)
    with pytest.raises(smelt.LaunchError, match="does not fit into int64"):
        launch(out, values, 2**63)
    with pytest.raises(smelt.LaunchError, match="byte order"):
        launch(out, values.astype(">f8"), 1)
    read_only = np.zeros(3)
    read_only.flags.writeable = False
    with pytest.raises(smelt.KernelError, match="read-only"):
        launch(read_only, values, 1)
    assert len(slow) == 5
    np.testing.assert_array_equal(out, values + 5)


def test_several_tuples_of_types_are_served_side_by_side(slow):
    launch = add.over(3)
    pairs = [(np.zeros(3, dtype), np.arange(3).astype(dtype)) for dtype in ("f4", "f8", "i4", "i8", "u1")]
    for out, values in pairs:
        warm(launch, out, values, 2)
    slow.clear()
    for _ in range(2):
        for out, values in pairs:
            launch(out, values, 2)
            np.testing.assert_array_equal(out, values + 2)
    assert not slow


@smelt.kernel
def first_only(out, value):
    out[0] = value


def test_of_more_types_than_a_table_holds_all_are_launched_right():
    launch = first_only.over(1)
    values = [np.dtype(code).type(3) for code in "bBhHiIlLefd"] + [3, 3.0, True, np.True_]
    for out in (np.zeros(1), np.zeros(1, "f4")):
        for value in values * 3:
            out[:] = 0
            launch(out, value)
            assert out[0] == value
    assert len(first_only.table.entries) <= 16


def helper(x):
    return x + 1


FACTOR = 10


class Settings:
    scale = 1


@smelt.kernel
def dependent(out):
    out[0] = helper(out[1]) * FACTOR * Settings.scale


def test_a_change_is_seen_by_the_next_launch(slow, monkeypatch):
    out = np.array([0.0, 1.0])
    launch = dependent.over(1)

    def launched():
        slow.clear()
        launch(out)
        return out[0], len(slow)

    warm(launch, out)
    assert launched() == (20, 0)
    monkeypatch.setitem(globals(), "FACTOR", 100)
    assert launched() == (200, 1)
    warm(launch, out)
    assert launched() == (200, 0)
    monkeypatch.setattr(Settings, "scale", 2)
    assert launched() == (400, 1)
    warm(launch, out)
    monkeypatch.setattr(helper, "__code__", (lambda x: x + 4).__code__)
    assert launched() == (1000, 1)
    warm(launch, out)
    monkeypatch.setitem(globals(), "helper", lambda x: x)
    assert launched() == (200, 1)
    warm(launch, out)
    assert launched() == (200, 0)


def test_what_changes_nothing_does_not_end_it(slow, monkeypatch):
    out = np.array([0.0, 1.0])
    launch = dependent.over(1)
    warm(launch, out)
    slow.clear()
    for value in range(3):
        monkeypatch.setitem(globals(), "UNRELATED", value)
        launch(out)
    assert not slow
    # An equal constant, another object: found by the slow path where a dict is numbered, and no more after that.
    monkeypatch.setitem(globals(), "FACTOR", int("10"))
    monkeypatch.setattr(helper, "__defaults__", ())
    launch(out)
    slow.clear()
    launch(out)
    assert not slow
    assert out[0] == 20


def captured_by(cell):
    @smelt.kernel
    def captures(out):
        out[0] = cell

    def rebind(value):
        nonlocal cell
        cell = value

    return captures, rebind


def test_a_cell_is_compared():
    captures, rebind = captured_by(1)
    out, launch = np.zeros(1), captures.over(1)
    warm(launch, out)
    for value in (2, 3, 2):
        rebind(value)
        launch(out)
        assert out[0] == value
        warm(launch, out)


TABLE = np.arange(4.0)


@smelt.kernel
def from_table(out):
    i = smelt.grid(1)
    out[i] = TABLE[i]


def test_captured_arrays_are_passed_and_checked(slow, monkeypatch):
    out, launch = np.zeros(4), from_table.over(4)
    warm(launch, out)
    slow.clear()
    TABLE[0] = 5
    launch(out)
    assert out[0] == 5
    TABLE[0] = 0
    assert not slow
    other = np.arange(4.0) * 3
    monkeypatch.setitem(globals(), "TABLE", other)
    warm(launch, out)
    np.testing.assert_array_equal(out, other)
    other.flags.writeable = False
    with pytest.raises(smelt.LaunchError, match="a captured array was changed in place"):
        launch(out)
    other.flags.writeable = True
    with pytest.raises(smelt.LaunchError, match="overlap in memory"):
        launch(other[::-1])


@smelt.kernel
def shift(out, values):
    i = smelt.grid(1)
    out[i] = values[i]


@pytest.mark.parametrize(
    ("first", "second", "is_slow", "is_refused"),
    [
        (slice(0, 4), slice(4, 8), False, False),
        (slice(4, 8), slice(0, 4), False, False),
        (slice(0, 4), slice(3, 7), True, True),
        (slice(3, 7), slice(0, 4), True, True),
        (slice(0, 4), slice(0, 4), True, False),
        (slice(0, 0), slice(0, 4), False, False),
        (slice(0, 4), slice(2, 2), False, False),
        (slice(0, 8, 2), slice(1, 8, 2), True, False),
        (slice(0, 8, 2), slice(0, 4), True, True),
        (slice(3, None, -1), slice(4, 8), False, False),
        (slice(3, None, -1), slice(3, 7), True, True),
        (slice(3, None, -1), slice(0, 3), True, True),
        (slice(6, 2, -1), slice(0, 3), False, False),
    ],
)
def test_arrays_that_may_overlap_are_left_to_the_slow_path(slow, first, second, is_slow, is_refused):
    memory = np.arange(8.0)
    out, values = memory[first], memory[second]
    launch = shift.over(min(out.size, values.size))
    # The same types, elsewhere.
    warm(launch, *(np.zeros(8)[part] for part in (first, second)))
    slow.clear()
    if is_refused:
        with pytest.raises(smelt.LaunchError, match="overlap in memory"):
            launch(out, values)
    else:
        launch(out, values)
    assert bool(slow) == is_slow


def test_one_array_given_twice_is_no_overlap(slow):
    array, launch = np.arange(4.0), shift.over(4)
    warm(launch, array, array)
    slow.clear()
    launch(array, array)
    assert not slow


@smelt.kernel
def fails_at(out, place):
    x, y = smelt.grid(2)
    if x == place and y == 1:
        raise ValueError("here")
    out[y, x] = 1


def test_an_error_of_a_thread_arrives_as_from_the_slow_path(slow):
    out, launch = np.zeros((3, 4)), fails_at.over(4, 3)
    warm(launch, out, 9)
    slow.clear()
    errors = []
    for path in (launch, launch.__self__):
        slow.clear()
        with pytest.raises(ValueError, match="here") as error:
            path(out, 2)
        errors.append((str(error.value), error.value.__notes__))
        assert bool(slow) == (path is not launch)
    assert errors[0] == errors[1]
    assert "in thread (2, 1, 0)" in errors[0][1][0]
    launch(out, 9)


class Pair(NamedTuple):
    first: float
    second: np.ndarray


@dataclass(frozen=True)
class Body:
    mass: float
    places: np.ndarray


@smelt.kernel
def of_records(out, pair, body, numbers):
    i = smelt.grid(1)
    out[i] = pair.first * pair.second[i] + body.mass * body.places[i] + numbers[0] + numbers[1][0]


def test_records_are_unpacked(slow):
    out, values = np.zeros(3), np.arange(3.0)
    arguments = (out, Pair(2.0, values), Body(3.0, values + 1), (4, (5.0,)))
    launch = of_records.over(3)
    warm(launch, *arguments)
    slow.clear()
    out[:] = 0
    launch(*arguments)
    np.testing.assert_array_equal(out, 2 * values + 3 * (values + 1) + 9)
    assert not slow
    # The array that is written is a field of an argument.
    with pytest.raises(smelt.LaunchError, match="overlap in memory"):
        launch(values[1:], Pair(2.0, values[:-1]), Body(3.0, values[:-1].copy()), (4, (5.0,)))


def references(*held):
    return [sys.getrefcount(one) for one in held]


def test_no_reference_is_kept_or_lost(slow):
    out, values = np.zeros(3), np.arange(3.0)
    pair, body, numbers = Pair(2.0, values), Body(3.5e7, values + 1), (400000, (5.5,))
    arguments = (out, pair, body, numbers)
    launch = of_records.over(3)
    warm(launch, *arguments)
    held = (*arguments, values, body.places, body.mass, pair.first, numbers[0], numbers[1])
    failing = fails_at.over(4, 3)
    image = np.zeros((3, 4))
    warm(failing, image, 70000)
    tables = of_records.table._current, fails_at.table._current
    held = (*held, launch, failing, image, of_records.table.entries[0], *tables)
    slow.clear()
    gc.collect()
    before, before_none = references(*held), sys.getrefcount(None)
    for _ in range(1000):
        launch(*arguments)
        launch(*arguments)
    assert not slow
    for _ in range(50):
        with pytest.raises(ValueError, match="here"):
            failing(image, 2)
        with pytest.raises(smelt.LaunchError):
            launch(out, pair, body, (1, 2, 3, [4]))
    del slow[:], _
    gc.collect()
    assert references(*held) == before
    # Whatever else of Python refers to None, it is not one more or less for each launch.
    assert abs(sys.getrefcount(None) - before_none) < 500


def test_what_a_kernel_leaves_is_collected():
    def made():
        @smelt.kernel
        def brief(out):
            out[0] = 1

        return brief

    kernel = made()
    warm(kernel[1], np.zeros(1))
    (entry,) = kernel.table.entries
    gone = [weakref.ref(kernel), weakref.ref(kernel.table)]
    del kernel, entry
    gc.collect()
    assert [reference() for reference in gone] == [None, None]


def test_many_launches_leave_memory_as_it_was():
    out, values = np.zeros(3), np.arange(3.0)
    launch = add.over(3)
    warm(launch, out, values, 1.5)
    before = sys.getallocatedblocks()
    for _ in range(100_000):
        launch(out, values, 1.5)
    assert sys.getallocatedblocks() - before < 100


def test_many_failures_leave_memory_as_it_was(slow):
    out, launch = np.zeros((3, 4)), fails_at.over(4, 3)
    warm(launch, out, 9)

    def fail(times):
        for _ in range(times):
            with contextlib.suppress(ValueError):
                launch(out, 2)

    fail(10)
    slow.clear()
    gc.collect()
    before = sys.getallocatedblocks()
    fail(1000)
    gc.collect()
    assert sys.getallocatedblocks() - before < 100
    assert not slow


@smelt.kernel
def spins(flags):
    smelt.atomic_add(flags, 0, 1)
    while smelt.atomic_add(flags, 1, 0) == 0:
        pass


def test_the_interpreter_lock_is_released_around_what_may_take_long(slow):
    flags, launch = np.zeros(2, np.int64), spins.over(1)
    flags[1] = 1
    warm(launch, flags)
    flags[:] = 0
    slow.clear()
    thread = threading.Thread(target=launch, args=(flags,))
    thread.start()
    # The kernel turns round and round until this thread has seen it, and told it so.
    while flags[0] == 0:
        pass
    flags[1] = 1
    thread.join()
    assert not slow


def test_threads_launch_at_once_while_the_kernel_changes(monkeypatch):
    launch = dependent.over(1)
    errors, stop = [], threading.Event()

    def run():
        out = np.array([0.0, 1.0])
        while not stop.is_set():
            launch(out)
            if out[0] not in (20, 40, 60):
                errors.append(out[0])

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for turn in range(12):
            monkeypatch.setitem(globals(), "FACTOR", 10 * (1 + turn % 3))
            out = np.array([0.0, 1.0])
            launch(out)
            assert out[0] == 20 * (1 + turn % 3)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not errors


class InterruptedLaunchesError(Exception):
    pass


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timers")
def test_a_signal_is_handled_between_two_launches(slow):
    def interrupt(*_):
        raise InterruptedLaunchesError

    def launch_on_and_on():
        while True:
            launch(out, values, 1.5)

    out, values = np.zeros(3), np.arange(3.0)
    launch = add.over(3)
    warm(launch, out, values, 1.5)
    slow.clear()
    former = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        with pytest.raises(InterruptedLaunchesError):
            launch_on_and_on()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
    assert not slow
    np.testing.assert_array_equal(out, values + 1.5)


@smelt.kernel
def grouped(out):
    shared = smelt.threadgroup_array(None, np.float64)
    i = smelt.thread_index_in_threadgroup()
    shared[i] = i
    smelt.threadgroup_barrier()
    out[smelt.grid(1)] = shared[smelt.threads_per_threadgroup().x - 1 - i]


def test_what_a_kernel_asks_of_groups_is_asked_at_each_launch(slow):
    out = np.zeros(8)
    launch = grouped.configure(2, 4, threadgroup_memory=32)
    warm(launch, out)
    slow.clear()
    launch(out)
    np.testing.assert_array_equal(out, [3, 2, 1, 0] * 2)
    assert not slow
    with pytest.raises(smelt.LaunchError, match="sized at launch"):
        grouped.configure(2, 4)(out)
    with pytest.raises(smelt.LaunchError, match="a group has at most"):
        grouped.configure(1, 100_000, threadgroup_memory=800_000)(np.zeros(100_000))
    with pytest.raises(smelt.LaunchError, match="the most is"):
        grouped.configure(2, 4, threadgroup_memory=2**40)(out)
    warm(shift.over(3), np.zeros(3), np.zeros(3))
    with pytest.raises(smelt.LaunchError, match="takes no threadgroup_memory"):
        shift.configure(1, 3, threadgroup_memory=8)(np.zeros(3), np.zeros(3))


def test_without_compiled_launches_a_launcher_is_called(monkeypatch, slow):
    monkeypatch.setattr(add, "stubs", lambda: None)
    out, values = np.zeros(3), np.arange(3.0)
    launch = add.over(3)
    assert type(launch) is Launcher
    for _ in range(4):
        launch(out, values, 2.5)
    np.testing.assert_array_equal(out, values + 2.5)
    assert len(slow) == 4


def test_a_grid_that_is_not_small_runs_on_several_threads_of_the_system(slow):
    count = 100_003
    out, values = np.zeros(count), np.arange(float(count))
    warm(add[3], out[:3], values[:3], 2)
    if add.compile(smelt.float64[:], smelt.float64[:], int).kernel.grid is None:
        pytest.skip("grids are run by one thread: there is one processor, or one is asked for")
    launch = add.over(count)
    slow.clear()
    launch(out, values, 2)
    # The first one of so many threads asks for what runs them.
    assert len(slow) == 1
    out[:] = 0
    launch(out, values, 2)
    assert len(slow) == 1
    np.testing.assert_array_equal(out, values + 2)
    with pytest.raises(IndexError) as error:
        launch(out, values[:-7], 2)
    assert f"in thread ({count - 7}, 0, 0)" in error.value.__notes__[0]
    assert len(slow) == 1


def test_a_workload_runs_nothing_that_ran_before(slow):
    out, values = np.zeros(3), np.arange(3.0)
    launch = add.over(3)
    warm(launch, out, values, 4)
    out[:] = 0
    slow.clear()
    with smelt.precompile_workload():
        launch(out, values, 4)
        add[3](out, values, 4)
    assert not out.any()
    assert len(slow) == 2
    launch(out, values, 4)
    np.testing.assert_array_equal(out, values + 4)
    assert len(slow) == 2
