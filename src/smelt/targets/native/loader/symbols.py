# SPDX-License-Identifier: Apache-2.0
"""Where the functions are that compiled code calls: the C library with its mathematics, Python's C API, and smelt's own callbacks.

The processor's own helpers, which compilers call where an instruction is missing, are searched where the system keeps them.
"""

from __future__ import annotations

import ctypes
import functools
import sys
import threading

from smelt.targets.native.errors import LinkError

# LIFETIME: the libraries stay loaded for as long as the process lives.
_LIBRARIES = {
    # ntdll has `__chkstk`, which touches the pages of a large frame one by one; kernel32 what the thread grid needs.
    "win32": ("ucrtbase", "vcruntime140", "ntdll", "kernel32"),
    "darwin": ("/usr/lib/libSystem.B.dylib",),
}
# The C library and its mathematics may be linked into Python or not; without them it is musl, which is one library.
_OTHERS = ("libc.so.6", "libm.so.6", "libgcc_s.so.1")

_provided: dict[str, int] = {}
_providing = threading.Lock()


def resolve(name: str) -> int:
    """The address of a function, or of a variable of Python's C API. Raises `LinkError` if this process has none of that name."""
    address = _provided.get(name)
    if address is None:
        address = _found(name)
    return address


def provide(name: str, address: int) -> None:
    """Let `resolve` find an address under a name, before what libraries have under it.

    Code that was loaded keeps the address that it was loaded with, so a name is provided once: `LinkError` for another address.
    """
    with _providing:
        if _provided.setdefault(name, address) != address:
            raise LinkError(f"{name} was provided with another address before")


@functools.cache
def _found(name: str) -> int:
    for library in _libraries():
        try:
            return ctypes.addressof(ctypes.c_char.in_dll(library, name))
        except ValueError:
            continue
    raise LinkError(f"this process has no {name}, which compiled code refers to")


@functools.cache
def _libraries() -> tuple[ctypes.CDLL, ...]:
    """What is searched, in this order; on POSIX first everything that Python itself is linked with."""
    found: list[ctypes.CDLL] = [ctypes.pythonapi]
    for name in _LIBRARIES.get(sys.platform, _OTHERS):
        try:
            found.append(ctypes.CDLL(name))
        except OSError:
            continue
    return tuple(found)
