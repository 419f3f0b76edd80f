# SPDX-License-Identifier: Apache-2.0
"""A plugin of pytest's: the fixture `metal_device`, for tests of projects with Metal kernels.

pytest finds it where smelt is installed. On a Mac the device is the first that there is, elsewhere, as in most continuous integration,
one in software, which finds accesses out of bounds too. `pytest --metal-device=metal:software` chooses.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import pytest

__all__ = ["metal_device", "pytest_addoption"]

OPTION = "--metal-device"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Tell pytest of the option."""
    parser.getgroup("smelt").addoption(
        OPTION,
        metavar="NAME",
        help="the device that tests with the fixture metal_device run on: metal:0, metal:software; by default the first there is",
    )


@pytest.fixture
def metal_device(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A Metal device: for `smelt.metal.library(..., device=metal_device)`, and for `smelt.array(..., device=metal_device)`.

    What goes wrong in a kernel that nobody has waited for is raised when the test is over.
    """
    # The compiler and the devices are loaded by the first test that asks for one, not by every run of pytest.
    devices = importlib.import_module("smelt._devices")
    name = request.config.getoption(OPTION)
    device = devices.known_devices().default_metal if name is None else _named(devices, name)
    yield device
    devices.synchronize(device)


def _named(devices: Any, name: str) -> Any:
    if not name.startswith("metal:"):
        raise pytest.UsageError(f"{OPTION}={name}: a Metal device is metal:0, say, or metal:software")
    try:
        return devices.device(name)
    except importlib.import_module("smelt.launch").LaunchError as error:
        raise pytest.UsageError(f"{OPTION}={name}: {error}") from None
