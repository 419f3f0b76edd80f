# SPDX-License-Identifier: Apache-2.0
"""What a device in software looks after while a kernel runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Checks:
    """What is looked after.

    Attributes
    ----------
    bounds
        Whether accesses to memory outside of the buffers are found. Such a load gives zeros, such a store does nothing, and the kernel goes
        on; without, they are undefined behaviour, and may end the process.
    races
        Whether two accesses of different threads of a group to the same memory are found, one of them at least a write, with no barrier
        between them. Groups run one after the other then, many times slower.
    uninitialised
        Whether reads of threadgroup memory that nobody has written to are found; as slow.
    raises
        Whether what is found is raised as a `DeviceError`, once the kernel is done; else it is shown as a `DeviceWarning`.
    """

    bounds: bool = True
    races: bool = False
    uninitialised: bool = False
    raises: bool = True

    @property
    def tracks(self) -> bool:
        """Whether each access is taken note of."""
        return self.races or self.uninitialised
