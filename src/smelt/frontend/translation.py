# SPDX-License-Identifier: Apache-2.0
"""Statements and functions: from Python's syntax tree to an untyped program, refusing what kernels can't mean."""

from __future__ import annotations

import ast
import types
import weakref
from collections.abc import Iterable

from smelt.caching.sources import function_source
from smelt.frontend.expressions import ExpressionTranslator
from smelt.frontend.patterns import case_test
from smelt.frontend.scopes import FunctionNode, Scope
from smelt.ir import untyped
from smelt.ir.variables import assigned_by, assigned_by_expression, assigned_by_target

_programs: weakref.WeakKeyDictionary[types.CodeType, untyped.Body] = weakref.WeakKeyDictionary()


def untyped_program(function: types.FunctionType) -> untyped.Body:
    """The untyped program of a Python function. Made once for its code object.

    Raises
    ------
    SourceError
        If the function has no source, or its source has changed.
    KernelError
        If it uses something of Python that kernels don't have, with the line and what to write instead.
    """
    code = function.__code__
    program = _programs.get(code)
    if program is None:
        source = function_source(function)
        scope = Scope(source.node, None, frozenset(code.co_freevars))
        program = _programs[code] = FunctionTranslator(source, scope).body(source.node)
    return program


class FunctionTranslator(ExpressionTranslator):
    """Translates one function; the functions in it are translated by translators of their own."""

    def body(self, node: FunctionNode) -> untyped.Body:
        if isinstance(node, ast.AsyncFunctionDef):
            raise self.refuse(node, "kernels don't wait for anything", "write `def` without `async`")
        parameters = self.parameters(node.args)
        if isinstance(node, ast.Lambda):
            statements: tuple[untyped.Statement, ...] = (
                untyped.Return(self.position(node.body), self.expression(node.body)),
            )
            name = "<lambda>"
        else:
            statements = self.statements(_without_docstring(node.body))
            name = node.name
        return untyped.Body(self.position(node), name, parameters, statements, tuple(self.scope.captured))

    def closure(self, node: FunctionNode) -> untyped.Closure:
        arguments = node.args
        positional = [*arguments.posonlyargs, *arguments.args]
        with_default = positional[len(positional) - len(arguments.defaults) :]
        defaults = [
            *zip(with_default, arguments.defaults, strict=True),
            *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
        ]
        values = tuple((argument.arg, self.expression(value)) for argument, value in defaults if value is not None)
        inner = FunctionTranslator(self.source, Scope(node, self.scope))
        return untyped.Closure(self.position(node), inner.body(node), values)

    def statements(self, nodes: Iterable[ast.stmt]) -> tuple[untyped.Statement, ...]:
        return tuple(statement for node in nodes for statement in self.statement(node))

    def statement(self, node: ast.stmt) -> tuple[untyped.Statement, ...]:
        translate = getattr(self, f"statement_{type(node).__name__}", None)
        if translate is None:
            what, instead = _REFUSED.get(type(node).__name__, (f"kernels have no {type(node).__name__} statement", ""))
            raise self.refuse(node, what, instead)
        translated: tuple[untyped.Statement, ...] = translate(node)
        return translated

    def statement_Pass(self, node: ast.Pass) -> tuple[untyped.Statement, ...]:  # noqa: N802, ARG002
        return ()

    def statement_Expr(self, node: ast.Expr) -> tuple[untyped.Statement, ...]:  # noqa: N802
        if isinstance(node.value, ast.Constant):
            return ()
        return (untyped.Evaluate(self.position(node), self.expression(node.value)),)

    def statement_Global(self, node: ast.Global) -> tuple[untyped.Statement, ...]:  # noqa: N802
        raise self.refuse(
            node, "a kernel can't assign globals", "read them without `global`, and return results through an array"
        )

    def statement_Assign(self, node: ast.Assign) -> tuple[untyped.Statement, ...]:  # noqa: N802
        value = self.expression(node.value)
        return (untyped.Assign(self.position(node), tuple(map(self.target, node.targets)), value),)

    def statement_AnnAssign(self, node: ast.AnnAssign) -> tuple[untyped.Statement, ...]:  # noqa: N802
        if node.value is None:
            return ()
        value = self.expression(node.value)
        return (untyped.Assign(self.position(node), (self.target(node.target),), value),)

    def statement_AugAssign(self, node: ast.AugAssign) -> tuple[untyped.Statement, ...]:  # noqa: N802
        target = self.target(node.target)
        if isinstance(target, untyped.TupleTarget):
            raise self.refuse(node.target, "a tuple can't be augmented", "assign each item by itself")
        operator = self.binary_operator(node, node.op)
        return (untyped.AugmentedAssign(self.position(node), target, operator, self.expression(node.value)),)

    def statement_If(self, node: ast.If) -> tuple[untyped.Statement, ...]:  # noqa: N802
        test = self.expression(node.test)
        return (untyped.If(self.position(node), test, self.statements(node.body), self.statements(node.orelse)),)

    def statement_While(self, node: ast.While) -> tuple[untyped.Statement, ...]:  # noqa: N802
        test = self.expression(node.test)
        body = self.statements(node.body)
        otherwise = self.statements(node.orelse)
        assigned = tuple(dict.fromkeys((*assigned_by_expression(test), *assigned_by(body))))
        return (untyped.While(self.position(node), test, body, otherwise, assigned),)

    def statement_For(self, node: ast.For) -> tuple[untyped.Statement, ...]:  # noqa: N802
        iterable = self.expression(node.iter)
        target = self.target(node.target)
        body = self.statements(node.body)
        otherwise = self.statements(node.orelse)
        assigned = tuple(dict.fromkeys((*assigned_by_target(target), *assigned_by(body))))
        return (untyped.For(self.position(node), target, iterable, body, otherwise, assigned),)

    def statement_Break(self, node: ast.Break) -> tuple[untyped.Statement, ...]:  # noqa: N802
        return (untyped.Break(self.position(node)),)

    def statement_Continue(self, node: ast.Continue) -> tuple[untyped.Statement, ...]:  # noqa: N802
        return (untyped.Continue(self.position(node)),)

    def statement_Return(self, node: ast.Return) -> tuple[untyped.Statement, ...]:  # noqa: N802
        value = None if node.value is None else self.expression(node.value)
        return (untyped.Return(self.position(node), value),)

    def statement_Raise(self, node: ast.Raise) -> tuple[untyped.Statement, ...]:  # noqa: N802
        if node.exc is None or node.cause is not None:
            raise self.refuse(
                node, "a kernel raises one new error, without a cause", "write `raise ValueError('what is wrong')`"
            )
        return (untyped.Raise(self.position(node), self.expression(node.exc)),)

    def statement_Assert(self, node: ast.Assert) -> tuple[untyped.Statement, ...]:  # noqa: N802
        message = None if node.msg is None else self.expression(node.msg)
        return (untyped.Assert(self.position(node), self.expression(node.test), message),)

    def statement_With(self, node: ast.With) -> tuple[untyped.Statement, ...]:  # noqa: N802
        body = self.statements(node.body)
        for item in reversed(node.items):
            if item.optional_vars is not None:
                raise self.refuse(
                    item.optional_vars, "a kernel's `with` binds no name", "write `with smelt.inbounds():`"
                )
            body = (untyped.With(self.position(node), self.expression(item.context_expr), body),)
        return body

    def statement_Match(self, node: ast.Match) -> tuple[untyped.Statement, ...]:  # noqa: N802
        position = self.position(node)
        subject = untyped.Local(position, self.temporary("subject"))
        statements: tuple[untyped.Statement, ...] = ()
        for case in reversed(node.cases):
            test = case_test(self, case.pattern, subject)
            if case.guard is not None:
                guard = self.expression(case.guard)
                test = untyped.Logical(guard.position, "and", (test, guard))
            body = self.statements(case.body)
            statements = (untyped.If(self.position(case.pattern), test, body, statements),)
        return (untyped.Assign(position, (subject,), self.expression(node.subject)), *statements)

    def statement_FunctionDef(self, node: ast.FunctionDef) -> tuple[untyped.Statement, ...]:  # noqa: N802
        if node.decorator_list:
            raise self.refuse(
                node.decorator_list[0],
                "a function inside a kernel can't be decorated",
                "define it outside of the kernel",
            )
        position = self.position(node)
        return (untyped.Assign(position, (untyped.Local(position, node.name),), self.closure(node)),)

    def parameters(self, arguments: ast.arguments) -> untyped.Parameters:
        if arguments.kwarg is not None:
            raise self.refuse(
                arguments.kwarg,
                f"kernels have no **{arguments.kwarg.arg}",
                "name the parameters, or take a frozen dataclass",
            )
        positional = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
        with_default = positional[len(positional) - len(arguments.defaults) :] + [
            argument.arg
            for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
            if default is not None
        ]
        return untyped.Parameters(
            tuple(argument.arg for argument in arguments.posonlyargs),
            tuple(argument.arg for argument in arguments.args),
            arguments.vararg.arg if arguments.vararg is not None else None,
            tuple(argument.arg for argument in arguments.kwonlyargs),
            frozenset(with_default),
        )


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0]
    is_docstring = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    return body[1:] if is_docstring else body


_REFUSED = {
    "Try": ("a kernel can't catch errors", "test for what could go wrong before it does"),
    "TryStar": ("a kernel can't catch errors", "test for what could go wrong before it does"),
    "Import": ("a kernel can't import", "import at the top of the module"),
    "ImportFrom": ("a kernel can't import", "import at the top of the module"),
    "ClassDef": ("a kernel can't define classes", "define a frozen dataclass or a named tuple in the module"),
    "Delete": ("a kernel can't delete names or elements", "leave the name alone; it costs nothing"),
    "Nonlocal": ("a function inside a kernel can't assign variables around it", "return the value and assign it there"),
    "AsyncFunctionDef": ("kernels don't wait for anything", "write `def` without `async`"),
    "AsyncFor": ("kernels don't wait for anything", "write `for` without `async`"),
    "AsyncWith": ("kernels don't wait for anything", "write `with` without `async`"),
    "TypeAlias": ("a kernel can't define types", "define them in the module"),
}
