# SPDX-License-Identifier: Apache-2.0
"""The gamma function and its logarithm of float32, without float64.

By its recurrence `gamma(x + 1) = x * gamma(x)` the argument comes to where a polynomial does; the logarithm has Stirling's series from 8 on.
Below 0 both are reflected: `gamma(x) * gamma(-x)` is `-pi / (x * sin(pi * x))`. Source: Abramowitz and Stegun, "Handbook of Mathematical
Functions", 6.1.15, 6.1.17 and 6.1.41.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from smelt.runtime.elementary.exact import elementary, polynomial

# gamma(x) by x - 3/2, for x from 1 to 2, by tools/minimax.py.
# Error: 2**-25.0.
_GAMMA_SINGLE = (
    0.88622695,
    0.0323384,
    0.41480565,
    -0.10729517,
    0.14501444,
    -0.07750954,
    0.05224493,
    -0.0381939,
    0.07537168,
    -0.01597441,
    -0.16603181,
    -0.011347574,
    0.24434891,
)
# log(gamma(x)) / (x - 1) by x - 1, for x from 1/2 to 3/2.
# Error: 2**-26.4.
_LOG_GAMMA_1_SINGLE = (
    -0.5772157,
    0.822467,
    -0.40068325,
    0.27057952,
    -0.2075251,
    0.16965592,
    -0.14100254,
    0.12334959,
    -0.14278421,
    0.12046041,
    0.073775366,
    -0.006712615,
    -0.4945454,
    0.24040547,
    0.31500024,
)
# log(gamma(x)) / (x - 2) by x - 2, for x from 3/2 to 3.
# Error: 2**-25.9.
_LOG_GAMMA_2_SINGLE = (
    0.42278433,
    0.32246703,
    -0.067351416,
    0.02058101,
    -0.00740479,
    0.0028952414,
    -0.0010423702,
    0.0004038252,
    -0.0007003569,
    0.0006564129,
    0.00038047787,
    -0.00085902336,
    0.00033682186,
)
# Half of log(2 * pi) and -1/2, and the first coefficients of Stirling's series by 1/x**2.
_STIRLING_0 = 0.4189385332046727
_STIRLING = (1.0 / 12.0, -1.0 / 360.0, 1.0 / 1260.0)

# gamma of that is more than a float32 can be.
_TOO_LARGE = 36.0


@elementary
def gamma_without_double(x: Any) -> Any:
    """`math.gamma` of a float32, but with NaN and infinities where that raises."""
    size = abs(x)
    rest: Any = np.where(size > _TOO_LARGE, _TOO_LARGE, size)
    product: Any = np.float32(1.0)
    while rest > 2.0:
        rest = rest - 1.0
        product = product * rest
    is_small = rest < 1.0
    value = polynomial(np.where(is_small, rest + 1.0, rest) - 1.5, _GAMMA_SINGLE)
    above = np.where(is_small, value / rest, value) * product
    turn, sine = _sine_of_pi(size)
    below = np.where(turn == 0.0, math.nan, -math.pi / (size * sine * above))
    return np.where(x > 0.0, above, np.where(x == 0.0, 1.0 / x, below))


@elementary
def lgamma_without_double(x: Any) -> Any:
    """`math.lgamma` of a float32, but with infinities where that raises."""
    size = abs(x)
    above = _log_gamma(size)
    turn, sine = _sine_of_pi(size)
    below = math.log(math.pi / abs(sine)) - math.log(size) - above
    result = np.where(x > 0.0, above, np.where(turn == 0.0, math.inf, below))
    return np.where(size == math.inf, math.inf, result)


@elementary
def _log_gamma(x: Any) -> Any:
    """`log(gamma(x))` for `x` from 0 on."""
    logarithm = math.log(x)
    below = np.where(x < 0.5, x, x - 1.0)
    near_1 = below * polynomial(below, _LOG_GAMMA_1_SINGLE)
    rest: Any = np.where(x > 8.0, 8.0, x)
    product: Any = np.float32(1.0)
    while rest >= 3.0:
        rest = rest - 1.0
        product = product * rest
    near_2 = (rest - 2.0) * polynomial(rest - 2.0, _LOG_GAMMA_2_SINGLE) + math.log(product)
    inverse = 1.0 / x
    far = (x - 0.5) * (logarithm - 1.0) + (_STIRLING_0 + inverse * polynomial(inverse * inverse, _STIRLING))
    small = np.where(x < 0.5, near_1 - logarithm, near_1)
    return np.where(x < 1.5, small, np.where(x < 8.0, near_2, far))


@elementary
def _sine_of_pi(size: Any) -> tuple[Any, Any]:
    """How far a number is from the next whole one, and the sine of pi times the number."""
    whole = np.rint(size)
    turn = size - whole
    is_odd = np.rint(0.5 * whole) != 0.5 * whole
    sine = math.sin(math.pi * turn)
    return turn, np.where(is_odd, -sine, sine)
