# SPDX-License-Identifier: Apache-2.0
"""The Metal devices of macOS, through pyobjc: thin, in the words of `devices.protocol`."""

from smelt.targets.metal.devices.macos.archives import BinaryArchive
from smelt.targets.metal.devices.macos.device import MacosDevice
from smelt.targets.metal.devices.macos.system import devices_of_system

__all__ = ["BinaryArchive", "MacosDevice", "devices_of_system"]
