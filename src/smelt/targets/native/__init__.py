# SPDX-License-Identifier: Apache-2.0
"""The CPU: from LLVM IR to machine code, and from machine code to a function that can be called."""
