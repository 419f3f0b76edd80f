# SPDX-License-Identifier: Apache-2.0
"""Functions that call themselves: what they return, what depends on what, how deep they go, and what is refused."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
import threading

import numpy as np
import pytest

import smelt
from smelt._wiring import driver
from smelt.compiler.config import CompilerJob
from smelt.driver.pipeline import typed_function
from smelt.ir.verifier import verify
from smelt.types import typeof

TABLE = np.array([1.0, 10.0, 100.0])
OTHER = np.array([0.5, 0.25])


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def ackermann(m, n):
    if m == 0:
        return n + 1
    if n == 0:
        return ackermann(m - 1, 1)
    return ackermann(m - 1, ackermann(m, n - 1))


def is_even(n):
    return True if n == 0 else is_odd(n - 1)


def is_odd(n):
    return False if n == 0 else is_even(n - 1)


def power(x, n):
    if n == 0:
        return 1
    half = power(x, n // 2)
    return half * half * x if n % 2 else half * half


def sum_of_tree(left, right, values, node):
    if node < 0:
        return 0.0
    below = sum_of_tree(left, right, values, left[node]) + sum_of_tree(left, right, values, right[node])
    return values[node] + below + TABLE[node % 3]


def first(n):
    return second(n - 1) + OTHER[n % 2] if n > 0 else TABLE[0]


def second(n):
    return third(n - 1) * TABLE[n % 3] if n > 0 else OTHER[1]


def third(n):
    return first(n - 1) - OTHER[0] if n > 0 else TABLE[2] + second(n - 1)


def total(items):
    return 0 if len(items) == 0 else items[0] + total(items[1:])


def fill(out, n):
    if n > 0:
        out[n - 1] = n
        fill(out, n - 1)


def apply_often(function, x, n):
    return x if n == 0 else apply_often(function, function(x), n - 1)


def divide(counts, place, size):
    if size > 1:
        divide(counts, place, size // 2)
        divide(counts, place + size // 2, size - size // 2)
    else:
        counts[place] += 1


@dataclasses.dataclass(frozen=True)
class Steps:
    by: int

    def down(self, n):
        return n if n < self.by else self.down(n - self.by)


def everything(out, x, left, right, counts):
    out[0] = fib(15)
    out[1] = ackermann(2, 3)
    out[2] = is_even(11) + 2 * is_odd(7)
    out[3] = power(x[0], 5)
    out[4] = sum_of_tree(left, right, x, 0)
    out[5] = first(8) + second(5) + third(6)
    out[6] = total((1, 2.5, x[1]))
    out[7] = apply_often(lambda v: v * 2 + x[1], 1, 4)
    out[8] = Steps(3).down(11)
    fill(out[9:], 4)
    divide(counts, 0, len(counts))


def arguments():
    x = np.array([1.5, 2.0, -3.0, 0.25])
    return np.zeros(13), x, np.array([1, 3, -1, -1]), np.array([2, -1, -1, -1]), np.zeros(9, np.int64)


def test_recursive_functions_do_what_they_do_in_python():
    in_kernel, in_python = arguments(), arguments()
    smelt.kernel(everything)[1](*in_kernel)
    everything(*in_python)
    for got, expected in zip(in_kernel, in_python, strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("level", [0, 3])
def test_each_thread_calls_on_its_own(level):
    out = np.zeros(40, np.int64)
    smelt.kernel(opt_level=level)(fib_of_position)[40](out, 12)
    assert out.tolist() == [fib(i % 12) for i in range(40)]


def fib_of_position(out, most):
    i = smelt.grid(1)
    out[i] = fib(i % most)


def count_down(out):
    if out[0] > 0:
        out[0] -= 1
        out[1] += 2
        count_down(out)


def test_a_kernel_can_call_itself():
    out = np.array([5, 0])
    smelt.kernel(count_down)[1](out)
    assert out.tolist() == [0, 10]


def test_the_typed_functions_of_a_circle_are_well_formed_and_call_each_other():
    kernel = smelt.kernel(everything)
    code = driver().inferred(CompilerJob(kernel.instance(tuple(map(typeof, arguments()))), kernel.config))
    found, todo = set(), [code]
    while todo:
        one = todo.pop()
        if one in found:
            continue
        found.add(one)
        function = typed_function(one)
        verify(function)
        for block in function.blocks:
            todo += [i.attributes["callee"] for i in block.instructions if i.operation == "call"]
    names = {one.instance.source.__name__ for one in found}
    assert {"is_even", "is_odd", "first", "second", "third", "fib"} <= names
    assert all(one.is_current for one in found)


def parity(out, n):
    out[0] = is_even(n)


def test_what_a_circle_depends_on_is_compiled_again_when_it_changes(monkeypatch):
    kernel, out = smelt.kernel(parity), np.zeros(1)
    kernel[1](out, 7)
    assert out[0] == 0
    monkeypatch.setitem(globals(), "is_odd", lambda n: True if n == 0 else is_even(n - 1))
    kernel[1](out, 7)
    assert out[0] == 1
    monkeypatch.undo()
    kernel[1](out, 7)
    assert out[0] == 0


WEIGHT = 1


def weighted(n):
    return 0 if n == 0 else WEIGHT + heavier(n - 1)


def heavier(n):
    return 0 if n == 0 else 2 * WEIGHT + weighted(n - 1)


def weigh(out, n):
    out[0] = weighted(n)


def weigh_from_the_other_side(out, n):
    out[0] = heavier(n)


def test_a_constant_that_a_circle_reads_changes_its_types_too(monkeypatch):
    for program, function in ((weigh, weighted), (weigh_from_the_other_side, heavier)):
        kernel, out = smelt.kernel(program), np.zeros(1)
        for weight in (1, 0.25, 3):
            monkeypatch.setitem(globals(), "WEIGHT", weight)
            kernel[1](out, 5)
            assert out[0] == function(5)


HEIGHT = 1


def tall(n):
    return 0 if n == 0 else short(n - 1) + HEIGHT


def short(n):
    return 0 if n == 0 else tall(n - 1)


def measure(out, n):
    out[0] = tall(n)


def test_what_is_taken_for_granted_of_a_function_is_depended_on(monkeypatch):
    kernel, out = smelt.kernel(measure), np.zeros(1)
    code = driver().inferred(CompilerJob(kernel.instance((typeof(out), typeof(4))), kernel.config))
    (of_tall,) = calls_of(code)
    (of_short,) = calls_of(of_tall)
    assert calls_of(of_short) == [of_tall]
    assert of_tall.instance in of_short.edges
    # While `short` was inferred, what it calls was inferred for its type alone.
    assert "HEIGHT" in {edge.name for edge in of_short.edges if hasattr(edge, "name")}
    kernel[1](out, 4)
    monkeypatch.setitem(globals(), "HEIGHT", 2.5)
    assert not of_short.is_current or not driver().jobs.view(kernel.config).get(of_short.instance)
    kernel[1](out, 4)
    assert out[0] == 5


def calls_of(code):
    instructions = (one for block in typed_function(code).blocks for one in block.instructions)
    return [one.attributes["callee"] for one in instructions if one.operation == "call"]


def shout(n):  # noqa: ARG001
    raise ValueError("always")


def check(n):
    return n if n > 0 else shout(n)


def call_what_raises(out, n):
    if n < -5:
        shout(n)
    out[0] = check(n) if n < 9 else shout(n)
    for i in (1, 2):
        out[i] = n or shout(n)


def test_a_function_that_always_raises_can_be_called():
    kernel, out = smelt.kernel(call_what_raises), np.zeros(3)
    kernel[1](out, 4)
    assert out.tolist() == [4, 4, 4]
    for n in (-9, 0, 20):
        with pytest.raises(ValueError, match="always"):
            kernel[1](out, n)


def always_raise(out):
    out[0] = 1
    raise ValueError("always")


def test_a_kernel_may_always_raise():
    out = np.zeros(1)
    with pytest.raises(ValueError, match="always"):
        smelt.kernel(always_raise)[1](out)
    assert out[0] == 1


def without_end(n):
    return 0 if n < 0 else without_end(n + 1)


def without_end_later(n):
    if n < 0:
        return 0.0
    room = smelt.thread_array(500, smelt.float64)
    room[n % 500] = n
    return without_end_later(n + 1) + room[n % 500]


def without_end_or_result(out):
    out[1] += 1
    if out[1] > 0:
        without_end_or_result(out)


def run_without_end_or_result(out):
    without_end_or_result(out)


def run_without_end(out):
    out[0] = without_end(out[0] == 0)


def run_without_end_later(out):
    out[0] = without_end_later(int(out[0]))


@pytest.mark.parametrize("level", [0, 3])
@pytest.mark.parametrize("program", [run_without_end, run_without_end_later, run_without_end_or_result])
def test_recursion_without_end_is_a_recursion_error(program, level):
    kernel = smelt.kernel(opt_level=level)(program)
    with pytest.raises(RecursionError, match="maximum recursion depth exceeded") as caught:
        kernel[1](np.zeros(2))
    assert "without_end" in caught.value.__notes__[0].splitlines()[1]
    kernel[0](np.zeros(2))


@smelt.kernel
def depths(out, n):
    i = smelt.grid(1)
    shared = smelt.threadgroup_array(4, smelt.int64)
    shared[i % 4] = fib(n)
    smelt.threadgroup_barrier()
    out[i] = shared[3 - i % 4] + without_end(-n if i < 6 else n)


def test_threads_that_work_together_call_recursive_functions():
    out = np.zeros(4, np.int64)
    depths[1, 4](out, 10)
    assert out.tolist() == [55] * 4
    with pytest.raises(RecursionError):
        depths[2, 4](np.zeros(8, np.int64), 10)


def waits_and_recurs(out, n):
    if n > 0:
        smelt.threadgroup_barrier()
        waits_and_recurs(out, n - 1)


def waits_below(out, n):
    if n > 0:
        waits_below(out, n - 1)
        wait(out)


def wait(out):
    out[0] += smelt.simd_sum(out[0])


def never_returns(n):
    return never_returns(n - 1) + 1


def never_returns_here(n):
    return never_returns_there(n)


def never_returns_there(n):
    return never_returns_here(n - 1)


def grows_arguments(items, n):
    return 0 if n == 0 else grows_arguments((items, n), n - 1)


def grows_results(n):
    return () if n == 0 else (n, grows_results(n - 1))


def call(function):
    return lambda out: function(out, 3)


@pytest.mark.parametrize(
    ("program", "message", "help_", "name"),
    [
        (lambda out: waits_and_recurs(out, 3), "calls itself, and waits for other threads", "wait where", ""),
        (lambda out: waits_below(out, 3), "waits_below calls itself, and waits", "wait where", "waits_below"),
        (
            lambda out: never_returns(out[0]),
            "never_returns never returns: it calls itself on every way",
            "some way",
            "",
        ),
        (lambda out: never_returns_here(out[0]), "never returns: it calls itself on every way", "some way", ""),
        (lambda out: grows_arguments(1, out[0]), "each time with arguments of other types", "same types", ""),
        (lambda out: grows_results(out[0]), "depending on the test", "same type", "grows_results"),
    ],
)
def test_what_recursion_cannot_do_is_refused(program, message, help_, name):
    with pytest.raises(smelt.KernelError) as caught:
        smelt.kernel(program)[1](np.zeros(2))
    assert message in caught.value.message
    assert help_ in caught.value.help
    assert caught.value.name == name or not name
    assert len(caught.value.callers) <= 3


@pytest.mark.parametrize("program", [fib_of_position, parity])
def test_a_target_without_recursion_refuses_it(program):
    with pytest.raises(smelt.KernelError, match="calls itself") as caught:
        smelt.kernel(program).compile(smelt.int64[:], int, target="metal")
    assert caught.value.help.startswith("write a loop")
    smelt.kernel(program)[1](np.zeros(1, np.int64), 3)


def nested(out, n):
    def inner(k):
        return k if k == 0 else inner(k - 1)

    out[0] = inner(n)


def test_a_function_in_a_function_cannot_call_itself():
    with pytest.raises(smelt.KernelError, match="inner calls itself") as caught:
        smelt.kernel(nested)[1](np.zeros(1), 3)
    assert "write a function of the module" in caught.value.help


CIRCLE = """
import smelt

def a(n):
    return 0 if n == 0 else b(n - 1) + 1

def b(n):
    return 0 if n == 0 else c(n - 1) + 2.5

def c(n):
    return 0 if n == 0 else a(n - 1) + b(n - 1)

def from_a(out, n): out[0] = a(n)
def from_b(out, n): out[0] = b(n)
def from_c(out, n): out[0] = c(n)
"""


def test_threads_that_enter_a_circle_at_different_places_get_the_same_code(tmp_path):
    for number in range(3):
        path = tmp_path / f"circle_{number}.py"
        path.write_text(CIRCLE)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        programs = [module.from_a, module.from_b, module.from_c]
        outs, failures = [np.zeros(1) for _ in programs], []
        together = threading.Barrier(len(programs))

        def run(program, out, together=together, failures=failures):
            kernel = smelt.kernel(program)
            together.wait()
            try:
                kernel[1](out, 6)
            except Exception as error:  # noqa: BLE001 - shown below
                failures.append(error)

        threads = [threading.Thread(target=run, args=pair) for pair in zip(programs, outs, strict=True)]
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        sys.setswitchinterval(interval)
        assert not failures
        assert [out[0] for out in outs] == [module.a(6), module.b(6), module.c(6)]
