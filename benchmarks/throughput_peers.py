# SPDX-License-Identifier: Apache-2.0
"""The workloads of throughput.py in Numba, where it is installed: loops over the threads, as one writes them there."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any


def bodies(name: str, arguments: tuple[Any, ...], grid: tuple[Any, ...]) -> dict[str, Callable[[], object]]:  # noqa: ARG001
    """What to time of each peer that is installed and has this workload."""
    return {}


HAS_NUMBA = importlib.util.find_spec("numba") is not None
