# SPDX-License-Identifier: Apache-2.0
"""An LLVM module as objects: what the downgrader reads, changes and writes.

Codes and flags are those of LLVM's bitcode (llvm/Bitcode/LLVMBitCodes.h), where a number means the same in all releases.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from smelt.targets.metal.air.bitstream import BitstreamError, Record


class DowngradeError(ValueError):
    """A module that uses what LLVM 14, or AIR, has no words for."""


@contextmanager
def refusing_damage() -> Iterator[None]:
    """Raise `BitstreamError` for what goes wrong with a module that was not written by LLVM.

    A record that is too short, that names what isn't there, or that names something of another sort is found where it is used.
    """
    try:
        yield
    except (BitstreamError, DowngradeError):
        raise
    except (
        ArithmeticError,
        AssertionError,
        AttributeError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise BitstreamError(f"the bitcode is damaged: {type(error).__name__}: {error}") from error


@dataclass(frozen=True, slots=True)
class Primitive:
    """A type without parts: `void`, `float`, `half`, `bfloat`, `double`, `label`, `metadata`, `token`."""

    name: str


@dataclass(frozen=True, slots=True)
class Integer:
    """An integer of so many bits."""

    bits: int


@dataclass(frozen=True, slots=True)
class Pointer:
    """A pointer into an address space. `to` is the type that LLVM 14 gives it, None for the opaque pointers of today."""

    space: int
    to: Type | None = None


@dataclass(frozen=True, slots=True)
class Sequence:
    """An array, or a vector."""

    count: int
    of: Type
    is_vector: bool


@dataclass(frozen=True, slots=True)
class Structure:
    """A struct. Structs with a name are equal only if their names are."""

    fields: tuple[Type, ...]
    is_packed: bool
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Signature:
    """The type of a function."""

    result: Type
    parameters: tuple[Type, ...]
    is_variadic: bool = False


Type: TypeAlias = Primitive | Integer | Pointer | Sequence | Structure | Signature

VOID = Primitive("void")
METADATA = Primitive("metadata")
BYTE = Integer(8)


@dataclass(eq=False, slots=True, repr=False)
class Value:
    """Anything that has a number in bitcode: compared by identity."""

    type: Type
    name: str | None = None


@dataclass(eq=False, slots=True, repr=False)
class Global(Value):
    """A global variable. `type` is the pointer to it; `operands` are those of its record that are the same in all releases.

    Attributes
    ----------
    content
        The type of what it holds.
    initial
        Its first value, None for one that is declared only.
    operands
        Linkage, alignment, section and what follows.
    """

    content: Type = VOID
    is_constant: bool = False
    initial: Value | None = None
    operands: list[int] = field(default_factory=list)


@dataclass(eq=False, slots=True, repr=False)
class Block:
    """A basic block."""

    instructions: list[Instruction] = field(default_factory=list)
    name: str | None = None


@dataclass(eq=False, slots=True, repr=False)
class Function(Value):
    """A function. `type` is the pointer to it.

    Attributes
    ----------
    signature
        Its type.
    attributes
        The number of its list of attributes, 0 for none.
    operands
        Calling convention, linkage, alignment, section and what follows, without the attributes.
    attachments
        Its metadata, as pairs of a kind and a node.
    """

    signature: Signature = Signature(VOID, ())
    is_declaration: bool = True
    attributes: int = 0
    operands: list[int] = field(default_factory=list)
    parameters: list[Value] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    attachments: list[tuple[int, Node]] = field(default_factory=list)


@dataclass(eq=False, slots=True, repr=False)
class Constant(Value):
    """A constant.

    Attributes
    ----------
    code
        What sort, by the code of its record.
    numbers
        Operands that are numbers, as in the record.
    operands
        Operands that are constants.
    source
        The type that indices count in, for the address of a part.
    """

    code: int = 0
    numbers: list[int] = field(default_factory=list)
    operands: list[Value] = field(default_factory=list)
    source: Type | None = None


@dataclass(eq=False, slots=True, repr=False)
class Instruction(Value):
    """An instruction. `type` is void for one without a result.

    Attributes
    ----------
    code
        What sort, by the code of its record.
    operands
        Its operands that are values; of a call the function is the last.
    blocks
        The blocks that it names: where a branch goes, where the values of a phi come from.
    numbers
        What else is in its record, in the order of the record.
    source
        The type that a record names beside its operands: what is allocated, loaded, called, or indexed.
    attributes
        Of a call, as for functions.
    attachments
        Its metadata, as pairs of a kind and a node.
    """

    code: int = 0
    operands: list[Value] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    source: Type | None = None
    attributes: int = 0
    attachments: list[tuple[int, Node]] = field(default_factory=list)


@dataclass(eq=False, slots=True, repr=False)
class Text:
    """A string among metadata."""

    text: bytes


@dataclass(eq=False, slots=True, repr=False)
class ValueNode:
    """A constant among metadata."""

    value: Value


@dataclass(eq=False, slots=True, repr=False)
class Node:
    """A tuple of metadata."""

    operands: list[Metadata | None] = field(default_factory=list)
    is_distinct: bool = False


Metadata: TypeAlias = Text | ValueNode | Node


@dataclass(eq=False, slots=True, repr=False)
class Module:
    """An LLVM module.

    Attributes
    ----------
    records
        What is a plain record and the same in all releases: triple, data layout, section names, garbage collectors, the name of
        the source file.
    attribute_groups, attribute_lists
        The records of their blocks.
    attribute_types
        The types that the groups of attributes name by number.
    kinds
        The names of the kinds of metadata attachments.
    named
        Named metadata.
    scopes
        The names of synchronisation scopes.
    """

    records: list[Record] = field(default_factory=list)
    attribute_groups: list[Record] = field(default_factory=list)
    attribute_lists: list[Record] = field(default_factory=list)
    attribute_types: list[Type] = field(default_factory=list)
    globals: list[Global] = field(default_factory=list)
    functions: list[Function] = field(default_factory=list)
    kinds: list[tuple[int, bytes]] = field(default_factory=list)
    named: list[tuple[bytes, list[Node]]] = field(default_factory=list)
    scopes: list[bytes] = field(default_factory=list)
