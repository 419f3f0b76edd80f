# SPDX-License-Identifier: Apache-2.0
"""Devices by name, and arrays on them."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import smelt
from smelt import knobs

pytestmark = pytest.mark.once

SOFTWARE = "metal:software"


@smelt.kernel
def add_one(x):
    i = smelt.grid(1)
    x[i] += 1


def test_the_processor_comes_first_and_there_is_always_a_device_in_software():
    names = [device.name for device in smelt.devices()]
    assert names[0] == "cpu"
    assert SOFTWARE in names
    assert repr(smelt.device(SOFTWARE)) == "<device metal:software>"
    assert repr(smelt.device("cpu")) == "<device cpu>"


def test_there_is_one_object_for_each_device_and_as_many_in_software_as_are_asked_for():
    assert smelt.device("metal:software:1") is smelt.device("metal:software:1")
    assert smelt.device("metal:software:1") is not smelt.device("metal:software:2")
    names = [device.name for device in smelt.devices()]
    assert names.index(SOFTWARE) < names.index("metal:software:1") < names.index("metal:software:2")


@pytest.mark.parametrize(
    "name",
    ["metal:software:0", "metal:software:01", "metal:software:", "metal:software:x", "metal:softwar", "metal:99", ""],
)
def test_a_device_that_is_not_there_is_refused_with_those_that_are(name):
    with pytest.raises(smelt.LaunchError, match=r"there is no device '.*'; there are cpu, .*metal:software:2\.\.\."):
        smelt.device(name)


def test_a_program_chooses_the_device_by_the_environment():
    assert smelt.zeros(3).device.name == "cpu"
    with knobs.DEVICE.set("metal:software:1"):
        assert smelt.zeros(3).device is smelt.device("metal:software:1")
        assert smelt.metal.library is not None
    said = "^the environment variable SMELT_DEVICE is 'gpu': there is no device 'gpu'; there are cpu, .*metal:software"
    with knobs.DEVICE.set("gpu"), pytest.raises(smelt.LaunchError, match=said):
        smelt.zeros(3)


@pytest.fixture(params=["cpu", SOFTWARE])
def device(request):
    return request.param


def test_an_array_is_a_copy_on_its_device(device):
    original = np.arange(6, dtype=np.int16).reshape(2, 3)
    made = smelt.array(original, device=device)
    original[:] = 0
    assert (made.shape, made.ndim, made.size, made.nbytes, made.strides) == ((2, 3), 2, 6, 12, (6, 2))
    assert made.dtype == np.int16
    assert made.device is smelt.device(device)
    assert made.numpy().tolist() == [[0, 1, 2], [3, 4, 5]]
    assert repr(made) == f"<array of int16, shape (2, 3), on {device}>"
    assert len(made) == 2
    assert smelt.array([1.5, 2], device=made.device).numpy().tolist() == [1.5, 2]
    assert smelt.array(made, device=device).numpy() is not made.numpy()


def test_arrays_are_made_of_a_shape_a_type_and_a_value(device):
    assert smelt.zeros((2, 3), device=device).numpy().tolist() == [[0, 0, 0], [0, 0, 0]]
    assert smelt.zeros(3, device=device).dtype == np.float32
    assert smelt.full(3, 7, smelt.int64, device=device).numpy().tolist() == [7, 7, 7]
    assert smelt.full((), 2.5, np.float16, device=device).numpy().shape == ()
    assert smelt.empty((4, 0), np.int8, device=device).numpy().shape == (4, 0)


def test_elements_and_parts_are_read_and_written(device):
    x = smelt.array(np.arange(12, dtype=np.float32).reshape(3, 4), device=device)
    assert x[1, 2] == 6
    row = x[1]
    row[...] = 9
    row[2:] = np.array([1, 2])
    assert x.numpy()[1].tolist() == [9, 9, 1, 2]
    assert x[:, 0].numpy().tolist() == [0, 9, 8]
    x[0] = x[2]
    assert x.numpy()[0].tolist() == [8, 9, 10, 11]
    chosen = x[[0, 2]]
    chosen.fill(0)
    assert x[0, 0] == 8
    assert chosen.device is x.device
    assert x[3:].shape == (0, 4)


def test_kernels_run_on_parts_of_arrays(device):
    x = smelt.zeros(8, device=device)
    add_one[3](x[4:7])
    add_one[2](x[::4])
    add_one[1](x[::-1])
    assert x.numpy().tolist() == [1, 0, 0, 0, 2, 1, 1, 1]


def test_other_libraries_see_the_memory_when_the_device_is_done(device):
    x = smelt.zeros(4, np.int32, device=device)
    add_one[4](x)
    assert np.asarray(x).tolist() == [1, 1, 1, 1]
    add_one[4](x)
    shared = np.from_dlpack(x)
    assert shared.tolist() == [2, 2, 2, 2]
    x[0] = 5
    assert shared[0] == 5
    assert x.__array_interface__["data"][0] == x.numpy().ctypes.data


def test_numpy_gets_a_copy_where_it_asks_for_one():
    x = smelt.zeros(2, device=SOFTWARE)
    assert np.array(x).ctypes.data != x.numpy().ctypes.data
    assert np.asarray(x, np.float64).dtype == np.float64
    assert x.__array__(copy=False) is x.numpy()
    with pytest.raises(ValueError, match="an array of float32 is none of float64 without a copy"):
        x.__array__(np.float64, copy=False)


def test_memory_lives_as_long_as_what_looks_at_it():
    x = smelt.array(np.arange(1 << 16, dtype=np.int64), device=SOFTWARE)
    memory, part = x.numpy(), x[5:8]
    gone = weakref.ref(x)
    del x
    gc.collect()
    assert gone() is None
    assert int(memory.sum()) == (1 << 16) * ((1 << 16) - 1) // 2
    assert part.numpy().tolist() == [5, 6, 7]


def test_an_array_in_a_tuple_or_a_record_decides_too():
    @smelt.kernel
    def first(pair):
        pair[0][0] = pair[1][0] + 1

    x, y = smelt.zeros(1, device=SOFTWARE), smelt.full(1, 4, device=SOFTWARE)
    before = smelt.stats().links
    first[1]((x, y))
    assert smelt.stats().links == before + 1
    assert x[0] == 5
    with pytest.raises(smelt.LaunchError, match="pair is on metal:software, and pair on cpu"):
        first[1]((x, np.zeros(1, np.float32)))


def test_a_launch_on_two_devices_is_refused():
    x, y = (smelt.zeros(4, device=name) for name in (SOFTWARE, "metal:software:1"))

    @smelt.kernel
    def copied(out, x):
        out[smelt.grid(1)] = x[smelt.grid(1)]

    expected = r"copied: out is on metal:software, and x on metal:software:1; copy one of them: smelt.array\(x, device='metal:software'\)"
    with pytest.raises(smelt.LaunchError, match=expected):
        copied[4](x, y)
    with pytest.raises(smelt.LaunchError, match="out is on metal:software, and x on cpu"):
        copied[4](x, np.zeros(4, np.float32))
    with pytest.raises(smelt.LaunchError, match="out is on cpu, and x on metal:software"):
        copied[4](smelt.zeros(4, device="cpu"), x)


def test_arrays_of_numpy_are_where_the_default_is():
    @smelt.kernel
    def copied(out, x):
        out[smelt.grid(1)] = x[smelt.grid(1)]

    x, y = np.arange(4, dtype=np.float32), smelt.zeros(4, device="cpu")
    copied[4](y, x)
    assert y.numpy().tolist() == [0, 1, 2, 3]
    with knobs.DEVICE.set(SOFTWARE):
        z = smelt.zeros(4)
        copied[4](z, x)
        assert z.numpy().tolist() == [0, 1, 2, 3]
        copied[4](y, z.numpy())


def test_launches_that_were_warm_go_where_the_default_is_now():
    @smelt.kernel
    def copied(out, x):
        out[smelt.grid(1)] = x[smelt.grid(1)]

    def devices():
        """Those that the kernel was loaded for."""
        return {device.name for _, device, _ in copied._loaded}

    x = np.arange(4, dtype=np.float32)
    launcher, out = copied.over(4), np.zeros_like(x)
    for _ in range(3):
        launcher(out, x)
    assert devices() == {"cpu"}
    with knobs.DEVICE.set(SOFTWARE):
        launcher(out, 2 * x)
        smelt.synchronize()
        assert (devices(), out.tolist()) == ({"cpu", SOFTWARE}, [0, 2, 4, 6])
    for _ in range(3):
        launcher(out, 3 * x)
        assert out.tolist() == [0, 3, 6, 9]


def test_an_array_that_overlaps_with_another_is_refused_on_devices_too():
    @smelt.kernel
    def shifted(out, x):
        out[smelt.grid(1)] = x[smelt.grid(1)]

    x = smelt.zeros(8, device=SOFTWARE)
    with pytest.raises(smelt.LaunchError, match="shifted: out, which is written, and x overlap in memory"):
        shifted[7](x[1:], x[:-1])
