# SPDX-License-Identifier: Apache-2.0
"""Kernels on the host's side: what is called, with what, over which grid."""

from smelt.launch.errors import LaunchError
from smelt.launch.kernel import Kernel
from smelt.launch.requests import precompile_workload

__all__ = ["Kernel", "LaunchError", "precompile_workload"]
