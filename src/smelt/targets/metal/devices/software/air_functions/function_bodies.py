# SPDX-License-Identifier: Apache-2.0
"""Functions of AIR as they are declared and as they are defined: one instruction after the other, on each element of vectors."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from smelt.targets.metal.devices.software.listings import split_list

_DECLARATION = re.compile(r"declare (?P<result>.+?) @(?P<name>air\.[\w.]+)\((?P<parameters>.*?)\)[^()]*$")

ATTRIBUTES = re.compile(
    r" (?:nocapture|captures\(none\)|readonly|writeonly|readnone|noundef|immarg|noalias|nonnull|returned|align \d+)"
)
"""What a parameter has besides its type."""


@dataclass(frozen=True)
class Declaration:
    """A function of AIR that a module calls: its name, and the LLVM types of its result and its parameters."""

    name: str
    result: str
    parameters: tuple[str, ...]


def declaration_of(line: str) -> Declaration | None:
    """What a line of LLVM IR declares of AIR's functions; None for other lines."""
    found = _DECLARATION.match(line)
    if found is None:
        return None
    parameters = ATTRIBUTES.sub("", found["parameters"])
    return Declaration(found["name"], found["result"].strip(), tuple(split_list(parameters)))


class Body:
    """The instructions of one function."""

    def __init__(self, declared: Declaration) -> None:
        self.declared = declared
        self.lines: list[str] = []
        self.needed: dict[str, None] = {}

    def do(self, line: str) -> str:
        name = f"%v{len(self.lines)}"
        self.lines.append(f"{name} = {line}")
        return name

    def call(self, result: str, name: str, *arguments: tuple[str, str]) -> str:
        kinds = ", ".join(kind for kind, _ in arguments)
        self.needed[f"declare {result} @{name}({kinds})"] = None
        return self.do(f"call {result} @{name}({', '.join(f'{kind} {value}' for kind, value in arguments)})")

    @property
    def kind(self) -> str:
        return self.declared.result

    def by_element(self, compute: Callable[[str, list[str]], str]) -> str:
        """`compute` for each element of a vector, or for a number: given its type and the operands."""
        operands = [f"%p{number}" for number in range(len(self.declared.parameters))]
        vector = re.fullmatch(r"<(\d+) x (\w+)>", self.kind)
        if vector is None:
            return compute(self.kind, operands)
        result = "poison"
        for place in range(int(vector[1])):
            parts = [
                self.do(f"extractelement {kind} {operand}, i32 {place}") if kind.startswith("<") else operand
                for kind, operand in zip(self.declared.parameters, operands, strict=True)
            ]
            element = compute(vector[2], parts)
            result = self.do(f"insertelement {self.kind} {result}, {vector[2]} {element}, i32 {place}")
        return result

    def in_float(self, compute: Callable[[list[str]], str]) -> str:
        """`compute` on floats, for each element of floats or halves."""

        def element(kind: str, operands: list[str]) -> str:
            if kind == "float":
                return compute(operands)
            wide = [self.do(f"fpext {kind} {operand} to float") for operand in operands]
            return self.do(f"fptrunc float {compute(wide)} to {kind}")

        return self.by_element(element)


Write = Callable[[Body, str], str]
"""Writes a function, given the name behind `air.`: its result."""

Families = tuple[tuple[str, Write], ...]
"""Functions: regular expressions for their names, and what writes them."""

FLOATS = r"(?:v\d+)?(?:f16|f32)"
INTEGERS = r"(?:v\d+)?i\d+"


def word_of(family: str) -> str:
    """The first word of a name, without what says that it may be less exact."""
    return family.split(".", maxsplit=1)[0].removeprefix("fast_")


def suffix_of(kind: str) -> str:
    """What a type is called in the names of LLVM's own functions."""
    return {"float": "f32", "half": "f16", "double": "f64", "bfloat": "bf16"}.get(kind, kind)


def element_of(kind: str) -> str:
    """The type of the elements of a vector, or the type itself."""
    return kind.rsplit(" x ", maxsplit=1)[-1].rstrip(">")


def constant(value: str) -> Write:
    """A function that is always the same."""
    return lambda _body, _family: value
