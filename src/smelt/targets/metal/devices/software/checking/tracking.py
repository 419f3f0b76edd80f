# SPDX-License-Identifier: Apache-2.0
"""Who accessed which byte last: how races are found, and reads of threadgroup memory that nobody has written to.

Three words are known of each byte: the last write, the last read, the last atomic access. A word is a stamp: from its low end 12 bits for
the thread of the group, 12 for how many barriers of its simdgroup the thread has passed, 12 for how many of the threadgroup, and the
group. The thread of several lanes of one simdgroup is 2048 and more, of several of a group 4095.

Two accesses race if they are of different threads of a group, at least one is a write, not both are atomic, and no barrier is between
them: of the threadgroup, or of the simdgroup if it is theirs. Groups run one after the other while this is looked after.
"""

from __future__ import annotations

from smelt.targets.metal.devices.software.checking.accesses import ATOMIC, READ, WRITE, Access
from smelt.targets.metal.devices.software.checking.records import RACE, SEVERAL, UNINITIALISED

SHADOW_WORDS = 3
"""The words that are known of a byte."""

PASSED = "  %smelt.own.passed = alloca [2 x i64], align 8\n  store [2 x i64] zeroinitializer, ptr %smelt.own.passed"
"""LLVM IR that begins to count the barriers that a thread has passed: of the threadgroup, and of its simdgroup."""


def passing(site: int, *, is_simdgroup: bool) -> tuple[str, ...]:
    """LLVM IR that counts one more."""
    own = f"%smelt.own.passed{site}"
    return (
        f"  {own}.place = getelementptr i64, ptr %smelt.own.passed, i64 {int(is_simdgroup)}",
        f"  {own}.before = load i64, ptr {own}.place",
        f"  {own}.now = add i64 {own}.before, 1",
        f"  store i64 {own}.now, ptr {own}.place",
    )


def noting(own: str, access: Access, base: str, root: str, shadow: str) -> str:
    """LLVM IR that takes note of an access."""
    is_group = "true" if access.pointer_type == "ptr addrspace(3)" else "false"
    return (
        f"  call void @smelt.note(ptr %smelt.state, ptr %smelt.own.passed, i1 {own}.is_clear, i64 {own}, i64 {base}, "
        f"i64 {root}, i64 {shadow}, i64 {access.size}, i64 {access.kind}, i1 {is_group})"
    )


def noting_text(*, races: bool, uninitialised: bool) -> str:
    """The LLVM IR of what takes note."""
    return _NOTE.format(
        races=str(races).lower(),
        uninitialised=str(uninitialised).lower(),
        read=READ,
        write=WRITE,
        atomic=ATOMIC,
        race=RACE,
        is_uninitialised=UNINITIALISED,
        several=SEVERAL,
        byte_bytes=8 * SHADOW_WORDS,
    )


_INDEX = "\n".join(
    f"""\
  %{axis}_at = getelementptr i64, ptr %state, i64 {number}
  %{axis} = load i64, ptr %{axis}_at
  %grid_{axis}_at = getelementptr i64, ptr %state, i64 {3 + number}
  %grid_{axis} = load i64, ptr %grid_{axis}_at
  %size_{axis}_at = getelementptr i64, ptr %state, i64 {6 + number}
  %size_{axis} = load i64, ptr %size_{axis}_at
  %group_{axis} = udiv i64 %{axis}, %size_{axis}
  %first_{axis} = mul i64 %group_{axis}, %size_{axis}
  %inner_{axis} = sub i64 %{axis}, %first_{axis}
  %left_{axis} = sub i64 %grid_{axis}, %first_{axis}
  %actual_{axis} = call i64 @llvm.umin.i64(i64 %left_{axis}, i64 %size_{axis})
  %padded_{axis} = add i64 %grid_{axis}, %size_{axis}
  %most_{axis} = sub i64 %padded_{axis}, 1
  %groups_{axis} = udiv i64 %most_{axis}, %size_{axis}"""
    for number, axis in enumerate("xyz")
)

_NOTE = (
    """
declare i64 @llvm.umin.i64(i64, i64)

define internal i64 @smelt.simdgroup_of(i64 %thread) alwaysinline {{
  %is_many = icmp uge i64 %thread, 2048
  %one = lshr i64 %thread, 5
  %many = and i64 %thread, 2047
  %simdgroup = select i1 %is_many, i64 %many, i64 %one
  ret i64 %simdgroup
}}

define internal i1 @smelt.conflicts(i64 %old, i64 %stamp) alwaysinline {{
  %difference = xor i64 %old, %stamp
  %interval = lshr i64 %difference, 24
  %is_same = icmp eq i64 %interval, 0
  %thread = and i64 %stamp, 4095
  %other = and i64 %old, 4095
  %is_other = icmp ne i64 %thread, %other
  %own_simdgroup = call i64 @smelt.simdgroup_of(i64 %thread)
  %other_simdgroup = call i64 @smelt.simdgroup_of(i64 %other)
  %is_own_simdgroup = icmp eq i64 %own_simdgroup, %other_simdgroup
  %passed = lshr i64 %difference, 12
  %passed_low = and i64 %passed, 4095
  %has_passed = icmp ne i64 %passed_low, 0
  %is_ordered = and i1 %is_own_simdgroup, %has_passed
  %is_unordered = xor i1 %is_ordered, true
  %is_near = and i1 %is_same, %is_other
  %conflicts = and i1 %is_near, %is_unordered
  ret i1 %conflicts
}}

define internal i64 @smelt.joined(i64 %old, i64 %stamp) alwaysinline {{
  %difference = xor i64 %old, %stamp
  %interval = lshr i64 %difference, 24
  %is_other_interval = icmp ne i64 %interval, 0
  %thread = and i64 %stamp, 4095
  %other = and i64 %old, 4095
  %is_own = icmp eq i64 %thread, %other
  %is_alone = or i1 %is_other_interval, %is_own
  %own_simdgroup = call i64 @smelt.simdgroup_of(i64 %thread)
  %other_simdgroup = call i64 @smelt.simdgroup_of(i64 %other)
  %is_own_simdgroup = icmp eq i64 %own_simdgroup, %other_simdgroup
  %lanes = or i64 %own_simdgroup, 2048
  %many = select i1 %is_own_simdgroup, i64 %lanes, i64 {several}
  %rest = and i64 %stamp, -4096
  %joined = or i64 %rest, %many
  %result = select i1 %is_alone, i64 %stamp, i64 %joined
  ret i64 %result
}}

define internal void @smelt.note(
  ptr %state, ptr %passed, i1 %is_clear, i64 %address, i64 %base, i64 %root, i64 %shadow, i64 %bytes, i64 %kind, i1 %is_group
) noinline {{
entry:
  %has_shadow = icmp ne i64 %shadow, 0
  %is_noted = and i1 %is_clear, %has_shadow
  br i1 %is_noted, label %begins, label %ends
begins:
"""
    + _INDEX
    + """
  %plane = mul i64 %inner_z, %actual_y
  %row = add i64 %plane, %inner_y
  %before = mul i64 %row, %actual_x
  %thread = add i64 %before, %inner_x
  %group_plane = mul i64 %group_z, %groups_y
  %group_row = add i64 %group_plane, %group_y
  %group_before = mul i64 %group_row, %groups_x
  %group_index = add i64 %group_before, %group_x
  ; No group has the number 0, which is that of bytes that nobody has accessed.
  %group = add i64 %group_index, 1
  %passed_group = load i64, ptr %passed
  %passed_lanes_at = getelementptr i64, ptr %passed, i64 1
  %passed_lanes = load i64, ptr %passed_lanes_at
  %low_group = and i64 %passed_group, 4095
  %low_lanes = and i64 %passed_lanes, 4095
  %high = shl i64 %group, 36
  %middle = shl i64 %low_group, 24
  %low = shl i64 %low_lanes, 12
  %stamp_high = or i64 %high, %middle
  %stamp_low = or i64 %low, %thread
  %stamp = or i64 %stamp_high, %stamp_low
  %offset = sub i64 %address, %base
  %first_place = mul i64 %offset, {byte_bytes}
  %known = inttoptr i64 %shadow to ptr
  %first_byte = getelementptr i8, ptr %known, i64 %first_place
  %is_read = icmp eq i64 %kind, {read}
  %is_write = icmp eq i64 %kind, {write}
  %is_atomic = icmp eq i64 %kind, {atomic}
  %is_no_write = xor i1 %is_write, true
  %is_no_atomic = xor i1 %is_atomic, true
  %is_no_read = xor i1 %is_read, true
  %reads_group = and i1 %is_group, %is_no_write
  %looks_for_value = and i1 %reads_group, {uninitialised}
  br label %byte
byte:
  %number = phi i64 [ 0, %begins ], [ %next, %after ]
  %told = phi i1 [ false, %begins ], [ %tells, %after ]
  %has_byte = icmp ult i64 %number, %bytes
  br i1 %has_byte, label %looks, label %ends
looks:
  %skipped = mul i64 %number, {byte_bytes}
  %write_at = getelementptr i8, ptr %first_byte, i64 %skipped
  %read_at = getelementptr i64, ptr %write_at, i64 1
  %atomic_at = getelementptr i64, ptr %write_at, i64 2
  %last_write = load i64, ptr %write_at
  %last_read = load i64, ptr %read_at
  %last_atomic = load i64, ptr %atomic_at
  %races_with_write = call i1 @smelt.conflicts(i64 %last_write, i64 %stamp)
  %race_with_read = call i1 @smelt.conflicts(i64 %last_read, i64 %stamp)
  %races_with_read = and i1 %race_with_read, %is_no_read
  %race_with_atomic = call i1 @smelt.conflicts(i64 %last_atomic, i64 %stamp)
  %races_with_atomic = and i1 %race_with_atomic, %is_no_atomic
  %race_with_plain = or i1 %races_with_write, %races_with_read
  %any_race = or i1 %race_with_plain, %races_with_atomic
  %is_race = and i1 %any_race, {races}
  %atomic_or_read = select i1 %races_with_read, i64 %last_read, i64 %last_atomic
  %other_stamp = select i1 %races_with_write, i64 %last_write, i64 %atomic_or_read
  %other = and i64 %other_stamp, 4095
  %is_new_race = icmp ugt i1 %is_race, %told
  br i1 %is_new_race, label %tells_race, label %values
tells_race:
  call void @smelt.report(ptr %state, i64 {race}, i64 %kind, i64 %root, i64 %offset, i64 %bytes, i64 %other)
  br label %values
values:
  %tells_now = or i1 %told, %is_race
  %write_group = lshr i64 %last_write, 36
  %atomic_group = lshr i64 %last_atomic, 36
  %was_written = icmp eq i64 %write_group, %group
  %was_atomic = icmp eq i64 %atomic_group, %group
  %has_value = or i1 %was_written, %was_atomic
  %has_none = xor i1 %has_value, true
  %lacks_value = and i1 %has_none, %looks_for_value
  %is_new_lack = icmp ugt i1 %lacks_value, %tells_now
  br i1 %is_new_lack, label %tells_value, label %notes
tells_value:
  call void @smelt.report(ptr %state, i64 {is_uninitialised}, i64 %kind, i64 %root, i64 %offset, i64 %bytes, i64 -1)
  br label %notes
notes:
  %tells = or i1 %tells_now, %lacks_value
  br i1 %is_write, label %writes, label %reads_or_atomic
writes:
  store i64 %stamp, ptr %write_at
  br label %after
reads_or_atomic:
  %joined_place = select i1 %is_read, ptr %read_at, ptr %atomic_at
  %before_it = load i64, ptr %joined_place
  %joined = call i64 @smelt.joined(i64 %before_it, i64 %stamp)
  store i64 %joined, ptr %joined_place
  br label %after
after:
  %next = add i64 %number, 1
  br label %byte
ends:
  ret void
}}
"""
)
