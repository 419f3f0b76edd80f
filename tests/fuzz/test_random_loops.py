# SPDX-License-Identifier: Apache-2.0
"""Random kernels with loops, run in strips and thread by thread, as each kernel is with opt_level=0.

What they do can't fail: they compute with floating-point numbers and small integers, and load what is surely there.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, note, settings, strategies as st

import smelt
from smelt._wiring import driver
from smelt.compiler.config import CompilerJob
from smelt.types import typeof

pytestmark = pytest.mark.once

THREADS = 53
FLOATS, INTEGERS = ("a", "b", "c"), ("m", "n")
HEAD = """\
import smelt


def kernel(out, counts, x, w, limit):
    i = smelt.grid(1)
    a = x[i]
    b = w[0]
    c = 0.5
    m = 1
    n = 0
"""
TAIL = """\
    out[i] = a + b * 3 - c
    counts[i] = m * 1000 + n
"""


@st.composite
def numbers(draw: st.DrawFn, counters: tuple[str, ...], depth: int = 2) -> str:
    """An expression of a floating-point number; `counters` are those of the loops around it."""
    forms = ["name", "name", "constant", "loaded"]
    if depth:
        forms += ["sum", "sum", "least", "root", "chosen"]
    form = draw(st.sampled_from(forms))
    if form == "name":
        return draw(st.sampled_from(FLOATS))
    if form == "constant":
        return draw(st.sampled_from(["0.25", "-1.5", "2.0", "0.75"]))
    if form == "loaded":
        return draw(st.sampled_from(["x[i]", "w[2]", *(f"w[{counter} & 3]" for counter in counters)]))
    inner = numbers(counters, depth - 1)
    if form == "sum":
        return f"({draw(inner)} {draw(st.sampled_from('+-*'))} {draw(inner)})"
    if form == "least":
        return f"{draw(st.sampled_from(['min', 'max']))}({draw(inner)}, {draw(inner)})"
    if form == "root":
        return f"abs({draw(inner)}) ** 0.5"
    return f"({draw(inner)} if {draw(conditions(depth - 1))} else {draw(inner)})"


@st.composite
def conditions(draw: st.DrawFn, depth: int = 1) -> str:
    forms = ["floats", "integers"] + (["both"] if depth else [])
    form = draw(st.sampled_from(forms))
    sign = draw(st.sampled_from(["<", ">", "<=", ">="]))
    if form == "floats":
        return f"{draw(st.sampled_from(FLOATS))} {sign} {draw(st.sampled_from([*FLOATS, '0.3', '-2.0']))}"
    if form == "integers":
        return f"{draw(st.sampled_from(INTEGERS))} {sign} {draw(st.sampled_from([*INTEGERS, 'limit', '4']))}"
    return f"({draw(conditions(depth - 1))} {draw(st.sampled_from(['and', 'or']))} {draw(conditions(depth - 1))})"


@st.composite
def statements(draw: st.DrawFn, counters: tuple[str, ...] = (), depth: int = 3) -> list[str]:
    lines: list[str] = []
    for _ in range(draw(st.integers(1, 3))):
        forms = ["float", "float", "integer", "store"]
        forms += ["if", "for", "while"] if depth else []
        forms += ["leave"] if counters else []
        form = draw(st.sampled_from(forms))
        if form == "float":
            lines.append(f"{draw(st.sampled_from(FLOATS))} = {draw(numbers(counters))}")
        elif form == "integer":
            name = draw(st.sampled_from(INTEGERS))
            given = draw(st.sampled_from([*INTEGERS, *counters, "limit"]))
            lines.append(f"{name} = ({name} * {draw(st.integers(1, 3))} + {given}) & 255")
        elif form == "store":
            lines.append(f"out[i] = {draw(numbers(counters))}")
        elif form == "leave":
            way = draw(st.sampled_from(["break", "continue", "return"]))
            lines += [f"if {draw(conditions())}:", f"    {way}"]
        elif form == "if":
            lines += [f"if {draw(conditions())}:", *indented(draw(statements(counters, depth - 1)))]
            if draw(st.booleans()):
                lines += ["else:", *indented(draw(statements(counters, depth - 1)))]
        else:
            counter = f"k{depth}"
            body = indented(draw(statements((*counters, counter), depth - 1)))
            if form == "for":
                lines += [f"for {counter} in range({draw(st.sampled_from(['3', '12', 'limit', 'w.size']))}):", *body]
            else:
                head = f"while {counter} < 9 and {draw(conditions())}:"
                lines += [f"{counter} = 0", head, f"    {counter} += 1", *body]
    return lines


def indented(lines: list[str]) -> list[str]:
    return [f"    {line}" for line in lines]


@st.composite
def loops(draw: st.DrawFn) -> str:
    """A kernel with a loop that goes on for a while."""
    around = draw(st.sampled_from(["for k3 in range(limit):", "while a < 50 and n < 40:"]))
    first = ["n += 1"] if around.startswith("while") else []
    inside = ("k3",) if not first else ("n",)
    body = [around, *indented([*first, *draw(statements(inside, 2))])]
    return HEAD + "\n".join(indented([*body, *draw(statements((), 1))])) + "\n" + TAIL


def loaded(source: str, path: Path) -> Any:
    path.write_text(source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("random_loops", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.kernel


def strips_of(kernel: Any, arguments: tuple[Any, ...]) -> int:
    job = CompilerJob(kernel.instance(tuple(map(typeof, arguments))), kernel.config)
    return len(driver().lowered(job, driver().inferred(job)).strips)


def test_strips_compute_what_threads_compute_alone(tmp_path: Path) -> None:
    strips: list[int] = []

    @settings(derandomize=True, max_examples=25, deadline=None)
    @given(source=loops(), kind=st.sampled_from([np.float32, np.float64]), limit=st.integers(0, 12))
    def compute_alike(source: str, kind: Any, limit: int) -> None:
        note(source)
        function = loaded(source, tmp_path / f"random_loops{len(strips)}.py")
        x = np.linspace(-3, 4, THREADS).astype(kind)
        w = np.array([0.5, -1.25, 3, 0.125], kind)
        found = []
        for options in ({"opt_level": 0}, {}):
            out, counts = np.zeros(THREADS, kind), np.zeros(THREADS, np.int64)
            kernel = smelt.kernel(**options)(function)
            kernel.over(THREADS)(out, counts, x, w, limit)
            found.append((out, counts))
        strips.append(strips_of(kernel, (out, counts, x, w, limit)))
        np.testing.assert_array_equal(found[1][0], found[0][0])
        np.testing.assert_array_equal(found[1][1], found[0][1])

    compute_alike()
    assert sum(map(bool, strips)) * 3 > len(strips), "too few of these kernels run in strips"
