# SPDX-License-Identifier: Apache-2.0
"""Kernels of AIR that are cut at their barriers."""
