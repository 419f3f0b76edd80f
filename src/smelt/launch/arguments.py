# SPDX-License-Identifier: Apache-2.0
"""Arguments of a launch as words: what a host value of a given type looks like to a kernel.

Each scalar of the row that represents a value (see `lowering.layout`) takes one word of eight bytes.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from smelt.launch.errors import LaunchError
from smelt.types import Array, Constant, Kind, Layout, Nothing, Scalar, Struct, Tuple, Type, Weak, strong

Pack = Callable[[Any, list[bytes]], None]


def address_of(array: Any) -> int:
    """Where the first element of an array is in the memory of this process."""
    address: int = array.__array_interface__["data"][0]
    return address


_FORMATS = {
    Kind.BOOLEAN: {8: "<?7x"},
    Kind.SIGNED: {8: "<b7x", 16: "<h6x", 32: "<i4x", 64: "<q"},
    Kind.UNSIGNED: {8: "<B7x", 16: "<H6x", 32: "<I4x", 64: "<Q"},
    Kind.FLOATING: {16: "<e6x", 32: "<f4x", 64: "<d"},
}


def packer(
    kinds: Sequence[Type], *, address: Callable[[Any], int] = address_of, has_doubles: bool = True
) -> Callable[[Sequence[Any]], bytes]:
    """A function that packs arguments of these types. `address` gives what stands for the address of an array."""
    packs = [_packer_of(kind, address, has_doubles=has_doubles) for kind in kinds]

    def pack(arguments: Sequence[Any]) -> bytes:
        words: list[bytes] = []
        for pack_one, argument in zip(packs, arguments, strict=True):
            pack_one(argument, words)
        return b"".join(words)

    return pack


def _packer_of(kind: Type, address: Callable[[Any], int], *, has_doubles: bool) -> Pack:
    match kind:
        case Array():
            return _pack_array(kind, address)
        case Tuple(items=items):
            packs = [_packer_of(item, address, has_doubles=has_doubles) for item in items]
            return _pack_items(packs, lambda value, index: value[index])
        case Struct(fields=fields):
            names = [name for name, _ in fields]
            packs = [_packer_of(field, address, has_doubles=has_doubles) for _, field in fields]
            return _pack_items(packs, lambda value, index: _field(value, names[index]))
        case Scalar() | Weak():
            return _pack_scalar(strong(kind, has_doubles=has_doubles), kind)
        case Constant() | Nothing():
            return _pack_nothing
    raise LaunchError(f"a kernel can't be launched with a {kind}")


def _pack_nothing(value: Any, words: list[bytes]) -> None:
    """What is known when a kernel is compiled is not passed."""


def _pack_array(kind: Array, address: Callable[[Any], int]) -> Pack:
    extents = struct.Struct(f"<{1 + kind.dimensions}q")
    strides = struct.Struct(f"<{kind.dimensions}q")

    def pack(value: np.ndarray[Any, Any], words: list[bytes]) -> None:
        words.append(extents.pack(address(value), *value.shape))
        if kind.layout is Layout.STRIDED:
            words.append(strides.pack(*value.strides))

    return pack


def _pack_items(packs: list[Pack], item: Callable[[Any, int], Any]) -> Pack:
    def pack(value: Any, words: list[bytes]) -> None:
        for index, pack_one in enumerate(packs):
            pack_one(item(value, index), words)

    return pack


def _pack_scalar(scalar: Type, kind: Type) -> Pack:
    assert isinstance(scalar, Scalar)
    if scalar.is_complex:
        part = struct.Struct("<f4xf4x" if scalar.bits == 64 else "<dd")
        number = _rounded if scalar.bits == 64 else float
        return lambda value, words: words.append(part.pack(number(value.real), number(value.imag)))
    if scalar.kind is Kind.BRAIN_FLOATING:
        return lambda value, words: words.append(value.tobytes() + bytes(6))
    form = struct.Struct(_FORMATS[scalar.kind][scalar.bits])
    make: Callable[[Any], Any] = bool if scalar.kind is Kind.BOOLEAN else float if scalar.is_floating else int
    if make is float and scalar.bits == 32:
        make = _rounded

    def pack(value: Any, words: list[bytes]) -> None:
        try:
            words.append(form.pack(make(value)))
        except struct.error:
            raise LaunchError(f"{value} does not fit into {scalar}, which a {kind} is in a kernel") from None

    return pack


def _rounded(value: Any) -> float:
    """A number as a float32, which is infinite where it is too large for one."""
    return ctypes.c_float(value).value


def _field(value: Any, name: str) -> Any:
    # The keywords of a partial object are a dict.
    return value[name] if isinstance(value, (np.void, dict)) else getattr(value, name)
