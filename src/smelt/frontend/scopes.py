# SPDX-License-Identifier: Apache-2.0
"""Where the names of a function live, by Python's rules: in it, around it, or in its module."""

from __future__ import annotations

import ast
from collections.abc import Iterator

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_COMPREHENSIONS = (ast.GeneratorExp, ast.ListComp, ast.SetComp, ast.DictComp)


class Scope:
    """The names of one function.

    Attributes
    ----------
    locals
        Its parameters and what it assigns.
    captured
        What it, or a function inside it, uses of the functions around it.
    """

    def __init__(
        self, node: FunctionNode, enclosing: Scope | None, captured_outside: frozenset[str] = frozenset()
    ) -> None:
        self.enclosing = enclosing
        self._captured_outside = captured_outside
        self.locals = frozenset(_assigned(node)) - frozenset(_declared(node))
        self.captured: dict[str, None] = {}

    def resolve(self, name: str) -> str:
        """`"local"`, `"captured"` or `"global"`."""
        if name in self.locals:
            return "local"
        if self._is_around(name):
            scope: Scope | None = self
            while scope is not None and name not in scope.locals:
                scope.captured[name] = None
                scope = scope.enclosing
            return "captured"
        return "global"

    def _is_around(self, name: str) -> bool:
        scope = self.enclosing
        outermost = self
        while scope is not None:
            if name in scope.locals:
                return True
            outermost, scope = scope, scope.enclosing
        return name in outermost._captured_outside  # noqa: SLF001


def own_nodes(node: FunctionNode) -> Iterator[ast.AST]:
    """All nodes of a function's body that are evaluated in its own scope; of functions in it, only what they are called."""
    body = node.body if isinstance(node.body, list) else [node.body]
    todo: list[ast.AST] = list(reversed(body))
    while todo:
        current = todo.pop()
        yield current
        if isinstance(current, _SCOPES):
            continue
        todo.extend(reversed(list(ast.iter_child_nodes(current))))


def _assigned(node: FunctionNode) -> Iterator[str]:
    arguments = node.args
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        yield argument.arg
    if arguments.vararg is not None:
        yield arguments.vararg.arg
    if arguments.kwarg is not None:
        yield arguments.kwarg.arg
    in_comprehensions: set[int] = set()
    for inner in own_nodes(node):
        if isinstance(inner, _COMPREHENSIONS):
            # The targets of a comprehension are its own, what it assigns with := is the function's.
            for clause in inner.generators:
                in_comprehensions.update(id(part) for part in ast.walk(clause.target))
        elif isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store) and id(inner) not in in_comprehensions:
            yield inner.id
        else:
            name = _name_bound_by(inner)
            if name is not None:
                yield name


def _name_bound_by(node: ast.AST) -> str | None:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.MatchAs, ast.MatchStar)):
        return node.name
    return None


def _declared(node: FunctionNode) -> Iterator[str]:
    for inner in own_nodes(node):
        if isinstance(inner, (ast.Global, ast.Nonlocal)):
            yield from inner.names
