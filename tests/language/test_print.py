# SPDX-License-Identifier: Apache-2.0
"""Printing in kernels: the text is Python's, errors of the standard output come back, and what can't be printed is refused."""

# ruff: noqa: T201, FURB105 - printing, in all its forms, is what is tested
from __future__ import annotations

import contextlib
import dataclasses
import io
import math
import sys
import threading
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import smelt
from smelt.compiler.config import CompilerConfig, Target
from smelt.compiler.texts import example, filled, formatted, shape_of, words_of
from smelt.launch import Kernel
from smelt.types import Tuple, weak_complex, weak_float, weak_int


@dataclasses.dataclass(frozen=True)
class Point:
    x: float
    n: int


class Pair(NamedTuple):
    first: int
    second: float


@dataclasses.dataclass(frozen=True)
class Named:
    x: float

    def __str__(self) -> str:
        return "named"


def tell(value):
    print("value", value, sep=": ")
    return value * 2


def constants(x, n, a, z, h):  # noqa: ARG001
    print()
    print("text", 1, 2.5, True, None, 1j, ..., math.nan, -0.0, 1e300 * 1e10)
    print("a", "b", sep="", end="!\n")
    print("a", "b", sep=None, end=None)
    print(("q", None, (1, 2.0), ()), end="")
    print("", end="")
    print(np.float32)


def numbers(x, n, a, z, h):
    print(x[0], x[1], n, a, n > 2, z[0], h[0], 2 * z[1])
    print(n + 1j, x.shape, len(x), x[0] * 2)
    print((x[0], n, (a, "q", None), True), (z[1],), (h[0],))
    print(range(n), range(1, n, 2))


def records(x, n, a, z, h):  # noqa: ARG001
    print(Point(a, n), (Point(1.0, 2),), Pair(n, a), (Pair(n, a), x[0]))


def formats(x, n, a, z, h):  # noqa: ARG001
    print(f"{x[0]:.3f} {n:5d}|{a!r:>10}|{n=} {{}} {n:x} {z[0]:.2f} {'k'!r}")
    print(str(n), repr(x[1]), str("s"), repr("s"))  # noqa: UP018
    text = f"<{n}>"
    print(text, text, sep=text, end=f"{a}{text}\n")
    print(f"{text}{(n, a)}")


def helpers(x, n, a, z, h):  # noqa: ARG001
    print(tell(n) + tell(x[0]))
    for item in (n, "b", a):
        print(item, end="," if item != "b" else ";")


def printed(function):
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        function()
    return stream.getvalue()


@pytest.mark.parametrize("program", [constants, numbers, records, formats, helpers])
def test_a_kernel_prints_what_python_prints(program):
    x, z = np.array([1.1, 3], np.float32), np.array([1 + 2j, -0.5j], np.complex64)
    arguments = x, 5, 2.5, z, np.array([1.1], np.float16)
    got = printed(lambda: smelt.kernel(program)[1](*arguments))
    assert got == printed(lambda: program(*arguments))
    assert got.count("\n") >= 1


@smelt.kernel
def print_positions(scale):
    x, y = smelt.grid(2)
    print("at", (x, y), f"{x * scale:6.2f}")


def test_every_thread_prints_its_lines_whole():
    lines = printed(lambda: print_positions.over(40, 25)(0.5)).splitlines()
    expected = {f"at {(x, y)} {x * 0.5:6.2f}" for x in range(40) for y in range(25)}
    assert len(lines) == len(expected)
    assert set(lines) == expected


@smelt.kernel
def print_behind_a_barrier(out):
    i = smelt.grid(1)
    shared = smelt.threadgroup_array(8, smelt.int32)
    lane = smelt.thread_position_in_threadgroup().x
    shared[lane] = i
    smelt.threadgroup_barrier()
    out[i] = tell(shared[7 - lane])


def test_threads_that_work_together_print():
    out = np.zeros(16, np.int64)
    lines = printed(lambda: print_behind_a_barrier[2, 8](out)).splitlines()
    assert sorted(lines) == sorted(f"value: {i}" for i in range(16))
    np.testing.assert_array_equal(out, [2 * (i + 7 - 2 * (i % 8)) for i in range(16)])


@smelt.kernel
def print_and_count(out):
    i = smelt.grid(1)
    out[i] = 1
    print(i)


class Broken(io.StringIO):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def write(self, text):
        if text == "3\n":
            raise self.error
        return super().write(text)


@pytest.mark.parametrize("error", [OSError("no space left"), KeyboardInterrupt(), SystemExit(3)])
def test_what_the_standard_output_raises_the_launch_raises(error):
    out, stream = np.zeros(8), Broken(error)
    with contextlib.redirect_stdout(stream), pytest.raises(type(error)) as caught:
        print_and_count[8](out)
    assert caught.value is error
    assert "3" not in stream.getvalue().split()
    assert out[3] == 1
    again = np.zeros(8)
    assert len(printed(lambda: print_and_count[8](again)).splitlines()) == 8


def test_a_closed_standard_output_is_an_error_of_the_launch():
    stream = io.StringIO()
    stream.close()
    with contextlib.redirect_stdout(stream), pytest.raises(ValueError, match="closed file"):
        print_and_count[1](np.zeros(1))


def test_without_a_standard_output_nothing_is_printed(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    out = np.zeros(3)
    print_and_count[3](out)
    assert out.all()


def test_an_error_of_formatting_a_value_is_an_error_of_the_launch():
    with pytest.raises(ValueError, match="must not be zero"):
        smelt.kernel(print_a_range)[1](np.zeros(1, np.int64))


def print_a_range(steps):
    print(range(1, 2, steps[0]))


class Exclusive(io.StringIO):
    def __init__(self):
        super().__init__()
        self.writers, self.most = 0, 0

    def write(self, text):
        self.writers += 1
        self.most = max(self.most, self.writers)
        # Others come by while it writes, if they may: the system call lets them.
        for _ in range(200):
            Path(__file__).stat()
        self.writers -= 1
        return super().write(text)


def test_launches_from_several_threads_write_one_after_the_other():
    stream, interval = Exclusive(), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    with contextlib.redirect_stdout(stream):
        print_and_count[1](np.zeros(1))
        together = threading.Barrier(4)

        def launch():
            together.wait()
            print_and_count[4](np.zeros(4))

        threads = [threading.Thread(target=launch) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    sys.setswitchinterval(interval)
    assert sorted(stream.getvalue().split()) == sorted("0" + "0123" * 4)
    assert stream.most == 1


class Nesting(io.StringIO):
    def __init__(self):
        super().__init__()
        self.is_inside = False

    def write(self, text):
        if not self.is_inside:
            self.is_inside = True
            print_and_count[1](np.zeros(1))
            self.is_inside = False
        return super().write(text)


def test_what_shows_a_text_may_launch_a_kernel_that_prints():
    stream = Nesting()
    with contextlib.redirect_stdout(stream):
        print_and_count[2](np.zeros(2))
    assert stream.getvalue() == "0\n0\n0\n1\n"


def refuses_arrays(x):
    print(x)


def refuses_flushing(x):  # noqa: ARG001
    print(1, flush=True)


def refuses_functions(x):  # noqa: ARG001
    print(tell)


def refuses_separators(x):
    print(1, sep=x[0])


def refuses_computed_formats(x):
    width = 3
    print(f"{x[0]:{width}}")


def refuses_wrong_formats(x):
    print(f"{x[0]:d}")


def refuses_formats_of_tuples(x):
    print(f"{(x[0],):>5}")


def refuses_own_text(x):
    print((Named(x[0]),))


def refuses_formats_of_texts(x):
    text = f"{x[0]}"
    print(f"{text:>10}")


def refuses_texts_in_messages(x):
    raise ValueError(f"wrong: {x[0]}")


def refuses_other_uses_of_texts(x):
    text = f"{x[0]}"
    x[0] = text[0]


@pytest.mark.parametrize(
    ("program", "message", "help_"),
    [
        (refuses_arrays, "can't print a", "its elements"),
        (refuses_flushing, "print in a kernel has no flush", "sep and end alone"),
        (refuses_functions, "can't print a constant tell", "numbers, strings"),
        (refuses_separators, "sep of print is a string, not a float64", ""),
        (refuses_computed_formats, "a format specification in a kernel is constant", "write its numbers out"),
        (refuses_wrong_formats, "Unknown format code 'd'", "print numbers"),
        (refuses_formats_of_tuples, "unsupported format string", "print numbers"),
        (refuses_own_text, "its class says itself how it is shown", "print numbers"),
        (refuses_formats_of_texts, "a text with values in it is shown as it is", "format the values"),
        (refuses_texts_in_messages, "a message in a kernel is constant", "leave the value out"),
        (refuses_other_uses_of_texts, "a text can't be indexed", ""),
    ],
)
def test_what_cannot_be_printed_is_refused(program, message, help_):
    with pytest.raises(smelt.KernelError) as caught:
        smelt.kernel(program)[1](np.zeros(2))
    assert message in caught.value.message
    assert help_ in caught.value.help
    assert caught.value.name == program.__name__


def test_a_target_without_printing_refuses_it():
    kernel = Kernel(refuses_flushing, CompilerConfig(target=Target(has_printing=False)), print_and_count.driver)
    with pytest.raises(smelt.KernelError, match="kernels can't print on this target") as caught:
        kernel[1](np.zeros(1))
    assert "write the values to an array" in caught.value.help


def print_a_point(n):
    print(Point(0.5, n))


def test_a_class_that_gets_its_own_text_is_looked_at_again(monkeypatch):
    kernel = smelt.kernel(print_a_point)
    assert printed(lambda: kernel[1](3)) == "Point(x=0.5, n=3)\n"
    monkeypatch.setattr(Point, "__repr__", lambda self: f"point {self.n}")
    with pytest.raises(smelt.KernelError, match="its class says itself how it is shown"):
        kernel[1](3)


def test_a_template_is_filled_in_by_words():
    shape = shape_of(Tuple((weak_int, weak_float)))
    template = ("<", (shape, "r", ">8"), ">")
    words = np.array([7], np.int64).tobytes() + np.array([0.1], np.float64).tobytes()
    assert words_of(template) == 2
    assert filled(template, words) == "<(7, 0.1)>"
    assert formatted(0.25, "s", "*>6") == "**0.25"


def test_where_there_are_no_doubles_pythons_floats_are_read_as_they_are_stored():
    template = ((shape_of(weak_float, has_doubles=False), "s", ""),)
    assert filled(template, np.array([0.5, 9], np.float32).tobytes()) == "0.5"
    assert example(shape_of(weak_complex, has_doubles=False)).__class__ is complex
