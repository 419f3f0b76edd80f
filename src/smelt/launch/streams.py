# SPDX-License-Identifier: Apache-2.0
"""What was launched on a device and is not known to be done: the launches of this process run in the order in which they are made.

A stream is kept for as long as the process lives, and with it its device: what is in flight there uses memory that only the stream
holds, and what went wrong is to be raised at a synchronisation that need not name the device. Devices are few, as a name always gives the
same one.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

_MOST_PENDING = 64
"""When so many launches are in flight, the next waits for the first of them: what they hold of memory is bounded."""


class Stream:
    """The launches on one device.

    Attributes
    ----------
    queue
        The device's, into which they are put.
    """

    def __init__(self, device: Any) -> None:
        self.queue = device.queue()
        self._pending: deque[tuple[Any, Callable[[], None], Any]] = deque()
        self._errors: list[Exception] = []
        self._settling = threading.RLock()

    def submit(self, commands: Any, finish: Callable[[], None], *, holds: Any) -> None:
        """Commit a command buffer. `finish` is called when it is done, and raises what went wrong in its kernel; `holds` is what lives
        as long, arrays whose memory the device uses.
        """
        with self._settling:
            commands.commit()
            self._pending.append((commands, finish, holds))
            if len(self._pending) > _MOST_PENDING:
                self._settle_first()

    def synchronize(self) -> None:
        """Return when all that was submitted is done. Raises what went wrong first since the last time."""
        with self._settling:
            while self._pending:
                self._settle_first()
            errors, self._errors = self._errors, []
        if errors:
            first, *others = errors
            if others:
                first.add_note(f"{len(others)} of the launches after it failed as well")
            raise first

    def _settle_first(self) -> None:
        # Taken out first: a launch whose wait is interrupted is not waited for again.
        commands, finish, _holds = self._pending.popleft()
        errors: list[Exception] = []
        # What a thread raised says more than what became of the threads that waited for it.
        for step in (commands.wait_until_completed, finish):
            try:
                step()
            except Exception as error:  # noqa: BLE001 - raised at the next synchronisation
                errors.append(error)
        self._errors += errors[-1:]


_streams: dict[Any, Stream] = {}
_making = threading.Lock()


def stream_of(device: Any) -> Stream:
    """The stream of a device."""
    found = _streams.get(device)
    if found is None:
        with _making:
            found = _streams.get(device)
            if found is None:
                found = _streams[device] = Stream(device)
    return found


def synchronize(*devices: Any) -> None:
    """Return when all launches on these devices are done, without any on all. Raises what went wrong first on the first of them, with notes
    of what did on others.
    """
    errors = []
    for device in devices or tuple(_streams):
        stream = _streams.get(device)
        try:
            if stream is not None:
                stream.synchronize()
        except Exception as error:  # noqa: BLE001 - raised when all are done
            errors.append((device, error))
    if errors:
        (_, first), *others = errors
        for device, other in others:
            first.add_note(f"on {device.name}: {other!r}")
        raise first
