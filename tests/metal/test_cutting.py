# SPDX-License-Identifier: Apache-2.0
"""How kernels of AIR are cut: their blocks, what their threads have in common, and what is kept over barriers."""

from __future__ import annotations

import pytest

from smelt.targets.metal.devices.software.cooperation import cooperating
from smelt.targets.metal.devices.software.cutting.control_flow import blocks_of, joins, live_values, reached
from smelt.targets.metal.devices.software.cutting.phase_functions import PhaseWriter
from smelt.targets.metal.devices.software.cutting.phases import (
    UncuttableError,
    cut_at_ways,
    named,
    phase_blocks,
    planned,
)
from smelt.targets.metal.devices.software.cutting.uniformity import Uniformity
from smelt.targets.metal.devices.software.cutting.value_types import bytes_of, type_of

pytestmark = pytest.mark.once

WAIT = "  call void @air.wg.barrier(i32 2, i32 1)"

BODY = f"""\
entry:
  %limit = load i32, ptr addrspace(2) %sizes
  %mine = mul i32 %i, 3
  br label %head
head:                                             ; preds = %joined, %entry
  %n = phi i32 [ 0, %entry ], [ %next, %joined ]
  %v = phi i32 [ %mine, %entry ], [ %w, %joined ]
  %odd = trunc i32 %v to i1
  br i1 %odd, label %then, label %joined
then:
  %t = load i32, ptr addrspace(1) %x
  br label %joined
joined:
  %w = phi i32 [ %v, %head ], [ %t, %then ]
{WAIT}
  %next = add i32 %n, 1
  %more = icmp slt i32 %next, %limit
  switch i32 %limit, label %head [
    i32 7, label %done
    i32 9, label %done
  ]
done:
  ret void""".splitlines()


def test_blocks_and_where_control_goes():
    blocks = blocks_of(BODY)
    assert list(blocks) == ["entry", "head", "then", "joined", "done"]
    assert blocks["joined"].successors == ("head", "done")
    assert len(blocks["head"].phis) == 2
    assert len(blocks["joined"].end) == 4
    assert reached(blocks, "then") == {"then", "joined", "head", "done"}
    assert reached(blocks, "then", without=["head", "done"]) == {"then", "joined", "head", "done"}
    assert reached(blocks, "then", without=["joined"]) == {"then", "joined"}


def test_where_ways_come_together():
    assert joins(blocks_of(BODY)) == {
        "entry": "head",
        "head": "joined",
        "then": "joined",
        "joined": "done",
        "done": None,
    }
    endless = ["a:", "  br i1 %c, label %b, label %d", "b:", "  br label %b", "d:", "  ret void"]
    assert joins(blocks_of(endless)) == {"a": "d", "b": None, "d": None}


def test_what_is_needed_where_blocks_begin():
    live = live_values(blocks_of(BODY))
    assert live["entry"] == set()
    # What phis choose of is needed where control comes from.
    assert live["head"] == {"%limit"}
    assert live["then"] == {"%n", "%limit"}
    assert live["joined"] == {"%n", "%limit"}
    assert live["done"] == set()


def test_what_threads_have_in_common():
    uniformity = Uniformity(blocks_of(BODY), ["%i"])
    assert [name for name in ("%limit", "%n", "%next", "%more") if not uniformity.is_uniform(name)] == []
    assert [name for name in ("%mine", "%v", "%odd", "%t", "%w") if uniformity.is_uniform(name)] == []
    assert uniformity.branching == {"head"}


def test_what_a_loop_counts_differs_if_threads_leave_it_one_by_one():
    body = [
        "entry:",
        "  br label %head",
        "head:",
        "  %n = phi i32 [ 0, %entry ], [ %next, %head ]",
        "  %next = add i32 %n, 1",
        "  %more = icmp slt i32 %next, %bound",
        "  br i1 %more, label %head, label %done",
        "done:",
        "  ret void",
    ]
    assert Uniformity(blocks_of(body), []).is_uniform("%next")
    assert not Uniformity(blocks_of(body), ["%bound"]).is_uniform("%next")


@pytest.mark.parametrize(
    ("instruction", "kind", "nbytes"),
    [
        ("add nuw nsw i32 %b, 1", "i32", 4),
        ("icmp samesign ult <3 x i32> %b, %c", "<3 x i1>", 1),
        ("load volatile <3 x float>, ptr addrspace(3) %q, align 4", "<3 x float>", 16),
        ("tail call fast noundef float @foo(float %b)", "float", 4),
        ("getelementptr inbounds nuw [4 x i32], ptr addrspace(3) %q, i64 0, i64 %c", "ptr addrspace(3)", 8),
        ("select i1 %c, half %x, half 0xH0000", "half", 2),
        ("extractvalue { i32, i1 } %x, 1", "i1", 1),
        ("phi double [ 0.0, %x ], [ %y, %z ]", "double", 8),
        ("shufflevector <4 x i8> %a, <4 x i8> poison, <3 x i32> <i32 0, i32 1, i32 2>", "<3 x i8>", 4),
        ("zext nneg i1 %x to i64", "i64", 8),
        ("atomicrmw add ptr addrspace(1) %x, i32 1 monotonic, align 4", "i32", 4),
        ("extractelement <2 x bfloat> %x, i32 0", "bfloat", 2),
        ("cmpxchg ptr %x, i32 0, i32 1 monotonic monotonic", None, None),
    ],
)
def test_types_of_values_and_their_bytes(instruction, kind, nbytes):
    assert type_of(f"  %a = {instruction}") == kind
    assert kind is None or bytes_of(kind) == nbytes


def test_the_bytes_of_arrays_are_known_and_those_of_structures_are_not():
    assert bytes_of("[4 x [2 x <3 x i16>]]") == 64
    assert bytes_of("{ i32, i32 }") is None
    assert bytes_of("i24") is None


def cut(body):
    found = cooperating(named(body), suspends=False)
    blocks = phase_blocks(found.body)
    sites = found.sites + cut_at_ways(blocks, found.sites, ["%i"])
    plan = planned(blocks, sites, ["%i"], ["%x", "%sizes"])
    return plan, PhaseWriter(plan, blocks, "")


def test_what_is_kept_over_a_barrier_and_what_is_computed_again():
    body = f"""\
entry:
  %0 = mul i32 %i, 5
  %cheap = add i32 %0, 1
  %limit = load i32, ptr addrspace(2) %sizes
  %bit = trunc i32 %limit to i1
  %root = load float, ptr addrspace(1) %x
  %small = load i8, ptr addrspace(1) %x
  %gone = load i64, ptr addrspace(1) %x
  store i64 %gone, ptr addrspace(1) %x
{WAIT}
  %uses = add i32 %cheap, %limit
  %wide = zext i8 %small to i32
  %both = add i32 %uses, %wide
  store i32 %both, ptr addrspace(1) %x
  store float %root, ptr addrspace(1) %x
  %chosen = select i1 %bit, i32 1, i32 2
  store i32 %chosen, ptr addrspace(1) %x
  ret void""".splitlines()
    plan, writer = cut(body)
    assert plan.heads == {0: "entry", 1: "smelt.resumed1"}
    assert plan.repeated == {"%cheap", "%smelt.0"}
    kept = {name: (slot.kept_kind, slot.offset, slot.is_common) for name, slot in plan.slots.items()}
    assert kept == {
        "%limit": ("i32", 0, True),
        "%root": ("float", 0, False),
        "%bit": ("i8", 4, True),
        "%small": ("i8", 4, False),
    }
    assert (plan.thread_bytes, plan.common_bytes) == (5, 5)
    assert plan.undecided == set()
    assert writer.run(0).places == [1]
    assert writer.run(1).places == [0]
    text = "\n".join(writer.phase(1))
    assert "%smelt.0 = mul i32 %i, 5" in text
    assert "%gone" not in text


def test_a_way_that_all_threads_go_together_is_a_phase_that_one_thread_does():
    plan, writer = cut(
        [
            line.replace("switch i32 %limit, label %head [", "br i1 %more, label %head, label %done")
            for line in BODY
            if "    i32" not in line and line != "  ]"
        ]
    )
    assert sorted(plan.heads) == [0, 1, 2, 3]
    assert [writer.run(site).places for site in plan.heads] == [[1], [2, 3], [1], [0]]
    assert [writer.run(site).is_common for site in plan.heads] == [False, True, False, True]
    assert plan.undecided == set()


def test_barriers_in_ways_that_depend_on_the_thread_are_decided_as_threads_run():
    body = f"""\
entry:
  %low = icmp slt i32 %i, 4
  br i1 %low, label %wait, label %end
wait:
{WAIT}
  br label %end
end:
  ret void""".splitlines()
    plan, writer = cut(body)
    assert plan.undecided == {0}
    assert writer.run(0).places == [0, 1]


def test_values_that_memory_cannot_keep_are_refused():
    body = f"""\
entry:
  %pair = cmpxchg ptr addrspace(1) %x, i32 0, i32 1 monotonic monotonic
{WAIT}
  %old = extractvalue {{ i32, i1 }} %pair, 0
  store i32 %old, ptr addrspace(1) %x
  ret void""".splitlines()
    with pytest.raises(UncuttableError):
        cut(body)


def test_memory_of_a_thread_whose_address_is_somewhere_else_is_there_in_all_phases():
    body = f"""\
entry:
  %there = alloca [2 x i64], align 8
  %hidden = alloca [3 x i32], align 4
  %alone = alloca [64 x i32], align 4
  %place = getelementptr i32, ptr %hidden, i32 1
  store ptr %place, ptr %there
  store i32 %i, ptr %alone
{WAIT}
  %again = load ptr, ptr %there
  store i32 7, ptr %again
  ret void""".splitlines()
    plan, writer = cut(body)
    assert plan.arrays == {"%there": (0, 16), "%hidden": (16, 16)}
    assert plan.thread_bytes == 32
    assert "%alone = alloca" in "\n".join(writer.phase(0))
    assert not writer.is_parallel(0)
    assert writer.is_parallel(1)
    with pytest.raises(UncuttableError):
        cut([line.replace("[3 x i32]", "{ i32, i32 }") for line in body])


def test_phases_that_have_too_much_in_common_are_refused():
    barriers = []
    for number in range(12):
        barriers += [
            f"  %c{number} = icmp eq i32 %i, {number}",
            f"  br i1 %c{number}, label %w{number}, label %j{number}",
            f"w{number}:",
            WAIT,
            f"  br label %j{number}",
            f"j{number}:",
        ]
    with pytest.raises(UncuttableError):
        cut(["entry:", *barriers, "  ret void"])


def test_a_thread_looks_whether_to_stop_only_where_it_does_not_wait():
    looks = "call i1 @smelt.is_stopped"
    body = ["entry:", "  br label %loop", "loop:", WAIT, "  br label %loop"]
    assert looks in "\n".join(cooperating(body).body)
    assert looks not in "\n".join(cooperating(body, suspends=False).body)
    body.remove(WAIT)
    assert looks in "\n".join(cooperating(body, suspends=False).body)
