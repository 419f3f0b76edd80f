# SPDX-License-Identifier: Apache-2.0
"""The error function and its complement.

`erfc(x)` is `exp(-x**2) * P(t) / (1 + 2*x)` for `x` from 0 on, where `t = (x - 4) / (x + 4)` takes the whole axis to where one polynomial
does. Source of that form: Shepherd and Laframboise, "Chebyshev approximation of (1 + 2x)exp(x**2)erfc x in 0 <= x < inf" (1981).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from smelt.runtime.elementary.exact import (
    elementary,
    exact_product,
    exact_sum,
    multiply_add,
    polynomial,
    sum_of_ordered,
)
from smelt.runtime.elementary.exponentials import (
    exponential_of_rest,
    exponential_of_rest_single,
    narrow_exp,
    reduced,
    reduced_single,
    scaled,
    scaled_single,
    whole_power_of_two,
    whole_power_of_two_single,
)

# erf(x) / x - 1 by x**2, for x up to 13/16, by tools/minimax.py.
# Error: 2**-56.0.
_ERF = (
    0.12837916709551256,
    -0.3761263890318325,
    0.11283791670927727,
    -0.02686617063930666,
    0.005223977561829741,
    -0.0008548322965087682,
    0.00012055171355284064,
    -1.4921508722800456e-05,
    1.6393682285460312e-06,
    -1.5657352125340345e-07,
    1.0552023031401791e-08,
)
# For float32.
# Error: 2**-27.9.
_ERF_SINGLE = (
    0.12837917,
    -0.37612605,
    0.112831116,
    -0.026819598,
    0.0050814888,
    -0.00065049547,
)
# -log(erfc(x)) - x**2 by x - 2, for x from 13/16 to 6.
# Error: 2**-57.3.
_ERFC_EXPONENT = (
    1.3649412646166388,
    0.41816080599442085,
    -0.07624915817632873,
    0.016465118136415855,
    -0.0035707563446094994,
    0.0007323993919809581,
    -0.00013530933880923998,
    2.070640397044211e-05,
    -1.9521956311024254e-06,
    -2.0358275416422265e-07,
    1.7322198666687117e-07,
    -5.78643469300971e-08,
    1.3930602188116482e-08,
    -2.4950097926304746e-09,
    2.8232783770372795e-10,
    2.6402317957958647e-11,
    -3.725268278230231e-11,
    1.297340987153881e-11,
    -1.623004435521106e-12,
)
# For float32, for x from 13/16 to 4.
# Error: 2**-32.5.
_ERFC_EXPONENT_SINGLE = (
    1.3649412,
    0.4181607,
    -0.076248415,
    0.016468437,
    -0.003568588,
    0.0007266314,
    -0.00014348883,
    1.9462737e-05,
)
# P, for x up to 28.
# Error: 2**-60.6.
_SCALED_ERFC_0, _SCALED_ERFC_0_REST = 1.2329951186255526, -4.6319325911408855e-17
_SCALED_ERFC = (
    -0.13962111684056253,
    0.015379652102620071,
    0.0680970542546942,
    -0.10103906603632676,
    0.0937328349982913,
    -0.06633036581162365,
    0.03716751553856752,
    -0.016197734065835807,
    0.005031969966134673,
    -0.000757773225587651,
    -0.00019925661149654112,
    0.00015062137244067867,
    -2.4399601028993787e-05,
    -1.1221116763746939e-05,
    5.710927442468563e-06,
    2.921263431351811e-07,
    -8.278407711974405e-07,
    7.637964682263297e-08,
    1.1312496925449093e-07,
    -1.863118075981743e-08,
    -1.6333933146201974e-08,
    1.573322169836353e-09,
    1.97206487789306e-09,
    2.6176487268813073e-10,
)
# Its slope, for x from 1/2 on.
# Error: 2**-6.9.
_SCALED_ERFC_SLOPE = (
    -0.13615961662036932,
    0.08019863853076767,
    0.1261636188412487,
    -0.7386274127450205,
    0.7567692567028513,
)
# For float32 in float64, for x up to 11.
# Error: 2**-30.1.
_SCALED_ERFC_NARROW = (
    1.2329951191835162,
    -0.13962113371956278,
    0.015379560026523853,
    0.0680978951299412,
    -0.10103610752591694,
    0.09372257873447729,
    -0.06636725768470926,
    0.03719945650803004,
    -0.016007057156885232,
    0.005117654313081032,
    -0.0010698818299958875,
    -0.0006220750655450386,
)


@elementary
def erf_double(x: Any) -> Any:
    """`math.erf` of a float64."""
    size = abs(x)
    square = x * x
    near = multiply_add(x, polynomial(square, _ERF), x)
    # Of what is taken from 1 a few digits less are needed: one exponential does.
    bounded = np.where(size > 6.0, 6.0, size)
    exponent, exponent_rest = _exponent(bounded, polynomial(bounded - 2.0, _ERFC_EXPONENT))
    shifted, rest, lost = reduced(-exponent)
    power, missing = exponential_of_rest(rest, lost - exponent_rest)
    far = _taken_from_one(power, missing, whole_power_of_two(shifted))
    return np.where(size < 0.8125, near, np.copysign(far, x))


@elementary
def _exponent(x: Any, difference: Any) -> tuple[Any, Any]:
    """`-log(erfc(x))` as a pair, given how much it differs from `x**2`."""
    square, square_lost = exact_product(x, x)
    total, rest = exact_sum(square, difference)
    return total, rest + square_lost


@elementary
def _taken_from_one(power: Any, missing: Any, factor: Any) -> Any:
    """`1 - (power + missing) * factor`."""
    total, rest = sum_of_ordered(1.0, -power * factor)
    return total + multiply_add(-missing, factor, rest)


@elementary
def erfc_double(x: Any) -> Any:
    """`math.erfc` of a float64."""
    size = abs(x)
    far = _complement(np.where(size > 28.0, 28.0, size))
    total, missing = sum_of_ordered(1.0, -x)
    near = total + multiply_add(-x, polynomial(x * x, _ERF), missing)
    return np.where(size < 0.625, near, np.where(x < 0.0, 2.0 - far, far))


@elementary
def _complement(x: Any) -> Any:
    """`erfc(x)` for `x` from 1/2 to 28."""
    square, square_lost = exact_product(x, x)
    shifted, rest, lost = reduced(-square)
    rest, lost = exact_sum(rest, lost - square_lost)
    power, power_rest = sum_of_ordered(*exponential_of_rest(rest, lost))
    # The argument of the polynomial with what it rounds away.
    above, above_rest = exact_sum(x, -4.0)
    below, below_rest = exact_sum(x, 4.0)
    by_below = 1.0 / below
    argument = above * by_below
    argument_rest = multiply_add(-argument, below_rest, multiply_add(-argument, below, above) + above_rest) * by_below
    factor, factor_rest = sum_of_ordered(_SCALED_ERFC_0, argument * polynomial(argument, _SCALED_ERFC))
    factor_rest = multiply_add(
        argument_rest, polynomial(argument, _SCALED_ERFC_SLOPE), factor_rest + _SCALED_ERFC_0_REST
    )
    product, product_rest = exact_product(power, factor)
    product_rest = multiply_add(power, factor_rest, multiply_add(power_rest, factor, product_rest))
    divisor, divisor_rest = sum_of_ordered(2.0 * x, 1.0)
    by_divisor = 1.0 / divisor
    quotient = product * by_divisor
    wrong = multiply_add(-quotient, divisor_rest, multiply_add(-quotient, divisor, product) + product_rest)
    return scaled(multiply_add(wrong, by_divisor, quotient), shifted)


@elementary
def erf_single(x: Any) -> Any:
    """`math.erf` of a float32."""
    size = abs(x)
    near = multiply_add(x, polynomial(x * x, _ERF_SINGLE), x)
    bounded = np.where(size > 4.0, 4.0, size)
    exponent, exponent_rest = _exponent(bounded, polynomial(bounded - 2.0, _ERFC_EXPONENT_SINGLE))
    shifted, rest, lost = reduced_single(-exponent)
    power, missing = exponential_of_rest_single(rest, lost - exponent_rest)
    far = _taken_from_one(power, missing, whole_power_of_two_single(shifted))
    return np.where(size < 0.8125, near, np.copysign(far, x))


@elementary
def erfc_single(x: Any) -> Any:
    """`math.erfc` of a float32."""
    wide = np.float64(x)
    far = _narrow_complement(abs(wide))
    return np.float32(np.where(wide < 0.0, 2.0 - far, far))


@elementary
def _narrow_complement(size: Any) -> Any:
    x = np.where(size > 11.0, 11.0, size)
    argument = (x - 4.0) / (x + 4.0)
    return narrow_exp(-x * x) * polynomial(argument, _SCALED_ERFC_NARROW) / multiply_add(2.0, x, 1.0)


@elementary
def erfc_without_double(x: Any) -> Any:
    """`math.erfc` of a float32, without float64."""
    size = abs(x)
    far = _complement_without_double(np.where(size > 11.0, 11.0, size))
    total, missing = exact_sum(1.0, -x)
    near = total + multiply_add(-x, polynomial(x * x, _ERF_SINGLE), missing)
    return np.where(size < 0.625, near, np.where(x < 0.0, 2.0 - far, far))


@elementary
def _complement_without_double(x: Any) -> Any:
    """`erfc(x)` for `x` from 5/8 to 11."""
    square, square_lost = exact_product(x, x)
    shifted, rest, lost = reduced_single(-square)
    power, missing = exponential_of_rest_single(rest, lost - square_lost)
    argument = (x - 4.0) / (x + 4.0)
    scaled_complement = polynomial(argument, _SCALED_ERFC_NARROW) / multiply_add(2.0, x, 1.0)
    return scaled_single((power + missing) * scaled_complement, shifted)
