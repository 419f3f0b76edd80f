# SPDX-License-Identifier: Apache-2.0
"""Modules of AIR for the tests of this folder."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def air():
    """The functions of `air_modules`."""
    path = Path(__file__).with_name("air_modules.py")
    specification = importlib.util.spec_from_file_location("air_modules", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module
