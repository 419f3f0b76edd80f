# SPDX-License-Identifier: Apache-2.0
"""What debuggers and profilers are told of kernels."""
