# SPDX-License-Identifier: Apache-2.0
"""Launches in compiled code: from the arguments of a call in Python to the entry point of a kernel."""
