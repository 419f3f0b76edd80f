# SPDX-License-Identifier: Apache-2.0
"""The runtime library: each function is compiled once, by itself, and linked into the kernels that call it."""

from __future__ import annotations

import dataclasses
import math
import os
import subprocess
import sys

import numpy as np
import pytest

import smelt
from smelt._wiring import driver
from smelt.caching import CodeInstance
from smelt.compiler.config import CompilerJob
from smelt.compiler.results import ArtifactResults
from smelt.driver import pipeline
from smelt.driver.runtime_library import RuntimeFunctionResults
from smelt.lowering.module import lower_module

KINDS = (smelt.int64[:], smelt.int64[:])


def choices(out, x):
    i = smelt.grid(1)
    out[i] = math.comb(x[i], 3) + math.factorial(3)


def more_choices(out, x):
    i = smelt.grid(1)
    out[i] = math.factorial(4) + math.comb(x[i], 2) * math.perm(x[i], 2)


def code_of(kernel):
    return driver().inferred(CompilerJob(kernel.instance(KINDS), kernel.config))


@pytest.fixture
def compiled_functions(monkeypatch):
    """The names of the functions of the library that are compiled in a test, in which none is known yet."""
    backend = driver().backend_of("native")
    names = []
    compile_function = backend.bitcode
    monkeypatch.setattr(
        backend, "bitcode", lambda job, low: names.append(low.name.strip('"')) or compile_function(job, low)
    )
    return names


def test_a_function_of_the_library_is_compiled_once_for_all_kernels(compiled_functions):
    # Options that no other test compiles with.
    options = {"opt_level": 1, "fastmath": True}
    first, second = smelt.kernel(**options)(choices), smelt.kernel(**options)(more_choices)
    x, out = np.arange(6), np.zeros(6, np.int64)
    first[6](out, x)
    assert out.tolist() == [math.comb(n, 3) + 6 for n in range(6)]
    names = {name.split("(")[0] for name in compiled_functions}
    assert names == {"math.comb", "math.factorial", "smelt.runtime.integers.greatest_common_divisor"}
    count = len(compiled_functions)
    second[6](out, x)
    assert out.tolist() == [24 + math.comb(n, 2) * math.perm(n, 2) for n in range(6)]
    smelt.kernel(name="named", **options)(choices)[6](out, x)
    assert [name.split("(")[0] for name in compiled_functions[count:]] == ["math.perm"]


def test_the_bitcode_is_a_result_of_the_code_instance_of_the_function():
    kernel = smelt.kernel(choices)
    kernel.compile(*KINDS)
    lowered = driver().lowered(CompilerJob(kernel.instance(KINDS), kernel.config), code_of(kernel))
    assert lowered.linked[0][0].startswith("math.comb(int64, ")
    callee = next(edge for edge in code_of(kernel).edges if "math.comb" in str(edge) and isinstance(edge, CodeInstance))
    results = [
        found for (cls, _), found in callee.results(ArtifactResults).by_config.items() if cls is RuntimeFunctionResults
    ]
    assert lowered.linked[0] in [result.bitcode[0] for result in results]
    assert all(result.name == lowered.linked[0][0] for result in results)


def test_nothing_of_the_library_is_seen_from_outside_of_a_kernel():
    text = smelt.code_llvm(smelt.kernel(choices), KINDS)
    defined = [line for line in text.splitlines() if line.startswith("define") and "internal" not in line]
    assert [line.split("@")[1].split("(")[0] for line in defined] == ["smelt_kernel"]


@pytest.mark.parametrize(("place", "message"), [(2, "k must"), (0, "n must"), (1, "factorial")])
def test_an_error_in_the_library_is_that_error_whichever_functions_were_linked_before(place, message):
    @smelt.kernel
    def fails(out, x, n, k):
        i = smelt.grid(1)
        out[i] = math.factorial(x[i])
        out[i] += math.perm(n[i], 1)
        out[i] += math.comb(5, k[i])

    arrays = [np.ones(4, np.int64) for _ in range(3)]
    arrays[(1, 0, 2)[place]][2] = -1
    with pytest.raises(ValueError, match=message) as error:
        fails[4](np.zeros(4, np.int64), *arrays)
    assert "thread (2, 0, 0)" in error.value.__notes__[0]
    assert "raise ValueError" in error.value.__notes__[0]


def test_a_function_that_is_redefined_in_the_library_is_compiled_again(monkeypatch):
    from smelt.runtime import integers

    @smelt.kernel
    def kernel(out, x):
        out[smelt.grid(1)] = math.factorial(x[smelt.grid(1)])

    out = np.zeros(1, np.int64)
    kernel[1](out, np.array([4]))
    assert out[0] == 24
    original = integers.factorial.__code__

    def factorial(n):
        return n * 1000

    monkeypatch.setattr(integers.factorial, "__code__", factorial.__code__)
    kernel[1](out, np.array([4]))
    assert out[0] == 4000
    monkeypatch.setattr(integers.factorial, "__code__", original)
    kernel[1](out, np.array([4]))
    assert out[0] == 24


def test_two_functions_of_one_name_are_not_mixed_up():
    kernel = smelt.kernel(choices)
    job = CompilerJob(kernel.instance(KINDS), kernel.config)

    def linked(callee):
        return driver()._linked(job, callee)

    def linked_as_one(callee):
        found = linked(callee)
        return dataclasses.replace(found, name="one", bitcode=(("one", found.bitcode[0][1]),))

    code = code_of(kernel)
    apart = lower_module(code, pipeline.typed_function, linked=linked)
    mixed = lower_module(code, pipeline.typed_function, linked=linked_as_one)
    assert [name for name, _ in mixed.linked] == ["one"]
    # The others are lowered as any function is.
    assert mixed.text.count("define") > apart.text.count("define") == 1


PROGRAM = """
import hashlib, sys
sys.path.insert(0, sys.argv[1])
import test_runtime_library as tests
import smelt
from smelt._wiring import driver
if len(sys.argv) > 2:
    smelt.kernel(tests.more_choices).compile(*tests.KINDS)
kernel = smelt.kernel(tests.choices)
kernel.compile(*tests.KINDS)
lowered = driver().lowered(tests.CompilerJob(kernel.instance(tests.KINDS), kernel.config), tests.code_of(kernel))
print([(name, hashlib.sha256(bitcode).hexdigest()) for name, bitcode in lowered.linked])
"""


def test_the_bitcode_is_the_same_in_every_process():
    folder = os.path.dirname(__file__)  # noqa: PTH120
    printed = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM, folder, *more],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed, more in (("1", []), ("2", ["more"]))
    }
    assert len(printed) == 1
    # The four functions that `choices` calls or that these call, each with its name and its digest.
    assert printed.pop().count("'") >= 4 * 3
