# SPDX-License-Identifier: Apache-2.0
"""The devices of this process, put together. What drives one is imported when one is first asked for."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from smelt import knobs
from smelt._once import once
from smelt.compiler.config import CompilerConfig
from smelt.launch import device_arrays, requests, streams
from smelt.launch.device_arrays import DeviceArray
from smelt.launch.devices import Devices
from smelt.launch.errors import LaunchError
from smelt.records import replace

__all__ = ["array", "device", "devices", "empty", "full", "known_devices", "synchronize", "zeros"]


@once
def known_devices() -> Devices:
    """The devices of this process."""
    found = Devices(_hardware, _software, lambda: knobs.DEVICE.value, _load)
    knobs.DEVICE.watch(found.default_has_changed)
    return found


def device(name: str) -> Any:
    """The device of that name: `cpu`, `metal:0` on a Mac, `metal:software` everywhere, and more of these, `metal:software:1`.

    Raises `LaunchError` if there is none.
    """
    return known_devices().named(name)


def devices() -> tuple[Any, ...]:
    """Every device that there is: the processor, then the hardware, then those in software."""
    return known_devices().all()


def synchronize(device: Any = None) -> None:
    """Return when everything is done that was launched on a device, given itself or by its name, or without one on all devices.

    Raises what went wrong first in a launch since the last time.
    """
    streams.synchronize(*(() if device is None else (known_devices().of(device),)))


def array(values: Any, device: Any = None) -> DeviceArray:
    """A copy of an array, or of what NumPy makes one of, on a device: given itself or by its name, else the default one.

    Raises `LaunchError` if there is no such device, `MemoryError` if it has no room.
    """
    return device_arrays.array(values, known_devices().of(device))


def empty(shape: int | tuple[int, ...], dtype: Any = np.float32, device: Any = None) -> DeviceArray:
    """An array on a device, of which nothing is said what it holds. `dtype` is a type of smelt's or of NumPy's. Raises as `array`."""
    return device_arrays.empty(shape, dtype, known_devices().of(device))


def zeros(shape: int | tuple[int, ...], dtype: Any = np.float32, device: Any = None) -> DeviceArray:
    """An array of zeros on a device. Raises as `array`."""
    # Whatever memory held before, a device gives it out cleared.
    return empty(shape, dtype, device)


def full(shape: int | tuple[int, ...], value: Any, dtype: Any = np.float32, device: Any = None) -> DeviceArray:
    """An array on a device whose elements are all `value`. Raises as `array`."""
    made = empty(shape, dtype, device)
    made.fill(value)
    return made


def _software(name: str) -> Any:
    return _of_software("device").SoftwareDevice(name, software_runtime())


@once
def software_runtime() -> Any:
    """What the devices in software have in common: their compiled kernels, and the threads that run them.

    LLVM is loaded for the first kernel that neither this process nor an earlier one has compiled.
    """
    wiring = importlib.import_module("smelt._wiring")
    artifacts, pipeline, shared_code = map(_of_software, ("artifacts", "pipeline", "shared_code"))
    code = artifacts.KernelCode(_compile_for_software, wiring.helper_store())
    shared = shared_code.SharedCode(_shared_text, _compile_shared, wiring.helper_store())
    return pipeline.Runtime(code, shared, wiring.thread_grid())


def _of_software(module: str) -> Any:
    return importlib.import_module(f"smelt.targets.metal.devices.software.{module}")


def _compile_for_software(source: Any, checks: Any, results: Any) -> None:
    # Both load LLVM, which takes longer than all else: at the same time.
    _of_software("disassembly").start_disassembler()
    _of_software("compilation").compile_kernel(source, checks, results)


def _shared_text(part: str) -> Any:
    return _of_software("shared_functions").text_of(part)


def _compile_shared(text: str, opt_level: int) -> Any:  # noqa: ARG001 - there is one level for kernels of AIR
    return _of_software("optimisation").code_of_shared(text)


def _hardware() -> Sequence[Any]:
    if sys.platform != "darwin":
        return ()
    # Machine code that Metal makes is kept where all else is.
    files = importlib.import_module("smelt._wiring").session().directory
    found: Sequence[Any] = importlib.import_module("smelt.targets.metal.devices.macos").devices_of_system(files)
    return found


def _load(kernel: Any, kinds: tuple[Any, ...], found: Any, config: CompilerConfig | None, jobs: Any) -> Any:
    """A kernel ready to run on a Metal device."""
    made = importlib.import_module("smelt.launch.metal_kernels").MetalKernel
    chosen = config or replace(kernel.config, target=jobs.target_named("metal"))
    wanted = importlib.import_module("smelt.targets.metal.target").metal_versions(chosen.target).macos
    if (wanted.major, wanted.minor) > tuple(found.macos):
        system = ".".join(map(str, found.macos))
        raise LaunchError(
            f"{kernel.name}: {found.name} has macOS {system}, which can't load what is compiled for macOS {wanted.major}.{wanted.minor}: give macos={system}"
        )
    return made(kernel, kinds, jobs, chosen, found, keeps=not requests.is_collecting())
