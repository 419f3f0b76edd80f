# SPDX-License-Identifier: Apache-2.0
"""In which loops of a kernel a thread looks whether to stop."""

from __future__ import annotations

import pytest

from smelt.targets.metal.devices.software.loops import MOST_ROUNDS, looked_at

pytestmark = pytest.mark.once


def loop(start, step, order, bound, *, head="head", value="next", ways=("head", "done"), bits=32):
    return [
        f"{head}:",
        f"  %f = phi float [ 0.0, %entry ], [ %g, %{head} ]",
        f"  %n = phi i{bits} [ {start}, %entry ], [ %next, %{head} ]",
        f"  %next = add nuw i{bits} %n, {step}",
        f"  %test = icmp {order} i{bits} %{value}, {bound}",
        f"  br i1 %test, label %{ways[0]}, label %{ways[1]}",
        "done:",
        "  ret void",
    ]


@pytest.mark.parametrize(
    "body",
    [
        loop(0, 1, "ult", 8),
        loop(0, 1, "eq", 8, ways=("done", "head")),
        loop(100, -5, "sgt", -1, value="n"),
        loop(250, 1, "ne", 3, bits=8),
        loop(0, 1, "ult", MOST_ROUNDS),
        loop(-3, 1, "sle", 0),
    ],
)
def test_a_loop_that_counts_to_a_number_is_not_looked_at(body):
    assert looked_at(["entry:", "  br label %head", *body]) == (frozenset(), True)


@pytest.mark.parametrize(
    "body",
    [
        loop(0, 1, "ult", MOST_ROUNDS + 2),
        loop(0, 2, "eq", 7, ways=("done", "head")),
        loop(0, 0, "ult", 8),
        loop(0, 1, "ult", "%size"),
        loop("%first", 1, "ult", 8),
        loop(0, 1, "uge", 0, value="n"),
    ],
)
def test_a_loop_that_may_not_end_is_looked_at(body):
    assert looked_at(["entry:", "  br label %head", *body]) == (frozenset({"head"}), True)


def test_loops_within_each_other_count_together():
    outer = loop(0, 1, "ult", 400, head="outer", ways=("outer", "left"))
    inner = [line.replace("%n", "%m").replace("%test", "%t") for line in loop(0, 1, "ult", 400)[:6]]
    inner[-1] = "  br i1 %t, label %head, label %after"
    body = ["entry:", "  br label %outer", *outer[:3], "  br label %head", *inner, "after:", *outer[3:6]]
    assert looked_at([*body, "left:", "  ret void"]) == (frozenset({"head"}), True)
    few = [line.replace(" 400", " 40") for line in body]
    assert looked_at([*few, "left:", "  ret void"]) == (frozenset(), True)


def test_a_kernel_without_loops_has_none():
    assert looked_at(["entry:", "  br i1 %c, label %a, label %b", "a:", "  br label %b", "b:", "  ret void"]) == (
        frozenset(),
        False,
    )
