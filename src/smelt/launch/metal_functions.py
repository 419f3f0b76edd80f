# SPDX-License-Identifier: Apache-2.0
"""`mtlfunction`: a kernel that is compiled and linked for a Metal device, found again in a fraction of a microsecond.

A hit compares what is asked for with what was, and the words of a guard (see `smelt.caching.guards`): nothing of the compiler is called,
or made. A function that was found by types which are written anew for each call is found by their values, which takes longer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from smelt.launch.devices import CPU
from smelt.launch.errors import LaunchError
from smelt.launch.kernel import Kernel
from smelt.launch.metal_kernels import MetalKernel
from smelt.records import replace
from smelt.types import Type, declared_types

_MOST_KNOWN = 16
"""So many are compared with what is asked for; the latest are kept."""

Key = tuple[Any, ...]
"""What `mtlfunction` was called with, behind the kernel."""


Known = tuple[Key, Callable[[], bool], MetalKernel]
"""What a call asked for; what says whether nothing has changed that its answer was compiled from; the answer."""


def mtlfunction(
    kernel: Kernel,
    types: tuple[Any, ...],
    device: Any = None,
    name: str | None = None,
    *,
    opt_level: int | None = None,
    debug_level: int | None = None,
    threads_per_threadgroup: int | tuple[int, ...] | None = None,
    macos: str | float | None = None,
    air: str | float | None = None,
    metal: str | float | None = None,
) -> MetalKernel:
    """The kernel, compiled for arguments of these types and linked for a device. Cheap enough to be called for each launch.

    Parameters
    ----------
    kernel
        What `smelt.kernel` made.
    types
        The types of its arguments, written as for `Kernel.compile`. A hit is fastest if they are the same tuple each time.
    device
        A Metal device or its name; by default the one that `SMELT_DEVICE` names, else the machine's, else the one in software.
    name, opt_level, debug_level, threads_per_threadgroup
        As for `smelt.kernel`, in place of the kernel's own.
    macos, air, metal
        The versions that it is compiled for: of macOS, of AIR, of the Metal language.

    Raises `TypeError` for what is no type, `ValueError` for versions that don't go together, `LaunchError` for a wrong number of types and
    for no such device, `KernelError` if the kernel can't be compiled for them, `DeviceError` if the device can't use what was compiled.
    """
    key = (types, device, name, opt_level, debug_level, threads_per_threadgroup, macos, air, metal)
    functions: tuple[Known, ...] = kernel.metal_functions
    for asked, is_current, found in functions:
        if asked == key and is_current():
            return found
    return _missed(kernel, key)


def _missed(kernel: Kernel, key: Key) -> MetalKernel:
    types, device, name, opt_level, debug_level, threads_per_threadgroup, macos, air, metal = key
    found = _found(
        kernel,
        types,
        device,
        {
            "name": name,
            "opt_level": opt_level,
            "debug_level": debug_level,
            "threads_per_threadgroup": threads_per_threadgroup,
        },
        {"macos": macos, "air": air, "metal": metal},
    )
    # Numbers stand for types too, and those that are equal for different ones.
    if all(isinstance(kind, (Type, type, np.dtype)) for kind in types):
        known: Known = key, kernel.check_of(found), found
        others = [(asked, is_current, made) for asked, is_current, made in kernel.metal_functions if asked != key]
        kernel.metal_functions = (known, *others[: _MOST_KNOWN - 1])
    return found


def _found(
    kernel: Kernel, types: tuple[Any, ...], device: Any, options: dict[str, Any], versions: dict[str, Any]
) -> MetalKernel:
    declared = declared_types(kernel.name, types)
    devices, driver = kernel.devices(), kernel.driver()
    chosen = devices.default_metal if device is None else devices.of(device)
    if chosen is CPU:
        raise LaunchError(f"{kernel.name}: mtlfunction is for Metal devices, and {CPU.name} is none")
    given = ",".join(f"{part}={version}" for part, version in versions.items() if version is not None)
    settings = {option: value for option, value in options.items() if value is not None}
    config = None
    if given or settings:
        target = driver.target_named(f"metal:{given}" if given else "metal")
        config = replace(kernel.config, target=target, **settings)
    found: MetalKernel = kernel.loaded(declared, chosen, config)
    return found
