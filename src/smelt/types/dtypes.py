# SPDX-License-Identifier: Apache-2.0
"""Between NumPy's dtypes and scalar types."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from smelt.types.definitions import SCALARS, Kind, Scalar, Struct, bfloat16

_NUMPY_NAMES = {scalar: str(scalar) for scalar in SCALARS if scalar.kind is not Kind.BRAIN_FLOATING}
_SCALARS_BY_NAME = {name: scalar for scalar, name in _NUMPY_NAMES.items()}


def dtype_of(element: Scalar | Struct) -> np.dtype[Any]:
    """The dtype of arrays of scalars, or of records. Raises `TypeError` for bfloat16 where the package ml_dtypes is missing."""
    if isinstance(element, Struct):
        return _structured_dtype(element)
    if element == bfloat16:
        try:
            ml_dtypes: Any = importlib.import_module("ml_dtypes")
        except ImportError:
            raise TypeError("NumPy has no bfloat16 of its own; install the package ml_dtypes") from None
        brain_dtype: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
        return brain_dtype
    return np.dtype(_NUMPY_NAMES[element])


def _structured_dtype(record: Struct) -> np.dtype[Any]:
    formats = []
    for _, kind in record.fields:
        assert isinstance(kind, (Scalar, Struct))
        formats.append(dtype_of(kind))
    names = [name for name, _ in record.fields]
    # The stubs of NumPy know this form with lists of bytes only.
    layout: Any = {"names": names, "formats": formats, "offsets": list(record.offsets), "itemsize": record.size}
    record_dtype: np.dtype[Any] = np.dtype(layout)
    return record_dtype


def scalar_of_dtype(dtype: np.dtype[Any]) -> Scalar:
    """The scalar type of an unstructured dtype, whichever its byte order.

    Raises `TypeError` for what kernels have no numbers of: strings, objects, dates, extended precision.
    """
    found = _SCALARS_BY_NAME.get(dtype.name)
    if found is not None:
        return found
    if dtype.name == "bfloat16":
        return bfloat16
    raise TypeError(f"kernels have no values of dtype {dtype}; they have {', '.join(_SCALARS_BY_NAME)} and bfloat16")
