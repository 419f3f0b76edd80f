# SPDX-License-Identifier: Apache-2.0
"""Arrays of other libraries, by each of the ways in which they describe their memory."""

from __future__ import annotations

import array
import ctypes

import numpy as np
import pytest

import smelt


@smelt.kernel
def double(out, values):
    i = smelt.grid(1)
    out[i] = 2 * values[i]


class Described:
    """An array by its `__array_interface__`."""

    def __init__(self, held):
        self.held = held

    @property
    def __array_interface__(self):
        return self.held.__array_interface__


class Exchanged:
    """An array by DLPack."""

    def __init__(self, held, device=None):
        self.held, self.device = held, device

    def __dlpack__(self, **keywords):
        return self.held.__dlpack__(**keywords)

    def __dlpack_device__(self):
        return self.device or self.held.__dlpack_device__()


# What is exchanged by DLPack can be written to since NumPy 2.1 only.
IS_EXCHANGED_WRITABLE = np.lib.NumpyVersion(np.__version__) >= "2.1.0"


@pytest.mark.parametrize(
    "wrap",
    [Described, Exchanged, memoryview, lambda held: array.array("d", held), lambda held: (ctypes.c_double * 4)(*held)],
    ids=["array interface", "DLPack", "memoryview", "array.array", "ctypes"],
)
def test_they_are_read_and_written_where_they_are(wrap):
    is_writable = wrap is not Exchanged or IS_EXCHANGED_WRITABLE
    out, values = (wrap if is_writable else Described)(np.zeros(4)), wrap(np.arange(4.0))
    for _ in range(4):
        double[4](out, values)
    written = out.held if isinstance(out, (Described, Exchanged)) else list(out)
    np.testing.assert_array_equal(written, [0, 2, 4, 6])


def test_bytes_are_read_only_numbers():
    out = np.zeros(3, np.uint8)
    double[3](out, b"\x01\x02\x03")
    np.testing.assert_array_equal(out, [2, 4, 6])
    double[3](bytearray(3), b"abc")
    with pytest.raises(smelt.KernelError, match="read-only"):
        double[3](bytes(3), out)


class Broken:
    __array_interface__ = ("no", "dict")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Exchanged(np.zeros(3), device=(2, 0)), "memory: it lies on another device; copy it to the host"),
        (Broken(), "Broken can't be used as an array of this machine's memory"),
        (memoryview(np.zeros(3, ">f8")), "can't be used as an array|byte order"),
        (memoryview(np.zeros(3, "M8[s]").view("S8")), "kernels have no values of dtype"),
    ],
    ids=["on another device", "described wrongly", "foreign byte order", "strings"],
)
def test_what_cannot_be_used_is_refused_by_name(value, message):
    with pytest.raises(smelt.LaunchError, match=message) as error:
        double[3](np.zeros(3), value)
    assert str(error.value).startswith("double, argument values: ")


def test_memory_that_overlaps_is_found_in_them_too():
    values = np.arange(4.0)
    with pytest.raises(smelt.LaunchError, match="overlap in memory"):
        double[3](memoryview(values)[1:], Exchanged(values[:3]))


@pytest.mark.skipif(IS_EXCHANGED_WRITABLE, reason="this NumPy can write to what is exchanged by DLPack")
def test_what_numpy_takes_for_read_only_is_not_written_to():
    with pytest.raises(smelt.KernelError, match="read-only"):
        double[3](Exchanged(np.zeros(3)), np.ones(3))
