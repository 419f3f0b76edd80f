# SPDX-License-Identifier: Apache-2.0
"""What elementary functions are made of: polynomials, and sums and products with what they round away.

A pair of floats stands for their sum, of which the second is what is missing from the first.
"""

from __future__ import annotations

import types
from fractions import Fraction
from typing import Any

import numpy as np

ROLE = "__smelt_role__"
"""The attribute of a function that says how it is compiled: the name of a `Role` of `smelt.ir.typed`."""


def elementary(function: types.FunctionType) -> types.FunctionType:
    """Let a function be inlined where it is called, and its arithmetic be done as it is written."""
    setattr(function, ROLE, "ELEMENTARY")
    return function


def rare(function: types.FunctionType) -> types.FunctionType:
    """Let a function of one float, to a float of the same type, be called only for those numbers of a vector that need it."""
    setattr(function, ROLE, "RARE")
    return function


def multiply_add(first: Any, second: Any, third: Any) -> Any:
    """`first * second + third`, rounded once. In kernels it is one instruction, where the processor has it."""
    kind = type(third)
    exact = Fraction(float(first)) * Fraction(float(second)) + Fraction(float(third))
    near = kind(float(exact))
    around = (near, np.nextafter(near, kind(-np.inf)), np.nextafter(near, kind(np.inf)))
    return kind(min(around, key=lambda number: abs(Fraction(float(number)) - exact)))


def polynomial(argument: Any, coefficients: Any) -> Any:
    """The polynomial with these constant coefficients, that of the constant term first, by Horner's rule."""
    result = type(argument)(coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        result = multiply_add(result, argument, type(argument)(coefficient))
    return result


@elementary
def sum_of_ordered(first: Any, second: Any) -> Any:
    """A sum with what it rounds away, where `first` is 0 or not less in size than `second`. Dekker's Fast2Sum."""
    total = first + second
    return total, second - (total - first)


@elementary
def exact_sum(first: Any, second: Any) -> Any:
    """A sum with what it rounds away. Knuth's 2Sum."""
    total = first + second
    part = total - first
    return total, (first - (total - part)) + (second - part)


@elementary
def exact_product(first: Any, second: Any) -> Any:
    """A product with what it rounds away."""
    product = first * second
    return product, multiply_add(first, second, -product)
