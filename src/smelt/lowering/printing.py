# SPDX-License-Identifier: Apache-2.0
"""Printing: the values of a text are laid out as words, and the host, which is called, makes the text of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

PRINT = "smelt_print"
"""`i32 smelt_print(ptr printer, i64 number of the text, ptr words)`: 0, or anything else if the thread has to end."""


class Writer(Protocol):
    """Where instructions are written, and what stands at the beginning of the function."""

    def emit(self, instruction: str) -> str: ...
    def do(self, instruction: str) -> None: ...
    def declare(self, name: str, result: str, parameters: tuple[str, ...]) -> str: ...
    def allocated(self, kind: str) -> str: ...


def print_text(writer: Writer, printer: str, number: int, values: Sequence[tuple[str, str]]) -> str:
    """Whether printing a text went well, as an i1. `values` are LLVM types and names: a word each, see `compiler.texts`."""
    words = writer.allocated(f"[{len(values)} x i64]") if values else "null"
    for place, (kind, name) in enumerate(values):
        address = writer.emit(f"getelementptr i64, ptr {words}, i64 {place}")
        stored = f"i8 {writer.emit(f'zext i1 {name} to i8')}" if kind == "i1" else f"{kind} {name}"
        writer.do(f"store {stored}, ptr {address}, align 8")
    function = writer.declare(PRINT, "i32", ("ptr", "i64", "ptr"))
    status = writer.emit(f"call i32 {function}(ptr {printer}, i64 {number}, ptr {words})")
    return writer.emit(f"icmp eq i32 {status}, 0")
