# SPDX-License-Identifier: Apache-2.0
"""The functions of `math` on integers. What overflows wraps around, as all arithmetic on integers of a fixed size."""

from __future__ import annotations

from typing import Any


def greatest_common_divisor(first: Any, second: Any) -> Any:
    """`math.gcd`."""
    first, second = abs(first), abs(second)
    while second != 0:
        first, second = second, first % second
    return first


def least_common_multiple(first: Any, second: Any) -> Any:
    """`math.lcm`."""
    if first == 0 or second == 0:
        return first * second
    return abs(first // greatest_common_divisor(first, second) * second)


def factorial(number: Any) -> Any:
    """`math.factorial`."""
    if number < 0:
        raise ValueError("factorial() not defined for negative values")
    result = number * 0 + 1
    for factor in range(2, number + 1):
        result *= factor
    return result


def combinations(total: Any, chosen: Any) -> Any:
    """`math.comb`."""
    if total < 0:
        raise ValueError("n must be a non-negative integer")
    if chosen < 0:
        raise ValueError("k must be a non-negative integer")
    if chosen > total:
        return total * 0
    result = total * 0 + 1
    for taken in range(1, min(chosen, total - chosen) + 1):
        # A binomial coefficient of its own after each round, so the quotient is exact. Dividing by the common divisor first
        # keeps the product from overflowing as long as the result fits.
        shared = greatest_common_divisor(result, taken)
        result = result // shared * ((total - taken + 1) // (taken // shared))
    return result


def permutations(total: Any, chosen: Any) -> Any:
    """`math.perm`."""
    if total < 0:
        raise ValueError("n must be a non-negative integer")
    if chosen < 0:
        raise ValueError("k must be a non-negative integer")
    result = total * 0 + 1
    if chosen > total:
        return total * 0
    for taken in range(chosen):
        result *= total - taken
    return result


def integer_root(number: Any) -> Any:
    """`math.isqrt`, bit by bit."""
    if number < 0:
        raise ValueError("isqrt() argument must be nonnegative")
    root = number * 0
    rest = number
    bit = number * 0 + 1
    while bit <= rest >> 2:
        bit <<= 2
    while bit != 0:
        if rest >= root + bit:
            rest -= root + bit
            root = (root >> 1) + bit
        else:
            root >>= 1
        bit >>= 2
    return root
