# SPDX-License-Identifier: Apache-2.0
"""The elementary functions, for float64 and float32, in the kernel language.

They have no branches that numbers decide, so that the loop around a call becomes one over vectors, and are made of operations that
IEEE 754 defines to the last bit (`multiply_add` among them), so that every processor computes the same. At most 1 unit in the last
place is wrong; docs/math.md has what was measured. All arithmetic is done as it is written, with `fastmath` too.

A function for float64 has the name of `math`'s with `_double`, one for float32 with `_single`. The latter compute in float32 where
that is good enough, and else in float64, where nothing has to be made up for.
"""
