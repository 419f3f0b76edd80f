# SPDX-License-Identifier: Apache-2.0
"""Object files made flat: what runs, what it refers to, and what is refused."""

from __future__ import annotations

import ctypes
import math
import random
import struct
from collections.abc import Callable
from typing import Any

import pytest

from smelt.targets.native.errors import FlatError
from smelt.targets.native.loader.mapping import MappedCode
from smelt.targets.native.loader.symbols import resolve
from smelt.targets.native.machine_code.elf import AARCH64, X86_64, read_object
from smelt.targets.native.machine_code.flat import FlatCode
from smelt.targets.native.machine_code.flattening import flatten
from smelt.targets.native.machine_code.machines import MACHINES

pytestmark = pytest.mark.once

ObjectOf = Callable[..., bytes]

EVERYTHING = """
@numbers = private constant [4 x double] [double 1.0, double 2.0, double 4.0, double 8.0]
@functions = internal constant [3 x ptr] [ptr @twice, ptr @exported, ptr @twice]
@kept = internal constant ptr getelementptr ([4 x double], ptr @numbers, i64 0, i64 2)

declare double @sin(double)
declare double @cos(double)
declare double @atan2(double, double)

define internal double @twice(double %x) noinline {
  %y = fmul double %x, 2.0
  ret double %y
}

define double @exported(double %x) noinline {
  %y = fadd double %x, 0.5
  ret double %y
}

; Calls what is outside, in the place of a call and in that of a jump.
define double @outside(double %x) {
  %s = call double @sin(double %x)
  %y = tail call double @atan2(double %s, double %x)
  ret double %y
}

; The address of what is outside as a value.
define double @chosen(i1 %which, double %x) {
  %function = select i1 %which, ptr @sin, ptr @cos
  %y = call double %function(double %x)
  ret double %y
}

; Read-only data with addresses in it, and the address of a function that others can see.
define double @through_data(i64 %number, double %x) {
  %place = getelementptr [3 x ptr], ptr @functions, i64 0, i64 %number
  %function = load volatile ptr, ptr %place
  %y = call double %function(double %x)
  %constant = load volatile ptr, ptr @kept
  %four = load double, ptr %constant
  %z = fadd double %y, %four
  ret double %z
}

define ptr @address() {
  ret ptr @exported
}

; A table of jumps.
define double @one_of_many(i64 %case, double %x) {
  switch i64 %case, label %other [
    i64 0, label %a
    i64 1, label %b
    i64 2, label %c
    i64 3, label %d
    i64 4, label %e
    i64 5, label %f
  ]
a:
  %a1 = call double @sin(double %x)
  ret double %a1
b:
  %b1 = call double @cos(double %x)
  ret double %b1
c:
  %c1 = fdiv double 3.0, %x
  ret double %c1
d:
  %d1 = call double @twice(double %x)
  ret double %d1
e:
  %e1 = call double @atan2(double %x, double 5.0)
  ret double %e1
f:
  %f1 = fsub double 7.0, %x
  ret double %f1
other:
  ret double -1.0
}

define void @many(ptr %x, i64 %count) {
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %number = and i64 %i, 3
  %from = getelementptr [4 x double], ptr @numbers, i64 0, i64 %number
  %factor = load double, ptr %from
  %place = getelementptr double, ptr %x, i64 %i
  %old = load double, ptr %place
  %scaled = fmul double %old, %factor
  %new = fadd double %scaled, 1.25
  store double %new, ptr %place
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, %count
  br i1 %more, label %loop, label %done
done:
  ret void
}
"""

DOUBLE, INTEGER = ctypes.c_double, ctypes.c_int64


@pytest.fixture(scope="module", params=[0, 2])
def everything(request: pytest.FixtureRequest, object_of: ObjectOf) -> MappedCode:
    return MappedCode(flatten(object_of(EVERYTHING, opt_level=request.param)), resolve)


def function(code: MappedCode, name: str, result: Any, *arguments: Any) -> Any:
    return ctypes.CFUNCTYPE(result, *arguments)(code.address(name))


def test_calls_reach_what_is_outside(everything):
    outside = function(everything, "outside", DOUBLE, DOUBLE)
    assert [outside(x) for x in (0.5, -2.0)] == [math.atan2(math.sin(x), x) for x in (0.5, -2.0)]


def test_the_address_of_what_is_outside_is_that_of_the_process(everything):
    chosen = function(everything, "chosen", DOUBLE, ctypes.c_bool, DOUBLE)
    assert (chosen(True, 0.5), chosen(False, 0.5)) == (math.sin(0.5), math.cos(0.5))


def test_addresses_in_read_only_data_are_those_where_the_code_is(everything):
    through_data = function(everything, "through_data", DOUBLE, INTEGER, DOUBLE)
    assert [through_data(number, 3.0) for number in range(3)] == [10.0, 7.5, 10.0]
    assert function(everything, "address", ctypes.c_void_p)() == everything.address("exported")


def test_tables_of_jumps_and_constants_are_a_part_of_the_blob(everything):
    one_of_many = function(everything, "one_of_many", DOUBLE, INTEGER, DOUBLE)
    expected = [math.sin(2), math.cos(2), 1.5, 4.0, math.atan2(2, 5), 5.0, -1.0]
    assert [one_of_many(case, 2.0) for case in range(7)] == expected
    numbers = (ctypes.c_double * 9)(*range(9))
    function(everything, "many", None, ctypes.c_void_p, INTEGER)(ctypes.addressof(numbers), 9)
    assert list(numbers) == [x * (1, 2, 4, 8)[x % 4] + 1.25 for x in range(9)]


def test_flat_code_says_what_it_exports_and_what_it_needs(object_of):
    flat = flatten(object_of(EVERYTHING, "native:x86-64"))
    names = ("address", "chosen", "exported", "many", "one_of_many", "outside", "through_data")
    assert tuple(name for name, _ in flat.entries) == names
    assert flat.symbols == ("atan2", "cos", "sin")
    assert flat.machine == "x86-64"
    assert flat.table_offset == len(flat.blob)
    assert flat.size == len(flat.blob) + 24
    assert not any(name.encode() in flat.blob for name in (*names, *flat.symbols))


def test_what_is_hidden_is_not_exported(object_of):
    text = "define hidden void @hidden() {\n ret void\n}\ndefine void @shown() {\n call void @hidden()\n ret void\n}"
    assert [name for name, _ in flatten(object_of(text)).entries] == ["shown"]


def test_one_object_file_gives_one_blob(object_of):
    for target in ("native:x86-64-v3", "native:aarch64", "native:x86-64:windows"):
        assert flatten(object_of(EVERYTHING, target)) == flatten(object_of(EVERYTHING, target))


# What is refused


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("@x = global i64 1\ndefine ptr @f() {\n ret ptr @x\n}", "section .data is data that can be written"),
        ("@x = global i64 0\ndefine ptr @f() {\n ret ptr @x\n}", "section .bss is zeroed"),
        (
            "@x = thread_local global i64 1\ndefine ptr @f() {\n ret ptr @x\n}",
            "symbol x has binding 1 and type 6, which flat code doesn't have",
        ),
        ("@x = common global i64 0\ndefine ptr @f() {\n ret ptr @x\n}", "symbol x is in the reserved section 0xfff2"),
        (
            "declare void @g()\n@x = constant ptr @g\ndefine ptr @f() {\n ret ptr @x\n}",
            r"R_X86_64_64 at .data.rel.ro\+0x0 \(of g\): what is outside has no address before it is loaded",
        ),
        ("@x = constant i64 1, align 8192\ndefine ptr @f() {\n ret ptr @x\n}", "aligned to 8192; the most is 4096"),
        (
            '@x = constant i8 1\n@g = constant i64 1, section ".init_array"\ndefine ptr @f() {\n ret ptr @g\n}',
            "section .init_array is of type 0xe",
        ),
    ],
)
def test_what_flat_code_does_not_have_is_refused_by_name(object_of, text, message):
    with pytest.raises(FlatError, match=message):
        flatten(object_of(text, "native:x86-64"))


@pytest.mark.parametrize("place", ["getelementptr (i8, ptr @x, i64 8)", "getelementptr (i8, ptr @x, i64 -8)"])
def test_an_address_behind_what_is_outside_is_refused_where_it_is_not_loaded(object_of, place):
    text = f"@x = external global i8\ndefine ptr @f() {{\n ret ptr {place}\n}}"
    with pytest.raises(FlatError, match=r"R_X86_64_PC32 at \.text\+0x3 \(of x\): what is outside has no address"):
        flatten(object_of(text, "native:x86-64:windows"))
    assert flatten(object_of(text.replace(place, "@x"), "native:x86-64:windows")).symbols == ("x",)


def changed_record(data: bytes, section: str, record: int, offset: int, form: str, value: int) -> bytes:
    """An object file with one field changed in one of a section's entries of 24 bytes."""
    headers, names = struct.unpack_from("<Q", data, 40)[0], [one.name for one in read_object(data).sections]
    start = struct.unpack_from("<Q", data, headers + 64 * names.index(section) + 24)[0]
    changed = bytearray(data)
    struct.pack_into(form, changed, start + 24 * record + offset, value)
    return bytes(changed)


@pytest.mark.parametrize(
    ("section", "offset", "form", "value", "message"),
    [
        (
            ".rela.text",
            8,
            "<I",
            25,
            r"relocation 25 of x86-64, at .text\+0x[0-9a-f]+ \(of .+\), is none that flat code has",
        ),
        (".rela.text", 0, "<Q", 1 << 40, "is behind the section's end"),
        (".rela.text", 12, "<I", 1000, ".rela.text refers to symbol 1000; there are"),
        (".rela.text", 16, "<q", 1 << 40, r"a reference reaches over \d+ bytes, which don't fit into 32 bits"),
        (".rela.data.rel.ro", 16, "<q", 1 << 40, r"R_X86_64_64 at .data.rel.ro\+0x0 \(of .*\) points out of the blob"),
        (".symtab", 6, "<H", 0xFFF1, "symbol \\w+ is an absolute address"),
        (".symtab", 6, "<H", 0xFF20, "symbol \\w+ is in the reserved section 0xff20"),
        (".symtab", 6, "<H", 200, "symbol \\w+ is in section 200; there are"),
        (".symtab", 8, "<Q", 1 << 40, "symbol \\w+ is behind the end of section"),
        (".symtab", 4, "<B", 0x1A, "symbol \\w+ has binding 1 and type 10, which flat code doesn't have"),
        (".symtab", 0, "<I", 1 << 30, "a name of this object file has no end"),
    ],
)
def test_what_no_file_of_llvm_has_is_refused_by_name(object_of, section, offset, form, value, message):
    data = object_of(EVERYTHING, "native:x86-64")
    names = [symbol.name for symbol in read_object(data).symbols]
    record = names.index("through_data") if section == ".symtab" else 0
    with pytest.raises(FlatError, match=message):
        flatten(changed_record(data, section, record, offset, form, value))


def test_what_only_a_tool_reads_is_left_out(object_of):
    debugged = """
define i64 @f(i64 %x) !dbg !4 {
  %y = add i64 %x, 1, !dbg !7
  ret i64 %y, !dbg !7
}
!llvm.dbg.cu = !{!0}
!llvm.module.flags = !{!2, !3}
!0 = distinct !DICompileUnit(language: DW_LANG_C, file: !1, emissionKind: FullDebug)
!1 = !DIFile(filename: "a.py", directory: "")
!2 = !{i32 7, !"Dwarf Version", i32 4}
!3 = !{i32 2, !"Debug Info Version", i32 3}
!4 = distinct !DISubprogram(name: "f", file: !1, line: 1, type: !5, unit: !0, spFlags: DISPFlagDefinition)
!5 = !DISubroutineType(types: !6)
!6 = !{null}
!7 = !DILocation(line: 2, scope: !4)
"""
    data = object_of(debugged)
    assert b".debug_line" in data
    plain = object_of("define i64 @f(i64 %x) nounwind {\n %y = add i64 %x, 1\n ret i64 %y\n}")
    assert flatten(data).blob == flatten(plain).blob


# Files that are none


def test_what_is_no_object_file_is_refused(object_of):
    data = object_of(EVERYTHING, "native:x86-64")
    header = list(struct.unpack_from("<16sHHIQQQIHHHHHH", data))
    for number, value, message in [
        (0, b"\x7fELF\x01\x01\x01".ljust(16, b"\0"), "this is no ELF file of 64 bits, little-endian"),
        (1, 3, "this ELF file is of kind 3, not a relocatable object file"),
        (2, 40, "this object file is for machine 40, neither x86-64"),
        (6, len(data), "the section headers of an object file ends behind the file's end"),
        (11, 63, "section headers of 63 bytes"),
        (13, 500, "this object file has no names of sections"),
    ]:
        changed = struct.pack("<16sHHIQQQIHHHHHH", *header[:number], value, *header[number + 1 :]) + data[64:]
        with pytest.raises(FlatError, match=message):
            flatten(changed)
    with pytest.raises(FlatError, match="the header of an object file ends behind"):
        flatten(data[:63])


@pytest.mark.parametrize("target", ["native:x86-64", "native:aarch64"])
def test_a_damaged_object_file_never_crashes(object_of, target):
    data = object_of(EVERYTHING, target)
    headers = struct.unpack_from("<Q", data, 40)[0]
    chance = random.Random(0)
    refused = 0
    for number in range(600):
        damaged = bytearray(data)
        if number % 5 == 0:
            del damaged[chance.randrange(len(data)) :]
        for _ in range(chance.randint(1, 4)):
            if damaged:
                # Half of them where the tables are.
                start = headers if number % 2 and len(damaged) > headers else 0
                place = chance.randrange(start, len(damaged))
                damaged[place] = chance.choice((0, 1, 127, 128, 255, damaged[place] ^ 1 << chance.randrange(8)))
        try:
            flat = flatten(bytes(damaged))
        except FlatError:
            refused += 1
        else:
            assert len(flat.blob) < 1 << 24
    assert refused > 150


@pytest.mark.parametrize("place", [8, 9, 10, 11, 12])
def test_a_section_of_many_gigabytes_costs_no_memory(object_of, place):
    data = bytearray(object_of(EVERYTHING, "native:x86-64"))
    headers = struct.unpack_from("<Q", data, 40)[0]
    number = next(n for n, section in enumerate(read_object(bytes(data)).sections) if section.name == ".text")
    # Its size, and its alignment.
    struct.pack_into("<Q", data, headers + 64 * number + 32, 1 << 4 * place)
    with pytest.raises(FlatError, match=r"section .text of an object file ends behind|behind the"):
        flatten(bytes(data))


# Flat code that does not hold together


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"blob": bytes(15)}, "a flat blob has 15 bytes, which is no multiple of 8"),
        ({"entries": (("f", 17),)}, "refers to itself outside of its blob"),
        ({"entries": (("f", -1),)}, "refers to itself outside of its blob"),
        ({"pointers": ((8, 24),)}, "refers to itself outside of its blob"),
        ({"pointers": ((9, 0),)}, "a pointer of flat code stands outside of its blob"),
    ],
)
def test_flat_code_that_points_out_of_itself_is_refused(changed, message):
    with pytest.raises(FlatError, match=message):
        FlatCode(**{"machine": "x86-64", "blob": bytes(16), "entries": (), **changed})


# Encodings


def encoded(machine: int, number: int, before: bytes, place: int, target: int) -> bytes:
    code = bytearray(place) + before
    MACHINES[machine].kinds[number].encode(code, place, target)
    return bytes(code[place:])


@pytest.mark.parametrize(
    ("number", "before", "place", "target", "after"),
    [
        # adrp x0, one page and its own page on; of the pages of 4,096 bytes.
        (275, 0x90000000, 0x1FF4, 0x2008, 0xB0000000),
        (275, 0x90000000, 0x1000, 0x1FFF, 0x90000000),
        (275, 0x90000000, 0x5000, 0x0123, 0xF0FFFFC0),
        # adr x0
        (274, 0x10000000, 0x100, 0x10A, 0x50000040),
        # add x1, x1, #0x123
        (277, 0x91000021, 0x0, 0x5123, 0x91048C21),
        # ldrb, ldrh, ldr w, ldr x, ldr q
        (278, 0x39400000, 0x0, 0x7001, 0x39400400),
        (284, 0x79400000, 0x0, 0x7002, 0x79400400),
        (285, 0xB9400000, 0x0, 0x7004, 0xB9400400),
        (286, 0xF9400000, 0x0, 0x7008, 0xF9400400),
        (299, 0x3DC00000, 0x0, 0x7010, 0x3DC00400),
        # bl, forwards and backwards; b
        (283, 0x94000000, 0x100, 0x200, 0x94000040),
        (283, 0x94000000, 0x100, 0x0, 0x97FFFFC0),
        (282, 0x14000000, 0x100, 0x104, 0x14000001),
        # b.eq, cbz and ldr of a literal; tbz
        (280, 0x54000000, 0x100, 0x80, 0x54FFFC00),
        (273, 0x58000000, 0x100, 0x108, 0x58000040),
        (279, 0x36000000, 0x100, 0xFC, 0x3607FFE0),
        # Four bytes of data
        (261, 0x0, 0x100, 0x80, 0xFFFFFF80),
    ],
)
def test_references_of_aarch64_are_written_as_its_manual_says(number, before, place, target, after):
    assert encoded(AARCH64, number, before.to_bytes(4, "little"), place, target) == after.to_bytes(4, "little")


@pytest.mark.parametrize(
    ("machine", "number", "place", "target", "message"),
    [
        (X86_64, 2, 0, 1 << 31, "which don't fit into 32 bits"),
        (AARCH64, 283, 0, 1 << 27, "which don't fit into 26 bits"),
        (AARCH64, 283, 0, 2, "a branch goes to 2, where no instruction stands"),
        (AARCH64, 283, 2, 6, "an instruction stands at 2, which is no multiple of 4"),
        (AARCH64, 286, 0, 4, "an instruction reads 8 bytes at 4, which is no multiple of that"),
    ],
)
def test_references_that_can_not_be_written_are_refused(machine, number, place, target, message):
    with pytest.raises(FlatError, match=message):
        encoded(machine, number, bytes(4), place, target)
