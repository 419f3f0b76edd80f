# SPDX-License-Identifier: Apache-2.0
"""The functions of LLVM IR that run a group phase by phase, see `phases`.

As long as all threads wait at one place, the next phase runs for all of them, row by row. A phase returns the place that threads came to: that
of a barrier, 0 if they have ended, or -1 if each has noted its own, a byte for each thread. Once some have ended, phases run for those that
are left, as many of a row at once as follow each other.

What is kept once for the group is there twice: as a phase finds it, and as it leaves it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from smelt.targets.metal.devices.software.cooperation import RESULT
from smelt.targets.metal.devices.software.cutting.phases import Slot
from smelt.targets.metal.devices.software.inputs import AXES, SIZES_LOADED

GROUP_WORDS = {
    name: number
    for number, name in enumerate(f"{what}_{axis}" for what in ("first", "outer", "actual") for axis in AXES)
}
"""What is known of a group: the position of its first thread in the grid, its own among the groups, and how many threads it has."""

PARAMETERS = (
    "ptr %state, ptr %words, ptr %group, ptr %slots, i64 %most, ptr %common, ptr %next, "
    "i64 %before, i64 %inner_y, i64 %inner_z, i64 %from_x, i64 %to_x"
)
"""What a phase is given: how many threads of the group are before the row, the row, and which threads of it run, at least one. `%slots` is
memory for `%most` threads, of which the last bytes, one for each, are where threads note their place."""

_GROUP = "ptr %state, ptr %words, ptr %group, ptr %slots, i64 %most, ptr %common, ptr %next"


@dataclass(frozen=True)
class PhaseRun:
    """What is to know of a phase to run it.

    Attributes
    ----------
    places
        Where threads may come to.
    changed
        What it leaves that is kept once for the group.
    is_undecided
        Whether threads may come to different places, which they note.
    is_common
        Whether one thread does it for all.
    """

    places: Sequence[int]
    changed: Sequence[Slot]
    is_undecided: bool
    is_common: bool


def group_code(runs: Mapping[int, PhaseRun], *, thread_bytes: int, common_bytes: int, stopped: int) -> str:
    """The LLVM IR of `@smelt.group`, which runs a group: its status, with the position of a thread that failed in the state.

    Parameters
    ----------
    thread_bytes, common_bytes
        What is kept for each thread, and once for the group.
    stopped
        The status of a launch that was told to stop.
    """
    may_differ = any(run.is_undecided for run in runs.values())
    words = {"first": "at", "outer": "outer", "actual": "size"}
    group = _BEGIN.format(
        result=RESULT,
        words=len(GROUP_WORDS),
        common_bytes=common_bytes,
        thread_bytes=thread_bytes,
        sizes=SIZES_LOADED,
        group="\n".join(_stored(f"{what}_{axis}", f"%{name}_{axis}") for what, name in words.items() for axis in AXES),
    )
    phases = "".join(_phase(number, run) for number, run in runs.items())
    parts = [group, phases, _END.format(result=RESULT, stopped=stopped, differs=_DIFFERS if may_differ else "")]
    if may_differ:
        ways = " ".join(f"i32 {number}, label %phase{number}" for number in runs)
        calls = "".join(_CALL.format(phase=number) for number in runs)
        parts += [
            _DISPATCH.format(ways=ways, calls=calls),
            _SOME,
            _APART.format(common_bytes=common_bytes, stopped=stopped),
        ]
        parts += [_AGREED, _LEFT]
    return "".join(parts)


def _phase(number: int, run: PhaseRun) -> str:
    """The part of a group's function that runs a phase for all threads, and goes on where they come to."""
    copies = []
    for slot in run.changed:
        own = f"%kept{number}.{slot.number}"
        copies += [
            f"  {own}.from = getelementptr i8, ptr %next, i64 {slot.offset}",
            f"  {own}.to = getelementptr i8, ptr %common, i64 {slot.offset}",
            f"  {own} = load {slot.kept_kind}, ptr {own}.from",
            f"  store {slot.kept_kind} {own}, ptr {own}.to",
        ]
    ways = "".join(f" i32 {place}, label %{f'begins{place}' if place else 'done'}" for place in run.places)
    goes_on = f"  switch i32 %place{number}, label %stopped [{ways} ]"
    looks = [goes_on]
    if run.is_undecided:
        looks = [
            f"  %agreed{number} = call i32 @smelt.agreed(ptr %places, i64 %count)",
            f"  switch i32 %agreed{number}, label %differs [{ways} ]",
        ]
    text = (_PHASE_OF_ONE if run.is_common else _PHASE_OF_ROWS).format(phase=number, group=_GROUP)
    return "\n".join((text, *copies, *looks)) + "\n"


def _stored(word: str, value: str) -> str:
    """LLVM IR that stores a word of a group."""
    return f"  %{word}_place = getelementptr i64, ptr %group, i64 {GROUP_WORDS[word]}\n  store i64 {value}, ptr %{word}_place"


def _loaded(word: str, name: str) -> str:
    """LLVM IR that loads a word of a group."""
    return f"  %{name}_place = getelementptr i64, ptr %group, i64 {GROUP_WORDS[word]}\n  %{name} = load i64, ptr %{name}_place"


_BEGIN = """
define internal {result} @smelt.group(
  ptr noalias %state, ptr noalias readonly %words, i64 %at_x, i64 %at_y, i64 %at_z, i64 %size_x, i64 %size_y, i64 %size_z,
  ptr noalias %slots, i64 %most
) noinline {{
entry:
  %group = alloca [{words} x i64]
  %common = alloca [{common_bytes} x i8], align 16
  %next = alloca [{common_bytes} x i8], align 16
  %places_offset = mul i64 %most, {thread_bytes}
  %places = getelementptr i8, ptr %slots, i64 %places_offset
{sizes}
  %outer_x = udiv i64 %at_x, %group_x
  %outer_y = udiv i64 %at_y, %group_y
  %outer_z = udiv i64 %at_z, %group_z
{group}
  %plane = mul i64 %size_x, %size_y
  %count = mul i64 %plane, %size_z
  br label %begins0
"""

_STOPS = """\
begins{phase}:
  %stops{phase} = call i1 @smelt.is_stopped(ptr %state)
  br i1 %stops{phase}, label %stopped, label %runs{phase}
runs{phase}:
"""

_PHASE_OF_ONE = f"""\
{_STOPS}\
  %place{{phase}} = call i32 @phase{{phase}}({{group}}, i64 0, i64 0, i64 0, i64 0, i64 1)"""

_PHASE_OF_ROWS = f"""\
{_STOPS}\
  br label %plane{{phase}}
plane{{phase}}:
  %z{{phase}} = phi i64 [ 0, %runs{{phase}} ], [ %next_z{{phase}}, %end_of_plane{{phase}} ]
  %rows{{phase}} = phi i64 [ 0, %runs{{phase}} ], [ %behind{{phase}}, %end_of_plane{{phase}} ]
  br label %row{{phase}}
row{{phase}}:
  %y{{phase}} = phi i64 [ 0, %plane{{phase}} ], [ %next_y{{phase}}, %row{{phase}} ]
  %before{{phase}} = phi i64 [ %rows{{phase}}, %plane{{phase}} ], [ %behind{{phase}}, %row{{phase}} ]
  %place{{phase}} = call i32 @phase{{phase}}({{group}}, i64 %before{{phase}}, i64 %y{{phase}}, i64 %z{{phase}}, i64 0, i64 %size_x)
  %behind{{phase}} = add nuw nsw i64 %before{{phase}}, %size_x
  %next_y{{phase}} = add nuw nsw i64 %y{{phase}}, 1
  %more_y{{phase}} = icmp ult i64 %next_y{{phase}}, %size_y
  br i1 %more_y{{phase}}, label %row{{phase}}, label %end_of_plane{{phase}}
end_of_plane{{phase}}:
  %next_z{{phase}} = add nuw nsw i64 %z{{phase}}, 1
  %more_z{{phase}} = icmp ult i64 %next_z{{phase}}, %size_z
  br i1 %more_z{{phase}}, label %plane{{phase}}, label %ran{{phase}}
ran{{phase}}:"""

_DIFFERS = f"""\
differs:
  %status = call i32 @smelt.apart({_GROUP}, ptr %places)
  %result = insertvalue {RESULT} poison, i32 %status, 0
  ret {RESULT} %result
"""

_END = """\
{differs}stopped:
  ret {result} {{ i32 {stopped} }}
done:
  ret {result} zeroinitializer
}}
"""

_CALL = f"""\
phase{{phase}}:
  %place{{phase}} = call i32 @phase{{phase}}({_GROUP}, i64 %before, i64 %inner_y, i64 %inner_z, i64 %from_x, i64 %to_x)
  ret i32 %place{{phase}}
"""

_DISPATCH = f"""
define internal i32 @smelt.phase(i32 %phase, {PARAMETERS}) noinline optnone cold {{{{
entry:
  switch i32 %phase, label %never [ {{ways}} ]
{{calls}}never:
  unreachable
}}}}
"""

_APART = f"""
; Run a group to its end whose threads came to different places: its status.
define internal i32 @smelt.apart({_GROUP.replace("ptr %", "ptr noalias %")}, ptr %places) noinline optnone cold {{{{
entry:
{_loaded("actual_x", "size_x")}
{_loaded("actual_y", "size_y")}
{_loaded("actual_z", "size_z")}
{_loaded("first_x", "at_x")}
{_loaded("first_y", "at_y")}
{_loaded("first_z", "at_z")}
  %plane = mul i64 %size_x, %size_y
  %count = mul i64 %plane, %size_z
  br label %looks
looks:
  %left = call i64 @smelt.left(ptr %places, i64 %count)
  %strays = icmp slt i64 %left, 0
  br i1 %strays, label %fails, label %waits
waits:
  %phase = trunc i64 %left to i32
  switch i32 %phase, label %goes_on [ i32 0, label %done i32 {{stopped}}, label %stopped ]
goes_on:
  %stops = call i1 @smelt.is_stopped(ptr %state)
  br i1 %stops, label %stopped, label %runs
runs:
  call void @llvm.memcpy.p0.p0.i64(ptr align 16 %next, ptr align 16 %common, i64 {{common_bytes}}, i1 false)
  call void @smelt.some(i32 %phase, {_GROUP}, ptr %places)
  call void @llvm.memcpy.p0.p0.i64(ptr align 16 %common, ptr align 16 %next, i64 {{common_bytes}}, i1 false)
  br label %looks
fails:
  %stray = sub i64 -1, %left
  %stray_x = urem i64 %stray, %size_x
  %stray_row = udiv i64 %stray, %size_x
  %stray_y = urem i64 %stray_row, %size_y
  %stray_z = udiv i64 %stray_row, %size_y
  %failed_x = add i64 %at_x, %stray_x
  %failed_y = add i64 %at_y, %stray_y
  %failed_z = add i64 %at_z, %stray_z
  %failed_y_place = getelementptr i64, ptr %state, i64 1
  %failed_z_place = getelementptr i64, ptr %state, i64 2
  store i64 %failed_x, ptr %state
  store i64 %failed_y, ptr %failed_y_place
  store i64 %failed_z, ptr %failed_z_place
  %stray_place = getelementptr i8, ptr %places, i64 %stray
  %stray_byte = load i8, ptr %stray_place
  %status = zext i8 %stray_byte to i32
  ret i32 %status
stopped:
  ret i32 {{stopped}}
done:
  ret i32 0
}}}}
"""


_SOME = f"""
; Run a phase for the threads that wait for it.
define internal void @smelt.some(
  i32 %phase, {_GROUP.replace("ptr %", "ptr noalias %")}, ptr %places
) noinline optnone cold {{
entry:
{_loaded("actual_x", "size_x")}
{_loaded("actual_y", "size_y")}
{_loaded("actual_z", "size_z")}
  %number = trunc i32 %phase to i8
  br label %planes
planes:
  %z = phi i64 [ 0, %entry ], [ %next_z, %end_of_plane ]
  %has_plane = icmp ult i64 %z, %size_z
  br i1 %has_plane, label %plane, label %done
plane:
  %next_z = add i64 %z, 1
  %rows_before = mul i64 %z, %size_y
  br label %rows
rows:
  %y = phi i64 [ 0, %plane ], [ %next_y, %end_of_row ]
  %has_row = icmp ult i64 %y, %size_y
  br i1 %has_row, label %row, label %end_of_plane
row:
  %next_y = add i64 %y, 1
  %row_number = add i64 %rows_before, %y
  %row_begin = mul i64 %row_number, %size_x
  %row_places = getelementptr i8, ptr %places, i64 %row_begin
  br label %threads
threads:
  %from = phi i64 [ 0, %row ], [ %following, %skips ], [ %to, %ran ]
  %has_thread = icmp ult i64 %from, %size_x
  br i1 %has_thread, label %looks, label %end_of_row
looks:
  %first_place = getelementptr i8, ptr %row_places, i64 %from
  %first_number = load i8, ptr %first_place
  %is_first = icmp eq i8 %first_number, %number
  %following = add i64 %from, 1
  br i1 %is_first, label %more, label %skips
skips:
  br label %threads
more:
  %to = phi i64 [ %following, %looks ], [ %longer, %takes ]
  %has_more = icmp ult i64 %to, %size_x
  br i1 %has_more, label %looks_on, label %runs
looks_on:
  %last_place = getelementptr i8, ptr %row_places, i64 %to
  %last_number = load i8, ptr %last_place
  %is_more = icmp eq i8 %last_number, %number
  br i1 %is_more, label %takes, label %runs
takes:
  %longer = add i64 %to, 1
  br label %more
runs:
  %decided = call i32 @smelt.phase(i32 %phase, {_GROUP}, i64 %row_begin, i64 %y, i64 %z, i64 %from, i64 %to)
  %is_decided = icmp sge i32 %decided, 0
  br i1 %is_decided, label %notes, label %ran
notes:
  %decided_number = trunc i32 %decided to i8
  %length = sub i64 %to, %from
  call void @llvm.memset.p0.i64(ptr %first_place, i8 %decided_number, i64 %length, i1 false)
  br label %ran
ran:
  br label %threads
end_of_row:
  br label %rows
end_of_plane:
  br label %planes
done:
  ret void
}}
"""

_AGREED = """
; The place that all threads noted, -1 if not all noted the same.
define internal i32 @smelt.agreed(ptr noalias readonly %places, i64 %count) {
entry:
  %first = load i8, ptr %places
  br label %thread
thread:
  %number = phi i64 [ 0, %entry ], [ %next, %thread ]
  %before = phi i8 [ 0, %entry ], [ %differs, %thread ]
  %own_place = getelementptr i8, ptr %places, i64 %number
  %own = load i8, ptr %own_place
  %different = xor i8 %own, %first
  %differs = or i8 %before, %different
  %next = add nuw nsw i64 %number, 1
  %more = icmp ult i64 %next, %count
  br i1 %more, label %thread, label %done
done:
  %agrees = icmp eq i8 %differs, 0
  %place = zext i8 %first to i32
  %result = select i1 %agrees, i32 %place, i32 -1
  ret i32 %result
}
"""

_LEFT = """
; The place where all threads wait that haven't ended, 0 if there are none; -1 - the number of the first that waits elsewhere than those
; before it if there is one.
define internal i64 @smelt.left(ptr noalias readonly %places, i64 %count) noinline optnone cold {
entry:
  br label %next
next:
  %number = phi i64 [ 0, %entry ], [ %following, %agrees ]
  %place = phi i8 [ 0, %entry ], [ %known, %agrees ]
  %is_thread = icmp ult i64 %number, %count
  br i1 %is_thread, label %looks, label %done
looks:
  %own_place = getelementptr i8, ptr %places, i64 %number
  %own = load i8, ptr %own_place
  %has_ended = icmp eq i8 %own, 0
  %is_first = icmp eq i8 %place, 0
  %is_same = icmp eq i8 %own, %place
  %waits_too = or i1 %is_first, %is_same
  %is_right = or i1 %has_ended, %waits_too
  br i1 %is_right, label %agrees, label %strays
agrees:
  %known = select i1 %has_ended, i8 %place, i8 %own
  %following = add i64 %number, 1
  br label %next
strays:
  %negative = sub i64 -1, %number
  ret i64 %negative
done:
  %waiting = zext i8 %place to i64
  ret i64 %waiting
}
"""
