# SPDX-License-Identifier: Apache-2.0
"""Sets of types, as entries of signatures: what the overlays of builtins are defined for."""

from __future__ import annotations

from collections.abc import Callable

from smelt.records import Record, field
from smelt.types.definitions import Array, Dict, Iteration, Kind, Range, Scalar, Struct, Tuple, Type, Weak


class TypePattern(Record):
    """The types that a test holds for. Patterns are compared by name; `within` names the wider ones."""

    name: str
    test: Callable[[Type], bool] = field(compare=False)
    within: tuple[TypePattern, ...] = ()

    def includes(self, other: object) -> bool:
        """Whether `other`, a type or a pattern, is one of these types or describes only such."""
        if isinstance(other, TypePattern):
            return other == self or any(self.includes(wider) for wider in other.within)
        return isinstance(other, Type) and self.test(other)

    def __repr__(self) -> str:
        return self.name


def _is_boolean(kind: Type) -> bool:
    return isinstance(kind, Scalar) and kind.kind is Kind.BOOLEAN


number = TypePattern("number", lambda kind: isinstance(kind, (Scalar, Weak)))
real = TypePattern("real number", lambda kind: isinstance(kind, (Scalar, Weak)) and not kind.is_complex, (number,))
integer_or_bool = TypePattern(
    "integer or bool", lambda kind: _is_boolean(kind) or (isinstance(kind, (Scalar, Weak)) and kind.is_integer), (real,)
)
boolean_type = TypePattern("bool", _is_boolean, (integer_or_bool,))
integer = TypePattern("integer", lambda kind: isinstance(kind, (Scalar, Weak)) and kind.is_integer, (integer_or_bool,))
floating = TypePattern("floating", lambda kind: isinstance(kind, (Scalar, Weak)) and kind.is_floating, (real,))
complex_number = TypePattern("complex", lambda kind: isinstance(kind, (Scalar, Weak)) and kind.is_complex, (number,))
array = TypePattern("array", lambda kind: isinstance(kind, Array))
tuple_like = TypePattern("tuple", lambda kind: isinstance(kind, Tuple) or (isinstance(kind, Struct) and kind.has_items))
iteration = TypePattern("iteration", lambda kind: isinstance(kind, Iteration))
dict_type = TypePattern("dict", lambda kind: isinstance(kind, Dict))
range_type = TypePattern("range", lambda kind: isinstance(kind, Range))
