# SPDX-License-Identifier: Apache-2.0
"""Reading a metallib. Nothing that a file says is believed before it is checked: sizes and places against the file, modules against
their digests.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from typing import TypeVar

from smelt.targets.metal.metallib.layout import (
    END,
    FUNCTION_TAGS,
    HEADER,
    HEADER_BYTES,
    MACOS_BIT,
    MAGIC,
    REFLECTION_ALIGNMENT,
    SECTIONS,
    WIDE_TAGS,
)
from smelt.targets.metal.metallib.library import (
    Archive,
    Function,
    Library,
    MetallibError,
    Sources,
    Tag,
    Version,
)

_Read = TypeVar("_Read")

_Section = tuple[int, int]
"""Where a section begins in the file, and how many bytes it has."""


def read_metallib(data: bytes) -> Library:
    """The library that `data` holds. Raises `MetallibError`, saying what is wrong, for anything else."""
    return _Reader(bytes(data)).library()


class _Cursor:
    """A place in a part of a file, which nothing is read behind."""

    def __init__(self, data: bytes, begin: int, size: int, what: str) -> None:
        if begin < 0 or size < 0 or begin + size > len(data):
            raise MetallibError(f"{what} lies outside of the file: {size} bytes at {begin}, of {len(data)}")
        self.data = data
        self.at = begin
        self.end = begin + size
        self.what = what

    def take(self, size: int) -> bytes:
        if self.at + size > self.end:
            raise MetallibError(f"{self.what} ends in the middle of something, at byte {self.at}")
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def text(self) -> str:
        end = self.data.find(0, self.at, self.end)
        if end < 0:
            raise MetallibError(f"{self.what} has a text without an end, at byte {self.at}")
        return _text(self.take(end + 1 - self.at)[:-1], self.what)

    def part(self, size: int, what: str) -> _Cursor:
        """A cursor on the next bytes, which this one goes behind."""
        if size < 0 or self.at + size > self.end:
            raise MetallibError(f"{what} lies outside of what it is in: {size} bytes at {self.at}, of {self.end}")
        self.at += size
        return _Cursor(self.data, self.at - size, size, what)

    def tags(self, length_bytes: int = 2) -> list[Tag]:
        """The tags up to the end of the group."""
        found: list[Tag] = []
        while True:
            name = self.take(4).decode("latin-1")
            if name == END:
                return found
            size = self.number(4 if name in WIDE_TAGS else length_bytes)
            found.append(Tag(name, self.take(size)))


def _text(content: bytes, what: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise MetallibError(f"{what} has a text that is not UTF-8: {content!r}") from None


class _Reader:
    def __init__(self, data: bytes) -> None:
        if data[:4] != MAGIC:
            raise MetallibError("this is no metallib: it does not begin with 'MTLB'")
        if len(data) < HEADER_BYTES:
            raise MetallibError(f"the metallib is cut off in its header: it has {len(data)} bytes of {HEADER_BYTES}")
        self._data = data
        (
            _,
            major,
            minor,
            patch,
            file_type,
            platform,
            system_major,
            system_minor,
            system_patch,
            size,
            *sections,
        ) = struct.unpack_from(HEADER, data)
        if size != len(data):
            raise MetallibError(f"the metallib says that it has {size} bytes, but there are {len(data)}")
        self._functions, self._public, self._private, self._modules = zip(sections[::2], sections[1::2], strict=True)
        self._library = Library(
            [],
            version=Version(major & ~MACOS_BIT, minor, patch),
            system=Version(system_major, system_minor, system_patch),
            file_type=file_type & 0x7F,
            is_stub=bool(file_type & 0x80),
            platform=platform & 0x7F,
            is_64_bit=bool(platform & 0x80),
            is_macos=bool(major & MACOS_BIT),
        )
        self._others: dict[str, _Section] = {}
        self._taken = 0

    def library(self) -> Library:
        library = self._library
        # Its size leaves the count out.
        begin, size = self._functions
        functions = self._cursor((begin, size + 4), "the list of functions")
        count = functions.number(4)
        groups = [self._group(functions, "the list of functions") for _ in range(self._counted(count, functions))]
        self._read_extension(functions.at)
        places = self._read_sources()
        for tags in groups:
            library.functions.append(self._function(tags, places))
        names = [function.name for function in library.functions]
        if len(set(names)) != len(names):
            raise MetallibError("two functions of the library have one name")
        return library

    def _cursor(self, section: _Section, what: str) -> _Cursor:
        return _Cursor(self._data, *section, what)

    def _counted(self, count: int, cursor: _Cursor) -> int:
        # Each takes some bytes at least: what claims more is not gone through.
        if count > (cursor.end - cursor.at) // 8:
            raise MetallibError(f"{cursor.what} claims to have {count} entries, for which it has no room")
        return count

    def _group(self, cursor: _Cursor, what: str) -> list[Tag]:
        """The tags of a group that begins with its size, itself included."""
        inner = cursor.part(cursor.number(4) - 4, f"a group of {what}")
        tags = inner.tags()
        if inner.at != inner.end:
            raise MetallibError(f"a group of {what} has {inner.end - inner.at} bytes behind its end")
        return tags

    def _read_extension(self, begin: int) -> None:
        public_begin = self._public[0]
        library = self._library
        if begin < public_begin:
            tags = self._cursor((begin, public_begin - begin), "the header extension").tags()
            library.extension = tuple(tag.name for tag in tags)
            for name, content in tags:
                if name == "UUID":
                    library.uuid = content
                elif name not in SECTIONS or len(content) != 16:
                    raise MetallibError(
                        f"the header extension has a tag {name} of {len(content)} bytes, which is not known"
                    )
                else:
                    self._others[name] = struct.unpack("<QQ", content)
        if "HDYN" in self._others:
            library.dynamic = self._cursor(self._others["HDYN"], "the dynamic header").tags()
        if "SLST" in self._others:
            cursor = self._cursor(self._others["SLST"], "the list of scripts")
            library.scripts = cursor.take(cursor.end - cursor.at)

    def _read_sources(self) -> dict[int, int]:
        """Read the sources; the numbers of the archives, by where they begin in their section."""
        name = "HSRD" if "HSRD" in self._others else "HSRC"
        if name not in self._others:
            return {}
        begin = self._others[name][0]
        cursor = self._cursor(self._others[name], "the sources")
        count = self._counted(cursor.number(4), cursor)
        command = cursor.text()
        directory = cursor.text() if name == "HSRD" else None
        archives, places = [], {}
        for number in range(count):
            inner = cursor.part(cursor.number(4), "an archive of sources")
            places[inner.at - begin] = number
            tags = inner.tags(length_bytes=4)
            if [tag.name for tag in tags] != ["SARC"] or inner.at != inner.end:
                raise MetallibError("an archive of sources is not one")
            identifier, _, content = tags[0].content.partition(b"\0")
            archives.append(Archive(_text(identifier, "an archive of sources"), content))
        self._library.sources = Sources(command, directory, archives)
        return places

    def _function(self, tags: list[Tag], archives: dict[int, int]) -> Function:
        contents = dict(tags)
        known = [tag.name for tag in tags if tag.name in FUNCTION_TAGS]
        if known != [name for name in FUNCTION_TAGS if name in contents] or len(contents) != len(tags):
            raise MetallibError(f"a function has tags in another order: {', '.join(tag.name for tag in tags)}")
        missing = [name for name in FUNCTION_TAGS[:6] if name not in contents]
        if missing:
            raise MetallibError(f"a function has no {', '.join(missing)}")
        name = _text(contents["NAME"].removesuffix(b"\0"), "the list of functions")
        what = f"the function {name}"
        public, private, module_offset = _unpacked("<QQQ", contents["OFFT"], what)
        versions = _unpacked("<HHHH", contents["VERS"], what)
        (kind,) = _unpacked("<B", contents["TYPE"], what)
        (size,) = _unpacked("<Q", contents["MDSZ"], what)
        module = self._part(self._modules, module_offset, f"the module of {name}", lambda cursor: cursor.take(size))
        if hashlib.sha256(module).digest() != contents["HASH"]:
            raise MetallibError(f"the module of {name} is damaged: it has another digest than it should")
        function = Function(
            name,
            module,
            Version(versions[0], versions[1]),
            Version(versions[2], versions[3]),
            kind,
            self._part(self._public, public, what, lambda cursor: self._group(cursor, what)),
            self._part(self._private, private, what, lambda cursor: self._group(cursor, what)),
        )
        function.others = [tag for tag in tags if tag.name not in FUNCTION_TAGS]
        function.order = tuple(tag.name for tag in tags) if function.others else ()
        if "RFLT" in contents:
            function.reflection = self._reflection(_unpacked("<Q", contents["RFLT"], what)[0], what)
        if "SOFF" in contents:
            place = _unpacked("<Q", contents["SOFF"], what)[0]
            if place not in archives:
                raise MetallibError(f"the source of {name} is no archive of the library")
            function.source = archives[place]
        return function

    def _part(self, section: _Section, offset: int, what: str, read: Callable[[_Cursor], _Read]) -> _Read:
        begin, size = section
        cursor = _Cursor(self._data, begin + offset, size - offset, what)
        found = read(cursor)
        # Parts that lie on one another would make a small file a large library.
        self._taken += cursor.at - (begin + offset)
        if self._taken > len(self._data):
            raise MetallibError("the parts of the functions are larger than the file")
        return found

    def _reflection(self, offset: int, what: str) -> bytes:
        if "RLST" not in self._others:
            raise MetallibError(f"{what} has a reflection, but the library has no list of them")

        def read(cursor: _Cursor) -> bytes:
            inner = cursor.part(cursor.number(4) - 4, f"the reflection of {what}")
            begin = inner.at
            (tag,) = inner.tags() or [Tag("", b"")]
            # The zeros in front of it only align it in the file: behind the tag's name and size.
            padding = -(begin + 8) % REFLECTION_ALIGNMENT
            if tag.name not in WIDE_TAGS or any(tag.content[:padding]):
                raise MetallibError(f"the reflection of {what} is not one")
            return tag.content[padding:]

        return self._part(self._others["RLST"], offset, f"the reflection of {what}", read)


def _unpacked(form: str, content: bytes, what: str) -> tuple[int, ...]:
    if len(content) != struct.calcsize(form):
        raise MetallibError(f"{what} has a tag of {len(content)} bytes in place of {struct.calcsize(form)}")
    return struct.unpack(form, content)
