# SPDX-License-Identifier: Apache-2.0
"""From a Python function to an untyped program."""

from smelt.frontend.translation import untyped_program

__all__ = ["untyped_program"]
