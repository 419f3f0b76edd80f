# SPDX-License-Identifier: Apache-2.0
"""Random programs with barriers and simdgroup operations in random control flow, compared with the same source run by Python."""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.once

HEAD = """\
import smelt


def passed(shared, t, value, by, count):
    shared[t] = value
    smelt.threadgroup_barrier()
    found = shared[(t + by) % count]
    smelt.threadgroup_barrier()
    if by % 2 == 0:
        return found
    return passed_on(found, by)


def passed_on(value, by):
    return smelt.simd_shuffle_down(value, by % 5) + 1


@smelt.kernel
def program(out, p, count):
    shared = smelt.threadgroup_array(64, smelt.int64)
    counts = smelt.threadgroup_array(8, smelt.int64)
    own = smelt.thread_array(4, smelt.int64)
    t = smelt.thread_index_in_threadgroup()
    i = smelt.grid(1)
    a = i * 3 % 17
    b = 1
"""
TAIL = """\
    out[i] = a * 1009 + b + own[0] * own[3]
"""


class Writer:
    """Writes a program: statements that all threads of the group, or of a simdgroup, come to, and others."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.lines: list[str] = []
        self.loops = 0
        self.depth = 0

    def program(self) -> str:
        self.block("    ", self.of_group)
        return HEAD + "\n".join(self.lines) + "\n" + TAIL

    def block(self, indent: str, statements: Callable[[], list[Callable[[str], None]]]) -> None:
        self.depth += 1
        for _ in range(self.random.randint(1, 4)):
            self.random.choice(statements())(indent)
        self.depth -= 1

    def write(self, indent: str, *lines: str) -> None:
        self.lines += [indent + line for line in lines]

    def some(self, most: int = 9) -> int:
        return self.random.randint(0, most)

    def of_group(self) -> list[Callable[[str], None]]:
        simple = [self.exchange, self.call, self.count, self.returns, *self.of_simdgroup()]
        compound = [self.uniform_if, self.uniform_for, self.uniform_while, self.simdgroup_if]
        return simple + compound if self.depth < 3 else simple

    def of_simdgroup(self) -> list[Callable[[str], None]]:
        return [self.simd, self.shuffle, self.alone_if, self.alone_for, self.own]

    def exchange(self, indent: str) -> None:
        found = f"{self.random.choice('ab')} = shared[(t * {self.some()} + {self.some()}) % count]"
        barrier = "smelt.threadgroup_barrier()"
        self.write(indent, "shared[t] = a + b", barrier, found, barrier)

    def call(self, indent: str) -> None:
        self.write(indent, f"a = (a + passed(shared, t, b, {self.some()}, count)) % 1009")

    def count(self, indent: str) -> None:
        barrier = "smelt.threadgroup_barrier()"
        self.write(indent, f"smelt.atomic_add(counts, (a + {self.some()}) % 8, 1)", barrier)
        self.write(indent, f"b = (b + counts[{self.some(7)}]) % 1009", barrier)

    def returns(self, indent: str) -> None:
        self.write(
            indent,
            f"if (a + t * {self.some()}) % 23 == {self.some()}:",
            f"    out[i] = -a - {self.some()}",
            "    return",
        )

    def simd(self, indent: str) -> None:
        name = self.random.choice(["sum", "min", "max", "xor", "or", "and"])
        self.write(indent, f"b = smelt.simd_{name}((a + b * {self.some()}) % 101)")
        self.write(indent, "a = (a + int(smelt.simd_ballot(b % 3 == a % 3)) % 1000) % 1009")

    def shuffle(self, indent: str) -> None:
        name = self.random.choice(["", "_xor", "_up", "_down"])
        self.write(indent, f"b = smelt.simd_shuffle{name}(a, {self.some(35)})", "smelt.simdgroup_barrier()")

    def own(self, indent: str) -> None:
        self.write(indent, f"own[(a + {self.some()}) % 4] += b % 10", f"b = (b + own[{self.some(3)}]) % 1009")

    def alone_if(self, indent: str) -> None:
        self.write(indent, f"if (a + t) % 3 == {self.some(2)}:", f"    a = (a * 5 + {self.some()}) % 1009")
        self.write(indent, f"elif b % 2 or t < {self.some(30)}:", f"    b = abs(b - {self.some()})")

    def alone_for(self, indent: str) -> None:
        self.write(
            indent, f"for k in range((a + t) % {self.some() + 1}):", f"    if k == {self.some()}:", "        break"
        )
        self.write(indent, "    b = (b * 3 + k) % 1009")

    def uniform_if(self, indent: str) -> None:
        self.write(indent, f"if p[{self.some(7)}] > {self.some(4)}:")
        self.block(indent + "    ", self.of_group)
        self.write(indent, "else:")
        self.block(indent + "    ", self.of_group)

    def simdgroup_if(self, indent: str) -> None:
        self.write(indent, f"if smelt.simdgroup_index_in_threadgroup() == {self.some(1)}:")
        self.block(indent + "    ", self.of_simdgroup)

    def uniform_for(self, indent: str) -> None:
        self.loops += 1
        name = f"n{self.loops}"
        self.write(indent, f"for {name} in range(p[{self.some(7)}]):")
        self.block(indent + "    ", self.of_group)
        self.write(
            indent + "    ", f"if {name} == p[{self.some(7)}]:", f"    {self.random.choice(['break', 'continue'])}"
        )
        self.block(indent + "    ", self.of_group)

    def uniform_while(self, indent: str) -> None:
        self.loops += 1
        name = f"n{self.loops}"
        self.write(indent, f"{name} = 0", f"while {name} < p[{self.some(7)}] and p[{self.some(7)}] != {self.some(4)}:")
        self.write(indent, f"    {name} += 1")
        self.block(indent + "    ", self.of_group)


@pytest.mark.parametrize("seed", range(12))
def test_a_random_program_does_what_python_does(tmp_path: Path, run_by_python: Any, seed: int) -> None:
    source = Writer(seed).program()
    path = tmp_path / f"random_program_{seed}.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    p = np.random.default_rng(seed).integers(0, 4, 8)
    for groups, count in ((2, 40), (1, 33), (3, 5)):
        out, expected = np.zeros((2, groups * count), np.int64)
        module.program[groups, count](out, p, count)
        run_by_python(module.program, (groups * count,), (count,), expected, p, count)
        assert out.tolist() == expected.tolist(), source
