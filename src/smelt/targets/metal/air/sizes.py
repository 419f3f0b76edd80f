# SPDX-License-Identifier: Apache-2.0
"""How much memory values of AIR's types take: the data layout that all its modules have."""

from __future__ import annotations

from smelt.targets.metal.air.program import DowngradeError, Integer, Pointer, Primitive, Sequence, Structure, Type

_PRIMITIVES = {"half": 2, "bfloat": 2, "float": 4, "double": 8}
_POINTER_BYTES = 8


def size_in_bytes(kind: Type) -> int:
    """How far apart two values of a type lie in memory. Raises `DowngradeError` for a type without a size."""
    return _size_and_alignment(kind)[0]


def _size_and_alignment(kind: Type) -> tuple[int, int]:
    match kind:
        case Integer(bits=bits):
            size = 1 << max(0, (bits - 1).bit_length() - 3)
            return size, size
        case Primitive(name=name) if name in _PRIMITIVES:
            return _PRIMITIVES[name], _PRIMITIVES[name]
        case Pointer():
            return _POINTER_BYTES, _POINTER_BYTES
        case Sequence(count=count, of=of, is_vector=True):
            # A vector of three is one of four with a gap.
            size = 1 << (count * _size_and_alignment(of)[0] - 1).bit_length()
            return size, size
        case Sequence(count=count, of=of):
            size, alignment = _size_and_alignment(of)
            return count * size, alignment
        case Structure(fields=fields, is_packed=is_packed):
            end, widest = 0, 1
            for size, alignment in map(_size_and_alignment, fields):
                step = 1 if is_packed else alignment
                end = -(-end // step) * step + size
                widest = max(widest, step)
            return -(-end // widest) * widest, widest
    raise DowngradeError(f"a {kind} has no size")
