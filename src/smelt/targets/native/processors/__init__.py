# SPDX-License-Identifier: Apache-2.0
"""Processors: what they are named, what code may use of them, and which one this is."""
