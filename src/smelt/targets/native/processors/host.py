# SPDX-License-Identifier: Apache-2.0
"""The processor that this process runs on, found out without LLVM."""

from __future__ import annotations

import ctypes
import functools
import platform
import sys

from smelt.targets.native.errors import LinkError
from smelt.targets.native.processors.cpuid import x86_64_features, x86_64_tuning
from smelt.targets.native.processors.processor import LEVELS, Processor, parse_processor, processor_of

_MACHINES = {"x86_64": "x86-64", "amd64": "x86-64", "aarch64": "aarch64", "arm64": "aarch64"}

# Bits of the auxiliary vector's AT_HWCAP and AT_HWCAP2, from Linux's asm/hwcap.h for arm64.
_LINUX_FEATURES = {
    16: {
        0: "fp-armv8",
        1: "neon",
        3: "aes",
        6: "sha2",
        7: "crc",
        8: "lse",
        10: "fullfp16",
        12: "rdm",
        13: "jsconv",
        14: "complxnum",
        15: "rcpc",
        17: "sha3",
        20: "dotprod",
        23: "fp16fml",
        25: "lse2",
        26: "rcpc-immo",
        27: "flagm",
        30: "pauth",
    },
    26: {7: "altnzcv", 8: "fptoint", 13: "i8mm", 14: "bf16"},
}

# Names below hw.optional of macOS's sysctl, for what the first of Apple's processors did not have.
_APPLE_FEATURES = {"arm.FEAT_BF16": "bf16", "arm.FEAT_I8MM": "i8mm"}

# Numbers for IsProcessorFeaturePresent, from winnt.h.
_WINDOWS_FEATURES = {
    18: "fp-armv8",
    19: "neon",
    30: "aes",
    31: "crc",
    34: "lse",
    43: "dotprod",
    44: "jsconv",
    45: "rcpc",
}


@functools.cache
def host_processor() -> Processor:
    """The processor that this process runs on, with all that code may use of it."""
    machine = host_machine()
    if machine == "x86-64":
        return processor_of(machine, x86_64_features(), x86_64_tuning())
    # Of no processor that runs Python is less known.
    return processor_of(machine, _aarch64_features() | set(LEVELS["aarch64"].features))


def host_machine() -> str:
    """Its instruction set. Raises `LinkError` if it is none that smelt compiles for."""
    name = platform.machine().lower()
    if name not in _MACHINES or sys.maxsize < 1 << 32:
        raise LinkError(f"smelt compiles for x86-64 and AArch64, both with 64 bits, not for {name}")
    return _MACHINES[name]


def host_abi(machine: str) -> str:
    """How functions are called on this system. What AArch64's systems have in common has one name."""
    if machine == "aarch64":
        return "aapcs64"
    return "windows" if sys.platform == "win32" else "sysv"


@functools.cache
def check_runs_here(processor: str, abi: str) -> None:
    """Raise `LinkError` unless this process can run code that was compiled for a processor and calling convention."""
    wanted = parse_processor(processor)
    if wanted.machine != host_machine():
        raise LinkError(f"this code is for {wanted}; this processor is {host_machine()}")
    if abi != host_abi(wanted.machine):
        raise LinkError(f"this code calls functions as {abi} has it; this system has {host_abi(wanted.machine)}")
    host = host_processor()
    missing = sorted(wanted.required() - host.required())
    if missing:
        raise LinkError(f"this code is for {wanted}; this processor, {host}, has no {', '.join(missing)}")


def _aarch64_features() -> frozenset[str]:
    if sys.platform == "darwin":
        return _apple_features()
    if sys.platform == "win32":
        present = ctypes.WinDLL("kernel32").IsProcessorFeaturePresent
        return frozenset(name for number, name in _WINDOWS_FEATURES.items() if present(number))
    value = ctypes.CDLL(None).getauxval
    value.argtypes, value.restype = (ctypes.c_ulong,), ctypes.c_ulong
    return frozenset(
        name for kind, bits in _LINUX_FEATURES.items() for bit, name in bits.items() if value(kind) >> bit & 1
    )


def _apple_features() -> frozenset[str]:
    control = ctypes.CDLL(None).sysctlbyname
    control.argtypes = (ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)

    def is_present(name: str) -> bool:
        value, size = ctypes.c_int64(), ctypes.c_size_t(ctypes.sizeof(ctypes.c_int64))
        # A feature that this system doesn't know by name is one that it doesn't have.
        failed = control(f"hw.optional.{name}".encode(), ctypes.addressof(value), ctypes.addressof(size), None, 0)
        return not failed and value.value != 0

    return frozenset(
        (*LEVELS["apple-m1"].features, *(feature for name, feature in _APPLE_FEATURES.items() if is_present(name)))
    )
