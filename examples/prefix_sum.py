# SPDX-License-Identifier: Apache-2.0
"""Prefix sums and a reduction with barriers, and what they are good for: picking elements out, in order, by many threads at once.

    python examples/prefix_sum.py [--size N]

It picks the prime numbers out of all numbers below N, counts them, and adds them up. All of it is compared with NumPy's results.
"""

from __future__ import annotations

import argparse

import numpy as np

import smelt

GROUP = 256


@smelt.kernel
def mark_primes(is_prime):
    """By trial division: threads take as long as they take."""
    i = smelt.grid(1)
    is_prime[i] = i > 1
    divisor = 2
    while divisor * divisor <= i:
        if i % divisor == 0:
            is_prime[i] = 0
            break
        divisor += 1


@smelt.kernel
def scan_groups(sums, totals, values):
    """The sum of each element and those before it in its group, and each group's total (Hillis and Steele, 1986)."""
    shared = smelt.threadgroup_array((2, GROUP), smelt.int64)
    i, number = smelt.grid(1), smelt.thread_index_in_threadgroup()
    total = values[i] if i < values.size else 0
    distance, half = 1, 0
    while distance < GROUP:
        # The halves take turns: nobody writes what another one has yet to read.
        shared[half, number] = total
        smelt.threadgroup_barrier()
        if number >= distance:
            total += shared[half, number - distance]
        distance, half = distance * 2, 1 - half
    if i < values.size:
        sums[i] = total
    if number == GROUP - 1:
        totals[smelt.threadgroup_position_in_grid().x] = total


@smelt.kernel
def add_before(sums, totals):
    """To the sums of each group, what all groups before it have in total."""
    i = smelt.grid(1)
    if i >= GROUP:
        sums[i] += totals[i // GROUP - 1]


@smelt.kernel
def pick(out, is_wanted, sums):
    """What is wanted comes to the place that its prefix sum says."""
    i = smelt.grid(1)
    if is_wanted[i]:
        out[sums[i] - 1] = i


@smelt.kernel
def reduce_groups(totals, values):
    """Each group's sum: half of the threads add what the other half has, and so on."""
    shared = smelt.threadgroup_array(GROUP, smelt.int64)
    i, number = smelt.grid(1), smelt.thread_index_in_threadgroup()
    shared[number] = values[i] if i < values.size else 0
    smelt.threadgroup_barrier()
    half = GROUP // 2
    while half > 0:
        if number < half:
            shared[number] += shared[number + half]
        smelt.threadgroup_barrier()
        half //= 2
    if number == 0:
        totals[smelt.threadgroup_position_in_grid().x] = shared[0]


def groups_for(values):
    return -(-values.size // GROUP)


def prefix_sums(values):
    sums, totals = np.empty(values.size, np.int64), np.empty(groups_for(values), np.int64)
    scan_groups[totals.size, GROUP](sums, totals, values)
    if totals.size > 1:
        # The totals' prefix sums, by the same kernels: each level has one element for 256 of the one below.
        add_before[values.size](sums, prefix_sums(totals))
    return sums


def total(values):
    while values.size > 1:
        totals = np.empty(groups_for(values), np.int64)
        reduce_groups[totals.size, GROUP](totals, values)
        values = totals
    return int(values[0])


def main():
    parser = argparse.ArgumentParser(description="Pick the prime numbers out of all numbers.")
    parser.add_argument("--size", type=int, default=1_000_000, help="how many numbers; a million by default")
    size = parser.parse_args().size

    is_prime = np.empty(size, np.int64)
    mark_primes[size](is_prime)
    sums = prefix_sums(is_prime)
    if not np.array_equal(sums, np.cumsum(is_prime)):
        raise SystemExit("the prefix sums are not NumPy's")
    primes = np.empty(sums[-1], np.int64)
    pick[size](primes, is_prime, sums)
    if not np.array_equal(primes, np.flatnonzero(is_prime)) or total(primes) != primes.sum():
        raise SystemExit("the primes, or their sum, are not what NumPy finds")
    print(f"below {size} there are {primes.size} primes, up to {primes[-1]}; their sum is {total(primes)}")


if __name__ == "__main__":
    main()
