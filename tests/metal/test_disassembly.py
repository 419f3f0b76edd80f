# SPDX-License-Identifier: Apache-2.0
"""Bitcode is read in a process of its own: what makes LLVM end doesn't end this one."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest

from smelt.lowering.llvm import module_of_text
from smelt.targets.metal.devices.errors import DeviceError
from smelt.targets.metal.devices.software.disassembly import Disassembler
from smelt.targets.metal.metallib import read_metallib

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def bitcode(air):
    text = """
define void @scale(ptr addrspace(1) %x, i32 %i) {
  %p = getelementptr inbounds float, ptr addrspace(1) %x, i32 %i
  store float 1.0, ptr addrspace(1) %p, align 4
  ret void
}
"""
    arguments = [air.buffer(0, 0, "x"), air.quantity(1, "thread_position_in_grid")]
    return read_metallib(air.metallib((air.with_kernel(text, "scale", arguments), "scale"))).functions[0].module


@pytest.fixture
def disassembler():
    made = Disassembler()
    yield made
    made.close()


def test_what_llvm_reads_comes_back_as_text(disassembler, bitcode):
    first = disassembler.text_of(bitcode, "scale")
    assert "define void @scale(ptr addrspace(1) %x, i32 %i)" in first
    process = disassembler._process
    assert disassembler.text_of(bitcode, "scale") == first
    assert disassembler._process is process


def test_a_process_that_was_started_before_reads_the_first_module(disassembler, bitcode):
    disassembler.start()
    process = disassembler._process
    disassembler.start()
    assert "@scale" in disassembler.text_of(bitcode, "scale")
    assert disassembler._process is process


def test_what_llvm_refuses_is_an_error_with_what_it_says(disassembler):
    with pytest.raises(DeviceError, match=r"the module of scale is damaged: \w+"):
        disassembler.text_of(b"BC\xc0\xde" + bytes(40), "scale")


def test_what_llvm_can_read_but_not_verify_is_refused(disassembler):
    module = module_of_text("define void @k() {\nentry:\n  br label %entry\n}\n")
    with pytest.raises(
        DeviceError, match="the module of k is damaged: Entry block to function must not have predecessors"
    ):
        disassembler.text_of(module.as_bitcode(), "k")


def test_no_bitcode_takes_this_process_along(disassembler, bitcode):
    draw = random.Random(7)
    ends = 0
    for _ in range(25):
        damaged = bytearray(bitcode)
        for _ in range(2):
            damaged[draw.randrange(20, len(damaged))] ^= 1 << draw.randrange(8)
        try:
            said = disassembler.text_of(bytes(damaged), "scale")
        except DeviceError as error:
            said = str(error)
        assert "define" in said or said.startswith("the module of scale is damaged: ")
        ends += said.endswith("LLVM ends, or goes on for ever, when it reads it")
    assert "define void @scale" in disassembler.text_of(bitcode, "scale")
    # It was not all in vain: one that LLVM ends for was among them, or this LLVM checks nothing.
    assert ends < 20


def test_a_module_that_takes_too_long_is_given_up(bitcode):
    disassembler = Disassembler(most_seconds=0.0)
    with pytest.raises(DeviceError, match="LLVM ends, or goes on for ever, when it reads it"):
        disassembler.text_of(bitcode, "scale")
    assert disassembler._process is None
    disassembler.close()


def test_where_no_process_can_be_started_is_an_error(bitcode, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(DeviceError, match=r"a process that reads modules can't be started: .*/no/such/python"):
        Disassembler().text_of(bitcode, "scale")


def test_the_process_ends_with_this_one(bitcode, tmp_path):
    path = tmp_path / "a.bc"
    path.write_bytes(bitcode)
    program = (
        "import sys, pathlib\n"
        "from smelt.targets.metal.devices.software import disassembly\n"
        "print(len(disassembly.disassembled(pathlib.Path(sys.argv[1]).read_bytes(), 'scale')) > 100)\n"
        "print('llvmlite' in sys.modules)\n"
    )
    command = [sys.executable, "-W", "error", "-c", program, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert (done.stdout, done.stderr) == ("True\nFalse\n", "")
