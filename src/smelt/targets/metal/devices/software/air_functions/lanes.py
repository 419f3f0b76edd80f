# SPDX-License-Identifier: Apache-2.0
"""What goes from lane to lane of a simdgroup, as functions of LLVM IR.

A lane gives a value to the others before it waits, and reads what they gave afterwards, in the exchange area of its simdgroup (see
`lowering.threadgroups`).
"""

from __future__ import annotations

import re

from smelt.compiler.threadgroups import SIMD_WIDTH
from smelt.lowering.threadgroups import EXCHANGE, LANE, PARITY, SLOT_BYTES, SLOTS_OFFSET

_SUMS = {"sum": ("add", "0"), "product": ("mul", "1"), "and": ("and", "-1"), "or": ("or", "0"), "xor": ("xor", "0")}
_EXTREMES = ("min", "max")
_VOTES = {"all": "and", "any": "or"}

QUAD_WIDTH = 4
"""The lanes that are a quad group."""


def giving(name: str, kind: str) -> str:
    """LLVM IR of a function that gives a value to the other lanes."""
    return _GIVE.format(name=name, kind=kind, slot=_slot("before"))


def reading_moved(name: str, operation: str, kind: str, *, is_inside: bool) -> str:
    """LLVM IR of a function that reads the value that is moved to this lane, inside of so many lanes or from outside of them."""
    return _FILL.format(name=name, kind=kind, slot=AFTER, lane=FILLS[operation][not is_inside])


def testing_moved(name: str, operation: str) -> str:
    """LLVM IR of a function that says whether the value that is moved to this lane comes from inside of so many lanes."""
    return _IS_INSIDE.format(
        name=name, slot=AFTER, test=_IS_INSIDE_UP if operation.endswith("_up") else _IS_INSIDE_DOWN
    )


def reading(name: str, operation: str, kind: str, *, is_unsigned: bool) -> str:
    """LLVM IR of a function that makes the result of one of `OPERATIONS` of what the lanes have given."""
    is_float = kind in ("float", "half", "bfloat")
    scope, _, word = operation.partition("_")
    size = QUAD_WIDTH if scope == "quad" else SIMD_WIDTH
    same_group = _SAME_GROUP.format(size=size)
    if word in _SUMS or word in _EXTREMES:
        combine = _combine(word, kind, is_float=is_float, is_unsigned=is_unsigned)
        return _loop(name, kind, "poison", has="false", member=same_group, combine=combine)
    prefix = re.fullmatch(r"prefix_(inclusive|exclusive)_(sum|product)", word)
    if prefix is not None:
        _, neutral = _SUMS[prefix[2]]
        compare = "ule" if prefix[1] == "inclusive" else "ult"
        return _loop(
            name,
            kind,
            f"{neutral}.0" if is_float else neutral,
            has="true",
            member=f"{same_group.replace('is_member', 'is_near')}\n  %is_before = icmp {compare} i64 %lane, %own\n"
            "  %is_member = and i1 %is_near, %is_before",
            combine=_combine(prefix[2], kind, is_float=is_float, is_unsigned=is_unsigned),
        )
    if word in _SHUFFLES:
        return _SHUFFLE.format(name=name, kind=kind, slot=AFTER, lane=_SHUFFLES[word].format(less=size - 1), size=size)
    if word in _VOTES:
        combine = f"%combined = {_VOTES[word]} i1 %total, %other"
        return _loop(name, kind, "poison", has="false", member=same_group, combine=combine)
    if word == "broadcast_first":
        return _loop(name, kind, "poison", has="false", member=same_group, combine=f"%combined = freeze {kind} %total")
    return _MASK_FUNCTIONS[word].format(
        name=name,
        kind=kind,
        slot=AFTER,
        group=_GROUP_MASK.format(size=size, lanes=(1 << size) - 1),
        resized=_resized(kind),
    )


def _combine(word: str, kind: str, *, is_float: bool, is_unsigned: bool) -> str:
    """LLVM IR that makes `%combined` of `%total` and `%other`."""
    if word in _SUMS:
        operator, _ = _SUMS[word]
        return f"%combined = {'f' if is_float else ''}{operator} {kind} %total, %other"
    if is_float:
        # Of a number and NaN the number.
        order = "olt" if word == "min" else "ogt"
        return (
            f"%is_better = fcmp {order} {kind} %other, %total\n  %is_nan = fcmp uno {kind} %total, %total\n"
            f"  %is_taken = or i1 %is_better, %is_nan\n  %combined = select i1 %is_taken, {kind} %other, {kind} %total"
        )
    order = ("u" if is_unsigned else "s") + ("lt" if word == "min" else "gt")
    return f"%is_taken = icmp {order} {kind} %other, %total\n  %combined = select i1 %is_taken, {kind} %other, {kind} %total"


def _slot(when: str) -> str:
    """LLVM IR that makes `%slots` and `%own`: the slots of the exchange area, and the lane, before or after waiting."""
    flipped = (
        "%parity = load i64, ptr %parity_place"
        if when == "before"
        else ("%next_parity = load i64, ptr %parity_place\n  %parity = xor i64 %next_parity, 1")
    )
    flip = "\n  %flipped = xor i64 %parity, 1\n  store i64 %flipped, ptr %parity_place" if when == "before" else ""
    return f"""\
  %area_place = getelementptr i64, ptr %state, i64 {EXCHANGE}
  %area = load ptr, ptr %area_place
  %parity_place = getelementptr i64, ptr %state, i64 {PARITY}
  {flipped}{flip}
  %skipped = mul i64 %parity, {SIMD_WIDTH * SLOT_BYTES}
  %begin = getelementptr i8, ptr %area, i64 %skipped
  %slots = getelementptr i8, ptr %begin, i64 {SLOTS_OFFSET}
  %lane_place = getelementptr i64, ptr %state, i64 {LANE}
  %own = load i64, ptr %lane_place
  %mask = load i64, ptr %area"""


AFTER = _slot("after")
"""LLVM IR that finds the slots once all have given, as `%slots`, the lanes that did, as `%mask`, and this one, as `%own`."""

_GIVE = f"""
define internal void @{{name}}(ptr %state, {{kind}} %value) alwaysinline {{{{
{{slot}}
  %slot = getelementptr [{SLOT_BYTES} x i8], ptr %slots, i64 %own
  store {{kind}} %value, ptr %slot
  ret void
}}}}
"""


def _loop(name: str, kind: str, initial: str, *, has: str, member: str, combine: str) -> str:
    """LLVM IR of a function that goes over the lanes that take part, in their order; it is no part of the kernel, which may call it often.

    It begins with `initial`, which counts if `has` says so; `member` makes `%is_member`, whether a lane counts, and `combine` makes
    `%combined` of `%total` and `%other`.
    """
    return _LOOP.format(name=name, kind=kind, slot=AFTER, initial=initial, has=has, member=member, combine=combine)


_LOOP = f"""
define internal {{kind}} @{{name}}(ptr %state) noinline {{{{
entry:
{{slot}}
  br label %loop
loop:
  %lane = phi i64 [ 0, %entry ], [ %next, %after ]
  %total = phi {{kind}} [ {{initial}}, %entry ], [ %kept, %after ]
  %has = phi i1 [ {{has}}, %entry ], [ %has_now, %after ]
  %more = icmp ult i64 %lane, {SIMD_WIDTH}
  br i1 %more, label %looks, label %done
looks:
  %shifted = lshr i64 %mask, %lane
  %is_here = trunc i64 %shifted to i1
  {{member}}
  %is_in = and i1 %is_here, %is_member
  br i1 %is_in, label %takes, label %after
takes:
  %slot = getelementptr [{SLOT_BYTES} x i8], ptr %slots, i64 %lane
  %other = load {{kind}}, ptr %slot
  {{combine}}
  %taken = select i1 %has, {{kind}} %combined, {{kind}} %other
  br label %after
after:
  %kept = phi {{kind}} [ %total, %looks ], [ %taken, %takes ]
  %has_now = phi i1 [ %has, %looks ], [ true, %takes ]
  %next = add i64 %lane, 1
  br label %loop
done:
  ret {{kind}} %total
}}}}
"""

# Of the lanes from a multiple of `{size}` on.
_SAME_GROUP = (
    "%differs = xor i64 %lane, %own\n  %outer = and i64 %differs, -{size}\n  %is_member = icmp eq i64 %outer, 0"
)


# The lane that a value comes from, `%wanted`, of the operand `%by`; `%first` is the first of the group.
_SHUFFLES = {
    "shuffle": "%wanted = add i64 %first, %by",
    "broadcast": "%wanted = add i64 %first, %by",
    "shuffle_xor": "%wanted = xor i64 %own, %by",
    "shuffle_down": "%wanted = add i64 %own, %by",
    "shuffle_up": "%wanted = sub i64 %own, %by",
    "shuffle_rotate_down": "%moved = add i64 %own, %by\n  %turned = and i64 %moved, {less}\n  %wanted = or i64 %first, %turned",
    "shuffle_rotate_up": "%moved = sub i64 %own, %by\n  %turned = and i64 %moved, {less}\n  %wanted = or i64 %first, %turned",
}

_SHUFFLE = f"""
define internal {{kind}} @{{name}}(ptr %state, i16 %operand) alwaysinline {{{{
{{slot}}
  %by = zext i16 %operand to i64
  %first = and i64 %own, -{{size}}
  {{lane}}
  ; A lane that isn't there, or not in the group, gives its own value to whom asks for it.
  %is_lane = icmp ule i64 %wanted, {SIMD_WIDTH - 1}
  %known = select i1 %is_lane, i64 %wanted, i64 %own
  %shifted = lshr i64 %mask, %known
  %is_here = trunc i64 %shifted to i1
  %differs = xor i64 %known, %own
  %is_group = icmp ult i64 %differs, {{size}}
  %is_given = and i1 %is_here, %is_group
  %chosen = select i1 %is_given, i64 %known, i64 %own
  %slot = getelementptr [{SLOT_BYTES} x i8], ptr %slots, i64 %chosen
  %value = load {{kind}}, ptr %slot
  ret {{kind}} %value
}}}}
"""

# Of a lane at `%place` of `%width` lanes that begin at `%first`, moved by `%by`: the lane that a value comes from, inside of them and
# outside.
_FILL_UP = (
    "%wanted = sub i64 %own, %by",
    "%around = add i64 %own, %width\n  %wanted = sub i64 %around, %by",
)
_FILL_DOWN = (
    "%wanted = add i64 %own, %by",
    "%around = add i64 %own, %by\n  %wanted = sub i64 %around, %width",
)
FILLS = {
    f"{scope}_shuffle_and_fill_{way}": lanes
    for scope in ("simd", "quad")
    for way, lanes in (("up", _FILL_UP), ("down", _FILL_DOWN))
}
_IS_INSIDE_UP = "%is_inside = icmp uge i64 %place, %by"
_IS_INSIDE_DOWN = "%moved = add i64 %place, %by\n  %is_inside = icmp ult i64 %moved, %width"

_PLACE = """\
  %by = zext i16 %moved_by to i64
  %width = zext i16 %lanes to i64
  %place = urem i64 %own, %width"""

_FILL = f"""
define internal {{kind}} @{{name}}(ptr %state, i16 %moved_by, i16 %lanes) alwaysinline {{{{
{{slot}}
{_PLACE}
  {{lane}}
  %is_lane = icmp ule i64 %wanted, {SIMD_WIDTH - 1}
  %chosen = select i1 %is_lane, i64 %wanted, i64 %own
  %place_of_slot = getelementptr [{SLOT_BYTES} x i8], ptr %slots, i64 %chosen
  %value = load {{kind}}, ptr %place_of_slot
  ret {{kind}} %value
}}}}
"""

_IS_INSIDE = f"""
define internal i1 @{{name}}(ptr %state, i16 %moved_by, i16 %lanes) alwaysinline {{{{
{{slot}}
{_PLACE}
  {{test}}
  ret i1 %is_inside
}}}}
"""

# The lanes of the group that take part, as the low bits of `%active`, and this lane's place among them, `%place`.
_GROUP_MASK = """\
  %first = and i64 %own, -{size}
  %place = sub i64 %own, %first
  %window = lshr i64 %mask, %first
  %active = and i64 %window, {lanes}"""


def _resized(kind: str) -> str:
    """LLVM IR that makes `%result`, of an integer type, of `%bits`."""
    return "%result = add i64 %bits, 0" if kind == "i64" else f"%result = trunc i64 %bits to {kind}"


_OWN_SLOT = f"  %slot = getelementptr [{SLOT_BYTES} x i8], ptr %slots, i64 %own"

_MASK_FUNCTIONS = {
    "is_first": """
define internal {kind} @{name}(ptr %state) alwaysinline {{
{slot}
{group}
  %bit = shl i64 1, %place
  %less = sub i64 %bit, 1
  %before = and i64 %active, %less
  %result = icmp eq i64 %before, 0
  ret {kind} %result
}}
""",
    "active_threads_mask": """
define internal {kind} @{name}(ptr %state) alwaysinline {{
{slot}
{group}
  %bits = add i64 %active, 0
  {resized}
  ret {kind} %result
}}
""",
    **{
        f"vote_{which}": f"""
define internal {{kind}} @{{name}}(ptr %state) alwaysinline {{{{
{{slot}}
{{group}}
{_OWN_SLOT}
  %given = load i64, ptr %slot
  %there = and i64 %given, %active
  %result = icmp {test}
  ret {{kind}} %result
}}}}
"""
        for which, test in {"all": "eq i64 %there, %active", "any": "ne i64 %there, 0"}.items()
    },
    "ballot": f"""
define internal {{kind}} @{{name}}(ptr %state) alwaysinline {{{{
entry:
{{slot}}
{{group}}
  br label %loop
loop:
  %lane = phi i64 [ 0, %entry ], [ %next, %loop ]
  %total = phi i64 [ 0, %entry ], [ %votes, %loop ]
  %index = add i64 %first, %lane
  %in_slots = and i64 %index, {SIMD_WIDTH - 1}
  %slot = getelementptr [{SLOT_BYTES} x i8], ptr %slots, i64 %in_slots
  %given = load i8, ptr %slot
  %low = and i8 %given, 1
  %vote = zext i8 %low to i64
  %moved = shl i64 %vote, %lane
  %votes = or i64 %total, %moved
  %next = add i64 %lane, 1
  %more = icmp ult i64 %next, {SIMD_WIDTH}
  br i1 %more, label %loop, label %done
done:
  ; Of lanes that take no part nothing is counted, whatever lies in their slots.
  %bits = and i64 %votes, %active
  {{resized}}
  ret {{kind}} %result
}}}}
""",
}

GIVE_NOTHING = frozenset(
    f"{scope}_{word}" for scope in ("simd", "quad") for word in ("is_first", "active_threads_mask")
)
"""The operations without a value that is given to the others."""

OPERATIONS = (
    *(
        f"{scope}_{word}"
        for scope in ("simd", "quad")
        for word in (
            *_SUMS,
            *_EXTREMES,
            *_VOTES,
            *_SHUFFLES,
            *_MASK_FUNCTIONS,
            "broadcast_first",
            *(f"prefix_{way}_{word}" for way in ("inclusive", "exclusive") for word in ("sum", "product")),
        )
    ),
    *FILLS,
)
"""What lanes do together, as AIR calls it."""
