# SPDX-License-Identifier: Apache-2.0
"""From typed programs to LLVM IR: what is common to all targets."""

from smelt.lowering.module import LinkedFunction, LoweredModule, lower_module

__all__ = ["LinkedFunction", "LoweredModule", "lower_module"]
