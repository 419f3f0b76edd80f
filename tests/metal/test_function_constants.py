# SPDX-License-Identifier: Apache-2.0
"""Values of function constants, as the bytes that a kernel finds."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import smelt
from smelt.targets.metal.air.kernels import ConstantOfFunction
from smelt.targets.metal.devices.function_constants import data_type, values_of_constants

pytestmark = pytest.mark.once

TYPES = {
    "bool": np.bool_,
    "char": np.int8,
    "uchar": np.uint8,
    "short": np.int16,
    "ushort": np.uint16,
    "int": np.int32,
    "uint": np.uint32,
    "long": np.int64,
    "ulong": np.uint64,
    "half": np.float16,
    "float": np.float32,
    "bfloat": ml_dtypes.bfloat16,
}
LLVM_TYPES = {"bool": "i8", "char": "i8", "short": "i16", "int": "i32", "long": "i64"}


def constant(type_name, name="c", index=3):
    return ConstantOfFunction("v", type_name, name, index)


def value_of(type_name, given):
    (value,) = values_of_constants("k", (constant(type_name),), {"c": given}).values()
    return value


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.sampled_from(sorted(TYPES)), st.data())
def test_values_are_the_bytes_that_numpy_has(type_name, data):
    kind = np.dtype(TYPES[type_name])
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        element = st.integers(int(limits.min), int(limits.max))
    elif kind.kind == "b":
        element = st.booleans()
    else:
        element = st.floats(width=16)
        if type_name != "half":
            element |= st.floats(width=32)
    count = data.draw(st.integers(1, 4))
    values = data.draw(st.lists(element, min_size=count, max_size=count))
    expected = np.array(values, np.float32).astype(kind) if kind.kind not in "iub" else np.array(values, kind)
    found = value_of(type_name if count == 1 else f"{type_name}{count}", values[0] if count == 1 else values)
    # One of three is as long as one of four.
    assert len(found) == kind.itemsize * (4 if count == 3 else count)
    read = np.frombuffer(found, kind)[:count]
    assert (read.tobytes() == expected.tobytes()) or (np.isnan(read) == np.isnan(expected)).all()


def test_a_bfloat_is_the_nearest_one_and_of_two_the_even():
    for value in (1.00390625, 1.01171875, 3.14159, -1.0039063, 3.4e38, -1e-39, float("inf"), float("nan")):
        expected = np.array(value, np.float32).astype(ml_dtypes.bfloat16)
        found = np.frombuffer(value_of("bfloat", value), ml_dtypes.bfloat16)[0]
        assert found.tobytes() == expected.tobytes() or (np.isnan(found) and np.isnan(expected)), value
    # One that rounded up would be a zero.
    (nan,) = np.array([0x7FFFFFFF], np.uint32).view(np.float32)
    assert np.isnan(np.frombuffer(value_of("bfloat", nan), ml_dtypes.bfloat16)[0])


@pytest.mark.parametrize(
    ("type_name", "value", "message"),
    [
        ("uchar", 256, "the function constant c is a uchar: "),
        ("uint", -1, "the function constant c is a uint: "),
        ("int", "two", "the function constant c is a int: "),
        ("half", 1e6, "the function constant c is a half: "),
        ("float", None, "the function constant c is a float: "),
        ("float2", 1.0, "the function constant c is a float2: "),
        ("float2", (1.0, 2.0, 3.0), "the function constant c is a float2, not 3 values"),
        ("texture2d", 1, "the function constant c is a texture2d, which has no values here"),
    ],
)
def test_a_value_of_another_type_is_refused(type_name, value, message):
    with pytest.raises(smelt.metal.DeviceError) as error:
        value_of(type_name, value)
    assert message in str(error.value)


def test_they_are_named_by_index_or_by_name():
    both = (constant("int", "a", 0), constant("int", "b", 7))
    found = values_of_constants("k", both, {7: 1, "a": 2})
    assert {one.name: int.from_bytes(value, "little") for one, value in found.items()} == {"a": 2, "b": 1}
    with pytest.raises(smelt.metal.DeviceError, match=r"k has no function constant 1; it has a \(0\), b \(7\)"):
        values_of_constants("k", both, {1: 1})
    with pytest.raises(smelt.metal.DeviceError, match="k has no function constant 'x'; it has none"):
        values_of_constants("k", (), {"x": 1})
    with pytest.raises(smelt.metal.DeviceError, match="k needs values for its function constants b"):
        values_of_constants("k", both, {0: 1})


def test_what_metal_calls_their_types():
    named = {name: data_type(constant(name)) for name in ("bool", "uint2", "bfloat", "float4", "ulong3")}
    assert list(named.values()) == [
        "MTLDataTypeBool",
        "MTLDataTypeUInt2",
        "MTLDataTypeBFloat",
        "MTLDataTypeFloat4",
        "MTLDataTypeULong3",
    ]


def test_a_kernel_finds_them_whatever_their_type(air):
    given = {
        "bool": True,
        "char": -5,
        "uchar": 250,
        "short": -300,
        "ushort": 65000,
        "int": -(2**31),
        "uint": 2**32 - 1,
        "long": -(2**63),
        "ulong": 2**64 - 1,
        "half": 0.1,
        "float": -1e-40,
        "bfloat": 3.14159,
        "uint2": (7, 2**32 - 1),
        "float3": (0.5, -2.25, 1e30),
        "short4": (1, -2, 3, -4),
        "bool2": (True, False),
    }
    variables, stores, described = [], [], []
    for number, name in enumerate(given):
        scalar, count = (name[:-1], int(name[-1])) if name[-1].isdigit() else (name, 1)
        kind = scalar if scalar in ("half", "bfloat", "float") else LLVM_TYPES[scalar.removeprefix("u")]
        kind = kind if count == 1 else f"<{count} x {kind}>"
        variables.append(
            f'@c{number} = internal addrspace(2) externally_initialized constant {kind} undef, section "air.fc_initializer"'
        )
        stores.append(f"  %v{number} = load {kind}, ptr addrspace(2) @c{number}")
        stores.append(f"  %p{number} = getelementptr i8, ptr addrspace(1) %out, i64 {16 * number}")
        stores.append(f"  store {kind} %v{number}, ptr addrspace(1) %p{number}")
        described.append(
            f'!{10 + number} = !{{ptr addrspace(2) @c{number}, !"{name}", !"{name}", i32 {number}, i1 true}}'
        )
    text = (
        "\n".join(variables) + "\ndefine void @k(ptr addrspace(1) %out) {\n" + "\n".join(stores) + "\n  ret void\n}\n"
    )
    listed = ", ".join(f"!{10 + number}" for number in range(len(given)))
    text += f"!air.function_constants = !{{{listed}}}\n" + "\n".join(described)
    library = smelt.metal.library(air.metallib((air.with_kernel(text, "k", [air.buffer(0, 0, "out", size=16)]), "k")))
    memory = np.zeros(16 * (len(given) + 1), np.uint8)
    out = memory[-memory.ctypes.data % 16 :][: 16 * len(given)]
    library.function("k", given)({0: out}, threads=1)
    for number, (name, value) in enumerate(given.items()):
        kind = TYPES[name.rstrip("234")]
        expected = np.atleast_1d(
            np.array(value, np.float32).astype(kind) if name[0] in "hf" or name == "bfloat" else np.array(value, kind)
        )
        found = out[16 * number :][: expected.nbytes].view(kind)
        assert (found == expected).all(), name
