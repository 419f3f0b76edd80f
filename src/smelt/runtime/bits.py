# SPDX-License-Identifier: Apache-2.0
"""Numbers as the parts that they are made of. In kernels these functions are single instructions."""

from __future__ import annotations

from typing import Any

import numpy as np


def bits_of(number: Any) -> Any:
    """The bits of a floating number, as an unsigned integer of its size."""
    number = number if isinstance(number, np.floating) else np.float64(number)
    return number.view(f"u{number.itemsize}")


def with_bits(number: Any, bits: Any) -> Any:
    """The floating number of `number`'s type that has these bits."""
    kind = type(number) if isinstance(number, np.floating) else np.float64
    return np.dtype(f"u{np.dtype(kind).itemsize}").type(bits).view(kind)


def from_parts(real: Any, imaginary: Any) -> Any:
    """The complex number with these parts, of their size."""
    return np.complex64(complex(real, imaginary)) if isinstance(real, np.float32) else complex(real, imaginary)
