# SPDX-License-Identifier: Apache-2.0
"""The functions of AIR, for the processor."""
