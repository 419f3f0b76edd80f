"""Arrays of records: fields of elements, whole elements, and the array of one field, whatever their offsets."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import pytest

import smelt
from smelt.types import dtype_of, element_type

pytestmark = pytest.mark.once

PACKED = np.dtype([("flag", "?"), ("x", "f4"), ("z", "c8"), ("inner", [("n", "i2"), ("y", "f8")])])
ALIGNED = np.dtype([("flag", "?"), ("x", "f4"), ("z", "c8"), ("inner", [("n", "i2"), ("y", "f8")])], align=True)
SCATTERED = np.dtype(
    {
        "names": ["flag", "x", "z", "inner"],
        "formats": ["?", "f4", "c8", [("n", "i2"), ("y", "f8")]],
        "offsets": [30, 21, 3, 11],
        "itemsize": 37,
    }
)


def filled(dtype, count=4):
    records = np.zeros(count, dtype)
    for i in range(count):
        records[i] = (i % 2 == 0, i + 0.5, complex(i, -i), (i * 3, i / 8))
    return records


def write_fields(i, records):
    records[i]["x"] = i + 0.25
    records[i]["flag"] = i > 1
    records[i]["z"] *= 2
    records[i]["inner"]["n"] -= 7
    records["inner"]["y"][i] = records[i]["x"] + records[i]["inner"]["n"]


def write_records(i, out, records, total):
    out[i] = records[i]
    out[i]["inner"] = (3, 4)
    if records[i]["flag"]:
        out[i] = (False, 1.5, 2.5, (5, 6))
    chosen = records[i] if i > 1 else records[0]
    total[i] = chosen["x"] + chosen["inner"]["y"] + chosen["z"].real


@pytest.mark.parametrize("dtype", [PACKED, ALIGNED, SCATTERED], ids=["packed", "aligned", "scattered"])
def test_fields_lie_where_the_dtype_says(dtype, same_as_python):
    same_as_python(write_fields, 4, filled(dtype))
    same_as_python(write_fields, 4, filled(dtype, 9)[::-2])
    same_as_python(write_records, 4, np.zeros(4, dtype), filled(dtype), np.zeros(4))


@smelt.kernel
def write_attributes(records):
    i = smelt.grid(1)
    records[i].x = i + 0.25
    records[i].inner.n += 1
    records[i].inner.y = records[i].x * 2


def test_fields_of_elements_are_attributes_too():
    records, expected = filled(PACKED), filled(PACKED)
    expected["x"] = np.arange(4) + 0.25
    expected["inner"]["n"] += 1
    expected["inner"]["y"] = expected["x"] * 2
    write_attributes[4](records)
    np.testing.assert_array_equal(records, expected)


def write_part(_, grid):
    grid[0]["x"] = 1
    grid["x"][1] = grid["x"][0, 0] + 2
    grid["inner"]["n"][:, 0] = 9
    grid[1, 1:] = (True, 2, 3j, (4, 5))


def test_parts_of_arrays_of_records_are_assigned(same_as_python):
    same_as_python(write_part, 1, filled(PACKED, 6).reshape(2, 3))


class Values(NamedTuple):
    flag: bool
    x: float
    z: complex
    inner: tuple


def write_named_tuple(i, records):
    records[i] = Values(True, i, 2j, (i, i))


def test_a_named_tuple_is_assigned_to_a_record(same_as_python):
    same_as_python(write_named_tuple, 4, filled(PACKED))


def test_the_padding_of_a_record_is_left_as_it_is():
    records = np.frombuffer(bytearray(b"\xab" * 37 * 2), SCATTERED)
    write_attributes_of_one[1](records)
    covered = {30, *range(21, 25), *range(3, 11), *range(11, 21)}
    raw = records[:1].view(np.uint8)
    assert [byte for byte in range(37) if raw[byte] != 0xAB] == sorted(covered)


@smelt.kernel
def write_attributes_of_one(records):
    records[0] = (False, 0, 0, (0, 0))


@smelt.kernel
def copy_record(records):
    records[0] = records[1]


@pytest.mark.parametrize("kernel", [write_attributes, copy_record], ids=lambda kernel: kernel.name)
def test_fields_are_not_taken_to_be_aligned(kernel):
    text = smelt.code_llvm(kernel, (element_type(ALIGNED)[:],), optimised=False)
    accesses = re.findall(r"(?:load|store) (?:float|double|i16)\b.*align (\d+)", text)
    assert len(accesses) >= 4
    assert set(accesses) == {"1"}


@smelt.kernel
def read_unaligned(out, values):
    i = smelt.grid(1)
    out[i] = values[i] * 2


def test_arrays_that_are_not_aligned_are_used_as_they_are():
    records = filled(PACKED)
    assert not records["x"].flags.aligned
    read_unaligned[4](records["x"], records["x"])
    np.testing.assert_array_equal(records["x"], (np.arange(4) + 0.5) * 2)
    assert "unaligned" in smelt.code_typed(read_unaligned, (smelt.types.typeof(records["x"]),) * 2)


@smelt.kernel
def take_record(out, record):
    out[smelt.grid(1)] = record.x + record["inner"]["n"] + record.z.imag


def test_one_record_can_be_an_argument():
    out = np.zeros(1)
    take_record[1](out, filled(PACKED)[3])
    assert out[0] == 3.5 + 9 - 3


@pytest.mark.parametrize("dtype", [PACKED, ALIGNED, SCATTERED])
def test_the_type_of_a_record_tells_its_dtype(dtype):
    assert dtype_of(element_type(dtype)) == dtype


@smelt.kernel
def write_local(records):
    record = records[0]
    record["x"] = 1


@smelt.kernel
def write_no_field(records):
    records[0].w = 1


@smelt.kernel
def write_no_name(records):
    records[0]["w"] = 1


@smelt.kernel
def write_too_few(records):
    records[0] = (1, 2)


@smelt.kernel
def write_number(records):
    records[0] = 1


@smelt.kernel
def write_complex(records):
    records[0].x = 1j


@pytest.mark.parametrize(
    ("kernel", "message", "help_"),
    [
        (write_no_field, "the attribute w of a record", "dataclasses.replace"),
        (write_no_name, "has no attribute w", ""),
        (write_too_few, "a (weak int, weak int) can't be assigned to an element of type record", "a tuple of 4"),
        (write_number, "a weak int can't be assigned to an element of type record", ""),
        (write_complex, "a weak complex can't be assigned to an element of type float32", ""),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_what_a_field_can_not_be_is_refused(kernel, message, help_):
    with pytest.raises(smelt.KernelError) as error:
        kernel.compile(element_type(PACKED)[:])
    assert message in error.value.message
    assert help_ in error.value.help
    assert error.value.line == kernel.function.__code__.co_firstlineno + 2


def test_a_record_that_was_loaded_is_a_value_of_its_own():
    with pytest.raises(smelt.KernelError, match=r"the items of a record.* can't be assigned") as error:
        write_local.compile(element_type(PACKED)[:])
    assert error.value.help == "make a new one; assign elements of arrays"


def test_fields_that_are_arrays_are_refused():
    with pytest.raises(
        smelt.LaunchError,
        match=r"argument records: kernels have no elements that are arrays themselves.*; give each item a field",
    ):
        write_local[1](np.zeros(2, [("v", "f4", (3,))]))


@smelt.kernel
def write_attribute_of_local(records):
    i = smelt.grid(1)
    record = records[i]
    record.x = 1


def test_an_attribute_of_a_variable_is_not_assigned():
    with pytest.raises(smelt.KernelError, match="a kernel can't assign the attribute x") as error:
        write_attribute_of_local.compile(element_type(PACKED)[:])
    assert "a[i].x = value" in error.value.help
