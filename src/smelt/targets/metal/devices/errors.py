# SPDX-License-Identifier: Apache-2.0
"""What goes wrong on a device."""

from __future__ import annotations

from smelt.caching import SmeltError


class DeviceError(SmeltError, RuntimeError):
    """A library, a function or a dispatch that a device refuses, or something that it doesn't know."""


class DeviceWarning(UserWarning):
    """What the checks of a device found, where they only warn."""
