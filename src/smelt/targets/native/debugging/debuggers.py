# SPDX-License-Identifier: Apache-2.0
"""Telling GDB and LLDB of code that was loaded: they get the object file that it came from, with its debug information and where it lies.

Source: GDB manual, "JIT Compilation Interface".
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import os
import platform
import struct
import sys
import tempfile
import threading
import warnings
import weakref
from collections import deque
from pathlib import Path
from typing import Any

from smelt.targets.native.debugging.debugger_library import DESCRIPTOR, REGISTER, library
from smelt.targets.native.machine_code.elf import ALLOC, EXECUTE, ObjectFile, Symbol, read_object
from smelt.targets.native.results import NativeResults

_REGISTER, _UNREGISTER = 1, 2
# In the header of an ELF file, where the headers of sections are; in such a header, the flags of the section and its address.
_SECTION_HEADERS_PLACE, _SECTION_HEADER_BYTES, _FLAGS_PLACE, _ADDRESS_PLACE = 40, 64, 8, 16


class _Entry(ctypes.Structure):
    """What debuggers are told of one object file: `struct jit_code_entry`."""


_Entry._fields_ = [
    ("next", ctypes.POINTER(_Entry)),
    ("previous", ctypes.POINTER(_Entry)),
    ("file", ctypes.c_void_p),
    ("size", ctypes.c_uint64),
]


class _Descriptor(ctypes.Structure):
    """`struct jit_descriptor`."""

    _fields_ = (
        ("version", ctypes.c_uint32),
        ("action", ctypes.c_uint32),
        ("relevant", ctypes.POINTER(_Entry)),
        ("first", ctypes.POINTER(_Entry)),
    )


class _Interface:
    """The list of object files that debuggers are told of."""

    def __init__(self, loaded: Any) -> None:
        # LIFETIME: the library stays loaded for as long as the process lives.
        self._library = loaded
        self._descriptor = _Descriptor.in_dll(loaded, DESCRIPTOR)
        self._lock = threading.Lock()
        self._entries: dict[int, tuple[_Entry, Any]] = {}
        self._dropped: deque[int] = deque()

    def register(self, file: bytes) -> int:
        """Tell of an object file. Returns what it is unregistered by."""
        # LIFETIME: held here until it is unregistered.
        held = ctypes.create_string_buffer(file, len(file))
        entry = _Entry(None, None, ctypes.addressof(held), len(file))
        with self._lock:
            key = ctypes.addressof(entry)
            self._entries[key] = entry, held
            if self._descriptor.first:
                entry.next = self._descriptor.first
                entry.next.contents.previous = ctypes.pointer(entry)
            self._descriptor.first = ctypes.pointer(entry)
            self._tell(_REGISTER, entry)
        self._remove_dropped()
        return key

    def unregister(self, key: int) -> None:
        """The object file is there no longer."""
        # The garbage collector may come here anywhere, in the middle of what the lock is held for: then it is done behind that.
        self._dropped.append(key)
        self._remove_dropped()

    def _remove_dropped(self) -> None:
        while self._dropped and self._lock.acquire(blocking=False):
            try:
                # Another thread may have done it meanwhile.
                if self._dropped:
                    self._remove(self._dropped.popleft())
            finally:
                self._lock.release()

    def _remove(self, key: int) -> None:
        entry, _ = self._entries[key]
        if entry.previous:
            entry.previous.contents.next = entry.next
        else:
            self._descriptor.first = entry.next
        if entry.next:
            entry.next.contents.previous = entry.previous
        self._tell(_UNREGISTER, entry)
        del self._entries[key]

    def _tell(self, action: int, entry: _Entry) -> None:
        self._descriptor.action = action
        self._descriptor.relevant = ctypes.pointer(entry)
        # A debugger stops here.
        getattr(self._library, REGISTER)()


def announce(results: NativeResults) -> None:
    """Tell debuggers of a kernel that was loaded and has debug information."""
    register(results.kernel, results.debug_object, results.entry, results.kernel.address)


def register(code: object, object_file: bytes, entry: str, address: int) -> bool:
    """Tell debuggers of an object file whose symbol `entry` lies at `address` now, until `code` is dropped.

    Returns whether there is a way to tell them: on Linux, where a library can be loaded from the directory for temporary files.
    """
    interface = _interface()
    if interface is None:
        return False
    key = interface.register(_located(object_file, entry, address))
    weakref.finalize(code, interface.unregister, key).atexit = False
    return True


def _located(object_file: bytes, entry: str, address: int) -> bytes:
    """The object file with the address of its code in it. The other sections that are a part of the program have none."""
    file = read_object(object_file)
    origin = _symbol(file, entry)
    (headers,) = struct.unpack_from("<Q", object_file, _SECTION_HEADERS_PLACE)
    located = bytearray(object_file)
    for number, section in enumerate(file.sections):
        place = headers + number * _SECTION_HEADER_BYTES
        if number == origin.section:
            struct.pack_into("<Q", located, place + _ADDRESS_PLACE, address - origin.value)
        else:
            struct.pack_into("<Q", located, place + _FLAGS_PLACE, section.flags & ~ALLOC)
    return bytes(located)


def _symbol(file: ObjectFile, name: str) -> Symbol:
    found = next(symbol for symbol in file.symbols if symbol.name == name)
    assert file.sections[found.section].flags & EXECUTE
    return found


@functools.cache
def _interface() -> _Interface | None:
    contents = library(platform.machine()) if sys.platform == "linux" else None
    if contents is None:
        return None
    handle, name = tempfile.mkstemp(prefix="smelt-", suffix=".so")
    # A debugger that comes later reads it too.
    atexit.register(Path(name).unlink, missing_ok=True)
    try:
        with os.fdopen(handle, "wb") as opened:
            opened.write(contents)
        return _Interface(ctypes.CDLL(name))
    except OSError as error:
        warnings.warn(f"debuggers can't be told of kernels: {error}", RuntimeWarning, stacklevel=2)
        return None
