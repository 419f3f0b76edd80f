# SPDX-License-Identifier: Apache-2.0
"""smelt: a kernel compiler and compile cache for Python."""

__version__ = "0.1.0"
