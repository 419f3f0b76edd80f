# SPDX-License-Identifier: Apache-2.0
"""The stages of a compilation, one after the other."""

from smelt.driver.pipeline import Backend, Driver

__all__ = ["Backend", "Driver"]
