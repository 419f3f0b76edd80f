# SPDX-License-Identifier: Apache-2.0
"""Modules and libraries that were made to do harm: refused with what is wrong, in bounded time and memory."""

from __future__ import annotations

import contextlib
import struct
import tracemalloc

import pytest
from hypothesis import given, settings, strategies as st

import smelt
from smelt.targets.metal.air import BitstreamError, DowngradeError, downgrade, wrapped
from smelt.targets.metal.air.bitstream import Block, Record, read_bitstream, write_bitstream
from smelt.targets.metal.air.codes import BlockId, ModuleCode, TypeCode
from smelt.targets.metal.air.kernels import constants_of, kernels_of
from smelt.targets.metal.air.program import Integer, Pointer
from smelt.targets.metal.air.reading import read_module
from smelt.targets.metal.metallib import (
    Function,
    FunctionKind,
    Library,
    MetallibError,
    Version,
    read_metallib,
    write_metallib,
)

pytestmark = pytest.mark.once

KERNEL = """
@flag.MTL_FC_INIT_1_b = internal addrspace(2) externally_initialized constant i8 undef, section "air.fc_initializer"
@table = internal addrspace(2) constant [3 x i32] [i32 1, i32 5, i32 9]
declare float @air.fmax.f32(float, float)
define void @scale(ptr addrspace(1) %x, ptr addrspace(2) %factor, i32 %i) {
entry:
  %f = load i8, ptr addrspace(2) @flag.MTL_FC_INIT_1_b
  %is = icmp ne i8 %f, 0
  br i1 %is, label %then, label %done
then:
  %p = getelementptr inbounds float, ptr addrspace(1) %x, i32 %i
  %a = load float, ptr addrspace(1) %p, align 4
  %b = load float, ptr addrspace(2) %factor, align 4
  %c = call float @air.fmax.f32(float %a, float %b)
  store float %c, ptr addrspace(1) %p, align 4
  br label %done
done:
  ret void
}
!air.function_constants = !{!1}
!1 = !{ptr addrspace(2) @flag.MTL_FC_INIT_1_b, !"bool", !"flag", i32 1, i1 true}
"""


@pytest.fixture(scope="module")
def modules(air):
    """The bitcode of a module as LLVM 14 has it, and as LLVM has it today."""
    from smelt.lowering.llvm import module_of_text

    module = module_of_text(air.with_kernel(KERNEL, "scale", air.scale_arguments()))
    return downgrade(module), module.as_bitcode()


def looked_at(bitcode):
    """Everything that is read of a module before it is compiled. Raises nothing but the two errors of bitcode."""
    for read in (lambda: described(bitcode), lambda: downgrade(bitcode)):
        with contextlib.suppress(BitstreamError, DowngradeError):
            read()


def described(bitcode):
    outline = read_module(bitcode, is_outline=True)
    return kernels_of(outline), constants_of(outline)


NUMBERS = st.sampled_from([0, 1, 2, 3, 7, 31, 100, 2**16, 2**31, 2**32 - 1, 2**62, 2**64 - 1])


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.data())
def test_changed_bytes_are_refused_or_read_but_nothing_else(modules, data):
    damaged = bytearray(data.draw(st.sampled_from(modules)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at] = data.draw(st.sampled_from([0, 255, damaged[at] ^ 1, damaged[at] ^ 16, damaged[at] ^ 128]))
    if data.draw(st.integers(0, 3)) == 0:
        del damaged[data.draw(st.integers(0, len(damaged))) :]
    looked_at(bytes(damaged))


@settings(max_examples=120, derandomize=True, deadline=None)
@given(st.data())
def test_changed_records_are_refused_or_read_but_nothing_else(modules, data):
    blocks = read_bitstream(data.draw(st.sampled_from(modules)))
    places = [(block, place) for block in every(blocks) for place in range(len(block.items))]
    for _ in range(data.draw(st.integers(1, 3))):
        block, place = places[data.draw(st.integers(0, len(places) - 1))]
        if place < len(block.items):
            change(block, place, data)
    looked_at(write_bitstream(blocks))


def every(blocks):
    for block in blocks:
        yield block
        yield from every([item for item in block.items if isinstance(item, Block)])


def change(block, place, data):
    item = block.items[place]
    what = data.draw(st.sampled_from(["number", "number", "number", "shorter", "longer", "away", "twice", "code"]))
    if what == "away":
        del block.items[place]
    elif what == "twice":
        block.items.insert(place, item)
    elif isinstance(item, Block):
        item.number = data.draw(st.integers(0, 30))
    elif what == "code":
        item.code = data.draw(st.integers(0, 70))
    elif what == "shorter":
        item.operands = item.operands[: data.draw(st.integers(0, len(item.operands)))]
    elif what == "longer":
        item.operands = [*item.operands, data.draw(NUMBERS)]
    elif item.operands:
        item.operands = list(item.operands)
        item.operands[data.draw(st.integers(0, len(item.operands) - 1))] = data.draw(NUMBERS)


def test_what_is_not_changed_is_read(modules):
    for bitcode in modules:
        (kernel,), (constant,) = described(write_bitstream(read_bitstream(bitcode)))
        assert [buffer.name for buffer in kernel.buffers] == ["x", "factor"]
        assert constant.name == "flag"
        (scale,) = (one for one in read_module(bitcode, is_outline=True).functions if one.name == "scale")
        assert scale.signature.parameters == (Pointer(1), Pointer(2), Integer(32))


# Small files that would take much


class Bits:
    """Writes a bitstream bit by bit."""

    def __init__(self):
        self.text = ""

    def fixed(self, value, width):
        self.text += f"{value:0{width}b}"[::-1]
        return self

    def vbr(self, value, width):
        more = 1 << width - 1
        while value >= more:
            self.fixed(value % more | more, width)
            value //= more
        return self.fixed(value, width)

    def align(self):
        self.text += "0" * (-len(self.text) % 32)
        return self

    def bytes(self):
        self.align()
        return b"BC\xc0\xde" + int(self.text[::-1], 2).to_bytes(len(self.text) // 8, "little")


def in_a_block():
    """A block of number 8, with abbreviations of 4 bits, is entered; what follows is in it."""
    return Bits().fixed(1, 2).vbr(8, 8).vbr(4, 4).align().fixed(0, 32)


def abbreviation(bits, *operands):
    bits.fixed(2, 4).vbr(len(operands), 5)
    for operand in operands:
        if isinstance(operand, int):
            bits.fixed(1, 1).vbr(operand, 8)
        else:
            bits.fixed(0, 1).fixed(operand[0], 3)
            for width in operand[1:]:
                bits.vbr(width, 5)
    return bits


FIXED, VBR, ARRAY, CHARACTER, BLOB = 1, 2, 3, 4, 5

STREAMS = {
    "an abbreviation has an array of nothing": abbreviation(in_a_block(), 1, (ARRAY,), (FIXED, 0))
    .fixed(4, 4)
    .vbr(60, 6),
    "an abbreviation has an array of nothing ": abbreviation(in_a_block(), 1, (ARRAY,), 7).fixed(4, 4).vbr(60, 6),
    "an abbreviation has an array of nothing  ": abbreviation(in_a_block(), 1, (ARRAY,)).fixed(4, 4).vbr(0, 6),
    "an abbreviation has numbers of 65 bits": abbreviation(in_a_block(), 1, (FIXED, 65)),
    "an abbreviation has numbers of 4294967295 bits": abbreviation(in_a_block(), 1, (VBR, 2**32 - 1)),
    "an abbreviation has the encoding 6": abbreviation(in_a_block(), 1, (6,)).fixed(4, 4),
    "a record has no code": abbreviation(in_a_block(), (ARRAY,), (FIXED, 8)).fixed(4, 4).vbr(0, 6).align(),
    "there is no abbreviation 4": in_a_block().fixed(4, 4).align(),
    "there is no abbreviation 5": abbreviation(in_a_block(), 1).fixed(5, 4).align(),
    "a record claims more operands than there are bits": in_a_block().fixed(3, 4).vbr(1, 6).vbr(2**40, 6).align(),
    "a number has more than 64 bits": in_a_block().fixed(3, 4).vbr(2**90, 6).align(),
    "a blob ends behind the bitcode": abbreviation(in_a_block(), 1, (BLOB,))
    .fixed(4, 4)
    .vbr(30, 6)
    .align()
    .fixed(0, 64),
    "the bitcode ends in the middle of a record": in_a_block().fixed(3, 4).vbr(1, 6).vbr(3, 6).vbr(5, 6),
    "something else than a block stands at the top": Bits().fixed(3, 2).fixed(0, 64),
    "blocks are nested too deeply": Bits().fixed(1, 2).vbr(8, 8).vbr(2, 4).align().fixed(0, 32),
}
for _ in range(70):
    STREAMS["blocks are nested too deeply"].fixed(1, 2).vbr(8, 8).vbr(2, 4).align().fixed(0, 32)


@pytest.mark.parametrize("message", STREAMS)
def test_a_stream_that_can_not_be_is_refused_with_what_is_wrong(message):
    with pytest.raises(BitstreamError, match=message.strip()):
        read_bitstream(STREAMS[message].bytes())


def module_of(*types, functions=0):
    """A module of such types, with so many functions of the last of them."""
    table = Block(BlockId.TYPE, [Record(TypeCode.NUMENTRY, [len(types)]), *types])
    declared = [Record(ModuleCode.FUNCTION, [0, 0, len(types) - 1, 0, 1, 0, 0]) for _ in range(functions)]
    return write_bitstream([Block(BlockId.MODULE, [table, *declared])])


def test_a_type_that_is_all_types_many_times_over_is_refused():
    bitcode = module_of(
        Record(TypeCode.INTEGER, [32]), *(Record(TypeCode.STRUCT_ANON, [0, below, below]) for below in range(60))
    )
    assert len(bitcode) < 1000
    for read in (lambda: read_module(bitcode, is_outline=True), lambda: downgrade(bitcode)):
        with pytest.raises(DowngradeError, match="the module has a type of more than 65536 parts"):
            read()
    # One that is deep only is too deep for what looks at its parts.
    arrays = [Record(TypeCode.ARRAY, [1, below]) for below in range(5000)]
    deep = module_of(Record(TypeCode.INTEGER, [32]), *arrays, Record(TypeCode.FUNCTION, [0, 0, 5000]), functions=1)
    assert kernels_of(read_module(deep, is_outline=True)) == ()
    with pytest.raises(BitstreamError, match="the bitcode is damaged: RecursionError"):
        downgrade(deep)


def test_functions_of_very_many_parameters_are_refused():
    bitcode = module_of(Record(TypeCode.VOID, []), Record(TypeCode.FUNCTION, [0, 0, *[0] * 20_000]), functions=10)
    assert len(bitcode) < 50_000
    with pytest.raises(DowngradeError, match="the functions of the module have more than 131072 parameters"):
        downgrade(bitcode)
    assert kernels_of(read_module(bitcode, is_outline=True)) == ()


def test_a_library_whose_functions_lie_on_one_another_is_refused():
    functions = [Function(f"f{number}", bytes(16), Version(2, 6), Version(3, 1)) for number in range(500)]
    functions.append(Function("large", b"x" * 100_000, Version(2, 6), Version(3, 1)))
    data = bytearray(write_metallib(Library(functions)))
    # Each is made to have the module of the last: from there on, with its size and its digest.
    at = data.index(b"large\0")
    large = {
        name: bytes(data[data.index(name, at) :][: size + 6])
        for name, size in ((b"HASH", 32), (b"OFFT", 24), (b"MDSZ", 8))
    }
    for number in range(500):
        at = data.index(f"f{number}\0".encode())
        for name, written in large.items():
            place = data.index(name, at)
            data[place : place + len(written)] = written
    assert len(data) < 200_000
    tracemalloc.start()
    try:
        with pytest.raises(MetallibError, match="the parts of the functions are larger than the file"):
            read_metallib(bytes(data))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10 * len(data)


# Modules that say of their kernels what can't be


def refusal(air, text, arguments, *attributes, name="k"):
    """What the device says of a kernel when it is asked for it."""
    library = smelt.metal.library(air.metallib((air.with_kernel(text, name, arguments, *attributes), name)))
    with pytest.raises(smelt.metal.DeviceError) as error:
        library.function(name)
    return str(error.value)


ONE = "define void @k(ptr addrspace(1) %a) {\n  ret void\n}"


@pytest.mark.parametrize(
    ("described", "message"),
    [
        ([], "the module of k can't be understood: k has 1 parameters, and 0 are described"),
        (["buffer 0 0", "buffer 1 1"], "k has 1 parameters, and 2 are described"),
        (["buffer 1 0"], "parameter 0 of k is described as number 1"),
        (["buffer 0 31"], "the argument a is buffer 31; there are 31"),
        (["buffer 0 -1"], "the argument a is buffer -1; there are 31"),
        (["!{i32 0}"], "the argument  is of a sort that is not known"),
        (['!{i32 0, !"air.buffer"}'], "the bitcode is damaged: KeyError: 'air.location_index'"),
        (['!{i32 0, !"air.buffer", !"air.location_index", i32 0}'], "the bitcode is damaged"),
        (['!{i32 0, !"air.buffer", !"air.location_index"}'], "the bitcode is damaged"),
        (["!{!{}}"], "the description of a kernel has something else where a number should be"),
        (["!{float 1.0}"], "the description of a kernel has something else where a number should be"),
        (["!{i32 0, i32 1}"], "the description of a kernel has something else where a text should be"),
    ],
)
def test_a_description_that_can_not_be_is_refused(air, described, message):
    arguments = [air.buffer(*map(int, one.split()[1:])) if one.startswith("buffer") else one for one in described]
    assert message in refusal(air, ONE, arguments)


def test_an_old_description_names_no_address_space(air):
    from smelt.lowering.llvm import module_of_text

    argument = air.buffer(0, 0).replace('!"air.address_space", i32 1, ', "")
    bitcode = downgrade(module_of_text(air.with_kernel(ONE, "k", [argument])))
    (kernel,), _ = described(bitcode)
    assert [buffer.space for buffer in kernel.buffers] == [1]


@pytest.mark.parametrize(("size", "align"), [(-4, 4), (4, 0), (4, 3), (4, -8)])
def test_sizes_and_alignments_that_can_not_be_are_refused(air, size, align):
    argument = air.buffer(0, 0).replace('"air.arg_type_size", i32 4', f'"air.arg_type_size", i32 {size}')
    argument = argument.replace('"air.arg_type_align_size", i32 4', f'"air.arg_type_align_size", i32 {align}')
    assert f"the argument a points to {size} bytes, aligned to {align}" in refusal(air, ONE, [argument])


def test_a_kernel_of_no_threads_is_refused(air):
    none = '!{!"air.max_work_group_size", i32 0}'
    assert "k has at most 0 threads in a threadgroup" in refusal(air, ONE, [air.buffer(0, 0)], none)


def test_a_kernel_of_more_threads_than_there_can_be_has_as_many_as_the_device(air):
    many = '!{!"air.max_work_group_size", i32 1000000}'
    library = smelt.metal.library(air.metallib((air.with_kernel(ONE, "k", [air.buffer(0, 0)], many), "k")))
    assert library.function("k").pipeline.max_total_threads_per_threadgroup == 1024


def test_more_threadgroup_memory_than_there_is_is_refused(air):
    text = (
        "@shared = internal addrspace(3) global [1000000000000 x float] undef\n"
        "define void @k(ptr addrspace(1) %a) {\n"
        "  %v = load float, ptr addrspace(3) @shared\n  store float %v, ptr addrspace(1) %a\n  ret void\n}"
    )
    said = ""
    library = smelt.metal.library(air.metallib((air.with_kernel(text, "k", [air.buffer(0, 0)]), "k")))
    try:
        library.function("k")({}, threads=1)
    except smelt.metal.DeviceError as error:
        said = str(error)
    assert "a threadgroup of k needs 4000000000000 bytes of memory; it has 32768" in said


def test_a_library_of_graphics_functions_only_says_so(air):
    data = air.metallib((air.with_kernel("define void @corner() {\n  ret void\n}", "corner", []), "corner"))
    library = read_metallib(data)
    text = (
        air.HEAD
        + "define void @corner() {\n  ret void\n}\n!air.vertex = !{!0}\n!0 = !{ptr @corner, !1, !1}\n!1 = !{}\n"
    )
    from smelt.lowering.llvm import module_of_text

    library.functions[0].module = wrapped(downgrade(module_of_text(text)))
    library.functions[0].kind = FunctionKind.VERTEX
    opened = smelt.metal.library(write_metallib(library))
    assert opened.functions == ("corner",)
    with pytest.raises(smelt.metal.DeviceError, match="corner is no kernel, but a vertex function"):
        opened.function("corner")
    library.functions[0].kind = 77
    with pytest.raises(smelt.metal.DeviceError, match=r"corner is no kernel$"):
        smelt.metal.library(write_metallib(library)).function("corner")


def test_bitcode_that_is_none_is_refused_by_name():
    for module, message in ((b"", "does not begin with 'BC' 0xC0DE"), (b"BC\xc0\xde", "the bitcode is damaged")):
        data = write_metallib(Library([Function("k", module, Version(2, 6), Version(3, 1))]))
        with pytest.raises(smelt.metal.DeviceError, match=f"the module of k can't be understood: .*{message}"):
            smelt.metal.library(data).function("k")
    size = struct.pack("<5I", 0x0B17C0DE, 0, 20, 2**32 - 1, 0)
    with pytest.raises(BitstreamError):
        read_module(size + b"BC\xc0\xde")
