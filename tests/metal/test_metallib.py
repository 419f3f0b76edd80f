# SPDX-License-Identifier: Apache-2.0
"""The metallib container: what is written is laid out as Apple's files are, and read back; what is damaged is refused."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from smelt.targets.metal.metallib import (
    Archive,
    Function,
    FunctionConstant,
    FunctionKind,
    Library,
    MetallibError,
    Sources,
    Tag,
    Version,
    read_metallib,
    write_metallib,
)

pytestmark = pytest.mark.once

AIR, METAL = Version(2, 6), Version(3, 1)


def kernel(name="foo", module=bytes(range(32)), **more):
    return Function(name, module, AIR, METAL, **more)


def whole():
    """A library with everything that there may be."""
    first = kernel(
        "first",
        public=[Tag("VATT", b"abc")],
        private=[Tag("DEBI", struct.pack("<I", 12) + b"/a/b.metal\0"), Tag("DEPF", b"/a/b.air\0")],
        reflection=b"reflection of the first",
        source=1,
    )
    first.declare_constants((FunctionConstant("flag", 53, 3), FunctionConstant("größe", 29, 300, is_active=False)))
    second = kernel("zweite", b"\1" * 48, kind=FunctionKind.VISIBLE, reflection=b"r" * 40, source=0)
    order = ("NAME", "TYPE", "LAYR", "HASH", "OFFT", "VERS", "MDSZ", "TESS")
    tags = [Tag("LAYR", b"\1"), Tag("TESS", b"\2\3")]
    drawn = kernel("drawn", kind=FunctionKind.VERTEX, others=tags, order=order)
    return Library(
        [first, second, kernel("third"), drawn],
        version=Version(1, 2, 9),
        system=Version(26, 1, 0),
        sources=Sources("metallib a.air", "/work", [Archive("0", b"BZh1"), Archive("1", b"BZh22")]),
        dynamic=[Tag("NAME", b"default.metallib\0")],
        scripts=b"scripts",
    )


def test_a_library_is_laid_out_as_apples_are():
    name, module = "foo", bytes(range(64)) * 2
    data = write_metallib(Library([kernel(name, module)], system=Version(14, 2, 1)))
    group = 4 + (7 + len(name)) + 7 + 38 + 30 + 14 + 14 + 4
    extension, empty = 22 + 4, 8
    public = 88 + 4 + group + extension
    private, modules = public + empty, public + 2 * empty
    assert data[:4] == b"MTLB"
    assert struct.unpack_from("<3H", data, 4) == (0x8001, 2, 7)
    assert data[10:12] == bytes([0, 0x81])
    assert struct.unpack_from("<HBB", data, 12) == (14, 2, 1)
    # Size; functions, whose size leaves the count out; public and private metadata; modules.
    assert struct.unpack_from("<9Q", data, 16) == (
        modules + len(module),
        *(88, group),
        *(public, empty),
        *(private, empty),
        *(modules, len(module)),
    )
    assert struct.unpack_from("<II", data, 88) == (1, group)
    tags = data[96 : 92 + group]
    assert tags.startswith(b"NAME\4\0foo\0TYPE\1\0\2HASH\x20\0" + hashlib.sha256(module).digest())
    assert tags.endswith(
        b"OFFT\x18\0"
        + bytes(24)
        + b"VERS\x08\0"
        + struct.pack("<4H", 2, 6, 3, 1)
        + b"MDSZ\x08\0\x80"
        + bytes(7)
        + b"ENDT"
    )
    assert data[92 + group :].startswith(b"UUID\x10\0")
    assert data[public:modules] == 2 * (struct.pack("<I", 8) + b"ENDT")
    assert data[modules:] == module


def test_a_reflection_is_aligned_in_the_file():
    library = whole()
    data = write_metallib(library)
    for function in library.functions[:2]:
        assert data.index(function.reflection) % 16 == 0


def test_the_uuid_follows_from_the_content():
    def uuid(library):
        data = write_metallib(library)
        at = data.index(b"UUID\x10\0") + 6
        return data[at : at + 16]

    first = uuid(Library([kernel()]))
    assert first == uuid(Library([kernel()]))
    assert first != uuid(Library([kernel(module=b"other" * 16)]))
    assert first != uuid(Library([kernel("bar")]))
    assert (first[6] >> 4, first[8] >> 6) == (8, 2)
    assert uuid(Library([kernel()], uuid=bytes(range(16)))) == bytes(range(16))


@pytest.mark.parametrize(
    "library",
    [
        Library([kernel()]),
        Library(
            [kernel("a"), kernel("b")], version=Version(1, 2, 5), is_64_bit=False, platform=0, system=Version(0, 0, 0)
        ),
        Library([kernel()], sources=Sources("command", None, [Archive("7", b"x")]), version=Version(1, 2, 5)),
        Library([kernel(reflection=b"r")], is_stub=True, file_type=2, is_macos=False),
        whole(),
    ],
)
def test_what_is_written_is_read_back(library):
    data = write_metallib(library)
    read = read_metallib(data)
    assert write_metallib(read) == data
    assert dataclasses.replace(read, extension=(), uuid=None) == library


def test_the_order_of_the_header_extension_is_kept():
    data = write_metallib(Library([kernel(reflection=b"r")], extension=("UUID", "RLST")))
    assert data.index(b"UUID\x10") < data.index(b"RLST\x10")
    assert read_metallib(data).extension == ("UUID", "RLST")
    assert write_metallib(read_metallib(data)) == data


def test_what_functions_say_of_themselves():
    read = read_metallib(write_metallib(whole()))
    first = read.function("first")
    assert first.constants == (FunctionConstant("flag", 53, 3), FunctionConstant("größe", 29, 300, is_active=False))
    assert first.location == ("/a/b.metal", 12)
    assert read.function("third").constants == ()
    assert read.function("third").location is None
    first.declare_constants(())
    assert first.constants == ()
    with pytest.raises(MetallibError, match="no function 'fourth'; it has first, zweite, third, drawn"):
        read.function("fourth")


def test_of_many_functions_the_error_names_those_with_similar_names():
    library = Library([kernel(f"gemm_{number}_float") for number in range(1000)])
    with pytest.raises(MetallibError) as error:
        library.function("gemm_77_flaot")
    assert "'gemm_77_flaot'; it has gemm_77_float, " in str(error.value)
    assert str(error.value).endswith(" and 990 more")
    with pytest.raises(MetallibError, match=r"no function 'x'; it has gemm_0_float, gemm_1_float, .* and 990 more"):
        library.function("x")


def test_one_library_gives_the_same_bytes_in_every_process():
    program = (
        "import hashlib, sys; sys.path.insert(0, sys.argv[1]); import test_metallib as tests\n"
        "print(hashlib.sha256(tests.write_metallib(tests.whole())).hexdigest())"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", program, str(Path(__file__).parent)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert [len(text.strip()) for text in printed] == [64]


def changed(at, content, data=None):
    data = bytearray(data if data is not None else write_metallib(whole()))
    data[at : at + len(content)] = content
    return bytes(data)


GOOD = write_metallib(whole())

DAMAGED = {
    "this is no metallib": b"MTLA" + GOOD[4:],
    "cut off in its header: it has 40 bytes of 88": GOOD[:40],
    f"says that it has {len(GOOD)} bytes, but there are {len(GOOD) - 1}": GOOD[:-1],
    f"says that it has {len(GOOD)} bytes, but there are {len(GOOD) + 1}": GOOD + b"\0",
    "the list of functions lies outside of the file": changed(24, struct.pack("<Q", 1 << 40)),
    "claims to have 4294967295 entries": changed(88, b"\xff" * 4),
    "a group of the list of functions lies outside": changed(92, struct.pack("<I", 1 << 30)),
    "the module of first is damaged: it has another digest": changed(GOOD.index(bytes(range(32))), b"\xff"),
    "a function has no TYPE": changed(GOOD.index(b"TYPE"), b"TYPO"),
    "a function has tags in another order: TYPE, NAME, HASH": GOOD.replace(
        b"NAME\6\0first\0TYPE\1\0\2", b"TYPE\1\0\2NAME\6\0first\0"
    ),
    "a function has tags in another order: NAME, NAME, HASH": GOOD.replace(
        b"NAME\6\0first\0TYPE\1\0\2", b"NAME\4\0fi\0\0NAME\3\0st\0"
    ),
    "a tag of 2 bytes in place of 1": GOOD.replace(b"NAME\6\0first\0TYPE\1\0\2", b"NAME\5\0firs\0TYPE\2\0\2\2"),
    "a function has no MDSZ": GOOD.replace(b"VERS\x08", b"VERS\x16", 1),
    "two functions of the library have one name": GOOD.replace(b"third\0", b"first\0"),
    "a text that is not UTF-8": GOOD.replace(b"third\0", b"\xff\xfe\xff\xfe\xff\0"),
    "has a tag SLSX of 16 bytes, which is not known": changed(GOOD.index(b"SLST"), b"SLSX"),
    "is no archive of the library": changed(GOOD.index(b"SOFF") + 6, b"\xff"),
    "in another order: NAME, TYPE, LAYR, HASH, OFFT, VERS, MDSZ, LAYR": GOOD.replace(b"TESS", b"LAYR"),
    "a group of the function first has 38 bytes behind its end": GOOD.replace(b"VATT\3\0abc", b"ENDT\3\0abc"),
    "an archive of sources is not one": changed(GOOD.index(b"SARC"), b"SARD"),
    "the reflection of the function first is not one": changed(GOOD.index(b"reflection of the first") - 1, b"\1"),
    "the sources lies outside": changed(GOOD.index(b"HSRD") + 6, struct.pack("<Q", 1 << 62)),
    "a text without an end": GOOD.replace(b"metallib a.air\0/work\0", b"metallib a.air+/work+").replace(
        b"\0BZh", b"+BZh"
    ),
}


@pytest.mark.parametrize("message", DAMAGED)
def test_what_is_damaged_is_refused_with_what_is_wrong(message):
    with pytest.raises(MetallibError) as error:
        read_metallib(DAMAGED[message])
    if message != "a text without an end":
        assert message in str(error.value)


def test_damaged_function_constants_are_refused():
    function = kernel(public=[Tag("CNST", struct.pack("<H", 3) + b"a\0" + bytes(4))])
    with pytest.raises(MetallibError, match="the function constants of foo are damaged"):
        read_metallib(write_metallib(Library([function]))).functions[0].constants  # noqa: B018 - it is what raises


@pytest.mark.parametrize(
    ("library", "message"),
    [
        (Library([]), "at least one function"),
        (Library([kernel(), kernel()]), "two functions of the library have one name"),
        (Library([kernel()], uuid=b"short"), "a uuid has 16 bytes, not 5"),
        (Library([kernel(source=0)]), "the source of foo is no archive"),
        (Library([kernel("x" * 70_000)]), "the tag NAME has 70001 bytes"),
    ],
)
def test_what_can_not_be_written_is_refused(library, message):
    with pytest.raises(MetallibError, match=message):
        write_metallib(library)


@settings(max_examples=400, derandomize=True, deadline=None)
@given(st.data())
def test_a_hostile_file_is_refused_or_read_but_nothing_else(data):
    damaged = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(damaged) - 8))
        width = data.draw(st.sampled_from([1, 2, 4, 8]))
        damaged[at : at + width] = data.draw(st.sampled_from([0, 1, 2**31, 2**63 - 1, 2**64 - 1, 5])).to_bytes(
            8, "little"
        )[:width]
    if data.draw(st.booleans()):
        del damaged[data.draw(st.integers(0, len(damaged))) :]
    try:
        write_metallib(read_metallib(bytes(damaged)))
    except MetallibError:
        return


FOLDER = os.environ.get("SMELT_TEST_METALLIBS", "")


@pytest.mark.skipif(not FOLDER, reason="SMELT_TEST_METALLIBS names no folder with metallibs of Apple's toolchain")
def test_the_libraries_of_apples_toolchain_come_back_byte_for_byte():
    files = sorted(Path(FOLDER).rglob("*.metallib"))
    assert files
    for path in files:
        data = path.read_bytes()
        assert write_metallib(read_metallib(data)) == data, path
