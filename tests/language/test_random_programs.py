# SPDX-License-Identifier: Apache-2.0
"""Random expressions and programs, written to files and run as kernels and as plain Python on NumPy's numbers."""

from __future__ import annotations

import importlib.util
import random
import warnings

import numpy as np
import pytest

import smelt

EXPRESSIONS = 24
PROGRAMS = 16
INTEGERS = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]


class Writer:
    """Writes random source text. What could fail or overflow a Python int is guarded, so that every program runs to its end."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.lines = []

    def integer(self, depth, names):
        choose = self.random.random()
        if depth == 0 or choose < 0.2:
            return self.random.choice([*names, str(self.random.randint(0, 9))])
        left, right = self.integer(depth - 1, names), self.integer(depth - 1, names)
        if choose < 0.65:
            return f"({left} {self.random.choice(['+', '-', '*', '&', '|', '^'])} {right})"
        if choose < 0.75:
            return f"({left} {self.random.choice(['//', '%'])} ({right} | 1))"
        if choose < 0.85:
            return f"({left} if {self.condition(depth - 1, names, [])} else {right})"
        return f"{self.random.choice(['min', 'max'])}({left}, {right})"

    def floating(self, depth, names, integers):
        choose = self.random.random()
        if depth == 0 or choose < 0.2:
            return self.random.choice([*names, *integers, "0.5", "2.0", "-1.25"])
        left, right = self.floating(depth - 1, names, integers), self.floating(depth - 1, names, integers)
        if choose < 0.7:
            return f"({left} {self.random.choice(['+', '-', '*'])} {right})"
        if choose < 0.8:
            return f"({left} {self.random.choice(['/', '//', '%'])} (abs({right}) + 1.5))"
        if choose < 0.9:
            return f"({left} if {self.condition(depth - 1, integers, names)} else {right} * 1.0)"
        return f"abs({left})"

    def condition(self, depth, integers, floats):
        pool = [*integers, *floats]
        first, second, third = (self.random.choice([*pool, "3"]) for _ in range(3))
        order = self.random.choice(["<", "<=", "==", "!=", ">", ">="])
        text = f"{first} {order} {second}"
        if depth > 0 and self.random.random() < 0.4:
            other = self.condition(depth - 1, integers, floats)
            return f"({text} {self.random.choice(['and', 'or'])} {'not ' * (self.random.random() < 0.3)}({other}))"
        return f"({text} < {third})" if self.random.random() < 0.2 else f"({text})"

    def block(self, indent, depth, inside_loop=False):
        for _ in range(self.random.randint(1, 3)):
            self.statement(indent, depth, inside_loop)

    def statement(self, indent, depth, inside_loop):
        space = "    " * indent
        integers, floats = ["i", "j", "n"], ["f", "g"]
        choose = self.random.random()
        if choose < 0.25 or depth == 0:
            # Kept small: Python's own integers don't wrap around.
            self.lines.append(f"{space}{self.random.choice('ij')} = ({self.integer(2, integers)}) % 1000")
        elif choose < 0.45:
            self.lines.append(f"{space}{self.random.choice('fg')} = ({self.floating(2, floats, integers)}) % 1000.0")
        elif choose < 0.55:
            self.lines.append(f"{space}{self.random.choice('fg')} += {self.floating(1, floats, integers)} * 0.5")
        elif choose < 0.75:
            self.lines.append(f"{space}if {self.condition(1, integers, floats)}:")
            self.block(indent + 1, depth - 1, inside_loop)
            if self.random.random() < 0.6:
                self.lines.append(f"{space}else:")
                self.block(indent + 1, depth - 1, inside_loop)
        elif choose < 0.9:
            counter = f"k{len(self.lines)}"
            self.lines.append(
                f"{space}for {counter} in range({self.random.randint(0, 4)}, {self.random.randint(3, 9)}):"
            )
            self.lines.append(f"{space}    i = (i + {counter}) % 1000")
            self.block(indent + 1, depth - 1, inside_loop=True)
            if self.random.random() < 0.4:
                self.lines.append(f"{space}else:")
                self.block(indent + 1, depth - 1, inside_loop)
        elif inside_loop:
            self.lines.append(
                f"{space}if {self.condition(1, integers, floats)}: {self.random.choice(['break', 'continue'])}"
            )
        else:
            self.lines.append(f"{space}if {self.condition(0, integers, floats)}: return i * 0.5 + f")

    def program(self, name):
        self.lines = [f"def {name}(i, j, n, f, g):"]
        for _ in range(4):
            self.statement(1, 2, inside_loop=False)
        self.lines += ["    return i + 3 * j + f + 5.0 * g", ""]
        return "\n".join(self.lines)


def load(path, text):
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        # Comparisons of literals.
        warnings.simplefilter("ignore", SyntaxWarning)
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def expressions(tmp_path_factory):
    text = ""
    for seed in range(EXPRESSIONS):
        writer = Writer(seed)
        text += f"def expression_{seed}(a, b, c):\n"
        text += f"    return {writer.integer(3, ['a', 'b', 'c']) if seed % 2 else writer.floating(3, ['a', 'b'], ['c'])}\n\n"
    return load(tmp_path_factory.mktemp("random") / "random_expressions.py", text)


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    text = "\n".join(Writer(1000 + seed).program(f"program_{seed}") for seed in range(PROGRAMS))
    return load(tmp_path_factory.mktemp("random") / "random_programs.py", text)


@smelt.kernel
def map_three(out, function, a, b, c):
    t = smelt.grid(1)
    out[t] = function(a[t], b[t], c[t])


@smelt.kernel
def map_five(out, function, a, b, n, c, d):
    t = smelt.grid(1)
    out[t] = function(a[t], b[t], n, c[t], d[t])


def values_of(kind, source, count):
    if kind == "float64":
        return np.array([source.choice([0.0, -0.0, 1.5, -2.25, 1e3, source.uniform(-9, 9)]) for _ in range(count)])
    limits = np.iinfo(kind)
    return np.array([source.choice([0, 1, limits.max, limits.min, source.randint(0, 99)]) for _ in range(count)], kind)


@pytest.mark.parametrize("seed", range(EXPRESSIONS))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_random_expression_gives_what_numpy_gives(expressions, seed):
    source = random.Random(seed)
    if seed % 2:  # noqa: SIM108 - each way has its reason
        # Of one type: int64 and uint64 have only float64 in common, which has no bits.
        kinds = [source.choice(INTEGERS)] * 3
    else:
        # A choice has one type in a kernel, and the type of what was chosen in Python: with one type of floats that is the same.
        kinds = ["float64", "float64", source.choice(INTEGERS)]
    arrays = [values_of(kind, source, 12) for kind in kinds]
    function = getattr(expressions, f"expression_{seed}")
    expected = [function(*items) for items in zip(*arrays, strict=True)]
    got = np.zeros(12, np.float64)
    map_three[12](got, function, *arrays)
    np.testing.assert_array_equal(got, np.array(expected, np.float64))


@pytest.mark.parametrize("seed", range(PROGRAMS))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_random_program_gives_what_python_gives(programs, seed):
    source = random.Random(seed)
    arrays = [np.array([source.randint(0, 50) for _ in range(8)], np.int64) for _ in range(2)]
    floats = [np.array([source.uniform(-20, 20) for _ in range(8)]) for _ in range(2)]
    function = getattr(programs, f"program_{seed}")
    expected = [function(a, b, 7, c, d) for a, b, c, d in zip(*arrays, *floats, strict=True)]
    got = np.zeros(8)
    map_five[8](got, function, *arrays, 7, *floats)
    np.testing.assert_array_equal(got, np.array(expected, np.float64))
