# SPDX-License-Identifier: Apache-2.0
"""AIR: from the module of a recent LLVM to the bitcode that Apple's loader takes, which is LLVM 14's, with typed pointers."""

from smelt.targets.metal.air.bitstream import BitstreamError
from smelt.targets.metal.air.downgrade import downgrade, wrapped
from smelt.targets.metal.air.program import DowngradeError

__all__ = ["BitstreamError", "DowngradeError", "downgrade", "wrapped"]
