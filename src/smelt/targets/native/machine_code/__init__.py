# SPDX-License-Identifier: Apache-2.0
"""Machine code in files: object files as LLVM writes them, and flat code, which can be mapped anywhere."""
