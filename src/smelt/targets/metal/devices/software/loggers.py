# SPDX-License-Identifier: Apache-2.0
"""Showing what kernels log: to `sys.stdout`, or to whoever asked for it."""

from __future__ import annotations

import ctypes
import itertools
import re
import struct
import sys
import threading
import weakref
from collections.abc import Callable

from smelt.targets.native.loader.symbols import provide

SYMBOL = "smelt_metal_log"
"""What kernels call."""

LEVELS = {0: "default", 1: "info", 2: "debug", 16: "error", 17: "fault"}
"""The names of the types of what is logged. Source: Metal.jl, src/device/intrinsics/output.jl."""

Show = Callable[[str, str], None]
"""Shows a text, given its level."""


def to_standard_output(text: str, level: str) -> None:
    """Write a text to `sys.stdout`, as a line; where it isn't of the default level, with that before it."""
    if sys.stdout is not None:
        sys.stdout.write(f"{text}\n" if level == "default" else f"{level}: {text}\n")


_numbers = itertools.count(1)
_loggers: weakref.WeakValueDictionary[int, Logger] = weakref.WeakValueDictionary()
_showing = threading.RLock()


class Logger:
    """Shows what one launch logs.

    Attributes
    ----------
    number
        What the launch calls it.
    error
        What showing a text raised first; later texts are not shown.
    """

    def __init__(self, show: Show) -> None:
        self._show = show
        self.error: BaseException | None = None
        self.number = next(_numbers)
        _loggers[self.number] = self

    def show(self, level: int, form: bytes, arguments: bytes) -> None:
        """Show one text."""
        if self.error is None:
            text = formatted(form.partition(b"\0")[0].decode(errors="replace"), arguments)
            self._show(text, LEVELS.get(level, str(level)))

    def raise_error(self) -> None:
        """Raise what showing a text raised, if anything did."""
        error, self.error = self.error, None
        if error is not None:
            raise error


def _log(number: int, level: int, form: int, form_bytes: int, arguments: int, size: int) -> None:
    logger = _loggers[number]
    with _showing:
        try:
            logger.show(level, ctypes.string_at(form, form_bytes), ctypes.string_at(arguments, size) if size else b"")
        except BaseException as error:  # noqa: BLE001 - no exception may pass through compiled code, so the launch raises it
            logger.error = error


_PROTOTYPE = ctypes.CFUNCTYPE(
    None, ctypes.c_int64, ctypes.c_int32, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64
)
# LIFETIME: kernels call it for as long as the process lives, and so does this module.
_CALLBACK = _PROTOTYPE(_log)
provide(SYMBOL, ctypes.cast(_CALLBACK, ctypes.c_void_p).value or 0)


_SPECIFIER = re.compile(
    r"%(?P<flags>[-+ #0]*)(?P<width>\d*)(?P<precision>\.\d+)?(?P<length>hh|h|ll|l|z|j|t|L)?(?P<kind>[a-zA-Z%])"
)


def formatted(form: str, arguments: bytes) -> str:
    """The text of a format and its arguments; a specifier that has none is left as it is."""
    place = 0

    def take(size: int) -> bytes | None:
        nonlocal place
        place = -(-place // size) * size + size
        return arguments[place - size : place] if place <= len(arguments) else None

    def shown(found: re.Match[str]) -> str:
        kind = found["kind"]
        if kind == "%":
            return "%"
        before = f"%{found['flags']}{found['width']}{found['precision'] or ''}"
        if kind in "eEfFgGaA":
            data = take(8)
            if data is None:
                return found[0]
            (number,) = struct.unpack("<d", data)
            return float(number).hex() if kind in "aA" else str(f"{before}{kind}" % number)
        if kind in "diuxXocp":
            wide = kind == "p" or found["length"] in ("l", "ll", "z", "j", "t")
            data = take(8 if wide else 4)
            if data is None:
                return found[0]
            value = int.from_bytes(data, "little", signed=kind in "di")
            if found["length"] in ("h", "hh"):
                value = _narrowed(value, 16 if found["length"] == "h" else 8, is_signed=kind in "di")
            if kind == "p":
                return f"0x{value:x}"
            return (before + ("c" if kind == "c" else kind.replace("u", "d"))) % (
                value & 0xFF if kind == "c" else value
            )
        return found[0]

    return _SPECIFIER.sub(shown, form)


def _narrowed(value: int, bits: int, *, is_signed: bool) -> int:
    low = value & ((1 << bits) - 1)
    return low - (1 << bits) if is_signed and low >> (bits - 1) else low
