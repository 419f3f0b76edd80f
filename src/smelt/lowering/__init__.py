# SPDX-License-Identifier: Apache-2.0
"""From typed programs to LLVM IR: what is common to all targets."""

from smelt.lowering.lowered import LinkedFunction, LoweredModule
from smelt.lowering.module import lower_module

__all__ = ["LinkedFunction", "LoweredModule", "lower_module"]
