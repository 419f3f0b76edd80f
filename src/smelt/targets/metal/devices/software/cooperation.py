# SPDX-License-Identifier: Apache-2.0
"""Kernels of AIR whose threads work together, as parts of coroutines.

A call of AIR's that waits, for the threadgroup or for the lanes of the simdgroup, becomes what smelt's own kernels do there (see
`lowering.threadgroups`): the thread notes where it waits and suspends itself; what goes from lane to lane goes through the exchange area of
its simdgroup. A kernel gets the thread's state as its first parameter, and returns a status.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from smelt.lowering.threadgroups import LEFT, SLOT_BYTES, WAITS_AT
from smelt.targets.metal.devices.errors import DeviceError
from smelt.targets.metal.devices.software import lanes, matrices
from smelt.targets.metal.devices.software.listings import split_list

RESULT = "{ i32 }"

_CALL = re.compile(
    r"^  (?:(?P<result>%[\w.\"$-]+) = )?(?:tail |musttail |notail )?call (?:[a-z]+ )*?(?P<kind>void|<[^>]+>|\w+) "
    r"@air\.(?P<name>wg\.barrier|(?:simdgroup\.barrier|simd_\w+|quad_\w+|simdgroup_matrix_8x8_\w+)[\w.]*)\((?P<arguments>.*?)\)[^()]*$"
)
_LABEL = re.compile(r"^([\w.$-]+|\"[^\"]+\"):")

_MATRIX = "simdgroup_matrix_8x8_"


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
        arguments = [_operand(part) for part in split_list(call["arguments"])]
        operation, *suffix = name.split(".")
        if operation.startswith(_MATRIX):
            self._matrix(operation.removeprefix(_MATRIX), call["result"], kind, arguments)
            return
        if operation in lanes.FILLS:
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
            self.helpers[helper] = matrices.multiplying(helper, lanes.AFTER, SLOT_BYTES, kinds[2], kind)
            self._lines.append(f"  {result} = call {kind} @{helper}(ptr %smelt.state, {third})")
        elif operation == "init_filled":
            self.helpers[helper] = matrices.filling(helper, kind)
            self._lines.append(f"  {result} = call {kind} @{helper}({passed})")
        elif operation == "load":
            self.helpers[helper] = matrices.loading(helper, lanes.AFTER, kind, kinds[0], kinds[1:])
            self._lines.append(f"  {result} = call {kind} @{helper}(ptr %smelt.state, {passed})")
        elif operation == "store":
            self.helpers[helper] = matrices.storing(helper, lanes.AFTER, kinds[0], kinds[1], kinds[2:])
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

    def _helper(self, operation: str, kind: str, *, is_unsigned: bool) -> str:
        helper = f'"smelt.{operation}.{"u" if is_unsigned else "s"}.{kind}"'
        if helper not in self.helpers:
            self.helpers[helper] = self._defined(helper, operation, kind, is_unsigned=is_unsigned)
        return helper

    def _defined(self, helper: str, operation: str, kind: str, *, is_unsigned: bool) -> str:
        text = lanes.reading(helper, operation, kind, is_unsigned=is_unsigned)
        if text is None:
            raise DeviceError(f"the kernel {self._kernel} calls air.{operation}, which this device doesn't know")
        return text


def _operand(text: str) -> tuple[str, str]:
    """An argument as its type and its value, without attributes."""
    found = re.match(r"(<[^>]+>|\w+(?: addrspace\(\d+\))?) (?:(?:noundef|zeroext|signext) )*(.+)", text)
    assert found is not None
    return found[1], found[2]
