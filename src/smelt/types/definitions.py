# SPDX-License-Identifier: Apache-2.0
"""All types of kernel values.

A weak number is one of Python's own: a literal, an argument, a loop counter. Joined with a typed value it takes that value's
type, as NumPy does since its enhancement proposal 50; among themselves weak numbers are int64, float64 and complex128 (on a target
without doubles: float32 and complex64).

Types are immutable and compared by value; `str()` gives the canonical text of one, equal exactly for equal types of one program.
"""

from __future__ import annotations

import enum
from typing import Any

from smelt.records import Record


class Type(Record):
    """The root of all types."""

    def __getitem__(self, index: object) -> Array:
        """The type of arrays with elements of this type: `float32[:]` has one dimension, `float32[:, :]` two, `float32[()]` none."""
        return _array_of(self, index)


class Kind(enum.Enum):
    """What sort of number a scalar type has. The order is that of promotion."""

    BOOLEAN = "bool"
    UNSIGNED = "uint"
    SIGNED = "int"
    FLOATING = "float"
    BRAIN_FLOATING = "bfloat"
    COMPLEX = "complex"


class Scalar(Type):
    """A number of a fixed size.

    Attributes
    ----------
    kind
        What sort of number.
    bits
        Its size; a boolean has 8, the size of one in memory, and a complex number that of both its parts.
    """

    kind: Kind
    bits: int

    @property
    def is_integer(self) -> bool:
        return self.kind in (Kind.SIGNED, Kind.UNSIGNED)

    @property
    def is_floating(self) -> bool:
        return self.kind in (Kind.FLOATING, Kind.BRAIN_FLOATING)

    @property
    def is_complex(self) -> bool:
        return self.kind is Kind.COMPLEX

    @property
    def is_signed(self) -> bool:
        return self.kind is Kind.SIGNED

    @property
    def size(self) -> int:
        """Bytes in memory, which are its alignment too, but for a complex number: that is aligned as one of its parts."""
        return self.bits // 8

    def __str__(self) -> str:
        return "bool" if self.kind is Kind.BOOLEAN else f"{self.kind.value}{self.bits}"

    __repr__ = __str__


class WeakKind(enum.Enum):
    """The sorts of weak numbers, in the order of promotion."""

    INTEGER = "int"
    FLOATING = "float"
    COMPLEX = "complex"


class Weak(Type):
    """A number of Python's, which takes the type of what it is joined with."""

    kind: WeakKind

    @property
    def is_integer(self) -> bool:
        return self.kind is WeakKind.INTEGER

    @property
    def is_floating(self) -> bool:
        return self.kind is WeakKind.FLOATING

    @property
    def is_complex(self) -> bool:
        return self.kind is WeakKind.COMPLEX

    def __str__(self) -> str:
        return f"weak {self.kind.value}"

    __repr__ = __str__


class Layout(enum.Enum):
    """What is known of an array's strides."""

    C = "C"
    """Rows follow each other without gaps: the last index varies fastest."""
    F = "F"
    """Columns follow each other without gaps: the first index varies fastest. For two dimensions and more."""
    STRIDED = "strided"
    """Nothing."""


class Memory(enum.Enum):
    """Where an array lies, and so who shares it."""

    DEVICE = "device"
    """All threads of all launches."""
    THREADGROUP = "threadgroup"
    """The threads of one group, as long as they run."""
    THREAD = "thread"
    """One thread, as long as the function runs that made it."""


class Array(Type):
    """An N-dimensional array.

    Attributes
    ----------
    element
        The type of its elements: a scalar, a struct, or a tuple type of such.
    dimensions
        How many indices an element has; 0 for an array of one element without.
    layout
        What is known of its strides.
    writeable
        Whether elements can be assigned.
    aligned
        Whether each element lies at a multiple of its alignment: fields of packed records may not.
    memory
        Where it lies.
    """

    element: Type
    dimensions: int
    layout: Layout = Layout.C
    writeable: bool = True
    aligned: bool = True
    memory: Memory = Memory.DEVICE

    def __str__(self) -> str:
        colons = ", ".join(":" * self.dimensions) if self.dimensions else "()"
        notes = [] if self.layout is Layout.C else [self.layout.value]
        notes += [] if self.writeable else ["read-only"]
        notes += [] if self.aligned else ["unaligned"]
        notes += [] if self.memory is Memory.DEVICE else [self.memory.value]
        return f"{self.element}[{colons}]" + (f" {' '.join(notes)}" if notes else "")

    __repr__ = __str__


class Tuple(Type):
    """A tuple: each item has a type of its own, and their number is part of the type."""

    items: tuple[Type, ...]

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.items))}{',' if len(self.items) == 1 else ''})"

    __repr__ = __str__


class List(Tuple):
    """A list that was captured, which can't be changed: but for that, and what it is compared with, it is a tuple of its items."""

    def __str__(self) -> str:
        return f"[{', '.join(map(str, self.items))}]"

    __repr__ = __str__


class Struct(Type):
    """A value with named fields: of a named tuple, a frozen dataclass, or a structured dtype.

    Attributes
    ----------
    name
        The qualified name of its class, or of the dtype's shape.
    fields
        Names and types, in the order of their declaration.
    python_class
        The class whose methods and properties it has; None for a structured dtype.
    is_tuple
        Whether it is a named tuple, which can be indexed and unpacked too.
    offsets
        Where each field of a structured dtype begins, in bytes from the beginning of the element; empty for a class.
    size
        How many bytes an element of a structured dtype takes, padding included; 0 for a class.
    """

    name: str
    fields: tuple[tuple[str, Type], ...]
    python_class: type | None = None
    is_tuple: bool = False
    offsets: tuple[int, ...] = ()
    size: int = 0

    @property
    def has_items(self) -> bool:
        """Whether its fields can be unpacked and indexed by their number: those of a named tuple, and of a structured dtype."""
        return self.is_tuple or bool(self.offsets)

    def field(self, name: str) -> int | None:
        """The position of a field, or None."""
        for position, (known, _) in enumerate(self.fields):
            if known == name:
                return position
        return None

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{name}: {kind}' for name, kind in self.fields)})"

    __repr__ = __str__


class Nothing(Type):
    """The type of None."""

    def __str__(self) -> str:
        return "None"

    __repr__ = __str__


class Placeholder(Type):
    """The type of a variable that is never read before it is assigned again: joined with any other type it takes that."""

    def __str__(self) -> str:
        return "nothing yet"

    __repr__ = __str__


class Constant(Type, eq=False):
    """A value that is known when a kernel is compiled and does not exist when it runs: a function, class, module or string.

    Two are equal where their values are: the same object, or equal ones of one class.
    """

    value: Any

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Constant):
            return NotImplemented
        return self.value is other.value or (type(self.value) is type(other.value) and bool(self.value == other.value))

    def __hash__(self) -> int:
        return hash((type(self.value), self.value))

    def __str__(self) -> str:
        name = getattr(self.value, "__qualname__", None) or getattr(self.value, "__name__", None)
        return f"constant {name}" if isinstance(name, str) else f"constant {self.value!r}"

    __repr__ = __str__


class Dict(Constant, eq=False):
    """A dict that was captured: it does not exist when a kernel runs, what is read of it does. Two are equal where it is one dict."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dict) and self.value is other.value

    def __hash__(self) -> int:
        return hash((Dict, id(self.value)))

    def __str__(self) -> str:
        return "dict"

    __repr__ = __str__


class Range(Type):
    """A range of integers of one type, with a step whose sign is known when it is compiled or not."""

    element: Type

    def __str__(self) -> str:
        return f"range of {self.element}"

    __repr__ = __str__


class Iteration(Type):
    """What `enumerate`, `zip` and `reversed` give a loop. It is taken apart when the loop is compiled."""

    kind: str
    items: tuple[Type, ...]

    def __str__(self) -> str:
        return f"{self.kind}({', '.join(map(str, self.items))})"

    __repr__ = __str__


class BoundMethod(Type):
    """A method of a value: the function that is called, and the type of the value, which becomes its first argument."""

    function: Any
    owner: Type

    def __str__(self) -> str:
        return f"method {self.function.__qualname__}"

    __repr__ = __str__


def _array_of(element: Type, index: object) -> Array:
    dimensions = index if isinstance(index, tuple) else (index,)
    if not all(isinstance(part, slice) and part == slice(None) for part in dimensions):
        raise TypeError(
            f"{element}[{index!r}] is no array type; write {element}[:] for one dimension, {element}[:, :] for two, "
            f"{element}[()] for none"
        )
    if not isinstance(element, (Scalar, Struct, Tuple)):
        raise TypeError(f"{element} can't be the element type of an array")
    return Array(element, len(dimensions))


boolean = Scalar(Kind.BOOLEAN, 8)
int8 = Scalar(Kind.SIGNED, 8)
int16 = Scalar(Kind.SIGNED, 16)
int32 = Scalar(Kind.SIGNED, 32)
int64 = Scalar(Kind.SIGNED, 64)
uint8 = Scalar(Kind.UNSIGNED, 8)
uint16 = Scalar(Kind.UNSIGNED, 16)
uint32 = Scalar(Kind.UNSIGNED, 32)
uint64 = Scalar(Kind.UNSIGNED, 64)
float16 = Scalar(Kind.FLOATING, 16)
bfloat16 = Scalar(Kind.BRAIN_FLOATING, 16)
float32 = Scalar(Kind.FLOATING, 32)
float64 = Scalar(Kind.FLOATING, 64)
complex64 = Scalar(Kind.COMPLEX, 64)
complex128 = Scalar(Kind.COMPLEX, 128)

weak_int = Weak(WeakKind.INTEGER)
weak_float = Weak(WeakKind.FLOATING)
weak_complex = Weak(WeakKind.COMPLEX)

none = Nothing()
placeholder = Placeholder()

SCALARS = (
    boolean,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
    float16,
    bfloat16,
    float32,
    float64,
    complex64,
    complex128,
)


def part_type(scalar: Scalar) -> Scalar:
    """The type of the real and of the imaginary part of a complex number."""
    return Scalar(Kind.FLOATING, scalar.bits // 2)


def complex_of(scalar: Scalar) -> Scalar:
    """The complex type with parts of a floating type: complex64 for float32 and what is narrower."""
    return complex64 if scalar.bits <= 32 else complex128
