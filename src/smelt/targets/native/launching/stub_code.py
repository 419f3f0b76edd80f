# SPDX-License-Identifier: Apache-2.0
"""Launch stubs as LLVM IR: the checks of one tuple of argument shapes, and the words that the arguments are to a kernel.

    i32 unpack(objects, arguments, words, arrays, held)

Returns 1 if every argument has its shape: then `words` has what `smelt.launch.arguments` packs. Returns 0, with no error set, if one of
them hasn't. All five are addresses: of the objects that the shapes refer to, and behind them the values that are not given by the
caller (defaults, captured arrays); of the arguments; and of what it fills: words, the arrays that were found, in their order, and how
many references it has taken, followed by those.
"""

from __future__ import annotations

from collections.abc import Sequence

from smelt.targets.native.launching import object_layouts as layouts
from smelt.targets.native.launching.dispatch_records import MOST_ARRAYS, MOST_HELD, MOST_WORDS
from smelt.targets.native.launching.stub_shapes import Shape
from smelt.types import Layout

UNPACK = "unpack"


def unpack_text(shapes: Sequence[Shape], given: int, first_value: int) -> str | None:
    """The LLVM IR of the stub for values of these shapes; None if they are more than a dispatch has room for.

    The first `given` of them are the arguments, the others are objects, from the place `first_value` on.
    """
    stub = _Stub()
    for number, shape in enumerate(shapes):
        if number < given:
            value = stub.load("ptr", stub.at("%arguments", 8 * number))
        else:
            value = stub.held_object(first_value + number - given)
        stub.unpack(value, shape)
    return stub.text() if stub.has_room() else None


class _Stub:
    def __init__(self) -> None:
        self._lines: list[str] = []
        self._outside: dict[str, str] = {}
        self._values = 0
        self._blocks = 0
        self._words = 0
        self._arrays = 0
        self._held = 0

    def has_room(self) -> bool:
        return self._words <= MOST_WORDS and self._arrays <= MOST_ARRAYS and self._held <= MOST_HELD

    def text(self) -> str:
        outside = [f"@{name} = external global i8" for name, kind in self._outside.items() if not kind]
        outside += [kind for kind in self._outside.values() if kind]
        lines = [
            *sorted(outside),
            f"define i32 @{UNPACK}(ptr %objects, ptr %arguments, ptr %words, ptr %arrays, ptr %held) {{",
            "entry:",
            "  %overflow = alloca i32, align 4",
            *self._lines,
            "  ret i32 1",
            "other:",
            "  ret i32 0",
            "}",
        ]
        return "\n".join(lines) + "\n"

    # Instructions

    def emit(self, instruction: str) -> str:
        self._values += 1
        self._lines.append(f"  %v{self._values} = {instruction}")
        return f"%v{self._values}"

    def do(self, instruction: str) -> None:
        self._lines.append(f"  {instruction}")

    def at(self, base: str, offset: int) -> str:
        return self.emit(f"getelementptr i8, ptr {base}, i64 {offset}") if offset else base

    def load(self, kind: str, place: str) -> str:
        return self.emit(f"load {kind}, ptr {place}")

    def field(self, kind: str, holder: str, offset: int) -> str:
        return self.load(kind, self.at(holder, offset))

    def held_object(self, place: int) -> str:
        return self.field("ptr", "%objects", 8 * place)

    def any_of(self, conditions: Sequence[str]) -> str:
        found = conditions[0]
        for condition in conditions[1:]:
            found = self.emit(f"or i1 {found}, {condition}")
        return found

    def require(self, conditions: Sequence[str]) -> None:
        """Go on if all conditions hold, else to what is not the stub's."""
        held = conditions[0]
        for condition in conditions[1:]:
            held = self.emit(f"and i1 {held}, {condition}")
        self._blocks += 1
        self.do(f"br i1 {held}, label %b{self._blocks}, label %other")
        self._lines.append(f"b{self._blocks}:")

    def equals(self, kind: str, value: str, expected: object) -> str:
        return self.emit(f"icmp eq {kind} {value}, {expected}")

    def outside(self, name: str) -> str:
        """A variable of Python's C API, or a class of NumPy's."""
        quoted = f'"{name}"'
        self._outside[quoted] = ""
        return f"@{quoted}"

    def call(self, result: str, name: str, *arguments: str) -> str:
        kinds = ", ".join(argument.split()[0] for argument in arguments)
        self._outside[name] = f"declare {result} @{name}({kinds})"
        call = f"call {result} @{name}({', '.join(arguments)})"
        if result == "void":
            self.do(call)
            return ""
        return self.emit(call)

    def require_class(self, value: str, *classes: str) -> None:
        own = self.field("ptr", value, layouts.OBJECT_TYPE)
        self.require([self.any_of([self.equals("ptr", own, expected) for expected in classes])])

    def word(self, kind: str, value: str) -> None:
        """The next word of the arguments: `value` in its lower bytes."""
        if kind in _WIDENED:
            value = self.emit(f"zext {kind} {value} to i64")
            kind = "i64"
        self.do(f"store {kind} {value}, ptr {self.at('%words', 8 * self._words)}")
        self._words += 1

    # Shapes

    def unpack(self, value: str, shape: Shape) -> None:
        match shape:
            case ("array", element, dimensions, layout, writeable, aligned):
                self._array(value, element, dimensions, layout, _flags(layout, writeable=writeable, aligned=aligned))
            case ("number", name):
                self._number(value, name)
            case ("bool",):
                self._boolean(value)
            case ("int",):
                self.require_class(value, self.outside("PyLong_Type"))
                number = self.call("i64", "PyLong_AsLongLongAndOverflow", f"ptr {value}", "ptr %overflow")
                self.require([self.equals("i32", self.load("i32", "%overflow"), 0)])
                self.word("i64", number)
            case ("float",):
                self.require_class(value, self.outside("PyFloat_Type"))
                self.word("double", self.call("double", "PyFloat_AsDouble", f"ptr {value}"))
            case ("complex",):
                self.require_class(value, self.outside("PyComplex_Type"))
                for part in ("Real", "Imag"):
                    self.word("double", self.call("double", f"PyComplex_{part}AsDouble", f"ptr {value}"))
            case ("none",):
                self.require([self.equals("ptr", value, self.outside("_Py_NoneStruct"))])
            case ("same", place):
                self.require([self.equals("ptr", value, self.held_object(place))])
            case ("tuple", items):
                self.require_class(value, self.outside("PyTuple_Type"))
                size = self.call("i64", "PyTuple_Size", f"ptr {value}")
                self.require([self.equals("i64", size, len(items))])
                self._items(value, items)
            case ("items", place, items):
                self.require_class(value, self.held_object(place))
                self._items(value, items)
            case ("fields", place, fields):
                self.require_class(value, self.held_object(place))
                for name_place, field in fields:
                    self.unpack(self._attribute(value, name_place), field)
            case _:
                raise AssertionError(shape)

    def _array(self, value: str, element: object, dimensions: int, layout: str, flags: tuple[int, int]) -> None:
        self.require_class(value, self.outside("numpy.ndarray"))
        count = self.field("i32", value, layouts.ARRAY_DIMENSIONS)
        dtype = self.field("ptr", value, layouts.ARRAY_DTYPE)
        own_flags = self.emit(f"and i32 {self.field('i32', value, layouts.ARRAY_FLAGS)}, {flags[0]}")
        conditions = [self.equals("i32", count, dimensions), self.equals("i32", own_flags, flags[1])]
        if isinstance(element, int):
            conditions.append(self.equals("ptr", dtype, self.held_object(element)))
        else:
            number = self.field("i32", dtype, layouts.DTYPE_NUMBER)
            order = self.field("i8", dtype, layouts.DTYPE_BYTE_ORDER)
            numbers = layouts.type_numbers(str(element))
            conditions.append(self.any_of([self.equals("i32", number, expected) for expected in numbers]))
            conditions.append(self.emit(f"icmp ne i8 {order}, {layouts.FOREIGN_BYTE_ORDER}"))
        self.require(conditions)
        self.do(f"store ptr {value}, ptr {self.at('%arrays', 8 * self._arrays)}")
        self._arrays += 1
        self.word("i64", self.field("i64", value, layouts.ARRAY_DATA))
        self._extents(value, layouts.ARRAY_SHAPE, dimensions)
        if layout == Layout.STRIDED.value:
            self._extents(value, layouts.ARRAY_STRIDES, dimensions)

    def _extents(self, array: str, offset: int, dimensions: int) -> None:
        if dimensions:
            extents = self.field("ptr", array, offset)
            for axis in range(dimensions):
                self.word("i64", self.field("i64", extents, 8 * axis))

    def _number(self, value: str, name: str) -> None:
        classes = layouts.scalar_classes(name)
        self.require_class(value, *[self.outside(f"numpy.{cls.__name__}") for cls in classes])
        size = classes[0]().itemsize
        # A complex number is two.
        parts = 2 if name.startswith("complex") else 1
        kind = f"i{8 * size // parts}"
        for part in range(parts):
            self.word(kind, self.field(kind, value, layouts.SCALAR_VALUE + part * size // parts))

    def _boolean(self, value: str) -> None:
        own = self.field("ptr", value, layouts.OBJECT_TYPE)
        is_python = self.equals("ptr", own, self.outside("PyBool_Type"))
        is_numpy = self.equals("ptr", own, self.outside("numpy.bool"))
        self.require([self.any_of([is_python, is_numpy])])
        held = self.emit(f"icmp ne i8 {self.field('i8', value, layouts.SCALAR_VALUE)}, 0")
        is_true = self.equals("ptr", value, self.outside("_Py_TrueStruct"))
        self.word("i1", self.emit(f"select i1 {is_python}, i1 {is_true}, i1 {held}"))

    def _items(self, value: str, items: Sequence[Shape]) -> None:
        for number, item in enumerate(items):
            self.unpack(self.call("ptr", "PyTuple_GetItem", f"ptr {value}", f"i64 {number}"), item)

    def _attribute(self, value: str, name_place: int) -> str:
        attribute = self.call("ptr", "PyObject_GetAttr", f"ptr {value}", f"ptr {self.held_object(name_place)}")
        self._blocks += 1
        there, missing = f"b{self._blocks}", f"missing{self._blocks}"
        self.do(f"br i1 {self.equals('ptr', attribute, 'null')}, label %{missing}, label %{there}")
        self._lines.append(f"{missing}:")
        self.call("void", "PyErr_Clear")
        self.do("br label %other")
        self._lines.append(f"{there}:")
        self._held += 1
        self.do(f"store ptr {attribute}, ptr {self.at('%held', 8 * self._held)}")
        self.do(f"store i64 {self._held}, ptr %held")
        return attribute


_WIDENED = {"i1", "i8", "i16", "i32"}


def _flags(layout: str, *, writeable: bool, aligned: bool) -> tuple[int, int]:
    """Which flags of an array count, and what they are for arrays of a type."""
    mask = layouts.C_CONTIGUOUS | layouts.WRITEABLE | layouts.ALIGNED | layouts.WARNS_ON_WRITE
    expected = (layouts.WRITEABLE if writeable else 0) | (layouts.ALIGNED if aligned else 0)
    if layout == Layout.C.value:
        return mask, expected | layouts.C_CONTIGUOUS
    # What is contiguous both ways counts as C.
    return mask | layouts.F_CONTIGUOUS, expected | (layouts.F_CONTIGUOUS if layout == Layout.F.value else 0)
