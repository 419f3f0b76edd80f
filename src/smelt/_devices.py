# SPDX-License-Identifier: Apache-2.0
"""The devices of this process, put together. What drives one is imported when one is first asked for."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from smelt import knobs
from smelt.compiler.config import CompilerConfig
from smelt.launch import requests
from smelt.launch.devices import Devices

__all__ = ["device", "devices", "known_devices"]


@functools.cache
def known_devices() -> Devices:
    """The devices of this process."""
    return Devices(_hardware, _software, lambda: knobs.DEVICE.value, _load)


def device(name: str) -> Any:
    """The device of that name: `cpu`, `metal:0` on a Mac, `metal:software` everywhere, and more of these, `metal:software:1`.

    Raises `LaunchError` if there is none.
    """
    return known_devices().named(name)


def devices() -> tuple[Any, ...]:
    """Every device that there is: the processor, then the hardware, then those in software."""
    return known_devices().all()


def _software(name: str) -> Any:
    return importlib.import_module("smelt.targets.metal.devices.software.device").SoftwareDevice(name)


def _hardware() -> Sequence[Any]:
    if sys.platform != "darwin":
        return ()
    found: Sequence[Any] = importlib.import_module("smelt.targets.metal.devices.macos").devices_of_system()
    return found


def metal_kernel(kernel: Any, kinds: tuple[Any, ...], found: Any, config: CompilerConfig, jobs: Any) -> Any:
    """A kernel ready to run on a Metal device, compiled with these settings."""
    made = importlib.import_module("smelt.launch.metal_kernels").MetalKernel
    return made(kernel, kinds, jobs, config, found, keeps=not requests.is_collecting())


def _load(kernel: Any, kinds: tuple[Any, ...], found: Any, jobs: Any) -> Any:
    return metal_kernel(kernel, kinds, found, replace(kernel.config, target=jobs.target_named("metal")), jobs)
