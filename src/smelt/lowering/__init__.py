# SPDX-License-Identifier: Apache-2.0
"""From typed programs to LLVM IR: what is common to all targets."""

from smelt.lowering.module import ErrorSite, LinkedFunction, LoweredModule, SiteTuple, lower_module

__all__ = ["ErrorSite", "LinkedFunction", "LoweredModule", "SiteTuple", "lower_module"]
