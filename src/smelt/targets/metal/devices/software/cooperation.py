# SPDX-License-Identifier: Apache-2.0
"""Kernels of AIR whose threads work together, as parts of coroutines.

A call of AIR's that waits, for the threadgroup or for the lanes of the simdgroup, becomes what smelt's own kernels do there (see
`lowering.threadgroups`): the thread notes where it waits and suspends itself; what goes from lane to lane goes through the exchange area of
its simdgroup. A kernel gets the thread's state as its first parameter, and returns a status.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from smelt.compiler.threadgroups import SIMD_WIDTH
from smelt.lowering.threadgroups import EXCHANGE, LANE, LEFT, PARITY, SLOT_BYTES, SLOTS_OFFSET, WAITS_AT
from smelt.targets.metal.devices.errors import DeviceError
from smelt.targets.metal.devices.software import matrices

RESULT = "{ i32 }"

_CALL = re.compile(
    r"^  (?:(?P<result>%[\w.\"$-]+) = )?(?:tail |musttail |notail )?call (?:[a-z]+ )*?(?P<kind>void|<[^>]+>|\w+) "
    r"@air\.(?P<name>wg\.barrier|(?:simdgroup\.barrier|simd_\w+|quad_\w+|simdgroup_matrix_8x8_\w+)[\w.]*)\((?P<arguments>.*?)\)[^()]*$"
)
_LABEL = re.compile(r"^([\w.$-]+|\"[^\"]+\"):")

_MATRIX = "simdgroup_matrix_8x8_"
_SUMS = {"sum": ("add", "0"), "product": ("mul", "1")}
_EXTREMES = ("min", "max")
_VOTES = {"all": "and", "any": "or"}

QUAD_WIDTH = 4
"""The lanes that are a quad group."""


@dataclass(frozen=True)
class Cooperative:
    """A kernel whose threads wait for each other.

    Attributes
    ----------
    text
        Its module, in which it takes the thread's state, and returns a status.
    sites
        How many places there are where its threads wait.
    """

    text: str
    sites: int


def made_cooperative(text: str, kernel: str) -> Cooperative | None:
    """The module of a kernel with what waits in it written out; None if nothing does.

    Raises `DeviceError` for functions of AIR's that are not known.
    """
    lines = text.splitlines()
    begin = next(n for n, line in enumerate(lines) if line.startswith("define") and f"@{kernel}(" in line)
    end = next(n for n in range(begin, len(lines)) if lines[n] == "}")
    if not any(_CALL.match(line) for line in lines):
        return None
    rewriting = _Rewriting(kernel)
    body = rewriting.body(lines[begin + 1 : end])
    head = _head(lines[begin])
    rest = [line for line in lines[end + 1 :] if not _is_declared(line)]
    before = [line for line in lines[:begin] if not _is_declared(line)]
    for line in (*before, *rest):
        if _CALL.match(line):
            raise DeviceError(
                f"the kernel {kernel} calls a function that waits for other threads, which was not inlined"
            )
    whole = [*before, head, *body, "}", *rest, *rewriting.helpers.values()]
    return Cooperative("\n".join(whole) + "\n", rewriting.sites)


def _is_declared(line: str) -> bool:
    return (
        line.startswith("declare")
        and re.search(r"@air\.(?:wg\.barrier|simdgroup\.barrier|simd_|quad_|simdgroup_matrix_)", line) is not None
    )


def _head(line: str) -> str:
    """The head of the kernel, with the state as its first parameter and a status as its result."""
    named, _, parameters = line.partition("(")
    name = named[named.index("@") :]
    state = "ptr %smelt.state" + ("" if parameters.startswith(")") else ", ")
    attributes = re.sub(r" #\d+", "", parameters)
    closing = attributes.rindex("{")
    return f"define internal {RESULT} {name}({state}{attributes[:closing]}alwaysinline {{"


class _Rewriting:
    """The body of a kernel, line by line."""

    def __init__(self, kernel: str) -> None:
        self._kernel = kernel
        self.sites = 0
        self.helpers: dict[str, str] = {}
        self._lines: list[str] = []
        # The name that a block has where it ends, by the one where it begins.
        self._ends: dict[str, str] = {}
        self._label = ""

    def body(self, lines: list[str]) -> list[str]:
        first = _LABEL.match(lines[0]) if lines else None
        self._label = first[1] if first is not None else "0"
        for line in lines:
            label = _LABEL.match(line)
            if label is not None:
                self._label = label[1]
            call = _CALL.match(line)
            if call is None:
                self._lines.append(re.sub(r"^  ret void.*", f"  ret {RESULT} zeroinitializer", line))
            else:
                self._rewrite(call)
        self._lines += ["smelt.left:", f"  ret {RESULT} {{ i32 {LEFT} }}"]
        return [self._with_ends(line) for line in self._lines]

    def _with_ends(self, line: str) -> str:
        """A phi names the blocks that come before by where they end."""
        if " = phi " not in line:
            return line
        return re.sub(r", %([\w.$-]+|\"[^\"]+\") \]", lambda found: f", %{self._ends.get(found[1], found[1])} ]", line)

    def _wait(self, *, is_simdgroup: bool) -> None:
        self.sites += 1
        place, way, resumed = (f"%smelt.{word}{self.sites}" for word in ("place", "way", "resumed"))
        self._lines += [
            f"  {place} = getelementptr i64, ptr %smelt.state, i64 {WAITS_AT}",
            f"  store i64 {2 * self.sites + is_simdgroup}, ptr {place}",
            f"  {way} = call i8 @llvm.coro.suspend(token none, i1 false)",
            f"  switch i8 {way}, label %smelt.left [ i8 0, label {resumed} i8 1, label %smelt.left ]",
            f"{resumed[1:]}:",
        ]
        self._ends[self._label] = resumed[1:]

    def _rewrite(self, call: re.Match[str]) -> None:
        name = call["name"]
        if name == "wg.barrier":
            self._wait(is_simdgroup=False)
            return
        if name.startswith("simdgroup.barrier"):
            self._wait(is_simdgroup=True)
            return
        kind = call["kind"]
        arguments = [_operand(part) for part in _split(call["arguments"])]
        operation, *suffix = name.split(".")
        if operation.startswith(_MATRIX):
            self._matrix(operation.removeprefix(_MATRIX), call["result"], kind, arguments)
            return
        if operation in _FILLS:
            self._fill(operation, call["result"], kind, arguments)
            return
        helper = self._helper(operation, kind, is_unsigned="u" in suffix[:1])
        given_kind, given = arguments[0]
        self._give(given_kind, given)
        self._wait(is_simdgroup=True)
        others = "".join(f", {other_kind} {other}" for other_kind, other in arguments[1:])
        self._lines.append(f"  {call['result']} = call {kind} @{helper}(ptr %smelt.state{others})")

    def _matrix(self, operation: str, result: str | None, kind: str, arguments: list[tuple[str, str]]) -> None:
        kinds = tuple(argument_kind for argument_kind, _ in arguments)
        helper = '"smelt.matrix.' + ".".join((operation, kind, *kinds)) + '"'
        passed = ", ".join(f"{argument_kind} {value}" for argument_kind, value in arguments)
        if operation == "multiply_accumulate":
            packing = f'"smelt.matrix.pack.{kinds[0]}.{kinds[1]}"'
            self.helpers[packing] = matrices.packing(packing, kinds[0], kinds[1])
            packed = f"%smelt.packed{self.sites + 1}"
            first, second, third = (f"{argument_kind} {value}" for argument_kind, value in arguments)
            self._lines.append(f"  {packed} = call {matrices.PACKED} @{packing}({first}, {second})")
            self._give(matrices.PACKED, packed)
            self._wait(is_simdgroup=True)
            self.helpers[helper] = matrices.multiplying(helper, _slot("after"), SLOT_BYTES, kinds[2], kind)
            self._lines.append(f"  {result} = call {kind} @{helper}(ptr %smelt.state, {third})")
        elif operation == "init_filled":
            self.helpers[helper] = matrices.filling(helper, kind)
            self._lines.append(f"  {result} = call {kind} @{helper}({passed})")
        elif operation == "load":
            self.helpers[helper] = matrices.loading(helper, _slot("after"), kind, kinds[0], kinds[1:])
            self._lines.append(f"  {result} = call {kind} @{helper}(ptr %smelt.state, {passed})")
        elif operation == "store":
            self.helpers[helper] = matrices.storing(helper, _slot("after"), kinds[0], kinds[1], kinds[2:])
            self._lines.append(f"  call void @{helper}(ptr %smelt.state, {passed})")
        else:
            raise DeviceError(
                f"the kernel {self._kernel} calls air.{_MATRIX}{operation}, which this device doesn't know"
            )

    def _fill(self, operation: str, result: str, kind: str, arguments: list[tuple[str, str]]) -> None:
        """A shuffle among so many lanes that takes what comes from outside of them from a second value: two exchanges."""
        data, fill, *moved = arguments
        by = "".join(f", {other_kind} {other}" for other_kind, other in moved)
        names = []
        for part, (value_kind, value) in (("inside", data), ("outside", fill)):
            helper = f'"smelt.{operation}.{part}.{kind}"'
            lane = _FILLS[operation][part == "outside"]
            self.helpers[helper] = _FILL.format(name=helper, kind=kind, slot=_slot("after"), lane=lane)
            self._give(value_kind, value)
            self._wait(is_simdgroup=True)
            names.append(f"%smelt.{part}{self.sites}")
            self._lines.append(f"  {names[-1]} = call {kind} @{helper}(ptr %smelt.state{by})")
        chooser = f'"smelt.{operation}.is_inside"'
        self.helpers[chooser] = _IS_INSIDE.format(name=chooser, slot=_slot("after"), test=_IS_INSIDE_TESTS[operation])
        inside = f"%smelt.is_inside{self.sites}"
        self._lines.append(f"  {inside} = call i1 @{chooser}(ptr %smelt.state{by})")
        self._lines.append(f"  {result} = select i1 {inside}, {kind} {names[0]}, {kind} {names[1]}")

    def _give(self, kind: str, value: str) -> None:
        helper = f'"smelt.give.{kind}"'
        self.helpers[helper] = _GIVE.format(name=helper, kind=kind, slot=_slot("before"))
        self._lines.append(f"  call void @{helper}(ptr %smelt.state, {kind} {value})")

    def _helper(self, operation: str, kind: str, *, is_unsigned: bool) -> str:
        helper = f'"smelt.{operation}.{"u" if is_unsigned else "s"}.{kind}"'
        if helper not in self.helpers:
            self.helpers[helper] = self._definition(helper, operation, kind, is_unsigned=is_unsigned)
        return helper

    def _definition(self, helper: str, operation: str, kind: str, *, is_unsigned: bool) -> str:
        is_float = kind in ("float", "half", "bfloat")
        scope, _, word = operation.partition("_")
        size = QUAD_WIDTH if scope == "quad" else SIMD_WIDTH
        same_group = _SAME_GROUP.format(size=size)
        slot = _slot("after")
        if word in _SUMS or word in _EXTREMES:
            combine = _combine(word, kind, is_float=is_float, is_unsigned=is_unsigned)
            return _loop(helper, kind, "poison", has="false", member=same_group, combine=combine)
        prefix = re.fullmatch(r"prefix_(inclusive|exclusive)_(sum|product)", word)
        if prefix is not None and scope == "simd":
            _, neutral = _SUMS[prefix[2]]
            compare = "ule" if prefix[1] == "inclusive" else "ult"
            return _loop(
                helper,
                kind,
                f"{neutral}.0" if is_float else neutral,
                has="true",
                member=f"%is_member = icmp {compare} i64 %lane, %own",
                combine=_combine(prefix[2], kind, is_float=is_float, is_unsigned=is_unsigned),
            )
        if word in _SHUFFLES:
            return _SHUFFLE.format(name=helper, kind=kind, slot=slot, lane=_SHUFFLES[word], size=size)
        if word in _VOTES and kind == "i1":
            combine = f"%combined = {_VOTES[word]} i1 %total, %other"
            return _loop(helper, kind, "poison", has="false", member=same_group, combine=combine)
        raise DeviceError(f"the kernel {self._kernel} calls air.{operation}, which this device doesn't know")


def _split(arguments: str) -> list[str]:
    parts, depth, current = [], 0, ""
    for character in arguments:
        depth += {"<": 1, "(": 1, ">": -1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append(current.strip())
            current = ""
        else:
            current += character
    return [*parts, current.strip()] if current.strip() else parts


def _operand(text: str) -> tuple[str, str]:
    """An argument as its type and its value, without attributes."""
    found = re.match(r"(<[^>]+>|\w+(?: addrspace\(\d+\))?) (?:(?:noundef|zeroext|signext) )*(.+)", text)
    assert found is not None
    return found[1], found[2]


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


_GIVE = f"""
define internal void @{{name}}(ptr %state, {{kind}} %value) alwaysinline {{{{
{{slot}}
  %slot = getelementptr [{SLOT_BYTES} x i8], ptr %slots, i64 %own
  store {{kind}} %value, ptr %slot
  ret void
}}}}
"""


def _loop(name: str, kind: str, initial: str, *, has: str, member: str, combine: str) -> str:
    """LLVM IR of a function that goes over the lanes that take part, in their order.

    It begins with `initial`, which counts if `has` says so; `member` makes `%is_member`, whether a lane counts, and `combine` makes
    `%combined` of `%total` and `%other`.
    """
    return _LOOP.format(
        name=name, kind=kind, slot=_slot("after"), initial=initial, has=has, member=member, combine=combine
    )


_LOOP = f"""
define internal {{kind}} @{{name}}(ptr %state) alwaysinline {{{{
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
_FILLS = {
    "simd_shuffle_and_fill_up": (
        "%wanted = sub i64 %own, %by",
        "%around = add i64 %own, %width\n  %wanted = sub i64 %around, %by",
    ),
    "simd_shuffle_and_fill_down": (
        "%wanted = add i64 %own, %by",
        "%around = add i64 %own, %by\n  %wanted = sub i64 %around, %width",
    ),
}
_IS_INSIDE_TESTS = {
    "simd_shuffle_and_fill_up": "%is_inside = icmp uge i64 %place, %by",
    "simd_shuffle_and_fill_down": "%moved = add i64 %place, %by\n  %is_inside = icmp ult i64 %moved, %width",
}

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
