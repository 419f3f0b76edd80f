# SPDX-License-Identifier: Apache-2.0
"""Expressions and targets of assignment: from Python's syntax tree to untyped nodes."""

from __future__ import annotations

import ast

from smelt.caching.sources import FunctionSource, mangle
from smelt.compiler.errors import KernelError
from smelt.frontend.scopes import FunctionNode, Scope
from smelt.ir import untyped
from smelt.ir.positions import Position

_BINARY = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
    ast.MatMult: "@",
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.BitXor: "^",
    ast.LShift: "<<",
    ast.RShift: ">>",
}
_UNARY = {ast.UAdd: "+", ast.USub: "-", ast.Invert: "~", ast.Not: "not"}
_COMPARE = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.In: "in",
    ast.NotIn: "not in",
}


class ExpressionTranslator:
    """What translating statements and translating patterns have in common: expressions, names and positions."""

    def __init__(self, source: FunctionSource, scope: Scope) -> None:
        self.source = source
        self.scope = scope
        self._temporaries = 0
        # The targets of comprehensions that are being translated, under the names that their variables have here.
        self._renamed: dict[str, str] = {}

    def position(self, node: ast.AST) -> Position:
        start, end = getattr(node, "lineno", 0), getattr(node, "end_lineno", 0)
        first = self.source.first_line
        return Position(start - first, getattr(node, "col_offset", 0), end - first, getattr(node, "end_col_offset", 0))

    def refuse(self, node: ast.AST, what: str, instead: str) -> KernelError:
        return KernelError(what, self.source, self.position(node), help=instead)

    def temporary(self, purpose: str) -> str:
        """A variable that no name of Python's can be."""
        self._temporaries += 1
        return f"{purpose}.{self._temporaries}"

    def expression(self, node: ast.expr) -> untyped.Expression:
        translate = getattr(self, f"expression_{type(node).__name__}", None)
        if translate is None:
            what, instead = _REFUSED.get(type(node).__name__, (f"kernels have no {type(node).__name__} expression", ""))
            raise self.refuse(node, what, instead)
        translated: untyped.Expression = translate(node)
        return translated

    def closure(self, node: FunctionNode) -> untyped.Closure:
        raise NotImplementedError

    def target(self, node: ast.expr) -> untyped.Target:
        position = self.position(node)
        if isinstance(node, ast.Name):
            name = self._name(node.id)
            if self.scope.resolve(node.id) != "local" and node.id not in self._renamed:
                raise self.refuse(
                    node, f"a kernel can't assign {node.id}, which is not its own variable", "use another name"
                )
            return untyped.Local(position, name)
        if isinstance(node, ast.Subscript):
            return untyped.Subscript(position, self.expression(node.value), self.expression(node.slice))
        if isinstance(node, (ast.Tuple, ast.List)):
            starred = [index for index, item in enumerate(node.elts) if isinstance(item, ast.Starred)]
            items = tuple(self.target(item.value if isinstance(item, ast.Starred) else item) for item in node.elts)
            return untyped.TupleTarget(position, items, starred[0] if starred else None)
        if isinstance(node, ast.Attribute):
            if any(isinstance(part, ast.Subscript) for part in ast.walk(node.value)):
                name = mangle(node.attr, self.source.class_name)
                return untyped.Attribute(position, self.expression(node.value), name)
            raise self.refuse(
                node,
                f"a kernel can't assign the attribute {node.attr}",
                "make a new value, with dataclasses.replace or _replace; of elements of arrays fields are assigned: a[i].x = value",
            )
        raise self.refuse(node, "a kernel can't assign to this", "assign to a variable or an element of an array")

    def expression_Constant(self, node: ast.Constant) -> untyped.Expression:  # noqa: N802
        if isinstance(node.value, bytes):
            raise self.refuse(node, "kernels have no bytes", "use an array of uint8")
        return untyped.Literal(self.position(node), node.value)

    def expression_Name(self, node: ast.Name) -> untyped.Expression:  # noqa: N802
        position = self.position(node)
        if node.id in self._renamed:
            return untyped.Local(position, self._renamed[node.id])
        name = self._name(node.id)
        where = self.scope.resolve(node.id)
        if where == "local":
            return untyped.Local(position, name)
        return untyped.Captured(position, name) if where == "captured" else untyped.Global(position, name)

    def expression_Attribute(self, node: ast.Attribute) -> untyped.Expression:  # noqa: N802
        name = mangle(node.attr, self.source.class_name)
        return untyped.Attribute(self.position(node), self.expression(node.value), name)

    def expression_Subscript(self, node: ast.Subscript) -> untyped.Expression:  # noqa: N802
        return untyped.Subscript(self.position(node), self.expression(node.value), self.expression(node.slice))

    def expression_Slice(self, node: ast.Slice) -> untyped.Expression:  # noqa: N802
        start, stop, step = (
            None if part is None else self.expression(part) for part in (node.lower, node.upper, node.step)
        )
        return untyped.Slice(self.position(node), start, stop, step)

    def expression_Tuple(self, node: ast.Tuple) -> untyped.Expression:  # noqa: N802
        return untyped.TupleDisplay(self.position(node), tuple(map(self.expression, node.elts)))

    def expression_Starred(self, node: ast.Starred) -> untyped.Expression:  # noqa: N802
        return untyped.Starred(self.position(node), self.expression(node.value))

    def expression_Call(self, node: ast.Call) -> untyped.Expression:  # noqa: N802
        for keyword in node.keywords:
            if keyword.arg is None:
                raise self.refuse(keyword, "kernels have no ** arguments", "name the arguments")
        arguments = tuple(
            self.generator(argument)
            if isinstance(argument, (ast.GeneratorExp, ast.ListComp))
            else self.expression(argument)
            for argument in node.args
        )
        keywords = tuple((keyword.arg or "", self.expression(keyword.value)) for keyword in node.keywords)
        return untyped.Call(self.position(node), self.expression(node.func), arguments, keywords)

    def expression_UnaryOp(self, node: ast.UnaryOp) -> untyped.Expression:  # noqa: N802
        return untyped.Unary(self.position(node), _UNARY[type(node.op)], self.expression(node.operand))

    def expression_BinOp(self, node: ast.BinOp) -> untyped.Expression:  # noqa: N802
        left, right = self.expression(node.left), self.expression(node.right)
        return untyped.Binary(self.position(node), self.binary_operator(node, node.op), left, right)

    def binary_operator(self, node: ast.AST, operator: ast.operator) -> str:
        if isinstance(operator, ast.MatMult):
            raise self.refuse(node, "kernels have no matrix product of arrays", "loop over the elements")
        return _BINARY[type(operator)]

    def expression_Compare(self, node: ast.Compare) -> untyped.Expression:  # noqa: N802
        operators = [_COMPARE[type(operator)] for operator in node.ops]
        rest = tuple(zip(operators, map(self.expression, node.comparators), strict=True))
        return untyped.Compare(self.position(node), self.expression(node.left), rest)

    def expression_BoolOp(self, node: ast.BoolOp) -> untyped.Expression:  # noqa: N802
        operator = "and" if isinstance(node.op, ast.And) else "or"
        return untyped.Logical(self.position(node), operator, tuple(map(self.expression, node.values)))

    def expression_IfExp(self, node: ast.IfExp) -> untyped.Expression:  # noqa: N802
        parts = (self.expression(part) for part in (node.test, node.body, node.orelse))
        return untyped.Conditional(self.position(node), *parts)

    def expression_NamedExpr(self, node: ast.NamedExpr) -> untyped.Expression:  # noqa: N802
        return untyped.Walrus(self.position(node), self._name(node.target.id), self.expression(node.value))

    def expression_Lambda(self, node: ast.Lambda) -> untyped.Expression:  # noqa: N802
        return self.closure(node)

    def expression_JoinedStr(self, node: ast.JoinedStr) -> untyped.Expression:  # noqa: N802
        parts: list[str | tuple[untyped.Expression, str, str]] = []
        for value in node.values:
            if isinstance(value, ast.FormattedValue):
                conversion = "" if value.conversion < 0 else chr(value.conversion)
                parts.append((self.expression(value.value), conversion, self._format_specification(value)))
            elif isinstance(value, ast.Constant):
                parts.append(str(value.value))
        return untyped.FormattedString(self.position(node), tuple(parts))

    def _format_specification(self, node: ast.FormattedValue) -> str:
        texts = node.format_spec.values if isinstance(node.format_spec, ast.JoinedStr) else []
        for text in texts:
            if not isinstance(text, ast.Constant):
                raise self.refuse(text, "a format specification in a kernel is constant", "write its numbers out")
        return "".join(str(text.value) for text in texts if isinstance(text, ast.Constant))

    def generator(self, node: ast.GeneratorExp | ast.ListComp) -> untyped.Generator:
        outside = self._renamed
        clauses = []
        for clause in node.generators:
            if clause.is_async:
                raise self.refuse(clause.target, "kernels don't wait for anything", "write `for` without `async`")
            # The first iterable is evaluated outside, each further one inside of the clauses before it.
            iterable = self.expression(clause.iter)
            names = {part.id: self.temporary(part.id) for part in ast.walk(clause.target) if isinstance(part, ast.Name)}
            self._renamed = {**self._renamed, **names}
            target = self.target(clause.target)
            tests = tuple(map(self.expression, clause.ifs))
            clauses.append(untyped.Clause(self.position(clause.target), target, iterable, tests))
        element = self.expression(node.elt)
        self._renamed = outside
        return untyped.Generator(self.position(node), element, tuple(clauses))

    def _name(self, name: str) -> str:
        return self._renamed.get(name) or mangle(name, self.source.class_name)


_COMPREHENSION = (
    "kernels have no lists, sets or dicts",
    "give the comprehension to sum, min, max, any or all; use a tuple, or an array, for what is kept",
)
_REFUSED = {
    "List": ("kernels have no lists", "use a tuple, or smelt.thread_array for what is changed"),
    "Set": ("kernels have no sets", "use a tuple"),
    "Dict": ("kernels have no dicts", "use a frozen dataclass or a named tuple"),
    "ListComp": _COMPREHENSION,
    "SetComp": _COMPREHENSION,
    "DictComp": _COMPREHENSION,
    "GeneratorExp": _COMPREHENSION,
    "Await": ("kernels don't wait for anything", ""),
    "Yield": ("kernels can't be generators", "write results to an array"),
    "YieldFrom": ("kernels can't be generators", "write results to an array"),
}
