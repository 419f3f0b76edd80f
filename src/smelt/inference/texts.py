# SPDX-License-Identifier: Apache-2.0
"""Texts that are known but for the values in them: f-strings, `str` and `repr`, and what is printed.

Such a text is a struct of its values; what stands around them is a part of its type. So it can be kept in a variable, returned, and
given to a function. All that can be done with it is to print it, or to make it a part of another text.
"""

from __future__ import annotations

from collections.abc import Iterable

from smelt.caching import read_attribute
from smelt.compiler.texts import Template, example, formatted, is_lasting, shape_of
from smelt.inference.context import Context
from smelt.ir import untyped
from smelt.ir.builder import NONE, Operand, constant
from smelt.types import Array, Struct, Tuple, Type
from smelt.types.records import is_generated_repr


class Text(Struct):
    """The type of a text: what stands around its values, which are its fields."""

    template: Template = ()

    def __str__(self) -> str:
        return "text"

    __repr__ = __str__


Piece = str | tuple[Operand, str, str]
"""A text, or a value with its conversion and its format specification."""


def text_of(context: Context, pieces: Iterable[Piece], node: untyped.Node) -> Operand:
    """The text that these pieces make: a constant string if all of them are known. Raises `KernelError`."""
    template: list[object] = []
    values: list[Operand] = []
    for piece in pieces:
        parts, of_piece = ([piece], ()) if isinstance(piece, str) else _parts(context, *piece, node)
        values += of_piece
        for part in parts:
            if isinstance(part, str) and template and isinstance(template[-1], str):
                template[-1] += part
            elif part:
                template.append(part)
    if all(isinstance(part, str) for part in template):
        return constant("".join(map(str, template)))
    fields = tuple((str(number), value.type) for number, value in enumerate(values))
    return Operand(Text("text", fields, template=tuple(template)), parts=tuple(values))  # type: ignore[arg-type]


def infer_str(context: Context, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
    """`str(value)`."""
    return text_of(context, [(operands[0], "s", "")], node)


def infer_repr(context: Context, operands: tuple[Operand, ...], node: untyped.Node) -> Operand:
    """`repr(value)`."""
    return text_of(context, [(operands[0], "r", "")], node)


def infer_print(context: Context, operands: tuple[Operand, ...], node: untyped.Node, **keywords: Operand) -> Operand:
    """`print(...)`, with `sep` and `end`."""
    if not context.infer.has_printing:
        raise context.error(
            "kernels can't print on this target",
            node,
            help="write the values to an array, and print them when it is done",
        )
    for name in keywords.keys() - {"sep", "end"}:
        raise context.error(
            f"print in a kernel has no {name}", node, help="print to standard output, with sep and end alone"
        )
    separator, end = (
        _punctuation(context, keywords, name, usual, node) for name, usual in (("sep", " "), ("end", "\n"))
    )
    pieces: list[Piece] = []
    for operand in operands:
        pieces += [(separator, "s", "")] * bool(pieces) + [(operand, "s", "")]
    text = text_of(context, [*pieces, (end, "s", "")], node)
    if text.is_constant:
        if text.known:
            context.builder.do("print", (), template=(text.known,))
        return NONE
    assert isinstance(text.type, Text)
    context.builder.do("print", map(context.builder.value, text.parts or ()), template=text.type.template)
    return NONE


def _punctuation(context: Context, keywords: dict[str, Operand], name: str, usual: str, node: untyped.Node) -> Operand:
    given = keywords.get(name, constant(None))
    if given.is_constant and given.known is None:
        return constant(usual)
    if not isinstance(given.type, Text) and not (given.is_constant and isinstance(given.known, str)):
        raise context.error(f"{name} of print is a string, not a {given.type}", node)
    return given


def _parts(
    context: Context, operand: Operand, conversion: str, specification: str, node: untyped.Node
) -> tuple[Template, tuple[Operand, ...]]:
    """The parts of a template that one value makes, and the values in them."""
    kind = operand.type
    if isinstance(kind, Text):
        if conversion in ("r", "a") or specification:
            raise context.error("a text with values in it is shown as it is", node, help="format the values themselves")
        return kind.template, context.builder.parts(operand)
    try:
        if operand.is_constant and is_lasting(operand.known):
            return (formatted(operand.known, conversion, specification),), ()
        _refuse_own_text(context, kind, node)
        shape = shape_of(kind, has_doubles=context.builder.has_doubles)
        formatted(example(shape), conversion, specification)
    except (TypeError, ValueError) as error:
        what = "its elements" if isinstance(kind, Array) else "numbers, strings and tuples of them"
        raise context.error(str(error), node, help=f"print {what}") from error
    return ((shape, conversion, specification),), (operand,)


def _refuse_own_text(context: Context, kind: Type, node: untyped.Node) -> None:
    """Raise `TypeError` for a value with a record in it whose class says itself how it is shown."""
    if isinstance(kind, Tuple):
        for item in kind.items:
            _refuse_own_text(context, item, node)
    if not isinstance(kind, Struct) or kind.python_class is None:
        return
    cls = kind.python_class
    found = {name: context.read(read_attribute, cls, name, node) for name in ("__repr__", "__str__", "__format__")}
    is_plain = found["__str__"] is object.__str__ and found["__format__"] is object.__format__
    if not is_plain or not is_generated_repr(cls, found["__repr__"]):
        raise TypeError(f"a kernel can't print a {kind}: its class says itself how it is shown")
    for _, field in kind.fields:
        _refuse_own_text(context, field, node)
