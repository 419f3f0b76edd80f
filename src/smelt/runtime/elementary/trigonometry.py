# SPDX-License-Identifier: Apache-2.0
"""Sine, cosine and tangent.

An angle is `n * pi / 2 + r`, with `r` at most `pi / 4` in size; what the sine and cosine of `r` are to those of the angle, the last two
bits of `n` tell. Both are computed, and one is chosen: so no branch depends on the angle, and what asks for both gets both for one.
Angles for which the parts of `pi / 2` below are not enough are left to `reduction`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from smelt.runtime.bits import bits_of
from smelt.runtime.elementary.exact import (
    elementary,
    exact_product,
    exact_sum,
    multiply_add,
    polynomial,
    rare,
    sum_of_ordered,
)
from smelt.runtime.elementary.exponentials import SHIFT, SHIFT_SINGLE
from smelt.runtime.elementary.reduction import reduced_huge

_BY_HALF_PI = 0.6366197723675814
_HALF_PI, _HALF_PI_1, _HALF_PI_2 = 1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33
_HALF_PI_SINGLE, _HALF_PI_SINGLE_1, _HALF_PI_SINGLE_2 = (
    1.5707963705062866,
    -4.371138828673793e-08,
    -1.7151245100058819e-15,
)

# Up to here the multiples of the parts of pi / 2 leave no more than 2**-130 or so, where the angles that come closest to a multiple
# of pi / 2 are 2**-61 away from it; for float32, 2**-55 and 2**-30.
_LARGEST = 2.0**30
_LARGEST_SINGLE = 2.0**15

# (sin(r) - r) / r**3 by r**2 up to pi / 4, by tools/minimax.py.
# Error: 2**-57.9.
_SINE = (
    -0.1666666666666663,
    0.008333333333321839,
    -0.00019841269829356842,
    2.7557313537924818e-06,
    -2.5050734300549238e-08,
    1.5895428403677973e-10,
)
# (cos(r) - 1 + r**2 / 2) / r**4 by r**2.
# Error: 2**-63.9.
_COSINE = (
    0.041666666666666595,
    -0.0013888888888873342,
    2.4801587289001978e-05,
    -2.755731421697006e-07,
    2.0875705380849954e-09,
    -1.1358748148866796e-11,
)
# The same for float32.
# Error: 2**-27.9.
_SINE_SINGLE = (
    -0.16666655,
    0.008332189,
    -0.00019518289,
)
# Error: 2**-33.0.
_COSINE_SINGLE = (
    0.041666646,
    -0.001388731,
    2.4432327e-05,
)


@elementary
def sin_double(x: Any) -> Any:
    """`math.sin` of a float64, NaN for infinities."""
    return _sine(*_reduced(x), x) if not abs(x) > _LARGEST else _sin_of_huge(x)


@elementary
def cos_double(x: Any) -> Any:
    """`math.cos` of a float64."""
    return _cosine(*_reduced(x)) if not abs(x) > _LARGEST else _cos_of_huge(x)


@elementary
def tan_double(x: Any) -> Any:
    """`math.tan` of a float64."""
    return _tangent(*_reduced(x), x) if not abs(x) > _LARGEST else _tan_of_huge(x)


@rare
def _sin_of_huge(x: Any) -> Any:
    return _sine(*reduced_huge(x), x)


@rare
def _cos_of_huge(x: Any) -> Any:
    return _cosine(*reduced_huge(x))


@rare
def _tan_of_huge(x: Any) -> Any:
    return _tangent(*reduced_huge(x), x)


@elementary
def _reduced(x: Any) -> tuple[Any, Any, Any]:
    """An integer of which the last two bits are those of `n`, and the rest as a pair."""
    shifted = multiply_add(x, _BY_HALF_PI, SHIFT)
    multiple = shifted - SHIFT
    # The first is exact; of the second the product is a pair; the third is too small for that to matter.
    near = multiply_add(multiple, -_HALF_PI, x)
    product, lost = exact_product(multiple, -_HALF_PI_1)
    rest, missing = exact_sum(near, product)
    return bits_of(shifted), rest, missing + multiply_add(multiple, -_HALF_PI_2, lost)


@elementary
def _sine(quadrant: Any, rest: Any, lost: Any, x: Any) -> Any:
    sine, sine_rest = _sine_of_rest(rest, lost)
    cosine, cosine_rest = _cosine_of_rest(rest, lost)
    result = np.where(quadrant & 1 == 0, sine + sine_rest, cosine + cosine_rest)
    # 0 keeps its sign.
    return np.where(x == 0.0, x, np.where(quadrant & 2 == 0, result, -result))


@elementary
def _cosine(quadrant: Any, rest: Any, lost: Any) -> Any:
    sine, sine_rest = _sine_of_rest(rest, lost)
    cosine, cosine_rest = _cosine_of_rest(rest, lost)
    result = np.where(quadrant & 1 == 0, cosine + cosine_rest, sine + sine_rest)
    return np.where((quadrant + 1) & 2 == 0, result, -result)


@elementary
def _tangent(quadrant: Any, rest: Any, lost: Any, x: Any) -> Any:
    sine, sine_rest = _sine_of_rest(rest, lost)
    cosine, cosine_rest = sum_of_ordered(*_cosine_of_rest(rest, lost))
    is_even = quadrant & 1 == 0
    above, above_rest = np.where(is_even, sine, -cosine), np.where(is_even, sine_rest, -cosine_rest)
    below, below_rest = np.where(is_even, cosine, sine), np.where(is_even, cosine_rest, sine_rest)
    by_below = 1.0 / below
    quotient = above * by_below
    wrong = multiply_add(-quotient, below_rest, multiply_add(-quotient, below, above) + above_rest)
    return np.where(x == 0.0, x, multiply_add(wrong, by_below, quotient))


@elementary
def _sine_of_rest(rest: Any, lost: Any) -> tuple[Any, Any]:
    square = rest * rest
    # The cosine, which what was lost is to be multiplied with, to as much as that takes.
    tail = multiply_add(square * rest, polynomial(square, _SINE), multiply_add(-0.5 * square, lost, lost))
    return sum_of_ordered(rest, tail)


@elementary
def _cosine_of_rest(rest: Any, lost: Any) -> tuple[Any, Any]:
    square, square_lost = exact_product(rest, rest)
    total, missing = sum_of_ordered(1.0, -0.5 * square)
    tail = multiply_add(square * square, polynomial(square, _COSINE), multiply_add(-rest, lost, -0.5 * square_lost))
    return total, missing + tail


@elementary
def sin_single(x: Any) -> Any:
    """`math.sin` of a float32."""
    return _sine_single(*_reduced_single(x), x) if not abs(x) > _LARGEST_SINGLE else _sin_of_huge_single(x)


@elementary
def cos_single(x: Any) -> Any:
    """`math.cos` of a float32."""
    return _cosine_single(*_reduced_single(x)) if not abs(x) > _LARGEST_SINGLE else _cos_of_huge_single(x)


@elementary
def tan_single(x: Any) -> Any:
    """`math.tan` of a float32."""
    return _tangent_single(x) if not abs(x) > _LARGEST_SINGLE else _tan_of_huge_single(x)


@rare
def _sin_of_huge_single(x: Any) -> Any:
    wide = np.float64(x)
    return np.float32(_sine(*reduced_huge(wide), wide))


@rare
def _cos_of_huge_single(x: Any) -> Any:
    wide = np.float64(x)
    return np.float32(_cosine(*reduced_huge(wide)))


@rare
def _tan_of_huge_single(x: Any) -> Any:
    wide = np.float64(x)
    return np.float32(_tangent(*reduced_huge(wide), wide))


@elementary
def _reduced_single(x: Any) -> tuple[Any, Any, Any]:
    shifted = multiply_add(x, _BY_HALF_PI, SHIFT_SINGLE)
    multiple = shifted - SHIFT_SINGLE
    near = multiply_add(multiple, -_HALF_PI_SINGLE, x)
    product, lost = exact_product(multiple, -_HALF_PI_SINGLE_1)
    rest, missing = exact_sum(near, product)
    return bits_of(shifted), rest, missing + multiply_add(multiple, -_HALF_PI_SINGLE_2, lost)


@elementary
def _sine_single(quadrant: Any, rest: Any, lost: Any, x: Any) -> Any:
    result = np.where(quadrant & 1 == 0, _sine_of_rest_single(rest, lost), _cosine_of_rest_single(rest, lost))
    return np.where(x == 0.0, x, np.where(quadrant & 2 == 0, result, -result))


@elementary
def _cosine_single(quadrant: Any, rest: Any, lost: Any) -> Any:
    result = np.where(quadrant & 1 == 0, _cosine_of_rest_single(rest, lost), _sine_of_rest_single(rest, lost))
    return np.where((quadrant + 1) & 2 == 0, result, -result)


@elementary
def _sine_of_rest_single(rest: Any, lost: Any) -> Any:
    square = rest * rest
    return rest + multiply_add(square * rest, polynomial(square, _SINE_SINGLE), lost)


@elementary
def _cosine_of_rest_single(rest: Any, lost: Any) -> Any:
    square = rest * rest
    total, missing = sum_of_ordered(1.0, -0.5 * square)
    return total + (missing + multiply_add(square * square, polynomial(square, _COSINE_SINGLE), -rest * lost))


@elementary
def _tangent_single(x: Any) -> Any:
    wide = np.float64(x)
    shifted = multiply_add(wide, _BY_HALF_PI, SHIFT)
    multiple = shifted - SHIFT
    rest = multiply_add(multiple, -_HALF_PI_1, multiply_add(multiple, -_HALF_PI, wide))
    square = rest * rest
    sine = multiply_add(square * rest, polynomial(square, _SINE), rest)
    cosine = multiply_add(square * square, polynomial(square, _COSINE), multiply_add(square, -0.5, 1.0))
    is_even = bits_of(shifted) & 1 == 0
    tangent = np.where(is_even, sine, -cosine) / np.where(is_even, cosine, sine)
    return np.where(x == 0.0, x, np.float32(tangent))
