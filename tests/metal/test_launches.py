# SPDX-License-Identifier: Apache-2.0
"""Launches of smelt's kernels on a Metal device."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
import pytest

import smelt
from smelt import knobs
from smelt.launch.streams import Stream, stream_of
from smelt.targets.metal import pipelines
from smelt.targets.metal.devices.errors import DeviceError
from smelt.targets.metal.devices.software.queues import SoftwareEncoder

pytestmark = pytest.mark.once

SOFTWARE = "metal:software"


@pytest.fixture(autouse=True)
def _on_metal():
    with knobs.DEVICE.set(SOFTWARE):
        yield
    smelt.synchronize()


@smelt.kernel
def shifted(out, x, by):
    i = smelt.grid(1)
    out[i + by] = 2 * x[i]


@smelt.kernel
def positions(out):
    x, y, z = smelt.grid(3)
    out[z, y, x] = x + 10 * y + 100 * z


@smelt.kernel
def group_sizes(out):
    i = smelt.grid(1)
    out[i] = smelt.threads_per_threadgroup().x


def test_a_program_with_arrays_of_numpy_runs_there_as_it_is():
    x, out = np.arange(1000, dtype=np.int32), np.zeros(1000, np.int32)
    links = smelt.stats().links
    shifted[1000](out, x, 0)
    assert smelt.stats().links == links + 1
    assert (out == 2 * x).all()
    shifted[1000](out=out, x=x[::-1], by=0)
    assert (out == 2 * x[::-1]).all()


def test_grids_of_three_dimensions_and_edges():
    out = np.zeros((3, 4, 5), np.int32)
    positions.over(5, 4, 3)(out)
    z, y, x = np.indices(out.shape)
    assert (out == x + 10 * y + 100 * z).all()
    again = np.zeros_like(out)
    positions.configure((3, 2, 1), (2, 2, 3))(np.zeros((3, 4, 6), np.int32))
    positions.over(5, 4, 3)(again[::-1])
    assert (again[::-1] == out).all()


def test_no_threads_do_nothing():
    out = np.ones(3, np.int32)
    shifted[0](out, out, 0)
    positions.over(3, 0, 2)(np.zeros((1, 1, 1), np.int32))
    assert out.tolist() == [1, 1, 1]


def test_what_a_thread_raises_is_raised_by_the_launch_that_waits():
    out = np.zeros(10, np.int32)
    with pytest.raises(IndexError, match="out: index is out of bounds for dimension 0") as caught:
        shifted[10](out, np.ones(10, np.int32), 4)
    (note,) = caught.value.__notes__
    assert "of the grid, shifted.kernel at" in note or "of the grid, shifted at" in note
    assert "out[i + by] = 2 * x[i]" in note
    # What other threads wrote is there, as it is on the processor.
    assert out[4:].tolist() == [2] * 6


def test_what_a_thread_raises_without_anybody_waiting_is_raised_at_the_next_synchronisation():
    x, out = smelt.full(10, 3, np.int32), smelt.zeros(10, np.int32)
    shifted[10](out, x, 5)
    shifted[10](out, x, 0)
    with pytest.raises(IndexError, match="out: index is out of bounds"):
        smelt.synchronize()
    smelt.synchronize()
    assert out.numpy().tolist() == [6] * 10
    shifted[10](out, x, 5)
    shifted[10](out, x, 7)
    with pytest.raises(IndexError) as caught:
        out.numpy()
    assert caught.value.__notes__[-1] == "1 of the launches after it failed as well"


def test_each_device_is_synchronised_by_itself():
    other = "metal:software:1"
    x, y = smelt.zeros(4, np.int32), smelt.zeros(4, np.int32, device=other)
    shifted[4](y, y, 2)
    smelt.synchronize(SOFTWARE)
    smelt.synchronize("cpu")
    x.numpy()
    with pytest.raises(IndexError):
        smelt.synchronize(smelt.device(other))


def test_an_error_on_one_device_leaves_no_other_unfinished():
    x, y = smelt.zeros(4, np.int32), smelt.zeros(4, np.int32, device="metal:software:1")
    shifted[4](x, x, 2)
    shifted[4](y, y, 3)
    with pytest.raises(IndexError) as caught:
        smelt.synchronize()
    assert caught.value.__notes__[-1].startswith("on metal:software:1: IndexError(")
    smelt.synchronize()


def test_launches_that_nobody_waits_for_hold_no_more_than_some():
    x = smelt.zeros(2, np.int32)

    @smelt.kernel
    def counted(x):
        x[smelt.grid(1)] += 1

    for _ in range(200):
        counted[2](x)
    assert len(stream_of(smelt.device(SOFTWARE))._pending) <= 64
    assert x.numpy().tolist() == [200, 200]


class Commands:
    """A command buffer that fails, to see what a stream makes of it."""

    def __init__(self, error=None):
        self.error = error
        self.is_committed = False

    def commit(self):
        self.is_committed = True

    def wait_until_completed(self):
        assert self.is_committed
        if self.error is not None:
            raise self.error


def test_what_the_device_says_is_raised_and_what_was_behind_it_is_finished():
    stream, finished = Stream(smelt.device(SOFTWARE)), []
    stream.submit(Commands(DeviceError("lost")), lambda: finished.append("first"), holds=())
    stream.submit(Commands(), lambda: finished.append("second"), holds=())
    with pytest.raises(DeviceError, match="lost"):
        stream.synchronize()
    assert finished == ["first", "second"]
    stream.synchronize()

    def of_a_thread():
        raise IndexError("beyond")

    # Others wait in vain for a thread that has failed.
    stream.submit(Commands(DeviceError("waits in vain")), of_a_thread, holds=())
    with pytest.raises(IndexError, match="beyond"):
        stream.synchronize()


def test_a_group_that_is_too_large_is_refused_with_the_limit():
    out = smelt.zeros(4096, np.int32)
    with pytest.raises(
        smelt.LaunchError, match="a group of group_sizes has at most 1024 threads on metal:software, not 2048"
    ):
        group_sizes[2, 2048](out)
    found = smelt.metal.mtlfunction(group_sizes, (smelt.int32[:],))
    with pytest.raises(smelt.LaunchError, match="at most 1024 threads on metal:software, not 1056"):
        found(out, threads=(33, 32))
    group_sizes[4, 1024](out)
    assert set(out.numpy().tolist()) == {1024}


def test_the_size_of_a_group_that_was_not_asked_for_fits_the_pipeline(monkeypatch):
    found = smelt.metal.mtlfunction(group_sizes, (smelt.int32[:],))
    monkeypatch.setattr(found, "max_threads", 64)
    out = smelt.zeros(200, np.int32)
    group_sizes[200](out)
    assert set(out.numpy().tolist()) == {64}
    with pytest.raises(smelt.LaunchError, match="at most 64 threads"):
        group_sizes[2, 100](out)


def test_a_grid_has_positions_of_32_bits():
    with pytest.raises(
        smelt.LaunchError, match="a grid on metal:software has at most 4294967295 threads on an axis, not 4294967296"
    ):
        group_sizes[1 << 32](smelt.zeros(1, np.int32))


def test_memory_of_a_group_is_sized_at_launch(monkeypatch):
    @smelt.kernel
    def reversed_in_groups(x):
        room = smelt.threadgroup_array(None, np.int32)
        i, j, size = smelt.grid(1), smelt.thread_position_in_threadgroup().x, smelt.threads_per_threadgroup().x
        room[j] = x[i]
        smelt.threadgroup_barrier()
        x[i] = room[size - 1 - j]

    x = np.arange(12, dtype=np.int32)
    reversed_in_groups.configure(2, 6, threadgroup_memory=24)(x)
    assert x.tolist() == [5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 7, 6]
    given = []
    monkeypatch.setattr(SoftwareEncoder, "set_threadgroup_memory_length", lambda _, *each: given.append(each))
    with pytest.raises(DeviceError):
        reversed_in_groups.configure(2, 6, threadgroup_memory=24)(x)
    # Metal takes multiples of 16.
    assert given == [(32, 0)]
    monkeypatch.undo()
    with pytest.raises(smelt.LaunchError, match="sized at launch"):
        reversed_in_groups[2, 6](x)
    with pytest.raises(smelt.LaunchError, match="needs 40000 bytes of memory; on metal:software it has 32768"):
        reversed_in_groups.configure(2, 6, threadgroup_memory=40000)(x)
    with pytest.raises(IndexError):
        reversed_in_groups.configure(2, 6, threadgroup_memory=20)(x)


class Pair(NamedTuple):
    left: float
    right: int


@dataclasses.dataclass(frozen=True)
class Line:
    points: tuple
    slope: np.float32
    is_up: bool


TABLE = np.array([10, 20, 30], np.int32)


def test_arguments_of_all_sorts_arrive():
    @smelt.kernel
    def gathered(out, pair, line, half, small, big, flag, number, nothing, name):
        out[0] = pair.left
        out[1] = pair.right
        out[2] = line.slope
        out[3] = line.points[1][2] if line.is_up else 0
        out[4] = half
        out[5] = small
        out[6] = big
        out[7] = 1 if flag and nothing is None and name == "this" else 0
        out[8] = number.real
        out[9] = number.imag
        out[10] = TABLE[1]

    out = np.zeros(11, np.float32)
    line = Line((np.zeros(1, np.float32), np.arange(3, dtype=np.int16)), np.float32(0.25), True)
    gathered[1](out, Pair(1.5, -2), line, np.float16(0.5), np.uint8(200), 2**40, True, 3 - 4j, None, "this")
    assert out.tolist() == [1.5, -2, 0.25, 2, 0.5, 200, 2.0**40, 1, 3, -4, 20]


def test_a_float_of_python_is_a_float32_and_infinite_where_it_is_too_large():
    @smelt.kernel
    def stored(out, a):
        out[0] = a

    out = smelt.zeros(1)
    for value in (0.1, 1e300, -1e300, float("nan")):
        stored[1](out, value)
        np.testing.assert_equal(out[0], np.float32(value) if abs(value) < 1e30 else value * np.inf)
    with pytest.raises(smelt.LaunchError, match="does not fit into int64"):
        stored[1](out, 2**80)


def test_arrays_that_take_turns_in_memory_and_arrays_without_elements():
    both = np.zeros(20, np.int32)
    shifted[10](both[1::2], np.arange(10, dtype=np.int32), 0)
    assert both[::2].tolist() == [0] * 10
    assert both[1::2].tolist() == list(range(0, 20, 2))
    shifted[0](both[:0], both[:0], 0)


def test_captured_arrays_are_written_where_they_are():
    totals = np.zeros(3, np.int32)

    @smelt.kernel
    def added(x):
        i = smelt.grid(1)
        smelt.atomic_add(totals, i % 3, x[i])

    added[9](smelt.array(np.arange(9, dtype=np.int32)))
    assert totals.tolist() == [9, 12, 15]


def test_many_arguments_do_not_fit_into_a_copy_and_go_into_a_buffer():
    @smelt.kernel
    def summed(out, many):
        total = 0
        for row in many:
            for item in row:
                total += item
        out[0] = total

    out = smelt.zeros(1, np.int64)
    # More words than set_bytes takes.
    summed[1](out, tuple(tuple(range(start, start + 30)) for start in range(18)))
    summed[1](out, tuple(tuple(range(start, start + 30)) for start in range(18)))
    assert out[0] == sum(sum(range(start, start + 30)) for start in range(18))


def test_doubles_are_refused_with_what_to_pass():
    with pytest.raises(smelt.KernelError, match="Metal has no float64") as caught:
        shifted[1](np.zeros(1), np.zeros(1), 0)
    assert "float32" in caught.value.help


def test_launches_in_a_workload_are_not_run():
    x = smelt.zeros(1, np.int32)
    with smelt.precompile_workload():
        shifted[1](x, x, 9)
    smelt.synchronize()


def test_a_launch_without_arrays_returns_when_it_is_done():
    @smelt.kernel
    def fails(n):
        assert smelt.grid(1) < n, "too many threads"

    fails[3](3)
    with pytest.raises(AssertionError, match="too many threads"):
        fails[4](3)


@smelt.kernel
def told(x):
    i = smelt.grid(1)
    print("element", i, "is", x[i])  # noqa: T201 - what is tested


def test_what_threads_print_is_shown_when_the_launch_is_done(capsys):
    x = smelt.array(np.array([5, 6], np.int32))
    told[2](x)
    assert sorted(capsys.readouterr().out.splitlines()) == ["element 0 is 5", "element 1 is 6"]
    told[1](x)
    assert capsys.readouterr().out == "element 0 is 5\n"


def test_what_does_not_fit_to_print_ends_its_thread(monkeypatch, capsys):
    # Room for the head, one text of three words, and half of another.
    monkeypatch.setattr(pipelines, "PRINT_BYTES", 8 + 24 + 16)
    with pytest.raises(RuntimeError, match="this could not be printed: there is no room for more in one launch"):
        smelt.metal.mtlfunction(told, (smelt.int64[:],))(np.arange(3), threads=3)
    assert capsys.readouterr().out == "element 0 is 0\n"
