# SPDX-License-Identifier: Apache-2.0
"""The Metal devices of the machine that this runs on."""

from __future__ import annotations

import atexit
import plistlib
import sys
from pathlib import Path
from typing import Any, NamedTuple

from smelt.targets.metal.devices.errors import DeviceError
from smelt.targets.metal.devices.macos.archives import BinaryArchive, Files
from smelt.targets.metal.devices.macos.device import MacosDevice
from smelt.targets.metal.devices.macos.objective_c import Frameworks, frameworks

_VERSION_FILE = Path("/System/Library/CoreServices/SystemVersion.plist")


class SystemVersion(NamedTuple):
    """The version of macOS, and its build: machine code for GPUs is good for one build."""

    macos: tuple[int, int]
    build: str


def system_version(path: Path = _VERSION_FILE) -> SystemVersion:
    """What the system says that it is. Raises `DeviceError` where it doesn't."""
    try:
        said = plistlib.loads(path.read_bytes())
        major, minor = map(int, f"{said['ProductVersion']}.0".split(".")[:2])
        build = said["ProductBuildVersion"]
    except (OSError, plistlib.InvalidFileException, ValueError, LookupError, TypeError, AttributeError) as error:
        raise DeviceError(f"the version of macOS can't be read from {path}: {error}") from None
    # To programs that were built for an earlier one, macOS 26 says that it is 16, and so on.
    return SystemVersion((major + 10 if 16 <= major < 26 else major, minor), build)


def devices_of_system(files: Files | None = None) -> tuple[MacosDevice, ...]:
    """Every Metal device, the system's default first: `metal:0`, `metal:1`... None where this is not macOS, or without pyobjc.

    With `files` their machine code is kept for later processes: it is looked for when a device is made, and written when this process
    ends.
    """
    if sys.platform != "darwin":
        return ()
    try:
        found = frameworks()
    except DeviceError:
        return ()
    return devices_of(found, system_version(), files)


def devices_of(found: Frameworks, version: SystemVersion, files: Files | None = None) -> tuple[MacosDevice, ...]:
    """The devices that Metal lists."""
    with found.objc.autorelease_pool():
        default = found.metal.MTLCreateSystemDefaultDevice()
        others = [handle for handle in found.metal.MTLCopyAllDevices() if not _is_same(handle, default)]
        handles = [handle for handle in (default, *others) if handle is not None]
        return tuple(_device(found, handle, f"metal:{number}", version, files) for number, handle in enumerate(handles))


def _is_same(handle: Any, other: Any) -> bool:
    return other is not None and handle.registryID() == other.registryID()


def _device(found: Frameworks, handle: Any, name: str, version: SystemVersion, files: Files | None) -> MacosDevice:
    archive = None
    if files is not None:
        archive = BinaryArchive(found, handle, files, version.build)
        atexit.register(archive.save)
    return MacosDevice(found, handle, name, version.macos, archive)
