# SPDX-License-Identifier: Apache-2.0
"""What an x86-64 processor says of itself, asked through a few bytes of machine code.

Sources: Intel's "64 and IA-32 Architectures Software Developer's Manual", volume 2, CPUID and XGETBV; AMD's "AMD64 Architecture
Programmer's Manual", volume 3, appendix E. Names of features and models are LLVM's.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Iterator

from smelt.records import Record
from smelt.targets.native.loader.mapping import MappedCode
from smelt.targets.native.loader.symbols import resolve
from smelt.targets.native.machine_code.flat import FlatCode

# void cpuid(uint32_t leaf, uint32_t subleaf, uint32_t registers[4]), and uint64_t xgetbv(void).
_ARGUMENTS = (
    "89c8 89d1"  # mov eax, ecx; mov ecx, edx: as Windows passes them, the third in r8 already
    if sys.platform == "win32"
    else "89f8 89f1 4989d0"  # mov eax, edi; mov ecx, esi; mov r8, rdx
)
_CPUID = bytes.fromhex(
    "53"  # push rbx
    f"{_ARGUMENTS}"
    "0fa2"  # cpuid
    "418900 41895804 41894808 4189500c"  # mov [r8], eax; mov [r8 + 4], ebx; mov [r8 + 8], ecx; mov [r8 + 12], edx
    "5b c3"  # pop rbx; ret
)
_XGETBV = bytes.fromhex("31c9 0f01d0 48c1e220 4809d0 c3")  # xor ecx, ecx; xgetbv; shl rdx, 32; or rax, rdx; ret
_PADDED_BYTES = 32

_EAX, _EBX, _ECX, _EDX = range(4)

_OSXSAVE = 27
"""Of leaf 1, register ecx: whether the system lets programs ask which registers it saves."""

# By leaf, subleaf and register: the features, each with the number of its bit.
_FEATURES: dict[tuple[int, int, int], dict[int, str]] = {
    (1, 0, _ECX): {
        0: "sse3",
        9: "ssse3",
        12: "fma",
        13: "cx16",
        19: "sse4.1",
        20: "sse4.2",
        22: "movbe",
        23: "popcnt",
        26: "xsave",
        28: "avx",
        29: "f16c",
    },
    (1, 0, _EDX): {8: "cx8", 15: "cmov", 23: "mmx", 24: "fxsr", 25: "sse", 26: "sse2"},
    (7, 0, _EBX): {
        3: "bmi",
        5: "avx2",
        8: "bmi2",
        16: "avx512f",
        17: "avx512dq",
        21: "avx512ifma",
        28: "avx512cd",
        30: "avx512bw",
        31: "avx512vl",
    },
    (7, 0, _ECX): {
        1: "avx512vbmi",
        6: "avx512vbmi2",
        8: "gfni",
        11: "avx512vnni",
        12: "avx512bitalg",
        14: "avx512vpopcntdq",
    },
    (7, 0, _EDX): {23: "avx512fp16"},
    (7, 1, _EAX): {4: "avxvnni", 5: "avx512bf16", 23: "avxifma"},
    (7, 1, _EDX): {4: "avxvnniint8", 5: "avxneconvert", 10: "avxvnniint16"},
    (0x80000001, 0, _ECX): {0: "sahf", 5: "lzcnt"},
}
_EXTENDED = 0x80000000

# What is of use only if the system saves the registers that it needs: bits of XCR0, from the halves of ymm to the masks and zmm.
_AVX_STATE, _AVX512_STATE = 0x06, 0xE6
_IN_AVX_REGISTERS = ("avx", "fma", "f16c")

# Models by vendor and family: the last model of each range, and its name.
_MODELS: dict[tuple[str, int], tuple[tuple[int, str], ...]] = {
    ("AuthenticAMD", 0x17): ((0x2F, "znver1"), (0xFF, "znver2")),
    ("AuthenticAMD", 0x19): (
        *((0x0F, "znver3"), (0x1F, "znver4"), (0x5F, "znver3"), (0x7F, "znver4"), (0x9F, "znver3"), (0xAF, "znver4")),
    ),
    ("AuthenticAMD", 0x1A): ((0xFF, "znver5"),),
}
_INTEL_MODELS = {
    "sandybridge": (0x2A, 0x2D),
    "ivybridge": (0x3A, 0x3E),
    "haswell": (0x3C, 0x3F, 0x45, 0x46),
    "broadwell": (0x3D, 0x47, 0x4F, 0x56),
    "skylake": (0x4E, 0x5E, 0x8E, 0x9E, 0xA5, 0xA6),
    "skylake-avx512": (0x55,),
    "rocketlake": (0xA7,),
    "icelake-client": (0x7D, 0x7E),
    "icelake-server": (0x6A, 0x6C),
    "tigerlake": (0x8C, 0x8D),
    "alderlake": (0x97, 0x9A),
    "raptorlake": (0xB7, 0xBA, 0xBF),
    "meteorlake": (0xAA, 0xAC),
    "arrowlake": (0xB5, 0xC5),
    "arrowlake-s": (0xC6,),
    "lunarlake": (0xBD,),
    "sapphirerapids": (0x8F,),
    "emeraldrapids": (0xCF,),
    "graniterapids": (0xAD,),
    "graniterapids-d": (0xAE,),
}


class Identity(Record):
    """Which processor it is: the vendor's own twelve letters, and the numbers that the vendor gives families and models."""

    vendor: str
    family: int
    model: int


def x86_64_features() -> frozenset[str]:
    """The features that this processor has and the system lets programs use."""
    found = set(_reported())
    state = _instructions().saved_state() if cpuid(1)[_ECX] >> _OSXSAVE & 1 else 0
    if state & _AVX_STATE != _AVX_STATE:
        found = {name for name in found if not name.startswith("avx") and name not in _IN_AVX_REGISTERS}
    # macOS saves the registers of AVX-512 from their first use on, and says so only then.
    if state & _AVX512_STATE != _AVX512_STATE and sys.platform != "darwin":
        found = {name for name in found if not name.startswith("avx512")}
    return frozenset(found)


def x86_64_tuning() -> str:
    """LLVM's name of this processor's model, empty if it is none that is known here."""
    return tuning_of(identity())


def tuning_of(processor: Identity) -> str:
    """LLVM's name of a model, empty if it is none that is known here."""
    if processor.vendor == "GenuineIntel" and processor.family == 6:
        return next((name for name, models in _INTEL_MODELS.items() if processor.model in models), "")
    ranges = _MODELS.get((processor.vendor, processor.family), ())
    return next((name for last, name in ranges if processor.model <= last), "")


def identity() -> Identity:
    """Which processor this is."""
    _, b, c, d = cpuid(0)
    version = cpuid(1)[_EAX]
    family, model = version >> 8 & 15, version >> 4 & 15
    if family in (6, 15):
        model |= (version >> 16 & 15) << 4
    if family == 15:
        family += version >> 20 & 255
    vendor = b"".join(word.to_bytes(4, "little") for word in (b, d, c))
    return Identity(vendor.decode("ascii", "replace"), family, model)


def cpuid(leaf: int, subleaf: int = 0) -> tuple[int, int, int, int]:
    """The registers eax, ebx, ecx and edx; zeros for a leaf that this processor doesn't have."""
    instructions = _instructions()
    if leaf > instructions.cpuid(leaf & _EXTENDED, 0)[_EAX] or (leaf == 7 and subleaf > instructions.cpuid(7, 0)[_EAX]):
        return 0, 0, 0, 0
    return instructions.cpuid(leaf, subleaf)


def _reported() -> Iterator[str]:
    for (leaf, subleaf, register), bits in _FEATURES.items():
        word = cpuid(leaf, subleaf)[register]
        yield from (name for bit, name in bits.items() if word >> bit & 1)


class _Instructions:
    """The instructions CPUID and XGETBV as functions."""

    def __init__(self) -> None:
        blob = _CPUID.ljust(_PADDED_BYTES, b"\xcc") + _XGETBV.ljust(_PADDED_BYTES, b"\xcc")
        # LIFETIME: the code is there as long as the functions that it is called through.
        self._code = MappedCode(FlatCode("x86-64", blob, (("cpuid", 0), ("xgetbv", _PADDED_BYTES))), resolve)
        self._cpuid = ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p)(
            self._code.address("cpuid")
        )
        self._xgetbv = ctypes.CFUNCTYPE(ctypes.c_uint64)(self._code.address("xgetbv"))

    def cpuid(self, leaf: int, subleaf: int) -> tuple[int, int, int, int]:
        registers = (ctypes.c_uint32 * 4)()
        self._cpuid(leaf, subleaf, ctypes.addressof(registers))
        a, b, c, d = registers
        return a, b, c, d

    def saved_state(self) -> int:
        state: int = self._xgetbv()
        return state


@functools.cache
def _instructions() -> _Instructions:
    return _Instructions()
