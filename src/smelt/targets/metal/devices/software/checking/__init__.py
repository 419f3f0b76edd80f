# SPDX-License-Identifier: Apache-2.0
"""Looking after what kernels do while they run, and telling of it."""
