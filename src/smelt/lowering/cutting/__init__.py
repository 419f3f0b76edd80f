# SPDX-License-Identifier: Apache-2.0
"""Kernels that are cut, at barriers or at loops, into phases that threads run one after the other."""
