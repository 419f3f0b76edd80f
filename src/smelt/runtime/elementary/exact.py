# SPDX-License-Identifier: Apache-2.0
"""What elementary functions are made of: polynomials, and sums and products with what they round away.

A pair of floats stands for their sum, of which the second is what is missing from the first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

_IN_TURN = 3

ROLE = "__smelt_role__"
"""The attribute of a function that says how it is compiled: the name of a `Role` of `smelt.ir.typed`."""


def elementary(function: F) -> F:
    """Let a function be inlined where it is called, and its arithmetic be done as it is written."""
    setattr(function, ROLE, "ELEMENTARY")
    return function


def rare(function: F) -> F:
    """Let a function of one float, to a float of the same type, be called only for those numbers of a vector that need it."""
    setattr(function, ROLE, "RARE")
    return function


def multiply_add(first: Any, second: Any, third: Any) -> Any:
    """`first * second + third`, rounded once. In kernels it is one instruction, where the processor has it."""
    kind = np.result_type(first, second, third).type
    near = kind(first * second + third)
    if not np.isfinite(near):
        return near
    exact = Fraction(float(first)) * Fraction(float(second)) + Fraction(float(third))
    if exact == 0:
        return near
    around = (kind(exact), np.nextafter(kind(exact), kind(-np.inf)), np.nextafter(kind(exact), kind(np.inf)))
    return min(around, key=lambda number: abs(Fraction(float(number)) - exact))


def polynomial(argument: Any, coefficients: Any) -> Any:
    """The polynomial with these constant coefficients, that of the constant term first."""
    return evaluated(argument, coefficients, multiply_add, lambda first, second: first * second)


def evaluated(
    argument: T, coefficients: Sequence[T], multiply_add: Callable[[T, T, T], T], multiply: Callable[[T, T], T]
) -> T:
    """The polynomial by these operations.

    The terms that count most one after the other, by Horner's rule, which rounds the least; those of long polynomials behind them in
    pairs, by Estrin's scheme, so that a processor can do several at a time.
    """
    in_turn = _IN_TURN if len(coefficients) > 2 * _IN_TURN else len(coefficients) - 1
    terms, power = list(coefficients[in_turn:]), argument
    while len(terms) > 1:
        pairs = [multiply_add(high, power, low) for low, high in zip(terms[::2], terms[1::2], strict=False)]
        terms = pairs + terms[2 * len(pairs) :]
        power = multiply(power, power)
    (result,) = terms
    for coefficient in reversed(coefficients[:in_turn]):
        result = multiply_add(result, argument, coefficient)
    return result


@elementary
def sum_of_ordered(first: Any, second: Any) -> tuple[Any, Any]:
    """A sum with what it rounds away, where `first` is 0 or not less in size than `second`. Dekker's Fast2Sum."""
    total = first + second
    return total, second - (total - first)


@elementary
def exact_sum(first: Any, second: Any) -> tuple[Any, Any]:
    """A sum with what it rounds away. Knuth's 2Sum."""
    total = first + second
    part = total - first
    return total, (first - (total - part)) + (second - part)


@elementary
def exact_product(first: Any, second: Any) -> tuple[Any, Any]:
    """A product with what it rounds away."""
    product = first * second
    return product, multiply_add(first, second, -product)
