# SPDX-License-Identifier: Apache-2.0
"""How machine code refers to things: the relocations of x86-64 and AArch64, and the jumps to functions outside.

Sources: "System V Application Binary Interface, AMD64 Architecture Processor Supplement", 4.4.1; "ELF for the Arm 64-bit Architecture
(AArch64)", 5.7. S is the symbol's address, A the addend, P the place, G the address of the word of a table that holds S.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from smelt.targets.native.errors import FlatError
from smelt.targets.native.machine_code.elf import AARCH64, X86_64

Encode = Callable[[bytearray, int, int], None]
"""Write a reference into code, given the code, the place in it, and the target (S + A or G + A)."""


class Wants(Enum):
    """What a relocation wants of its symbol."""

    ADDRESS = "where it is, from here"
    CALL = "where it is, from here; a jump to it does as well"
    WORD = "where the word is that holds its address, from here"
    POINTER = "its address itself"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of relocation: the name that its ABI gives it, what it wants, and how that is written, into how many bytes."""

    name: str
    wants: Wants
    encode: Encode
    size: int = 4


@dataclass(frozen=True, slots=True)
class Machine:
    """An instruction set.

    Attributes
    ----------
    name
        What it is called in configurations.
    kinds
        The relocations that there may be, by their number.
    jump_bytes
        The size of a jump.
    jump
        The code of a jump, given its place and that of the word that holds the address to jump to.
    load_address
        Make an instruction load an address from a word that computes it, given the place of its reference; whether it was one.
    """

    name: str
    kinds: Mapping[int, Kind]
    jump_bytes: int
    jump: Callable[[int, int], bytes]
    load_address: Callable[[bytearray, int], bool]


def _signed(value: int, bits: int) -> int:
    """A number as `bits` bits of two's complement. Raises `FlatError` if it needs more."""
    if not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
        raise FlatError(f"a reference reaches over {value} bytes, which don't fit into {bits} bits")
    return value & ((1 << bits) - 1)


def _relative(size: int) -> Encode:
    """S + A - P in so many bytes."""

    def encode(code: bytearray, place: int, target: int) -> None:
        code[place : place + size] = _signed(target - place, size * 8).to_bytes(size, "little")

    return encode


def _pointer(code: bytearray, place: int, target: int) -> None:  # noqa: ARG001 - what is there is known at load
    code[place : place + 8] = bytes(8)


# x86-64


def _x86_64_jump(place: int, word: int) -> bytes:
    """`jmp *word(%rip)`, padded to eight bytes by `int3`."""
    return b"\xff\x25" + _signed(word - (place + 6), 32).to_bytes(4, "little") + b"\xcc\xcc"


def _x86_64_load_address(code: bytearray, place: int) -> bool:
    """`lea symbol(%rip), register` to `mov word(%rip), register`.

    For Windows LLVM takes everything to be near, also what is outside.
    """
    prefix, operation, operands = code[place - 3 : place] if place >= 3 else bytes(3)
    if prefix & 0xF8 != 0x48 or operation != 0x8D or operands & 0xC7 != 0x05:
        return False
    code[place - 2] = 0x8B
    return True


_X86_64 = Machine(
    "x86-64",
    {
        1: Kind("R_X86_64_64", Wants.POINTER, _pointer, 8),
        2: Kind("R_X86_64_PC32", Wants.ADDRESS, _relative(4)),
        4: Kind("R_X86_64_PLT32", Wants.CALL, _relative(4)),
        9: Kind("R_X86_64_GOTPCREL", Wants.WORD, _relative(4)),
        24: Kind("R_X86_64_PC64", Wants.ADDRESS, _relative(8), 8),
        41: Kind("R_X86_64_GOTPCRELX", Wants.WORD, _relative(4)),
        42: Kind("R_X86_64_REX_GOTPCRELX", Wants.WORD, _relative(4)),
    },
    8,
    _x86_64_jump,
    _x86_64_load_address,
)


# AArch64


def _instruction(code: bytearray, place: int, mask: int, bits: int) -> None:
    """Set the bits of an instruction that `mask` has."""
    if place % 4:
        raise FlatError(f"an instruction stands at {place}, which is no multiple of 4")
    old = int.from_bytes(code[place : place + 4], "little")
    code[place : place + 4] = ((old & ~mask) | (bits & mask)).to_bytes(4, "little")


def _branch(bits: int, position: int) -> Encode:
    """S + A - P in instructions of four bytes, in `bits` bits from `position` on."""

    def encode(code: bytearray, place: int, target: int) -> None:
        if (target - place) % 4:
            raise FlatError(f"a branch goes to {target}, where no instruction stands")
        _instruction(code, place, ((1 << bits) - 1) << position, _signed((target - place) >> 2, bits) << position)

    return encode


def _address_bits(value: int) -> int:
    """The immediate of ADR and ADRP: its two low bits at 29, the others at 5."""
    bits = _signed(value, 21)
    return (bits & 3) << 29 | (bits >> 2) << 5


_ADDRESS_MASK = _address_bits(-1)


def _near(code: bytearray, place: int, target: int) -> None:
    """S + A - P, for ADR."""
    _instruction(code, place, _ADDRESS_MASK, _address_bits(target - place))


def _page(code: bytearray, place: int, target: int) -> None:
    """Page(S + A) - Page(P), pages being of 4,096 bytes, for ADRP."""
    _instruction(code, place, _ADDRESS_MASK, _address_bits((target >> 12) - (place >> 12)))


def _in_page(scale: int) -> Encode:
    """The lower 12 bits of S + A in units of `1 << scale` bytes, for ADD, LDR and STR."""

    def encode(code: bytearray, place: int, target: int) -> None:
        low = target & 0xFFF
        if low % (1 << scale):
            raise FlatError(f"an instruction reads {1 << scale} bytes at {target}, which is no multiple of that")
        _instruction(code, place, 0xFFF << 10, (low >> scale) << 10)

    return encode


def _aarch64_jump(place: int, word: int) -> bytes:
    """`adrp x16, word; ldr x16, [x16, :lo12:word]; br x16`: x16 is what the ABI sets aside for this."""
    code = bytearray.fromhex("10000090 100240f9 00021fd6")
    _instruction(code, 0, _ADDRESS_MASK, _address_bits((word >> 12) - (place >> 12)))
    _in_page(3)(code, 4, word)
    return bytes(code)


_AARCH64 = Machine(
    "aarch64",
    {
        257: Kind("R_AARCH64_ABS64", Wants.POINTER, _pointer, 8),
        260: Kind("R_AARCH64_PREL64", Wants.ADDRESS, _relative(8), 8),
        261: Kind("R_AARCH64_PREL32", Wants.ADDRESS, _relative(4)),
        273: Kind("R_AARCH64_LD_PREL_LO19", Wants.ADDRESS, _branch(19, 5)),
        274: Kind("R_AARCH64_ADR_PREL_LO21", Wants.ADDRESS, _near),
        275: Kind("R_AARCH64_ADR_PREL_PG_HI21", Wants.ADDRESS, _page),
        277: Kind("R_AARCH64_ADD_ABS_LO12_NC", Wants.ADDRESS, _in_page(0)),
        278: Kind("R_AARCH64_LDST8_ABS_LO12_NC", Wants.ADDRESS, _in_page(0)),
        279: Kind("R_AARCH64_TSTBR14", Wants.ADDRESS, _branch(14, 5)),
        280: Kind("R_AARCH64_CONDBR19", Wants.ADDRESS, _branch(19, 5)),
        282: Kind("R_AARCH64_JUMP26", Wants.CALL, _branch(26, 0)),
        283: Kind("R_AARCH64_CALL26", Wants.CALL, _branch(26, 0)),
        284: Kind("R_AARCH64_LDST16_ABS_LO12_NC", Wants.ADDRESS, _in_page(1)),
        285: Kind("R_AARCH64_LDST32_ABS_LO12_NC", Wants.ADDRESS, _in_page(2)),
        286: Kind("R_AARCH64_LDST64_ABS_LO12_NC", Wants.ADDRESS, _in_page(3)),
        299: Kind("R_AARCH64_LDST128_ABS_LO12_NC", Wants.ADDRESS, _in_page(4)),
        311: Kind("R_AARCH64_ADR_GOT_PAGE", Wants.WORD, _page),
        312: Kind("R_AARCH64_LD64_GOT_LO12_NC", Wants.WORD, _in_page(3)),
        314: Kind("R_AARCH64_PLT32", Wants.CALL, _relative(4)),
    },
    12,
    _aarch64_jump,
    lambda code, place: False,  # noqa: ARG005 - LLVM asks for a word itself
)

MACHINES = {X86_64: _X86_64, AARCH64: _AARCH64}
