# SPDX-License-Identifier: Apache-2.0
"""Telling perf, the profiler of Linux, of code that was loaded.

Either as a map, which says what lies where, or as a dump, from which `perf inject --jit` makes files with code and lines.

Sources: tools/perf/Documentation/jit-interface.txt and jitdump-specification.txt of Linux.
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
import threading
import time
import warnings
from collections.abc import Mapping
from typing import NamedTuple

from smelt.lowering.debugging import path_of
from smelt.targets.native.debugging.line_table import Line, read_lines
from smelt.targets.native.machine_code.elf import EXECUTE, read_object
from smelt.targets.native.results import NativeResults

MAP, DUMP = "map", "dump"

# Where perf looks for them.
_MAP_PATH = "/tmp/perf-{}.map"  # noqa: S108
_DUMP_PATH = "/tmp/jit-{}.dump"  # noqa: S108

_MAGIC, _VERSION, _HEADER_BYTES = 0x4A695444, 1, 40
_CODE_LOAD, _DEBUG_INFO = 0, 2
_MACHINES = {"x86-64": 62, "aarch64": 183}
"""As in the field `e_machine` of ELF files."""


class Piece(NamedTuple):
    """A function of a kernel in memory, with the lines that its instructions come from, by their addresses."""

    address: int
    code: bytes
    name: str
    lines: tuple[tuple[int, str, int], ...]


def announce(results: NativeResults, form: str) -> None:
    """Tell perf of a kernel that was loaded, as a `MAP` or a `DUMP`. Other systems than Linux have no perf."""
    if sys.platform != "linux":
        return
    found = pieces(results)
    try:
        if form == MAP:
            lines = (f"{piece.address:x} {len(piece.code):x} {piece.name}\n" for piece in found)
            _append(_MAP_PATH, "".join(lines).encode())
        else:
            _dump.write(found, results.machine)
    except OSError as error:
        warnings.warn(f"perf can't be told of kernels: {error}", RuntimeWarning, stacklevel=2)


def pieces(results: NativeResults) -> list[Piece]:
    """The functions of a kernel that was loaded, with their lines, at a debug level; else all of it, under the kernel's name."""
    code, address = results.code or b"", results.kernel.address
    if not results.debug_object:
        source = results.functions[0] if results.functions else None
        begin = address - dict(results.entries)[results.entry]
        return [Piece(begin, code, f"smelt::{getattr(source, '__qualname__', results.entry)}", ())]
    file = read_object(results.debug_object)
    origin = next(symbol for symbol in file.symbols if symbol.name == results.entry)
    text = file.sections[origin.section]
    assert text.flags & EXECUTE
    begin = address - origin.value
    paths = {path_of(function): function.__code__.co_filename for function in results.functions}
    lines = read_lines(file, origin.section)
    found = []
    for symbol in sorted(file.symbols, key=lambda symbol: symbol.value):
        if symbol.section == origin.section and symbol.size:
            end = symbol.value + symbol.size
            own = _within(lines, symbol.value, end, begin, paths)
            found.append(Piece(begin + symbol.value, text.contents[symbol.value : end], f"smelt::{symbol.name}", own))
    return found


def _within(
    lines: list[Line], begin: int, end: int, base: int, paths: Mapping[str, str]
) -> tuple[tuple[int, str, int], ...]:
    # Line 0 is what no line says.
    inside = (line for line in lines if begin <= line.offset < end and not line.is_end and line.line)
    return tuple((base + line.offset, paths.get(line.file, line.file), line.line) for line in inside)


class _Dump:
    """The dump of this process, which is begun with the first kernel."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = -1
        self._count = 0
        # LIFETIME: perf finds the file by this mapping of it, which nobody reads.
        self._mark: mmap.mmap | None = None

    def write(self, found: list[Piece], machine: str) -> None:
        with self._lock:
            # A child of a fork has a dump of its own.
            if self._process != os.getpid():
                self._process, self._count = os.getpid(), 0
                self._begin(machine)
            _append(_DUMP_PATH, b"".join(map(self._records, found)))

    def _begin(self, machine: str) -> None:
        header = struct.pack(
            "<IIIIIIQQ",
            *(_MAGIC, _VERSION, _HEADER_BYTES, _MACHINES[machine], 0, os.getpid(), time.monotonic_ns(), 0),
        )
        file = _append(_DUMP_PATH, header)
        handle = os.open(file, os.O_RDONLY)
        try:
            self._mark = mmap.mmap(handle, 0, prot=mmap.PROT_READ | mmap.PROT_EXEC, flags=mmap.MAP_PRIVATE)
        finally:
            os.close(handle)

    def _records(self, piece: Piece) -> bytes:
        self._count += 1
        lines = b"".join(
            struct.pack("<QII", address, line, 0) + path.encode() + b"\0" for address, path, line in piece.lines
        )
        described = struct.pack("<QQ", piece.address, len(piece.lines)) + lines
        address, size = piece.address, len(piece.code)
        load = struct.pack("<IIQQQQ", os.getpid(), threading.get_native_id(), address, address, size, self._count)
        loaded = load + piece.name.encode() + b"\0" + piece.code
        return (_record(_DEBUG_INFO, described) if piece.lines else b"") + _record(_CODE_LOAD, loaded)


_dump = _Dump()


def _record(kind: int, contents: bytes) -> bytes:
    padding = bytes(-len(contents) % 8)
    return struct.pack("<IIQ", kind, 16 + len(contents) + len(padding), time.monotonic_ns()) + contents + padding


def _append(path: str, contents: bytes) -> str:
    """Append to a file of this process. Whoever puts a link in its place does not make us write elsewhere."""
    name = path.format(os.getpid())
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
    with os.fdopen(os.open(name, flags, 0o600), "ab") as file:
        file.write(contents)
    return name
