# SPDX-License-Identifier: Apache-2.0
"""Memory of this process on devices that can't use it in place: it is copied there, and back."""

from __future__ import annotations

import numpy as np
import pytest

import smelt
from smelt._devices import software_runtime
from smelt.targets.metal.devices.host_memory import Extent, HostMemory, extent_of
from smelt.targets.metal.devices.software.device import SoftwareDevice

pytestmark = pytest.mark.once


class Apart(SoftwareDevice):
    """A device with memory of its own."""

    def buffer_over(self, memory):  # noqa: ARG002 - whatever it is
        return None


@pytest.fixture(scope="module")
def device():
    return Apart("metal:apart", software_runtime())


@smelt.kernel
def doubled(out, x):
    out[smelt.grid(1)] = 2 * x[smelt.grid(1)]


def find(device, *arrays):
    return smelt.metal.mtlfunction(doubled, tuple(map(smelt.types.typeof, arrays)), device)


def test_what_a_kernel_writes_is_copied_back(device):
    x, out = np.arange(8, dtype=np.int32), np.full(8, -1, np.int32)
    find(device, out, x)(out, x, threads=8)
    assert out.tolist() == list(range(0, 16, 2))
    assert x.tolist() == list(range(8))


def test_what_was_written_before_a_thread_failed_is_copied_back_too(device):
    x, out = np.arange(8, dtype=np.int32), np.full(4, -1, np.int32)
    with pytest.raises(IndexError):
        find(device, out, x)(out, x, threads=8)
    assert out.tolist() == [0, 2, 4, 6]


@pytest.mark.parametrize("part", [slice(1, None, 2), slice(None, None, -2), slice(3, 11)])
def test_parts_of_an_array_leave_what_is_between_them_alone(device, part):
    out = np.full(16, -1, np.int32)
    x = np.arange(8, dtype=np.int32)
    expected = out.copy()
    expected[part] = 2 * x
    find(device, out[part], x)(out[part], x, threads=8)
    assert out.tolist() == expected.tolist()


def test_arrays_that_take_turns_in_memory_are_copied_as_one(device):
    both = np.zeros(16, np.int32)
    out, x = both[::2], both[1::2]
    x[:] = range(8)
    find(device, out, x)(out, x, threads=8)
    assert both.tolist() == [value for i in range(8) for value in (2 * i, i)]


def test_extents_are_placed_in_the_buffers_of_those_that_they_overlap_with(device):
    memory = np.arange(100, dtype=np.uint8)
    begin = memory.ctypes.data
    extents = [
        Extent(begin + at, size, is_written)
        for at, size, is_written in ((10, 20, True), (25, 10, False), (50, 4, False))
    ]
    held = HostMemory(device, extents)
    first, second, third = held.places
    assert first.buffer is second.buffer
    assert third.buffer is not first.buffer
    assert (first.offset, second.offset, third.offset) == (0, 15, 0)
    assert first.buffer.nbytes == 25
    assert bytes(third.buffer.contents) == bytes(range(50, 54))
    first.buffer.contents[0] = 77
    third.buffer.contents[0] = 78
    held.bring_back()
    assert (memory[10], memory[50]) == (77, 50)


@pytest.mark.parametrize(
    ("shape", "view", "expected"),
    [
        ((6,), (slice(None),), (0, 24, 0)),
        ((6,), (slice(None, None, -1),), (0, 24, 20)),
        ((4, 6), (slice(None, None, 2), slice(4, 1, -1)), (8, 60, 8)),
        ((4, 6), (slice(0, 0),), (0, 0, 0)),
        ((), (), (0, 4, 0)),
    ],
)
def test_an_extent_has_all_elements_of_an_array(shape, view, expected):
    memory = np.zeros(shape, np.int32)
    extent, first = extent_of(memory[view] if view else memory, is_written=True)
    assert (extent.address - memory.ctypes.data, extent.nbytes, first) == expected


def test_a_library_of_any_kernels_copies_too(device, air):
    text = """
define void @twice(ptr addrspace(1) %x, i32 %i) {
  %p = getelementptr i32, ptr addrspace(1) %x, i32 %i
  %v = load i32, ptr addrspace(1) %p
  %w = add i32 %v, %v
  store i32 %w, ptr addrspace(1) %p
  ret void
}
"""
    arguments = [air.buffer(0, 0, "x", kind="int"), air.quantity(1, "thread_position_in_grid")]
    library = smelt.metal.library(air.metallib((air.with_kernel(text, "twice", arguments), "twice")), device=device)
    assert library.device is device
    x = np.arange(5, dtype=np.int32)
    library.function("twice")({0: x}, threads=5)
    assert x.tolist() == [0, 2, 4, 6, 8]
