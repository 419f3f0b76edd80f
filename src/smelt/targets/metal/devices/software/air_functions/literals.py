# SPDX-License-Identifier: Apache-2.0
"""Values of function constants as the text of LLVM IR."""

from __future__ import annotations

import re
import struct

from smelt.targets.metal.air.kernels import ConstantOfFunction

_BYTES_OF_INTEGERS = {"bool": 1, "char": 1, "short": 2, "int": 4, "long": 8}


def literal_of(constant: ConstantOfFunction, value: bytes) -> str:
    """The value of a function constant, given its bytes in a kernel: a number, or the elements of a vector."""
    scalar, count = re.fullmatch(r"(\D+)(\d?)", constant.type_name).groups()  # type: ignore[union-attr]
    if not count:
        return _number(scalar, value)
    width = len(value) // (4 if count == "3" else int(count))
    parts = [value[place * width : (place + 1) * width] for place in range(int(count))]
    return f"<{', '.join(f'{_type(scalar)} {_number(scalar, part)}' for part in parts)}>"


def _type(scalar: str) -> str:
    return scalar if scalar in ("half", "bfloat", "float") else f"i{8 * _BYTES_OF_INTEGERS[scalar.removeprefix('u')]}"


def _number(scalar: str, value: bytes) -> str:
    match scalar:
        case "half":
            return f"0xH{int.from_bytes(value, 'little'):04X}"
        case "bfloat":
            return f"0xR{int.from_bytes(value, 'little'):04X}"
        case "float":
            # LLVM writes floats as the double that they are.
            (bits,) = struct.unpack("<Q", struct.pack("<d", *struct.unpack("<f", value)))
            return f"0x{bits:016X}"
    return str(int.from_bytes(value, "little"))
