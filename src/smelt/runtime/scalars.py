# SPDX-License-Identifier: Apache-2.0
"""NumPy's functions of scalars, and reductions of tuples and arrays, by the operators and functions that kernels have."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def clip(value: Any, least: Any, greatest: Any) -> Any:
    """`np.clip`."""
    return np.minimum(np.maximum(value, least), greatest)


def sign(value: Any) -> Any:
    """`np.sign`, of real numbers."""
    if value > 0:
        return 1
    if value < 0:
        return -1
    return 0 if value == 0 else value


def same(value: Any) -> Any:
    """`value ** 1`."""
    return value


def square(value: Any) -> Any:
    """`np.square`."""
    return value * value


def reciprocal(value: Any) -> Any:
    """`np.reciprocal`, of floating and complex numbers."""
    return 1 / value


def least_number(first: Any, second: Any) -> Any:
    """`np.fmin`: a NaN loses."""
    return first if first <= second or np.isnan(second) else second


def greatest_number(first: Any, second: Any) -> Any:
    """`np.fmax`: a NaN loses."""
    return first if first >= second or np.isnan(second) else second


def logical_and(first: Any, second: Any) -> Any:
    """`np.logical_and`."""
    return bool(first) & bool(second)


def logical_or(first: Any, second: Any) -> Any:
    """`np.logical_or`."""
    return bool(first) | bool(second)


def logical_xor(first: Any, second: Any) -> Any:
    """`np.logical_xor`."""
    return bool(first) ^ bool(second)


def logical_not(value: Any) -> Any:
    """`np.logical_not`."""
    return not value


def conjugate(value: Any) -> Any:
    """`np.conjugate`, of real numbers."""
    return value


def real_part(value: Any) -> Any:
    """`np.real`."""
    return value.real


def imaginary_part(value: Any) -> Any:
    """`np.imag`."""
    return value.imag


def total(items: Any) -> Any:
    """`sum`."""
    return sum(item for item in items)


def total_from(items: Any, start: Any) -> Any:
    """`sum` with a start."""
    return sum((item for item in items), start)


def least(items: Any) -> Any:
    """`min` of an array or range."""
    return min(item for item in items)


def greatest(items: Any) -> Any:
    """`max` of an array or range."""
    return max(item for item in items)


def is_any(items: Any) -> Any:
    """`any` of an array or range."""
    return any(item for item in items)


def is_all(items: Any) -> Any:
    """`all` of an array or range."""
    return all(item for item in items)


def product(items: Any) -> Any:
    """`math.prod`."""
    result = 1
    for item in items:
        result *= item
    return result


def product_from(items: Any, start: Any) -> Any:
    """`math.prod` with a start."""
    for item in items:
        start *= item
    return start


def sum_of_products(first: Any, second: Any) -> Any:
    """`math.sumprod`, of tuples."""
    return sum(one * other for one, other in zip(first, second))  # noqa: B905 - kernels' zip has no strict


def distance(first: Any, second: Any) -> Any:
    """`math.dist`, of tuples."""
    squares = sum((one - other) * (one - other) for one, other in zip(first, second))  # noqa: B905 - kernels' zip has no strict
    return math.sqrt(squares)
