# SPDX-License-Identifier: Apache-2.0
"""What kernels log on macOS, by `os_log`, which is there from macOS 15 on."""

from __future__ import annotations

import threading
import warnings
from typing import Any

from smelt.targets.metal.devices.errors import DeviceWarning
from smelt.targets.metal.devices.macos.objective_c import Frameworks, description
from smelt.targets.metal.devices.software.loggers import to_standard_output

_LEVELS = {1: "debug", 2: "info", 4: "error", 5: "fault"}
"""The names of Metal's levels but for the usual one."""


class Logs:
    """Shows what kernels log whose command buffers have this log state.

    Attributes
    ----------
    state
        The MTLLogState; None where Metal makes none, as for virtual devices.
    """

    def __init__(self, frameworks: Frameworks, device: Any) -> None:
        self._frameworks = frameworks
        self._error: BaseException | None = None
        self._changing = threading.Lock()
        descriptor = frameworks.metal.MTLLogStateDescriptor.new()
        descriptor.setLevel_(frameworks.metal.MTLLogLevelDebug)
        self.state, error = device.newLogStateWithDescriptor_error_(descriptor, None)
        if self.state is None:
            what = f"what kernels log is not shown on {device.name()}: {description(error)}"
            warnings.warn(DeviceWarning(what), stacklevel=2)
        else:
            # Metal calls it in a thread of its own.
            self.state.addLogHandler_(self._show)

    def _show(self, subsystem: Any, category: Any, level: int, text: Any) -> None:  # noqa: ARG002 - what Metal gives
        try:
            to_standard_output(str(text), _LEVELS.get(level, "default"))
        except BaseException as error:  # noqa: BLE001 - no exception may pass through Metal: whoever waits gets it
            with self._changing:
                if self._error is None:
                    self._error = error

    def command_buffer(self, queue: Any) -> Any:
        """A new command buffer of a queue, whose kernels' logs are shown."""
        if self.state is None:
            return queue.commandBuffer()
        descriptor = self._frameworks.metal.MTLCommandBufferDescriptor.new()
        descriptor.setLogState_(self.state)
        return queue.commandBufferWithDescriptor_(descriptor)

    def raise_error(self) -> None:
        """Raise what showing a text raised first, if anything did."""
        with self._changing:
            error, self._error = self._error, None
        if error is not None:
            raise error
