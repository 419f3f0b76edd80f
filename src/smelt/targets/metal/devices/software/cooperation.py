# SPDX-License-Identifier: Apache-2.0
"""Kernels of AIR whose threads work together, as parts of coroutines, or to be cut where they wait (see `cutting.phases`).

A call of AIR's that waits, for the threadgroup or for the lanes of the simdgroup, becomes what smelt's own kernels do there (see
`lowering.threadgroups`): the thread notes where it waits and suspends itself; what goes from lane to lane goes through the exchange area of
its simdgroup. The kernel has the thread's state as `%smelt.state`, and returns a status.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from smelt.lowering.threadgroups import LEFT, SLOT_BYTES, WAITS_AT
from smelt.targets.metal.devices.software.air_functions import lanes, matrices
from smelt.targets.metal.devices.software.artifacts import STOPPED
from smelt.targets.metal.devices.software.checking import tracking
from smelt.targets.metal.devices.software.cutting.control_flow import blocks_of, reached
from smelt.targets.metal.devices.software.listings import split_list
from smelt.targets.metal.devices.software.loops import LABEL, looked_at

RESULT = "{ i32 }"

_MATRIX = "simdgroup_matrix_8x8_"

COOPERATIVE = re.compile(
    rf"air\.(?:wg\.barrier|simdgroup\.barrier|(?:{'|'.join(lanes.OPERATIONS)})(?:\.[su])?(?:\.\w+)?"
    rf"|{_MATRIX}(?:multiply_accumulate|init_filled|load|store)\.[\w.]+)"
)
"""The functions for which threads wait for each other."""

_CALL = re.compile(
    r"^  (?:(?P<result>%[\w.\"$-]+) = )?(?:tail |musttail |notail )?call (?:[a-z]+ )*?(?P<kind>void|<[^>]+>|\w+) "
    r"@(?P<name>air\.[\w.]+)\((?P<arguments>.*?)\)[^()]*$"
)


@dataclass(frozen=True)
class Cooperating:
    """A kernel in which what waits is written out.

    Attributes
    ----------
    body
        The lines of the function, which returns a status.
    sites
        How many places there are where its threads wait; 0 if none does.
    has_loops
        Whether it has loops.
    helpers
        The functions that it calls for that.
    """

    body: tuple[str, ...]
    sites: int
    has_loops: bool
    helpers: tuple[str, ...]


def waits(body: Iterable[str]) -> bool:
    """Whether the threads of the kernel with this body wait for each other."""
    calls = (_CALL.match(line) for line in body)
    return any(call is not None and COOPERATIVE.fullmatch(call["name"]) for call in calls)


def waits_for_group_only(body: Iterable[str]) -> bool:
    """Whether all that the threads of the kernel with this body wait for is their threadgroup."""
    calls = (_CALL.match(line) for line in body)
    names = {call["name"] for call in calls if call is not None}
    return all(name == "air.wg.barrier" for name in names if COOPERATIVE.fullmatch(name))


def resumed(site: int) -> str:
    """The block where a thread goes on behind the place of this number where it waits."""
    return f"smelt.resumed{site}"


STOPPED_LABEL = "smelt.stopped"
"""The block where a thread ends that was told to stop."""


def cooperating(body: Sequence[str], *, counts_barriers: bool = False, suspends: bool = True) -> Cooperating:
    """The kernel with this body, whose first line is a label, with what waits written out.

    A thread looks in its loops whether to stop. With `counts_barriers` it counts those that it has passed, see `checking.tracking`. Without
    `suspends` nothing is said of what happens where it waits, but that it goes on at `resumed`; it doesn't look then in loops in which it
    waits in every round.
    """
    heads, has_loops = looked_at(body)
    if not suspends:
        heads = _without_waiting(body, heads)
    rewriting = _Rewriting(heads, counts_barriers=counts_barriers, suspends=suspends)
    lines = rewriting.body(body)
    return Cooperating(tuple(lines), rewriting.sites, has_loops, tuple(rewriting.helpers.values()))


def _without_waiting(body: Iterable[str], heads: frozenset[str]) -> frozenset[str]:
    """Those of the blocks that come back to themselves on a way on which the thread doesn't wait."""
    blocks = blocks_of(body)
    waiting = [label for label, block in blocks.items() if waits(block.lines)]
    return frozenset(
        head
        for head in heads.difference(waiting)
        if any(head in reached(blocks, way, without=waiting) for way in blocks[head].successors)
    )


class _Rewriting:
    """The body of a kernel, line by line."""

    def __init__(self, heads: frozenset[str], *, counts_barriers: bool, suspends: bool) -> None:
        self._heads = heads
        self._counts_barriers = counts_barriers
        self._suspends = suspends
        self.sites = 0
        self.stops = 0
        self.helpers: dict[str, str] = {}
        self._lines: list[str] = []
        # The name that a block has where it ends, by the one where it begins.
        self._ends: dict[str, str] = {}
        self._label = ""
        self._matrices = 0

    def body(self, lines: Sequence[str]) -> list[str]:
        is_head = False
        for line in lines:
            label = LABEL.match(line)
            if label is not None:
                self._label = label[1]
                is_head = self._label in self._heads
            elif is_head and " = phi " not in line:
                is_head = False
                self._look()
            call = _CALL.match(line)
            if call is not None and COOPERATIVE.fullmatch(call["name"]):
                self._rewrite(call)
            else:
                self._lines.append(re.sub(r"^  ret void.*", f"  ret {RESULT} zeroinitializer", line))
        if self.sites and self._suspends:
            self._lines += ["smelt.left:", f"  ret {RESULT} {{ i32 {LEFT} }}"]
        if self.stops:
            self._lines += [f"{STOPPED_LABEL}:", f"  ret {RESULT} {{ i32 {self.sites + STOPPED} }}"]
        return [self._with_ends(line) for line in self._lines]

    def _with_ends(self, line: str) -> str:
        """A phi names the blocks that come before by where they end."""
        if " = phi " not in line:
            return line
        return re.sub(r", %([\w.$-]+|\"[^\"]+\") \]", lambda found: f", %{self._ends.get(found[1], found[1])} ]", line)

    def _look(self) -> None:
        """Whether to stop."""
        self.stops += 1
        stops, goes = f"%smelt.stops{self.stops}", f"%smelt.goes{self.stops}"
        self._lines += [
            f"  {stops} = call i1 @smelt.is_stopped(ptr %smelt.state)",
            f"  br i1 {stops}, label %{STOPPED_LABEL}, label {goes}",
            f"{goes[1:]}:",
        ]
        self._ends[self._label] = goes[1:]

    def _wait(self, *, is_simdgroup: bool) -> None:
        self.sites += 1
        goes_on = resumed(self.sites)
        self._ends[self._label] = goes_on
        if not self._suspends:
            self._lines += [f"  br label %{goes_on}", f"{goes_on}:"]
            return
        place, way = (f"%smelt.{word}{self.sites}" for word in ("place", "way"))
        self._lines += [
            f"  {place} = getelementptr i64, ptr %smelt.state, i64 {WAITS_AT}",
            f"  store i64 {2 * self.sites + is_simdgroup}, ptr {place}",
            f"  {way} = call i8 @llvm.coro.suspend(token none, i1 false)",
            f"  switch i8 {way}, label %smelt.left [ i8 0, label %{goes_on} i8 1, label %smelt.left ]",
            f"{goes_on}:",
        ]

    def _rewrite(self, call: re.Match[str]) -> None:
        name = call["name"].removeprefix("air.")
        if name in ("wg.barrier", "simdgroup.barrier"):
            is_simdgroup = name != "wg.barrier"
            self._wait(is_simdgroup=is_simdgroup)
            if self._counts_barriers:
                self._lines += tracking.passing(self.sites, is_simdgroup=is_simdgroup)
            return
        kind = call["kind"]
        arguments = [_operand(part) for part in split_list(call["arguments"])]
        operation, *suffix = name.split(".")
        if operation.startswith(_MATRIX):
            self._matrix(operation.removeprefix(_MATRIX), call["result"], kind, arguments)
            return
        if operation in lanes.FILLS:
            self._fill(operation, call["result"], kind, arguments)
            return
        helper = f'"smelt.{operation}.{"u" if "u" in suffix[:1] else "s"}.{kind}"'
        given = arguments[0] if operation not in lanes.GIVE_NOTHING else ("i1", "true")
        others = arguments[1:] if operation not in lanes.GIVE_NOTHING else arguments
        self.helpers.setdefault(helper, lanes.reading(helper, operation, kind, is_unsigned="u" in suffix[:1]))
        self._give(*given)
        self._wait(is_simdgroup=True)
        passed = "".join(f", {other_kind} {other}" for other_kind, other in others)
        self._lines.append(f"  {call['result']} = call {kind} @{helper}(ptr %smelt.state{passed})")

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
            self.helpers[matrices.PRODUCT] = matrices.product(lanes.AFTER, SLOT_BYTES)
            self.helpers[helper] = matrices.multiplying(helper, kinds[2], kind)
            self._lines.append(f"  {result} = call {kind} @{helper}(ptr %smelt.state, {third})")
        elif operation == "init_filled":
            self.helpers[helper] = matrices.filling(helper, kind)
            self._lines.append(f"  {result} = call {kind} @{helper}({passed})")
        else:
            value = None if operation == "load" else arguments[0]
            pointer, *operands = arguments if value is None else arguments[1:]
            self._matrix_in_memory(result, value, kind, pointer, operands)

    def _matrix_in_memory(
        self,
        result: str | None,
        stored: tuple[str, str] | None,
        kind: str,
        pointer: tuple[str, str],
        operands: list[tuple[str, str]],
    ) -> None:
        """A lane loads or stores its two elements, each by an instruction of its own, which is looked after as any."""
        self._matrices += 1
        own = f"%smelt.matrix{self._matrices}"
        kinds = tuple(operand_kind for operand_kind, _ in operands)
        passed = "".join(f", {operand_kind} {value}" for operand_kind, value in operands)
        matrix = kind if stored is None else stored[0]
        scalar = matrices.scalar(matrix)
        before = "poison"
        for element in range(2):
            helper = '"smelt.matrix.place.' + ".".join((*kinds, str(element))) + '"'
            self.helpers[helper] = matrices.placing(helper, lanes.AFTER, kinds, element)
            place, address, value = (f"{own}.{word}{element}" for word in ("place", "address", "value"))
            self._lines.append(f"  {place} = call i64 @{helper}(ptr %smelt.state{passed})")
            self._lines.append(f"  {address} = getelementptr {scalar}, {pointer[0]} {pointer[1]}, i64 {place}")
            if stored is not None:
                self._lines.append(f"  {value} = extractelement {matrix} {stored[1]}, i32 {element}")
                self._lines.append(f"  store {scalar} {value}, {pointer[0]} {address}")
                continue
            self._lines.append(f"  {value} = load {scalar}, {pointer[0]} {address}")
            name = f"{own}.first" if element == 0 else str(result)
            self._lines.append(f"  {name} = insertelement {matrix} {before}, {scalar} {value}, i32 {element}")
            before = name

    def _fill(self, operation: str, result: str, kind: str, arguments: list[tuple[str, str]]) -> None:
        """A shuffle among so many lanes that takes what comes from outside of them from a second value: two exchanges."""
        data, fill, *moved = arguments
        by = "".join(f", {other_kind} {other}" for other_kind, other in moved)
        names = []
        for part, (value_kind, value) in (("inside", data), ("outside", fill)):
            helper = f'"smelt.{operation}.{part}.{kind}"'
            self.helpers[helper] = lanes.reading_moved(helper, operation, kind, is_inside=part == "inside")
            self._give(value_kind, value)
            self._wait(is_simdgroup=True)
            names.append(f"%smelt.{part}{self.sites}")
            self._lines.append(f"  {names[-1]} = call {kind} @{helper}(ptr %smelt.state{by})")
        chooser = f'"smelt.{operation}.is_inside"'
        self.helpers[chooser] = lanes.testing_moved(chooser, operation)
        inside = f"%smelt.is_inside{self.sites}"
        self._lines.append(f"  {inside} = call i1 @{chooser}(ptr %smelt.state{by})")
        self._lines.append(f"  {result} = select i1 {inside}, {kind} {names[0]}, {kind} {names[1]}")

    def _give(self, kind: str, value: str) -> None:
        helper = f'"smelt.give.{kind}"'
        self.helpers[helper] = lanes.giving(helper, kind)
        self._lines.append(f"  call void @{helper}(ptr %smelt.state, {kind} {value})")


def _operand(text: str) -> tuple[str, str]:
    """An argument as its type and its value, without attributes."""
    found = re.match(
        r"(<[^>]+>|\w+(?: addrspace\(\d+\))?) (?:(?:noundef|zeroext|signext|nonnull|align \d+) )*(.+)", text
    )
    assert found is not None
    return found[1], found[2]
