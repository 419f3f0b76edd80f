# SPDX-License-Identifier: Apache-2.0
"""Every environment variable that smelt looks at. Each is read once, when it is first asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")

_NOT_READ = object()


class Knob(Generic[T]):
    """One environment variable.

    Parameters
    ----------
    name
        The name of the variable.
    parse
        Makes a value of its text. Raises `ValueError`, saying what may stand there, for a text that is none.
    default
        The value where the variable isn't set, or is empty.
    """

    def __init__(self, name: str, parse: Callable[[str], T], default: T) -> None:
        self.name = name
        self._parse = parse
        self._default = default
        self._value: object = _NOT_READ
        self._listeners: list[Callable[[], None]] = []

    @property
    def value(self) -> T:
        """What it says. Raises `ValueError`, naming the variable, for a text that can't be understood."""
        if self._value is _NOT_READ:
            text = os.environ.get(self.name, "")
            try:
                self._value = self._parse(text) if text else self._default
            except ValueError as error:
                raise ValueError(f"the environment variable {self.name} is {text!r}: {error}") from None
        return self._value  # type: ignore[return-value]

    def fix(self, value: T) -> None:
        """Have it say `value` from now on, whatever the environment says."""
        self._value = value
        self._tell()

    @contextmanager
    def set(self, value: T) -> Iterator[None]:
        """Have it say `value` for a while, whatever the environment says."""
        before, self._value = self._value, value
        self._tell()
        try:
            yield
        finally:
            self._value = before
            self._tell()

    def watch(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever it may say something else, which the environment alone never makes it do."""
        self._listeners.append(listener)

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()


def _parse_switch(text: str) -> bool:
    switch = {"on": True, "1": True, "yes": True, "true": True, "off": False, "0": False, "no": False, "false": False}
    if text.lower() not in switch:
        raise ValueError("it is on or off")
    return switch[text.lower()]


def _parse_size(text: str) -> int:
    number, unit = (text[:-1], text[-1].upper()) if text[-1:].upper() in _UNITS else (text, "")
    if not number.isdigit():
        raise ValueError("it is a number of bytes, with K, M or G behind it for thousands, millions or billions")
    return int(number) * _UNITS.get(unit, 1)


def _parse_count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise ValueError("it is a number, 1 or more")
    return int(text)


def _parse_perf(text: str) -> str:
    if text not in ("map", "dump"):
        raise ValueError("it is map or dump")
    return text


_UNITS = {"K": 10**3, "M": 10**6, "G": 10**9}

STORE = Knob("SMELT_STORE", _parse_switch, True)
"""Whether what is compiled is kept for later processes, and looked for among what earlier ones kept."""

CACHE_DIRECTORY: Knob[str | None] = Knob("SMELT_CACHE_DIR", str, None)
"""Where it is kept, in place of the directory for such things that the system gives each user."""

CACHE_SIZE = Knob("SMELT_CACHE_SIZE", _parse_size, 10**9)
"""How many bytes of it are kept, about."""

DEVICE: Knob[str | None] = Knob("SMELT_DEVICE", str, None)
"""The name of the device that kernels run on where no array decides it, in place of the processor."""

NUM_THREADS: Knob[int | None] = Knob("SMELT_NUM_THREADS", _parse_count, None)
"""How many threads run a grid on the CPU at most, in place of one for each processor that this process may keep busy."""

PERF: Knob[str | None] = Knob("SMELT_PERF", _parse_perf, None)
"""How perf is told of kernels: `map` writes /tmp/perf-PID.map, which says what lies where; `dump` writes /tmp/jit-PID.dump, with lines."""
