# SPDX-License-Identifier: Apache-2.0
"""The devices of this process, by name. There is one object for each, made when it is first asked for, and kept."""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from smelt.launch.errors import LaunchError
from smelt.launch.overlaps import arrays_in

CPU_NAME = "cpu"

_SOFTWARE = "metal:software"


class CpuDevice:
    """The processor. Its launches return when they are done."""

    name = CPU_NAME

    def __repr__(self) -> str:
        return f"<device {self.name}>"


CPU = CpuDevice()


class Devices:
    """All devices.

    Parameters
    ----------
    hardware
        Finds the devices that this machine has besides the processor; asked once.
    software
        Makes a device in software, given its name; None for no such devices.
    default
        The name of the device that kernels run on where no array decides it; None for the processor.
    load
        Makes a kernel ready to run on a device that is not the processor, as the method of this name.
    """

    def __init__(
        self,
        hardware: Callable[[], Sequence[Any]],
        software: Callable[[str], Any] | None,
        default: Callable[[], str | None],
        load: Callable[..., Any] | None,
    ) -> None:
        self._load = load
        self._find_hardware = hardware
        self._make_software = software
        self._default = default
        self._known: dict[str, Any] = {CPU_NAME: CPU}
        self._has_hardware = False
        self._making = threading.RLock()
        self._users: weakref.WeakSet[Any] = weakref.WeakSet()

    def named(self, name: str) -> Any:
        """The device of that name: `cpu`, `metal:0`, `metal:software`, or one more of these, `metal:software:1`.

        Raises `LaunchError` if there is none.
        """
        found = self._known.get(name)
        if found is not None:
            return found
        with self._making:
            self._look_for_hardware()
            if name not in self._known and self._make_software is not None and _is_in_software(name):
                self._known[name] = self._make_software(name)
            found = self._known.get(name)
        if found is None:
            there = ", ".join(device.name for device in self.all())
            more = ", and metal:software:1, metal:software:2..." if self._make_software is not None else ""
            hint = "; smelt doctor says what a Mac's devices need" if sys.platform == "darwin" else ""
            raise LaunchError(f"there is no device {name!r}; there are {there}{more}{hint}")
        return found

    def all(self) -> tuple[Any, ...]:
        """Every device that there is: the processor, then the hardware, then those in software that were asked for, at least one."""
        if self._make_software is not None:
            self.named(_SOFTWARE)
        with self._making:
            self._look_for_hardware()
            known = list(self._known.values())
        return tuple(sorted(known, key=_rank))

    @property
    def default(self) -> Any:
        """Where kernels run if no array decides it. Raises `LaunchError` if that device isn't there."""
        name = self._default()
        if name is None:
            return CPU
        try:
            return self.named(name)
        except LaunchError as error:
            raise LaunchError(f"the environment variable SMELT_DEVICE is {name!r}: {error}") from None

    @property
    def default_metal(self) -> Any:
        """The Metal device that is meant where none is named: the default if it is one, else the first, of hardware if there is any."""
        default = self.default
        return default if default is not CPU else self.all()[1]

    def load(self, kernel: Any, kinds: tuple[Any, ...], device: Any, config: Any, driver: Any) -> Any:
        """A kernel ready to run on a device that is not the processor.

        Given the kernel, the types of its arguments, the device, settings or None for the kernel's own, and where results of jobs are.
        """
        assert self._load is not None
        return self._load(kernel, kinds, device, config, driver)

    def of_launch(self, kernel: str, names: Sequence[str], values: Sequence[Any]) -> Any:
        """Where a launch of the kernel of that name runs: where its arrays are. Arrays of this process go where the default is.

        Raises `LaunchError` if arrays are on several devices.
        """
        given = [one for name, value in zip(names, values, strict=True) for one in arrays_in(name, value)]
        owned = [one for one in given if one.owner is not None]
        default = self.default
        if not owned:
            return default
        device = owned[0].owner.device
        for one in given:
            there = one.owner.device if one.owner is not None else device if device is CPU else default
            if there is not device:
                raise LaunchError(
                    f"{kernel}: {owned[0].name} is on {device.name}, and {one.name} on {there.name}; copy one of them: "
                    f"smelt.array({one.name}, device={device.name!r})"
                )
        return device

    def of(self, given: Any) -> Any:
        """A device, or that of a name, or for None the default."""
        if given is None:
            return self.default
        return self.named(given) if isinstance(given, str) else given

    def add_user(self, kernel: Any) -> None:
        """Tell a kernel from now on when the default device may be another one, by its method `forget_devices`."""
        self._users.add(kernel)

    def default_has_changed(self) -> None:
        """Say that kernels run elsewhere where no array decides it, whatever they remember."""
        for kernel in tuple(self._users):
            kernel.forget_devices()

    def _look_for_hardware(self) -> None:
        if not self._has_hardware:
            self._known.update((device.name, device) for device in self._find_hardware())
            self._has_hardware = True


PROCESSOR_ONLY = Devices(lambda: (), None, lambda: None, None)
"""What kernels know of devices where nobody wired more."""


def _is_in_software(name: str) -> bool:
    """Whether a name is that of a device in software: with a number behind it, as Python writes it, or without."""
    number = name.removeprefix(_SOFTWARE).removeprefix(":")
    return name == _SOFTWARE or (
        name == f"{_SOFTWARE}:{number}" and number.isdecimal() and str(int(number)) == number != "0"
    )


def _rank(device: Any) -> tuple[bool, bool, int, str]:
    name: str = device.name
    return name != CPU_NAME, name.startswith(_SOFTWARE), len(name), name
