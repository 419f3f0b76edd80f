# SPDX-License-Identifier: Apache-2.0
"""European options, priced twice: by the formula of Black and Scholes (1973), and by chance, with random numbers made in the kernel.

    python examples/black_scholes.py [--size OPTIONS] [--paths PATHS]

It prints how many options it prices in a second, and how far the two are from each other, in standard errors.
"""

from __future__ import annotations

import argparse
import math
import time

import numpy as np

import smelt

RATE = 0.03
VOLATILITY = 0.25


def normal_distribution(x):
    """The probability that a standard normal variable is less than x."""
    return 0.5 * math.erfc(-x / math.sqrt(2))


def call_and_put(price, strike, years):
    """What the right to buy is worth, and the right to sell."""
    spread = VOLATILITY * math.sqrt(years)
    upper = (math.log(price / strike) + (RATE + 0.5 * VOLATILITY**2) * years) / spread
    lower = upper - spread
    discounted = strike * math.exp(-RATE * years)
    call = price * normal_distribution(upper) - discounted * normal_distribution(lower)
    put = discounted * normal_distribution(-lower) - price * normal_distribution(-upper)
    return call, put


@smelt.kernel
def by_formula(calls, puts, prices, strikes, years):
    i = smelt.grid(1)
    calls[i], puts[i] = call_and_put(prices[i], strikes[i], years[i])


@smelt.kernel
def by_chance(calls, errors, prices, strikes, years, paths):
    """The mean of what calls pay on random paths of the price, and its standard error."""
    i = smelt.grid(1)
    spread = VOLATILITY * math.sqrt(years[i])
    growth = (RATE - 0.5 * VOLATILITY**2) * years[i]
    total, squares = 0.0, 0.0
    for path in range(paths):
        # A function of a seed and an index: no state, the same numbers on every device.
        end = prices[i] * math.exp(growth + spread * smelt.random_normal(i, path))
        paid = max(end - strikes[i], 0.0)
        total += paid
        squares += paid * paid
    mean = total / paths
    discount = math.exp(-RATE * years[i])
    calls[i] = discount * mean
    errors[i] = discount * math.sqrt((squares / paths - mean * mean) / paths)


def main():
    parser = argparse.ArgumentParser(description="Price options by a formula and by chance.")
    parser.add_argument("--size", type=int, default=1_000_000, help="options; a million by default")
    parser.add_argument(
        "--paths", type=int, default=20_000, help="random paths for each of 100 options; 20000 by default"
    )
    chosen = parser.parse_args()

    random = np.random.default_rng(1)
    prices, strikes = random.uniform(50, 150, (2, chosen.size))
    years = random.uniform(0.25, 2, chosen.size)
    calls, puts = np.empty((2, chosen.size))
    launch = by_formula.over(chosen.size)
    launch(calls, puts, prices, strikes, years)

    started = time.perf_counter()
    launch(calls, puts, prices, strikes, years)
    seconds = time.perf_counter() - started
    print(f"{chosen.size} options: {chosen.size / seconds / 1e6:.0f} million in a second")

    # A call without a put is the share without a loan: the parity of puts and calls.
    parity = np.abs(calls - puts - (prices - strikes * np.exp(-RATE * years))).max()
    print(f"parity of puts and calls holds to {parity:.1e}")
    if parity > 1e-10:
        raise SystemExit("that is too much")

    few = min(100, chosen.size)
    # Options close to the money: that a call far from it pays is too rare for its error to be estimated.
    strikes[:few] = prices[:few] * random.uniform(0.9, 1.1, few)
    by_formula.over(few)(calls, puts, prices, strikes, years)
    estimates, errors = np.empty((2, few))
    by_chance.over(few)(estimates, errors, prices, strikes, years, chosen.paths)
    away = np.abs(estimates - calls[:few]) / errors
    print(
        f"{few} calls by chance: {np.sqrt((away**2).mean()):.2f} standard errors from the formula, {away.max():.1f} at most"
    )
    # Of a hundred normal variables one is beyond 5 once in 17,000 times; with fixed seeds, never.
    if away.max() > 5:
        raise SystemExit("that is too far")


if __name__ == "__main__":
    main()
