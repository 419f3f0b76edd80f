# SPDX-License-Identifier: Apache-2.0
"""Values of given types: what a launch may look like that nobody has made yet, for its stub to be compiled ahead of time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from smelt.types import Array, Constant, Nothing, Scalar, Struct, Tuple, Type, Weak
from smelt.types.dtypes import dtype_of

_WEAK = {"int": 0, "float": 0.0, "complex": 0j}


def example_values(kinds: Sequence[Type]) -> tuple[Any, ...] | None:
    """A value of each type; None if there is one of which none can be made, as of a class, whose objects know how they are made."""
    values = []
    for kind in kinds:
        try:
            values.append(_example(kind))
        except (LookupError, TypeError):
            return None
    return tuple(values)


def _example(kind: Type) -> Any:
    match kind:
        case Array(element=Scalar() | Struct(python_class=None) as element):
            return np.empty((1,) * kind.dimensions, dtype_of(element))
        case Scalar():
            return dtype_of(kind).type(0)
        case Weak(kind=sort):
            return _WEAK[sort.value]
        case Constant(value=value):
            return value
        case Nothing():
            return None
        case Tuple(items=items):
            return tuple(_example(item) for item in items)
    raise LookupError(f"{kind}")
