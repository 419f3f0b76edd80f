# SPDX-License-Identifier: Apache-2.0
"""Processors: what code may use of them, as configurations and artifacts name it.

A processor is written as a level, the features that it has beyond that level, and the model that code is scheduled for:
`x86-64-v3`, `x86-64-v3+gfni+avxvnni`, `x86-64-v3@znver3`. Levels, features and models have LLVM's names. Only such features are known
as LLVM uses by itself in code like that of kernels: what makes no difference to code makes none between processors either.

Sources: "System V Application Binary Interface, AMD64 Architecture Processor Supplement", 3.1.1 (levels of x86-64); "Arm Architecture
Reference Manual for A-profile architecture", A2 (features of AArch64), and Apple's list of what its M1 has of them.
"""

from __future__ import annotations

import functools

from smelt.records import Record

_X86_64 = ("cmov", "cx8", "fxsr", "mmx", "sse", "sse2")
_X86_64_V2 = (*_X86_64, "cx16", "popcnt", "sahf", "sse3", "sse4.1", "sse4.2", "ssse3")
_X86_64_V3 = (*_X86_64_V2, "avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe", "xsave")
_X86_64_V4 = (*_X86_64_V3, "avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl")

_AARCH64 = ("fp-armv8", "neon")
_APPLE_M1 = (
    *_AARCH64,
    "aes",
    "altnzcv",
    "complxnum",
    "crc",
    "dotprod",
    "flagm",
    "fp16fml",
    "fptoint",
    "fullfp16",
    "jsconv",
    "lse",
    "lse2",
    "pauth",
    "rcpc",
    "rcpc-immo",
    "rdm",
    "sha2",
    "sha3",
)


class Level(Record):
    """A set of features that has a name: the machine, LLVM's name of it, and the features, also of the levels below."""

    machine: str
    cpu: str
    features: tuple[str, ...]


LEVELS = {
    "x86-64": Level("x86-64", "x86-64", _X86_64),
    "x86-64-v2": Level("x86-64", "x86-64-v2", _X86_64_V2),
    "x86-64-v3": Level("x86-64", "x86-64-v3", _X86_64_V3),
    "x86-64-v4": Level("x86-64", "x86-64-v4", _X86_64_V4),
    "aarch64": Level("aarch64", "generic", _AARCH64),
    "apple-m1": Level("aarch64", "apple-m1", _APPLE_M1),
}

BEYOND = {
    "x86-64": (
        "avx512bf16",
        "avx512bitalg",
        "avx512fp16",
        "avx512ifma",
        "avx512vbmi",
        "avx512vbmi2",
        "avx512vnni",
        "avx512vpopcntdq",
        "avxifma",
        "avxneconvert",
        "avxvnni",
        "avxvnniint16",
        "avxvnniint8",
        "gfni",
    ),
    "aarch64": ("bf16", "i8mm"),
}
"""The features that no level has. Not among them are those of AArch64 with vectors of a length that is known when it runs."""


class Processor(Record):
    """A processor that code is compiled for; as text it is as in this module's first lines.

    Attributes
    ----------
    level
        One of `LEVELS`.
    features
        What it has beyond that, in alphabetical order.
    tuning
        LLVM's name of the model that instructions are chosen and ordered for; empty for what LLVM takes the level for.
    """

    level: str
    features: tuple[str, ...] = ()
    tuning: str = ""

    def __str__(self) -> str:
        return "+".join((self.level, *self.features)) + (f"@{self.tuning}" if self.tuning else "")

    @property
    def machine(self) -> str:
        """Its instruction set: `x86-64` or `aarch64`."""
        return LEVELS[self.level].machine

    def required(self) -> frozenset[str]:
        """All that code compiled for it may use."""
        return frozenset((*LEVELS[self.level].features, *self.features))


def processor_of(machine: str, features: frozenset[str], tuning: str = "") -> Processor:
    """The processor with these features: of the highest level that it has all of."""
    levels = [(len(level.features), name) for name, level in LEVELS.items() if level.machine == machine]
    _, highest = max((count, name) for count, name in levels if features.issuperset(LEVELS[name].features))
    known = {feature for _, name in levels for feature in LEVELS[name].features} | set(BEYOND[machine])
    more = set(features) & known - set(LEVELS[highest].features)
    if "avx512f" not in LEVELS[highest].features:
        # The first processors with parts of AVX-512 lack others of it, and gain nothing by them.
        more = {feature for feature in more if not feature.startswith("avx512")}
    return Processor(highest, tuple(sorted(more)), tuning)


@functools.cache
def parse_processor(text: str) -> Processor:
    """The processor that `text` describes. Raises `ValueError` if it isn't one, with those that there are."""
    body, has_tuning, tuning = text.partition("@")
    name, *written = body.split("+")
    if name not in LEVELS or not all(written) or bool(has_tuning) != bool(tuning):
        raise ValueError(f"there is no processor {text!r}; write one of {', '.join(LEVELS)}")
    machine, features = LEVELS[name].machine, LEVELS[name].features
    known = {
        *BEYOND[machine],
        *(one for level in LEVELS.values() if level.machine == machine for one in level.features),
    }
    unknown = sorted(set(written) - known)
    if unknown:
        raise ValueError(
            f"{text!r}: {machine} has no feature {', '.join(unknown)} that smelt knows; it knows {sorted(known)}"
        )
    return Processor(name, tuple(sorted(set(written) - set(features))), tuning)
