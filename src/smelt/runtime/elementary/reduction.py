# SPDX-License-Identifier: Apache-2.0
"""The rest of huge angles, by division with `pi / 2`.

Source: Payne and Hanek, "Radian reduction for trigonometric functions" (1983): of the product with `2 / pi`, what is a multiple of 4
is never computed. The bits of `2 / pi` that matter begin where those of the angle end.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from smelt.runtime.bits import bits_of
from smelt.runtime.elementary.exact import elementary, exact_product, exact_sum, multiply_add, sum_of_ordered

_HALF_PI, _HALF_PI_REST = 1.5707963267948966, 6.123233995736766e-17

# The bits of 2 / pi, 32 in each number: those of the first two stand before the point. By tools/minimax.py.
_TWO_BY_PI = (
    0x00000000,
    0x00000000,
    0xA2F9836E,
    0x4E441529,
    0xFC2757D1,
    0xF534DDC0,
    0xDB629599,
    0x3C439041,
    0xFE5163AB,
    0xDEBBC561,
    0xB7246E3A,
    0x424DD2E0,
    0x06492EEA,
    0x09D1921C,
    0xFE1DEB1C,
    0xB129A73E,
    0xE88235F5,
    0x2EBB4484,
    0xE99C7026,
    0xB45F7E41,
    0x3991D639,
    0x835339F4,
    0x9C845F8B,
    0xBDF9283B,
    0x1FF897FF,
    0xDE05980F,
    0xEF2F118B,
    0x5A0A6D1F,
    0x6D367ECF,
    0x27CB09B7,
    0x4F463F66,
    0x9E5FEA2D,
    0x7527BAC7,
    0xEBE5F17B,
    0x3D0739F7,
    0x8A5292EA,
    0x6BFB5FB1,
    0x1F8D5D08,
    0x56033046,
)
_LOW = 0xFFFFFFFF


@elementary
def reduced_huge(x: Any) -> tuple[Any, Any, Any]:
    """An integer of which the last two bits are those of the `n` nearest to `x * 2 / pi`, and `x - n * pi / 2` as a pair.

    `x` is 1 or more in size; for infinities and NaN the pair is NaN.
    """
    bits = bits_of(x)
    # The angle is a mantissa of 53 bits by 2**(exponent - 1075). The bit of 2 / pi that makes multiples of 2 of it is the first that
    # counts; 192 bits from there leave an error of 2**-137, where no angle comes closer to a multiple of pi / 2 than 2**-62 or so.
    exponent = (bits >> 52) & 0x7FF
    low, high = bits & _LOW, ((bits >> 32) & 0x000FFFFF) | 0x00100000
    first = exponent - (1075 + 2 - 64)
    place, shift = first >> 5, 32 - (first & 31)
    # The product, modulo 4, in limbs of 32 bits; its highest two bits are those in front of the point.
    word = _word(place + 5, shift)
    _, carry = _limb(low * word, 0, 0)
    following = _word(place + 4, shift)
    limb_1, carry = _limb(low * following, high * word, carry)
    word = _word(place + 3, shift)
    limb_2, carry = _limb(low * word, high * following, carry)
    following = _word(place + 2, shift)
    limb_3, carry = _limb(low * following, high * word, carry)
    word = _word(place + 1, shift)
    limb_4, carry = _limb(low * word, high * following, carry)
    limb_5, _ = _limb(low * _word(place, shift), high * word, carry)
    quadrant = (limb_5 + 0x20000000) >> 30
    # What is left of it, from -1/2 to 1/2: exact sums, for the highest limbs may cancel each other.
    top = np.float64(np.int64(limb_5) - np.int64(quadrant << 30)) * 2.0**-30
    total, missing_4 = exact_sum(top, limb_4 * 2.0**-62)
    total, missing_3 = exact_sum(total, limb_3 * 2.0**-94)
    total, missing_2 = exact_sum(total, limb_2 * 2.0**-126)
    missing = missing_4 + (missing_3 + (missing_2 + limb_1 * 2.0**-158))
    product, lost = exact_product(total, _HALF_PI)
    rest, lost = sum_of_ordered(product, multiply_add(total, _HALF_PI_REST, multiply_add(missing, _HALF_PI, lost)))
    # Infinities less themselves are NaN.
    rest = rest + (x - x)
    return np.where(x < 0.0, 4 - quadrant, quadrant), np.where(x < 0.0, -rest, rest), np.where(x < 0.0, -lost, lost)


@elementary
def _word(place: Any, shift: Any) -> Any:
    """32 of the bits, `32 - shift` behind where a number of the table begins."""
    return (((np.uint64(_TWO_BY_PI[place]) << 32) | np.uint64(_TWO_BY_PI[place + 1])) >> shift) & _LOW


@elementary
def _limb(first: Any, second: Any, carry: Any) -> Any:
    """The low 32 bits of the sum of two products and what is carried over, and what is carried on."""
    total = (first & _LOW) + (second & _LOW) + carry
    return total & _LOW, (first >> 32) + (second >> 32) + (total >> 32)
