# SPDX-License-Identifier: Apache-2.0
"""The frameworks of macOS as pyobjc brings them.

A method's colons are underscores in Python. An out-argument for an error is passed as None, and comes back behind the result.
Source: "PyObjC documentation", https://pyobjc.readthedocs.io.
"""

from __future__ import annotations

import functools
import importlib
from dataclasses import dataclass
from typing import Any

from smelt.targets.metal.devices.errors import DeviceError

CONSTANT_BYTES = 16
"""How many bytes are handed over for a function constant: those of the longest, a vector of four."""


@dataclass(frozen=True)
class Frameworks:
    """The modules of pyobjc that run compute kernels."""

    objc: Any
    foundation: Any
    metal: Any
    dispatch: Any


@functools.cache
def frameworks() -> Frameworks:
    """Import them. Raises `DeviceError` where pyobjc is not installed."""
    try:
        found = Frameworks(*map(importlib.import_module, ("objc", "Foundation", "Metal", "dispatch")))
    except ImportError as error:
        raise DeviceError(
            f"Metal devices of macOS need pyobjc ({error}): pip install pyobjc-framework-Metal pyobjc-framework-libdispatch"
        ) from None
    # pyobjc says of this pointer neither that it goes in nor how much it points to.
    found.objc.registerMetaDataForSelector(
        b"MTLFunctionConstantValues",
        b"setConstantValue:type:atIndex:",
        {"arguments": {2: {"type_modifier": b"n", "c_array_of_fixed_length": CONSTANT_BYTES}}},
    )
    return found


def answer(result: tuple[Any, Any], what: str) -> Any:
    """What a method gave, of its result and its error. Raises `DeviceError`, beginning with `what`, where that is nothing."""
    given, error = result
    # Objects of Objective-C that have a length are false if it is zero.
    if given is None:
        raise DeviceError(f"{what}: {description(error)}")
    return given


def description(error: Any) -> str:
    """What an NSError says."""
    return "no reason is given" if error is None else str(error.localizedDescription())
