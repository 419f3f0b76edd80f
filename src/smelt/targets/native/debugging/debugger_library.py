# SPDX-License-Identifier: Apache-2.0
"""The place where GDB and LLDB look for code that a program makes while it runs: a tiny shared library, written here.

The debuggers search every library of a process for two symbols: a function without effect, on which they stop, and a descriptor, in which
they find what is new then. The function has to be in a library that the system's loader knows.

Sources: GDB manual, "JIT Compilation Interface"; System V Application Binary Interface, chapters 4 and 5, and its 64-bit layout.
"""

from __future__ import annotations

import struct

REGISTER = "__jit_debug_register_code"
DESCRIPTOR = "__jit_debug_descriptor"
_DESCRIPTOR_CONTENTS = struct.pack("<IIQQ", 1, 0, 0, 0)
"""Version, action, the entry that the action is about, the first entry."""

# The instruction that returns, and the number of the machine in the field `e_machine`.
_MACHINES = {"x86_64": (b"\xc3", 62), "aarch64": (b"\xc0\x03\x5f\xd6", 183)}

_HEADER_BYTES, _PROGRAM_HEADER_BYTES, _SECTION_HEADER_BYTES, _SYMBOL_BYTES = 64, 56, 64, 24
_PROGRAMS = 4
_PLACE_BYTES = 16
# The largest page of any system: what can be written lies on other pages in memory, though not in the file.
_PAGE_BYTES = 0x10000

_WRITE, _ALLOC, _EXECUTE = 1, 2, 4
# Each section with its type, its flags, the number of the section that it refers to, a further number, and the bytes of an entry.
_SECTIONS = {
    "": (0, 0, 0, 0, 0),
    ".hash": (5, _ALLOC, 2, 0, 4),
    ".dynsym": (11, _ALLOC, 3, 1, _SYMBOL_BYTES),
    ".dynstr": (3, _ALLOC, 0, 0, 0),
    ".text": (1, _ALLOC | _EXECUTE, 0, 0, 0),
    ".dynamic": (6, _ALLOC | _WRITE, 3, 0, 16),
    ".data": (1, _ALLOC | _WRITE, 0, 0, 0),
    ".shstrtab": (3, 0, 0, 0, 0),
}
_NUMBERS = {name: number for number, name in enumerate(_SECTIONS)}
_SECTION_NAMES = "\0".join((*_SECTIONS, "")).encode()
_SYMBOL_NAMES = f"\0{REGISTER}\0{DESCRIPTOR}\0".encode()


def library(machine: str) -> bytes | None:
    """The library for a machine, as `platform.machine` names it; None for one that it can't be written for."""
    if machine not in _MACHINES:
        return None
    code, number = _MACHINES[machine]
    sizes = {
        "": 0,
        ".hash": 20,
        ".dynsym": 3 * _SYMBOL_BYTES,
        ".dynstr": len(_SYMBOL_NAMES),
        ".text": len(code),
        ".dynamic": 6 * 16,
        ".data": len(_DESCRIPTOR_CONTENTS),
        ".shstrtab": len(_SECTION_NAMES),
    }
    places, end = {}, _HEADER_BYTES + _PROGRAMS * _PROGRAM_HEADER_BYTES
    for name, size in sizes.items():
        places[name] = -(-end // _PLACE_BYTES) * _PLACE_BYTES
        end = places[name] + size
    addresses = {name: place + _PAGE_BYTES * bool(_SECTIONS[name][1] & _WRITE) for name, place in places.items()}
    contents = {
        # One bucket, with both symbols in a chain.
        ".hash": struct.pack("<5I", 1, 3, 1, 0, 2),
        ".dynsym": _symbols(addresses, code),
        ".dynstr": _SYMBOL_NAMES,
        ".text": code,
        ".dynamic": _dynamic(addresses),
        ".data": _DESCRIPTOR_CONTENTS,
        ".shstrtab": _SECTION_NAMES,
    }
    file = bytearray(-(-end // 8) * 8)
    for name, part in contents.items():
        file[places[name] : places[name] + len(part)] = part
    file[:_HEADER_BYTES] = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\x02\x01\x01",
        *(3, number, 1, 0, _HEADER_BYTES, len(file), 0),
        *(_HEADER_BYTES, _PROGRAM_HEADER_BYTES, _PROGRAMS, _SECTION_HEADER_BYTES, len(_SECTIONS), len(_SECTIONS) - 1),
    )
    programs = _programs(places, sizes)
    file[_HEADER_BYTES : _HEADER_BYTES + len(programs)] = programs
    headers = (
        struct.pack(
            "<IIQQQQIIQQ",
            _SECTION_NAMES.index(name.encode() + b"\0"),
            kind,
            flags,
            addresses[name] if flags else 0,
            places[name],
            *(sizes[name], link, info, _PLACE_BYTES, entry_bytes),
        )
        for name, (kind, flags, link, info, entry_bytes) in _SECTIONS.items()
    )
    return bytes(file) + b"".join(headers)


def _symbols(addresses: dict[str, int], code: bytes) -> bytes:
    named = ((REGISTER, 0x12, ".text", len(code)), (DESCRIPTOR, 0x11, ".data", len(_DESCRIPTOR_CONTENTS)))
    return bytes(_SYMBOL_BYTES) + b"".join(
        struct.pack("<IBBHQQ", _SYMBOL_NAMES.index(name.encode()), kind, 0, _NUMBERS[section], addresses[section], size)
        for name, kind, section, size in named
    )


def _dynamic(addresses: dict[str, int]) -> bytes:
    tables = ((4, ".hash"), (5, ".dynstr"), (6, ".dynsym"))
    entries = [*((tag, addresses[name]) for tag, name in tables), (10, len(_SYMBOL_NAMES)), (11, _SYMBOL_BYTES), (0, 0)]
    return b"".join(struct.pack("<QQ", *entry) for entry in entries)


def _programs(places: dict[str, int], sizes: dict[str, int]) -> bytes:
    end_of_code = places[".text"] + sizes[".text"]
    data, end_of_data = places[".dynamic"], places[".data"] + sizes[".data"]
    # Type, rights, place in the file, address, size, alignment.
    segments = (
        (1, 5, 0, 0, end_of_code, _PAGE_BYTES),
        (1, 6, data, data + _PAGE_BYTES, end_of_data - data, _PAGE_BYTES),
        (2, 6, data, data + _PAGE_BYTES, sizes[".dynamic"], 8),
        (0x6474E551, 6, 0, 0, 0, _PLACE_BYTES),
    )
    return b"".join(
        struct.pack("<IIQQQQQQ", kind, rights, place, address, address, size, size, alignment)
        for kind, rights, place, address, size, alignment in segments
    )
