# SPDX-License-Identifier: Apache-2.0
"""From typed programs to LLVM IR: what is common to all targets. `module` does it; what runs LLVM needs no more than `lowered`."""

from smelt.lowering.lowered import LinkedFunction, LoweredModule

__all__ = ["LinkedFunction", "LoweredModule"]
