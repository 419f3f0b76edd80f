# SPDX-License-Identifier: Apache-2.0
"""Pages of memory that hold code: first writable, then executable, never both at once."""

from __future__ import annotations

import ctypes
import functools
import mmap
import platform
import sys
from collections.abc import Callable
from typing import Any, Protocol

from smelt.targets.native.errors import LinkError

Contents = Callable[[int], bytes]
"""What is written to memory, given its address."""


class _System(Protocol):
    """How a system gives out memory for code."""

    def executable(self, size: int, contents: Contents) -> int: ...
    def free(self, base: int, size: int) -> None: ...


def executable(size: int, contents: Contents) -> int:
    """Memory of `size` bytes that holds `contents` and can be executed: its address, a multiple of a page's size.

    Raises `LinkError` if the system gives none.
    """
    return _system().executable(max(size, 1), contents)


def free(base: int, size: int) -> None:
    """Give back what `executable` gave. Nothing may run in it any more."""
    _system().free(base, max(size, 1))


if sys.platform == "win32":

    class _Windows:
        """`VirtualAlloc` and `VirtualProtect`. Numbers as in winnt.h."""

        _COMMIT_AND_RESERVE, _RELEASE = 0x3000, 0x8000
        _READ_WRITE, _EXECUTE_READ = 0x04, 0x20

        def __init__(self) -> None:
            # Handles of its own, so that the types declared here are nobody else's.
            kernel = ctypes.WinDLL("kernel32", use_last_error=True)
            address, size, number = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint32
            self._allocate = _declared(kernel.VirtualAlloc, address, address, size, number, number)
            self._protect = _declared(kernel.VirtualProtect, ctypes.c_int, address, size, number, address)
            self._flush = _declared(kernel.FlushInstructionCache, ctypes.c_int, address, address, size)
            self._process = _declared(kernel.GetCurrentProcess, address)()
            self._free = _declared(kernel.VirtualFree, ctypes.c_int, address, size, number)

        def executable(self, size: int, contents: Contents) -> int:
            base: int | None = self._allocate(None, size, self._COMMIT_AND_RESERVE, self._READ_WRITE)
            if base is None:
                raise _refused(size, ctypes.get_last_error())
            try:
                self._settle(base, size, contents(base))
                self._flush(self._process, base, size)
            except BaseException:
                self.free(base, size)
                raise
            return base

        def free(self, base: int, size: int) -> None:  # noqa: ARG002 - it is freed as it was allocated
            self._free(base, 0, self._RELEASE)

        def _settle(self, base: int, size: int, written: bytes) -> None:
            _write(base, written)
            before = ctypes.c_uint32()
            if not self._protect(base, size, self._EXECUTE_READ, ctypes.addressof(before)):
                raise _refused(size, ctypes.get_last_error())

else:

    class _Posix:
        """`mmap` and `mprotect`."""

        FLAGS = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        PROTECTION = mmap.PROT_READ | mmap.PROT_WRITE
        _FAILED = ctypes.c_void_p(-1).value

        def __init__(self) -> None:
            # A handle of its own, so that the types declared here are nobody else's.
            self._library = ctypes.CDLL(None, use_errno=True)
            address, size, number = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
            self._map = _declared(self._library.mmap, address, address, size, number, number, number, ctypes.c_int64)
            self._protect = _declared(self._library.mprotect, number, address, size, number)
            self._unmap = _declared(self._library.munmap, number, address, size)
            self._flush = self._cache_flush()

        def executable(self, size: int, contents: Contents) -> int:
            base: int = self._map(None, size, self.PROTECTION, self.FLAGS, -1, 0)
            if base == self._FAILED:
                raise _refused(size, ctypes.get_errno())
            try:
                self._settle(base, size, contents(base))
                self._flush(base, size)
            except BaseException:
                self.free(base, size)
                raise
            return base

        def free(self, base: int, size: int) -> None:
            self._unmap(base, size)

        def _settle(self, base: int, size: int, written: bytes) -> None:
            _write(base, written)
            if self._protect(base, size, mmap.PROT_READ | mmap.PROT_EXEC):
                raise _refused(size, ctypes.get_errno())

        def _cache_flush(self) -> Callable[[int, int], None]:
            """What makes new code visible to the processor; on x86-64 it always is."""
            if platform.machine() != "aarch64":
                return lambda base, size: None  # noqa: ARG005
            # Linux does as much when pages become executable; the function is that of the compiler's own library.
            try:
                library = ctypes.CDLL("libgcc_s.so.1")
                clear = _declared(library["__clear_cache"], None, ctypes.c_void_p, ctypes.c_void_p)
            except (OSError, AttributeError):
                return lambda base, size: None  # noqa: ARG005
            return lambda base, size: clear(base, base + size)

    class _AppleSilicon(_Posix):
        """macOS gives memory for code to a hardened process only with `MAP_JIT`: each thread sees all such memory either writable or
        executable, and says itself which.

        Source: Apple's "Porting just-in-time compilers to Apple silicon".
        """

        # From sys/mman.h.
        _MAP_JIT = 0x800
        FLAGS = _Posix.FLAGS | _MAP_JIT
        PROTECTION = _Posix.PROTECTION | mmap.PROT_EXEC

        def __init__(self) -> None:
            super().__init__()
            # Not released in between: no other thread of Python runs while this one can't execute code.
            python = ctypes.PyDLL(None)
            self._protect_writing = _declared(python.pthread_jit_write_protect_np, None, ctypes.c_int)

        def _settle(self, base: int, size: int, written: bytes) -> None:  # noqa: ARG002
            self._protect_writing(0)
            try:
                _write(base, written)
            finally:
                self._protect_writing(1)

        def _cache_flush(self) -> Callable[[int, int], None]:
            flush: Callable[[int, int], None] = _declared(
                self._library.sys_icache_invalidate, None, ctypes.c_void_p, ctypes.c_size_t
            )
            return flush


@functools.cache
def _system() -> _System:
    if sys.platform == "win32":
        return _Windows()
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return _AppleSilicon()
    return _Posix()


def _declared(function: Any, result: Any, *arguments: Any) -> Any:
    """A foreign function, with its types."""
    function.restype = result
    function.argtypes = arguments
    return function


def _write(base: int, written: bytes) -> None:
    ctypes.memmove(base, written, len(written))


def _refused(size: int, error: int) -> LinkError:
    return LinkError(error, f"the system gives no {size} bytes of memory that can be executed")
