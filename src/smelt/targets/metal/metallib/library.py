# SPDX-License-Identifier: Apache-2.0
"""What is in a metallib.

The format is Apple's and not documented; what is known of it was read off files by Apple's tools of several years, and is described by
Metal.jl (https://github.com/JuliaGPU/Metal.jl) and MetalLibraryArchive (https://github.com/YuAo/MetalLibraryArchive).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

_MOST_NAMES = 10
"""How many names of functions an error tells."""


class MetallibError(ValueError):
    """Bytes that are no metallib, or a library that can't be written as one."""


class Version(NamedTuple):
    """A version of two or three numbers."""

    major: int
    minor: int
    patch: int = 0

    def __str__(self) -> str:
        return ".".join(map(str, self))


class FunctionKind(IntEnum):
    """What a function is for."""

    VERTEX = 0
    FRAGMENT = 1
    KERNEL = 2
    UNQUALIFIED = 3
    VISIBLE = 4
    EXTERN = 5
    INTERSECTION = 6


class Tag(NamedTuple):
    """A piece of a group: a name of four characters, and bytes."""

    name: str
    content: bytes


@dataclass(frozen=True)
class FunctionConstant:
    """A constant that a function gets its value of when it is made into a pipeline.

    Attributes
    ----------
    name, index
        What it is named by on the host.
    kind
        Its MTLDataType: 53 for bool, 29 for int, 3 for float.
    is_active
        Whether the function uses it.
    """

    name: str
    kind: int
    index: int
    is_active: bool = True


@dataclass
class Function:
    """A function of a library.

    Attributes
    ----------
    name, kind
        Its name, and what it is for.
    air, language
        The versions of AIR and of the Metal language that it was compiled as.
    module
        Its LLVM bitcode, in the wrapper that is part of the file.
    public, private
        Its metadata: function constants and what draws; lines and paths.
    reflection
        A FlatBuffer that describes its arguments; None without.
    source
        Which of the archives of the library's sources it comes from; None without.
    others, order
        Tags of which nothing is known here, those of graphics functions say, and the order of all where there are such.
    """

    name: str
    module: bytes
    air: Version
    language: Version
    kind: int = FunctionKind.KERNEL
    public: list[Tag] = field(default_factory=list)
    private: list[Tag] = field(default_factory=list)
    reflection: bytes | None = None
    source: int | None = None
    others: list[Tag] = field(default_factory=list)
    order: tuple[str, ...] = ()

    @property
    def constants(self) -> tuple[FunctionConstant, ...]:
        """Its function constants. Raises `MetallibError` if they are damaged."""
        for tag in self.public:
            if tag.name == "CNST":
                return _constants_of(tag.content, self.name)
        return ()

    def declare_constants(self, constants: tuple[FunctionConstant, ...]) -> None:
        """Set its function constants."""
        parts = [struct.pack("<H", len(constants))]
        for constant in constants:
            numbers = struct.pack("<BHB", constant.kind, constant.index, constant.is_active)
            parts.append(constant.name.encode() + b"\0" + numbers)
        self.public = [tag for tag in self.public if tag.name != "CNST"]
        self.public.append(Tag("CNST", b"".join(parts)))

    @property
    def location(self) -> tuple[str, int] | None:
        """The path and the line that it was compiled from, if that is written in it."""
        for tag in self.private:
            if tag.name == "DEBI" and len(tag.content) > 4:
                return tag.content[4:].rstrip(b"\0").decode(errors="replace"), int.from_bytes(tag.content[:4], "little")
        return None


def _constants_of(content: bytes, function: str) -> tuple[FunctionConstant, ...]:
    found = []
    try:
        (count,) = struct.unpack_from("<H", content)
        at = 2
        for _ in range(count):
            end = content.index(0, at)
            kind, index, is_active = struct.unpack_from("<BHB", content, end + 1)
            found.append(FunctionConstant(content[at:end].decode(), kind, index, bool(is_active)))
            at = end + 5
    except (struct.error, ValueError) as error:
        raise MetallibError(f"the function constants of {function} are damaged: {error}") from None
    return tuple(found)


@dataclass
class Archive:
    """The sources of a part of a library: an identifier, and a compressed tar file."""

    identifier: str
    content: bytes


@dataclass
class Sources:
    """The sources that a library was compiled from.

    Attributes
    ----------
    link_command
        How it was linked.
    directory
        Where; None in files before 1.2.6.
    archives
        The files.
    """

    link_command: str
    directory: str | None
    archives: list[Archive]


@dataclass
class Library:
    """A metallib.

    Attributes
    ----------
    functions
        Its functions.
    version
        The version of the format, 1.2.5 to 1.2.9.
    system
        The oldest system that it is for.
    file_type, platform
        0 for an executable; 1 for macOS.
    is_stub, is_64_bit
        What is said of it in bits of the header.
    uuid
        16 bytes; None for those that follow from its content.
    sources, dynamic, scripts
        What may be there besides: sources, tags of the dynamic header, and bytes that nothing is known of.
    extension
        The names of the tags of the header extension, in their order.
    """

    functions: list[Function]
    version: Version = Version(1, 2, 7)  # noqa: RUF009 - a tuple, which may be shared
    system: Version = Version(14, 0, 0)  # noqa: RUF009
    file_type: int = 0
    platform: int = 1
    is_stub: bool = False
    is_64_bit: bool = True
    is_macos: bool = True
    uuid: bytes | None = None
    sources: Sources | None = None
    dynamic: list[Tag] | None = None
    scripts: bytes | None = None
    extension: tuple[str, ...] = ()

    def function(self, name: str) -> Function:
        """The function of that name. Raises `MetallibError`, naming those that there are; of many, some with similar names."""
        for function in self.functions:
            if function.name == name:
                return function
        names = [function.name for function in self.functions]
        if len(names) > _MOST_NAMES:
            import difflib  # noqa: PLC0415 - seldom needed

            similar = difflib.get_close_matches(name, names, _MOST_NAMES)
            named = [*similar, *(other for other in names if other not in similar)][:_MOST_NAMES]
            more = f" and {len(names) - len(named)} more"
        else:
            named, more = names, ""
        raise MetallibError(f"the library has no function {name!r}; it has {', '.join(named) or 'none'}{more}")
