# SPDX-License-Identifier: Apache-2.0
"""Modules of AIR for the tests of this folder."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def air():
    """The functions of `air_modules`."""
    return _beside("air_modules")


@pytest.fixture(scope="session")
def objective_c():
    """The classes of `objective_c`."""
    return _beside("objective_c")


def _beside(name):
    path = Path(__file__).with_name(f"{name}.py")
    specification = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module
