# SPDX-License-Identifier: Apache-2.0
"""Writing a metallib. One library gives one sequence of bytes."""

from __future__ import annotations

import hashlib
import struct

from smelt.targets.metal.metallib.layout import (
    END,
    HEADER,
    HEADER_BYTES,
    MACOS_BIT,
    MAGIC,
    REFLECTION_ALIGNMENT,
    WIDE_TAGS,
)
from smelt.targets.metal.metallib.library import Function, Library, MetallibError, Tag

_UUID_BYTES = 16


def write_metallib(library: Library) -> bytes:
    """The file of a library. Raises `MetallibError` for one that can't be: without functions, or with two of one name."""
    if not library.functions:
        raise MetallibError("a library has at least one function")
    names = [function.name for function in library.functions]
    if len(set(names)) != len(names):
        raise MetallibError("two functions of the library have one name")
    return _Writer(library).written()


def _tag(tag: Tag, length_bytes: int = 2) -> bytes:
    size = 4 if tag.name in WIDE_TAGS else length_bytes
    if len(tag.content) >= 1 << 8 * size:
        raise MetallibError(f"the tag {tag.name} has {len(tag.content)} bytes, more than can be written")
    return tag.name.encode("latin-1") + len(tag.content).to_bytes(size, "little") + tag.content


def _tags(tags: list[Tag], length_bytes: int = 2) -> bytes:
    return b"".join(_tag(tag, length_bytes) for tag in tags) + END.encode()


def _group(tags: list[Tag]) -> bytes:
    """A group that begins with its size, itself included."""
    content = _tags(tags)
    return struct.pack("<I", len(content) + 4) + content


class _Writer:
    def __init__(self, library: Library) -> None:
        self._library = library
        self._has_reflection = any(function.reflection is not None for function in library.functions)

    def written(self) -> bytes:
        library = self._library
        sources, archives = self._sources()
        public, public_offsets = _packed([_group(function.public) for function in library.functions])
        private, private_offsets = _packed([_group(function.private) for function in library.functions])
        modules, module_offsets = _packed([function.module for function in library.functions])
        # How long the list of functions is does not depend on where the reflections lie.
        lengths = [len(self._function(function, (0, 0, 0), 0, archives)) for function in library.functions]
        public_begin = HEADER_BYTES + 4 + sum(lengths) + len(self._extension({}))
        begin = public_begin + len(public) + len(private) + len(modules)
        sections: dict[str, bytes] = {}
        if library.sources is not None:
            sections["HSRC" if library.sources.directory is None else "HSRD"] = sources
        if library.dynamic is not None:
            sections["HDYN"] = _tags(library.dynamic)
        reflection_offsets: dict[str, int] = {}
        if self._has_reflection:
            before = sum(map(len, sections.values()))
            sections["RLST"], reflection_offsets = self._reflections(begin + before)
        if library.scripts is not None:
            sections["SLST"] = library.scripts
        places = {}
        at = begin
        for name, content in sections.items():
            places[name] = struct.pack("<QQ", at, len(content))
            at += len(content)
        offsets = zip(public_offsets, private_offsets, module_offsets, strict=True)
        functions = b"".join(
            self._function(function, offset, reflection_offsets.get(function.name, 0), archives)
            for function, offset in zip(library.functions, offsets, strict=True)
        )
        header = self._header(at, len(functions), public_begin, (len(public), len(private), len(modules)))
        count = struct.pack("<I", len(library.functions))
        return b"".join(
            [header, count, functions, self._extension(places), public, private, modules, *sections.values()]
        )

    def _header(self, size: int, functions: int, public: int, sizes: tuple[int, int, int]) -> bytes:
        library = self._library
        private, modules = public + sizes[0], public + sizes[0] + sizes[1]
        version, system = library.version, library.system
        return struct.pack(
            HEADER,
            MAGIC,
            version.major | (MACOS_BIT if library.is_macos else 0),
            version.minor,
            version.patch,
            library.file_type | library.is_stub << 7,
            library.platform | library.is_64_bit << 7,
            *system,
            size,
            *(HEADER_BYTES, functions),
            *(public, sizes[0]),
            *(private, sizes[1]),
            *(modules, sizes[2]),
        )

    def _function(
        self, function: Function, offsets: tuple[int, int, int], reflection: int, archives: list[int]
    ) -> bytes:
        tags = [
            Tag("NAME", function.name.encode() + b"\0"),
            Tag("TYPE", struct.pack("<B", function.kind)),
            Tag("HASH", hashlib.sha256(function.module).digest()),
            Tag("OFFT", struct.pack("<QQQ", *offsets)),
            Tag("VERS", struct.pack("<HHHH", *function.air[:2], *function.language[:2])),
            Tag("MDSZ", struct.pack("<Q", len(function.module))),
        ]
        if function.source is not None:
            if function.source >= len(archives):
                raise MetallibError(f"the source of {function.name} is no archive of the library")
            tags.append(Tag("SOFF", struct.pack("<Q", archives[function.source])))
        if function.reflection is not None:
            tags.append(Tag("RFLT", struct.pack("<Q", reflection)))
        tags += function.others
        # Those that no order is told of are the last.
        places = {name: place for place, name in enumerate(function.order)}
        return _group(sorted(tags, key=lambda tag: places.get(tag.name, len(places))))

    def _extension(self, places: dict[str, bytes]) -> bytes:
        """The header extension; without places one of the same length."""
        library = self._library
        there = {
            "HSRC": library.sources is not None and library.sources.directory is None,
            "HSRD": library.sources is not None and library.sources.directory is not None,
            "HDYN": library.dynamic is not None,
            "RLST": self._has_reflection,
            "SLST": library.scripts is not None,
            "UUID": True,
        }
        names = sorted(
            (name for name, is_there in there.items() if is_there),
            key=lambda name: library.extension.index(name) if name in library.extension else len(library.extension),
        )
        contents = {**places, "UUID": self._uuid() if places or len(names) == 1 else bytes(_UUID_BYTES)}
        return _tags([Tag(name, contents.get(name, bytes(16))) for name in names])

    def _uuid(self) -> bytes:
        """The library's own, or one that follows from what is in it: a UUID of version 8, whose bits are the maker's."""
        library = self._library
        if library.uuid is not None:
            if len(library.uuid) != _UUID_BYTES:
                raise MetallibError(f"a uuid has 16 bytes, not {len(library.uuid)}")
            return library.uuid
        digest = hashlib.sha256()
        for function in library.functions:
            for part in (function.name.encode(), hashlib.sha256(function.module).digest()):
                digest.update(struct.pack("<Q", len(part)) + part)
        uuid = bytearray(digest.digest()[:_UUID_BYTES])
        uuid[6] = uuid[6] & 0x0F | 0x80
        uuid[8] = uuid[8] & 0x3F | 0x80
        return bytes(uuid)

    def _sources(self) -> tuple[bytes, list[int]]:
        """The section of sources, and where its archives begin in it."""
        sources = self._library.sources
        if sources is None:
            return b"", []
        parts = [struct.pack("<I", len(sources.archives)), sources.link_command.encode() + b"\0"]
        if sources.directory is not None:
            parts.append(sources.directory.encode() + b"\0")
        at = sum(map(len, parts))
        places = []
        for archive in sources.archives:
            group = _tags([Tag("SARC", archive.identifier.encode() + b"\0" + archive.content)], length_bytes=4)
            # The size of the group leaves itself out, and the place is behind it.
            parts.append(struct.pack("<I", len(group)) + group)
            places.append(at + 4)
            at += 4 + len(group)
        return b"".join(parts), places

    def _reflections(self, begin: int) -> tuple[bytes, dict[str, int]]:
        """The list of reflections, given where it begins in the file, and the places of the functions' in it."""
        described = [(function.name, function.reflection) for function in self._library.functions]
        parts = [struct.pack("<I", sum(reflection is not None for _, reflection in described))]
        at = 4
        places = {}
        for name, reflection in described:
            if reflection is None:
                continue
            places[name] = at
            # Behind the sizes of group and tag, and the tag's name.
            padding = -(begin + at + 12) % REFLECTION_ALIGNMENT
            group = _group([Tag("RBUF", bytes(padding) + reflection)])
            parts.append(group)
            at += len(group)
        return b"".join(parts), places


def _packed(parts: list[bytes]) -> tuple[bytes, list[int]]:
    """Parts back to back, and where each begins."""
    offsets, at = [], 0
    for part in parts:
        offsets.append(at)
        at += len(part)
    return b"".join(parts), offsets
