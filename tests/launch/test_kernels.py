"""Kernels: what is launched runs once for each thread, is compiled once, and compiled again when what it rests on changes."""

from __future__ import annotations

import dataclasses
import pickle
import random
import re
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import smelt
from smelt.targets.native.errors import LinkError
from smelt.targets.native.kernels.loading import NativeKernel

FACTOR = 3


def scaled(value):
    return FACTOR * value


@smelt.kernel
def write_scaled(out, values):
    i = smelt.grid(1)
    out[i] = scaled(values[i])


@smelt.kernel
def count_threads(out):
    x, y, z = smelt.grid(3)
    out[z, y, x] += 1


@smelt.kernel
def write_indices(position, in_group, group):
    i = smelt.thread_position_in_grid().x
    position[i] = i
    in_group[i] = smelt.thread_position_in_threadgroup().x
    group[i] = smelt.threadgroup_position_in_grid().x


@smelt.kernel
def write_sizes(out):
    out[0] = smelt.threads_per_grid().x
    out[1] = smelt.threads_per_threadgroup().x
    out[2] = smelt.threadgroups_per_grid().x
    out[3] = smelt.gridsize(1)
    out[4], out[5] = smelt.gridsize(2)


@smelt.kernel
def write_beyond(out):
    out[smelt.grid(1) + 3] = 1


@smelt.kernel
def divide(out, divisors):
    i = smelt.grid(1)
    out[i] = 100 // divisors[i]


@smelt.kernel
def returns_something(out):
    return out[0]


@smelt.kernel
def uses_a_list(out):
    out[0] = len([1, 2])


@smelt.kernel(boundscheck=False)
def unchecked(out, values):
    i = smelt.grid(1)
    out[i] = values[i]


def compilations():
    return smelt.stats().compilations


@pytest.mark.parametrize(
    ("launcher", "threads"),
    [
        (count_threads.over(5, 3, 2), (2, 3, 5)),
        (count_threads[7], (1, 1, 7)),
        (count_threads[3, 4], (1, 1, 12)),
        (count_threads[(2, 3), (4, 2)], (1, 6, 8)),
        (count_threads.configure((1, 2, 3), 2), (3, 2, 2)),
        (count_threads[0], (1, 1, 0)),
    ],
)
def test_every_thread_of_the_grid_runs_once_and_none_beyond(launcher, threads):
    out = np.zeros((4, 8, 16), np.int32)
    launcher(out)
    expected = np.zeros_like(out)
    expected[tuple(map(slice, threads))] = 1
    np.testing.assert_array_equal(out, expected)


def test_a_thread_knows_its_place_in_the_grid_and_in_its_group():
    position, in_group, group = (np.full(12, -1) for _ in range(3))
    write_indices[3, 4](position, in_group, group)
    np.testing.assert_array_equal(position, np.arange(12))
    np.testing.assert_array_equal(in_group, np.arange(12) % 4)
    np.testing.assert_array_equal(group, np.arange(12) // 4)


def test_a_thread_knows_the_sizes_of_the_grid():
    out = np.zeros(6, np.int64)
    write_sizes[(5, 2), (4, 3)](out)
    assert out.tolist() == [20, 4, 5, 20, 20, 6]


def test_a_launcher_can_be_kept():
    launch = write_scaled.configure(2, 4)
    for dtype in (np.float32, np.int16):
        out, values = np.zeros(8, dtype), np.arange(8, dtype=dtype)
        launch(out, values)
        np.testing.assert_array_equal(out, FACTOR * values)


def test_the_second_launch_compiles_nothing():
    out, values = np.zeros(4, np.uint32), np.arange(4, dtype=np.uint32)
    before = compilations()
    write_scaled[4](out, values)
    assert compilations() == before + 1
    write_scaled[4](out, values)
    write_scaled[2, 2](out, values)
    assert compilations() == before + 1


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A module of its own with a kernel, a callee and a constant."""
    (tmp_path / "changing_program.py").write_text(
        "import smelt\n"
        "SHIFT = 1\n"
        "OTHER = 1\n"
        "def inner(value):\n    return value + SHIFT\n"
        "def doubled(value):\n    return 2 * inner(value)\n"
        "def tripled(value):\n    return 3 * inner(value)\n"
        "def helper(value):\n    return doubled(value)\n"
        "@smelt.kernel\n"
        "def run(out):\n    out[smelt.grid(1)] = helper(10)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    module = __import__("changing_program")
    yield module
    del sys.modules["changing_program"]


def run(module):
    out = np.zeros(1, np.int64)
    before = compilations()
    module.run[1](out)
    return int(out[0]), compilations() - before


@pytest.mark.parametrize(
    ("change", "result"),
    [
        (lambda module: setattr(module, "SHIFT", 5), 30),
        (lambda module: setattr(module, "helper", module.tripled), 33),
        (lambda module: setattr(module, "doubled", module.tripled), 33),
        (lambda module: setattr(module.helper, "__code__", module.tripled.__code__), 33),
        (lambda module: setattr(module.inner, "__code__", module.tripled.__code__), None),
    ],
    ids=[
        "constant of a callee's callee",
        "callee",
        "callee's callee",
        "code of the callee",
        "a function that calls itself now",
    ],
)
def test_a_change_compiles_again_at_the_next_launch(program, change, result):
    assert run(program) == (22, 1)
    assert run(program) == (22, 0)
    change(program)
    if result is None:
        with pytest.raises(smelt.KernelError, match="calls itself"):
            run(program)
    else:
        assert run(program) == (result, 1)
        assert run(program) == (result, 0)


def test_smelt_tells_why_a_kernel_was_compiled_again(program):
    run(program)
    # Of other tests' modules of this name.
    earlier = smelt.why(program.run)
    program.SHIFT = 5
    run(program)
    line, *others = smelt.why(program.run)
    assert tuple(others) == earlier
    assert line.startswith("changing_program.SHIFT was rebound; changing_program.inner(weak int) depends on it, which")
    assert "changing_program.doubled(weak int) depends on, which changing_program.helper(weak int) depends on" in line
    assert "which changing_program.run(int64[:]) depends on" in line


@pytest.mark.parametrize(
    "change",
    [
        lambda module: setattr(module, "OTHER", 2),
        lambda module: setattr(module, "SHIFT", 2 - 1),
        lambda module: setattr(module, "unheard_of", 1),
        lambda module: setattr(module.helper, "__doc__", "New."),
        lambda module: setattr(module.tripled, "__code__", module.inner.__code__),
    ],
    ids=["unrelated constant", "equal constant", "new name", "docstring", "unrelated function"],
)
def test_what_a_kernel_does_not_depend_on_compiles_nothing(program, change):
    assert run(program) == (22, 1)
    change(program)
    assert run(program) == (22, 0)


def test_an_overlay_replaces_a_function_in_kernels(program):
    assert run(program) == (22, 1)

    @smelt.overlay(program.inner, (object,))
    def never(value):
        return value

    assert run(program) == (22, 0), "no number is an `object` in a kernel"


@smelt.kernel
def calls_a_kernel(out, values):
    write_scaled(out, values)


def test_a_kernel_that_is_called_in_a_kernel_is_an_ordinary_function():
    out, values = np.zeros(3), np.arange(3.0)
    calls_a_kernel[3](out, values)
    np.testing.assert_array_equal(out, FACTOR * values)


def test_options_are_compiled_side_by_side_from_one_inference():
    values, out = np.arange(3.0), np.zeros(3)
    kernels = [smelt.kernel(**options)(scaled_copy) for options in ({}, {"fastmath": True}, {"opt_level": 0})]
    before = smelt.stats()
    for kernel in kernels:
        out[:] = 0
        kernel[3](out, values)
        np.testing.assert_array_equal(out, values + 1)
    after = smelt.stats()
    assert after.compilations - before.compilations == 3
    assert after.inferences - before.inferences == 1


def scaled_copy(out, values):
    i = smelt.grid(1)
    out[i] = values[i] + 1


def test_an_index_that_is_out_of_bounds_is_an_index_error_with_line_and_thread():
    out = np.zeros(5)
    with pytest.raises(IndexError, match="out: index is out of bounds for dimension 0") as raised:
        write_beyond[10](out)
    (note,) = raised.value.__notes__
    assert "in thread (2, 0, 0) of the grid, write_beyond at" in note
    assert "out[smelt.grid(1) + 3] = 1" in note
    assert out.tolist() == [0, 0, 0, 1, 1], "what ran before the error stays"


def test_the_first_error_wins_and_the_kernel_can_be_used_again():
    divisors = np.array([1, 0, 2, 0])
    out = np.zeros(4, np.int64)
    with pytest.raises(ZeroDivisionError, match="integer division or modulo by zero") as raised:
        divide[4](out, divisors)
    assert "in thread (1, 0, 0)" in raised.value.__notes__[0]
    divisors[divisors == 0] = 5
    divide[4](out, divisors)
    assert out.tolist() == [100, 20, 50, 20]


@smelt.kernel
def fail_at(out, wanted):
    x, y, z = smelt.grid(3)
    out[z, y, x] = 1
    if (x, y, z) == wanted:
        raise ValueError("here")


@pytest.mark.parametrize("wanted", [(0, 0, 0), (3, 1, 0), (2, 0, 1), (4, 2, 1)])
def test_the_error_of_a_thread_ends_a_launch_in_three_dimensions(wanted):
    out = np.zeros((2, 3, 5), np.int32)
    with pytest.raises(ValueError, match="here") as raised:
        fail_at.over(5, 3, 2)(out, wanted)
    assert f"in thread {wanted} of the grid" in raised.value.__notes__[0]
    x, y, z = wanted
    assert out.ravel().tolist() == [1] * (15 * z + 5 * y + x + 1) + [0] * (30 - (15 * z + 5 * y + x + 1))


def test_bounds_checks_can_be_turned_off():
    out, values = np.zeros(3), np.arange(3.0)
    unchecked[3](out, values)
    assert out.tolist() == [0, 1, 2]
    kinds = (smelt.float64[:], smelt.float64[:])
    assert "IndexError" not in str(unchecked.compile(*kinds).error_sites)
    assert "IndexError" in str(smelt.kernel(unchecked.function).compile(*kinds).error_sites)


@pytest.mark.parametrize(
    ("launch", "message"),
    [
        (lambda: write_scaled[-1](np.zeros(1), np.zeros(1)), "the number of threads can't be negative: -1"),
        (lambda: write_scaled[1.5](np.zeros(1), np.zeros(1)), "the number of threads is an integer, not 1.5"),
        (lambda: write_scaled[1, 2, 3](np.zeros(1), np.zeros(1)), r"kernel\[threads\] or kernel\[groups, threads\]"),
        (lambda: write_scaled[1, 0](np.zeros(1), np.zeros(1)), "a group has at least one thread"),
        (lambda: write_scaled.over(1, 2, 3, 4), "1, 2 or 3 dimensions, not 4"),
        (
            lambda: write_scaled.over((4, 5)),
            r"is an integer, not \(4, 5\); for a tuple write over\(\*shape\), x first$",
        ),
        (lambda: write_scaled.over(2**40, 2**40), "more threads than can be counted"),
        (lambda: write_scaled(np.zeros(1), np.zeros(1)), "is a kernel: say how many threads"),
        (lambda: write_scaled[1](np.zeros(1)), r"write_scaled takes 2 arguments \(out, values\), not 1"),
        (
            lambda: write_scaled[1](np.zeros(1), [1, 2]),
            "argument values: a kernel can't use a list; use a tuple, or a NumPy",
        ),
        (lambda: returns_something[1](np.zeros(1)), "returns_something returns a float64; a kernel returns nothing"),
    ],
)
def test_a_wrong_launch_says_so_before_anything_runs(launch, message):
    with pytest.raises(smelt.LaunchError, match=message):
        launch()


def test_what_a_kernel_can_not_do_is_refused_with_its_line():
    with pytest.raises(smelt.KernelError) as raised:
        uses_a_list[1](np.zeros(1))
    shown = str(raised.value)
    assert "in uses_a_list: kernels have no lists" in shown
    assert "    out[0] = len([1, 2])\n                 ^^^^^^" in shown
    assert "help: use a tuple" in shown
    assert raised.value.line == uses_a_list.function.__code__.co_firstlineno + 2


def sums(out):
    out[0] = np.sum(out)


def makes_an_array(out):
    out[0] = np.zeros(3)[0]


def draws(out):
    out[0] = random.random()


def draws_by_numpy(out):
    out[0] = np.random.random()  # noqa: NPY002 - what is refused


def misspells(out):
    out[0] = np.sinn(out[0])


@pytest.mark.parametrize(
    ("function", "message", "instead"),
    [
        (sums, "kernels have no numpy.sum", "loop over the elements"),
        (makes_an_array, "kernels have no numpy.zeros", "smelt.thread_array"),
        (draws, "kernels have no Random.random", "smelt.random_uniform"),
        (draws_by_numpy, "can't use a method", "smelt.random_uniform"),
        (misspells, "numpy has no attribute sinn", ""),
    ],
)
def test_the_help_says_what_to_write_instead(function, message, instead):
    with pytest.raises(smelt.KernelError, match=message) as raised:
        smelt.kernel(function)[1](np.zeros(1))
    assert instead in raised.value.help


def test_the_way_through_the_compiler_is_not_shown():
    with pytest.raises(smelt.KernelError) as launched:
        uses_a_list[1](np.zeros(1))
    with pytest.raises(smelt.KernelError) as compiled:
        uses_a_list.compile(smelt.float64[:], target="native:x86-64-v3")
    for raised in (launched, compiled):
        files = {Path(str(entry.path)).parent.name for entry in raised.traceback}
        assert files == {"launch"}  # of this test, and of smelt
        assert raised.value.__cause__ is None


def test_an_error_of_a_kernel_comes_from_another_process_as_it_is():
    with pytest.raises(smelt.KernelError) as raised:
        uses_a_list[1](np.zeros(1))
    again = pickle.loads(pickle.dumps(raised.value))
    assert (str(again), again.line, again.args) == (str(raised.value), raised.value.line, raised.value.args)


def test_a_mistake_in_a_callee_is_shown_with_the_calls_that_led_to_it(program):
    program.SHIFT = "text"
    with pytest.raises(smelt.KernelError) as raised:
        run(program)
    assert "in inner: bad operands for +: a weak int and a constant 'text'" in str(raised.value)
    assert "called from doubled" in str(raised.value)
    assert "called from helper" in str(raised.value)
    assert "called from run" in str(raised.value)


def test_a_failed_compilation_leaves_nothing_and_fails_again():
    before = smelt.stats()
    for _ in range(2):
        with pytest.raises(smelt.KernelError):
            uses_a_list[1](np.zeros(1, np.int8))
    assert smelt.stats().compilations == before.compilations


def test_what_is_compiled_can_be_looked_at():
    kinds = (smelt.float32[:], smelt.float32[:])
    assert re.search(r"%\d+: float32 = call %\d+ callee=.*scaled\(float32\)", smelt.code_typed(write_scaled, kinds))
    assert "define internal" in smelt.code_llvm(write_scaled, kinds, optimised=False)
    assert "smelt_kernel" in smelt.code_llvm(write_scaled, kinds)
    assert "smelt_kernel" in smelt.code_native(write_scaled, kinds)


def test_a_hook_sees_each_compilation():
    seen = []
    end = smelt.on_compile(seen.append)
    try:
        write_scaled.compile(smelt.complex64[:], smelt.complex64[:])
        write_scaled.compile(smelt.complex64[:], smelt.complex64[:])
    finally:
        end()
    write_scaled.compile(smelt.complex128[:], smelt.complex128[:])
    assert [job.instance.types for job in seen] == [(smelt.complex64[:], smelt.complex64[:])]


@pytest.mark.parametrize("wrong", [print, 3, type("C", (), {})])
def test_only_python_functions_become_kernels(wrong):
    with pytest.raises(TypeError, match="a kernel is made of a Python function"):
        smelt.kernel(wrong)


def test_an_option_that_there_is_not_is_refused():
    with pytest.raises(TypeError, match="fast"):
        smelt.kernel(fast=True)(scaled_copy)


def test_index_functions_say_that_they_are_for_kernels():
    for function in (smelt.thread_position_in_grid, smelt.threads_per_grid, lambda: smelt.grid(1)):
        with pytest.raises(RuntimeError, match="can only be called in a kernel"):
            function()


def test_one_job_gives_one_artifact_whatever_the_process():
    """The same code in two processes with other hash seeds, and another kernel compiled before."""
    program = (
        "import hashlib, sys, smelt\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "import test_kernels as kernels\n"
        "kinds = (smelt.float32[:], smelt.float32[:])\n"
        "if len(sys.argv) > 2: kernels.divide.compile(smelt.int64[:], smelt.int64[:])\n"
        "print(hashlib.sha256(kernels.write_scaled.compile(*kinds).code).hexdigest())\n"
    )
    folder = str(types.SimpleNamespace(path=__file__).path.rpartition("test_kernels")[0])
    digests = set()
    for seed, more in (("1", []), ("2", ["first"])):
        done = subprocess.run(
            [sys.executable, "-c", program, folder, *more],
            capture_output=True,
            text=True,
            check=False,
            env={**__import__("os").environ, "PYTHONHASHSEED": seed},
        )
        assert done.returncode == 0, done.stderr
        digests.add(done.stdout)
    assert len(digests) == 1


def test_importing_smelt_and_defining_a_kernel_loads_no_compiler():
    program = (
        "import sys, smelt\n"
        "smelt.kernel(lambda out: None)\n"
        "loaded = [name for name in sys.modules if name.startswith(('llvmlite', 'smelt.inference', 'smelt.lowering', 'smelt.frontend'))]\n"
        "assert not loaded, loaded\n"
        "assert not smelt.stats().llvm_loaded\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_kernel_that_calls_what_the_process_does_not_have_is_not_loaded():
    results = write_scaled.compile(smelt.uint16[:], smelt.uint16[:])
    calling = dataclasses.replace(results.flat_code(), symbols=("smelt_missing",))
    with pytest.raises(LinkError, match="this process has no smelt_missing, which compiled code refers to"):
        NativeKernel(calling, results.entry)
