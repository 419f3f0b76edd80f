# SPDX-License-Identifier: Apache-2.0
"""Functions that few numbers need, in loops that are vectorised.

A loop with a call in it stays as it is, unless LLVM knows what stands for the call where it computes with vectors. That is a function
of a vector and of a mask that says which of its elements need it: it does nothing if there is none, and else calls the function for
each of them. It is inlined after LLVM has vectorised the loop (see `llvm.optimise`), so that the usual case costs one test of the mask.

The names by which LLVM knows which function stands for which are those of its vector function ABI, with `_LLVM_` for the instruction
set, `M` for the mask and `v` for a parameter that is a vector.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

# As many elements as the vectors of any processor have, by the bits of an element.
_WIDTHS = {"float": (4, 8, 16), "double": (2, 4, 8)}


@dataclass(frozen=True)
class RareFunction:
    """A function that few numbers need, called without the thread's state.

    Attributes
    ----------
    name
        What it is called, without the `@`. Modules with functions of the same name can be linked only if those are the same.
    function
        The LLVM name of the function with the thread's state and a status.
    kind
        The LLVM type of its parameter and result.
    """

    name: str
    function: str
    kind: str

    def call(self, argument: str) -> str:
        """The instruction that calls it."""
        variants = ",".join(f"_ZGV_LLVM_M{width}v_{self.name}({self.variant(width)})" for width in self.widths)
        return f'call {self.kind} @{self.name}({self.kind} {argument}) "vector-function-abi-variant"="{variants}"'

    @property
    def widths(self) -> tuple[int, ...]:
        """How many elements the vectors have for which something stands for it."""
        return _WIDTHS[self.kind]

    def variant(self, width: int) -> str:
        """The name of what stands for it, without the `@`."""
        return f"{self.name}_vector{width}"

    @property
    def definitions(self) -> str:
        """The definitions in LLVM IR of what is called, and of what stands for it."""
        alone = _ALONE.format(name=self.name, function=self.function, kind=self.kind)
        each = _EACH.format(name=self.name, kind=self.kind)
        vectors = [
            _VECTOR.format(name=self.name, kind=self.kind, width=width, variant=self.variant(width))
            for width in self.widths
        ]
        return "".join((alone, each, *vectors))


def kept(functions: Iterable[RareFunction]) -> str:
    """What keeps LLVM from dropping what stands for functions before it is called, once for a module."""
    names = [f"ptr @{function.variant(width)}" for function in functions for width in function.widths]
    array = f"[{len(names)} x ptr] [{', '.join(names)}]"
    return f'@llvm.compiler.used = appending global {array}, section "llvm.metadata"\n'


_ALONE = """
define internal {kind} @{name}({kind} %number) noinline cold optnone nounwind willreturn memory(none) {{
  %returned = call {{ i32, {kind} }} {function}(ptr null, {kind} %number)
  %result = extractvalue {{ i32, {kind} }} %returned, 1
  ret {kind} %result
}}
"""

_EACH = """
define internal void @{name}_each(ptr %numbers, ptr %results, i64 %mask, i64 %width) noinline cold optnone nounwind {{
entry:
  br label %element
element:
  %place = phi i64 [ 0, %entry ], [ %next, %following ]
  %shifted = lshr i64 %mask, %place
  %needs_it = trunc i64 %shifted to i1
  br i1 %needs_it, label %compute, label %following
compute:
  %number_place = getelementptr {kind}, ptr %numbers, i64 %place
  %number = load {kind}, ptr %number_place
  %result = call {kind} @{name}({kind} %number)
  %result_place = getelementptr {kind}, ptr %results, i64 %place
  store {kind} %result, ptr %result_place
  br label %following
following:
  %next = add i64 %place, 1
  %is_last = icmp eq i64 %next, %width
  br i1 %is_last, label %finished, label %element
finished:
  ret void
}}
"""

_VECTOR = """
define internal <{width} x {kind}> @{variant}(<{width} x {kind}> %numbers, <{width} x i1> %mask) alwaysinline nounwind willreturn memory(none) {{
entry:
  %before = alloca <{width} x {kind}>
  %after = alloca <{width} x {kind}>
  %bits = bitcast <{width} x i1> %mask to i{width}
  %is_needed = icmp ne i{width} %bits, 0
  br i1 %is_needed, label %needed, label %finished, !prof !{{!"branch_weights", i32 1, i32 1048576}}
needed:
  store <{width} x {kind}> %numbers, ptr %before
  %wide_bits = zext i{width} %bits to i64
  call void @{name}_each(ptr %before, ptr %after, i64 %wide_bits, i64 {width})
  %computed = load <{width} x {kind}>, ptr %after
  br label %finished
finished:
  %results = phi <{width} x {kind}> [ poison, %entry ], [ %computed, %needed ]
  ret <{width} x {kind}> %results
}}
"""
