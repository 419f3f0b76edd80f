# SPDX-License-Identifier: Apache-2.0
"""Looking into kernels: what they are compiled to, stage by stage, and when."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
import pytest

import smelt
from smelt.compiler.config import CompilerJob

ARRAY = smelt.float32[:]
KINDS = (ARRAY, float, ARRAY)


def scaled(a, x):
    return a * x


def scale(out, a, x):
    i = smelt.grid(1)
    out[i] = scaled(a, x[i])


def factorial(n):
    return 1 if n < 2 else n * factorial(n - 1)


def write_factorial(out, n):
    out[0] = factorial(n)
    print("n is", n)  # noqa: T201


def refused(out):
    out[0.5] = 1


def test_the_typed_program_shows_every_operation_with_its_type():
    lines = smelt.code_typed(smelt.kernel(scale), KINDS).splitlines()
    assert lines[0].startswith("function ")
    assert lines[0].endswith("(out: float32[:], a: weak float, x: float32[:]) -> None")
    assert lines[1] == "block0:"
    assert any(line.split(" = ")[1].startswith("call a ") for line in lines if "float32 = call" in line)
    assert lines[-1].strip() == "return"


def test_the_typed_program_shows_recursive_calls_and_what_is_printed():
    text = smelt.code_typed(smelt.kernel(write_factorial), (smelt.int64[:], int))
    assert re.search(r"= call n callee=.*factorial\(weak int\)", text)
    assert "print n template=('n is ', (('number', 'int64', True), 's', ''), '\\n')" in text


@pytest.mark.parametrize("debug_level", [0, 2])
@pytest.mark.parametrize("optimised", [False, True])
def test_the_llvm_ir_can_be_read_by_llvm(optimised, debug_level):
    kernel = smelt.kernel(debug_level=debug_level)(scale)
    module = llvm.parse_assembly(smelt.code_llvm(kernel, KINDS, optimised=optimised), llvm.create_context())
    module.verify()
    names = {function.name for function in module.functions}
    assert ("smelt_kernel" in names) == optimised
    assert ("!dbg" in str(module)) == bool(debug_level)


def test_what_is_shown_depends_on_the_options_of_the_kernel():
    texts = {
        smelt.code_llvm(smelt.kernel(**options)(scale), KINDS)
        for options in ({}, {"boundscheck": False}, {"fastmath": True}, {"opt_level": 0}, {"debug_level": 1})
    }
    assert len(texts) == 5
    assert "fast" in smelt.code_llvm(smelt.kernel(fastmath=True)(scale), KINDS)


def test_the_assembly_has_the_entry_point_and_lines_at_a_debug_level():
    assembly = smelt.code_native(smelt.kernel(scale), KINDS)
    assert "smelt_kernel:" in assembly
    assert "\tret" in assembly
    assert ".loc" not in assembly
    assert ".loc" in smelt.code_native(smelt.kernel(debug_level=1)(scale), KINDS)


@pytest.mark.parametrize("show", [smelt.code_typed, smelt.code_llvm, smelt.code_native])
def test_what_cannot_be_compiled_is_refused_as_by_a_launch(show):
    with pytest.raises(smelt.KernelError, match="an index is an integer"):
        show(smelt.kernel(refused), (ARRAY,))
    with pytest.raises(smelt.LaunchError, match="takes 1 argument"):
        show(smelt.kernel(refused), (ARRAY, ARRAY))


@pytest.mark.parametrize("show", [smelt.code_typed, smelt.code_llvm, smelt.code_native])
def test_types_are_written_as_users_write_them(show):
    kernel = smelt.kernel(write_factorial)
    assert show(kernel, (smelt.int64[:], int)) == show(kernel, (smelt.types.typeof(np.zeros(1, np.int64)), int))


PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
import test_reflection as program
import smelt
print(program.everything_shown())
"""


def everything_shown():
    shows = (smelt.code_typed, smelt.code_llvm, smelt.code_native)
    return "\n".join(show(smelt.kernel(scale), KINDS) for show in shows)


def test_the_same_is_shown_in_every_process():
    command = [sys.executable, "-c", PROGRAM, str(Path(__file__).parent)]
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    ran = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    # But for the module, whose name depends on how the tests are run.
    assert ran.stdout.rstrip("\n").replace("test_reflection", __name__) == everything_shown().rstrip("\n")


def test_a_hook_sees_each_job_that_is_compiled_until_it_ends():
    seen: list[CompilerJob] = []
    kernel, out = smelt.kernel(opt_level=1)(scale), np.zeros(4, np.float32)
    end = smelt.on_compile(seen.append)
    for _ in range(2):
        kernel[4](out, 2.0, np.ones(4, np.float32))
    assert [str(job.instance).rpartition(".")[2] for job in seen] == ["scale(float32[:], weak float, float32[:])"]
    assert seen[0].config.opt_level == 1
    kernel[4](out, 2, np.ones(4, np.float32))
    assert len(seen) == 2
    end()
    kernel[4](np.zeros(4), 2, np.ones(4))
    assert len(seen) == 2


def test_a_hook_may_be_ended_twice_and_others_go_on():
    first, second = [], []
    ends = [smelt.on_compile(first.append), smelt.on_compile(second.append)]
    ends[0]()
    ends[0]()
    smelt.kernel(name="another")(scale).compile(*KINDS)
    ends[1]()
    assert (len(first), len(second)) == (0, 1)


def test_what_a_hook_raises_the_launch_raises_and_the_next_one_compiles():
    def refuse(job):
        raise PermissionError(f"not {job.config.name}")

    kernel = smelt.kernel(name="forbidden")(scale)
    arrays = np.zeros(4, np.float32), 2.0, np.ones(4, np.float32)
    end = smelt.on_compile(refuse)
    with pytest.raises(PermissionError, match="not forbidden"):
        kernel[4](*arrays)
    end()
    kernel[4](*arrays)
    assert arrays[0].tolist() == [2.0] * 4


def test_the_same_hook_given_twice_is_called_twice():
    seen = []
    ends = [smelt.on_compile(seen.append), smelt.on_compile(seen.append)]
    smelt.kernel(name="seen twice")(scale).compile(*KINDS)
    ends[0]()
    smelt.kernel(name="seen once")(scale).compile(*KINDS)
    ends[1]()
    assert len(seen) == 3
