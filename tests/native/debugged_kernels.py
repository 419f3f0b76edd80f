# SPDX-License-Identifier: Apache-2.0
"""Kernels for test_debugging.py, which also runs this as a program below a debugger: arguments are the debug and the optimisation level."""

from __future__ import annotations

import sys

import numpy as np

import smelt


def scaled(a, x):
    product = a * x
    return product + 1  # in a function


def apply(function, value):
    return function(value) * 2


def add_scaled(out, a, x):
    i = smelt.grid(1)

    def shifted(value):
        moved = value - 3
        return moved * moved  # in a closure

    if i < out.size:
        out[i] = scaled(a, x[i]) + apply(shifted, x[i])  # in the kernel


def reverse(out):
    i = smelt.grid(1)
    shared = smelt.threadgroup_array(8, smelt.float32)
    shared[i % 8] = i
    smelt.threadgroup_barrier()
    for k in range(3):
        out[i] += shared[7 - i % 8] * k  # behind the barrier


def depth(n):
    return 0 if n == 0 else depth(n - 1) + 1  # in a recursive function


def measure(out):
    out[0] = depth(10)


def run(debug_level, opt_level):
    options = {"debug_level": debug_level, "opt_level": opt_level}
    x, out = np.arange(8, dtype=np.float32), np.zeros(8, np.float32)
    smelt.kernel(**options)(add_scaled)[8](out, 2.0, x)
    reversed_, deep = np.zeros(16, np.float32), np.zeros(1)
    smelt.kernel(**options)(reverse)[2, 8](reversed_)
    smelt.kernel(**options)(measure)[1](deep)
    return out, reversed_, deep


if __name__ == "__main__":
    run(*map(int, sys.argv[1:]))
