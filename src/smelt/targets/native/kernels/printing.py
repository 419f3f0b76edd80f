# SPDX-License-Identifier: Apache-2.0
"""What a kernel on the CPU calls to print: Python itself makes the text and writes it to `sys.stdout`."""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Sequence
from typing import Any

from smelt.compiler.texts import WORD_BYTES, Template, filled, words_of
from smelt.targets.native.loader.symbols import provide

_PROTOTYPE = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.py_object, ctypes.c_int64, ctypes.c_void_p)

# Whatever `sys.stdout` is, a text is written whole. What it calls may launch another kernel that prints.
_writing = threading.RLock()


class Printer:
    """Shows the texts of one launch.

    Attributes
    ----------
    templates
        The texts that the kernel prints, by their numbers.
    error
        What the first text that could not be shown raised; the threads end then.
    """

    def __init__(self, templates: Sequence[Template]) -> None:
        self.templates = templates
        self.error: BaseException | None = None

    def show(self, number: int, address: int | None) -> None:
        """Write text `number`, whose values are the words at `address`."""
        template = self.templates[number]
        words = ctypes.string_at(address, WORD_BYTES * words_of(template)) if address is not None else b""
        text = filled(template, words)
        with _writing:
            # Python's own print shows nothing where there is no standard output.
            if sys.stdout is not None:
                sys.stdout.write(text)

    def raise_error(self) -> None:
        """Raise what showing a text raised, if anything did."""
        error, self.error = self.error, None
        if error is not None:
            raise error


def _print(printer: Any, number: int, address: int | None) -> int:
    try:
        printer.show(number, address)
    except BaseException as error:  # noqa: BLE001 - no exception may pass through compiled code, so the launch raises it
        if printer.error is None:
            printer.error = error
        return 1
    return 0


# LIFETIME: kernels call it for as long as the process lives, and so does this module.
_CALLBACK = _PROTOTYPE(_print)
provide("smelt_print", ctypes.cast(_CALLBACK, ctypes.c_void_p).value or 0)
