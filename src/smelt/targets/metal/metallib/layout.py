# SPDX-License-Identifier: Apache-2.0
"""Numbers and names of the container. All numbers in it are little-endian."""

from __future__ import annotations

import struct

MAGIC = b"MTLB"

HEADER = "<4s3H2BH2B9Q"
"""Magic; version (the highest bit of the first number says macOS); file type, its highest bit says stub; platform, its highest bit says
64 bits; system version; size of the file; begin and size of the function list, of public and of private metadata, of modules."""

HEADER_BYTES = struct.calcsize(HEADER)
MACOS_BIT = 0x8000

END = "ENDT"
"""Ends a group, and has no size."""

FUNCTION_TAGS = ("NAME", "TYPE", "HASH", "OFFT", "VERS", "MDSZ", "SOFF", "RFLT")
"""The tags of a function, in their order; the last two need not be there."""

WIDE_TAGS = ("RBUF", "SBUF", "RBUZ")
"""Tags whose size has four bytes wherever they are."""

REFLECTION_ALIGNMENT = 16

SECTIONS = ("HSRC", "HSRD", "HDYN", "RLST", "SLST")
"""The tags of the header extension that name a section: where it begins and how many bytes it has. They stand in this order."""
