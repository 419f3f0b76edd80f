# SPDX-License-Identifier: Apache-2.0
"""What the module of a function says of it, before anything is compiled: the same for every device."""

from __future__ import annotations

from typing import NamedTuple

from smelt.targets.metal.air.bitstream import BitstreamError
from smelt.targets.metal.air.kernels import ConstantOfFunction, Kernel, constants_of, kernels_of
from smelt.targets.metal.air.program import DowngradeError, Module
from smelt.targets.metal.air.reading import read_module
from smelt.targets.metal.devices.errors import DeviceError
from smelt.targets.metal.metallib import Function, FunctionKind

LOG_FUNCTION = "air.os_log"
"""The function of AIR that logs."""


class Description(NamedTuple):
    """A kernel's arguments, its function constants, and the outline of its module."""

    kernel: Kernel
    constants: tuple[ConstantOfFunction, ...]
    outline: Module


def describe(function: Function) -> Description:
    """Read what a function's module says of it. Raises `DeviceError` for a damaged one, and for a function that is no kernel."""
    try:
        outline = read_module(function.module, is_outline=True)
        kernels = {kernel.name: kernel for kernel in kernels_of(outline)}
        constants = constants_of(outline)
    except (BitstreamError, DowngradeError) as error:
        raise DeviceError(f"the module of {function.name} can't be understood: {error}") from None
    if function.name not in kernels:
        raise DeviceError(f"{function.name} is no kernel{_what_else(function.kind)}")
    return Description(kernels[function.name], constants, outline)


def _what_else(kind: int) -> str:
    if kind == FunctionKind.KERNEL or kind not in set(FunctionKind):
        return ""
    return f", but a {FunctionKind(kind).name.lower()} function"
