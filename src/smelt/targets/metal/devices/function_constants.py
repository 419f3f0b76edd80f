# SPDX-License-Identifier: Apache-2.0
"""Values of function constants: what a host gives for them, as the bytes that they are in a kernel."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from smelt.targets.metal.air.kernels import ConstantOfFunction
from smelt.targets.metal.devices.errors import DeviceError

_SCALARS = {
    "bool": ("?", "Bool"),
    "char": ("b", "Char"),
    "uchar": ("B", "UChar"),
    "short": ("h", "Short"),
    "ushort": ("H", "UShort"),
    "int": ("i", "Int"),
    "uint": ("I", "UInt"),
    "long": ("q", "Long"),
    "ulong": ("Q", "ULong"),
    "half": ("e", "Half"),
    "float": ("f", "Float"),
    "bfloat": ("f", "BFloat"),
}
"""The scalar types of the Metal language: how `struct` writes them, and what MTLDataType calls them."""


def values_of_constants(
    kernel: str, constants: tuple[ConstantOfFunction, ...], given: Mapping[int | str, Any]
) -> dict[ConstantOfFunction, bytes]:
    """The bytes of each function constant of a kernel, given its values by index or by name.

    A vector takes as many values as it has elements, and one of three is as long as one of four.

    Raises `DeviceError` for constants that are missing or unknown, and for values that aren't of their type.
    """
    by_key = {key: constant for constant in constants for key in (constant.name, constant.index)}
    values = {}
    for key, value in given.items():
        constant = by_key.get(key)
        if constant is None:
            names = ", ".join(f"{one.name} ({one.index})" for one in constants) or "none"
            raise DeviceError(f"{kernel} has no function constant {key!r}; it has {names}")
        values[constant] = _bytes_of(constant, value)
    missing = [constant.name for constant in constants if constant not in values]
    if missing:
        raise DeviceError(f"{kernel} needs values for its function constants {', '.join(missing)}")
    return values


def scalar_format(type_name: str) -> str | None:
    """How `struct` and NumPy write a scalar type of the Metal language; None for others, and for bfloat, which they don't know."""
    return None if type_name == "bfloat" else _SCALARS.get(type_name, (None, ""))[0]


def data_type(constant: ConstantOfFunction) -> str:
    """What Metal calls the type of a constant that has a value: `MTLDataTypeUInt2` for uint2."""
    scalar, count = _parts_of(constant.type_name)
    return f"MTLDataType{_SCALARS[scalar][1]}{'' if count == 1 else count}"


def _bytes_of(constant: ConstantOfFunction, value: Any) -> bytes:
    scalar, count = _parts_of(constant.type_name)
    if scalar not in _SCALARS:
        raise DeviceError(f"the function constant {constant.name} is a {constant.type_name}, which has no values here")
    try:
        elements = [_scalar(scalar, element) for element in ([value] if count == 1 else value)]
    except (TypeError, ValueError, OverflowError, struct.error) as error:
        raise DeviceError(f"the function constant {constant.name} is a {constant.type_name}: {error}") from None
    if len(elements) != count:
        raise DeviceError(
            f"the function constant {constant.name} is a {constant.type_name}, not {len(elements)} values"
        )
    return b"".join(elements + elements[:1] * (count == 3))


def _parts_of(type_name: str) -> tuple[str, int]:
    """The type of the elements, and how many there are."""
    return (type_name[:-1], int(type_name[-1])) if type_name[-1:] in ("2", "3", "4") else (type_name, 1)


def _scalar(type_name: str, value: Any) -> bytes:
    form, _ = _SCALARS[type_name]
    if form == "?":
        return struct.pack("<?", bool(value))
    if form not in ("e", "f"):
        return struct.pack(f"<{form}", int(value))
    written = struct.pack(f"<{form}", float(value))
    return _upper_half(written) if type_name == "bfloat" else written


def _upper_half(written: bytes) -> bytes:
    """A float rounded to the bfloat that is nearest to it, of two the even one."""
    (bits,) = struct.unpack("<I", written)
    is_nan = bits & 0x7FFFFFFF > 0x7F800000
    rounded = bits >> 16 if is_nan else (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    return struct.pack("<H", rounded)
