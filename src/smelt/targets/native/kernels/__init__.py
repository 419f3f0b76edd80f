# SPDX-License-Identifier: Apache-2.0
"""Kernels: how their threads are run, from lowered LLVM IR to an artifact, and from there to a function of this process."""
